// Everything that the auditor's tests try to be wrong, from the table that they write: the page
// says the same of each row, in the same words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { after, checkBatch } from "../assets/statement/batch.js";
import { fromHex, toHex } from "../assets/statement/bytes.js";
import {
  checkContractCode,
  checkDeployment,
  codeHash,
  isInstance,
  readFields,
} from "../assets/statement/deployment.js";
import { wordOf } from "../assets/statement/field.js";
import { decodeFile } from "../assets/statement/file.js";
import { decodeHeader } from "../assets/statement/header.js";
import { checkHead, checkHeaders } from "../assets/statement/headers.js";
import { BATCH_FILE_BYTES_MAX } from "../assets/statement/limits.js";
import { decodeKey } from "../assets/statement/proof.js";
import { readJson, sentence } from "./support.mjs";

const table = readJson("l1-contracts/auditor/tests/data/tampers.json");
const artefact = readArtefact();
const keys = table.keys.map((words) => decodeKey(fromHex(words)));
const word = (text) => wordOf(fromHex(text, 32));

function readArtefact() {
  const json = readJson("l1-contracts/artifacts/Settlement.json");
  return {
    codeHash: codeHash(fromHex(json.bytecode.object)),
    template: fromHex(json.deployedBytecode.object),
  };
}

function chainOf({ sequencer, registrar, receipt_signer, runtime_hash, genesis_time, keys: list }) {
  return {
    sequencer: fromHex(sequencer, 20),
    registrar: word(registrar),
    receiptSigner: fromHex(receipt_signer, 20),
    runtimeHash: fromHex(runtime_hash, 32),
    genesisTime: BigInt(genesis_time),
    keys: list.map(({ code, circuit, key }) => ({
      code: fromHex(code, 20),
      circuit,
      key: keys[key],
    })),
  };
}

const [soundDeployment] = table.deployments;
const context = checkDeployment(
  readFields(soundDeployment.file),
  chainOf(soundDeployment.chain),
  artefact,
);

/** What batch `at` of a story continues, the files before it being read. */
function previousOf(world, at) {
  return world.slice(0, at).reduce((previous, hex) => {
    const { header, groups } = decodeFile(fromHex(hex));
    const last = groups.at(-1);
    const tail = last === undefined ? previous.tail : { group: last.number, last: last.last };
    return after(header, tail);
  }, context.genesis);
}

function spliced(bytes, { at, removed, inserted }) {
  return Uint8Array.from([
    ...bytes.subarray(0, at),
    ...fromHex(inserted),
    ...bytes.subarray(at + removed),
  ]);
}

test("the table is the one that the auditor's tests write", () => {
  assert.equal(table.schema, "vitals-tampers-1");
  const rows = [table.deployments, table.files, table.headers, table.heads];
  assert.ok(rows.every((list) => list.length >= 7 && list.some(({ broken }) => broken !== null)));
});

test("each deployment is found as the auditor finds it", () => {
  for (const { name, file, chain, broken, dev_insecure, fingerprint } of table.deployments) {
    let found;
    const said = sentence(() => {
      found = checkDeployment(readFields(file), chainOf(chain), artefact);
    });
    assert.equal(said, broken, name);
    if (broken !== null) continue;
    assert.deepEqual([found.devInsecure, found.fingerprint], [dev_insecure, fingerprint], name);
  }
});

test("each public file is found as the auditor finds it", () => {
  for (const { name, world, batch, header, splice, broken, proofs, gaps } of table.files) {
    const files = table.worlds[world];
    const bytes = spliced(fromHex(files[batch]), splice);
    const previous = previousOf(files, batch);
    const of = { context, previous, header: decodeHeader(fromHex(header)) };
    let found;
    assert.equal(
      sentence(() => {
        found = checkBatch(of, bytes);
      }),
      broken,
      name,
    );
    if (broken === null) assert.deepEqual([found.proofs, found.gaps], [proofs, gaps], name);
  }
});

/** Of bytes whose change a pairing shows, and not a hash, each fifth is tried, and both ends. */
const PAIRING_STEP = 5;

