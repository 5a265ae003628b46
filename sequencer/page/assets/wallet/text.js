// Every sentence of the patient's page that depends on rules, entries, times or faults. What was
// checked, and what follows from it, is said by the wallet in the words of `vitals log`; here it is
// only arranged. Whatever somebody else wrote is escaped before it is shown.

import { escape } from "../statement/escape.js";

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const COUNT = new Intl.NumberFormat("en");
const DAYS = new Map([
  [-1, "yesterday"],
  [0, "today"],
  [1, "tomorrow"],
]);

export const count = (number) => COUNT.format(number);
export const plural = (number, one, many = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : many}`;

/** A time on this machine's clocks: by its day's name, if that is near. */
export function when(ms, now) {
  const day = DAYS.get(dayOf(ms) - dayOf(now)) ?? DAY.format(ms);
  return `${day}, ${CLOCK.format(ms)}`;
}

/** Calendar days here, counted: summer time makes some of them shorter. */
function dayOf(ms) {
  const at = new Date(ms);
  return Math.round(Date.UTC(at.getFullYear(), at.getMonth(), at.getDate()) / 86_400_000);
}

/** A time as the wallet writes it; the text itself where it is none. */
export function moment(text, now) {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? escape(text) : when(ms, now);
}

/** From one time to another, with one day where it is the same. */
export function period(from, until, now) {
  const [begin, end] = [Date.parse(from), Date.parse(until)];
  if (Number.isNaN(begin) || Number.isNaN(end)) return `${escape(from)} to ${escape(until)}`;
  const last = dayOf(begin) === dayOf(end) ? CLOCK.format(end) : when(end, now);
  return `${when(begin, now)} to ${last}`;
}

const WORDS = new Map([
  ["ecg", "ECG"],
  ["ppg", "PPG"],
  ["spo2", "SpO2"],
  ["hiv", "HIV"],
]);

/** A word of the vocabulary as people say it. */
export function word(name) {
  return WORDS.get(name) ?? escape(String(name).replaceAll("-", " "));
}

/** Words in a row, with `and` before the last. */
export function list(names) {
  return row(names.map(word), "and") ?? "nothing that has a name";
}

function row(words, last) {
  if (words.length < 2) return words[0];
  return `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}

const VERBS = new Map([
  ["access", "see"],
  ["collect", "record"],
  ["break-glass", "see in an emergency"],
]);
const MAY = new Map([
  ["permit", "may"],
  ["deny", "may not"],
  ["policy", "may break the glass, with a reason, to"],
]);

/** What a rule means, in one sentence without a full stop. */
export function ruleSentence(rule, now) {
  const who = rule.who === null ? "Anybody" : escape(rule.who);
  const verbs = rule.kinds.map((kind) => VERBS.get(kind) ?? word(kind));
  const what = rule.categories === null ? "everything" : `my ${list(rule.categories)}`;
  const source = rule.source === null ? "" : ` of ${escape(rule.source)}`;
  const why = rule.purposes === null ? "for any purpose" : `for ${list(rule.purposes)}`;
  const labels = rule.labels === null ? "" : `, if labelled ${list(rule.labels)}`;
  const may = MAY.get(rule.kind) ?? escape(rule.kind);
  // "Anybody may not" would be read as "not everybody may".
  const [subject, verb] = rule.kind === "deny" && rule.who === null ? ["Nobody", "may"] : [who, may];
  const does = row(verbs, rule.kind === "deny" ? "or" : "and") ?? "do nothing with";
  const about = `${what}${source} ${why}${labels}${dataOf(rule, now)}`;
  return `${subject} ${verb} ${does} ${about}, ${ends(rule, now)}`;
}

function dataOf({ data_from_ms: from, data_until_ms: until }, now) {
  if (from === null && until === null) return "";
  const begin = from === null ? "" : ` from ${when(from, now)}`;
  const end = until === null ? "" : ` until ${when(until, now)}`;
  return `, measured${begin}${end}`;
}

function ends({ state, from_ms: from, until_ms: until }, now) {
  const end = until === null ? "until I take it back" : `until ${when(until, now)}`;
  if (state === "later" && from !== null) return `from ${when(from, now)} ${end}`;
  if (state === "ended" && until !== null) return `which ended ${when(until, now)}`;
  return end;
}

