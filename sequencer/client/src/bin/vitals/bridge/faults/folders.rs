//! State folders that were not written by this bridge as it is: of the version before, of a map
//! that was mended since, and an old copy.

use std::path::Path;

use client::{Backlogs, InputMark, NewFrame, StateBounds};
use files::Audience;

use super::super::ReceiptName;
use super::super::content::Said;
use super::super::message::tests::heart_rate as measured;
use super::super::message::{Part, part_id};
use super::super::standing::to_digest;
use super::super::taken::tests::record_of_before;
use super::*;

/// The hash of a message's bytes.
const BYTES: u8 = 0xb1;
const OTHER_BYTES: u8 = 0xb2;

/// A message as protocols make it whose messages are bytes.
fn said(id: u8, bytes: u8, readings: &[Measurement]) -> Message {
    Message::single(MessageId([id; 16]), Content([bytes; 16]), readings.to_vec())
}

fn saturation(value: i32) -> Measurement {
    Measurement { signal: signal_by_name("spo2").unwrap(), ..measured(7, value) }
}

impl Ward {
    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    /// Sends the same until it is stored or never can be.
    fn send_said(&self, id: u8, bytes: u8, readings: &[Measurement]) -> Outcome {
        let delivery = self.delivery.clone().expect("one lives");
        let begin = std::time::Instant::now();
        loop {
            assert!(begin.elapsed() < LAST_WAIT, "it waits for ever");
            match self.block_on(delivery.deliver(said(id, bytes, readings))) {
                Err(cause) if cause.fate() == Fate::Again => {}
                settled => return settled,
            }
        }
    }

    /// Has readings of one stream in a frame that was never sent, while no bridge lives.
    fn spool(&self, name: u8, said_of_mark: Said, readings: &[Measurement]) {
        let part = Part::of(&said(name, BYTES, readings)).unwrap().remove(0);
        let keys = std::slice::from_ref(&part.key);
        let mut kept = Backlogs::open(&self.state(), keys, StateBounds::default()).unwrap();
        let (name, lines) = ([name; 16], readings.len() as u64);
        let mark = Some(InputMark { name, lines, taken: 0, digest: to_digest(said_of_mark) });
        let (readings, at) = (&part.members[0].readings[..], SystemClock.now());
        kept.push(0, NewFrame { readings, mark, at }).unwrap();
        kept.sync().unwrap();
    }

    /// How often the node has a value of a device.
    fn count_of(&self, device: &str, value: i32) -> usize {
        let stored = self.stored();
        let own = stored.iter().filter(|((of, _, own), _)| of == device && *own == value);
        own.map(|(_, count)| count).sum()
    }
}

#[test]
fn what_the_version_before_kept_is_answered_as_it_was_and_stored_once() {
    let mut ward = Ward::new();
    ward.stop();
    let content_alone = Said::without_readings(Content([BYTES; 16]));
    let part = part_id(&Part::of(&said(2, BYTES, &[measured(7, 520)])).unwrap()[0].key);
    let records = [
        record_of_before((1, 1), (1, BYTES), &[[0, 0, 0, 0, 0, 0, 0, 5u8], [7; 8]].concat()),
        record_of_before((2, 0), (2, BYTES), &part),
    ];
    let path = ward.state().join("messages.log");
    files::replace(&path, &[&records.concat()], Audience::Owner).unwrap();
    for (name, value) in [(3, 530), (4, 540)] {
        ward.spool(name, content_alone, &[measured(7, value)]);
    }
    ward.start();
    let receipt = ReceiptName { group: 5, journal: [7; 8] };
    for _ in 0..2 {
        assert_eq!(ward.send_said(1, BYTES, &[measured(7, 510)]), Ok(vec![receipt]));
        // Of this one the heart rate went before, with a receipt.
        let both = [measured(7, 520), saturation(970)];
        assert!(ward.send_said(2, BYTES, &both).is_ok());
        let spooled = ward.send_said(3, BYTES, &[measured(7, 530)]);
        assert_eq!(spooled.map(|receipts| receipts.len()), Ok(1));
        for name in 1..=4 {
            let other = ward.send_said(name, OTHER_BYTES, &[measured(7, 999)]);
            assert_eq!(other, Err(Cause::Reused), "{name}");
        }
        ward.kill();
    }
    let counts = [510, 520, 970, 530, 540, 999].map(|value| ward.count_of("m-1", value));
    assert_eq!(counts, [0, 0, 1, 1, 1, 0]);
    ward.end();
}

