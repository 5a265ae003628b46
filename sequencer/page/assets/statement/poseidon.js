// Poseidon over BN254's scalar field with circomlib's parameters, for 1 to 16 inputs (SPEC.md
// section 2). The state is one capacity word, which holds the domain tag, and the inputs.

import { bn254, grainGenConstants } from "../vendor/noble.js";
import { R } from "./field.js";

const FULL_ROUNDS = 8;
/** Rounds with a single S-box, by width from 2 on. */
const PARTIAL_ROUNDS = [56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68];
const INPUTS_MAX = 16;

/** The role of a hash: its number is the capacity word. Never renumber (`statement::domain`). */
export const Domain = Object.freeze({
  Eddsa: 0,
  TreeNode: 1,
  RuleGroupA: 2,
  RuleGroupB: 3,
  RecordLeaf: 4,
  Identity: 5,
  KeyHash: 6,
  Operation: 7,
  OperationLeaf: 8,
  Rule: 9,
  Claim: 10,
  ClaimsNode: 11,
  OperationsNode: 12,
  SlotTag: 13,
  Edge: 15,
  ClaimSalt: 17,
  Actor: 18,
});

/** Hashes 1 to 16 words under a tag. */
export function poseidon(tag, inputs) {
  if (inputs.length < 1 || inputs.length > INPUTS_MAX) {
    throw new RangeError(`expected 1 to ${INPUTS_MAX} words to hash, found ${inputs.length}`);
  }
  const { rounds, constants, matrix } = parametersOf(inputs.length + 1);
  let state = [BigInt(tag), ...inputs];
  for (let round = 0; round < rounds; round++) {
    const isFull = round < FULL_ROUNDS / 2 || round >= rounds - FULL_ROUNDS / 2;
    const boxed = state.map((word, at) => {
      const sum = word + constants[round][at];
      return isFull || at === 0 ? fifthPower(sum) : sum;
    });
    // One division for a whole row: the products are 512 bits long, and BigInt adds them cheaply.
    state = matrix.map((row) => row.reduce((sum, cell, at) => sum + cell * boxed[at], 0n) % R);
  }
  return state[0];
}

/** `root16` of SPEC.md section 2. `node` is the domain of the list. */
export function root16(node, leaves) {
  if (leaves.length === 0) throw new RangeError("expected at least one leaf to hash, found none");
  // With the number of leaves, so that the inner nodes of a list are no shorter list.
  const tag = BigInt(node) + (BigInt(leaves.length) << 8n);
  let nodes = leaves;
  do {
    const above = [];
    for (let at = 0; at < nodes.length; at += INPUTS_MAX) {
      above.push(poseidon(tag, nodes.slice(at, at + INPUTS_MAX)));
    }
    nodes = above;
  } while (nodes.length > 1);
  return nodes[0];
}

function fifthPower(base) {
  const square = (base * base) % R;
  return (((square * square) % R) * base) % R;
}

const TABLE = new Map();

// Drawn when a width is first used, once in the life of a page.
function parametersOf(width) {
  if (!TABLE.has(width)) TABLE.set(width, draw(width));
  return TABLE.get(width);
}

function draw(width) {
  const roundsPartial = PARTIAL_ROUNDS[width - 2];
  const options = { Fp: bn254.fields.Fr, t: width, roundsFull: FULL_ROUNDS, roundsPartial };
  const { roundConstants, mds } = grainGenConstants(options);
  return { rounds: FULL_ROUNDS + roundsPartial, constants: roundConstants, matrix: mds };
}
