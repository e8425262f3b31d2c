// As much writing of protobuf as the tests need to put spoilt parts in the place of whole ones.
import { cat, equal } from '../src/bytes.js';

function varint(value) {
  const out = [];
  let rest = BigInt(value);
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.of(...out, Number(rest));
}

export const number = (field, value) => cat(varint(field << 3), varint(value));
export const bytes = (field, value) => (value === undefined ? new Uint8Array() : cat(varint((field << 3) | 2), varint(value.length), value));

export const encodeRow = ({ seq, messageId, header, contentHash, content, wrap }) =>
  cat(number(1, seq), number(2, messageId), bytes(3, header), bytes(4, contentHash), bytes(5, content), bytes(6, wrap));

export const encodeSigned = ({ body, signature }) => cat(bytes(1, body), bytes(2, signature));

// A field of `whole` that holds `part` holds `changed` instead.
export function replaceIn(whole, part, changed) {
  const before = cat(varint(part.length), part);
  for (let at = whole.length - before.length; at >= 0; at--) {
    if (!equal(whole.subarray(at, at + before.length), before)) continue;
    return cat(whole.subarray(0, at), varint(changed.length), changed, whole.subarray(at + before.length));
  }
  throw new Error('it is not in there');
}
