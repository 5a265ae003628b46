// What is found holds for one past of the chain, which all its nodes have: what is replaced, what
// was final, what does not follow, and what other nodes say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { compareRows, conclude, isOf } from "../assets/checks.js";
import { Session } from "../assets/session.js";
import { callData } from "../assets/statement/abi.js";
import { toBytes, toHex } from "../assets/statement/bytes.js";
import { markOf, titleOf, whyNotLinked } from "../assets/text.js";
import { answer, deployment, hashOf, play, serve, soundFile, tell, world } from "./played.mjs";
import { failure } from "./support.mjs";

test("what is settled in a block that is not final is mined, and nothing more", async () => {
  let final = "0x1";
  const change = (_, question) =>
    question?.method === "eth_getBlockByNumber" && question.params[0] === "finalized"
      ? { number: final, hash: hashOf(BigInt(final)), timestamp: "0x1" }
      : undefined;
  const { session } = serve({ change });
  const states = ({ rows }) => rows.map(({ state }) => state);
  assert.deepEqual(states(await session.open(tell)), ["final", "mined", "mined"]);
  final = "0x2";
  assert.deepEqual(states(await session.refresh(tell)), ["final", "final", "mined"]);
  final = "0x0";
  assert.deepEqual(states(await session.refresh(tell)), ["mined", "mined", "mined"]);
});

test("a batch whose predecessor's file is not to be had is never called verified", async () => {
  const unlinkedBy = async (file) => {
    const change = (path) => (path === "/batches/2" ? file() : undefined);
    const { session } = serve({ change });
    await session.open(tell);
    const report = await session.verify(3, tell);
    const of = { trust: "verifier", peers: [] };
    const { kind, title } = titleOf({ report }, of);
    assert.deepEqual([kind, title], ["warn", "Checked, but not linked to batch 2"]);
    assert.deepEqual(markOf({ report }, of), ["not linked", "warn"]);
    // And again: what was not linked once leaves nothing behind that links the next one.
    assert.notEqual((await session.verify(3, tell)).unlinked, undefined);
    return { ...report.unlinked, words: whyNotLinked(report) };
  };
  const away = await unlinkedBy(() => new Response("", { status: 404 }));
  assert.deepEqual([away.number, away.isBroken], [2, false]);
  assert.match(away.words, /file of batch 2 is not available: expected status 200, found 404\.$/);
  const changed = world[1].slice();
  changed[changed.length - 1] ^= 1;
  const broken = await unlinkedBy(() => new Response(changed));
  assert.deepEqual([broken.number, broken.isBroken], [2, true]);
  assert.match(broken.words, /public file of batch 2 is broken\. Batch 2, journal, hash after/);
  const cut = await unlinkedBy(() => new Response(changed.subarray(0, 900)));
  assert.ok(cut.isBroken);
});

test("a final header that is gone or another is broken, whatever else fits", async () => {
  let settled = 3;
  const change = (_, question) => {
    if (question === undefined) return undefined;
    const { method, params } = question;
    if (method === "eth_getBlockByNumber" && params[0] === "latest") return undefined;
    return ["eth_call", "eth_getLogs"].includes(method) ? answer(question, settled) : undefined;
  };
  const { session } = serve({ change });
  await session.open(tell);
  // The head stays in block 3, and the contract says now that it settled two batches.
  settled = 2;
  const error = await failure(() => session.refresh(tell));
  assert.deepEqual([error.name, error.item, error.batch], ["Broken", "saved header", 3n]);
  assert.match(error.message, /found 0x0{64}$/);
  settled = 3;
  assert.equal((await session.refresh(tell)).rows.length, 3);
});

/** Every block from number `first` on is another, and so are the places of logs. */
const forked = (first, question, settled) => {
  if (!["eth_getBlockByNumber", "eth_getLogs"].includes(question?.method)) return undefined;
  const found = answer(question, settled);
  const other = (hash) => {
    const number = BigInt(hash);
    return toHex(toBytes(number >= first + 1000n ? number + 7000n : number, 32));
  };
  if (!Array.isArray(found)) return { ...found, hash: other(found.hash) };
  return found.map((log) => ({ ...log, blockHash: other(log.blockHash) }));
};

/** A page that is asked for the file of batch 2, and to which `happen` happens meanwhile. */
async function interrupted(happen) {
  const played = { isForked: false, isBroken: false };
  const change = (path, question) => {
    if (path === "/batches/2" && played.file !== undefined) return new Response(played.file);
    if (played.isForked) return forked(2n, question, 3);
    const isHead = question?.params[0]?.data === callData("headHash()");
    return played.isBroken && isHead ? toHex(toBytes(1, 32)) : undefined;
  };
  const { fetch } = play({ change });
  const waiting = {};
  const session = new Session({
    fetch: async (path, init) => {
      if (path === "/batches/2" && waiting.happen !== undefined) await waiting.happen();
      return await fetch(path, init);
    },
  });
  const before = await session.open(tell);
  waiting.happen = async () => {
    waiting.happen = undefined;
    await happen(session, played);
  };
  return { session, played, before };
}

