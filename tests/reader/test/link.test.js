// A recorded link, as both of its devices see it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { cat, equal, hex, unhex } from '../src/bytes.js';
import { linkKeys, openSealed, readCode, readEntry, readGrant, readHello, seal, writeCode } from '../src/link.js';
import { verifyList } from '../src/lists.js';
import { H, x25519Public } from '../src/primitives.js';
import { bytes, number } from './encode.js';
import { fill, flipped, refuses, spoilt, transcript, unhexAll } from './support.js';
import { coSigned, device, entry as unvouched, list, LSK } from './write-list.js';

const recorded = transcript('link');
const [oldKey, grant] = unhexAll(recorded.old);
const [hello, entry, ready] = unhexAll(recorded.new);
const code = readCode(recorded.code);
const before = verifyList(unhex(recorded.list_before));

// What each side has: its own secret, and what it heard.
const atOld = (heard = hello) =>
  linkKeys({ ...code, hello: heard, oldKey, secret: unhex(recorded.old_secret), theirKey: readHello(heard, code).ephemeralKey });
const atNew = (heard = oldKey) =>
  linkKeys({ ...code, hello, oldKey: heard, secret: unhex(recorded.new_secret), theirKey: heard });

test('the code is read, and written again', () => {
  assert.equal(code.relay, recorded.relay);
  assert.equal(hex(code.channel), recorded.channel);
  assert.equal(writeCode(code), recorded.code);
  assert.deepEqual(readCode(` ${recorded.code.toLowerCase().replace(/.{20}/g, '$&\n')}`), code);
});

test('both devices come to the same keys and digits, and read each other', () => {
  assert.deepEqual(atOld(), atNew());
  assert.equal(atOld().digits, recorded.digits);
  assert.equal(hex(x25519Public(unhex(recorded.old_secret))), hex(oldKey));
  const { byOld, byNew } = atOld();
  const listed = readEntry(openSealed(byNew, 0, entry), readHello(hello, code), before.uik);
  const { list, keys } = readGrant(openSealed(byOld, 0, grant), listed, before);
  assert.equal(list.version, before.version + 1);
  assert.equal(keys.backupVersion, 1);
  assert.equal(openSealed(byNew, 1, ready).length, 0);
  // Nothing random is in the sealing.
  assert.deepEqual(seal(byNew, 0, openSealed(byNew, 0, entry)), entry);
  assert.deepEqual(seal(byOld, 0, openSealed(byOld, 0, grant)), grant);
  assert.deepEqual(seal(byNew, 1, new Uint8Array()), ready);
});

test('what is changed, exchanged or repeated is refused', () => {
  const { byOld, byNew } = atOld();
  for (const [what, changed] of spoilt(hello)) refuses(() => atOld(changed), `hello: ${what}`);
  for (const [what, changed] of spoilt(entry)) refuses(() => openSealed(byNew, 0, changed), `entry: ${what}`);
  for (const [what, changed] of spoilt(grant, 7)) refuses(() => openSealed(byOld, 0, changed), `grant: ${what}`);
  for (const [what, changed] of spoilt(ready)) refuses(() => openSealed(byNew, 1, changed), `ready: ${what}`);
  refuses(() => openSealed(byNew, 1, entry), 'out of order');
  refuses(() => openSealed(byNew, 0, ready), 'one left out');
  refuses(() => openSealed(byOld, 0, entry), 'in the other direction');
  refuses(() => atNew(fill(0)), 'a key of small order');
  for (let at = 0; at < 32; at++) {
    const other = atNew(flipped(oldKey, at));
    refuses(() => openSealed(other.byOld, 0, grant), `another key of the old device: ${at}`);
  }
});

test('in between, somebody else comes to other digits', () => {
  const middle = x25519Public(fill(1));
  const seen = atNew(middle);
  assert.notEqual(seen.digits, recorded.digits);
  assert.ok(!equal(seen.byOld, atOld().byOld));
});

