// Bytes and documents of strangers, changed at random from sound ones by a printed seed: whatever
// comes, it is found wrong by name, and nothing else is ever thrown.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SETTLE, decodeSettleCall } from "../assets/statement/abi.js";
import { checkBatch } from "../assets/statement/batch.js";
import { concat, toBytes } from "../assets/statement/bytes.js";
import { checkDeployment, codeHash, readDeployment } from "../assets/statement/deployment.js";
import { decodeFile } from "../assets/statement/file.js";
import { wordOf } from "../assets/statement/field.js";
import { HEADER_BYTES } from "../assets/statement/header.js";
import { decodeKey } from "../assets/statement/proof.js";
import { deployment, settleCallOf, soundChain, soundFile, table, world } from "./played.mjs";
import { fromHex, readJson } from "./support.mjs";

const SEED = Number(process.env.HOSTILE_SEED ?? 7);
const ROUNDS = 400;

/** xorshift32: the same numbers everywhere. */
function drawer(seed) {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A sound string of bytes with some cut, added, repeated or changed. */
function spoiled(bytes, draw) {
  let made = bytes;
  for (let left = 1 + draw(3); left > 0; left--) {
    const at = draw(made.length + 1);
    const length = draw(40);
    const random = Uint8Array.from({ length: draw(40) }, () => draw(256));
    const repeated = made.subarray(draw(made.length + 1)).subarray(0, draw(600));
    const between = [random, new Uint8Array(length), new Uint8Array(length).fill(255), repeated];
    made = concat([made.subarray(0, at), between[draw(4)], made.subarray(at + length)]);
  }
  return made;
}

function namesOf(act) {
  try {
    act();
    return "nothing";
  } catch (error) {
    return error.name === "Error" ? error.constructor.name : error.name;
  }
}

const artefact = {
  codeHash: codeHash(fromHex(readJson("l1-contracts/artifacts/Settlement.json").bytecode.object)),
};

function contextOf() {
  const chain = {
    sequencer: fromHex(soundChain.sequencer, 20),
    registrar: wordOf(fromHex(soundChain.registrar, 32)),
    receiptSigner: fromHex(soundChain.receipt_signer, 20),
    runtimeHash: fromHex(soundChain.runtime_hash, 32),
    genesisTime: BigInt(soundChain.genesis_time),
    keys: soundChain.keys.map(({ code, circuit, key }) => ({
      code: fromHex(code, 20),
      circuit,
      key: decodeKey(fromHex(table.keys[key])),
    })),
  };
  return checkDeployment(readDeployment(soundFile), chain, artefact);
}

test("no public file does anything but hold or be found broken", (context) => {
  context.diagnostic(`seed ${SEED}`);
  const draw = drawer(SEED);
  const sound = contextOf();
  const { header } = decodeFile(world[0]);
  const of = { context: sound, previous: sound.genesis, header };
  assert.equal(
    namesOf(() => checkBatch(of, world[0])),
    "nothing",
  );
  const found = new Set();
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = spoiled(world[0], draw);
    const name = namesOf(() => checkBatch(of, bytes));
    // Nothing but the very file holds.
    if (name === "nothing") assert.deepEqual(bytes, world[0], `round ${round}`);
    else found.add(name);
  }
  assert.deepEqual([...found], ["Broken"]);
});

/** A file of the first header with these segments and nothing else. */
function withSegments(segments) {
  const none = (lists) => new Uint8Array(4 * lists);
  const count = toBytes(segments.length / 39, 4);
  const head = world[0].subarray(0, 8 + HEADER_BYTES);
  return concat([head, none(2), count, segments, none(1)]);
}

function segmentsOf(list) {
  const bytes = new Uint8Array(39 * list.length);
  const view = new DataView(bytes.buffer);
  list.forEach(([digest, bytesMax], at) => {
    view.setUint32(39 * at, digest);
    view.setBigUint64(39 * at + 31, bytesMax);
  });
  return bytes;
}

