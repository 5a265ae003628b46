//! Readings in the journal: sealed where they stand, opened by whoever has the key, and the state
//! that follows without any.

use ::bodies::Places;
use ::bodies::fault::FaultyKeys;
use wire::SealedFrame;

use super::*;
use crate::window::WindowContents;

/// The bytes of every file of the journal.
fn journal_bytes(ward: &Ward) -> Vec<u8> {
    let files = std::fs::read_dir(ward._dir.path().join("log")).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The last entry, as it is stored.
fn last_sealed(ward: &Ward) -> SealedFrame {
    let last = ward.log.read(ward.log.head().position).unwrap();
    match Entry::from_bytes(last.kind.code(), &last.body) {
        Ok(Entry::SealedFrame(sealed)) => sealed,
        other => panic!("expected a sealed frame, found {other:?}"),
    }
}

/// A ledger that absorbs the journal with these keys, and the windows that it closes.
fn absorbed(ward: &Ward, bodies: BodySeal) -> (Ledger, Vec<WindowContents>) {
    let mut ledger = Ledger::new(LedgerConfig { bodies, ..ledger_config() });
    let (mut closed, mut entries) = (Vec::new(), ward.log.iter_from(1));
    while let Some(found) = entries.next() {
        let (position, entry) = found.unwrap();
        let (in_group, time) = (entries.in_group(), entry.time);
        let place = EntryPlace { salt: in_group.salt, index: in_group.index(position), time };
        let entry = Entry::from_bytes(entry.kind.code(), &entry.body).unwrap();
        let placed = Placed { position: Position(position), time: at(time), place };
        closed.extend(ledger.absorb_stored(&entry, placed).unwrap());
    }
    (ledger, closed)
}

#[test]
fn a_reading_stands_nowhere_in_the_journal_and_opens_with_its_key() {
    let mut ward = Ward::open();
    let item = ward.frame_item(1);
    let Item::Frame { frame, .. } = &item else { panic!("a frame") };
    let plain = frame.stored().as_bytes().clone();
    assert!(matches!(ward.submit(item), Answer::FrameStored));
    let (readings, bytes) = (&plain[wire::HEADER_BYTES..], journal_bytes(&ward));
    assert!(!contains(&bytes, readings), "in the clear");
    let sealed = last_sealed(&ward);
    assert!(contains(&bytes, sealed.sealed()));
    let Entry::Frame(opened) = ward.entry(Position(ward.log.head().position)) else {
        panic!("it opens")
    };
    assert_eq!(opened.frame().as_bytes(), &plain);
}

/// The group is begun, filled and given up, as one that is torn; the same frame then goes into the
/// next one at the same place.
#[test]
fn a_group_that_is_written_again_seals_the_same_frame_to_other_bytes() {
    let mut ward = Ward::open();
    let item = ward.frame_item(1);
    let Item::Frame { gateway, key, frame, measured } = &item else { panic!("a frame") };
    let entry = wire::FrameEntry::new(gateway.clone(), key.clone(), frame);
    let mut writer = super::super::bodies::BodyWriter::new(body_seal());
    let mut sealed = || {
        let group = ward.log.builder(ward.now);
        let place = EntryPlace { salt: *group.salt().unwrap(), index: 0, time: ward.now };
        let mut record = Vec::new();
        writer.write((entry.storing(), *measured), &place, &mut record).unwrap();
        (place.salt, record)
    };
    let (first, second) = (sealed(), sealed());
    assert_ne!(first.0, second.0, "a salt of its own");
    assert_eq!(first.1.len(), second.1.len());
    let clear = first.1.len() - 16 - (entry.frame().as_bytes().len() - wire::HEADER_BYTES);
    assert_eq!(first.1[..clear], second.1[..clear]);
    assert_ne!(first.1[clear..], second.1[clear..]);
}

/// An operator erases a patient while a group is filled in which a frame of theirs stands.
#[test]
fn behind_an_erasure_a_frame_of_the_same_group_is_sealed_under_a_new_key() {
    let Faulty { mut ward, keys, seal, .. } = faulty();
    let mut group = ward.log.builder(ward.now);
    let (now, items) = (ward.now, [1, 2].map(|sequence| ward.frame_item(sequence)));
    for (item, erases) in items.into_iter().zip([true, false]) {
        let answer = ward.admission.admit(now, item, &mut group);
        assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
        if erases {
            assert_eq!(keys.destroy(&[patient()], at(now)).unwrap().keys, 1);
        }
    }
    let committed = ward.log.append_built(group).unwrap();
    ward.admission.committed(&committed);
    let (ledger, _) = absorbed(&ward, seal);
    assert_eq!((ledger.erased(), ledger.unopened()), (1, 0), "the second one opens");
}

#[test]
fn with_its_keys_a_journal_makes_the_same_state_and_without_them_all_but_digests() {
    let mut ward = Ward::open();
    ward.next_frame();
    ward.next_frame();
    let live = ward.close();
    ward.next_frame();
    let (ledger, closed) = absorbed(&ward, body_seal());
    assert_eq!(closed[0].claims, live.contents.claims);
    assert_eq!(ledger.freeze().to_bytes(), ward.ledger().freeze().to_bytes());

    // No key at all: as after the key folder was lost, or a patient was erased.
    let (ledger, closed) = absorbed(&ward, BodySeal::keyless([5; 16]));
    let without = |claims: &[model::Claim]| -> Vec<_> {
        let digest = model::Digest([0; 31]);
        claims.iter().map(|claim| model::Claim { digest, ..claim.clone() }).collect()
    };
    assert_eq!(without(&closed[0].claims), without(&live.contents.claims));
    assert_ne!(closed[0].claims, live.contents.claims, "the digest is of what is stored");
    let (live, blind) = (ward.admission.view(), view::LedgerView::of_durable(&ledger));
    assert_eq!((blind.status(), blind.marks(&gateway())), (live.status(), live.marks(&gateway())));
}

/// How long an epoch of [`faulty`] keys lasts.
const EPOCH_MS: u64 = 60_000;

/// A ward whose keys stand on a medium that fails when it is told to.
struct Faulty {
    ward: Ward,
    medium: FaultyKeys,
    keys: BodyKeys,
    seal: BodySeal,
}

fn faulty() -> Faulty {
    let mut ward = Ward::open();
    let (medium, beside) = (FaultyKeys::default(), FaultyKeys::default());
    let places = Places { keys: Arc::new(medium.clone()), beside: Arc::new(beside) };
    let keys = BodyKeys::open(places, EPOCH_MS).unwrap();
    let seal = BodySeal::new(keys.clone(), [5; 16]);
    let ledger = absorbed(&ward, seal.clone()).0;
    ward.admission = LedgerAdmission::new(ledger, ward.delivered.clone(), 0);
    Faulty { ward, medium, keys, seal }
}

fn refusal(answer: Answer) -> (RejectCode, Option<Position>) {
    match answer {
        Answer::Refused(refusal) => (refusal.code, refusal.position),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn while_no_key_can_be_kept_only_frames_that_need_a_new_one_are_refused_until_one_can() {
    let Faulty { mut ward, medium, seal, .. } = faulty();
    assert!(matches!(ward.frame(1), Answer::FrameStored));
    medium.fail_at(Some(1));
    assert!(matches!(ward.frame(2), Answer::FrameStored), "its key is there");
    ward.now += EPOCH_MS;
    let head = ward.log.head().position;
    // In one group: a frame that needs the next epoch's key, what else is asked, and the frame
    // behind it.
    ward.now += 1;
    let mut group = ward.log.builder(ward.now);
    let now = ward.now;
    let items = [
        ward.frame_item(3),
        Item::Registry(RegistryChange::Add(RegistryRecord::Organisation {
            id: OrganisationId::new("laboratory").unwrap(),
        })),
        ward.frame_item(4),
    ];
    let [third, registered, fourth] = items.map(|item| ward.admission.admit(now, item, &mut group));
    assert_eq!(refusal(third), (RejectCode::Unavailable, None), "sent again later");
    assert!(matches!(registered, Answer::RegistryChanged { .. }), "{registered:?}");
    assert_eq!(refusal(fourth).0, RejectCode::Gap, "no hole in the stream");
    let committed = ward.log.append_built(group).unwrap();
    ward.admission.committed(&committed);
    assert_eq!(ward.log.head().position, head + 1);
    assert!(matches!(ward.request(1, &practitioner_key()), Answer::AccessDecided { .. }));

    medium.fail_at(None);
    assert_eq!(refusal(ward.frame(3)).0, RejectCode::Unavailable, "tried once a second");
    ward.now += 1_000;
    for sequence in 3..=5 {
        assert!(matches!(ward.frame(sequence), Answer::FrameStored), "{sequence}");
    }
    // Whoever absorbs the journal opens each of them, and stands where the writer does.
    let ledger = absorbed(&ward, seal).0;
    assert_eq!(ledger.freeze().to_bytes(), ward.ledger().freeze().to_bytes());
}

/// Thousands of monitors open their streams, and then send.
#[test]
fn the_first_frame_makes_the_keys_of_all_whose_streams_were_opened() {
    let Faulty { medium, seal, .. } = faulty();
    let mut writer = super::super::bodies::BodyWriter::new(seal);
    let patients: Vec<_> = (0..300).map(|index| PatientIndex::new(index).unwrap()).collect();
    patients.iter().for_each(|patient| writer.expect(*patient));
    let ward = Ward::open();
    let mut write = |patient| {
        let key = StreamKey { patient, ..stream_key() };
        let Item::Frame { gateway, key, frame, measured } =
            ward.frame_item_of(key, EpochNumber(0), 1)
        else {
            panic!("a frame")
        };
        let entry = wire::FrameEntry::new(gateway, key, &frame);
        let place = EntryPlace { salt: [3; 32], index: 0, time: ward.now };
        writer.write((entry.storing(), measured), &place, &mut Vec::new()).unwrap();
        medium.wrote().syncs
    };
    let first = write(patients[7]);
    assert!(patients.iter().all(|patient| write(*patient) == first), "nothing had to be made");
    assert!(write(PatientIndex::new(300).unwrap()) > first, "who opened nothing");
}

#[test]
fn a_frame_whose_key_cannot_be_had_is_refused_and_nothing_else_is() {
    let mut ward = Ward::open();
    let ledger = absorbed(&ward, BodySeal::keyless([5; 16])).0;
    ward.admission = LedgerAdmission::new(ledger, ward.delivered.clone(), 0);
    let refused = ward.frame(1);
    assert!(matches!(refused, Answer::Refused(_)), "{refused:?}");
    let answer = ward.request(1, &practitioner_key());
    assert!(matches!(answer, Answer::AccessDecided { .. }), "{answer:?}");
}

fn restored(bytes: &[u8], seal: &BodySeal) -> Ledger {
    let config = LedgerConfig { bodies: seal.clone(), ..ledger_config() };
    Ledger::restore(config, bytes, |_| FrameNodes::in_memory()).unwrap()
}

/// The claims of the window that a ledger closes now.
fn closed_by(mut ledger: Ledger, ward: &Ward) -> Vec<model::Claim> {
    let (entry, time) = ledger.close_entry(at(ward.now));
    let position = Position(ward.log.head().position + 1);
    ledger.absorb(&entry, position, time).unwrap().expect("a close").claims
}

#[test]
fn a_state_holds_the_last_readings_of_a_segment_under_their_patients_own_key_alone() {
    let Faulty { mut ward, keys, seal, .. } = faulty();
    let item = ward.frame_item(1);
    let Item::Frame { frame, .. } = &item else { panic!("a frame") };
    let readings = frame.stored().as_bytes()[wire::HEADER_BYTES..].to_vec();
    assert!(matches!(ward.submit(item), Answer::FrameStored));
    let state = ward.ledger().freeze().to_bytes();
    assert!(!contains(&state, &readings), "in the clear");
    let whole = restored(&state, &seal);
    assert_eq!((whole.shut_segments(), whole.freeze().to_bytes() == state), (0, true));

    // A changed byte of what is sealed is refused, and no other reading.
    let sealed_at = state.len() - 4 - 1;
    let mut changed = state.clone();
    changed[sealed_at] ^= 1;
    let config = LedgerConfig { bodies: seal.clone(), ..ledger_config() };
    assert!(Ledger::restore(config, &changed, |_| FrameNodes::in_memory()).is_err());

    let expected = closed_by(whole, &ward);
    let keyless = restored(&state, &BodySeal::keyless([5; 16]));
    assert!(keyless.freeze().to_bytes() == state, "kept for whoever puts the key back");
    keys.destroy(&[patient()], at(ward.now)).unwrap();
    let erased = restored(&state, &seal);
    for ledger in [keyless, erased] {
        assert_eq!(ledger.shut_segments(), 1);
        assert_eq!(closed_by(ledger, &ward), expected, "the digest of what was collected");
    }
    // What the writer still has in memory is written down by nobody.
    let later = ward.ledger().freeze().to_bytes();
    assert!(!contains(&later, &readings));
    assert_eq!(closed_by(restored(&later, &seal), &ward), expected);

    // The patient comes back in the same window: one claim, of all that was collected, and what is
    // written down of it is under the new key.
    assert!(matches!(ward.frame(2), Answer::FrameStored));
    let mut back = restored(&state, &seal);
    let mut entries = ward.log.iter_from(ward.log.head().position);
    let (position, entry) = entries.next().unwrap().unwrap();
    let (in_group, time) = (entries.in_group(), entry.time);
    let place = EntryPlace { salt: in_group.salt, index: in_group.index(position), time };
    let entry = Entry::from_bytes(entry.kind.code(), &entry.body).unwrap();
    let placed = Placed { position: Position(position), time: at(time), place };
    back.absorb_stored(&entry, placed).unwrap();
    let again = restored(&back.freeze().to_bytes(), &seal);
    assert_eq!((back.shut_segments(), again.shut_segments()), (0, 0));
    let not_of_readings = [&back, &again].map(|ledger| ledger.unread().segments());
    assert_eq!(not_of_readings, [1, 1], "a journal that opens makes another hash");
    let [claim, live] = [closed_by(again, &ward), closed_by(restored(&later, &seal), &ward)];
    assert_eq!((claim.len(), live.len()), (1, 1));
    assert_ne!(claim[0].digest, live[0].digest);
}

/// The state with the one segment in it as version 1 wrote it, its last bytes in the clear.
fn as_version_1(plain: &[u8], rest_bytes: usize) -> Vec<u8> {
    // Behind the segment the empty map of requests; before its last bytes 0, the epoch, their value
    // and number, the number of parts and of bytes before.
    let rest_at = plain.len() - 4 - rest_bytes;
    let before_at = rest_at - (1 + 4 + 32 + 4 + 8 + 8);
    let parts_and_bytes = &plain[before_at + 8..before_at + 20];
    // Behind the version, two times of the journal, its term and the end of the index: nobody is
    // erased, and no hold is set, which version 1 does not say.
    let (head, body) = (&plain[1..21], &plain[21 + 8..before_at]);
    [&[1], head, body, parts_and_bytes, &plain[rest_at..]].concat()
}

#[test]
fn a_state_of_version_1_is_read_as_it_stands() {
    let mut ward = Ward::open();
    let item = ward.frame_item(1);
    let Item::Frame { frame, .. } = &item else { panic!("a frame") };
    let bytes = frame.stored().as_bytes().len();
    assert!(matches!(ward.submit(item), Answer::FrameStored));
    // As of a frame that was never sealed.
    let mut ledger = Ledger::new(ledger_config());
    for (position, time, entry) in ward.entries() {
        ledger.absorb(&entry, position, time).unwrap();
    }
    let plain = ledger.freeze().to_bytes();
    let read = restored(&as_version_1(&plain, bytes), &body_seal());
    assert_eq!(read.shut_segments(), 0);
    assert!(read.freeze().is_same_but(&ledger.freeze(), &Unread::default()), "the same state");
    let live = restored(&ward.ledger().freeze().to_bytes(), &body_seal());
    assert_eq!(closed_by(read, &ward), closed_by(live, &ward));
}

/// A segment that was cut and one that is open, both of a patient who was erased since.
#[test]
fn a_state_is_the_same_but_for_segments_whose_frames_do_not_open_any_more() {
    let Faulty { mut ward, keys, seal, .. } = faulty();
    assert!(matches!(ward.frame(1), Answer::FrameStored));
    ward.permit(2, rule(scope::practitioner(&doctor()), ClaimKind::Access));
    assert!(matches!(ward.frame(2), Answer::FrameStored));
    let state = ward.ledger().freeze().to_bytes();
    keys.destroy(&[patient()], at(ward.now)).unwrap();
    let (made, found) = (absorbed(&ward, seal.clone()).0, restored(&state, &seal));
    let unread = made.unread();
    assert_eq!((made.erased(), made.unopened(), unread.segments()), (2, 0, 2));
    assert!(made.freeze().to_bytes() != state);
    assert!(made.freeze().is_same_but(&found.freeze(), &unread));
    assert!(!made.freeze().is_same_but(&found.freeze(), &Unread::default()), "both of them");
    // Whatever else is another is told.
    ward.permit(3, rule(scope::practitioner(&doctor()), ClaimKind::Access));
    let later = absorbed(&ward, seal).0;
    assert!(!later.freeze().is_same_but(&found.freeze(), &later.unread()));
}

/// The journal was absorbed while the keys were away, which came back since: a segment that was cut
/// and one that is open.
#[test]
fn a_state_that_was_made_without_keys_says_so_when_they_are_back() {
    let Faulty { mut ward, seal, .. } = faulty();
    assert!(matches!(ward.frame(1), Answer::FrameStored));
    ward.permit(2, rule(scope::practitioner(&doctor()), ClaimKind::Access));
    assert!(matches!(ward.frame(2), Answer::FrameStored));
    let keyless = absorbed(&ward, BodySeal::keyless([5; 16])).0;
    let state = keyless.freeze().to_bytes();
    let (made, found) = (absorbed(&ward, seal.clone()).0, restored(&state, &seal));
    assert_eq!((made.unread().segments(), found.unread().segments()), (0, 2));
    assert!(found.freeze().to_bytes() == state, "the only encoding of it");
    let unread = made.unread().or(found.unread());
    assert!(made.freeze().is_same_but(&found.freeze(), &unread));
    assert!(!made.freeze().is_same_but(&found.freeze(), &made.unread()), "by their digests");
    // Of no claim, or of one twice, it is refused.
    let claim_at = state.len() - 8;
    let config = LedgerConfig { bodies: seal.clone(), ..ledger_config() };
    let read =
        |state: &[u8]| Ledger::restore(config.clone(), state, |_| FrameNodes::in_memory()).is_ok();
    let mut other = state.clone();
    other[claim_at..].copy_from_slice(&u64::MAX.to_be_bytes());
    let mut twice = [&state[..], &state[claim_at..]].concat();
    twice[claim_at - 4..claim_at].copy_from_slice(&2_u32.to_be_bytes());
    let mut none = state[..claim_at].to_vec();
    none[claim_at - 4..].copy_from_slice(&0_u32.to_be_bytes());
    assert!(read(&state) && read(&state[..claim_at - 4]));
    assert!(!read(&other) && !read(&twice) && !read(&none));
}

#[test]
fn what_version_1_held_in_the_clear_goes_under_its_patients_key_or_is_gone_with_it() {
    let Faulty { mut ward, keys, seal, .. } = faulty();
    let item = ward.frame_item(1);
    let Item::Frame { frame, .. } = &item else { panic!("a frame") };
    let stored = frame.stored().as_bytes().to_vec();
    let readings = &stored[wire::HEADER_BYTES..];
    assert!(matches!(ward.submit(item), Answer::FrameStored));
    let mut ledger = absorbed(&ward, seal.clone()).0;
    let expected = closed_by(absorbed(&ward, seal.clone()).0, &ward);
    ledger.window = ledger.window.without(&Unread::default());
    let before = as_version_1(&ledger.freeze().to_bytes(), stored.len());
    assert!(contains(&before, readings), "as version 1 wrote it");
    let after = restored(&before, &seal).freeze().to_bytes();
    assert!(!contains(&after, readings));
    assert_eq!(closed_by(restored(&after, &seal), &ward), expected);
    keys.destroy(&[patient()], at(ward.now)).unwrap();
    for state in [&before, &after] {
        let read = restored(state, &seal);
        let again = read.freeze().to_bytes();
        assert!(!contains(&again, readings));
        assert_eq!((read.shut_segments(), restored(&again, &seal).shut_segments()), (1, 1));
        assert_eq!(closed_by(read, &ward), expected, "its digest stays");
    }
}
