// A node of the chain and a server of files that are away, slow, too large, wrong or contradict
// themselves: each ends in an error that says which.

import assert from "node:assert/strict";
import { test } from "node:test";
import { BATCH_SETTLED } from "../assets/statement/abi.js";
import { fromHex, toBytes, toHex } from "../assets/statement/bytes.js";
import { Chain, ChainError, readHistory } from "../assets/chain.js";
import { FetchError, fetchBytes } from "../assets/fetch.js";
import { NodeError, fetchBatches, fetchFile, fetchJson } from "../assets/node.js";
import { readServed } from "../assets/session.js";
import { failure, readJson } from "./support.mjs";

const contract = new Uint8Array(20).fill(0x5e);
const file = { scope: { chainId: 31_337n, contract }, block: 0n };
const table = readJson("l1-contracts/auditor/tests/data/tampers.json");
const word = (number) => number.toString(16).padStart(64, "0");

/** Answers questions as `answer` says; JSON-RPC around it. */
function nodeOf(answer) {
  const asked = [];
  const fetch = async (_, { body }) => {
    const { id, method, params } = JSON.parse(body);
    asked.push([method, params]);
    const found = await answer(method, params);
    const said = found?.error === undefined ? { result: found } : found;
    return new Response(JSON.stringify({ jsonrpc: "2.0", id, ...said }));
  };
  const waits = [];
  const wait = async (seconds) => waits.push(seconds);
  return { chain: new Chain("/chain/1", { fetch, wait }), asked, waits };
}

/** A chain of blocks in which the sound headers of the table were settled. */
function soundChain(change = {}) {
  const [{ settled }] = table.headers;
  const hashOf = (block) => `0x${word(block + 1000)}`;
  const logs = settled.map(({ header, header_hash, lateness_ms }, at) => ({
    address: toHex(contract),
    topics: [BATCH_SETTLED, `0x${word(at + 1)}`, `0x${header_hash}`],
    data: `0x${header}${word(lateness_ms)}`,
    blockNumber: `0x${(at + 1).toString(16)}`,
    blockHash: hashOf(at + 1),
    transactionHash: `0x${word(at + 5000)}`,
    logIndex: "0x0",
    removed: false,
  }));
  return nodeOf((method, params) => {
    const other = change[method]?.(params, logs);
    if (other !== undefined) return other;
    if (method === "eth_getLogs") {
      const [from, to] = [params[0].fromBlock, params[0].toBlock].map(Number);
      return logs.filter(({ blockNumber }) => from <= blockNumber && blockNumber <= to);
    }
    if (method === "eth_getBlockByNumber") {
      const number = params[0] === "latest" ? 3 : params[0] === "finalized" ? 2 : Number(params[0]);
      return { number: `0x${number.toString(16)}`, hash: hashOf(number), timestamp: "0x6553f100" };
    }
    if (method === "eth_call") return `0x${word(3)}`;
    return { error: { code: -32601, message: "unknown method" } };
  });
}

test("a chain is read as of one block, with times, state and what is final", async () => {
  const { chain } = soundChain();
  const history = await readHistory(chain, file);
  assert.deepEqual(
    history.settled.map(({ header }) => header.number),
    [1n, 2n, 3n],
  );
  assert.equal(history.settled[0].blockTime, 0x6553f100n * 1000n + 2_208_988_800_000n);
  assert.deepEqual([history.head.number, history.finalBlock, history.state.number], [3n, 2n, 3n]);
});

test("what was read before is taken over while its last batch is where it was", async () => {
  const { chain, asked } = soundChain();
  const { settled } = await readHistory(chain, file);
  asked.length = 0;
  const again = await readHistory(chain, file, settled);
  assert.deepEqual(again.settled, settled);
  const [, [{ fromBlock }]] = asked.find(([method]) => method === "eth_getLogs");
  assert.equal(fromBlock, "0x3");
  const replaced = settled.with(2, { ...settled[2], blockHash: `0x${word(1)}` });
  const anew = await readHistory(chain, file, replaced);
  assert.deepEqual(anew.settled, settled);
});