/** What stands over the rules, by what the record is; it is the wallet's copy of it. */
export function rulesLead(record, misfit) {
  if (misfit === "behind") {
    return (
      "The log has operations that this wallet's copy lacks: what really holds is not shown here " +
      "before the copy is made anew from the log."
    );
  }
  if (misfit !== null) {
    return (
      "This wallet's copy is not the record that the log shows, and nothing that was signed explains " +
      "it: keep both, they are evidence, and ask an auditor."
    );
  }
  return `By this wallet's copy of the record: ${leadOf(record)}`;
}

function leadOf(record) {
  const live = record.rules.filter(({ state }) => state === "live");
  if (record.rules.some(({ state }) => state === "closed") || record.state !== "open") {
    return `it is ${escape(record.state)}, and nobody may see or record anything any more.`;
  }
  if (live.length === 0) {
    return "no rule is live, and nobody may see or record anything.";
  }
  const denies = live.some(({ kind }) => kind === "deny");
  const over = denies ? " What is forbidden stays so, whatever else permits it." : "";
  return `${plural(live.length, "rule")} live now.${over}`;
}

/** The order in which rules are shown: what forbids first, then what breaks glass. */
export function ruleOrder(rules) {
  const kinds = ["deny", "policy", "permit"];
  const place = ({ kind }) => kinds.indexOf(kind);
  return rules.toSorted((a, b) => place(a) - place(b));
}

// ------------------------------------------------------------------------------- the log

/** The log's entries by what people ask first; the newest first. */
export function groups(log) {
  const entries = log.entries.toReversed();
  const claims = entries.filter(({ kind }) => kind !== "operation");
  const isUrgent = ({ kind, covered }) => kind === "break-glass" || covered === false;
  const plain = claims.filter((entry) => !isUrgent(entry));
  return {
    urgent: claims.filter(isUrgent),
    refused: log.refused.toReversed(),
    asked: (log.asked ?? []).toReversed(),
    reads: plain.filter(({ kind }) => kind === "access"),
    collected: streams(plain.filter(({ kind }) => kind === "collect")),
    operations: entries.filter(({ kind }) => kind === "operation"),
  };
}

/** Collections of one device for one place of the same things, together. */
function streams(entries) {
  const found = new Map();
  for (const entry of entries) {
    const { who, organisation, categories, purpose, rule, measured_from, measured_until } = entry;
    const key = JSON.stringify([who, organisation, categories, purpose, rule]);
    const stream = found.get(key);
    if (stream === undefined) {
      found.set(key, { ...entry, times: 1, last: entry.time });
      continue;
    }
    stream.times += 1;
    if (Date.parse(measured_from) < Date.parse(stream.measured_from)) {
      stream.measured_from = measured_from;
    }
    if (Date.parse(measured_until) > Date.parse(stream.measured_until)) {
      stream.measured_until = measured_until;
    }
  }
  return [...found.values()];
}

/** Why somebody read, in the words that were signed. */
export function reasonOf({ kind, reason }) {
  if (kind === "collect") return "";
  if (reason === null) return "the operator withholds its signed request with the reason";
  return reason === "" ? "no reason given" : `"${escape(reason)}"`;
}

/** Under which rule, and what it means if there was none. */
export function underOf({ covered, rule }) {
  const name = escape(rule);
  return covered
    ? `under ${name}`
    : `EXCLUDED: counted publicly as not covered; by the record ${name}`;
}

export function actOf({ kind }) {
  return kind === "break-glass" ? "broke the glass and read" : VERB_DONE.get(kind);
}

const VERB_DONE = new Map([
  ["access", "read"],
  ["collect", "collected"],
]);

/** Who was refused what, and why. */
export function refusedOf(entry) {
  const isGateway = entry.gateway !== undefined;
  const who = isGateway ? `gateway ${entry.gateway}` : `practitioner ${entry.practitioner}`;
  const act = isGateway ? "sent readings that were refused" : "was refused";
  const times = entry.count === 1 ? "" : `, ${plural(entry.count, "time")}`;
  return {
    who: escape(who),
    act: `${act}${times}`,
    why: `${escape(entry.why)} (${escape(entry.rule)})`,
  };
}

