// Reads from a node of the base chain what the statement compares: JSON-RPC over one address of
// this page's server. Every answer has a limit and a time; what the chain did not answer is a
// `ChainError`, what it answered wrongly is `Broken`, as in the auditor.

import {
  BATCH_SETTLED,
  addressOf,
  answerWords,
  callData,
  decodeSettleCall,
  decodeSettled,
  smallNumber,
} from "./statement/abi.js";
import { DecodeError, fromHex, toHex } from "./statement/bytes.js";
import { Broken, item } from "./statement/broken.js";
import { checkContractCode, isInstance, showAddress } from "./statement/deployment.js";
import { wordOf } from "./statement/field.js";
import { escape } from "./statement/escape.js";
import { HeaderError, headerHash } from "./statement/header.js";
import { keccak } from "./statement/hashes.js";
import { MILLIS_END, UNIX_EPOCH_MS } from "./statement/limits.js";
import { PointError, decodeKey, wordsOfCode } from "./statement/proof.js";
import { FetchError, fetchBytes } from "./fetch.js";
import { LogRange, mayBeTooMuch } from "./ranges.js";

const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** Most blocks that are searched, and most batches that are kept: a page is no archive. */
const BLOCKS_MAX = 1_000_000_000n;
const SETTLED_MAX = 100_000;
/** Questions that are under way at once. */
const AT_ONCE = 6;
/** How often the past is read again because it moved meanwhile. */
const ATTEMPTS = 5;
/** Seconds before that. */
const PAUSE_S = 1;

/** Something that the chain's node did not deliver. `kind` is for programs, the rest for people. */
export class ChainError extends Error {
  constructor(kind, message, status) {
    super(message);
    Object.assign(this, { name: "ChainError", kind, status });
  }
}

/** A node of the chain behind an address. */
export class Chain {
  #url;
  #fetch;
  #wait;
  #next = 1;
  #range = new LogRange();

  constructor(url, options = {}) {
    this.#url = url;
    this.#fetch = options.fetch;
    this.#wait = options.wait ?? ((seconds) => new Promise((go) => setTimeout(go, 1000 * seconds)));
  }

  /** Before it is asked again about what its answers contradicted each other in. */
  async pause() {
    await this.#wait(PAUSE_S);
  }

  /** The answer to one question. */
  async call(method, params = []) {
    const id = this.#next++;
    const answer = await this.#post({ jsonrpc: "2.0", id, method, params });
    if (answer === null || typeof answer !== "object" || answer.id !== id) {
      throw new ChainError("malformed", `the node gives no answer to question ${id}, ${method}`);
    }
    // Some nodes say with each answer that there is no error.
    if (answer.error !== undefined && answer.error !== null) {
      const { code, message } = answer.error;
      // Words of a stranger: they are shown, and must do no more than that.
      const words = `error ${escape(code)}: ${escape(message)}`;
      throw new ChainError("refused", `the node answers ${method} with ${words}`);
    }
    return answer.result;
  }

