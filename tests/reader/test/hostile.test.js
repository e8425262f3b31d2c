// What somebody sends who has every key that they should have, and lies: a contact, a removed device, who has stolen a vault.
import assert from 'node:assert/strict';
import test from 'node:test';
import { batchHash, openBatch, openChain } from '../src/backup.js';
import { cat, hex, u16, u32, u8 } from '../src/bytes.js';
import { Device } from '../src/device.js';
import { xwingPublic } from '../src/hpke.js';
import { pad } from '../src/padding.js';
import { answer, begin } from '../src/pqxdh.js';
import { ed25519Public, H, kemPublic, x25519Public } from '../src/primitives.js';
import { Session } from '../src/ratchet.js';
import { opener, openVault, PASSWORD, RECOVERY_KEY } from '../src/vault.js';
import { bytes } from './encode.js';
import { fill, flipped, refuses } from './support.js';
import { batch, handshakeOf, inALongerForm, list, vault, write } from './write.js';

const party = (n) => ({ user: fill(n, 16), device: fill(n + 1, 16), uik: fill(n + 2), dsk: fill(n + 3), dik: x25519Public(fill(n)) });
const [a, b, c] = [party(10), party(20), party(30)];

const seed = fill(40, 64);

function begun(kind = 2) {
  const drawn = { ephemeral: fill(42), ratchet: fill(43), encapsulation: fill(44) };
  const bundle = { spk: { id: 1, key: x25519Public(fill(41)) }, pq: { id: 2, key: kemPublic(seed), kind } };
  return begin({ born: 1n, bundle, a, b, dikSecret: fill(10), drawn });
}

function newReader(prekeys) {
  const lists = new Map([a, b, c].map((one) => [hex(one.user), [list(one)]]));
  const none = { spk: new Map(), opk: new Map(), pqlr: new Map(), pqopk: new Map() };
  return new Device({ me: b, dikSecret: fill(20), prekeys: { ...none, ...prekeys }, lists });
}

// Two who have a session, and what the one reads with.
function met() {
  const { handshake, sid, session } = begun();
  const secrets = { spk: { id: 1, secret: fill(41) }, pq: { id: 2, secret: seed, key: kemPublic(seed) } };
  const answered = answer({ handshake, ratchetKey: x25519Public(fill(43)), a, b, dikSecret: fill(20), secrets });
  const reader = newReader();
  reader.addSession(a, sid, answered.session);
  return { reader, session: { sid, ratchet: session } };
}

test('an honest message opens, one that lies does not', () => {
  const { reader, session } = met();
  const { row, conversation, next } = write(session, a, b, 1);
  assert.equal(reader.open(conversation, row).content.text.text, 'hello');
  const lies = {
    'another version': ({ header }) => { header.version = 2; },
    'another suite': ({ header }) => { header.suite = 2; },
    'no such class': ({ header }) => { header.class = 4; },
    'seqs to erase in a message': ({ header }) => { header.erases = [1]; },
    'nothing to erase': ({ header }) => { header.class = 3; },
    'erases seq 0': ({ header }) => Object.assign(header, { class: 3, erases: [0] }),
    'erases too many': ({ header }) => Object.assign(header, { class: 3, erases: Array(17).fill(1) }),
    'counter 0': ({ header }) => { header.counter = 0; },
    'a counter that comes again': ({ header }) => { header.counter = 1; },
    'a counter that no store keeps': ({ header }) => { header.counter = (1n << 62n) + 1n; },
    'another conversation': ({ header }) => { header.conversation = fill(1, 16); },
    'the conversation with somebody else': ({ header }) => { header.recipient = c.user; },
    'a device that is not listed': ({ header }) => { header.senderDevice = fill(1, 16); },
    'a list that there is not': ({ header }) => { header.senderVersion = 2; },
    'a list of the recipient that there is not': ({ header }) => { header.recipientVersion = 2; },
    'a content of another user': ({ content }) => { content.sender = c.user; },
    'a content of another device': ({ content }) => { content.senderDevice = c.device; },
    'after a row that comes later': ({ content }) => { content.after = { seq: 3, envHash: fill(1) }; },
    'after itself': ({ content }) => { content.after = { seq: 2, envHash: fill(1) }; },
    'after row 0': ({ content }) => { content.after = { seq: 0, envHash: fill(1) }; },
    'after a row without a hash': ({ content }) => { content.after = { seq: 1, envHash: fill(1, 31) }; },
    'a text that is none': ({ content }) => { content.text = fill(0xff, 4); },
    'another commit': (draft) => { draft.commit = (commit) => flipped(commit, 0); },
    'no padding': (draft) => { draft.padded = (body) => body; },
    'other padding': (draft) => { draft.padded = (body) => flipped(pad(body), 255); },
    'too much padding': (draft) => { draft.padded = (body) => cat(pad(body), fill(0, 16)); },
    'another payload': (draft) => { draft.payload = (key, hash) => cat(u8(2), key, hash); },
    'a longer payload': (draft) => { draft.payload = (key, hash) => cat(u8(1), key, hash, u8(0)); },
    'another env_hash': (draft) => { draft.payload = (key, hash) => cat(u8(1), key, flipped(hash, 0)); },
    'another content key': (draft) => { draft.payload = (key, hash) => cat(u8(1), flipped(key, 0), hash); },
  };
  for (const [what, lie] of Object.entries(lies)) {
    const { reader: fresh, session: again } = met();
    const first = write(again, a, b, 1);
    fresh.open(first.conversation, first.row);
    const lied = write(first.next, a, b, 2, lie);
    refuses(() => fresh.open(lied.conversation, lied.row), what);
  }
  const second = write(next, a, b, 2);
  assert.equal(reader.open(second.conversation, second.row).content.text.text, 'hello');
});