test("a log that a node does not deliver is not available, and never broken", async () => {
  const without = (...gone) =>
    soundChain({ eth_getLogs: (_, logs) => logs.filter((_, at) => !gone.includes(at + 1)) });
  for (const [gone, number] of [
    [[1], 1],
    [[2], 2],
    [[1, 2, 3], 1],
    [[1, 3], 1],
  ]) {
    const { chain, waits } = without(...gone);
    const error = await failure(() => readHistory(chain, file));
    assert.deepEqual([error.name, error.kind, waits.length], ["ChainError", "no-logs", 0]);
    assert.match(error.message, new RegExp(`^the event of batch ${number} is not available: `));
  }
  // The newest may be there the next time.
  const late = await failure(() => readHistory(without(3).chain, file));
  assert.deepEqual([late.name, late.kind], ["ChainError", "moved"]);
});

test("a past that was rewritten before the last known batch is read anew", async () => {
  const { settled } = await readHistory(soundChain().chain, file);
  const atEnd = (log) => ({ ...log, blockNumber: "0x3", blockHash: `0x${word(1003)}` });
  // The second batch is by now in the block of the third, which is where it was.
  const moved = soundChain({
    eth_getLogs: (_, logs) => [logs[0], { ...atEnd(logs[1]), logIndex: "0x1" }, logs[2]],
  });
  const { settled: found } = await readHistory(moved.chain, file, settled);
  assert.deepEqual(
    found.map(({ block }) => block),
    [1n, 3n, 3n],
  );
  // And one known batch that is there twice is another past, too.
  const again = { transactionHash: `0x${word(8)}`, logIndex: "0x9" };
  const twice = soundChain({ eth_getLogs: (_, logs) => [...logs, { ...logs[2], ...again }] });
  const anew = await readHistory(twice.chain, file, settled);
  assert.equal(anew.settled.length, 4);
});

test("a known batch whose log is gone is not taken over", async () => {
  const { settled } = await readHistory(soundChain().chain, file);
  const gone = soundChain({ eth_getLogs: (_, logs) => logs.slice(0, 2) });
  const error = await failure(() => readHistory(gone.chain, file, settled));
  assert.deepEqual([error.name, error.kind], ["ChainError", "moved"]);
  assert.match(error.message, /batch 3 has no event/);
});

test("a node that is behind what is known moved, and loses nothing of it", async () => {
  const { settled } = await readHistory(soundChain().chain, file);
  let isBehind = true;
  const { chain, asked, waits } = soundChain({
    eth_getBlockByNumber: ([which]) => {
      if (which !== "latest" || !isBehind) return undefined;
      isBehind = false;
      return { number: "0x2", hash: `0x${word(1002)}`, timestamp: "0x6553f100" };
    },
  });
  const found = await readHistory(chain, file, settled);
  assert.deepEqual([found.settled, waits], [settled, [1]]);
  const [, [{ fromBlock }]] = asked.find(([method]) => method === "eth_getLogs");
  assert.equal(fromBlock, "0x3");
  const always = soundChain({
    eth_getBlockByNumber: ([which]) =>
      which === "latest"
        ? { number: "0x2", hash: `0x${word(1002)}`, timestamp: "0x6553f100" }
        : undefined,
  });
  const error = await failure(() => readHistory(always.chain, file, settled));
  assert.match(error.message, /5 times, and the node is at block 2, batch 3 settled in block 3$/);
});

test("a node that does not have the state of its head yet is asked again", async () => {
  let refusals = 3;
  const { chain, waits } = soundChain({
    eth_call: () => (refusals-- > 0 ? { error: { code: -32000, message: "none" } } : undefined),
  });
  assert.equal((await readHistory(chain, file)).settled.length, 3);
  assert.equal(waits.length, 1);
});

test("where no block is final, nothing is; and a node that is away is no such node", async () => {
  const of = async (answer) => {
    const block = ([which]) => (which === "finalized" ? answer : undefined);
    return await readHistory(soundChain({ eth_getBlockByNumber: block }).chain, file);
  };
  assert.equal((await of({ error: { code: -32602, message: "unknown tag" } })).finalBlock, 0n);
  assert.equal((await of(null)).finalBlock, 0n);
  assert.equal((await failure(() => of(7))).kind, "malformed");
});

