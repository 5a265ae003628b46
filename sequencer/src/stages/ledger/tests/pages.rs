//! Further pages of a request to read.

use super::*;

/// A permitted first page of two frames of five, and the page behind it.
fn asked(ward: &mut Ward) -> (AuthenticRequest, Page) {
    let request = ward.signed_request(patient(), 1, &practitioner_key());
    (request.clone(), asked_with(ward, request))
}

/// The page behind the first one of this request.
fn asked_with(ward: &mut Ward, request: AuthenticRequest) -> Page {
    (0..5).for_each(|_| drop(ward.next_frame()));
    let page = Page { frames_max: 2, ..Page::FIRST };
    let answer = ward.ask(request, page);
    let found = found(answer);
    assert!(found.positions.len() == 2 && found.more);
    page.behind(found.positions[1])
}

/// The frames that an answer permits.
fn found(answer: Answer) -> Found {
    match answer {
        Answer::AccessDecided { frames: Some(frames), .. } | Answer::AccessContinued { frames } => {
            frames.find().unwrap()
        }
        answer => panic!("expected a page, got {answer:?}"),
    }
}

/// A request to break the glass, for which the patient wrote a policy.
pub(super) fn emergency(ward: &mut Ward) -> AuthenticRequest {
    let policy = rule(scope::practitioner(&doctor()), ClaimKind::BreakGlass);
    let written = Action::Write { slot: RuleSlot::Policy(0), rule: policy };
    let answer = ward.operate(written, &patient_key());
    assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    let ordinary = ward.signed_request(patient(), 1, &practitioner_key());
    let reason = wire::Reason::new("unconscious on arrival").unwrap();
    let kind = AccessKind::BreakGlass { reason };
    sign_request(AccessRequest { kind, ..ordinary.signed().request().clone() }, &practitioner_key())
}

fn code(answer: &Answer) -> RejectCode {
    let Answer::Refused(refused) = answer else { panic!("expected a refusal, got {answer:?}") };
    refused.code
}

#[test]
fn all_pages_are_one_claim_and_leave_no_entry() {
    let mut ward = Ward::open();
    let (request, page) = asked(&mut ward);
    assert_eq!(count_all_pages(ward, &request, page), (1, 0));
}

#[test]
fn the_glass_is_broken_once_for_all_pages() {
    let mut ward = Ward::open();
    let request = emergency(&mut ward);
    let page = asked_with(&mut ward, request.clone());
    assert_eq!(count_all_pages(ward, &request, page), (0, 1));
}

/// Reads the pages left, which leave no entry, and gives what the proofs count: accesses, and
/// broken glass.
fn count_all_pages(mut ward: Ward, request: &AuthenticRequest, mut page: Page) -> (u32, u32) {
    // Stored behind the decision: the pages of a patient who is measured come to an end.
    ward.next_frame();
    let head = ward.log.head();
    let mut left = Vec::new();
    loop {
        let answer = ward.ask(request.clone(), page);
        assert!(matches!(answer, Answer::AccessContinued { .. }), "{answer:?}");
        let found = found(answer);
        page = page.behind(*found.positions.last().unwrap());
        left.push(found.positions.len());
        if !found.more {
            break;
        }
    }
    assert_eq!((left, ward.log.head()), (vec![2, 1], head));
    let window = ward.close();
    let plan = check_provable(&ward, &window);
    let counts = plan.claims.iter().map(|(_, inputs)| (inputs.access, inputs.break_glass));
    counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

#[test]
fn consent_that_ends_between_two_pages_ends_the_answer() {
    let mut ward = Ward::open();
    let (request, page) = asked(&mut ward);
    ward.operate(Action::Stop, &patient_key());
    let head = ward.log.head();
    let refused = ward.ask(request, page);
    assert_eq!((code(&refused), ward.log.head()), (RejectCode::NotPermitted, head));
}

#[test]
fn a_page_needs_the_window_of_its_claim_and_the_same_request() {
    let mut ward = Ward::open();
    let (request, page) = asked(&mut ward);
    // The nonce is known, and these bytes are not.
    ward.now += 1;
    let other = ward.signed_request(patient(), 1, &practitioner_key());
    assert_eq!(code(&ward.ask(other, page)), RejectCode::Validity);
    let never = ward.signed_request(patient(), 2, &practitioner_key());
    assert_eq!(code(&ward.ask(never, page)), RejectCode::Validity);
    ward.close();
    assert_eq!(code(&ward.ask(request, page)), RejectCode::Validity);
    // Another request goes on from there, and is a claim of its own.
    let anew = ward.signed_request(patient(), 3, &practitioner_key());
    let answer = ward.ask(anew, Page { continues: false, ..page });
    assert!(matches!(answer, Answer::AccessDecided { .. }), "{answer:?}");
    let found = found(answer);
    assert!(found.positions.len() == 2 && found.more && Some(found.positions[0]) > page.after);
}

#[test]
fn the_writer_looks_at_none_of_a_patients_frames_for_a_page() {
    let mut ward = Ward::open();
    // Some are in a node of the index, and some in none yet.
    (0..100).for_each(|_| drop(ward.next_frame()));
    let request = ward.signed_request(patient(), 1, &practitioner_key());
    let page = Page { order: wire::PageOrder::Newest, frames_max: 3, ..Page::FIRST };
    let answer = ward.ask(request.clone(), page);
    let nodes = ward.admission.ledger().streams.nodes().clone();
    assert!(nodes.looks().is_empty(), "before it is answered");
    let first = found(answer);
    let looked = nodes.looks();
    assert!(looked.iter().sum::<usize>() >= 36, "{looked:?}");
    // What is stored meanwhile is no part of what was asked for, also if it is newer.
    ward.next_frame();
    let next = ward.ask(request, page.behind(first.positions[2]));
    assert_eq!(nodes.looks(), looked, "nor for a further one");
    assert!(found(next).positions.iter().all(|position| *position < first.positions[2]));
}

#[test]
fn a_frame_that_came_again_is_found_where_it_is_stored_however_many_there_are() {
    let mut ward = Ward::open();
    (0..200).for_each(|_| drop(ward.next_frame()));
    for sequence in [1, 63, 64, 65, 128, 129, 200] {
        let Answer::FrameDuplicate { place, .. } = ward.frame(sequence) else {
            panic!("not stored")
        };
        let Entry::Frame(stored) = ward.entry(place.find().unwrap()) else { panic!("no frame") };
        assert_eq!(stored.frame().sequence(), Sequence(sequence));
    }
}
