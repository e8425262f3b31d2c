// What the tests share: transcripts, and ways to spoil what is in them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Refused, unhex } from '../src/bytes.js';

const frozen = new URL('../transcripts/', import.meta.url);
const vectors = new URL('../../../core-crypto/tests/vectors/', import.meta.url);

const directory = process.env.SORDINO_TRANSCRIPTS ? new URL(`file://${process.env.SORDINO_TRANSCRIPTS}/`) : frozen;

const read = (base, name) => JSON.parse(readFileSync(new URL(`${name}.json`, base), 'utf8'));

export const transcript = (name) => read(directory, name);
export const vector = (name) => read(vectors, name);

// Not an error of any kind: a refusal.
export function refuses(work, what) {
  try {
    work();
  } catch (error) {
    if (error instanceof Refused) return;
    throw new Error(`${what}: not refused but failed`, { cause: error });
  }
  assert.fail(`${what}: was accepted`);
}

export function flipped(bytes, at, bit = at % 8) {
  const copy = bytes.slice();
  copy[at] ^= 1 << bit;
  return copy;
}

// Every `step`th byte with one bit flipped, the first and the last one always; and a byte less, and one more.
export function* spoilt(bytes, step = 1) {
  for (let at = 0; at < bytes.length; at += step) yield [`byte ${at} flipped`, flipped(bytes, at)];
  yield ['last byte flipped', flipped(bytes, bytes.length - 1)];
  yield ['cut off', bytes.slice(0, -1)];
  yield ['a byte more', Uint8Array.of(...bytes, 0)];
}

export const unhexAll = (texts) => texts.map(unhex);

export const fill = (byte, length = 32) => new Uint8Array(length).fill(byte);
