"""The protocol's derivations and encodings in Python, from docs/protocol.md and without any of the project's code."""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LBL = b"sordino/1/"


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def hkdf(salt, ikm, info, length):
    prk = mac(salt, ikm)
    out, block = b"", b""
    for count in range(1, 256):
        block = mac(prk, block + info + bytes([count]))
        out += block
        if len(out) >= length:
            return out[:length]


def u32(n):
    return n.to_bytes(4, "big")


def u64(n):
    return n.to_bytes(8, "big")


def x25519_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def dh(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def ed25519_public(secret):
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def sign(secret, kind, body):
    return Ed25519PrivateKey.from_private_bytes(secret).sign(LBL + b"sig" + bytes([kind]) + u32(len(body)) + body)


def conversation_id(a, b):
    return sha256(LBL, b"conv", min(a, b), max(a, b))[:16]


def list_hash(body):
    return sha256(LBL, b"list", body)


def list_digest(sender, recipient):
    return sha256(LBL, b"lists", u32(sender[0]), sender[1], u32(recipient[0]), recipient[1])[:16]


def env_hash(header, content):
    return sha256(LBL, b"env", header, sha256(content))


# ---- Protobuf --------------------------------------------------------------------------------------------------------


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def read_varint(data, at):
    n = shift = 0
    while True:
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return n, at


def proto(*fields):
    """(number, value) in order; numbers of 0 and empty bytes are left out, as proto3 does. A list repeats."""
    out = b""
    for number, value in fields:
        for item in value if isinstance(value, list) else [value] if value else []:
            if isinstance(item, int):
                out += varint(number << 3) + varint(item)
            else:
                out += varint(number << 3 | 2) + varint(len(item)) + item
    return out


def read_proto(data):
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            fields[tag >> 3], at = read_varint(data, at)
        else:
            length, at = read_varint(data, at)
            fields[tag >> 3] = data[at : at + length]
            at += length
    return fields


# ---- Content ---------------------------------------------------------------------------------------------------------


def padded_len(body):
    length = body + 4
    if length <= 256:
        return 256
    exponent = length.bit_length() - 1
    kept = (exponent.bit_length() - 1) + 1
    step = 1 << (exponent - kept)
    return -(-length // step) * step


def pad(body):
    return (u32(len(body)) + body).ljust(padded_len(len(body)), b"\0")


def content_keys(content_key, client_message_id, header_without_commit):
    okm = hkdf(client_message_id, content_key, LBL + b"content" + header_without_commit, 76)
    return okm[:32], okm[32:44], okm[44:]


def seal(content_key, client_message_id, header_without_commit, content):
    key, nonce, commit = content_keys(content_key, client_message_id, header_without_commit)
    header = header_without_commit + commit
    return header, AESGCM(key).encrypt(nonce, pad(content), header)


def open_content(content_key, header, ciphertext):
    key, nonce, commit = content_keys(content_key, header[28:44], header[:-32])
    assert commit == header[-32:]
    padded = AESGCM(key).decrypt(nonce, ciphertext, header)
    length = int.from_bytes(padded[:4], "big")
    assert padded == pad(padded[4 : 4 + length])
    return padded[4 : 4 + length]


# ---- Set-up ----------------------------------------------------------------------------------------------------------


def party(user, device, uik, dik, dsk):
    return user + device + uik + dik + dsk


def transcript_hash(born, a, b, spk, opk, pq, ephemeral, ratchet, ciphertext_hash):
    """spk: (id, key); opk: the same or None; pq: (id, kind, H(key))."""
    opk_id, opk_key = opk or (0, bytes(32))
    return sha256(
        LBL, b"th", b"\1", u64(born), a, b,
        u32(spk[0]), spk[1], u32(opk_id), opk_key,
        u32(pq[0]), bytes([pq[1]]), pq[2],
        ephemeral, ratchet, ciphertext_hash,
    )


def root_and_signal(dhs, shared, th):
    okm = hkdf(bytes(32), b"\xff" * 32 + b"".join(dhs) + shared, LBL + b"pqxdh X25519 SHA-256 ML-KEM-768" + th, 64)
    return okm[:32], okm[32:]


def ratchet_step(root, shared):
    okm = hkdf(root, shared, b"OLM_RATCHET", 64)
    return okm[:32], okm[32:]
