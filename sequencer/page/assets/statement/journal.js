// The journal groups of a batch: in order, hashed one into the next, and up to the one that holds
// the close. Where the operator accepted a loss, numbers and positions jump, and that is counted.

import { Broken, equal, item } from "./broken.js";
import { BATCH_ENTRIES_MAX } from "./limits.js";
import { journalHash } from "./scope.js";
import { finish, step } from "./steps.js";

const U64_MAX = (1n << 64n) - 1n;
/** Groups between two steps: some tens of milliseconds. A file can hold a million. */
const GROUPS_A_STEP = 2048;

/** Gives the last group (`undefined` if the file before was not read) and the number of gaps. */
export function checkJournal(of, groups) {
  return finish(journalSteps(of, groups));
}

/** The same, step by step. */
export function* journalSteps({ previous, header }, groups) {
  const batch = header.number;
  let tail = previous.tail;
  let gaps = 0;
  let hash = previous.journalHash;
  for (const [index, group] of groups.entries()) {
    if (index % GROUPS_A_STEP === 0) yield step("journal", index, groups.length);
    gaps += checkPlace({ batch, tail, index, group }) ? 1 : 0;
    hash = journalHash(hash, group);
    tail = { group: group.number, last: group.last };
  }
  equal(batch, item.journal("hash after the groups"), header.journalHash, hash);
  checkClose({ header, groups, tail });
  return { tail, gaps };
}

/** A group follows the one before it, at once or after a gap; whether there is a gap. */
function checkPlace({ batch, tail, index, group }) {
  let isGap = false;
  // Without the predecessor's file its last group is unknown; the hash covers the rest.
  if (tail !== undefined) {
    const [number, first] = [after(tail.group), after(tail.last)];
    // A loss gives up numbers and positions together. One that jumps alone is none.
    const jumps = (next, found) => found > next && found - next < BATCH_ENTRIES_MAX;
    isGap = jumps(number, group.number) && jumps(first, group.first);
    if (!isGap) {
      equal(batch, item.group(index, "number"), number, group.number);
      equal(batch, item.group(index, "first position"), first, group.first);
    }
  }
  if (group.last < group.first) {
    throw new Broken({
      batch,
      item: item.group(index, "last position"),
      expected: `at least the first position ${group.first}`,
      found: group.last,
    });
  }
  return isGap;
}

/** The close is in the last group; without a group of its own, in the last one of before. */
function checkClose({ header, groups, tail }) {
  const close = header.journalPosition;
  const first = groups.length === 0 ? 0n : groups[groups.length - 1].first;
  // Without a group, and without the file before, nothing says where the last one ends.
  const last = tail === undefined ? U64_MAX : tail.last;
  // Not only the last position: entries of the next window may share the group.
  if (first <= close && close <= last) return;
  throw new Broken({
    batch: header.number,
    item: item.journal("last group"),
    expected: `a group that holds the close at position ${close}`,
    found: `positions ${first} to ${last}`,
  });
}

/** These are numbers of the file: the greatest has no successor. */
function after(number) {
  return number === U64_MAX ? number : number + 1n;
}