test("every changed byte of a public file has the auditor's name", () => {
  const { world, batch, proofs, proof_step, changed } = table.bytes;
  const bytes = fromHex(table.worlds[world][batch]);
  const of = soundBatch(world, batch);
  const isLeftOut = (at) =>
    at % proof_step !== 0 && proofs.some(([first, end]) => first <= at && at < end);
  let covered = 0;
  for (const [first, last, name] of changed) {
    const isPairing = name.endsWith("proof");
    for (let at = first; at <= last; at++) {
      if (isLeftOut(at)) continue;
      covered += 1;
      const isEnd = at === first || at === last;
      if (isPairing && !isEnd && covered % PAIRING_STEP !== 0) continue;
      const wrong = bytes.slice();
      wrong[at] ^= 1 << (at % 8);
      assert.equal(itemOf(of, wrong), name, `byte ${at}`);
    }
  }
  const leftOut = bytes.reduce((sum, _, at) => sum + (isLeftOut(at) ? 1 : 0), 0);
  assert.equal(covered, bytes.length - leftOut);
});

test("a file that is cut or too long has the auditor's name", () => {
  const { world, batch, cut_step, cut, longer } = table.bytes;
  const bytes = fromHex(table.worlds[world][batch]);
  const of = soundBatch(world, batch);
  for (const [first, last, name] of cut) {
    for (let length = first; length <= last; length += cut_step) {
      assert.equal(itemOf(of, bytes.slice(0, length)), name, `${length} bytes`);
    }
  }
  assert.equal(itemOf(of, Uint8Array.from([...bytes, 0])), longer);
  const huge = new Uint8Array(BATCH_FILE_BYTES_MAX + 1);
  assert.equal(itemOf(of, huge), "public file, size");
});

function soundBatch(world, batch) {
  const files = table.worlds[world];
  const { header } = decodeFile(fromHex(files[batch]));
  return { context, previous: previousOf(files, batch), header };
}

function itemOf(of, bytes) {
  try {
    checkBatch(of, bytes);
  } catch (error) {
    if (error.name === "Broken") return error.item;
    throw error;
  }
  return "holds";
}

test("headers, events and the contract's head are found as the auditor finds them", () => {
  for (const { name, settled, broken, lateness_max_ms } of table.headers) {
    const events = settled.map((event) => ({
      header: decodeHeader(fromHex(event.header)),
      headerHash: fromHex(event.header_hash, 32),
      latenessMs: BigInt(event.lateness_ms),
      blockTime: BigInt(event.block_time),
    }));
    let found;
    assert.equal(
      sentence(() => {
        found = checkHeaders(context.genesis, events, 0n);
      }),
      broken,
      name,
    );
    if (broken !== null) continue;
    assert.equal(found.maxMs, BigInt(lateness_max_ms));
    // Late is what is later than is allowed, and not what is just as late.
    const isLate = (least) => events.filter(({ latenessMs }) => latenessMs > least).length;
    for (const least of [0n, found.maxMs - 1n, found.maxMs]) {
      const { lateBatches } = checkHeaders(context.genesis, events, least);
      assert.equal(lateBatches, isLate(least), name);
    }
    assert.ok(events.length === 0 || isLate(found.maxMs - 1n) > 0, name);
  }
  for (const { header, state, broken } of table.heads) {
    const last = after(decodeHeader(fromHex(header)), undefined);
    const stored = {
      number: BigInt(state.number),
      root: word(state.root),
      headHash: fromHex(state.head_hash, 32),
      lastT1: BigInt(state.last_t1),
      journalPosition: BigInt(state.journal_position),
      latenessMaxMs: BigInt(state.lateness_max_ms),
    };
    assert.equal(
      sentence(() => checkHead(stored, last, { maxMs: 3000n })),
      broken,
    );
  }
});

test("code is the contract's whatever its immutables, and other code is named", () => {
  const { template } = artefact;
  const hole = template.findIndex(
    (byte, at) => byte === 0x7f && template.subarray(at + 1, at + 33).every((zero) => zero === 0),
  );
  const filled = template.slice();
  filled.fill(9, hole + 1, hole + 33);
  assert.ok(isInstance(filled, template));
  for (const at of [0, hole, hole + 33, template.length - 1]) {
    const other = filled.slice();
    other[at] ^= 1;
    assert.ok(!isInstance(other, template), `byte ${at}`);
  }
  assert.ok(!isInstance(filled.slice(1), template));
  assert.ok(!isInstance(Uint8Array.from([...filled, 0]), template));
  assert.match(
    sentence(() => checkContractCode(false)),
    /^deployment, contract code: expected/,
  );
  assert.equal(toHex(artefact.codeHash).length, 66);
});
