// docs/protocol.md, "Prekeys".
import { equal, refuse } from './bytes.js';
import { deviceOf } from './lists.js';
import { isKemKey } from './primitives.js';
import { bytes, decode, fixed, maybe, u32, u64 } from './protobuf.js';
import { OPK, PQLR, PQOPK, Signed, SPK, verify } from './signed.js';

const PrekeyBody = {
  user: [1, fixed(16)],
  device: [2, fixed(16)],
  keyId: [3, u32],
  createdMs: [4, u64],
  expiresMs: [5, u64],
  key: [6, bytes],
  listVersion: [7, u32],
  listHash: [8, maybe(32)],
};

export function verifyPrekey(type, encoded, list, deviceId, nowMs) {
  const { body, signature } = decode(encoded, Signed);
  const prekey = decode(body, PrekeyBody);
  const device = deviceOf(list, deviceId) ?? refuse('prekey: its device is not listed');
  verify(type, device.signingKey, body, signature, 'prekey');
  if (!equal(prekey.user, list.user) || !equal(prekey.device, deviceId)) refuse('prekey: of another device');
  if (prekey.keyId === 0) refuse('prekey: id');
  if (prekey.expiresMs <= nowMs) refuse('prekey: expired');
  if (type === SPK) {
    if (prekey.listVersion > list.version) refuse('prekey: its list is newer than the one served');
    if (prekey.listVersion === list.version && !equal(prekey.listHash, list.hash)) refuse('prekey: another list');
  }
  const isKem = type === PQLR || type === PQOPK;
  if (isKem ? !isKemKey(prekey.key) : prekey.key.length !== 32) refuse('prekey: key');
  return { id: prekey.keyId, key: prekey.key };
}

// What the relay hands out for one device: `opk` may be missing; `pqKind` is 1 for a PQOPK, 2 for the PQLR.
export function verifyBundle({ spk, opk, pq, pqKind }, list, deviceId, nowMs) {
  const check = (type, encoded) => verifyPrekey(type, encoded, list, deviceId, nowMs);
  return {
    spk: check(SPK, spk),
    opk: opk && check(OPK, opk),
    pq: { ...check(pqKind === 1 ? PQOPK : PQLR, pq), kind: pqKind },
  };
}
