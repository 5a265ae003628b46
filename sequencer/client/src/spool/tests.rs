use model::{DeviceId, PatientIndex};
use wire::{DeviceTime, Quality};

use super::*;

mod power;
mod version1;

fn key() -> StreamKey {
    let (device, patient) = (DeviceId::new("m.1").unwrap(), PatientIndex::new(1).unwrap());
    StreamKey { device, patient, signal: 147842 }
}

fn reading(number: u64) -> Reading {
    let at = Millis::new(4_000_000_000_000 + number).unwrap();
    Reading::new(DeviceTime::from_millis(at), 600)
}

fn state(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("state")
}

fn open(folder: &tempfile::TempDir, epoch: u16) -> Spool {
    Spool::open(&state(folder), &key(), EpochNumber(epoch)).unwrap()
}

/// Keeps a frame of one reading, measured at this number.
fn push(spool: &mut Spool, number: u64, goes: bool) {
    push_marked(spool, number, None, goes);
}

fn push_marked(spool: &mut Spool, number: u64, mark: Option<InputMark>, goes: bool) {
    let frame = spool.encode(&[reading(number)]).unwrap();
    spool.store(&frame, mark, Millis::new(number).unwrap(), goes).unwrap();
}

/// A sent frame: its sequence, and the number of its reading.
type Sent = (u64, u64);

/// Everything that may be sent now.
fn ready(spool: &mut Spool) -> Vec<Sent> {
    let signal = key().signal().unwrap();
    let frames = std::iter::from_fn(|| spool.next_ready());
    let sent = frames.map(|ready| {
        let at = ready.frame.readings(signal).unwrap()[0].at;
        (ready.frame.sequence().0, at.millis().get() - 4_000_000_000_000)
    });
    sent.collect()
}

/// Everything that is kept, as it is sent.
fn sent(spool: &mut Spool) -> Vec<Sent> {
    spool.stage(usize::MAX).unwrap();
    spool.sync().unwrap();
    ready(spool)
}

fn mark(name: u8, lines: u64) -> InputMark {
    InputMark { name: [name; 16], lines, taken: 1, digest: [lines as u8; 32] }
}

/// Names of the segments, without zeros and ending.
fn segments(folder: &tempfile::TempDir) -> Vec<u64> {
    segment::list(&Spool::path(&state(folder), &key())).unwrap()
}

/// Three frames, of which the first has a receipt.
fn with_two_of_three_open() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    (1..=3).for_each(|number| push(&mut spool, number, true));
    spool.forget_up_to(Sequence(1), Millis::default()).unwrap();
    folder
}

#[test]
fn frames_without_a_receipt_come_back_after_a_restart() {
    let folder = with_two_of_three_open();
    let mut spool = open(&folder, 3);
    assert_eq!((spool.last_receipted(), spool.last()), (Sequence(1), Sequence(3)));
    assert_eq!(spool.waiting(), Amount { frames: 2, readings: 2 });
    assert_eq!(sent(&mut spool), [(2, 2), (3, 3)]);
    let kept = Spool::kept_epoch(&state(&folder), &key()).unwrap();
    assert_eq!(kept, Some(EpochNumber(3)));
}

#[test]
fn a_frame_is_ready_once_its_group_is_synced_and_a_group_costs_one_sync() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.sync().unwrap();
    (1..=2).for_each(|number| push(&mut spool, number, true));
    let group = spool.unsynced().unwrap();
    push(&mut spool, 3, true);
    assert_eq!(ready(&mut spool), []);
    group.sync().unwrap();
    spool.note_synced(&group);
    assert_eq!(ready(&mut spool), [(1, 1), (2, 2)], "what came later waits for the next");
    spool.sync().unwrap();
    assert_eq!(ready(&mut spool), [(3, 3)]);
    assert!(spool.unsynced().is_none());
}

