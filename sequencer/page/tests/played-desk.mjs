// A node's desk that is played: points as a node takes them, and how it stands.

const EVERY_SECONDS = 5;
const BEGUN_MS = 1_800_000_000_000;

/** The point with this number, of a node to which all is well. */
export function pointAt(number) {
  const wave = Math.sin(number / 20);
  return {
    at_unix_ms: BEGUN_MS + number * EVERY_SECONDS * 1000,
    readings_per_second: 50,
    frames_per_second: 0.4,
    frame_bytes_per_second: 512,
    duplicate_frames_per_second: number % 50 === 0 ? 1 : 0,
    rejects_per_second: number % 30 === 0 ? 0.6 : 0,
    operations_per_second: 0.2,
    released_frames_per_second: 0,
    connections: 12,
    connections_max: 64,
    journal_queue_items: Math.round(40 + 30 * wave),
    journal_queue_items_max: 5120,
    receipt_groups_waiting: 1,
    receipt_groups_max: 1024,
    receipt_p50_seconds: 0.004 + 0.002 * wave,
    receipt_p99_seconds: 0.02 + 0.01 * wave,
    window_age_seconds: (number * EVERY_SECONDS) % 60,
    evaluations_waiting: 0,
    windows_to_prove: number % 12 === 0 ? 1 : 0,
    batches_to_settle: 1,
    oldest_to_settle_seconds: 9,
    batch_closed: number,
    batch_assembled: number,
    batch_sent: number,
    batch_settled: Math.max(0, number - 1),
    proof_mean_seconds: 2.5 + 0.3 * wave,
    padding_ratio: 0.25,
    gas_per_second: number % 12 === 0 ? 80_000 : 0,
    base_fee_wei: 1.1e9,
    balance_wei: 4.2e18 - number * 1e14,
    balance_days: 90,
    withdrawal_effective_p99_seconds: 0.4,
    withdrawal_settled_p90_seconds: 48,
    free_bytes: 80 * 2 ** 30,
    reserve_bytes: 2 ** 30,
    resident_bytes: 3 * 2 ** 30,
    limits_bytes: 7 * 2 ** 30,
    machine_bytes: 8 * 2 ** 30,
    clock_ahead_seconds: 0.002,
    journal_ahead_seconds: 0,
    certificates_ending: 0,
    certificates_waiting: 0,
    own_certificates_seconds: 200 * 86_400,
    archive_files_waiting: 0,
    archive_failing: 0,
    keys_failing: 0,
    chain_reachable: 1,
  };
}

const STAGES = [
  {
    stage: "ingest",
    state: "runs",
    cause: null,
    queue_holds: "connections",
    queue_items: 12,
    queue_items_max: 64,
    progress_in: "connections, frames and operations",
    progress_count: 90_210,
    progress_seconds_ago: 0.4,
  },
  {
    stage: "journal",
    state: "runs",
    cause: null,
    queue_holds: "items",
    queue_items: 3,
    queue_items_max: 5120,
    progress_in: "groups",
    progress_count: 4077,
    progress_seconds_ago: 0.4,
  },
  {
    stage: "settlement",
    state: "runs",
    cause: null,
    queue_holds: "batches",
    queue_items: 1,
    queue_items_max: null,
    progress_in: "batches",
    progress_count: 71,
    progress_seconds_ago: 31,
  },
];

export const HEALTH = {
  schema: "vitals-health-1",
  healthy: true,
  ready: true,
  reasons: [],
  stages: STAGES,
};

/** What somebody was told: a gateway, but for a signature, which a wallet gives. */
function rejected({ at, last, count, code, meaning }) {
  const atMs = BEGUN_MS + at * 60_000;
  const isGateway = code !== 6;
  return {
    at_unix_ms: atMs,
    until_unix_ms: atMs + last,
    count,
    code,
    meaning,
    peer: isGateway ? "gateway" : "wallet",
    gateway: isGateway ? "gateway-001" : null,
  };
}

/** One who asks and is held, one who asks and may be erased, and one who is erased. */
export const ERASURES = {
  waiting: 2,
  erased: 1,
  requests: [
    {
      patient: 7,
      requested_at_unix_ms: BEGUN_MS - 86_400_000,
      valid_until_unix_ms: BEGUN_MS + 13 * 86_400_000,
      state: "held",
      since_unix_ms: BEGUN_MS - 3_600_000,
      who: "anna (user 0, process 7)",
      reason: "a claim is pending",
    },
    {
      patient: 12345,
      requested_at_unix_ms: BEGUN_MS,
      valid_until_unix_ms: BEGUN_MS + 14 * 86_400_000,
      state: "ready",
    },
  ],
  done: [
    {
      patient: 9,
      at_unix_ms: BEGUN_MS - 7_200_000,
      position: 4711,
      keys_destroyed: true,
      copies_until_unix_ms: BEGUN_MS + 30 * 86_400_000,
    },
  ],
};

/** `GET /desk` with so many points from that number on. */
export function deskAnswer({ from = 0, points }) {
  const taken = Array.from({ length: points }, (_, at) => pointAt(from + at));
  const rows = Object.keys(pointAt(0)).map((name) => [name, taken.map((point) => point[name])]);
  return {
    schema: "vitals-desk-1",
    every_seconds: EVERY_SECONDS,
    points_max: 2160,
    now: taken.at(-1) ?? pointAt(Math.max(0, from - 1)),
    points: Object.fromEntries(rows),
    age_ms: 1200,
    begun_unix_ms: BEGUN_MS,
    health: HEALTH,
    erasures: ERASURES,
    rejects: [
      { code: 7, meaning: "a sequence number was skipped", count: 3, per_second: 0 },
      { code: 12, meaning: "a limit is reached", count: 41, per_second: 0.6 },
    ],
    recent_rejects: [
      rejected({ at: 30, last: 42_000, count: 41, code: 12, meaning: "a limit is reached" }),
      rejected({ at: 12, last: 0, count: 1, code: 6, meaning: "a signature does not verify" }),
      rejected({ at: 9, last: 0, count: 3, code: 7, meaning: "a sequence number was skipped" }),
    ],
  };
}
