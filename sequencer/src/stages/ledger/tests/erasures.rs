//! Readings are erased at the patient's own request, behind their stop, and where nothing holds
//! them.

use wire::{ErasureRequest, HoldChange, HoldEntry, Reason, SignedErasure};

use super::*;

const VALID_MS: u64 = 60_000;

impl Ward {
    fn stopped() -> Ward {
        let mut ward = Ward::open();
        assert!(matches!(ward.next_frame(), Answer::FrameStored));
        ward.request(1, &practitioner_key());
        let answer = ward.operate(Action::Stop, &patient_key());
        assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
        ward
    }

    pub(super) fn erasure_request(&self) -> ErasureRequest {
        ErasureRequest {
            scope: ledger_config().scope,
            patient: patient(),
            nonce: self.nonce,
            requested_at: at(self.now),
            valid_until: at(self.now + VALID_MS),
        }
    }

    pub(super) fn erase(&mut self, signed: SignedErasure) -> Answer {
        self.submit(Item::Erase(Box::new(signed)))
    }

    pub(super) fn hold(&mut self, change: HoldChange) -> Answer {
        let words = |text: &str| Reason::new(text).unwrap();
        let (reason, who) = (words("a claim is pending"), words("anna (user 1000)"));
        self.submit(Item::Hold(Box::new(HoldEntry { patient: patient(), change, reason, who })))
    }

    /// The state made again from the journal alone.
    fn again(&self) -> Ledger {
        let mut ledger = Ledger::new(ledger_config());
        for (position, time, entry) in self.entries() {
            ledger.absorb(&entry, position, time).unwrap();
        }
        ledger
    }
}

pub(super) fn sign_erasure(request: ErasureRequest, key: &SecretKey) -> SignedErasure {
    let message = field::from_word(&request.signing_hash().unwrap().word());
    let signature = eddsa::sign(key, message).encode();
    SignedErasure { request, public_key: key.public().encode(), signature }
}

#[track_caller]
fn refused(answer: Answer, code: RejectCode, words: &str) {
    let Answer::Refused(refusal) = answer else { panic!("{answer:?}") };
    assert!(refusal.detail.contains(words), "{}", refusal.detail);
    assert_eq!((refusal.code, refusal.position), (code, None));
}

#[test]
fn a_request_erases_behind_the_stop_once_with_a_receipt_for_its_key() {
    let mut ward = Ward::stopped();
    let signed = sign_erasure(ward.erasure_request(), &patient_key());
    let answer = ward.erase(signed);
    let Answer::Erased(tombstone) = answer else { panic!("{answer:?}") };
    assert_eq!(tombstone.digest, signed.digest().unwrap());
    assert_eq!(tombstone.requester, Holder::signer(&key_hash(&patient_key())));
    let receipts = ward.delivered.0.lock().unwrap().0.clone();
    let receipt = receipts.iter().find(|one| one.holder == tombstone.requester).unwrap();
    let item = &receipt.items().operations[0];
    assert_eq!((item.position, item.digest), (tombstone.position, tombstone.digest));
    let Entry::Erasure(entry) = ward.entry(tombstone.position) else { panic!("a tombstone") };
    assert_eq!(entry.request, signed);

    refused(ward.erase(signed), RejectCode::Operation, "found one erased at");
    // What comes later of the patient is refused as before: the record covers nothing any more.
    let Answer::Refused(frame) = ward.next_frame() else { panic!("a frame of who is erased") };
    assert_eq!(frame.code, RejectCode::NotPermitted);
    assert!(frame.detail.contains("stopped"), "{}", frame.detail);
    let again = sign_erasure(ward.erasure_request(), &patient_key());
    refused(ward.erase(again), RejectCode::Operation, "found one erased at");
    assert_eq!(ward.admission.view().erasures().erased().count(), 1);
    assert_eq!(ward.again().erasures(), ward.ledger().erasures());
}