#[test]
fn what_finds_no_place_waits_on_disk_and_follows_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    push(&mut spool, 1, true);
    (2..=4).for_each(|number| push(&mut spool, number, false));
    // Nothing overtakes what waits.
    push(&mut spool, 5, true);
    spool.sync().unwrap();
    assert_eq!(ready(&mut spool), [(1, 1)]);
    spool.stage(2 * 48).unwrap();
    assert_eq!(ready(&mut spool), [], "that it may be sent is not on the disk yet");
    spool.sync().unwrap();
    assert_eq!(ready(&mut spool), [(2, 2), (3, 3)]);
    assert_eq!(spool.waiting().frames, 2);
    let kept = KeptFrames { first: Sequence(1), sent: Sequence(3), last: Sequence(5) };
    assert_eq!(spool.kept_frames(), kept);
    assert_eq!(sent(&mut spool), [(4, 4), (5, 5)]);
    push(&mut spool, 6, true);
    assert_eq!((spool.staged_bytes(), sent(&mut spool)), (48, vec![(6, 6)]));
}

#[test]
fn segments_are_removed_with_the_last_receipt_of_their_frames() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.segment_bytes = 400;
    (1..=12).for_each(|number| push(&mut spool, number, true));
    let before = segments(&folder);
    assert!(before.len() > 2, "{before:?}");
    let second = before[1];
    spool.forget_up_to(Sequence(second - 2), Millis::default()).unwrap();
    assert_eq!(segments(&folder), before);
    spool.forget_up_to(Sequence(second - 1), Millis::default()).unwrap();
    assert_eq!(segments(&folder), before[1..]);
    spool.forget_up_to(Sequence(12), Millis::default()).unwrap();
    drop(spool);
    let mut spool = open(&folder, 3);
    assert_eq!((segments(&folder).last(), spool.last_receipted()), (Some(&13), Sequence(12)));
    push(&mut spool, 13, true);
    assert_eq!(sent(&mut spool), [(13, 13)]);
}

/// A spool of 24 frames in small segments, of which the first 20 have a receipt.
fn with_receipted(folder: &tempfile::TempDir, receipted: Receipted) -> Spool {
    let mut spool = open(folder, 3);
    spool.bound(0, receipted);
    (1..=24).for_each(|number| push(&mut spool, number, true));
    assert_eq!(sent(&mut spool).len(), 24);
    spool.forget_up_to(Sequence(20), Millis::new(24).unwrap()).unwrap();
    spool
}

const ALL: Receipted = Receipted { bytes_max: 1 << 20, age_ms_max: 1 << 40 };

#[test]
fn what_has_a_receipt_is_kept_within_its_bounds_and_makes_room_first() {
    let folder = tempfile::tempdir().unwrap();
    drop(with_receipted(&folder, ALL));
    assert_eq!(segments(&folder)[0], 1);
    let mut spool = open(&folder, 3);
    assert_eq!((spool.waiting().frames, spool.kept_frames().first), (4, Sequence(1)));
    let (bytes, needed) = (spool.bytes(), spool.needed_bytes());
    assert!(needed < bytes / 2, "{needed} of {bytes}");
    assert!(spool.oldest_done().is_some());
    while spool.oldest_done().is_some() {
        spool.forget_oldest().unwrap();
    }
    assert_eq!((spool.bytes(), spool.waiting().frames), (needed, 4));
    for bounds in [Receipted { age_ms_max: 8, ..ALL }, Receipted { bytes_max: 900, ..ALL }] {
        let folder = tempfile::tempdir().unwrap();
        let spool = with_receipted(&folder, bounds);
        let first = spool.kept_frames().first.0;
        assert!((2..=20).contains(&first), "{bounds:?}: {first}");
    }
}

