//! Signed operations without a connection: whoever signed is heard, and nobody else learns a thing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{Action, ChainScope, Clock as _, ManualClock, PatientIndex, Word};
use statement::eddsa::{self, SecretKey};
use statement::field;
use wire::{ErasureRequest, Holder, Role, SignedErasure, SignedOperation, SignedReceipt};

use super::floods::submit;
use super::support::{
    Node, chain_scope, junk, key_hash, now, patient, patient_key, practitioner_key, registrar, sign,
};
use crate::folder::erasure_requests::ErasureRequests;
use crate::stages::ingest::erasures::keep;
use crate::stages::ingest::{
    Asked, DoorError, DoorParts, ErasureDoorError, ErasureStands, Examined, IngestConfig,
    OperationDoor, RateConfig, Stored, TakenErasure,
};
use crate::stages::ledger::{Answer, Item, NotErased};

const WAIT: Duration = Duration::from_secs(60);
const DAY: u64 = 24 * 3_600_000;

fn home() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

/// A node on whose clock no time passes, so that no bucket fills again.
async fn start() -> (Node, OperationDoor) {
    let clock = ManualClock::fixed(now());
    let node = Node::start_at(IngestConfig::default(), Arc::new(()), clock).await;
    let door = OperationDoor::new(parts(&node), &RateConfig::default());
    (node, door)
}

const AHEAD_MS: u64 = 60_000;

fn parts(node: &Node) -> DoorParts {
    DoorParts {
        scope: chain_scope(),
        requests: kept(node),
        admit: node.admit.clone(),
        view: node.view.clone(),
        hub: node.hub.clone(),
        clock: Arc::clone(&node.clock) as _,
        ahead_ms_max: AHEAD_MS,
        observe: Arc::new(()),
    }
}

/// The requests to erase that are on the disk.
fn kept(node: &Node) -> ErasureRequests {
    ErasureRequests::open(&node.folder().join("erasures.waiting")).unwrap()
}

async fn hand_in(
    door: &OperationDoor,
    from: IpAddr,
    operation: &SignedOperation,
) -> Result<Stored, DoorError> {
    match door.examine(door.read(from, operation.as_bytes().clone())?).await? {
        Asked::New(examined) => door.submit(examined, WAIT).await,
        Asked::Stored(stored) => Ok(stored),
    }
}

/// Examined, and not known to have taken effect.
async fn new(door: &OperationDoor, operation: &SignedOperation) -> Examined {
    let arrived = door.read(home(), operation.as_bytes().clone()).unwrap();
    let Ok(Asked::New(examined)) = door.examine(arrived).await else { panic!("it is new") };
    examined
}

/// What a stranger is told of it.
async fn told(door: &OperationDoor, operation: &SignedOperation) -> String {
    hand_in(door, home(), operation).await.expect_err("expected a refusal").to_string()
}

fn check(node: &Node, receipt: &SignedReceipt, operation: &SignedOperation) {
    receipt.verify(node.hub.signer()).unwrap();
    assert_eq!(receipt.receipt.holder, Holder::signer(&key_hash(&patient_key())));
    let digests: Vec<_> =
        receipt.receipt.items().operations.iter().map(|item| item.digest).collect();
    assert_eq!(digests, [operation.digest()]);
}

#[tokio::test]
async fn who_signed_gets_a_receipt_and_the_same_again() {
    let (mut node, door) = start().await;
    let stop = node.sign(Action::Stop);
    let stored = hand_in(&door, home(), &stop).await.unwrap();
    let receipt = door.receipt(stored).await.unwrap();
    check(&node, &receipt, &stop);
    // Whoever did not hear the answer: from anywhere, and nothing is journaled again.
    let head = node.journal.head();
    let elsewhere = "2001:db8::1".parse().unwrap();
    let again = hand_in(&door, elsewhere, &stop).await.unwrap();
    assert_eq!((again, node.journal.head()), (stored, head));
    assert_eq!(door.receipt(again).await.unwrap().to_bytes(), receipt.to_bytes());
}

