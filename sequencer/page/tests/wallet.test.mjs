// What the patient's page says, and how it asks the wallet behind it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Wallet, tokenOf } from "../assets/wallet/api.js";
import * as text from "../assets/wallet/text.js";
import { failure } from "./support.mjs";

const at = (day, hour, minute = 0) => new Date(2026, 4, day, hour, minute).getTime();
const NOW = at(1, 9);
const HOSTILE = "<img src=x>\u202e";

const RULE = {
  kind: "permit",
  who: "practitioner dr-001",
  source: null,
  kinds: ["access"],
  categories: ["spo2"],
  purposes: ["treatment"],
  labels: null,
  from_ms: at(1, 8),
  until_ms: at(2, 8),
  data_from_ms: null,
  data_until_ms: null,
  state: "live",
};
const says = (more) => text.ruleSentence({ ...RULE, ...more }, NOW);

test("a rule reads as a sentence on this machine's clocks", () => {
  assert.equal(says({}), "practitioner dr-001 may see my SpO2 for treatment, until tomorrow, 08:00");
  assert.equal(
    says({ until_ms: null, purposes: null, categories: null, kinds: ["access", "collect"] }),
    "practitioner dr-001 may see and record everything for any purpose, until I take it back",
  );
  assert.equal(
    says({ state: "later", from_ms: at(3, 7, 30), until_ms: at(9, 8) }),
    "practitioner dr-001 may see my SpO2 for treatment, from 3 May 2026, 07:30 until 9 May 2026, 08:00",
  );
  assert.match(says({ state: "ended", until_ms: at(1, 8) }), /which ended today, 08:00$/);
});

test("a rule leaves nothing out that narrows it", () => {
  const narrow = says({
    source: "device monitor-1",
    categories: ["ecg", "heart-rate", "spo2"],
    labels: ["normal", "hiv"],
    data_from_ms: at(1, 0),
    data_until_ms: at(2, 0),
  });
  for (const part of [
    "my ECG, heart rate and SpO2",
    "of device monitor-1",
    "if labelled normal and HIV",
    "measured from today, 00:00 until tomorrow, 00:00",
  ]) {
    assert.ok(narrow.includes(part), `${part}: ${narrow}`);
  }
  // A set of bits without a name must not read as all.
  assert.match(says({ categories: [] }), /my nothing that has a name/);
});

test("what forbids and what breaks glass say so, and stand first", () => {
  const deny = { ...RULE, kind: "deny", who: null, kinds: ["access", "collect"] };
  assert.match(text.ruleSentence(deny, NOW), /^Nobody may see or record my SpO2/);
  const all = { ...deny, kinds: ["access", "collect", "break-glass"] };
  assert.match(text.ruleSentence(all, NOW), /may see, record or see in an emergency my SpO2/);
  assert.match(says({ kind: "deny" }), /^practitioner dr-001 may not see/);
  assert.match(says({ kind: "policy", kinds: ["break-glass"] }), /may break the glass, with a reason/);
  const order = text.ruleOrder([RULE, { ...RULE, kind: "policy" }, deny]);
  assert.deepEqual(order.map(({ kind }) => kind), ["deny", "policy", "permit"]);
});

