// An operator's journeys through the desk, and through what a node says of its windows, against a
// node that is played: there the unhappy ones can be had at will.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { HEALTH, deskAnswer, pointAt } from "../../tests/played-desk.mjs";
import { play } from "../../tests/played.mjs";
import { headers, readAsset } from "../assets.mjs";
import { PHONE, expectNoOverflow, lookAgain, picture, press, seen, text } from "./support.mjs";

export const title = "the desk, of a played node";

const HOSTILE = "<img src=x onerror=alert(1)>\u202e";
const TOKEN = "0123456789abcdef0123456789abcdef";
const COOKIE = "vitals-desk-0=let-in";

/** Points that the node has taken before the page comes. */
const POINTS = 720;

/** A node on a free port; what it says may be changed while it runs. */
async function serve(options = {}) {
  const { fetch, state: played } = play({ trust: "operator", ...options.play });
  const state = { points: POINTS, isAway: false, isTokenAsked: false, change: {}, played };
  Object.assign(state, options);
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://127.0.0.1");
    const give = (status, body, more = []) => {
      const type = ["content-type", "application/json"];
      response.writeHead(status, [...headers, ...(body === undefined ? [] : type), ...more]);
      response.end(body === undefined ? undefined : JSON.stringify(body));
    };
    if (pathname === "/page.json") {
      return give(200, { schema: 1, trust: "operator", chains: 1, desk: true });
    }
    const since = Number(searchParams.get("since"));
    if (pathname === "/desk") return give(...answer(state, request, since));
    if (pathname === "/desk/session") return give(...(await session(state, request)));
    const asset = readAsset(pathname);
    if (asset !== undefined) {
      response.writeHead(200, [...headers, "content-type", asset.type]);
      return void response.end(asset.body);
    }
    const body = await bodyOf(request);
    const played = await fetch(pathname, body === "" ? {} : { body });
    const type = played.headers.get("content-type") ?? "application/octet-stream";
    response.writeHead(played.status, [...headers, "content-type", type]);
    response.end(Buffer.from(await played.arrayBuffer()));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${server.address().port}/`;
  return { url, state, close: () => server.close() };
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

function answer(state, request, since) {
  if (state.isAway) return [502, { error: "unreachable", detail: null }];
  const isLetIn = request.headers.cookie?.includes(COOKIE) ?? false;
  if (state.refused !== undefined) return state.refused;
  if (state.isTokenAsked && !isLetIn) return [401, { error: "desk-token", detail: null }];
  const first = Array.from({ length: state.points }, (_, at) => at).find(
    (at) => pointAt(at).at_unix_ms > since,
  );
  const from = first ?? state.points;
  const told = deskAnswer({ from, points: state.points - from });
  if (isLetIn) told.access = "session";
  return [200, { ...told, ...state.change }];
}

async function session(state, request) {
  if (request.method === "DELETE") {
    return [204, undefined, ["set-cookie", `${COOKIE}; Path=/desk; Max-Age=0`]];
  }
  const { token } = JSON.parse(await bodyOf(request));
  if (token !== TOKEN) return [401, { error: "desk-token", detail: null }];
  // From elsewhere a cookie travels over TLS alone, which there is none of here.
  const where = state.isLost ? "Path=/; Domain=elsewhere.example" : "Path=/desk";
  return [204, undefined, ["set-cookie", `${COOKIE}; ${where}; HttpOnly; SameSite=Strict`]];
}

const open = (options) => () => serve(options);

/** What a node tells of the windows behind its second batch. */
const UNDER_WAY = [
  { batch: 3, state: "sent" },
  { batch: 4, state: "proving", proofs_done: 1, proofs: 3 },
  { batch: 5, state: "closed" },
  { batch: 6, state: "open", since_unix_ms: 1_800_000_000_000 },
];
const valueOf = async (page, name) => await text(page, `[title="${name}"] .value`);

export const journeys = [
  {
    name: "the desk shows what the node says of itself, and draws the last hours",
    open: open(),
    at: "desk.html",
    async act(page, { server: { state } }) {
      await seen(page, /^Ready: all 3 stages run\. Counted since /);
      assert.equal(await valueOf(page, "readings_per_second"), "50 /s");
      assert.equal(await valueOf(page, "free_bytes"), "81,920 MiB");
      assert.equal(await valueOf(page, "journal_queue_items"), "10 of 5,120");
      assert.equal(await valueOf(page, "batch_closed"), "719");
      await seen(page, /^Receipts: p50 .* at most .*; p99 .*\.$/);
      await page.locator(".charts canvas").nth(11).waitFor();
      await seen(page, "a limit is reached");
      await seen(page, "Every setting holds as it is configured.");
      await seen(page, /held since .* by anna \(user 0, process 7\): a claim is pending/);
      await seen(page, /sequencer erase --patient 12345, until /);
      await seen(page, /receipt of journal position 4,711/);
      await picture(page, "desk");
      await press(page, "15 min");
      await seen(page, "The last 15 min.");
      // What comes later is read on, and what did not change stays where it is.
      await page.evaluate(() => (document.querySelector("dl.figures").id = "kept"));
      state.points += 1;
      await lookAgain(page);
      await page.waitForFunction(
        () => document.querySelector('[title="batch_closed"] .value').textContent === "720",
      );
      assert.equal(await page.locator("#kept").count(), 1);
      await page.getByRole("link", { name: "Batches" }).click();
      await seen(page, "3 settled, 3 of them final");
      await page.getByRole("link", { name: "Desk" }).click();
      await seen(page, "Ready: all 3 stages run.");
    },
  },
  {
    name: "a figure beyond its alert is marked, and a node that is not ready says why",
    open: open({
      change: {
        now: { ...pointAt(POINTS - 1), free_bytes: 5, balance_days: 3, journal_queue_items: 5000 },
        health: {
          ...HEALTH,
          ready: false,
          reasons: [{ code: "disk-low", detail: { free_bytes: 5 }, what_to_do: "Make room." }],
        },
        tuned: [{ key: "settle.poll_ms", configured: 1000, tuned: 500, since_unix_ms: 5, who: {} }],
        paused: { since_unix_ms: 5, who: { uid: 0, as: "anna", reason: "gas is dear" } },
      },
    }),
    at: "desk.html",
    async act(page) {
      await seen(page, "Not ready: disk-low.");
      await seen(page, 'Make room. Found: {"free_bytes":5}.');
      await seen(page, "below the reserve: frames are refused");
      await seen(page, "fund the account");
      await seen(page, "nearly full");
      await seen(page, /by anna: gas is dear/);
      await seen(page, "settle.poll_ms");
    },
  },
  {
    name: "a node that is away leaves what was shown, called stale, and comes back",
    open: open(),
    at: "desk.html",
    async act(page, { server: { state } }) {
      await seen(page, "Ready: all 3 stages run.");
      state.isAway = true;
      await lookAgain(page);
      await seen(page, "Stale: The node does not answer");
      assert.match(await text(page, "#freshness"), /^stale, as of /);
      assert.equal(await valueOf(page, "batch_closed"), "719");
      state.isAway = false;
      await lookAgain(page);
      await page.locator(".notice", { hasText: "Stale" }).waitFor({ state: "detached" });
      assert.equal(await text(page, "#live"), "The node answers again.");
    },
    expects: [/502/],
  },
  {
    name: "a node that has counted nothing yet says so, and one that is away is asked again",
    open: open({ isAway: true, points: 0, change: { now: null } }),
    at: "desk.html",
    async act(page, { server: { state } }) {
      await seen(page, "The node does not answer");
      state.isAway = false;
      await press(page, "Try again");
      await seen(page, "Nothing is counted in the first ten seconds after a start.");
      Object.assign(state, { points: 2, change: {} });
      await lookAgain(page);
      await seen(page, "Taken in");
      assert.equal(await valueOf(page, "batch_closed"), "1");
    },
    expects: [/502/],
  },
  {
    name: "the token opens the desk and stays nowhere, and signing out closes it",
    open: open({ isTokenAsked: true }),
    at: "desk.html",
    async act(page) {
      await seen(page, "The desk is for the operator");
      assert.equal(await page.evaluate(() => document.activeElement.id), "token");
      await page.getByLabel("Token of web.token_file").fill("a wrong one");
      await page.keyboard.press("Enter");
      await seen(page, "This is not the token.");
      assert.equal(await page.inputValue("#token"), "");
      await picture(page, "desk-token");
      await page.getByLabel("Token of web.token_file").fill(` ${TOKEN}\n`);
      await page.keyboard.press("Enter");
      await seen(page, "Ready: all 3 stages run.");
      const kept = await page.evaluate(() =>
        JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]),
      );
      assert.ok(!kept.includes("vitals-desk") && !kept.includes("0123456789"));
      assert.ok(!(await page.content()).includes(TOKEN));
      await page.reload();
      await seen(page, "Ready: all 3 stages run.");
      await press(page, "Sign out");
      await seen(page, "The desk is for the operator");
      assert.equal(await page.locator("[title=batch_closed]").count(), 0);
    },
    expects: [/401/],
  },
  {
    name: "a right token whose session the browser does not keep is told apart from a wrong one",
    open: open({ isTokenAsked: true, isLost: true }),
    at: "desk.html",
    async act(page) {
      await page.getByLabel("Token of web.token_file").fill(TOKEN);
      await press(page, "Open the desk");
      await seen(page, /the browser kept no session/);
    },
    expects: [/401/],
  },
  {
    name: "of a node without a token nothing is shown, and what to set is said",
    open: open({ refused: [403, { error: "desk-unset", detail: null }] }),
    at: "desk.html",
    async act(page) {
      await seen(page, "The node has no token for its desk");
      await seen(page, /name a file with a token as web\.token_file/);
      assert.equal(await page.locator("input").count(), 0);
    },
    expects: [/403/],
  },
  {
    name: "over a connection that others can read no token is asked for",
    open: open({ isTokenAsked: true }),
    at: "desk.html",
    async act(page) {
      await seen(page, "The desk is for the operator");
      // As the browser says it of a page that came by http from another machine.
      await page.addInitScript(() =>
        Object.defineProperty(globalThis, "isSecureContext", { value: false }),
      );
      await page.reload();
      await seen(page, "The desk is reached over TLS alone");
      assert.equal(await page.locator("input").count(), 0);
    },
    expects: [/401/],
  },
  {
    name: "a node whose figures stand still is stale from the first answer on",
    open: open({ change: { age_ms: 3_600_000 } }),
    at: "desk.html",
    async act(page, { server: { state } }) {
      await seen(page, /^What is shown is of .* took no figures since/);
      assert.match(await text(page, "#freshness"), /^stale, as of /);
      const shown = await text(page, "#freshness");
      const now = await page.evaluate(() => new Date().toTimeString().slice(0, 5));
      assert.ok(!shown.includes(`as of ${now}`), shown);
      assert.equal(await page.locator("#standing.good").count(), 0);
      state.change = {};
      await lookAgain(page);
      await page.locator(".notice", { hasText: "Stale" }).waitFor({ state: "detached" });
    },
  },
  {
    name: "a phone shows the desk in its width, dark and light, and the keyboard leads through it",
    open: open(),
    at: "desk.html",
    viewport: PHONE,
    scheme: "dark",
    async act(page) {
      await seen(page, "Ready: all 3 stages run.");
      await page.locator(".charts canvas").nth(11).waitFor();
      await expectNoOverflow(page);
      await picture(page, "desk-phone");
      await press(page, "Theme: system");
      await page.locator(".charts canvas").nth(11).waitFor();
      await expectNoOverflow(page);
      const focused = async () => await page.evaluate(() => document.activeElement.innerText);
      for (let tries = 0; (await focused()) !== "1 h"; tries++) {
        assert.ok(tries < 20, "the choice of a span is not reached");
        await page.keyboard.press("Tab");
      }
      await page.keyboard.press("Enter");
      const pressed = await page.locator("[aria-pressed=true]").innerText();
      assert.equal(pressed, "1 h");
    },
  },
  {
    name: "windows under way stand above the settled ones as the node's word, and go as they come",
    open: open({ play: { settled: 2, assembled: 3, underWay: UNDER_WAY } }),
    async act(page, { server: { state } }) {
      await seen(page, "1 sent, 1 proving, 1 closed and not on the chain yet.");
      await seen(page, "Other states are the node's word, of which nothing can be checked yet.");
      const words = await page.locator("tbody .state").allInnerTexts();
      assert.deepEqual(words, ["open", "closed", "proving", "sent", "final", "final"]);
      await seen(page, "1 of 3 proofs made");
      await picture(page, "under-way");
      // Without being asked: the node is looked at every few seconds, and the chain less often.
      state.played.underWay = [{ ...UNDER_WAY[1], proofs_done: 2 }, ...UNDER_WAY.slice(2)];
      await seen(page, "2 of 3 proofs made");
      // What has no file is no link; by its address it says how far it is.
      assert.equal(await page.getByRole("link", { name: "4", exact: true }).count(), 0);
      await page.evaluate(() => (location.hash = "#/batch/4"));
      await seen(page, /By the node's word it is proving/);
      await page.evaluate(() => (location.hash = "#/"));
      Object.assign(state.played, { settled: 3, underWay: [] });
      await lookAgain(page);
      await seen(page, "3 settled, 3 of them final.");
      assert.ok(!/node's word/.test(await text(page)));
    },
  },
  {
    name: "words of the node are shown and do nothing, and an answer that is no desk's is refused",
    open: open({
      change: {
        health: { ...HEALTH, stages: [{ ...HEALTH.stages[0], stage: HOSTILE, cause: HOSTILE }] },
        rejects: [{ code: 3, meaning: HOSTILE, count: 1, per_second: 0 }],
        erasures: { waiting: 1, requests: [{ patient: 7, state: "held", reason: HOSTILE }] },
      },
    }),
    at: "desk.html",
    async act(page, { server: { state } }) {
      await seen(page, "<img src=x onerror=alert(1)>\\u{202e}");
      assert.equal(await page.locator("img").count(), 0);
      state.change = { points: { at_unix_ms: HOSTILE } };
      await lookAgain(page);
      await seen(page, "Stale: The answer is no desk's");
    },
  },
];
