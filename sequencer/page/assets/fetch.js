// Bytes over HTTP from whoever serves this page: with a limit, a time, and errors that say which.

import { escape } from "./statement/escape.js";

const TIMEOUT_MS = 30_000;
const BUSY_TRIES = 4;
const BUSY_WAIT_MAX_S = 20;
const BUSY = [429, 503];
/** How this page's server says that there is an answer, which is too large for it. */
const TOO_LARGE = "chain-answer-large";

/** Why there are no bytes: `kind` is unreachable, timeout, status or too-large. */
export class FetchError extends Error {
  constructor(kind, message, status) {
    super(message);
    Object.assign(this, { name: "FetchError", kind, status });
  }
}

/**
 * The body of an answer with status 200, at most `bytesMax` bytes. Whoever is busy is asked again a
 * few times. `fetch` and `wait` are given by tests.
 */
export async function fetchBytes(url, options) {
  const { bytesMax, init = {}, timeoutMs = TIMEOUT_MS } = options;
  const fetch = options.fetch ?? globalThis.fetch;
  const wait = options.wait ?? ((seconds) => new Promise((go) => setTimeout(go, 1000 * seconds)));
  for (let tried = 1; ; tried++) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), timeoutMs);
    try {
      const answer = await fetch(url, {
        redirect: "error",
        credentials: "same-origin",
        ...init,
        signal: abort.signal,
      });
      if (answer.status === 200) return await readBody(answer, bytesMax, abort);
      const seconds = waitOf(answer, tried);
      if (seconds === undefined) throw await wrongStatus(answer, bytesMax, abort);
      await answer.body?.cancel();
      await wait(seconds);
    } catch (error) {
      if (error instanceof FetchError) throw error;
      if (abort.signal.aborted) {
        throw new FetchError("timeout", `no whole answer within ${timeoutMs / 1000} s`);
      }
      throw new FetchError("unreachable", "nobody answers");
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Seconds to wait for whoever is busy; `undefined` if it is not that, or too much is asked. */
function waitOf(answer, tried) {
  if (!BUSY.includes(answer.status) || tried >= BUSY_TRIES) return undefined;
  const asked = answer.headers.get("retry-after") ?? "";
  const seconds = /^[0-9]{1,4}$/.test(asked) ? Number(asked) : tried;
  return seconds <= BUSY_WAIT_MAX_S ? seconds : undefined;
}

/** Bytes are counted as they come: the length that a server declares is not believed. */
export async function readBody(answer, bytesMax, abort) {
  // An answer to HEAD has none by the Fetch standard, though not in every browser.
  if (answer.body === null) return new Uint8Array();
  const parts = [];
  let length = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > bytesMax) {
      abort.abort();
      throw new FetchError("too-large", `expected at most ${bytesMax} bytes, found more`);
    }
    parts.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** With the server's own code of what is wrong and its words, if it says any. */
async function wrongStatus(answer, bytesMax, abort) {
  const text = new TextDecoder().decode(await readBody(answer, Math.min(bytesMax, 65_536), abort));
  const { code, words } = saidIn(text);
  const message = `expected status 200, found ${answer.status}${words}`;
  return new FetchError(code === TOO_LARGE ? "too-large" : "status", message, answer.status);
}

function saidIn(text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    // A page of a proxy, or nothing: the status says enough.
    return { words: "" };
  }
  const { error: code, detail } = body ?? {};
  if (typeof code !== "string" || !/^[a-z0-9_-]{1,40}$/.test(code)) return { words: "" };
  const words = typeof detail === "string" ? ` (${code}: ${escape(detail)})` : ` (${code})`;
  return { code, words };
}