#[test]
fn a_node_that_lost_what_it_receipted_gets_the_same_frames_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = with_receipted(&folder, ALL);
    let again = spool.rewind(Sequence(7)).unwrap();
    assert_eq!(again, Amount { frames: 13, readings: 13 });
    let expected: Vec<_> = (8..=24).map(|number| (number, number)).collect();
    assert_eq!(sent(&mut spool), expected);
    // A crash before the receipts changes nothing.
    drop(spool);
    let mut spool = open(&folder, 3);
    assert_eq!((spool.last_receipted(), sent(&mut spool)), (Sequence(7), expected));
    push(&mut spool, 25, true);
    assert_eq!(sent(&mut spool), [(25, 25)]);
}

#[test]
fn a_node_that_lost_more_gets_all_that_is_kept_in_an_epoch_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = with_receipted(&folder, ALL);
    spool.forget_oldest().unwrap();
    let first = spool.kept_frames().first.0;
    assert!(first > 1);
    let again = spool.renew(EpochNumber(4)).unwrap();
    assert_eq!(again.frames, 21 - first);
    let expected: Vec<_> = (1..).zip(first..=24).collect();
    assert_eq!((spool.last_receipted(), sent(&mut spool)), (Sequence(0), expected.clone()));
    drop(spool);
    let mut spool = open(&folder, 4);
    assert_eq!((spool.kept_frames().first, sent(&mut spool)), (Sequence(1), expected));
}

#[test]
fn a_receipt_counts_frames_that_are_not_read_back_yet() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    (1..=5).for_each(|number| push(&mut spool, number, true));
    drop(spool);
    let mut spool = open(&folder, 3);
    spool.stage(48).unwrap();
    // Of a group that was sent before the restart.
    let passed = spool.forget_up_to(Sequence(3), Millis::default()).unwrap();
    assert_eq!(passed, Amount { frames: 3, readings: 3 });
    assert_eq!(sent(&mut spool), [(4, 4), (5, 5)]);
}

#[test]
fn what_was_never_sent_is_given_up_and_leaves_no_hole_in_the_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.segment_bytes = 400;
    (1..=2).for_each(|number| push(&mut spool, number, true));
    (3..=20).for_each(|number| push(&mut spool, number, false));
    let spare: Vec<_> = spool.spares().collect();
    let (first, end) = (spare[0].first, spare[1].first);
    assert!(first > 2, "{spare:?}");
    let given_up = spool.give_up(first, GapCause::Full).unwrap();
    assert_eq!(given_up.frames, end - first);
    assert_eq!((spool.take_moved(), spool.take_moved()), (Some(Sequence(first)), None));
    let [gap] = *spool.gaps() else { panic!("{:?}", spool.gaps()) };
    let times = [first, end - 1].map(|number| reading(number).at);
    assert_eq!((gap.readings, [gap.from, gap.until]), (end - first, times));
    let expected: Vec<_> = (1..first).chain(end..=20).collect();
    let expected: Vec<_> = expected.into_iter().zip(1..).map(|(one, at)| (at, one)).collect();
    drop(spool);
    for _ in 0..2 {
        let mut spool = open(&folder, 3);
        assert_eq!(spool.gaps(), [gap]);
        assert_eq!(sent(&mut spool), expected);
    }
    let mut spool = open(&folder, 3);
    let passed = spool.forget_up_to(Sequence(expected.len() as u64), Millis::default()).unwrap();
    assert_eq!(passed.frames, expected.len() as u64);
    spool.forget_gaps(&[gap]).unwrap();
    push(&mut spool, 21, true);
    drop(spool);
    let mut spool = open(&folder, 3);
    assert_eq!((sent(&mut spool), spool.gaps()), (vec![(expected.len() as u64 + 1, 21)], &[][..]));
}

