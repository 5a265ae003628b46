// Every sentence and number of the desk. Names and units are those of `sequencer status` and of
// `docs/watching.md`: a figure's unit follows from the end of its name.

import { clock, count, length, plural, sentence, time } from "../text.js";

const RATE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const ETHER = new Intl.NumberFormat("en", { minimumFractionDigits: 4, maximumFractionDigits: 4 });
const MIB = 2 ** 20;

/** Cards of figures: a title, and each figure with what it is called there. */
export const GROUPS = [
  {
    title: "Taken in",
    figures: [
      ["readings_per_second", "Readings"],
      ["frames_per_second", "Frames"],
      ["frame_bytes_per_second", "Bytes of frames"],
      ["duplicate_frames_per_second", "Frames that came again"],
      ["operations_per_second", "Operations"],
      ["rejects_per_second", "Rejected"],
      ["released_frames_per_second", "Frames released"],
    ],
  },
  {
    title: "Receipts",
    figures: [
      ["receipt_p50_seconds", "Half of them within (p50)"],
      ["receipt_p99_seconds", "All but one in a hundred (p99)"],
    ],
  },
  {
    title: "Backlog",
    figures: [
      ["window_age_seconds", "Open window, for"],
      ["batch_closed", "Last window closed"],
      ["windows_to_prove", "Closed, not proven"],
      ["batch_assembled", "Last batch proven"],
      ["batch_sent", "Last sent"],
      ["batch_settled", "Last settled"],
      ["batches_to_settle", "Proven, not settled"],
      ["oldest_to_settle_seconds", "The oldest of them waits for"],
    ],
  },
  {
    title: "Proving",
    figures: [
      ["proof_mean_seconds", "A proof"],
      ["padding_ratio", "Places left empty"],
    ],
  },
  {
    title: "Withdrawals",
    figures: [
      ["withdrawal_effective_p99_seconds", "Signed to effective (p99)"],
      ["withdrawal_settled_p90_seconds", "Effective to settled (p90)"],
    ],
  },
  {
    title: "Gas and account",
    figures: [
      ["gas_per_second", "Gas"],
      ["base_fee_wei", "Base fee"],
      ["balance_wei", "The account holds"],
      ["balance_days", "Which lasts"],
      ["chain_reachable", "The base chain answers"],
    ],
  },
  {
    title: "Disk and memory",
    figures: [
      ["free_bytes", "Disk, free"],
      ["reserve_bytes", "Of which frames leave"],
      ["resident_bytes", "Memory in use"],
      ["limits_bytes", "All limits may take"],
      ["machine_bytes", "The machine has"],
    ],
  },
  {
    title: "Clock",
    figures: [
      ["clock_ahead_seconds", "Ahead of the boot-time clock"],
      ["journal_ahead_seconds", "Journal ahead of the clock"],
    ],
  },
  {
    title: "Certificates",
    figures: [
      ["certificates_ending", "Beyond two thirds of their life"],
      ["certificates_waiting", "Asked for, waiting"],
      ["own_certificates_seconds", "The node's own end in"],
    ],
  },
  {
    title: "Archive and keys",
    figures: [
      ["archive_files_waiting", "Files not archived yet"],
      ["archive_failing", "The last round failed"],
      ["keys_failing", "No new keys of readings"],
    ],
  },
];

/** What queues before the journal are called. */
export const QUEUE_NAMES = {
  connections: "Connections",
  journal_queue_items: "Items before the journal",
  receipt_groups_waiting: "Groups before the signer",
  evaluations_waiting: "Operations being evaluated",
};