test("a time beyond the last that can be expressed is that", async () => {
  const hashOfOne = `0x${word(1)}`;
  const { chain } = soundChain({
    eth_getBlockByNumber: () => ({ number: "0x1", hash: hashOfOne, timestamp: "0xffffffffffff" }),
  });
  assert.equal((await chain.block(1n)).time, 2n ** 44n - 1n);
});

test("logs are asked for in the ranges that a node serves", async () => {
  const most = 500n;
  const { chain, asked } = soundChain({
    eth_getLogs: ([{ fromBlock, toBlock }]) => {
      const isTooMuch = BigInt(toBlock) - BigInt(fromBlock) >= most;
      return isTooMuch ? { error: { code: -32005, message: "too many blocks" } } : [];
    },
  });
  await chain.settledBetween(contract, [0n, 20_000n]);
  const served = asked.filter(
    ([, [{ fromBlock, toBlock }]]) => BigInt(toBlock) - BigInt(fromBlock) < most,
  );
  assert.ok(asked.length - served.length <= 6, `${asked.length - served.length} refusals`);
  assert.equal(served.at(-1)[1][0].toBlock, "0x4e20");
});

test("an outage ends a search at once, and leaves the range as it was", async () => {
  const ranges = [];
  const outages = [
    [() => new Response("", { status: 502 }), "status"],
    [() => new Response('{"error":"page-busy"}', { status: 503 }), "status"],
    [() => new Response('{"error":"question-not-served"}', { status: 403 }), "status"],
    [() => new Response("", { status: 421 }), "status"],
    [
      () => {
        throw new TypeError("refused");
      },
      "unreachable",
    ],
  ];
  for (const [outage, kind] of outages) {
    let isOut = true;
    const fetch = async (_, { body }) => {
      const { id, params } = JSON.parse(body);
      ranges.push(Number(params[0].toBlock) - Number(params[0].fromBlock) + 1);
      return isOut ? outage() : Response.json({ id, result: [] });
    };
    const chain = new Chain("/chain/1", { fetch, wait: async () => {} });
    const error = await failure(() => chain.settledBetween(contract, [0n, 20_000n]));
    assert.deepEqual([error.name, error.kind], ["ChainError", kind]);
    // Whoever is busy is asked four times.
    assert.ok(ranges.length <= 4 && ranges.every((asked) => asked === 10_000), String(ranges));
    [ranges.length, isOut] = [0, false];
    await chain.settledBetween(contract, [0n, 20_000n]);
    assert.deepEqual(ranges, [10_000, 10_000, 1]);
    ranges.length = 0;
  }
});

test("what less could mend is asked for in halves, and grows again", async () => {
  for (const refusal of [
    () => Response.json({ id: 1, error: { code: -32000, message: "the node refuses" } }),
    () => new Response("", { status: 413 }),
    () => new Response("", { status: 500 }),
    () => new Response("<html>"),
  ]) {
    let most = 100;
    const asked = [];
    const fetch = async (_, { body }) => {
      const { id, params } = JSON.parse(body);
      const blocks = Number(params[0].toBlock) - Number(params[0].fromBlock) + 1;
      asked.push(blocks);
      if (blocks <= most) return Response.json({ id, result: [] });
      const said = refusal();
      const json = said.headers.get("content-type")?.includes("json");
      return json ? Response.json({ ...(await said.json()), id }) : said;
    };
    const chain = new Chain("/chain/1", { fetch });
    await chain.settledBetween(contract, [0n, 9_999n]);
    assert.deepEqual(asked.slice(0, 8), [10_000, 5000, 2500, 1250, 625, 312, 156, 78]);
    // Served 16 times in a row, a larger range is tried; what then is refused waits for longer.
    const refused = asked.filter((blocks) => blocks > most).length;
    assert.ok(refused <= 7 + 5 && asked.includes(98), String(asked));
    // One block alone is refused for another reason.
    most = 0;
    await failure(() => chain.settledBetween(contract, [0n, 9_999n]));
    assert.equal(asked.at(-1), 1);
    assert.ok(asked.length < 200);
  }
});