  async #post(question) {
    let bytes;
    try {
      bytes = await fetchBytes(this.#url, {
        fetch: this.#fetch,
        wait: this.#wait,
        bytesMax: ANSWER_BYTES_MAX,
        init: {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(question),
        },
      });
    } catch (error) {
      if (!(error instanceof FetchError)) throw error;
      const message = `the chain's node is not available: ${error.message}`;
      throw new ChainError(error.kind, message, error.status);
    }
    try {
      return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      throw new ChainError("malformed", "the chain's node answers with no JSON");
    }
  }

  async chainId() {
    return quantity(await this.call("eth_chainId"), "chain id");
  }

  async code(address) {
    return hex(await this.call("eth_getCode", [toHex(address), "latest"]), "code");
  }

  /** A block by number or tag; `undefined` if the node has none. */
  async block(which) {
    const name = typeof which === "bigint" ? toQuantity(which) : which;
    const block = await this.call("eth_getBlockByNumber", [name, false]);
    if (block === null || block === undefined) return undefined;
    const seconds = quantity(block.timestamp, "a block's time");
    return {
      number: quantity(block.number, "a block's number"),
      hash: toHex(hex(block.hash, "a block's hash", 32)),
      time: millisOf(seconds),
    };
  }

  /** The words that a view of a contract answers with; `what` is broken of another number. */
  async view({ contract, what, at = "latest" }, [signature, count, words]) {
    const call = { to: toHex(contract), data: callData(signature, words) };
    const answer = hex(await this.call("eth_call", [call, at]), signature);
    return asAnswer(what, () => answerWords(answer, count));
  }

  /** Every `BatchSettled` of a contract in a range of blocks, in ranges that the node serves. */
  async settledBetween(contract, [first, last], tell = () => {}) {
    if (last - first > BLOCKS_MAX) {
      throw new ChainError("beyond", `expected at most ${BLOCKS_MAX} blocks to search`);
    }
    const events = new Map();
    for (let from = first; from <= last;) {
      const end = from + this.#range.blocks - 1n;
      const to = end < last ? end : last;
      const asked = to - from + 1n;
      let logs;
      try {
        logs = await this.#logs(contract, [from, to]);
      } catch (error) {
        const isTooMuch = error instanceof ChainError && mayBeTooMuch(error);
        if (asked === 1n || !isTooMuch) throw error;
        this.#range.refused(asked, error);
        continue;
      }
      this.#range.served(asked);
      addEvents(events, logs, contract);
      tell(to - first + 1n, last - first + 1n);
      from = to + 1n;
    }
    return [...events.values()].sort(inOrder);
  }

  async #logs(contract, [from, to]) {
    const filter = {
      address: toHex(contract),
      topics: [BATCH_SETTLED],
      fromBlock: toQuantity(from),
      toBlock: toQuantity(to),
    };
    const logs = await this.call("eth_getLogs", [filter]);
    if (Array.isArray(logs)) return logs;
    throw new ChainError("malformed", "the node gives no list of logs");
  }
}

/** By number; of equal numbers, which a reorganisation can leave, by their places. */
function inOrder(one, other) {
  const places = [one, other].map((event) => [
    event.header.number,
    event.block,
    event.blockHash,
    event.logIndex,
  ]);
  const at = places[0].findIndex((part, index) => part !== places[1][index]);
  if (at === -1) return 0;
  return places[0][at] < places[1][at] ? -1 : 1;
}

function addEvents(events, logs, contract) {
  for (const log of logs) {
    // Some nodes know no filter; and what a reorganisation took back is not settled.
    const isOurs =
      Array.isArray(log?.topics) &&
      String(log.topics[0]).toLowerCase() === BATCH_SETTLED &&
      log.removed !== true &&
      String(log.address).toLowerCase() === toHex(contract);
    if (!isOurs) continue;
    const event = readEvent(log);
    const place = `${event.block} ${event.blockHash} ${event.logIndex}`;
    const known = events.get(place);
    if (known !== undefined && known.raw !== event.raw) {
      throw new ChainError(
        "contradiction",
        `the chain's node gives two different logs at index ${event.logIndex} of block ` +
          `${event.block}: ask another node`,
      );
    }
    events.set(place, event);
    if (events.size > SETTLED_MAX) {
      throw new ChainError("beyond", `expected at most ${SETTLED_MAX} settled batches`);
    }
  }
}

function readEvent(log) {
  // What is no log at all is the node's fault, what is none of the contract's events is broken.
  const topics = log.topics.map((topic) => hex(topic, "a log's topic", 32));
  const data = hex(log.data, "a log's data");
  return {
    ...asAnswer(item.header("event"), () => decodeSettled(topics, data)),
    transaction: toHex(hex(log.transactionHash, "a log's transaction", 32)),
    block: quantity(log.blockNumber, "a log's block"),
    blockHash: toHex(hex(log.blockHash, "a log's block", 32)),
    logIndex: quantity(log.logIndex, "a log's index"),
    raw: `${log.topics.join()} ${log.data} ${log.transactionHash}`.toLowerCase(),
  };
}

