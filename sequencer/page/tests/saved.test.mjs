// A batch that is saved and opened again without anybody to ask: it comes to the same, and what is
// done to the file shows.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { saveBatch } from "../assets/saving.js";
import { Session } from "../assets/session.js";
import * as text from "../assets/text.js";
import { frozenFetch, readSaved } from "../saved/frozen.js";
import * as words from "../saved/words.js";
import { play, tell, world } from "./played.mjs";
import { failure, readJson } from "./support.mjs";

const contract = JSON.stringify(readJson("l1-contracts/artifacts/Settlement.json"));
const here = { hostname: "127.0.0.1", wait: async () => {} };
const savedAt = 1_790_000_000_000;

/** The header hash of a batch, as the page shows it. */
async function hashOf(number, options) {
  const session = new Session({ fetch: play(options).fetch, ...here });
  const { rows } = await session.open(tell);
  return rows[number - 1].hash;
}

async function save(number, options) {
  const { fetch } = play(options);
  return await saveBatch({ number, hash: await hashOf(number), savedAt }, { fetch, ...here }, tell);
}

/** A session over nothing but what was saved. */
async function open(saved) {
  const fetch = frozenFetch(readSaved(saved), contract);
  const session = new Session({ fetch, wait: async () => {}, trust: "saved" });
  return { session, overview: await session.open(tell) };
}

test("a saved batch comes to what it came to when it was saved, and asks nobody", async () => {
  const live = new Session({ fetch: play({ chains: 2 }).fetch, ...here });
  await live.open(tell);
  const { ms, ...expected } = await live.verify(2, tell);
  const saved = await save(2, { chains: 2 });
  assert.ok(!saved.includes("<") && !saved.includes("\n"), "one line that is no markup");
  const { session, overview } = await open(saved);
  const { ms: _, ...found } = await session.verify(2, tell);
  assert.deepEqual(found, expected);
  assert.ok(ms >= 0);
  assert.equal(overview.trust, "saved");
  assert.deepEqual(found.compared, [{ chain: 2, outcome: "agrees" }]);
  assert.deepEqual(await session.costs([2]), await live.costs([2]));
  const { words: shown, blockHash } = await session.detail(2);
  assert.equal(shown.length, 26);
  assert.deepEqual(readSaved(saved).nodes, Array(2).fill("http://127.0.0.1:8545"));
  // Of the others it holds the headers alone.
  assert.equal((await failure(() => session.verify(3, tell))).name, "NodeError");
  assert.match(blockHash, /^0x/);
});

test("whatever in the file is changed is named as the page names it", async () => {
  const saved = JSON.parse(await save(1));
  const changed = (change) => {
    const copy = structuredClone(saved);
    change(copy);
    return JSON.stringify(copy);
  };
  const file = Buffer.from(saved.files[1], "base64");
  file[file.length - 1] ^= 1;
  const ofFile = changed((copy) => {
    copy.files[1] = file.toString("base64");
  });
  const broken = await failure(async () => (await open(ofFile)).session.verify(1, tell));
  assert.equal(broken.message.split(":")[0], "batch 1, journal, hash after the groups");
  const flip = (hex) => hex.slice(0, -1) + (hex.endsWith("0") ? "1" : "0");
  const cases = [
    [(copy) => (copy.chains[0].logs[0].data = flip(copy.chains[0].logs[0].data)), "Broken"],
    [(copy) => copy.chains[0].logs.pop(), "ChainError"],
    [(copy) => (copy.documents["/deployment.json"] = "{}"), "DeploymentError"],
    [
      (copy) => {
        const code = copy.chains[0].answers.find(([key]) => key.includes("eth_getCode"));
        code[1].result = flip(code[1].result);
      },
      "Broken",
    ],
    [(copy) => copy.chains[0].answers.splice(0, 1), "ChainError"],
  ];
  for (const [change, name] of cases) {
    assert.equal((await failure(() => open(changed(change)))).name, name, String(change));
  }
  const withoutFile = changed((copy) => delete copy.files[1]);
  const { session } = await open(withoutFile);
  assert.equal((await failure(() => session.verify(1, tell))).name, "NodeError");
});

test("data that are none are refused with what was expected", async () => {
  const sound = JSON.parse(await save(1));
  const refused = (change) => {
    const saved = { ...sound, ...change };
    return failure(() => readSaved(JSON.stringify(saved)));
  };
  for (const change of [
    { schema: "vitals-saved-batch-2" },
    { number: 0 },
    { number: "1" },
    { savedAt: -1 },
    { savedAt: 8.65e15 },
    { chains: [] },
    { chains: Array(9).fill(sound.chains[0]) },
    { chains: [{ answers: [[1]], logs: [] }] },
    { chains: [{ answers: [], logs: {} }] },
    { nodes: [] },
    { nodes: [7] },
    { files: { 1: 7 } },
    { documents: null },
  ]) {
    const { name, kind, message } = await refused(change);
    assert.deepEqual([name, kind], ["SavedError", "malformed"], JSON.stringify(change).slice(0, 80));
    assert.match(message, /expected/);
  }
  const whole = JSON.stringify(sound);
  assert.equal((await failure(() => readSaved(whole.slice(0, -9)))).kind, "malformed");
  const odd = JSON.stringify({ ...sound, files: { 1: "%" } });
  const { session } = await open(odd);
  assert.equal((await failure(() => session.verify(1, tell))).name, "NodeError");
});

