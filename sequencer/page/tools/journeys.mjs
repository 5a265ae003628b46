// Journeys of readers through the pages in a real browser. Whatever the browser complains of, a
// report of the content policy included, fails the journey that did not expect it.
//
//   npm ci --ignore-scripts && node journeys.mjs [--pictures FOLDER] [--only WORDS] [FILE..]
//
// Without FILE all of `journeys/journeys-*.mjs`, one after the other in one browser; `--only` takes
// the journeys whose name holds these words. `journeys/support.mjs` says what such a file exports.
// Needs Debian's chromium, or the path of another one in CHROMIUM; some files start programs of
// target/release.

import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { keepPictures, launch, travel } from "./journeys/support.mjs";

const options = { pictures: { type: "string" }, only: { type: "string", default: "" } };
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const folder = fileURLToPath(new URL("journeys/", import.meta.url));
const all = () =>
  readdirSync(folder)
    .filter((name) => /^journeys-.*\.mjs$/.test(name))
    .sort()
    .map((name) => path.join(folder, name));
const files = positionals.length === 0 ? all() : positionals;
const seconds = (begin) => ((performance.now() - begin) / 1000).toFixed(1);

function failed(name, error) {
  console.error(`FAILED: ${name}\n${error.stack}`);
  process.exitCode = 1;
}

/** A file of journeys, and what it begins with: nodes take a while, and no browser need wait. */
async function load(file) {
  const module = await import(pathToFileURL(path.resolve(file)));
  const chosen = module.journeys.filter(({ name }) => name.includes(values.only));
  const world = chosen.length === 0 ? undefined : module.begin?.();
  // Whoever waits for it is told, and may do so late.
  world?.catch(() => {});
  return { title: module.title, chosen, world };
}

async function runFile(browser, { title, chosen, world: begun }) {
  const begin = performance.now();
  if (chosen.length === 0) return;
  let world;
  try {
    world = await begun;
    for (const journey of chosen) await runJourney(browser, journey, world);
  } catch (error) {
    failed(`${title}, before its journeys`, error);
  } finally {
    await world?.stop?.();
  }
  console.log(`${title}: ${chosen.length} journeys in ${seconds(begin)} s`);
}

async function runJourney(browser, journey, world) {
  const begin = performance.now();
  try {
    await travel(browser, journey, world);
    console.log(`ok: ${journey.name} (${Math.round(performance.now() - begin)} ms)`);
  } catch (error) {
    failed(journey.name, error);
  }
}

let browser;
try {
  keepPictures(values.pictures);
  browser = await launch();
  let next = files.length > 0 ? load(files[0]) : undefined;
  for (let at = 1; next !== undefined; at++) {
    const file = await next;
    next = at < files.length ? load(files[at]) : undefined;
    next?.catch(() => {});
    await runFile(browser, file);
  }
} catch (error) {
  failed("journeys", error);
} finally {
  await browser?.close();
}
