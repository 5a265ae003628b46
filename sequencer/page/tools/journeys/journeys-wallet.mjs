// Journeys of a patient through the wallet's page, against a node, a base chain and a wallet that
// run: small circuits, windows of a second. One ward for all of them, in order: what one signs the
// next one finds.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import path from "node:path";
import { HEADER_WORDS } from "../../assets/statement/header.js";
import * as support from "./support.mjs";

const { copyFileSync, existsSync, readFileSync, readdirSync, renameSync, writeFileSync } = fs;
const { expectNoOverflow, inRepository, picture, program, seen, start, text } = support;

export const title = "a patient's page, behind which a wallet and a node run";

const SETTLE_MS = 60_000;
const HOSTILE = "morning round <img src=x onerror=alert(1)> \u202e";

/** The small proving keys that tests make; made in seconds where none ran before. */
const keys = () =>
  path.resolve(process.env.CARGO_TARGET_DIR ?? inRepository("target"), "tmp", "proving-keys");

/** A ward: a node with one patient, who permits everything to one doctor, who read it once. */
export async function begin() {
  const { folder, remove } = support.newFolder();
  const ward = { folder, inFolder: (name) => path.join(folder, name), stop: remove };
  try {
    await fill(ward);
    const { permitted, position } = await access(ward, HOSTILE);
    assert.equal(permitted, true);
    await audit(ward, position);
    return ward;
  } catch (error) {
    await ward.stop();
    throw error;
  }
}

/** Runs a program in the ward's folder to its end; a refusal is an answer, too. */
async function run({ folder }, name, line, more = []) {
  const { code, output } = await support.run(program(name), [...line.split(" "), ...more], {
    cwd: folder,
  });
  if (code > 1 || (code === 1 && name !== "vitals")) throw new Error(`${name} ${line}:\n${output}`);
  return output;
}

/** Makes a key in KIND.key; the part of it that is asked for. */
async function newKey(ward, kind, part) {
  const said = await run(ward, "vitals", `key new --kind ${kind} --out ${kind}.key`);
  const line = said.split("\n").find((line) => line.startsWith(part));
  return line.slice(part.length).trim();
}

/** Starts the node, lets everybody in, and enrols the patient. */
async function fill(ward) {
  await run(ward, "sequencer", "init");
  const registrar = await newKey(ward, "registrar", "key hash");
  configure(ward, {
    ingest: { listen: '"127.0.0.1:0"' },
    "ingest.limits": { connections_max: "16" },
    http: { listen: '"127.0.0.1:0"' },
    batch: {
      close_after_ms: "1000",
      // A window with nothing but a refusal in it is one in which nothing happens.
      idle_settle_after_ms: "2000",
      operations_shape: '"c1-test"',
      claims_shapes: '["c2-test", "c2-test-1"]',
    },
    prover: { keys: JSON.stringify(keys()), table_bytes_max: "0" },
    settle: { poll_ms: "100" },
  });
  await run(ward, "sequencer", `deploy --registrar ${registrar}`);
  const node = start(program("sequencer"), ["run"], { cwd: ward.folder });
  const remove = ward.stop;
  ward.stop = async () => {
    await node.stop();
    remove();
  };
  await node.line(/^ingest /);
  const places = JSON.parse(readFileSync(ward.inFolder("node/endpoints.json"), "utf8"));
  const at = `--node ${places.ingest}`;
  Object.assign(ward, { node, at, http: `http://${places.http}`, rpc: places.rpc });
  await run(ward, "sequencer", "org add st-anne");
  await run(ward, "sequencer", "identity issue ward-wallet --role wallet --out ward-wallet");
  await run(ward, "sequencer", "identity issue admissions --role operator --out admissions");
  const doctor = await newKey(ward, "practitioner", "public key");
  await run(
    ward,
    "sequencer",
    "identity issue dr-001 --role practitioner --organisation st-anne --out dr-001 --public-key",
    [doctor],
  );
  await run(ward, "vitals", "key new --out anna.key");
  await run(ward, "vitals", "key new --out other.key");
  await run(
    ward,
    "vitals",
    `consent enrol --registrar-key registrar.key --patient-key anna.key --index 7 ${at} ` +
      "--identity admissions --yes",
  );
  await run(
    ward,
    "vitals",
    `consent permit --patient-key anna.key ${at} --identity ward-wallet --actor ` +
      "practitioner:dr-001 --categories all --purposes treatment --for 24h --yes " +
      "--receipts anna.key.receipts",
  );
  copied("anna.key.record", "before.record")(ward);
}

