// docs/protocol.md, "Recovery key and safety number": the safety number, and its QR code.
import { cat, number, refuse } from './bytes.js';
import { sha512 } from './primitives.js';

function half({ uik, user }) {
  let h = sha512(cat([0x00, 0x01], uik, user));
  for (let times = 0; times < 5199; times++) h = sha512(cat(h, uik));
  return [0, 5, 10, 15, 20, 25]
    .map((at) => (number(h.subarray(at, at + 5)) % 100_000n).toString().padStart(5, '0'))
    .join('');
}

export const safetyNumber = (one, other) => [half(one), half(other)].sort().join('');

export const safetyQr = (number) => `SORDINO:SN1:${number}`;

export function readSafetyQr(text) {
  return /^SORDINO:SN1:([0-9]{60})$/.exec(text)?.[1] ?? refuse('safety number: not its QR code');
}
