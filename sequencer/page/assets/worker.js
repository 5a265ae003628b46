// Reads and checks off the main thread: the page asks, and is told how far it is and what came of
// it. Nothing is decided here: `session.js` knows what to do, the statement modules what holds.

import { ALIVE_MS } from "./ask.js";
import { Session } from "./session.js";
import { escape } from "./statement/escape.js";

const session = new Session();

// Waiting for a slow node is no silence, and one long step is.
setInterval(() => self.postMessage({}), ALIVE_MS);

self.addEventListener("message", async ({ data: { id, act, given } }) => {
  // Progress of thousands of steps would keep the page busy: at most one message in 50 ms.
  let told = 0;
  const tell = (step, done, of) => {
    const now = performance.now();
    if (now - told < 50 && done < of) return;
    told = now;
    self.postMessage({ id, progress: { step, done, of } });
  };
  try {
    self.postMessage({ id, result: await session.act(act, given, tell) });
  } catch (error) {
    self.postMessage({ id, fault: describe(error) });
  }
});

/** What crosses to the page: plain text that can do nothing but be shown, whatever was thrown. */
function describe(thrown) {
  // Anything can be thrown, and what has no name must not leave a question without an answer.
  const error = Object(thrown);
  const known = ["Broken", "ChainError", "NodeError", "DeploymentError"].includes(error.name);
  const fault = { name: known ? error.name : "Error", message: "something without a name failed" };
  if (known && typeof error.kind === "string") fault.kind = error.kind;
  for (const part of ["message", "item", "expected", "found", "batch"]) {
    if (error[part] !== undefined) fault[part] = escape(error[part]);
  }
  return fault;
}
