// Writes primitives.json from circomlibjs 0.1.7, the implementation that wallets use.
//
//   cd "$(mktemp -d)" && npm init -y && npm install circomlibjs@0.1.7
//   cp <repository>/circuits/vectors/make.mjs . && node make.mjs > primitives.json
//
// Inputs come from SHA-256 of a counter, so that two runs write equal files. Field elements are
// decimal strings, byte strings are hex.
import { createHash } from "node:crypto";
import createBlakeHash from "blake-hash";
import { buildBabyjub, buildEddsa, buildPoseidonReference } from "circomlibjs";

const modulus = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;
const suborder = 2736030358979909402780800718157159386076813972158567259200215660948447373041n;

let counter = 0;
const bytes = () => createHash("sha256").update(`primitives ${counter++}`).digest();
const element = () => BigInt("0x" + bytes().toString("hex")) % modulus;
const hex = (buffer) => Buffer.from(buffer).toString("hex");
const text = (n) => n.toString(10);

const reference = await buildPoseidonReference();
const eddsa = await buildEddsa();
const babyjub = await buildBabyjub();
const F = babyjub.F;
const point = (p) => ({ x: text(F.toObject(p[0])), y: text(F.toObject(p[1])) });

function poseidonCases() {
  const cases = [];
  for (let width = 2; width <= 17; width++) {
    const arity = width - 1;
    const inputs = [
      Array.from({ length: arity }, () => 0n),
      Array.from({ length: arity }, (_, i) => BigInt(i + 1)),
      Array.from({ length: arity }, () => modulus - 1n),
      Array.from({ length: arity }, element),
    ];
    for (const list of inputs) {
      for (const tag of [0n, 7n]) {
        const output = reference.F.toObject(reference(list, tag));
        cases.push({ tag: text(tag), inputs: list.map(text), output: text(output) });
      }
    }
  }
  return cases;
}

function blakeCases() {
  return [0, 1, 32, 64, 110, 111, 112, 127, 128, 129, 300].map((length) => {
    const input = Buffer.alloc(length, (length * 7 + 1) & 0xff);
    return { input: hex(input), digest: createBlakeHash("blake512").update(input).digest("hex") };
  });
}

const wordLe = (n) => {
  const buffer = Buffer.alloc(32);
  for (let i = 0; i < 32; i++) buffer[i] = Number((n >> BigInt(8 * i)) & 0xffn);
  return buffer;
};

function signatureCases() {
  const secrets = [Buffer.alloc(32), Buffer.alloc(32, 0xff), bytes(), bytes(), bytes(), bytes()];
  const cases = [];
  for (const secret of secrets) {
    const key = eddsa.prv2pub(secret);
    for (const message of [0n, modulus - 1n, element()]) {
      const signature = eddsa.signPoseidon(secret, F.e(message));
      if (!eddsa.verifyPoseidon(F.e(message), signature, key)) throw new Error("own signature");
      cases.push({
        secret: hex(secret),
        key: { ...point(key), packed: hex(babyjub.packPoint(key)) },
        message: text(message),
        signature: {
          r8: point(signature.R8),
          s: text(signature.S),
          packed: hex(eddsa.packSignature(signature)),
        },
      });
    }
  }
  return cases;
}

// Signs over the challenge plus the modulus, for the first message from `from` on where that has
// 254 bits: S grows by the modulus times the key's scalar.
function overSecondForm(secret, from) {
  const key = eddsa.prv2pub(secret);
  const hash = createBlakeHash("blake512").update(Buffer.from(secret)).digest();
  const pruned = eddsa.pruneBuffer(hash.slice(0, 32));
  const scalar = BigInt("0x" + Buffer.from(pruned).reverse().toString("hex"));
  for (let message = from; ; message++) {
    const good = eddsa.signPoseidon(secret, F.e(message));
    const words = [...good.R8, ...key].map((x) => F.toObject(x));
    const challenge = reference.F.toObject(reference([...words, message], 0n));
    if (challenge + modulus >= 1n << 254n) continue;
    return [message, { ...good, S: (good.S + modulus * scalar) % suborder }];
  }
}

// Each case changes one thing of a good signature; circomlibjs must say no.
function rejectedSignatures() {
  const secret = bytes();
  const message = element();
  const key = eddsa.prv2pub(secret);
  const good = eddsa.signPoseidon(secret, F.e(message));
  const otherKey = eddsa.prv2pub(bytes());
  const negated = [F.neg(good.R8[0]), good.R8[1]];
  const cases = [
    ["another message", message + 1n, good, key],
    ["another key", message, good, otherKey],
    ["S plus one", message, { ...good, S: (good.S + 1n) % suborder }, key],
    ["S negated", message, { ...good, S: suborder - good.S }, key],
    ["R8 negated", message, { ...good, R8: negated }, key],
    ["R8 of the base point", message, { ...good, R8: babyjub.Base8 }, key],
    ["over the second form of the challenge", ...overSecondForm(secret, message), key],
  ];
  return cases.map(([why, m, signature, public_]) => {
    if (eddsa.verifyPoseidon(F.e(m), signature, public_)) throw new Error(`accepted: ${why}`);
    return {
      why,
      message: text(m),
      key: hex(babyjub.packPoint(public_)),
      signature: hex(eddsa.packSignature(signature)),
    };
  });
}

// Encodings that a checked decode must refuse, with the reason.
function rejectedKeys() {
  const low = babyjub.mulPointEscalar(babyjub.Generator, suborder);
  const mixed = babyjub.addPoint(babyjub.Base8, low);
  const minusOne = modulus - 1n;
  let off = 2n;
  const onCurve = (y) => babyjub.unpackPoint(wordLe(y)) !== null;
  while (onCurve(off)) off++;
  const good = Buffer.from(babyjub.packPoint(babyjub.Base8));
  const goodY = F.toObject(babyjub.Base8[1]);
  if (goodY + modulus >= 1n << 255n) throw new Error("no alias of the base point");
  return [
    ["the identity", wordLe(1n)],
    ["the point of order two", wordLe(minusOne)],
    ["a point of low order", babyjub.packPoint(low)],
    ["a point outside the subgroup", babyjub.packPoint(mixed)],
    ["no point has this y", wordLe(off)],
    ["y not reduced", wordLe(goodY + modulus)],
    ["y is the modulus", wordLe(modulus)],
    ["the identity with a sign", Buffer.from([...wordLe(1n).slice(0, 31), 0x80])],
    ["all ones", Buffer.alloc(32, 0xff)],
    ["bit 254 of y set", Buffer.from([...good.slice(0, 31), good[31] ^ 0x40])],
  ].map(([why, packed]) => ({ why, packed: hex(packed) }));
}

const vectors = {
  source: "circomlibjs 0.1.7, made by make.mjs",
  poseidon: poseidonCases(),
  blake512: blakeCases(),
  signatures: signatureCases(),
  rejected_signatures: rejectedSignatures(),
  rejected_keys: rejectedKeys(),
};
process.stdout.write(JSON.stringify(vectors, null, 1) + "\n");
process.exit(0);
