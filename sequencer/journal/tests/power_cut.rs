//! Power fails at every write, calls fail at every place: what was acknowledged survives.

use std::io;

use journal::fault::{Cut, FaultMedium, salts};
use journal::{AppendError, Entry, Log, Medium};

use crate::support::{GENESIS, all_entries, groups};

const SIZES: [usize; 6] = [1, 3, 1, 8, 2, 4];
const SEEDS: u64 = 40;

fn script() -> Vec<Vec<Entry>> {
    groups(30, &SIZES, 1_200)
}

/// Appends the script until the medium fails; returns how many groups were acknowledged.
fn run<M: Medium>(medium: M, script: &[Vec<Entry>]) -> usize {
    let Ok((mut log, _)) = Log::open(medium, GENESIS, salts()) else { return 0 };
    script.iter().take_while(|group| log.append(group).is_ok()).count()
}

/// What a log that opened again must hold: a prefix of the script with everything acknowledged.
fn check<M: Medium>(log: &Log<M>, script: &[Vec<Entry>], acknowledged: usize) -> bool {
    let found = log.head().group as usize;
    found >= acknowledged && all_entries(log) == script[..found].concat()
}

fn calls_of_the_script() -> u64 {
    let medium = FaultMedium::default();
    assert_eq!(run(medium.clone(), &script()), SIZES.len());
    medium.calls()
}

#[test]
fn everything_acknowledged_survives_a_power_cut_at_every_call() {
    let script = script();
    for call in 1..=calls_of_the_script() {
        let medium = FaultMedium::default();
        medium.power_off_at(call);
        let acknowledged = run(medium.clone(), &script);
        for cut in Cut::ALL {
            for seed in 0..SEEDS {
                let image = FaultMedium::holding(medium.after_power_cut(cut, seed));
                let (mut log, _) = Log::open(image, GENESIS, salts())
                    .unwrap_or_else(|error| panic!("call {call}, {cut:?}, seed {seed}: {error}"));
                assert!(check(&log, &script, acknowledged), "call {call}, {cut:?}, seed {seed}");
                let next = log.head().group as usize;
                script[next..].iter().for_each(|group| drop(log.append(group).expect("append")));
                assert_eq!(all_entries(&log), script.concat());
            }
        }
    }
}

#[test]
fn everything_acknowledged_survives_a_second_power_cut_during_recovery() {
    let script = script();
    for call in 1..=calls_of_the_script() {
        let medium = FaultMedium::default();
        medium.power_off_at(call);
        let acknowledged = run(medium.clone(), &script);
        for (seed, first) in (0..).zip([Cut::Keep, Cut::Prefix, Cut::Reorder, Cut::Tear]) {
            let image = medium.after_power_cut(first, seed);
            for second_call in 1..=5 {
                let medium = FaultMedium::holding(image.clone());
                medium.power_off_at(second_call);
                let recovered = Log::open(medium.clone(), GENESIS, salts())
                    .map(|(log, _)| log.head().group as usize)
                    .unwrap_or(acknowledged);
                for second in Cut::ALL {
                    let image = FaultMedium::holding(medium.after_power_cut(second, seed));
                    let (log, _) =
                        Log::open(image, GENESIS, salts()).expect("opens after two cuts");
                    assert!(check(&log, &script, recovered), "call {call}, {first:?}, {second:?}");
                }
            }
        }
    }
}

#[test]
fn a_failed_call_acknowledges_nothing_and_poisons_until_reopened() {
    let script = script();
    for call in 1..=calls_of_the_script() {
        let medium = FaultMedium::default();
        medium.fail_at(call);
        let Ok((mut log, _)) = Log::open(medium.clone(), GENESIS, salts()) else {
            Log::open(medium, GENESIS, salts()).expect("opens once the fault is gone");
            continue;
        };
        let acknowledged = script.iter().take_while(|group| log.append(group).is_ok()).count();
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
        script[next..].iter().for_each(|group| drop(log.append(group).expect("append")));
        let (log, _) =
            Log::open(FaultMedium::holding(medium.after_power_cut(Cut::Drop, 0)), GENESIS, salts())
                .expect("opens after the power cut");
        assert!(check(&log, &script, script.len()), "call {call}: lost after a failed sync");
    }
}

#[test]
fn a_failed_call_during_recovery_is_an_error_and_loses_nothing() {
    let script = script();
    let medium = FaultMedium::default();
    medium.power_off_at(calls_of_the_script() - 1);
    let acknowledged = run(medium.clone(), &script);
    for cut in Cut::ALL {
        for call in 1..=5 {
            let medium = FaultMedium::holding(medium.after_power_cut(cut, 3));
            medium.fail_at(call);
            drop(Log::open(medium.clone(), GENESIS, salts()));
            let (log, _) = Log::open(medium, GENESIS, salts()).expect("reopens");
            assert!(check(&log, &script, acknowledged));
        }
    }
}

/// A disk that says "synced" and is not.
struct LyingDisk(FaultMedium);

impl Medium for LyingDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, bytes)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
}

#[test]
fn these_tests_notice_a_disk_that_lies_about_syncing() {
    let (script, medium) = (script(), FaultMedium::default());
    let acknowledged = run(LyingDisk(medium.clone()), &script);
    assert_eq!(acknowledged, script.len());
    let noticed = Cut::ALL.iter().filter(|cut| {
        let image = FaultMedium::holding(medium.after_power_cut(**cut, 1));
        Log::open(image, GENESIS, salts())
            .map_or(true, |(log, _)| !check(&log, &script, acknowledged))
    });
    assert!(noticed.count() >= 3);
}