#[tokio::test]
async fn what_nobody_waited_for_has_its_receipt_later() {
    let (mut node, door) = start().await;
    let stop = node.sign(Action::Stop);
    let held = node.hold_writer();
    let examined = new(&door, &stop).await;
    let late = door.submit(examined, Duration::ZERO).await.unwrap_err();
    assert!(matches!(late, DoorError::Unacknowledged { .. }), "{late}");
    // Looked at while the first still waits, and submitted behind it: both come to the same.
    let twice = new(&door, &stop).await;
    drop(held);
    while node.view.applied(&stop.digest()).is_none() {
        tokio::task::yield_now().await;
    }
    let stored = door.submit(twice, WAIT).await.unwrap();
    check(&node, &door.receipt(stored).await.unwrap(), &stop);
    assert_eq!(hand_in(&door, home(), &stop).await.unwrap(), stored);
}

#[tokio::test]
async fn a_stranger_hears_one_answer_whatever_is_wrong() {
    let (mut node, door) = start().await;
    let stop = node.sign(Action::Stop);
    hand_in(&door, home(), &stop).await.unwrap();
    let head = node.journal.head();
    let nobody = PatientIndex::new(4_000).unwrap();
    let wrong = [
        ("no record", sign(nobody, 0, Action::Stop, &patient_key())),
        ("another key", junk(7)),
        ("a nonce that was used", sign(patient(), 0, Action::Stop, &patient_key())),
    ];
    let one = told(&door, &wrong[0].1).await;
    for (why, operation) in &wrong {
        assert_eq!(told(&door, operation).await, one, "{why}");
    }
    assert_eq!(one, DoorError::NotTaken.to_string());
    assert_eq!(node.journal.head(), head, "nothing of it is journaled");
    // Whoever has the key is told more: a stop that is signed well, twice ahead of the next nonce.
    node.sign(Action::Stop);
    let ahead = node.sign(Action::Stop);
    let refused = hand_in(&door, home(), &ahead).await.unwrap_err();
    assert!(matches!(refused, DoorError::Refused { .. }), "{refused}");
}

#[tokio::test]
async fn junk_of_a_network_keeps_no_stop_of_it_out() {
    let (mut node, door) = start().await;
    let head = node.journal.head();
    let permit = node.sign_permit(2);
    let (mut looked_at, most) = (0, RateConfig::default().operations_burst);
    // More than the network has looks of its ordinary operations, and of no operation at all.
    for nonce in 0..3 * most {
        match hand_in(&door, home(), &permit.forged(nonce)).await {
            Err(DoorError::NotTaken) => looked_at += 1,
            Err(DoorError::TooOften) => {}
            other => panic!("expected a refusal, found {other:?}"),
        }
        let bytes = [vec![7], vec![7; 262], vec![7; 1024]][nonce as usize % 3].clone();
        let junk = door.read(home(), bytes.into()).unwrap_err();
        assert!(!matches!(junk, DoorError::TooOften), "charged to nobody");
    }
    assert_eq!(looked_at, most);
    assert_eq!(node.journal.head(), head);
    let ordinary = permit.signed();
    assert!(matches!(hand_in(&door, home(), &ordinary).await, Err(DoorError::TooOften)));
    node.take_back();
    let stop = node.sign(Action::Stop);
    hand_in(&door, home(), &stop).await.unwrap();
    door.set_rates(&RateConfig::default());
    assert!(hand_in(&door, home(), &stop).await.is_ok(), "every bucket is full again");
}

#[tokio::test]
async fn forged_stops_of_one_network_keep_no_stop_of_another_out() {
    let (mut node, door) = start().await;
    let forged = sign(patient(), 77, Action::Stop, &practitioner_key());
    let most = RateConfig::default().operations_burst;
    for _ in 0..3 * most {
        assert!(hand_in(&door, home(), &forged).await.is_err());
    }
    let again = hand_in(&door, home(), &forged).await.unwrap_err();
    assert!(matches!(again, DoorError::TooOften), "{again}");
    let (stop, elsewhere) = (node.sign(Action::Stop), "192.0.2.2".parse().unwrap());
    assert!(hand_in(&door, elsewhere, &stop).await.is_ok());
}

