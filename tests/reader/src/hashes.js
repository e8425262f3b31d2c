// docs/protocol.md, "Hashes".
import { cat, isLess, lbl, u32 } from './bytes.js';
import { H } from './primitives.js';

export function conversationId(oneUser, otherUser) {
  const [smaller, greater] = isLess(oneUser, otherUser) ? [oneUser, otherUser] : [otherUser, oneUser];
  return H(cat(lbl('conv'), smaller, greater)).subarray(0, 16);
}

export const envHash = (header, content) => envHashOf(header, H(content));

// Where the content is not shown, its hash is.
export const envHashOf = (header, contentHash) => H(cat(lbl('env'), header, contentHash));

export const listHash = (body) => H(cat(lbl('list'), body));

export const listDigest = (sender, recipient) =>
  H(cat(lbl('lists'), u32(sender.version), sender.hash, u32(recipient.version), recipient.hash)).subarray(0, 16);