test("a record says what holds: rules, none, or closed for ever", () => {
  const lead = (state, rules) => text.rulesLead({ state, rules }, null);
  assert.equal(lead("open", [RULE]), "By this wallet's copy of the record: 1 rule live now.");
  assert.match(lead("open", [RULE, { ...RULE, kind: "deny" }]), /What is forbidden stays so/);
  assert.match(lead("open", [{ ...RULE, state: "ended" }]), /no rule is live/);
  for (const [misfit, words] of [
    ["behind", /this wallet's copy lacks/],
    ["unexplained", /evidence/],
  ]) {
    const doubted = text.rulesLead({ state: "open", rules: [RULE] }, misfit);
    assert.match(doubted, words);
    assert.doesNotMatch(doubted, /live/);
  }
  assert.match(lead("closed at 2026-05-01", [{ ...RULE, state: "closed" }]), /nobody may see/);
});

test("days near are named, also where a day has 23 hours", () => {
  assert.equal(text.when(at(1, 23, 59), NOW), "today, 23:59");
  assert.equal(text.when(at(0, 0), NOW), "yesterday, 00:00");
  assert.equal(text.when(at(2, 0), at(1, 23, 59)), "tomorrow, 00:00");
  assert.equal(text.when(at(3, 9), NOW), "3 May 2026, 09:00");
  const [noon, late] = [new Date(2026, 2, 28, 12), new Date(2026, 2, 29, 23, 59)];
  assert.equal(text.when(late.getTime(), noon.getTime()), "tomorrow, 23:59");
  assert.equal(text.moment("no time", NOW), "no time");
  const begin = new Date(at(1, 10)).toISOString();
  const end = new Date(at(1, 11)).toISOString();
  assert.equal(text.period(begin, end, NOW), "today, 10:00 to 11:00");
});

const entry = (more) => ({
  batch: 1,
  time: "2026-05-01T08:30:00.000Z",
  kind: "access",
  who: "practitioner dr-001",
  organisation: "organisation ward-3",
  categories: ["ecg"],
  purpose: "treatment",
  measured_from: "2026-05-01T08:00:00.000Z",
  measured_until: "2026-05-01T08:10:00.000Z",
  covered: true,
  rule: "permit:1",
  reason: "round",
  ...more,
});
const LOG = {
  schema: "vitals-log-1",
  batches: 2,
  entries: [],
  refused: [],
  notes: [],
  compared: { copy: "equal", receipts: {} },
  not_compared: [],
  holds: true,
  record_found: true,
  until: "2026-05-01T08:40:00.000Z",
  verdict: ["1 entries in 2 batches: all are included, and none is missing"],
};

test("broken glass, what was left uncovered and refusals come before everything else", () => {
  const log = {
    ...LOG,
    entries: [
      entry({}),
      entry({ kind: "break-glass", rule: "policy:0" }),
      entry({ covered: false, rule: "no rule (the rule has ended, C2.6)" }),
      entry({ kind: "operation", says: "closes the whole record" }),
      entry({ kind: "collect", measured_until: "2026-05-01T08:05:00.000Z" }),
      entry({ kind: "collect", measured_from: "2026-05-01T07:00:00.000Z" }),
      entry({ kind: "collect", categories: ["spo2"] }),
    ],
    refused: [{ practitioner: "dr-002", why: "no rule", rule: "C2.4", count: 3 }],
  };
  const found = text.groups(log);
  assert.deepEqual(found.urgent.map(({ rule }) => rule), [log.entries[2].rule, "policy:0"]);
  assert.deepEqual([found.reads.length, found.refused.length, found.operations.length], [1, 1, 1]);
  // Two of one stream are one, from the first to the last.
  assert.deepEqual(found.collected.map(({ times }) => times), [1, 2]);
  const [, stream] = found.collected;
  assert.equal(stream.measured_from, "2026-05-01T07:00:00.000Z");
  assert.equal(stream.measured_until, "2026-05-01T08:10:00.000Z");
  assert.match(text.underOf(found.urgent[0]), /^EXCLUDED: counted publicly as not covered/);
  assert.equal(text.actOf(found.urgent[1]), "broke the glass and read");
});

test("a refusal says who, how often and why", () => {
  const refused = { practitioner: "dr-002", why: "the rule has ended", rule: "C2.6", count: 3 };
  assert.deepEqual(text.refusedOf(refused), {
    who: "practitioner dr-002",
    act: "was refused, 3 times",
    why: "the rule has ended (C2.6)",
  });
  const gateway = text.refusedOf({ gateway: "gw-1", why: "no rule", rule: "C2.4", count: 1 });
  assert.equal(gateway.act, "sent readings that were refused");
});

test("a reason is shown as it was signed, and its absence is said", () => {
  assert.equal(text.reasonOf(entry({})), '"round"');
  assert.equal(text.reasonOf(entry({ reason: "" })), "no reason given");
  assert.match(text.reasonOf(entry({ reason: null })), /the operator withholds/);
  assert.equal(text.reasonOf(entry({ kind: "collect", reason: null })), "");
});

test("whether anything is missing is what the wallet found, and never greener", () => {
  const kind = (more) => text.verdictOf({ ...LOG, ...more }).kind;
  assert.equal(kind({}), "good");
  assert.equal(kind({ not_compared: ["2 operations of receipts"] }), "warn");
  assert.equal(kind({ holds: false }), "bad");
  assert.equal(kind({ holds: false, not_compared: ["x"], record_found: false }), "bad");
  const behind = text.verdictOf({ ...LOG, compared: { copy: "behind", copy_lacks: 2 } });
  assert.equal(behind.kind, "warn");
  assert.match(behind.title, /this wallet lacks 2 operations/);
  // Without receipts only a copy that is the settled record is a comparison.
  assert.equal(kind({ compared: { copy: "equal" } }), "good");
  assert.equal(kind({ compared: { copy: "none" } }), "warn");
  assert.match(text.gapsOf({ compared: {} })[0], /would not show/);
  assert.deepEqual(text.gapsOf(LOG), []);
  const wrongKey = text.verdictOf({ ...LOG, record_found: false });
  assert.equal(wrongKey.kind, "warn");
  assert.match(wrongKey.title, /another patient's key/);
  assert.match(text.verdictOf({ ...LOG, record_found: false, batches: 0 }).title, /No batch/);
  assert.deepEqual(text.verdictOf(LOG).lines, LOG.verdict);
  assert.match(text.reachOf(LOG, NOW), /^The log goes up to .*auditor verify --save-headers/);
  assert.match(text.reachOf({ until: null }, NOW), /no batch/);
});

test("an empty list says nothing of a log that does not hold or opens nothing", () => {
  const none = (more) => text.noneOf({ ...LOG, ...more }, "Nobody was refused");
  assert.equal(none({}), "Nobody was refused, as far as this log goes.");
  assert.match(none({ holds: false }), /^Not known: the log does not hold/);
  assert.match(none({ record_found: false }), /^Not known: this key opens nothing/);
});

test("what became of something without an answer is told, also where it is over", () => {
  const applied = { found: "applied", effective: "2026-05-01T08:30:00.000Z", position: 41 };
  const kept = text.finishedOf({ ...applied, not_kept: null }, NOW);
  assert.deepEqual([kept.kind, kept.lines.length], ["good", 1]);
  assert.equal(text.finishedOf({ ...applied, not_kept: "disk full" }, NOW).kind, "warn");
  assert.equal(text.finishedOf({ found: "over" }, NOW).title, "It is over");
  assert.equal(text.finishedOf({ found: "nothing" }, NOW).kind, "");
  const away = text.faultOf({ kind: "node-away", error: [], ofPending: true });
  assert.match(away.advice, /sent before is kept/);
  assert.doesNotMatch(away.advice, /nothing has changed/i);
  const during = text.closedOf({ kind: "ended", message: "", wasSigning: true });
  assert.match(during.advice, /may have been sent/);
});

test("each fault that the wallet has a word for has a sentence here, and no other", () => {
  const file = "../../client/src/bin/vitals/wallet/fault.rs";
  const source = readFileSync(new URL(file, import.meta.url), "utf8");
  const code = source.slice(source.indexOf("fn object("), source.indexOf("#[cfg(test)]"));
  const named = [...code.matchAll(/"([a-z-]+)"/g)].map(([, word]) => word);
  const words = new Set(named.filter((word) => !["kind", "exit"].includes(word)));
  assert.deepEqual([...words].sort(), [...text.FAULT_KINDS].sort());
  for (const kind of words) {
    const { title, advice, details } = text.faultOf({ kind, error: ["one", "two"] });
    assert.ok(title.length > 5 && advice.endsWith("."), kind);
    assert.equal(details, "one: two");
  }
  assert.equal(text.faultOf({ kind: "other" }).title, text.faultOf({ kind: "failed" }).title);
});

test("whoever signs a name that the registry does not know says so on the button", () => {
  assert.equal(text.signWords([]), "Sign and send");
  assert.equal(
    text.signWords(["practitioner dr-0o1", "device m\u202e"]),
    "Sign although the registry does not know practitioner dr-0o1 and device m\\u{202e}",
  );
});

const QUESTION = {
  batch: 1,
  time: "2026-05-01T08:30:00.000Z",
  kind: "query",
  organisation: "st-anne",
  who: "practitioner dr-001",
  of: "organisation ward-3",
  act: "access",
  categories: ["ecg"],
  purpose: "treatment",
  permitted: false,
  why: "the rule has ended",
  rule: "C2.6",
  count: 3,
};

test("a question says who asked about whom and what they were told, the newest first", () => {
  const yes = { ...QUESTION, permitted: true, why: null, rule: null, count: 1 };
  const { asked } = text.groups({ ...LOG, asked: [QUESTION, yes] });
  assert.deepEqual(asked, [yes, QUESTION]);
  assert.deepEqual(text.askedOf(QUESTION), {
    who: "organisation st-anne",
    about: "practitioner dr-001 of organisation ward-3",
    act: "may read ECG for treatment, and 2 more questions that are not listed",
    told: "No: the rule has ended (C2.6)",
  });
  assert.equal(text.askedOf(yes).told, "Yes");
  // A wallet of before knows no questions.
  assert.deepEqual(text.groups(LOG).asked, []);
});

const HELD = {
  state: "held",
  since: "2026-05-01T06:00:00.000Z",
  reason: "a claim is pending",
  told_at: "2026-05-01T06:30:00.000Z",
};

test("an erasure says what stays, and a hold its reason and whose word it is", () => {
  const of = (compared) => text.erasuresOf({ compared: { ...LOG.compared, ...compared } }, NOW);
  assert.deepEqual(of({}), []);
  const done = { time: "2026-05-01T06:00:00.000Z", own: true };
  const [own, other] = of({ erased: [done, { ...done, own: false }] });
  assert.equal(own.kind, "good");
  assert.ok(own.lines[0].startsWith("What stays:"), own.lines[0]);
  assert.ok(other.kind === "bad" && other.title.includes("NOT at your request"), other.title);
  const [held, waits] = of({ erasure_asked: [HELD, { ...HELD, state: "waiting" }] });
  assert.ok(held.title.startsWith("A legal hold keeps your readings"), held.title);
  assert.equal(held.lines[0], 'The reason given: "a claim is pending"');
  assert.ok(held.lines[1].includes("the operator's word"), held.lines[1]);
  assert.ok(!JSON.stringify(waits).includes("hold"), waits.title);
});

test("words of strangers are written out wherever they stand", () => {
  const shown = JSON.stringify([
    says({ who: HOSTILE, source: HOSTILE }),
    text.refusedOf({ practitioner: HOSTILE, why: HOSTILE, rule: "C2.4", count: 1 }),
    text.reasonOf(entry({ reason: HOSTILE })),
    text.underOf(entry({ rule: HOSTILE })),
    text.faultOf({ kind: "failed", error: [HOSTILE] }),
    text.closedOf({ kind: "other", message: HOSTILE }),
    text.outcomeOf({ text: HOSTILE }),
    text.verdictOf({ ...LOG, verdict: [HOSTILE] }),
    text.finishedOf({ found: "applied", effective: HOSTILE, position: 1, not_kept: HOSTILE }, NOW),
    text.askedOf({ ...QUESTION, organisation: HOSTILE, who: HOSTILE, of: HOSTILE, why: HOSTILE }),
    text.askedOf({ ...QUESTION, act: HOSTILE, purpose: HOSTILE, rule: HOSTILE }),
    text.erasuresOf({ compared: { erasure_asked: [{ ...HELD, reason: HOSTILE }] } }, NOW),
    text.word(HOSTILE),
    text.moment(HOSTILE, NOW),
  ]);
  assert.ok(!shown.includes("\u202e") && shown.includes("\\\\u{202e}"), shown);
});

const FORM = {
  action: "permit",
  kind: "practitioner",
  name: " dr-001 ",
  categories: ["spo2", "ecg"],
  allCategories: false,
  purposes: ["treatment"],
  allPurposes: false,
  ends: "for",
  length: "24h",
  until: "",
  kinds: [],
  labels: [],
  allLabels: false,
  source: "",
};

test("a form becomes the options that a command line would have", () => {
  assert.deepEqual(text.wantedOf(FORM, { zone: "Europe/Berlin", first: "heart-rate" }), {
    action: "permit",
    rule: {
      actor: "practitioner:dr-001",
      categories: "spo2,ecg",
      purposes: "treatment",
      for: "24h",
      zone: "Europe/Berlin",
      "preview-actor": "practitioner:dr-001",
      "preview-category": "spo2",
      "preview-purpose": "treatment",
      "preview-kind": "access",
    },
  });
  const all = { ...FORM, kind: "any", name: "", allCategories: true, allPurposes: true };
  const { rule } = text.wantedOf(
    { ...all, action: "deny", ends: "never", source: "m-1" },
    { zone: "UTC", first: "heart-rate" },
  );
  const expected = { actor: "any", categories: "all", purposes: "all", source: "device:m-1" };
  assert.deepEqual(rule, { ...expected, zone: "UTC" });
});

test("the wallet reads every option that a form can give", () => {
  const file = "../../client/src/bin/vitals/wallet/wanted.rs";
  const source = readFileSync(new URL(file, import.meta.url), "utf8");
  const fields = source.slice(source.indexOf("const FIELDS"), source.indexOf("];"));
  const given = { ...FORM, kinds: ["access"], labels: ["normal"], source: "m-1" };
  for (const ends of ["for", "until", "never"]) {
    const form = { ...given, ends, until: "2026-05-03" };
    const { rule } = text.wantedOf(form, { zone: "UTC", first: "ecg" });
    for (const name of Object.keys(rule)) assert.ok(fields.includes(`"${name}"`), name);
  }
});

test("what a form lacks is said before anything is asked", () => {
  assert.equal(text.lackOf(FORM), undefined);
  assert.equal(text.lackOf({ ...FORM, kind: "any", name: "" }), undefined);
  for (const [more, words] of [
    [{ name: "  " }, /whom/],
    [{ categories: [] }, /what the rule is about/],
    [{ purposes: [] }, /what for/],
    [{ ends: "until" }, /until when/],
  ]) {
    assert.match(text.lackOf({ ...FORM, ...more }), words);
  }
});

test("what took effect is said to hold, also where its receipt is not kept", () => {
  const said = { text: "writes permit:0\neffective now" };
  assert.equal(text.outcomeOf({ ...said, applied: true, done: true }).title, "It holds");
  assert.equal(text.outcomeOf({ ...said, applied: true, done: false }).kind, "warn");
  assert.deepEqual(text.outcomeOf(said).lines, ["writes permit:0", "effective now"]);
});

/** A wallet that answers as given; what it was asked. */
function played(answers, kept = new Map()) {
  const asked = [];
  const fetch = async (path, init) => {
    asked.push({ path, ...init });
    const answer = answers[path];
    if (answer === undefined) throw new TypeError("nobody listens");
    return answer instanceof Response ? answer : Response.json(answer);
  };
  const storage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  };
  const wallet = new Wallet({ fetch, wait: async () => {}, storage });
  return { wallet, asked, kept };
}

const TOKEN = "5".repeat(64);
const refused = (status, error) => Response.json({ error, detail: null }, { status });

test("a link is a token and nothing else", () => {
  assert.equal(tokenOf(`#token=${TOKEN}`), TOKEN);
  for (const hash of ["", "#", "#token=", `#token=${TOKEN}0`, `#token=${TOKEN}&a`, "#/batch/1"]) {
    assert.equal(tokenOf(hash), undefined, hash);
  }
});

test("the token is exchanged once, and the word goes with every question after it", async () => {
  const { wallet, asked, kept } = played({ "/session": { word: "w" }, "/state": { a: 1 } });
  await wallet.open(`#token=${TOKEN}`);
  assert.deepEqual(await wallet.state(), { a: 1 });
  const [session, state] = asked;
  assert.deepEqual(JSON.parse(session.body), { token: TOKEN });
  assert.equal(session.headers["x-vitals-page"], undefined);
  assert.equal(state.headers["x-vitals-page"], "w");
  assert.equal(state.credentials, "same-origin");
  // Loaded again, this window goes on; another one has no word.
  const again = played({ "/state": { a: 2 } }, kept);
  await again.wallet.open("");
  assert.deepEqual(await again.wallet.state(), { a: 2 });
  const { kind } = await failure(() => played({}).wallet.open(""));
  assert.equal(kind, "no-link");
});

test("why a wallet does not answer is told apart", async () => {
  const kindOf = async (answers) => {
    const { wallet } = played({ "/session": { word: "w" }, ...answers });
    await wallet.open(`#token=${TOKEN}`);
    return (await failure(() => wallet.state())).kind;
  };
  const used = played({ "/session": refused(403, "token-unknown") });
  const error = await failure(() => used.wallet.open(`#token=${TOKEN}`));
  assert.equal(error.kind, "used-link");
  assert.equal(await kindOf({}), "ended");
  assert.equal(await kindOf({ "/state": refused(401, "session-unknown") }), "session");
  assert.equal(await kindOf({ "/state": refused(500, "wallet-failed") }), "other");
  assert.equal(await kindOf({ "/state": new Response("not json") }), "other");
  // With no body, as the Fetch standard has it for HEAD, and with an empty one, as Chromium does.
  for (const body of [null, ""]) {
    const { wallet } = played({ "/icon.svg": new Response(body), "/session": { word: "w" } });
    assert.equal(await wallet.isThere(), true, `${body}`);
  }
  assert.equal(await played({}).wallet.isThere(), false);
  for (const kind of ["no-link", "used-link", "session", "ended", "busy", "other", "new"]) {
    const { title, advice } = text.closedOf({ kind, message: "m" });
    assert.ok(title !== "" && advice.endsWith("."), kind);
  }
});

test("the log is kept as it came, and a wallet that is closed is forgotten", async () => {
  const body = '{"schema":  "vitals-log-1"}';
  const { wallet, kept } = played({
    "/session": { word: "w" },
    "/log": new Response(body),
    "/close": {},
  });
  await wallet.open(`#token=${TOKEN}`);
  const log = await wallet.log();
  assert.deepEqual([log.text, log.object.schema], [body, "vitals-log-1"]);
  assert.equal(kept.size, 1);
  await wallet.close();
  assert.equal(kept.size, 0);
});
