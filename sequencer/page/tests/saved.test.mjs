// A batch that is saved and opened again without anybody to ask: it comes to the same, and what is
// done to the file shows.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { saveBatch } from "../assets/saving.js";
import { Session } from "../assets/session.js";
import { callData } from "../assets/statement/abi.js";
import { concat, toBytes, toHex, utf8 } from "../assets/statement/bytes.js";
import { HEADER_WORDS, decodeHeader, encodeHeader, headerHash } from "../assets/statement/header.js";
import { EMPTY_ROOT, genesisHash, journalGenesis } from "../assets/statement/scope.js";
import * as text from "../assets/text.js";
import { frozenFetch, readSaved } from "../saved/frozen.js";
import * as words from "../saved/words.js";
import { deployment, play, table, tell, world } from "./played.mjs";
import { failure, fromHex, readJson } from "./support.mjs";

const contract = JSON.stringify(readJson("l1-contracts/artifacts/Settlement.json"));
const here = { hostname: "127.0.0.1", wait: async () => {} };
const savedAt = 1_790_000_000_000;

/** The header hash of a batch, as the page shows it. */
async function hashOf(number, options) {
  const session = new Session({ fetch: play(options).fetch, ...here });
  const { rows } = await session.open(tell);
  return rows[number - 1].hash;
}

