// The page's files with the headers of the crate, read from the crate itself: what is tried here is
// what is served.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const assets = path.join(here, "..", "assets");
const artefact = path.join(here, "../../../l1-contracts/artifacts/Settlement.json");
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

const source = readFileSync(path.join(here, "../src/lib.rs"), "utf8").replace(/\\\n\s*/g, "");
const table = source.slice(source.indexOf("pub const HEADERS"), source.indexOf("];"));
const pairs = [...table.matchAll(/\(\s*"([a-z-]+)",\s*"([^"]+)",?\s*\)/g)];

/** Headers of every answer, name and value in turn. */
export const headers = pairs.flatMap(([, name, value]) => [name, value]);

/** Type and bytes of an asset; `undefined` if there is none of this path. */
export function readAsset(pathname) {
  if (pathname === "/contract.json") {
    return { type: "application/json", body: readFileSync(artefact) };
  }
  const file = path.join(assets, pathname === "/" ? "index.html" : path.normalize(pathname));
  try {
    const type = types[path.extname(file)] ?? "application/octet-stream";
    return { type, body: readFileSync(file) };
  } catch (error) {
    if (["ENOENT", "EISDIR", "ENOTDIR"].includes(error.code)) return undefined;
    throw error;
  }
}
