// docs/protocol.md, "Device lists".
import { cat, equal, hex, isZero, refuse, u32 } from './bytes.js';
import { listHash } from './hashes.js';
import { decode, fixed, maybe, message, repeated, u32 as number32, u64 } from './protobuf.js';
import { CO, LIST, LSK_CERTIFICATE, SELF, Signed, verify } from './signed.js';

export const ListedDevice = {
  device: [1, fixed(16)],
  signingKey: [2, fixed(32)],
  identityKey: [3, fixed(32)],
  addedMs: [4, u64],
  selfSignature: [5, fixed(64)],
  coSignature: [6, maybe(64)],
  coSigner: [7, maybe(16)],
};

const DeviceListBody = {
  user: [1, fixed(16)],
  version: [2, number32],
  prevHash: [3, fixed(32)],
  createdMs: [4, u64],
  lskCertificate: [5, message(Signed)],
  devices: [6, repeated(message(ListedDevice))],
  vaultVersion: [7, number32],
  backupVersion: [8, number32],
  backupKeyHash: [9, maybe(32)],
  bpskHash: [10, maybe(32)],
};

const LskCertificateBody = {
  user: [1, fixed(16)],
  identityKey: [2, fixed(32)],
  version: [3, number32],
  listSigningKey: [4, fixed(32)],
};

export function verifySelf(user, uik, device) {
  const statement = cat(user, uik, device.device, device.identityKey);
  verify(SELF, device.signingKey, statement, device.selfSignature, 'self statement');
}

// A list that verifies by itself.
export function verifyList(encoded) {
  const { body, signature } = decode(encoded, Signed);
  const list = decode(body, DeviceListBody);
  const signedCertificate = list.lskCertificate ?? refuse('list: no certificate');
  const certificate = decode(signedCertificate.body, LskCertificateBody);
  const uik = certificate.identityKey;
  if (!equal(certificate.user, list.user)) refuse('list: certificate of another user');
  verify(LSK_CERTIFICATE, uik, signedCertificate.body, signedCertificate.signature, 'certificate');
  verify(LIST, certificate.listSigningKey, body, signature, 'list');
  if (list.version < 1) refuse('list: version');
  if (isZero(list.prevHash) !== (list.version === 1)) refuse('list: prev_hash');
  if (list.devices.length < 1 || list.devices.length > 10) refuse('list: number of devices');
  for (const name of ['device', 'signingKey', 'identityKey']) {
    const all = new Set(list.devices.map((device) => hex(device[name])));
    if (all.size !== list.devices.length) refuse(`list: ${name} twice`);
  }
  for (const device of list.devices) {
    verifySelf(list.user, uik, device);
    if ((device.coSigner.length === 0) !== (device.coSignature.length === 0)) refuse('list: half a co-signature');
  }
  for (const hash of [list.backupKeyHash, list.bpskHash]) {
    if ((hash.length === 0) !== (list.backupVersion === 0)) refuse('list: hashes of the backup keys');
  }
  if (list.version === 1 && Math.max(list.vaultVersion, list.backupVersion) > 1) refuse('list: first vault or backup');
  return { ...list, uik, lsk: certificate.listSigningKey, lskVersion: certificate.version, hash: listHash(body) };
}

export const deviceOf = (list, id) => list.devices.find((listed) => equal(listed.device, id));

export function mayFollow(prev, next) {
  if (!equal(next.user, prev.user)) refuse('list: of another user');
  if (next.version !== prev.version + 1) refuse('list: not the next version');
  if (!equal(next.prevHash, prev.hash)) refuse('list: prev_hash is not that of the list before');
  if (equal(next.uik, prev.uik)) {
    if (next.lskVersion < prev.lskVersion) refuse('list: LSK version fell');
    if (next.lskVersion === prev.lskVersion && !equal(next.lsk, prev.lsk)) refuse('list: two LSKs of one version');
  }
  if (![0, 1].includes(next.vaultVersion - prev.vaultVersion)) refuse('list: vault version');
  if (![0, 1].includes(next.backupVersion - prev.backupVersion)) refuse('list: backup version');
  const hasSameKeys = equal(next.backupKeyHash, prev.backupKeyHash) && equal(next.bpskHash, prev.bpskHash);
  if (next.backupVersion === prev.backupVersion && !hasSameKeys) refuse('list: two backups of one version');
  for (const device of next.devices) {
    if (deviceOf(prev, device.device) || device.coSignature.length === 0) continue;
    const signer = deviceOf(prev, device.coSigner) ?? refuse('list: co-signed by a device that was not there');
    const statement = cat(next.user, next.uik, device.device, device.signingKey, device.identityKey, u32(next.version));
    verify(CO, signer.signingKey, statement, device.coSignature, 'co-statement');
  }
}

// A whole chain from version 1 on; gives all its lists.
export function verifyChain(encodedLists) {
  const lists = encodedLists.map(verifyList);
  lists.slice(1).forEach((next, at) => mayFollow(lists[at], next));
  return lists;
}