test('what is no lie but no good sign either is told', () => {
  const signs = {
    'other lists': ({ header }) => { header.listDigest = fill(1, 16); },
    gap: ({ header }) => { header.counter = 3; },
    'views differ': ({ content }) => { content.after = { seq: 1, envHash: fill(1) }; },
  };
  for (const [sign, lie] of Object.entries(signs)) {
    const { reader, session } = met();
    const first = write(session, a, b, 1);
    reader.open(first.conversation, first.row);
    const second = write(first.next, a, b, 2, lie);
    assert.deepEqual(reader.open(second.conversation, second.row).alarms, [sign]);
  }
});

test('who is in a conversation cannot write in another one', () => {
  const { reader, session } = met();
  // Of the session with a, in the conversation of c, as if c had written.
  const lied = write(session, c, b, 1);
  refuses(() => reader.open(lied.conversation, lied.row), 'in the name of another');
  // Genuine, but for somebody else's eyes.
  const elsewhere = write(session, a, c, 1);
  refuses(() => reader.open(elsewhere.conversation, elsewhere.row), 'to somebody else');
});

test('a session is set up by the handshake that its id is made of', () => {
  const prekeys = () => ({ spk: new Map([[1, fill(41)]]), pqlr: new Map([[2, seed]]) });
  const first = (kind, changes = {}, sid = begun(kind).sid) => {
    const { handshake, session } = begun(kind);
    const beside = handshakeOf({ ...handshake, ...changes });
    return write({ sid, ratchet: session }, a, b, 1, (draft) => {
      draft.wrap = (id, message) => cat(bytes(1, id), bytes(2, beside), bytes(3, message));
    });
  };
  const opens = ({ conversation, row }, reader = newReader(prekeys())) => reader.open(conversation, row);
  assert.equal(opens(first()).content.text.text, 'hello');
  refuses(() => opens(first(3)), 'a kind of prekey that there is not');
  refuses(() => opens(first(1)), 'a one-time prekey that there is not');
  for (const [name, value] of [['born', 2n], ['spkId', 2], ['opkId', 1], ['pqId', 1], ['ephemeralKey', a.dik], ['ciphertext', fill(0, 1088)]]) {
    refuses(() => opens(first(2, { [name]: value })), name);
  }
  refuses(() => opens(first(2, { ciphertext: fill(0, 1087) })), 'a ciphertext that is none');
  refuses(() => opens(first(2, {}, fill(1, 8))), 'another id');
  // It is of the device with these keys, not of its id.
  const { reader, session } = met();
  reader.lists.set(hex(a.user), [list({ ...a, dik: c.dik })]);
  const { conversation, row } = write(session, a, b, 1);
  refuses(() => reader.open(conversation, row), 'a session with other keys than the list has');
});

