// Bytes, and the one way in which this reader says no.

export class Refused extends Error {}

export function refuse(why) {
  throw new Refused(why);
}

export const ascii = (text) => new TextEncoder().encode(text);

// `lbl(x)` of docs/protocol.md.
export const lbl = (x) => ascii(`sordino/1/${x}`);

export const hex = (bytes) => Buffer.from(bytes).toString('hex');

export const unhex = (text) => new Uint8Array(Buffer.from(text, 'hex'));

export function cat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function bigEndian(value, width) {
  const out = new Uint8Array(width);
  let rest = BigInt(value);
  for (let at = width - 1; at >= 0; at--) {
    out[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return out;
}

export const u8 = (value) => bigEndian(value, 1);
export const u16 = (value) => bigEndian(value, 2);
export const u32 = (value) => bigEndian(value, 4);
export const u64 = (value) => bigEndian(value, 8);

// The number that big-endian bytes stand for. A BigInt: a u64 does not fit a JavaScript number.
export const number = (bytes) => bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);

// No early way out: what is compared may be secret.
export function equal(a, b) {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a[at] ^ b[at];
  return difference === 0;
}

export const isZero = (bytes) => bytes.every((byte) => byte === 0);

// As bytes are ordered, not as numbers or texts.
export const isLess = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;

// Takes fields from the front, and refuses to go past the end or to leave a rest.
export class Fields {
  constructor(bytes, what) {
    this.rest = bytes;
    this.what = what;
  }

  take(length) {
    if (this.rest.length < length) refuse(`${this.what}: too short`);
    const field = this.rest.subarray(0, length);
    this.rest = this.rest.subarray(length);
    return field;
  }

  u8 = () => this.take(1)[0];
  u16 = () => Number(number(this.take(2)));
  u32 = () => Number(number(this.take(4)));
  u64 = () => number(this.take(8));

  end() {
    if (this.rest.length !== 0) refuse(`${this.what}: bytes are left over`);
  }
}
