// Groth16 proofs and verifying keys over BN254 in the layout that the chain uses (EIP-197: the
// imaginary part of an Fq2 element comes first). The twin of `statement::proof`.

import { bn254 } from "../vendor/noble.js";
import { concat, toNumber } from "./bytes.js";
import { P } from "./field.js";
import { keccak } from "./hashes.js";

const { G1, G2, fields } = bn254;
const { Fp, Fp2, Fp12 } = fields;

export const PROOF_BYTES = 256;
/** Words before the first input point: alpha, beta, gamma, delta. */
const FIXED_WORDS = 2 + 3 * 4;
/** Words of alpha, beta and gamma: what all keys of a setup share. */
const SHARED_WORDS = 2 + 4 + 4;
/** Alpha of every development key: the ASCII bytes of "vitals-dev". Anybody forges under it. */
const DEV_ALPHA = 0x766974616c732d646576n;
/** The b of the twisted curve, as noble has it. */
const TWIST_B = G2.Point.CURVE().b;

/** Bytes or words that are no proof or no verifying key. Words are counted from zero. */
export class PointError extends Error {}

/** A proof that is not accepted. */
export class VerifyError extends Error {}

/** Reads the 256 bytes of a proof from anywhere: points on their curves and in their groups. */
export function decodeProof(bytes) {
  if (bytes.length !== PROOF_BYTES) throw wrongLength(PROOF_BYTES, bytes.length);
  const words = toWords(bytes);
  return { a: readG1(words, 0), b: readG2(words, 2), c: readG1(words, 6) };
}

/** Reads the words of a verifying key. More is asked of it: no point may be infinity. */
export function decodeKey(bytes) {
  const words = toWords(bytes);
  const shortest = FIXED_WORDS + 2;
  if (bytes.length % 64 !== 0 || words.length < shortest) {
    throw wrongLength(shortest * 32, bytes.length);
  }
  const key = {
    alpha: finite(readG1(words, 0), 0),
    beta: finite(readG2(words, 2), 2),
    gamma: finite(readG2(words, 6), 6),
    delta: finite(readG2(words, 10), 10),
    points: [],
    // Of the words as they came: with every coordinate reduced, they are its only form.
    id: keccak(bytes),
    shared: bytes.subarray(0, 32 * SHARED_WORDS),
  };
  for (let word = FIXED_WORDS; word < words.length; word += 2) {
    key.points.push(finite(readG1(words, word), word));
  }
  return key;
}

/** Number of public inputs, without the constant one. */
export function inputCount(key) {
  return key.points.length - 1;
}

/** Whether alpha is the public one or its negative, of which everybody knows as much. */
export function isDevInsecure(key) {
  return key.alpha.toAffine().x === G1.Point.BASE.multiply(DEV_ALPHA).toAffine().x;
}

/** Whether gamma is delta: then nothing keeps inputs and witness apart. */
export function gammaIsDelta(key) {
  return key.gamma.equals(key.delta);
}

/**
 * Checks a proof of public inputs (words, without the constant one) under a key:
 * e(-A, B) e(alpha, beta) e(inputs, gamma) e(C, delta) = 1, four pairs and one exponentiation.
 *
 * One proof at a time, as the auditor does: a batch of several under random coefficients would be
 * sound as well, and could not say which of them is broken.
 */
export function verifyProof(key, inputs, proof) {
  if (inputs.length !== inputCount(key)) {
    throw new VerifyError(`expected ${inputCount(key)} public inputs, found ${inputs.length}`);
  }
  const bound = inputs.reduce(
    // No secret is here: the faster multiplication, whose time tells the number, tells nothing.
    (sum, input, at) => (input === 0n ? sum : sum.add(key.points[at + 1].multiplyUnsafe(input))),
    key.points[0],
  );
  const pairs = [
    { g1: proof.a.negate(), g2: proof.b },
    { g1: key.alpha, g2: key.beta },
    { g1: bound, g2: key.gamma },
    { g1: proof.c, g2: key.delta },
  ];
  // A pair with infinity is one, as for the precompile; noble refuses to compute it.
  const finitePairs = pairs.filter(({ g1, g2 }) => !g1.is0() && !g2.is0());
  if (!Fp12.eql(bn254.pairingBatch(finitePairs), Fp12.ONE)) {
    throw new VerifyError("the proof does not hold for these public inputs under this key");
  }
}

/** The key's words from the code of its account: a STOP byte, then the words. */
export function wordsOfCode(code) {
  const isKey = code.length > 1 && code[0] === 0 && (code.length - 1) % 32 === 0;
  return isKey ? code.subarray(1) : undefined;
}

function toWords(bytes) {
  return Array.from({ length: Math.floor(bytes.length / 32) }, (_, at) =>
    bytes.subarray(32 * at, 32 * at + 32),
  );
}

function isZero(words) {
  return concat(words).every((byte) => byte === 0);
}

function coordinate(words, at) {
  const number = toNumber(words[at]);
  // Refused and not reduced: x and x + p would be two forms of one proof.
  if (number < P) return number;
  throw new PointError(
    `word ${at}: expected a coordinate below the base field modulus, found a larger one`,
  );
}

function readG1(words, at) {
  if (isZero(words.slice(at, at + 2))) return G1.Point.ZERO;
  const [x, y] = [coordinate(words, at), coordinate(words, at + 1)];
  // The cofactor of G1 is one: on the curve is in the group.
  const isOnCurve = Fp.eql(Fp.sqr(y), Fp.add(Fp.mul(Fp.sqr(x), x), 3n));
  if (!isOnCurve) throw offCurve(at);
  return G1.Point.fromAffine({ x, y });
}

function readG2(words, at) {
  if (isZero(words.slice(at, at + 4))) return G2.Point.ZERO;
  const pair = (first) => {
    // Imaginary part last, as the native twin reads them: so both name the same word.
    const c0 = coordinate(words, first + 1);
    return { c0, c1: coordinate(words, first) };
  };
  const x = pair(at);
  const y = pair(at + 2);
  const isOnCurve = Fp2.eql(Fp2.sqr(y), Fp2.add(Fp2.mul(Fp2.sqr(x), x), TWIST_B));
  if (!isOnCurve) throw offCurve(at);
  const point = G2.Point.fromAffine({ x, y });
  // The pairing is defined on the subgroup only; the precompile refuses other points, too.
  if (point.isTorsionFree()) return point;
  throw new PointError(`the point that begins at word ${at} is not in the subgroup of order r`);
}

function finite(point, word) {
  if (!point.is0()) return point;
  throw new PointError(`the point of the verifying key that begins at word ${word} is infinity`);
}

function offCurve(word) {
  return new PointError(`the point that begins at word ${word} is not on its curve`);
}

function wrongLength(expected, found) {
  return new PointError(
    `expected ${expected} bytes (a key: or more, in whole points), found ${found}`,
  );
}