/** Who asked whether somebody may, and what they were told: nothing is read by it. */
export function askedOf(entry) {
  const more =
    entry.count > 1 ? `, and ${plural(entry.count - 1, "more question")} that are not listed` : "";
  const act = VERB_ASKED.get(entry.act) ?? escape(entry.act);
  return {
    who: escape(`organisation ${entry.organisation}`),
    about: escape(`${entry.who} of ${entry.of}`),
    act: `may ${act} ${list(entry.categories)} for ${word(entry.purpose)}${more}`,
    told: entry.permitted ? "Yes" : `No: ${escape(entry.why)} (${escape(entry.rule)})`,
  };
}

const VERB_ASKED = new Map([
  ["access", "read"],
  ["collect", "record"],
  ["break-glass", "break the glass and read"],
]);

/** What became of the wish to be erased: what is done, and what the node says of what is not. */
export function erasuresOf({ compared }, now) {
  const done = (compared.erased ?? []).map((one) => ({
    kind: one.own ? "good" : "bad",
    title: one.own
      ? `Your readings were erased at your request, ${moment(one.time, now)}`
      : `Your readings were erased, and NOT at your request, ${moment(one.time, now)}`,
    lines: [ERASED_STAYS, "Who read what before that stays below."],
  }));
  const open = (compared.erasure_asked ?? []).map((one) => {
    const told = `So the node said ${moment(one.told_at, now)}; it is the operator's word.`;
    if (one.state !== "held") {
      return { kind: "warn", title: "You asked to be erased, and the hospital has it", lines: [told] };
    }
    const since = moment(one.since, now);
    return {
      kind: "warn",
      title: `A legal hold keeps your readings, ${since}`,
      lines: [`The reason given: "${escape(one.reason)}"`, told, HELD_MEANS],
    };
  });
  return [...done, ...open];
}

export const ERASED_STAYS =
  "What stays: that and when something was measured, and by which device; what you signed; who " +
  "read what, when and why, which the law keeps; what readers were given; and backups of keys, " +
  "until they expire.";
const HELD_MEANS =
  "A hold permits nobody to read them. Your request waits, and is carried out once it is cleared.";

export const REFUSED_WORD = "The operator's word: no proof shows that none is missing.";

/** What an empty list means: nothing, only where the log holds and is this key's. */
export function noneOf(log, none) {
  if (!log.holds) return "Not known: the log does not hold.";
  if (!log.record_found) return "Not known: this key opens nothing in these batches.";
  return `${none}, as far as this log goes.`;
}

/** What was not compared, and would go unnoticed. */
export function gapsOf(log) {
  const gaps = [];
  if (log.compared.receipts === undefined) {
    gaps.push(
      "No receipts are kept here: that the node left out something it promised would not show.",
    );
  }
  return gaps;
}

/** Whether the log shows operations that the wallet's copy lacks. */
export const isCopyBehind = (log) => log.compared.copy === "behind";

/** Whether anything is missing: the wallet's own words, and how they are marked. */
export function verdictOf(log) {
  const lines = log.verdict.map(escape);
  if (!log.holds) return { kind: "bad", title: "Something is missing or wrong", lines };
  if (!log.record_found) {
    const what = log.batches === 0 ? "No batch is in the saved headers yet" : NOT_OPENED;
    return { kind: "warn", title: what, lines };
  }
  if (isCopyBehind(log)) {
    const lacks = plural(log.compared.copy_lacks, "operation");
    const title = `Nothing is missing in the log, and this wallet lacks ${lacks} of it`;
    return { kind: "warn", title, lines };
  }
  // A copy that is the settled record is itself a comparison with what was signed here.
  const isAlone = gapsOf(log).length > 0 && log.compared.copy !== "equal";
  if (log.not_compared.length > 0 || isAlone) {
    return { kind: "warn", title: "Nothing is missing, and not everything was compared", lines };
  }
  return { kind: "good", title: "Nothing is missing", lines };
}

const NOT_OPENED =
  "These batches have nothing that this key opens: it is another patient's key, or the record is " +
  "not settled yet";

/** How far the log goes. */
export function reachOf(log, now) {
  if (log.until === null) return "The saved headers name no batch yet.";
  return (
    `The log goes up to ${moment(log.until, now)}. What happened later is in no batch that an ` +
    `auditor saved: run auditor verify --save-headers again, then read it again here.`
  );
}

// ------------------------------------------------------------------------------- what is away