/** Drawings of the last hours: a title, and the figures of each, or shares of another figure. */
export const CHARTS = [
  { title: "Readings", series: [["readings_per_second", "taken in"]] },
  {
    title: "Rejected and repeated",
    series: [
      ["rejects_per_second", "rejected"],
      ["duplicate_frames_per_second", "frames that came again"],
    ],
  },
  {
    title: "Receipts",
    series: [
      ["receipt_p50_seconds", "p50"],
      ["receipt_p99_seconds", "p99"],
    ],
  },
  {
    title: "Queues, of what they may hold",
    series: [
      ["connections", "connections", "connections_max"],
      ["journal_queue_items", "before the journal", "journal_queue_items_max"],
      ["receipt_groups_waiting", "before the signer", "receipt_groups_max"],
    ],
  },
  {
    title: "Backlog",
    series: [
      ["windows_to_prove", "windows to prove"],
      ["batches_to_settle", "batches to settle"],
    ],
  },
  { title: "A proof", series: [["proof_mean_seconds", "mean"]] },
  { title: "Places left empty", series: [["padding_ratio", "of the last batch"]] },
  {
    title: "Withdrawals",
    series: [
      ["withdrawal_effective_p99_seconds", "signed to effective, p99"],
      ["withdrawal_settled_p90_seconds", "effective to settled, p90"],
    ],
  },
  { title: "Gas", series: [["gas_per_second", "mined"]] },
  { title: "The account", series: [["balance_wei", "holds"]] },
  {
    title: "Disk",
    series: [
      ["free_bytes", "free"],
      ["reserve_bytes", "reserve"],
    ],
  },
  {
    title: "Memory",
    series: [
      ["resident_bytes", "in use"],
      ["limits_bytes", "all limits"],
    ],
  },
];

/** Spans that can be drawn. */
export const SPANS = [
  ["15 min", 900_000],
  ["1 h", 3_600_000],
  ["3 h", 10_800_000],
];

const FLAGS = ["archive_failing", "keys_failing", "chain_reachable"];

/** A figure in its unit; none is told as that. */
export function figure(name, value) {
  if (value === undefined || value === null) return "none";
  if (FLAGS.includes(name)) return value === 1 ? "yes" : "no";
  if (name.endsWith("bytes_per_second")) return `${rateOfBytes(value)}/s`;
  if (name.endsWith("_per_second")) return `${RATE.format(value)} /s`;
  if (name.endsWith("_seconds")) return seconds(value);
  if (name.endsWith("_bytes")) return `${count(Math.floor(value / MIB))} MiB`;
  if (name.endsWith("_ratio")) return `${Math.round(value * 100)} %`;
  if (name.endsWith("_days")) return `${RATE.format(value)} days`;
  if (name === "base_fee_wei") return `${RATE.format(value / 1e9)} gwei`;
  if (name.endsWith("_wei")) return `${ETHER.format(Math.floor(value / 1e14) / 1e4)} ether`;
  return count(value);
}

/** In MiB as all bytes here, and in KiB where that would be nearly nothing. */
function rateOfBytes(value) {
  const isSmall = value > 0 && value < MIB / 10;
  return isSmall ? `${RATE.format(value / 1024)} KiB` : `${RATE.format(value / MIB)} MiB`;
}

/** The figure whose unit a drawn series has. */
const unitOf = ([name, , most]) => (most === undefined ? name : "share_ratio");

/** A value beside an axis: short, in the unit of its figure. */
export function axis(series, value) {
  if (value === null) return "";
  const name = unitOf(series);
  if (name.endsWith("_bytes")) return `${RATE.format(value / 2 ** 30)} GiB`;
  return figure(name, value).replace(/ (ether|\/s)$/, "");
}

const MINUTE = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** A time below an axis. */
export const minute = (seconds) => MINUTE.format(seconds * 1000);

/** A length in the unit that fits; what is over is said to be. */
export function seconds(value) {
  if (value < 0) return `${length(-value * 1000)} before`;
  if (value < 1) return `${RATE.format(value * 1000)} ms`;
  return length(value * 1000);
}

/** What stands over a drawing, for whoever does not see it. */
export function chartWords({ title, series }, extents) {
  const parts = series.map((one, at) => {
    const [[, label], name, found] = [one, unitOf(one), extents[at]];
    if (found === undefined) return `${label} none`;
    return `${label} ${figure(name, found.last)}, at most ${figure(name, found.most)}`;
  });
  return `${title}: ${parts.join("; ")}.`;
}

/** How long the drawn points reach back. */
export function spanWords(ms) {
  return ms > 0 ? `The last ${length(ms)}.` : "";
}

