// A patient's journeys through the wallet's page in a real browser, against a node, a base chain
// and a wallet that run: the programs as they are built, small circuits, windows of a second.
// Whatever the browser complains of fails the journey that did not expect it.
//
//   npm ci --ignore-scripts && node journeys-wallet.mjs [--programs FOLDER] [--pictures FOLDER]
//
// Needs Debian's chromium (or the path of another one in CHROMIUM) and the programs `sequencer`,
// `vitals` and `auditor` in one folder, by default `target/release` of this checkout.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { chromium } from "playwright-core";
import { HEADER_WORDS } from "../assets/statement/header.js";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
const { values } = parseArgs({
  options: { programs: { type: "string" }, pictures: { type: "string" } },
});
const programs = path.resolve(values.programs ?? path.join(target, "release"));
// Those that the tests made, if they ran before; made in seconds else.
const keys = path.resolve(target, "tmp", "proving-keys");
const WAIT_MS = 30_000;
const SETTLE_MS = 60_000;
const DESK = { width: 1180, height: 860 };
const PHONE = { width: 390, height: 844 };
const HOSTILE = "morning round <img src=x onerror=alert(1)> \u202e";

const folder = mkdtempSync(path.join(tmpdir(), "vitals-journeys-"));
const running = [];

/** Runs a program to its end; what it prints. */
async function run(program, line, more = []) {
  const words = [...line.split(" "), ...more];
  const options = { cwd: folder, maxBuffer: 1 << 26 };
  try {
    const { stdout } = await promisify(execFile)(path.join(programs, program), words, options);
    return stdout;
  } catch (error) {
    // A refusal is an answer, too.
    if (error.code === 1 && program === "vitals") return error.stdout;
    throw error;
  }
}

/** Starts a program that goes on, and reads its first lines until one fits. */
async function start(program, line, fits) {
  const child = spawn(path.join(programs, program), line.split(" "), {
    cwd: folder,
    stdio: ["ignore", "pipe", "ignore"],
  });
  running.push(child);
  const ended = new Promise((end) => child.once("exit", end));
  for await (const said of createInterface({ input: child.stdout })) {
    const found = fits(said);
    // The rest is read, or a full pipe would hold it up.
    child.stdout.resume();
    if (found !== undefined) return { found, child, ended };
  }
  throw new Error(`${program} ended before it said where it is`);
}

/** The value behind a word of what a program printed. */
function valueOf(text, name) {
  return text.split("\n").find((line) => line.startsWith(name)).slice(name.length).trim();
}

/** A node of a ward with one patient, who permits everything to one doctor. */
async function ward() {
  await run("sequencer", "init");
  const registrar = valueOf(await run("vitals", "key new --kind registrar --out registrar.key"), "key hash");
  configure({
    ingest: { listen: '"127.0.0.1:0"' },
    "ingest.limits": { connections_max: "16" },
    http: { listen: '"127.0.0.1:0"' },
    batch: {
      close_after_ms: "1000",
      operations_shape: '"c1-test"',
      claims_shapes: '["c2-test", "c2-test-1"]',
    },
    prover: { keys: JSON.stringify(keys), table_bytes_max: "0" },
    settle: { poll_ms: "100" },
  });
  await run("sequencer", `deploy --registrar ${registrar}`);
  const node = await start("sequencer", "run", (line) => (/^ingest /.test(line) ? line : undefined));
  const places = JSON.parse(readFileSync(path.join(folder, "node/endpoints.json"), "utf8"));
  const http = `http://${places.http}`;
  await run("sequencer", "org add st-anne");
  await run("sequencer", "identity issue ward-wallet --role wallet --out ward-wallet");
  await run("sequencer", "identity issue admissions --role operator --out admissions");
  const doctor = valueOf(await run("vitals", "key new --kind practitioner --out dr-001.key"), "public key");
  await run(
    "sequencer",
    "identity issue dr-001 --role practitioner --organisation st-anne --out dr-001 --public-key",
    [doctor],
  );
  await run("vitals", "key new --out anna.key");
  await run("vitals", "key new --out other.key");
  const at = `--node ${places.ingest}`;
  await run(
    "vitals",
    `consent enrol --registrar-key registrar.key --patient-key anna.key --index 7 ${at} ` +
      "--identity admissions --yes",
  );
  await run(
    "vitals",
    `consent permit --patient-key anna.key ${at} --identity ward-wallet --actor ` +
      "practitioner:dr-001 --categories all --purposes treatment --for 24h --yes " +
      "--receipts anna.key.receipts",
  );
  return { node, at, http, rpc: places.rpc };
}

