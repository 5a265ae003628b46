// Every sentence that depends on who serves the page, on numbers or on times. The word *verified*
// stands only where the reader serves the page: an operator could have changed it.

import { parseFingerprint } from "./statement/spelling.js";

const COUNT = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const DAY = new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "short", day: "numeric" });

export const count = (number) => COUNT.format(number);
export const time = (ms) => TIME.format(ms);
export const clock = (ms) => CLOCK.format(ms);
export const plural = (number, one, many = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : many}`;

/** The span of a window: its times, and its day or both of them. */
export function span(from, until) {
  const times = `${CLOCK.format(from)} to ${CLOCK.format(until)}`;
  const days = [from, until].map((ms) => DAY.format(ms));
  return { times, day: days[0] === days[1] ? days[0] : `${days[0]} to ${days[1]}` };
}

/** A length of time in the unit that fits. */
export function length(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 120) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} days`;
}

export function bytes(number) {
  if (number < 10_000) return `${count(number)} bytes`;
  if (number < 1_000_000) return `${(number / 1000).toFixed(1)} kB`;
  return `${(number / 1_000_000).toFixed(1)} MB`;
}

const TRUSTS = {
  operator: {
    badge: "shown by this operator",
    word: "Agrees",
    mark: "agrees",
    who:
      "This operator, who serves this page and could have changed it. To depend on nobody, run " +
      "auditor serve or auditor verify on a machine of your own.",
  },
  verifier: {
    badge: "served on your own machine",
    word: "Verified",
    mark: "verified",
    who: "The program on your machine that serves this page.",
  },
  wallet: {
    badge: "served by your own wallet",
    word: "Agrees",
    mark: "agrees",
    who: "The program on your machine that serves this page.",
  },
  // Of a file the chain was not asked, so that nothing of it is verified, and nothing green.
  saved: {
    badge: "from a file: no chain is asked",
    word: "Recomputed",
    mark: "recomputed",
    who:
      "Whoever gave you this file: that the page in it is the one that was published, which its " +
      "hash shows.",
  },
};

/** What a page may say, by who serves it. */
export function trustOf(trust) {
  return TRUSTS[trust] ?? TRUSTS.operator;
}

export const STATES = {
  final: ["final", "settled in a block that no reorganisation takes back"],
  mined: ["mined", "settled on the chain; its block is not final yet"],
  sent: ["sent", "its transaction was given to the chain's node; the chain does not show it yet"],
  assembled: ["assembled", "the node has its file; it is not on the chain yet"],
  proving: ["proving", "its proofs are being made"],
  closed: ["closed", "its window has ended; it waits to be proven"],
  open: ["open", "what comes now goes into it"],
};

/** How far something is that the chain does not have. */
export function underWay({ state, since, proofsDone, proofs }) {
  if (state === "open") return `begun at ${clock(since)}`;
  if (state === "closed") return "ended, not proven yet";
  if (state !== "proving") return "not on the chain yet";
  if (proofs === undefined) return "being laid out";
  return `${count(proofsDone)} of ${plural(proofs, "proof")} made`;
}

/** How many batches there are, and how far those are that the chain does not have. */
export function batchesLead({ rows, settledCount, beyond }) {
  const of = (state) => rows.filter((row) => row.state === state).length;
  const settled = `${count(settledCount)} settled, ${count(of("final"))} of them final`;
  const parts = ["sent", "assembled", "proving", "closed"]
    .filter((state) => of(state) > 0)
    .map((state) => `${count(of(state))} ${state}`);
  if (beyond > 0) parts.push(`${count(beyond)} more`);
  const waiting = parts.length === 0 ? "" : `; ${parts.join(", ")} and not on the chain yet`;
  return `${settled}${waiting}.`;
}

/** What stands over the list: what the states mean, and whose word they are. */
export function listCaption({ rows, open, beyond }) {
  const [final, mined] = [STATES.final, STATES.mined].map(([word, means]) => `${word}: ${means}`);
  const isTold = open !== undefined || rows.some(({ state }) => STATES_TOLD.includes(state));
  const told = isTold
    ? " Other states are the node's word, of which nothing can be checked yet."
    : "";
  const left = beyond > 0 ? ` Not shown: ${plural(beyond, "window")} behind these.` : "";
  return `Newest first. ${final}; ${mined}.${told}${left}`;
}

const STATES_TOLD = ["sent", "assembled", "proving", "closed", "open"];

/** What stands over a batch that the chain does not have. */
export function notSettled({ state }) {
  const [word, means] = STATES[state];
  return {
    title: "Not on the chain yet",
    words:
      `By the node's word it is ${word}: ${means}. What it says can be checked when the chain ` +
      "has its header.",
  };
}

