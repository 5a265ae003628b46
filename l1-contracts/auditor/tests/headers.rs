//! The headers from genesis on and the contract's head.

use auditor::Item;
use auditor::check::{self, Lateness, Previous, Settled};
use l1_contracts::SettlementState;
use model::{BatchHeader, BatchNumber, DataSource, Position, Window};
use statement::scope;

use crate::world::{World, item, word};

#[test]
fn sound_headers_hold_and_lateness_is_measured() {
    let world = World::sound();
    let mut settled = world.settled();
    settled[1].block_time = settled[1].block_time.plus(7000);
    settled[1].batch.lateness_ms += 7000;
    let found = check::headers(&world.context.genesis, &settled, 5000);
    assert_eq!(found, Ok(Lateness { max_ms: 10_000, late_batches: 1 }));
}

/// Changes the second batch's event, and gives the broken item.
fn changed(change: impl FnOnce(&mut Settled)) -> Item {
    let world = World::sound();
    let mut settled = world.settled();
    change(&mut settled[1]);
    item(check::headers(&world.context.genesis, &settled, 0))
}

/// The same for its header, with the event's hash to match.
fn changed_header(change: impl FnOnce(&mut BatchHeader)) -> Item {
    changed(|settled| {
        change(&mut settled.batch.header);
        settled.batch.header_hash = scope::header_hash(&settled.batch.header);
    })
}

#[test]
fn each_word_that_does_not_continue_its_predecessor_is_named() {
    type Change = fn(&mut BatchHeader);
    let changes: [(&str, Change); 12] = [
        ("number", |header| header.number = BatchNumber(3)),
        ("previous hash", |header| header.previous[0] ^= 1),
        ("begin of the window", |header| {
            let window = header.window;
            let earlier = model::Millis::new(window.t0().get() - 1).expect("44 bits");
            header.window = Window::new(earlier, window.t1()).expect("a window");
        }),
        ("root in", |header| header.root_in = word(1)),
        ("journal position", |header| header.journal_position = Position(7)),
        // From position 8 on: one step too long.
        ("journal position", |header| header.journal_position = Position(8 + (1 << 28))),
        ("key version", |header| header.key_version = 1),
        ("first forced stop", |header| header.forced_first = 1),
        ("count of forced stops", |header| header.forced_count = 1),
        ("outcomes of forced stops", |header| header.forced_outcomes[31] = 1),
        ("registry root", |header| header.registry_root[0] = 1),
        ("data source", |header| header.data_source = DataSource::Committee),
    ];
    for (part, change) in changes {
        assert_eq!(changed_header(change), Item::Header(part));
    }
}

#[test]
fn an_event_must_say_the_true_hash_and_lateness() {
    let found = changed(|settled| settled.batch.header_hash[0] ^= 1);
    assert_eq!(found, Item::Header("hash in the event"));
    let found = changed(|settled| settled.batch.lateness_ms += 1);
    assert_eq!(found, Item::Header("lateness"));
    let found = changed(|settled| settled.block_time = settled.batch.header.window.t0());
    assert_eq!(found, Item::Header("end of the window"));
}

#[test]
fn the_head_is_what_the_last_batch_ends_with() {
    let world = World::sound();
    let header = &world.built[2].file.header;
    let last = Previous::after(header, None);
    let lateness = Lateness { max_ms: 3000, late_batches: 0 };
    let sound = SettlementState {
        number: 3,
        root: header.root_out,
        head_hash: scope::header_hash(header),
        last_t1: header.window.t1(),
        journal_position: header.journal_position,
        lateness_max_ms: 3000,
    };
    assert_eq!(check::head(&sound, &last, lateness), Ok(()));
    type Change = fn(&mut SettlementState);
    let changes: [(&str, Change); 6] = [
        ("number", |state| state.number = 4),
        ("header hash", |state| state.head_hash[0] ^= 1),
        ("consent root", |state| state.root = word(1)),
        ("end of the window", |state| state.last_t1 = state.last_t1.plus(1)),
        ("journal position", |state| state.journal_position.0 += 1),
        ("greatest lateness", |state| state.lateness_max_ms += 1),
    ];
    for (part, change) in changes {
        let mut state = sound.clone();
        change(&mut state);
        assert_eq!(item(check::head(&state, &last, lateness)), Item::Head(part));
    }
}
