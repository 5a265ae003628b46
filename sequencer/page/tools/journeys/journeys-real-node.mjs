// The main journeys of an auditor against a real node: `sequencer demo --keep` has played its day,
// and `auditor serve` serves the page over its chain and its files. What goes wrong does so between
// them: a proxy before the chain or the files is away, lies, or changes a byte.
//
// The demo's keys are development keys, which anybody can forge proofs under: nothing is green, and
// a batch that checks out is *verified under development keys*.

import assert from "node:assert/strict";
import path from "node:path";
import { pathToFileURL } from "node:url";
import * as support from "./support.mjs";

const { between, lookAgain, picture, press, program, run, seen, start, text } = support;

export const title = "a real node, and the auditor's page of it";

export async function begin() {
  const { folder, remove } = support.newFolder();
  const args = ["demo", "--keep", "--dir", path.join(folder, "demo")];
  const demo = start(program("sequencer"), args);
  const stop = async () => {
    // As somebody at a terminal ends it.
    await demo.stop("SIGINT");
    remove();
  };
  try {
    const [, rpc, deployment, data] = await demo.line(
      /verify --rpc (\S+) --deployment (\S+) --data (\S+)/,
    );
    return { folder, rpc, deployment, data, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Arguments by which the auditor is told of a node. */
const placeOf = ({ rpc, deployment, data }) =>
  ["--rpc", rpc, "--deployment", deployment, "--data", data];

/** The auditor's page; `more` gives what is other than the node's own, and proxies to close. */
const served = (more = async () => ({})) => async (world) => {
  const { second = [], proxies = [], ...other } = await more(world);
  const place = { ...world, ...other };
  const args = ["serve", ...placeOf(place), ...second, "--listen", "127.0.0.1:0"];
  const auditor = start(program("auditor"), args);
  const close = async () => {
    await auditor.stop();
    for (const proxy of proxies) proxy.close();
  };
  try {
    const [, url] = await auditor.line(/^(http:\S+) verifies/);
    return { url, place, proxies, close };
  } catch (error) {
    await close();
    throw error;
  }
};

const withProxy = (name, change) =>
  served(async (world) => {
    const proxy = await between(world[name], change);
    return { [name]: proxy.url, proxies: [proxy] };
  });

const withSecond = (change) =>
  served(async ({ rpc }) => {
    const proxy = await between(rpc, change);
    return { second: ["--second-rpc", proxy.url], proxies: [proxy] };
  });

/** The last byte of the last journal group of the first batch is another. */
function flipLast({ path: asked, body }) {
  if (asked !== "/batches/1") return undefined;
  const copy = Buffer.from(body);
  copy[copy.length - 1] ^= 1;
  return copy;
}

/** An answer with another result. */
const withResult = ({ id }, result) => Buffer.from(JSON.stringify({ jsonrpc: "2.0", id, result }));

/** What `auditor verify` says of the same place. */
const verdictOf = async (place) =>
  (await run(program("auditor"), ["verify", ...placeOf(place)])).output;

/** A page that `auditor page` saved, opened from disk; `from` gives another place than the node. */
const savedByProgram = (batch, name, from = async () => ({})) => async (world) => {
  const { proxies = [], ...other } = await from(world);
  const file = path.join(world.folder, name);
  const place = placeOf({ ...world, ...other });
  const args = ["page", ...place, "--second-rpc", world.rpc, "--batch", batch, "--out", file];
  const { code, output } = await run(program("auditor"), args);
  for (const proxy of proxies) proxy.close();
  assert.equal(code, 0, output);
  return { url: pathToFileURL(file).href, args };
};

export const journeys = [
  {
    name: "each batch of the demo is verified under its development keys, and none is green",
    open: served(),
    async act(page, { server: { place } }) {
      await seen(page, /^3 settled/);
      const fingerprint = await text(page, ".fingerprint");
      assert.ok((await verdictOf(place)).includes(fingerprint));
      await press(page, "Verify all");
      await page.locator("a.outcome.warn").nth(2).waitFor();
      const marks = await page.locator("a.outcome").allInnerTexts();
      assert.deepEqual(marks, Array(3).fill("verified, dev keys"));
      await picture(page, "batches");
      await page.getByRole("link", { name: "3", exact: true }).click();
      await seen(page, /^Verified under development keys: batch 3 is what its header on the chain/);
      await seen(page, /anybody can forge proofs/);
      assert.equal(await page.locator(".notice.good").count(), 0);
      await picture(page, "verified");
    },
  },
  {
    name: "one changed byte of a demo's batch is broken by the name that the auditor gives it",
    open: withProxy("data", flipLast),
    at: "#/batch/1",
    async act(page, { server: { place } }) {
      await press(page, "Verify here");
      await seen(page, /^Broken: /);
      const item = (await text(page, ".notice.bad h2")).replace("Broken: ", "");
      assert.equal(item, "journal, hash after the groups");
      assert.ok((await verdictOf(place)).includes(`broken: batch 1, ${item}`));
      assert.ok(!/\bverified\b/i.test(await text(page, "#view")));
    },
  },
  {
    name: "another batch's file in the place of one is foreign, and its first other word is named",
    open: served(async ({ data }) => {
      const other = Buffer.from(await (await fetch(`${data}/batches/2`)).arrayBuffer());
      const proxy = await between(data, ({ path: asked }) =>
        asked === "/batches/1" ? other : undefined,
      );
      return { data: proxy.url, proxies: [proxy] };
    }),
    at: "#/batch/1",
    async act(page, { server: { place } }) {
      await seen(page, /The file that the node serves has another header than the chain/);
      await press(page, "Verify here");
      await seen(page, /^Broken: header, /);
      const item = (await text(page, ".notice.bad h2")).replace("Broken: ", "");
      assert.ok((await verdictOf(place)).includes(`broken: batch 1, ${item}`));
    },
  },
  {
    name: "a chain that is away is said to be, what was read from it is stale, and it may come back",
    open: withProxy("rpc"),
    async act(page, { server: { proxies } }) {
      const [chain] = proxies;
      await seen(page, /^3 settled/);
      chain.isAway = true;
      await lookAgain(page);
      await seen(page, "Stale: the chain does not answer now");
      assert.match(await text(page, "#freshness"), /^stale, read from the chain at/);
      await page.reload();
      await seen(page, "Nothing can be shown now");
      await seen(page, /chain-unreachable/);
      assert.ok(!/broken/i.test(await text(page)));
      chain.isAway = false;
      await press(page, "Try again");
      await seen(page, /^3 settled/);
    },
  },
  {
    name: "a second node of the chain that says the same is said to",
    open: withSecond(),
    at: "#/batch/2",
    async act(page) {
      await press(page, "Verify here");
      await seen(page, /^Node 2 of the chain agrees/);
      await seen(page, /^2 nodes of the chain, which say the same/);
    },
  },
  {
    name: "a second node of the chain that knows no such event disputes the batch",
    open: withSecond(({ question }) =>
      question?.method === "eth_getLogs" ? withResult(question, []) : undefined,
    ),
    at: "#/batch/2",
    async act(page) {
      await press(page, "Verify here");
      await seen(page, "Disputed: the nodes of the chain that were asked disagree");
      await seen(page, /^Node 2 of the chain disagrees: it has no event of this batch/);
      assert.ok(!/\bverified\b/i.test(await text(page, "#view")));
    },
  },
  {
    name: "a second node of the chain with another contract disputes every batch, unasked",
    open: withSecond(({ question }) =>
      question?.method === "eth_getCode" ? withResult(question, "0x6001") : undefined,
    ),
    async act(page) {
      await seen(page, "Disputed: the nodes of the chain that were asked disagree");
      await seen(page, /^Node 2 of the chain says otherwise about this deployment/);
    },
  },
  {
    name: "a batch that the program saves opens from disk, and comes to what the page comes to",
    open: savedByProgram("3", "program.html"),
    async act(page, { server: { args } }) {
      await seen(page, "Recomputed under development keys: batch 3 is what the header in this file");
      await seen(page, /of the chain said the same, by the word of whoever saved this file/);
      await seen(page, /^Gas/);
      assert.ok(!(await text(page)).includes("not available"));
      const { code, output } = await run(program("auditor"), args);
      assert.equal(code, 2, output);
      assert.match(output, /expected no file .*program\.html yet, found one/);
    },
  },
  {
    name: "a batch that the program saves with a changed byte is broken where it is opened",
    open: savedByProgram("1", "broken.html", async ({ data }) => {
      const proxy = await between(data, flipLast);
      return { data: proxy.url, proxies: [proxy] };
    }),
    async act(page) {
      await seen(page, "Broken: journal, hash after the groups");
    },
  },
  {
    name: "a batch of the demo is saved, opens from disk, and its header is asked for by its command",
    open: served(),
    at: "#/batch/1",
    mayAsk: ["file://"],
    async act(page, { world: { folder, rpc } }) {
      await press(page, "Verify here");
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        press(page, "Save as one file"),
      ]);
      const file = path.join(folder, download.suggestedFilename());
      await download.saveAs(file);
      await page.context().setOffline(true);
      await page.goto(pathToFileURL(file).href);
      await seen(page, "Recomputed under development keys: batch 1 is what the header in this file");
      await picture(page, "saved");
      assert.ok((await text(page)).includes(rpc.replace(/\/$/, "")));
      const command = (await page.locator("pre").allInnerTexts()).find((one) => /^curl/.test(one));
      const asked = `${command.replace("https://YOUR-NODE", rpc)} --silent`;
      const { output } = await run("bash", ["-c", asked]);
      const receipt = JSON.parse(output).result;
      const said = await text(page, ".notice");
      assert.ok(said.includes(`blockHash ${receipt.blockHash}`));
      assert.ok(receipt.logs.some(({ topics }) => said.includes(`header hash ${topics.at(-1)}`)));
    },
  },
];
