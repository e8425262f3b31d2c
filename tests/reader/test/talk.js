// Plays `talk.json`: what devices were given, step by step, and what they read.
import assert from 'node:assert/strict';
import { equal, hex, unhex } from '../src/bytes.js';
import { Device, peerOf } from '../src/device.js';
import { deviceOf, mayFollow, verifyList } from '../src/lists.js';
import { verifyBundle } from '../src/prekeys.js';
import { x25519Public } from '../src/primitives.js';
import { parseMessage, Session } from '../src/ratchet.js';

const secrets = (byId) => new Map(Object.entries(byId).map(([id, secret]) => [Number(id), unhex(secret)]));

export class Talk {
  constructor({ devices, steps }) {
    this.recorded = devices;
    this.steps = steps;
    this.lists = new Map(); // what the relay gives to whoever asks
    this.devices = new Map();
    this.rewritten = 0; // wraps that the sender's side was seen to write with the same bytes
    this.begun = new Map(); // ratchet keys of sessions that nobody has answered yet
  }

  // `onRow({ device, conversation, row, step })` before a row is read, `afterRow(…, read)` afterwards, `onBundle(bundle, list,
  // device)` when the relay hands out prekeys.
  play({ onRow, afterRow, onBundle } = {}) {
    for (const step of this.steps) {
      switch (step.do) {
        case 'list': this.#list(unhex(step.list)); break;
        case 'bundle': this.#bundle(step, onBundle); break;
        case 'begin': this.begun.set(step.sid, unhex(step.ratchet_secret)); break;
        case 'turn': this.#turn(step); break;
        case 'row': this.#row(step, onRow, afterRow); break;
        default: throw new Error(`no such step: ${step.do}`);
      }
    }
  }

  #list(encoded) {
    const list = verifyList(encoded);
    const known = this.lists.get(hex(list.user)) ?? [];
    if (known.length > 0) mayFollow(known.at(-1), list);
    this.lists.set(hex(list.user), [...known, list]);
  }

  device(id) {
    if (this.devices.has(id)) return this.devices.get(id);
    const { user, dik_secret, prekeys } = this.recorded.find(({ device }) => device === id);
    const list = this.lists.get(user).find((one) => deviceOf(one, unhex(id)));
    const device = new Device({
      me: peerOf(list, deviceOf(list, unhex(id))),
      dikSecret: unhex(dik_secret),
      prekeys: Object.fromEntries(Object.entries(prekeys).map(([kind, byId]) => [kind, secrets(byId)])),
      lists: this.lists,
    });
    this.devices.set(id, device);
    return device;
  }

  #bundle({ now_ms, device, spk, opk, pq, pq_kind }, onBundle) {
    const { user } = this.recorded.find((one) => one.device === device);
    const bundle = { spk: unhex(spk), opk: opk === null ? undefined : unhex(opk), pq: unhex(pq), pqKind: pq_kind };
    const list = this.lists.get(user).at(-1);
    verifyBundle(bundle, list, unhex(device), BigInt(now_ms));
    onBundle?.(bundle, list, unhex(device), BigInt(now_ms));
  }

  // A device draws its next ratchet key, to write with.
  #turn({ by, with: peerId, sid, ratchet_secret }) {
    const [me, peer] = [this.device(by), this.device(peerId).me];
    const { session } = me.session(peer, unhex(sid));
    me.addSession(peer, unhex(sid), session.turn(unhex(ratchet_secret)));
  }

  #row(step, onRow, afterRow) {
    const device = this.device(step.to);
    const shown = { device, conversation: unhex(step.conversation), row: unhex(step.row), step };
    onRow?.(shown);
    const read = device.open(shown.conversation, shown.row);
    if (read.content) this.#compareWritten(device, read);
    afterRow?.(shown, read);
  }

  // The sender's side of the session comes to the same bytes, if it is still in that chain.
  #compareWritten(reader, { header, wrap, plain, answered }) {
    const sender = this.device(hex(header.senderDevice));
    const sid = wrap.session;
    if (answered) {
      const session = Session.initiator(answered.rootKey, this.begun.get(hex(sid)), answered.spk);
      sender.addSession(reader.me, sid, session);
    }
    let { session } = sender.session(reader.me, sid);
    const { ratchetKey, index } = parseMessage(wrap.message);
    if (!session.sending || !equal(x25519Public(session.own), ratchetKey)) return;
    while (session.sending.index < index) ({ session } = session.encrypt(new Uint8Array()));
    assert.deepEqual(session.encrypt(plain).encoded, wrap.message);
    this.rewritten += 1;
  }
}
