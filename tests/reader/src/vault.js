// docs/protocol.md, "Vault".
import { cat, equal, Fields, lbl, refuse, u32, u8 } from './bytes.js';
import { hpkeOpen, xwingPublic } from './hpke.js';
import { unpad } from './padding.js';
import { ed25519Public, H, hkdf, openGcm } from './primitives.js';
import { bytes, decode, fixed, message, repeated, u32 as number32 } from './protobuf.js';

export const RECOVERY_KEY = 1, PASSWORD = 2;

const WrappedVaultKey = { kind: [1, number32], encapsulated: [2, bytes], sealed: [3, bytes] };

export const Vault = {
  version: [1, number32],
  backupVersion: [2, number32],
  sealed: [3, bytes],
  wrappedKeys: [4, repeated(message(WrappedVaultKey))],
};

// What a secret (r of the recovery key, or OPAQUE's export key) is good for.
export function opener(kind, secret, user) {
  const [seed, psk] = hkdf(undefined, secret, cat(lbl('opener'), u8(kind), user), 32, 32);
  return { kind, seed, psk, publicKey: xwingPublic(seed) };
}

function readContents(plain) {
  const fields = new Fields(plain, 'vault contents');
  if (fields.u8() !== 1) refuse('vault contents: version');
  const many = (count, read) => Array.from({ length: count }, read);
  const contents = {
    uikSeed: fields.take(32),
    lskSeed: fields.take(32),
    lskVersion: fields.u32(),
    openers: many(fields.u8(), () => ({ kind: fields.u8(), publicKey: fields.take(1216), psk: fields.take(32) })),
    backups: many(fields.u16(), () => ({
      version: fields.u32(),
      bsk: fields.take(32),
      bpsk: fields.take(32),
      closed: many(fields.u8(), () => ({ device: fields.take(16), number: fields.u64(), hash: fields.take(32) })),
    })),
  };
  fields.end();
  return contents;
}

// Opens the vault as the one that `list` names (a verified list), or not at all.
export function openVault(encoded, list, { kind, seed, psk }) {
  const vault = decode(encoded, Vault);
  if (vault.version !== list.vaultVersion || vault.backupVersion !== list.backupVersion) {
    refuse('vault: not the version that the list names');
  }
  const bound = cat(list.user, list.uik, u32(vault.version), u32(vault.backupVersion));
  const wrapped = vault.wrappedKeys.find((key) => key.kind === kind) ?? refuse('vault: not for this opener');
  const info = cat(lbl('vault key'), u8(kind), list.user, u32(vault.version));
  const vk = hpkeOpen({ ...wrapped, seed, psk, pskId: info, info, aad: bound }, 'vault key');

  const [key, nonce, commit] = hkdf(undefined, vk, cat(lbl('vault'), list.user, u32(vault.version)), 32, 12, 32);
  if (!equal(vault.sealed.subarray(0, 32), commit)) refuse('vault: commit');
  const contents = readContents(unpad(openGcm(key, nonce, vault.sealed.subarray(32), bound, 'vault: seal')));

  if (!equal(ed25519Public(contents.uikSeed), list.uik)) refuse('vault: another UIK');
  if (!equal(ed25519Public(contents.lskSeed), list.lsk) || contents.lskVersion !== list.lskVersion) {
    refuse('vault: another LSK');
  }
  const newest = contents.backups.at(-1);
  if ((newest?.version ?? 0) !== list.backupVersion) refuse('vault: another backup version');
  if (newest && !(equal(H(xwingPublic(newest.bsk)), list.backupKeyHash) && equal(H(newest.bpsk), list.bpskHash))) {
    refuse('vault: other backup keys');
  }
  return contents;
}
