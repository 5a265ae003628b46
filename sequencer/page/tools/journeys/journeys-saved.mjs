// Journeys of whoever saves a batch, and of whoever is given the file: it opens from disk, without
// anybody to ask.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { play } from "../../tests/played.mjs";
import { saveBatch } from "../../assets/saving.js";
import { serve } from "./played-server.mjs";
import * as support from "./support.mjs";

const { expectNoOverflow, inRepository, press, seen, text } = support;

export const title = "a saved batch, from disk";

const TEMPLATE = inRepository("sequencer/page/assets/saved.html");
const DOCS = inRepository("sequencer/page/docs/saved.md");

/** What the command of `docs/saved.md` says of a file. */
function saidOf(file) {
  const docs = readFileSync(DOCS, "utf8");
  const command = docs.split("\n").find((line) => line.startsWith("python3 -c"));
  assert.ok(command !== undefined, "docs/saved.md: expected a command");
  const filled = command.replace(/FILE$/, `'${file}'`);
  return execFileSync("bash", ["-c", filled], { encoding: "utf8" }).trim();
}

/** Of a saved page, the lines about the chain that do not say by whose word. */
async function unwarranted(page) {
  const lines = (await text(page, "body")).split("\n");
  const ofChain = /on the chain|the contract's event|contract emitted|from the node|read up to/i;
  const byWhom = /by the word of whoever|in this file|only the chain|a node of the chain/i;
  return lines.filter((line) => ofChain.test(line) && !byWhom.test(line));
}

/** A folder, and in it the first batch as it is saved. */
export async function begin() {
  const { folder, remove } = support.newFolder();
  const options = { fetch: play().fetch, hostname: "127.0.0.1" };
  const hash = readHash();
  const asked = { number: 1, hash, savedAt: Date.now() };
  const saved = JSON.parse((await saveBatch(asked, options, () => {})).text);
  return { folder, saved, stop: remove };
}

function readHash() {
  const table = JSON.parse(
    readFileSync(inRepository("l1-contracts/auditor/tests/data/tampers.json"), "utf8"),
  );
  return `0x${table.headers[0].settled[0].header_hash}`;
}

/** Opens a file that holds these data, from disk. */
const opened = (name, change, behind = "") => async ({ folder, saved }) => {
  const copy = structuredClone(saved);
  const data = change(copy) ?? JSON.stringify(copy).replaceAll("<", "\\u003c");
  const file = path.join(folder, `${name}.html`);
  writeFileSync(file, `${readFileSync(TEMPLATE, "utf8")}${data}\n${behind}`);
  return { url: pathToFileURL(file).href };
};

const unchanged = () => undefined;

function flipLastByte(copy) {
  const file = Buffer.from(copy.files[1], "base64");
  file[file.length - 1] ^= 1;
  copy.files[1] = file.toString("base64");
}

export const journeys = [
  {
    name: "a verified batch is saved as one file, which recomputes it without a network",
    open: () => serve(),
    at: "#/batch/1",
    mayAsk: ["file://"],
    async act(page, { world: { folder } }) {
      await press(page, "Verify here");
      await seen(page, "Verified under development keys: batch 1");
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        press(page, "Save as one file"),
      ]);
      await seen(page, /Saved as vitals-batch-1-[0-9a-f]{8}\.html/);
      const file = path.join(folder, download.suggestedFilename());
      await download.saveAs(file);
      const hashes = readFileSync(DOCS, "utf8").match(/^[0-9a-f]{64}/gm);
      assert.equal(saidOf(file), `${hashes.at(-1)} and data`);
      await page.context().setOffline(true);
      await page.goto(pathToFileURL(file).href);
      await seen(page, "Recomputed under development keys: batch 1 is what the header in this file");
      const body = await text(page, "body");
      for (const words of ["from a file: no chain is asked", "http://127.0.0.1:8545", "5 proofs"]) {
        assert.ok(body.includes(words), words);
      }
      assert.ok(!/\bverified\b/i.test(body));
    },
  },
  {
    name: "one byte of a saved file that is another is named as the auditor names it",
    open: opened("flipped", flipLastByte),
    async act(page) {
      await seen(page, "Broken: journal, hash after the groups");
      await press(page, "Check again");
      await seen(page, "Broken: journal, hash after the groups");
    },
  },
  {
    name: "a saved header that is another is broken before anything is shown of it",
    open: opened("header", ({ chains: [{ logs }] }) => {
      logs[0].data = logs[0].data.replace(/^0x(.{200})./, (_, before) => `0x${before}f`);
    }),
    async act(page) {
      await seen(page, /^Broken: header, /);
      assert.ok(!(await text(page, "body")).includes("Recomputed"));
    },
  },
  {
    name: "what stands behind the data is data, too: it shows nothing, runs nothing, leads nowhere",
    open: opened(
      "behind",
      unchanged,
      '</plaintext></script><h1>Verified</h1><meta http-equiv="refresh" content="0;url=about:blank">' +
        "<script>alert(1)</script>",
    ),
    async act(page, { server: { url } }) {
      await seen(page, /expected JSON in one piece/);
      assert.ok(!/verified/i.test(await text(page, "body")));
      assert.equal(page.url(), url);
      assert.match(saidOf(fileURLToPath(url)), /^[0-9a-f]{64} and NO DATA/);
    },
  },
  {
    name: "nodes that a file says agree are said by whose word they do, and nothing of it is green",
    open: opened("nodes", (copy) => {
      copy.chains.push(...Array(2).fill(copy.chains[0]));
      copy.nodes = ["https://one", "https://two", "https://three"];
    }),
    async act(page) {
      await seen(page, "Recomputed under development keys");
      await seen(page, /^https:\/\/three of the chain said the same, by the word of/);
      const own = await text(page, ".fingerprint");
      await page.getByLabel("Compare with the fingerprint").fill(own);
      await seen(page, /It is the same: this file is about the deployment/);
      assert.equal(await page.locator(".notice.good, .outcome.good, .good").count(), 0);
      assert.deepEqual(await unwarranted(page), []);
    },
  },
  {
    name: "a saved file that was cut off says so",
    open: opened("cut", (copy) => JSON.stringify(copy).slice(0, 5000)),
    async act(page) {
      await seen(page, "Nothing can be shown of this file");
      await seen(page, /the file may be cut off/);
    },
  },
  {
    name: "a saved file fits a phone, in the dark, and its fingerprint is compared",
    open: opened("phone", unchanged),
    viewport: support.PHONE,
    scheme: "dark",
    async act(page) {
      await seen(page, "Recomputed under development keys");
      await expectNoOverflow(page);
      await page.getByLabel("Compare with the fingerprint").fill("0".repeat(40));
      await seen(page, "It is another");
    },
  },
];
