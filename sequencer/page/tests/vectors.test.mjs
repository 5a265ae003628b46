// The vectors that Rust and Solidity read: hashes, roots, leaves, domains, inputs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../assets/statement/bytes.js";
import { encodeHeader, headerHash } from "../assets/statement/header.js";
import { C1_INPUTS, C2_INPUTS, inOrder } from "../assets/statement/inputs.js";
import * as leaves from "../assets/statement/leaves.js";
import { Domain, poseidon, root16 } from "../assets/statement/poseidon.js";
import {
  chunkRoots,
  genesisHash,
  journalGenesis,
  journalHash,
  proofDomain,
  sigDomain,
} from "../assets/statement/scope.js";
import { fromHex, readJson, words } from "./support.mjs";

const primitives = readJson("circuits/vectors/primitives.json");
const records = readJson("circuits/vectors/records.json");
const inputs = readJson("circuits/vectors/inputs.json");
const operations = readJson("circuits/vectors/operations.json");
const scope = {
  chainId: BigInt(inputs.scope.chain_id),
  contract: fromHex(inputs.scope.contract, 20),
};
const bare = (bytes) => toHex(bytes).slice(2);

test("Poseidon equals circomlib for 1 to 16 inputs, whatever the tag", () => {
  assert.equal(primitives.poseidon.length, 128);
  for (const { tag, inputs: list, output } of primitives.poseidon) {
    assert.equal(poseidon(BigInt(tag), words(list)), BigInt(output));
  }
  for (const wrong of [[], words(Array(17).fill("1"))]) {
    assert.throws(() => poseidon(0, wrong), RangeError);
  }
});

test("roots of lists equal the vectors, and one of another length is another", () => {
  for (const { leaves: list, root } of records.claims_roots) {
    assert.equal(root16(Domain.ClaimsNode, words(list)), BigInt(root));
  }
  const [one] = records.claims_roots;
  assert.notEqual(root16(Domain.OperationsNode, words(one.leaves)), BigInt(one.root));
  assert.throws(() => root16(Domain.ClaimsNode, []), RangeError);
});

test("claims, tags, salts, edges and actors equal the vectors", () => {
  for (const { claim, covered, salt, info, times, leaf } of records.claims) {
    const read = readClaim(claim);
    assert.equal(leaves.claimInfo(read, covered), BigInt(info));
    assert.equal(leaves.claimTimes(read), BigInt(times));
    assert.equal(leaves.claimLeaf(read, covered, BigInt(salt)), BigInt(leaf));
  }
  for (const { view_key, domain, edge_in, patient, slot, count, word } of records.tags) {
    const [viewKey, of, edgeIn] = words([view_key, domain, edge_in]);
    const [p, s, c] = words([patient, slot, count]);
    const place = { patient: p, slot: s, count: c };
    assert.equal(leaves.slotTag({ viewKey, domain: of, edgeIn }, place), BigInt(word));
  }
  for (const { view_key, domain, root_out, leaf, word } of records.salts) {
    const [viewKey, of, rootOut, number] = words([view_key, domain, root_out, leaf]);
    assert.equal(leaves.leafSalt({ viewKey, domain: of, rootOut }, number), BigInt(word));
  }
  for (const { patient, position, salt, word } of records.edges) {
    assert.equal(leaves.edgeWord(...words([patient, position, salt])), BigInt(word));
  }
  for (const { kind, id, word } of records.actors) {
    assert.equal(leaves.actorWord(Number(kind), id), BigInt(word));
  }
});

function readClaim(claim) {
  const [categories, purpose, kind, labels] = words([
    claim.categories,
    claim.purpose,
    claim.kind,
    claim.labels,
  ]);
  return {
    mask: categories | (1n << (32n + purpose)) | (1n << (48n + kind)) | (labels << 52n),
    patient: BigInt(claim.patient),
    position: BigInt(claim.position),
    individual: BigInt(claim.individual),
    organisation: BigInt(claim.organisation),
    careTeam: BigInt(claim.group),
    source: BigInt(claim.source),
    receipt: words(claim.receipt),
    measured: words(claim.measured),
    digest: fromHex(claim.digest, 31),
  };
}

