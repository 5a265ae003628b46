// A chain and a node that are played: the batches of the auditor's tests, settled under a contract
// with the real code. Sound, unless a test says otherwise.

import { Session } from "../assets/session.js";
import { BATCH_SETTLED, SETTLE, callData } from "../assets/statement/abi.js";
import { concat, toBytes, toHex, toNumber } from "../assets/statement/bytes.js";
import { fingerprintOf } from "../assets/statement/fingerprint.js";
import { decodeFile } from "../assets/statement/file.js";
import { headerWords } from "../assets/statement/header.js";
import { keccak } from "../assets/statement/hashes.js";
import { SHAPES } from "../assets/statement/layout.js";
import { EMPTY_ROOT, genesisHash } from "../assets/statement/scope.js";
import { fromHex, readJson } from "./support.mjs";

export const table = readJson("l1-contracts/auditor/tests/data/tampers.json");
const contractJson = readJson("l1-contracts/artifacts/Settlement.json");
const template = fromHex(contractJson.deployedBytecode.object);
export const [{ file: soundFile, chain: soundChain }] = table.deployments;
export const world = table.worlds[table.files[0].world].map((hex) => fromHex(hex));
/** Words that say how many follow, and how far from here each of them is; then these. */
function offsetsTo(parts, before = []) {
  let at = 32 * before.length + 32 * parts.length;
  const offsets = parts.map((part) => {
    at += part.length;
    return toBytes(at - part.length, 32);
  });
  return concat([...before, ...offsets, ...parts]);
}

/** The calldata that settles these public files. */
export function settleCallOf(files) {
  const number = (value) => toBytes(value, 32);
  const list = (chunks) => concat([number(chunks.length), ...chunks.map(concat)]);
  const batches = files.map((bytes) => {
    const file = decodeFile(bytes);
    const operations = file.operations.map((of) =>
      [of.keyId, number(of.rootOut), number(of.timeOut), number(of.operations)].concat(
        [number(of.enrolments), number(of.root), of.proof],
      ),
    );
    const claims = file.claims.map((of) =>
      [of.keyId, number(of.root), number(of.access), number(of.collect)].concat(
        [number(of.breakGlass), number(of.excluded), number(of.edgeOut), of.proof],
      ),
    );
    return offsetsTo([list(operations), list(claims), number(0)], headerWords(file.header));
  });
  const all = concat([number(batches.length), offsetsTo(batches)]);
  return concat([SETTLE, offsetsTo([all])]);
}

/** The deployment of the table, at a contract that has the real code. */
export function deployment() {
  const json = { ...soundFile, runtime_hash: toHex(keccak(template)), block: 0 };
  const fingerprint = fingerprintOf({
    scope: { chainId: BigInt(json.chain_id), contract: fromHex(json.settlement, 20) },
    runtimeHash: fromHex(json.runtime_hash, 32),
    receiptSigner: fromHex(json.receipt_signer, 20),
    registrar: toNumber(fromHex(json.registrar, 32)),
    sequencer: fromHex(json.sequencer, 20),
    genesisTime: BigInt(json.genesis_time),
    keys: json.keys.map(({ shape, circuit, id }) => ({
      shape,
      circuit,
      id: fromHex(id, 32),
      layout: SHAPES.get(shape),
    })),
  });
  return { ...json, fingerprint };
}

const address = (text) => concat([new Uint8Array(12), fromHex(text, 20)]);
export const hashOf = (block) => toHex(toBytes(block + 1000n, 32));

/** What a sound node of the chain answers, after `settled` batches. */
export function answer({ method, params }, settled) {
  const events = table.headers[0].settled.slice(0, settled);
  const file = deployment();
  switch (method) {
    case "eth_chainId":
      return toQuantity(file.chain_id);
    case "eth_getCode":
      return codeAt(params[0], file);
    case "eth_call":
      return toHex(view(params[0].data, { file, events }));
    case "eth_getBlockByNumber":
      return blockOf(params[0], events);
    case "eth_getLogs":
      return events.map(logOf).filter(({ blockNumber }) => {
        const [from, to] = [params[0].fromBlock, params[0].toBlock].map(BigInt);
        return from <= BigInt(blockNumber) && BigInt(blockNumber) <= to;
      });
    case "eth_getTransactionReceipt":
      return { gasUsed: "0x9c40" };
    case "eth_getTransactionByHash":
      return { input: toHex(settleCallOf(world)) };
    default:
      throw new Error(method);
  }
}

const toQuantity = (number) => `0x${BigInt(number).toString(16)}`;

