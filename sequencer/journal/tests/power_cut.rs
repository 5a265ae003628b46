//! Power fails at every write, calls fail at every place: what was acknowledged survives.

use journal::fault::{Cut, FaultMedium, salts};
use journal::{AppendError, Entry, Log, Medium};

use crate::support::{GENESIS, all_entries, appended, groups};

/// Groups that fill files of 2 KiB, and one that fits none.
const SIZES: [usize; 7] = [1, 3, 1, 8, 2, 4, 1];
const SEEDS: u64 = 8;

fn script() -> Vec<Vec<Entry>> {
    groups(30, &SIZES, 1_200)
}

fn small() -> FaultMedium {
    FaultMedium::default().with_lengths(2_048, 8_192)
}

/// Who makes the files: the writer when it needs one, or somebody before.
#[derive(Clone, Copy, Debug)]
enum Made {
    Late,
    Ahead,
}

const MADE: [Made; 2] = [Made::Late, Made::Ahead];

impl Made {
    /// Appends the groups until the medium fails; returns how many were acknowledged.
    fn append<M: Medium>(self, log: &mut Log<M>, groups: &[Vec<Entry>]) -> usize {
        let append = |group: &&Vec<Entry>| {
            if let Made::Ahead = self {
                // A failure is the writer's to meet.
                drop(log.make_ahead());
            }
            log.append(group).is_ok()
        };
        groups.iter().take_while(append).count()
    }

    fn run(self, medium: FaultMedium, script: &[Vec<Entry>]) -> usize {
        let opened = Log::open(medium, GENESIS, salts());
        opened.map_or(0, |(mut log, _)| self.append(&mut log, script))
    }

    fn calls_of_the_script(self) -> u64 {
        let medium = small();
        assert_eq!(self.run(medium.clone(), &script()), SIZES.len());
        assert!(medium.files().len() > 3, "the script is about many files");
        medium.calls()
    }
}

/// What a log that opened again must hold: a prefix of the script with everything acknowledged.
fn check<M: Medium>(log: &Log<M>, script: &[Vec<Entry>], acknowledged: usize) -> bool {
    let found = log.head().group as usize;
    found >= acknowledged && all_entries(log) == script[..found].concat()
}

/// Opens what a cut left, checks it, and goes on to the end of the script.
fn goes_on(image: FaultMedium, script: &[Vec<Entry>], acknowledged: usize, of: &str) {
    let (mut log, _) =
        Log::open(image, GENESIS, salts()).unwrap_or_else(|error| panic!("{of}: {error}"));
    assert!(check(&log, script, acknowledged), "{of}");
    let next = log.head().group as usize;
    assert_eq!(Made::Late.append(&mut log, &script[next..]), script.len() - next, "{of}");
    assert_eq!(all_entries(&log), script.concat(), "{of}");
}

#[test]
fn everything_acknowledged_survives_a_power_cut_at_every_call() {
    let script = script();
    for made in MADE {
        for call in 1..=made.calls_of_the_script() {
            let medium = small();
            medium.power_off_at(call);
            let acknowledged = made.run(medium.clone(), &script);
            for cut in Cut::ALL {
                for seed in 0..SEEDS {
                    let of = format!("{made:?}, call {call}, {cut:?}, seed {seed}");
                    goes_on(medium.after_power_cut(cut, seed), &script, acknowledged, &of);
                }
            }
        }
    }
}

#[test]
fn everything_acknowledged_survives_a_second_power_cut_during_recovery() {
    let script = script();
    for call in 1..=Made::Ahead.calls_of_the_script() {
        let medium = small();
        medium.power_off_at(call);
        let acknowledged = Made::Ahead.run(medium.clone(), &script);
        for (seed, first) in (0..).zip([Cut::Keep, Cut::Prefix, Cut::Reorder, Cut::Tear]) {
            for second_call in 1..=24 {
                let medium = medium.after_power_cut(first, seed);
                medium.power_off_at(second_call);
                let recovered = Log::open(medium.clone(), GENESIS, salts())
                    .map(|(log, _)| log.head().group as usize)
                    .unwrap_or(acknowledged);
                for second in [Cut::Drop, Cut::Prefix, Cut::Tear] {
                    let of = format!("call {call}, {first:?}, {second_call}, {second:?}");
                    let image = medium.after_power_cut(second, seed);
                    goes_on(image, &script, recovered, &of);
                }
            }
        }
    }
}

