// Reading canonical bytes: fixed-width big-endian fields, checked before use.
//
// The twin of `model::bytes`, down to the sentences: what one program names, the other names, too.

/** Bytes that end too early, too late, or hold a field out of range. */
export class DecodeError extends Error {
  static length({ offset, expected, found }) {
    return new DecodeError(`expected ${expected} more bytes at offset ${offset}, found ${found}`);
  }

  static field({ offset, expected }) {
    return new DecodeError(`expected ${expected} at offset ${offset}, found another value`);
  }
}

/** Walks over bytes field by field. Whole numbers of 64 bits are BigInt, shorter ones Number. */
export class Reader {
  #bytes;
  #view;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset() {
    return this.#at;
  }

  get remaining() {
    return this.#bytes.length - this.#at;
  }

  /** The next bytes, not copied. Nothing is allocated before the length is checked. */
  take(length) {
    const found = this.remaining;
    if (found < length) {
      throw DecodeError.length({ offset: this.#at, expected: length, found });
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  u32() {
    this.take(4);
    return this.#view.getUint32(this.#at - 4);
  }

  u64() {
    this.take(8);
    return this.#view.getBigUint64(this.#at - 8);
  }

  /** A count of items of at least so many bytes: never more than the rest could hold. */
  count(itemBytes) {
    const offset = this.#at;
    const count = this.u32();
    // Below 2^53 whatever the file says: a count has 32 bits and items are short.
    const expected = count * itemBytes;
    const found = this.remaining;
    if (expected > found) throw DecodeError.length({ offset, expected, found });
    return count;
  }

  /** A field that `make` maps to its type; `undefined` where it has no such value. */
  map(expected, read, make) {
    const offset = this.#at;
    const made = make(read(this));
    if (made === undefined) throw DecodeError.field({ offset, expected });
    return made;
  }

  finish() {
    const found = this.remaining;
    if (found > 0) throw DecodeError.length({ offset: this.#at, expected: 0, found });
  }
}

/** `0x` and two lower-case digits a byte. */
export function toHex(bytes) {
  let text = "0x";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** Bytes of hex with an optional `0x`, of exactly `length` if that is given; else an error. */
export function fromHex(text, length) {
  const digits = typeof text === "string" ? text.replace(/^0x/, "") : "?";
  const isHex = digits.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(digits);
  if (!isHex || (length !== undefined && digits.length !== 2 * length)) {
    const expected = length === undefined ? "hex digits in pairs" : `${2 * length} hex digits`;
    throw new DecodeError(`expected ${expected}, found other text`);
  }
  const bytes = new Uint8Array(digits.length / 2);
  // One by one and without a list of all pairs: an answer of a node may be megabytes long.
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = parseInt(digits.slice(2 * at, 2 * at + 2), 16);
  }
  return bytes;
}

export function areEqual(a, b) {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

export function concat(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A number as `width` big-endian bytes. One that does not fit is this program's own mistake. */
export function toBytes(number, width) {
  const bytes = new Uint8Array(width);
  let rest = BigInt(number);
  const isOut = rest < 0n;
  for (let at = width - 1; at >= 0 && rest > 0n; at--, rest >>= 8n) bytes[at] = Number(rest & 255n);
  if (isOut || rest > 0n) throw new RangeError(`expected a number of ${width} bytes`);
  return bytes;
}

/** The number that big-endian bytes hold. */
export function toNumber(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let number = 0n;
  let at = 0;
  // Eight at once: of a file's leaves there may be two millions.
  for (; at + 8 <= bytes.length; at += 8) number = (number << 64n) | view.getBigUint64(at);
  for (; at < bytes.length; at++) number = (number << 8n) | BigInt(bytes[at]);
  return number;
}

/** Bytes that text is in UTF-8. */
export function utf8(text) {
  return new TextEncoder().encode(text);
}