#[test]
fn what_the_node_refused_for_good_is_never_sent_again_and_another_patient_follows() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    for (number, (name, lines)) in (1..).zip([(1, 1), (1, 2), (2, 1), (3, 1)]) {
        push_marked(&mut spool, number, Some(mark(name, lines)), number < 4);
    }
    spool.sync().unwrap();
    assert_eq!(ready(&mut spool).len(), 3);
    spool.forget_up_to(Sequence(1), Millis::default()).unwrap();
    drop(spool);
    // As the bridge does: the stream has stopped, and its folder is opened again.
    let mut spool = Spool::open_kept(&state(&folder), &key()).unwrap();
    assert_eq!(spool.abandon().unwrap(), Amount { frames: 3, readings: 3 });
    assert_eq!(spool.abandon().unwrap(), Amount::default());
    drop(spool);
    let next = StreamKey { patient: PatientIndex::new(2).unwrap(), ..key() };
    drop(Spool::open_kept(&state(&folder), &next).unwrap());
    let mut spool = Spool::open_kept(&state(&folder), &key()).unwrap();
    let mut marks: Vec<_> = spool.marks().iter().map(|one| (one.name[0], one.lines)).collect();
    marks.sort_unstable();
    assert_eq!(marks, [(1, 1), (2, 0), (3, 0)], "where the receipts are");
    spool.begin(EpochNumber(4)).unwrap();
    push(&mut spool, 5, true);
    assert_eq!(sent(&mut spool), [(1, 5)]);
}

#[test]
fn behind_the_last_epoch_nothing_is_given_up_and_no_patient_follows() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, u16::MAX);
    push(&mut spool, 1, true);
    spool.sync().unwrap();
    assert_eq!(ready(&mut spool).len(), 1);
    let refused = spool.abandon().unwrap_err();
    assert!(matches!(refused, SpoolError::EpochsUsed { .. }), "{refused}");
    spool.forget_up_to(Sequence(1), Millis::default()).unwrap();
    drop(spool);
    let next = StreamKey { patient: PatientIndex::new(2).unwrap(), ..key() };
    let refused = Spool::open_kept(&state(&folder), &next).unwrap_err();
    assert!(matches!(refused, SpoolError::EpochsUsed { .. }), "{refused}");
}

#[test]
fn what_is_given_up_as_refused_leaves_its_epoch() {
    let folder = with_two_of_three_open();
    let mut spool = open(&folder, 3);
    spool.abandon().unwrap();
    drop(spool);
    let mut spool = Spool::open_kept(&state(&folder), &key()).unwrap();
    assert_eq!((spool.epoch(), spool.last_receipted()), (EpochNumber(4), Sequence(0)));
    push(&mut spool, 9, true);
    assert_eq!(sent(&mut spool), [(1, 9)]);
}

#[test]
fn what_may_have_been_sent_is_never_given_up_after_a_restart_neither() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.segment_bytes = 400;
    (1..=20).for_each(|number| push(&mut spool, number, false));
    spool.stage(10 * 48).unwrap();
    assert!(spool.spares().all(|spare| spare.first > 10));
    drop(spool);
    let spool = open(&folder, 3);
    let spares: Vec<_> = spool.spares().map(|spare| spare.first).collect();
    assert!(!spares.is_empty() && spares.iter().all(|first| *first > 10), "{spares:?}");
}

#[test]
fn what_is_refused_is_told_and_takes_no_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    push(&mut spool, 1, true);
    for number in [2, 3] {
        let frame = spool.encode(&[reading(number)]).unwrap();
        spool.refuse(&frame, GapCause::Full).unwrap();
    }
    push(&mut spool, 4, true);
    drop(spool);
    let mut spool = open(&folder, 3);
    let [gap] = *spool.gaps() else { panic!("one that goes on, {:?}", spool.gaps()) };
    assert_eq!((gap.readings, gap.from, gap.until), (2, reading(2).at, reading(3).at));
    assert_eq!(sent(&mut spool), [(1, 1), (2, 4)]);
}

