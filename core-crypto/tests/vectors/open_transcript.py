#!/usr/bin/env python3
"""Opens `transcript.json` with an own Double Ratchet: set-up, every ratchet step, wrap, envelope, content.

Needs `cryptography` 48. Of the recorded sessions it takes only the ratchet secrets that were drawn at random.
"""

import json
import pathlib

from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sordino import *


def decrypt(chain_key, message):
    """One message of a chain, version 2 (full MAC); the next chain key."""
    keys = hkdf(bytes(32), mac(chain_key, b"\1"), b"OLM_KEYS", 80)
    body, tag = message[:-32], message[-32:]
    assert mac(keys[32:64], body) == tag
    ciphertext = read_proto(body[1:])[4]
    decryptor = Cipher(algorithms.AES(keys[:32]), modes.CBC(keys[64:])).decryptor()
    unpadder = block_padding.PKCS7(128).unpadder()
    plaintext = decryptor.update(ciphertext) + decryptor.finalize()
    return unpadder.update(plaintext) + unpadder.finalize(), mac(chain_key, b"\2")


def keys_of(side):
    """user, device, UIK, DIK, DSK from the signed list."""
    body = read_proto(read_proto(bytes.fromhex(side["list"]))[1])
    certificate = read_proto(read_proto(body[5])[1])
    device = read_proto(body[6])
    assert device[2] == ed25519_public(bytes.fromhex(side["dsk_secret"]))
    assert device[3] == x25519_public(bytes.fromhex(side["dik_secret"]))
    return body[1], device[1], certificate[2], device[3], device[2]


def set_up(alice, bob, wrap):
    secret = lambda name: bytes.fromhex(bob[name])
    handshake, ratchet = read_proto(wrap[2]), read_proto(wrap[3][1:-32])[1]
    a, b = keys_of(alice), keys_of(bob)
    pq = MLKEM768PrivateKey.from_seed_bytes(secret("pq_seed"))
    th = transcript_hash(
        handshake[1], party(*a), party(*b),
        (handshake[3], x25519_public(secret("spk_secret"))), (handshake[4], x25519_public(secret("opk_secret"))),
        (handshake[5], handshake[6], sha256(pq.public_key().public_bytes_raw())),
        handshake[2], ratchet, sha256(handshake[7]),
    )
    assert th[:8] == wrap[1]
    dhs = [
        dh(secret("spk_secret"), a[3]), dh(secret("dik_secret"), handshake[2]),
        dh(secret("spk_secret"), handshake[2]), dh(secret("opk_secret"), handshake[2]),
    ]
    return root_and_signal(dhs, pq.decapsulate(handshake[7]), th)


def main():
    transcript = json.loads((pathlib.Path(__file__).parent / "transcript.json").read_text())
    root, chains = None, {}
    for recorded in transcript["rows"]:
        row = read_proto(bytes.fromhex(recorded["row"]))
        wrap = read_proto(row[6])
        message = wrap[3]
        assert message[0] == 4
        fields, before = read_proto(message[1:-32]), recorded["session_before"]
        if before is None:
            root, signal = set_up(transcript["alice"], transcript["bob"], wrap)
            reader = bytes.fromhex(transcript["bob"]["spk_secret"])
        elif fields[1] not in chains:
            reader = bytes(before["ratchet"]["sending_ratchet"]["active_ratchet"]["ratchet_key"])
        if before is not None:
            assert bytes(before["signal_key"]) == signal
        if fields[1] not in chains:
            root, chain = ratchet_step(root, dh(reader, fields[1]))
            chains[fields[1]] = (0, chain)
        index, chain = chains[fields[1]]
        assert fields.get(2, 0) == index
        payload, chain = decrypt(chain, message)
        chains[fields[1]] = (index + 1, chain)
        assert payload[0] == 1 and payload[33:] == env_hash(row[3], row[5])
        content = read_proto(open_content(payload[1:33], row[3], row[5]))
        text = read_proto(content[10]).get(1, b"").decode()
        assert text == recorded["text"], (text, recorded["text"])
    print(len(transcript["rows"]), "messages,", len(chains), "chains")


if __name__ == "__main__":
    main()