/** What stands behind whatever a saved page says of the chain. */
const BY_SAVER = "by the word of whoever saved this file";

/** The word of a state, and what it means: of a file it is no news. */
export function stateOf(state, trust) {
  const [word, meaning] = STATES[state];
  return [word, trust === "saved" ? `${meaning}, ${BY_SAVER}` : meaning];
}

/** Which chain, and how much of it. */
export function readUpTo({ chainId, head, trust }) {
  const where = trust === "saved" ? "in this file" : "read";
  return `id ${chainId}, ${where} up to block ${count(head.block)}`;
}

/** What stands over the words of a header. */
export function wordsCaption(trust) {
  const emitted = trust === "saved" ? `As the contract emitted them, ${BY_SAVER}` : WORDS_EMITTED;
  return `${emitted}. Times are milliseconds since 1900.`;
}
const WORDS_EMITTED = "As the contract emitted them";

const STEPS = {
  open: "Reading what this server says",
  deployment: "Comparing the deployment with the chain",
  blocks: "Searching blocks for batches",
  headers: "Reading the times of blocks",
  fetch: "Fetching the public file",
  before: "Following the journal of the batch before",
  decode: "Decoding the file",
  lists: "Recomputing leaves, roots and counters",
  journal: "Following the journal",
  proofs: "Verifying proofs",
  compare: "Asking the other node of the chain",
};

export function step({ step: name, done, of }) {
  const what = STEPS[name] ?? name;
  return of > 1 ? `${what}: ${count(done)} of ${count(of)}` : what;
}

/** What stands over the chunks of a list, of which no more than some are shown. */
export function chunksTitle(list, file) {
  const [shown, all] = [file[list].length, file.chunks[list]];
  const part = shown < all ? `, the first ${count(shown)} of ${count(all)}` : "";
  return `Chunks of ${list}${part}`;
}

/** What the card of a public file is called: whether the bytes that it tells of were checked. */
export function fileTitle(isChecked, trust) {
  if (isChecked) return "Public file, as it was checked here";
  return trust === "saved"
    ? "Public file, as it was saved, not checked"
    : "Public file, as the node serves it, not checked";
}

/** What the card of the chain's word is called. */
export function chainTitle(trust) {
  return trust === "saved" ? `On the chain, ${BY_SAVER}` : "On the chain";
}

/** What another node of the chain said of a batch, and its colour: of a file nothing is green. */
export function comparedOf({ chain, outcome, why }, { trust, nodes = [] }) {
  if (trust === "saved") {
    const name = nodes[chain - 1] ?? `node ${chain}`;
    const said = {
      agrees: `${name} of the chain said the same, ${BY_SAVER}.`,
      differs: `${name} of the chain said otherwise, ${BY_SAVER}: ${sentence(why)}`,
      away: `${name} of the chain was not compared, ${BY_SAVER}.`,
    };
    return { kind: outcome === "differs" ? "bad" : "", words: said[outcome] };
  }
  const words = {
    agrees: `Node ${chain} of the chain agrees: contract, keys, event and block are the same.`,
    differs:
      `Node ${chain} of the chain disagrees: ${why}. One of the two is wrong; ` +
      "trust neither before you know which.",
    away: `Node ${chain} of the chain was not compared: ${sentence(why)}`,
  };
  const kinds = { agrees: "good", differs: "bad", away: "" };
  return { kind: kinds[outcome], words: words[outcome] };
}

/** What was found when the chain was read, before any file. */
export function agreement({ settledCount, lateness: { maxMs, batches }, trust }) {
  const headers = plural(settledCount, "header");
  const where = trust === "saved" ? "in this file" : "on the chain";
  const agrees = `Contract, keys and ${headers} ${where} agree with the deployment file.`;
  if (settledCount === 0) return agrees;
  const late = batches === 0 ? "" : `, ${plural(batches, "batch", "batches")} by more than 10 min`;
  return `${agrees} Late by at most ${length(maxMs)}${late}.`;
}

/** What comes of comparing a fingerprint that somebody typed; nothing before there is one. */
export function compareTold(told, fingerprint, trust) {
  if (told.trim() === "") return { kind: "", words: "" };
  const typed = parseFingerprint(told);
  if (typed === undefined) {
    return { kind: "", words: "A fingerprint has 40 hex digits, in ten groups of four." };
  }
  if (typed === fingerprint && trust === "saved") return { kind: "", words: SAME_OF_FILE };
  if (typed === fingerprint) {
    return { kind: "good", words: "It is the same: this is the deployment that you were told of." };
  }
  const words =
    "It is another: this is another contract, with other keys or other roles. Use it for nothing, " +
    "and ask whoever gave you the deployment file.";
  return { kind: "bad", words };
}