/** Sets values in the node's configuration, whose sections are tables of one level. */
function configure({ inFolder }, sections) {
  const file = inFolder("node/node.toml");
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

/** Dr 001 asks for everything, or for less. */
async function access(ward, reason, categories = "all") {
  const line =
    `access ${ward.at} --identity dr-001 --key practitioner.key --organisation st-anne ` +
    `--patient 7 --categories ${categories} --purpose treatment ` +
    "--data-from 2020-01-01 --data-until 2100-01-01 --json";
  return JSON.parse(await run(ward, "vitals", line, ["--reason", reason]));
}

/** Waits until what is journaled at a position is settled, and has an auditor save the headers. */
async function audit(ward, position) {
  const { http, rpc, inFolder } = ward;
  const until = Date.now() + SETTLE_MS;
  for (;;) {
    await run(
      ward,
      "auditor",
      `verify --rpc ${rpc} --deployment node/deployment.json --data ${http} --save-headers ` +
        "headers.json",
    );
    const { headers } = JSON.parse(readFileSync(inFolder("headers.json"), "utf8"));
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

/** The wallet's page; its server is asked for at once without its link, which opens it once. */
const served =
  ({ key = "anna.key", more = "", before = () => {} } = {}) =>
  async (ward) => {
    before(ward);
    const line =
      `--json wallet --key ${key} --identity ward-wallet --http ${ward.http} ` +
      `--headers headers.json --know organisation:st-anne${more}`;
    const wallet = start(program("vitals"), line.split(" "), { cwd: ward.folder });
    const [, link] = await wallet.line(/"url":"([^"]+)"/);
    return { url: new URL("/", link).href, link, wallet, close: () => wallet.stop() };
  };

/** Opens the link as somebody who pastes it into a window. */
async function openLink(page, { link }) {
  await page.goto("about:blank");
  await page.goto(link);
}

const click = async (page, name) => await page.getByRole("button", { name }).first().click();

/** Goes by the keyboard to the control of these words, and presses it. */
async function tabTo(page, words) {
  for (let tries = 0; tries < 60; tries++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(
      () => document.activeElement.ariaLabel ?? document.activeElement.innerText,
    );
    if (focused?.startsWith(words)) return await page.keyboard.press("Enter");
  }
  return assert.fail(`${words} is not reached`);
}

/** Has a file of the ward stand at another name before a journey. */
const moved = (from, to) => (ward) => renameSync(ward.inFolder(from), ward.inFolder(to));
const copied = (from, to) => (ward) => copyFileSync(ward.inFolder(from), ward.inFolder(to));

export const journeys = [
  {
    name: "the log opens by its link, and is the log of the command line",
    open: served(),
    async act(page, { server, world }) {
      await openLink(page, server);
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
        `log --json --patient-key anna.key --identity ward-wallet --data ${world.http} ` +
        "--headers headers.json --receipts anna.key.receipts --know organisation:st-anne";
      assert.equal(saved, (await run(world, "vitals", line)).trimEnd());
    },
  },
  {
    name: "a rule is taken back, and the next access is refused and shown",
    open: served(),
    async act(page, { server, world }) {
      await openLink(page, server);
      await seen(page, "Nothing is missing");
      const before = readdirSync(world.inFolder("anna.key.receipts")).length;
      await tabTo(page, "Take back: practitioner dr-001");
      await seen(page, "This would be signed");
      await seen(page, /^ends permit:0 as soon as the node has it: it no longer permits/);
      await picture(page, "wallet-preview");
      await tabTo(page, "Sign and send");
      await seen(page, "It holds");
      await seen(page, /by a verified receipt of group/);
      // The signed operation and its receipt.
      assert.equal(readdirSync(world.inFolder("anna.key.receipts")).length, before + 2);
      assert.equal(existsSync(world.inFolder("anna.key.pending")), false);
      await seen(page, /no rule is live, and nobody may see/);
      const { permitted, position } = await access(world, "evening round");
      assert.equal(permitted, false);
      await audit(world, position);
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
    open: served(),
    scheme: "dark",
    viewport: support.PHONE,
    async act(page, { server, world }) {
      await openLink(page, server);
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
      const { permitted, position } = await access(world, "", "heart-rate");
      assert.equal(permitted, true);
      await audit(world, position);
    },
  },
  {
    name: "a link opens the page once, and no other window has it",
    open: served(),
    async act(page, { server }) {
      await openLink(page, server);
      await seen(page, "Nothing is missing");
      await page.reload();
      await seen(page, "Nothing is missing");
      const second = await page.context().newPage();
      await second.goto(server.link);
      await seen(second, "This link was used already");
      const third = await page.context().newPage();
      await third.goto(server.url);
      await seen(third, "This page needs the link of a wallet");
      assert.equal(await text(third, "#rules"), "");
    },
    expects: [/403/],
  },
  {
    name: "without headers of the chain nothing is called checked",
    open: served({ before: moved("headers.json", "headers.away") }),
    async act(page, { server, world }) {
      await openLink(page, server);
      await seen(page, "There are no saved headers");
      assert.equal(await text(page, "#reads"), "");
      moved("headers.away", "headers.json")(world);
      await click(page, "Try again");
      await seen(page, "Nothing is missing");
    },
  },
  {
    name: "a key of somebody else opens nothing, and says so",
    open: served({ key: "other.key", more: " --patient 7" }),
    async act(page, { server, world }) {
      await openLink(page, server);
      await seen(page, /nothing that this key opens/);
      const urgent = await text(page, "#urgent");
      assert.match(urgent, /Not known: this key opens nothing/);
      assert.doesNotMatch(urgent, /Nobody/);
      copied("anna.key.record", "other.key.record")(world);
      await click(page, "Read it again");
      await seen(page, "This is the key of another record");
      assert.equal(await text(page, "#rules"), "");
      assert.equal(await text(page, "#sign"), "");
    },
  },
  {
    name: "a copy that lacks what was signed elsewhere is told, and made anew",
    open: served({ before: copied("before.record", "anna.key.record") }),
    async act(page, { server, world }) {
      await openLink(page, server);
      await seen(page, /this wallet lacks \d+ operations? of it/);
      await seen(page, "Rules, as this wallet knew them");
      assert.equal(await text(page, "#sign"), "");
      await click(page, "Make the copy anew from the log");
      await seen(page, "Nothing is missing");
      await seen(page, "Rules live now");
    },
  },
  {
    name: "a lost copy is made anew from the log",
    open: served({ key: "lost.key", more: " --patient 7", before: copied("anna.key", "lost.key") }),
    async act(page, { server, world }) {
      await openLink(page, server);
      await seen(page, "The wallet's copy of the record is not there");
      await click(page, "Make it anew from the log");
      await page.locator("#rules h2").waitFor();
      assert.ok(existsSync(world.inFolder("lost.key.record")));
    },
  },
  {
    name: "a node that is away is said to be away, and nothing is signed on",
    open: served(),
    async act(page, { server, world }) {
      await openLink(page, server);
      await seen(page, "Nothing is missing");
      await world.node.stop();
      await click(page, "Stop everything ...");
      await seen(page, "This cannot be undone.");
      await click(page, "Sign and send");
      await seen(page, "The node is away");
      assert.equal(existsSync(world.inFolder("anna.key.pending")), false);
      await seen(page, /^practitioner dr-001 may see my heart rate/);
      await click(page, "Read it again");
      await seen(page, "The batch files are away");
      assert.equal(await text(page, "#reads"), "");
    },
  },
  {
    name: "a page that is closed forgets everything, and its wallet ends",
    open: served(),
    async act(page, { server }) {
      await openLink(page, server);
      await seen(page, "The batch files are away");
      await click(page, "Close wallet");
      await seen(page, "The wallet has ended");
      assert.equal(await server.wallet.ended, 0);
      assert.equal(await text(page, "#rules"), "");
    },
  },
];
