// What every file of journeys shares: the browser, what a journey must not do, and programs that
// are started and ended. `tools/journeys.mjs` runs the files; each of them is called
// `journeys/journeys-NAME.mjs` and exports
//
//   title      what its journeys are about, for the report;
//   begin()    optional, once before all of them: what they share (a node, a folder). What it gives
//              is handed to each as `world`; its `stop()`, if it has one, is called at the end;
//   journeys   a list of
//     name       a sentence about behaviour;
//     open       (world) => { url, close() }: the server of this journey, on loopback;
//     at         what is added to that address, "" if absent;
//     act        async (page, { server, world }) => ..: what is done and expected, by `assert`;
//     expects    regular expressions of complaints that must come; all others fail the journey;
//     viewport, scheme    DESK and "light" if absent;
//     mayAsk     addresses besides the server's own that a page may ask, none if absent.
//
// A journey fails by what it throws, and by whatever the browser complains of: an error or warning
// on the console, a report of the content policy, an error that nobody caught, a dialog, or a
// request to anybody but its own server. Nothing here waits for a time: what is waited for is seen,
// or `WAIT_MS` end the journey.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const DESK = { width: 1180, height: 860 };
export const PHONE = { width: 390, height: 844 };
/** Longest wait for what must be seen. */
export const WAIT_MS = 30_000;
/** Longest wait for a line of a program, which may have keys to make before it. */
const LINE_WAIT_MS = 300_000;
/** Lines of a program that are kept, for whoever asks what it said. */
const LINES_MAX = 10_000;

const root = fileURLToPath(new URL("../../../../", import.meta.url));

// ------------------------------------------------------------------------------- the browser

/** Debian's chromium, or the one in CHROMIUM; a sentence for whoever has none. */
export async function launch() {
  const candidates = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"];
  const executablePath = candidates.find((candidate) => candidate && existsSync(candidate));
  if (executablePath === undefined) {
    throw new Error("expected chromium (apt-get install chromium), or its path in CHROMIUM");
  }
  // As root the browser has no sandbox of its own; it opens nothing but the pages of journeys.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return await chromium.launch({ executablePath, args });
}

/** Goes on one journey; throws what is wrong with it. */
export async function travel(browser, journey, world) {
  const { at = "", expects = [], viewport = DESK, scheme = "light", mayAsk = [] } = journey;
  const server = await journey.open(world);
  const context = await browser.newContext({ viewport, colorScheme: scheme });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const complaints = complaintsOf(context, [server.url, ...mayAsk]);
  try {
    await page.goto(server.url + at);
    await journey.act(page, { server, world });
    const unexpected = complaints.filter((words) => !expects.some((one) => one.test(words)));
    assert.deepEqual(unexpected, []);
    const missing = expects.filter((one) => !complaints.some((words) => one.test(words)));
    assert.deepEqual(missing, []);
  } finally {
    await context.close();
    await server.close?.();
  }
}

/** What the browser complains of, in all pages of a context, as it comes. */
function complaintsOf(context, allowed) {
  const complaints = [];
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  context.on("weberror", (error) => complaints.push(error.error().message));
  context.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    // Nobody else answers it, and the page would wait for ever.
    void dialog.dismiss();
  });
  context.on("request", (request) => {
    const url = request.url();
    // A blob is the page's own bytes.
    const isOwn = url.startsWith("blob:") || allowed.some((address) => url.startsWith(address));
    if (!isOwn) complaints.push(`asked ${url}`);
  });
  return complaints;
}

// --------------------------------------------------------------------------- steps of a journey

/** What stands in an element. */
export const text = async (page, selector = "main") => await page.innerText(selector);

/** Waits until words (text or a regular expression) are seen. */
export const seen = async (page, words) => await page.getByText(words).first().waitFor();

/** Presses the button with this name. */
export const press = async (page, name) => await page.getByRole("button", { name }).click();

/** The page asks again at once when it is looked at again. */
export const lookAgain = async (page) =>
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));

/** The page fits the width of its window. */
export async function expectNoOverflow(page) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= page.viewportSize().width, `the page is ${width} pixels wide`);
}

