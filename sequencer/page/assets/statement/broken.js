// What a check can find. Items, places and sentences are those of the auditor, so that a file which
// it refuses is refused here by the same name.

import { toHex } from "./bytes.js";
import { showWord } from "./field.js";

/** The first thing that does not hold. */
export class Broken extends Error {
  constructor({ batch, item, expected, found }) {
    const place = batch === undefined ? "" : `batch ${batch}, `;
    super(`${place}${item}: expected ${expected}, found ${found}`);
    Object.assign(this, { name: "Broken", batch, item, expected, found });
  }
}

/** The thing that is looked at, as precisely as it can be named. */
export const item = Object.freeze({
  deployment: (part) => `deployment, ${part}`,
  key: (shape, part) => `key ${shape}, ${part}`,
  header: (part) => `header, ${part}`,
  file: (part) => `public file, ${part}`,
  total: (list, part) => `all ${list} chunks, ${part}`,
  chunk: (list, chunk, part) => `${list} chunk ${chunk}, ${part}`,
  leaf: (list, chunk, leaf) =>
    list === "operations"
      ? `operations chunk ${chunk}, row ${leaf}`
      : `claims chunk ${chunk}, leaf ${leaf}`,
  group: (index, part) => `journal group at index ${index}, ${part}`,
  journal: (part) => `journal, ${part}`,
  head: (part) => `contract head, ${part}`,
  savedHeader: "saved header",
});

/** Compares as text: numbers in decimal, hashes in hex. The error shows both sides. */
export function equal(batch, what, expected, found) {
  const [left, right] = [show(expected), show(found)];
  if (left !== right) throw new Broken({ batch, item: what, expected: left, found: right });
}

/** A word that is shown as 32 bytes. */
export function equalWords(batch, what, expected, found) {
  equal(batch, what, showWord(expected), showWord(found));
}

function show(value) {
  return value instanceof Uint8Array ? toHex(value) : String(value);
}
