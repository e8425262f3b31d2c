// As much of protobuf 3 as the schemas in protocol/proto use. A schema is { name: [number, type] }.
import { Fields, refuse } from './bytes.js';

const VARINT = 0, I64 = 1, LEN = 2, I32 = 5;

const scalar = (wire, absent, read) => ({ wire, absent, read });

export const u64 = scalar(VARINT, 0n, (value) => value);
// What does not fit is cut off, as protobuf says.
export const u32 = scalar(VARINT, 0, (value) => Number(BigInt.asUintN(32, value)));
export const bool = scalar(VARINT, false, (value) => value !== 0n);
export const bytes = scalar(LEN, new Uint8Array(), (value) => value);
export const text = scalar(LEN, '', (value) => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return refuse('protobuf: not UTF-8');
  }
});

// Absent, not empty.
export const optional = (type) => ({ ...type, absent: undefined });

// Bytes of one length only; `maybe` may be empty as well.
export const fixed = (length) => ({ ...bytes, check: (value) => value.length === length });
export const maybe = (length) => ({ ...bytes, check: (value) => [0, length].includes(value.length) });

export const message = (schema) => ({ wire: LEN, absent: undefined, schema });
export const repeated = (type) => ({ ...type, repeated: true });

// Repeated numbers: one field that holds them all.
export const packed = (type) => ({
  ...scalar(LEN, new Uint8Array(), (value) => {
    const [input, all] = [new Fields(value, 'protobuf'), []];
    while (input.rest.length > 0) all.push(type.read(varint(input)));
    return all;
  }),
  absent: [],
});

function varint(input) {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = input.u8();
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value >> 64n ? refuse('protobuf: varint too long') : value;
  }
  return refuse('protobuf: varint too long');
}

function payload(input, wire) {
  switch (wire) {
    case VARINT: return varint(input);
    case LEN: {
      const length = varint(input);
      return input.take(length > BigInt(input.rest.length) ? refuse('protobuf: too short') : Number(length));
    }
    case I64: return input.take(8);
    case I32: return input.take(4);
    default: return refuse('protobuf: wire type');
  }
}

export function decode(encoded, schema) {
  const input = new Fields(encoded, 'protobuf');
  const found = new Map(Object.keys(schema).map((name) => [name, []]));
  while (input.rest.length > 0) {
    const tag = varint(input);
    const [field, wire] = [tag >> 3n, Number(tag & 7n)];
    if (field === 0n || field >= 1n << 29n) refuse('protobuf: field number');
    const value = payload(input, wire);
    const name = Object.keys(schema).find((key) => BigInt(schema[key][0]) === field);
    if (name === undefined) continue; // of a later version
    if (schema[name][1].wire !== wire) refuse(`protobuf: ${name} has another wire type`);
    found.get(name).push(value);
  }
  return Object.fromEntries([...found].map(([name, values]) => [name, read(name, values, schema[name][1])]));
}

function read(name, values, type) {
  const one = (value) => type.schema ? decode(value, type.schema) : type.read(value);
  const checked = (value) => type.check && !type.check(value) ? refuse(`protobuf: length of ${name}`) : value;
  if (type.repeated) return values.map((value) => checked(one(value)));
  if (values.length > 1) refuse(`protobuf: ${name} stands twice`);
  if (values.length === 0) return type.absent === undefined ? undefined : checked(type.absent);
  return checked(one(values[0]));
}
