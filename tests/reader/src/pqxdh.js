// docs/protocol.md, "Set-up of a session". A device is { user, device, uik, dik, dsk }, all public keys.
import { cat, lbl, u32, u64, u8 } from './bytes.js';
import { dh, H, hkdf, kemOpen, kemSeal, x25519Public } from './primitives.js';
import { bytes, fixed, u32 as number32, u64 as number64 } from './protobuf.js';
import { Session } from './ratchet.js';

const SUITE = 1;

export const Handshake = {
  born: [1, number64],
  ephemeralKey: [2, fixed(32)],
  spkId: [3, number32],
  opkId: [4, number32],
  pqId: [5, number32],
  pqKind: [6, number32],
  ciphertext: [7, bytes],
};

const names = ({ user, device, uik, dik, dsk }) => cat(user, device, uik, dik, dsk);

function transcriptHash({ born, a, b, spk, opk, pq, ephemeralKey, ratchetKey, ciphertext }) {
  return H(cat(
    lbl('th'), u8(SUITE), u64(born), names(a), names(b),
    u32(spk.id), spk.key, u32(opk?.id ?? 0), opk?.key ?? new Uint8Array(32),
    u32(pq.id), u8(pq.kind), H(pq.key), ephemeralKey, ratchetKey, H(ciphertext),
  ));
}

function root(th, dhs, shared) {
  const info = cat(lbl('pqxdh X25519 SHA-256 ML-KEM-768'), th);
  const secret = cat(new Uint8Array(32).fill(0xff), ...dhs, shared);
  return hkdf(new Uint8Array(32), secret, info, 32, 32); // root, SIG
}

// B: `secrets` are what the handshake names, all of them: { spk, opk?, pq }, each { id, secret }.
export function answer({ handshake, ratchetKey, a, b, dikSecret, secrets }) {
  const { spk, opk, pq } = secrets;
  const dhs = [
    dh(spk.secret, a.dik),
    dh(dikSecret, handshake.ephemeralKey),
    dh(spk.secret, handshake.ephemeralKey),
    ...(opk ? [dh(opk.secret, handshake.ephemeralKey)] : []),
  ];
  const shared = kemOpen(pq.secret, handshake.ciphertext);
  const th = transcriptHash({
    born: handshake.born, a, b,
    spk: { id: spk.id, key: x25519Public(spk.secret) },
    opk: opk && { id: opk.id, key: x25519Public(opk.secret) },
    pq: { id: pq.id, kind: handshake.pqKind, key: pq.key },
    ephemeralKey: handshake.ephemeralKey, ratchetKey, ciphertext: handshake.ciphertext,
  });
  const [rootKey, signalKey] = root(th, dhs, shared);
  return { sid: th.subarray(0, 8), th, rootKey, signalKey, session: Session.responder(rootKey, spk.secret) };
}

// A: `bundle` as `verifyBundle` gives it; `drawn` is the randomness of the set-up: { ephemeral, ratchet, encapsulation }.
export function begin({ born, bundle, a, b, dikSecret, drawn }) {
  const { spk, opk, pq } = bundle;
  const ephemeralKey = x25519Public(drawn.ephemeral);
  const { ciphertext, shared } = kemSeal(pq.key, drawn.encapsulation);
  const dhs = [
    dh(dikSecret, spk.key),
    dh(drawn.ephemeral, b.dik),
    dh(drawn.ephemeral, spk.key),
    ...(opk ? [dh(drawn.ephemeral, opk.key)] : []),
  ];
  const ratchetKey = x25519Public(drawn.ratchet);
  const th = transcriptHash({ born, a, b, spk, opk, pq, ephemeralKey, ratchetKey, ciphertext });
  const [rootKey, signalKey] = root(th, dhs, shared);
  const handshake = {
    born, ephemeralKey, ciphertext, spkId: spk.id, opkId: opk?.id ?? 0, pqId: pq.id, pqKind: pq.kind,
  };
  const session = Session.initiator(rootKey, drawn.ratchet, spk.key);
  return { sid: th.subarray(0, 8), th, rootKey, signalKey, handshake, session };
}
