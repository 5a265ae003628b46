// Writes records.json and inputs.json from circomlibjs 0.1.7 and js-sha3 0.8.0, by the text of
// SPEC.md alone: a second reading of sections 3 to 8.
//
//   cd "$(mktemp -d)" && npm init -y && npm install circomlibjs@0.1.7 js-sha3@0.8.0
//   cp <repository>/circuits/vectors/records.mjs .
//   node records.mjs <repository>/circuits/vectors
//
// Field elements and numbers are decimal strings, bytes are hex.
import { writeFileSync } from "node:fs";
import { buildPoseidonReference } from "circomlibjs";
import sha3 from "js-sha3";

const modulus = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;
const poseidon = await buildPoseidonReference();
const P = (tag, ...words) => poseidon.F.toObject(poseidon(words, BigInt(tag)));
const TAG = {
  RuleGroupA: 2, RuleGroupB: 3, RecordLeaf: 4, Identity: 5, Rule: 9, Claim: 10, ClaimsNode: 11,
  SlotTag: 13, Edge: 15, ClaimSalt: 17, Actor: 18,
};
const ANY = 0x616e79n;
const FOREVER = (1n << 44n) - 1n;
const text = (value) =>
  JSON.parse(JSON.stringify(value, (_, v) => (typeof v === "bigint" ? v.toString(10) : v)));

// ---------------------------------------------------------------- records

const pack = (r) =>
  r.categories | (r.purposes << 32n) | (r.kinds << 48n) | (r.labels << 52n) |
  (r.access[0] << 60n) | (r.access[1] << 108n) | (r.data[0] << 156n) | (r.data[1] << 204n);
const words = (rule) => (rule ? [rule.actor, rule.source, pack(rule)] : [0n, 0n, 0n]);

const rule = (n) => ({
  actor: n % 3n ? 7000n + n : ANY,
  source: n % 2n ? ANY : 8000n + n,
  categories: n % 5n ? 0x80000401n + n : 0xffffffffn,
  purposes: n % 5n ? 0x8001n : 0xffffn,
  kinds: n < 12n ? 3n : 4n,
  labels: n % 4n ? 0x81n : 0xffn,
  access: n % 3n ? [1_000_000n + n, 9_000_000n] : [0n, FOREVER],
  data: n % 2n ? [0n, FOREVER] : [5n + n, (1n << 43n) + n],
});

function recordCase(record) {
  const rules = record.rules.map(words);
  const identity = P(
    TAG.Identity, record.key_hash, record.nonce, record.guardians, record.stop_authority,
    record.replaced_authority, record.recovery_key, record.recovery_state, record.forced_at,
    record.salt,
  );
  const group_a = P(TAG.RuleGroupA, ...rules.slice(0, 5).flat(), record.view_key);
  const group_b =
    P(TAG.RuleGroupB, ...rules.slice(5, 8).flat(), ...rules.slice(12).flat(), record.closed_at);
  const leaf = P(TAG.RecordLeaf, identity, group_a, group_b, ...rules.slice(8, 12).flat());
  const rule_hashes = rules.map((rule) => P(TAG.Rule, ...rule));
  return { record, identity, group_a, group_b, leaf, rule_hashes };
}

const empty = {
  key_hash: 11n, nonce: 0n, guardians: 0n, stop_authority: 0n, replaced_authority: 0n,
  recovery_key: 0n, recovery_state: 0n, forced_at: 0n, salt: 13n, view_key: 12n,
  closed_at: FOREVER, rules: Array(14).fill(null),
};
const full = {
  key_hash: modulus - 1n, nonce: 4294967295n, guardians: 21n, stop_authority: 22n,
  replaced_authority: 23n, recovery_key: 24n, recovery_state: 25n, forced_at: 26n, salt: 27n,
  view_key: modulus - 2n, closed_at: 3_000_000n,
  rules: Array.from({ length: 14 }, (_, n) => rule(BigInt(n))),
};
const some = { ...empty, nonce: 3n, rules: full.rules.map((rule, n) => (n % 3 ? null : rule)) };

// ---------------------------------------------------------------- claims

const claim = {
  patient: (1n << 24n) - 2n, kind: 2n, individual: 101n, organisation: 102n, group: 0n,
  source: ANY, categories: 0x80000001n, purpose: 6n, labels: 0x81n,
  receipt: [1_000_000n, 1_000_001n], measured: [0n, FOREVER], position: (1n << 64n) - 1n,
  digest: "ab".repeat(31),
};
const plain = {
  ...claim, patient: 5n, kind: 0n, group: 103n, source: 104n, purpose: 0n, position: 1n,
  measured: [7n, 9n],
};

function claimCase(claim, covered, salt) {
  const mask =
    claim.categories | (1n << (32n + claim.purpose)) | (1n << (48n + claim.kind)) |
    (claim.labels << 52n);
  const info =
    mask | (claim.patient << 60n) | (claim.position << 84n) | ((covered ? 1n : 0n) << 148n);
  const [r, m] = [claim.receipt, claim.measured];
  const times = r[0] | (r[1] << 48n) | (m[0] << 96n) | (m[1] << 144n);
  const leaf = P(
    TAG.Claim, claim.individual, claim.organisation, claim.group, claim.source, info, times,
    BigInt("0x" + claim.digest), salt,
  );
  return { claim, covered, salt, info, times, leaf };
}

