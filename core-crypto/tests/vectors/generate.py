#!/usr/bin/env python3
"""Computes the frozen vectors of this folder without any of the project's code.

Needs `cryptography`. Prints nothing when every file holds what it computes; with --write, writes the files.
"""

import hashlib
import hmac
import json
import pathlib
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).parent
LBL = b"sordino/1/"


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(salt, ikm, info, length):
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    out, block = b"", b""
    for count in range(1, 256):
        block = hmac.new(prk, block + info + bytes([count]), hashlib.sha256).digest()
        out += block
        if len(out) >= length:
            return out[:length]


def public(n):
    return X25519PrivateKey.from_private_bytes(bytes([n]) * 32).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def dh(n, key):
    return X25519PrivateKey.from_private_bytes(bytes([n]) * 32).exchange(X25519PublicKey.from_public_bytes(key))


def pqxdh():
    def party(n, dik):
        return bytes([n]) * 16 + bytes([n + 1]) * 16 + bytes([n + 2]) * 32 + public(dik) + bytes([n + 3]) * 32

    born = bytes([1, 2, 3, 4, 5, 6, 7, 8])
    vectors = {}
    for name, one_time, kind in [("with_one_time", True, 1), ("without_one_time", False, 2)]:
        opk = (12).to_bytes(4, "big") + public(4) if one_time else bytes(36)
        th = sha256(
            LBL, b"th", b"\1", born, party(0xA0, 1), party(0xB0, 2),
            (11).to_bytes(4, "big"), public(3), opk,
            (13).to_bytes(4, "big"), bytes([kind]), sha256(b"pq key"),
            public(5), public(6), sha256(b"ciphertext"),
        )
        dhs = [dh(1, public(3)), dh(5, public(2)), dh(5, public(3))] + ([dh(5, public(4))] if one_time else [])
        ikm = b"\xff" * 32 + b"".join(dhs) + bytes([7]) * 32
        okm = hkdf(bytes(32), ikm, LBL + b"pqxdh X25519 SHA-256 ML-KEM-768" + th, 64)
        first = hkdf(okm[:32], dh(6, public(3)), b"OLM_RATCHET", 64)
        vectors[name] = {
            "transcript": th.hex(),
            "sid": th[:8].hex(),
            "root": okm[:32].hex(),
            "signal_key": okm[32:].hex(),
            "root_key": first[:32].hex(),
            "chain_key": first[32:].hex(),
        }
    vectors["inputs"] = json.loads((HERE / "pqxdh.json").read_text())["inputs"]
    return vectors


def main():
    failed = False
    for name, compute in [("pqxdh.json", pqxdh)]:
        text = json.dumps(compute(), indent=2) + "\n"
        path = HERE / name
        if "--write" in sys.argv:
            path.write_text(text)
        elif path.read_text() != text:
            failed = True
            print(f"{name} differs")
    sys.exit(failed)


if __name__ == "__main__":
    main()
