// Bytes and documents of strangers, changed at random from sound ones by a printed seed: whatever
// comes, it is found wrong by name, and nothing else is ever thrown.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SETTLE, decodeSettleCall } from "../assets/statement/abi.js";
import { checkBatch } from "../assets/statement/batch.js";
import { concat } from "../assets/statement/bytes.js";
import { checkDeployment, codeHash, readDeployment } from "../assets/statement/deployment.js";
import { decodeFile } from "../assets/statement/file.js";
import { wordOf } from "../assets/statement/field.js";
import { decodeKey } from "../assets/statement/proof.js";
import { deployment, soundChain, soundFile, table, world } from "./played.mjs";
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
    found.add(namesOf(() => checkBatch(of, spoiled(world[0], draw))));
  }
  found.delete("nothing");
  assert.deepEqual([...found], ["Broken"]);
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
  for (const json of odd)
    assert.equal(
      namesOf(() => readDeployment(json)),
      "DeploymentError",
    );
});
