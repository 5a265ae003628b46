//! What other settings would have made of a journal, against ledgers that had them.

use std::collections::BTreeMap;

use l1_contracts::gas::Fork;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::doors::config::Config;
use crate::forecast::{
    Arrival, Arrivals, Candidates, Forecast, ForecastError, Past, ProofTimes, Question, Row,
    Spread, predict,
};
use crate::node::recorded::{ArrivalError, arrivals_of};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

struct OfLog<'a>(&'a Log<FileMedium>);

impl Arrivals for OfLog<'_> {
    type Error = ArrivalError;

    fn all(&self) -> impl Iterator<Item = Result<Arrival, ArrivalError>> {
        arrivals_of(self.0)
    }
}

/// As the ledgers of these tests have it.
fn settings() -> Config {
    let LedgerConfig { cadence, limits, .. } = ledger_config();
    let mut config = Config::default();
    (config.batch.close_after_ms, config.batch.idle_settle_after_ms) = (MINUTE_MS, HOUR_MS);
    config.batch.claims_max = limits.claims_max;
    assert_eq!(config.cadence(), cadence);
    config
}

type Failed = ForecastError<ArrivalError>;

impl Ward {
    fn past(&self) -> Result<Past, Failed> {
        Past::of(&OfLog(&self.log), &ledger_config(), &settings())
    }

    fn forecast(&self, sets: &[&str], patients: Option<u64>) -> Result<Forecast, Failed> {
        let past = self.past()?;
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let spread = patients.map_or(Spread::RECORDED, |wanted| {
            let ms = past.last.since(past.first);
            Spread::new(past.patients, ms, wanted).expect("a spread")
        });
        let question = Question {
            candidates: Candidates::new(&settings(), &sets).unwrap(),
            proofs: ProofTimes::default(),
            block_ms: 12_000,
            poll_ms: None,
            fork: Fork::Osaka,
            gas_price_gwei: None,
            spread,
        };
        predict(&OfLog(&self.log), &ledger_config(), &past, &question)
    }

    fn row(&self, sets: &[&str]) -> Row {
        self.forecast(sets, None).unwrap().rows.pop().unwrap()
    }

    /// Windows that were closed and not taken yet.
    fn windows(&self) -> Vec<ClosedWindow> {
        std::mem::take(&mut self.delivered.0.lock().unwrap().1)
    }

    /// The timer's look.
    fn looks(&mut self) {
        assert!(matches!(self.submit(Item::CloseDue), Answer::Closed));
    }
}

/// The row says of these windows what they are.
#[track_caller]
fn check_row(row: &Row, ward: &Ward, windows: &[ClosedWindow]) {
    let (mut proofs, mut operations, mut claims) = (BTreeMap::new(), 0, 0);
    for window in windows {
        let plan = check_provable(ward, window);
        let operation_shape = plan.operations.iter().map(|_| "c1-17");
        let claim_shapes = plan.claims.iter().map(|(chunk, _)| {
            let of = |name: &&str| {
                let capacity = circuits::shapes::Capacity::Claims(chunk.capacity);
                Shape::named(name).unwrap().capacity == capacity
            };
            ["c2-17", "c2-17-2", "c2-17-1"].into_iter().find(of).unwrap()
        });
        for shape in operation_shape.chain(claim_shapes) {
            *proofs.entry(shape.to_owned()).or_insert(0) += 1;
        }
        operations += window.contents.operations.len() as u64;
        claims += window.contents.claims.len() as u64;
    }
    let found = (row.batches, row.operations, row.claims, &row.proofs_by_shape);
    assert_eq!(found, (windows.len() as u64, operations, claims, &proofs));
}

#[test]
fn a_nodes_own_settings_give_the_windows_that_it_had_whatever_happened_and_when() {
    for seed in 0..4 {
        let (mut ward, mut random) = (Ward::open(), StdRng::seed_from_u64(seed));
        let mut by_hand = 0;
        for nonce in 1..250 {
            ward.now += match random.gen_range(0..20) {
                0 => random.gen_range(0..3 * HOUR_MS),
                1..8 => random.gen_range(0..2 * MINUTE_MS),
                _ => 100,
            };
            match random.gen_range(0..20) {
                0..6 => drop(ward.next_frame()),
                6 => drop(ward.request(nonce, &practitioner_key())),
                7 => {
                    assert!(matches!(ward.submit(Item::Close), Answer::Closed));
                    by_hand += 1;
                }
                _ => ward.looks(),
            }
        }
        let (past, windows) = (ward.past().unwrap(), ward.windows());
        assert_eq!(past.batches, windows.len() as u64);
        // One that was due when somebody asked for it needs nobody.
        assert!(past.asked > 0 && past.asked <= by_hand, "{past:?}");
        check_row(&ward.row(&[]), &ward, &windows);
    }
}