#[test]
fn alarms_are_worth_most_and_waveforms_least() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&folder, 3);
    let ecg = StreamKey { signal: 131328, ..key() };
    let waveform = Spool::open(&state(&folder), &ecg, EpochNumber(1)).unwrap();
    let mut alarm = reading(1);
    alarm.quality = Quality::ALARM;
    let worth = |spool: &Spool, last| spool.worth_of(&[reading(1), last]);
    assert_eq!(worth(&waveform, reading(2)), Worth::Waveform);
    assert_eq!(worth(&spool, reading(2)), Worth::Vital);
    assert_eq!(worth(&waveform, alarm), Worth::Alarm);
    // And so are the segments that they are kept in, after a restart too.
    let mut spool = spool;
    let frame = spool.encode(&[alarm]).unwrap();
    spool.store(&frame, None, Millis::default(), false).unwrap();
    drop(spool);
    let spool = open(&folder, 3);
    assert_eq!(spool.spares().map(|spare| spare.worth).collect::<Vec<_>>(), [Worth::Alarm]);
}

#[test]
fn a_torn_tail_loses_only_what_was_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    (1..=2).for_each(|number| push(&mut spool, number, true));
    spool.sync().unwrap();
    let synced = spool.bytes() as usize;
    push(&mut spool, 3, true);
    let (path, end) = (spool.segments[0].path.clone(), spool.bytes() as usize);
    drop(spool);
    let whole = std::fs::read(&path).unwrap();
    for cut in synced..=end {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let mut spool = open(&folder, 3);
        let kept = if cut < end { 2 } else { 3 };
        let torn = if cut < end { cut - synced } else { 0 };
        assert_eq!(spool.cut_bytes(), torn as u64);
        push(&mut spool, 9, true);
        let sent: Vec<_> = sent(&mut spool).into_iter().map(|(_, number)| number).collect();
        let expected: Vec<_> = (1..=kept).chain([9]).collect();
        assert_eq!(sent, expected, "{cut} of {end} bytes");
        drop(spool);
        segments(&folder).into_iter().skip(1).for_each(|first| {
            let path = Spool::path(&state(&folder), &key()).join(format!("{first:020}.segment"));
            std::fs::remove_file(path).unwrap();
        });
    }
}

#[test]
fn a_corrupt_byte_in_what_was_synced_is_told_and_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.segment_bytes = 400;
    (1..=7).for_each(|number| push(&mut spool, number, true));
    let last = spool.segments.back().unwrap().clone();
    let paths: Vec<_> = spool.segments.iter().map(|one| one.path.clone()).collect();
    assert!(paths.len() > 1);
    // What says that the last group was synced comes with the end of the program at the latest.
    drop(spool);
    for path in paths {
        let whole = std::fs::read(&path).unwrap();
        let end = if path == last.path { last.bytes as usize } else { whole.len() };
        assert!(path != last.path || end < whole.len());
        for at in 0..end {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let refused = Spool::open_kept(&state(&folder), &key()).map(|_| "opened");
            assert!(
                matches!(refused, Err(SpoolError::Damaged { .. } | SpoolError::Format { .. })),
                "byte {at}: {refused:?}"
            );
        }
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(sent(&mut open(&folder, 3)).len(), 7);
}

#[test]
fn a_missing_segment_is_told_with_the_frame_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.segment_bytes = 400;
    (1..=12).for_each(|number| push(&mut spool, number, true));
    let gone = spool.segments[1].clone();
    drop(spool);
    std::fs::remove_file(gone.path).unwrap();
    let refused = Spool::open_kept(&state(&folder), &key()).unwrap_err();
    let SpoolError::Missing { expected, found, .. } = refused else { panic!("{refused}") };
    assert_eq!((expected, found), (gone.first, gone.last + 1));
}

