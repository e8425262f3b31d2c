// The recorded lists of three people, and lists that somebody signs who has stolen a list-signing key.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ed25519 } from '@noble/curves/ed25519.js';
import { cat, hex, unhex } from '../src/bytes.js';
import { deviceOf, mayFollow, verifyChain, verifyList } from '../src/lists.js';
import { linkKeys, openSealed, readCode, readEntry, readGrant, readHello } from '../src/link.js';
import { verifyPrekey } from '../src/prekeys.js';
import { isSignedBy, kemPublic } from '../src/primitives.js';
import { decode } from '../src/protobuf.js';
import { LIST, PQLR, Signed, signedBytes, SPK } from '../src/signed.js';
import { encodeSigned } from './encode.js';
import { fill, flipped, refuses, spoilt, transcript, unhexAll } from './support.js';
import { coSigned, device, entry, list, LSK, prekey, UIK } from './write-list.js';

const account = transcript('account');
const encoded = unhexAll(account.lists);
const lists = verifyChain(encoded);

test('a device comes with a co-signature, another one goes, and the keys change with it', () => {
  const [first, second, third] = lists;
  assert.equal(lists.length, 3);
  assert.deepEqual(lists.map(({ devices }) => devices.length), [1, 2, 1]);
  const [phone, tablet] = second.devices;
  assert.deepEqual(tablet.coSigner, phone.device);
  assert.equal(deviceOf(first, tablet.device), undefined);
  assert.equal(deviceOf(third, phone.device), undefined);
  assert.deepEqual([first, second, third].map(({ lskVersion }) => lskVersion), [1, 1, 2]);
  assert.notDeepEqual(third.lsk, second.lsk);
  assert.deepEqual(third.uik, first.uik);
});

test('no list that was changed verifies', () => {
  for (const list of encoded) for (const [what, changed] of spoilt(list)) refuses(() => verifyList(changed), what);
});

test('no list is left out, exchanged or put in another place', () => {
  const [first, second, third] = encoded;
  refuses(() => verifyChain([first, third]), 'one left out');
  refuses(() => verifyChain([second, first]), 'back');
  refuses(() => verifyChain([first, first]), 'twice');
  refuses(() => verifyChain([first, unhex(account.contact_list)]), 'of another person');
  const [one, other] = [first, second].map((list) => decode(list, Signed));
  refuses(() => verifyList(encodeSigned({ ...one, signature: other.signature })), 'signature of another list');
});

// Who has LSK may sign any list: what else is in it is signed by UIK and by devices.
function signedWith(lskSeed, list, part, changed) {
  const { body } = decode(list, Signed);
  const at = Buffer.from(body).indexOf(Buffer.from(part));
  assert.ok(at >= 0 && part.length === changed.length);
  const forged = cat(body.subarray(0, at), changed, body.subarray(at + part.length));
  return encodeSigned({ body: forged, signature: ed25519.sign(signedBytes(LIST, forged), lskSeed) });
}

test('a stolen list-signing key does not sign for UIK and for devices', () => {
  const link = transcript('link');
  const code = readCode(link.code);
  const [hello, said] = [readHello(unhex(link.new[0]), code), unhexAll(link.old)];
  const keys = linkKeys({
    ...code, hello: unhex(link.new[0]), oldKey: said[0], secret: unhex(link.new_secret), theirKey: said[0],
  });
  const before = verifyList(unhex(link.list_before));
  const entry = readEntry(openSealed(keys.byNew, 0, unhex(link.new[1])), hello, before.uik);
  const { list: granted, keys: shared } = readGrant(openSealed(keys.byOld, 0, said[1]), entry, before);
  const seed = shared.listSigningKey;
  const [, second] = encoded;
  assert.deepEqual(granted.hash, lists[1].hash);
  const { devices: [phone, tablet] } = granted;
  const forge = (part, changed) => verifyList(signedWith(seed, second, part, changed));

  assert.deepEqual(forge(tablet.device, tablet.device).hash, granted.hash);
  for (const name of ['device', 'identityKey', 'signingKey', 'selfSignature']) {
    refuses(() => forge(tablet[name], flipped(tablet[name], 0)), `self statement: ${name}`);
  }
  refuses(() => forge(granted.uik, flipped(granted.uik, 0)), 'another UIK');
  refuses(() => forge(granted.lsk, ed25519.getPublicKey(fill(1))), 'another LSK');
  refuses(() => forge(granted.prevHash, fill(0)), 'no list before');
  const follows = (part, changed) => mayFollow(before, forge(part, changed));
  refuses(() => follows(tablet.coSignature, flipped(tablet.coSignature, 0)), 'co-statement');
  refuses(() => follows(granted.prevHash, fill(1)), 'another list before');
  // The co-signer is the phone: its id stands once in its own entry, and once as the co-signer's.
  const asCoSigner = cat(Uint8Array.of(0x3a, 16), phone.device);
  refuses(() => follows(asCoSigner, cat(Uint8Array.of(0x3a, 16), fill(9, 16))), 'co-signed by nobody');
});

