//! Refusals that repeat: counted each minute, whoever comes next or does not.

use super::*;
use crate::stages::ledger::counts::KEYS_MAX;
use crate::stages::ledger::decide::ENTRIES_SLACK;
use crate::stages::ledger::streams::Place;

/// The last entry, which must be a count.
fn last_count(ward: &Ward) -> wire::RefusalCount {
    match ward.entry(Position(ward.log.head().position)) {
        Entry::RefusalCount(counted) => counted,
        other => panic!("expected a count, found {other:?}"),
    }
}

#[test]
fn a_minutes_count_becomes_an_entry_although_nobody_sends_anything() {
    let mut ward = Ward::open();
    ward.operate(Action::Stop, &patient_key());
    ward.request(1, &practitioner_key());
    ward.request(2, &practitioner_key());
    let before = ward.log.head().position;
    assert!(matches!(ward.submit(Item::CountDue), Answer::Counted));
    assert_eq!(ward.log.head().position, before, "its minute is not over");
    ward.now += 60_000;
    assert!(matches!(ward.submit(Item::CountDue), Answer::Counted));
    assert_eq!(last_count(&ward).count, 1);
    assert!(matches!(ward.submit(Item::CountDue), Answer::Counted));
    assert_eq!(ward.log.head().position, before + 1, "nothing was refused since");
}

#[test]
fn frames_that_follow_a_refused_one_are_counted_for_the_patient() {
    let mut ward = Ward::open();
    assert!(matches!(ward.next_frame(), Answer::FrameStored));
    ward.operate(Action::Stop, &patient_key());
    let refused = |answer| match answer {
        Answer::Refused(refusal) => (refusal.code, refusal.rule, refusal.position),
        other => panic!("expected a refusal, found {other:?}"),
    };
    let (code, rule, position) = refused(ward.frame(2));
    assert!(position.is_some(), "the first one in full");
    for _ in 0..3 {
        // The stream is halted: what was decided is not decided again, and not forgotten either.
        assert_eq!(refused(ward.frame(2)), (code, rule, None));
    }
    let window = ward.close();
    let close = window.contents.position_out;
    let Entry::RefusalCount(counted) = ward.entry(Position(close.0 - 1)) else {
        panic!("expected a count before the close")
    };
    assert_eq!((counted.count, counted.what), (3, RefusedKind::Frame));
    assert_eq!((counted.patient, counted.requester), (patient(), Holder::gateway(&gateway())));
    assert_eq!(counted.reason, RefusalReason::Claim(Uncovered::Closed));
    // The patient sees who went on sending, why it was refused and how often.
    let told = &window.contents.refused[&patient()];
    let told = told.iter().map(|one| (one.position, one.requester.clone(), one.count));
    let sent = || Requester::Gateway(gateway());
    let counted_at = Position(close.0 - 1);
    assert_eq!(told.collect::<Vec<_>>(), [(position.unwrap(), sent(), 1), (counted_at, sent(), 3)]);
    check_provable(&ward, &window);
}

#[test]
fn each_stream_of_a_gateway_is_halted_by_the_first_frame_that_is_refused() {
    let mut ward = Ward::open();
    let key = StreamKey { device: DeviceId::new("monitor-2").unwrap(), ..stream_key() };
    let RegistryRecord::Device { organisation, patient, signals, gateways, .. } =
        device_of(vec![gateway()])
    else {
        unreachable!("a device was asked for")
    };
    let id = key.device.clone();
    ward.add(RegistryRecord::Device { id, organisation, patient, signals, gateways });
    ward.operate(Action::Stop, &patient_key());
    for key in [stream_key(), key] {
        let name = key.name(EpochNumber(0));
        let mut places = Vec::new();
        for _ in 0..3 {
            let frame = ward.frame_item_of(key.clone(), EpochNumber(0), 1);
            let Answer::Refused(refusal) = ward.submit(frame) else { panic!("taken") };
            places.push(refusal.position.is_some());
        }
        assert_eq!(places, [true, false, false], "in full, and then counted");
        let place = ward.ledger().streams.place(&gateway(), &name, Sequence(1));
        assert!(matches!(place, Place::Halted { .. }), "each costs no further decision: {place:?}");
    }
}

#[test]
fn an_item_adds_no_more_entries_than_a_window_keeps_free() {
    let mut ward = Ward::open();
    let requests = |ward: &mut Ward, round: u64| {
        for index in 0..KEYS_MAX as u32 {
            let patient = PatientIndex::new(20_000 + index).unwrap();
            let nonce = round * KEYS_MAX as u64 + u64::from(index);
            ward.request_of(patient, nonce, &practitioner_key());
        }
    };
    requests(&mut ward, 0);
    requests(&mut ward, 1);
    let added = |ward: &mut Ward, item: Item| {
        let before = ward.log.head().position;
        ward.submit(item);
        ward.log.head().position - before
    };
    ward.now += 60_000;
    let frame = ward.frame_item(1);
    let with_counts = added(&mut ward, frame);
    assert_eq!(with_counts, KEYS_MAX as u64 + 1);
    requests(&mut ward, 2);
    let with_close = added(&mut ward, Item::Close);
    assert_eq!(with_close, KEYS_MAX as u64 + 1);
    // An item that fills the window brings both, and may push one count out.
    assert!(with_counts + with_close < ENTRIES_SLACK);
    let (begin, last) = (ward.log.head().position, limits::BATCH_ENTRIES_MAX - ENTRIES_SLACK);
    let closes =
        |entries| ward.ledger().must_close_before(at(ward.now), Position(begin + entries), 1);
    assert_eq!([last - 1, last].map(closes), [false, true]);
}
