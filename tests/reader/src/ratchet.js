// docs/protocol.md, "Ratchet": a Double Ratchet whose messages a device of the other side opens, in any order.
import { ascii, cat, equal, Fields, refuse, u8 } from './bytes.js';
import { dh, hkdf, hmac, openCbc, sealCbc, x25519Public } from './primitives.js';

const VERSION = 4, MAC = 32;
const KEY_TAG = 0x0a, INDEX_TAG = 0x10, CIPHERTEXT_TAG = 0x22;
const MAX_JUMP = 2000n, MAX_SKIPPED = 40, MAX_CHAINS = 5;

function varint(value) {
  const out = [];
  let rest = BigInt(value);
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  return new Uint8Array([...out, Number(rest)]);
}

const withoutMac = (ratchetKey, index, ciphertext) => cat(
  [VERSION, KEY_TAG, 32], ratchetKey, [INDEX_TAG], varint(index), [CIPHERTEXT_TAG], varint(ciphertext.length), ciphertext,
);

function readVarint(fields) {
  let value = 0n;
  for (let shift = 0n; shift < 63n; shift += 7n) {
    const byte = fields.u8();
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return refuse('ratchet: varint');
}

export function parseMessage(encoded) {
  const fields = new Fields(encoded, 'ratchet');
  const expect = (byte, what) => fields.u8() === byte || refuse(`ratchet: ${what}`);
  expect(VERSION, 'version');
  expect(KEY_TAG, 'ratchet key');
  expect(32, 'ratchet key');
  const ratchetKey = fields.take(32);
  expect(INDEX_TAG, 'index');
  const index = readVarint(fields);
  expect(CIPHERTEXT_TAG, 'ciphertext');
  const length = readVarint(fields);
  const ciphertext = fields.take(length > 1n << 20n ? refuse('ratchet: too long') : Number(length));
  const mac = fields.take(MAC);
  fields.end();
  const maced = encoded.subarray(0, -MAC);
  // A number may be written in more than one way.
  if (!equal(withoutMac(ratchetKey, index, ciphertext), maced)) refuse('ratchet: does not re-encode to itself');
  return { ratchetKey, index, ciphertext, mac, maced };
}

const step = (root, ownSecret, theirKey) => hkdf(root, dh(ownSecret, theirKey), ascii('OLM_RATCHET'), 32, 32);

const messageKey = (chain) => hmac(chain.key, u8(1));
const nextChain = (chain) => ({ ...chain, key: hmac(chain.key, u8(2)), index: chain.index + 1n });

// Of one message: AES key, MAC key and IV.
const expand = (key) => hkdf(new Uint8Array(32), key, ascii('OLM_KEYS'), 32, 32, 16);

function open(key, message) {
  const [aes, macKey, iv] = expand(key);
  if (!equal(hmac(macKey, message.maced), message.mac)) refuse('ratchet: MAC');
  return openCbc(aes, iv, message.ciphertext);
}

// A session never changes: what opens or writes a message gives the session after it. So a message that is refused
// cannot have touched anything.
export class Session {
  constructor(state) {
    // root; own: secret of our ratchet key; sending: our chain, or none while theirs is newer; receiving: their chains.
    Object.assign(this, { sending: undefined, receiving: [] }, state);
  }

  static initiator(root, ratchetSecret, spk) {
    const [newRoot, chain] = step(root, ratchetSecret, spk);
    return new Session({ root: newRoot, own: ratchetSecret, sending: { key: chain, index: 0n } });
  }

  static responder(root, spkSecret) {
    return new Session({ root, own: spkSecret });
  }

  with(changes) {
    return new Session({ ...this, ...changes });
  }

  // Our next ratchet key: due before we write, if they have stepped since we did.
  turn(secret) {
    if (this.sending) refuse('ratchet: it is not our turn');
    const newest = this.receiving.at(-1) ?? refuse('ratchet: nothing received yet');
    const [root, chain] = step(this.root, secret, newest.ratchetKey);
    return this.with({ root, own: secret, sending: { key: chain, index: 0n } });
  }

  encrypt(plain) {
    const chain = this.sending ?? refuse('ratchet: no ratchet key of our own');
    const [aes, macKey, iv] = expand(messageKey(chain));
    const maced = withoutMac(x25519Public(this.own), chain.index, sealCbc(aes, iv, plain));
    return { encoded: cat(maced, hmac(macKey, maced)), session: this.with({ sending: nextChain(chain) }) };
  }

  decrypt(encoded) {
    const message = parseMessage(encoded);
    const known = this.receiving.findIndex((chain) => equal(chain.ratchetKey, message.ratchetKey));
    if (known < 0) return this.#stepAndDecrypt(message);
    const { chain, plain } = openInChain(this.receiving[known], message);
    return { plain, session: this.with({ receiving: this.receiving.map((one, at) => at === known ? chain : one) }) };
  }

  #stepAndDecrypt(message) {
    // They can have a new key only if they have seen our newest.
    if (!this.sending && this.receiving.length > 0) refuse('ratchet: a new key out of turn');
    const [root, key] = step(this.root, this.own, message.ratchetKey);
    const fresh = { ratchetKey: message.ratchetKey, key, index: 0n, skipped: new Map() };
    const { chain, plain } = openInChain(fresh, message);
    const receiving = [...this.receiving, chain].slice(-MAX_CHAINS);
    return { plain, session: this.with({ root, sending: undefined, receiving }) };
  }
}

function openInChain(chain, message) {
  const skipped = new Map(chain.skipped);
  if (message.index < chain.index) {
    const key = skipped.get(message.index) ?? refuse('ratchet: decrypted before, or its key is gone');
    const plain = open(key, message);
    skipped.delete(message.index);
    return { plain, chain: { ...chain, skipped } };
  }
  if (message.index - chain.index > MAX_JUMP) refuse('ratchet: jumps too far');
  for (; chain.index < message.index; chain = nextChain(chain)) skipped.set(chain.index, messageKey(chain));
  const plain = open(messageKey(chain), message);
  for (const index of [...skipped.keys()].slice(0, -MAX_SKIPPED)) skipped.delete(index);
  return { plain, chain: { ...nextChain(chain), skipped } };
}
