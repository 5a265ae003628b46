// The public inputs of both statements (SPEC.md section 7): their order alone says which is which.

export const C1_INPUTS = [
  "rootIn",
  "rootOut",
  "t0",
  "t1",
  "timeIn",
  "timeOut",
  "domain",
  "sigDomain",
  "registrar",
  "operations",
  "enrolments",
  "operationsRoot",
];
export const C2_INPUTS = [
  "root",
  "t0",
  "t1",
  "claimsRoot",
  "access",
  "collect",
  "breakGlass",
  "excluded",
  "edgeIn",
  "edgeOut",
  "positionIn",
  "positionOut",
  "domain",
];

/** The values of named inputs in the order of one of the lists. */
export function inOrder(names, values) {
  return names.map((name) => {
    if (values[name] === undefined) throw new RangeError(`expected the public input ${name}`);
    return BigInt(values[name]);
  });
}