#[tokio::test]
async fn an_enrolment_does_not_come_this_way() {
    let (_node, door) = start().await;
    let enrol = Action::Enrol {
        key_hash: key_hash(&patient_key()),
        view_key: Word::from_u64(11),
        salt: Word::from_u64(12),
    };
    let enrolment = sign(PatientIndex::new(9).unwrap(), 0, enrol, &registrar());
    let refused = hand_in(&door, home(), &enrolment).await.unwrap_err();
    assert!(matches!(refused, DoorError::Enrolment), "{refused}");
}

#[tokio::test]
async fn what_came_over_a_connection_is_not_shown_to_who_has_its_bytes() {
    let (mut node, door) = start().await;
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    let stop = node.sign(Action::Stop);
    assert_eq!(submit(&mut wallet, stop.clone()).await, Ok(()));
    let found = hand_in(&door, home(), &stop).await.unwrap_err();
    assert!(matches!(found, DoorError::NotTaken), "{found}");
}

#[tokio::test]
async fn a_door_of_a_held_or_failed_node_takes_nothing() {
    let (mut node, door) = start().await;
    let stop = node.sign(Action::Stop);
    node.break_writer();
    // With it in hand: nobody can say that it is not stored.
    let failed = hand_in(&door, home(), &stop).await.unwrap_err();
    assert!(matches!(failed, DoorError::Unacknowledged { .. }), "{failed}");
    let after = hand_in(&door, home(), &stop).await.unwrap_err();
    assert!(matches!(after, DoorError::Admit(_)), "{after}");
}

/// Asked for by the patient behind so many operations, as the wallet signs it, now by the node's
/// clock, which stands still.
fn erasure(
    node: &Node,
    nonce: u32,
    change: fn(&mut ErasureRequest),
    key: &SecretKey,
) -> SignedErasure {
    let requested_at = node.clock.now();
    let mut request = ErasureRequest {
        scope: chain_scope(),
        patient: patient(),
        nonce,
        requested_at,
        valid_until: requested_at.plus(1000),
    };
    change(&mut request);
    let message = field::from_word(&request.signing_hash().unwrap().word());
    let signature = eddsa::sign(key, message).encode();
    SignedErasure { request, public_key: key.public().encode(), signature }
}

async fn ask(
    door: &OperationDoor,
    signed: &SignedErasure,
) -> Result<TakenErasure, ErasureDoorError> {
    door.take_erasure(home(), signed.to_bytes().unwrap().into()).await
}

#[tokio::test]
async fn a_request_to_erase_is_kept_once_and_a_stranger_hears_one_answer() {
    let (mut node, door) = start().await;
    let nonce = || door.view().owner(patient()).expect("a record").nonce;
    let before = nonce();
    let elsewhere = |request: &mut ErasureRequest| {
        request.scope = ChainScope { chain_id: 1, contract: [9; 20] };
    };
    let nobody = |it: &mut ErasureRequest| it.patient = PatientIndex::new(4_000).unwrap();
    let wrong = [
        ("another key", erasure(&node, before, |_| (), &practitioner_key())),
        ("another deployment", erasure(&node, before, elsewhere, &patient_key())),
        ("no record", erasure(&node, before, nobody, &patient_key())),
    ];
    for (why, signed) in &wrong {
        let found = ask(&door, signed).await;
        assert!(matches!(found, Err(ErasureDoorError::NotTaken)), "{why}: {found:?}");
    }
    // Of a record that is open, whoever has the key is told what is missing.
    let open = ask(&door, &erasure(&node, before, |_| (), &patient_key())).await;
    assert!(matches!(open, Err(ErasureDoorError::Refused(NotErased::NotStopped))), "{open:?}");
    hand_in(&door, home(), &node.sign(Action::Stop)).await.unwrap();
    let early = ask(&door, &erasure(&node, before, |_| (), &patient_key())).await;
    let early = early.expect_err("signed before the stop");
    assert!(matches!(early, ErasureDoorError::Refused(NotErased::NotTheirs { .. })), "{early}");
    let own = erasure(&node, nonce(), |_| (), &patient_key());
    let head = node.journal.head();
    for _ in 0..2 {
        let taken = ask(&door, &own).await.unwrap();
        assert!(matches!(taken.stands, ErasureStands::Waiting), "{taken:?}");
    }
    assert_eq!(
        kept(&node).waiting(own.request.requested_at),
        [own],
        "durable before it was answered"
    );
    assert_eq!(node.journal.head(), head, "and carried out by nobody");
    let malformed = door.take_erasure(home(), bytes::Bytes::from_static(&[7; 149])).await;
    assert!(matches!(malformed, Err(ErasureDoorError::Malformed(_))), "{malformed:?}");
}

