// docs/protocol.md, "Content": `pad`.
import { cat, isZero, number, refuse, u32 } from './bytes.js';

export function paddedLength(bodyLength) {
  const length = bodyLength + 4;
  if (length <= 256) return 256;
  const floorLog2 = (value) => 31 - Math.clz32(value);
  const e = floorLog2(length);
  const s = floorLog2(e) + 1;
  const unit = 2 ** (e - s);
  return Math.ceil(length / unit) * unit;
}

export function pad(body) {
  const padded = new Uint8Array(paddedLength(body.length));
  padded.set(cat(u32(body.length), body));
  return padded;
}

export function unpad(padded) {
  const length = padded.length < 4 ? refuse('padding: length') : Number(number(padded.subarray(0, 4)));
  if (padded.length !== paddedLength(length)) refuse('padding: length');
  if (!isZero(padded.subarray(4 + length))) refuse('padding: not zero');
  return padded.subarray(4, 4 + length);
}
