// A batch as one file: the page that was published for it, and behind it, as its last line, what
// the worker read. Whoever is given the file can so hash all of it but the data.

import { fetchBytes } from "./fetch.js";
import { offer } from "./offer.js";

const TEMPLATE_BYTES_MAX = 4 * 1024 * 1024;
/** Of the page that belongs to this one, by tools/saved.mjs: an old one may be cached. */
const TEMPLATE_SHA256 = "a9f6fd29513b457907decacbdefcaecf253b2d961709b4b6f38f531bd9964b07";

/**
 * Has the batch of a row read for it, and hands the file to the browser. Gives its name and length,
 * and whether the file of the batch before is not in it.
 */
export async function saveFile({ asker, tell, signal }, { number, hash }) {
  const asked = { number, hash, savedAt: Date.now() };
  const { text, isAlone } = await asker.ask("save", asked, tell, signal);
  const template = await fetchBytes("/saved.html", { bytesMax: TEMPLATE_BYTES_MAX });
  if ((await sha256(template)) !== TEMPLATE_SHA256) {
    throw new Error("the server has another page for saved batches than this page: reload it");
  }
  const blob = new Blob([template, text, "\n"], { type: "text/html" });
  const name = `vitals-batch-${number}-${hash.slice(2, 10)}.html`;
  offer(blob, name);
  return { name, length: blob.size, isAlone };
}

async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
