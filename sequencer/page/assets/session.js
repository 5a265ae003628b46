// What a page knows of one deployment: the chain's word, checked, and what was verified so far.
// Answers are plain values that cross to the page as they are.

import {
  Chain,
  ChainError,
  isSamePlace,
  readConstants,
  readHistory,
  readTransaction,
} from "./chain.js";
import { NodeError, fetchBatches, fetchFile, fetchJson } from "./node.js";
import { Peers } from "./peers.js";
import { after, batchSteps } from "./statement/batch.js";
import { DecodeError, areEqual, fromHex, toHex } from "./statement/bytes.js";
import { equal, item } from "./statement/broken.js";
import { checkDeployment, codeHash, readDeployment } from "./statement/deployment.js";
import { FileError, decodeFile, headerBytesOf } from "./statement/file.js";
import { HEADER_WORDS, encodeHeader, headerWords } from "./statement/header.js";
import { checkHead, checkHeaders } from "./statement/headers.js";
import { journalSteps } from "./statement/journal.js";
import { UNIX_EPOCH_MS } from "./statement/limits.js";

const TRUSTS = ["operator", "verifier", "wallet"];
/** Names under which a browser reaches the machine that it runs on. */
const OWN_HOSTS = ["127.0.0.1", "localhost", "[::1]"];
const CHAINS_MAX = 8;
/** A batch counts as late so much after its window ended, as for the auditor. */
const LATE_AFTER_MS = 600_000n;
/** Most windows and batches that are shown before the chain has them. */
const UNDER_WAY_MAX = 20;
/** Most files that are read for the last journal group before a batch. */
const TAIL_FILES_MAX = 4;
/** Most chunks of a list that are described: a file that is not checked can hold any number. */
const CHUNKS_SHOWN_MAX = 100;
/** Most transactions whose gas is kept. */
const TRANSACTIONS_MAX = 1000;
/** Longest computation in one go, milliseconds: between two, what was asked meanwhile is heard. */
const BREATH_MS = 50;

export class Session {
  #served;
  #file;
  #artefact;
  #chains = [];
  #peers;
  #context;
  #history;
  #lateness;
  /** What the node said last of what the chain does not have yet. */
  #told = { assembled: 0, underWay: [] };
  #tails = new Map();
  #transactions = new Map();
  /** Raised by whatever makes findings of before those of another past. */
  #generation = 0;
  /** Whether the last reading of the chain found something broken: nothing is checked then. */
  #isVoid = false;
  /** The reading of the chain that is under way, or was the last. */
  #reading = Promise.resolve();

  /**
   * `fetch`, `wait` and `hostname` are given by tests, and `fetch` by what saves a batch. A page
   * that was opened from a file gives `trust`: whose it is then no server says.
   */
  constructor(options = {}) {
    this.options = options;
  }

  async act(act, given, tell) {
    switch (act) {
      case "open":
        return await this.open(tell);
      case "refresh":
        return await this.refresh(tell);
      case "standing":
        return await this.standing();
      case "costs":
        return await this.costs(given.numbers);
      case "detail":
        return await this.detail(given.number);
      case "verify":
        return await this.verify(given.number, tell);
      case "peers":
        return await this.peers();
      case "compare":
        return await this.compare(given.number, given.hash, tell);
      default:
        throw new Error(`no such act: ${act}`);
    }
  }

  /** Reads what the server says of itself, the deployment, and the chain; checks these. */
  async open(tell) {
    return await this.#alone(() => this.#open(tell));
  }

  /** Reads what is new on the chain, and follows its headers on from those of before. */
  async refresh(tell) {
    const isOpen = () => this.#context !== undefined;
    return await this.#alone(() => (isOpen() ? this.#refresh(tell) : this.#open(tell)));
  }