const SAME_OF_FILE =
  "It is the same: this file is about the deployment that you were told of. That this header is on " +
  "its chain the fingerprint does not say, and no file can: ask a node of the chain.";

/** What was compared with what, in the order in which it was. */
export function checkedAgainst(report, overview) {
  return overview.trust === "saved"
    ? againstFile(report, overview)
    : againstChain(report, overview);
}

function journalOf({ number, groups, gaps }) {
  const begin =
    number === 1 ? "what the deployment begins with" : `the journal hash of batch ${number - 1}`;
  const lost =
    gaps > 0 ? `; ${plural(gaps, "gap")}, losses that the operator accepted` : "";
  return ["Journal", `${plural(groups, "group")} hashed onto ${begin}, up to the header's${lost}`];
}

/** The same of a saved page, which has nothing but its file. */
function againstFile(report, overview) {
  const { number, headers, keys, block, proofs, segments } = report;
  return [
    [
      "Contract",
      `the code that stands in this file for ${overview.contract}: the contract that this page ` +
        "was made with, and the hash in the deployment file",
    ],
    [
      plural(keys, "verifying key"),
      "words that stand in this file for the keys' accounts; id, shape, circuit and setup as the " +
        "deployment file says",
    ],
    [
      `Header of batch ${number}`,
      `the event that stands in this file for block ${count(block)}, linked from genesis through ` +
        `${plural(headers, "header")} in this file, and what it says the contract stores at last`,
    ],
    [
      "Public file",
      `${bytes(report.bytes)} in this file: header, leaves, roots, padding, tags, counters and ` +
        `${plural(segments, "segment")} recomputed`,
    ],
    journalOf(report),
    [plural(proofs, "proof"), "by pairing, one by one, for public inputs recomputed from this file"],
  ];
}

function againstChain(report, overview) {
  const { number, headers, keys, block, proofs, segments } = report;
  return [
    [
      "Contract",
      `its code at ${overview.contract}: the contract that this page was made with, and ` +
        "the hash in the deployment file",
    ],
    [
      plural(keys, "verifying key"),
      "words read from the code of the keys' accounts; id, shape, " +
        "circuit and setup as the deployment file says",
    ],
    [
      `Header of batch ${number}`,
      `the contract's event in block ${count(block)}, linked from ` +
        `genesis through ${plural(headers, "header")}, and what the contract stores at last`,
    ],
    [
      "Public file",
      `${bytes(report.bytes)} from the node: header, leaves, roots, padding, tags, ` +
        `counters and ${plural(segments, "segment")} recomputed`,
    ],
    journalOf(report),
    [
      plural(proofs, "proof"),
      "by pairing, one by one, for public inputs recomputed from the chain and the file",
    ],
  ];
}

/** What stands over a check whose batch does not follow from the one before it. */
export function notLinked(number) {
  return `Checked, but not linked to batch ${number - 1}`;
}

/** Why it does not. */
export function whyNotLinked({ number, unlinked }) {
  const step =
    `What this batch holds was checked by itself. Whether a journal group is missing between ` +
    `batch ${number - 1} and it was not: `;
  if (unlinked.isBroken) {
    const broken = `the public file of batch ${unlinked.number} is broken.`;
    return `${step}${broken} ${sentence(unlinked.why)}`;
  }
  return step + sentence(unlinked.why);
}

/** Somebody ended a check. */
export const CANCELLED = "The check was cancelled: the batch is not checked.";

/** What the button that saves a batch does. */
export const SAVE =
  "One file with this page, the batch and what the chain's node said of it: it opens from disk, " +
  "asks nobody, and recomputes the batch wherever it is opened.";
export const SAVING = "Reading all of it once more, for the file";
export const NOT_SAVED = "Nothing was saved.";
export const notSaved = (fault) => `Not saved: ${sentence(fault.message)} ${advice(fault)}`;

/** What came of it; of a file before that is too large, that it is not in. */
export function savedAs({ name, length: size, isAlone }) {
  const alone =
    " The public file of the batch before is too large to be in it: there the batch is checked, " +
    "and not linked.";
  return `Saved as ${name}, ${bytes(size)}.${isAlone ? alone : ""}`;
}

/** How a check that came to an end is marked in the list: a word and its colour. */
export function markOf({ report, compared }, { trust, peers }) {
  if (isDisputed(compared, peers)) return ["disputed", "bad"];
  if (report.unlinked !== undefined) return ["not linked", "warn"];
  const { mark } = trustOf(trust);
  // What anybody can forge looks like nothing that holds.
  return report.devInsecure ? [`${mark}, dev keys`, "warn"] : [mark, "good"];
}