test("repeated and removed logs are passed over, two of one place are refused", async () => {
  // Each at a place of its own: were it taken for one, it would be a fourth.
  const planted = (log, of) => ({ ...log, logIndex: "0x7", ...of });
  const twice = soundChain({
    eth_getLogs: (_, logs) => [...logs, logs[0], planted(logs[1], { removed: true })],
  });
  assert.equal((await readHistory(twice.chain, file)).settled.length, 3);
  const two = soundChain({ eth_getLogs: (_, logs) => [...logs, planted(logs[0], {})] });
  assert.equal((await readHistory(two.chain, file)).settled.length, 4);
  const other = (log) => ({ ...log, transactionHash: `0x${word(9)}` });
  const liar = soundChain({ eth_getLogs: (_, logs) => [...logs, other(logs[0])] });
  const error = await failure(() => readHistory(liar.chain, file));
  assert.deepEqual([error.name, error.kind], ["ChainError", "contradiction"]);
  for (const of of [
    { address: toHex(new Uint8Array(20)) },
    { topics: [`0x${word(1)}`, `0x${word(2)}`, `0x${word(3)}`] },
    { topics: [] },
  ]) {
    const foreign = soundChain({ eth_getLogs: (_, logs) => [...logs, planted(logs[0], of)] });
    assert.equal((await readHistory(foreign.chain, file)).settled.length, 3);
  }
  // Hex is hex, however a node spells it.
  const upper = (text) => `0x${text.slice(2).toUpperCase()}`;
  const spelled = (log) => ({
    ...log,
    address: upper(log.address),
    topics: log.topics.map(upper),
    removed: undefined,
  });
  const loud = soundChain({ eth_getLogs: (_, logs) => [...logs, ...logs.map(spelled)] });
  assert.equal((await readHistory(loud.chain, file)).settled.length, 3);
  // And only what is the contract's is asked for.
  const [, [filter]] = loud.asked.find(([method]) => method === "eth_getLogs");
  assert.deepEqual([filter.address, filter.topics], [toHex(contract), [BATCH_SETTLED]]);
});

test("events come in order of numbers, and of equal ones in that of places", async () => {
  const { chain } = soundChain({
    eth_getLogs: (_, logs) => {
      const again = { ...logs[0], blockNumber: "0x3", transactionHash: `0x${word(8)}` };
      return [logs[2], again, logs[1], logs[0]];
    },
  });
  const events = await chain.settledBetween(contract, [0n, 9n]);
  assert.deepEqual(
    events.map(({ header, block }) => [header.number, block]),
    [
      [1n, 1n],
      [1n, 3n],
      [2n, 2n],
      [3n, 3n],
    ],
  );
});

test("a head that is reorganised away while it is read is read again", async () => {
  let asked = 0;
  const { chain, waits } = soundChain({
    eth_getBlockByNumber: ([which]) => {
      // First as the block of the third batch, then to see whether it is still there.
      if (which !== "0x3" || ++asked !== 2) return undefined;
      return { number: "0x3", hash: `0x${word(9)}`, timestamp: "0x6553f100" };
    },
  });
  assert.equal((await readHistory(chain, file)).settled.length, 3);
  assert.deepEqual([waits, asked], [[1], 4]);
});

test("an event that is none is broken, as for the auditor", async () => {
  const { chain } = soundChain({
    eth_getLogs: (_, logs) => logs.map((log) => ({ ...log, data: log.data.slice(0, -2) })),
  });
  const error = await failure(() => readHistory(chain, file));
  assert.equal(error.name, "Broken");
  assert.match(error.message, /^header, event: expected an answer of the settlement contract/);
});

test("logs, blocks and answers that are no such thing are the node's fault, and never broken", async () => {
  const odd = [
    { eth_getLogs: () => "logs" },
    { eth_getLogs: (_, logs) => [{ ...logs[0], data: 7 }] },
    { eth_getLogs: (_, logs) => [{ ...logs[0], blockHash: "0x12" }] },
    { eth_getLogs: (_, logs) => [{ ...logs[0], topics: [logs[0].topics[0], null, {}] }] },
    { eth_getLogs: (_, logs) => [{ ...logs[0], logIndex: -1 }] },
    { eth_getBlockByNumber: () => 5 },
    { eth_getBlockByNumber: () => ({ number: "0x1", hash: "0x", timestamp: "0x1" }) },
    { eth_call: () => ({}) },
  ];
  for (const change of odd) {
    const error = await failure(() => readHistory(soundChain(change).chain, file));
    assert.deepEqual([error.name, error.kind], ["ChainError", "malformed"], error.stack);
  }
  // What is no log of the contract is passed over, whatever it is.
  const noise = [null, 5, "x", {}, { topics: "x" }, { topics: {} }];
  const noisy = soundChain({ eth_getLogs: (_, logs) => [...noise, ...logs] });
  assert.equal((await readHistory(noisy.chain, file)).settled.length, 3);
});

