// A reader's journeys through the verifying page, against a chain and a node that are played
// (tests/played.mjs), served with the headers that programs serve: there the unhappy ones can be
// had at will. `journeys-real-node.mjs` goes the main ones against a real node.

import assert from "node:assert/strict";
import { decodeFile } from "../../assets/statement/file.js";
import { world } from "../../tests/played.mjs";
import { serve } from "./played-server.mjs";
import { PHONE, expectNoOverflow, lookAgain, picture, press, seen, text } from "./support.mjs";

export const title = "the page, of a played chain";

const HOSTILE = "<img src=x onerror=alert(1)>\u202e";

const away = () => new Response("", { status: 502 });

let isAway = false;

const changed = world[0].slice();
changed[changed.length - 1] ^= 1;

/** So many that following them takes seconds on any machine: a person is to end the check. */
const GROUPS_MANY = 400_000;
const GROUP_BYTES = 56;

/** The first batch's file with another list of groups, which follow each other. */
function withManyGroups(bytes) {
  const { groups } = decodeFile(bytes);
  const before = bytes.subarray(0, bytes.length - groups.length * GROUP_BYTES - 4);
  const list = new DataView(new ArrayBuffer(4 + GROUPS_MANY * GROUP_BYTES));
  list.setUint32(0, GROUPS_MANY);
  for (let at = 0; at < GROUPS_MANY; at++) {
    // Number, first and last position: one group for each.
    for (const field of [4, 12, 20]) list.setBigUint64(field + at * GROUP_BYTES, BigInt(at) + 1n);
  }
  return Buffer.concat([before, new Uint8Array(list.buffer)]);
}

