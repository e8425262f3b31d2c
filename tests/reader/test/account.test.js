// A recorded account: its lists, its vaults, and what the keys in them open.
import assert from 'node:assert/strict';
import test from 'node:test';
import { batchHash, openBatch, openChain } from '../src/backup.js';
import { equal, hex, unhex } from '../src/bytes.js';
import { openContent, Row } from '../src/content.js';
import { envHash } from '../src/hashes.js';
import { parseHeader } from '../src/header.js';
import { verifyChain, verifyList } from '../src/lists.js';
import { decode } from '../src/protobuf.js';
import { readRecoveryKey } from '../src/recovery.js';
import { readSafetyQr, safetyNumber, safetyQr } from '../src/safety.js';
import { opener, openVault, PASSWORD, RECOVERY_KEY } from '../src/vault.js';
import { fill, refuses, spoilt, transcript, unhexAll } from './support.js';

const recorded = transcript('account');
const user = unhex(recorded.user);
const lists = verifyChain(unhexAll(recorded.lists));
const vaults = unhexAll(recorded.vaults);
const byKey = opener(RECOVERY_KEY, readRecoveryKey(recorded.recovery_key), user);
const byPassword = opener(PASSWORD, unhex(recorded.export_key), user);

// The newest list that names a vault.
const listOf = (version) => lists.findLast((list) => list.vaultVersion === version);
const newest = () => openVault(vaults.at(-1), lists.at(-1), byKey);

test('both vaults open with the recovery key and with the password', () => {
  assert.equal(vaults.length, 2);
  vaults.forEach((vault, at) => {
    const [one, other] = [byKey, byPassword].map((secret) => openVault(vault, listOf(at + 1), secret));
    assert.deepEqual(one, other);
    assert.equal(one.backups.length, at + 1);
  });
  const typed = recorded.recovery_key.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l');
  assert.deepEqual(readRecoveryKey(typed), readRecoveryKey(recorded.recovery_key));
});

test('no vault stands in for another, and none opens that was changed', () => {
  const [first, second] = vaults;
  refuses(() => openVault(first, listOf(2), byKey), 'the vault of an older list');
  refuses(() => openVault(second, listOf(1), byKey), 'the vault of a newer list');
  refuses(() => openVault(first, { ...listOf(1), user: fill(1, 16) }, byKey), 'of another user');
  refuses(() => openVault(first, { ...listOf(1), lsk: fill(1) }, byKey), 'another LSK');
  refuses(() => openVault(first, { ...listOf(1), backupKeyHash: fill(1) }, byKey), 'other backup keys');
  refuses(() => openVault(first, { ...listOf(1), bpskHash: fill(1) }, byKey), 'another BPSK');
  refuses(() => openVault(first, listOf(1), opener(RECOVERY_KEY, fill(1, 20), user)), 'another recovery key');
  refuses(() => openVault(first, listOf(1), opener(PASSWORD, fill(1, 64), user)), 'another password');
  const ofAnotherUser = opener(RECOVERY_KEY, readRecoveryKey(recorded.recovery_key), fill(1, 16));
  refuses(() => openVault(first, listOf(1), ofAnotherUser), 'the recovery key for another user');
  refuses(() => openVault(first, listOf(1), { ...byKey, psk: fill(1) }), 'another PSK');
  refuses(() => openVault(first, listOf(1), { ...byKey, kind: PASSWORD }), 'a key for a password');
  // Each byte belongs to one of the openers or to both: that one, at least, does not open it any more.
  for (const [what, changed] of spoilt(first, 61)) {
    let refused = 0;
    for (const secret of [byKey, byPassword]) {
      try {
        openVault(changed, listOf(1), secret);
      } catch {
        refused += 1;
      }
    }
    assert.ok(refused > 0, what);
  }
});

test('a recovery key with one wrong character is none', () => {
  const written = recorded.recovery_key;
  for (let at = 0; at < written.length; at++) {
    if (written[at] === '-') continue;
    refuses(() => readRecoveryKey(`${written.slice(0, at)}${written[at] === '7' ? '8' : '7'}${written.slice(at + 1)}`), `${at}`);
    refuses(() => readRecoveryKey(written.slice(0, at) + written.slice(at + 1)), 'one character less');
  }
});

// The ends of all chains of a version: of those that are closed the vault says them, of the newest the relay.
function endsOf(keys) {
  if (keys.version < newest().backups.at(-1).version) return keys.closed;
  return recorded.ends.map((end) => ({ device: unhex(end.device), number: BigInt(end.number), hash: unhex(end.hash) }));
}