/**
 * What the chain says about a deployment. `artefact` holds the template of the contract's code.
 * Throws `ChainError` for another chain, `Broken` for other code.
 */
export async function readConstants(chain, file, artefact) {
  const { chainId, contract } = file.scope;
  const found = await chain.chainId();
  // The chain before the contract: on another chain the address means nothing.
  if (found !== chainId) {
    throw new ChainError(
      "other-chain",
      `the node is of another chain: expected chain id ${chainId}, found ${found}`,
    );
  }
  const code = await chain.code(contract);
  if (code.length === 0) {
    throw new ChainError(
      "no-contract",
      `expected a settlement contract at ${toHex(contract)}, found no code; the node may be behind`,
    );
  }
  const runtimeHash = keccak(code);
  if (toHex(runtimeHash) !== toHex(file.runtimeHash)) {
    asAnswer(item.deployment("contract code"), () => {
      throw wrongCode("the code that was deployed", contract);
    });
  }
  checkContractCode(isInstance(code, artefact.template));
  const what = item.deployment("constants");
  const of = { contract, what };
  const [sequencer, registrar, signer, time] = await Promise.all([
    chain.view(of, ["sequencer()", 1]),
    chain.view(of, ["registrar()", 1]),
    chain.view(of, ["receiptSigner()", 1]),
    chain.view(of, ["genesisTime()", 1]),
  ]);
  const keys = [];
  for (const record of file.keys) keys.push(await readKey(chain, contract, record));
  return asAnswer(what, () => ({
    sequencer: addressOf(sequencer[0]),
    registrar: canonical(registrar[0]),
    receiptSigner: addressOf(signer[0]),
    runtimeHash,
    genesisTime: smallNumber(time[0]),
    keys,
  }));
}

async function readKey(chain, contract, record) {
  const what = item.key(record.shape, "words on chain");
  const of = { contract, what };
  const [code, circuit] = await chain.view(of, ["keys(bytes32)", 2, [record.id]]);
  const address = asAnswer(what, () => addressOf(code));
  // Of an id that it was never given the contract has no code, and no words to compare.
  if (address.every((byte) => byte === 0)) {
    throw new Broken({
      item: item.key(record.shape, "id"),
      expected: "an id that the contract accepts",
      found: toHex(record.id),
    });
  }
  const words = wordsOfCode(await chain.code(address));
  return asAnswer(what, () => {
    if (words === undefined) throw wrongCode("a verifying key", address);
    return { code: address, circuit: Number(smallNumber(circuit)), key: readWords(words, address) };
  });
}

function readWords(words, address) {
  try {
    return decodeKey(words);
  } catch (error) {
    if (!(error instanceof PointError)) throw error;
    const where = `the verifying key at ${showAddress(address)}`;
    throw new PointError(`${where} is malformed: ${error.message}`);
  }
}

function wrongCode(what, address) {
  return new DecodeError(`expected ${what} at ${showAddress(address)}, found none or another`);
}

/** What the contract stores after a block. */
export async function readState(chain, contract, blockHash) {
  const what = item.head("state");
  const of = { contract, what, at: { blockHash } };
  const names = [
    "number()",
    "root()",
    "headHash()",
    "lastT1()",
    "journalPosition()",
    "latenessMax()",
  ];
  const answers = await Promise.all(names.map((name) => chain.view(of, [name, 1])));
  const [number, root, headHash, lastT1, position, lateness] = answers.map(([word]) => word);
  return asAnswer(what, () => ({
    number: smallNumber(number),
    root: canonical(root),
    headHash,
    lastT1: expectMillis(smallNumber(lastT1)),
    journalPosition: smallNumber(position),
    latenessMaxMs: smallNumber(lateness),
  }));
}

