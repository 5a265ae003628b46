// Makes assets/saved.html, the page that a saved batch is put into, and writes its hash into
// docs/saved.md; or compares both with what it would make.
//
//   npm ci --ignore-scripts && node saved.mjs [--check]
//
// One file that opens from disk: scripts, style and the contract's code stand in it, and its policy
// names the one script and the one style by their hashes. What a batch adds is its last line.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const page = fileURLToPath(new URL("..", import.meta.url));
const artefact = path.join(page, "../../l1-contracts/artifacts/Settlement.json");
const template = path.join(page, "assets/saved.html");
const docs = path.join(page, "docs/saved.md");
/** The line of the docs that says the hash. */
const HASH = /^[0-9a-f]{64}(?= {2}saved\.html$)/m;

const made = await make();
const hash = createHash("sha256").update(made).digest("hex");
if (process.argv.includes("--check")) {
  if (!readFileSync(template).equals(made)) fail("assets/saved.html is not what its sources make");
  if (HASH.exec(readFileSync(docs, "utf8"))?.[0] !== hash) fail("docs/saved.md has another hash");
} else {
  writeFileSync(template, made);
  writeFileSync(docs, readFileSync(docs, "utf8").replace(HASH, hash));
}

async function make() {
  const script = await bundle("saved/page.js");
  const worker = await bundle("saved/worker.js");
  const style = readFileSync(path.join(page, "assets/style.css"), "utf8");
  const { bytecode, deployedBytecode } = JSON.parse(readFileSync(artefact, "utf8"));
  // What the check reads of it.
  const contract = {
    bytecode: { object: bytecode.object },
    deployedBytecode: { object: deployedBytecode.object },
  };
  const policy =
    `default-src 'none'; script-src '${sourceOf(script)}'; style-src '${sourceOf(style)}'; ` +
    "worker-src blob:; base-uri 'none'; form-action 'none'; " +
    "require-trusted-types-for 'script'; trusted-types vitals";
  for (const part of [script, worker, style]) {
    // In an element its text ends at the first of these, whatever it stands in.
    if (/<\/(script|style)|<!--/i.test(part)) throw new Error("a part would end its own element");
  }
  const parts = { policy, style, script, worker, contract: JSON.stringify(contract) };
  const skeleton = readFileSync(path.join(page, "saved/page.html"), "utf8");
  // By a function: a text that stands for itself may hold what a pattern would replace.
  return Buffer.from(skeleton.replace(/\{\{([a-z]+)\}\}/g, (_, name) => parts[name]));
}

async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: [path.join(page, entry)],
    absWorkingDir: page,
    bundle: true,
    format: "iife",
    target: "es2022",
    // Read by people who were told its hash: names and lines stay.
    minify: false,
    charset: "ascii",
    legalComments: "inline",
    write: false,
  });
  return outputFiles[0].text;
}

function sourceOf(text) {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

function fail(why) {
  console.error(`${why}; run node sequencer/page/tools/saved.mjs and read the change`);
  process.exitCode = 1;
}