test("as many segments as a file can hold stay the bytes that they are", () => {
  const many = Array.from({ length: 1_700_000 }, (_, at) => [at, 65_536n]);
  const bytes = withSegments(segmentsOf(many));
  const { segments } = decodeFile(bytes);
  assert.deepEqual([segments.count, segments.bytesMax], [1_700_000, 1_700_000n * 65_536n]);
  assert.equal(segments.bytes.buffer, bytes.buffer);
});

test("segments out of order, twice or of a size that none has are refused where they are", () => {
  const begin = HEADER_BYTES + 8;
  const refused = (...list) => {
    try {
      decodeFile(withSegments(segmentsOf(list)));
    } catch (error) {
      return [error.section, error.message];
    }
    return "taken";
  };
  const least = 65_536n;
  assert.equal(refused([1, least], [2, least * 4n], [300, least]), "taken");
  const order = `expected segments by ascending digest at offset ${begin}, found another value`;
  assert.deepEqual(refused([2, least], [1, least]), ["segments", order]);
  assert.deepEqual(refused([1, least], [1, least]), ["segments", order]);
  for (const size of [0n, 1n, least - 1n, least / 2n, least + 1n, 3n * least]) {
    const where = begin + 4 + 39 + 31;
    const words = `expected a power of two from 65536 on at offset ${where}, found another value`;
    assert.deepEqual(refused([1, least], [2, size]), ["segments", words]);
  }
});

test("no calldata does anything but decode or be refused", () => {
  const draw = drawer(SEED + 1);
  const script = fromHex(readJson("l1-contracts/test/fixtures/groth16.json").script);
  const sound = concat([SETTLE, script]);
  assert.equal(
    namesOf(() => decodeSettleCall(sound)),
    "nothing",
  );
  const found = new Set();
  for (let round = 0; round < ROUNDS; round++) {
    found.add(namesOf(() => decodeSettleCall(spoiled(sound, draw))));
  }
  found.delete("nothing");
  assert.deepEqual([...found].sort(), ["DecodeError", "HeaderError"]);
});

test("calldata whose batches lead to one list of chunks makes no more than it has bytes", () => {
  const sound = settleCallOf([world[0]]);
  const [{ operations, claims }] = decodeSettleCall(sound);
  assert.deepEqual([operations.length, claims.length], [3, 2]);
  // Each of many batches is the one that is there.
  const offset = (batches) => Array.from({ length: batches }, () => toBytes(32 * batches, 32));
  const many = (batches) =>
    concat([
      SETTLE,
      toBytes(32, 32),
      toBytes(batches, 32),
      ...offset(batches),
      sound.subarray(4 + 32 + 32 + 32),
    ]);
  assert.equal(decodeSettleCall(many(1)).length, 1);
  const found = namesOf(() => decodeSettleCall(many(1000)));
  assert.equal(found, "DecodeError");
});

test("no deployment file does anything but be read or be refused", () => {
  const draw = drawer(SEED + 2);
  const odd = [null, true, -1, 1.5, 2 ** 60, "", "0x", "0xzz", [], {}, [null], "x".repeat(99)];
  const fields = Object.keys(deployment());
  for (let round = 0; round < ROUNDS; round++) {
    const json = structuredClone(deployment());
    const field = fields[draw(fields.length)];
    const value = odd[draw(odd.length)];
    if (field === "keys" && draw(2) === 0) {
      const names = Object.keys(json.keys[0]);
      json.keys[draw(3)][names[draw(names.length)]] = value;
    } else json[field] = value;
    const found = namesOf(() => readDeployment(json));
    assert.equal(found, "DeploymentError", `${field} = ${JSON.stringify(value)}`);
  }
  for (const circuit of [256, 257, 513]) {
    const json = structuredClone(deployment());
    json.keys[0].circuit = circuit;
    assert.throws(() => readDeployment(json), /the circuit of a key as a number below 256/);
  }
  for (const json of odd)
    assert.equal(
      namesOf(() => readDeployment(json)),
      "DeploymentError",
    );
});
