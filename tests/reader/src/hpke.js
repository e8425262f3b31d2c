// HPKE (RFC 9180), mode_psk, one message a context: X-Wing (0x647a), HKDF-SHA256 (0x0001), AES-256-GCM (0x0002).
import { extract, expand } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { ml_kem768_x25519 as xwing } from '@noble/post-quantum/hybrid.js';
import { ascii, cat, u16, u8 } from './bytes.js';
import { openGcm, orRefuse } from './primitives.js';

const MODE_PSK = 1;
const SUITE = cat(ascii('HPKE'), u16(0x647a), u16(0x0001), u16(0x0002));
const VERSION = ascii('HPKE-v1');
const NONE = new Uint8Array();

export const ENCAPSULATED = 1120;

export const xwingPublic = (seed) => xwing.keygen(seed).publicKey;

const labeledExtract = (salt, label, secret) => extract(sha256, cat(VERSION, SUITE, ascii(label), secret), salt);

const labeledExpand = (secret, label, info, length) =>
  expand(sha256, secret, cat(u16(length), VERSION, SUITE, ascii(label), info), length);

// Key and nonce of the first message, the only one.
export function schedule(shared, { psk, pskId, info }) {
  const context = cat(
    u8(MODE_PSK), labeledExtract(NONE, 'psk_id_hash', pskId), labeledExtract(NONE, 'info_hash', info),
  );
  const secret = labeledExtract(shared, 'secret', psk);
  return { key: labeledExpand(secret, 'key', context, 32), nonce: labeledExpand(secret, 'base_nonce', context, 12) };
}

export function hpkeOpen({ seed, encapsulated, sealed, aad, ...named }, what) {
  // An implicit rejection: where X-Wing's ciphertext is wrong, the tag below is.
  const shared = orRefuse(`${what}: encapsulated key`, () => xwing.decapsulate(encapsulated, xwing.keygen(seed).secretKey));
  const { key, nonce } = schedule(shared, named);
  return openGcm(key, nonce, sealed, aad, `${what}: seal`);
}