  /** One reading after the other: of two at once each would continue what the other replaces. */
  async #alone(read) {
    const reading = this.#reading.then(read);
    this.#reading = reading.catch(() => {});
    return await reading;
  }

  async #open(tell) {
    tell("open", 0, 1);
    // Another deployment may be behind this address by now: nothing that was found holds for it.
    this.#generation += 1;
    this.#history = undefined;
    this.#context = undefined;
    this.#tails.clear();
    this.#transactions.clear();
    const host = this.options.hostname ?? globalThis.location?.hostname;
    const served = readServed(await fetchJson("/page.json", this.options), host);
    this.#served = { ...served, trust: this.options.trust ?? served.trust };
    this.#file = readDeployment(await fetchJson("/deployment.json", this.options));
    this.#artefact = readArtefact(await fetchJson("/contract.json", this.options));
    this.#chains = Array.from(
      { length: this.#served.chains },
      (_, at) => new Chain(`/chain/${at + 1}`, this.options),
    );
    const of = { file: this.#file, artefact: this.#artefact };
    this.#peers = new Peers(this.#chains, of);
    tell("deployment", 0, 1);
    const constants = await readConstants(this.#chains[0], this.#file, this.#artefact);
    this.#context = checkDeployment(this.#file, constants, this.#artefact);
    return await this.#refresh(tell);
  }

  async #refresh(tell) {
    const known = this.#history?.settled ?? [];
    try {
      const history = await readHistory(this.#chains[0], this.#file, known, tell);
      this.#expectFinal(history);
      this.#lateness = this.#checkHistory(history);
      this.#forgetReplaced(history);
      this.#history = history;
      this.#isVoid = false;
    } catch (error) {
      // What runs was begun on the word of a chain that contradicts itself by now.
      if (error.name === "Broken") {
        this.#generation += 1;
        this.#isVoid = true;
      }
      throw error;
    }
    return await this.#askNode();
  }

  /** Asks the node alone how far its windows are: the chain is as it was read last. */
  async standing() {
    if (this.#history === undefined || this.#isVoid) throw moved("the chain is being read");
    return await this.#askNode();
  }

  async #askNode() {
    let node = {};
    try {
      node = await fetchBatches(this.options);
      this.#told = node;
    } catch (error) {
      // What the chain says stands without the node; the page says that its files are away. Where
      // its windows are now nobody says.
      if (error.name !== "NodeError") throw error;
      node = { fault: error.message };
      this.#told = { ...this.#told, underWay: [] };
    }
    return this.#overview(node);
  }

  /** A header whose block was final is there for good: another in its place is another history. */
  #expectFinal({ settled }) {
    const { settled: before = [], finalBlock } = this.#history ?? {};
    const firm = before.filter(({ block }) => block <= finalBlock);
    for (const { header, headerHash } of firm) {
      // One that is gone is shown as zeros, as the auditor does.
      const found = settled[Number(header.number) - 1]?.headerHash ?? new Uint8Array(32);
      equal(header.number, item.savedHeader, headerHash, found);
    }
  }

  /** Headers that were followed before, and are where they were, are not followed again. */
  #checkHistory({ settled, state }) {
    const done = this.#history?.settled ?? [];
    const isContinued = done.length > 0 && settled[done.length - 1] === done[done.length - 1];
    const begin = isContinued ? after(done[done.length - 1].header) : this.#context.genesis;
    const fresh = isContinued ? settled.slice(done.length) : settled;
    const found = checkHeaders(begin, fresh, LATE_AFTER_MS);
    const lateness = isContinued ? latest(this.#lateness, found) : found;
    const last = settled.length === 0 ? begin : after(settled[settled.length - 1].header);
    checkHead(state, last, lateness);
    return lateness;
  }

  /** A batch that a reorganisation replaced is another: what was found since is void. */
  #forgetReplaced({ settled }) {
    const before = this.#history?.settled ?? [];
    if (before.every((one, at) => isSamePlace(one, settled[at]))) return;
    this.#generation += 1;
    this.#tails.clear();
  }

  #overview(node) {
    const { head, settled, finalBlock } = this.#history;
    const rows = settled.map((one) => rowOf(one, finalBlock));
    rows.push(...rowsUnderWay(settled.length, this.#told));
    const open = this.#told.underWay.find(({ state }) => state === "open");
    const { scope, setup, keys } = this.#file;
    return {
      trust: this.#served.trust,
      chains: this.#served.chains,
      chainId: String(scope.chainId),
      contract: toHex(scope.contract),
      fingerprint: this.#context.fingerprint,
      setup: this.#context.devInsecure ? "dev-insecure" : setup,
      keys: keys.map(({ shape, circuit, id }) => ({ shape, circuit, id: toHex(id) })),
      roles: {
        sequencer: toHex(this.#file.sequencer),
        receiptSigner: toHex(this.#file.receiptSigner),
      },
      head: { block: Number(head.number), time: unixMs(head.time) },
      lateness: { maxMs: Number(this.#lateness.maxMs), batches: this.#lateness.lateBatches },
      rows,
      settledCount: settled.length,
      // Only behind everything that the chain has.
      open: open?.number > settled.length ? open : undefined,
      beyond: Math.max(0, lastTold(this.#told) - rows.length),
      node,
    };
  }

  /** Gas and proofs of batches, from the transactions that settled them. */
  async costs(numbers) {
    const found = [];
    for (const number of numbers) {
      const one = this.#settled(number);
      const { gas, batches } = await this.#transaction(one.transaction);
      const identity = identityOf(one);
      // Calldata that holds another header of this number says nothing of this batch.
      const own = batches.find(({ hash }) => hash === identity.hash);
      const shared = own === undefined ? 1 : batches.length;
      found.push({ number, ...identity, gas: Number(gas), shared, proofs: own?.proofs });
    }
    return found;
  }

  async #transaction(hash) {
    if (!this.#transactions.has(hash)) {
      if (this.#transactions.size >= TRANSACTIONS_MAX) this.#transactions.clear();
      this.#transactions.set(hash, await readTransaction(this.#chains[0], hash));
    }
    return this.#transactions.get(hash);
  }

  #settled(number) {
    if (this.#isVoid) throw moved("what the chain said when it was read last is broken");
    const one = this.#history?.settled[number - 1];
    if (one !== undefined) return one;
    throw new ChainError("refused", `batch ${number} is not settled on the chain`);
  }

  /** Header words of the chain, and what the node's file holds, of which nothing is checked yet. */
  async detail(number) {
    const { settled = [], finalBlock } = this.#history ?? {};
    const one = settled[number - 1];
    const detail = { number, file: await this.#describeFile(number, one) };
    if (one === undefined) return detail;
    return {
      ...detail,
      row: rowOf(one, finalBlock),
      ...identityOf(one),
      block: Number(one.block),
      blockTime: unixMs(one.blockTime),
      words: headerWords(one.header).map((word, at) => {
        const { field, name, type } = HEADER_WORDS[at];
        const value = typeof type === "number" ? String(one.header[field]) : toHex(word);
        return { name, value, isTime: field === "t0" || field === "t1" };
      }),
    };
  }

  async #describeFile(number, one) {
    const { keys } = this.#file;
    try {
      const bytes = await fetchFile(number, this.options);
      // Before its lists are read, which a stranger can make long: is it this batch's at all?
      const found = headerBytesOf(bytes) ?? new Uint8Array();
      if (one !== undefined && !areEqual(found, encodeHeader(one.header))) {
        return { fault: "the file that the node serves has another header than the chain" };
      }
      const file = decodeFile(bytes);
      return describeFile(file, bytes.length, shapesOf(keys));
    } catch (error) {
      if (error.name !== "NodeError" && !(error instanceof FileError)) throw error;
      return { fault: error.message };
    }
  }

  /**
   * Verifies a settled batch: its file against the header that the chain has, down to each proof.
   * Everything above the file was checked when the chain was read.
   */
  async verify(number, tell) {
    // One reading of the chain from begin to end: a later one may be of another past.
    const one = this.#settled(number);
    const { settled } = this.#history;
    const [context, generation] = [this.#context, this.#generation];
    const [{ keys }, peers] = [this.#file, this.#peers];
    tell("fetch", 0, 1);
    const bytes = await fetchFile(number, this.options);
    const { previous, unlinked } = await this.#previous({ context, settled }, number, tell);
    // Before a word about the file: of a batch that was replaced it is right to be another.
    this.#expectSame(generation);
    const begin = performance.now();
    const of = { context, previous, header: one.header };
    const { tail, gaps, proofs, file } = await walk(batchSteps(of, bytes), tell);
    const ms = performance.now() - begin;
    // Without its predecessor's last group, a lost group before its own would not show: that is no
    // verified batch.
    if (unlinked === undefined) this.#tails.set(number, { tail });
    const compared = await peers.aboutBatch(one, tell);
    this.#expectSame(generation);
    return {
      number,
      ms,
      compared,
      proofs,
      gaps,
      unlinked,
      bytes: bytes.length,
      groups: file.groups.length,
      segments: file.segments.count,
      // Of the very bytes that were checked: the node may serve others when it is asked again.
      file: describeFile(file, bytes.length, shapesOf(keys)),
      headers: settled.length,
      keys: keys.length,
      ...identityOf(one),
      block: Number(one.block),
      fingerprint: context.fingerprint,
      devInsecure: context.devInsecure,
    };
  }

  /** Whatever was replaced meanwhile, what was found since is not of what is shown. */
  #expectSame(generation) {
    if (generation === this.#generation) return;
    throw moved("it was read anew meanwhile, and its past is another");
  }

  async #previous(of, number, tell) {
    const { context, settled } = of;
    if (number === 1) return { previous: context.genesis };
    const before = settled[number - 2];
    const known = this.#tails.get(number - 1);
    const { tail, unlinked } = known ?? (await this.#findTail(of, number - 1, tell));
    return { previous: after(before.header, tail), unlinked };
  }

  /**
   * The last journal group of a batch that was not checked here: of its file the groups alone,
   * which the two headers around them pin. Without any, a batch ends where the one before does.
   * Where there is none to be had, why: which file it is, whether it is broken, and in what words.
   */
  async #findTail({ context, settled }, number, tell) {
    const toBefore = (_, done, of) => tell("before", done, of);
    for (let at = number; at > 0 && number - at < TAIL_FILES_MAX; at--) {
      const { header } = settled[at - 1];
      const before = at === 1 ? context.genesis : after(settled[at - 2].header);
      try {
        const { groups } = decodeFile(await fetchFile(at, this.options));
        const { tail } = await walk(journalSteps({ previous: before, header }, groups), toBefore);
        if (tail !== undefined) return { tail };
      } catch (error) {
        // That file is its own batch's matter; here the step from it is told as not checked.
        const isBroken = error.name === "Broken" || error instanceof FileError;
        if (!isBroken && error.name !== "NodeError") throw error;
        return { unlinked: { number: at, isBroken, why: error.message } };
      }
    }
    const why = `${TAIL_FILES_MAX} files before it hold no journal group`;
    return { unlinked: { number, isBroken: false, why } };
  }

  /** Asks the other nodes of the chain about a verified batch, and says where they differ. */
  async compare(number, hash, tell) {
    const one = this.#settled(number);
    if (toHex(one.headerHash) !== hash) throw moved(`batch ${number} is another by now`);
    const generation = this.#generation;
    const answers = await this.#peers.aboutBatch(one, tell);
    this.#expectSame(generation);
    return answers;
  }

  /** Asks them about the deployment alone. */
  async peers() {
    return (await this.#peers?.aboutDeployment()) ?? [];
  }
}

/** Goes all steps, and rests between some of them: what computes must hear that it is cancelled. */
async function walk(steps, tell) {
  let rested = performance.now();
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    tell(value.name, value.done, value.of);
    if (performance.now() - rested < BREATH_MS) continue;
    await new Promise((go) => setTimeout(go, 0));
    rested = performance.now();
  }
}

function moved(why) {
  return new ChainError("moved", `the chain moved: ${why}; check again`);
}

/** What tells a settled batch from another one in its place (`checks.js`). */
function identityOf({ headerHash, transaction, blockHash }) {
  return { hash: toHex(headerHash), transaction, blockHash };
}

function latest(before, found) {
  return {
    maxMs: found.maxMs > before.maxMs ? found.maxMs : before.maxMs,
    lateBatches: before.lateBatches + found.lateBatches,
  };
}

/**
 * `/page.json`: an unknown word is no trust at all, and a reader's own machine has a name of its
 * own: whoever serves a page from elsewhere is an operator, whatever is said.
 */
export function readServed(json, hostname) {
  const { schema, trust, chains } = json ?? {};
  const isKnown = schema === 1 && TRUSTS.includes(trust);
  if (isKnown && Number.isInteger(chains) && chains >= 1 && chains <= CHAINS_MAX) {
    return { trust: OWN_HOSTS.includes(hostname) ? trust : "operator", chains };
  }
  throw malformed("/page.json: expected schema 1, a trust and a number of chains");
}

function malformed(message) {
  return new NodeError("malformed", message);
}

function readArtefact(json) {
  try {
    return {
      codeHash: codeHash(fromHex(json?.bytecode?.object)),
      template: fromHex(json?.deployedBytecode?.object),
    };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw malformed(`/contract.json: ${error.message}`);
  }
}

function rowOf(one, finalBlock) {
  const { header, block, latenessMs } = one;
  const count = (field) => Number(header[field]);
  return {
    number: count("number"),
    from: unixMs(header.t0),
    until: unixMs(header.t1),
    operations: count("operations"),
    enrolments: count("enrolments"),
    access: count("access"),
    collect: count("collect"),
    breakGlass: count("breakGlass"),
    excluded: count("excluded"),
    latenessMs: Number(latenessMs),
    ...identityOf(one),
    block: Number(block),
    state: block <= finalBlock ? "final" : "mined",
  };
}

/**
 * Rows of what the chain does not have, by the node's word alone: a large number must make no long
 * list, and a hole in what is told ends it.
 */
function rowsUnderWay(settledCount, { assembled, underWay }) {
  const told = new Map(underWay.map((one) => [one.number, one]));
  const rows = [];
  for (let number = settledCount + 1; rows.length < UNDER_WAY_MAX; number++) {
    const one = told.get(number);
    if (one !== undefined && one.state !== "open") rows.push(one);
    else if (number <= assembled) rows.push({ number, state: "assembled" });
    else break;
  }
  return rows;
}

/** The last window that has ended, by the node's word. */
function lastTold({ assembled, underWay }) {
  const ended = underWay.map(({ number, state }) => (state === "open" ? number - 1 : number));
  return Math.max(assembled, ...ended);
}

function shapesOf(keys) {
  return Object.fromEntries(keys.map(({ id, shape }) => [toHex(id), shape]));
}

function describeFile(file, bytes, shapes) {
  const chunk = ({ keyId, leaves, proof, ...counters }) => ({
    shape: shapes[toHex(keyId)] ?? "unknown",
    leaves: leaves.length,
    used: leaves.filter((leaf) => leaf !== 0n).length,
    operations: counters.operations,
    enrolments: counters.enrolments,
    access: counters.access,
    collect: counters.collect,
    breakGlass: counters.breakGlass,
    excluded: counters.excluded,
  });
  return {
    bytes,
    operations: file.operations.slice(0, CHUNKS_SHOWN_MAX).map(chunk),
    claims: file.claims.slice(0, CHUNKS_SHOWN_MAX).map(chunk),
    chunks: { operations: file.operations.length, claims: file.claims.length },
    segments: file.segments.count,
    segmentBytesMax: Number(file.segments.bytesMax),
    groups: file.groups.length,
    firstGroup: file.groups.length === 0 ? undefined : String(file.groups[0].number),
    lastGroup: file.groups.length === 0 ? undefined : String(file.groups.at(-1).number),
  };
}

function unixMs(millis) {
  return Number(millis - UNIX_EPOCH_MS);
}
