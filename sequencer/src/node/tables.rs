//! Gets the tables that make proofs faster, on a thread of its own, while the node runs: the first
//! proofs are made without.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use prover::{TABLE_ROWS_MIN, TableTerms};

use crate::guard::{Guard, GuardedThread, Stage};
use crate::metrics::Metrics;
use crate::stages::prove::ProverKeys;

/// What is got, and where it is kept.
pub(super) struct Wanted {
    pub(super) keys: Arc<ProverKeys>,
    /// The folder of the keys: a false table withholds proofs as a false key does.
    pub(super) folder: PathBuf,
    /// For all shapes together.
    pub(super) bytes_max: usize,
    pub(super) metrics: Arc<Metrics>,
}

/// The thread; it ends when it is stopped, and does nothing once the tables are there.
pub(super) struct TableThread {
    thread: GuardedThread,
    /// Dropped, the thread ends.
    end: Sender<()>,
    stopping: Arc<AtomicBool>,
}

impl TableThread {
    pub(super) fn start(wanted: Wanted, guard: &Guard) -> io::Result<TableThread> {
        let (end, begin) = channel();
        // One round; then it waits for the end.
        end.send(()).expect("the other end is here");
        let stopping = Arc::<AtomicBool>::default();
        let stopped = stopping.clone();
        let work = move |()| {
            wanted.get(TABLE_ROWS_MIN, &|| !stopped.load(Ordering::Relaxed));
            Ok::<_, Infallible>(())
        };
        let thread = guard.thread(Stage::Proving, "tables", begin.into_iter(), work)?;
        Ok(TableThread { thread, end, stopping })
    }

    pub(super) fn plan_end(&self) {
        self.thread.plan_end();
    }

    /// Blocks until it has ended: some tenths of a second, or until a table is written.
    pub(super) fn stop(self) {
        let TableThread { thread, end, stopping } = self;
        stopping.store(true, Ordering::Relaxed);
        thread.stop(|| drop(end));
    }
}

impl Wanted {
    /// Blocks until they are there, or `go_on` says no.
    pub(super) fn get(&self, rows_min: usize, go_on: &(dyn Fn() -> bool + Sync)) {
        let Wanted { keys, folder, bytes_max, metrics } = self;
        if *bytes_max == 0 {
            return tracing::info!("no tables are wanted (`prover.table_bytes_max`)");
        }
        let terms = TableTerms { folder, bytes_max: *bytes_max, go_on };
        keys.add_tables(&terms, rows_min, |shape, result| {
            metrics.prove_table_bytes.set(keys.table_bytes() as i64);
            let error: &dyn std::error::Error = match &result {
                Err(error) => error,
                Ok(report) => {
                    for error in &report.replaced {
                        let error: &dyn std::error::Error = error;
                        tracing::warn!(shape, error, "a file of tables was made anew");
                    }
                    let (bytes, wanted) = (report.bytes, report.bytes_wanted);
                    if bytes < wanted {
                        let why =
                            "`prover.table_bytes_max` leaves no room for more, or the node stops";
                        return tracing::info!(
                            shape,
                            bytes,
                            wanted,
                            "some tables are in use: {why}"
                        );
                    }
                    return tracing::info!(shape, bytes, wanted, "tables are in use");
                }
            };
            tracing::warn!(
                shape,
                error,
                "proofs are made without some tables, which cannot be kept"
            );
        });
    }
}
