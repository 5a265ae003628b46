// The public file of a batch (SPEC.md section 13): header, proofs, leaf commitments, segment
// digests and journal groups. The twin of `statement::batch::public`.

import { DecodeError, Reader, areEqual, utf8 } from "./bytes.js";
import { readWord } from "./field.js";
import { HEADER_BYTES, HeaderError, decodeHeader } from "./header.js";
import { BATCH_FILE_BYTES_MAX, SEGMENT_BYTES_MAX_LEAST } from "./limits.js";
import { PROOF_BYTES } from "./proof.js";

const MAGIC = utf8("VTLBPUB");
const VERSION = 2;
const WHAT = "public batch file";
/** Fewest bytes of a chunk with one leaf, rounded down: they bound what a count can ask for. */
const OPERATIONS_CHUNK_BYTES_MIN = 400;
const CLAIMS_CHUNK_BYTES_MIN = 380;
const DIGEST_BYTES = 31;
const SEGMENT_BYTES = DIGEST_BYTES + 8;
const GROUP_BYTES = 3 * 8 + 32;
const FIRST_VERSION =
  "nothing of the first version is converted: its contract takes proofs of " +
  "the first circuits only, and its consents are signed for that contract; keep it with the " +
  "release that wrote it and deploy anew";

/** Bytes that are no public file: `section` is where, as reports name it. */
export class FileError extends Error {
  constructor(section, message) {
    super(message);
    this.section = section;
  }
}

/** Reads canonical bytes; what they say is not checked here. */
export function decodeFile(bytes) {
  // Whoever serves the file is not trusted: size and magic stand before any allocation.
  if (bytes.length > BATCH_FILE_BYTES_MAX) throw new FileError("size", `${bytes.length} bytes`);
  const reader = new Reader(afterMagic(bytes));
  const within = (section, read) => {
    try {
      return read(reader);
    } catch (error) {
      if (error instanceof DecodeError || error instanceof HeaderError) {
        throw new FileError(section, error.message);
      }
      throw error;
    }
  };
  // In the order of the file: each list begins where the one before ended.
  return {
    header: within("header", (from) => decodeHeader(from.take(HEADER_BYTES))),
    operations: within("operations", (from) =>
      readList(from, OPERATIONS_CHUNK_BYTES_MIN, readOperations),
    ),
    claims: within("claims", (from) => readList(from, CLAIMS_CHUNK_BYTES_MIN, readClaims)),
    segments: within("segments", readSegments),
    // With what follows the last group: bytes behind it are damage of this section.
    groups: within("groups", (from) => {
      const groups = readList(from, GROUP_BYTES, readGroup);
      from.finish();
      return groups;
    }),
  };
}

/** The bytes where a file has its header, as they are; `undefined` if it is too short for one. */
export function headerBytesOf(bytes) {
  const found = bytes.subarray(MAGIC.length + 1, MAGIC.length + 1 + HEADER_BYTES);
  return found.length === HEADER_BYTES ? found : undefined;
}

function afterMagic(bytes) {
  const isOurs = bytes.length >= 8 && areEqual(bytes.subarray(0, 7), MAGIC);
  if (isOurs && bytes[7] === VERSION) return bytes.subarray(8);
  if (isOurs && bytes[7] === 1) {
    throw new FileError("format", `found a ${WHAT} of format version 1: ${FIRST_VERSION}`);
  }
  throw new FileError(
    "format",
    `expected a ${WHAT} of format version ${VERSION}, found other leading bytes`,
  );
}

function readList(reader, itemBytes, read) {
  // Compared with what is left of the file, so that a stranger's number makes no longer list.
  const count = reader.count(itemBytes);
  return Array.from({ length: count }, () => read(reader));
}

function readOperations(reader) {
  return {
    keyId: reader.take(32),
    rootOut: readWord(reader),
    timeOut: reader.u64(),
    operations: reader.u32(),
    enrolments: reader.u32(),
    root: readWord(reader),
    proof: reader.take(PROOF_BYTES),
    leaves: readList(reader, 32, readWord),
  };
}

function readClaims(reader) {
  return {
    keyId: reader.take(32),
    root: readWord(reader),
    access: reader.u32(),
    collect: reader.u32(),
    breakGlass: reader.u32(),
    excluded: reader.u32(),
    edgeOut: readWord(reader),
    proof: reader.take(PROOF_BYTES),
    leaves: readList(reader, 32, readWord),
  };
}

/**
 * Segments stay the bytes that they are, which is what the header commits to: a file can hold more
 * than a million of them, and a value for each would cost gigabytes.
 */
function readSegments(reader) {
  const read = (from) => {
    const count = from.count(SEGMENT_BYTES);
    const begin = from.offset;
    const bytes = from.take(count * SEGMENT_BYTES);
    return { count, bytes, bytesMax: sumOfSizes({ count, bytes }, begin) };
  };
  // Another order would tell what belongs together, and one segment twice is none.
  const inOrder = (segments) => (areSorted(segments) ? segments : undefined);
  return reader.map("segments by ascending digest", read, inOrder);
}

/** What they have together at most; each is said by a power of two. */
function sumOfSizes({ count, bytes }, begin) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let sum = 0n;
  for (let at = DIGEST_BYTES; at < count * SEGMENT_BYTES; at += SEGMENT_BYTES) {
    const max = view.getBigUint64(at);
    if (max < SEGMENT_BYTES_MAX_LEAST || (max & (max - 1n)) !== 0n) {
      const expected = "a power of two from 65536 on";
      throw DecodeError.field({ offset: begin + at, expected });
    }
    sum += max;
  }
  return sum;
}

function areSorted({ count, bytes }) {
  for (let at = SEGMENT_BYTES; at < count * SEGMENT_BYTES; at += SEGMENT_BYTES) {
    if (!isBelow(bytes, at - SEGMENT_BYTES, at)) return false;
  }
  return true;
}

/** Whether the digest at one place is below that at another. */
function isBelow(bytes, one, other) {
  for (let at = 0; at < DIGEST_BYTES; at++) {
    if (bytes[one + at] !== bytes[other + at]) return bytes[one + at] < bytes[other + at];
  }
  return false;
}

function readGroup(reader) {
  return {
    number: reader.u64(),
    first: reader.u64(),
    last: reader.u64(),
    content: reader.take(32),
  };
}