test("an error that is none is none", async () => {
  const fetch = async () => new Response('{"id":1,"result":"0x7","error":null}');
  assert.equal(await new Chain("/", { fetch }).chainId(), 7n);
});

test("hex is read whole or not at all", () => {
  assert.deepEqual([...fromHex("0x00fF")], [0, 255]);
  assert.equal(fromHex(`0x${"ab".repeat(1 << 20)}`).length, 1 << 20);
  for (const wrong of ["0x1", "0xzz", "0x0x", " 00", null, 5, {}, undefined]) {
    assert.throws(() => fromHex(wrong), /expected hex digits in pairs/);
  }
  assert.throws(() => fromHex("00", 2), /expected 4 hex digits/);
});

test("a past that keeps moving, or lacks an event, ends after a few tries", async () => {
  const missing = soundChain({ eth_getLogs: (_, logs) => logs.slice(0, 2) });
  const moved = soundChain({
    eth_getBlockByNumber: ([which]) =>
      which === "0x2" ? { number: "0x2", hash: `0x${word(7)}`, timestamp: "0x1" } : undefined,
  });
  for (const [{ chain, asked }, words] of [
    [missing, /batch 3 has no event/],
    [moved, /block 2, in/],
  ]) {
    const error = await failure(() => readHistory(chain, file));
    assert.deepEqual([error.name, error.kind], ["ChainError", "moved"]);
    assert.match(error.message, words);
    assert.ok(asked.length < 200);
  }
});

test("answers that are none are named by what is wrong with them", async () => {
  const respond = (body, init) =>
    new Chain("/chain/1", { fetch: async () => new Response(body, init) });
  const kinds = [
    [respond("<html>"), "malformed"],
    [respond('{"id":99,"result":"0x1"}'), "malformed"],
    [respond("null"), "malformed"],
    [respond('{"id":1,"error":{"code":-1,"message":"no"}}'), "refused"],
    [respond('{"id":1,"result":"1"}'), "malformed"],
    [respond("{}", { status: 500 }), "status"],
    [
      new Chain("/", {
        fetch: async () => {
          throw new TypeError("refused");
        },
      }),
      "unreachable",
    ],
  ];
  for (const [chain, kind] of kinds) {
    const error = await failure(() => chain.chainId());
    assert.ok(error instanceof ChainError, error.stack);
    assert.equal(error.kind, kind);
  }
});

test("bytes are counted as they come, and no answer is waited for without an end", async () => {
  const endless = async () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          controller.enqueue(new Uint8Array(1000));
        },
      }),
    );
  const large = await failure(() => fetchBytes("/", { fetch: endless, bytesMax: 10_000 }));
  assert.deepEqual([large.name, large.kind], ["FetchError", "too-large"]);
  const silent = (_, { signal }) =>
    new Promise((_, fail) => {
      signal.addEventListener("abort", () => fail(signal.reason));
    });
  const late = await failure(() => fetchBytes("/", { fetch: silent, bytesMax: 1, timeoutMs: 1 }));
  assert.equal(late.kind, "timeout");
});

test("whoever is busy is asked again a few times, and never waited for too long", async () => {
  const waits = [];
  const wait = async (seconds) => waits.push(seconds);
  const busy = (tries, headers) => {
    let asked = 0;
    return async () =>
      ++asked <= tries ? new Response("", { status: 503, headers }) : new Response("good");
  };
  const options = { bytesMax: 100, wait };
  const found = await fetchBytes("/", { ...options, fetch: busy(2, { "retry-after": "3" }) });
  assert.equal(new TextDecoder().decode(found), "good");
  assert.deepEqual(waits, [3, 3]);
  for (const fetch of [busy(9, {}), busy(1, { "retry-after": "3600" })]) {
    const error = await failure(() => fetchBytes("/", { ...options, fetch }));
    assert.ok(error instanceof FetchError);
    assert.deepEqual([error.kind, error.status], ["status", 503]);
  }
});