test('a chain jumps at most 2 000, keeps 40 keys of what it jumped over, and turns in turn', () => {
  const { reader, session } = met();
  const { session: theirs } = reader.session(a, session.sid);
  let mine = session.ratchet;
  const said = [];
  for (let at = 0; at <= 2001; at++) {
    const { encoded, session: next } = mine.encrypt(u16(at));
    said.push(encoded);
    mine = next;
  }
  refuses(() => theirs.decrypt(said[2001]), 'a jump of 2 001');
  const { session: far } = theirs.decrypt(said[2000]);
  assert.equal(hex(far.decrypt(said[1960]).plain), hex(u16(1960)));
  refuses(() => far.decrypt(said[1959]), 'a key that is gone');
  refuses(() => far.decrypt(said[2000]), 'again');
  refuses(() => far.decrypt(said[1960]) && far.decrypt(said[1960]).session.decrypt(said[1960]), 'a kept one again');
  refuses(() => theirs.decrypt(inALongerForm(session.ratchet, u8(1))), 'a second way to write the same');
  // Who has both roots can step again before it is answered. It may not.
  const { session: answering } = theirs.decrypt(said[0]);
  const again = Session.initiator(session.ratchet.root, fill(60), x25519Public(fill(41)));
  refuses(() => answering.decrypt(again.encrypt(u8(1)).encoded), 'a new key out of turn');
  const { session: stepped } = far.turn(fill(50)).encrypt(u8(1));
  refuses(() => stepped.turn(fill(51)), 'a turn out of turn');
});

test('a batch that fits the keys but not the chain is refused', () => {
  const [bsk, bpsk, user, device] = [fill(1), fill(2), a.user, a.device];
  const keys = { version: 1, bsk, bpsk };
  const entry = (seq) => [seq, fill(3), fill(4)];
  const sealed = (changes) => batch({
    publicKey: xwingPublic(bsk), bpsk, user, version: 1, device, number: 1, before: fill(0), runs: [[fill(5, 16), [entry(1)]]], ...changes,
  });
  const end = (bytes, number = 1n) => ({ device, number, hash: batchHash(bytes) });
  const opens = (bytes, number) => openChain([bytes], user, keys, end(bytes, number));
  assert.equal(opens(sealed()).length, 1);
  const lies = {
    'another format': { format: 2 },
    'another device': { device: b.device },
    'another number': { number: 2 },
    'the first, after another': { before: fill(1) },
    'no entries': { runs: [] },
    'too many entries': { runs: [[fill(5, 16), Array.from({ length: 513 }, (_, at) => entry(at))]] },
    'bytes left over': { rest: fill(0, 3) },
  };
  for (const [what, lie] of Object.entries(lies)) refuses(() => opens(sealed(lie)), what);
  refuses(() => opens(sealed({ number: 2 }), 2n), 'the second, after nothing');
  refuses(() => opens(sealed({ number: 0 }), 0n), 'number 0');
  refuses(() => openBatch(fill(1, 56), user, keys), 'cut off');
});

test('a vault that its opener opens but that is not what the list names is refused', () => {
  const [uikSeed, lskSeed, bsk, bpsk] = [fill(1), fill(2), fill(3), fill(4)];
  const of = {
    user: a.user, uik: ed25519Public(uikSeed), lsk: ed25519Public(lskSeed), lskVersion: 3, vaultVersion: 2, backupVersion: 1,
    backupKeyHash: H(xwingPublic(bsk)), bpskHash: H(bpsk),
  };
  const secret = opener(RECOVERY_KEY, fill(9, 20), a.user);
  const contents = ({ format = 1, uik = uikSeed, lsk = lskSeed, lskVersion = 3, versions = [1], key = bsk, shared = bpsk, rest = [] } = {}) => cat(
    u8(format), uik, lsk, u32(lskVersion), u8(1), u8(secret.kind), secret.publicKey, secret.psk, u16(versions.length),
    ...versions.map((version) => cat(u32(version), key, shared, u8(0))), rest,
  );
  const opens = (changes) => openVault(vault({ list: of, opener: secret, contents: contents(), ...changes }), of, secret);
  assert.equal(opens().backups.length, 1);
  const lies = {
    'another format': { format: 2 },
    'another UIK': { uik: fill(5) },
    'another LSK': { lsk: fill(5) },
    'another version of LSK': { lskVersion: 2 },
    'another backup version': { versions: [2] },
    'no backup': { versions: [] },
    'another BSK': { key: fill(5) },
    'another BPSK': { shared: fill(5) },
    'bytes left over': { rest: fill(0, 1) },
  };
  for (const [what, lie] of Object.entries(lies)) refuses(() => opens({ contents: contents(lie) }), what);
  refuses(() => opens({ commit: (right) => flipped(right, 0) }), 'another commit');
  refuses(() => opens({ padded: (body) => body }), 'no padding');
  refuses(() => opens({ kind: PASSWORD }), 'for another kind of opener');
  refuses(() => opens({ list: { ...of, vaultVersion: 1 } }), 'another version');
  refuses(() => opens({ list: { ...of, backupVersion: 2 } }), 'another backup version, outside');
});