#[test]
fn a_message_of_which_a_part_is_stored_is_completed_once_the_map_is_mended() {
    let mut ward = Ward::new();
    let from = starting("2026-05-01T00:00:00Z");
    ward.behave(|one| one.reject_before = Some((from, RejectCode::NotPermitted)));
    let early = parse_instant("2026-04-30T08:30:00Z").unwrap();
    let before = [measured(7, 720), Measurement { at: early, ..saturation(970) }];
    let refused = ward.send_said(1, BYTES, &before);
    assert_eq!(refused, Err(Cause::Node(RejectCode::NotPermitted)));
    assert_eq!(ward.count_of("m-1", 720), 1);
    ward.kill();
    let device = DeviceId::new("m-2").unwrap();
    let mended = [measured(7, 720), Measurement { device, ..saturation(970) }];
    assert_eq!(ward.send_said(1, OTHER_BYTES, &mended), Err(Cause::Reused));
    let stored = ward.send_said(1, BYTES, &mended);
    assert!(stored.is_ok(), "{stored:?}");
    // Also by whoever wrote its time anew; and as it was read before.
    assert_eq!(ward.send_said(1, OTHER_BYTES, &mended), stored);
    assert_eq!(ward.send_said(1, BYTES, &before), stored);
    assert_eq!(ward.send_said(1, OTHER_BYTES, &before), Err(Cause::Reused));
    let counts = [("m-1", 720), ("m-2", 970), ("m-1", 970)];
    assert_eq!(counts.map(|(device, value)| ward.count_of(device, value)), [1, 1, 0]);
    ward.end();
}

#[test]
fn what_stands_in_frames_in_part_is_not_completed_by_other_readings_of_the_same_bytes() {
    let mut ward = Ward::new();
    ward.stop();
    let [first, second, other] = [720, 730, 740].map(|value| measured(7, value));
    let whole = [first.clone(), second.clone()];
    // The second one was not made a frame yet.
    ward.spool(1, Said::of(Content([BYTES; 16]), &whole), &whole[..1]);
    ward.start();
    let mended = [other, first, second];
    assert_eq!(ward.send_said(1, BYTES, &mended), Err(Cause::Reused));
    assert!(ward.send_said(1, BYTES, &whole).is_ok());
    let counts = [720, 730, 740].map(|value| ward.count_of("m-1", value));
    assert_eq!(counts, [1, 1, 0]);
    ward.end();
}

fn copy(from: &Path, to: &Path) {
    files::make_folder(to, Audience::Owner).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn what_an_old_copy_of_a_folder_did_not_send_yet_the_node_may_have_all_the_same() {
    let mut ward = Ward::new();
    assert!(ward.send_said(1, BYTES, &[measured(7, 510)]).is_ok());
    ward.stop();
    let second = [measured(7, 520)];
    ward.spool(2, Said::of(Content([BYTES; 16]), &second), &second);
    let backup = ward.folder.path().join("backup");
    copy(&ward.state(), &backup);
    ward.start();
    for (name, value) in [(2, 520), (3, 530), (4, 540)] {
        assert!(ward.send_said(name, BYTES, &[measured(7, value)]).is_ok());
    }
    ward.stop();
    std::fs::remove_dir_all(ward.state()).unwrap();
    copy(&backup, &ward.state());
    ward.start();
    let again = ward.send_said(2, BYTES, &second);
    assert_eq!((ward.count_of("m-1", 520), again), (1, Err(Cause::Unsure)));
    ward.end();
}