test('what fits the link but not the account is refused', () => {
  const { byOld, byNew } = atOld();
  const [plainEntry, plainGrant] = [openSealed(byNew, 0, entry), openSealed(byOld, 0, grant)];
  const said = readHello(hello, code);
  const listed = readEntry(plainEntry, said, before.uik);
  refuses(() => readEntry(plainEntry, said, fill(1)), 'signed for another UIK');
  refuses(() => readEntry(plainEntry, { ...said, device: fill(1, 16) }, before.uik), 'another device');
  refuses(() => readGrant(plainGrant, { ...listed, device: fill(1, 16) }, before), 'names another device');
  refuses(() => readGrant(plainGrant, { ...listed, signingKey: fill(1) }, before), 'names another key');
  refuses(() => readGrant(plainGrant, listed, { ...before, uik: fill(1) }), 'another account');
  refuses(() => readGrant(plainGrant, listed, { ...before, hash: fill(1) }), 'follows another list');
  const { keys } = readGrant(plainGrant, listed, before);
  for (const name of ['listSigningKey', 'backupPublicKey', 'backupSharedKey']) {
    const at = Buffer.from(plainGrant).indexOf(Buffer.from(keys[name]));
    refuses(() => readGrant(flipped(plainGrant, at + 1), listed, before), `another ${name}`);
  }
});

test('a grant that fits the link is refused where its list does not vouch for the new device, or names other keys', () => {
  const [old, fresh] = [device(10), device(20)];
  const [key, bpsk] = [fill(3, 1216), fill(4)];
  const backup = { backupVersion: 1, backupKeyHash: H(key), bpskHash: H(bpsk) };
  const prev = verifyList(list(backup));
  const keysOf = (changes) => {
    const keys = { lsk: LSK, version: 1, key, bpsk, ...changes };
    return cat(bytes(1, keys.lsk), number(2, keys.version), bytes(3, keys.key), bytes(4, keys.bpsk));
  };
  const grantOf = ({ devices = [unvouched(old), coSigned(fresh, old, 2)], keys = keysOf({}) }) =>
    cat(bytes(1, list({ version: 2, prevHash: prev.hash, devices, ...backup })), bytes(2, keys ?? undefined));
  const mine = { device: fresh.id, signingKey: fresh.signingKey, identityKey: fresh.identityKey };
  assert.equal(readGrant(grantOf({}), mine, prev).list.version, 2);
  const lies = {
    'no co-signature': { devices: [unvouched(old), unvouched(fresh)] },
    'not named': { devices: [unvouched(old)] },
    'another LSK': { keys: keysOf({ lsk: fill(7) }) },
    'another backup version': { keys: keysOf({ version: 2 }) },
    'no backup': { keys: keysOf({ version: 0, key: undefined, bpsk: undefined }) },
    'another backup key': { keys: keysOf({ key: fill(7, 1216) }) },
    'another BPSK': { keys: keysOf({ bpsk: fill(7) }) },
    'no keys': { keys: null },
  };
  for (const [what, lie] of Object.entries(lies)) refuses(() => readGrant(grantOf(lie), mine, prev), what);
});

test('a code with a wrong character is none, or another', () => {
  for (let at = 0; at < recorded.code.indexOf(recorded.relay); at++) {
    const other = `${recorded.code.slice(0, at)}${recorded.code[at] === 'A' ? 'B' : 'A'}${recorded.code.slice(at + 1)}`;
    refuses(() => {
      const read = readCode(other);
      // Of the channel nobody else knows: its messages are elsewhere.
      readHello(hello, equal(read.channel, code.channel) ? read : { helloHash: fill(0) });
    }, `character ${at}`);
  }
  // 48 bytes leave one bit of the last digit over.
  const [, digits] = recorded.code.match(/:([A-Z2-7]{77}):/);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const second = digits.slice(0, -1) + alphabet[alphabet.indexOf(digits.at(-1)) ^ 1];
  refuses(() => readCode(recorded.code.replace(digits, second)), 'a second way to write it');
  for (const text of ['', recorded.code.slice(0, -1 - recorded.relay.length), recorded.code.replace('LN1', 'SN1')]) {
    refuses(() => readCode(text), text);
  }
});