#[test]
fn an_open_makes_durable_what_nobody_synced_before() {
    let script = script();
    let copied = appended(small(), &script[..6]).files();
    assert!(copied.len() > 2, "the test is about files before the last one");
    // A copy that was put back, or a folder whose maker was killed: all of it in memory alone.
    let medium = small();
    for (name, bytes) in &copied {
        medium.make_empty(*name).expect("a name");
        medium.write_at(*name, 0, bytes).expect("its content");
    }
    let acknowledged = Made::Late.run(medium.clone(), &script[6..]) + 6;
    assert_eq!(acknowledged, script.len());
    for cut in Cut::ALL {
        for seed in 0..SEEDS {
            let image = medium.after_power_cut(cut, seed);
            goes_on(image, &script, acknowledged, &format!("{cut:?}, seed {seed}"));
        }
    }
}

#[test]
fn a_failed_call_acknowledges_nothing_and_poisons_until_reopened() {
    let script = script();
    for call in 1..=Made::Late.calls_of_the_script() {
        let medium = small();
        medium.fail_at(call);
        let Ok((mut log, _)) = Log::open(medium.clone(), GENESIS, salts()) else {
            Log::open(medium, GENESIS, salts()).expect("opens once the fault is gone");
            continue;
        };
        let acknowledged = Made::Late.append(&mut log, &script);
        assert!(acknowledged < script.len() && log.is_poisoned());
        let again = log.append(&script[acknowledged]);
        assert!(matches!(again, Err(AppendError::Poisoned)));
        assert!(matches!(log.rest(), Err(AppendError::Poisoned)));
        assert!(check(&log, &script, acknowledged), "reads go on");
        drop(log);
        let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("reopens");
        assert!(check(&log, &script, acknowledged), "call {call}");
        // A failed sync may have dropped what reads still show: nothing may rest on that.
        let next = log.head().group as usize;
        Made::Late.append(&mut log, &script[next..]);
        let (log, _) = Log::open(medium.after_power_cut(Cut::Drop, 0), GENESIS, salts())
            .unwrap_or_else(|error| panic!("call {call}, after the power cut: {error}"));
        assert!(check(&log, &script, script.len()), "call {call}: lost after a failed sync");
    }
}

#[test]
fn a_file_that_cannot_be_made_ahead_costs_nothing_that_is_acknowledged() {
    let script = script();
    for call in 1..=Made::Ahead.calls_of_the_script() {
        let medium = small();
        medium.fail_at(call);
        let acknowledged = Made::Ahead.run(medium.clone(), &script);
        // Whether it was one that the writer made good, or one that ended it.
        for cut in Cut::ALL {
            let of = format!("call {call}, {cut:?}");
            let image = medium.after_power_cut(cut, 5);
            goes_on(image, &script, acknowledged, &of);
        }
    }
}

#[test]
fn a_failed_call_during_recovery_is_an_error_and_loses_nothing() {
    let script = script();
    for call_of_script in 1..=Made::Ahead.calls_of_the_script() {
        let medium = small();
        medium.power_off_at(call_of_script);
        let acknowledged = Made::Ahead.run(medium.clone(), &script);
        for cut in [Cut::Keep, Cut::Tear] {
            for call in 1..=24 {
                let medium = medium.after_power_cut(cut, 3);
                medium.fail_at(call);
                if Log::open(medium.clone(), GENESIS, salts()).is_ok() {
                    // There are not so many calls.
                    break;
                }
                let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("reopens");
                assert!(check(&log, &script, acknowledged));
                // A failed sync may have dropped what reads still show: nothing may rest on that.
                let next = log.head().group as usize;
                Made::Late.append(&mut log, &script[next..]);
                drop(log);
                let of = format!("call {call_of_script}, {cut:?}, recovery's call {call}");
                goes_on(medium.after_power_cut(Cut::Drop, 0), &script, script.len(), &of);
            }
        }
    }
}

#[test]
fn these_tests_notice_a_disk_that_lies_about_syncing() {
    let (script, medium) = (script(), small().lying());
    let acknowledged = Made::Late.run(medium.clone(), &script);
    assert_eq!(acknowledged, script.len());
    let noticed = Cut::ALL.iter().filter(|cut| {
        Log::open(medium.after_power_cut(**cut, 1), GENESIS, salts())
            .map_or(true, |(log, _)| !check(&log, &script, acknowledged))
    });
    assert!(noticed.count() >= 3);
}
