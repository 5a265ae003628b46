//! Many messages in a row on eight connections: what memory the bridge holds on the way.

use crate::load::Until;
use crate::mllp;
use crate::plan::number;
use crate::ward::Ward;

const CONNECTIONS: usize = 8;
/// When it is looked at, of so many parts of all messages.
const PARTS: [usize; 6] = [1, 10, 25, 50, 75, 100];

/// Prints how much at each part.
pub(crate) fn measure(ward: &Ward) {
    let count = number("VITALS_BENCH_MESSAGES", 1_000_000);
    let (bridge, address) = mllp::begin(ward);
    let (mut sent, mut seconds) = (0, 0.0);
    println!("| messages | bridge MiB | messages/s |");
    for part in PARTS {
        let each = (count * part / 100 - sent) / CONNECTIONS;
        let loaded = mllp::load(address, CONNECTIONS, Until::Count(each), &format!("many{part}"));
        sent += loaded.count;
        seconds += loaded.took.as_secs_f64();
        let mib = bridge.memory_kib() as f64 / 1024.0;
        println!("| {sent} | {mib:.1} | {:.0} |", sent as f64 / seconds);
    }
    bridge.stop();
}
