// What several tests read.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fromHex } from "../assets/statement/bytes.js";

/** A file of the repository, as JSON. */
export function readJson(path) {
  return JSON.parse(readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8"));
}

/** Decimal text as words. */
export function words(list) {
  return list.map(BigInt);
}

/** The sentence of what is broken, or null; anything else that is thrown goes on. */
export function sentence(act) {
  try {
    act();
    return null;
  } catch (error) {
    if (error.name === "Broken") return error.message;
    throw error;
  }
}

/** What an act is refused with. */
export const failure = async (act) => {
  try {
    await act();
  } catch (error) {
    return error;
  }
  return assert.fail("expected an error");
};

export { fromHex };