function codeAt(at, file) {
  if (at === file.settlement) return toHex(template);
  const number = file.keys.findIndex(({ code }) => code === at);
  return `0x00${table.keys[soundChain.keys[number].key]}`;
}

function view(data, { file, events }) {
  const last = events.at(-1) ?? genesisOf(file);
  const header = fromHex(last.header);
  const word = (at) => header.subarray(32 * at, 32 * at + 32);
  const lateness = Math.max(0, ...events.map(({ lateness_ms }) => lateness_ms));
  const views = {
    "sequencer()": () => address(file.sequencer),
    "registrar()": () => fromHex(file.registrar, 32),
    "receiptSigner()": () => address(file.receipt_signer),
    "genesisTime()": () => toBytes(file.genesis_time, 32),
    "number()": () => word(1),
    "root()": () => word(6),
    "headHash()": () => fromHex(last.header_hash, 32),
    "lastT1()": () => word(4),
    "journalPosition()": () => word(19),
    "latenessMax()": () => toBytes(lateness, 32),
  };
  const name = Object.keys(views).find((signature) => callData(signature) === data);
  if (name !== undefined) return views[name]();
  const key = file.keys.find(({ id }) => data.endsWith(id.slice(2)));
  return concat([address(key.code), toBytes(key.circuit, 32)]);
}

/** What the contract stores before the first batch, as if a header had said it. */
function genesisOf(file) {
  const scope = { chainId: BigInt(file.chain_id), contract: fromHex(file.settlement, 20) };
  const words = Array.from({ length: 26 }, () => new Uint8Array(32));
  words[4] = toBytes(file.genesis_time, 32);
  words[6] = toBytes(EMPTY_ROOT, 32);
  const hash = toHex(genesisHash(scope, BigInt(file.genesis_time)));
  return { header: toHex(concat(words)), header_hash: hash.slice(2) };
}

/** Batch n settles in block n. */
function blockOf(which, events) {
  const number = ["latest", "finalized"].includes(which) ? BigInt(events.length) : BigInt(which);
  const event = events[Number(number) - 1];
  const seconds = (BigInt(event?.block_time ?? 2_208_988_800_000) - 2_208_988_800_000n) / 1000n;
  return { number: toQuantity(number), hash: hashOf(number), timestamp: toQuantity(seconds) };
}

function logOf({ header, header_hash, lateness_ms }, at) {
  const number = BigInt(at) + 1n;
  return {
    address: soundFile.settlement,
    topics: [BATCH_SETTLED, toHex(toBytes(number, 32)), `0x${header_hash}`],
    data: `0x${header}${toHex(toBytes(lateness_ms, 32)).slice(2)}`,
    blockNumber: toQuantity(number),
    blockHash: hashOf(number),
    transactionHash: toHex(toBytes(number + 5000n, 32)),
    logIndex: "0x0",
    removed: false,
  };
}

/** A server of the page; `change` answers instead where it gives something. */
export function play(options = {}) {
  const { chains = 1, settled = 3, trust = "verifier", change = () => undefined } = options;
  const state = { settled, assembled: options.assembled ?? 3, underWay: options.underWay };
  const fetch = async (path, init = {}) => {
    const question = init.body === undefined ? undefined : JSON.parse(init.body);
    const other = change(path, question);
    if (other instanceof Response) return other;
    if (question !== undefined) {
      const result = other ?? answer(question, state.settled);
      return Response.json({ jsonrpc: "2.0", id: question.id, result });
    }
    if (other !== undefined) return Response.json(other);
    const batch = /^\/batches\/([0-9]+)$/.exec(path);
    if (batch !== null) return new Response(world[Number(batch[1]) - 1]);
    const documents = {
      "/page.json": { schema: 1, trust, chains },
      "/nodes.json": { schema: 1, nodes: Array(chains).fill("http://127.0.0.1:8545") },
      "/deployment.json": deployment(),
      "/contract.json": contractJson,
      "/batches": {
        schema: "vitals-batches-1",
        assembled: state.assembled,
        settled: state.settled,
        under_way: state.underWay,
      },
    };
    return Response.json(documents[path]);
  };
  return { fetch, state };
}

/** What is told of steps, where a test does not listen. */
export const tell = () => {};

/** A page before it is opened, on the reader's own machine unless `hostname` says otherwise. */
export function serve(options) {
  const { fetch, state } = play(options);
  const hostname = options?.hostname ?? "127.0.0.1";
  return { session: new Session({ fetch, hostname, wait: async () => {} }), state };
}
