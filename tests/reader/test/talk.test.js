// A recorded talk: every row of it reads as it was written, and nothing else does.
import assert from 'node:assert/strict';
import test from 'node:test';
import { equal, hex } from '../src/bytes.js';
import { Row, WrapPayload } from '../src/content.js';
import { Device } from '../src/device.js';
import { parseHeader } from '../src/header.js';
import { verifyBundle } from '../src/prekeys.js';
import { decode } from '../src/protobuf.js';
import { encodeRow, replaceIn } from './encode.js';
import { fill, refuses, spoilt, transcript } from './support.js';
import { Talk } from './talk.js';

const recorded = transcript('talk');

test('every row reads as it was written', () => {
  const talk = new Talk(recorded);
  const count = { read: 0, own: 0, handshakes: 0, lastResort: 0, alarms: [] };
  const bodies = new Set();
  talk.play({ afterRow: ({ step }, { header, content, alarms, answered, wrap }) => {
    assert.deepEqual(alarms, step.alarms);
    count.alarms.push(...alarms);
    if (step.content === null) {
      assert.equal(content, undefined);
      count.own += 1;
      return;
    }
    assert.equal(hex(content.encoded), step.content);
    assert.equal(content.text?.text, step.text ?? undefined);
    assert.deepEqual(content.erasure?.seqs, header.erases.length > 0 ? header.erases : undefined);
    for (const name of Object.keys(content)) if (content[name]) bodies.add(name);
    count.read += 1;
    if (answered) count.handshakes += 1;
    if (answered && wrap.handshake.pqKind === 2 && wrap.handshake.opkId === 0) count.lastResort += 1;
  } });
  assert.ok(count.read > 30 && count.own > 20 && count.handshakes >= 6, JSON.stringify(count));
  for (const name of [
    'after', 'timerS', 'text', 'sessionReply', 'readReceipt', 'deviceHello', 'historyKeys', 'edit', 'reaction', 'timer', 'erasure',
  ]) assert.ok(bodies.has(name), `${name} in no row`);
  assert.ok(count.lastResort > 0, 'a first message without one-time prekeys');
  assert.deepEqual(count.alarms, ['removed', 'removed', 'gap']);
  assert.ok(talk.rewritten > count.read / 2, `${talk.rewritten} of ${count.read} written again`);
});

// What a relay, or whoever else is in between, may do to a row. Each gives [what, row] or [what, row, conversation].
const CHANGES = {
  *'header changed'(row) {
    for (const [what, header] of spoilt(row.header, row.step)) yield [`header: ${what}`, { ...row, header }];
  },
  *'content changed'(row) {
    for (const [what, content] of spoilt(row.content, 8 * row.step)) yield [`content: ${what}`, { ...row, content }];
  },
  // Of a session that is known its handshake is not looked at.
  *'wrap changed'(row) {
    const { isKnown, parts } = row;
    if (!isKnown) {
      for (const [what, wrap] of spoilt(row.wrap, 8 * row.step)) yield [`wrap: ${what}`, { ...row, wrap }];
    }
    for (const part of ['session', 'message']) {
      for (const [what, changed] of spoilt(parts[part], row.step)) {
        yield [`wrap: ${part}: ${what}`, { ...row, wrap: replaceIn(row.wrap, parts[part], changed) }];
      }
    }
  },
  *'parts of another row'(row, earlier) {
    for (const part of ['header', 'content', 'wrap']) {
      if (earlier && !equal(earlier[part], row[part])) yield [`${part} of another row`, { ...row, [part]: earlier[part] }];
    }
    if (earlier) yield ['header and content of another row', { ...row, header: earlier.header, content: earlier.content }];
    if (earlier) yield ['another row again', earlier];
  },
  *'another conversation'(row) {
    yield ['another conversation', row, fill(7, 16)];
  },
};

