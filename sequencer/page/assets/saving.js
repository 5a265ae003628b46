// One batch with all that its check reads, as the text that a saved page holds. It is read once
// more for that, by a session of its own through `Recorder`, so that everything in the file is of
// one past of the chain: deployment, code, keys, every header from genesis, and the public files.

import { ChainError } from "./chain.js";
import { FetchError, readBody } from "./fetch.js";
import { fetchJson } from "./node.js";
import { Session } from "./session.js";
import { escape } from "./statement/escape.js";
import { BATCH_FILE_BYTES_MAX } from "./statement/limits.js";

export const SCHEMA = "vitals-saved-batch-1";
/** Most of what a saved page holds: bytes of public files, and characters of answers. */
export const FILES_BYTES_MAX = 64 * 1024 * 1024;
export const ANSWERS_CHARS_MAX = 64 * 1024 * 1024;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of base64 that are made at once: arguments of a call have a limit. */
const BASE64_PART = 24_573;
const NODE_NAME_MAX = 300;
/** Of one that is escaped: eight for what is least plain. */
export const NODE_NAME_CHARS_MAX = 8 * NODE_NAME_MAX;
/** Of an answer that is none, its code and words. */
const SAID_CHARS_MAX = 4096;
/** What a saved page cannot take from its own template. */
const DOCUMENTS = ["/deployment.json", "/batches"];

/** Why a batch is not saved, or why what was saved cannot be read. */
export class SavedError extends Error {
  constructor(kind, message) {
    super(message);
    Object.assign(this, { name: "SavedError", kind });
  }
}

/**
 * Reads, checks and records a batch; gives the text of `#saved`, and whether a file before it that
 * is too large is missing in it. `hash` is that of the header that is shown: a batch that was
 * replaced meanwhile is not what somebody wants to keep. One that is broken is saved, too: it is
 * evidence. `options` are those of a session, and of tests the two limits.
 */
export async function saveBatch(asked, options, tell) {
  const { number, savedAt } = asked;
  const fetch = options.fetch ?? ((...of) => globalThis.fetch(...of));
  const { filesBytesMax = FILES_BYTES_MAX, answersCharsMax = ANSWERS_CHARS_MAX } = options;
  const recorder = new Recorder(fetch, { number, filesBytesMax, answersCharsMax });
  try {
    const nodes = await readAll(asked, { options, recorder }, tell);
    const text = recorder.toText({ schema: SCHEMA, number, savedAt, nodes });
    return { text, isAlone: recorder.isAlone };
  } catch (error) {
    // Whoever asked was told that nobody answers, which is not why.
    throw recorder.fault ?? error;
  }
}

async function readAll({ number, hash }, { options, recorder }, tell) {
  const session = new Session({ ...options, fetch: recorder.fetch });
  const overview = await session.open(tell);
  const detail = await session.detail(number);
  if (detail.hash !== hash) {
    throw new ChainError("moved", `batch ${number} is another by now: check it again`);
  }
  await orNothing("ChainError", () => session.costs([number]));
  await session.peers();
  // What is broken was read to where it broke, and the saved page comes to the same.
  await orNothing("Broken", () => session.verify(number, tell));
  return await nodesOf(options, overview.chains);
}

/** Goes on if what fails is of this name. */
async function orNothing(name, act) {
  try {
    return await act();
  } catch (error) {
    if (error.name !== name) throw error;
    return undefined;
  }
}

/** Names of the chain's nodes, as the server may show them: without user, path or key. */
async function nodesOf(options, chains) {
  const found = await orNothing("NodeError", () => fetchJson("/nodes.json", options));
  const names = found?.schema === 1 && Array.isArray(found.nodes) ? found.nodes : [];
  return Array.from({ length: chains }, (_, at) => {
    const name = names[at];
    return typeof name === "string" ? escape(name.slice(0, NODE_NAME_MAX)) : "a node without a name";
  });
}

/** Keeps what is asked of this page's server, and what is answered, the last answer to each. */
class Recorder {
  #fetch;
  #documents = new Map();
  #files = new Map();
  #chains = [];
  #fileBytes = 0;
  #answerChars = 0;
  #of;
  /** Why it can keep no more, once it cannot. */
  fault;
  /** Whether a file of a batch before was too large to be kept beside the batch's own. */
  isAlone = false;

  /** `of` says which batch it is for, and the limits. */
  constructor(fetch, of) {
    this.#fetch = fetch;
    this.#of = of;
    this.fetch = async (url, init = {}) => await this.#ask(url, init);
  }

