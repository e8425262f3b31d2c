// docs/protocol.md, "Key backup".
import { cat, equal, Fields, isZero, lbl, refuse, u32 } from './bytes.js';
import { ENCAPSULATED, hpkeOpen } from './hpke.js';
import { H } from './primitives.js';

const CLEAR = 1 + 16 + 8 + 32;

export const batchHash = (batch) => H(cat(lbl('batch'), batch));

function entries(plain) {
  const fields = new Fields(plain, 'batch');
  const all = [];
  while (fields.rest.length > 0) {
    const conversation = fields.take(16);
    for (let left = fields.u16(); left > 0; left--) {
      all.push({ conversation, seq: fields.u64(), envHash: fields.take(32), contentKey: fields.take(32) });
    }
  }
  if (all.length < 1 || all.length > 512) refuse('batch: number of entries');
  return all;
}

// One batch, by itself.
export function openBatch(batch, user, { version, bsk, bpsk }) {
  const fields = new Fields(batch, 'batch');
  const clear = fields.take(CLEAR);
  const info = cat(lbl('backup'), user, u32(version));
  const plain = hpkeOpen({
    seed: bsk, psk: bpsk, pskId: info, info, aad: clear,
    encapsulated: fields.take(ENCAPSULATED), sealed: fields.rest,
  }, 'batch');
  const parts = new Fields(clear, 'batch');
  if (parts.u8() !== 1) refuse('batch: version');
  return { device: parts.take(16), number: parts.u64(), before: parts.take(32), entries: entries(plain) };
}

// A device's chain in one version: `batches` descending, from the end that the vault or the relay names. Each batch tells
// the hash of the one before it, so that none can be exchanged or left out.
export function openChain(batches, user, keys, end) {
  const all = [];
  let { number, hash } = end;
  for (const batch of batches) {
    if (!equal(batchHash(batch), hash)) refuse('batch: hash');
    const opened = openBatch(batch, user, keys);
    if (!equal(opened.device, end.device) || opened.number !== number) refuse('batch: not at its place');
    if (isZero(opened.before) !== (number === 1n)) refuse('batch: hash of the batch before');
    all.push(...opened.entries);
    [number, hash] = [number - 1n, opened.before];
  }
  if (number !== 0n) refuse('batch: the rest is withheld');
  return all;
}
