// A page's whole life against a chain and a node that are played, with the batches of the auditor's
// tests: opened, verified, compared, gone stale, broken.

import assert from "node:assert/strict";
import { test } from "node:test";
import { callData } from "../assets/statement/abi.js";
import { fromHex, toBytes, toHex } from "../assets/statement/bytes.js";
import { compareRows, conclude, isOf } from "../assets/checks.js";
import { Session } from "../assets/session.js";
import { fileTitle, markOf, titleOf, whyNotLinked } from "../assets/text.js";
import {
  answer,
  deployment,
  hashOf,
  play,
  settleCallOf,
  soundFile,
  table,
  world,
} from "./played.mjs";

const tell = () => {};

/** A page before it is opened. */
function serve(options) {
  const { fetch, state } = play(options);
  const hostname = options?.hostname ?? "127.0.0.1";
  return { session: new Session({ fetch, hostname, wait: async () => {} }), state };
}

const failure = async (act) => {
  try {
    await act();
  } catch (error) {
    return error;
  }
  return assert.fail("expected an error");
};

test("a sound deployment opens, and each batch of it is verified down to its proofs", async () => {
  const { session } = serve();
  const overview = await session.open(tell);
  assert.equal(overview.fingerprint, deployment().fingerprint);
  assert.deepEqual(
    overview.rows.map(({ number, state }) => [number, state]),
    [
      [1, "final"],
      [2, "final"],
      [3, "final"],
    ],
  );
  const proofs = [];
  for (const { number } of overview.rows) {
    const report = await session.verify(number, tell);
    assert.ok(report.unlinked === undefined && report.devInsecure);
    proofs.push(report.proofs);
  }
  assert.deepEqual(proofs, [5, 1, 0]);
});

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

test("a page from another machine is an operator's, whatever it says", async () => {
  assert.equal((await serve().session.open(tell)).trust, "verifier");
  const { session } = serve({ hostname: "hospital.example" });
  assert.equal((await session.open(tell)).trust, "operator");
});

test("what a server says that is no such thing is told as that", async () => {
  for (const path of ["/page.json", "/contract.json"]) {
    for (const odd of ["null", "[]", "{}", '{"bytecode":{"object":"0x0"}}']) {
      const { session } = serve({ change: (at) => (at === path ? new Response(odd) : undefined) });
      const error = await failure(() => session.open(tell));
      assert.deepEqual([error.name, error.kind], ["NodeError", "malformed"]);
      assert.match(error.message, new RegExp(`^${path}: expected`));
    }
  }
  const odd = serve({ change: (at) => (at === "/batches" ? new Response("null") : undefined) });
  assert.match((await odd.session.open(tell)).node.fault, /^\/batches: expected schema/);
});

test("before the first batch nothing is there, and nothing is wrong", async () => {
  const { session, state } = serve({ settled: 0, assembled: 0 });
  assert.deepEqual((await session.open(tell)).rows, []);
  state.settled = 1;
  assert.equal((await session.refresh(tell)).rows.length, 1);
});