/**
 * Events and state up to one block. `known` are batches that an earlier reading gave: they are
 * taken over if the last of them is still where it was.
 */
export async function readHistory(chain, file, known = [], tell = () => {}) {
  let [kept, why] = [known, ""];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (attempt > 0 && why !== "") await chain.pause();
    const reading = await readOnce(chain, file, { known, kept }, tell);
    if (reading.isOther) kept = [];
    else if (reading.moved === undefined) return reading;
    else why = reading.moved;
  }
  throw new ChainError("moved", `the chain was read ${ATTEMPTS} times, and ${why}`);
}

/**
 * Either what was read; or why two answers do not fit each other (`moved`), which they may the next
 * time; or that the known batches are not where they were (`isOther`).
 */

async function readOnce(chain, file, { known, kept }, tell) {
  const { contract } = file.scope;
  const head = await chain.block("latest");
  if (head === undefined) throw new ChainError("malformed", "the chain's node names no head");
  // A node that is behind knows nothing of what settled later: that is no other past.
  const last = known.at(-1);
  if (last !== undefined && head.number < last.block) {
    const { number } = last.header;
    const moved = `is at block ${head.number}, batch ${number} settled in block ${last.block}`;
    return { moved: `the node ${moved}` };
  }
  const state = await readStateOf(chain, contract, head);
  if (state.moved !== undefined) return state;
  const first = kept.length === 0 ? file.block : kept.at(-1).block;
  const toBlocks = (done, of) => tell("blocks", Number(done), Number(of));
  const events = await chain.settledBetween(contract, [first, head.number], toBlocks);
  const behind = withoutKnown(kept, events);
  if (behind === undefined) return { isOther: true };
  const fresh = await readTimes(chain, behind, tell);
  if (fresh.moved !== undefined) return fresh;
  // All of it is the past of this block: was it taken back, some of it may be, too.
  const still = await chain.block(head.number);
  if (still?.hash !== head.hash) return { moved: "its head was reorganised away meanwhile" };
  const settled = [...kept, ...fresh.settled];
  const moved = whyIncomplete(state, settled);
  if (moved !== undefined) return { moved };
  return { head, state, settled, finalBlock: await finalBlock(chain) };
}

async function readStateOf(chain, contract, head) {
  try {
    return await readState(chain, contract, head.hash);
  } catch (error) {
    if (error.name !== "ChainError" || error.kind !== "refused") throw error;
    // Behind one address may stand several nodes, of which some do not have the block yet.
    return { moved: error.message };
  }
}

/**
 * A node that has dropped old events cannot serve a page; that is not the contract's fault. One
 * that does not have the newest ones yet may have them the next time: then why it is no whole.
 */
function whyIncomplete({ number: count }, settled) {
  const numbers = new Set(settled.map(({ header }) => header.number));
  let number = 1n;
  while (number <= count && numbers.has(number)) number += 1n;
  if (number > count) return undefined;
  const why = `the chain node delivers no log of it, of ${count} settled`;
  const isLast = settled.every(({ header }) => header.number < number);
  if (number > 1n && isLast) return `batch ${number} has no event: ${why}`;
  throw new ChainError("no-logs", `the event of batch ${number} is not available: ${why}`);
}

/** The events behind those that are known; `undefined` unless these are all where they were. */
function withoutKnown(known, events) {
  const isKnown = ({ header }) => header.number <= BigInt(known.length);
  const [old, fresh] = [events.filter(isKnown), events.filter((event) => !isKnown(event))];
  const knownAs = ({ header }) => known[Number(header.number) - 1];
  const isUnchanged = old.every((event) => isSamePlace(event, knownAs(event)));
  const [last, again] = [known.at(-1), old.at(-1)];
  const isLastThere = last === undefined ? again === undefined : isSamePlace(last, again);
  return isUnchanged && isLastThere ? fresh : undefined;
}