test('nothing else reads: rows changed, exchanged, repeated', () => {
  const talk = new Talk(recorded);
  const earlier = new Map(); // of each device and sender
  const tried = Object.fromEntries(Object.keys(CHANGES).map((name) => [name, 0]));
  talk.play({ onRow: ({ device, conversation, row: encoded, step }) => {
    if (step.content === null) return;
    const row = decode(encoded, Row);
    const header = parseHeader(row.header);
    const parts = decode(row.wrap, WrapPayload);
    const key = `${step.to} ${hex(header.senderDevice)}`;
    const sender = { user: header.sender, device: header.senderDevice };
    // Every byte of a few rows, some of the others.
    const thoroughly = (tried['header changed'] < 400);
    const spoiling = { ...row, parts, isKnown: device.session(sender, parts.session), step: thoroughly ? 1 : 29 };
    for (const [name, change] of Object.entries(CHANGES)) {
      for (const [what, changed, elsewhere] of change(spoiling, earlier.get(key))) {
        refuses(() => device.open(elsewhere ?? conversation, encodeRow(changed)), what);
        tried[name] += 1;
      }
    }
    earlier.set(key, row);
  } });
  for (const [name, times] of Object.entries(tried)) assert.ok(times > 20, `${name}: ${times}`);
});

test('nobody else reads: other devices, other keys', () => {
  const talk = new Talk(recorded);
  let tried = 0;
  talk.play({ onRow: ({ device, conversation, row, step }) => {
    if (step.content === null) return;
    const { sender, senderDevice } = parseHeader(decode(row, Row).header);
    for (const { device: id } of recorded.devices) {
      const isThere = talk.lists.get(recorded.devices.find((one) => one.device === id).user)
        .some((list) => list.devices.some((listed) => hex(listed.device) === id));
      if (id === step.to || id === hex(senderDevice) || !isThere) continue;
      refuses(() => talk.device(id).open(conversation, row), 'another device');
      tried += 1;
    }
    const parts = decode(decode(row, Row).wrap, WrapPayload);
    if (device.session({ user: sender, device: senderDevice }, parts.session)) return;
    const wrong = {
      'another DIK': { dikSecret: fill(3) },
      'another SPK': { prekeys: { ...device.prekeys, spk: everyId(fill(4)) } },
      'another PQ seed': { prekeys: { ...device.prekeys, pqopk: everyId(fill(5, 64)), pqlr: everyId(fill(6, 64)) } },
      'no prekeys': { prekeys: { spk: new Map(), opk: new Map(), pqopk: new Map(), pqlr: new Map() } },
      'another name': { me: { ...device.me, uik: fill(8) } },
    };
    for (const [what, other] of Object.entries(wrong)) {
      refuses(() => new Device({ ...device, ...other }).open(conversation, row), what);
      tried += 1;
    }
  } });
  assert.ok(tried > 80, `${tried}`);
});

test('a row that was read is not read again', () => {
  const talk = new Talk(recorded);
  talk.play({ afterRow: ({ device, conversation, row, step }) => {
    if (step.content !== null) refuses(() => device.open(conversation, row), 'again');
  } });
});

test('prekeys are their device\'s, of their kind, and not too old', () => {
  const talk = new Talk(recorded);
  let bundles = 0;
  talk.play({ onBundle: (bundle, list, device, nowMs) => {
    const refused = (what, other, ofList = list, now = nowMs) =>
      refuses(() => verifyBundle({ ...bundle, ...other }, ofList, device, now), what);
    refused('in sixty days', {}, list, nowMs + 60n * 86_400_000n);
    refused('an SPK as an OPK', { opk: bundle.spk });
    refused('the other kind of ML-KEM key', { pqKind: 3 - bundle.pqKind });
    if (list.version === 1) refused('another list of this version', {}, { ...list, hash: fill(1) });
    refused('a list older than the SPK knew', {}, { ...list, version: 0 });
    refused('of another user', {}, { ...list, user: fill(1, 16) });
    refuses(() => verifyBundle(bundle, list, fill(1, 16), nowMs), 'of a device that is not listed');
    if (bundle.opk) refused('an OPK as the SPK', { spk: bundle.opk });
    for (const name of ['spk', 'opk', 'pq']) {
      for (const [what, changed] of spoilt(bundle[name] ?? bundle.spk, 37)) refused(`${name}: ${what}`, { [name]: changed });
    }
    bundles += 1;
  } });
  assert.ok(bundles > 3, `${bundles}`);
});

const everyId = (secret) => ({ get: () => secret, delete() {} });