/** Journeys as the runner takes them, but for what is played, and what is so `before`. */
const PLAYED = [
  {
    name: "every batch is verified, and each report says against what",
    async act(page) {
      await seen(page, "3 settled, 3 of them final");
      const own = await text(page, ".fingerprint");
      await page.getByLabel("Compare with the fingerprint").fill(own.replaceAll("-", " "));
      await seen(page, "It is the same");
      await page.getByLabel("Compare with the fingerprint").fill("0".repeat(40));
      await seen(page, "It is another");
      await page.getByRole("button", { name: "Verify all" }).click();
      await page.locator("a.outcome.warn").nth(2).waitFor();
      const marks = await page.locator("a.outcome").allInnerTexts();
      assert.deepEqual(marks, Array(3).fill("verified, dev keys"));
      await page.getByRole("link", { name: "1", exact: true }).click();
      await seen(page, "Verified under development keys: batch 1 is what its header on the");
      const report = await text(page, ".report");
      for (const words of ["Contract", "3 verifying keys", "5 proofs", "linked from genesis"]) {
        assert.ok(report.includes(words), words);
      }
    },
  },
  {
    name: "one changed byte is told by the auditor's name",
    play: { change: (at) => (at === "/batches/1" ? new Response(changed) : undefined) },
    at: "#/batch/1",
    async act(page) {
      await press(page, "Verify here");
      await seen(page, "Broken: journal, hash after the groups");
      await picture(page, "broken");
      assert.ok(!/verified/i.test(await text(page, "#view")));
    },
  },
  {
    name: "a long check says how far it is, is cancelled, and leaves the page free for another",
    play: {
      change: (at) => (at === "/batches/1" ? new Response(withManyGroups(world[0])) : undefined),
    },
    at: "#/batch/1",
    async act(page) {
      await press(page, "Verify here");
      await seen(page, /^Following the journal: [0-9]+,[0-9]+ of 400,000/);
      await press(page, "Cancel");
      await seen(page, "Check this batch");
      assert.equal(await text(page, "#live"), "The check was cancelled: the batch is not checked.");
      assert.equal(await page.evaluate(() => document.activeElement.innerText), "Verify here");
      await page.goto(page.url().replace("batch/1", "batch/3"));
      await press(page, "Verify here");
      await seen(page, /^Verified under development keys: batch 3/);
    },
  },
  {
    name: "a chain that is away is said to be away, and asked again",
    play: { change: (at) => (at === "/chain/1" && isAway ? away() : undefined) },
    async act(page) {
      await seen(page, "Nothing can be shown now");
      assert.ok(!/broken/i.test(await text(page)));
      isAway = false;
      await lookAgain(page);
      await seen(page, "3 settled");
    },
    before: () => {
      isAway = true;
    },
  },
  {
    name: "what is shown is called stale when the chain goes away",
    play: { change: (at) => (at === "/chain/1" && isAway ? away() : undefined) },
    async act(page) {
      await seen(page, "3 settled");
      isAway = true;
      await lookAgain(page);
      await seen(page, "Stale: the chain does not answer now");
      await seen(page, "stale, read from the chain at");
      isAway = false;
      await page.getByRole("button", { name: "Try again" }).click();
      await page.locator(".notice", { hasText: "Stale" }).waitFor({ state: "detached" });
      assert.equal(await text(page, "#live"), "The chain answers again.");
    },
    before: () => {
      isAway = false;
    },
  },
  {
    name: "a second node that disagrees disputes what the first one led to",
    play: {
      chains: 2,
      change: (at, question) =>
        at === "/chain/2" && question.method === "eth_getLogs" ? [] : undefined,
    },
    at: "#/batch/2",
    async act(page) {
      await press(page, "Verify here");
      await seen(page, "Disputed: the nodes of the chain that were asked disagree");
      assert.ok(!/verified/i.test(await text(page, "#view")));
    },
  },
  {
    name: "a second node that is away is said to be away, and one that agrees to agree",
    play: { chains: 3, change: (at) => (at === "/chain/2" ? away() : undefined) },
    at: "#/batch/2",
    async act(page) {
      await press(page, "Verify here");
      await seen(page, /Node 2 of the chain was not compared/);
      await seen(page, /Node 3 of the chain agrees/);
      await page.getByRole("button", { name: "Ask the other nodes again" }).click();
      await seen(page, /Node 3 of the chain agrees/);
    },
  },
  {
    name: "an operator's page says by whom it is shown, and never verified",
    play: { trust: "operator" },
    async act(page) {
      await seen(page, "shown by this operator");
      await page.getByRole("button", { name: "Verify all" }).click();
      await page.locator("a.outcome.warn").nth(2).waitFor();
      assert.ok(!/verified/i.test(await text(page, "body")));
      await page.getByRole("link", { name: "2", exact: true }).click();
      await seen(page, "Agrees under development keys: batch 2");
      await seen(page, /This operator, who serves this page and could have changed it/);
      assert.ok(!/verified/i.test(await text(page, "body")));
    },
  },
  {
    name: "the keyboard alone leads to a report",
    async act(page) {
      await seen(page, "3 settled");
      const focused = async () =>
        await page.evaluate(
          () => document.activeElement.ariaLabel ?? document.activeElement.innerText,
        );
      const tabTo = async (words) => {
        for (let tries = 0; tries < 30; tries++) {
          await page.keyboard.press("Tab");
          if ((await focused()) === words) return await page.keyboard.press("Enter");
        }
        return assert.fail(`${words} is not reached`);
      };
      await tabTo("2");
      await page.waitForFunction(() => document.activeElement.innerText === "Batch 2");
      await tabTo("Verify here");
      await seen(page, "Verified under development keys: batch 2");
      assert.match(await focused(), /^Verified under development keys: batch 2/);
      assert.match(await text(page, "#live"), /^Verified under development keys: batch 2/);
    },
  },
  {
    name: "a phone shows everything in its width, dark and light",
    viewport: PHONE,
    scheme: "dark",
    async act(page) {
      await seen(page, "3 settled");
      await expectNoOverflow(page);
      const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      await picture(page, "phone");
      await page.getByRole("link", { name: "1", exact: true }).click();
      await press(page, "Verify here");
      await seen(page, "Verified under development keys: batch 1");
      await seen(page, "ciphertext hash");
      await seen(page, "Public file, as it was checked here");
      await expectNoOverflow(page);
      await page.getByRole("button", { name: "Theme: system" }).click();
      await page.getByRole("button", { name: "Theme: light" }).waitFor();
      const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.notEqual(dark, light);
      await page.reload();
      await page.getByRole("button", { name: "Theme: light" }).waitFor();
    },
  },
  {
    name: "a deployment that has settled nothing says so, and shows what comes",
    play: { settled: 0, assembled: 0 },
    async act(page, { server: { state } }) {
      await seen(page, "No batch is settled yet");
      Object.assign(state, { settled: 1, assembled: 2 });
      await lookAgain(page);
      await seen(page, "1 settled, 1 of them final; 1 assembled and not on the chain yet");
      await page.getByRole("link", { name: "2", exact: true }).click();
      await seen(page, "Not on the chain yet");
    },
  },
  {
    name: "another contract under the hospital's name shows no batch",
    play: {
      change: (_, question) => (question?.method === "eth_getCode" ? "0x6001" : undefined),
    },
    async act(page) {
      await seen(page, "Broken: deployment, contract code");
      assert.equal(await page.locator("table").count(), 0);
    },
  },
  {
    name: "words of strangers are shown and do nothing",
    play: {
      change: (at, question) =>
        question?.method === "eth_chainId"
          ? Response.json({ id: question.id, error: { code: HOSTILE, message: HOSTILE } })
          : undefined,
    },
    async act(page) {
      await seen(page, "<img src=x onerror=alert(1)>\\u{202e}");
      assert.equal(await page.locator("img").count(), 0);
      const made = await page.evaluate(() => {
        try {
          document.createElement("div").innerHTML = "<b>text</b>";
          return "made";
        } catch (error) {
          return error.name;
        }
      });
      assert.equal(made, "TypeError");
    },
    expects: [/TrustedHTML/],
  },
];

export const journeys = PLAYED.map(({ play: played, before, ...journey }) => ({
  ...journey,
  open: async () => {
    before?.();
    return await serve(played);
  },
}));
