// A page's whole life against a chain and a node that are played, with the batches of the auditor's
// tests: opened, verified, gone stale, broken.

import assert from "node:assert/strict";
import { test } from "node:test";
import { callData } from "../assets/statement/abi.js";
import { concat, fromHex, toBytes, toHex } from "../assets/statement/bytes.js";
import { HEADER_BYTES } from "../assets/statement/header.js";
import { PROOF_BYTES } from "../assets/statement/proof.js";
import { chunksTitle, fileTitle } from "../assets/text.js";
import { answer, deployment, serve, settleCallOf, table, tell, world } from "./played.mjs";
import { failure } from "./support.mjs";

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

test("what is under way is told by the node's word, behind what the chain has", async () => {
  const underWay = [
    { batch: 2, state: "sent" },
    { batch: 3, state: "assembled" },
    { batch: 4, state: "proving", proofs_done: 1, proofs: 3 },
    { batch: 5, state: "proving", proofs_done: 0, proofs: null },
    { batch: 6, state: "closed" },
    { batch: 7, state: "open", since_unix_ms: 1_800_000_000_000 },
  ];
  const { session, state } = serve({ settled: 1, underWay });
  const states = ({ rows }) => rows.map(({ number, state: of }) => [number, of]);
  const before = await session.open(tell);
  assert.deepEqual(states(before), [
    [1, "final"],
    [2, "sent"],
    [3, "assembled"],
    [4, "proving"],
    [5, "proving"],
    [6, "closed"],
  ]);
  const { proofsDone, proofs } = before.rows[3];
  assert.deepEqual([proofsDone, proofs, before.rows[4].proofs], [1, 3, undefined]);
  assert.deepEqual([before.settledCount, before.open.number, before.beyond], [1, 7, 0]);
  // The node alone is asked; that the chain has more by now is for the next reading of it.
  Object.assign(state, { settled: 2, underWay: [{ batch: 4, state: "closed" }] });
  const later = await session.standing();
  assert.deepEqual(states(later), [
    [1, "final"],
    [2, "assembled"],
    [3, "assembled"],
    [4, "closed"],
  ]);
  assert.equal(later.open, undefined);
  assert.deepEqual(states(await session.refresh(tell)).slice(0, 2), [
    [1, "final"],
    [2, "final"],
  ]);
});

test("what a node says of itself that cannot be, or says no more, makes no row", async () => {
  const open = { state: "open", since_unix_ms: 5 };
  let isAway = false;
  const change = (path) =>
    path === "/batches" && isAway ? new Response("", { status: 500 }) : undefined;
  const { session, state } = serve({ settled: 3, change });
  const rowsOf = async (underWay) => {
    Object.assign(state, { underWay });
    const { rows, open: isOpen, beyond } = await session.refresh(tell);
    const words = rows.slice(3).map(({ number, state: of }) => `${number} ${of}`);
    return [words, isOpen?.number, beyond];
  };
  await session.open(tell);
  for (const odd of [
    "many",
    [null, 7, {}, { batch: 4 }, { batch: "4", state: "closed" }, { batch: 4.5, state: "closed" }],
    [{ batch: 4, state: "proving" }, { batch: 4, state: "verified" }, { batch: 5, state: "open" }],
    // Of what the chain has the node's word counts for nothing.
    [{ batch: 2, state: "proving", proofs_done: 0, proofs: 1 }, { ...open, batch: 3 }],
  ]) {
    assert.deepEqual(await rowsOf(odd), [[], undefined, 0], JSON.stringify(odd));
  }
  // A hole ends the list, and what is behind it is counted.
  const closed = [4, 6].map((batch) => ({ batch, state: "closed" }));
  const holed = [...closed, { ...open, batch: 9 }];
  assert.deepEqual(await rowsOf(holed), [["4 closed"], 9, 4]);
  const many = Array.from({ length: 1000 }, (_, at) => ({ batch: 4 + at, state: "closed" }));
  const [rows, , beyond] = await rowsOf(many);
  assert.deepEqual([rows.length, beyond], [20, 44]);
  // A node that does not answer: nobody says where its windows are now.
  isAway = true;
  const away = await session.standing();
  assert.match(away.node.fault, /found 500/);
  assert.deepEqual([away.rows.length, away.open], [3, undefined]);
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

test("of a file with any number of chunks no more are described than a page can show", async () => {
  const head = world[0].subarray(0, 8 + HEADER_BYTES);
  const chunk = concat([new Uint8Array(112), new Uint8Array(PROOF_BYTES), toBytes(1, 4)]);
  const many = Array.from({ length: 5000 }, () => [chunk, new Uint8Array(32)]).flat();
  const bytes = concat([head, toBytes(5000, 4), ...many, new Uint8Array(12)]);
  const { session } = serve({
    change: (path) => (path === "/batches/1" ? new Response(bytes) : undefined),
  });
  await session.open(tell);
  const { file } = await session.detail(1);
  assert.deepEqual([file.operations.length, file.chunks.operations], [100, 5000]);
  assert.equal(chunksTitle("operations", file), "Chunks of operations, the first 100 of 5,000");
  assert.equal(chunksTitle("claims", file), "Chunks of claims");
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

test("a server that passes no such large answer on is asked for less, and says so at last", async () => {
  let blocksMax = 1n;
  const { session } = serve({
    change: (_, question) => {
      if (question?.method !== "eth_getLogs") return undefined;
      const { fromBlock, toBlock } = question.params[0];
      const isLarge = BigInt(toBlock) - BigInt(fromBlock) >= blocksMax;
      const said = { error: "chain-answer-large", detail: "more than 16777216 bytes" };
      return isLarge ? Response.json(said, { status: 502 }) : undefined;
    },
  });
  assert.equal((await session.open(tell)).rows.length, 3);
  blocksMax = 0n;
  const error = await failure(() => session.open(tell));
  assert.deepEqual([error.name, error.kind], ["ChainError", "too-large"]);
  assert.match(error.message, /chain-answer-large: more than 16777216 bytes/);
});

test("a check that is cancelled ends where it is, and can be begun again", async () => {
  const { session } = serve();
  await session.open(tell);
  const ended = new Error("cancelled");
  const steps = [];
  for (const at of ["fetch", "decode", "lists", "journal", "proofs"]) {
    const cancel = (step) => {
      steps.push(step);
      if (step === at) throw ended;
    };
    assert.equal(await failure(() => session.verify(1, cancel)), ended, at);
    assert.equal(steps.at(-1), at);
  }
  assert.equal((await session.verify(1, tell)).unlinked, undefined);
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