/** Sets values in the node's configuration, whose sections are tables of one level. */
function configure(sections) {
  const file = path.join(folder, "node/node.toml");
  const lines = readFileSync(file, "utf8").split("\n");
  for (const [section, settings] of Object.entries(sections)) {
    const begin = lines.indexOf(`[${section}]`);
    assert.ok(begin >= 0, section);
    for (const [name, value] of Object.entries(settings)) {
      const rest = lines.slice(begin + 1).findIndex((line) => line.startsWith("["));
      const end = rest < 0 ? lines.length : begin + 1 + rest;
      const isOwn = (line, n) => n > begin && n < end && line.startsWith(`${name} = `);
      const own = lines.findIndex(isOwn);
      const set = `${name} = ${value}`;
      if (own < 0) lines.splice(begin + 1, 0, set);
      else lines.splice(own, listEnd(lines, own) - own, set);
    }
  }
  writeFileSync(file, lines.join("\n"));
}

/** The line behind a setting, which may be a list over several. */
function listEnd(lines, own) {
  if (!lines[own].endsWith("[")) return own + 1;
  return lines.findIndex((line, n) => n > own && line === "]") + 1;
}

/** Dr 001 asks for everything. */
async function access({ at }, reason) {
  const line =
    `access ${at} --identity dr-001 --key dr-001.key --organisation st-anne --patient 7 ` +
    "--categories all --purpose treatment --data-from 2020-01-01 --data-until 2100-01-01 --json";
  return JSON.parse(await run("vitals", line, ["--reason", reason]));
}

/** Waits until what is journaled at a position is settled, and has an auditor save the headers. */
async function audit({ http, rpc }, position) {
  const until = Date.now() + SETTLE_MS;
  for (;;) {
    await run(
      "auditor",
      `verify --rpc ${rpc} --deployment node/deployment.json --data ${http} --save-headers ` +
        "headers.json",
    );
    const { headers } = JSON.parse(readFileSync(path.join(folder, "headers.json"), "utf8"));
    if (headers.some(({ words }) => positionOf(words) >= position)) return;
    assert.ok(Date.now() < until, `position ${position} is not settled`);
    await new Promise((go) => setTimeout(go, 200));
  }
}

/** The journal position of a header in hex. */
function positionOf(words) {
  const at = HEADER_WORDS.findIndex(({ field }) => field === "journalPosition");
  return Number(`0x${words.slice(64 * at, 64 * (at + 1))}`);
}

async function startWallet({ http }, { key, more = "" }) {
  const line =
    `--json wallet --key ${key} --identity ward-wallet --http ${http} --headers headers.json ` +
    `--know organisation:st-anne${more}`;
  const fits = (said) => JSON.parse(said).url;
  const { found, child, ended } = await start("vitals", line, fits);
  return { url: found, child, ended };
}

const seen = async (page, words) => await page.getByText(words).first().waitFor();
const text = async (page, selector = "main") => await page.innerText(selector);
const click = async (page, name) => await page.getByRole("button", { name }).first().click();
const inFolder = (name) => path.join(folder, name);

async function picture(page, name) {
  if (values.pictures === undefined) return;
  mkdirSync(values.pictures, { recursive: true });
  await page.screenshot({ path: path.join(values.pictures, `${name}.png`), fullPage: false });
}

async function expectNoOverflow(page) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= page.viewportSize().width, `the page is ${width} pixels wide`);
}

/** Goes by the keyboard to the control of these words, and presses it. */
async function press(page, words) {
  for (let tries = 0; tries < 60; tries++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(
      () => document.activeElement.ariaLabel ?? document.activeElement.innerText,
    );
    if (focused?.startsWith(words)) return await page.keyboard.press("Enter");
  }
  return assert.fail(`${words} is not reached`);
}

