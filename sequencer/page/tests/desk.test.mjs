// The desk: what it reads of the node's answer, what it keeps, marks and says.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  DeskError,
  MARKS,
  QUEUES,
  Ring,
  extent,
  markOf,
  readDesk,
  shareOf,
} from "../assets/desk/model.js";
import * as text from "../assets/desk/text.js";
import { deskAnswer, pointAt } from "./played-desk.mjs";

const read = (name) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");

/** Names of the figures that a node tells, in the order of its page. */
const TABLE = read("docs/watching.md").split("| figure | means |")[1].split("\n\n")[0];
const NAMES = [...TABLE.matchAll(/^\| `([a-z0-9_]+)` \|/gm)].map(([, name]) => name);

test("every figure that a node tells is shown, and no other", () => {
  const shown = [
    ...text.GROUPS.flatMap(({ figures }) => figures.map(([name]) => name)),
    ...QUEUES.flatMap(({ items, most }) => [items, most]),
    "evaluations_waiting",
    "at_unix_ms",
  ];
  assert.ok(NAMES.length > 40, `found ${NAMES.length} figures`);
  assert.deepEqual(shown.toSorted(), NAMES.toSorted());
  const drawn = text.CHARTS.flatMap(({ series }) =>
    series.flatMap(([name, , most]) => (most === undefined ? [name] : [name, most])),
  );
  for (const name of drawn) assert.ok(NAMES.includes(name), name);
  for (const { items } of QUEUES) assert.ok(items in text.QUEUE_NAMES, items);
});

test("marks begin where the alert of the same name does", () => {
  const rules = read("docs/alerts.yml").matchAll(/alert: (\w+)\n *expr: "(.*)"$/gm);
  const alerts = new Map([...rules].map(([, name, expr]) => [name, expr]));
  for (const { figure, alert, at } of [...MARKS, ...QUEUES]) {
    const expr = alerts.get(alert);
    assert.ok(expr !== undefined, alert);
    // A bound that is another figure has no number.
    if (at !== undefined) assert.match(expr, new RegExp(`[<>]=? ${at}$`), `${figure}: ${expr}`);
  }
});

test("what is beyond its mark is marked, the worst first, and what is not known is not", () => {
  const marked = (now, name) => markOf(name, now)?.alert;
  const sound = pointAt(1);
  for (const name of NAMES) assert.equal(marked(sound, name), undefined, name);
  for (const [name, value, alert] of [
    ["free_bytes", 2 ** 29, "VitalsDiskLow"],
    ["clock_ahead_seconds", -6, "VitalsClockDisagrees"],
    ["journal_ahead_seconds", 6, "VitalsJournalAhead"],
    ["resident_bytes", 0.95 * 2 ** 33, "VitalsMemoryHigh"],
    ["receipt_p99_seconds", 1.5, "VitalsReceiptsSlow"],
    ["windows_to_prove", 10, "VitalsProvingBehind"],
    ["withdrawal_settled_p90_seconds", 1801, "VitalsWithdrawalsSlow"],
    ["balance_days", 6.9, "VitalsBalanceLow"],
    ["balance_days", 0.9, "VitalsBalanceEmpty"],
    ["chain_reachable", 0, "VitalsChainSilent"],
    ["own_certificates_seconds", 1_209_599, "VitalsOwnCertificateEnds"],
    ["own_certificates_seconds", -5, "VitalsOwnCertificateEnded"],
    ["certificates_ending", 1, "VitalsCertificatesEnding"],
    ["certificates_waiting", 1, "VitalsRenewalsWaiting"],
    ["archive_failing", 1, "VitalsArchiveFails"],
    ["keys_failing", 1, "VitalsNoNewKeys"],
  ]) {
    assert.equal(marked({ ...sound, [name]: value }, name), alert, `${name} ${value}`);
  }
  for (const { figure } of MARKS) assert.equal(markOf(figure, {}), undefined, figure);
  assert.equal(markOf("free_bytes", undefined), undefined);
  // Of a machine that does not say what it has nothing is much.
  assert.equal(marked({ ...sound, machine_bytes: 0 }, "resident_bytes"), undefined);
  assert.deepEqual([shareOf(1, 4), shareOf(9, 4), shareOf(1, 0), shareOf(undefined, 4)], [
    0.25,
    1,
    undefined,
    undefined,
  ]);
});

