// The two calls forge makes of a native compiler, answered by the npm package `solc` (WebAssembly).
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(import.meta.url)("solc");
const args = process.argv.slice(2);

if (args.includes("--version")) {
  console.log("solc, the solidity compiler commandline interface");
  console.log("Version: " + solc.version());
} else if (args.includes("--standard-json")) {
  // forge puts the text of every source into its request, so there is nothing to import.
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
  console.error("solc: expected --version or --standard-json, found: " + args.join(" "));
  process.exit(2);
}