test("a check that ends after another reading of the past is void", async () => {
  const reorganised = async (session, played) => {
    played.isForked = true;
    await session.refresh(tell);
  };
  const opened = async (session) => await session.open(tell);
  const broken = async (session, played) => {
    played.isBroken = true;
    assert.equal((await failure(() => session.refresh(tell))).name, "Broken");
  };
  for (const happen of [reorganised, opened, broken]) {
    const { session, played } = await interrupted(happen);
    // Whatever its file is by then: that is no finding about the batch that was asked about.
    played.file = world[2];
    const error = await failure(() => session.verify(2, tell));
    played.file = undefined;
    assert.deepEqual([error.name, error.kind], ["ChainError", "moved"]);
    // Nothing is checked either on the word of a chain that was broken, until it is read again.
    if (played.isBroken) {
      assert.equal((await failure(() => session.verify(2, tell))).kind, "moved");
      played.isBroken = false;
      await session.refresh(tell);
    }
    assert.equal((await session.verify(2, tell)).proofs, 1);
  }
  // What settles meanwhile, or nothing at all, replaces nothing.
  const { session } = await interrupted((of) => of.refresh(tell));
  assert.equal((await session.verify(2, tell)).proofs, 1);
});

test("what one batch leaves for the next is forgotten with it", async () => {
  const played = { isForked: false, files: [] };
  const change = (path, question) => {
    if (path.startsWith("/batches/")) played.files.push(path);
    return played.isForked ? forked(2n, question, 3) : undefined;
  };
  const { session } = serve({ change });
  await session.open(tell);
  await session.verify(2, tell);
  await session.verify(3, tell);
  const [first, second, third] = ["/batches/1", "/batches/2", "/batches/3"];
  assert.deepEqual(played.files, [second, first, third]);
  [played.isForked, played.files.length] = [true, 0];
  await session.refresh(tell);
  await session.verify(3, tell);
  assert.deepEqual(played.files, [third, second]);
});

test("a report counts of the batch that it was found of, and of no other there", async () => {
  const { session, played, before } = await interrupted(() => {});
  const report = await session.verify(2, tell);
  assert.equal(conclude(report, before.rows[1]).outcome, "good");
  assert.equal(conclude({ ...report, unlinked: {} }, before.rows[1]).outcome, "alone");
  played.isForked = true;
  const { rows } = await session.refresh(tell);
  assert.ok(isOf(before.rows[0], rows[0]) && !isOf(before.rows[1], rows[1]));
  assert.deepEqual(compareRows(before.rows, rows), { replaced: [2, 3], changed: [2, 3] });
  for (const row of [rows[1], undefined, { number: 2, state: "assembled" }]) {
    const { outcome, fault } = conclude(report, row);
    assert.deepEqual([outcome, fault.kind], ["away", "moved"]);
  }
  // A block of its own is enough, and so is a transaction.
  for (const part of ["hash", "transaction", "blockHash"]) {
    assert.ok(!isOf(report, { ...before.rows[1], [part]: "0x" }), part);
  }
});

test("a dispute stays one until the node that began it agrees", async () => {
  let second = "agrees";
  const change = (path, question) => {
    if (path !== "/chain/2" || second === "agrees") return undefined;
    if (second === "away") return new Response("", { status: 502 });
    return question.method === "eth_getLogs" ? [] : undefined;
  };
  const { session } = serve({ chains: 2, change });
  await session.open(tell);
  const outcomes = [];
  for (second of ["agrees", "differs", "away", "agrees", "away"]) {
    const { compared } = await session.verify(2, tell);
    outcomes.push(compared.map(({ outcome, why }) => [outcome, why])[0]);
  }
  const [first, differs, carried, agrees, away] = outcomes;
  assert.deepEqual([first[0], agrees[0], away[0]], ["agrees", "agrees", "away"]);
  assert.deepEqual(differs, ["differs", "it has no event of this batch in this block"]);
  assert.deepEqual(carried, ["differs", `${differs[1]}, and it is away by now`]);
});