test("an answer is read as far as it is known, and what is no desk's is refused", () => {
  const desk = readDesk(deskAnswer({ points: 3 }));
  assert.deepEqual([desk.everySeconds, desk.points.get("at_unix_ms").length], [5, 3]);
  assert.equal(desk.now.readings_per_second, 50);
  assert.deepEqual([desk.health.isReady, desk.health.stages.length], [true, 3]);
  assert.deepEqual(desk.rejects.map(({ code }) => code), [12, 7], "most often first");
  assert.deepEqual(
    desk.recentRejects.map((one) => [one.code, one.gateway, text.whoRejected(one)]),
    [
      [12, "gateway-001", "gateway-001"],
      [6, undefined, "a wallet"],
      [7, "gateway-001", "gateway-001"],
    ],
  );
  const { tuned, paused, draining, access } = desk;
  assert.deepEqual([tuned, paused, draining, access], [[], undefined, undefined, undefined]);
  // A node of another release tells more or less.
  assert.deepEqual([desk.ageMs, desk.begunMs], [1200, 1_800_000_000_000]);
  const known = deskAnswer({ points: 1 });
  const other = { ...known, later: [1], health: undefined, rejects: null, age_ms: -1 };
  assert.equal(readDesk(other).ageMs, undefined);
  assert.deepEqual([readDesk(other).health, readDesk(other).rejects], [undefined, []]);
  assert.equal(readDesk({ ...other, now: null }).now, undefined);
  const sound = deskAnswer({ points: 2 });
  for (const odd of [
    null,
    [],
    "desk",
    {},
    { ...sound, schema: "vitals-desk-2" },
    { ...sound, every_seconds: 0 },
    { ...sound, points_max: 1e9 },
    { ...sound, now: [] },
    { ...sound, now: {} },
    { ...sound, points: null },
    { ...sound, points: { at_unix_ms: [1, "2"] } },
    { ...sound, points: { at_unix_ms: [1, 2], connections: [1] } },
    { ...sound, points: { at_unix_ms: [1, 2], connections: [1, "2"] } },
    { ...sound, points: { at_unix_ms: [1, 2], connections: "12" } },
  ]) {
    assert.throws(() => readDesk(odd), DeskError, JSON.stringify(odd));
  }
});

test("words of the node are shown as words, and no more of them than fit", () => {
  const stage = { stage: "<b>\u202e", state: "\x1b[2J", queue_items: "7", progress_count: null };
  const health = {
    healthy: "yes",
    ready: 1,
    reasons: [{ code: "\n", detail: { a: "\u2028" }, what_to_do: 5 }, 7, null],
    stages: Array(1000).fill(stage),
  };
  const desk = readDesk({
    ...deskAnswer({ points: 1 }),
    health,
    rejects: [{ code: 1, meaning: "\t", count: -5, per_second: "2" }, { code: "x" }, null],
    recent_rejects: [{ code: 3, at_unix_ms: "1", count: 0.5, peer: "\x1b", gateway: 7 }, {}, 7],
    tuned: [{ key: "a.b", configured: null, tuned: "\r" }, { key: 7 }, 7],
    paused: { since_unix_ms: "now", who: { as: "\x07", reason: "\u2029" } },
  });
  assert.deepEqual([desk.health.isHealthy, desk.health.isReady], [false, false]);
  assert.equal(desk.health.stages.length, 100);
  const { stage: name, state, items, progress } = desk.health.stages[0];
  assert.deepEqual([name, state], ["<b>\\u{202e}", "\\u{1b}[2J"]);
  assert.deepEqual([items, progress], [undefined, undefined]);
  assert.deepEqual(desk.health.reasons, [
    { code: "\\n", detail: '{"a":"\\u{2028}"}', remedy: "" },
  ]);
  assert.deepEqual(desk.rejects, [{ code: 1, meaning: "\\t", count: 0, perSecond: 0 }]);
  const [rejected, ...others] = desk.recentRejects;
  assert.deepEqual([rejected.atMs, rejected.count, rejected.gateway], [undefined, 1, undefined]);
  assert.deepEqual([text.whoRejected(rejected), others], ["\\u{1b}", []]);
  assert.deepEqual(
    desk.tuned.map(({ key, configured, tuned }) => [key, configured, tuned]),
    [["a.b", "none", '"\\r"']],
  );
  assert.deepEqual(desk.paused, { sinceMs: undefined, by: "\\u{7}", reason: "\\u{2029}" });
});

test("points follow one another, and of more than are kept the first go", () => {
  const ring = new Ring();
  assert.equal(ring.since, 0);
  const take = (options) => ring.take(readDesk(deskAnswer(options)));
  assert.ok(take({ points: 3 }));
  assert.ok(take({ from: 3, points: 2 }));
  assert.ok(take({ from: 5, points: 0 }), "nothing new is no fault");
  assert.deepEqual(ring.row("batch_closed"), [0, 1, 2, 3, 4]);
  assert.deepEqual(ring.row("a_later_figure"), [null, null, null, null, null]);
  assert.equal(ring.from(10_000), 2);
  assert.equal(ring.from(10_000_000), 0);
  const more = { ...deskAnswer({ from: 5, points: 4 }), points_max: 6 };
  assert.ok(ring.take(readDesk(more)));
  assert.deepEqual(ring.row("batch_closed"), [3, 4, 5, 6, 7, 8]);
  assert.equal(ring.times.length, 6);
});

