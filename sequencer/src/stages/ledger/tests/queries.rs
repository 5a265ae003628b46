//! What systems ask is answered by the rules, stands in the journal, and reaches its patient; and
//! nothing is claimed by it.

use model::{BatchNumber, Claim, Digest, Label};
use wire::{Decision, QueryEntry};

use super::*;
use crate::stages::ledger::decide::ENTRIES_SLACK;

impl Ward {
    pub(super) fn query(&mut self, organisation: &OrganisationId, kind: ClaimKind) -> Answer {
        let organisation = organisation.clone();
        let claim = self.asked(kind);
        self.submit(Item::Query(Box::new(Query { organisation, claim })))
    }

    fn asked(&self, kind: ClaimKind) -> Claim {
        Claim {
            patient: patient(),
            kind,
            individual: scope::practitioner(&doctor()),
            organisation: scope::organisation(&hospital()),
            care_team: Word::ZERO,
            source: Party::Any,
            categories: Category::Ecg.only(),
            purpose: Purpose::Treatment,
            labels: Label::Normal.only(),
            // The entry's place and time count, and not what is asked for.
            receipt: Interval::instant(at(1)),
            measured: Interval::instant(at(self.now)),
            position: Position(0),
            digest: Digest([5; 31]),
        }
    }
}

#[test]
fn a_question_is_answered_journaled_and_told_to_its_patient_and_claims_nothing() {
    let mut ward = Ward::open();
    ward.close();
    let Answer::QueryDecided { position, time, decision } =
        ward.query(&hospital(), ClaimKind::Access)
    else {
        panic!("expected an answer")
    };
    assert_eq!(decision, Ok(RuleSlot::Permit(1)));
    let Entry::Query(QueryEntry { organisation, claim, answer }) = ward.entry(position) else {
        panic!("expected a query in the journal")
    };
    assert_eq!((organisation, claim.position), (hospital(), position));
    assert_eq!(claim.receipt, Interval::instant(time));
    assert_eq!(answer, Decision::Permitted { slot: RuleSlot::Permit(1) });
    // No policy lets anybody break the glass.
    let refused = ward.query(&hospital(), ClaimKind::BreakGlass);
    let told = matches!(refused, Answer::QueryDecided { decision: Err(_), .. });
    assert!(told, "{refused:?}");
    // Alone they are no reason to settle, and of no claim.
    assert!(ward.ledger().window.is_empty());
    let window = ward.close();
    assert!(window.contents.claims.is_empty() && window.contents.segments.is_empty());
    let told = &window.contents.refused[&patient()];
    let told: Vec<_> =
        told.iter().map(|one| (one.requester.is_question(), one.uncovered)).collect();
    assert_eq!(told, [(true, None), (true, Some(Uncovered::ActorNotNamed))]);
    check_provable(&ward, &window);
}

#[test]
fn whoever_is_not_registered_is_told_nothing_and_leaves_no_entry() {
    let mut ward = Ward::open();
    let entries = ward.entries().len();
    let stranger = OrganisationId::new("stranger").unwrap();
    let answer = ward.query(&stranger, ClaimKind::Access);
    let Answer::Refused(refusal) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.code, RejectCode::Identity);
    assert_eq!(ward.entries().len(), entries);
}

#[test]
fn a_question_about_somebody_for_another_organisation_than_their_own_has_no_answer() {
    let mut ward = Ward::open();
    let entries = ward.entries().len();
    for individual in [scope::practitioner(&doctor()), scope::device(&device())] {
        let other = scope::organisation(&OrganisationId::new("other").unwrap());
        let claim = Claim { individual, organisation: other, ..ward.asked(ClaimKind::Access) };
        let query = Query { organisation: hospital(), claim };
        let answer = ward.submit(Item::Query(Box::new(query)));
        let Answer::Refused(refusal) = answer else { panic!("{answer:?}") };
        assert_eq!(refusal.code, RejectCode::Malformed);
    }
    assert_eq!(ward.entries().len(), entries, "nothing was told, so there is nothing to show");
}

#[test]
fn a_window_closes_before_questions_about_many_make_its_private_file_too_long_to_be_read() {
    let mut ward = Ward::open();
    ward.query(&hospital(), ClaimKind::Access);
    let window = ward.close();
    let one = &window.contents.refused[&patient()][0];
    let mut ledger = Ledger::new(ledger_config());
    let closes = |ledger: &Ledger| ledger.must_close_before(at(T0 + 1000), Position(1), 0);
    let mut asked_about = 0;
    while !closes(&ledger) {
        ledger.window.take_refused(PatientIndex::new(asked_about).unwrap(), one.clone());
        asked_about += 1;
    }
    assert_eq!(asked_about, 5_304);
    // What an item and its close may add behind that still has room.
    let slack = ENTRIES_SLACK as usize * limits::CLAIM_OPENING_BYTES;
    assert!(limits::WINDOW_PRIVATE_BYTES_MAX + slack < limits::BATCH_FILE_BYTES_MAX);
    let t1 = at(T0 + 1000);
    ledger.absorb(&Entry::Close { batch: BatchNumber(1), t1 }, Position(1), t1).unwrap();
    assert!(!closes(&ledger), "the next one begins empty");
}

#[test]
fn a_flood_of_questions_hides_no_refusal() {
    let mut ward = Ward::open();
    ward.close();
    for _ in 0..1_010 {
        ward.query(&hospital(), ClaimKind::Access);
    }
    ward.operate(Action::Stop, &patient_key());
    ward.request(1, &practitioner_key());
    let window = ward.close();
    let told = &window.contents.refused[&patient()];
    let (asked, refused): (Vec<_>, Vec<_>) =
        told.iter().partition(|one| one.requester.is_question());
    assert_eq!((asked.len(), refused.len()), (1_000, 1));
    assert_eq!(asked.iter().map(|one| one.count).sum::<u32>(), 1_010);
    assert_eq!((refused[0].uncovered, refused[0].count), (Some(Uncovered::Closed), 1));
}
