// Words: elements of BN254's scalar field as BigInt below R, 32 big-endian bytes outside.

import { toBytes, toHex, toNumber } from "./bytes.js";

/** The order r of BN254's scalar field. */
export const R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001n;
/** The modulus of its base field, in which coordinates are. */
export const P = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47n;

/** The word of 32 bytes, or `undefined` if they are no canonical one. */
export function wordOf(bytes) {
  const word = toNumber(bytes);
  return word < R ? word : undefined;
}

export function wordBytes(word) {
  return toBytes(word, 32);
}

/** As a report shows it. */
export function showWord(word) {
  return toHex(wordBytes(word));
}

/** A canonical element, the next 32 bytes of a reader. */
export function readWord(reader) {
  const read = (from) => from.take(32);
  return reader.map("a field element below the BN254 scalar order", read, wordOf);
}

/** The first 31 bytes of a digest as a number: 248 bits always lie below r. */
export function fromDigest(digest) {
  return toNumber(digest.subarray(0, 31));
}
