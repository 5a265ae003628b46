// keccak256 and blake3, as the base chain and the journal use them.

import { blake3 as nobleBlake3, keccak_256 } from "../vendor/noble.js";
import { concat, toBytes, utf8 } from "./bytes.js";

export function keccak(bytes) {
  return keccak_256(bytes);
}

/** keccak256 over whole words, as `abi.encode` lays them out. A number becomes its word. */
export function keccakWords(words) {
  return keccak(
    concat(words.map((word) => (word instanceof Uint8Array ? word : toBytes(word, 32)))),
  );
}

export function keccakText(text) {
  return keccak(utf8(text));
}

export function blake3(bytes) {
  return nobleBlake3(bytes);
}

/** The word of an address: 12 zero bytes before it. */
export function addressWord(address) {
  return concat([new Uint8Array(12), address]);
}
