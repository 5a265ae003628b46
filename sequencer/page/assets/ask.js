// The worker as functions that answer: one question, one answer, and what it tells meanwhile.

/** A question that was not answered as asked: name, item and sentences are the worker's. */
export class Fault extends Error {
  constructor(fault) {
    super(fault.message);
    Object.assign(this, fault);
  }
}

export class Asker {
  #worker;
  #open = new Map();
  #next = 1;

  constructor(url) {
    this.#worker = new Worker(trusted(url), { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => this.#take(data));
    // The script is not there, or broke outside any question: nothing asked will be answered.
    this.#worker.addEventListener("error", () => {
      const fault = { name: "Error", message: "the part of this page that computes stopped" };
      for (const { fail } of this.#open.values()) fail(new Fault(fault));
      this.#open.clear();
    });
  }

  ask(act, given, tell = () => {}) {
    const id = this.#next++;
    return new Promise((done, fail) => {
      this.#open.set(id, { done, fail, tell });
      this.#worker.postMessage({ id, act, given });
    });
  }

  #take({ id, progress, result, fault }) {
    const open = this.#open.get(id);
    if (open === undefined) return;
    if (progress !== undefined) return void open.tell(progress);
    this.#open.delete(id);
    if (fault === undefined) open.done(result);
    else open.fail(new Fault(fault));
  }
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
