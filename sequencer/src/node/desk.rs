//! The desk: what an operator watches, of the last hours, in a ring of bounded length.
//!
//! A point is taken every five seconds by the thread that looks after clock and disk, from metrics
//! alone. Nothing of it is stored: whoever wants more than hours has Prometheus.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use model::{Millis, RejectCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::doors::http::DESK_POINTS_MAX;
use crate::metrics::Metrics;
use crate::metrics::quantile::Observations;

/// Name and version of the format.
const SCHEMA: &str = "vitals-desk-1";

/// Seconds between two points.
pub const EVERY_SECONDS: u64 = 5;

/// Points that are kept.
const POINTS_MAX: usize = DESK_POINTS_MAX;

/// A point takes what the sum of all limits counts for it.
const _: () = assert!(size_of::<Figures>() <= 512);

macro_rules! figures {
    ($(#[doc = $doc:literal] $name:ident: $kind:ty,)*) => {
        /// What is watched at one moment. Rates and quantiles are of the seconds since the point
        /// before; what there is nothing of is none.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct Figures {
            $(#[doc = $doc] pub $name: $kind,)*
        }

        impl Figures {
            /// Every name, in the order of the page.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// What each means.
            #[cfg(test)]
            const MEANINGS: &'static [&'static str] = &[$($doc),*];
        }
    };
}

figures! {
    /// When, milliseconds since 1970.
    at_unix_ms: u64,
    /// Readings taken in.
    readings_per_second: f64,
    /// Frames taken in.
    frames_per_second: f64,
    /// Bytes of these.
    frame_bytes_per_second: f64,
    /// Frames that were stored already.
    duplicate_frames_per_second: f64,
    /// Whatever was rejected.
    rejects_per_second: f64,
    /// Consent operations that took effect.
    operations_per_second: f64,
    /// Frames released to readers.
    released_frames_per_second: f64,
    /// Open connections.
    connections: i64,
    /// Most of them.
    connections_max: i64,
    /// Items before the journal's writer.
    journal_queue_items: i64,
    /// Most of them.
    journal_queue_items_max: i64,
    /// Groups before the signer of receipts.
    receipt_groups_waiting: i64,
    /// Most of them.
    receipt_groups_max: i64,
    /// Half of the receipts left within this time of their frame.
    receipt_p50_seconds: Option<f64>,
    /// All but one in a hundred did.
    receipt_p99_seconds: Option<f64>,
    /// Age of the open window.
    window_age_seconds: f64,
    /// Operations whose row is evaluated before the journal.
    evaluations_waiting: i64,
    /// Windows that are closed and not proven.
    windows_to_prove: i64,
    /// Batches that are assembled and not settled.
    batches_to_settle: i64,
    /// How long the oldest of them has waited.
    oldest_to_settle_seconds: f64,
    /// The last window that is closed.
    batch_closed: i64,
    /// The last batch that is proven.
    batch_assembled: i64,
    /// The last whose transaction was given to the chain's node.
    batch_sent: i64,
    /// The last that is settled.
    batch_settled: i64,
    /// Mean time of a proof.
    proof_mean_seconds: Option<f64>,
    /// Share of the places for claims that the last batch left empty.
    padding_ratio: f64,
    /// Gas of mined transactions.
    gas_per_second: f64,
    /// Base fee for a unit of gas.
    base_fee_wei: f64,
    /// What the settling account holds; none until it was looked at.
    balance_wei: Option<f64>,
    /// How long it lasts at the gas of the kept points and the base fee of now; none without gas.
    balance_days: Option<f64>,
    /// Withdrawals of this run: from the signature to the effect, all but one in a hundred.
    withdrawal_effective_p99_seconds: Option<f64>,
    /// From the effect to the block that settled it, nine in ten.
    withdrawal_settled_p90_seconds: Option<f64>,
    /// Free bytes under the node's folder.
    free_bytes: i64,
    /// Those that frames leave to everything else.
    reserve_bytes: i64,
    /// Memory in use.
    resident_bytes: i64,
    /// Memory that all limits together may take.
    limits_bytes: i64,
    /// Memory of the machine; 0 where it does not say.
    machine_bytes: i64,
    /// How far the wall clock is ahead of the boot-time clock.
    clock_ahead_seconds: f64,
    /// How far the journal's last time is ahead of the clock.
    journal_ahead_seconds: f64,
    /// Registered certificates beyond two thirds of their life.
    certificates_ending: i64,
    /// Those that were asked for and wait for the operator.
    certificates_waiting: i64,
    /// Until the first of the node's own certificates ends; none until they were looked at.
    own_certificates_seconds: Option<f64>,
    /// Sealed files that are not archived yet.
    archive_files_waiting: i64,
    /// 1 while the last round of the archive failed.
    archive_failing: i64,
    /// 1 while no new key of readings can be made.
    keys_failing: i64,
    /// 1 while the base chain answers.
    chain_reachable: i64,
}

