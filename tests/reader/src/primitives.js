// The primitives, each from a library. What a library throws becomes a refusal here, so that nothing else has to catch.
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { hmac as hmacWith } from '@noble/hashes/hmac.js';
import { hkdf as hkdfWith } from '@noble/hashes/hkdf.js';
import { cbc, gcm } from '@noble/ciphers/aes.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { cat, equal, refuse } from './bytes.js';

export const H = sha256;
export { sha512 };

export const hmac = (key, message) => hmacWith(sha256, key, message);

// HKDF (RFC 5869) with SHA-256; what comes out is cut into pieces of these lengths. `undefined` is no salt.
export function hkdf(salt, secret, info, ...lengths) {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let rest = hkdfWith(sha256, secret, salt, info, total);
  return lengths.map((length) => {
    const piece = rest.subarray(0, length);
    rest = rest.subarray(length);
    return piece;
  });
}

export function orRefuse(why, work) {
  try {
    return work();
  } catch {
    return refuse(why);
  }
}

// AES-256-GCM; the ciphertext ends with the tag of 16 bytes.
export const openGcm = (key, nonce, sealed, aad, why) =>
  orRefuse(why, () => gcm(key, nonce, aad).decrypt(sealed));

export const sealGcm = (key, nonce, plain, aad) => gcm(key, nonce, aad).encrypt(plain);

// AES-256-CBC with PKCS#7 padding.
export const openCbc = (key, iv, sealed) =>
  orRefuse('ratchet: padding', () => cbc(key, iv).decrypt(sealed));

export const sealCbc = (key, iv, plain) => cbc(key, iv).encrypt(plain);

export const x25519Public = (secret) => x25519.getPublicKey(secret);

// The library itself refuses a result that is all zero.
export const dh = (secret, publicKey) =>
  orRefuse('dh: all zero', () => x25519.getSharedSecret(secret, publicKey));

export const ed25519Public = (seed) => ed25519.getPublicKey(seed);

// Strictly: no point of small order, no second encoding of a point or of S, and R compared as bytes (without cofactor).
export function isSignedBy(key, message, signature) {
  const { Point } = ed25519;
  if (key.length !== 32 || signature.length !== 64) return false;
  const [encodedR, encodedS] = [signature.subarray(0, 32), signature.subarray(32)];
  const littleEndian = (bytes) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
  try {
    const [a, r] = [Point.fromBytes(key), Point.fromBytes(encodedR)];
    const s = littleEndian(encodedS);
    if (a.isSmallOrder() || r.isSmallOrder() || s >= Point.Fn.ORDER) return false;
    const k = littleEndian(sha512(cat(encodedR, key, message))) % Point.Fn.ORDER;
    const expected = Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k));
    return equal(expected.toBytes(), encodedR);
  } catch {
    return false;
  }
}

// ML-KEM-768 (FIPS 203). The secret is the seed d ‖ z; with `m` 32 bytes of randomness, encapsulation is what it was.
export const kemPublic = (seed) => ml_kem768.keygen(seed).publicKey;

export const kemOpen = (seed, ciphertext) =>
  orRefuse('ml-kem: ciphertext', () =>
    ml_kem768.decapsulate(ciphertext, ml_kem768.keygen(seed).secretKey));

export function kemSeal(publicKey, m) {
  const { cipherText, sharedSecret } = orRefuse('ml-kem: key', () => ml_kem768.encapsulate(publicKey, m));
  return { ciphertext: cipherText, shared: sharedSecret };
}

// The input check of section 7.2: every coefficient of the key is smaller than q = 3329.
export function isKemKey(publicKey) {
  if (publicKey.length !== 1184) return false;
  for (let at = 0; at < 1152; at += 3) {
    const [a, b, c] = publicKey.subarray(at, at + 3);
    if ((a | ((b & 0x0f) << 8)) >= 3329 || ((b >> 4) | (c << 4)) >= 3329) return false;
  }
  return true;
}
