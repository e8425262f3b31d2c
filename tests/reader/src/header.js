// docs/protocol.md, "Header Hd".
import { Fields, refuse } from './bytes.js';

export const MESSAGE = 1, CONTROL = 2, ERASE = 3;

export function parseHeader(bytes) {
  const fields = new Fields(bytes, 'header');
  if (fields.u8() !== 1) refuse('header: version');
  if (fields.u8() !== 1) refuse('header: suite');
  const kind = fields.u8();
  if (![MESSAGE, CONTROL, ERASE].includes(kind)) refuse('header: class');
  const erased = fields.u8();
  if (kind === ERASE ? erased < 1 || erased > 16 : erased !== 0) refuse('header: seqs to erase');
  const header = {
    bytes,
    withoutCommit: bytes.subarray(0, -32),
    class: kind,
    conversation: fields.take(16),
    counter: fields.u64(),
    clientMessageId: fields.take(16),
    sender: fields.take(16),
    senderDevice: fields.take(16),
    recipient: fields.take(16),
    senderVersion: fields.u32(),
    recipientVersion: fields.u32(),
    listDigest: fields.take(16),
    erases: Array.from({ length: erased }, () => fields.u64()),
    commit: fields.take(32),
  };
  fields.end();
  if (header.counter === 0n) refuse('header: counter');
  if (header.erases.includes(0n)) refuse('header: seqs to erase');
  return header;
}
