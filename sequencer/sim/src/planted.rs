//! What is planted on a node's disks to see that a run finds it.

use sequencer::folder::snapshots::fault::FaultySnapshots;
use sequencer::folder::snapshots::{Binding, SnapshotFiles, SnapshotHead};
use sequencer::stages::ledger::LedgerConfig;
use std::sync::Arc;

use crate::fold::LOG_ID;

/// Puts the state of the snapshot before in the place of that of the last one, sealed as a node
/// seals it; whether there were two.
pub(crate) fn other_state(snapshots: &FaultySnapshots, config: &LedgerConfig) -> bool {
    let binding = Binding { genesis: statement::journal::genesis(config.scope), log_id: LOG_ID };
    let files = SnapshotFiles::new(Arc::new(snapshots.clone()), binding);
    let Ok(groups) = files.groups() else { return false };
    let [last, before, ..] = groups[..] else { return false };
    let (Ok(last), Ok(before)) = (files.head(last), files.read(before)) else { return false };
    let state = config.seal.open_state(&before.body, &files.sealed_with(&before.head));
    let Ok(state) = state else { return false };
    // With the closes of its own state: what contradicts itself is passed over.
    let SnapshotHead { closed, close_group, .. } = before.head;
    let head = SnapshotHead { closed, close_group, ..last };
    let body = config.seal.seal_state(&state, &files.sealed_with(&head));
    files.write(head, &body).is_ok()
}
