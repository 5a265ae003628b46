// The headers from genesis on, from the contract's events alone, and what the contract stores at
// last: what the auditor compares, in its order, under its names.

import { after } from "./batch.js";
import { Broken, equal, equalWords, item } from "./broken.js";
import { KEY_VERSION, headerHash } from "./header.js";
import { BATCH_ENTRIES_MAX } from "./limits.js";

const ZERO = new Uint8Array(32);

/**
 * Follows settled batches from genesis: each has its header, and of its event headerHash,
 * latenessMs and blockTime (BigInt, milliseconds since 1900). `lateAfterMs` only counts.
 */
export function checkHeaders(genesis, settled, lateAfterMs) {
  let previous = genesis;
  const lateness = { maxMs: 0n, lateBatches: 0 };
  for (const one of settled) {
    const lateMs = checkHeader(previous, one);
    if (lateMs > lateness.maxMs) lateness.maxMs = lateMs;
    if (lateMs > lateAfterMs) lateness.lateBatches += 1;
    previous = after(one.header, undefined);
  }
  return lateness;
}

/** What the contract stores against the last header. */
export function checkHead(state, last, lateness) {
  const none = undefined;
  equal(none, item.head("number"), last.number, state.number);
  equal(none, item.head("header hash"), last.hash, state.headHash);
  equalWords(none, item.head("consent root"), last.root, state.root);
  equal(none, item.head("end of the window"), last.t1, state.lastT1);
  equal(none, item.head("journal position"), last.position, state.journalPosition);
  equal(none, item.head("greatest lateness"), lateness.maxMs, state.latenessMaxMs);
}

function checkHeader(previous, settled) {
  const { header } = settled;
  const batch = header.number;
  const of = item.header;
  // The number first: by it every later finding names the batch.
  equal(batch, of("number"), previous.number + 1n, batch);
  // Of the words, not of what the event claims: the next header names this hash.
  equal(batch, of("hash in the event"), headerHash(header), settled.headerHash);
  equal(batch, of("previous hash"), previous.hash, header.previous);
  // Windows abut, so no instant between two of them escapes both.
  equal(batch, of("begin of the window"), previous.t1, header.t0);
  equalWords(batch, of("root in"), previous.root, header.rootIn);
  checkPosition(previous.position, header);
  checkNeutral(header);
  return measureLateness(header, settled);
}

function checkPosition(least, header) {
  const found = header.journalPosition;
  const wrong = (expected) =>
    new Broken({
      batch: header.number,
      item: item.header("journal position"),
      expected,
      found,
    });
  // Equal is allowed: a window without entries closes at the position of the one before.
  if (found < least) throw wrong(`at least ${least}`);
  // As the contract bounds it and C2.4 presumes it.
  if (found - least >= BATCH_ENTRIES_MAX) {
    throw wrong(`less than ${BATCH_ENTRIES_MAX} after ${least}`);
  }
}

/** Words for which there is no statement yet are neutral. */
function checkNeutral(header) {
  const of = item.header;
  const batch = header.number;
  equal(batch, of("key version"), KEY_VERSION, header.keyVersion);
  equal(batch, of("first forced stop"), 0, header.forcedFirst);
  equal(batch, of("count of forced stops"), 0, header.forcedCount);
  equal(batch, of("outcomes of forced stops"), ZERO, header.forcedOutcomes);
  equal(batch, of("registry root"), ZERO, header.registryRoot);
  equal(batch, of("data source"), 0, header.dataSource);
}

function measureLateness(header, { blockTime, latenessMs }) {
  const end = header.t1;
  // A window that has not ended could still get entries that this batch does not hold.
  if (blockTime < end) {
    throw new Broken({
      batch: header.number,
      item: item.header("end of the window"),
      expected: `at most the block's time ${blockTime}`,
      found: end,
    });
  }
  // The contract computed the same from the same block: an event that says otherwise is not its.
  equal(header.number, item.header("lateness"), blockTime - end, latenessMs);
  return blockTime - end;
}
