// As much of a sender as it takes to lie: everything is sealed and signed as it should be, and one thing in it is wrong.
import { ml_kem768_x25519 as xwing } from '@noble/post-quantum/hybrid.js';
import { cat, lbl, u16, u32, u64, u8 } from '../src/bytes.js';
import { derive } from '../src/content.js';
import { conversationId, envHash, listDigest } from '../src/hashes.js';
import { schedule } from '../src/hpke.js';
import { pad } from '../src/padding.js';
import { H, hkdf, hmac, sealCbc, sealGcm, x25519Public } from '../src/primitives.js';
import { bytes, encodeRow, number } from './encode.js';
import { fill } from './support.js';

export const list = (party) => ({
  user: party.user,
  version: 1,
  hash: H(party.user),
  uik: party.uik,
  devices: [{ device: party.device, signingKey: party.dsk, identityKey: party.dik }],
});

const headerOf = (h) => cat(
  u8(h.version), u8(h.suite), u8(h.class), u8(h.erases.length), h.conversation, u64(h.counter), h.clientMessageId,
  h.sender, h.senderDevice, h.recipient, u32(h.senderVersion), u32(h.recipientVersion), h.listDigest, ...h.erases.map(u64),
);

const contentOf = ({ sender, senderDevice, after, text }) => cat(
  number(1, 1000), bytes(2, sender), bytes(3, senderDevice),
  after ? bytes(4, cat(number(1, after.seq), bytes(2, after.envHash))) : new Uint8Array(),
  bytes(10, bytes(1, text)),
);

export const handshakeOf = (h) => cat(
  number(1, h.born), bytes(2, h.ephemeralKey), number(3, h.spkId), number(4, h.opkId), number(5, h.pqId), number(6, h.pqKind),
  bytes(7, h.ciphertext),
);

// A message from `a` to `b`; what is wrong with it, `lie` puts in.
export function write(session, a, b, counter, lie = () => {}) {
  const draft = {
    seq: counter,
    header: {
      version: 1, suite: 1, class: 1, erases: [], conversation: conversationId(a.user, b.user), counter,
      clientMessageId: fill(counter % 256, 16), sender: a.user, senderDevice: a.device, recipient: b.user,
      senderVersion: 1, recipientVersion: 1, listDigest: listDigest(list(a), list(b)),
    },
    content: { sender: a.user, senderDevice: a.device, text: new TextEncoder().encode('hello') },
    contentKey: fill(counter % 256),
    padded: pad,
    commit: (commit) => commit,
    payload: (key, hash) => cat(u8(1), key, hash),
    wrap: (sid, message) => cat(bytes(1, sid), bytes(3, message)),
  };
  lie(draft);
  const withoutCommit = headerOf(draft.header);
  const { key, nonce, commit } = derive(draft.contentKey, { ...draft.header, withoutCommit });
  const header = cat(withoutCommit, draft.commit(commit));
  const content = sealGcm(key, nonce, draft.padded(contentOf(draft.content)), header);
  const payload = draft.payload(draft.contentKey, envHash(header, content));
  const { encoded, session: next } = session.ratchet.encrypt(payload);
  const wrap = draft.wrap(session.sid, encoded);
  const row = { seq: draft.seq, messageId: 1, header, contentHash: H(content), content, wrap };
  return { row: encodeRow(row), conversation: draft.header.conversation, next: { ...session, ratchet: next } };
}

// The next message of a session, with its index written in one byte more than it takes.
export function inALongerForm({ own, sending }, plain) {
  const [aes, macKey, iv] = hkdf(undefined, hmac(sending.key, u8(1)), new TextEncoder().encode('OLM_KEYS'), 32, 32, 16);
  const ciphertext = sealCbc(aes, iv, plain);
  const index = [Number(sending.index) | 0x80, 0];
  const maced = cat([4, 0x0a, 32], x25519Public(own), [0x10, ...index], bytes(4, ciphertext));
  return cat(maced, hmac(macKey, maced));
}

export function hpkeSeal({ publicKey, aad, plain, ...named }) {
  const { cipherText, sharedSecret } = xwing.encapsulate(publicKey, fill(77, 64));
  const { key, nonce } = schedule(sharedSecret, named);
  return { encapsulated: cipherText, sealed: sealGcm(key, nonce, plain, aad) };
}

// A batch of the backup; entries as [conversation, [[seq, env_hash, CK]…]].
export function batch({ publicKey, bpsk, user, version, format = 1, device, number: place, before, runs, rest = [] }) {
  const clear = cat(u8(format), device, u64(place), before);
  const info = cat(lbl('backup'), user, u32(version));
  const run = ([conversation, entries]) =>
    cat(conversation, u16(entries.length), ...entries.map(([seq, hash, key]) => cat(u64(seq), hash, key)));
  const plain = cat(...runs.map(run), rest);
  const { encapsulated, sealed } = hpkeSeal({ publicKey, psk: bpsk, pskId: info, info, aad: clear, plain });
  return cat(clear, encapsulated, sealed);
}

// A vault for one opener.
export function vault({ list: of, opener, vk = fill(66), contents, commit = (right) => right, padded = pad, kind = opener.kind }) {
  const { user, uik, vaultVersion, backupVersion } = of;
  const bound = cat(user, uik, u32(vaultVersion), u32(backupVersion));
  const [key, nonce, right] = hkdf(undefined, vk, cat(lbl('vault'), user, u32(vaultVersion)), 32, 12, 32);
  const sealed = cat(commit(right), sealGcm(key, nonce, padded(contents), bound));
  const info = cat(lbl('vault key'), u8(kind), user, u32(vaultVersion));
  const { publicKey, psk } = opener;
  const wrapped = hpkeSeal({ publicKey, psk, pskId: info, info, aad: bound, plain: vk });
  return cat(
    number(1, vaultVersion), number(2, backupVersion), bytes(3, sealed),
    bytes(4, cat(number(1, kind), bytes(2, wrapped.encapsulated), bytes(3, wrapped.sealed))),
  );
}
