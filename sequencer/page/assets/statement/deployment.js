// The deployment file, and the file against the chain: what the auditor compares, in its order,
// under its names.

import { DecodeError, areEqual, fromHex, toHex } from "./bytes.js";
import { Broken, equal, equalWords, item } from "./broken.js";
import { wordOf } from "./field.js";
import { fingerprintOf } from "./fingerprint.js";
import { genesis } from "./batch.js";
import { keccak, keccakText } from "./hashes.js";
import { C1_INPUTS, C2_INPUTS } from "./inputs.js";
import { Circuit, SHAPES } from "./layout.js";
import { DEVELOPMENT_CHAINS, MILLIS_END } from "./limits.js";
import { gammaIsDelta, inputCount, isDevInsecure } from "./proof.js";
import { sigDomain } from "./scope.js";
import { parseFingerprint } from "./spelling.js";

const SCHEMA = "vitals-deployment-2";
const FIELDS = [
  "schema",
  "chain_id",
  "settlement",
  "code_hash",
  "runtime_hash",
  "block",
  "genesis_time",
  "registrar",
  "sequencer",
  "receipt_signer",
  "setup",
  "keys",
  "fingerprint",
];
const KEY_FIELDS = ["shape", "circuit", "id", "code"];
const KEYS_MAX = 64;
const DEV_INSECURE = "dev-insecure";
const CEREMONY = "ceremony";

/** A deployment file that cannot be used. */
export class DeploymentError extends Error {
  constructor(message) {
    super(message);
    this.name = "DeploymentError";
  }
}

/** Reads a parsed deployment file; its fingerprint must be that of its own fields. */
export function readDeployment(json) {
  const file = readFields(json);
  const found = fingerprintOf({ ...file, keys: file.keys.map(factOf) });
  if (found !== file.fingerprint) {
    throw new DeploymentError(
      `expected the fingerprint ${found} of its own fields, found ${file.fingerprint}`,
    );
  }
  return file;
}

/** The fields alone: whoever compares them with a chain finds a wrong fingerprint there. */
export function readFields(json) {
  // The schema before the fields: of another version they are others.
  if (json?.schema !== SCHEMA) throw new DeploymentError(`expected JSON of schema ${SCHEMA}`);
  expectFields(json, FIELDS);
  const keys = json.keys;
  if (!Array.isArray(keys) || keys.length > KEYS_MAX) {
    throw new DeploymentError(`expected at most ${KEYS_MAX} keys`);
  }
  const fingerprint = parseFingerprint(String(json.fingerprint));
  if (fingerprint === undefined) throw new DeploymentError("expected a fingerprint of 40 digits");
  if (![DEV_INSECURE, CEREMONY].includes(json.setup)) {
    throw new DeploymentError(`expected the setup ${DEV_INSECURE} or ${CEREMONY}`);
  }
  return {
    scope: { chainId: wholeNumber(json, "chain_id"), contract: hexField(json, "settlement", 20) },
    codeHash: hexField(json, "code_hash", 32),
    runtimeHash: hexField(json, "runtime_hash", 32),
    block: wholeNumber(json, "block"),
    genesisTime: timeOf(wholeNumber(json, "genesis_time")),
    registrar: wordField(json, "registrar"),
    sequencer: hexField(json, "sequencer", 20),
    receiptSigner: hexField(json, "receipt_signer", 20),
    setup: json.setup,
    keys: keys.map(readKey),
    fingerprint,
  };
}

function readKey(json) {
  expectFields(json, KEY_FIELDS);
  if (typeof json.shape !== "string") throw new DeploymentError("expected the shape of a key");
  return {
    shape: json.shape,
    circuit: circuitOf(wholeNumber(json, "circuit")),
    id: hexField(json, "id", 32),
    code: hexField(json, "code", 20),
  };
}

function factOf(key) {
  const layout = SHAPES.get(key.shape);
  if (layout === undefined) {
    throw new DeploymentError("expected the shape of a key to be one that this release knows");
  }
  return { ...key, layout };
}

