// Reads and checks off the main thread: the page asks, and is told how far it is and what came of
// it. `session.js` knows what to do, the statement modules what holds.

import { answer } from "./answering.js";
import { saveBatch } from "./saving.js";
import { Session } from "./session.js";

const session = new Session();

answer(async (act, given, tell) =>
  // A reading of its own: what is saved is what one past of the chain said, from its first batch.
  act === "save" ? await saveBatch(given, {}, tell) : await session.act(act, given, tell),
);
