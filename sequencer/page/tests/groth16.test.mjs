// The proofs that the Solidity tests settle, and every way in which a proof or key is none.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SETTLE, decodeSettleCall } from "../assets/statement/abi.js";
import { areEqual, concat, toBytes, toHex, toNumber } from "../assets/statement/bytes.js";
import { P } from "../assets/statement/field.js";
import { C1_INPUTS, C2_INPUTS, inOrder } from "../assets/statement/inputs.js";
import { Circuit } from "../assets/statement/layout.js";
import {
  PointError,
  VerifyError,
  decodeKey,
  decodeProof,
  gammaIsDelta,
  inputCount,
  isDevInsecure,
  verifyProof,
  wordsOfCode,
} from "../assets/statement/proof.js";
import { genesis } from "../assets/statement/batch.js";
import { headerHash } from "../assets/statement/header.js";
import { proofDomain, sigDomain } from "../assets/statement/scope.js";
import { fromHex, readJson } from "./support.mjs";

const fixture = readJson("l1-contracts/test/fixtures/groth16.json");
const bytesOf = (name) => fromHex(fixture[name]);
/** The fixture leaves the selector to the tests that call. */
const call = (name) => concat([SETTLE, bytesOf(name)]);
const scope = { chainId: 31_337n, contract: fromHex("00000000000000000000000000000000005e771e") };
const REGISTRAR = 424_242n;

const keys = new Map(
  ["operations", "operationsLarge", "claims"].map((name) => {
    const key = decodeKey(bytesOf(name));
    return [toHex(key.id), key];
  }),
);

/** The proofs of a settled batch, with the inputs that the contract computes. */
function proofsOf({ header, operations, claims }, positionIn) {
  const { t0, t1, keyVersion, number: batch } = header;
  const domain = (circuit) => proofDomain(scope, { circuit, keyVersion, batch });
  let [rootIn, timeIn, edgeIn] = [header.rootIn, t0, 0n];
  const found = operations.map((chunk) => {
    const inputs = inOrder(C1_INPUTS, {
      ...chunk,
      rootIn,
      t0,
      t1,
      timeIn,
      domain: domain(Circuit.C1),
      sigDomain: sigDomain(scope),
      registrar: REGISTRAR,
      operationsRoot: chunk.root,
    });
    [rootIn, timeIn] = [chunk.rootOut, chunk.timeOut];
    return { keyId: chunk.keyId, inputs, proof: chunk.proof };
  });
  return found.concat(
    claims.map((chunk) => {
      const inputs = inOrder(C2_INPUTS, {
        ...chunk,
        root: header.rootOut,
        t0,
        t1,
        claimsRoot: chunk.root,
        edgeIn,
        positionIn,
        positionOut: header.journalPosition,
        domain: domain(Circuit.C2),
      });
      edgeIn = chunk.edgeOut;
      return { keyId: chunk.keyId, inputs, proof: chunk.proof };
    }),
  );
}

function settledProofs(name) {
  const batches = decodeSettleCall(call(name));
  let position = 0n;
  return batches.flatMap((batch) => {
    const proofs = proofsOf(batch, position);
    position = batch.header.journalPosition;
    return proofs;
  });
}

test("the calldata of a settle holds headers that are linked from genesis", () => {
  const batches = decodeSettleCall(call("script"));
  assert.equal(batches.length, 5);
  const time = 2_208_988_800_000n + 1_800_000_000_000n;
  let previous = genesis(scope, time).hash;
  for (const { header } of batches) {
    assert.ok(areEqual(header.previous, previous), `batch ${header.number}`);
    previous = headerHash(header);
  }
  for (const damaged of [call("script").slice(0, 900), bytesOf("script")]) {
    assert.throws(() => decodeSettleCall(damaged), /expected|found/);
  }
});

test("every settled proof holds for its inputs and for no other", () => {
  const proofs = [...settledProofs("script"), ...settledProofs("wide")];
  assert.equal(proofs.length, 8 + 8);
  proofs.forEach(({ keyId, inputs, proof }, at) => {
    const key = keys.get(toHex(keyId));
    verifyProof(key, inputs, decodeProof(proof));
    const other = inputs.with(at % inputs.length, inputs[at % inputs.length] + 1n);
    assert.throws(() => verifyProof(key, other, decodeProof(proof)), VerifyError);
  });
  const [{ keyId, inputs, proof }] = proofs;
  const short = () => verifyProof(keys.get(toHex(keyId)), inputs.slice(1), decodeProof(proof));
  assert.throws(short, /expected 12 public inputs, found 11/);
});

