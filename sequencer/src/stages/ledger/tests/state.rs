//! The state written down at any entry and read again, against the one that never was.

use std::io;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wire::{GapEntry, HoldChange, JournalPlace, PageOrder, Reason};

use super::erasures::sign_erasure;
use super::*;
use crate::window::WindowContents;

/// An entry of the journal.
type Absorbed = (Position, Millis, Entry);

/// The index of stored frames in a file that several ledgers write: each the same bytes to the same
/// places.
#[derive(Default)]
struct SharedFile(Mutex<Vec<u8>>);

impl IndexFile for SharedFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let all = self.0.lock().unwrap();
        let found = all.get(offset as usize..offset as usize + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut all, offset) = (self.0.lock().unwrap(), offset as usize);
        let end = offset + bytes.len();
        if all.len() < end {
            all.resize(end, 0xee);
        }
        let place = &mut all[offset..end];
        assert!(place.iter().all(|byte| *byte == 0xee) || *place == *bytes, "other bytes");
        place.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that a journal may hold: what is refused, counted, revoked and ended too.
fn story() -> Vec<Absorbed> {
    let mut ward = Ward::open();
    let other = PatientIndex::new(77).unwrap();
    ward.open_epoch(0);
    (0..70).for_each(|_| drop(ward.next_frame()));
    ward.open_epoch(9);
    ward.request(1, &practitioner_key());
    ward.request_of(other, 2, &practitioner_key());
    ward.close();
    let nurse = PractitionerId::new("nurse").unwrap();
    ward.permit(2, rule(scope::practitioner(&nurse), ClaimKind::Access));
    ward.permit(3, rule(scope::practitioner(&doctor()), ClaimKind::Access));
    (0..64).for_each(|_| drop(ward.next_frame()));
    ward.request(3, &practitioner_key());
    let (slot, collects) = (RuleSlot::Permit(0), ward.on_record(RuleSlot::Permit(0)));
    ward.operate(Action::Revoke { slot, rule: collects }, &patient_key());
    // Refused, and halted; refused again and counted.
    (0..3).for_each(|_| drop(ward.frame(ward.sequence + 1)));
    ward.submit(Item::CountRefusals);
    ward.permit(4, collect_rule());
    ward.open_epoch(0);
    (0..9).for_each(|_| drop(ward.next_frame()));
    let wallet = RegistryRecord::Wallet {
        id: model::WalletId::new("wallet").unwrap(),
        fingerprint: [3; 32],
        valid: Interval::ALWAYS,
    };
    ward.add(wallet);
    let key = RegistryKey::Practitioner(doctor());
    let ended_at = at(ward.now);
    ward.submit(Item::Registry(RegistryChange::End { key, at: ended_at }));
    ward.close();
    ward.next_frame();
    ward.operate(Action::Stop, &patient_key());
    ward.next_frame();
    ward.hold(HoldChange::Set);
    ward.close();
    ward.hold(HoldChange::Clear);
    ward.query(&hospital(), ClaimKind::Access);
    let erase = sign_erasure(ward.erasure_request(), &patient_key());
    assert!(matches!(ward.erase(erase), Answer::Erased(_)));
    ward.close();
    let mut entries: Vec<Absorbed> = ward.entries();
    with_a_loss(&mut entries);
    entries
}

/// A loss in the middle: positions behind it jump.
fn with_a_loss(entries: &mut Vec<Absorbed>) {
    let (place, jump) = (entries.len() / 2, 5_000);
    entries[place..].iter_mut().for_each(|(position, ..)| position.0 += jump);
    let (before, time, _) = entries[place - 1].clone();
    let at = |number| JournalPlace { group: number, position: number };
    let (lost, known, reason) = (at(before.0 + 1), at(before.0 + 9), Reason::new("disk").unwrap());
    let gap = Entry::Gap(GapEntry { term: 1, lost, known, reason });
    entries.insert(place, (Position(before.0 + jump), time, gap));
}

fn absorb(ledger: &mut Ledger, entries: &[Absorbed]) -> Vec<WindowContents> {
    let closed = entries.iter().map(|(position, time, entry)| {
        ledger.absorb(entry, *position, *time).expect("a journal that was written")
    });
    closed.flatten().collect()
}

/// Every field of a window.
fn check_same(one: &WindowContents, two: &WindowContents) {
    let fields = |window: &WindowContents| {
        let WindowContents { number, window: span, root_in, root_out, cap, .. } = window;
        let records = window.patients.iter();
        let records: Vec<_> = records
            .map(|(patient, state)| (*patient, state.record.to_bytes(), state.path))
            .collect();
        let applied = window.operations.iter();
        let operations: Vec<_> = applied
            .map(|it| (it.signed.clone(), it.t_op, it.old.clone(), it.path, it.root_out))
            .collect();
        let lists = (window.claims.clone(), window.segments.clone(), window.requests.clone());
        let refused = window.refused.clone();
        let positions = (window.position_in, window.position_out);
        (
            *number,
            *span,
            (*root_in, *root_out, cap.clone()),
            records,
            operations,
            (lists, refused, positions),
        )
    };
    assert!(fields(one) == fields(two), "window {} differs", one.number.0);
}