const FAULTS = {
  "key-other": [
    "This is the key of another record",
    "Nothing is shown and nothing can be signed. Close the wallet and start it with your own key.",
  ],
  "copy-missing": [
    "The wallet's copy of the record is not there",
    "Make it anew from the log, if the log holds; before, nothing can be signed here.",
  ],
  "copy-other": [
    "The wallet's copy of the record cannot be used",
    "It belongs to another deployment or is damaged. Move the file away, start the wallet with " +
      "--patient, and make it anew from the log.",
  ],
  "copy-behind": [
    "The wallet's copy of the record lacks operations",
    "They were signed with this key elsewhere: on another device, or by a thief. Make the copy anew " +
      "from the log; what is signed before would be refused.",
  ],
  "key-in-use": [
    "Another program signs with this key",
    "Nothing was signed here. Wait until it has ended, and look again.",
  ],
  reading: ["The log is being read already", "Rules can be signed meanwhile. Try again in a while."],
  pending: [
    "Something that was sent has no answer yet",
    "Ask the node what became of it; nothing else is signed before. If it never came there, it is " +
      "over a quarter of an hour after it was signed, or once the log goes beyond its end.",
  ],
  "preview-gone": [
    "This preview is not open any more",
    "It was signed, or another one was shown since. Look at the rules, which say what holds.",
  ],
  "name-unknown": [
    "The registry does not know whom the rule names",
    "Nothing was signed. Correct the name; or compare it letter by letter, and sign it all the same.",
  ],
  "look-again": ["Look again before you sign", "Nothing was signed. Show what would be signed anew."],
  "not-rebuilt": ["The copy stays as it is", "Nothing was changed."],
  "node-away": [
    "The node is away",
    "Nothing was sent, and nothing has changed. Try again when the node runs.",
  ],
  "node-busy": ["The node is busy", "Nothing has changed. Try again in a while."],
  unknown: [
    "Whether it took effect is not known",
    "It was sent and is kept. Ask the node what became of it; the same bytes cannot take effect twice.",
  ],
  receipt: [
    "The receipt does not hold",
    "The node answered with no receipt that promises this. It is kept; ask again, and show it to an " +
      "auditor if it stays so.",
  ],
  refused: ["The node does not take it", "Nothing has changed."],
  "given-wrongly": ["This cannot be done as it is written", "Correct it and look again."],
  "not-allowed": ["The record does not allow it", "Nothing was signed."],
  "files-away": [
    "The batch files are away",
    "The log cannot be read now. What is away is not thereby missing: try again when the node runs.",
  ],
  "headers-missing": [
    "There are no saved headers",
    "They come from the base chain: let auditor verify --save-headers make the file. If the chain's " +
      "node is away, that says so.",
  ],
  "headers-other": [
    "The saved headers cannot be used",
    "They belong to another deployment or are damaged: let auditor verify --save-headers make them " +
      "anew.",
  ],
  failed: ["This did not succeed", "Try again; if it comes again, the wallet needs a look."],
};

/** Every kind of fault that has sentences. */
export const FAULT_KINDS = Object.keys(FAULTS);

/** Whether an answer says why there is none. */
export const isFault = (object) => object?.schema === "vitals-error-1";

/** The same of an operation that was sent before: it may have had its effect then. */
const FAULTS_OF_PENDING = {
  "node-away": ["The node is away", "What was sent before is kept. Try again when the node runs."],
  "node-busy": ["The node is busy", "What was sent before is kept. Try again in a while."],
  refused: [
    "The node does not take it now",
    "It is kept: whether it took effect before, the log says.",
  ],
};

/** What is away or wrong, what that means, and the wallet's own words. */
export function faultOf({ kind, error, ofPending }) {
  const own = ofPending ? FAULTS_OF_PENDING[kind] : undefined;
  const [title, advice] = own ?? FAULTS[kind] ?? FAULTS.failed;
  const details = (Array.isArray(error) ? error : []).map(escape).join(": ");
  return { title, advice, details };
}

