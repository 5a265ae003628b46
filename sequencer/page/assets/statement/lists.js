// The lists of a public file against its header: keys, lengths, roots, padding, tags, counters,
// segments. The twin of `statement::batch::check_lists` with the auditor's names.

import { toBytes, toHex } from "./bytes.js";
import { Broken, equal, equalWords, item } from "./broken.js";
import { blake3 } from "./hashes.js";
import { Circuit } from "./layout.js";
import { Domain, root16 } from "./poseidon.js";
import { chunkRoots } from "./scope.js";
import { step } from "./steps.js";

const OPERATIONS = { name: "operations", circuit: Circuit.C1, node: Domain.OperationsNode };
const CLAIMS = { name: "claims", circuit: Circuit.C2, node: Domain.ClaimsNode };

/**
 * Throws `Broken` that names the first thing that does not agree. Each chunk is a step, because
 * hashing them takes the longest but for the proofs.
 */
export function* listSteps(keys, { header, file }) {
  const batch = header.number;
  const of = file.operations.length + file.claims.length;
  for (const [at, chunk] of file.operations.entries()) {
    yield step("lists", at, of);
    checkOperations({ keys, batch, chunk, at });
  }
  checkOperationTotals(header, file.operations);
  for (const [at, chunk] of file.claims.entries()) {
    yield step("lists", file.operations.length + at, of);
    checkClaims({ keys, batch, chunk, at });
  }
  checkClaimTotals(header, file.claims);
  equal(batch, item.file("segments"), header.dataRoot, dataRoot(file.segments));
}

/** What a header commits to of its segments, whose bytes are those of the file; zero for none. */
export function dataRoot({ count, bytes }) {
  return count === 0 ? new Uint8Array(32) : blake3(bytes);
}

/** The accepted key with this id, if it is of this circuit: else its proofs say another thing. */
export function findKey(keys, list, { batch, at, keyId }) {
  const key = keys.get(toHex(keyId));
  if (key !== undefined && key.layout.circuit === list.circuit) return key;
  throw new Broken({
    batch,
    item: item.chunk(list.name, at, "key"),
    expected: `the id of an accepted key of circuit ${list.circuit}`,
    found: toHex(keyId),
  });
}

export const LISTS = Object.freeze({ operations: OPERATIONS, claims: CLAIMS });

function checkOperations({ keys, batch, chunk, at }) {
  checkChunk(OPERATIONS, { keys, batch, chunk, at });
  // Rows that are not used have a zero leaf, and no operation hashes to zero.
  const used = countUsed(OPERATIONS, { batch, at, first: 0, leaves: chunk.leaves });
  expectCount(OPERATIONS, { batch, at }, ["operations", chunk.operations, used]);
  expectAtMost(OPERATIONS, { batch, at }, ["enrolments", chunk.enrolments, used]);
}

function checkClaims({ keys, batch, chunk, at }) {
  const { claimsPerSlot } = checkChunk(CLAIMS, { keys, batch, chunk, at });
  const found = countClaims({ batch, at, leaves: chunk.leaves, claimsPerSlot });
  // That they are of these kinds is proven (C2.18); how many there are the leaves show.
  const counted = chunk.access + chunk.collect + chunk.breakGlass;
  expectCount(CLAIMS, { batch, at }, ["claims", counted, found]);
  expectAtMost(CLAIMS, { batch, at }, ["excluded claims", chunk.excluded, found]);
}

/** Key, length and root. The length first: no leaves have no hash. */
function checkChunk(list, { keys, batch, chunk, at }) {
  const { layout } = findKey(keys, list, { batch, at, keyId: chunk.keyId });
  const of = (part) => item.chunk(list.name, at, part);
  equal(batch, of("number of leaves"), layout.leaves, chunk.leaves.length);
  equalWords(batch, of("root of the leaves"), chunk.root, root16(list.node, chunk.leaves));
  return layout;
}