/** What stands at the top, of a node that says how it stands. */
export function standing(health) {
  if (health === undefined) return { kind: "", words: "The node does not say how it stands." };
  const { isHealthy, isReady, reasons, stages } = health;
  if (!isHealthy) return { kind: "bad", words: `Not healthy: ${reasons[0]?.code ?? "unknown"}.` };
  if (!isReady) return { kind: "warn", words: `Not ready: ${reasons[0]?.code ?? "unknown"}.` };
  const off = stages.filter(({ state }) => state !== "runs").length;
  if (off > 0) return { kind: "warn", words: `Ready; ${plural(off, "stage")} not running.` };
  return { kind: "good", words: `Ready: all ${count(stages.length)} stages run.` };
}

/** Since when the node counts. */
export const counted = (begunMs) => (begunMs === undefined ? "" : ` Counted since ${time(begunMs)}.`);

/** One reason why the node is not ready: its code, what is found, what to do. */
export function reason({ code, detail, remedy }) {
  const found = detail === "" ? "" : ` Found: ${detail}.`;
  return { title: `Not ready: ${code}`, words: `${sentence(remedy)}${found}` };
}

/** How far a stage is in this run. */
export function progress({ progressIn, progress: made, secondsAgo }) {
  if (progressIn === undefined || made === undefined) return "";
  const ago = secondsAgo === undefined ? "" : `, ${seconds(secondsAgo)} ago`;
  return `${count(made)} ${progressIn}${ago}`;
}

/** What waits before a stage. */
export function queue({ holds, items, itemsMax }) {
  if (items === undefined) return "";
  const of = itemsMax === undefined ? "" : ` of ${count(itemsMax)}`;
  return `${count(items)}${of}${holds === undefined ? "" : ` ${holds}`}`;
}

/** When something was rejected: the first time, and the last of a minute. */
export function whenRejected({ atMs, untilMs }) {
  if (atMs === undefined) return "";
  const isOne = untilMs === undefined || untilMs - atMs < 1000;
  return isOne ? time(atMs) : `${time(atMs)} to ${clock(untilMs)}`;
}

/** Who was told so: of a gateway its name, of people what they are. */
export function whoRejected({ peer, gateway }) {
  if (gateway !== undefined) return gateway;
  return PEERS[peer] ?? peer;
}

const PEERS = {
  wallet: "a wallet",
  practitioner: "a practitioner",
  operator: "an operator",
  http: "over HTTP",
  unknown: "nobody that is known",
};

export const STAGE_STATES = { runs: "good", failed: "bad", held: "bad" };

/** What stands where nobody asks to be erased. */
export const NO_ERASURES = "Nobody asks to be erased, and nobody is, as far as the node says.";

/**
 * Who asks to be erased, and who is: patient, when it was asked for, how it stands, and what comes
 * next. Those that wait stand first, in the order of the node.
 */
export function erasureRows(erasures) {
  if (erasures === undefined) return [];
  const { requests, done, waiting, erased } = erasures;
  const rows = [...requests.map(askedRow), ...done.map(doneRow)];
  const more = waiting + erased - rows.length;
  if (more > 0) rows.push([`${count(more)} more`, "", "", "sequencer hold list has all that wait"]);
  return rows;
}

const ready = ({ patient }) => `sequencer erase --patient ${patient}`;

/** How a request stands that waits, and what it waits for. */
const ASKED = {
  unsettled: ({ stoppedMs, settledMs }) => {
    const far = settledMs === undefined ? "nothing is settled" : `settled until ${time(settledMs)}`;
    const stop = stoppedMs === undefined ? "the stop" : `the stop of ${time(stoppedMs)}`;
    return ["", "waits for the chain", `${stop} and all before it is to be settled; ${far}`];
  },
  held: (one) => [
    "warn",
    `held ${byWhom(one)}`,
    `sequencer hold clear --patient ${one.patient}, once the law no longer keeps it`,
  ],
  ready: (one) => {
    const until = one.validMs === undefined ? "" : `, until ${time(one.validMs)}`;
    return ["warn", "waits for you", `${ready(one)}${until}`];
  },
  unknown: (one) => ["", "waits", ready(one)],
};

function askedRow(one) {
  const [kind, words, next] = (ASKED[one.state] ?? ASKED.unknown)(one);
  const asked = one.requestedMs === undefined ? "" : time(one.requestedMs);
  return [String(one.patient), asked, { kind, words }, next];
}

