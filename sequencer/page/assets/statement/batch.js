// One public file against its header and what came before: what the auditor checks, in its order,
// under its names.

import { Broken, equal, equalWords, item } from "./broken.js";
import { FileError, decodeFile } from "./file.js";
import { HEADER_WORDS, headerHash, headerWords } from "./header.js";
import { C1_INPUTS, C2_INPUTS, inOrder } from "./inputs.js";
import { journalSteps } from "./journal.js";
import { BATCH_FILE_BYTES_MAX, MILLIS_END } from "./limits.js";
import { LISTS, findKey, listSteps } from "./lists.js";
import { PointError, VerifyError, decodeProof, verifyProof } from "./proof.js";
import { EMPTY_ROOT, genesisHash, journalGenesis, proofDomain } from "./scope.js";
import { finish, step } from "./steps.js";

/** What stands before the first batch of a deployment. */
export function genesis(scope, time) {
  return {
    number: 0n,
    hash: genesisHash(scope, time),
    t1: time,
    root: EMPTY_ROOT,
    position: 0n,
    journalHash: journalGenesis(scope),
    // The journal begins with group 1 and position 1, which follow these.
    tail: { group: 0n, last: 0n },
  };
}

/** What the batch after this one continues. `tail` is its last group, if its file was read. */
export function after(header, tail) {
  return {
    number: header.number,
    hash: headerHash(header),
    t1: header.t1,
    root: header.rootOut,
    position: header.journalPosition,
    journalHash: header.journalHash,
    tail,
  };
}

/**
 * Checks one batch: the file decodes, is that of the header, and everything that the header commits
 * to follows from it, every proof included.
 *
 * `context` is what `checkDeployment` gives, `previous` what the batch continues, `header` the
 * chain's word. `tell` is called with a step's name, how much of it is done, and of how much.
 * Throws `Broken` that names the first item that does not hold.
 */
export function checkBatch(of, bytes, tell = () => {}) {
  return finish(batchSteps(of, bytes), tell);
}

/** The same, step by step. */
export function* batchSteps({ context, previous, header }, bytes) {
  yield step("decode", 0, 1);
  const file = decode(header, bytes);
  // From here on the chain's header is the measure, and the file's is not used again.
  compareHeaders(header, file.header);
  yield* listSteps(context.keys, { header, file });
  const proofs = foldOperations({ context, header }, file.operations);
  proofs.push(...foldClaims({ context, previous, header }, file.claims));
  const { tail, gaps } = yield* journalSteps({ previous, header }, file.groups);
  // A pairing costs more than all that stands above together, and a file that fails there needs
  // none.
  for (const [at, proof] of proofs.entries()) {
    yield step("proofs", at, proofs.length);
    verify(header, proof);
  }
  yield step("proofs", proofs.length, proofs.length);
  return { file, tail, gaps, proofs: proofs.length };
}

function decode(header, bytes) {
  try {
    return decodeFile(bytes);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    // Its size is the one thing about a file that can be wrong without a wrong byte.
    const expected =
      error.section === "size"
        ? `at most ${BATCH_FILE_BYTES_MAX} bytes`
        : "canonical bytes of a public batch file";
    throw new Broken({
      batch: header.number,
      item: item.file(error.section),
      expected,
      found: error.message,
    });
  }
}

/** Word by word, so that a report names the word and not two hashes. */
function compareHeaders(chain, file) {
  const found = headerWords(file);
  headerWords(chain).forEach((expected, at) => {
    equal(chain.number, item.header(HEADER_WORDS[at].name), expected, found[at]);
  });
}

/** What the proofs of the operations are verified with, folded as the contract folds them. */
function foldOperations({ context, header }, chunks) {
  const batch = header.number;
  const { keyVersion, t0, t1 } = header;
  const list = LISTS.operations;
  // Each chunk goes on from the root and time of the one before (C1.2).
  let [root, time] = [header.rootIn, t0];
  const proofs = chunks.map((chunk, at) => {
    const { key } = findKey(context.keys, list, { batch, at, keyId: chunk.keyId });
    const of = (part) => item.chunk(list.name, at, part);
    expectTime(batch, of("time out"), chunk.timeOut);
    const inputs = inOrder(C1_INPUTS, {
      rootIn: root,
      rootOut: chunk.rootOut,
      t0,
      t1,
      timeIn: time,
      timeOut: chunk.timeOut,
      domain: proofDomain(context.scope, { circuit: list.circuit, keyVersion, batch }),
      sigDomain: context.sigDomain,
      registrar: context.registrar,
      operations: chunk.operations,
      enrolments: chunk.enrolments,
      operationsRoot: chunk.root,
    });
    [root, time] = [chunk.rootOut, chunk.timeOut];
    return { key, inputs, bytes: chunk.proof, item: of("proof") };
  });
  // Each proof speaks of its own two roots: that the last is the header's is said only here. Of a
  // batch without a chunk it says that the root stays.
  equalWords(batch, item.total(list.name, "root out"), header.rootOut, root);
  return proofs;
}

function expectTime(batch, what, time) {
  if (time < MILLIS_END) return;
  const found = `expected milliseconds since 1900 below 2^44, found ${time}`;
  throw new Broken({ batch, item: what, expected: "44 bits", found });
}

/** The same of the claims. The inputs come from chain and leaves alone. */
function foldClaims({ context, previous, header }, chunks) {
  const batch = header.number;
  const { keyVersion, t0, t1, rootOut, journalPosition } = header;
  const list = LISTS.claims;
  // Each chunk proves that it begins behind the last patient and position of the one before.
  let edge = 0n;
  return chunks.map((chunk, at) => {
    const { key } = findKey(context.keys, list, { batch, at, keyId: chunk.keyId });
    const inputs = inOrder(C2_INPUTS, {
      root: rootOut,
      t0,
      t1,
      claimsRoot: chunk.root,
      access: chunk.access,
      collect: chunk.collect,
      breakGlass: chunk.breakGlass,
      excluded: chunk.excluded,
      edgeIn: edge,
      edgeOut: chunk.edgeOut,
      // The bounds of the batch, for every chunk: between chunks the edges keep the order (C2.21).
      positionIn: previous.position,
      positionOut: journalPosition,
      domain: proofDomain(context.scope, { circuit: list.circuit, keyVersion, batch }),
    });
    edge = chunk.edgeOut;
    return { key, inputs, bytes: chunk.proof, item: item.chunk(list.name, at, "proof") };
  });
}

/** A proof that does not decode and one that does not hold are one finding: neither proves. */
function verify(header, { key, inputs, bytes, item: what }) {
  try {
    verifyProof(key, inputs, decodeProof(bytes));
  } catch (error) {
    if (!(error instanceof PointError || error instanceof VerifyError)) throw error;
    const expected = "a proof that holds for the inputs of chain and file";
    throw new Broken({ batch: header.number, item: what, expected, found: error.message });
  }
}
