//! The power fails after every step of random scripts: what was sent or synced is there, and no
//! sequence stands for two frames.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A small generator, so that a failing script is named by its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % end
    }
}

/// What the rest of the world knows of a stream.
#[derive(Default)]
struct World {
    /// The reading that was sent under each sequence.
    sent: BTreeMap<u64, u64>,
    receipted: u64,
    /// Readings that were pushed, and not given up.
    kept: Vec<u64>,
    /// Of those, how many the disk was seen to have.
    synced: usize,
    pushed: u64,
}

/// The files of a stream, by name.
type Image = BTreeMap<std::ffi::OsString, Vec<u8>>;

fn image(folder: &Path) -> Image {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect()
}

/// One step of a script.
fn step(spool: &mut Spool, world: &mut World, dice: &mut Dice) {
    match dice.below(10) {
        0..=3 => {
            world.pushed += 1;
            world.kept.push(world.pushed);
            push(spool, world.pushed, dice.below(3) > 0);
        }
        4 => spool.stage(48 * dice.below(6) as usize).unwrap(),
        5 => {
            spool.sync().unwrap();
            world.synced = world.kept.len();
        }
        6 => note_sent(world, ready(spool)),
        7 => {
            let last = world.sent.keys().next_back().copied().unwrap_or_default();
            world.receipted += dice.below(1 + last - world.receipted);
            let now = Millis::default();
            spool.forget_up_to(Sequence(world.receipted), now).unwrap();
        }
        8 => {
            let spare: Vec<_> = spool.spares().collect();
            if let Some(spare) = spare.get(dice.below(1 + spare.len() as u64) as usize) {
                let read = segment::read(&spool.folder, spare.first, true).unwrap();
                let signal = key().signal().unwrap();
                let gone: Vec<_> = frames(read.records)
                    .map(|one| one.frame.readings(signal).unwrap()[0].at)
                    .map(|at| at.millis().get() - 4_000_000_000_000)
                    .collect();
                spool.give_up(spare.first, GapCause::Full).unwrap();
                world.kept.retain(|one| !gone.contains(one));
                world.synced = world.kept.len();
            }
        }
        _ => {
            world.pushed += 1;
            let frame = spool.encode(&[reading(world.pushed)]).unwrap();
            spool.refuse(&frame, GapCause::Full).unwrap();
        }
    }
}

fn note_sent(world: &mut World, sent: Vec<Sent>) {
    for (sequence, number) in sent {
        let before = world.sent.insert(sequence, number);
        assert!(before.is_none_or(|before| before == number), "sequence {sequence} stands for two");
    }
}

/// What the disk may hold after the power failed: any part of what was not synced, as far as it
/// got, or sector by sector; and files that were removed may be there still.
fn images(now: &Image, before: &Image, spool: &Spool, dice: &mut Dice) -> Vec<Image> {
    let last = spool.segments.back().unwrap();
    let name = last.path.file_name().unwrap();
    let (whole, synced) = (&now[name], spool.synced_bytes as usize);
    let with = |bytes: Vec<u8>| {
        let mut image = now.clone();
        image.insert(name.to_owned(), bytes);
        image
    };
    let cut = synced + dice.below((whole.len() - synced) as u64 + 1) as usize;
    let mut torn = whole.clone();
    for at in (synced..whole.len()).step_by(64) {
        let end = whole.len().min(at + 64);
        if dice.below(2) == 0 {
            torn[at..end].fill(0);
        }
    }
    let mut risen = now.clone();
    for (name, bytes) in before {
        risen.entry(name.clone()).or_insert_with(|| bytes.clone());
    }
    vec![
        now.clone(),
        with(whole[..synced].to_vec()),
        with(whole[..cut].to_vec()),
        with(torn),
        risen,
    ]
}