  async #ask(url, init) {
    const chain = /^\/chain\/([1-8])$/.exec(url)?.[1];
    const file = /^\/batches\/([0-9]+)$/.exec(url)?.[1];
    const abort = new AbortController();
    const signals = [init.signal, abort.signal].filter(Boolean);
    let answer;
    try {
      answer = await this.#fetch(url, { ...init, signal: AbortSignal.any(signals) });
    } catch (error) {
      if (chain !== undefined) this.#keepAnswer(chain, init.body, { status: 0, text: "" });
      throw error;
    }
    const bytesMax = file === undefined ? ANSWER_BYTES_MAX : BATCH_FILE_BYTES_MAX + 1;
    const bytes = await readBody(answer, bytesMax, abort);
    const { status, headers } = answer;
    if (chain !== undefined) this.#keepAnswer(chain, init.body, { status, text: textOf(bytes) });
    else if (file !== undefined && status === 200) this.#keepFile(Number(file), bytes);
    else if (DOCUMENTS.includes(url) && status === 200) this.#documents.set(url, textOf(bytes));
    return new Response(bytes, { status, headers });
  }

  #keepAnswer(chain, question, answer) {
    this.#answerChars += answer.text.length;
    const { answersCharsMax } = this.#of;
    const most = `answers of the chain of at most ${answersCharsMax} characters`;
    if (this.#answerChars > answersCharsMax) this.#refuse(most);
    (this.#chains[Number(chain) - 1] ??= new RecordedChain()).keep(question, answer);
  }

  #keepFile(number, bytes) {
    const sum = this.#fileBytes + bytes.length - (this.#files.get(number)?.length ?? 0);
    // Of those before only the last groups are used, by which this one is linked to them.
    const { filesBytesMax } = this.#of;
    const isTooLarge = sum > filesBytesMax;
    if (isTooLarge && number !== this.#of.number) {
      this.isAlone = true;
      return;
    }
    if (isTooLarge) this.#refuse(`a public file of at most ${filesBytesMax} bytes`);
    this.#fileBytes = sum;
    this.#files.set(number, bytes);
  }

  #refuse(most) {
    const words = `expected ${most}, found more: this batch is for auditor verify`;
    this.fault = new SavedError("too-large", words);
    throw new FetchError("too-large", words);
  }

  /** One line, which can be no markup: a saved page is told from its data by that. */
  toText(about) {
    const documents = Object.fromEntries(this.#documents);
    const files = Object.fromEntries([...this.#files].map(([n, bytes]) => [n, toBase64(bytes)]));
    const silent = { answers: [], logs: [] };
    const chains = Array.from(this.#chains, (chain) => chain?.toJson() ?? silent);
    const text = JSON.stringify({ ...about, documents, chains, files });
    return text.replaceAll("<", "\\u003c");
  }
}

/** What one node of the chain said: answers by their questions, and events by themselves. */
class RecordedChain {
  #answers = new Map();
  #logs = [];

  keep(question, { status, text }) {
    const { method, params } = JSON.parse(question);
    const said = text.slice(0, SAID_CHARS_MAX);
    const answer = status === 200 ? resultOf(text) : { status, said };
    const key = JSON.stringify([method, params]);
    if (method === "eth_getLogs" && Array.isArray(answer.result)) {
      this.#keepLogs(params[0], answer.result);
      this.#answers.delete(key);
    } else {
      this.#answers.set(key, answer);
    }
  }

  /** In place of what was said of these blocks before: they may have been replaced. */
  #keepLogs({ fromBlock, toBlock }, logs) {
    const isInside = ({ blockNumber }) =>
      BigInt(fromBlock) <= BigInt(blockNumber) && BigInt(blockNumber) <= BigInt(toBlock);
    // What has no number in these blocks is no answer to the question, and nothing of it is used.
    const fresh = logs.filter((log) => isNumbered(log) && isInside(log));
    this.#logs = [...this.#logs.filter((log) => !isInside(log)), ...fresh];
  }

  toJson() {
    return { answers: [...this.#answers], logs: this.#logs };
  }
}

function isNumbered(log) {
  return typeof log?.blockNumber === "string" && /^0x[0-9a-fA-F]{1,16}$/.test(log.blockNumber);
}

function resultOf(text) {
  try {
    const { result, error } = JSON.parse(text);
    return error === undefined || error === null ? { result } : { error };
  } catch {
    return { status: 502, said: "" };
  }
}

function textOf(bytes) {
  return new TextDecoder().decode(bytes);
}

function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += BASE64_PART) {
    text += btoa(String.fromCharCode(...bytes.subarray(at, at + BASE64_PART)));
  }
  return text;
}
