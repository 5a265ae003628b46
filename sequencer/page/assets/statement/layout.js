// What the leaves of a chunk are, by the shape that its key proves (`statement::batch::layout`).

/** Which statement a proof is of. */
export const Circuit = Object.freeze({ C1: 1, C2: 2 });

const operations = (rows) => Object.freeze({ circuit: Circuit.C1, rows, leaves: rows });
const claims = (slots, claimsPerSlot) =>
  Object.freeze({
    circuit: Circuit.C2,
    slots,
    claimsPerSlot,
    leaves: slots * (claimsPerSlot + 1),
  });

/** Every shape that there is, by name. */
export const SHAPES = new Map([
  ["c1-test", operations(1)],
  ["c1-17", operations(8)],
  ["c2-test", claims(1, 4)],
  ["c2-test-1", claims(1, 1)],
  ["c2-17", claims(12, 4)],
  ["c2-17-2", claims(15, 2)],
  ["c2-17-1", claims(18, 1)],
]);