test("nothing is drawn across a hole, and a clock that was set back begins anew", () => {
  const ring = new Ring();
  const take = (options) => ring.take(readDesk(deskAnswer(options)));
  take({ points: 2 });
  take({ from: 40, points: 2 });
  assert.deepEqual(ring.row("batch_closed"), [0, 1, null, 40, 41]);
  assert.ok(ring.times.every((time, at) => at === 0 || time > ring.times[at - 1]));
  assert.equal(take({ from: 7, points: 1 }), false);
  assert.deepEqual([ring.since, ring.times], [0, []]);
  assert.ok(take({ from: 7, points: 2 }));
  // Nothing is told of points before the last one; that the last is another one says it.
  const behind = { ...deskAnswer({ points: 0 }), now: { at_unix_ms: ring.since - 1 } };
  assert.equal(ring.take(readDesk(behind)), false);
  // Of another run, whose first points are still to come.
  assert.ok(take({ from: 7, points: 2 }));
  const begun = { ...deskAnswer({ points: 0 }), now: null, begun_unix_ms: 5 };
  assert.equal(ring.take(readDesk(begun)), false);
  assert.deepEqual([ring.take(readDesk(begun)), ring.times], [true, []]);
});

test("figures have the unit that their name ends in, and none is told as that", () => {
  for (const [name, value, words] of [
    ["readings_per_second", 1234.56, "1,234.6 /s"],
    ["frame_bytes_per_second", 3 * 2 ** 20, "3 MiB/s"],
    ["frame_bytes_per_second", 512, "0.5 KiB/s"],
    ["receipt_p50_seconds", 0.0023, "2.3 ms"],
    ["receipt_p99_seconds", 2, "2.0 s"],
    ["own_certificates_seconds", -86_400 * 3, "3 days before"],
    ["padding_ratio", 0.254, "25 %"],
    ["base_fee_wei", 1.5e9, "1.5 gwei"],
    ["balance_wei", 1.99999e18, "1.9999 ether"],
    ["balance_days", 6.94, "6.9 days"],
    ["free_bytes", 2 ** 30 + 5, "1,024 MiB"],
    ["chain_reachable", 1, "yes"],
    ["archive_failing", 0, "no"],
    ["connections", 5120, "5,120"],
    ["balance_days", null, "none"],
    ["receipt_p99_seconds", undefined, "none"],
  ]) {
    assert.equal(text.figure(name, value), words, name);
  }
  for (const name of NAMES.filter((name) => name !== "at_unix_ms")) {
    const words = text.figure(name, 0);
    assert.match(words, /^[0-9]|^no$/, `${name}: ${words}`);
  }
});

test("a drawing is told in words to whoever does not see it", () => {
  const times = [0, 5000, 10_000];
  assert.deepEqual(extent(times, [1, 7, 3]), { last: 3, most: 7, ms: 10_000 });
  assert.equal(extent(times, [null, null, null]), undefined);
  assert.equal(extent(times, [null, 2, null]).last, null);
  const quantiles = ["p50", "p99"].map((name) => [`receipt_${name}_seconds`, name]);
  const chart = { title: "Receipts", series: quantiles };
  const words = text.chartWords(chart, [{ last: 0.002, most: 0.01 }, undefined]);
  assert.equal(words, "Receipts: p50 2 ms, at most 10 ms; p99 none.");
  assert.equal(text.spanWords(600_000), "The last 10 min.");
  const shares = { title: "Queues", series: [["connections", "open", "connections_max"]] };
  const full = [{ last: 0.25, most: 1 }];
  assert.equal(text.chartWords(shares, full), "Queues: open 25 %, at most 100 %.");
  const [series] = shares.series;
  assert.deepEqual(
    [text.axis(series, 0.5), text.axis(["free_bytes"], 2 ** 31), text.axis(["gas_per_second"], 5)],
    ["50 %", "2 GiB", "5"],
  );
});

test("how the node stands is said in its own codes, and what to do with them", () => {
  const { health } = readDesk(deskAnswer({ points: 1 }));
  assert.deepEqual(text.standing(health), { kind: "good", words: "Ready: all 3 stages run." });
  const degraded = { ...health, stages: [{ state: "degraded" }, { state: "runs" }] };
  assert.deepEqual(text.standing(degraded), { kind: "warn", words: "Ready; 1 stage not running." });
  const why = { code: "disk-low", detail: '{"free_bytes":5}', remedy: "Make room." };
  const low = { ...health, isReady: false, reasons: [why] };
  assert.deepEqual(text.standing(low), { kind: "warn", words: "Not ready: disk-low." });
  assert.deepEqual(text.reason(why), {
    title: "Not ready: disk-low",
    words: 'Make room. Found: {"free_bytes":5}.',
  });
  assert.equal(text.standing({ ...low, isHealthy: false }).kind, "bad");
  assert.equal(text.standing(undefined).kind, "");
  assert.equal(text.queue({ items: 3, itemsMax: 5120, holds: "items" }), "3 of 5,120 items");
  assert.equal(text.queue({ items: 3, holds: "batches" }), "3 batches");
  const made = { progressIn: "groups", progress: 77, secondsAgo: 0.4 };
  assert.equal(text.progress(made), "77 groups, 400 ms ago");
  assert.deepEqual([text.queue({}), text.progress({})], ["", ""]);
});

