// Writes operations.json from circomlibjs 0.1.7, by the text of SPEC.md section 5 alone: what a
// wallet in a browser signs.
//
//   cd "$(mktemp -d)" && npm init -y && npm install circomlibjs@0.1.7
//   cp <repository>/circuits/vectors/operations.mjs . && node operations.mjs > operations.json
//
// Field elements and numbers are decimal strings, byte strings are hex.
import { buildBabyjub, buildEddsa, buildPoseidonReference } from "circomlibjs";

const poseidon = await buildPoseidonReference();
const eddsa = await buildEddsa();
const babyjub = await buildBabyjub();
const F = babyjub.F;
const P = (tag, ...words) => poseidon.F.toObject(poseidon(words, BigInt(tag)));
const TAG = { KeyHash: 6, Operation: 7, OperationLeaf: 8, Rule: 9 };
const hex = (buffer) => Buffer.from(buffer).toString("hex");
const text = (value) =>
  JSON.parse(JSON.stringify(value, (_, v) => (typeof v === "bigint" ? v.toString(10) : v)));

const sig_domain = 77n;
const time = 4_002_000_000_000n;
const t_op = time + 2_000n;
const salt = 99n;
const patient = Buffer.alloc(32, 1);
const registrar = Buffer.alloc(32, 2);
const keyHash = (secret) => {
  const key = eddsa.prv2pub(secret);
  return P(TAG.KeyHash, F.toObject(key[0]), F.toObject(key[1]));
};

const rule = (kinds) =>
  0xffffffffn | (0xffffn << 32n) | (kinds << 48n) | (0xffn << 52n) |
  ((time - 9_000n) << 60n) | ((time + 500_000n) << 108n) | (((1n << 44n) - 1n) << 204n);
const permit = [900n, 0x616e79n, rule(3n)];
const policy = [900n, 0x616e79n, rule(4n)];
const enrolment = [keyHash(patient), 31n, 32n];

function operation(name, secret, kind, slot, nonce, words) {
  const [index, signed_at, valid_until] = [0o12345670n, time - 50n, time + 30_000n];
  const head = kind | (slot << 4n) | (signed_at << 8n) | (valid_until << 56n);
  const argument = P(TAG.Rule, ...words);
  const message = P(TAG.Operation, sig_domain, index, nonce, head, argument);
  const signature = eddsa.signPoseidon(secret, F.e(message));
  return {
    name, index, kind, slot, nonce, signed_at, valid_until, words, head, argument, message,
    leaf: P(TAG.OperationLeaf, message, t_op, salt),
    signer: hex(babyjub.packPoint(eddsa.prv2pub(secret))),
    signature: hex(eddsa.packSignature(signature)),
  };
}

const operations = [
  operation("enrol", registrar, 1n, 0n, 0n, enrolment),
  operation("permit", patient, 2n, 1n, 5n, permit),
  operation("deny", patient, 3n, 10n, 5n, permit),
  operation("policy", patient, 4n, 13n, 5n, policy),
  operation("revoke", patient, 5n, 0n, 5n, permit),
  operation("stop", patient, 6n, 0n, 5n, [0n, 0n, 0n]),
];
const vectors = {
  source: "circomlibjs 0.1.7, made by operations.mjs", sig_domain, t_op, salt, operations,
};
console.log(JSON.stringify(text(vectors), null, 1));
process.exit(0);