test("operations are signed and committed to as the wallets' vectors say", () => {
  const domain = BigInt(operations.sig_domain);
  for (const one of operations.operations) {
    const [index, nonce, kind, slot] = words([one.index, one.nonce, one.kind, one.slot]);
    const [signedAt, validUntil] = words([one.signed_at, one.valid_until]);
    const operation = { index, nonce, kind, slot, signedAt, validUntil, words: words(one.words) };
    const message = leaves.operationMessage(domain, operation);
    assert.equal(message, BigInt(one.message), one.name);
    const leaf = leaves.operationLeaf(message, BigInt(operations.t_op), BigInt(operations.salt));
    assert.equal(leaf, BigInt(one.leaf), one.name);
  }
});

test("domains, genesis, header and chunk roots hash as the contract does", () => {
  for (const { circuit, key_version, batch, domain } of inputs.domains) {
    const [of, keyVersion, number] = words([circuit, key_version, batch]);
    const found = proofDomain(scope, { circuit: of, keyVersion, batch: number });
    assert.equal(found, BigInt(domain));
  }
  assert.equal(sigDomain(scope), BigInt(inputs.sig_domain));
  const { root, time, hash } = inputs.genesis;
  assert.equal(bare(genesisHash(scope, BigInt(time), BigInt(root))), hash);
  assert.equal(bare(chunkRoots(words(inputs.chunk_roots.roots))), inputs.chunk_roots.hash);
  assert.equal(bare(chunkRoots([])), "0".repeat(64));
});

test("a header is its 26 words", () => {
  const raw = inputs.header;
  const number = (name) => BigInt(raw[name]);
  const bytes = (name) => fromHex(raw[name], 32);
  const header = {
    version: 2n,
    number: number("number"),
    previous: bytes("previous"),
    t0: number("t0"),
    t1: number("t1"),
    rootIn: number("root_in"),
    rootOut: number("root_out"),
    forcedFirst: number("forced_first"),
    forcedCount: number("forced_count"),
    forcedOutcomes: bytes("forced_outcomes"),
    operationsRoot: bytes("operations_root"),
    claimsRoot: bytes("claims_root"),
    operations: number("operations"),
    enrolments: number("enrolments"),
    access: number("access"),
    collect: number("collect"),
    breakGlass: number("break_glass"),
    excluded: number("excluded"),
    dataRoot: bytes("data_root"),
    journalPosition: number("journal_position"),
    journalHash: bytes("journal_hash"),
    registryRoot: bytes("registry_root"),
    dataSource: number("data_source"),
    ciphertextHash: bytes("ciphertext_hash"),
    ciphertextLength: number("ciphertext_length"),
    keyVersion: number("key_version"),
  };
  assert.equal(encodeHeader(header).length, 832);
  assert.equal(bare(headerHash(header)), raw.hash);
});

test("public inputs stand in the order of the vectors", () => {
  for (const [names, list] of [
    [C1_INPUTS, inputs.c1],
    [C2_INPUTS, inputs.c2],
  ]) {
    const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    assert.deepEqual(
      names.map(snake),
      list.map(({ name }) => name),
    );
    const values = Object.fromEntries(names.map((name, at) => [name, BigInt(list[at].value)]));
    assert.deepEqual(
      inOrder(names, values),
      list.map(({ value }) => BigInt(value)),
    );
    assert.throws(() => inOrder(names, {}), RangeError);
  }
});

test("the journal hashes as an independent keccak computes", () => {
  // The expectation of the native twin's test, computed with js-sha3.
  const of = { chainId: 31_337n, contract: new Uint8Array(20).fill(0x5e) };
  const content = (byte) => new Uint8Array(32).fill(byte);
  const group = (number, first, last, byte) => ({ number, first, last, content: content(byte) });
  const first = journalHash(journalGenesis(of), group(1n, 1n, 64n, 0x22));
  const second = journalHash(first, group(2n, 65n, 65n, 0x33));
  assert.deepEqual([journalGenesis(of), first, second].map(bare), [
    "6ff3f89a909ccbd5c7078acf939ff60af961428e69396a30f1fe8eb248ed1d86",
    "cbf733da32b94a19aff70005b02b0e89a331ab6cb55d6a99676aa38fbcaf5025",
    "8b89590f72a713a4d7fef7ee21480310d8a3c80e0449f6601238df6e114377f8",
  ]);
});
