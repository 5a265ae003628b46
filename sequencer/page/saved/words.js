// What a saved page says of itself. It recomputes all of a batch and asks no chain: each sentence
// keeps the two apart.

import { count, plural, time } from "../assets/text.js";

export const READING_FILE = "Reading what this file holds ...";
export const BEHIND_DATA =
  "there is something behind the data of this file that is not of it: whatever it says, it was " +
  "not recomputed. Use this file for nothing";
export const NOT_IN_FILE = "this file does not hold the header of its batch: it was changed";
export const BROKEN =
  "What this file holds of the chain is not what its deployment file says, or contradicts itself. " +
  "Trust no word of it.";
export const UNREADABLE =
  "Ask whoever gave it to you for it again, or check the batch by the program auditor.";

export const title = ({ number }) =>
  number === undefined ? "A saved batch" : `Batch ${number}, as it was saved`;

/** What stands over the notice that comes first. */
export const noticeTitle = "What this file shows, and what only the chain can";

/** Recomputed here; by whose word the rest is; and what a fingerprint is for. */
export function explain({ saved, overview, detail }) {
  const { savedAt, nodes } = saved;
  const headers = plural(overview.settledCount, "header");
  return [
    "Everything about this batch is recomputed by this file in your browser, from what it holds: " +
      `the deployment, the contract's code, the verifying keys, ${headers} from the first on, ` +
      "the public file with its leaves, counters and journal, and each proof. It asks nobody.",
    `That the chain said so, only the chain can show. By the word of whoever saved this file it ` +
      `was read on ${time(savedAt)} from ${nodes.join(" and ")}, at block ` +
      `${count(overview.head.block)} of ${time(overview.head.time)}; this batch settled in block ` +
      `${count(detail.block)}, ${detail.blockHash}, of ${time(detail.blockTime)}.`,
    "What is below is therefore called recomputed and never more, also under the right " +
      "fingerprint: it says which deployment is meant, and not that this header is on its chain. A " +
      "file about the real deployment can be made up. Ask a node of the chain that you trust:",
  ];
}

/** Commands that ask the chain again: all of it, and this header alone. */
export function checkAgain({ overview, detail }) {
  const receipt = {
    jsonrpc: "2.0",
    id: 1,
    method: "eth_getTransactionReceipt",
    params: [detail.transaction],
  };
  return [
    [
      "Everything, with the deployment file and the batch files from wherever they are to be had:",
      "auditor verify --rpc https://YOUR-NODE --deployment deployment.json --data DATA " +
        `--fingerprint ${overview.fingerprint}`,
    ],
    [
      `This header alone: the answer has blockHash ${detail.blockHash}, and a log of ` +
        `${overview.contract} whose last topic is the header hash ${detail.hash}.`,
      `curl -H 'content-type: application/json' -d '${JSON.stringify(receipt)}' https://YOUR-NODE`,
    ],
  ];
}
