// Makes assets/vendor from npm packages of exact versions, or compares it with what it would make.
//
//   npm ci --ignore-scripts && node vendor.mjs [--check]
//
// The page is served as it is committed: whoever builds the programs needs neither node nor npm.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const vendor = path.join(here, "..", "assets", "vendor");
const modules = path.join(here, "node_modules");

// Only what the statement needs: curve with pairing, Poseidon's constants, and three hashes.
const NOBLE = `
export { bn254 } from "@noble/curves/bn254.js";
export { pippenger } from "@noble/curves/abstract/curve.js";
export { grainGenConstants } from "@noble/curves/abstract/poseidon.js";
export { keccak_256 } from "@noble/hashes/sha3.js";
export { blake3 } from "@noble/hashes/blake3.js";
export { sha256 } from "@noble/hashes/sha2.js";
`;
const UPLOT = `export { default as uPlot } from "uplot";`;
const PACKAGES = ["@noble/curves", "@noble/hashes", "uplot"];

const check = process.argv.includes("--check");
const files = await made();
for (const name of readdirSync(vendor).filter((name) => !files.has(name))) {
  fail(`${name} is not made by this program`);
}
for (const [name, bytes] of files) {
  const file = path.join(vendor, name);
  if (!check) writeFileSync(file, bytes);
  else if (!committed(file)?.equals(bytes)) fail(`${name} is not what its packages make`);
}

// Every file by its name; the list of hashes last, over all others.
async function made() {
  const files = new Map();
  files.set("noble.js", await bundle(NOBLE, ["@noble/curves", "@noble/hashes"]));
  files.set("uplot.js", await bundle(UPLOT, ["uplot"]));
  files.set("uplot.css", readFileSync(path.join(modules, "uplot/dist/uPlot.min.css")));
  for (const name of PACKAGES) {
    const licence = `LICENSE-${name.replace("@", "").replace("/", "-")}.txt`;
    files.set(licence, readFileSync(path.join(modules, name, "LICENSE")));
  }
  const sums = [...files].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`);
  files.set(
    "SHA256SUMS",
    Buffer.from(sums.sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join("")),
  );
  return files;
}

async function bundle(contents, names) {
  const banner = names.map((name) => `${name} ${version(name)}, MIT`).join("; ");
  const result = await build({
    stdin: { contents, resolveDir: here },
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "inline",
    banner: { js: `// ${banner}. Made by tools/vendor.mjs; licences beside it.` },
    write: false,
  });
  return Buffer.from(result.outputFiles[0].contents);
}

function version(name) {
  return JSON.parse(readFileSync(path.join(modules, name, "package.json"), "utf8")).version;
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function committed(file) {
  try {
    return readFileSync(file);
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

function fail(why) {
  console.error(
    `assets/vendor: ${why}; run node sequencer/page/tools/vendor.mjs and read the change`,
  );
  process.exitCode = 1;
}
