// The page as a program serves it, of the chain and the node that tests play (tests/played.mjs).

import { createServer } from "node:http";
import { play } from "../../tests/played.mjs";
import { headers, readAsset } from "../assets.mjs";

/** A server of the page on a free port. */
export async function serve(options) {
  const { fetch, state } = play(options);
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://127.0.0.1");
    const asset = readAsset(pathname);
    if (asset !== undefined) {
      response.writeHead(200, [...headers, "content-type", asset.type]);
      return void response.end(asset.body);
    }
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = parts.length === 0 ? undefined : Buffer.concat(parts).toString();
    const answer = await fetch(pathname, { body });
    const type = answer.headers.get("content-type") ?? "application/octet-stream";
    response.writeHead(answer.status, [...headers, "content-type", type]);
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${server.address().port}/`;
  return { url, state, close: () => server.close() };
}
