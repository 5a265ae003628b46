//! How much a state folder may hold, and what is given up where it holds as much.

use std::time::Duration;

use model::Millis;

use crate::spool::{Amount, GapCause, Receipted, Spare, Spool, SpoolError, Worth};

/// What a state folder may hold of the streams that one program sends from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateBounds {
    /// Most bytes of its files of frames, of the streams that are open: those of others are not
    /// counted, and keep what has receipts until they are opened again. Default 1 GiB: some 65
    /// million readings, or three days of one waveform of 250 a second. Reached: `when_full`.
    pub bytes_max: u64,
    /// Most bytes of them of frames that have receipts, kept for a node that loses what it gave
    /// receipts for. Default 256 MiB. Reached: the oldest is forgotten. It is also what makes room
    /// first where `bytes_max` is reached.
    pub receipted_bytes_max: u64,
    /// How long they are kept, by this machine's clock. Default a day: batches are settled within
    /// minutes or hours, and then the base chain holds a node to them.
    pub receipted_age_max: Duration,
    /// How long what was never sent is kept, by this machine's clock. Default: for ever. Reached:
    /// the oldest is given up whatever it is worth. A clock that is set forward gives up too much.
    pub age_max: Option<Duration>,
    /// What happens to readings that find no room.
    pub when_full: WhenFull,
}

/// What happens where a state folder holds as much as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenFull {
    /// Nothing is taken until there is room: whoever sends waits.
    Wait,
    /// What was never sent is given up, first of waveforms (ecg, ppg), then of other signals, and
    /// last what holds readings under an alarm; of each the oldest first. What is worth less than
    /// everything that is kept is not taken. What was sent and has no receipt is never given up.
    GiveUp,
}

impl Default for StateBounds {
    fn default() -> StateBounds {
        StateBounds {
            bytes_max: 1 << 30,
            receipted_bytes_max: 256 << 20,
            receipted_age_max: Duration::from_secs(24 * 3600),
            age_max: None,
            when_full: WhenFull::Wait,
        }
    }
}

impl StateBounds {
    /// What one spool is told of it.
    pub(crate) fn bound(&self, spool: &mut Spool) {
        let receipted = Receipted {
            bytes_max: self.receipted_bytes_max,
            age_ms_max: millis(self.receipted_age_max),
        };
        spool.bound(self.bytes_max, receipted);
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// What is to be kept.
pub(crate) struct Wanted {
    pub(crate) bytes: usize,
    pub(crate) worth: Worth,
    pub(crate) at: Millis,
}

/// Whether there is room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    There,
    /// Not before something has a receipt.
    Later,
    /// Everything that is kept is worth more.
    None,
}

/// What making room came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Made {
    pub(crate) room: Room,
    pub(crate) given_up: Amount,
}

/// Bytes of a frame's record besides the frame, and of what is written about it later.
const RECORD_BYTES: u64 = 128;

/// Makes room in the spools of one program.
pub(crate) fn make_room(
    spools: &mut [&mut Spool],
    wanted: &Wanted,
    bounds: &StateBounds,
) -> Result<Made, SpoolError> {
    let mut given_up = Amount::default();
    if let Some(age_max) = bounds.age_max {
        let age_max = millis(age_max);
        while let Some(old) = least(spools, |spare| wanted.at.since(spare.at) > age_max) {
            given_up += spools[old.spool].give_up(old.spare.first, GapCause::Old)?;
        }
    }
    let needed = wanted.bytes as u64 + RECORD_BYTES;
    let room = loop {
        let held: u64 = spools.iter().map(|one| one.bytes()).sum();
        if held.saturating_add(needed) <= bounds.bytes_max {
            break Room::There;
        }
        let done = spools.iter_mut().filter_map(|one| Some((one.oldest_done()?, one)));
        if let Some((_, oldest)) = done.min_by_key(|(at, _)| *at) {
            oldest.forget_oldest()?;
            continue;
        }
        // Segments that are written to hold what has receipts, too: with many streams, most of it.
        let spent = spools.iter_mut().filter_map(|one| Some((one.spent_bytes()?, one)));
        if let Some((_, largest)) = spent.max_by_key(|(bytes, _)| *bytes) {
            largest.compact()?;
            continue;
        }
        if bounds.when_full == WhenFull::Wait {
            break Room::Later;
        }
        match least(spools, |_| true) {
            // All of it is under way.
            None => break Room::Later,
            Some(least) if least.spare.worth > wanted.worth => break Room::None,
            Some(least) => {
                given_up += spools[least.spool].give_up(least.spare.first, GapCause::Full)?;
            }
        }
    };
    Ok(Made { room, given_up })
}