let pictures;

/** Where `picture` puts its files; without it none are taken. */
export function keepPictures(folder) {
  pictures = folder;
}

export async function picture(page, name) {
  if (pictures === undefined) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: false });
}

// ---------------------------------------------------------------------------------- programs

/** A file of the repository. */
export const inRepository = (name) => path.join(root, name);

/** A program that `cargo build --release` has put into the target folder. */
export function program(name) {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
  const found = path.join(target, "release", name);
  if (existsSync(found)) return found;
  throw new Error(`expected the program ${found} (cargo build --release)`);
}

/** A folder of its own, and what removes it. */
export function newFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), "journeys-"));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/**
 * Starts a program. `line(pattern)` waits for a line of its output (either one) that matches and
 * gives the match, whether it came before or comes yet; `all()` is what it said so far, `stop()`
 * ends it as an operator would, by SIGTERM unless told otherwise, and waits for that; `ended` is
 * its exit code.
 */
export function start(file, args, options = {}) {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  const lines = [];
  const waiting = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      if (lines.length < LINES_MAX) lines.push(line);
      for (const look of waiting) look(line);
    });
  }
  const ended = new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => done(code));
  });
  // Whoever waits for a line is told; the others need not be.
  ended.catch(() => {});
  const all = () => lines.join("\n");
  const line = async (pattern) => await lineOf(pattern, { file, lines, waiting, ended });
  const stop = async (signal = "SIGTERM") => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return await ended;
  };
  // Whatever ends the journeys, nothing that they started is left behind.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  child.once("close", () => process.off("exit", kill));
  return { line, all, stop, ended };
}

async function lineOf(pattern, { file, lines, waiting, ended }) {
  const before = lines.map((line) => pattern.exec(line)).find((match) => match !== null);
  if (before !== undefined) return before;
  const name = path.basename(file);
  const failed = (why) => new Error(`${name}: expected a line like ${pattern}, ${why}:\n${last()}`);
  const last = () => lines.slice(-20).join("\n");
  let look;
  let timer;
  try {
    return await new Promise((found, fail) => {
      look = (line) => {
        const match = pattern.exec(line);
        if (match !== null) found(match);
      };
      waiting.add(look);
      timer = setTimeout(() => fail(failed(`waited ${LINE_WAIT_MS / 1000} s`)), LINE_WAIT_MS);
      ended.then((code) => fail(failed(`it ended with ${code}`)), fail);
    });
  } finally {
    waiting.delete(look);
    clearTimeout(timer);
  }
}

/** Runs a program to its end: exit code and what it said. */
export async function run(file, args, options = {}) {
  const { ended, all } = start(file, args, options);
  return { code: await ended, output: all() };
}

// ---------------------------------------------------------------------------------- proxies

/**
 * A proxy on loopback before an HTTP server. `change({ path, question, body })` is called with each
 * answer's body as bytes, and the JSON that was posted; what it gives, if anything, is answered
 * instead. While `isAway` is true nobody answers.
 */
export async function between(to, change = () => undefined) {
  const proxy = { isAway: false };
  const server = createServer(async (request, response) => {
    if (proxy.isAway) return void request.socket.destroy();
    try {
      const { status, type, body } = await passOn(request, { to, change });
      response.writeHead(status, { "content-type": type });
      response.end(body);
    } catch {
      // The server behind it is away, or broke off: so does this one.
      request.socket.destroy();
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return proxy;
}

async function passOn(request, { to, change }) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const posted = parts.length === 0 ? undefined : Buffer.concat(parts);
  const { method, url: path, headers } = request;
  const type = headers["content-type"] ?? "application/json";
  const init = { method, body: posted, headers: { "content-type": type } };
  const answer = await fetch(new URL(path, to), init);
  const body = Buffer.from(await answer.arrayBuffer());
  const question = posted === undefined ? undefined : JSON.parse(posted);
  return {
    status: answer.status,
    type: answer.headers.get("content-type") ?? "application/octet-stream",
    body: change({ path, question, body }) ?? body,
  };
}
