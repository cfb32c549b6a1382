/** The writing half of `wire.ts`: one growing buffer, reused for every message because encoding never awaits. */

const encoder = new TextEncoder();

export class Writer {
  #buffer = new Uint8Array(1 << 16);
  #at = 0;

  #room(length: number): void {
    if (this.#at + length <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.#at + length));
    grown.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = grown;
  }

  #raw(value: number): void {
    this.#room(10);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#at++] = rest;
  }

  varint(field: number, value: number): void {
    this.#raw(field * 8);
    this.#raw(value);
  }

  /** Negative 32-bit numbers are written as ten bytes of two's complement, as protobuf demands. */
  int(field: number, value: number): void {
    this.#raw(field * 8);
    if (value >= 0) return this.#raw(value);
    this.#room(10);
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest >= 0x80n) {
      this.#buffer[this.#at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#at++] = Number(rest);
  }

  bytes(field: number, value: Uint8Array): void {
    this.#raw(field * 8 + 2);
    this.#raw(value.length);
    this.#room(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  text(field: number, value: string): void {
    if (value.length < 128) {
      this.#raw(field * 8 + 2);
      this.#room(value.length + 1);
      const start = this.#at;
      this.#buffer[this.#at++] = value.length;
      for (let at = 0; at < value.length; at++) {
        const unit = value.charCodeAt(at);
        if (unit > 0x7f) {
          this.#at = start;
          return this.#tail(encoder.encode(value));
        }
        this.#buffer[this.#at++] = unit;
      }
      return;
    }
    this.#raw(field * 8 + 2);
    this.#tail(encoder.encode(value));
  }

  #tail(value: Uint8Array): void {
    this.#raw(value.length);
    this.#room(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  /** A nested message: one byte is kept for its length and widened when the message turns out longer. */
  nested(field: number, body: () => void): void {
    this.#raw(field * 8 + 2);
    this.#room(1);
    const mark = this.#at++;
    body();
    const length = this.#at - mark - 1;
    if (length < 0x80) {
      this.#buffer[mark] = length;
      return;
    }
    let extra = 0;
    for (let rest = Math.floor(length / 0x80); rest > 0; rest = Math.floor(rest / 0x80)) extra++;
    this.#room(extra);
    this.#buffer.copyWithin(mark + 1 + extra, mark + 1, this.#at);
    const end = this.#at + extra;
    this.#at = mark;
    this.#raw(length);
    this.#at = end;
  }

  /** Runs `body` at the end of the buffer and hands out a copy of what it wrote. */
  take(body: (writer: Writer) => void): Uint8Array<ArrayBuffer> {
    const start = this.#at;
    try {
      body(this);
      return this.#buffer.slice(start, this.#at);
    } finally {
      this.#at = start;
    }
  }
}

const shared = new Writer();

/** The bytes that `body` writes. */
export function pooled(body: (writer: Writer) => void): Uint8Array<ArrayBuffer> {
  return shared.take(body);
}