#[test]
fn segments_that_are_missing_at_an_end_have_no_receipts_for_it() {
    // Once the first one is gone, and once all but the last one, which has no frames.
    for keeps in [1..3, 2..3] {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder, 3);
        spool.segment_bytes = 400;
        (1..=7).for_each(|number| push(&mut spool, number, true));
        spool.forget_up_to(Sequence(2), Millis::default()).unwrap();
        drop(spool);
        drop(open(&folder, 3));
        let firsts = segments(&folder);
        assert_eq!(firsts.len(), 3, "{firsts:?}");
        for (_, first) in firsts.iter().enumerate().filter(|(at, _)| !keeps.contains(at)) {
            let path = Spool::path(&state(&folder), &key()).join(format!("{first:020}.segment"));
            std::fs::remove_file(path).unwrap();
        }
        let refused = Spool::open_kept(&state(&folder), &key()).unwrap_err();
        let SpoolError::Missing { expected, found, .. } = refused else { panic!("{refused}") };
        assert_eq!((expected, found), (3, firsts[keeps.start]));
    }
}

#[test]
fn the_place_in_a_file_stands_if_and_only_if_its_frame_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    push_marked(&mut spool, 1, Some(mark(1, 10)), true);
    let before = spool.bytes() as usize;
    push_marked(&mut spool, 2, Some(mark(1, 20)), true);
    let (path, end) = (spool.segments[0].path.clone(), spool.bytes() as usize);
    drop(spool);
    let whole = std::fs::read(&path).unwrap();
    for cut in before..=end {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let read = segment::read(&Spool::path(&state(&folder), &key()), 1, true).unwrap();
        let kept = segment::kept(&read).unwrap();
        let (frames, expected) = if cut < end { (1, 10) } else { (2, 20) };
        assert_eq!((kept.last, kept.marks()), (frames, vec![mark(1, expected)]));
    }
    // It outlives its frames, other files and a new epoch.
    let mut spool = open(&folder, 3);
    push_marked(&mut spool, 3, Some(mark(2, 5)), true);
    spool.forget_up_to(Sequence(3), Millis::default()).unwrap();
    drop(spool);
    assert_eq!(open(&folder, 4).marks(), [mark(1, 20), mark(2, 5)]);
}

#[test]
fn frames_of_no_epoch_get_one_and_then_keep_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open_kept(&state(&folder), &key()).unwrap();
    assert_eq!(spool.epoch(), NO_EPOCH);
    push_marked(&mut spool, 1, Some(mark(1, 10)), false);
    drop(spool);
    assert_eq!(Spool::kept_epoch(&state(&folder), &key()).unwrap(), None);
    let mut spool = open(&folder, 4);
    spool.stage(usize::MAX).unwrap();
    spool.sync().unwrap();
    let frame = spool.next_ready().unwrap().frame;
    assert_eq!((frame.header().epoch, frame.sequence()), (EpochNumber(4), Sequence(1)));
    assert_eq!(spool.marks(), [mark(1, 10)]);
    drop(spool);
    let kept = Spool::kept_epoch(&state(&folder), &key()).unwrap();
    assert_eq!(kept, Some(EpochNumber(4)));
    let refused = Spool::open(&state(&folder), &key(), EpochNumber(5)).unwrap_err();
    assert!(matches!(refused, SpoolError::Epoch { expected: 4, found: 5 }));
}

#[test]
fn frames_of_one_patient_are_never_sent_for_another() {
    let folder = with_two_of_three_open();
    let next = StreamKey { patient: PatientIndex::new(2).unwrap(), ..key() };
    let refused = Spool::open_kept(&state(&folder), &next).unwrap_err();
    assert!(matches!(refused, SpoolError::Patient { .. }), "{refused}");
    let mut spool = open(&folder, 3);
    push_marked(&mut spool, 4, Some(mark(1, 10)), true);
    spool.forget_up_to(Sequence(4), Millis::default()).unwrap();
    drop(spool);
    // Nothing lacks a receipt: the device goes on to the next, in an epoch of its own.
    let mut spool = Spool::open_kept(&state(&folder), &next).unwrap();
    assert_eq!((spool.epoch(), spool.marks().len()), (EpochNumber(4), 0));
    assert!(spool.is_epoch_empty());
    push(&mut spool, 5, true);
    assert!(!spool.is_epoch_empty() && !spool.is_synced());
    assert_eq!(sent(&mut spool), [(1, 5)]);
    assert!(spool.is_synced());
    // The one before goes on behind it, whoever asks first.
    let kept = Spool::kept_epoch(&state(&folder), &key()).unwrap();
    assert_eq!(kept, Some(EpochNumber(5)));
}

