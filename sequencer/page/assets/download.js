// A batch as one file: the page that was published for it, and behind it, as its last line, what
// the worker read. Whoever is given the file can so hash all of it but the data.

import { fetchBytes } from "./fetch.js";

const TEMPLATE_BYTES_MAX = 4 * 1024 * 1024;
/** The last line of the template: everything behind it is data. */
const DATA_BEGIN = '<script type="application/json" id="saved">\n';

/** Has the batch of a row read for it, and hands the file to the browser; its name and length. */
export async function saveFile(asker, { number, hash }) {
  const data = await asker.ask("save", { number, hash, savedAt: Date.now() });
  const template = new TextDecoder().decode(
    await fetchBytes("/saved.html", { bytesMax: TEMPLATE_BYTES_MAX }),
  );
  if (!template.endsWith(DATA_BEGIN)) throw new Error("the page for saved batches is another");
  const blob = new Blob([template, data, "\n"], { type: "text/html" });
  const name = `vitals-batch-${number}-${hash.slice(2, 10)}.html`;
  offer(blob, name);
  return { name, length: blob.size };
}

function offer(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name });
  link.click();
  // The browser has taken it by the next turn; what it holds would stay until the page is left.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
