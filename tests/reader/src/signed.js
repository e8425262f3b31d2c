// docs/protocol.md, "Signed objects".
import { cat, lbl, refuse, u32, u8 } from './bytes.js';
import { isSignedBy } from './primitives.js';
import { bytes, fixed } from './protobuf.js';

export const LIST = 1, SELF = 2, CO = 3, SPK = 4, OPK = 5, PQLR = 6, PQOPK = 7, LSK_CERTIFICATE = 10;

export const Signed = { body: [1, bytes], signature: [2, fixed(64)] };

export const signedBytes = (type, body) => cat(lbl('sig'), u8(type), u32(body.length), body);

export function verify(type, key, body, signature, what) {
  if (!isSignedBy(key, signedBytes(type, body), signature)) refuse(`${what}: signature`);
}
