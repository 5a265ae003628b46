// The worker as functions that answer: one question, one answer, and what it tells meanwhile. A
// worker that stopped or fell silent is replaced when the page is opened again, and not before.

/** A worker says each so often that it is there, while it is asked something. */
export const ALIVE_MS = 5_000;
/** So many of these without a word, and it is taken to be stuck: in one step of minutes. */
const SILENT_MAX = 18;

/** A question that was not answered as asked: name, item and sentences are the worker's. */
export class Fault extends Error {
  constructor(fault) {
    super(fault.message);
    Object.assign(this, fault);
  }
}

export class Asker {
  #start;
  #worker;
  #stopped;
  #open = new Map();
  #next = 1;
  #silent = 0;

  /** `start` gives a worker; of a test, something that answers like one. */
  constructor(start) {
    this.#start = start;
    this.#begin();
  }

  /** `signal` ends it: with a fault named Cancelled, as soon as the worker hears of it. */
  ask(act, given, tell = () => {}, signal = undefined) {
    // A worker of its own knows nothing: only what reads everything anew may begin with one.
    if (this.#stopped !== undefined && act === "open") this.#begin();
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    const id = this.#next++;
    return new Promise((done, fail) => {
      if (this.#open.size === 0) this.#silent = 0;
      this.#open.set(id, { done, fail, tell });
      this.#worker.postMessage({ id, act, given });
      signal?.addEventListener("abort", () => this.#cancel(id));
    });
  }

  #cancel(id) {
    if (this.#open.has(id)) this.#worker.postMessage({ cancel: id });
  }

  /** To be called every `ALIVE_MS`: counted, because clocks go on while a machine sleeps. */
  tick() {
    this.#silent = this.#open.size === 0 ? 0 : this.#silent + 1;
    if (this.#silent < SILENT_MAX) return;
    this.#stop("the part of this page that computes was stuck, and was stopped");
  }

  #begin() {
    const worker = this.#start();
    this.#worker = worker;
    this.#stopped = undefined;
    this.#silent = 0;
    const stop = () => {
      if (worker === this.#worker) this.#stop("the part of this page that computes stopped");
    };
    worker.addEventListener("message", ({ data }) => {
      if (worker === this.#worker) this.#take(data);
    });
    // The script is not there, or broke outside any question; or an answer cannot be read.
    worker.addEventListener("error", stop);
    worker.addEventListener("messageerror", stop);
  }

  /** Nothing asked will be answered any more. */
  #stop(message) {
    this.#stopped = new Fault({ name: "Error", kind: "stopped", message });
    this.#worker.terminate();
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const { fail } of open) fail(this.#stopped);
  }

  #take({ id, progress, result, fault }) {
    this.#silent = 0;
    const open = this.#open.get(id);
    if (open === undefined) return;
    if (progress !== undefined) return void open.tell(progress);
    this.#open.delete(id);
    if (fault === undefined) open.done(result);
    else open.fail(new Fault(fault));
  }
}

/** What starts workers of a script of this server. */
export function workersOf(url) {
  const script = trusted(url);
  return () => new Worker(script, { type: "module" });
}

/** Where scripts must be trusted by name, the one that this page starts is. */
function trusted(url) {
  if (globalThis.trustedTypes === undefined) return url;
  const policy = globalThis.trustedTypes.createPolicy("vitals", {
    createScriptURL(asked) {
      if (asked === url) return asked;
      throw new TypeError("another script than the page's own");
    },
  });
  return policy.createScriptURL(url);
}
