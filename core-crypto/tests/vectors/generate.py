#!/usr/bin/env python3
"""Computes the frozen vectors of this folder without any of the project's code. Needs `cryptography` 48.

Prints nothing when every file holds what is computed; with --write, writes the files.
"""

import json
import pathlib
import sys

from sordino import *

HERE = pathlib.Path(__file__).parent


def rep(byte, length=32):
    return bytes([byte]) * length


def hexed(vectors):
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in vectors.items()}


def pqxdh():
    """X25519 secrets are one byte repeated."""

    def side(n, dik):
        return party(rep(n, 16), rep(n + 1, 16), rep(n + 2), x25519_public(rep(dik)), rep(n + 3))

    spk, opk, ephemeral = x25519_public(rep(3)), x25519_public(rep(4)), x25519_public(rep(5))
    vectors = {}
    for name, one_time, kind in [("with_one_time", True, 1), ("without_one_time", False, 2)]:
        th = transcript_hash(
            0x0102030405060708, side(0xA0, 1), side(0xB0, 2), (11, spk), (12, opk) if one_time else None,
            (13, kind, sha256(b"pq key")), ephemeral, x25519_public(rep(6)), sha256(b"ciphertext"),
        )
        dhs = [dh(rep(1), spk), dh(rep(5), x25519_public(rep(2))), dh(rep(5), spk)]
        root, signal = root_and_signal(dhs + ([dh(rep(5), opk)] if one_time else []), rep(7), th)
        root_key, chain_key = ratchet_step(root, dh(rep(6), spk))
        vectors[name] = hexed({
            "transcript": th, "sid": th[:8], "root": root, "signal_key": signal,
            "root_key": root_key, "chain_key": chain_key,
        })
    return vectors


def content():
    sender, recipient, device, message_id = rep(0x11, 16), rep(0x22, 16), rep(0x33, 16), rep(0x44, 16)
    conversation = conversation_id(sender, recipient)
    digest = list_digest((3, rep(0x55)), (4, rep(0x66)))
    content_key = bytes(range(32))
    header = (
        bytes([1, 1, 1, 0]) + conversation + u64(7) + message_id + sender + device + recipient + u32(3) + u32(4) + digest
    )
    body = proto((1, 1000), (2, sender), (3, device), (10, proto((1, "héllo".encode()))))
    header, ciphertext = seal(content_key, message_id, header, body)
    name = env_hash(header, ciphertext)
    return hexed({
        "conversation": conversation, "list_digest": digest, "commit": header[-32:], "header": header,
        "content": ciphertext, "env_hash": name, "wrap_payload": b"\1" + content_key + name,
    })


def padding():
    """From one body length to the next, the first of each padded length up to 20 000."""
    lengths, last = {}, None
    for body in range(20_000):
        if padded_len(body) != last:
            last = padded_len(body)
            lengths[str(body)] = last
    return lengths


def signed():
    """UIK, LSK, DSK, DIK secrets are 1, 2, 3, 4 repeated; user 5, device 6; a linked device has 7, 8 and id 9."""
    uik, lsk, dsk = ed25519_public(rep(1)), ed25519_public(rep(2)), ed25519_public(rep(3))
    user, device, dik = rep(5, 16), rep(6, 16), x25519_public(rep(4))
    now = 1_800_000_000_000

    def obj(secret, kind, body):
        return proto((1, body), (2, sign(secret, kind, body)))

    certificate = obj(rep(1), 10, proto((1, user), (2, uik), (3, 1), (4, lsk)))
    self_signature = sign(rep(3), 2, user + uik + device + dik)
    entry = proto((1, device), (2, dsk), (3, dik), (4, now), (5, self_signature))
    one = proto((1, user), (2, 1), (3, [bytes(32)]), (4, now), (5, certificate), (6, [entry]))

    linked, linked_dsk, linked_dik = rep(9, 16), ed25519_public(rep(7)), x25519_public(rep(8))
    self_signature = sign(rep(7), 2, user + uik + linked + linked_dik)
    co_signature = sign(rep(3), 3, user + uik + linked + linked_dsk + linked_dik + u32(2))
    linked_entry = proto(
        (1, linked), (2, linked_dsk), (3, linked_dik), (4, now), (5, self_signature), (6, co_signature), (7, device)
    )
    two = proto((1, user), (2, 2), (3, list_hash(one)), (4, now), (5, certificate), (6, [entry, linked_entry]))

    def prekey(kind, key, spk):
        named = [(7, 1), (8, list_hash(one))] if spk else []
        body = proto((1, user), (2, device), (3, 77), (4, now), (5, now + 60 * 86_400_000), (6, key), *named)
        return obj(rep(3), kind, body)

    auth = LBL + b"auth" + u32(13) + b"relay.example" + rep(0xAA)
    request = b"PUT /v1/prekeys " + sha256(b"{}") + rep(0xBB)
    deletion = LBL + b"delete" + u32(13) + b"relay.example" + user + rep(0xDD)
    return hexed({
        "list_1": obj(rep(2), 1, one), "list_hash_1": list_hash(one),
        "list_2": obj(rep(2), 1, two), "list_hash_2": list_hash(two),
        "spk": prekey(4, x25519_public(rep(0xCC)), True), "opk": prekey(5, x25519_public(rep(0xCC)), False),
        "auth": sign(rep(3), 8, auth), "request": sign(rep(3), 9, request),
        "deletion": sign(rep(1), 11, deletion),
    })


