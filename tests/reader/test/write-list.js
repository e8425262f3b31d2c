// Lists, signed with keys that are at hand, for what is wrong with them otherwise.
import { ed25519 } from '@noble/curves/ed25519.js';
import { cat, u32 } from '../src/bytes.js';
import { ed25519Public, x25519Public } from '../src/primitives.js';
import { CO, LIST, LSK_CERTIFICATE, SELF, signedBytes } from '../src/signed.js';
import { bytes, encodeSigned, number } from './encode.js';
import { fill } from './support.js';

export const sign = (type, body, seed) => ed25519.sign(signedBytes(type, body), seed);
const signed = (type, body, seed) => encodeSigned({ body, signature: sign(type, body, seed) });

export const USER = fill(5, 16), UIK = fill(1), LSK = fill(2);

// A device whose seeds are `n` and one more.
export const device = (n) => ({
  id: fill(n, 16), seed: fill(n), signingKey: ed25519Public(fill(n)), identityKey: x25519Public(fill(n + 1)),
});

export function entry(of, { user = USER, uik = ed25519Public(UIK) } = {}) {
  const statement = cat(user, uik, of.id, of.identityKey);
  return { ...of, selfSignature: sign(SELF, statement, of.seed) };
}

// `by` vouches for the device in the list of this version.
export function coSigned(of, by, version, seed = by.seed) {
  const statement = cat(USER, ed25519Public(UIK), of.id, of.signingKey, of.identityKey, u32(version));
  return { ...entry(of), coSignature: sign(CO, statement, seed), coSigner: by.id };
}

export const encodeEntry = (of) => cat(
  bytes(1, of.id), bytes(2, of.signingKey), bytes(3, of.identityKey), number(4, 1), bytes(5, of.selfSignature),
  bytes(6, of.coSignature), bytes(7, of.coSigner),
);

// A prekey of the first device.
export function prekey(type, {
  user = USER, of = device(10), id = 1, expires = 2, key, listVersion = 1, listHash, signedBy = of.seed,
}) {
  const body = cat(
    bytes(1, user), bytes(2, of.id), number(3, id), number(4, 1), number(5, expires), bytes(6, key), number(7, listVersion),
    bytes(8, listHash),
  );
  return signed(type, body, signedBy);
}

export function list({
  user = USER, uikSeed = UIK, lskSeed = LSK, lskVersion = 1, certifies = user, certifiedBy = uikSeed, signedBy = lskSeed,
  version = 1, prevHash = fill(0), devices = [entry(device(10))], vaultVersion = 0, backupVersion = 0, backupKeyHash, bpskHash,
} = {}) {
  const certified = cat(
    bytes(1, certifies), bytes(2, ed25519Public(uikSeed)), number(3, lskVersion), bytes(4, ed25519Public(lskSeed)),
  );
  const body = cat(
    bytes(1, user), number(2, version), bytes(3, prevHash), number(4, 1),
    bytes(5, signed(LSK_CERTIFICATE, certified, certifiedBy)), ...devices.map((one) => bytes(6, encodeEntry(one))),
    number(7, vaultVersion), number(8, backupVersion), bytes(9, backupKeyHash), bytes(10, bpskHash),
  );
  return signed(LIST, body, signedBy);
}
