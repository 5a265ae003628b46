//! Operations and requests to read.

use client::{Connection, ConnectionConfig, RequestError};
use model::{
    Category, Clock, Interval, Label, Millis, OrganisationId, PatientIndex, PractitionerId,
    Purpose, RejectCode, SystemClock,
};
use wire::{
    AccessKind, AccessRequest, Lane, Page, Reason, SignedAccessRequest, SignedOperation, Source,
};

use crate::node::{Behaviour, Node, descriptor, reading, scope};

fn operation() -> SignedOperation {
    SignedOperation::new(vec![5; 215]).unwrap()
}

fn request() -> SignedAccessRequest {
    let now = SystemClock.now();
    let request = AccessRequest {
        scope: scope(),
        patient: PatientIndex::new(7).unwrap(),
        practitioner: PractitionerId::new("dr-001").unwrap(),
        organisation: OrganisationId::new("ward-3").unwrap(),
        care_team: None,
        source: Source::Any,
        categories: Category::HeartRate.only(),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        data: Interval::new(Millis::UNBOUNDED_PAST, now).unwrap(),
        requested_at: now,
        valid_until: now.plus(60_000),
        nonce: 1,
        kind: AccessKind::Access { reason: Reason::default() },
    };
    SignedAccessRequest::new(request, [3; 32], [4; 64]).unwrap()
}

async fn connect(node: &Node, role: &str, name: &str) -> Connection {
    let config = ConnectionConfig { identity: node.identity(role, name), ..node.config() };
    Connection::connect(config).await.unwrap()
}

#[tokio::test]
async fn an_operation_takes_effect_at_the_time_of_its_receipt() {
    let node = Node::start(Behaviour::default());
    let wallet = connect(&node, "wallet", "wallet-1").await;
    let applied = wallet.submit(operation()).await.unwrap();
    let items = applied.receipt.receipt.items();
    assert_eq!(items.operations[0].time, applied.time);
    assert_eq!(items.operations[0].position, applied.position);
    assert_eq!(node.log().operations, [operation()]);
}

#[tokio::test]
async fn a_rejected_operation_says_why_and_what_to_do() {
    let reject_request = Some(RejectCode::Nonce);
    let node = Node::start(Behaviour { reject_request, ..Behaviour::default() });
    let wallet = connect(&node, "wallet", "wallet-1").await;
    let error = wallet.submit(operation()).await.unwrap_err();
    assert!(matches!(error, RequestError::Rejected { code: RejectCode::Nonce }));
    assert!(error.to_string().contains("read the record and sign again"), "{error}");
}

#[tokio::test]
async fn an_operation_without_an_answer_is_unknown_and_can_be_asked_again() {
    let node = Node::start(Behaviour { drop_on_operation: true, ..Behaviour::default() });
    let wallet = connect(&node, "wallet", "wallet-1").await;
    let lost = wallet.submit(operation()).await.unwrap_err();
    assert!(matches!(lost, RequestError::Unknown), "{lost:?}");
    node.behave(Behaviour::default());
    wallet.submit(operation()).await.unwrap();
    assert_eq!(wallet.counts().reconnects, 1);
}

#[tokio::test]
async fn a_permitted_request_brings_receipt_and_every_frame() {
    let node = Node::start(Behaviour::default());
    let gateway = node.connect().await;
    let stream = gateway.open_stream(Lane::Live, descriptor(1)).await.unwrap();
    for bpm in [60, 61, 62] {
        stream.send(&[reading(bpm)]).await.unwrap();
    }
    stream.flush().await.unwrap();
    let doctor = connect(&node, "practitioner", "dr-001").await;
    let outcome = doctor.access(request(), Page::FIRST).await.unwrap();
    assert!(outcome.permitted);
    let values: Vec<_> = outcome
        .released
        .iter()
        .flat_map(|one| one.frame.readings(model::signal_by_code(one.stream.signal).unwrap()))
        .flatten()
        .map(|reading| reading.value)
        .collect();
    assert_eq!(values, [Some(60), Some(61), Some(62)]);
    assert_eq!(outcome.receipt.receipt.items().accesses[0].position, outcome.position);
}

#[tokio::test]
async fn a_refused_request_is_receipted_and_brings_nothing() {
    let node = Node::start(Behaviour { refuse_access: true, ..Behaviour::default() });
    let doctor = connect(&node, "practitioner", "dr-001").await;
    let outcome = doctor.access(request(), Page::FIRST).await.unwrap();
    assert!(!outcome.permitted && outcome.released.is_empty());
    assert!(!outcome.receipt.receipt.items().accesses[0].permitted);
}

#[tokio::test]
async fn more_released_data_than_may_be_held_fails_the_request() {
    let node = Node::start(Behaviour::default());
    let gateway = node.connect().await;
    let stream = gateway.open_stream(Lane::Live, descriptor(1)).await.unwrap();
    stream.send(&[reading(60)]).await.unwrap();
    stream.flush().await.unwrap();
    let identity = node.identity("practitioner", "dr-001");
    let config = ConnectionConfig { identity, released_bytes_max: 10, ..node.config() };
    let doctor = Connection::connect(config).await.unwrap();
    let error = doctor.access(request(), Page::FIRST).await.unwrap_err();
    assert!(matches!(error, RequestError::TooMuch { limit: 10 }));
}

#[tokio::test]
async fn further_pages_continue_one_request_and_bring_no_second_receipt() {
    let node = Node::start(Behaviour { page_frames: Some(2), ..Behaviour::default() });
    let gateway = node.connect().await;
    let stream = gateway.open_stream(Lane::Live, descriptor(1)).await.unwrap();
    for bpm in [60, 61, 62, 63, 64] {
        stream.send(&[reading(bpm)]).await.unwrap();
    }
    stream.flush().await.unwrap();
    let doctor = connect(&node, "practitioner", "dr-001").await;
    let first = doctor.access(request(), Page::FIRST).await.unwrap();
    assert!(first.more && first.released.len() == 2);
    let receipts = doctor.counts().receipts;
    let mut positions: Vec<_> = first.released.iter().map(|one| one.position).collect();
    loop {
        let last = *positions.last().unwrap();
        let page = doctor.read_on(request(), Page::FIRST.behind(last)).await.unwrap();
        positions.extend(page.released.iter().map(|one| one.position));
        if !page.more {
            break;
        }
    }
    assert_eq!(positions.len(), 5);
    assert!(positions.is_sorted(), "none came twice: {positions:?}");
    assert_eq!(doctor.counts().receipts, receipts, "one claim");
    // Consent that ends between two pages ends the answer, and that is said.
    node.behave(Behaviour {
        reject_request: Some(RejectCode::NotPermitted),
        ..Behaviour::default()
    });
    let refused = doctor.read_on(request(), Page::FIRST.behind(positions[1])).await.unwrap_err();
    assert!(matches!(refused, RequestError::Rejected { code: RejectCode::NotPermitted }));
}