test("a broken batch is saved as evidence, and is broken by the same name from the file", async () => {
  const bytes = world[0].slice();
  bytes[bytes.length - 1] ^= 1;
  const change = (at) => (at === "/batches/1" ? new Response(bytes) : undefined);
  const { session } = await open(await save(1, { change }));
  const broken = await failure(() => session.verify(1, tell));
  assert.equal(broken.item, "journal, hash after the groups");
});

test("what is away, or another by now, is not saved", async () => {
  const away = (path) => (at) => (at === path ? new Response("", { status: 502 }) : undefined);
  const of = (path) => failure(() => save(2, { change: away(path) }));
  assert.equal((await of("/batches/2")).name, "NodeError");
  assert.equal((await of("/chain/1")).name, "ChainError");
  const { fetch } = play();
  const asked = { number: 2, hash: `0x${"11".repeat(32)}`, savedAt };
  const moved = await failure(() => saveBatch(asked, { fetch, ...here }, tell));
  assert.deepEqual([moved.name, moved.kind], ["ChainError", "moved"]);
});

test("a file before it that was away is away from the saved page, too: it is not linked", async () => {
  const change = (at) => (at === "/batches/1" ? new Response("", { status: 404 }) : undefined);
  const { session } = await open(await save(2, { change }));
  const { unlinked } = await session.verify(2, tell);
  assert.deepEqual([unlinked.number, unlinked.isBroken], [1, false]);
});

test("a node that served logs in parts, or refused some, is played as it was", async () => {
  const refuse = (say) => (at, question) => {
    if (at !== "/chain/1" || question?.method !== "eth_getLogs") return undefined;
    const { fromBlock, toBlock } = question.params[0];
    return BigInt(toBlock) > BigInt(fromBlock) ? say(question) : undefined;
  };
  const error = { code: -32_005, message: "at most one block" };
  for (const change of [
    refuse(({ id }) => Response.json({ id, error })),
    refuse(() => Response.json({ error: "chain-answer-large" }, { status: 502 })),
  ]) {
    const { session } = await open(await save(3, { change }));
    assert.equal((await session.verify(3, tell)).unlinked, undefined);
  }
});

test("no word about a saved batch is verified, and nothing of it is green", async () => {
  const { session, overview } = await open(await save(2));
  const report = await session.verify(2, tell);
  const detail = await session.detail(2);
  const of = { trust: "saved", peers: [] };
  for (const devInsecure of [true, false]) {
    const check = { report: { ...report, devInsecure }, compared: [] };
    const { kind, title } = text.titleOf(check, of);
    assert.equal(kind, devInsecure ? "warn" : "");
    assert.match(title, /^Recomputed.*what the header in this file says$/);
    const shown = [title, ...text.trusted(check.report, overview, []), text.trustOf("saved").badge];
    assert.ok(!shown.join().toLowerCase().includes("verified"));
  }
  const saved = { savedAt, nodes: ["http://127.0.0.1:8545"] };
  const counted = { ...overview, settledCount: 3 };
  const said = words.explain({ saved, overview: counted, detail }).join(" ");
  for (const part of ["http://127.0.0.1:8545", detail.blockHash, "3 headers", "21 Sep"]) {
    assert.ok(said.includes(part), part);
  }
  const [[, all], [, one]] = words.checkAgain({ overview, detail });
  assert.ok(all.includes(`--fingerprint ${overview.fingerprint}`));
  assert.ok(one.includes(detail.transaction));
});

test("the page for saved batches is the one whose hash is published, and its policy its own", () => {
  const page = readFileSync(new URL("../assets/saved.html", import.meta.url));
  const docs = readFileSync(new URL("../docs/saved.md", import.meta.url), "utf8");
  const hash = createHash("sha256").update(page).digest("hex");
  assert.ok(docs.includes(`${hash}  saved.html`), `docs/saved.md: expected ${hash}`);
  const html = page.toString();
  const marker = '<script type="application/json" id="saved">\n';
  assert.ok(html.endsWith(marker) && html.split(marker).length === 2);
  const policy = /content="(default-src [^"]+)"/.exec(html)[1];
  for (const [kind, name] of [
    ["script", "script"],
    ["style", "style"],
  ]) {
    const [, own] = new RegExp(`<${name}>([^]*?)</${name}>`).exec(html);
    const source = createHash("sha256").update(own).digest("base64");
    assert.ok(policy.includes(`${kind}-src 'sha256-${source}'`), kind);
  }
  for (const part of ["default-src 'none'", "worker-src blob:", "form-action 'none'"]) {
    assert.ok(policy.includes(part), part);
  }
  assert.ok(!/(src|href)="(?!#)/.test(html.replace(/<script[^]*?<\/script>/g, "")));
});
