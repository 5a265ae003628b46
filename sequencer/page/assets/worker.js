// Reads and checks off the main thread: the page asks, and is told how far it is and what came of
// it. Nothing is decided here: `session.js` knows what to do, the statement modules what holds.

import { Session } from "./session.js";
import { escape } from "./statement/escape.js";

const session = new Session();

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
function describe(error) {
  const { name, kind } = error;
  const known = ["Broken", "ChainError", "NodeError", "DeploymentError"].includes(name);
  const fault = { name: known ? name : "Error", kind };
  for (const part of ["message", "item", "expected", "found", "batch"]) {
    if (error[part] !== undefined) fault[part] = escape(error[part]);
  }
  return fault;
}
