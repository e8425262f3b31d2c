// docs/protocol.md, "Link": what both devices do with the six messages of a link.
import { cat, equal, Fields, lbl, number, refuse, u64 } from './bytes.js';
import { SharedKeys } from './content.js';
import { deviceOf, ListedDevice, mayFollow, verifyList, verifySelf } from './lists.js';
import { dh, ed25519Public, H, hkdf, openGcm, sealGcm } from './primitives.js';
import { bytes, decode, message } from './protobuf.js';

const LinkGrant = { list: [1, bytes], keys: [2, message(SharedKeys)] };

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const NONE = new Uint8Array();

export function writeCode({ channel, helloHash, relay }) {
  const bits = [...cat(channel, helloHash)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const digits = bits.match(/.{1,5}/g).map((five) => BASE32[parseInt(five.padEnd(5, '0'), 2)]);
  return `SORDINO:LN1:${digits.join('')}:${relay}`;
}

export function readCode(text) {
  const typed = text.replace(/\s/g, '');
  const [, written, relay] = /^SORDINO:LN1:([A-Z2-7]{77}):(.+)$/i.exec(typed) ?? refuse('link: not its code');
  const digits = written.toUpperCase();
  const bits = [...digits].map((digit) => BASE32.indexOf(digit).toString(2).padStart(5, '0')).join('');
  const decoded = new Uint8Array(bits.slice(0, 384).match(/.{8}/g).map((eight) => parseInt(eight, 2)));
  const code = { channel: decoded.subarray(0, 16), helloHash: decoded.subarray(16), relay };
  if (!writeCode(code).includes(`:${digits}:`)) refuse('link: a second way to write its code');
  return code;
}

export function readHello(hello, code) {
  if (!equal(H(hello), code.helloHash)) refuse('link: hello is not that of the code');
  const fields = new Fields(hello, 'hello');
  const parts = {
    user: fields.take(16), device: fields.take(16), signingKey: fields.take(32), identityKey: fields.take(32),
    ephemeralKey: fields.take(32),
  };
  fields.end();
  return parts;
}

// Both sides compute the same: one with the secret of e_O and e_N's key, the other with that of e_N and e_O's key.
export function linkKeys({ channel, hello, oldKey, secret, theirKey }) {
  const info = cat(lbl('link'), H(cat(hello, oldKey)));
  const [byOld, byNew, digits] = hkdf(channel, dh(secret, theirKey), info, 32, 32, 4);
  return { byOld, byNew, digits: (number(digits) % 1_000_000n).toString().padStart(6, '0') };
}

const nonce = (count) => cat(new Uint8Array(4), u64(count));
export const openSealed = (key, count, sealed) => openGcm(key, nonce(count), sealed, NONE, 'link: seal');
export const seal = (key, count, plain) => sealGcm(key, nonce(count), plain, NONE);

// The old device, of new/1: the entry that the list will have.
export function readEntry(plain, hello, uik) {
  const entry = decode(plain, ListedDevice);
  for (const name of ['device', 'signingKey', 'identityKey']) {
    if (!equal(entry[name], hello[name])) refuse('link: the entry is not that of the hello');
  }
  verifySelf(hello.user, uik, entry);
  return entry;
}

// The new device, of old/1: the list that names it, and the keys that the list names.
export function readGrant(plain, entry, prev) {
  const { list: encoded, keys } = decode(plain, LinkGrant);
  const list = verifyList(encoded);
  mayFollow(prev, list);
  if (!equal(list.uik, prev.uik)) refuse('link: another account');
  const listed = deviceOf(list, entry.device) ?? refuse('link: the list does not name the new device');
  for (const name of ['signingKey', 'identityKey']) {
    if (!equal(listed[name], entry[name])) refuse('link: the list names other keys');
  }
  if (listed.coSignature.length === 0) refuse('link: no co-signature');
  checkSharedKeys(keys ?? refuse('link: no keys'), list);
  return { list, keys };
}

export function checkSharedKeys(keys, list) {
  if (!equal(ed25519Public(keys.listSigningKey), list.lsk)) refuse('shared keys: another LSK');
  if (keys.backupVersion !== list.backupVersion) refuse('shared keys: another backup version');
  if (keys.backupVersion === 0) return;
  if (!equal(H(keys.backupPublicKey), list.backupKeyHash)) refuse('shared keys: another backup key');
  if (!equal(H(keys.backupSharedKey), list.bpskHash)) refuse('shared keys: another BPSK');
}