// Every node of a list has the tag of its length.
const root16 = (node, leaves) => {
  const tag = BigInt(node) + 256n * BigInt(leaves.length);
  let level = leaves;
  do {
    const nodes = [];
    for (let i = 0; i < level.length; i += 16) nodes.push(P(tag, ...level.slice(i, i + 16)));
    level = nodes;
  } while (level.length > 1);
  return level[0];
};
const list = (length) => Array.from({ length }, (_, n) => BigInt(n % 7 ? n : 0));

const tags = [0n, modulus - 5n].map((edge_in) => ({
  view_key: 12n, domain: 77n, edge_in, patient: 16777215n, slot: 11n, count: 4n,
}));
const tagWord = (tag) => P(
  TAG.SlotTag, tag.view_key, (tag.domain + tag.edge_in) % modulus,
  tag.patient + (tag.slot << 24n) + (tag.count << 32n),
);
const salt = { view_key: 12n, domain: 78n, root_out: 79n, leaf: 4294967296n + 3n };
const edge = { patient: 16777215n, position: (1n << 64n) - 1n, salt: 5n };
// blake3 of the id, from the algorithm's own test vectors and those of b3sum.
const names = {
  "": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
  abc: "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
};
const actors = Object.entries(names).flatMap(([id, digest]) =>
  [1n, 2n, 3n, 4n].map((kind) => ({
    kind, id, word: P(TAG.Actor, kind, BigInt("0x" + digest.slice(0, 62))),
  })));

const records = {
  records: [empty, some, full].map(recordCase),
  claims: [claimCase(claim, true, 31n), claimCase(plain, false, modulus - 1n)],
  tags: tags.map((tag) => ({ ...tag, word: tagWord(tag) })),
  salts: [{ ...salt, word: P(TAG.ClaimSalt, ...Object.values(salt)) }],
  edges: [{ ...edge, word: P(TAG.Edge, edge.patient, edge.position, edge.salt) }],
  claims_roots: [1, 5, 16, 17, 60, 257].map((n) => ({
    leaves: list(n), root: root16(TAG.ClaimsNode, list(n)),
  })),
  actors,
};

// ---------------------------------------------------------------- inputs

const word = (n) => n.toString(16).padStart(64, "0");
const hex = (w) => (typeof w === "bigint" ? word(w) : w);
const keccak = (...words) => sha3.keccak256(Buffer.from(words.map(hex).join(""), "hex"));
const scope = { chain_id: 31337n, contract: "00000000000000000000000000000000005e771e" };
const at = [scope.chain_id, BigInt("0x" + scope.contract)];
const domain = (circuit, key_version, batch) => ({
  circuit, key_version, batch,
  domain: BigInt("0x" + keccak(...at, circuit, key_version, batch)) % modulus,
});
const label = sha3.keccak256("vitals operation v1");
const header = {
  number: 7n, previous: "01".repeat(32), t0: 1000n, t1: 2000n, root_in: 5n, root_out: modulus - 6n,
  forced_first: 0n, forced_count: 0n, forced_outcomes: "00".repeat(32),
  operations_root: "02".repeat(32), claims_root: "03".repeat(32), operations: 4n, enrolments: 1n,
  access: 10n, collect: 20n, break_glass: 1n, excluded: 2n, data_root: "04".repeat(32),
  journal_position: 999n, journal_hash: "05".repeat(32), registry_root: "00".repeat(32),
  data_source: 0n, ciphertext_hash: "06".repeat(32), ciphertext_length: 12n, key_version: 2n,
};
const roots = [1n, modulus - 1n, 3n];
const named = (names, first) => names.map((name, n) => ({ name, value: BigInt(first + n) }));
const inputs = {
  scope,
  domains: [domain(1n, 2n, 1n), domain(2n, 2n, 1n), domain(2n, 4294967295n, (1n << 64n) - 1n)],
  sig_domain: BigInt("0x" + keccak(label, ...at)) % modulus,
  genesis: { root: 7000001n, time: 4008988800000n, hash: keccak(...at, 7000001n, 4008988800000n) },
  header: { ...header, hash: keccak(2n, ...Object.values(header)) },
  chunk_roots: { roots, hash: keccak(...roots) },
  c1: named([
    "root_in", "root_out", "t0", "t1", "time_in", "time_out", "domain", "sig_domain", "registrar",
    "operations", "enrolments", "operations_root",
  ], 101),
  c2: named([
    "root", "t0", "t1", "claims_root", "access", "collect", "break_glass", "excluded", "edge_in",
    "edge_out", "position_in", "position_out", "domain",
  ], 201),
};

const folder = process.argv[2] ?? ".";
writeFileSync(`${folder}/records.json`, JSON.stringify(text(records), null, 1) + "\n");
writeFileSync(`${folder}/inputs.json`, JSON.stringify(text(inputs), null, 1) + "\n");
process.exit(0);
