// Checks the report of `sequencer demo --json`: the last line of the file that is named.
import { readFileSync } from "node:fs";

const report = JSON.parse(readFileSync(process.argv[2], "utf8").trimEnd().split("\n").at(-1));
const at = (path) => path.split(".").reduce((value, key) => value?.[key], report);

const counts = ["patients", "gateways", "readings_acked", "frames_acked", "receipts_verified"];
counts.push("claims.access", "claims.collect", "claims.break_glass", "operations");
counts.push("batches_settled", "proofs_verified", "gas_total");
counts.push(...["c1-17", "c2-17", "c2-17-2", "c2-17-1"].map((shape) => `constraints.${shape}`));
const wrong = counts.filter((path) => !(Number.isInteger(at(path)) && at(path) > 0));

const present = (value) => value != null && value !== "" && JSON.stringify(value) !== "{}";
const others = ["refused.by_rule", "seconds", "auditor.verdict"];
others.push("auditor.first_broken_after_tamper");
wrong.push(...others.filter((path) => !present(at(path))));

if (at("auditor.verdict") !== "holds") wrong.push("auditor.verdict: expected holds");
if (!(at("batches_settled") >= 3)) wrong.push("batches_settled: expected at least 3");

const found = (path) => JSON.stringify(at(path.split(":")[0]));
for (const path of wrong) console.error(`demo: ${path}, found ${found(path)}`);
process.exit(wrong.length === 0 ? 0 : 1);