/** Name, what the wallet is started with, what is done; `expects` are complaints that must come. */
const JOURNEYS = [
  {
    name: "the log opens by its link, and is the log of the command line",
    async act(page, { node }) {
      await seen(page, "Nothing is missing");
      await seen(page, "all are included, and none is missing");
      assert.equal(await page.evaluate(() => location.href.includes("token")), false);
      const reads = await text(page, "#reads");
      for (const words of ["practitioner dr-001", "organisation st-anne", "under permit:0"]) {
        assert.ok(reads.includes(words), reads);
      }
      assert.ok(reads.includes('"morning round <img src=x onerror=alert(1)> \\u{202e}"'), reads);
      assert.equal(await page.locator("img").count(), 0);
      const rule = "practitioner dr-001 may see everything for treatment, if labelled normal, until";
      assert.match(await text(page, "#rules"), new RegExp(`1 rule live now.*${rule} tomorrow`, "s"));
      await seen(page, "By this wallet's copy of the record");
      const coming = page.waitForEvent("download");
      await click(page, "Save as JSON");
      const saved = readFileSync(await (await coming).path(), "utf8");
      const line =
        `log --json --patient-key anna.key --identity ward-wallet --data ${node.http} ` +
        "--headers headers.json --receipts anna.key.receipts --know organisation:st-anne";
      assert.equal(saved, (await run("vitals", line)).trimEnd());
    },
  },
  {
    name: "a rule is taken back, and the next access is refused and shown",
    async act(page, { node }) {
      await seen(page, "Nothing is missing");
      const before = readdirSync(inFolder("anna.key.receipts")).length;
      await press(page, "Take back: practitioner dr-001");
      await seen(page, "This would be signed");
      await seen(page, /^ends permit:0 as soon as the node has it: it no longer permits/);
      await picture(page, "wallet-preview");
      await press(page, "Sign and send");
      await seen(page, "It holds");
      await seen(page, /by a verified receipt of group/);
      // The signed operation and its receipt.
      assert.equal(readdirSync(inFolder("anna.key.receipts")).length, before + 2);
      assert.equal(existsSync(inFolder("anna.key.pending")), false);
      await seen(page, /no rule is live, and nobody may see/);
      const { permitted, position } = await access(node, "evening round");
      assert.equal(permitted, false);
      await audit(node, position);
      await click(page, "Read it again");
      await page.locator("#urgent tbody tr").first().waitFor();
      const urgent = await text(page, "#urgent");
      assert.match(urgent, /dr-001\s+was refused\s+.*the rule has ended \(C2\.6\)/s);
      await seen(page, "Nothing is missing");
      await click(page, "Dismiss");
      await picture(page, "wallet");
    },
  },
  {
    name: "a rule is written in a form, shown by the wallet, signed, and holds",
    scheme: "dark",
    viewport: PHONE,
    async act(page, { node }) {
      await seen(page, "A new rule");
      await click(page, "Show what would be signed");
      await seen(page, "Say whom the rule is about.");
      await page.getByLabel("Name").fill("Dr X");
      await page.getByLabel("heart rate").check();
      await click(page, "Show what would be signed");
      await seen(page, "This cannot be done as it is written");
      await page.getByLabel("Name").fill("dr-001");
      await click(page, "Show what would be signed");
      await seen(page, /^writes permit:1: permits practitioner dr-001 to read heart-rate/);
      await seen(page, /^now: +no, practitioner dr-001 could not read heart-rate/);
      await seen(page, /^after it: +yes, practitioner dr-001 could read heart-rate/);
      await expectNoOverflow(page);
      await click(page, "Do not sign");
      assert.match(await text(page, "#rules"), /no rule is live/);
      await click(page, "Show what would be signed");
      await click(page, "Sign and send");
      await seen(page, "It holds");
      await seen(page, /^practitioner dr-001 may see my heart rate for treatment/);
      await expectNoOverflow(page);
      await picture(page, "wallet-phone");
      const { permitted, position } = await access(node, "");
      assert.equal(permitted, false, "of everything");
      await audit(node, position);
    },
  },
  {
    name: "a link opens the page once, and no other window has it",
    async act(page, { url, context }) {
      await seen(page, "Nothing is missing");
      await page.reload();
      await seen(page, "Nothing is missing");
      const second = await context.newPage();
      await second.goto(url);
      await seen(second, "This link was used already");
      const third = await context.newPage();
      await third.goto(new URL("/", url).href);
      await seen(third, "This page needs the link of a wallet");
      assert.equal(await text(third, "#rules"), "");
    },
    expects: [/403/],
  },
  {
    name: "without headers of the chain nothing is called checked",
    async act(page) {
      await seen(page, "There are no saved headers");
      assert.equal(await text(page, "#reads"), "");
      renameSync(inFolder("headers.away"), inFolder("headers.json"));
      await click(page, "Try again");
      await seen(page, "Nothing is missing");
    },
    before: () => renameSync(inFolder("headers.json"), inFolder("headers.away")),
  },
  {
    name: "a key of somebody else opens nothing, and says so",
    key: "other.key",
    more: " --patient 7",
    async act(page) {
      await seen(page, /nothing that this key opens/);
      const urgent = await text(page, "#urgent");
      assert.match(urgent, /Not known: this key opens nothing/);
      assert.doesNotMatch(urgent, /Nobody/);
      copyFileSync(inFolder("anna.key.record"), inFolder("other.key.record"));
      await click(page, "Read it again");
      await seen(page, "This is the key of another record");
      assert.equal(await text(page, "#rules"), "");
      assert.equal(await text(page, "#sign"), "");
    },
  },
  {
    name: "a copy that lacks what was signed elsewhere is told, and made anew",
    async act(page) {
      await seen(page, /this wallet lacks \d+ operations? of it/);
      await seen(page, "Rules, as this wallet knew them");
      assert.equal(await text(page, "#sign"), "");
      await click(page, "Make the copy anew from the log");
      await seen(page, "Nothing is missing");
      await seen(page, "Rules live now");
    },
    before: () => copyFileSync(inFolder("before.record"), inFolder("anna.key.record")),
  },
  {
    name: "a lost copy is made anew from the log",
    key: "lost.key",
    more: " --patient 7",
    async act(page) {
      await seen(page, "The wallet's copy of the record is not there");
      await click(page, "Make it anew from the log");
      await page.locator("#rules h2").waitFor();
      assert.ok(existsSync(inFolder("lost.key.record")));
    },
    before: () => copyFileSync(inFolder("anna.key"), inFolder("lost.key")),
  },
  {
    name: "a node that is away is said to be away, and nothing is signed on",
    async act(page, { node }) {
      await seen(page, "Nothing is missing");
      node.node.child.kill();
      await node.node.ended;
      await click(page, "Stop everything ...");
      await seen(page, "This cannot be undone.");
      await click(page, "Sign and send");
      await seen(page, "The node is away");
      assert.equal(existsSync(inFolder("anna.key.pending")), false);
      await seen(page, /^practitioner dr-001 may see my heart rate/);
      await click(page, "Read it again");
      await seen(page, "The batch files are away");
      assert.equal(await text(page, "#reads"), "");
    },
  },
  {
    name: "a page that is closed forgets everything, and its wallet ends",
    async act(page, { wallet }) {
      await seen(page, "The batch files are away");
      await click(page, "Close wallet");
      await seen(page, "The wallet has ended");
      assert.equal(await wallet.ended, 0);
      assert.equal(await text(page, "#rules"), "");
    },
  },
];