function expectFields(json, names) {
  const found = Object.keys(json ?? {});
  const missing = names.find((name) => !found.includes(name));
  if (missing !== undefined) throw new DeploymentError(`expected a field ${missing}, found none`);
  if (found.length !== names.length) throw new DeploymentError("found a field that is not known");
}

function wholeNumber(json, name) {
  const value = json[name];
  // Beyond 2^53 the parser has rounded it already: another number than the file's.
  if (Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  throw new DeploymentError(`expected a whole number below 2^53 as ${name}`);
}

function hexField(json, name, length) {
  try {
    return fromHex(json[name], length);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new DeploymentError(`${name}: ${error.message}`);
  }
}

function circuitOf(number) {
  if (number < 256n) return Number(number);
  throw new DeploymentError("expected the circuit of a key as a number below 256");
}

function wordField(json, name) {
  const word = wordOf(hexField(json, name, 32));
  if (word !== undefined) return word;
  throw new DeploymentError(`expected a canonical field element as ${name}`);
}

function timeOf(time) {
  if (time < MILLIS_END) return time;
  throw new DeploymentError("expected a genesis time of 44 bits");
}

/** An address with the checksum of EIP-55. */
export function showAddress(address) {
  const digits = toHex(address).slice(2);
  const hash = toHex(keccakText(digits)).slice(2);
  return `0x${[...digits].map((d, at) => (hash[at] >= "8" ? d.toUpperCase() : d)).join("")}`;
}

/**
 * Whether code is the artefact's with its immutables filled in: each is 32 zero bytes in the
 * template, pushed as a word (0x7f).
 */
export function isInstance(code, template) {
  const PUSH32 = 0x7f;
  const isHole = (at) =>
    template[at] === PUSH32 &&
    at + 33 <= template.length &&
    template.subarray(at + 1, at + 33).every((byte) => byte === 0);
  let at = 0;
  while (at < template.length && code[at] === template[at]) at += isHole(at) ? 33 : 1;
  return at === template.length && code.length === template.length;
}

/** keccak256 of creation code. */
export function codeHash(bytecode) {
  return keccak(bytecode);
}

/** What else a contract says means nothing if it is another one. */
export function checkContractCode(isOurs) {
  if (isOurs) return;
  throw new Broken({
    item: item.deployment("contract code"),
    expected: "the settlement contract that this auditor was built with",
    found: "other code",
  });
}

/**
 * Compares the file with the chain; gives what every batch is checked against.
 *
 * `artefact` holds the hash of the creation code that this page was made with, `chain` what the
 * chain says: sequencer, registrar, receiptSigner, runtimeHash, genesisTime and, in the order of
 * the file, keys with their code's address, circuit and decoded key.
 */
export function checkDeployment(file, chain, artefact) {
  compareConstants(file, chain, artefact);
  const keys = new Map();
  file.keys.forEach((record, at) => {
    keys.set(toHex(record.id), acceptKey(record, chain.keys[at]));
  });
  expectSharedSetup(file, chain);
  const isInsecure = checkSetup(file, chain);
  for (const circuit of [Circuit.C1, Circuit.C2]) {
    // Without a key of each the contract could settle operations or claims only.
    if (![...keys.values()].some(({ layout }) => layout.circuit === circuit)) {
      const expected = `a key of circuit ${circuit}`;
      throw new Broken({ item: item.deployment("keys"), expected, found: "none" });
    }
  }
  expectTime(chain.genesisTime);
  return {
    scope: file.scope,
    fingerprint: compareFingerprints(file, chain, keys),
    sigDomain: sigDomain(file.scope),
    registrar: chain.registrar,
    keys,
    genesis: genesis(file.scope, chain.genesisTime),
    devInsecure: isInsecure,
  };
}

function compareConstants(file, chain, artefact) {
  const of = item.deployment;
  const none = undefined;
  // The code at the address was compared before; this holds the file to the same.
  equal(none, of("code hash"), artefact.codeHash, file.codeHash);
  equal(none, of("sequencer"), showAddress(file.sequencer), showAddress(chain.sequencer));
  equalWords(none, of("registrar"), file.registrar, chain.registrar);
  const signers = [file.receiptSigner, chain.receiptSigner].map(showAddress);
  equal(none, of("receipt signer"), ...signers);
  equal(none, of("genesis time"), file.genesisTime, chain.genesisTime);
  equal(none, of("runtime code"), file.runtimeHash, chain.runtimeHash);
}

function acceptKey(record, found) {
  const of = (part) => item.key(record.shape, part);
  const layout = SHAPES.get(record.shape);
  if (layout === undefined) {
    const expected = `one of ${[...SHAPES.keys()].join(", ")}`;
    throw new Broken({ item: of("shape"), expected, found: "another" });
  }
  const none = undefined;
  // Hashed here from the words on chain: the contract's word for the id would not bind them.
  equal(none, of("id"), record.id, found.key.id);
  equal(none, of("code address"), showAddress(record.code), showAddress(found.code));
  // With the file and with the shape, of which each could name the other circuit.
  equal(none, of("circuit"), record.circuit, found.circuit);
  equal(none, of("circuit"), layout.circuit, found.circuit);
  lintKey(found.key, layout, of);
  return { shape: record.shape, layout, key: found.key };
}

/**
 * What the contract's constructor checks of a key, once more: other creation code can leave the
 * same code behind and check nothing.
 */
function lintKey(key, { circuit }, of) {
  const inputs = circuit === Circuit.C1 ? C1_INPUTS.length : C2_INPUTS.length;
  equal(undefined, of("public inputs"), inputs, inputCount(key));
  if (!gammaIsDelta(key)) return;
  throw new Broken({
    item: of("delta"),
    expected: "a delta of its own, apart from gamma",
    found: "gamma",
  });
}

/** Proofs under several keys are verified together on chain only if the keys share a setup. */
function expectSharedSetup(file, chain) {
  const first = chain.keys[0]?.key.shared;
  const other = chain.keys.findIndex(({ key }) => !areEqual(key.shared, first));
  if (other === -1) return;
  throw new Broken({
    item: item.key(file.keys[other].shape, "alpha, beta and gamma"),
    expected: "those of the first key",
    found: "others",
  });
}

/** A key that is known to be forgeable must be called so. Gives whether some key is. */
function checkSetup(file, chain) {
  const dev = chain.keys.findIndex(({ key }) => isDevInsecure(key));
  // A file that calls its ceremony keys insecure is believed: nothing is gained by it.
  if (dev === -1) return file.setup === DEV_INSECURE;
  const what = item.key(file.keys[dev].shape, "setup");
  const { chainId } = file.scope;
  if (!DEVELOPMENT_CHAINS.includes(chainId)) {
    throw new Broken({
      item: what,
      expected: `no development key on chain ${chainId}`,
      found: "one: anybody can forge its proofs",
    });
  }
  if (file.setup === CEREMONY) {
    throw new Broken({
      item: what,
      expected: "a key from a ceremony, as the deployment file says",
      found: "a development key: anybody can forge its proofs",
    });
  }
  return true;
}

function expectTime(time) {
  if (time < MILLIS_END) return;
  throw new Broken({
    item: item.deployment("genesis time"),
    expected: "44 bits",
    found: `expected milliseconds since 1900 below 2^44, found ${time}`,
  });
}

/** From what the chain says alone, but for the shapes of the keys, which no chain knows. */
function compareFingerprints(file, chain, accepted) {
  const keys = chain.keys.map(({ circuit, key }) => {
    const { shape, layout } = accepted.get(toHex(key.id));
    return { circuit, id: key.id, shape, layout };
  });
  const found = fingerprintOf({ ...chain, scope: file.scope, keys });
  equal(undefined, item.deployment("fingerprint"), file.fingerprint, found);
  return found;
}