/// What is counted since the start, at one moment.
#[derive(Clone, Debug, Default)]
struct Counts {
    readings: u64,
    frames: u64,
    bytes: u64,
    duplicates: u64,
    rejects: Vec<(RejectCode, u64)>,
    operations: u64,
    released: u64,
    gas: u64,
    receipts: Observations,
    proofs: Observations,
}

impl Counts {
    fn of(metrics: &Metrics) -> Counts {
        Counts {
            readings: metrics.ingest_readings_total.get(),
            frames: metrics.ingest_frames_total.get(),
            bytes: metrics.ingest_bytes_total.get(),
            duplicates: metrics.ingest_duplicates_total.get(),
            rejects: metrics.rejects().collect(),
            operations: metrics.operations_total.get(),
            released: metrics.released_frames_total.get(),
            gas: metrics.settle_gas_total.get(),
            receipts: Observations::of(&metrics.receipt_seconds),
            proofs: metrics.proofs(),
        }
    }
}

/// What was rejected for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RejectCount {
    /// The code that peers are told ([codes](../../docs/codes.md)).
    pub code: u16,
    /// What it means.
    pub meaning: String,
    /// How often in this run.
    pub count: u64,
    /// How often a second, between the last two points.
    pub per_second: f64,
}

/// The ring.
#[derive(Debug, Default)]
struct Ring {
    points: VecDeque<Figures>,
    /// Between the last two points.
    rejects: Vec<RejectCount>,
    /// When the last point was taken, by a clock that nobody sets.
    taken: Option<Instant>,
    /// When the first look was, milliseconds since 1970.
    begun_unix_ms: Option<u64>,
    /// At the last point: when, by a clock that nobody sets, and what was counted.
    before: Option<(u64, Counts)>,
}

/// The figures of the last hours. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Desk(Arc<Mutex<Ring>>);

impl Desk {
    /// Takes a point if one is due: `running_ms` is of a clock that nobody sets, `now` is told.
    pub fn look(&self, metrics: &Metrics, now: Millis, running_ms: u64) {
        let mut ring = self.ring();
        let passed_ms = |then_ms: u64| running_ms.saturating_sub(then_ms);
        if ring.before.as_ref().is_some_and(|(then, _)| passed_ms(*then) < EVERY_SECONDS * 1000) {
            return;
        }
        ring.begun_unix_ms.get_or_insert(now.unix_ms());
        let counts = Counts::of(metrics);
        let before = ring.before.replace((running_ms, counts.clone()));
        // A rate needs two looks.
        let Some((then_ms, before)) = before else { return };
        let seconds = passed_ms(then_ms) as f64 / 1000.0;
        let mut point = figures(metrics, &counts, &before, seconds);
        point.at_unix_ms = now.unix_ms();
        ring.rejects = rejects(&counts, &before, seconds);
        ring.taken = Some(Instant::now());
        if ring.points.len() >= POINTS_MAX {
            ring.points.pop_front();
        }
        ring.points.push_back(point);
        let days = balance_days(&ring.points, &point);
        if let Some(last) = ring.points.back_mut() {
            last.balance_days = days;
        }
    }

    /// The last point.
    pub fn last(&self) -> Option<Figures> {
        self.ring().points.back().copied()
    }

    /// What was rejected in this run until the last point, by reason; reasons that never came are
    /// left out.
    pub fn rejects(&self) -> Vec<RejectCount> {
        self.ring().rejects.clone()
    }