/// A segment among the spools.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Least {
    spare: Spare,
    spool: usize,
}

/// Of the segments that may be given up, the one that is worth least.
fn least(spools: &[&mut Spool], may: impl Fn(&Spare) -> bool) -> Option<Least> {
    let spares = spools.iter().enumerate();
    let spares =
        spares.flat_map(|(spool, one)| one.spares().map(move |spare| Least { spare, spool }));
    spares.filter(|least| may(&least.spare)).min()
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, EpochNumber, PatientIndex};
    use wire::{DeviceTime, Quality, Reading, StreamKey};

    use super::*;

    const ECG: u32 = 131_328;
    const HEART_RATE: u32 = 147_842;

    fn reading(at: u64) -> Reading {
        let at = Millis::new(4_000_000_000_000 + at).expect("a time");
        Reading::new(DeviceTime::from_millis(at), 600)
    }

    /// A stream that keeps as little as one may.
    fn spool(folder: &tempfile::TempDir, signal: u32) -> Spool {
        let (device, patient) = (DeviceId::new("m.1"), PatientIndex::new(1));
        let key = StreamKey { device: device.unwrap(), patient: patient.unwrap(), signal };
        let mut spool = Spool::open(&folder.path().join("state"), &key, EpochNumber(1)).unwrap();
        spool.bound(0, Receipted::default());
        spool
    }

    /// Keeps a frame of a reading, at the time that it is measured.
    fn keep(spool: &mut Spool, reading: Reading, goes: bool) {
        let frame = spool.encode(&[reading]).unwrap();
        let at = Millis::new(reading.at.millis().get() - 4_000_000_000_000).unwrap();
        spool.store(&frame, None, at, goes).unwrap();
    }

    fn bounds(spools: &[&mut Spool], when_full: WhenFull) -> StateBounds {
        let bytes_max = spools.iter().map(|one| one.bytes()).sum();
        StateBounds { bytes_max, when_full, ..StateBounds::default() }
    }

    fn wanted(worth: Worth) -> Wanted {
        Wanted { bytes: 48, worth, at: Millis::new(1000).unwrap() }
    }

    /// When the first and the last reading were measured of what was given up.
    fn gone(spool: &Spool) -> Vec<(u64, u64)> {
        let ms = |at: DeviceTime| at.millis().get() - 4_000_000_000_000;
        spool.gaps().iter().map(|gap| (ms(gap.from), ms(gap.until))).collect()
    }

    #[test]
    fn waveforms_go_before_vitals_and_vitals_before_alarms_and_of_each_the_oldest_first() {
        let folder = tempfile::tempdir().unwrap();
        let (mut ecg, mut beats) = (spool(&folder, ECG), spool(&folder, HEART_RATE));
        for at in 1..=8 {
            keep(&mut beats, reading(at), false);
            keep(&mut ecg, reading(at), false);
        }
        let mut alarm = reading(9);
        alarm.quality = Quality::ALARM;
        (0..4).for_each(|_| keep(&mut ecg, alarm, false));
        let mut spools = [&mut ecg, &mut beats];
        // Each time one frame more finds no place.
        let mut states = Vec::new();
        for _ in 0..12 {
            let bounds = bounds(&spools, WhenFull::GiveUp);
            let made = make_room(&mut spools, &wanted(Worth::Alarm), &bounds).unwrap();
            let state = (gone(spools[0]), gone(spools[1]));
            if made.room == Room::There && states.last() != Some(&state) {
                states.push(state);
            }
        }
        let until = |gone: &[(u64, u64)]| gone.last().map_or(0, |(_, until)| *until);
        let first = &states[0];
        assert_eq!((first.0[0].0, first.1.len()), (1, 0), "the oldest of the waveform: {states:?}");
        for (ecg, beats) in &states {
            let waveform_first = beats.is_empty() || until(ecg) >= first.0[0].1;
            // Its other segment has a reading under an alarm.
            let alarm_last = until(ecg) < 9 || *beats == [(1, 8)];
            assert!(waveform_first && alarm_last, "{states:?}");
        }
        assert_eq!(states.last().unwrap().1, [(1, 8)], "{states:?}");
    }

    #[test]
    fn what_is_worth_less_than_all_that_is_kept_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (mut ecg, mut beats) = (spool(&folder, ECG), spool(&folder, HEART_RATE));
        (1..=8).for_each(|at| keep(&mut beats, reading(at), false));
        let mut spools = [&mut ecg, &mut beats];
        let bounds = bounds(&spools, WhenFull::GiveUp);
        let made = make_room(&mut spools, &wanted(Worth::Waveform), &bounds).unwrap();
        assert_eq!((made.room, made.given_up), (Room::None, Amount::default()));
    }

    #[test]
    fn what_may_have_been_sent_makes_no_room_and_waiting_gives_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut ecg = spool(&folder, ECG);
        (1..=8).for_each(|at| keep(&mut ecg, reading(at), true));
        let mut spools = [&mut ecg];
        let full = bounds(&spools, WhenFull::GiveUp);
        let made = make_room(&mut spools, &wanted(Worth::Alarm), &full).unwrap();
        assert_eq!((made.room, made.given_up), (Room::Later, Amount::default()));
        (9..=16).for_each(|at| keep(spools[0], reading(at), false));
        let full = bounds(&spools, WhenFull::Wait);
        let made = make_room(&mut spools, &wanted(Worth::Alarm), &full).unwrap();
        assert_eq!((made.room, made.given_up), (Room::Later, Amount::default()));
    }

    #[test]
    fn streams_that_have_all_their_receipts_leave_room_however_many_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let signals = model::signals().iter().take(8);
        let mut all: Vec<_> = signals.map(|signal| spool(&folder, signal.code)).collect();
        let off = |at| Reading::sensor_off(reading(at).at);
        for one in &mut all {
            keep(one, off(1), true);
            one.forget_up_to(one.last(), Millis::default()).unwrap();
        }
        let mut spools: Vec<_> = all.iter_mut().collect();
        let full = bounds(&spools, WhenFull::Wait);
        for _ in 0..4 {
            let made = make_room(&mut spools, &wanted(Worth::Alarm), &full).unwrap();
            assert_eq!((made.room, made.given_up), (Room::There, Amount::default()));
            keep(spools[0], off(2), true);
        }
    }

    #[test]
    fn what_is_too_old_is_given_up_and_told_although_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let (mut ecg, mut beats) = (spool(&folder, ECG), spool(&folder, HEART_RATE));
        (1..=8).for_each(|at| keep(&mut beats, reading(at), false));
        (1..=8).for_each(|at| keep(&mut ecg, reading(900 + at), false));
        let mut spools = [&mut ecg, &mut beats];
        let bounds =
            StateBounds { age_max: Some(Duration::from_millis(500)), ..Default::default() };
        let made = make_room(&mut spools, &wanted(Worth::Waveform), &bounds).unwrap();
        assert_eq!((made.room, made.given_up.readings), (Room::There, 8));
        assert_eq!((gone(spools[0]), gone(spools[1])), (vec![], vec![(1, 8)]));
        assert_eq!(spools[1].gaps()[0].cause, GapCause::Old);
    }
}
