//! The headers from genesis on: what holds. What does not stands in the table of `tampers`.

use auditor::check::{self, Lateness};

use crate::world::World;

#[test]
fn sound_headers_hold_and_lateness_is_measured() {
    let world = World::sound();
    let mut settled = world.settled();
    settled[1].block_time = settled[1].block_time.plus(7000);
    settled[1].batch.lateness_ms += 7000;
    let found = check::headers(&world.context.genesis, &settled, 5000);
    assert_eq!(found, Ok(Lateness { max_ms: 10_000, late_batches: 1 }));
}
