// What a saved page reads in place of a server: documents, answers and files that its data hold.
// Nothing of it is believed more than what a server says; `session.js` checks it all.

import {
  ANSWERS_CHARS_MAX,
  FILES_BYTES_MAX,
  NODE_NAME_CHARS_MAX,
  SCHEMA,
  SavedError,
} from "../assets/saving.js";

const CHAINS_MAX = 8;
/** Base64 takes four characters for three bytes; escapes and names are in the reserve. */
const TEXT_CHARS_MAX = 2 * FILES_BYTES_MAX + 2 * ANSWERS_CHARS_MAX;

/** The data of a saved page, or a `SavedError` that says what is wrong with them. */
export function readSaved(text) {
  if (text.length > TEXT_CHARS_MAX) throw malformed(`at most ${TEXT_CHARS_MAX} characters`);
  let saved;
  try {
    saved = JSON.parse(text);
  } catch {
    throw malformed("JSON in one piece: the file may be cut off");
  }
  if (saved?.schema !== SCHEMA) throw malformed(`schema ${SCHEMA}`);
  const { number, savedAt, nodes, documents, chains, files } = saved;
  expect(Number.isSafeInteger(number) && number >= 1, "the number of a batch");
  expect(Number.isSafeInteger(savedAt) && savedAt >= 0 && savedAt < 8.64e15, "when it was saved");
  const isName = (name) => typeof name === "string" && name.length <= NODE_NAME_CHARS_MAX;
  expect(Array.isArray(chains) && chains.length >= 1 && chains.length <= CHAINS_MAX, "a chain");
  expect(chains.every(isChain), "answers and events of each chain");
  const areNames = Array.isArray(nodes) && nodes.length === chains.length && nodes.every(isName);
  expect(areNames, "a name for each node of the chain");
  expect(isTexts(documents) && isTexts(files), "documents and files as text");
  return { number, savedAt, nodes, documents, chains, files };
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isTexts = (value) =>
  isObject(value) && Object.values(value).every((text) => typeof text === "string");
const isChain = (chain) =>
  isObject(chain) &&
  Array.isArray(chain.logs) &&
  Array.isArray(chain.answers) &&
  chain.answers.every((pair) => Array.isArray(pair) && isObject(pair[1]));

function expect(holds, what) {
  if (!holds) throw malformed(what);
}

function malformed(what) {
  return new SavedError("malformed", `the data of this file: expected ${what}, found another thing`);
}

/** What `fetch` gives to a page that has nothing but these data and the contract's artefact. */
export function frozenFetch(saved, contract) {
  const documents = new Map(Object.entries(saved.documents));
  // Whose page it is says whoever opens the file; no server does.
  const served = { schema: 1, trust: "operator", chains: saved.chains.length };
  documents.set("/page.json", JSON.stringify(served));
  documents.set("/contract.json", contract);
  const files = new Map(Object.entries(saved.files));
  const chains = saved.chains.map((chain) => new FrozenChain(chain));
  return async (url, init = {}) => {
    const chain = /^\/chain\/([1-8])$/.exec(url)?.[1];
    if (chain !== undefined) return chains[Number(chain) - 1]?.answer(init.body) ?? missing();
    const file = /^\/batches\/([0-9]+)$/.exec(url)?.[1];
    const body = file === undefined ? documents.get(url) : bytesOf(files.get(file));
    return body === undefined ? missing() : new Response(body);
  };
}

const missing = () => new Response("", { status: 404 });

class FrozenChain {
  #answers;
  #logs;

  constructor({ answers, logs }) {
    this.#answers = new Map(answers);
    this.#logs = logs;
  }

  answer(body) {
    const { id, method, params } = JSON.parse(body);
    const found = this.#find(method, params);
    if (found === undefined) return missing();
    const { status, said, result, error } = found;
    if (status === 0) throw new TypeError("nobody answered");
    // Only what failed is kept with a status.
    if (status !== undefined) return new Response(String(said), { status: statusOf(status) });
    return Response.json({ jsonrpc: "2.0", id, result, error });
  }

  #find(method, params) {
    const known = this.#answers.get(JSON.stringify([method, params]));
    if (method !== "eth_getLogs" || known !== undefined) return known;
    const { fromBlock, toBlock } = params[0];
    const isInside = (log) => {
      const number = numberOf(log?.blockNumber);
      return number !== undefined && BigInt(fromBlock) <= number && number <= BigInt(toBlock);
    };
    return { result: this.#logs.filter(isInside) };
  }
}

/** A status that says no: what was busy then is not waited for now. */
function statusOf(status) {
  const isFailure = Number.isInteger(status) && status >= 400 && status <= 599;
  return isFailure && ![429, 503].includes(status) ? status : 502;
}

function numberOf(text) {
  return /^0x[0-9a-fA-F]{1,16}$/.test(text) ? BigInt(text) : undefined;
}

/** Of base64; what is none is no file. */
function bytesOf(text) {
  if (text === undefined) return undefined;
  let decoded;
  try {
    decoded = atob(text);
  } catch {
    return undefined;
  }
  // Of tens of millions of characters: a function for each would take seconds.
  const bytes = new Uint8Array(decoded.length);
  for (let at = 0; at < decoded.length; at++) bytes[at] = decoded.charCodeAt(at);
  return bytes;
}