const LEFT = "keys are left: the node tries again each minute";

/** One that was carried out: the receipt of it is of that position of the journal. */
function doneRow({ patient, atMs, position, areKeysDestroyed, copiesMs }) {
  const at = atMs === undefined ? "" : ` ${time(atMs)}`;
  const receipt = position === undefined ? "" : `, receipt of journal position ${count(position)}`;
  const words = `erased${at}${receipt}`;
  if (!areKeysDestroyed) {
    return [String(patient), "", { kind: "bad", words }, LEFT];
  }
  const copies =
    copiesMs === undefined
      ? "complete: no backup of keys holds theirs"
      : `complete once the last backup of keys expires, ${time(copiesMs)}`;
  return [String(patient), "", { kind: "good", words }, copies];
}

/** Why nothing can be shown, and what to do. */
export function closedWords(kind) {
  return CLOSED[kind] ?? CLOSED.away;
}

const CLOSED = {
  token: {
    title: "The desk is for the operator",
    words:
      "Give the token that stands in the file of web.token_file. It goes to this node alone and " +
      "is not kept here: the browser gets a session for it, until the node is started again and " +
      "for twelve hours at most.",
  },
  plain: {
    title: "The desk is reached over TLS alone",
    words:
      "This page came over a connection that others can read, and the token would go over it. " +
      "Ask by https, or on the node's own machine under 127.0.0.1 (ssh -L carries it to yours).",
  },
  unset: {
    title: "The node has no token for its desk",
    words:
      "This page is for everybody, and its desk for the operator: name a file with a token as " +
      "web.token_file and start the node again. `sequencer status --watch` shows the same.",
  },
  none: {
    title: "No desk stands behind this page",
    words: "A node shows one beside its own page of batches; an auditor or a wallet has none.",
  },
  malformed: {
    title: "The answer is no desk's",
    words: "Is something else behind this address, or another release?",
  },
  away: {
    title: "The node does not answer",
    words: "It is asked again every few seconds. Its log and `sequencer status` say more.",
  },
};

/** What came of giving the token. */
export const SESSION = {
  wrong: "This is not the token.",
  lost:
    "The token was right, and the browser kept no session: from another machine the desk is " +
    "reached over TLS alone, and cookies have to be allowed.",
  away: "The node did not answer: try again.",
  begun: "The desk is open.",
  ended: "Signed out.",
};

/** What stands where the first points are still to come. */
export const EMPTY = "Nothing is counted in the first ten seconds after a start.";

export const stale = (readMs) => `What is shown is of ${clock(readMs)}.`;

/** Why it is old although nobody said so. */
export const SLOW = "The node was asked since, and takes long to answer.";

/** Why what is shown is old although the node answers. */
export const STILL =
  "The node answers, and took no figures since: the thread that takes them does not get on.";

/** What is said once, when the node goes and when it is back. */
export const GONE = "Stale: the node does not answer.";
export const BACK = "The node answers again.";

/** What a program says of a fault. */
export const faultWords = ({ why }) => sentence(why);

/** What stands over the drawings. */
export const HOURS = "The last hours";

/** When the figures were taken. */
export const freshness = (atMs, isStale) => `${isStale ? "stale, " : ""}as of ${clock(atMs)}`;

const ORDERS = {
  paused: ["Paused", "Nothing is sent to the chain; `sequencer resume` goes on."],
  draining: ["Draining", "Nothing new is taken in; the node is to be stopped."],
};

/** What an operator ordered that is in force: since when, by whom, why, and what it does. */
export function ordered(what, since) {
  const [title, does] = ORDERS[what];
  return { title, words: `${does} ${sentence(byWhom(since))}` };
}

/** Since when something is in force, by whom, and why. */
export function byWhom({ sinceMs, by, reason }) {
  const since = sinceMs === undefined ? "" : `since ${time(sinceMs)}`;
  const whom = by === undefined ? "" : `by ${by}`;
  const parts = [since, whom].filter((part) => part !== "").join(" ");
  return reason === undefined ? parts : `${parts}: ${reason}`;
}
