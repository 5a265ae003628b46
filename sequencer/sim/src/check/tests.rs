//! Journals with one thing wrong, each of which must be found: a check that finds nothing proves
//! nothing.

use journal::fault::{self, FaultMedium};
use journal::{Entry as Stored, EntryKind, Genesis, Log};
use model::{Action, EpochNumber, Millis, RuleSlot, Sequence, StreamHandle};
use wire::{Frame, FramePlace, Reading, Role};

use super::*;
use crate::cast::collect_rule;
use crate::fold::ledger_config;
use crate::source::FRAME_READINGS;

const FIRST_MS: u64 = 3_900_000_000_000;

/// A frame with these readings of this gateway's device.
fn frame(cast: &Cast, epoch: u16, sequence: u64, readings: &[Reading]) -> Stored {
    let gateway = &cast.gateways[0];
    let key = gateway.stream();
    let signal = key.signal().expect("a signal of the table");
    let (handle, epoch) = (StreamHandle(1), EpochNumber(epoch));
    let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
    let frame = Frame::encode_raw(place, signal, readings).expect("few readings in order");
    let entry = Entry::Frame(FrameEntry::new(gateway.id.clone(), key, &frame));
    let body = entry.to_bytes().expect("a frame is written");
    let kind = EntryKind::from_code(entry.kind_code()).expect("no entry has kind 0");
    Stored::new(kind, FIRST_MS + sequence, body)
}

/// A patient's operation as it stands in a journal.
fn operation(cast: &Cast, action: Action) -> Stored {
    let patient = cast.gateways[0].patient;
    let signed_at = Millis::new(FIRST_MS).expect("a time");
    let valid_until = signed_at.plus(1);
    let operation = Operation { patient, nonce: 1, signed_at, valid_until, action };
    let signed = wire::SignedOperation::new(operation.to_bytes().to_vec()).expect("short");
    let entry = Entry::Operation {
        operation: StoredOperation::Plain(signed),
        requester: wire::Holder::new(Role::Wallet, "wallet"),
    };
    let body = entry.to_bytes().expect("an operation is written");
    let kind = EntryKind::from_code(entry.kind_code()).expect("no entry has kind 0");
    Stored::new(kind, FIRST_MS, body)
}

/// With which the patient lets its device be read.
fn permit(cast: &Cast) -> Stored {
    write(cast, RuleSlot::Permit(0))
}

fn write(cast: &Cast, slot: RuleSlot) -> Stored {
    operation(cast, Action::Write { slot, rule: collect_rule(&cast.gateways[0].device) })
}

fn revoke(cast: &Cast, slot: RuleSlot) -> Stored {
    operation(cast, Action::Revoke { slot, rule: collect_rule(&cast.gateways[0].device) })
}

/// The readings of the `number`-th frame that a device gives.
fn readings(number: u64) -> Vec<Reading> {
    let first = number * FRAME_READINGS;
    (first..first + FRAME_READINGS).map(|number| source::reading(0, number)).collect()
}

/// What is found in a journal of these entries, if the device gave so many frames.
fn found(cast: &Cast, frames: u64, entries: &[Stored]) -> Result<(), Violation> {
    let promises = Promises::of(1);
    (0..frames).for_each(|_| promises.measure(0, FRAME_READINGS));
    let genesis = Genesis { log_id: [5; 16], journal_hash: [6; 32] };
    let (mut log, _) = Log::open(FaultMedium::default(), genesis, fault::salts()).expect("empty");
    let mut entries = [&[permit(cast)], entries].concat();
    for (entry, after_ms) in entries.iter_mut().zip(0..) {
        entry.time = FIRST_MS + after_ms;
    }
    log.append(&entries).expect("appended");
    let config = ledger_config(1);
    Ending { cast, promises: &promises, config: &config }.check_frames(&log.reader()).map(drop)
}

#[test]
fn frames_in_order_with_what_was_measured_are_well() {
    let cast = Cast::new(1).expect("a cast");
    let entries = [0, 1, 2].map(|number| frame(&cast, 1, number + 1, &readings(number)));
    found(&cast, 3, &entries).expect("nothing is wrong");
    // A new epoch begins anew, with what was not stored before.
    let entries = [frame(&cast, 1, 1, &readings(0)), frame(&cast, 2, 1, &readings(1))];
    found(&cast, 2, &entries).expect("nothing is wrong");
}

#[test]
fn each_thing_that_is_wrong_is_named() {
    let cast = Cast::new(1).expect("a cast");
    let first = || frame(&cast, 1, 1, &readings(0));
    let mut changed = readings(1);
    changed[3].value = changed[3].value.map(|value| value + 1);
    let mut moved = readings(1);
    moved.truncate(1);
    for (frames, second, said) in [
        (2, frame(&cast, 1, 3, &readings(1)), "I3: expected frame 2 of gateway 0, epoch 1"),
        (2, frame(&cast, 1, 1, &readings(1)), "I3: expected frame 2 of gateway 0, epoch 1"),
        (2, frame(&cast, 1, 2, &readings(0)), "I2: reading 0 of gateway 0 is stored twice"),
        (2, frame(&cast, 2, 1, &readings(0)), "I2: reading 0 of gateway 0 is stored twice"),
        (2, frame(&cast, 1, 2, &changed), "a reading at position 3 is none that gateway 0"),
        (2, frame(&cast, 1, 2, &moved), "I6: gateway 0 measured 16 readings, and 9 are stored"),
        (3, frame(&cast, 1, 2, &readings(1)), "I6: gateway 0 measured 24 readings, and 16"),
    ] {
        let violation = found(&cast, frames, &[first(), second]).expect_err(said).to_string();
        assert!(violation.starts_with(said), "{violation}");
    }
}

#[test]
fn a_frame_of_nobody_is_named() {
    let (all, one) = (Cast::new(2).expect("a cast"), Cast::new(1).expect("a cast"));
    let mut of_second = all;
    of_second.gateways.remove(0);
    let violation = found(&one, 1, &[frame(&of_second, 1, 1, &readings(0))]);
    assert!(matches!(violation, Err(Violation::Stranger { position: 2 })), "{violation:?}");
}

#[test]
fn a_frame_that_no_consent_covers_is_named_and_one_behind_a_new_permit_is_well() {
    let cast = Cast::new(1).expect("a cast");
    let second = || frame(&cast, 1, 2, &readings(1));
    let [permit, other, deny] = [RuleSlot::Permit(0), RuleSlot::Permit(1), RuleSlot::Deny(0)];
    for (taken, given) in
        [(revoke(&cast, permit), write(&cast, other)), (write(&cast, deny), revoke(&cast, deny))]
    {
        let first = frame(&cast, 1, 1, &readings(0));
        let without = [first.clone(), taken.clone(), second(), given.clone()];
        let violation = found(&cast, 2, &without).expect_err("stored without consent");
        let named = Violation::Unpermitted { gateway: 0, position: 4 }.to_string();
        assert_eq!(violation.to_string(), named);
        found(&cast, 2, &[first, taken, given, second()]).expect("nothing is wrong");
    }
    let stopped = [operation(&cast, Action::Stop), write(&cast, other), second()];
    let violation = found(&cast, 1, &stopped).expect_err("nothing is given back");
    assert!(matches!(violation, Violation::Unpermitted { .. }), "{violation}");
}