test('a list that is signed but breaks a rule is refused', () => {
  const [one, two] = [device(10), device(20)];
  const [key, shared] = [fill(3), fill(4)];
  const first = verifyList(list());
  assert.equal(first.devices.length, 1);
  const alone = {
    'certificate of another user': { certifies: fill(6, 16) },
    'certificate not by UIK': { certifiedBy: LSK },
    'list not by LSK': { signedBy: UIK },
    'version 0': { version: 0, prevHash: fill(1) },
    'version 1 after another': { prevHash: fill(1) },
    'version 2 after none': { version: 2 },
    'no devices': { devices: [] },
    'eleven devices': { devices: Array.from({ length: 11 }, (_, at) => entry(device(10 + 2 * at))) },
    'an id twice': { devices: [entry(one), entry({ ...two, id: one.id })] },
    'a DSK twice': { devices: [entry(one), entry({ ...one, id: two.id, identityKey: two.identityKey })] },
    'a DIK twice': { devices: [entry(one), entry({ ...two, identityKey: one.identityKey })] },
    'a self statement for another user': { devices: [entry(one, { user: fill(6, 16) })] },
    'a self statement for another UIK': { devices: [entry(one, { uik: fill(6) })] },
    'a co-signature of nobody': { devices: [{ ...coSigned(one, two, 1), coSigner: undefined }] },
    'a co-signer without a signature': { devices: [{ ...coSigned(one, two, 1), coSignature: undefined }] },
    'backup keys of no backup': { backupKeyHash: key, bpskHash: shared },
    'a backup without its keys': { backupVersion: 1 },
    'a backup with half its keys': { backupVersion: 1, backupKeyHash: key },
    'a second vault at once': { vaultVersion: 2 },
    'a second backup at once': { backupVersion: 2, backupKeyHash: key, bpskHash: shared },
  };
  for (const [what, changes] of Object.entries(alone)) refuses(() => verifyList(list(changes)), what);

  const prev = verifyList(list({ backupVersion: 1, backupKeyHash: key, bpskHash: shared }));
  const next = (changes) => verifyList(list({
    version: 2, prevHash: prev.hash, backupVersion: 1, backupKeyHash: key, bpskHash: shared, ...changes,
  }));
  const both = (by, version, seed) => [entry(one), coSigned(two, by, version, seed)];
  const follows = {
    'the same again': {},
    'another device, vouched for': { devices: both(one, 2) },
    'another device, vouched for by nobody': { devices: [entry(one), entry(two)] },
    'another LSK': { lskSeed: fill(7), lskVersion: 2 },
    'another UIK': { uikSeed: fill(7), devices: [entry(one, { uik: ed25519.getPublicKey(fill(7)) })] },
    'a vault': { vaultVersion: 1 },
    'the next backup': { backupVersion: 2, backupKeyHash: fill(8), bpskHash: fill(9) },
  };
  for (const [what, changes] of Object.entries(follows)) assert.doesNotThrow(() => mayFollow(prev, next(changes)), what);
  const refused = {
    'of another user': { user: fill(6, 16), devices: [entry(one, { user: fill(6, 16) })] },
    'a version left out': { version: 3 },
    'another list before': { prevHash: fill(1) },
    'another LSK of the same version': { lskSeed: fill(7) },
    'LSK of a version before': { lskVersion: 0, lskSeed: fill(7) },
    'a vault left out': { vaultVersion: 2 },
    'a backup left out': { backupVersion: 3 },
    'another BSK of the same backup': { backupKeyHash: fill(8) },
    'another BPSK of the same backup': { bpskHash: fill(8) },
    'no backup any more': { backupVersion: 0, backupKeyHash: undefined, bpskHash: undefined },
    'vouched for by a device that was not there': { devices: both(device(30), 2) },
    'vouched for by itself': { devices: both(two, 2) },
    'vouched for in another list': { devices: both(one, 3) },
    'vouched for with another key': { devices: both(one, 2, fill(7)) },
  };
  for (const [what, changes] of Object.entries(refused)) refuses(() => mayFollow(prev, next(changes)), what);
});

test('a prekey that is signed but breaks a rule is refused', () => {
  const of = verifyList(list());
  const [x25519Key, kemKey] = [device(30).identityKey, kemPublic(fill(1, 64))];
  const check = (type, changes) => verifyPrekey(type, prekey(type, changes), of, fill(10, 16), 1n);
  const spk = (changes) => check(SPK, { key: x25519Key, listHash: of.hash, ...changes });
  assert.equal(spk().id, 1);
  assert.equal(check(PQLR, { key: kemKey }).id, 1);
  refuses(() => spk({ id: 0 }), 'id 0');
  refuses(() => spk({ expires: 1 }), 'expired');
  refuses(() => spk({ user: fill(6, 16) }), 'of another user');
  refuses(() => spk({ of: { ...device(10), id: fill(6, 16) } }), 'of another device');
  refuses(() => spk({ signedBy: fill(6) }), 'signed by another');
  refuses(() => spk({ listVersion: 2 }), 'knew a newer list');
  refuses(() => spk({ listHash: fill(6) }), 'knew another list');
  refuses(() => spk({ key: fill(6, 31) }), 'a key that is too short');
  refuses(() => spk({ key: kemKey }), 'a key of another kind');
  refuses(() => check(PQLR, { key: x25519Key }), 'a key of another kind');
  refuses(() => check(PQLR, { key: fill(0xff, 1184) }), 'a key whose coefficients are too large');
});

test('signatures are verified strictly', () => {
  const seed = fill(1);
  const [key, message] = [ed25519.getPublicKey(seed), fill(2)];
  const signature = ed25519.sign(message, seed);
  assert.ok(isSignedBy(key, message, signature));
  // S and S + L are the same to who does not look.
  const order = ed25519.Point.Fn.ORDER;
  const s = BigInt(`0x${hex(signature.slice(32).reverse())}`) + order;
  const large = cat(signature.slice(0, 32), unhex(s.toString(16).padStart(64, '0')).reverse());
  assert.ok(!isSignedBy(key, message, large));
  // With a key and R of small order, S = 0 fits any message.
  const identity = cat(Uint8Array.of(1), fill(0, 31));
  assert.ok(!isSignedBy(identity, message, cat(identity, fill(0))));
  assert.ok(!isSignedBy(key, message, cat(identity, fill(0))));
});