#[test]
fn another_cadence_gives_the_windows_of_a_ledger_that_had_it() {
    let live = |close_after_ms: u64| {
        let cadence = Cadence::new(close_after_ms, HOUR_MS);
        let mut ward = Ward::with(LedgerConfig { cadence, ..ledger_config() });
        let begin = ward.now;
        // A frame each three seconds for nearly ten minutes, and a look each tenth of a second.
        for tenth in 1..=5_900 {
            ward.now = begin + tenth * 100;
            if tenth % 30 == 15 {
                assert!(matches!(ward.next_frame(), Answer::FrameStored));
            }
            ward.looks();
        }
        ward
    };
    let (minutes, quick) = (live(MINUTE_MS), live(20_000));
    let row = minutes.row(&["batch.close_after_ms=20000"]);
    check_row(&row, &quick, &quick.windows());
    assert!(row.batches > 25, "{row:?}");
    check_row(&minutes.row(&[]), &minutes, &minutes.windows());
}

#[test]
fn a_full_window_ends_early_where_the_candidate_says_so() {
    let mut ward = Ward::open();
    for nonce in 1..=10 {
        ward.request(nonce, &practitioner_key());
    }
    ward.close();
    let rows = ward.forecast(&["batch.claims_max=4", "batch.claims_max=5"], None).unwrap().rows;
    let found: Vec<_> = rows.iter().map(|row| (row.batches, row.claims)).collect();
    // Four, four, and two that the operator closed; twice five, and an empty one.
    assert_eq!(found, [(1, 10), (3, 10), (3, 10)]);
    assert_eq!(rows[2].empty_batches, 1);
}

#[test]
fn what_was_closed_by_hand_is_closed_in_every_candidate() {
    let mut ward = Ward::open();
    ward.next_frame();
    ward.close();
    ward.next_frame();
    ward.close();
    assert_eq!(ward.past().unwrap().asked, 2);
    let rows = ward.forecast(&["batch.close_after_ms=3000000"], None).unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.batches).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn an_operation_that_ended_an_idle_window_waits_for_one_that_does_not_end_for_it() {
    let mut ward = Ward::open();
    let permit = |ward: &mut Ward| {
        let mut rule = rule(scope::practitioner(&doctor()), ClaimKind::Access);
        rule.access.until = at(ward.now + 5 * MINUTE_MS);
        ward.permit(2, rule);
    };
    permit(&mut ward);
    let mut windows = vec![ward.close()];
    ward.now += 10 * MINUTE_MS;
    permit(&mut ward);
    windows.extend(ward.windows());
    windows.push(ward.close());
    let past = ward.past().unwrap();
    assert_eq!((past.batches, past.asked), (3, 2), "the idle window ended by a rule");
    check_row(&ward.row(&[]), &ward, &windows);
    let fixed = ["batch.fixed_cadence=true", "batch.close_after_ms=3600000"];
    let row = ward.row(&fixed);
    assert_eq!((row.batches, row.put_off, row.refused), (2, 1, 0));
    assert_eq!((row.operations, row.left.operations), (4, 1), "taken once its window was over");
}

#[test]
fn more_patients_are_the_same_days_again_a_little_later() {
    let mut ward = Ward::open();
    let begin = ward.now;
    for second in 0..1_200 {
        ward.now = begin + second * 1_000;
        if second % 10 == 5 {
            ward.next_frame();
        }
        ward.looks();
    }
    let [one, three] = [None, Some(3)].map(|patients| {
        let forecast = ward.forecast(&[], patients).unwrap();
        forecast.rows.into_iter().next().unwrap()
    });
    assert_eq!(three.operations + three.left.operations, 3 * one.operations);
    // Each copy has a claim in each window of its own time, and the last begins two minutes later.
    let [alone, all] = [&one, &three].map(|row| row.claims + row.left.claims);
    assert!((3 * alone..=3 * alone + 4).contains(&all), "{one:?} {three:?}");
    assert!(three.batches >= one.batches && three.batches <= one.batches + 3);
    // They share windows, so that they share proofs.
    assert!(three.proofs < 2 * one.proofs, "{one:?} {three:?}");
}

#[test]
fn a_journal_without_a_window_says_what_it_lacks() {
    let ward = Ward::open();
    let error = ward.forecast(&[], None).unwrap_err().to_string();
    assert!(error.contains("entries and no close"), "{error}");
}
