// What tells one deployment from every other, short enough to be read out. The twin of
// `statement::fingerprint`.

import { concat, toBytes, toHex, utf8 } from "./bytes.js";
import { wordBytes } from "./field.js";
import { keccak } from "./hashes.js";
import { Circuit } from "./layout.js";
import { grouped } from "./spelling.js";

const DIGITS = 40;

/** 160 bits over a deployment's facts, as ten groups of four hex digits. */
export function fingerprintOf(facts) {
  const { scope, runtimeHash, receiptSigner, registrar, sequencer, genesisTime } = facts;
  const keys = [...facts.keys].sort(inOrder);
  const bytes = [
    utf8("vitals deployment v2"),
    toBytes(scope.chainId, 8),
    scope.contract,
    runtimeHash,
    receiptSigner,
    wordBytes(registrar),
    sequencer,
    toBytes(genesisTime, 8),
    toBytes(keys.length, 8),
    ...keys.map(bytesOfKey),
  ];
  return grouped(toHex(keccak(concat(bytes)).subarray(0, DIGITS / 2)).slice(2));
}

function inOrder(a, b) {
  const [left, right] = [a, b].map(({ circuit, id, shape }) => [circuit, toHex(id), shape]);
  const at = left.findIndex((part, i) => part !== right[i]);
  if (at === -1) return 0;
  return left[at] < right[at] ? -1 : 1;
}

/** Circuit, id, name with its length, two numbers: rows and zero, or slots and claims of each. */
function bytesOfKey({ circuit, id, shape, layout }) {
  const numbers =
    layout.circuit === Circuit.C1 ? [layout.rows, 0] : [layout.slots, layout.claimsPerSlot];
  const name = utf8(shape);
  return concat([
    toBytes(circuit, 1),
    id,
    toBytes(name.length, 8),
    name,
    ...numbers.map((number) => toBytes(number, 8)),
  ]);
}