/// What a reader of the patient's frames, and a frame that came again, are told.
fn answers(ledger: &Ledger) -> Vec<u64> {
    let mut told = Vec::new();
    for order in [PageOrder::Stored, PageOrder::Newest] {
        let asked = frames::FramesAsked {
            frames: ledger.streams.of_patient(patient()),
            nodes: ledger.streams.nodes().clone(),
            categories: Category::Ecg.only(),
            data: Interval::ALWAYS,
            source: None,
            order,
            after: None,
            before: Position(u64::MAX),
            frames_max: 150,
        };
        let found = asked.find().unwrap();
        told.extend(found.positions.iter().map(|position| position.0));
        told.extend([u64::from(found.more), found.partly]);
    }
    let stream = stream_key().name(EpochNumber(0));
    for sequence in 1..150 {
        told.push(match ledger.streams.place(&gateway(), &stream, Sequence(sequence)) {
            streams::Place::Stored(place) => place.find().unwrap().0,
            streams::Place::Next => 0,
            streams::Place::Halted { .. } => u64::MAX,
            streams::Place::Beyond { next } => u64::MAX - next.0,
        });
    }
    told
}

#[test]
fn a_state_written_down_at_any_entry_goes_on_as_the_one_that_never_was() {
    let (entries, file) = (story(), Arc::new(SharedFile::default()));
    let kinds: std::collections::BTreeSet<u8> =
        entries.iter().map(|(.., entry)| entry.kind_code()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>(), "all kinds");
    let nodes = |end: u64| FrameNodes::in_file(file.clone(), end);
    let mut whole = Ledger::indexed(ledger_config(), nodes(0));
    let windows = absorb(&mut whole, &entries);
    let (expected, told) = (whole.freeze().to_bytes(), answers(&whole));
    let closes = entries.iter().filter(|(.., entry)| matches!(entry, Entry::Close { .. })).count();
    assert_eq!(windows.len(), closes);

    let mut original = Ledger::indexed(ledger_config(), nodes(0));
    let mut closed = 0;
    for at in 0..=entries.len() {
        let state = original.freeze();
        original.streams.nodes().write_waiting().unwrap();
        let bytes = state.to_bytes();
        let mut twin = Ledger::restore(ledger_config(), &bytes, nodes).unwrap();
        assert!(twin.freeze().to_bytes() == bytes, "entry {at}: another state was read");
        assert_eq!(twin.consent().root(), original.consent().root());
        let rest = absorb(&mut twin, &entries[at..]);
        rest.iter().zip(&windows[closed..]).for_each(|(one, two)| check_same(one, two));
        assert_eq!(rest.len(), windows.len() - closed, "entry {at}");
        assert!(twin.freeze().to_bytes() == expected, "entry {at}: another end");
        assert_eq!(answers(&twin), told, "entry {at}");
        closed += absorb(&mut original, &entries[at..entries.len().min(at + 1)]).len();
    }
}

#[test]
fn whatever_a_byte_is_changed_to_a_state_is_refused_or_says_what_it_says() {
    let (entries, mut random) = (story(), StdRng::seed_from_u64(17));
    let nodes = |end: u64| FrameNodes::in_file(Arc::new(SharedFile::default()), end);
    for count in [entries.len() - 3, entries.len() / 2 + 20] {
        let mut ledger = Ledger::new(ledger_config());
        absorb(&mut ledger, &entries[..count]);
        let bytes = ledger.freeze().to_bytes();
        let read = |bytes: &[u8]| Ledger::restore(ledger_config(), bytes, nodes);
        let mut refused = 0;
        for _ in 0..3_000 {
            let mut changed = bytes.clone();
            let at = random.gen_range(0..bytes.len());
            changed[at] = random.r#gen();
            match read(&changed) {
                Ok(other) => {
                    assert!(other.freeze().to_bytes() == changed, "byte {at} has two meanings")
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 100, "{refused}");
        for _ in 0..300 {
            let cut = random.gen_range(0..bytes.len());
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read(&[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn a_frozen_state_stays_as_it_was_while_the_ledger_goes_on() {
    let entries = story();
    let mut ledger = Ledger::new(ledger_config());
    absorb(&mut ledger, &entries[..entries.len() / 2]);
    let (frozen, bytes) = (ledger.freeze(), ledger.freeze().to_bytes());
    absorb(&mut ledger, &entries[entries.len() / 2..]);
    assert!(frozen.to_bytes() == bytes);
    assert!(ledger.freeze().to_bytes() != bytes);
}
