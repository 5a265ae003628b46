// Makes assets/saved.html, the page that a saved batch is put into, and writes its hash into
// assets/download.js and docs/saved.md; or compares them with what it would write.
//
//   npm ci --ignore-scripts && node saved.mjs [--check]
//
// One file that opens from disk: scripts, style and the contract's code stand in it, and its policy
// names the one script and the one style by their hashes. What a batch adds is its last line.
//
// The hash of a release is never replaced, because files that were saved with it stay: only the
// line of a version that is not released yet is.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const page = fileURLToPath(new URL("..", import.meta.url));
const artefact = path.join(page, "../../l1-contracts/artifacts/Settlement.json");
const template = path.join(page, "assets/saved.html");
const docs = path.join(page, "docs/saved.md");
const download = path.join(page, "assets/download.js");
const manifest = readFileSync(path.join(page, "../../Cargo.toml"), "utf8");
const version = /^version = "([0-9.]+)"$/m.exec(manifest)[1];

const made = await make();
const hash = createHash("sha256").update(made).digest("hex");
const files = new Map([
  [template, made],
  [docs, Buffer.from(withLine(readFileSync(docs, "utf8")))],
  [download, Buffer.from(readFileSync(download, "utf8").replace(/"[0-9a-f]{64}"/, `"${hash}"`))],
]);
for (const [file, bytes] of files) {
  if (!process.argv.includes("--check")) writeFileSync(file, bytes);
  else if (!readFileSync(file).equals(bytes)) {
    fail(`${path.relative(page, file)} is not what its sources make`);
  }
}

/** The docs with the hash of this version in its line, which is the last of the list. */
function withLine(text) {
  const line = `${hash}  saved.html of ${version}`;
  if (text.includes(`${line}\n`)) return text;
  const before = /^[0-9a-f]{64} {2}saved\.html of (\S+)(, not released yet)?$/gm;
  const last = [...text.matchAll(before)].at(-1);
  const [found, of, mark] = last;
  if (of === version && mark === undefined) {
    throw new Error(`saved.html of ${version} is released: raise the version, or undo the change`);
  }
  const kept = mark === undefined ? `${found}\n` : "";
  const after = text.slice(last.index + found.length);
  return `${text.slice(0, last.index)}${kept}${line}, not released yet${after}`;
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
  const parts = { policy, style, script, worker, version, contract: JSON.stringify(contract) };
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
