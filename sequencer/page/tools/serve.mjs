// Serves the page on loopback for whoever works on it, with the headers of the crate, and proxies
// the chain's nodes and the node's files. For trying out: programs mount the crate `page`.
//
//   node sequencer/page/tools/serve.mjs --rpc URL [--rpc URL] --data URL --deployment FILE
//        [--trust operator|verifier|wallet] [--port 8090]
//
// `--break N:AT` changes byte AT of the public file of batch N on its way, to see it named.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { headers, readAsset } from "./assets.mjs";

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
const json = "application/json";

createServer(async (request, response) => {
  try {
    const { status = 200, type, body } = await answer(request);
    response.writeHead(status, [...headers, "content-type", type]);
    response.end(body);
  } catch {
    response.writeHead(502, [...headers, "content-type", json]);
    response.end(JSON.stringify({ error: "unreachable" }));
  }
}).listen(Number(values.port), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${values.port}/ shown as ${values.trust}`);
});

async function answer(request) {
  const { pathname, search } = new URL(request.url, "http://127.0.0.1");
  if (pathname === "/page.json") {
    const desk = values.trust === "operator" ? { desk: true } : {};
    const served = { schema: 1, trust: values.trust, chains: values.rpc.length, ...desk };
    return { type: json, body: JSON.stringify(served) };
  }
  if (pathname === "/nodes.json") {
    const nodes = values.rpc.map((rpc) => new URL(rpc).origin);
    return { type: json, body: JSON.stringify({ schema: 1, nodes }) };
  }
  if (pathname === "/deployment.json") return { type: json, body: readFileSync(values.deployment) };
  if (pathname.startsWith("/chain/")) return await proxyChain(request, Number(pathname.slice(7)));
  if (pathname.startsWith("/batches")) return await proxyData(pathname);
  if (pathname === "/desk") return await proxyData(pathname + search);
  const missing = { status: 404, type: json, body: JSON.stringify({ error: "path-unknown" }) };
  return readAsset(pathname) ?? missing;
}

async function proxyChain(request, number) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const answer = await fetch(values.rpc[number - 1], {
    method: "POST",
    headers: { "content-type": json },
    body: Buffer.concat(parts),
  });
  const body = Buffer.from(await answer.arrayBuffer());
  return { status: answer.status, type: json, body };
}

async function proxyData(pathname) {
  const answer = await fetch(new URL(pathname, values.data));
  const body = Buffer.from(await answer.arrayBuffer());
  if (pathname === `/batches/${brokenBatch}`) body[brokenAt] ^= 1;
  return { status: answer.status, type: answer.headers.get("content-type"), body };
}
