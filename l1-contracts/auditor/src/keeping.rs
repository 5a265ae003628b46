//! Keeps headers while an audit goes on, so that one that is killed can be continued.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use auditor::headers::{SavedBatch, save};
use auditor::{Progress, Step};
use l1_contracts::{Deployment, Wait};
use model::{escape, with_causes};

use crate::line::Line;

/// Between two writes: what a killed audit loses.
const BETWEEN: Duration = Duration::from_mins(1);
/// Of a long history the whole file is written each time: at most one part in so many of the time.
const SHARE: u32 = 20;

/// Tells how far an audit is, and keeps what it verified.
pub(crate) struct Keeping {
    told: Line,
    path: PathBuf,
    deployment: Deployment,
    /// Time since some moment.
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    /// When the headers are written again.
    next: Mutex<Duration>,
}

impl Keeping {
    /// The first write is due at once: what cannot be kept is told early.
    pub(crate) fn begin(told: Line, path: PathBuf, deployment: Deployment) -> Keeping {
        let begin = Instant::now();
        let clock = Box::new(move || begin.elapsed());
        Keeping { told, path, deployment, clock, next: Mutex::default() }
    }

    fn write(&self, headers: &[SavedBatch]) {
        // What is there and no file, such as /dev/stdout, is given the headers once, at the end.
        let is_file = self.path.is_file() || !self.path.exists();
        if headers.is_empty() || !is_file {
            return;
        }
        if let Err(error) = save(&self.path, &self.deployment, headers) {
            // They are written again, at the latest at the end.
            let why = format!("{}: {}", self.path.display(), with_causes(&error));
            eprintln!("auditor: the headers are not kept so far in {}", escape(&why));
        }
    }
}

impl Progress for Keeping {
    fn at(&self, step: Step, done: u64, of: u64) {
        self.told.at(step, done, of);
    }

    fn waits(&self, wait: &Wait) {
        self.told.waits(wait);
    }

    fn verified(&self, so_far: &dyn Fn() -> Vec<SavedBatch>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = (self.clock)();
        if begin < *next {
            return;
        }
        self.write(&so_far());
        let end = (self.clock)();
        *next = end + BETWEEN.max(end.saturating_sub(begin) * SHARE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn headers_are_kept_at_once_and_then_once_a_minute_or_for_a_small_part_of_the_time() {
        let deployment = serde_json::json!({
            "schema": Deployment::SCHEMA, "chain_id": 1, "block": 1, "genesis_time": 1,
            "settlement": "0x1111111111111111111111111111111111111111",
            "code_hash": "0x".to_owned() + &"00".repeat(32), "fingerprint": "00".repeat(20),
            "runtime_hash": "0x".to_owned() + &"00".repeat(32),
            "registrar": "0x".to_owned() + &"00".repeat(32),
            "sequencer": "0x1111111111111111111111111111111111111111",
            "receipt_signer": "0x1111111111111111111111111111111111111111",
            "setup": "dev-insecure", "keys": [],
        });
        let deployment = serde_json::from_value(deployment).expect("a deployment");
        let path = PathBuf::from("no/such/folder");
        let now = Arc::new(AtomicU64::new(0));
        let clock = now.clone();
        let clock = Box::new(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        let keeping = Keeping { clock, ..Keeping::begin(Line::begin(), path, deployment) };
        // At a time in seconds, to write for so many: whether it is written.
        let written = |at: u64, takes: u64| {
            let asked = AtomicU64::new(0);
            now.store(at, Ordering::Relaxed);
            keeping.verified(&|| {
                asked.fetch_add(1, Ordering::Relaxed);
                now.fetch_add(takes, Ordering::Relaxed);
                Vec::new()
            });
            asked.into_inner() == 1
        };
        let all = [(0, 1), (1, 1), (60, 1), (61, 10), (270, 0), (271, 0), (330, 0), (331, 0)];
        let found = all.map(|(at, takes)| written(at, takes));
        assert_eq!(found, [true, false, false, true, false, true, false, true]);
    }
}
