// Serves the page on loopback for whoever works on it, with the headers of the crate, and proxies
// the chain's nodes and the node's files. For trying out: programs mount the crate `page`.
//
//   node sequencer/page/tools/serve.mjs --rpc URL [--rpc URL] --data URL --deployment FILE
//        [--trust operator|verifier|wallet] [--port 8090]
//
// `--break N:AT` changes byte AT of the public file of batch N on its way, to see it named.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = path.dirname(fileURLToPath(import.meta.url));
const assets = path.join(here, "..", "assets");
const artefact = path.join(here, "../../../l1-contracts/artifacts/Settlement.json");
const { values } = parseArgs({
  options: {
    rpc: { type: "string", multiple: true },
    data: { type: "string" },
    deployment: { type: "string" },
    trust: { type: "string", default: "operator" },
    port: { type: "string", default: "8090" },
    break: { type: "string" },
  },
});
const [brokenBatch, brokenAt] = (values.break ?? "").split(":").map(Number);

// From the crate itself, so that what is tried is what is served.
const source = readFileSync(path.join(here, "../src/lib.rs"), "utf8").replace(/\\\n\s*/g, "");
const table = source.slice(source.indexOf("pub const HEADERS"), source.indexOf("];"));
const headers = [...table.matchAll(/\(\s*"([a-z-]+)",\s*"([^"]+)",?\s*\)/g)].map(([, k, v]) => [
  k,
  v,
]);
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

createServer(async (request, response) => {
  try {
    const { status = 200, type, body } = await answer(request);
    response.writeHead(status, [...headers, ["content-type", type]].flat());
    response.end(body);
  } catch (error) {
    const status = error.code === "ENOENT" ? 404 : 502;
    response.writeHead(status, headers.flat());
    response.end(JSON.stringify({ error: status === 404 ? "path-unknown" : "unreachable" }));
  }
}).listen(Number(values.port), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${values.port}/ shown as ${values.trust}`);
});

async function answer(request) {
  const { pathname } = new URL(request.url, "http://127.0.0.1");
  const json = "application/json";
  if (pathname === "/page.json") {
    const served = { schema: 1, trust: values.trust, chains: values.rpc.length };
    return { type: json, body: JSON.stringify(served) };
  }
  if (pathname === "/deployment.json") return { type: json, body: readFileSync(values.deployment) };
  if (pathname === "/contract.json") return { type: json, body: readFileSync(artefact) };
  if (pathname.startsWith("/chain/")) return await proxyChain(request, Number(pathname.slice(7)));
  if (pathname.startsWith("/batches")) return await proxyData(pathname);
  const file = path.join(assets, pathname === "/" ? "index.html" : path.normalize(pathname));
  return {
    type: types[path.extname(file)] ?? "application/octet-stream",
    body: readFileSync(file),
  };
}

async function proxyChain(request, number) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const answer = await fetch(values.rpc[number - 1], {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: Buffer.concat(parts),
  });
  const body = Buffer.from(await answer.arrayBuffer());
  return { status: answer.status, type: "application/json", body };
}

async function proxyData(pathname) {
  const answer = await fetch(new URL(pathname, values.data));
  const body = Buffer.from(await answer.arrayBuffer());
  if (pathname === `/batches/${brokenBatch}`) body[brokenAt] ^= 1;
  return { status: answer.status, type: answer.headers.get("content-type"), body };
}
