/**
 * Protocol Buffers (proto3 wire format, https://protobuf.dev/programming-guides/encoding/) from a table of fields.
 * One row per field gives encoder, decoder and TypeScript type; no generated code, so that a browser carries a few
 * kilobytes and the hot path of the ledger does not pay for reflection. Fields are written in the order of the row
 * list (ascending numbers) and maps in key order, so equal values give equal bytes. Unknown fields are skipped on
 * reading: bytes under a signature are therefore kept as received and never encoded anew.
 */
import { CodedError } from '#base/errors.ts';
import { pooled, type Writer } from './wire-writer.ts';

interface Codec<T> {
  readonly many: boolean;
  initial(): T;
  write(writer: Writer, value: T, field: number): void;
  /** Reads one occurrence and returns the field's new value (repeated fields append). */
  read(reader: Reader, wireType: number, before: T): T;
}

export interface Field<T> extends Codec<T> {
  readonly number: number;
}

type Fields = Readonly<Record<string, Field<never> | Field<unknown>>>;
type Whole<F> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** Any part of a message, at every depth; what is left out is the proto3 default. */
export type Draft<T> = T extends Uint8Array | string | number | boolean | undefined
  ? T
  : T extends ReadonlyMap<infer K, infer V>
    ? ReadonlyMap<K, Draft<V>>
    : T extends readonly (infer U)[]
      ? readonly Draft<U>[]
      : { readonly [K in keyof T]?: Draft<T[K]> | undefined };

/** One message type: `T` is what decoding gives. */
export interface Message<T> {
  encode(value: Draft<T>): Uint8Array<ArrayBuffer>;
  /** Byte fields are views into `bytes`. Throws LEDGER_MALFORMED. */
  decode(bytes: Uint8Array): T;
  writeTo(writer: Writer, value: Draft<T>): void;
}

/** The decoded type of a message. */
export type Of<M> = M extends Message<infer T> ? T : never;

export interface Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
}

const malformed = (why: string): CodedError => new CodedError('LEDGER_MALFORMED', 'The bytes are not the protobuf message they should be.', { why });

function readVarint(reader: Reader): number {
  const { bytes } = reader;
  let value = 0;
  let factor = 1;
  for (let count = 0; count < 10; count++) {
    if (reader.at >= reader.end) throw malformed('A varint is cut off.');
    const byte = bytes[reader.at++] as number;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
    factor *= 128;
  }
  throw malformed('A varint is longer than ten bytes.');
}

/** Signed 32-bit integers and enums travel as 64-bit two's complement; the low 32 bits carry the value. */
function readInt(reader: Reader): number {
  const { bytes } = reader;
  let low = 0;
  for (let count = 0; count < 10; count++) {
    if (reader.at >= reader.end) throw malformed('A varint is cut off.');
    const byte = bytes[reader.at++] as number;
    if (count < 5) low |= (byte & 0x7f) << (7 * count);
    if (byte < 0x80) return low;
  }
  throw malformed('A varint is longer than ten bytes.');
}

function readBytes(reader: Reader, wireType: number): Uint8Array {
  if (wireType !== 2) throw malformed('A length-delimited field has another wire type.');
  const length = readVarint(reader);
  const start = reader.at;
  if (length > reader.end - start) throw malformed('A field is longer than its message.');
  reader.at = start + length;
  return reader.bytes.subarray(start, start + length);
}

function skip(reader: Reader, wireType: number): void {
  if (wireType === 0) readVarint(reader);
  else if (wireType === 2) readBytes(reader, 2);
  else if (wireType === 1) reader.at += 8;
  else if (wireType === 5) reader.at += 4;
  else throw malformed('A field has an unknown wire type.');
  if (reader.at > reader.end) throw malformed('A field is cut off.');
}

const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function toText(bytes: Uint8Array): string {
  if (bytes.length <= 80) {
    let text = '';
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (byte > 0x7f) return decodeText(bytes);
      text += String.fromCharCode(byte);
    }
    return text;
  }
  return decodeText(bytes);
}

function decodeText(bytes: Uint8Array): string {
  try {
    return utf8Decoder.decode(bytes);
  } catch {
    throw malformed('A string field is not UTF-8.');
  }
}

const EMPTY = new Uint8Array(0);
const expectVarint = (wireType: number): void => {
  if (wireType !== 0) throw malformed('A varint field has another wire type.');
};

/** `string` */
export const str = (number: number): Field<string> => ({
  number,
  many: false,
  initial: () => '',
  write: (writer, value, field) => {
    if (value !== '') writer.text(field, value);
  },
  read: (reader, wireType) => toText(readBytes(reader, wireType)),
});

/** `bytes` */
export const bytes = (number: number): Field<Uint8Array> => ({
  number,
  many: false,
  initial: () => EMPTY,
  write: (writer, value, field) => {
    if (value.length > 0) writer.bytes(field, value);
  },
  read: (reader, wireType) => readBytes(reader, wireType),
});

