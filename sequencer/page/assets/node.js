// What the node serves: how many batches there are, and their public files. Nothing it delivers is
// believed.

import { FetchError, fetchBytes } from "./fetch.js";
import { BATCH_FILE_BYTES_MAX } from "./statement/limits.js";
import { parseStrictly } from "./statement/strict.js";

const LIST_BYTES_MAX = 64 * 1024;
const JSON_BYTES_MAX = 1 << 20;
const FILE_TIMEOUT_MS = 120_000;
const BATCHES_MAX = 2 ** 53;

/** Something that the node did not deliver. */
export class NodeError extends Error {
  constructor(kind, message) {
    super(message);
    Object.assign(this, { name: "NodeError", kind });
  }
}

/** A JSON document of this page's server, read as strictly as the programs read it. */
export async function fetchJson(path, options = {}) {
  const bytes = await get(path, path, { bytesMax: JSON_BYTES_MAX, ...options });
  const { document, fault } = parseStrictly(textOf(bytes, path));
  if (fault === undefined) return document;
  throw new NodeError("malformed", `${path}: ${fault}`);
}

function textOf(bytes, path) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new NodeError("malformed", `${path}: expected text in UTF-8, found other bytes`);
  }
}

/** How far a window is before the chain has it, by the node's word. */
const UNDER_WAY = ["open", "closed", "proving", "assembled", "sent"];
const UNDER_WAY_MAX = 64;
const isCount = (n) => Number.isSafeInteger(n) && n >= 0 && n < BATCHES_MAX;

/**
 * Numbers of the last assembled and the last settled batch, and what is under way behind them, by
 * the node's word: of a node that tells nothing of it, nothing.
 */
export async function fetchBatches(options = {}) {
  const list = await fetchJson("/batches", { bytesMax: LIST_BYTES_MAX, ...options });
  const { schema, assembled, settled } = list ?? {};
  if (schema !== "vitals-batches-1" || !isCount(assembled) || !isCount(settled)) {
    throw new NodeError("malformed", "/batches: expected schema vitals-batches-1 with two numbers");
  }
  return { assembled, settled, underWay: readUnderWay(list.under_way) };
}

/** What has another form, or is of a state that a later release added, is passed over. */
function readUnderWay(told) {
  if (!Array.isArray(told)) return [];
  return told.slice(0, UNDER_WAY_MAX).flatMap((one) => {
    const { batch, state, since_unix_ms: since, proofs_done: proofsDone, proofs } = one ?? {};
    if (!isCount(batch) || !UNDER_WAY.includes(state)) return [];
    if (state === "open") return isCount(since) ? [{ number: batch, state, since }] : [];
    if (state !== "proving") return [{ number: batch, state }];
    // How many there will be is not known before the whole window is laid out.
    if (!isCount(proofsDone) || !(proofs === null || isCount(proofs))) return [];
    return [{ number: batch, state, proofsDone, proofs: proofs ?? undefined }];
  });
}

/** The public file of a batch, at most one byte longer than any may be: the decoder names that. */
export async function fetchFile(number, options = {}) {
  const what = `the public file of batch ${number}`;
  const limits = { bytesMax: BATCH_FILE_BYTES_MAX + 1, timeoutMs: FILE_TIMEOUT_MS };
  return await get(`/batches/${number}`, what, { ...limits, ...options });
}

async function get(path, what, options) {
  try {
    return await fetchBytes(path, options);
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    throw new NodeError(error.kind, `${what} is not available: ${error.message}`);
  }
}
