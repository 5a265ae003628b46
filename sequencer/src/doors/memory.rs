//! What the limits of a configuration may take of memory, added up.
//!
//! Every limit has its cost in the column *memory* of the page; here they stand as numbers, so that
//! whoever raises one sees what all of them together may take if every peer is hostile. What grows
//! with what is stored (records, indexes: [the architecture](../../docs/architecture.md)) is no
//! limit and not in the sum.

use circuits::shapes::Shape;
use serde::Serialize;
use thiserror::Error;

use super::config::Config;
use super::http::FILES_MAX;
use super::machine;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Datagrams that one call of the system may bring: 32 messages of up to 64 datagrams each.
const RECEIVED: u64 = 32 * 64;
/// Bytes of lanes, half read and half written messages, of one connection.
const LANES: u64 = 483 * KIB;
/// What may wait to be sent whatever the limit: two of the largest messages.
const OUTGOING_LEAST: u64 = 2 * wire::limits::MESSAGE_BYTES_MAX as u64;
/// A request, without the frames that it releases.
const REQUEST: u64 = KIB;
/// A released frame that waits.
const RELEASED: u64 = 8;
/// A stream of a connection.
const STREAM: u64 = 300;
/// An item of a receipt that waits for its session.
const RECEIPT_ITEM: u64 = 200;
/// A stored group that is read back, with its entries and 16 frames.
const STORED_GROUP: u64 = 17 * MIB;
/// Reads that run at once: threads of the runtime for what blocks.
const READS_MAX: u64 = 512;
/// A connection that has shown no certificate: its transport, TLS and buffers.
const HANDSHAKE: u64 = 64 * KIB;
/// A handshake's buffer, a frame in a queue, the receipts of a group.
const FRAME: u64 = model::limits::FRAME_BYTES_MAX as u64;
/// An operation or claim of a closed window, with record and path.
const WINDOW_ITEM: u64 = 3 * KIB;
/// A device's segment in the open window, with what is not hashed yet.
const SEGMENT: u64 = 18 * KIB;
/// A public or private file.
const FILE: u64 = model::limits::BATCH_FILE_BYTES_MAX as u64;
/// A part of an archived file, and how many are under way: four fetched and one put.
const ARCHIVE_PART: u64 = 8 * MIB;
const ARCHIVE_PARTS: u64 = 5;
/// Rates that are kept of sources: openings, requests, names and renewals, operations of senders
/// and of patients, those that take something away apart; and over HTTP those of operations again,
/// and of requests.
const RATES: u64 = 14;
/// A source's rate.
const SOURCE: u64 = 100;
/// A name that asked for a certificate, with its request and what was issued.
const RENEWAL: u64 = 4 * KIB;
/// A row that waits to be evaluated, and a thread that evaluates.
const ROW: u64 = 4 * KIB;
const ROW_THREAD: u64 = 4 * MIB;
/// A shape's key, for each element of its domain: its points, and these in the engine's form.
const KEY: u64 = KIB;
/// The tables of a shape, for each element of its domain.
const TABLE: u64 = 6 * KIB;
/// The proof of a chunk, for each element of its domain: witness, products, transforms, sums.
/// The accelerated engine was measured at 0.7 KiB a row of 2^17.
const PROOF: u64 = KIB;
/// A job that is sent elsewhere, for each element of its domain: witness and products, and twice
/// more the columns, in the clear and sealed.
const SENT: u64 = 256;
/// Points of the desk, and what each takes.
const DESK_POINTS: u64 = super::http::DESK_POINTS_MAX as u64;
const DESK_POINT: u64 = KIB / 2;
/// A subscription with the longest endpoint and reason.
const SUBSCRIPTION: u64 = 8 * KIB;
/// Libraries, runtime, and what a node without a peer takes.
const BASE: u64 = 64 * MIB;