test("what is ordered is said with who and why, as far as that is known", () => {
  const since = { sinceMs: 1_800_000_000_000, by: "anna", reason: "gas is dear" };
  assert.match(text.byWhom(since), /^since .* by anna: gas is dear$/);
  assert.equal(text.byWhom({ by: "user 0" }), "by user 0");
  for (const what of ["paused", "draining"]) {
    assert.match(text.ordered(what, since).words, /by anna: gas is dear\.$/);
  }
});

test("who asks to be erased is told with what they wait for, and who is with what is left", () => {
  const { erasures } = readDesk(deskAnswer({ points: 1 }));
  const [held, ready, done, ...others] = text.erasureRows(erasures);
  assert.deepEqual(others, []);
  assert.deepEqual([held[0], ready[0], done[0]], ["7", "12345", "9"]);
  assert.match(held[2].words, /^held since .* by anna \(.*\): a claim is pending$/);
  assert.match(held[3], /^sequencer hold clear --patient 7,/);
  assert.deepEqual(ready[2], { kind: "warn", words: "waits for you" });
  assert.match(ready[3], /^sequencer erase --patient 12345, until /);
  assert.equal(done[2].kind, "good");
  assert.match(done[2].words, /^erased .*, receipt of journal position 4,711$/);
  assert.match(done[3], /^complete once the last backup of keys expires, /);
  assert.ok([held, ready].every(([, asked]) => asked !== ""), "when it was asked");

  const rows = (change) => text.erasureRows({ ...erasures, requests: [], done: [], ...change });
  const [waits] = rows({ waiting: 1, erased: 0, requests: [{ patient: 7, state: "unsettled" }] });
  assert.equal(waits[3], "the stop and all before it is to be settled; nothing is settled");
  const [complete, left] = rows({
    waiting: 0,
    erased: 2,
    done: [{ patient: 1, areKeysDestroyed: true }, { patient: 2, areKeysDestroyed: false }],
  });
  assert.equal(complete[3], "complete: no backup of keys holds theirs");
  const words = "keys are left: the node tries again each minute";
  assert.deepEqual([left[2].kind, left[3]], ["bad", words]);
  assert.deepEqual(rows({ waiting: 101, erased: 0 })[0][0], "101 more");
});

test("of requests to erase what is one is read, and of a node that says none there is none", () => {
  const read = (erasures) => readDesk({ ...deskAnswer({ points: 1 }), erasures }).erasures;
  for (const none of [null, undefined, 7, []]) assert.equal(read(none), undefined);
  assert.deepEqual(text.erasureRows(undefined), []);
  const asked = [{ patient: "7" }, 7, { patient: 7, who: "\x1b", state: 5 }];
  const odd = { waiting: -1, requests: asked };
  const { waiting, erased, requests, done } = read(odd);
  assert.deepEqual([waiting, erased, requests.length, done], [0, 0, 1, []]);
  const [{ patient, by, state, requestedMs }] = requests;
  assert.deepEqual([patient, by, state, requestedMs], [7, "\\u{1b}", "unknown", undefined]);
  assert.equal(text.erasureRows(read(odd))[0][3], "sequencer erase --patient 7");
});

test("a minute of rejects is told from its first to its last, and one of them by its time", () => {
  const at = { atMs: 1_800_000_000_000 };
  assert.match(text.whenRejected({ ...at, untilMs: at.atMs + 42_000 }), /^.+ to .+$/);
  assert.doesNotMatch(text.whenRejected({ ...at, untilMs: at.atMs + 999 }), / to /);
  assert.doesNotMatch(text.whenRejected(at), / to /);
  assert.equal(text.whenRejected({}), "");
});

test("why nothing is shown is said, and no word of it claims to have checked anything", () => {
  const kinds = ["token", "plain", "unset", "none", "malformed", "away", "anything else"];
  for (const kind of kinds) {
    const { title, words } = text.closedWords(kind);
    assert.ok(title.length > 0 && words.length > 0, kind);
  }
  assert.match(text.closedWords("token").words, /web\.token_file/);
  assert.equal(text.closedWords("anything else"), text.closedWords("away"));
});