test("proofs of one B under two keys hold, each under its own", () => {
  const whole = bytesOf("twins");
  const list = Array.from({ length: whole.length / 32 }, (_, at) =>
    whole.subarray(32 * at, 32 * at + 32),
  );
  const twin = (begin, inputs) => ({
    inputs: list.slice(begin, begin + inputs).map(toNumber),
    proof: decodeProof(concat(list.slice(begin + inputs, begin + inputs + 8))),
  });
  const [operations, claims] = [decodeKey(bytesOf("operations")), decodeKey(bytesOf("claims"))];
  const [one, two] = [twin(0, 12), twin(20, 13)];
  verifyProof(operations, one.inputs, one.proof);
  verifyProof(claims, two.inputs, two.proof);
  assert.throws(() => verifyProof(operations, one.inputs, two.proof), VerifyError);
});

test("points that the chain refuses are refused by the word where they begin", () => {
  const [{ proof }] = settledProofs("script");
  const patched = (at, bytes) => {
    const changed = proof.slice();
    changed.set(bytes, at);
    return () => decodeProof(changed);
  };
  const last = proof[31] ^ 1;
  for (let word = 0; word < 8; word++) {
    const large = patched(32 * word, toBytes(P, 32));
    assert.throws(large, new RegExp(`^PointError: word ${word}: |word ${word}: expected a coord`));
  }
  assert.throws(patched(31, [last]), /begins at word 0 is not on its curve/);
  assert.throws(patched(95, [proof[95] ^ 1]), /begins at word 2 is not on its curve/);
  assert.throws(patched(223, [proof[223] ^ 1]), /begins at word 6 is not on its curve/);
  assert.throws(patched(64, bytesOf("outsideGroup")), /word 2 is not in the subgroup/);
  for (const length of [0, 255, 257]) {
    assert.throws(() => decodeProof(new Uint8Array(length)), PointError);
  }
});

test("infinity is zeros in a proof, proves nothing, and is refused in a key", () => {
  const [{ keyId, inputs, proof }] = settledProofs("script");
  const key = keys.get(toHex(keyId));
  for (const [at, length] of [
    [0, 64],
    [64, 128],
    [192, 64],
    [0, 256],
  ]) {
    const none = proof.slice();
    none.fill(0, at, at + length);
    assert.throws(() => verifyProof(key, inputs, decodeProof(none)), VerifyError);
  }
  for (const [word, length] of [
    [0, 2],
    [2, 4],
    [6, 4],
    [10, 4],
    [14, 2],
    [16, 2],
  ]) {
    const bytes = bytesOf("operations");
    bytes.fill(0, 32 * word, 32 * (word + length));
    assert.throws(() => decodeKey(bytes), new RegExp(`begins at word ${word} is infinity`));
  }
  for (const length of [0, 14 * 32, 15 * 32, 16 * 32 + 1]) {
    assert.throws(() => decodeKey(bytesOf("operations").slice(0, length)), PointError);
  }
});

test("keys say how many inputs they take, and whether everybody forges under them", () => {
  const counts = ["operations", "claims"].map((name) => inputCount(decodeKey(bytesOf(name))));
  assert.deepEqual(counts, [12, 13]);
  assert.equal(isDevInsecure(decodeKey(bytesOf("operations"))), true);
  assert.equal(isDevInsecure(decodeKey(bytesOf("ownAlpha"))), false);
  const bytes = bytesOf("claims");
  assert.equal(gammaIsDelta(decodeKey(bytes)), false);
  bytes.set(bytes.slice(32 * 6, 32 * 10), 32 * 10);
  assert.equal(gammaIsDelta(decodeKey(bytes)), true);
});

test("the code of a key's account is a STOP byte and its words", () => {
  const code = concat([new Uint8Array(1), bytesOf("claims")]);
  assert.equal(code.length, 1345);
  assert.ok(areEqual(wordsOfCode(code), bytesOf("claims")));
  for (const other of [[], [0], [1, ...bytesOf("claims")], [...code, 0]]) {
    assert.equal(wordsOfCode(Uint8Array.from(other)), undefined);
  }
});

test("one proof and a batch of eight are verified soon enough for a page", (context) => {
  const proofs = settledProofs("wide");
  const run = ({ keyId, inputs, proof }) =>
    verifyProof(keys.get(toHex(keyId)), inputs, decodeProof(proof));
  const begin = performance.now();
  const each = proofs.map((proof) => {
    const before = performance.now();
    run(proof);
    return performance.now() - before;
  });
  const median = each.sort((a, b) => a - b)[each.length / 2];
  const whole = performance.now() - begin;
  // Printed and not asserted: how long it takes is the machine's.
  context.diagnostic(`one proof ${median.toFixed(0)} ms, eight ${whole.toFixed(0)} ms`);
  assert.equal(each.length, 8);
});
