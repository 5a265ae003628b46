//! What the drill prints: one line a step, and one JSON object.

use std::time::Duration;

use serde::Serialize;

use super::options::DrillOptions;

/// Everything that the drill found.
#[derive(Clone, Debug, Serialize)]
pub struct DrillReport {
    /// Name and version of this object.
    pub schema: &'static str,
    /// Seed of the cast.
    pub seed: u64,
    /// Readings that had a receipt.
    pub acknowledged: Acknowledged,
    /// Of those, readings that the backup lacked: they were gone with the disk.
    pub lost_with_disk: usize,
    /// Readings that gateways sent again.
    pub sent_again: u64,
    /// Readings in the journal in the end.
    pub stored: usize,
    /// Of the acknowledged ones, those that it lacks: no gateway kept them either.
    pub lost: usize,
    /// Readings that it holds more than once.
    pub stored_twice: usize,
    /// Batches that the chain settled.
    pub batches_settled: u64,
    /// What was done, in order, and how long it took.
    pub steps: Vec<DrillStep>,
    #[serde(skip)]
    quiet: bool,
}

/// Readings that had a receipt, by when they got it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Acknowledged {
    /// Before the backup.
    pub before_backup: usize,
    /// While it was taken.
    pub during_backup: usize,
    /// Between it and the loss of the disk.
    pub after_backup: usize,
    /// From the node that came back.
    pub in_new_term: usize,
    /// All of them.
    pub all: usize,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct DrillStep {
    /// Its name.
    pub step: &'static str,
    /// Wall seconds.
    pub seconds: f64,
}

impl DrillReport {
    pub(super) fn new(options: &DrillOptions) -> DrillReport {
        DrillReport {
            schema: "vitals-drill-1",
            seed: options.seed,
            acknowledged: Acknowledged::default(),
            lost_with_disk: 0,
            sent_again: 0,
            stored: 0,
            lost: 0,
            stored_twice: 0,
            batches_settled: 0,
            steps: Vec::new(),
            quiet: options.json,
        }
    }

    pub(super) fn step(&mut self, step: &'static str, took: Duration, said: &str) {
        let seconds = took.as_secs_f64();
        self.steps.push(DrillStep { step, seconds });
        let line = format!("{step:9} {seconds:6.1} s  {said}");
        // Stdout is for the one object.
        match self.quiet {
            true => eprintln!("{line}"),
            false => println!("{line}"),
        }
    }

    /// The last lines: what was lost, and the minutes from the loss of the disk to the settlement.
    pub fn summary(&self) -> String {
        let gone = self.steps.iter().skip_while(|one| one.step != "disk");
        let gone = gone.take_while(|one| one.step != "compare");
        let back: f64 = gone.map(|one| one.seconds).sum();
        format!(
            "nothing was settled between the backup and the loss of the disk: what is settled \
             behind a backup cannot be given up\n\
             lost with the disk {} readings, sent again {}, kept by nobody {}\n\
             from the loss of the disk to settlement {:.1} minutes",
            self.lost_with_disk,
            self.sent_again,
            self.lost,
            back / 60.0
        )
    }
}
