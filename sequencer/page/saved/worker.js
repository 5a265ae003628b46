// The worker of a saved page: the same session as behind a served one, over what the file holds.

import { answer } from "../assets/answering.js";
import { Session } from "../assets/session.js";
import { frozenFetch, readSaved } from "./frozen.js";

let session;

answer(async (act, given, tell) => {
  if (act !== "open") return await session.act(act, given, tell);
  const saved = readSaved(given.saved);
  const fetch = frozenFetch(saved, given.contract);
  // What nobody will answer now is not waited for.
  session = new Session({ fetch, wait: async () => {}, trust: "saved" });
  const { number, savedAt, nodes } = saved;
  return { number, savedAt, nodes, overview: await session.open(tell) };
});