// A device's batches of a version, as the relay gives them: the last one first.
const batchesOf = (version, device) => recorded.batches
  .filter((batch) => batch.version === version && batch.device === hex(device))
  .map((batch) => unhex(batch.batch))
  .reverse();

test('every chain of the backup opens from its end, and with its keys the rows', () => {
  const all = new Map();
  let [chains, batches] = [0, 0];
  for (const keys of newest().backups) {
    for (const end of endsOf(keys)) {
      const chain = batchesOf(keys.version, end.device);
      for (const entry of openChain(chain, user, keys, end)) all.set(`${hex(entry.conversation)} ${entry.seq}`, entry);
      [chains, batches] = [chains + 1, batches + chain.length];
    }
  }
  assert.equal(batches, recorded.batches.length);
  assert.ok(chains >= 3 && batches > chains, 'two versions, and a chain of more than one batch');

  let opened = 0;
  for (const { conversation, row: encoded, text } of recorded.rows) {
    const row = decode(unhex(encoded), Row);
    const header = parseHeader(row.header);
    const entry = all.get(`${conversation} ${row.seq}`);
    if (!entry || row.content === undefined) {
      assert.equal(text, null, `no key for seq ${row.seq}`);
      continue;
    }
    assert.deepEqual(envHash(header.bytes, row.content), entry.envHash);
    assert.equal(openContent(header, row.content, entry.contentKey).text?.text, text ?? undefined);
    opened += 1;
    for (const [what, changed] of spoilt(row.content, 97)) {
      refuses(() => openContent(header, changed, entry.contentKey), `content: ${what}`);
    }
    for (const [what, changed] of spoilt(entry.contentKey, 5)) {
      refuses(() => openContent(header, row.content, changed), `key: ${what}`);
    }
  }
  assert.ok(opened > 10, `${opened}`);
});

test('no batch is left out, exchanged, moved or changed', () => {
  const [closed, open] = newest().backups;
  const end = closed.closed.find(({ device }) => batchesOf(closed.version, device).length > 1);
  const [last, first] = batchesOf(closed.version, end.device);
  const refused = (what, batches, keys = closed, of = end, whose = user) =>
    refuses(() => openChain(batches, whose, keys, of), what);
  refused('the rest withheld', [last]);
  refused('the last withheld', [first]);
  refused('nothing', []);
  refused('another order', [first, last]);
  refused('one twice', [last, last, first]);
  refused('one more', [last, first, first]);
  refused("another version's keys", [last, first], open);
  refused('another BPSK', [last, first], { ...closed, bpsk: fill(1) });
  refused('another BSK', [last, first], { ...closed, bsk: fill(1) });
  refused('another version', [last, first], { ...closed, version: 2 });
  refused('another person', [last, first], closed, end, fill(1, 16));
  refused('another number', [last, first], closed, { ...end, number: end.number + 1n });
  refused('another hash', [last, first], closed, { ...end, hash: fill(1) });
  const another = closed.closed.find(({ device }) => !equal(device, end.device));
  refused("another device's end", [last, first], closed, another);
  refused("another device's chain", batchesOf(closed.version, another.device), closed, end);
  // The relay may give another last batch of the newest version, with its own hash: what is not sealed by a device does not open.
  for (const [what, changed] of spoilt(last, 331)) {
    refused(what, [changed, first]);
    refused(`${what}, and its hash`, [changed, first], closed, { ...end, hash: batchHash(changed) });
  }
  assert.equal(openBatch(first, user, closed).entries.length, 512);
});

test('the safety number is the same for both, and another for another key', () => {
  const contact = verifyList(unhex(recorded.contact_list));
  const [me, them] = [lists.at(-1), contact];
  assert.equal(safetyNumber(me, them), recorded.safety_number);
  assert.equal(safetyNumber(them, me), recorded.safety_number);
  assert.equal(safetyQr(recorded.safety_number), recorded.safety_qr);
  assert.equal(readSafetyQr(recorded.safety_qr), recorded.safety_number);
  assert.notEqual(safetyNumber({ ...me, uik: them.uik }, them), recorded.safety_number);
  assert.notEqual(safetyNumber({ ...me, user: them.user }, them), recorded.safety_number);
  for (const text of [`${recorded.safety_qr}0`, recorded.safety_qr.slice(0, -1), recorded.safety_qr.replace('SN1', 'LN1')]) {
    refuses(() => readSafetyQr(text), text);
  }
});