/** `uint32`, `uint64` up to 2^53, and non-negative `int64` */
export const uint = (number: number): Field<number> => ({
  number,
  many: false,
  initial: () => 0,
  write: (writer, value, field) => {
    if (value !== 0) writer.varint(field, value);
  },
  read: (reader, wireType) => {
    expectVarint(wireType);
    return readVarint(reader);
  },
});

/** `int32` and enums */
export const int = (number: number): Field<number> => ({
  number,
  many: false,
  initial: () => 0,
  write: (writer, value, field) => {
    if (value !== 0) writer.int(field, value);
  },
  read: (reader, wireType) => {
    expectVarint(wireType);
    return readInt(reader);
  },
});

/** A member of a oneof, or an `optional` number: zero is written too. */
export const optionalInt = (number: number): Field<number | undefined> => ({
  number,
  many: false,
  initial: () => undefined,
  write: (writer, value, field) => {
    if (value !== undefined) writer.int(field, value);
  },
  read: (reader, wireType) => {
    expectVarint(wireType);
    return readInt(reader);
  },
});

/** `bool` */
export const bool = (number: number): Field<boolean> => ({
  number,
  many: false,
  initial: () => false,
  write: (writer, value, field) => {
    if (value) writer.varint(field, 1);
  },
  read: (reader, wireType) => {
    expectVarint(wireType);
    return readVarint(reader) !== 0;
  },
});

type Lazy<T> = Message<T> | (() => Message<T>);
const force = <T>(message: Lazy<T>): Message<T> => (typeof message === 'function' ? message() : message);

/** A message field; a function names a type that is defined further down or is this one. */
export const sub = <T>(number: number, message: Lazy<T>): Field<T | undefined> => ({
  number,
  many: false,
  initial: () => undefined,
  write: (writer, value, field) => {
    if (value !== undefined) writer.nested(field, () => force(message).writeTo(writer, value as Draft<T>));
  },
  read: (reader, wireType) => force(message).decode(readBytes(reader, wireType)),
});

/** `repeated` message */
export const list = <T>(number: number, message: Lazy<T>): Field<readonly T[]> => ({
  number,
  many: true,
  initial: () => [],
  write: (writer, value, field) => {
    for (const item of value) writer.nested(field, () => force(message).writeTo(writer, item as Draft<T>));
  },
  read: (reader, wireType, before) => {
    (before as T[]).push(force(message).decode(readBytes(reader, wireType)));
    return before;
  },
});

/** `repeated bytes` */
export const bytesList = (number: number): Field<readonly Uint8Array[]> => ({
  number,
  many: true,
  initial: () => [],
  write: (writer, value, field) => {
    for (const item of value) writer.bytes(field, item);
  },
  read: (reader, wireType, before) => {
    (before as Uint8Array[]).push(readBytes(reader, wireType));
    return before;
  },
});

/** `repeated string` */
export const strList = (number: number): Field<readonly string[]> => ({
  number,
  many: true,
  initial: () => [],
  write: (writer, value, field) => {
    for (const item of value) writer.text(field, item);
  },
  read: (reader, wireType, before) => {
    (before as string[]).push(toText(readBytes(reader, wireType)));
    return before;
  },
});

/** `map<string, V>`, written in key order */
export const dict = <V>(number: number, valueField: Field<V>): Field<ReadonlyMap<string, V>> => {
  const key = str(1);
  return {
    number,
    many: true,
    initial: () => new Map(),
    write: (writer, value, field) => {
      for (const name of [...value.keys()].sort()) {
        writer.nested(field, () => {
          key.write(writer, name, 1);
          valueField.write(writer, value.get(name) as V, 2);
        });
      }
    },
    read: (reader, wireType, before) => {
      const entry = message({ key, value: { ...valueField, number: 2 } }).decode(readBytes(reader, wireType)) as { key: string; value: V };
      (before as Map<string, V>).set(entry.key, entry.value);
      return before;
    },
  };
};

/** A message type from its rows. */
export function message<const F extends Fields>(fields: F): Message<Whole<F>> {
  const rows = Object.entries(fields).map(([name, field]) => ({ name, field: field as Field<unknown> }));
  const byNumber = new Map(rows.map((row) => [row.field.number, row]));
  const writeTo = (writer: Writer, value: Readonly<Record<string, unknown>>): void => {
    for (const { name, field } of rows) {
      const member = value[name];
      if (member !== undefined) field.write(writer, member, field.number);
    }
  };
  const decode = (source: Uint8Array): Record<string, unknown> => {
    const out: Record<string, unknown> = {};
    for (const { name, field } of rows) out[name] = field.initial();
    const reader: Reader = { bytes: source, at: 0, end: source.length };
    while (reader.at < reader.end) {
      const tag = readVarint(reader);
      const row = byNumber.get(Math.floor(tag / 8));
      if (row === undefined) skip(reader, tag % 8);
      else out[row.name] = row.field.read(reader, tag % 8, out[row.name]);
    }
    return out;
  };
  return { writeTo, encode: (value: Readonly<Record<string, unknown>>) => pooled((writer) => writeTo(writer, value)), decode } as unknown as Message<Whole<F>>;
}
