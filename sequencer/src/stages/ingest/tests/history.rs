//! Receipts that clients show in their hello, against a journal that may lack them.

use model::{Position, RejectCode};
use wire::{
    ClientMessage, ClientName, GroupIdentity, Hello, Holder, Items, Lane, Receipt, RefusalItem,
    Role, ServerMessage, SignedReceipt, SigningKey,
};

use super::support::{Node, Raw, gateway_id, readings, request};
use crate::history::Keeper;
use crate::stages::deliver::AgainError;
use crate::stages::ingest::AdmitError;
use crate::stages::ledger::{AuthenticRequest, Item};

/// A receipt of one refusal for the gateway, as the node's key would sign it.
fn receipt_of(node: &Node, change: impl FnOnce(&mut GroupIdentity)) -> Receipt {
    let scope = node.hub.scope();
    let mut group = GroupIdentity { scope, group: 9_999, term: 0, journal_hash: [7; 32] };
    change(&mut group);
    let digest = model::Digest([1; 31]);
    let item = RefusalItem { position: Position(88_888), digest };
    let items = Items { refusals: vec![item], ..Items::default() };
    Receipt::new(group, Holder::gateway(&gateway_id()), items).unwrap()
}

fn signed(receipt: Receipt) -> SignedReceipt {
    receipt.sign(&SigningKey::from_slice(&[9; 32]).unwrap())
}

/// What the node answers to a hello that shows this.
async fn answer(node: &Node, newest: SignedReceipt) -> (Raw, ServerMessage) {
    answer_to(node, Some(Box::new(newest))).await
}

async fn answer_to(node: &Node, newest: Option<Box<SignedReceipt>>) -> (Raw, ServerMessage) {
    let mut raw = node.raw().await;
    let hello = Hello { newest, ..Hello::new(ClientName::new("raw").unwrap(), false) };
    raw.send(Lane::Control, &ClientMessage::Hello(hello).encode()).await;
    let answer = raw.next().await;
    (raw, answer)
}

fn closing(code: RejectCode) -> ServerMessage {
    ServerMessage::Closing { code }
}

#[tokio::test]
async fn a_receipt_that_the_journal_holds_is_welcomed_with_the_journals_standing() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    client.session.push(handle, &readings(1)).unwrap();
    client.durable(1).await;
    let (group, bytes) = client.receipts.pop_last().unwrap();
    let (_raw, answer) = answer(&node, SignedReceipt::from_bytes(&bytes).unwrap()).await;
    match answer {
        ServerMessage::Welcome(welcome) => {
            assert_eq!((welcome.standing.term, welcome.standing.head_group), (0, group));
        }
        other => panic!("expected a welcome, found {other:?}"),
    }
    assert!(!node.hub.hold().is_set());
}

#[tokio::test]
async fn a_receipt_that_is_not_this_nodes_closes_that_session_and_no_other() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    let forged = SigningKey::from_slice(&[8; 32]).unwrap();
    let forged = receipt_of(&node, |_| {}).sign(&forged);
    let elsewhere = signed(receipt_of(&node, |group| group.scope.chain_id += 1));
    let mut of_another = receipt_of(&node, |_| {});
    of_another.holder = Holder::new(Role::Wallet, "somebody");
    for strange in [forged, elsewhere, signed(of_another)] {
        let (_raw, answer) = answer(&node, strange).await;
        assert_eq!(answer, closing(RejectCode::Signature));
        assert!(!node.hub.hold().is_set());
    }
    client.session.push(handle, &readings(1)).unwrap();
    client.durable(1).await;
}

#[tokio::test]
async fn a_receipt_that_the_journal_lacks_ends_every_acknowledgement() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    client.session.push(handle, &readings(1)).unwrap();
    client.durable(1).await;
    let stored = node.journal.head().position;
    let shown = signed(receipt_of(&node, |_| {}));
    let mut handed_on = node.hub.hold().shown();
    let (_raw, told) = answer(&node, shown.clone()).await;
    assert_eq!(told, closing(RejectCode::History));
    let held = node.hub.hold().held().unwrap();
    assert_eq!(held.remembered.by, Keeper::Receipt);
    assert_eq!(held.remembered.position, Position(88_888));
    assert_eq!(handed_on.try_recv(), Ok(shown));
    // Whoever was connected is told, and whoever comes.
    assert_eq!(client.closed().await, Some(RejectCode::History));
    let (_raw, told) = answer_to(&node, None).await;
    assert_eq!(told, closing(RejectCode::History));
    // And heard first: what one holder knows, the others need not know.
    let further = signed(receipt_of(&node, |group| group.group = 12_345));
    let (_raw, told) = answer(&node, further.clone()).await;
    assert_eq!((told, handed_on.try_recv()), (closing(RejectCode::History), Ok(further)));
    assert_eq!(node.hub.hold().held(), Some(held), "the first reason stays");
    // What is not this node's says nothing here either.
    let forged = SigningKey::from_slice(&[8; 32]).unwrap();
    let (_raw, told) = answer(&node, receipt_of(&node, |_| {}).sign(&forged)).await;
    assert_eq!(told, closing(RejectCode::Signature));
    assert!(handed_on.try_recv().is_err());
    // Nothing is taken, whatever it is, and nothing is signed, not even again.
    let request = request(1, model::Category::Ecg);
    let practitioner = request.request().practitioner.clone();
    let request = AuthenticRequest::verify(Box::new(request)).unwrap();
    for item in [Item::Close, Item::Access { practitioner, request, page: wire::Page::FIRST }] {
        let refused = node.admit.submit(item).await.unwrap_err();
        assert!(matches!(refused, AdmitError::Held), "{refused:?}");
        assert_eq!(refused.code(), RejectCode::History);
    }
    let again = node.hub.receipt_at(Position(stored), Holder::gateway(&gateway_id()));
    assert!(matches!(again, Err(AgainError::Held)), "{again:?}");
    assert_eq!(node.journal.head().position, stored);
}

#[tokio::test]
async fn another_group_under_a_receipted_number_is_a_contradiction_too() {
    let node = Node::start().await;
    let other = signed(receipt_of(&node, |group| group.group = 1));
    let (_raw, told) = answer(&node, other).await;
    assert_eq!(told, closing(RejectCode::History));
    let found = node.hub.hold().held().unwrap();
    let own = node.journal.group(1).unwrap().journal_hash;
    assert_eq!((found.found, found.remembered.journal_hash), (Some(own), [7; 32]));
    let text = found.to_string();
    assert!(text.contains(&hex::encode(own)) && text.contains(&hex::encode([7; 32])), "{text}");
}

#[tokio::test]
async fn a_writer_that_is_gone_is_told_also_while_the_node_is_held() {
    let node = Node::start().await;
    node.break_writer();
    drop(node.admit.submit(Item::Close).await);
    // Held for what another one was shown: a node without a writer reads no hello.
    let other = Node::start().await;
    let (_raw, told) = answer(&other, signed(receipt_of(&other, |_| {}))).await;
    assert_eq!(told, closing(RejectCode::History));
    node.hub.hold().set(other.hub.hold().held().unwrap());
    let open = node.admit.check_open();
    assert!(matches!(open, Err(AdmitError::Failed(_))), "{open:?}");
}
