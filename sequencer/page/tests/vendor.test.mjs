// The files of others are those that were read and pinned: by hash here, by making them anew in
// `tools/vendor.mjs --check`.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { blake3, keccak_256, sha256 } from "../assets/vendor/noble.js";
import { toHex } from "../assets/statement/bytes.js";

const vendor = new URL("../assets/vendor/", import.meta.url);
const bytesOf = (name) => readFileSync(new URL(name, vendor));

test("every file of others has the hash of the list, and the list names every one", () => {
  const lines = bytesOf("SHA256SUMS").toString().trimEnd().split("\n");
  const sums = new Map(lines.map((line) => line.split("  ").reverse()));
  const files = readdirSync(vendor).filter((name) => name !== "SHA256SUMS");
  assert.deepEqual([...sums.keys()].sort(), files.sort());
  for (const [name, sum] of sums) {
    assert.equal(createHash("sha256").update(bytesOf(name)).digest("hex"), sum, name);
  }
});

test("each says its packages, versions and licence", () => {
  const lock = JSON.parse(readFileSync(new URL("../tools/package-lock.json", import.meta.url)));
  const versionOf = (name) => lock.packages[`node_modules/${name}`].version;
  const banner = (file) => bytesOf(file).toString().split("\n", 1)[0];
  for (const name of ["@noble/curves", "@noble/hashes"]) {
    assert.ok(banner("noble.js").includes(`${name} ${versionOf(name)}, MIT`), name);
  }
  assert.ok(banner("uplot.js").includes(`uplot ${versionOf("uplot")}, MIT`));
});

test("the hashes are those of an independent implementation", () => {
  const text = new TextEncoder().encode("vitals");
  assert.equal(toHex(sha256(text)).slice(2), createHash("sha256").update(text).digest("hex"));
  // Of the empty string: from the Keccak and BLAKE3 teams' own vectors.
  const empty = new Uint8Array(0);
  assert.equal(
    toHex(keccak_256(empty)),
    "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
  );
  assert.equal(
    toHex(blake3(empty)),
    "0xaf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
  );
});