/// What one kind of thing may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// What it is.
    pub what: &'static str,
    /// How many of it there may be.
    pub count: u64,
    /// What each takes, bytes.
    pub bytes_each: u64,
}

/// What one connection may take, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// Of an entitled peer that got no receipt, however hostile.
    pub idle_bytes: u64,
    /// Of one that got one.
    pub busy_bytes: u64,
}

/// The sum of all limits beside what the machine has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// One connection; the sum takes all of them for busy.
    pub connection: Connection,
    /// How many there may be.
    pub connections: u64,
    /// What the sum is made of.
    pub shares: Vec<Share>,
    /// All of it, bytes.
    pub sum_bytes: u64,
    /// What the machine, or the process's control group, has; none if the system does not say.
    pub machine_bytes: Option<u64>,
}

/// Limits that may take more than there is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected limits that together take at most the {} MiB of this machine, found {} MiB, of which \
     {what} take {} MiB; lower them (`sequencer config check` lists all), or set `over = \"warn\"` \
     in `[memory]`", .machine_bytes / MIB, .sum_bytes / MIB, .share_bytes / MIB
)]
pub struct MemoryError {
    /// What there is.
    pub machine_bytes: u64,
    /// What the limits may take.
    pub sum_bytes: u64,
    /// What takes most.
    pub what: &'static str,
    /// How much that is.
    pub share_bytes: u64,
}

impl Share {
    /// All of the kind, bytes.
    pub fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.bytes_each)
    }
}

impl Memory {
    /// Adds the limits up, beside what this machine has.
    pub fn of(config: &Config) -> Memory {
        Memory::beside(config, machine::memory_bytes())
    }

    fn beside(config: &Config, machine_bytes: Option<u64>) -> Memory {
        let shares = shares(config);
        let sum_bytes = shares.iter().map(Share::bytes).fold(0, u64::saturating_add);
        let connection = Connection::of(config);
        let connections = config.ingest.limits.connections_max as u64;
        Memory { connection, connections, shares, sum_bytes, machine_bytes }
    }

    /// Whether the machine has as much.
    ///
    /// # Errors
    /// [`MemoryError`] that names what takes most.
    pub fn check(&self) -> Result<(), MemoryError> {
        let Some(machine_bytes) = self.machine_bytes.filter(|most| self.sum_bytes > *most) else {
            return Ok(());
        };
        let most = self.shares.iter().max_by_key(|share| share.bytes());
        let (what, share_bytes) = most.map_or(("limits", 0), |share| (share.what, share.bytes()));
        Err(MemoryError { machine_bytes, sum_bytes: self.sum_bytes, what, share_bytes })
    }
}

/// Memory of this process that is in use, bytes; none if the system does not say.
pub fn resident_bytes() -> Option<u64> {
    machine::resident_bytes()
}

/// The configuration with as many connections as this machine has memory for, at most its own: a
/// new folder must not begin with limits that `sequencer run` refuses.
pub fn fitted(config: Config) -> Config {
    fitted_beside(config, machine::memory_bytes())
}

fn fitted_beside(mut config: Config, machine_bytes: Option<u64>) -> Config {
    // Below 16 something else is too large, and the check names it.
    while Memory::beside(&config, machine_bytes).check().is_err()
        && config.ingest.limits.connections_max > 16
    {
        config.ingest.limits.connections_max /= 2;
    }
    config
}

impl Connection {
    fn of(config: &Config) -> Connection {
        let limits = &config.ingest.limits;
        let idle = u64::from(limits.idle_window_bytes);
        Connection {
            idle_bytes: connection_bytes(config, |limit| limit.min(idle)),
            busy_bytes: connection_bytes(config, |limit| limit),
        }
    }
}

