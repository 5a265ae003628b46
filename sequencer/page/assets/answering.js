// The worker's end of `ask.js`: takes what is asked, tells how far it is, and answers with what
// came of it. Nothing is decided here: what acts does is given.

import { ALIVE_MS } from "./ask.js";
import { escape } from "./statement/escape.js";

/** Between two messages of how far something is, milliseconds: thousands would keep a page busy. */
const TELL_MS = 50;
/** Names of errors that a page knows; whatever else is thrown is an error and no more. */
const KNOWN = ["Broken", "Cancelled", "ChainError", "DeploymentError", "NodeError", "SavedError"];

/** What ends an act whose page does not want it any more. */
class Cancelled extends Error {
  constructor() {
    super("it was cancelled");
    this.name = "Cancelled";
  }
}

/** Answers everything that the page asks by `act(name, given, tell)`, from now on. */
export function answer(act) {
  const cancelled = new Set();
  // Waiting for a slow node is no silence, and one long step is.
  setInterval(() => self.postMessage({}), ALIVE_MS);
  self.addEventListener("message", async ({ data: { id, act: name, given, cancel } }) => {
    if (cancel !== undefined) return void cancelled.add(cancel);
    try {
      const tell = tellerOf(id, cancelled);
      self.postMessage({ id, result: await act(name, given, tell) });
    } catch (error) {
      self.postMessage({ id, fault: describe(error) });
    }
    // The page cancels nothing that was answered: what is in the set is of later questions.
    cancelled.delete(id);
  });
}

function tellerOf(id, cancelled) {
  let told = 0;
  return (step, done, of) => {
    if (cancelled.has(id)) throw new Cancelled();
    const now = performance.now();
    if (now - told < TELL_MS && done < of) return;
    told = now;
    self.postMessage({ id, progress: { step, done, of } });
  };
}

/** What crosses to the page: plain text that can do nothing but be shown, whatever was thrown. */
function describe(thrown) {
  // Anything can be thrown, and what has no name must not leave a question without an answer.
  const error = Object(thrown);
  const isKnown = KNOWN.includes(error.name);
  const fault = {
    name: isKnown ? error.name : "Error",
    message: "something without a name failed",
  };
  if (isKnown && typeof error.kind === "string") fault.kind = error.kind;
  for (const part of ["message", "item", "expected", "found", "batch"]) {
    if (error[part] !== undefined) fault[part] = escape(error[part]);
  }
  return fault;
}