def people():
    """Safety number and recovery key."""
    one, other = (ed25519_public(rep(1)), rep(5, 16)), (ed25519_public(rep(2)), rep(6, 16))
    return {
        "safety_number": safety_number(one, other),
        "recovery_keys": {secret.hex(): recovery_text(secret) for secret in [rep(0, 20), rep(255, 20), bytes(range(20))]},
    }


def vault():
    """Keys are one byte repeated; the vault key is wrapped for the recovery key with fresh randomness elsewhere."""
    user, uik, vault_key = rep(5, 16), ed25519_public(rep(1)), rep(7)
    openers = {name: opener(kind, secret, user) for name, kind, secret in [
        ("recovery_key", 1, bytes(range(20))), ("password", 2, rep(9, 64)),
    ]}
    listed = [(kind, xwing_public(seed), psk) for kind, (seed, psk) in zip([1, 2], openers.values())]
    heads = [(rep(7, 16), 7, rep(7)), (rep(8, 16), 8, rep(8))]
    contents = vault_contents(rep(1), rep(2), 3, listed, [(1, rep(11), rep(12), heads), (2, rep(13), rep(14), [])])
    sealed = seal_vault(vault_key, user, 4, vault_bound(user, uik, 4, 2), contents)
    return hexed({
        "recovery_public_key": sha256(listed[0][1]), "recovery_psk": listed[0][2],
        "password_public_key": sha256(listed[1][1]), "password_psk": listed[1][2],
        "contents": contents, "sealed": sealed,
    })


def link():
    """Ephemeral secrets are 1 (new device) and 2 (old device) repeated."""
    channel, hello = rep(9, 16), rep(5, 16) + rep(6, 16) + rep(3) + rep(4) + x25519_public(rep(1))
    old = x25519_public(rep(2))
    from_old, from_new, digits = link_keys(channel, dh(rep(2), x25519_public(rep(1))), hello, old)
    return hexed({
        "hello": hello, "hello_hash": sha256(hello), "digits": digits,
        "from_old": link_message(from_old, 0, b"one") + link_message(from_old, 1, b"two"),
        "from_new": link_message(from_new, 0, b"three"),
    })


def signal():
    """SIG is 7 repeated, the session 5; the sender is user 0xA0 with device 0xA1."""
    sid, sender, nonce = rep(5, 8), rep(0xA0, 16) + rep(0xA1, 16), b"twelve bytes"
    key = hkdf(b"", rep(7), LBL + b"signal" + sender, 32)
    plain = u64(1_800_000_000_000) + bytes([1, 0, 0, 0, 0, 0, 0, 2])
    return hexed({"key": key, "sealed": sid + nonce + AESGCM(key).encrypt(nonce, plain, sid)})


def main():
    failed = False
    for compute in [pqxdh, content, padding, signed, people, vault, link, signal]:
        text = json.dumps(compute(), indent=2) + "\n"
        path = HERE / f"{compute.__name__}.json"
        if "--write" in sys.argv:
            path.write_text(text)
        elif path.read_text() != text:
            failed = True
            print(f"{path.name} differs")
    sys.exit(failed)


if __name__ == "__main__":
    main()