    /// The last point, and each figure of those later than `since_unix_ms` as a row.
    pub fn tell(&self, since_unix_ms: u64) -> Value {
        let (last, points, taken, begun): (_, Vec<Figures>, _, _) = {
            let ring = self.ring();
            let later = ring.points.iter().filter(|point| point.at_unix_ms > since_unix_ms);
            let points = later.copied().collect();
            (ring.points.back().copied(), points, ring.taken, ring.begun_unix_ms)
        };
        // Made outside of the lock: it is the watch that would wait.
        let mut rows: Map<String, Value> =
            Figures::NAMES.iter().map(|name| (name.to_string(), json!([]))).collect();
        for point in points {
            let Ok(Value::Object(values)) = serde_json::to_value(point) else { continue };
            for (name, value) in values {
                if let Some(Value::Array(row)) = rows.get_mut(&name) {
                    row.push(value);
                }
            }
        }
        json!({
            "schema": SCHEMA, "every_seconds": EVERY_SECONDS, "points_max": POINTS_MAX,
            "now": last, "points": rows, "begun_unix_ms": begun,
            // Not by the clocks of both ends: who asks may have another.
            "age_ms": taken.map(|taken| taken.elapsed().as_millis() as u64),
        })
    }

    /// Plain values: a panic under the lock leaves them whole.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is counted is told by the seconds since the point before.
fn figures(metrics: &Metrics, counts: &Counts, before: &Counts, seconds: f64) -> Figures {
    let rate = |of: fn(&Counts) -> u64| of(counts).saturating_sub(of(before)) as f64 / seconds;
    let receipts = counts.receipts.since(&before.receipts);
    let effective = Observations::of(&metrics.withdrawal_effective_seconds);
    let settled = Observations::of(&metrics.withdrawal_settled_seconds);
    Figures {
        at_unix_ms: 0,
        readings_per_second: rate(|counts| counts.readings),
        frames_per_second: rate(|counts| counts.frames),
        frame_bytes_per_second: rate(|counts| counts.bytes),
        duplicate_frames_per_second: rate(|counts| counts.duplicates),
        rejects_per_second: rate(|counts| counts.rejects.iter().map(|(_, count)| count).sum()),
        operations_per_second: rate(|counts| counts.operations),
        released_frames_per_second: rate(|counts| counts.released),
        connections: metrics.ingest_connections.get(),
        connections_max: metrics.ingest_connections_max.get(),
        journal_queue_items: metrics.journal_queue_items.get(),
        journal_queue_items_max: metrics.journal_queue_items_max.get(),
        receipt_groups_waiting: metrics.receipt_groups_waiting.get(),
        receipt_groups_max: metrics.receipt_groups_max.get(),
        receipt_p50_seconds: receipts.quantile(0.5),
        receipt_p99_seconds: receipts.quantile(0.99),
        proof_mean_seconds: counts.proofs.since(&before.proofs).mean(),
        gas_per_second: rate(|counts| counts.gas),
        withdrawal_effective_p99_seconds: effective.quantile(0.99),
        withdrawal_settled_p90_seconds: settled.quantile(0.9),
        ..levels(metrics)
    }
}

fn rejects(counts: &Counts, before: &Counts, seconds: f64) -> Vec<RejectCount> {
    // Both are of all codes, in one order.
    let both = counts.rejects.iter().zip(&before.rejects);
    let told = both.filter(|((_, count), _)| *count > 0).map(|((code, count), (_, earlier))| {
        let (code, meaning) = (code.number(), code.meaning().to_owned());
        let per_second = count.saturating_sub(*earlier) as f64 / seconds;
        RejectCount { code, meaning, count: *count, per_second }
    });
    told.collect()
}

/// What is as it is, whatever was before.
fn levels(metrics: &Metrics) -> Figures {
    let (closed, assembled) = (metrics.batch_closed.get(), metrics.batch_assembled.get());
    let balance_wei = metrics.settle_balance_wei.get();
    Figures {
        window_age_seconds: metrics.window_age_seconds.get(),
        evaluations_waiting: metrics.evaluations_waiting.get(),
        windows_to_prove: closed.saturating_sub(assembled).max(0),
        batches_to_settle: metrics.settle_lag_batches.get(),
        oldest_to_settle_seconds: metrics.settle_lag_seconds.get(),
        batch_closed: closed,
        batch_assembled: assembled,
        batch_sent: metrics.batch_sent.get(),
        batch_settled: metrics.batch_settled.get(),
        padding_ratio: metrics.prove_padding_ratio.get(),
        base_fee_wei: metrics.settle_base_fee_wei.get(),
        balance_wei: balance_wei.is_finite().then_some(balance_wei),
        free_bytes: metrics.journal_free_bytes.get(),
        reserve_bytes: metrics.journal_reserve_bytes.get(),
        resident_bytes: metrics.process_resident_bytes.get(),
        limits_bytes: metrics.memory_limits_bytes.get(),
        machine_bytes: metrics.memory_machine_bytes.get(),
        clock_ahead_seconds: metrics.clock_disagreement_seconds.get(),
        journal_ahead_seconds: metrics.journal_ahead_seconds.get(),
        certificates_ending: metrics.certificates_ending.get(),
        certificates_waiting: metrics.renewals_waiting.get(),
        own_certificates_seconds: metrics.own_certificates_seconds(),
        archive_files_waiting: metrics.archive_waiting_files.get(),
        archive_failing: metrics.archive_failing.get(),
        keys_failing: metrics.body_keys_failing.get(),
        chain_reachable: metrics.chain_reachable.get(),
        ..Figures::default()
    }
}

/// How long the balance lasts at the gas of all kept points.
fn balance_days(points: &VecDeque<Figures>, now: &Figures) -> Option<f64> {
    let gas: f64 = points.iter().map(|point| point.gas_per_second).sum();
    let wei_per_day = gas / points.len() as f64 * 86_400.0 * now.base_fee_wei;
    // Without gas or a fee it lasts for ever, which is no number.
    now.balance_wei.filter(|_| wei_per_day > 0.0).map(|wei| wei / wei_per_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> (Millis, u64) {
        (Millis::from_unix_ms(1_800_000_000_000 + seconds * 1000), 5_000 + seconds * 1000)
    }

    fn look(desk: &Desk, metrics: &Metrics, seconds: u64) {
        let (now, running_ms) = at(seconds);
        desk.look(metrics, now, running_ms);
    }

    #[test]
    fn rates_and_quantiles_are_of_the_seconds_between_two_points() {
        let (desk, metrics) = (Desk::default(), Metrics::new());
        metrics.ingest_readings_total.inc_by(1_000);
        look(&desk, &metrics, 0);
        assert_eq!(desk.last(), None, "a rate needs two looks");
        metrics.ingest_readings_total.inc_by(500);
        metrics.batch_closed.set(7);
        metrics.batch_assembled.set(4);
        metrics.receipt_seconds.observe(0.004);
        look(&desk, &metrics, 4);
        assert_eq!(desk.last(), None, "no point is due");
        look(&desk, &metrics, 10);
        let first = desk.last().unwrap();
        assert_eq!((first.readings_per_second, first.windows_to_prove), (50.0, 3));
        assert_eq!(first.at_unix_ms, 1_800_000_010_000);
        let p50 = first.receipt_p50_seconds.unwrap();
        assert!((0.002..=0.005).contains(&p50), "{p50}");
        look(&desk, &metrics, 15);
        let second = desk.last().unwrap();
        assert_eq!((second.readings_per_second, second.receipt_p50_seconds), (0.0, None));
    }

    #[test]
    fn rejects_are_told_by_reason_for_the_run_and_for_the_last_seconds() {
        let (desk, metrics) = (Desk::default(), Metrics::new());
        let told = || {
            let rejects = desk.rejects().into_iter();
            rejects.map(|one| (one.code, one.count, one.per_second)).collect::<Vec<_>>()
        };
        metrics.count_reject(RejectCode::Gap);
        look(&desk, &metrics, 0);
        assert_eq!(told(), [], "a rate needs two looks");
        for _ in 0..10 {
            metrics.count_reject(RejectCode::Busy);
        }
        look(&desk, &metrics, 5);
        assert_eq!(told(), [(7, 1, 0.0), (12, 10, 2.0)]);
        assert_eq!(desk.rejects()[0].meaning, RejectCode::Gap.meaning());
        assert_eq!(desk.last().unwrap().rejects_per_second, 2.0);
        look(&desk, &metrics, 10);
        assert_eq!(told(), [(7, 1, 0.0), (12, 10, 0.0)]);
    }

    #[test]
    fn the_balance_lasts_as_long_as_the_gas_of_all_points_allows() {
        let (desk, metrics) = (Desk::default(), Metrics::new());
        let last = || desk.last().unwrap();
        look(&desk, &metrics, 0);
        look(&desk, &metrics, 5);
        assert_eq!((last().balance_wei, last().balance_days), (None, None));
        metrics.settle_balance_wei.set(86_400.0 * 1_000.0);
        metrics.settle_base_fee_wei.set(1.0);
        look(&desk, &metrics, 10);
        assert_eq!(last().balance_days, None, "nothing was spent");
        metrics.settle_gas_total.inc_by(1_500);
        look(&desk, &metrics, 15);
        // 300 a second in one of three points.
        assert_eq!(last().balance_days, Some(10.0));
    }

    #[test]
    fn rows_have_one_value_a_point_and_the_first_points_go_first() {
        let (desk, metrics) = (Desk::default(), Metrics::new());
        for n in 0..=(POINTS_MAX as u64 + 3) {
            metrics.batch_settled.set(n as i64);
            look(&desk, &metrics, n * EVERY_SECONDS);
        }
        let told = desk.tell(0);
        assert_eq!(told["schema"], SCHEMA);
        assert_eq!(told["begun_unix_ms"], 1_800_000_000_000_u64);
        assert!(told["age_ms"].is_u64(), "{}", told["age_ms"]);
        for name in Figures::NAMES {
            assert_eq!(told["points"][name].as_array().unwrap().len(), POINTS_MAX, "{name}");
            assert!(told["now"].get(name).is_some(), "{name}");
        }
        let settled = &told["points"]["batch_settled"];
        assert_eq!((&settled[0], &told["now"]["batch_settled"]), (&4.into(), &2163.into()));
        // Whoever has them up to here is told the others.
        let since = told["points"]["at_unix_ms"][POINTS_MAX - 3].as_u64().unwrap();
        let rest = desk.tell(since);
        assert_eq!(rest["points"]["batch_settled"], serde_json::json!([2162, 2163]));
        assert_eq!(desk.tell(u64::MAX)["points"]["batch_settled"], serde_json::json!([]));
    }

    #[test]
    fn before_the_first_point_there_is_none() {
        let told = Desk::default().tell(0);
        assert_eq!(told["now"], Value::Null);
        assert_eq!((&told["age_ms"], &told["begun_unix_ms"]), (&Value::Null, &Value::Null));
        assert_eq!(told["points"]["connections"], serde_json::json!([]));
    }

    #[test]
    fn the_page_says_what_each_figure_means() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/watching.md");
        let page = std::fs::read_to_string(path).unwrap();
        let head = "| figure | means |\n| --- | --- |\n";
        let (before, rest) = page.split_once(head).expect("the table of figures");
        let (_, after) = rest.split_once("\n\n").expect("a page goes on behind it");
        let rows = Figures::NAMES.iter().zip(Figures::MEANINGS);
        let rows: Vec<_> = rows.map(|(name, doc)| format!("| `{name}` |{doc} |")).collect();
        let expected = format!("{before}{head}{}\n\n{after}", rows.join("\n"));
        crate::pinned::check("docs/watching.md", &expected);
    }

    #[test]
    fn names_of_figures_end_in_their_unit_or_count_things() {
        let units = [
            "_per_second",
            "_seconds",
            "_bytes",
            "_wei",
            "_days",
            "_ratio",
            "_unix_ms",
            "_items",
            "_items_max",
            "_max",
            "_failing",
        ];
        let counts = [
            "connections",
            "receipt_groups_waiting",
            "windows_to_prove",
            "batches_to_settle",
            "batch_closed",
            "batch_assembled",
            "batch_sent",
            "batch_settled",
            "evaluations_waiting",
            "certificates_ending",
            "certificates_waiting",
            "archive_files_waiting",
            "chain_reachable",
        ];
        for name in Figures::NAMES {
            let has_unit = units.iter().any(|unit| name.ends_with(unit));
            assert!(has_unit || counts.contains(name), "{name}");
        }
    }
}
