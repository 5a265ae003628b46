// The header of a batch: 26 words, hashed by the contract as `keccak256(abi.encode(header))`
// (SPEC.md section 8). The twin of `model::BatchHeader`.

import { concat, toBytes, toNumber } from "./bytes.js";
import { wordBytes, wordOf } from "./field.js";
import { keccak } from "./hashes.js";
import { MILLIS_END, WINDOW_MS_MAX } from "./limits.js";

export const HEADER_VERSION = 2n;
export const KEY_VERSION = 2n;

/** A word that is any 32 bytes. */
const RAW = "raw";
/** A word that is a field element. */
const WORD = "word";

/** The words in the contract's order: field, name in reports, bits of its type. */
export const HEADER_WORDS = Object.freeze(
  [
    ["version", "version", 64],
    ["number", "number", 64],
    ["previous", "previous hash", RAW],
    ["t0", "begin of the window", 64],
    ["t1", "end of the window", 64],
    ["rootIn", "root in", WORD],
    ["rootOut", "root out", WORD],
    ["forcedFirst", "first forced stop", 64],
    ["forcedCount", "count of forced stops", 64],
    ["forcedOutcomes", "outcomes of forced stops", RAW],
    ["operationsRoot", "operations root", RAW],
    ["claimsRoot", "claims root", RAW],
    ["operations", "operations", 32],
    ["enrolments", "enrolments", 32],
    ["access", "access claims", 32],
    ["collect", "collect claims", 32],
    ["breakGlass", "break-glass claims", 32],
    ["excluded", "excluded claims", 32],
    ["dataRoot", "data root", RAW],
    ["journalPosition", "journal position", 64],
    ["journalHash", "journal hash", RAW],
    ["registryRoot", "registry root", RAW],
    ["dataSource", "data source", 64],
    ["ciphertextHash", "ciphertext hash", RAW],
    ["ciphertextLength", "ciphertext length", 64],
    ["keyVersion", "key version", 32],
  ].map(([field, name, type]) => Object.freeze({ field, name, type })),
);

export const HEADER_BYTES = 32 * HEADER_WORDS.length;

/** Words that are no header. */
export class HeaderError extends Error {}

/** Reads the canonical bytes. Numbers and roots become BigInt, hashes stay bytes. */
export function decodeHeader(bytes) {
  if (bytes.length !== HEADER_BYTES) {
    throw new HeaderError(`expected ${HEADER_BYTES} bytes of batch header, found ${bytes.length}`);
  }
  const raw = (at) => bytes.slice(32 * at, 32 * at + 32);
  // First: of another version the other words may mean anything.
  if (smallNumber(raw(0), 0, 64) !== HEADER_VERSION) {
    throw new HeaderError("expected batch header version 2, found another");
  }
  const header = {};
  // In the order in which the native twin reads them, so that both name the same word.
  HEADER_WORDS.forEach(({ field, type }, at) => {
    header[field] = decodeWord(raw(at), at, type);
    if (field === "t1") checkWindow(header.t0, header.t1);
    if (field === "dataSource") checkSource(header.dataSource);
  });
  return header;
}

function checkSource(found) {
  if (found > 2n) throw new HeaderError(`expected a data source 0 to 2, found ${found}`);
}

function decodeWord(raw, at, type) {
  if (type === RAW) return raw;
  if (type !== WORD) {
    const number = smallNumber(raw, at, type);
    const isTime = at === 3 || at === 4;
    if (isTime && number >= MILLIS_END) throw new HeaderError(WINDOW_MALFORMED);
    return number;
  }
  const word = wordOf(raw);
  if (word === undefined) throw new HeaderError("a root of the header is malformed");
  return word;
}

const WINDOW_MALFORMED = "the window of the header is malformed";

function checkWindow(t0, t1) {
  if (t1 <= t0 || t1 - t0 > WINDOW_MS_MAX) throw new HeaderError(WINDOW_MALFORMED);
}

function smallNumber(raw, word, bits) {
  const number = toNumber(raw);
  if (number >> BigInt(bits) !== 0n) {
    throw new HeaderError(`expected header word ${word} below 2^${bits}, found a larger value`);
  }
  return number;
}

/** The 32 bytes of each word, in order. */
export function headerWords(header) {
  return HEADER_WORDS.map(({ field, type }) => {
    if (type === RAW) return header[field];
    return type === WORD ? wordBytes(header[field]) : toBytes(header[field], 32);
  });
}

/** The words as bytes: exactly Solidity's `abi.encode(header)`. */
export function encodeHeader(header) {
  return concat(headerWords(header));
}

/** The hash that the contract keeps of a settled header. */
export function headerHash(header) {
  return keccak(encodeHeader(header));
}
