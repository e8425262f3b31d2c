// docs/protocol.md, "Recovery key and safety number": the recovery key.
import { cat, lbl, number, refuse } from './bytes.js';
import { H } from './primitives.js';

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

function digits(r) {
  const check = number(H(cat(lbl('rk'), r)).subarray(0, 3)) >> 4n; // 20 of 24 bits
  let rest = (number(r) << 20n) | check;
  let written = '';
  for (let at = 0; at < 36; at++, rest >>= 5n) written = CROCKFORD[Number(rest & 31n)] + written;
  return written;
}

export const writeRecoveryKey = (r) => digits(r).match(/.{4}/g).join('-');

export function readRecoveryKey(typed) {
  const written = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  let value = 0n;
  for (const digit of written) {
    const at = CROCKFORD.indexOf(digit);
    value = (value << 5n) | BigInt(at < 0 ? refuse('recovery key: digit') : at);
  }
  value >>= 20n;
  const r = new Uint8Array(20);
  for (let at = 19; at >= 0; at--, value >>= 8n) r[at] = Number(value & 0xffn);
  if (digits(r) !== written) refuse('recovery key: check digits');
  return r;
}
