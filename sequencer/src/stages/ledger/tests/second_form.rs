//! Signatures over the second form of their challenge, which no circuit takes: an enrolment and a
//! request to read. That of a patient is tried in the crates of the statements.

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use statement::babyjubjub::{self, Point, Scalar};
use statement::eddsa::{PublicKey, Signature, challenge};

use super::*;
use crate::stages::ledger::{AuthenticRequest, NotSigned};

/// A key whose secret is one: the base point itself.
fn key() -> PublicKey {
    let Point { x, y, .. } = babyjubjub::base();
    PublicKey::new(x, y).unwrap()
}

/// Which integer of 254 bits the challenge is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Itself.
    First,
    /// With the modulus added.
    Second,
}

fn sign(message: Fr, form: Form) -> Signature {
    let signed = |nonce: u64| {
        let nonce = Scalar::from(nonce);
        let r8: Point = babyjubjub::multiply(&babyjubjub::base(), &nonce).into();
        let mut h = challenge(&key(), message, &r8).into_bigint();
        if form == Form::Second {
            h.add_with_carry(&Fr::MODULUS);
        }
        let reduced = Scalar::from_le_bytes_mod_order(&h.to_bytes_le());
        (h.num_bits() <= 254).then(|| Signature { r8, s: nonce + reduced * Scalar::from(8u8) })
    };
    (1..).find_map(signed).expect("a third of the challenges has a second form")
}

/// A ward whose registrar and whose second doctor have that key.
fn ward() -> Ward {
    let registrar_key_hash = Word::from_bytes(field::to_bytes(&key().hash())).unwrap();
    let config = LedgerConfig { registrar_key_hash, ..ledger_config() };
    let ward = Ward::open();
    let (delivered, dir) = (Delivered::default(), tempfile::tempdir().unwrap());
    let medium = FileMedium::open(&dir.path().join("log")).unwrap();
    let genesis = Genesis { log_id: [5; 16], journal_hash: [6; 32] };
    let (log, _) = Log::open(medium, genesis, journal::fault::salts()).unwrap();
    let admission = LedgerAdmission::new(Ledger::new(config), delivered.clone(), 0);
    let mut ward = Ward { _dir: dir, log, admission, delivered, nonce: 0, ..ward };
    ward.register();
    ward.add(RegistryRecord::Practitioner {
        id: second_doctor(),
        organisation: hospital(),
        public_key: key().encode(),
        fingerprint: [7; 32],
        valid: Interval::ALWAYS,
    });
    ward
}

fn second_doctor() -> PractitionerId {
    PractitionerId::new("dr-one").unwrap()
}

fn enrolment(ward: &Ward, form: Form) -> wire::SignedOperation {
    let action = Action::Enrol {
        key_hash: key_hash(&patient_key()),
        view_key: Word::from_u64(11),
        salt: Word::from_u64(12),
    };
    let operation = ward.sign_for(patient(), action, &patient_key()).operation;
    let domain = scope::sig_domain(ledger_config().scope);
    let signature = sign(statement::operation::message(domain, &operation), form);
    let signed = SignedOperation { operation, signer: key(), signature };
    wire::SignedOperation::new(signed.to_bytes().to_vec()).unwrap()
}

#[test]
fn an_enrolment_over_the_second_form_is_refused_and_nowhere_journaled() {
    let mut ward = ward();
    let (second, before) = (enrolment(&ward, Form::Second), ward.log.head());
    let Answer::Refused(refusal) = ward.submit_signed(second) else { panic!("taken") };
    assert_eq!((refusal.code, refusal.position), (RejectCode::Signature, None));
    assert_eq!(ward.log.head(), before);
    // The same but for the form.
    let first = enrolment(&ward, Form::First);
    let answer = ward.submit_signed(first);
    assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
}

fn request(ward: &Ward, form: Form) -> Box<SignedAccessRequest> {
    let request = AccessRequest {
        scope: ledger_config().scope,
        patient: patient(),
        practitioner: second_doctor(),
        organisation: hospital(),
        care_team: None,
        source: Source::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::Treatment,
        labels: Labels::ALL,
        data: Interval::ALWAYS,
        requested_at: at(ward.now),
        valid_until: at(ward.now + 60_000),
        nonce: 1,
        kind: AccessKind::Access { reason: wire::Reason::new("").unwrap() },
    };
    let message = request.signing_hash().unwrap().word().to_bytes();
    let signature = sign(field::from_bytes(&message).unwrap(), form);
    Box::new(SignedAccessRequest::new(request, key().encode(), signature.encode()).unwrap())
}

#[test]
fn a_request_over_the_second_form_is_no_item_for_the_ledger() {
    let mut ward = ward();
    let second = AuthenticRequest::verify(request(&ward, Form::Second));
    assert_eq!(second, Err(NotSigned));
    // The same but for the form is decided: nobody is enrolled, so no rule covers it.
    let first = AuthenticRequest::verify(request(&ward, Form::First)).unwrap();
    let answer = ward.submit(Item::Access {
        practitioner: second_doctor(),
        request: first,
        page: wire::Page::FIRST,
    });
    assert!(matches!(answer, Answer::AccessDecided { decision: Err(_), .. }), "{answer:?}");
}