const CLOSED = {
  "no-link": [
    "This page needs the link of a wallet",
    "Start vitals wallet and open the link that it prints, once.",
  ],
  "used-link": [
    "This link was used already",
    "A link opens the page once. If it was not you who opened it, end vitals wallet now: somebody " +
      "else of this machine has the page. Else start it again and open the new link.",
  ],
  session: [
    "This page is not the one that the link opened",
    "Go back to the window that you opened with the link, or start vitals wallet again.",
  ],
  ended: [
    "The wallet has ended",
    "Nobody answers any more: it was closed, or nobody asked anything for a while. The key is " +
      "forgotten. Start vitals wallet again and open its new link.",
  ],
  busy: ["The wallet is busy", "It is still reading. Try again in a while."],
  other: ["The wallet does not answer as expected", "Start vitals wallet again."],
};

/** Why the page is not open, and what that leaves open. */
export function closedOf({ kind, message, wasSigning }) {
  const [title, own] = CLOSED[kind] ?? CLOSED.other;
  const open =
    " Something was being signed: it may have been sent, and is kept beside the key if it was. The " +
    "wallet says so when it is started again.";
  const advice = wasSigning ? own + open : own;
  const details = ["no-link", "ended"].includes(kind) ? "" : escape(message);
  return { title, advice, details };
}

// ------------------------------------------------------------------------------- what is signed

/** What a form asks to be signed, as options of the command line; empty ones are left out. */
export function wantedOf(form, { zone, first }) {
  const { action, name, kind, ends, length, until } = form;
  const actor = kind === "any" ? "any" : `${kind}:${name.trim()}`;
  const members = (names) => (names.length === 0 ? "" : names.join(","));
  const categories = form.allCategories ? "all" : members(form.categories);
  const purposes = form.allPurposes ? "all" : members(form.purposes);
  const rule = {
    actor,
    categories,
    purposes,
    kinds: members(form.kinds),
    labels: form.allLabels ? "all" : members(form.labels),
    source: form.source.trim() === "" ? "" : `device:${form.source.trim()}`,
    for: ends === "for" ? length : "",
    until: ends === "until" ? until : "",
    zone,
  };
  // Would they see it now, and after it? Of anybody the question has no answer.
  if (actor !== "any") {
    const kinds = { permit: "access", deny: "access", policy: "break-glass" };
    rule["preview-actor"] = actor;
    rule["preview-category"] = form.allCategories ? first : (form.categories[0] ?? "");
    rule["preview-purpose"] = form.allPurposes ? "" : (form.purposes[0] ?? "");
    rule["preview-kind"] = form.kinds[0] ?? kinds[action];
  }
  const given = Object.entries(rule).filter(([, value]) => value !== undefined && value !== "");
  return { action, rule: Object.fromEntries(given) };
}

/** What a form lacks before it is worth asking; nothing if it lacks nothing. */
export function lackOf(form) {
  if (form.kind !== "any" && form.name.trim() === "") return "Say whom the rule is about.";
  if (!form.allCategories && form.categories.length === 0) return "Choose what the rule is about.";
  if (!form.allPurposes && form.purposes.length === 0) return "Choose what for.";
  if (form.ends === "until" && form.until === "") return "Say until when, or choose another end.";
  return undefined;
}

/** What is beside a preview with names that the registry does not know. */
export const UNKNOWN = "As things are, this rule covers nobody by a name that the registry does not know.";

/** What is on the button that signs. */
export function signWords(unknown) {
  if (unknown.length === 0) return "Sign and send";
  return `Sign although the registry does not know ${row(unknown.map(escape), "and")}`;
}

/** What became of an operation that had no answer. */
export function finishedOf({ found, effective, position, not_kept: notKept }, now) {
  if (found === "nothing") return { kind: "", title: "Nothing waits for an answer", lines: [] };
  if (found === "over") {
    const line = "Its signature is over, and the node does not take it. What it did before, if it did " +
      "anything, is in the log.";
    return { kind: "warn", title: "It is over", lines: [line] };
  }
  const lines = [`In effect since ${moment(effective, now)}, journal position ${count(position)}.`];
  if (notKept === null) return { kind: "good", title: "It took effect", lines };
  lines.push(`Its receipt is not kept: ${escape(notKept)}`);
  return { kind: "warn", title: "It took effect", lines };
}

/** What was signed and holds, or that it holds and something beside it did not succeed. */
export function outcomeOf(report) {
  const lines = String(report.text ?? "").split("\n").map(escape);
  if (report.applied && report.done) return { kind: "good", title: "It holds", lines };
  if (report.applied) return { kind: "warn", title: "It holds, but not all is kept", lines };
  return { kind: "bad", title: "Nothing was signed", lines };
}
