//! The headers from genesis on, from the contract's events alone.

use l1_contracts::{SettledBatch, SettlementState};
use model::{BatchHeader, DataSource, Millis, limits};
use statement::scope;

use super::parts::{Previous, within};
use crate::broken::{Broken, Item, equal};

/// A settled batch and the time of its block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    /// The event.
    pub batch: SettledBatch,
    /// Time of the event's block.
    pub block_time: Millis,
}

/// How late batches settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lateness {
    /// The longest from the end of a window to its block, milliseconds.
    pub max_ms: u64,
    /// Batches later than the auditor's threshold.
    pub late_batches: u64,
}

/// Follows the headers of all settled batches from genesis. `late_after_ms` only counts.
///
/// # Errors
/// [`Broken`] names the first word that does not continue its predecessor.
pub fn headers(
    genesis: &Previous,
    settled: &[Settled],
    late_after_ms: u64,
) -> Result<Lateness, Broken> {
    let mut previous = genesis.clone();
    let mut lateness = Lateness::default();
    for settled in settled {
        let late_ms = check_header(&previous, settled)?;
        lateness.max_ms = lateness.max_ms.max(late_ms);
        lateness.late_batches += u64::from(late_ms > late_after_ms);
        previous = Previous::after(&settled.batch.header, None);
    }
    Ok(lateness)
}

/// What the contract stores against the last header.
///
/// # Errors
/// [`Broken`] names the first stored value that differs.
pub fn head(state: &SettlementState, last: &Previous, lateness: Lateness) -> Result<(), Broken> {
    let item = Item::Head;
    equal(None, item("number"), &last.number, &state.number)?;
    equal(None, item("header hash"), &last.hash, &state.head_hash)?;
    equal(None, item("consent root"), &last.root, &state.root)?;
    equal(None, item("end of the window"), &last.t1.get(), &state.last_t1.get())?;
    equal(None, item("journal position"), &last.position.0, &state.journal_position.0)?;
    equal(None, item("greatest lateness"), &lateness.max_ms, &state.lateness_max_ms)
}

fn check_header(previous: &Previous, settled: &Settled) -> Result<u64, Broken> {
    let header = &settled.batch.header;
    let (batch, item) = (within(header), Item::Header);
    // The number first: by it every later finding names the batch.
    equal(batch, item("number"), &(previous.number + 1), &header.number.0)?;
    let hash = scope::header_hash(header);
    // Of the words, not of what the event claims: the next header names this hash.
    equal(batch, item("hash in the event"), &hash, &settled.batch.header_hash)?;
    equal(batch, item("previous hash"), &previous.hash, &header.previous)?;
    let t0 = header.window.t0().get();
    // Windows abut, so no instant between two of them escapes both.
    equal(batch, item("begin of the window"), &previous.t1.get(), &t0)?;
    equal(batch, item("root in"), &previous.root, &header.root_in)?;
    let (least, found) = (previous.position.0, header.journal_position.0);
    // Equal is allowed: a window without entries closes at the position of the one before.
    if found < least {
        let expected = format!("at least {least}");
        let item = item("journal position");
        return Err(Broken::inside(header.number, item, expected, found.to_string()));
    }
    // As the contract bounds it and C2.4 presumes it: a batch may not use up the positions of those
    // that come after it.
    if found - least >= limits::BATCH_ENTRIES_MAX {
        let expected = format!("less than {} after {least}", limits::BATCH_ENTRIES_MAX);
        let item = item("journal position");
        return Err(Broken::inside(header.number, item, expected, found.to_string()));
    }
    check_neutral(header)?;
    measure_lateness(header, settled)
}

/// Words for which there is no statement yet are neutral.
fn check_neutral(header: &BatchHeader) -> Result<(), Broken> {
    let (batch, item) = (within(header), Item::Header);
    equal(batch, item("key version"), &BatchHeader::KEY_VERSION, &header.key_version)?;
    equal(batch, item("first forced stop"), &0, &header.forced_first)?;
    equal(batch, item("count of forced stops"), &0, &header.forced_count)?;
    equal(batch, item("outcomes of forced stops"), &[0; 32], &header.forced_outcomes)?;
    equal(batch, item("registry root"), &[0; 32], &header.registry_root)?;
    let source = header.data_source as u8;
    equal(batch, item("data source"), &(DataSource::Operator as u8), &source)
}

fn measure_lateness(header: &BatchHeader, settled: &Settled) -> Result<u64, Broken> {
    let (end, block) = (header.window.t1(), settled.block_time);
    // A window that has not ended could still get entries that this batch does not hold.
    if block < end {
        let expected = format!("at most the block's time {}", block.get());
        let item = Item::Header("end of the window");
        return Err(Broken::inside(header.number, item, expected, end.get().to_string()));
    }
    // The contract computed the same from the same block: an event that says otherwise is not its.
    let late_ms = block.since(end);
    equal(within(header), Item::Header("lateness"), &late_ms, &settled.batch.lateness_ms)?;
    Ok(late_ms)
}