/// A folder with the files of an image, of which nothing is synced.
fn folder_of(image: &Image) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = Spool::path(&state(&folder), &key());
    files::make_folder(&path, Audience::Owner).unwrap();
    for (name, bytes) in image {
        // Not through the crate that syncs: of an image nothing has to last.
        std::fs::write(path.join(name), bytes).unwrap();
        std::fs::set_permissions(path.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

/// A gateway that starts on this image has all that it must, and breaks no word.
fn check(image: &Image, world: &World, seed: u64) {
    let folder = folder_of(image);
    let mut spool = Spool::open_kept(&state(&folder), &key())
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    spool.begin(EpochNumber(3)).unwrap();
    push(&mut spool, 1_000_000, true);
    let sent = sent(&mut spool);
    let readings: Vec<_> = sent.iter().map(|(_, number)| *number).collect();
    let first = sent[0].0;
    assert!(first <= world.receipted + 1, "seed {seed}: {first} after {}", world.receipted);
    for (sequence, number) in &sent {
        let before = world.sent.get(sequence);
        let is_same = before.is_none_or(|before| before == number);
        assert!(is_same, "seed {seed}: {sequence} was {before:?}, is {number}");
    }
    let sequences: Vec<_> = sent.iter().map(|(sequence, _)| *sequence).collect();
    let expected: Vec<_> = (first..first + sent.len() as u64).collect();
    assert_eq!(sequences, expected, "seed {seed}");
    let has_receipt = |number: &u64| {
        world.sent.range(..=world.receipted).any(|(_, receipted)| receipted == number)
    };
    // In their order, each once, and all that were synced.
    let known: Vec<_> = readings.iter().copied().filter(|one| *one < 1_000_000).collect();
    assert!(known.is_sorted() && known.iter().all(|one| world.kept.contains(one)), "seed {seed}");
    for number in world.kept[..world.synced].iter().filter(|number| !has_receipt(number)) {
        assert!(known.contains(number), "seed {seed}: {number} is lost");
    }
    let lost = world.sent.range(world.receipted + 1..).find(|(_, one)| !known.contains(one));
    assert_eq!(lost, None, "seed {seed}");
}

#[test]
fn the_power_may_fail_after_every_step() {
    for seed in 0..10 {
        let (mut dice, mut world) = (Dice(seed), World::default());
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder, 3);
        spool.segment_bytes = 300;
        let path = spool.folder.clone();
        let mut before = image(&path);
        for _ in 0..40 {
            step(&mut spool, &mut world, &mut dice);
            let now = image(&path);
            for image in images(&now, &before, &spool, &mut dice) {
                check(&image, &world, seed);
            }
            before = now;
        }
    }
}

#[test]
fn a_new_segment_is_there_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    spool.segment_bytes = 300;
    (1..=2).for_each(|number| push(&mut spool, number, true));
    let path = spool.folder.clone();
    drop(spool);
    // Left beside it by a crash while it was written.
    files::create(&path.join(format!("{:020}.segment.new", 3)), b"half", Audience::Owner).unwrap();
    let mut spool = open(&folder, 3);
    push(&mut spool, 3, true);
    assert_eq!(sent(&mut spool), [(1, 1), (2, 2), (3, 3)]);
}

#[test]
fn what_is_sent_after_a_kill_outlives_the_power() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    push(&mut spool, 1, true);
    spool.sync().unwrap();
    let synced = spool.synced_bytes;
    (2..=3).for_each(|number| push(&mut spool, number, true));
    // Killed before the next sync: the system has all that was written, the disk does not.
    let killed = folder_of(&image(&spool.folder));
    let name = spool.segments[0].path.file_name().unwrap().to_owned();
    let mut spool = open(&killed, 3);
    push(&mut spool, 4, true);
    let expected = [(1, 1), (2, 2), (3, 3), (4, 4)];
    assert_eq!(sent(&mut spool), expected);
    // Then the power fails.
    let on_disk = disk::faults::synced_bytes(&spool.folder.join(&name)).max(synced);
    let mut image = image(&spool.folder);
    image.get_mut(&name).unwrap().truncate(on_disk as usize);
    let powerless = folder_of(&image);
    assert_eq!(sent(&mut open(&powerless, 3)), expected);
}

#[test]
fn damage_in_the_last_group_is_found_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, 3);
    (1..=2).for_each(|number| push(&mut spool, number, true));
    let end = spool.bytes() as usize;
    spool.sync().unwrap();
    // The program ends without a word: nothing is written at its end.
    let whole = image(&spool.folder);
    let name = spool.segments[0].path.file_name().unwrap();
    for at in (0..end).step_by(7) {
        let mut damaged = whole.clone();
        damaged.get_mut(name).unwrap()[at] ^= 1;
        let killed = folder_of(&damaged);
        let refused = Spool::open_kept(&state(&killed), &key()).unwrap_err();
        assert!(matches!(refused, SpoolError::Damaged { .. }), "byte {at}: {refused}");
    }
}