#[test]
fn what_a_node_refused_is_the_first_frame_without_a_receipt_that_may_have_been_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    push_marked(&mut spool, 1, Some(mark(1, 10)), false);
    assert_eq!(spool.first_sent_mark().unwrap(), None);
    spool.stage(usize::MAX).unwrap();
    push_marked(&mut spool, 2, Some(mark(2, 10)), true);
    assert_eq!(spool.first_sent_mark().unwrap(), Some(mark(1, 10)));
    spool.forget_up_to(Sequence(1), Millis::default()).unwrap();
    assert_eq!(spool.first_sent_mark().unwrap(), Some(mark(2, 10)));
    spool.forget_up_to(Sequence(2), Millis::default()).unwrap();
    assert_eq!(spool.first_sent_mark().unwrap(), None);
}

#[test]
fn places_in_files_are_each_patients_own_and_stay_when_the_device_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let next = StreamKey { patient: PatientIndex::new(2).unwrap(), ..key() };
    let send = |key: &StreamKey, epoch, mark: InputMark| {
        let mut spool = Spool::open(&state(&folder), key, EpochNumber(epoch)).unwrap();
        let before = spool.marks();
        push_marked(&mut spool, 1, Some(mark), true);
        spool.forget_up_to(Sequence(1), Millis::default()).unwrap();
        before
    };
    let marks = |key| Spool::open_kept(&state(&folder), key).unwrap().marks();
    assert_eq!(send(&key(), 3, mark(1, 10)), []);
    // The same file is another's reading too.
    assert_eq!(send(&next, 4, mark(1, 5)), []);
    assert_eq!(send(&key(), 5, mark(2, 7)), [mark(1, 10)]);
    assert_eq!(marks(&next), [mark(1, 5)]);
    assert_eq!(marks(&key()), [mark(1, 10), mark(2, 7)]);
}

#[test]
fn one_program_at_a_time_sends_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder, 3);
    let refused = Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap_err();
    assert!(refused.to_string().contains("m.1.147842.lock"), "{refused}");
    drop(first);
    open(&folder, 3);
}

#[test]
fn another_epoch_begins_only_when_nothing_lacks_a_receipt() {
    let folder = with_two_of_three_open();
    let refused = Spool::open(&state(&folder), &key(), EpochNumber(4)).unwrap_err();
    assert!(matches!(refused, SpoolError::Epoch { expected: 3, found: 4 }));
    let mut spool = open(&folder, 3);
    spool.forget_up_to(Sequence(3), Millis::default()).unwrap();
    drop(spool);
    let fresh = open(&folder, 4);
    assert_eq!((fresh.last_receipted(), fresh.last(), fresh.waiting().frames), Default::default());
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_older_than_what_it_follows() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.segment_bytes = 400;
    let at = |number: u64| Millis::new(if number < 8 { 5000 + number } else { number }).unwrap();
    for number in 1..=16 {
        let frame = spool.encode(&[reading(number)]).unwrap();
        spool.store(&frame, None, at(number), false).unwrap();
    }
    let in_order = |spool: &Spool| {
        let mut spares: Vec<_> = spool.spares().collect();
        spares.sort();
        assert!(spares.len() > 2 && spares.is_sorted_by_key(|spare| spare.first), "{spares:?}");
    };
    in_order(&spool);
    drop(spool);
    in_order(&open(&folder, 3));
}

