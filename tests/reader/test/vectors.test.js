// The vectors that another implementation computed (`core-crypto/tests/vectors`), and what no transcript shows.
import assert from 'node:assert/strict';
import test from 'node:test';
import { batchHash, openBatch } from '../src/backup.js';
import { ascii, cat, hex, unhex } from '../src/bytes.js';
import { derive, openContent } from '../src/content.js';
import { conversationId, envHash } from '../src/hashes.js';
import { parseHeader } from '../src/header.js';
import { linkKeys, seal } from '../src/link.js';
import { verifyChain } from '../src/lists.js';
import { pad, paddedLength, unpad } from '../src/padding.js';
import { answer, begin } from '../src/pqxdh.js';
import { verifyPrekey } from '../src/prekeys.js';
import { dh, ed25519Public, isKemKey, kemPublic, x25519Public } from '../src/primitives.js';
import { decode, packed, u32, u64 } from '../src/protobuf.js';
import { readRecoveryKey, writeRecoveryKey } from '../src/recovery.js';
import { safetyNumber } from '../src/safety.js';
import { OPK, SPK } from '../src/signed.js';
import { opener, PASSWORD, RECOVERY_KEY } from '../src/vault.js';
import { fill, flipped, refuses, vector } from './support.js';

test('content.json', () => {
  const expected = vector('content');
  const header = parseHeader(unhex(expected.header));
  const contentKey = Uint8Array.from({ length: 32 }, (_, at) => at);
  assert.equal(hex(conversationId(header.sender, header.recipient)), expected.conversation);
  assert.equal(hex(derive(contentKey, header).commit), expected.commit);
  assert.equal(hex(envHash(header.bytes, unhex(expected.content))), expected.env_hash);
  assert.equal(openContent(header, unhex(expected.content), contentKey).text.text, 'héllo');
  refuses(() => parseHeader(cat(header.bytes.slice(0, 20), fill(0, 8), header.bytes.slice(28))), 'counter 0');
});

test('padding.json', () => {
  const steps = Object.entries(vector('padding')).map(([from, length]) => [Number(from), length]);
  steps.forEach(([from, length], at) => {
    const until = steps[at + 1]?.[0] ?? from + 1;
    for (let body = from; body < until; body++) assert.equal(paddedLength(body), length, `${body}`);
  });
  const padded = pad(ascii('text'));
  assert.equal(hex(unpad(padded)), hex(ascii('text')));
  refuses(() => unpad(flipped(padded, 200)), 'not zero');
  refuses(() => unpad(padded.slice(0, 255)), 'too short');
  refuses(() => unpad(cat(padded, fill(0, 16))), 'too long');
  refuses(() => unpad(flipped(padded, 0)), 'longer than it is');
  refuses(() => unpad(fill(0, 3)), 'no length');
});

test('people.json', () => {
  const expected = vector('people');
  const [one, other] = [[1, 5], [2, 6]].map(([key, user]) => ({ uik: ed25519Public(fill(key)), user: fill(user, 16) }));
  assert.equal(safetyNumber(one, other), expected.safety_number);
  for (const [r, written] of Object.entries(expected.recovery_keys)) {
    assert.equal(writeRecoveryKey(unhex(r)), written);
    assert.equal(hex(readRecoveryKey(written)), r);
  }
});

test('signed.json', () => {
  const expected = vector('signed');
  const [first, second] = verifyChain([unhex(expected.list_1), unhex(expected.list_2)]);
  assert.equal(hex(first.hash), expected.list_hash_1);
  assert.equal(hex(second.hash), expected.list_hash_2);
  const device = fill(6, 16);
  for (const [type, name] of [[SPK, 'spk'], [OPK, 'opk']]) {
    assert.equal(verifyPrekey(type, unhex(expected[name]), second, device, 0n).id, 77);
  }
});

