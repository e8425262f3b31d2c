// docs/protocol.md, "What a row is to a device": the checks in their order, from a row to what was written.
import { equal, hex, refuse } from './bytes.js';
import { openContent, parseWrapPayload, Row, WrapPayload } from './content.js';
import { envHash, envHashOf, listDigest } from './hashes.js';
import { parseHeader } from './header.js';
import { deviceOf } from './lists.js';
import { kemPublic, x25519Public } from './primitives.js';
import { decode } from './protobuf.js';
import { answer } from './pqxdh.js';
import { parseMessage } from './ratchet.js';

const HIGHEST_NUMBER = 1n << 62n;

export const peerOf = (list, listed) => ({
  user: list.user, device: listed.device, uik: list.uik, dik: listed.identityKey, dsk: listed.signingKey,
});

const keyOf = (user, device, sid) => `${hex(user)} ${hex(device)} ${hex(sid)}`;

export class Device {
  // me: as `peerOf` gives it; dikSecret; prekeys: { spk, opk, pqlr, pqopk }, each a Map of id and secret;
  // lists: a Map of user (hex) and verified lists by version.
  constructor({ me, dikSecret, prekeys, lists }) {
    Object.assign(this, { me, dikSecret, prekeys, lists });
    this.sessions = new Map(); // by peer and sid: { session, peer }
    this.counters = new Map(); // of each conversation and sending device: { shown, proven }
    this.hashes = new Map(); // env_hash of each conversation and seq
  }

  list(user, version) {
    return this.lists.get(hex(user))?.[version - 1] ?? refuse('row: no such list');
  }

  addSession(peer, sid, session) {
    this.sessions.set(keyOf(peer.user, peer.device, sid), { session, peer });
  }

  session(peer, sid) {
    return this.sessions.get(keyOf(peer.user, peer.device, sid));
  }

  // Gives { header, content, alarms }, or refuses; without content where there is none to read. What is refused before step 6
  // is over has moved nothing but the counter that its header showed. (A client moves its cursor all the same.)
  open(conversation, encodedRow) {
    const row = decode(encodedRow, Row);
    const alarms = [];

    // 1
    const header = parseHeader(row.header);
    if (header.counter > HIGHEST_NUMBER) refuse('row: counter');
    if (!equal(header.conversation, conversation)) refuse('row: of another conversation');

    // 2
    const place = `${hex(conversation)} ${hex(header.sender)} ${hex(header.senderDevice)}`;
    const last = this.counters.get(place) ?? { shown: 0n, proven: 0n };
    const { counter } = header;
    if (counter <= last.proven) refuse('row: replay');
    if (counter <= last.shown) alarms.push('replay');
    if (counter > last.shown + 1n) alarms.push('gap');
    const isNext = counter === last.shown + 1n;
    if (isNext) this.counters.set(place, { ...last, shown: counter });

    // 3: nothing to read, and no reason for alarm.
    const isOwn = equal(header.sender, this.me.user) && equal(header.senderDevice, this.me.device);
    if (isOwn) this.counters.set(place, { shown: counter, proven: counter });
    if (isOwn || row.content === undefined || row.wrap === undefined) {
      this.hashes.set(`${hex(conversation)} ${row.seq}`, envHashOf(header.bytes, row.contentHash));
      return { header, alarms };
    }

    // 4
    const senderList = this.list(header.sender, header.senderVersion);
    const listed = deviceOf(senderList, header.senderDevice) ?? refuse('row: its device is not listed');
    const recipientList = this.list(header.recipient, header.recipientVersion);
    if (!equal(header.listDigest, listDigest(senderList, recipientList))) alarms.push('other lists');
    const sender = peerOf(senderList, listed);
    const now = deviceOf(this.lists.get(hex(header.sender)).at(-1), header.senderDevice);
    if (!now || !equal(now.signingKey, sender.dsk) || !equal(now.identityKey, sender.dik)) alarms.push('removed');

    // 5
    const wrap = decode(row.wrap, WrapPayload);
    const found = this.#sessionFor(wrap, sender);
    const decrypted = found.session.decrypt(wrap.message);

    // 6
    const payload = parseWrapPayload(decrypted.plain);
    const hash = envHash(header.bytes, row.content);
    if (!equal(payload.envHash, hash)) refuse('row: env_hash');
    this.addSession(sender, wrap.session, decrypted.session);
    for (const [secrets, id] of found.usedUp) secrets.delete(id);

    // 7
    const isForMe = equal(header.recipient, this.me.user);
    const isMine = equal(header.sender, this.me.user) && !equal(header.senderDevice, this.me.device);
    if (!isForMe && !isMine) refuse('row: for somebody else');

    // 8
    const content = openContent(header, row.content, payload.contentKey);
    this.counters.set(place, { shown: counter > last.shown ? counter : last.shown, proven: counter });

    // 9
    if (content.after) {
      const { seq, envHash: seen } = content.after;
      if (seq === 0n || seq >= row.seq) refuse('content: after');
      const held = this.hashes.get(`${hex(conversation)} ${seq}`);
      if (held && !equal(held, seen)) alarms.push('views differ');
    }
    this.hashes.set(`${hex(conversation)} ${row.seq}`, hash);
    return { header, content, alarms, wrap, plain: decrypted.plain, answered: found.answered };
  }

  // A known session, or the one that the handshake sets up, with the one-time secrets that this uses up.
  #sessionFor(wrap, sender) {
    const known = this.session(sender, wrap.session);
    if (known) {
      if (!equal(known.peer.dik, sender.dik) || !equal(known.peer.dsk, sender.dsk)) refuse('row: session of other keys');
      return { session: known.session, usedUp: [] };
    }
    const { handshake } = wrap;
    if (!handshake) refuse('row: unknown session');
    if (![1, 2].includes(handshake.pqKind)) refuse('handshake: kind');
    const { spk, opk, pqlr, pqopk } = this.prekeys;
    const secret = (secrets, id) => ({ id, secret: secrets.get(id) ?? refuse('handshake: no such prekey') });
    const pqs = handshake.pqKind === 1 ? pqopk : pqlr;
    const pq = secret(pqs, handshake.pqId);
    const secrets = {
      spk: secret(spk, handshake.spkId),
      opk: handshake.opkId === 0 ? undefined : secret(opk, handshake.opkId),
      pq: { ...pq, key: kemPublic(pq.secret) },
    };
    const { ratchetKey } = parseMessage(wrap.message);
    const answered = answer({ handshake, ratchetKey, a: sender, b: this.me, dikSecret: this.dikSecret, secrets });
    if (!equal(answered.sid, wrap.session)) refuse('handshake: sid');
    const usedUp = [
      ...(handshake.opkId ? [[opk, handshake.opkId]] : []),
      ...(pqs === pqopk ? [[pqopk, handshake.pqId]] : []),
    ];
    return { session: answered.session, usedUp, answered: { ...answered, spk: x25519Public(secrets.spk.secret) } };
  }
}