/** What stands over its report. */
export function titleOf({ report, compared }, { trust, peers }) {
  if (isDisputed(compared, peers)) return { kind: "bad", title: disputedTitle(trust) };
  const { number, unlinked } = report;
  if (unlinked !== undefined) return { kind: "warn", title: notLinked(number) };
  const { word } = trustOf(trust);
  const under = report.devInsecure ? " under development keys" : "";
  const header = trust === "saved" ? "the header in this file" : "its header on the chain";
  const title = `${word}${under}: batch ${number} is what ${header} says`;
  if (report.devInsecure) return { kind: "warn", title };
  return { kind: trust === "saved" ? "" : "good", title };
}

/** What stands over a check when the nodes of the chain do not say the same. */
export const DISPUTED = "Disputed: the nodes of the chain that were asked disagree";

/** The same, of a file by the word of whoever saved it. */
export function disputedTitle(trust) {
  return trust === "saved" ? `${DISPUTED}, ${BY_SAVER}` : DISPUTED;
}

/** Whether another node of the chain says something else, of a batch or of the deployment. */
export function isDisputed(...lists) {
  return lists.some((answers) => answers?.some(({ outcome }) => outcome === "differs"));
}

/** What no check shows: the auditor's list (`report.rs`), in its words. */
export const NOT_PROVEN = [
  "that every access or collection became a claim",
  "that a rule covered an excluded claim: it is committed and counted as not covered, and no " +
    "more; nor that it was excluded rightly (openings show it for those who opened)",
  "that declared device, category, label and time are true: measured times are bounded by " +
    "nothing but the future, receipt times by their window, and a window by the lateness above",
  "that an operation took effect when it was signed: the operator chooses the time while the " +
    "signature is valid, which of two with one nonce, and whether at all",
  "that what was committed cannot be guessed by whoever knows most of it and is given its salt",
  "that bytes match digests, or can be had",
  "that the registrar bound the right key to the right person",
  "that a declared actor acted: actors' signatures are checked by the node, not proven",
  "that the verifying keys belong to the circuits (`prover export` and the setup show it)",
];

/** How the keys were made, as the deployment file says and the keys show. */
export function setupOf(setup) {
  if (setup === "dev-insecure") return "development keys: anybody can forge proofs under them";
  return "by a ceremony whose transcript is not checked here";
}

/** Whom a reader still trusts. */
export function trusted(report, overview, compared) {
  const list = [];
  const others = (compared ?? []).filter(({ outcome }) => outcome === "agrees");
  if (overview.trust === "saved") {
    list.push(
      "Whoever saved this file: that the chain's node said what the file says it did. Contract, " +
        "keys and headers are in it, and fit each other and the batch; a chain could be made up.",
    );
  } else if (others.length > 0) {
    list.push(
      `${plural(others.length + 1, "node")} of the chain, which say the same: that they do ` +
        "not err together.",
    );
  } else {
    list.push("The one node of the chain that was asked: what it calls the chain was believed.");
  }
  list.push(
    `Whoever gave you this deployment: compare its fingerprint, ${report.fingerprint}, with ` +
      "one that you were told another way.",
  );
  list.push(trustOf(overview.trust).who);
  if (report.unlinked !== undefined) {
    list.push(
      `The step from batch ${report.number - 1}: its last journal group is not known here. ` +
        "Check that batch first.",
    );
  }
  if (report.devInsecure) {
    list.push("Everybody: these are development keys, under which anybody can forge proofs.");
  }
  return list;
}

/** What a program says of a fault, as a sentence. */
export function sentence(message = "") {
  const begun = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** What to do when something is away. */
export function advice({ name, kind }, trust) {
  // A file has nobody to ask, and what it does not hold does not come by itself.
  if (trust === "saved" && ["ChainError", "NodeError"].includes(name)) {
    return "This file does not hold it: it could not be had when it was saved, or was taken out.";
  }
  if (name === "ChainError" && kind === "other-chain")
    return "Check the address of the chain's node that this server was started with.";
  if (name === "ChainError" && kind === "no-logs")
    return "Start this server with a node of the chain that keeps old logs.";
  if (name === "ChainError")
    return "Check that the chain's node runs and that this server reaches it, then try again.";
  if (name === "SavedError") return "The program auditor verify has no such limit.";
  if (name === "NodeError")
    return "The node of batch files, or this page's server, does not answer as expected.";
  if (name === "DeploymentError")
    return "Take the deployment file again from whoever deployed, and start this server with it.";
  if (kind === "stopped") {
    return "Try again. If it was at a file that it stopped, that file is not as any batch's is.";
  }
  return "Reload the page. If it comes again, the program behind it needs a look.";
}