test("another contract behind another node disputes the deployment and its batches", async () => {
  let isOther = true;
  const change = (path, { method } = {}) =>
    path === "/chain/2" && method === "eth_getCode" && isOther ? "0x6001" : undefined;
  const { session } = serve({ chains: 3, change });
  await session.open(tell);
  const peers = await session.peers();
  assert.deepEqual(
    peers.map(({ chain, outcome }) => [chain, outcome]),
    [
      [2, "differs"],
      [3, "agrees"],
    ],
  );
  assert.match(peers[0].why, /^deployment, contract code/);
  const { compared } = await session.verify(1, tell);
  assert.deepEqual(compared, peers);
  const of = { trust: "verifier", peers };
  assert.deepEqual(markOf({ report: { number: 1 } }, of), ["disputed", "bad"]);
  assert.equal(titleOf({ report: { number: 1 } }, of).kind, "bad");
  isOther = false;
  assert.ok((await session.peers()).every(({ outcome }) => outcome === "agrees"));
  assert.deepEqual(await serve().session.peers(), []);
});

test("rows that settle, become final or vanish are described anew", () => {
  const row = (number, state, of = {}) => {
    const identity = { hash: `h${number}`, transaction: "t", blockHash: "b", ...of };
    return { number, state, ...(state === "assembled" ? {} : identity) };
  };
  const before = [row(1, "mined"), row(2, "assembled"), row(3, "assembled")];
  const same = { replaced: [], changed: [] };
  assert.deepEqual(compareRows(before, before), same);
  assert.deepEqual(compareRows([], before), same);
  // The node said that it assembled a third batch, and says so no more.
  const vanished = compareRows(before, [row(1, "final"), row(2, "mined")]);
  assert.deepEqual(vanished, { replaced: [2, 3], changed: [1, 2, 3] });
  const moved = compareRows(before, [row(1, "mined", { blockHash: "c" }), ...before.slice(1)]);
  assert.deepEqual(moved, { replaced: [1], changed: [1] });
});

test("other nodes are asked about the batch that was verified, and no other", async () => {
  const { session } = serve({ chains: 2 });
  await session.open(tell);
  const error = await failure(() => session.compare(2, `0x${"0".repeat(64)}`, tell));
  assert.deepEqual([error.name, error.kind], ["ChainError", "moved"]);
});

test("two readings at once are made one after the other", async () => {
  let under = 0;
  let most = 0;
  const { fetch } = play();
  const session = new Session({
    fetch: async (path, init) => {
      const isHead = init?.body?.includes('"latest",false');
      if (isHead) most = Math.max(most, ++under);
      const answer = await fetch(path, init);
      if (init?.body?.includes('"finalized"')) under -= 1;
      return answer;
    },
  });
  await Promise.all([session.open(tell), session.refresh(tell), session.open(tell)]);
  assert.equal(most, 1);
});

test("a second node of the chain agrees, disagrees or is away, and each is told", async () => {
  const compare = async (change) => {
    const asked = (path, question) => (path === "/chain/2" ? change(question) : undefined);
    const { session } = serve({ chains: 2, change: asked });
    await session.open(tell);
    const { hash, compared } = await session.verify(2, tell);
    const [{ chain, outcome, why }] = await session.compare(2, hash, tell);
    assert.deepEqual(compared, [why === undefined ? { chain, outcome } : { chain, outcome, why }]);
    return [outcome, why];
  };
  assert.deepEqual(await compare(() => undefined), ["agrees", undefined]);
  const [away, why] = await compare(() => new Response("", { status: 502 }));
  assert.equal(away, "away");
  assert.match(why, /found 502/);
  const otherBlock = ({ method, params }) =>
    method === "eth_getBlockByNumber" && params[0] === "0x2"
      ? { number: "0x2", hash: hashOf(77n), timestamp: "0x1" }
      : undefined;
  assert.deepEqual(await compare(otherBlock), ["differs", "its block is another"]);
  const otherTime = ({ method, params }) =>
    method === "eth_getBlockByNumber" && params[0] === "0x2"
      ? { number: "0x2", hash: hashOf(2n), timestamp: "0x1" }
      : undefined;
  assert.deepEqual(await compare(otherTime), ["differs", "the time of its block is another"]);
  const otherEvent = (question) =>
    question.method === "eth_getLogs"
      ? answer(question, 3).map((log) => ({ ...log, transactionHash: hashOf(9n) }))
      : undefined;
  assert.deepEqual(await compare(otherEvent), ["differs", "its event of this batch is another"]);
  const behind = ({ method, params }) =>
    method === "eth_getBlockByNumber" && params[0] === "latest"
      ? { number: "0x1", hash: hashOf(1n), timestamp: "0x1" }
      : undefined;
  const late = await compare(behind);
  assert.deepEqual(late, ["away", "it is behind: the batch settled in block 2"]);
  const noEvent = ({ method }) => (method === "eth_getLogs" ? [] : undefined);
  assert.equal((await compare(noEvent))[0], "differs");
  const otherCode = ({ method, params }) =>
    method === "eth_getCode" && params[0] === soundFile.settlement ? "0x6001" : undefined;
  const [differs, sentence] = await compare(otherCode);
  assert.equal(differs, "differs");
  assert.match(sentence, /^deployment, contract code: expected an answer of the settlement/);
});
