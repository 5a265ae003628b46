// What was found of batches counts only of the batches that it was found of: a reorganisation, or
// another deployment behind the same address, puts others in their places.

/** What tells a settled batch from another one in its place. */
const IDENTITY = ["hash", "transaction", "blockHash"];

/** Whether the chain has a row's batch: of any other row there is the node's word alone. */
export function isSettled({ state }) {
  return state === "mined" || state === "final";
}

/** Whether something was found of the batch that stands in this row now. */
export function isOf(found, row) {
  return IDENTITY.every((name) => found[name] !== undefined && found[name] === row?.[name]);
}

/**
 * Numbers of rows of which nothing holds any more, because another batch or none stands there now
 * (`replaced`), and of those that are to be described anew (`changed`).
 */
export function compareRows(before, rows) {
  const found = { replaced: [], changed: [] };
  for (const row of before) {
    const now = rows[row.number - 1];
    const isSame = isSettled(row) ? isOf(row, now) : now !== undefined && !isSettled(now);
    if (!isSame) found.replaced.push(row.number);
    if (now?.state !== row.state || !isSame) found.changed.push(row.number);
  }
  return found;
}

/** What a report comes to, of the row that stands there when it is done. */
export function conclude(report, row) {
  if (!isOf(report, row)) return { outcome: "away", fault: MOVED };
  const outcome = report.unlinked === undefined ? "good" : "alone";
  return { outcome, report, compared: report.compared };
}

const MOVED = Object.freeze({
  name: "ChainError",
  kind: "moved",
  message: "the batch was replaced on the chain while it was checked: what was found is of another",
});
