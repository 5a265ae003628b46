//! What a flood leaves in the journal, and what the patient is told of what was refused.

use super::*;

/// How a source floods the node.
type Flood = fn(&mut Ward, u64) -> Answer;

/// What eleven seconds of one source's flood leave in the journal: bytes and entries.
fn flood(ward: &mut Ward, items: u64, flood: Flood) -> (u64, u64) {
    let (before, begun) = (ward.log.head(), ward.now);
    for n in 0..items {
        // The time that it took, whatever a group a millisecond would take here.
        ward.now = begun + n * 11_000 / items;
        let answer = flood(ward, n);
        assert!(!matches!(answer, Answer::FrameStored | Answer::OperationApplied { .. }));
    }
    ward.submit(Item::CountRefusals);
    let after = ward.log.head();
    (after.end - before.end, after.position - before.position)
}

#[test]
fn a_flood_costs_the_journal_a_bounded_number_of_entries_however_long_it_is() {
    let floods: [(&str, Flood, u64); 7] = [
        // As many streams as an epoch has numbers, then each one again.
        ("new streams", |ward, n| ward.open_epoch((n % 30_000) as u16), 512),
        ("the same stream", |ward, _| ward.open_epoch(7), 1),
        (
            "refused frames",
            |ward, n| {
                ward.open_epoch(0);
                // The one that comes next, as it was never stored.
                let mut answer = ward.frame(1);
                if n % 2 == 0 {
                    answer = ward.frame(1);
                }
                answer
            },
            4,
        ),
        (
            "refused frames of new epochs",
            |ward, n| {
                let epoch = 1 + (n % 1_000) as u16;
                ward.open_epoch(epoch);
                let frame = ward.frame_item_of(stream_key(), EpochNumber(epoch), 1);
                ward.submit(frame)
            },
            // The openings, the first frame, its stream once more, and a count.
            512 + 3,
        ),
        ("refused requests", |ward, n| ward.request(n, &practitioner_key()), 2),
        ("junk requests", |ward, n| ward.request(n, &patient_key()), 0),
        ("junk operations", |ward, _| ward.operate(Action::Stop, &registrar()), 0),
    ];
    for (name, source, most) in floods {
        let mut ward = Ward::open();
        ward.operate(Action::Stop, &patient_key());
        let (bytes, entries) = flood(&mut ward, 2_000, source);
        println!("{name}: {bytes} bytes, {entries} entries");
        assert!(entries <= most, "{name}: {entries} entries");
        let (more, further) = flood(&mut ward, 2_000, source);
        println!("{name} again: {more} bytes, {further} entries");
        assert!(further <= 1, "{name}: what is known costs a count at most, found {further}");
    }
}

#[test]
fn a_gateway_that_opens_22_250_streams_twice_leaves_512_entries() {
    let mut ward = Ward::open();
    let flood = |ward: &mut Ward| flood(ward, 22_250, |ward, n| ward.open_epoch(n as u16));
    let (bytes, entries) = flood(&mut ward);
    println!("22,250 streams opened: {bytes} bytes, {entries} entries");
    assert_eq!(entries, 512);
    assert_eq!(flood(&mut ward), (0, 0));
    // Streams beyond take frames all the same.
    assert!(matches!(ward.next_frame(), Answer::FrameStored));
}

#[test]
fn what_is_refused_again_is_counted_and_the_window_has_the_counts_before_its_close() {
    let mut ward = Ward::open();
    ward.operate(Action::Stop, &patient_key());
    let Answer::AccessDecided { position: first, .. } = ward.request(1, &practitioner_key()) else {
        panic!("the first is decided")
    };
    let Entry::AccessRequest { request, .. } = ward.entry(first) else { panic!("in full") };
    for nonce in 2..=6 {
        let Answer::Refused(again) = ward.request(nonce, &practitioner_key()) else {
            panic!("counted")
        };
        assert_eq!((again.code, again.rule), (RejectCode::NotPermitted, Some(RuleNumber::c2(16))));
    }
    let window = ward.close();
    let close = window.contents.position_out;
    let Entry::RefusalCount(counted) = ward.entry(Position(close.0 - 1)) else {
        panic!("expected a count before the close")
    };
    assert_eq!((counted.count, counted.first), (5, request.digest()));
    assert_eq!(counted.reason, RefusalReason::Claim(Uncovered::Closed));
    // The patient sees both: the first one, and how often it was asked again.
    let told = &window.contents.refused[&patient()];
    let told = told.iter().map(|one| (one.position, one.requester.clone(), one.count));
    let told: Vec<_> = told.collect();
    let counted_at = Position(close.0 - 1);
    let asked = Requester::Practitioner(doctor());
    assert_eq!(told, [(first, asked.clone(), 1), (counted_at, asked, 5)]);
    check_provable(&ward, &window);
    // After a quiet minute the next one is in full again.
    ward.now += 60_000;
    let again = ward.request(7, &practitioner_key());
    assert!(matches!(again, Answer::AccessDecided { decision: Err(_), .. }), "{again:?}");
}

#[test]
fn refused_accesses_are_told_to_the_patient_with_the_next_batch() {
    let mut ward = Ward::open();
    // Permit 1 is the doctor's to read; without it nothing covers a request.
    let action =
        Action::Revoke { slot: RuleSlot::Permit(1), rule: ward.on_record(RuleSlot::Permit(1)) };
    ward.operate(action, &patient_key());
    ward.close();
    let answer = ward.request(1, &practitioner_key());
    assert!(matches!(answer, Answer::AccessDecided { decision: Err(_), .. }), "{answer:?}");
    // Alone they are no reason to settle.
    assert!(ward.ledger().window.is_empty());
    let window = ward.close();
    let contents = &window.contents;
    let refused = &contents.refused[&patient()];
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].requester.name(), refused[0].count), ("dr", 1));
    assert_eq!(refused[0].uncovered, Some(Uncovered::Ended));
    assert!(contents.claims.is_empty() && contents.patients.contains_key(&patient()));
    check_provable(&ward, &window);
}
