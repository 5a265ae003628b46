//! Headers that do not continue each other, events that lie, and what the contract stores at last.

use auditor::Item;
use auditor::check::{self, Lateness, Previous, Settled};
use l1_contracts::SettlementState;
use model::{BatchHeader, BatchNumber, DataSource, Millis, Position, Window};
use serde_json::{Value, json};
use statement::scope;

use super::sentence;
use crate::world::{World, word};

type Change = fn(&mut Settled);

/// The words of the second header, each in a way that does not continue the first.
fn words() -> Vec<(&'static str, &'static str, Change)> {
    vec![
        ("a number left out", "number", |of| change(of, |h| h.number = BatchNumber(3))),
        ("another predecessor", "previous hash", |of| change(of, |h| h.previous[0] ^= 1)),
        ("a window that overlaps", "begin of the window", |of| change(of, begin_earlier)),
        ("another root in", "root in", |of| change(of, |h| h.root_in = word(1))),
        ("a journal that goes back", "journal position", |of| {
            change(of, |h| h.journal_position = Position(7));
        }),
        // From position 8 on: one step too long.
        ("a journal that runs ahead", "journal position", |of| {
            change(of, |h| h.journal_position = Position(8 + (1 << 28)));
        }),
        ("keys of the first version", "key version", |of| change(of, |h| h.key_version = 1)),
        ("a forced stop", "first forced stop", |of| change(of, |h| h.forced_first = 1)),
        ("a count of forced stops", "count of forced stops", |of| {
            change(of, |h| h.forced_count = 1);
        }),
        ("outcomes of forced stops", "outcomes of forced stops", |of| {
            change(of, |h| h.forced_outcomes[31] = 1);
        }),
        ("a registry", "registry root", |of| change(of, |h| h.registry_root[0] = 1)),
        ("another source of data", "data source", |of| {
            change(of, |h| h.data_source = DataSource::Committee);
        }),
    ]
}

/// What events say beside their headers.
fn events() -> Vec<(&'static str, &'static str, Change)> {
    vec![
        ("another hash in the event", "hash in the event", |of| of.batch.header_hash[0] ^= 1),
        ("another lateness in the event", "lateness", |of| of.batch.lateness_ms += 1),
        ("a window that has not ended", "end of the window", |of| {
            of.block_time = of.batch.header.window.t0();
        }),
    ]
}

/// Changes a header, with the event's hash to match.
fn change(settled: &mut Settled, change: fn(&mut BatchHeader)) {
    change(&mut settled.batch.header);
    settled.batch.header_hash = scope::header_hash(&settled.batch.header);
}

fn begin_earlier(header: &mut BatchHeader) {
    let earlier = Millis::new(header.window.t0().get() - 1).expect("44 bits");
    header.window = Window::new(earlier, header.window.t1()).expect("a window");
}

pub(super) fn rows() -> Vec<Value> {
    let world = World::sound();
    let sound: (_, _, Change) = ("sound headers", "", |_| {});
    let rows = [vec![sound], words(), events()].into_iter().flatten();
    let rows = rows.map(|(name, part, change)| {
        let mut settled = world.settled();
        change(&mut settled[1]);
        let found = check::headers(&world.context.genesis, &settled, 0);
        let expected = Some(part).filter(|part| !part.is_empty()).map(Item::Header);
        assert_eq!(found.clone().err().map(|broken| broken.item), expected, "{name}");
        json!({
            "name": name,
            "settled": settled.iter().map(event).collect::<Vec<_>>(),
            "broken": sentence(&found),
            "lateness_max_ms": found.ok().map(|lateness| lateness.max_ms),
        })
    });
    rows.collect()
}

fn event(settled: &Settled) -> Value {
    let batch = &settled.batch;
    json!({
        "header": hex::encode(batch.header.to_bytes()),
        "header_hash": hex::encode(batch.header_hash),
        "lateness_ms": batch.lateness_ms,
        "block_time": settled.block_time.get(),
    })
}

type ChangeState = fn(&mut SettlementState);

/// What the contract stores after the three batches.
fn states() -> Vec<(&'static str, ChangeState)> {
    vec![
        ("", |_| {}),
        ("number", |state| state.number = 4),
        ("header hash", |state| state.head_hash[0] ^= 1),
        ("consent root", |state| state.root = word(1)),
        ("end of the window", |state| state.last_t1 = state.last_t1.plus(1)),
        ("journal position", |state| state.journal_position.0 += 1),
        ("greatest lateness", |state| state.lateness_max_ms += 1),
    ]
}

pub(super) fn head_rows() -> Vec<Value> {
    let world = World::sound();
    let header = &world.built[2].file.header;
    let last = Previous::after(header, None);
    let lateness = Lateness { max_ms: 3000, late_batches: 0 };
    let rows = states().into_iter().map(|(part, change)| {
        let mut state = SettlementState {
            number: 3,
            root: header.root_out,
            head_hash: scope::header_hash(header),
            last_t1: header.window.t1(),
            journal_position: header.journal_position,
            lateness_max_ms: 3000,
        };
        change(&mut state);
        let found = check::head(&state, &last, lateness);
        let expected = Some(part).filter(|part| !part.is_empty()).map(Item::Head);
        assert_eq!(found.clone().err().map(|broken| broken.item), expected);
        json!({
            "header": hex::encode(header.to_bytes()),
            "state": {
                "number": state.number,
                "root": state.root.to_hex(),
                "head_hash": hex::encode(state.head_hash),
                "last_t1": state.last_t1.get(),
                "journal_position": state.journal_position.0,
                "lateness_max_ms": state.lateness_max_ms,
            },
            "broken": sentence(&found),
        })
    });
    rows.collect()
}