/** The data of a page of a batch that was saved. */
async function save(number, options) {
  const { fetch } = play(options);
  const asked = { number, hash: await hashOf(number), savedAt };
  return (await saveBatch(asked, { fetch, ...here }, tell)).text;
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
  // Whoever is not there when it is saved is not there in the file, whatever it said instead.
  const busy = (at) => (at === "/batches" ? Response.json({}, { status: 404 }) : undefined);
  const { overview } = await open(await save(2, { change: busy }));
  assert.match(overview.node.fault, /expected status 200, found 404/);
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

test("a file before it that is too large is left out, and one of its own is refused", async () => {
  const limited = async (filesBytesMax) => {
    const options = { fetch: play().fetch, filesBytesMax, ...here };
    return await saveBatch({ number: 2, hash: await hashOf(2), savedAt }, options, tell);
  };
  const { text: saved, isAlone } = await limited(world[1].length + world[0].length - 1);
  const { session } = await open(saved);
  assert.deepEqual([isAlone, (await session.verify(2, tell)).unlinked.number], [true, 1]);
  assert.match(text.savedAs({ name: "x", length: 1, isAlone }), /checked, and not linked/);
  assert.equal((await limited(world[1].length + world[0].length)).isAlone, false);
  const refused = await failure(() => limited(world[1].length - 1));
  assert.deepEqual([refused.name, refused.kind], ["SavedError", "too-large"]);
  const options = { fetch: play().fetch, answersCharsMax: 1000, ...here };
  const asked = { number: 2, hash: await hashOf(2), savedAt };
  const long = await failure(() => saveBatch(asked, options, tell));
  assert.deepEqual([long.name, long.kind], ["SavedError", "too-large"]);
  assert.match(long.message, /answers of the chain of at most 1000 characters, found more/);
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
  const { session, overview: read } = await open(await save(2, { chains: 2 }));
  const overview = { ...read, settledCount: 3, nodes: ["https://one", "https://two"] };
  const report = await session.verify(2, tell);
  const of = { trust: "saved", peers: [] };
  for (const devInsecure of [true, false]) {
    const check = { report: { ...report, devInsecure }, compared: [] };
    const { kind, title } = text.titleOf(check, of);
    assert.equal(kind, devInsecure ? "warn" : "");
    assert.match(title, /^Recomputed.*what the header in this file says$/);
    const shown = [title, ...text.trusted(check.report, overview, []), text.trustOf("saved").badge];
    assert.ok(!shown.join().toLowerCase().includes("verified"));
  }
  const [second] = report.compared;
  const compared = text.comparedOf(second, overview);
  assert.deepEqual([second.outcome, compared.kind], ["agrees", ""]);
  assert.match(compared.words, /^https:\/\/two of the chain said the same, by the word of/);
  const told = text.compareTold(overview.fingerprint, overview.fingerprint, "saved");
  assert.equal(told.kind, "");
  assert.match(told.words, /the fingerprint does not say, and no file can/);
});

/** What only a chain can say, and what makes a sentence about it the saver's. */
const OF_CHAIN = /(on|of) the chain|the contract's|the contract emitted|from the node|final/i;
const BY_WHOM = /by the word of whoever|in this file|only the chain|a node of the chain|it is no/i;

test("each sentence about the chain says by whose word it is", async () => {
  const { session, overview: read } = await open(await save(2, { chains: 2 }));
  const overview = { ...read, settledCount: 3, nodes: ["https://one", "https://two"] };
  const report = await session.verify(2, tell);
  const detail = await session.detail(2);
  const outcomes = ["agrees", "differs", "away"];
  const sentences = [
    text.agreement(overview),
    text.wordsCaption("saved"),
    text.chainTitle("saved"),
    text.fileTitle(false, "saved"),
    text.compareTold(overview.fingerprint, overview.fingerprint, "saved").words,
    ...["final", "mined"].map((state) => text.stateOf(state, "saved").join(": ")),
    ...text.checkedAgainst(report, overview).map((pair) => pair.join(": ")),
    ...outcomes.map((outcome) => text.comparedOf({ chain: 2, outcome, why: "x" }, overview).words),
    ...["ChainError", "NodeError"].map((name) => text.advice({ name }, "saved")),
  ];
  for (const sentence of sentences.filter((one) => OF_CHAIN.test(one))) {
    assert.match(sentence, BY_WHOM);
  }
  assert.ok(sentences.some((one) => OF_CHAIN.test(one)));
  const nodes = ["http://127.0.0.1:8545"];
  const said = words.explain({ saved: { savedAt, nodes }, overview, detail }).join(" ");
  for (const part of [nodes[0], detail.blockHash, "3 headers", "21 Sep", "can be made up"]) {
    assert.ok(said.includes(part), part);
  }
  const [[, all], [, one]] = words.checkAgain({ overview, detail });
  assert.ok(all.includes(`--fingerprint ${overview.fingerprint}`));
  assert.ok(one.includes(detail.transaction));
});

test("a batch that never settled is made up under the right fingerprint, and the words say so", async () => {
  const saved = JSON.parse(await save(1));
  const { header, lateness } = emptyBatch();
  const hash = headerHash(header);
  const [chain] = saved.chains;
  const [log] = chain.logs;
  log.topics[2] = toHex(hash);
  log.data = toHex(concat([encodeHeader(header), toBytes(lateness, 32)]));
  chain.logs = [log];
  const stored = new Map([
    ["number()", toBytes(1n, 32)],
    ["root()", toBytes(EMPTY_ROOT, 32)],
    ["headHash()", hash],
    ["lastT1()", toBytes(header.t1, 32)],
    ["journalPosition()", toBytes(0n, 32)],
    ["latenessMax()", toBytes(lateness, 32)],
  ]);
  for (const [signature, word] of stored) {
    const answer = chain.answers.find(([key]) => key.includes(callData(signature)));
    answer[1].result = toHex(word);
  }
  const lists = new Uint8Array(16);
  const bytes = concat([utf8("VTLBPUB"), new Uint8Array([2]), encodeHeader(header), lists]);
  saved.files = { 1: Buffer.from(bytes).toString("base64") };
  const { session, overview } = await open(JSON.stringify(saved));
  assert.equal(overview.fingerprint, deployment().fingerprint);
  const report = await session.verify(1, tell);
  assert.deepEqual([report.proofs, report.unlinked, report.hash], [0, undefined, toHex(hash)]);
  const docs = readFileSync(new URL("../docs/saved.md", import.meta.url), "utf8");
  assert.match(docs.replace(/\s+/g, " "), /made up, \*also under the right fingerprint\*/);
});

/** A first batch in which nothing happened, in the window of the one that there is. */
function emptyBatch() {
  const [{ header: hex, lateness_ms: lateness }] = table.headers[0].settled;
  const real = decodeHeader(fromHex(hex));
  const zero = new Uint8Array(32);
  const blank = ({ field, type }) => [field, type === "raw" ? zero : 0n];
  const { chain_id: id, settlement, genesis_time: time } = deployment();
  const scope = { chainId: BigInt(id), contract: fromHex(settlement, 20) };
  const { version, number, keyVersion, previous, t0, t1 } = real;
  const kept = { version, number, keyVersion, previous, t0, t1 };
  const roots = { rootIn: EMPTY_ROOT, rootOut: EMPTY_ROOT, journalHash: journalGenesis(scope) };
  assert.equal(toHex(previous), toHex(genesisHash(scope, BigInt(time))));
  const header = { ...Object.fromEntries(HEADER_WORDS.map(blank)), ...kept, ...roots };
  return { header, lateness };
}

test("the page for saved batches is the one whose hash is published, and its policy its own", () => {
  const read = (name) => readFileSync(new URL(name, import.meta.url));
  const page = read("../assets/saved.html");
  const hash = createHash("sha256").update(page).digest("hex");
  const version = /^version = "([0-9.]+)"$/m.exec(read("../../../Cargo.toml"))[1];
  const lines = read("../docs/saved.md").toString().match(/^[0-9a-f]{64} {2}saved\.html of .*$/gm);
  // Those of before stay: files that were saved with them stay, too.
  assert.ok(lines.at(-1).startsWith(`${hash}  saved.html of ${version}`), `expected ${hash}`);
  assert.ok(lines.slice(0, -1).every((line) => !line.includes("not released")));
  assert.ok(read("../assets/download.js").includes(`"${hash}"`));
  const html = page.toString();
  const marker = '<plaintext id="saved" hidden>\n';
  assert.ok(html.endsWith(marker) && html.split(marker).length === 2);
  assert.ok(html.includes(`Page for saved batches, release ${version}.`));
  const policy = /content="(default-src [^"]+)"/.exec(html)[1];
  for (const name of ["script", "style"]) {
    const [, own] = new RegExp(`<${name}>([^]*?)</${name}>`).exec(html);
    const source = createHash("sha256").update(own).digest("base64");
    assert.ok(policy.includes(`${name}-src 'sha256-${source}'`), name);
  }
  const expected =
    "default-src 'none'; script-src 'sha256-'; style-src 'sha256-'; worker-src blob:; " +
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types vitals";
  assert.equal(policy.replace(/sha256-[^']+/g, "sha256-"), expected);
  assert.ok(!/(src|href)="(?!#)/.test(html.replace(/<script[^]*?<\/script>/g, "")));
});
