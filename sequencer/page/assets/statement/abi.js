// What the settlement contract's calls, answers and events are in bytes. Nothing is decided here.

import { DecodeError, concat, toHex, toNumber } from "./bytes.js";
import { keccakText } from "./hashes.js";
import { HEADER_BYTES, decodeHeader } from "./header.js";

const WORD = 32;
const FORCED = "(uint256,uint256,uint256)";
const HEADER =
  `(uint256,uint256,bytes32,uint256,uint256,uint256,uint256,${FORCED},bytes32,bytes32,` +
  "uint256,uint256,uint256,uint256,uint256,uint256,bytes32,uint256,bytes32,bytes32,uint256," +
  "bytes32,uint256,uint256)";
const OPERATIONS = "(bytes32,uint256,uint256,uint256,uint256,uint256,uint256[8])";
const CLAIMS = "(bytes32,uint256,uint256,uint256,uint256,uint256,uint256,uint256[8])";
const OPERATIONS_WORDS = 6 + 8;
const CLAIMS_WORDS = 7 + 8;
/** Most batches of one call: each needs a header, and a transaction is shorter than that. */
const BATCHES_MAX = 1000;

/** First topic of the event that a batch is settled. */
export const BATCH_SETTLED = toHex(keccakText(`BatchSettled(uint256,bytes32,${HEADER},uint256)`));

/** The first bytes of a call that settles batches. */
export const SETTLE = selector(`settle((${HEADER},${OPERATIONS}[],${CLAIMS}[],bytes)[])`);

function selector(signature) {
  return keccakText(signature).slice(0, 4);
}

/** The data of a call to a view, with 32-byte arguments. */
export function callData(signature, words = []) {
  return toHex(concat([selector(signature), ...words]));
}

/** The words of an answer, exactly so many. */
export function answerWords(bytes, count) {
  if (bytes.length !== WORD * count) {
    throw new DecodeError(`expected an answer of ${count} words, found ${bytes.length} bytes`);
  }
  return Array.from({ length: count }, (_, at) => bytes.subarray(WORD * at, WORD * at + WORD));
}

/** A word that holds a number below 2^64. */
export function smallNumber(word) {
  const number = toNumber(word);
  if (number >> 64n === 0n) return number;
  throw new DecodeError(`expected a number below 2^64, found ${number}`);
}

/** A word that holds an address. */
export function addressOf(word) {
  if (word.subarray(0, 12).every((byte) => byte === 0)) return word.slice(12);
  throw new DecodeError("expected an address, found a longer number");
}

/** Header, hash and lateness of a `BatchSettled` event from its topics and data. */
export function decodeSettled(topics, data) {
  if (topics.length !== 3) throw new DecodeError(`expected 3 topics, found ${topics.length}`);
  if (data.length !== HEADER_BYTES + WORD) {
    throw new DecodeError(`expected ${HEADER_BYTES + WORD} bytes of event, found ${data.length}`);
  }
  return {
    header: decodeHeader(data.subarray(0, HEADER_BYTES)),
    headerHash: topics[2],
    latenessMs: smallNumber(data.subarray(HEADER_BYTES)),
  };
}

/** Headers and chunks that the calldata of a `settle` carries, in order. */
export function decodeSettleCall(calldata) {
  const found = calldata.slice(0, 4);
  if (toHex(found) !== toHex(SETTLE)) {
    throw new DecodeError(`expected a call of settle, found ${toHex(found)}`);
  }
  const body = calldata.subarray(4);
  const list = offsetAt(body, 0);
  const first = list + WORD;
  // Offsets may lead many batches to one list, and so make more chunks than there are bytes for.
  const room = { chunks: Math.floor(calldata.length / (WORD * OPERATIONS_WORDS)) };
  return Array.from({ length: countAt(body, list, WORD) }, (_, at) => {
    const begin = first + offsetAt(body, first + WORD * at);
    return decodeBatch(body, begin, room);
  });
}

function decodeBatch(body, begin, room) {
  const header = decodeHeader(slice(body, begin, HEADER_BYTES));
  const operationsAt = begin + offsetAt(body, begin + HEADER_BYTES);
  const claimsAt = begin + offsetAt(body, begin + HEADER_BYTES + WORD);
  return {
    header,
    operations: chunksAt(body, operationsAt, { words: OPERATIONS_WORDS, room }).map((words) => ({
      keyId: words[0],
      rootOut: toNumber(words[1]),
      timeOut: toNumber(words[2]),
      operations: toNumber(words[3]),
      enrolments: toNumber(words[4]),
      root: toNumber(words[5]),
      proof: concat(words.slice(6)),
    })),
    claims: chunksAt(body, claimsAt, { words: CLAIMS_WORDS, room }).map((words) => ({
      keyId: words[0],
      root: toNumber(words[1]),
      access: toNumber(words[2]),
      collect: toNumber(words[3]),
      breakGlass: toNumber(words[4]),
      excluded: toNumber(words[5]),
      edgeOut: toNumber(words[6]),
      proof: concat(words.slice(7)),
    })),
  };
}

function chunksAt(body, at, { words, room }) {
  const bytes = WORD * words;
  const count = countAt(body, at, bytes);
  room.chunks -= count;
  if (room.chunks < 0) throw new DecodeError("found more chunks than the calldata has room for");
  return Array.from({ length: count }, (_, chunk) =>
    answerWords(slice(body, at + WORD + bytes * chunk, bytes), words),
  );
}

function slice(bytes, begin, length) {
  if (begin + length > bytes.length) {
    throw new DecodeError(`expected ${length} bytes at offset ${begin}, found the end`);
  }
  return bytes.subarray(begin, begin + length);
}

/** An offset within the bytes: a stranger's number leads nowhere else. */
function offsetAt(bytes, at) {
  const offset = toNumber(slice(bytes, at, WORD));
  if (offset > BigInt(bytes.length)) throw new DecodeError(`found an offset beyond the end: ${at}`);
  return Number(offset);
}

/** A count that the rest can hold. */
function countAt(bytes, at, itemBytes) {
  const count = toNumber(slice(bytes, at, WORD));
  const rest = bytes.length - at - WORD;
  if (count > BigInt(BATCHES_MAX) || Number(count) * itemBytes > rest) {
    throw new DecodeError(`found a count beyond the end: ${count}`);
  }
  return Number(count);
}