#[test]
fn nothing_is_erased_that_its_patient_did_not_ask_for_behind_their_stop() {
    let mut open = Ward::open();
    let early = sign_erasure(open.erasure_request(), &patient_key());
    refused(open.erase(early), RejectCode::Operation, "comes first");
    open.operate(Action::Stop, &patient_key());
    // Signed before the stop, it was about another record.
    refused(open.erase(early), RejectCode::Signature, "found another number of operations");

    let mut ward = Ward::stopped();
    let request = ward.erasure_request();
    let other = PatientIndex::new(99).unwrap();
    let other_chain = ChainScope { chain_id: 9, ..request.scope };
    for (request, key, part) in [
        (request, practitioner_key(), "key"),
        (ErasureRequest { scope: other_chain, ..request }, patient_key(), "deployment"),
        (ErasureRequest { nonce: request.nonce + 1, ..request }, patient_key(), "number"),
    ] {
        refused(ward.erase(sign_erasure(request, &key)), RejectCode::Signature, part);
    }
    let nobodys = sign_erasure(ErasureRequest { patient: other, ..request }, &patient_key());
    refused(ward.erase(nobodys), RejectCode::Identity, "enrolled");
    let signed = sign_erasure(request, &patient_key());
    let later = ErasureRequest { valid_until: request.valid_until.plus(1), ..request };
    let forged = SignedErasure { request: later, ..signed };
    refused(ward.erase(forged), RejectCode::Signature, "signature");
    ward.now += VALID_MS;
    refused(ward.erase(signed), RejectCode::Validity, "valid now");
    assert_eq!(ward.ledger().erasures().erased().count(), 0);
}

#[test]
fn a_legal_hold_keeps_readings_until_it_is_cleared() {
    let mut ward = Ward::stopped();
    refused(ward.hold(HoldChange::Clear), RejectCode::Operation, "found none");
    let set = ward.hold(HoldChange::Set);
    let Answer::HoldChanged { position } = set else { panic!("{set:?}") };
    let Entry::Hold(entry) = ward.entry(position) else { panic!("a hold") };
    assert_eq!(
        (entry.reason.as_str(), entry.who.as_str()),
        ("a claim is pending", "anna (user 1000)")
    );
    refused(ward.hold(HoldChange::Set), RejectCode::Operation, "legal hold");
    let signed = sign_erasure(ward.erasure_request(), &patient_key());
    refused(ward.erase(signed), RejectCode::Operation, "no legal hold");
    // Over a start.
    assert!(ward.again().erasures().hold(patient()).is_some());
    assert!(matches!(ward.hold(HoldChange::Clear), Answer::HoldChanged { .. }));
    assert!(matches!(ward.erase(signed), Answer::Erased(_)));
    refused(ward.hold(HoldChange::Set), RejectCode::Operation, "found one erased at");
}

/// Keys are destroyed because an entry says so: one that no patient signed is no entry.
#[test]
fn a_journal_with_a_tombstone_that_nobody_signed_is_refused() {
    let mut ward = Ward::stopped();
    let signed = sign_erasure(ward.erasure_request(), &patient_key());
    let Answer::Erased(tombstone) = ward.erase(signed) else { panic!("erased") };
    let mut ledger = Ledger::new(ledger_config());
    for (position, time, entry) in ward.entries() {
        if position != tombstone.position {
            ledger.absorb(&entry, position, time).unwrap();
            continue;
        }
        let Entry::Erasure(mut forged) = entry else { panic!("a tombstone") };
        forged.request.signature[40] ^= 1;
        let broken = ledger.absorb(&Entry::Erasure(forged), position, time).unwrap_err();
        assert!(broken.to_string().contains("signature"), "{broken}");
        return;
    }
    panic!("the tombstone is among the entries");
}

#[test]
fn a_state_knows_who_is_erased_and_who_is_held() {
    let mut ward = Ward::stopped();
    ward.hold(HoldChange::Set);
    let read = |ledger: &Ledger| {
        let state = ledger.freeze().to_bytes();
        let nodes = |_| FrameNodes::in_memory();
        let restored = Ledger::restore(ledger_config(), &state, nodes).unwrap();
        assert!(restored.freeze().to_bytes() == state);
        restored.erasures().clone()
    };
    assert_eq!(&read(ward.ledger()), ward.ledger().erasures());
    ward.hold(HoldChange::Clear);
    let signed = sign_erasure(ward.erasure_request(), &patient_key());
    assert!(matches!(ward.erase(signed), Answer::Erased(_)));
    assert_eq!(&read(ward.ledger()), ward.ledger().erasures());
}
