"""The protocol's derivations and encodings in Python, from docs/protocol.md and without any of the project's code."""

import hashlib
import hmac
import os

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
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


# ---- Safety number, recovery key -------------------------------------------------------------------------------------


def safety_number(one, other):
    """Each: (UIK, user)."""

    def half(uik, user):
        digest = hashlib.sha512(b"\0\1" + uik + user).digest()
        for _ in range(5199):
            digest = hashlib.sha512(digest + uik).digest()
        return "".join(f"{int.from_bytes(digest[at : at + 5], 'big') % 100_000:05}" for at in range(0, 30, 5))

    return "".join(sorted([half(*one), half(*other)]))


def recovery_text(secret):
    bits = int.from_bytes(secret, "big") << 20 | int.from_bytes(sha256(LBL, b"rk", secret)[:3], "big") >> 4
    chars = ["0123456789ABCDEFGHJKMNPQRSTVWXYZ"[bits >> 5 * at & 31] for at in reversed(range(36))]
    return "-".join("".join(chars[at : at + 4]) for at in range(0, 36, 4))


# ---- HPKE (RFC 9180), mode_psk: X-Wing, HKDF-SHA256, AES-256-GCM ------------------------------------------------------

HPKE_SUITE = b"HPKE" + bytes.fromhex("647a00010002")
XWING_LABEL = bytes.fromhex("5c2e2f2f5e5c")


def xwing_secrets(seed):
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), expanded[64:]


def xwing_public(seed):
    pq, x25519 = xwing_secrets(seed)
    return pq.public_key().public_bytes_raw() + x25519_public(x25519)


def xwing_combine(pq_shared, x25519_shared, x25519_ciphertext, x25519_key):
    return hashlib.sha3_256(pq_shared + x25519_shared + x25519_ciphertext + x25519_key + XWING_LABEL).digest()


def xwing_decapsulate(seed, ciphertext):
    pq, x25519 = xwing_secrets(seed)
    return xwing_combine(
        pq.decapsulate(ciphertext[:1088]), dh(x25519, ciphertext[1088:]), ciphertext[1088:], x25519_public(x25519)
    )


def xwing_encapsulate(public):
    """Shared secret and ciphertext."""
    pq_shared, pq_ciphertext = MLKEM768PublicKey.from_public_bytes(public[:1184]).encapsulate()
    ephemeral = os.urandom(32)
    ciphertext = x25519_public(ephemeral)
    shared = xwing_combine(pq_shared, dh(ephemeral, public[1184:]), ciphertext, public[1184:])
    return shared, pq_ciphertext + ciphertext


def hpke_psk_key(shared, psk, psk_id, info):
    """Key and nonce of the first, and only, message."""

    def extract(salt, label, ikm):
        return mac(salt or bytes(32), b"HPKE-v1" + HPKE_SUITE + label + ikm)

    def expand(prk, label, info, length):
        labelled, out, block = length.to_bytes(2, "big") + b"HPKE-v1" + HPKE_SUITE + label + info, b"", b""
        for count in range(1, 3):
            block = mac(prk, block + labelled + bytes([count]))
            out += block
        return out[:length]

    context = b"\1" + extract(b"", b"psk_id_hash", psk_id) + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", psk)
    return expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)


# ---- Vault -----------------------------------------------------------------------------------------------------------


def opener(kind, secret, user):
    """X-Wing seed and PSK."""
    okm = hkdf(b"", secret, LBL + b"opener" + bytes([kind]) + user, 64)
    return okm[:32], okm[32:]


def vault_bound(user, uik, version, backup_version):
    return user + uik + u32(version) + u32(backup_version)


def vault_keys(vault_key, user, version):
    okm = hkdf(b"", vault_key, LBL + b"vault" + user + u32(version), 76)
    return okm[:32], okm[32:44], okm[44:]


def seal_vault(vault_key, user, version, bound, contents):
    key, nonce, commit = vault_keys(vault_key, user, version)
    return commit + AESGCM(key).encrypt(nonce, pad(contents), bound)


def unseal_vault(vault_key, user, version, bound, sealed):
    key, nonce, commit = vault_keys(vault_key, user, version)
    assert sealed[:32] == commit
    padded = AESGCM(key).decrypt(nonce, sealed[32:], bound)
    return padded[4 : 4 + int.from_bytes(padded[:4], "big")]


def wrap_vault_key(kind, public, psk, user, version, bound, vault_key):
    """Encapsulated key and sealed vault key."""
    info = LBL + b"vault key" + bytes([kind]) + user + u32(version)
    shared, encapsulated = xwing_encapsulate(public)
    key, nonce = hpke_psk_key(shared, psk, info, info)
    return encapsulated, AESGCM(key).encrypt(nonce, vault_key, bound)


def unwrap_vault_key(kind, opener_keys, user, version, bound, encapsulated, sealed):
    seed, psk = opener_keys
    info = LBL + b"vault key" + bytes([kind]) + user + u32(version)
    key, nonce = hpke_psk_key(xwing_decapsulate(seed, encapsulated), psk, info, info)
    return AESGCM(key).decrypt(nonce, sealed, bound)


def vault_contents(uik, lsk, lsk_version, openers, backup_keys):
    """Openers: (kind, public key, PSK); backup keys: (version, BSK, BPSK, [(device, number, hash)])."""
    out = b"\1" + uik + lsk + u32(lsk_version) + bytes([len(openers)])
    out += b"".join(bytes([kind]) + public + psk for kind, public, psk in openers)
    out += len(backup_keys).to_bytes(2, "big")
    for version, bsk, bpsk, heads in backup_keys:
        out += u32(version) + bsk + bpsk + bytes([len(heads)])
        out += b"".join(device + u64(number) + digest for device, number, digest in heads)
    return out


# ---- Link, backup ----------------------------------------------------------------------------------------------------


def link_keys(channel, shared, hello, old_ephemeral):
    """Keys of what the old and of what the new device says, and the digits that both show."""
    okm = hkdf(channel, shared, LBL + b"link" + sha256(hello, old_ephemeral), 68)
    return okm[:32], okm[32:64], f"{int.from_bytes(okm[64:], 'big') % 1_000_000:06}"


def link_message(key, count, message):
    return AESGCM(key).encrypt(bytes(4) + u64(count), message, None)


def batch_hash(batch):
    return sha256(LBL, b"batch", batch)


def seal_batch(public, bpsk, user, version, place, entries):
    """Place: (device, number, hash of the batch before); entries: [(conversation, [(seq, env_hash, CK)])]."""
    clear = b"\1" + place[0] + u64(place[1]) + place[2]
    plain = b"".join(
        conversation + len(keys).to_bytes(2, "big") + b"".join(u64(seq) + env + ck for seq, env, ck in keys)
        for conversation, keys in entries
    )
    info = LBL + b"backup" + user + u32(version)
    shared, encapsulated = xwing_encapsulate(public)
    key, nonce = hpke_psk_key(shared, bpsk, info, info)
    return clear + encapsulated + AESGCM(key).encrypt(nonce, plain, clear)
