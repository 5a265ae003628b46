// What binds headers and proofs to one deployment (SPEC.md sections 7, 8). A scope is the chain's
// id (BigInt) and the contract's address (20 bytes).

import { R, wordBytes } from "./field.js";
import { addressWord, keccakText, keccakWords } from "./hashes.js";
import { toNumber } from "./bytes.js";

/** The root of the tree that holds no record: what every deployment begins with. */
export const EMPTY_ROOT =
  9348585184473287447830312506802996622137765759631205883365317449595900878434n;

/** What binds a proof to this chain, contract, circuit, key version and batch. */
export function proofDomain({ chainId, contract }, { circuit, keyVersion, batch }) {
  return reduce(keccakWords([chainId, addressWord(contract), circuit, keyVersion, batch]));
}

/** What every signed operation is bound to. */
export function sigDomain({ chainId, contract }) {
  const label = keccakText("vitals operation v1");
  return reduce(keccakWords([label, chainId, addressWord(contract)]));
}

/** What stands for the header before the first; the root is always that of the empty tree. */
export function genesisHash({ chainId, contract }, time, root = EMPTY_ROOT) {
  return keccakWords([chainId, addressWord(contract), wordBytes(root), time]);
}

/** A header's operations or claims root from the roots of its chunks; zero for no chunk. */
export function chunkRoots(roots) {
  return roots.length === 0 ? new Uint8Array(32) : keccakWords(roots.map(wordBytes));
}

/** What stands for the hash before the first journal group of a deployment. */
export function journalGenesis({ chainId, contract }) {
  const label = keccakText("vitals journal v1");
  return keccakWords([label, chainId, addressWord(contract)]);
}

/** The journal hash after a group. */
export function journalHash(previous, { number, first, last, content }) {
  return keccakWords([previous, number, first, last, content]);
}

// 256 bits do not fit a field element; the contract takes the same remainder.
function reduce(hash) {
  return toNumber(hash) % R;
}