#[test]
fn a_disk_that_could_not_sync_once_is_not_believed_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    push(&mut spool, 1, true);
    disk::faults::fail_syncs(1);
    assert!(matches!(spool.sync(), Err(SpoolError::File { .. })));
    // The next one would succeed, whatever the system dropped.
    assert!(matches!(spool.sync(), Err(SpoolError::Unsynced { .. })));
    assert!(spool.unsynced().is_none());
    assert_eq!(ready(&mut spool), []);
    let frame = spool.encode(&[reading(2)]).unwrap();
    let refused = spool.store(&frame, None, Millis::default(), true);
    assert!(matches!(refused, Err(SpoolError::Unsynced { .. })));
}

#[test]
fn a_segment_that_could_not_be_synced_at_its_end_is_not_followed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.segment_bytes = 400;
    disk::faults::fail_syncs(1);
    let mut store = |number| {
        let frame = spool.encode(&[reading(number)]).unwrap();
        spool.store(&frame, None, Millis::default(), true)
    };
    let refused = (1..9).find_map(|number| store(number).err()).unwrap();
    assert!(matches!(refused, SpoolError::File { .. }), "{refused}");
    assert!(matches!(store(9), Err(SpoolError::Unsynced { .. })));
    assert_eq!(segments(&folder), [1]);
    assert_eq!((spool.sync().is_err(), ready(&mut spool)), (true, vec![]));
}

#[test]
fn a_full_disk_is_drained_by_receipts() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = with_receipted(&folder, ALL);
    assert_eq!(segments(&folder)[0], 1);
    disk::faults::fail_writes(1);
    spool.forget_up_to(Sequence(22), Millis::new(24).unwrap()).unwrap();
    assert!(segments(&folder)[0] > 1, "the oldest went");
    // And where nothing is to be removed, a record follows when there is room.
    let alone = tempfile::tempdir().unwrap();
    let mut other = open(&alone, 3);
    (1..=3).for_each(|number| push(&mut other, number, true));
    assert_eq!(sent(&mut other).len(), 3);
    disk::faults::fail_writes(2);
    other.forget_up_to(Sequence(2), Millis::default()).unwrap();
    assert_eq!((segments(&alone), other.last_receipted()), (vec![1], Sequence(2)));
    other.forget_up_to(Sequence(3), Millis::default()).unwrap();
    drop((spool, other));
    assert_eq!(open(&folder, 3).last_receipted(), Sequence(22));
    assert_eq!(open(&alone, 3).last_receipted(), Sequence(3));
}

#[test]
fn what_is_refused_again_and_again_takes_no_more_than_a_segment() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.segment_bytes = 400;
    for number in 1..=100 {
        let frame = spool.encode(&[reading(number)]).unwrap();
        spool.refuse(&frame, GapCause::Full).unwrap();
        assert!(spool.bytes() < 600, "{number}: {} bytes", spool.bytes());
    }
    assert_eq!(spool.gaps().iter().map(|gap| gap.readings).sum::<u64>(), 100);
    drop(spool);
    let spool = open(&folder, 3);
    assert_eq!((segments(&folder), spool.gaps().len()), (vec![1], 1));
}

#[test]
fn no_other_patient_follows_while_nobody_was_told_what_was_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    let frame = spool.encode(&[reading(1)]).unwrap();
    spool.refuse(&frame, GapCause::Full).unwrap();
    drop(spool);
    let next = StreamKey { patient: PatientIndex::new(2).unwrap(), ..key() };
    let refused = Spool::open_kept(&state(&folder), &next).unwrap_err();
    assert!(matches!(refused, SpoolError::Patient { .. }), "{refused}");
    let mut spool = open(&folder, 3);
    let told = spool.gaps().to_vec();
    spool.forget_gaps(&told).unwrap();
    drop(spool);
    Spool::open_kept(&state(&folder), &next).unwrap();
}