/** The claims of a chunk: in each slot before its padding, and a tag where there is one. */
function countClaims({ batch, at, leaves, claimsPerSlot }) {
  const row = claimsPerSlot + 1;
  let claims = 0;
  let isEnded = false;
  for (let first = 0; first + row <= leaves.length; first += row) {
    const tag = leaves[first + row - 1];
    const slot = leaves.slice(first, first + row - 1);
    const used = countUsed(CLAIMS, { batch, at, first, leaves: slot });
    // A tag without claims would show a patient where there is none; claims without a tag could
    // not be found by theirs.
    if ((tag === 0n) !== (used === 0)) throw wrongTag({ batch, at, leaf: first + row - 1, tag });
    if (isEnded && used > 0) throw notPadding(CLAIMS, { batch, at, leaf: first });
    isEnded = used === 0;
    claims += used;
  }
  return claims;
}

/** Leaves in use, which stand before those that are not. */
function countUsed(list, { batch, at, first, leaves }) {
  const end = leaves.indexOf(0n);
  const used = end === -1 ? leaves.length : end;
  const beyond = leaves.findIndex((leaf, place) => place > used && leaf !== 0n);
  if (beyond !== -1) throw notPadding(list, { batch, at, leaf: first + beyond });
  return used;
}

function checkOperationTotals(header, chunks) {
  const total = totalOf(header.number, OPERATIONS);
  total.sum(
    "operations",
    header.operations,
    chunks.map((chunk) => chunk.operations),
  );
  total.sum(
    "enrolments",
    header.enrolments,
    chunks.map((chunk) => chunk.enrolments),
  );
  total.root("operations root", header.operationsRoot, chunks);
  // The contract takes no chunk then either: a proof of nothing only costs gas.
  const isIdle = header.operations === 0n && header.rootIn === header.rootOut;
  total.expectWork(isIdle, "no chunk: nothing changed", chunks.length);
}

function checkClaimTotals(header, chunks) {
  const total = totalOf(header.number, CLAIMS);
  const of = (counter) => chunks.map((chunk) => chunk[counter]);
  total.sum("access claims", header.access, of("access"));
  total.sum("collect claims", header.collect, of("collect"));
  total.sum("break-glass claims", header.breakGlass, of("breakGlass"));
  total.sum("excluded claims", header.excluded, of("excluded"));
  total.root("claims root", header.claimsRoot, chunks);
  // Excluded claims are counted under their kind as well.
  const isIdle = header.access + header.collect + header.breakGlass === 0n;
  total.expectWork(isIdle, "no chunk: no claim", chunks.length);
}

function totalOf(batch, list) {
  return {
    sum(part, expected, counts) {
      const found = counts.reduce((sum, count) => sum + count, 0);
      equal(batch, item.total(list.name, part), expected, found);
    },
    root(part, expected, chunks) {
      const found = chunkRoots(chunks.map((chunk) => chunk.root));
      equal(batch, item.total(list.name, part), expected, found);
    },
    expectWork(isIdle, expected, found) {
      if (isIdle && found > 0)
        throw new Broken({ batch, item: item.file(list.name), expected, found });
    },
  };
}

function expectCount(list, { batch, at }, [part, expected, found]) {
  equal(batch, item.chunk(list.name, at, part), expected, found);
}

/** Of a part that cannot be more than a whole: the proof says so, and here no proof is read. */
function expectAtMost(list, place, [part, found, whole]) {
  if (found > whole) expectCount(list, place, [part, found, whole]);
}

function notPadding(list, { batch, at, leaf }) {
  return new Broken({
    batch,
    item: item.leaf(list.name, at, leaf),
    expected: "padding to the end of the list",
    found: "a leaf behind it",
  });
}

function wrongTag({ batch, at, leaf, tag }) {
  return new Broken({
    batch,
    item: item.leaf("claims", at, leaf),
    expected: "a tag if and only if the slot has claims",
    found: toHex(toBytes(tag, 32)),
  });
}
