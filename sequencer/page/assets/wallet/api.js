// What the page asks of the wallet that serves it, and nobody else. The key is not here: the wallet
// signs. What opens the session is kept for this window alone.

import { fetchBytes } from "../fetch.js";

const KEPT = "wallet";
const WORD = "x-vitals-page";
const TOKEN = /^#token=([0-9a-f]{64})$/;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** A log reads every batch; a signature waits for a node that is busy. */
const ANSWER_MS = 20 * 60_000;
const ALIVE_MS = 20_000;

/** Why nobody answers: `kind` is no-link, used-link, session, ended, busy or other. */
export class WalletError extends Error {
  constructor(kind, message) {
    super(message);
    Object.assign(this, { name: "WalletError", kind });
  }
}

/** The token of a link, if the address has one. */
export function tokenOf(hash) {
  return TOKEN.exec(hash)?.[1];
}

/** The wallet behind this page. `fetch`, `wait` and `storage` are given by tests. */
export class Wallet {
  #word;
  #options;
  #storage;

  constructor({ storage, ...options } = {}) {
    this.#options = options;
    this.#storage = storage;
  }

  /** Opens the session by the link's token, or goes on with the one of this window. */
  async open(hash) {
    const token = tokenOf(hash);
    if (token !== undefined) {
      const { word } = (await this.#ask("/session", { token })).object;
      this.#word = String(word);
      this.#keep(this.#word);
      return;
    }
    this.#word = this.#kept();
    if (this.#word === undefined) {
      throw new WalletError("no-link", "this page was opened without the link of a wallet");
    }
  }

  state = async () => (await this.#ask("/state")).object;
  /** The log as it came, too: that is what is kept as a file. */
  log = async () => await this.#ask("/log");
  preview = async (wanted) => (await this.#ask("/preview", wanted)).object;
  /** Signs what was shown; with names that the registry does not know only if that is said. */
  sign = async (preview, allowUnknown) =>
    (await this.#ask("/sign", { preview, allow_unknown: allowUnknown })).object;
  finish = async () => (await this.#ask("/pending", {})).object;
  rebuild = async () => (await this.#ask("/rebuild", {})).object;

  /** Whether the wallet is still there; it takes this for no question. */
  async isThere() {
    const init = { method: "HEAD", cache: "no-store" };
    try {
      await fetchBytes("/icon.svg", { bytesMax: 0, timeoutMs: ALIVE_MS, ...this.#options, init });
      return true;
    } catch (error) {
      // One that is busy, or a browser that gave up, is no end.
      return error.kind !== "unreachable" && error.status !== 401;
    }
  }

  async close() {
    await this.#ask("/close", {});
    this.forget();
  }

  forget() {
    this.#word = undefined;
    try {
      this.#storage?.removeItem(KEPT);
    } catch {
      // Closed to this page: then nothing was kept.
    }
  }

  async #ask(path, body) {
    const headers = this.#word === undefined ? {} : { [WORD]: this.#word };
    const init = { headers, cache: "no-store" };
    if (body !== undefined) {
      init.method = "POST";
      init.body = JSON.stringify(body);
      headers["content-type"] = "application/json";
    }
    let bytes;
    try {
      const limits = { bytesMax: ANSWER_BYTES_MAX, timeoutMs: ANSWER_MS };
      bytes = await fetchBytes(path, { ...limits, ...this.#options, init });
    } catch (error) {
      throw why(error);
    }
    const text = new TextDecoder().decode(bytes);
    try {
      return { text, object: JSON.parse(text) };
    } catch {
      throw new WalletError("other", "the wallet's answer is not as expected");
    }
  }

  #keep(word) {
    try {
      this.#storage?.setItem(KEPT, word);
    } catch {
      // Closed to this page: then the session ends with it, and not when it is loaded again.
    }
  }

  #kept() {
    try {
      return this.#storage?.getItem(KEPT) ?? undefined;
    } catch {
      return undefined;
    }
  }
}

function why(error) {
  if (error.kind === "unreachable") return new WalletError("ended", "nobody answers");
  if (error.status === 401) return new WalletError("session", error.message);
  if (error.status === 403 && error.message.includes("token-unknown")) {
    return new WalletError("used-link", error.message);
  }
  if (error.status === 503) return new WalletError("busy", error.message);
  return new WalletError("other", error.message);
}