/** A browser's window with everything that it complains of. */
async function openWindow(browser, { viewport = DESK, scheme = "light" }) {
  const context = await browser.newContext({ viewport, colorScheme: scheme });
  context.setDefaultTimeout(WAIT_MS);
  const complaints = [];
  context.on("page", (page) => {
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("dialog", (dialog) => complaints.push(`a dialog: ${dialog.message()}`));
  });
  return { context, complaints };
}

async function travel(browser, node, journey) {
  const { more, key = "anna.key", expects = [] } = journey;
  journey.before?.();
  const wallet = await startWallet(node, { more, key });
  const { context, complaints } = await openWindow(browser, journey);
  const { origin } = new URL(wallet.url);
  context.on("request", (request) => {
    const isOwn = request.url().startsWith(origin) || request.url().startsWith(`blob:${origin}`);
    if (!isOwn) complaints.push(`asked ${request.url()}`);
  });
  try {
    const page = await context.newPage();
    await page.goto(wallet.url);
    await journey.act(page, { node, wallet, url: wallet.url, context });
    const unexpected = complaints.filter((words) => !expects.some((one) => one.test(words)));
    assert.deepEqual(unexpected, []);
    const missing = expects.filter((one) => !complaints.some((words) => one.test(words)));
    assert.deepEqual(missing, []);
  } finally {
    await context.close();
    wallet.child.kill();
    await wallet.ended;
  }
}

const candidates = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"];
const executablePath = candidates.find((candidate) => candidate && existsSync(candidate));
if (executablePath === undefined) {
  console.error("journeys: expected chromium (apt-get install chromium), or its path in CHROMIUM");
  process.exit(2);
}
// As root the browser has no sandbox of its own; it opens nothing but the page served here.
const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
const browser = await chromium.launch({ executablePath, args });
let begin = performance.now();
const took = () => `${Math.round(performance.now() - begin)} ms`;
try {
  const node = await ward();
  copyFileSync(inFolder("anna.key.record"), inFolder("before.record"));
  const { permitted, position } = await access(node, HOSTILE);
  assert.equal(permitted, true);
  await audit(node, position);
  console.log(`a ward with a settled access (${took()})`);
  for (const journey of JOURNEYS) {
    begin = performance.now();
    try {
      await travel(browser, node, journey);
      console.log(`ok: ${journey.name} (${took()})`);
    } catch (error) {
      console.error(`FAILED: ${journey.name}\n${error.stack}`);
      process.exitCode = 1;
    }
  }
} finally {
  await browser.close();
  for (const child of running) child.kill();
  rmSync(folder, { recursive: true, force: true });
}