test('vault.json and sealed.json', () => {
  const [expected, sealed] = [vector('vault'), vector('sealed')];
  const user = fill(5, 16);
  const byKey = opener(RECOVERY_KEY, Uint8Array.from({ length: 20 }, (_, at) => at), user);
  assert.equal(hex(byKey.psk), expected.recovery_psk);
  const byPassword = opener(PASSWORD, fill(9, 64), user);
  assert.equal(hex(byPassword.psk), expected.password_psk);
  const batch = unhex(sealed.batch);
  assert.equal(hex(batchHash(batch)), sealed.batch_hash);
  const { number, entries } = openBatch(batch, user, { version: 2, bsk: fill(1), bpsk: fill(2) });
  assert.equal(number, 3n);
  assert.deepEqual(entries.map(({ seq }) => seq), [1n, 2n]);
});

test('link.json', () => {
  const expected = vector('link');
  const [oldKey, newKey] = [x25519Public(fill(2)), x25519Public(fill(1))];
  const of = { channel: fill(9, 16), hello: unhex(expected.hello), oldKey };
  const keys = linkKeys({ ...of, secret: fill(2), theirKey: newKey });
  assert.deepEqual(linkKeys({ ...of, secret: fill(1), theirKey: oldKey }), keys);
  assert.equal(keys.digits, expected.digits);
  const said = [seal(keys.byOld, 0, ascii('one')), seal(keys.byOld, 1, ascii('two'))];
  assert.equal(hex(cat(...said)), expected.from_old);
  assert.equal(hex(seal(keys.byNew, 0, ascii('three'))), expected.from_new);
});

// The transcripts show B's side of a set-up, and A's ratchet. This is A's side of the set-up.
test('who begins a session and who answers it come to the same', () => {
  const party = (n) => ({ user: fill(n, 16), device: fill(n + 1, 16), uik: fill(n + 2), dsk: fill(n + 3), dik: x25519Public(fill(n)) });
  const [a, b] = [party(10), party(20)];
  const seed = fill(30, 64);
  for (const opk of [{ id: 2, secret: fill(31) }, undefined]) {
    const bundle = {
      spk: { id: 1, key: x25519Public(fill(32)) },
      opk: opk && { id: opk.id, key: x25519Public(opk.secret) },
      pq: { id: 3, key: kemPublic(seed), kind: opk ? 1 : 2 },
    };
    const drawn = { ephemeral: fill(33), ratchet: fill(34), encapsulation: fill(35) };
    const begun = begin({ born: 7n, bundle, a, b, dikSecret: fill(10), drawn });
    const answered = answer({
      handshake: begun.handshake, ratchetKey: x25519Public(drawn.ratchet), a, b, dikSecret: fill(20),
      secrets: { spk: { id: 1, secret: fill(32) }, opk, pq: { id: 3, secret: seed, key: kemPublic(seed) } },
    });
    for (const name of ['th', 'rootKey', 'signalKey']) assert.equal(hex(answered[name]), hex(begun[name]));
    const { encoded } = begun.session.encrypt(ascii('first'));
    assert.equal(hex(answered.session.decrypt(encoded).plain), hex(ascii('first')));
  }
});

test('keys that contribute nothing, and numbers that do not fit, are refused', () => {
  // Of small order: 0, 1 and the two of order 8, as RFC 7748 users know them.
  for (const key of [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  ]) refuses(() => dh(fill(1), unhex(key)), key);
  assert.ok(isKemKey(kemPublic(fill(1, 64))));
  assert.ok(!isKemKey(fill(0xff, 1184)));
  const schema = { value: [1, u32] };
  assert.equal(decode(unhex('08ffffffff0f'), schema).value, 0xffffffff);
  assert.equal(decode(unhex('0881808080f001'), schema).value, 1);
  refuses(() => decode(unhex('08ffffffffffffffffff02'), schema), 'more than 64 bits');
  refuses(() => decode(unhex('08010801'), schema), 'twice');
  assert.deepEqual(decode(unhex('0a03960102'), { all: [1, packed(u64)] }).all, [150n, 2n]);
  refuses(() => decode(unhex('0a0196'), { all: [1, packed(u64)] }), 'a number cut off');
  refuses(() => decode(unhex('0b'), schema), 'a group');
  refuses(() => decode(unhex('0a05'), schema), 'cut off');
  refuses(() => decode(unhex('0a00'), schema), 'another wire type');
  refuses(() => decode(unhex('0001'), schema), 'field 0');
});
