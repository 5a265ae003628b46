// The desk's answer as plain values, checked; the points of the last hours; and what is to be
// marked. Pure functions and one small store: nothing here fetches or draws.

import { escape } from "../statement/escape.js";

const SCHEMA = "vitals-desk-1";
/** Limits of an answer: what is beyond them is no desk's. */
const POINTS_MAX = 20_000;
const ROWS_MAX = 100;
const NUMBER_MAX = 2 ** 53;
/** Points so many times as far apart as they should be have a hole between them. */
const HOLE_AFTER = 3;

/** An answer that is no desk's. */
export class DeskError extends Error {
  constructor(message) {
    super(`/desk: ${message}`);
    this.name = "DeskError";
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isNumber = (value) => Number.isFinite(value);
const isCount = (value) => Number.isSafeInteger(value) && value >= 0 && value < NUMBER_MAX;
const listOf = (value) => (Array.isArray(value) ? value.slice(0, ROWS_MAX) : []);
const wordOf = (value) => (typeof value === "string" ? escape(value) : undefined);

/** The answer of `GET /desk`; names that are not known are passed over. */
export function readDesk(json) {
  if (!isObject(json) || json.schema !== SCHEMA) throw new DeskError(`expected schema ${SCHEMA}`);
  const { every_seconds: everySeconds, points_max: pointsMax, now, points } = json;
  const areSound = [everySeconds, pointsMax].every((value) => isCount(value) && value > 0);
  if (!areSound || pointsMax > POINTS_MAX) throw new DeskError("expected how many points are kept");
  return {
    everySeconds,
    pointsMax,
    now: now === null ? undefined : readFigures(now),
    points: readPoints(points),
    health: readHealth(json.health),
    rejects: readRejects(json.rejects),
    recentRejects: readRecentRejects(json.recent_rejects),
    tuned: readTuned(json.tuned),
    paused: readOrdered(json.paused),
    draining: readOrdered(json.draining),
    erasures: readErasures(json.erasures),
    access: wordOf(json.access),
    ageMs: isCount(json.age_ms) ? json.age_ms : undefined,
    begunMs: isCount(json.begun_unix_ms) ? json.begun_unix_ms : undefined,
  };
}

function readFigures(now) {
  if (!isObject(now) || !isCount(now.at_unix_ms)) throw new DeskError("expected a last point");
  return Object.fromEntries(Object.entries(now).filter(([, value]) => isNumber(value)));
}

/** Rows of numbers and nulls, each as long as that of the times. */
function readPoints(points) {
  const times = points?.at_unix_ms;
  const areTimes = Array.isArray(times) && times.length <= POINTS_MAX && times.every(isCount);
  if (!areTimes) throw new DeskError("expected the times of its points");
  const rows = new Map();
  for (const [name, row] of Object.entries(points)) {
    const isRow = Array.isArray(row) && row.length === times.length;
    if (!isRow || !row.every((value) => value === null || isNumber(value))) {
      throw new DeskError(`expected a number or none for each point of ${escape(name)}`);
    }
    rows.set(name, row);
  }
  return rows;
}

/** How the node stands: its own words, which are shown as that. */
function readHealth(health) {
  if (!isObject(health)) return undefined;
  return {
    isHealthy: health.healthy === true,
    isReady: health.ready === true,
    reasons: listOf(health.reasons)
      .filter(isObject)
      .map(({ code, detail, what_to_do: remedy }) => ({
        code: wordOf(code) ?? "unknown",
        detail: detail === null || detail === undefined ? "" : escape(JSON.stringify(detail)),
        remedy: wordOf(remedy) ?? "",
      })),
    stages: listOf(health.stages).filter(isObject).map(readStage),
  };
}

function readStage(stage) {
  const number = (name) => (isNumber(stage[name]) ? stage[name] : undefined);
  return {
    stage: wordOf(stage.stage) ?? "unknown",
    state: wordOf(stage.state) ?? "unknown",
    cause: wordOf(stage.cause),
    holds: wordOf(stage.queue_holds),
    items: number("queue_items"),
    itemsMax: number("queue_items_max"),
    progressIn: wordOf(stage.progress_in),
    progress: number("progress_count"),
    secondsAgo: number("progress_seconds_ago"),
  };
}

function readRejects(rejects) {
  const told = listOf(rejects).filter((one) => isObject(one) && isCount(one.code));
  return told
    .map(({ code, meaning, count, per_second: perSecond }) => ({
      code,
      meaning: wordOf(meaning) ?? "",
      count: isCount(count) ? count : 0,
      perSecond: isNumber(perSecond) ? perSecond : 0,
    }))
    .sort((one, other) => other.count - one.count);
}

/** What was rejected last, the newest first; of another gateway than a name none is shown. */
function readRecentRejects(recent) {
  const told = listOf(recent).filter((one) => isObject(one) && isCount(one.code));
  return told.map(({ at_unix_ms: atMs, until_unix_ms: untilMs, ...one }) => ({
    atMs: isCount(atMs) ? atMs : undefined,
    untilMs: isCount(untilMs) ? untilMs : undefined,
    count: isCount(one.count) ? one.count : 1,
    code: one.code,
    meaning: wordOf(one.meaning) ?? "",
    peer: wordOf(one.peer) ?? "unknown",
    gateway: wordOf(one.gateway),
  }));
}

/** Settings that hold otherwise than they are configured, if the node tells of any. */
function readTuned(tuned) {
  const value = (of) => (of === null || of === undefined ? "none" : escape(JSON.stringify(of)));
  return listOf(tuned)
    .filter((one) => isObject(one) && typeof one.key === "string")
    .map((one) => ({
      key: escape(one.key),
      configured: value(one.configured),
      tuned: value(one.tuned),
      ...readSince(one),
    }));
}

/** What an operator ordered that is in force; a node that takes no orders says nothing of it. */
function readOrdered(ordered) {
  return isObject(ordered) ? readSince(ordered) : undefined;
}

/** Since when, by whom and why. */
function readSince({ since_unix_ms: sinceMs, who }) {
  const { as: name, uid, reason } = isObject(who) ? who : {};
  const by = wordOf(name) ?? (isCount(uid) ? `user ${uid}` : undefined);
  return { sinceMs: isCount(sinceMs) ? sinceMs : undefined, by, reason: wordOf(reason) };
}

/**
 * Who asks to be erased, and who is; none of a node that does not say. Patients are numbers here: a
 * row without one is none.
 */
function readErasures(erasures) {
  if (!isObject(erasures)) return undefined;
  const known = (value) => (isCount(value) ? value : undefined);
  const rows = (list) => listOf(list).filter((one) => isObject(one) && isCount(one.patient));
  return {
    waiting: known(erasures.waiting) ?? 0,
    erased: known(erasures.erased) ?? 0,
    requests: rows(erasures.requests).map((one) => ({
      patient: one.patient,
      requestedMs: known(one.requested_at_unix_ms),
      validMs: known(one.valid_until_unix_ms),
      state: wordOf(one.state) ?? "unknown",
      sinceMs: known(one.since_unix_ms),
      by: wordOf(one.who),
      reason: wordOf(one.reason),
      stoppedMs: known(one.stopped_unix_ms),
      settledMs: known(one.settled_unix_ms),
    })),
    done: rows(erasures.done).map((one) => ({
      patient: one.patient,
      atMs: known(one.at_unix_ms),
      position: known(one.position),
      areKeysDestroyed: one.keys_destroyed === true,
      copiesMs: known(one.copies_until_unix_ms),
    })),
  };
}

/** The points of the last hours, as they come: each answer brings those since the one before. */
export class Ring {
  #times = [];
  #rows = new Map();
  #begunMs;

  /** What the next answer shall begin behind. */
  get since() {
    return this.#times.at(-1) ?? 0;
  }

  get times() {
    return this.#times;
  }

  /** The values of a figure, one a point; none where a node of another release told nothing. */
  row(name) {
    return this.#rows.get(name) ?? this.#times.map(() => null);
  }

  /**
   * Takes an answer in. False if its points do not follow those that are here, as after the
   * node's clock was set back, or of another run: then nothing is left, and all of them are to be
   * asked for.
   */
  take({ everySeconds, pointsMax, now, points, begunMs }) {
    const times = points.get("at_unix_ms");
    const isBehind = now !== undefined && now.at_unix_ms < this.since;
    const isOther = this.#times.length > 0 && begunMs !== this.#begunMs;
    this.#begunMs = begunMs;
    if (isBehind || isOther || (times.length > 0 && times[0] <= this.since)) {
      this.#times = [];
      this.#rows.clear();
      return false;
    }
    const holeMs = HOLE_AFTER * everySeconds * 1000;
    const isHole = this.#times.length > 0 && times.length > 0 && times[0] - this.since > holeMs;
    // Nothing is drawn across a hole: the page or the node was away.
    if (isHole) this.#append(new Map(), [this.since + 1]);
    this.#append(points, times);
    this.#drop(this.#times.length - pointsMax);
    return true;
  }

  #append(points, times) {
    const before = this.#times.length;
    this.#times = this.#times.concat(times);
    for (const name of new Set([...this.#rows.keys(), ...points.keys()])) {
      if (name === "at_unix_ms") continue;
      const old = this.#rows.get(name) ?? Array(before).fill(null);
      this.#rows.set(name, old.concat(points.get(name) ?? Array(times.length).fill(null)));
    }
  }

  #drop(count) {
    if (count <= 0) return;
    this.#times = this.#times.slice(count);
    for (const [name, row] of this.#rows) this.#rows.set(name, row.slice(count));
  }

  /** Index of the first point that is at most so long before the last one. */
  from(spanMs) {
    const first = this.#times.findIndex((time) => time >= this.since - spanMs);
    return Math.max(0, first);
  }
}

/** What of these values is known: the last, the greatest, and over how long. */
export function extent(times, values) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return undefined;
  let most = known[0];
  for (const value of known) most = Math.max(most, value);
  return { last: values.at(-1), most, ms: times.at(-1) - times[0] };
}

/** What waits, of how much may: figures of a queue before the journal. */
export const QUEUES = [
  { items: "connections", most: "connections_max", alert: "VitalsConnectionsFull", at: 0.9 },
  {
    items: "journal_queue_items",
    most: "journal_queue_items_max",
    alert: "VitalsQueueFull",
    at: 0.6,
  },
  {
    items: "receipt_groups_waiting",
    most: "receipt_groups_max",
    alert: "VitalsReceiptsBehind",
    at: 0.8,
  },
];

const DAY_S = 86_400;

/**
 * What is marked, by figure: from where on, and the alert that tells of the same. Alerts wait for a
 * while before they fire, and the desk does not.
 */
export const MARKS = [
  mark("free_bytes", "VitalsDiskLow", {
    holds: (now) => now.free_bytes < now.reserve_bytes,
    kind: "bad",
    words: "below the reserve: frames are refused",
  }),
  mark("clock_ahead_seconds", "VitalsClockDisagrees", {
    at: 5,
    holds: (now, at) => Math.abs(now.clock_ahead_seconds) > at,
    words: "the clocks disagree",
  }),
  mark("journal_ahead_seconds", "VitalsJournalAhead", {
    at: 5,
    holds: (now, at) => now.journal_ahead_seconds > at,
    words: "waits for the clock",
  }),
  mark("resident_bytes", "VitalsMemoryHigh", {
    at: 0.9,
    holds: (now, at) => now.machine_bytes > 0 && now.resident_bytes / now.machine_bytes > at,
    words: "most of the machine's",
  }),
  mark("receipt_p99_seconds", "VitalsReceiptsSlow", {
    at: 1,
    holds: (now, at) => now.receipt_p99_seconds > at,
    words: "slow",
  }),
  mark("windows_to_prove", "VitalsProvingBehind", {
    at: 10,
    holds: (now, at) => now.windows_to_prove >= at,
    words: "proving is behind",
  }),
  mark("withdrawal_settled_p90_seconds", "VitalsWithdrawalsSlow", {
    at: 1800,
    holds: (now, at) => now.withdrawal_settled_p90_seconds > at,
    words: "late on the chain",
  }),
  mark("balance_days", "VitalsBalanceEmpty", {
    at: 1,
    holds: (now, at) => now.balance_days < at,
    kind: "bad",
    words: "fund the account now",
  }),
  mark("balance_days", "VitalsBalanceLow", {
    at: 7,
    holds: (now, at) => now.balance_days < at,
    words: "fund the account",
  }),
  mark("chain_reachable", "VitalsChainSilent", {
    at: 1,
    holds: (now, at) => now.chain_reachable < at,
    words: "batches wait",
  }),
  mark("own_certificates_seconds", "VitalsOwnCertificateEnded", {
    at: DAY_S,
    holds: (now, at) => now.own_certificates_seconds < at,
    kind: "bad",
    words: "renew it now",
  }),
  mark("own_certificates_seconds", "VitalsOwnCertificateEnds", {
    at: 14 * DAY_S,
    holds: (now, at) => now.own_certificates_seconds < at,
    words: "ends soon",
  }),
  mark("certificates_ending", "VitalsCertificatesEnding", {
    at: 0,
    holds: (now, at) => now.certificates_ending > at,
    words: "their holders should renew",
  }),
  mark("certificates_waiting", "VitalsRenewalsWaiting", {
    at: 0,
    holds: (now, at) => now.certificates_waiting > at,
    words: "sequencer identity renew --all",
  }),
  mark("archive_failing", "VitalsArchiveFails", {
    at: 1,
    holds: (now, at) => now.archive_failing >= at,
    words: "the log says why",
  }),
  mark("keys_failing", "VitalsNoNewKeys", {
    at: 1,
    holds: (now, at) => now.keys_failing >= at,
    kind: "bad",
    words: "frames that need one are refused",
  }),
];

function mark(figure, alert, { at, holds, kind = "warn", words }) {
  return { figure, alert, at, holds: (now) => holds(now, at), kind, words };
}

/** The mark of a figure, the worst first; `undefined` of one that needs none or is not known. */
export function markOf(name, now) {
  if (now?.[name] === undefined) return undefined;
  return MARKS.find(({ figure, holds }) => figure === name && holds(now));
}

/** How full a queue is, 0 to 1; `undefined` of one without a bound. */
export function shareOf(items, most) {
  return items === undefined || !(most > 0) ? undefined : Math.min(1, Math.max(0, items / most));
}