test("what the node says is read with its codes, and never more than was asked for", async () => {
  const serve = (body, init) => ({ fetch: async () => new Response(body, init) });
  const good = '{"schema":"vitals-batches-1","assembled":4,"settled":3}';
  const told = { assembled: 4, settled: 3, underWay: [] };
  assert.deepEqual(await fetchBatches(serve(good)), told);
  const spoiled = [good.replace("4", "-4"), good.replace("-1", "-2")];
  for (const wrong of ["null", "7", "[]", "{}", ...spoiled, "x"]) {
    const error = await failure(() => fetchBatches(serve(wrong)));
    assert.ok(error instanceof NodeError);
    assert.equal(error.kind, "malformed");
  }
  const unknown = await failure(() =>
    fetchFile(9, serve('{"error":"batch-unknown"}', { status: 404 })),
  );
  assert.match(unknown.message, /file of batch 9 is not available: .*404 \(batch-unknown\)/);
  const hostile = await failure(() =>
    fetchFile(9, serve('{"error":"<b>\\u001b[2J"}', { status: 404 })),
  );
  assert.match(hostile.message, /found 404$/);
  const words = '{"error":"unavailable","detail":"no file\\u202e\\n"}';
  const odd = await failure(() => fetchFile(9, serve(words, { status: 502 })));
  assert.match(odd.message, /found 502 \(unavailable: no file\\u\{202e\}\\n\)$/);
  for (const body of ["null", "7", '{"error":5}', '{"error":"a","detail":{}}']) {
    const error = await failure(() => fetchFile(9, serve(body, { status: 502 })));
    assert.match(error.message, /found 502( \(a\))?$/);
  }
});

test("a document is read as the programs read it: whole numbers, and each field once", async () => {
  const read = async (text) => await fetchJson("/x", { fetch: async () => new Response(text) });
  const sound = '{"a":[{"a":1},{"a":0,"b":"1.5 \\" {"}],"b":"{\\"a\\":1.0}","c":null}';
  assert.deepEqual(await read(sound), JSON.parse(sound));
  for (const [text, words] of [
    ['{"a":31337.0}', /whole numbers/],
    ['{"a":1e3}', /whole numbers/],
    ['{"a":-1}', /whole numbers/],
    ['{"a":1,"b":2,"a":1}', /each field once/],
    ['{"a":{"c":1},"\\u0061":1}', /each field once/],
    ['[{"b":{"a":1,"a":2}}]', /each field once/],
    ['{"a":1', /expected JSON/],
  ]) {
    const error = await failure(() => read(text));
    assert.deepEqual([error.name, error.kind], ["NodeError", "malformed"], text);
    assert.match(error.message, words);
  }
  const bytes = new Uint8Array([34, 255, 34]);
  const error = await failure(() => fetchJson("/x", { fetch: async () => new Response(bytes) }));
  assert.match(error.message, /expected text in UTF-8/);
});

test("a number that does not fit is never cut", () => {
  assert.deepEqual([...toBytes(65_535, 2)], [255, 255]);
  for (const [number, width] of [
    [65_536, 2],
    [-1, 2],
    [1n << 256n, 32],
    [1, 0],
  ]) {
    assert.throws(() => toBytes(number, width), RangeError);
  }
});

test("a server that names no known trust is not believed any", () => {
  const trustAt = (trust, hostname) => readServed({ schema: 1, trust, chains: 1 }, hostname).trust;
  for (const trust of ["operator", "verifier", "wallet"]) {
    for (const own of ["127.0.0.1", "localhost", "[::1]"]) assert.equal(trustAt(trust, own), trust);
    // Whoever serves it from elsewhere could have changed it, whatever it says.
    for (const other of ["node.example", "localhost.example", "127.0.0.1.a", "::1", "", null]) {
      assert.equal(trustAt(trust, other), "operator", String(other));
    }
  }
  for (const wrong of [
    null,
    {},
    { schema: 2, trust: "verifier", chains: 1 },
    { schema: 1, trust: "me", chains: 1 },
    { schema: 1, trust: "verifier", chains: 0 },
    { schema: 1, trust: "verifier", chains: 99 },
  ]) {
    assert.throws(() => readServed(wrong), /expected schema 1/);
  }
});
