// docs/protocol.md, "Content": one ciphertext, and its key for each device.
import { equal, Fields, lbl, refuse, cat } from './bytes.js';
import { conversationId } from './hashes.js';
import { unpad } from './padding.js';
import { hkdf, openGcm } from './primitives.js';
import { bool, bytes, decode, fixed, maybe, message, optional, packed, repeated, text, u32, u64 } from './protobuf.js';
import { Handshake } from './pqxdh.js';

// What a row brings for one device.
export const WrapPayload = {
  session: [1, fixed(8)],
  handshake: [2, message(Handshake)],
  message: [3, bytes],
};

const RewrappedKey = { seq: [1, u64], envHash: [2, fixed(32)], contentKey: [3, fixed(32)] };
const ConversationKeys = { conversation: [1, fixed(16)], keys: [2, repeated(message(RewrappedKey))] };

export const SharedKeys = {
  listSigningKey: [1, fixed(32)],
  backupVersion: [2, u32],
  backupPublicKey: [3, maybe(1216)],
  backupSharedKey: [4, maybe(32)],
  passwordOpensVault: [5, bool],
  recoveryOpener: [6, maybe(32)],
};

const TrustDecision = {
  user: [1, fixed(16)],
  seenKey: [2, maybe(32)],
  seenVersion: [3, u32],
  verifiedKey: [4, maybe(32)],
  blocked: [5, bool],
  verifiedMs: [8, u64],
  blockedMs: [9, u64],
  acceptedDevices: [10, repeated(message({ device: [1, fixed(16)], signingKey: [2, fixed(32)] }))],
  listVersion: [11, u32],
  listHash: [12, maybe(32)],
  seenHash: [13, maybe(32)],
  floor: [14, u32],
};

const MessageRef = { author: [1, fixed(16)], authorDevice: [2, fixed(16)], clientMessageId: [3, fixed(16)] };

const Content = {
  sentMs: [1, u64],
  sender: [2, fixed(16)],
  senderDevice: [3, fixed(16)],
  after: [4, message({ seq: [1, u64], envHash: [2, fixed(32)] })],
  timerS: [5, u32],
  text: [10, message({ text: [1, text], replyTo: [2, message(MessageRef)] })],
  empty: [11, message({})],
  deadSessions: [12, message({ sessions: [1, repeated(fixed(8))] })],
  sessionReply: [13, message({ session: [1, fixed(8)] })],
  retry: [14, message({ clientMessageIds: [1, repeated(fixed(16))], conversation: [2, maybe(16)] })],
  rewrap: [15, message({ keys: [1, repeated(message(RewrappedKey))], conversation: [2, maybe(16)] })],
  listChain: [16, message({ lists: [1, repeated(bytes)] })],
  readReceipt: [17, message({ uptoSeq: [1, u64] })],
  sharedKeys: [18, message(SharedKeys)],
  deviceHello: [19, message({ name: [1, text], asksNames: [2, bool], asksKeys: [3, bool], asksHistory: [4, bool] })],
  historyKeys: [20, message({ conversations: [1, repeated(message(ConversationKeys))], left: [2, u64], isLast: [3, bool] })],
  trust: [21, message({ decisions: [1, repeated(message(TrustDecision))] })],
  edit: [22, message({ message: [1, message(MessageRef)], text: [2, text] })],
  reaction: [23, message({ message: [1, message(MessageRef)], emoji: [2, text] })],
  timer: [24, message({ seconds: [1, u32] })],
  erasure: [25, message({ seqs: [1, packed(u64)] })],
};

export const Row = {
  seq: [1, u64],
  messageId: [2, u64],
  header: [3, bytes],
  contentHash: [4, fixed(32)],
  content: [5, optional(bytes)],
  wrap: [6, optional(bytes)],
};

export function derive(contentKey, header) {
  const info = cat(lbl('content'), header.withoutCommit);
  const [key, nonce, commit] = hkdf(header.clientMessageId, contentKey, info, 32, 12, 32);
  return { key, nonce, commit };
}

export function parseWrapPayload(plain) {
  const fields = new Fields(plain, 'wrap payload');
  if (fields.u8() !== 1) refuse('wrap payload: version');
  const payload = { contentKey: fields.take(32), envHash: fields.take(32) };
  fields.end();
  return payload;
}

export function openContent(header, ciphertext, contentKey) {
  if (!equal(header.conversation, conversationId(header.sender, header.recipient))) refuse('content: conversation id');
  const { key, nonce, commit } = derive(contentKey, header);
  if (!equal(commit, header.commit)) refuse('content: commit');
  const encoded = unpad(openGcm(key, nonce, ciphertext, header.bytes, 'content: tag'));
  const content = decode(encoded, Content);
  if (!equal(content.sender, header.sender) || !equal(content.senderDevice, header.senderDevice)) {
    refuse('content: names another sender');
  }
  return { ...content, encoded };
}
