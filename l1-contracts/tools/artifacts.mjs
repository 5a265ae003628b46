// Trims forge's output to what a deployer and an ABI binding need. `--check` compares instead.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import path from "node:path";

const NAMES = ["Settlement", "KeyCode"];
const home = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

function trimmed(name) {
  const file = path.join(home, "out", name + ".sol", name + ".json");
  const whole = JSON.parse(readFileSync(file, "utf8"));
  const compiler = JSON.parse(whole.rawMetadata ?? "{}").compiler?.version;
  if (!compiler) throw new Error(name + ": no compiler version in forge's output; run forge build");
  const artifact = {
    contractName: name,
    compiler,
    abi: whole.abi,
    bytecode: { object: whole.bytecode.object },
    deployedBytecode: { object: whole.deployedBytecode.object },
  };
  return JSON.stringify(artifact, null, 1) + "\n";
}

function committed(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return "";
    throw error;
  }
}

const check = process.argv.includes("--check");
mkdirSync(path.join(home, "artifacts"), { recursive: true });
for (const name of NAMES) {
  const file = path.join(home, "artifacts", name + ".json");
  const text = trimmed(name);
  if (!check) {
    writeFileSync(file, text);
  } else if (committed(file) !== text) {
    console.error(`artifacts/${name}.json is not what the sources compile to; run npm run build`);
    process.exitCode = 1;
  }
}