/** Whether two events are one and the same, in the same block. */
export function isSamePlace(one, other) {
  if (one === undefined || other === undefined) return false;
  return ["raw", "block", "blockHash"].every((part) => one[part] === other[part]);
}

/** Times come from blocks: the lateness in the event is what is to be checked. */
async function readTimes(chain, events, tell) {
  const blocks = new Map();
  const numbers = [...new Set(events.map(({ block }) => block))];
  for (let at = 0; at < numbers.length; at += AT_ONCE) {
    const some = numbers.slice(at, at + AT_ONCE);
    const found = await Promise.all(some.map((number) => chain.block(number)));
    some.forEach((number, i) => blocks.set(number, found[i]));
    tell("headers", Math.min(at + AT_ONCE, numbers.length), numbers.length);
  }
  const moved = events.find(({ block, blockHash }) => blocks.get(block)?.hash !== blockHash);
  if (moved !== undefined) {
    return {
      moved: `block ${moved.block}, in which batch ${moved.header.number} settled, is another`,
    };
  }
  return {
    settled: events.map((event) => ({ ...event, blockTime: blocks.get(event.block).time })),
  };
}

async function finalBlock(chain) {
  try {
    return (await chain.block("finalized"))?.number ?? 0n;
  } catch (error) {
    // Not every node knows the tag: then nothing is final.
    if (error instanceof ChainError && error.kind === "refused") return 0n;
    throw error;
  }
}

/**
 * Gas of a transaction, and of each batch that it settled the header's hash and the number of
 * proofs; none if it called the contract by way of another one.
 */
export async function readTransaction(chain, hash) {
  const [receipt, transaction] = await Promise.all([
    chain.call("eth_getTransactionReceipt", [hash]),
    chain.call("eth_getTransactionByHash", [hash]),
  ]);
  if (!receipt || !transaction) {
    throw new ChainError("refused", `the node does not have transaction ${hash}`);
  }
  return {
    gas: quantity(receipt.gasUsed, "gas"),
    batches: batchesOf(hex(transaction.input, "a transaction's data")),
  };
}

function batchesOf(calldata) {
  try {
    // No more than these: many transactions are kept, and each may be long.
    return decodeSettleCall(calldata).map(({ header, operations, claims }) => ({
      hash: toHex(headerHash(header)),
      proofs: operations.length + claims.length,
    }));
  } catch (error) {
    if (error instanceof DecodeError || error instanceof HeaderError) return [];
    throw error;
  }
}

/** What is no answer of the contract is broken, whatever exactly it is. */
function asAnswer(what, read) {
  try {
    return read();
  } catch (error) {
    const isOdd = [DecodeError, HeaderError, PointError].some((of) => error instanceof of);
    if (!isOdd) throw error;
    const expected = "an answer of the settlement contract";
    throw new Broken({ item: what, expected, found: error.message });
  }
}

function canonical(word) {
  const found = wordOf(word);
  if (found !== undefined) return found;
  throw new DecodeError("expected a field element below the BN254 scalar order, found another");
}

function expectMillis(time) {
  if (time < MILLIS_END) return time;
  throw new DecodeError(`expected milliseconds since 1900 below 2^44, found ${time}`);
}

/** Of seconds since 1970; beyond the last time that can be expressed, that. */
function millisOf(seconds) {
  const time = seconds * 1000n + UNIX_EPOCH_MS;
  return time < MILLIS_END ? time : MILLIS_END - 1n;
}

function toQuantity(number) {
  return `0x${number.toString(16)}`;
}

/** A number as JSON-RPC writes it, below 2^64. */
function quantity(text, what) {
  if (typeof text === "string" && /^0x[0-9a-fA-F]{1,16}$/.test(text)) return BigInt(text);
  throw new ChainError("malformed", `the chain's node gives no number as ${what}`);
}

function hex(text, what, length) {
  try {
    return fromHex(text, length);
  } catch {
    throw new ChainError("malformed", `the chain's node gives no bytes as ${what}`);
  }
}