/// What a connection may take, with the limits as `held` lets them be.
fn connection_bytes(config: &Config, held: impl Fn(u64) -> u64) -> u64 {
    let limits = &config.ingest.limits;
    let requests = limits.requests_max as u64;
    let released = config.ingest.released_frames_max as u64 * RELEASED;
    let items = u64::from(limits.unacknowledged_frames_max) + requests;
    [
        held(limits.connection_window_bytes.into()),
        held(limits.send_window_bytes),
        // Twice: what is under way is also in the group that the writer builds.
        held(limits.unacknowledged_bytes_max),
        held(limits.unacknowledged_bytes_max),
        // A largest message fits, however little may wait.
        held(limits.outgoing_bytes_max as u64).max(OUTGOING_LEAST),
        LANES,
        requests.saturating_mul(REQUEST),
        released,
        limits.streams_max as u64 * STREAM,
        items * RECEIPT_ITEM,
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

fn domain(shape: &str) -> u64 {
    Shape::named(shape).map_or(0, |shape| 1 << shape.domain_log2)
}

fn shares(config: &Config) -> Vec<Share> {
    let limits = &config.ingest.limits;
    let connections = limits.connections_max as u64;
    let window = config.effective_window_limits();
    let window_items = (window.operations_max + window.claims_max) as u64 + 2;
    let batch = &config.batch;
    let shapes = || batch.claims_shapes.iter().chain([&batch.operations_shape]);
    let keys: u64 = shapes().map(|shape| domain(shape)).sum();
    let tables = shapes().map(|shape| domain(shape)).filter(|rows| *rows >= 1 << 16).sum::<u64>();
    let proof = shapes().map(|shape| domain(shape)).max().unwrap_or(0);
    let workers = config.prover.threads() as u64;
    let share = |what, count, bytes_each| Share { what, count, bytes_each };
    let admission = &config.admission;
    let archive = u64::from(config.archive.url != "off");
    let notices = u64::from(!config.notices.hosts.is_empty());
    let page = config.web.listen.map_or(0, |_| page_server::ANSWERS_MAX as u64);
    vec![
        share("the node without a peer", 1, BASE),
        // Each way, and with the system's bookkeeping twice as much.
        share("datagrams of the socket", 4, u64::from(limits.udp_buffer_bytes)),
        share("datagrams being received", RECEIVED, u64::from(limits.datagram_bytes_max)),
        share("open connections", connections, Connection::of(config).busy_bytes),
        share("handshakes that wait", limits.incoming_max as u64, FRAME),
        share("handshakes under way", limits.handshakes_max as u64, HANDSHAKE),
        share("stored groups read back", connections.min(READS_MAX), STORED_GROUP),
        // Waiting, and once more in the group that is being written.
        share("items before the writer", config.journal.queue_items_max as u64, 2 * FRAME),
        share("sources with a rate", RATES * config.ingest.rates.keys_max as u64, SOURCE),
        share("certificates asked for", limits.renewals_max as u64, RENEWAL),
        share("operations being evaluated", admission.evaluations_max as u64, ROW),
        share("threads that evaluate", admission.evaluation_threads as u64, ROW_THREAD),
        share("groups before the signer", config.deliver.groups_max as u64, FRAME),
        // In the queue, read back from the journal, one that is being proven and one that is laid
        // out; of these two each chunk once more as a job.
        share(
            "windows before the batcher",
            2 * config.deliver.windows_max as u64 + 4,
            window_items * WINDOW_ITEM,
        ),
        share("segments of the open window", batch.claims_max as u64, SEGMENT),
        share("keys", keys, KEY),
        share("tables of keys", 1, config.prover.table_bytes_max.min(tables * TABLE)),
        share("proofs under way", workers.saturating_mul(proof), PROOF),
        share("a job sent elsewhere", if config.prover.jobs == "local" { 0 } else { proof }, SENT),
        share("files of a settling transaction", config.settle.batches_max as u64, FILE),
        share("files fetched over HTTP", FILES_MAX as u64, FILE),
        share("files and answers of the page", 2 * page, FILE),
        // Kept, and once more with the text of each while they are told.
        share("points of the desk", 4 * DESK_POINTS, DESK_POINT),
        // Read until they are as many bytes as one may have, and so twice as many at most.
        share("batch files that are archived", archive * 2, FILE),
        share("parts of files to and from the archive", archive * ARCHIVE_PARTS, ARCHIVE_PART),
        // Both files of one, and what they decode to.
        share("batch files that are looked at for notices", notices * 2, 2 * FILE),
        // As it is held, as it was written, and as text while it is written.
        share("subscriptions", notices * config.notices.subscriptions_max as u64, SUBSCRIPTION),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_shares_and_what_exceeds_the_machine_is_named() {
        let mut config = Config::default();
        config.ingest.limits.connections_max = 100_000;
        let memory = Memory::beside(&config, Some(8 << 30));
        let sum: u64 = memory.shares.iter().map(|share| share.count * share.bytes_each).sum();
        assert_eq!(memory.sum_bytes, sum);
        let error = memory.check().unwrap_err();
        assert_eq!((error.what, error.sum_bytes), ("open connections", sum));
        let text = error.to_string();
        assert!(text.contains("8192 MiB") && text.contains("over = \"warn\""), "{text}");
        assert_eq!(Memory::beside(&config, None).check(), Ok(()));
    }

    #[test]
    fn a_connection_takes_what_the_architecture_says() {
        let Connection { idle_bytes, busy_bytes } = Connection::of(&Config::default());
        let mib = busy_bytes as f64 / MIB as f64;
        assert!((7.0..9.0).contains(&mib), "{mib} MiB");
        assert!(idle_bytes <= 3 * MIB / 2, "{} KiB", idle_bytes / KIB);
    }

    #[test]
    fn a_new_folder_has_limits_that_fit_its_machine() {
        for gib in [8, 16, 64] {
            let config = fitted_beside(Config::default(), Some(gib << 30));
            assert_eq!(Memory::beside(&config, Some(gib << 30)).check(), Ok(()), "{gib} GiB");
            assert!(config.ingest.limits.connections_max >= 16, "{gib} GiB");
        }
        let whole = fitted_beside(Config::default(), Some(64 << 30));
        assert_eq!(whole, Config::default());
    }

    /// Whoever adds a limit with a cost finds it missing from the sum here.
    #[test]
    fn every_limit_with_a_cost_is_in_the_sum_or_said_to_be_small() {
        let sum_with = |path: &str, value: u64| {
            let mut config = serde_json::to_value(Config::default()).unwrap();
            let pointer = format!("/{}", path.replace('.', "/"));
            *config.pointer_mut(&pointer).unwrap() = value.into();
            let config = serde_json::from_value::<Config>(config).ok()?;
            Some(Memory::beside(&config, None).sum_bytes)
        };
        let sum = Memory::beside(&Config::default(), None).sum_bytes;
        for row in Config::settings() {
            let crate::setting::Allowed::Range { least, most } = row.allowed else { continue };
            // Of one whose default is the most that there is, less must count.
            let counted = sum_with(row.path, most).is_none_or(|raised| raised > sum)
                || sum_with(row.path, least).is_some_and(|lowered| lowered < sum);
            let has_cost = !row.memory.is_empty();
            assert!(
                counted || !has_cost || SMALL.contains(&row.path),
                "{} is not summed",
                row.path
            );
        }
    }

    /// Limits whose cost is part of another's, or some KiB in all.
    const SMALL: &[&str] = &[
        // Less than a connection that got a receipt, and the sum takes all for such.
        "ingest.limits.idle_window_bytes",
        "ingest.limits.retry_from_handshakes",
        "ingest.limits.lane_window_bytes",
        "ingest.limits.submissions_max",
        "ingest.limits.credit_frames_total",
        "ingest.limits.credit_bytes_total",
        "deliver.session_receipts_max",
        "settle.pending_max",
        "settle.replacements_max",
    ];
}