test("a batch is linked to the groups of the one before, whether that was checked or not", async () => {
  const { session } = serve();
  await session.open(tell);
  // The third has no group of its own, and the second is not checked here.
  assert.equal((await session.verify(3, tell)).unlinked, undefined);
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

test("one changed byte is named, and a file that is away is away", async () => {
  const changed = world[0].slice();
  changed[changed.length - 1] ^= 1;
  const broken = serve({
    change: (path) => (path === "/batches/1" ? new Response(changed) : undefined),
  });
  await broken.session.open(tell);
  const error = await failure(() => broken.session.verify(1, tell));
  assert.deepEqual([error.name, error.item], ["Broken", "journal, hash after the groups"]);
  const away = serve({
    change: (path) => (path.startsWith("/batches") ? new Response("", { status: 500 }) : undefined),
  });
  const overview = await away.session.open(tell);
  assert.match(overview.node.fault, /found 500/);
  assert.equal((await failure(() => away.session.verify(1, tell))).name, "NodeError");
  assert.match((await away.session.detail(1)).file.fault, /found 500/);
});

test("what settles later is read on, and what is not settled yet is told as assembled", async () => {
  const { session, state } = serve({ settled: 2 });
  const before = await session.open(tell);
  assert.deepEqual(
    before.rows.map(({ state: of }) => of),
    ["final", "final", "assembled"],
  );
  assert.equal((await failure(() => session.verify(3, tell))).name, "ChainError");
  state.settled = 3;
  const later = await session.refresh(tell);
  assert.equal(later.rows[2].state, "final");
  // The contract keeps the greatest lateness of all: that of those followed before counts, too.
  assert.deepEqual(later.lateness, { maxMs: 3000, batches: 0 });
  assert.equal((await session.verify(3, tell)).proofs, 0);
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

test("a report counts of the batch that it was found of, and of no other in its place", async () => {
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

test("a report tells of the very bytes that were checked", async () => {
  let served = 0;
  const cut = world[0].subarray(0, 500);
  const change = (path) =>
    path === "/batches/1" && ++served > 1 ? new Response(cut) : undefined;
  const { session } = serve({ change });
  await session.open(tell);
  const { file } = await session.verify(1, tell);
  const [operations, claims] = [file.operations.length, file.claims.length];
  assert.deepEqual([file.bytes, operations, claims], [world[0].length, 3, 2]);
  assert.ok((await session.detail(1)).file.fault);
  assert.match(fileTitle(false), /not checked$/);
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

test("what settles later and does not continue the headers of before is broken", async () => {
  const wrong = ([log]) => {
    const data = fromHex(log.data);
    // The begin of its window.
    data[32 * 3 + 31] ^= 1;
    return [{ ...log, data: toHex(data) }];
  };
  let isWrong = false;
  const change = (_, question) => {
    if (!isWrong || question?.method !== "eth_getLogs") return undefined;
    const sound = answer(question, 3);
    return [...sound.slice(0, -1), ...wrong(sound.slice(-1))];
  };
  const { session, state } = serve({ settled: 2, change });
  await session.open(tell);
  [isWrong, state.settled] = [true, 3];
  const error = await failure(() => session.refresh(tell));
  // The hash in the event is that of the sound words, and is compared first.
  assert.deepEqual([error.name, error.item], ["Broken", "header, hash in the event"]);
  assert.equal(error.batch, 3n);
  isWrong = false;
  assert.equal((await session.refresh(tell)).rows.length, 3);
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

test("another chain, a damaged deployment file or another contract's word opens nothing", async () => {
  const open = async (change) => failure(() => serve({ change }).session.open(tell));
  const chain = await open((_, question) =>
    question?.method === "eth_chainId" ? "0x1" : undefined,
  );
  assert.deepEqual([chain.name, chain.kind], ["ChainError", "other-chain"]);
  const damaged = await open((path) =>
    path === "/deployment.json" ? { ...deployment(), block: 1, genesis_time: 5 } : undefined,
  );
  assert.match(damaged.message, /expected the fingerprint .* of its own fields/);
  for (const json of [{}, { ...deployment(), more: 1 }, { ...deployment(), chain_id: 2 ** 60 }]) {
    const error = await open((path) => (path === "/deployment.json" ? json : undefined));
    assert.match(error.message, /expected|found/);
  }
  const liar = await open((_, question) =>
    question?.params[0]?.data === callData("journalPosition()") ? toHex(toBytes(1, 32)) : undefined,
  );
  assert.deepEqual([liar.name, liar.item], ["Broken", "contract head, journal position"]);
});

test("an answer of another length is broken, with the auditor's item, and differs", async () => {
  const { id, code } = deployment().keys[1];
  const answers = [
    ["sequencer()", "deployment, constants"],
    ["genesisTime()", "deployment, constants"],
    ["latenessMax()", "contract head, state"],
    [id.slice(2), "key c2-test, words on chain"],
  ];
  for (const [asked, item] of answers) {
    const isAsked = ({ method, params }) =>
      method === "eth_call" &&
      (params[0].data === callData(asked) || params[0].data.endsWith(asked));
    for (const other of ["0x", "0x00", toHex(new Uint8Array(96))]) {
      const change = (_, question) => (question && isAsked(question) ? other : undefined);
      const error = await failure(() => serve({ change }).session.open(tell));
      assert.deepEqual([error.name, error.item], ["Broken", item], error.stack);
      assert.match(error.message, /expected an answer of the settlement contract, found expected/);
    }
  }
  // An address of more than 20 bytes.
  const long = `0x${"01".repeat(12)}${code.slice(2)}${toHex(toBytes(2, 32)).slice(2)}`;
  const change = (_, question) =>
    question?.params[0]?.data?.endsWith(id.slice(2)) ? long : undefined;
  const error = await failure(() => serve({ change }).session.open(tell));
  assert.equal(error.item, "key c2-test, words on chain");
  const second = (path, question) =>
    path === "/chain/2" && question.method === "eth_call" ? "0x" : undefined;
  const { session } = serve({ chains: 2, change: second });
  await session.open(tell);
  const { hash } = await session.verify(2, tell);
  assert.equal((await session.compare(2, hash, tell))[0].outcome, "differs");
});

test("a key that the chain does not hold as one is named, and so is one it never took", async () => {
  const open = async (change) => failure(() => serve({ change }).session.open(tell));
  const code = deployment().keys[1].code;
  const answered = (bytes) => (_, question) =>
    question?.method === "eth_getCode" && question.params[0] === code ? bytes : undefined;
  for (const [bytes, found] of [
    ["0x", /found expected a verifying key at 0x0202.*, found none or another$/],
    [`0x01${"00".repeat(1344)}`, /found none or another$/],
    [`0x00${"00".repeat(1344)}`, /at 0x0202.* is malformed: .* at word 0 is infinity$/],
  ]) {
    const error = await open(answered(bytes));
    assert.deepEqual([error.name, error.item], ["Broken", "key c2-test, words on chain"]);
    assert.match(error.message, found);
  }
  const never = await open((_, question) =>
    question?.params[0]?.data?.endsWith(deployment().keys[1].id.slice(2))
      ? toHex(new Uint8Array(64))
      : undefined,
  );
  assert.equal(never.item, "key c2-test, id");
});

test("a node that says it has many batches makes no long list", async () => {
  const lies = { schema: "vitals-batches-1", assembled: 2 ** 40, settled: 3 };
  const { session } = serve({ change: (path) => (path === "/batches" ? lies : undefined) });
  assert.equal((await session.open(tell)).rows.length, 3 + 20);
});

test("what is opened again under another deployment knows nothing of the first", async () => {
  let isOther = false;
  const change = (path) =>
    isOther && path === "/deployment.json" ? { ...deployment(), setup: "ceremony" } : undefined;
  const { session } = serve({ change });
  await session.open(tell);
  await session.verify(1, tell);
  isOther = true;
  const error = await failure(() => session.open(tell));
  assert.deepEqual([error.name, error.item], ["Broken", "key c1-test, setup"]);
  assert.equal((await failure(() => session.verify(1, tell))).name, "ChainError");
});

test("a file of another header is told before its lists are read", async () => {
  const other = world[0].slice();
  other[8 + 32 * 3 + 31] ^= 1;
  // Its lists alone would be a fault of another name.
  const cut = other.subarray(0, other.length - 9);
  const { session } = serve({
    change: (path) => (path === "/batches/1" ? new Response(cut) : undefined),
  });
  await session.open(tell);
  assert.match((await session.detail(1)).file.fault, /has another header than the chain$/);
});

test("a server that passes on what the page asks needs no more than the contract's", async () => {
  const asked = [];
  const change = (_, question) => {
    if (question !== undefined) asked.push(question);
    return undefined;
  };
  const { session } = serve({ chains: 2, change });
  await session.open(tell);
  await session.verify(2, tell);
  await session.detail(2);
  await session.costs([2]);
  const { settlement } = deployment();
  const methods = new Set(asked.map(({ method }) => method));
  // As `page_server` reads them: of this contract, by one address, with nothing besides.
  const fields = {
    eth_call: ["to", "data"],
    eth_getLogs: ["address", "topics", "fromBlock", "toBlock"],
  };
  for (const { jsonrpc, id, method, params } of asked) {
    assert.ok(jsonrpc === "2.0" && Number.isSafeInteger(id) && Array.isArray(params));
    if (fields[method] === undefined) continue;
    assert.deepEqual(Object.keys(params[0]), fields[method]);
    assert.equal(params[0].to ?? params[0].address, settlement);
    assert.equal(params.length, method === "eth_call" ? 2 : 1);
  }
  assert.deepEqual([...methods].sort(), [
    "eth_call",
    "eth_chainId",
    "eth_getBlockByNumber",
    "eth_getCode",
    "eth_getLogs",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
  ]);
});

test("what a server refuses is away, with its code, and never broken", async () => {
  for (const [status, code] of [
    [403, "question-not-served"],
    [421, "host-unknown"],
    [502, "chain-unreachable"],
    [503, "page-busy"],
  ]) {
    const { session } = serve({
      change: (path) =>
        path === "/chain/1" ? Response.json({ error: code }, { status }) : undefined,
    });
    const error = await failure(() => session.open(tell));
    assert.equal(error.name, "ChainError");
    assert.match(error.message, new RegExp(`found ${status} \\(${code}\\)$`));
  }
});

test("gas and proofs come from the transaction that settled a batch", async () => {
  const { session } = serve();
  await session.open(tell);
  const [{ gas, shared, proofs }] = await session.costs([1]);
  assert.deepEqual([gas, shared, proofs], [40_000, 3, 5]);
  assert.equal((await session.costs([2]))[0].proofs, 1);
  // Of calldata that holds another header of this number nothing is known, either.
  const otherHeader = world[0].slice();
  otherHeader[8 + 32 * 20] ^= 1;
  const lying = serve({
    change: (_, question) =>
      question?.method === "eth_getTransactionByHash"
        ? { input: toHex(settleCallOf([otherHeader])) }
        : undefined,
  });
  await lying.session.open(tell);
  assert.equal((await lying.session.costs([1]))[0].proofs, undefined);
  // By way of another contract: what it cost is known, and not what for.
  const through = serve({
    change: (_, question) =>
      question?.method === "eth_getTransactionByHash" ? { input: "0x12345678" } : undefined,
  });
  await through.session.open(tell);
  const [cost] = await through.session.costs([1]);
  assert.deepEqual([cost.gas, cost.shared, cost.proofs], [40_000, 1, undefined]);
});

test("details show what the chain and the file say, unchecked", async () => {
  const { session } = serve();
  await session.open(tell);
  const { words, file, hash } = await session.detail(1);
  assert.equal(words.length, 26);
  assert.equal(hash, `0x${table.headers[0].settled[0].header_hash}`);
  assert.deepEqual([file.operations.length, file.claims.length, file.groups], [3, 2, 2]);
  assert.deepEqual(
    file.claims.map(({ shape }) => shape),
    ["c2-test", "c2-test-1"],
  );
});