/// Moves what is signed on by so much.
fn ahead(request: &mut ErasureRequest, ms: u64) {
    request.requested_at = request.requested_at.plus(ms);
    request.valid_until = request.valid_until.plus(ms);
}

#[tokio::test]
async fn a_request_to_erase_of_a_time_to_come_is_not_kept_in_place_of_one_that_is_valid() {
    let (mut node, door) = start().await;
    hand_in(&door, home(), &node.sign(Action::Stop)).await.unwrap();
    let nonce = door.view().owner(patient()).expect("a record").nonce;
    let own = erasure(&node, nonce, |request| ahead(request, AHEAD_MS), &patient_key());
    ask(&door, &own).await.unwrap();
    let later = erasure(&node, nonce, |request| ahead(request, AHEAD_MS + 1), &patient_key());
    let found = ask(&door, &later).await;
    assert!(matches!(found, Err(ErasureDoorError::NotTaken)), "{found:?}");
    assert_eq!(kept(&node).waiting(own.request.requested_at), [own]);
}

#[tokio::test]
async fn a_request_that_comes_while_another_is_carried_out_does_not_wait_for_ever() {
    let (mut node, door) = start().await;
    hand_in(&door, home(), &node.sign(Action::Stop)).await.unwrap();
    let nonce = door.view().owner(patient()).expect("a record").nonce;
    let day = |request: &mut ErasureRequest| request.valid_until = request.requested_at.plus(DAY);
    let done = erasure(&node, nonce, day, &patient_key());
    let erased = node.admit.submit(Item::Erase(Box::new(done))).await.unwrap();
    assert!(matches!(erased, Answer::Erased(_)), "{erased:?}");
    // Looked at before the tombstone was there, and kept behind it.
    let parts = parts(&node);
    let other = erasure(&node, nonce, |_| (), &patient_key());
    let found = keep(&parts, other, parts.clock.now());
    assert!(matches!(found, Err(ErasureDoorError::Refused(NotErased::Erased { .. }))), "{found:?}");
    let again = keep(&parts, done, parts.clock.now()).unwrap();
    assert!(matches!(again.stands, ErasureStands::Erased { .. }), "{again:?}");
    assert_eq!(kept(&node).waiting(done.request.requested_at), []);
}

#[tokio::test]
async fn requests_to_erase_are_charged_to_their_network() {
    let (node, door) = start().await;
    let stranger = erasure(&node, 0, |_| (), &practitioner_key());
    let most = RateConfig::default().operations_burst;
    let mut refused = 0;
    for _ in 0..3 * most {
        match ask(&door, &stranger).await {
            Err(ErasureDoorError::Door(DoorError::TooOften)) => refused += 1,
            Err(ErasureDoorError::NotTaken) => {}
            other => panic!("expected a refusal, found {other:?}"),
        }
    }
    assert!(refused > 0, "expected a bound on what one network may ask");
}
