//! What an operator does after a loss: the commands of a stopped node's journal, and what became of
//! transactions that were signed for what is lost.

use std::path::Path;
use std::process::{Command, Output};

use accounting::notices::{Endpoint, Kept, NoticeSecret, SubscriptionId};
use alloy::consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::network::TxSignerSync as _;
use alloy::primitives::{TxKind, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionRequest;
use l1_contracts::Edge;
use model::{BatchHeader, BatchNumber, Digest, Position, Window};
use sequencer::folder::store::{OutboxRow, OutboxState, Store};
use sequencer::folder::subscriptions::Subscriptions;
use sequencer::node::loss::{LossError, LossTerms};
use sequencer::node::{NodeError, setup};
use sequencer::window::Assembled;
use statement::batch::PrivateFile;
use wire::{GroupIdentity, Holder, Items, JournalPlace, Receipt, RefusalItem, Role};

use crate::loss::{check_held, offline, terms};
use crate::small;
use crate::support::{Site, check_settled, close_and_settle, stream_key, used};

/// A batch that only the store remembers: its close lies far behind the journal's end.
fn unheard_of(site: &Site) -> Assembled {
    let private = PrivateFile::default();
    let t0 = site.deployment.genesis_time().unwrap();
    let root = model::Word::from_u64(5);
    let header = BatchHeader {
        window: Window::new(t0, t0.plus(1_000)).unwrap(),
        root_in: root,
        root_out: root,
        journal_position: Position(70_000),
        ciphertext_length: private.to_bytes().len() as u64,
        ..small::header(1)
    };
    let groups = vec![small::group(50_000, [60_000, 70_001], 4)];
    Assembled { public: small::public_file(header, groups), private }
}

fn open_store(site: &Site) -> Store {
    let store = Store::open(&site.layout.store()).unwrap();
    store.bind(site.deployment.scope()).unwrap();
    store
}

/// A node that ran, and a batch that only its store remembers, with a signed transaction that
/// settles it; gives the transaction's nonce, which is the account's next one.
async fn assembled_and_signed(site: &Site, state: OutboxState) -> u64 {
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    drop(edge);
    node.stop().await.unwrap();
    let chain = site.chain();
    let edge = Edge::connect(chain.provider.clone(), site.deployment.clone()).await.unwrap();
    let account = site.deployment.sequencer;
    let nonce = chain.provider.get_transaction_count(account).await.unwrap();
    let batch = unheard_of(site);
    let mut transaction = TxEip1559 {
        chain_id: site.deployment.chain_id,
        nonce,
        gas_limit: 1_000_000,
        to: TxKind::Call(site.deployment.settlement),
        input: edge.calldata(std::slice::from_ref(&batch.public)),
        ..TxEip1559::default()
    };
    let signer = setup::settlement_signer(&site.layout).unwrap();
    let signature = signer.sign_transaction_sync(&mut transaction).unwrap();
    let signed = TxEnvelope::from(transaction.into_signed(signature));
    let (hash, signed) = (signed.tx_hash().0, signed.encoded_2718());
    let store = open_store(site);
    store.save_batch(&batch, site.clock.now()).unwrap();
    let row = OutboxRow { first: 1, last: 1, hash, signed, replaced: vec![], state };
    store.outbox_put(nonce, &row, &[]).unwrap();
    nonce
}

fn sent(site: &Site) -> OutboxState {
    OutboxState::Sent { at: site.clock.now(), times: 1 }
}

/// What the refusal tells an operator to do: another transaction takes the nonce.
async fn use_nonce(site: &Site, nonce: u64) {
    let chain = site.chain();
    let account = site.deployment.sequencer;
    let transfer = TransactionRequest::default().from(account).to(account).value(U256::ZERO);
    let sent = chain.provider.send_transaction(transfer.nonce(nonce)).await.unwrap();
    // It is mined with its answer. No waiting for the receipt: alloy's watcher would outlive it.
    let receipt = chain.provider.get_transaction_receipt(*sent.tx_hash()).await.unwrap();
    assert!(receipt.unwrap().status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_may_still_settle_is_given_up_once_its_nonce_is_used() {
    let site = Site::new().await;
    let nonce = assembled_and_signed(&site, sent(&site)).await;
    let (node, edge) = site.start().await;
    check_held(&site, &node, "the store's last batch names group 50000, position 70000").await;
    assert!(edge.settled_batches().await.unwrap().is_empty(), "nothing is settled either");
    drop(edge);
    node.stop().await.unwrap();
    let refused = offline(&site).await.accept_loss(terms(), site.clock.clone()).await;
    let Err(LossError::UnderWay(found)) = &refused else { panic!("{refused:?}") };
    let row = open_store(&site).outbox(nonce).unwrap().unwrap();
    assert_eq!((found.batch, found.nonce, found.hash.0), (1, nonce, row.hash));
    let text = refused.unwrap_err().to_string();
    for words in [format!("nonce {nonce}"), format!("0x{}", hex::encode(row.hash))] {
        assert!(text.contains(&words), "{text}");
    }

    use_nonce(&site, nonce).await;
    let accepted = offline(&site).await.accept_loss(terms(), site.clock.clone()).await.unwrap();
    assert_eq!(accepted.batches, Some((1, 1)));
    assert_eq!(accepted.gap.known, JournalPlace { group: 50_000, position: 70_000 });
    assert_eq!(open_store(&site).outbox(nonce).unwrap().unwrap().state, OutboxState::Void);
    let (node, edge) = site.start().await;
    node.submit(site.frame(2)).await.unwrap();
    // Window 1 ended with the gap, and its number is the one that was given up.
    assert_eq!(close_and_settle(&node).await, 2);
    check_settled(&edge, node.store(), 2).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_batch_file_hides_neither_the_loss_nor_the_transaction() {
    let site = Site::new().await;
    let nonce = assembled_and_signed(&site, sent(&site)).await;
    let public = site.layout.store().join("batches/000001/public.bin");
    std::fs::write(public, b"damaged").unwrap();
    let (node, edge) = site.start().await;
    // The transaction carries the header; in which group that was does not stand in it.
    check_held(&site, &node, "the store's last batch names position 70000").await;
    drop(edge);
    node.stop().await.unwrap();
    let refused = offline(&site).await.accept_loss(terms(), site.clock.clone()).await;
    assert!(matches!(refused, Err(LossError::UnderWay(_))), "{refused:?}");
    use_nonce(&site, nonce).await;
    // The transaction is void then, and still says what it carried.
    let accepted = offline(&site).await.accept_loss(terms(), site.clock.clone()).await.unwrap();
    assert_eq!(accepted.batches, Some((1, 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_never_left_is_given_up_with_its_batch() {
    let site = Site::new().await;
    let nonce = assembled_and_signed(&site, OutboxState::Built).await;
    let accepted = offline(&site).await.accept_loss(terms(), site.clock.clone()).await.unwrap();
    assert_eq!(accepted.batches, Some((1, 1)));
    assert_eq!(open_store(&site).outbox(nonce).unwrap().unwrap().state, OutboxState::Void);
}

/// Somebody who was told of all batches up to this one.
fn told_of(number: u64) -> Subscriptions {
    Subscriptions(vec![Kept {
        id: SubscriptionId::new([1; 16]),
        patient: stream_key().patient,
        endpoint: Endpoint::parse("https://app.example.org/hook").unwrap(),
        reason: "tell my app".into(),
        end: None,
        secret: NoticeSecret::new([2; 32]),
        told: BatchNumber(number),
        failing_since: None,
        fault: None,
        given_up: false,
    }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_given_up_only_where_whoever_subscribed_is_told_of_those_that_come_instead() {
    let site = Site::new().await;
    assembled_and_signed(&site, OutboxState::Built).await;
    let whole = std::fs::read(site.journal_file()).unwrap();
    let path = site.layout.subscriptions();
    // What the disk does not give could be whole, and nothing is given up.
    std::fs::create_dir(&path).unwrap();
    let refused = offline(&site).await.accept_loss(terms(), site.clock.clone()).await;
    assert!(matches!(refused, Err(LossError::Subscriptions(_))), "{refused:?}");
    assert_eq!(std::fs::read(site.journal_file()).unwrap(), whole);
    assert!(open_store(&site).batch(BatchNumber(1)).unwrap().is_some());
    std::fs::remove_dir(&path).unwrap();
    told_of(1).write(&path).unwrap();
    let accepted = offline(&site).await.accept_loss(terms(), site.clock.clone()).await.unwrap();
    assert_eq!(accepted.batches, Some((1, 1)));
    assert_eq!(Subscriptions::read(&path).unwrap(), told_of(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_subscriptions_keep_no_node_from_going_on() {
    let site = Site::new().await;
    assembled_and_signed(&site, OutboxState::Built).await;
    let path = site.layout.subscriptions();
    files::replace(&path, &[b"{}"], files::Audience::Owner).unwrap();
    let accepted = offline(&site).await.accept_loss(terms(), site.clock.clone()).await.unwrap();
    assert_eq!(accepted.batches, Some((1, 1)));
}

/// Keeps a receipt of this node's key for what it cannot have given, as the folder's only one.
fn keep_receipt(site: &Site, folder: &Path, place: JournalPlace, term: u32) {
    let (scope, group) = (site.deployment.scope(), place.group);
    let group = GroupIdentity { scope, group, term, journal_hash: [7; 32] };
    let item = RefusalItem { position: Position(place.position), digest: Digest([1; 31]) };
    let items = Items { refusals: vec![item], ..Items::default() };
    let receipt = Receipt::new(group, Holder::new(Role::Wallet, "anna"), items).unwrap();
    let receipt = receipt.sign(&setup::receipt_key(&site.layout).unwrap());
    files::make_folder(folder, files::Audience::Owner).unwrap();
    let path = folder.join("1.receipt");
    files::replace(&path, &[&receipt.to_bytes()], files::Audience::Owner).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_beyond_what_a_journal_or_a_batch_can_reach_are_refused_and_nothing_changes() {
    let site = Site::new().await;
    let folder = site.beside("receipts");
    let whole = std::fs::read(site.journal_file()).unwrap();
    let refused = async |group: u64, position: u64, term: u32| {
        keep_receipt(&site, &folder, JournalPlace { group, position }, term);
        let terms = LossTerms { receipts: Some(&folder), ..terms() };
        offline(&site).await.accept_loss(terms, site.clock.clone()).await.unwrap_err()
    };
    let far = refused(u64::MAX, 9_000, 0).await;
    assert!(matches!(far, LossError::Jump { group: u64::MAX, .. }), "{far:?}");
    assert!(far.to_string().contains("its receipt key is stolen"), "{far}");
    let far = refused(9_000, u64::MAX - 5, 0).await;
    assert!(matches!(far, LossError::Jump { .. }), "{far:?}");
    let last = refused(9_000, 9_000, u32::MAX).await;
    assert!(matches!(last, LossError::Term { term: u32::MAX }), "{last:?}");
    // Within what the journal may jump, and beyond what one batch may hold.
    let wide = refused(9_000, (1 << 28) - (1 << 20) - 100, 0).await;
    assert!(matches!(wide, LossError::Window { begin: 0, .. }), "{wide:?}");
    assert_eq!(std::fs::read(site.journal_file()).unwrap(), whole);
}

fn sequencer(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sequencer")).args(args).output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, words: &str) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "expected {words:?} in {said:?}");
}

/// A folder of receipts that is named is there, holds some of this node, and not too many.
fn check_receipt_folders(site: &Site, recover: &[&str]) {
    let folder = site.beside("shown");
    let named = folder.display().to_string();
    let with_receipts = || sequencer(&[recover, &["--receipts", &named]].concat());
    check(&with_receipts(), 2, "cannot be read");
    std::fs::create_dir(&folder).unwrap();
    check(&with_receipts(), 2, "found none and 0 of others");
    let another = folder.join("another.receipt");
    files::replace(&another, &[b"no receipt"], files::Audience::Owner).unwrap();
    check(&with_receipts(), 2, "found none and 1 of others");
    for number in 0..10_000 {
        std::fs::write(folder.join(format!("{number}.txt")), b"").unwrap();
    }
    check(&with_receipts(), 2, "expected at most 10000 files");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_finds_a_lost_end_and_accepts_the_loss_by_command() {
    let site = Site::new().await;
    let (journal, early) = (site.journal_file(), site.beside("early.log"));
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    std::fs::copy(&journal, &early).unwrap();
    node.submit(site.frame(2)).await.unwrap();
    drop(edge);
    node.stop().await.unwrap();
    std::fs::copy(&early, &journal).unwrap();

    let dir = site.layout.folder().display().to_string();
    let command = |name: &str, more: &[&str]| {
        sequencer(&[&["journal", name, "--dir", &dir][..], more].concat())
    };
    check(&command("check", &[]), 1, "the witness beside the journal names group");
    check(&command("recover", &[]), 1, "sequencer journal recover --accept-loss");
    let accept = ["--accept-loss", "--reason", "the disk was replaced"];
    let accepted = command("recover", &accept);
    for words in [
        "missing: the witness beside the journal names group",
        "given up: whatever was acknowledged from group 1, position 1 on",
        "the journal goes on in term 1",
        "revocations, denials, stops: NOT in force any more",
    ] {
        check(&accepted, 0, words);
    }
    check(&command("recover", &accept), 1, "nothing is missing");
    check(&command("recover", &[]), 0, "nothing is missing");
    check(&command("check", &[]), 0, "term 1: losses accepted so far");

    // The node goes on in the new term, and what settles then cannot be given up.
    let (node, edge) = site.start().await;
    std::fs::copy(&journal, &early).unwrap();
    node.submit(site.frame(2)).await.unwrap();
    close_and_settle(&node).await;
    drop(edge);
    node.stop().await.unwrap();
    std::fs::copy(&early, &journal).unwrap();
    check(&command("recover", &[]), 1, "the contract's last settled header names");
    check(&command("recover", &accept), 1, "what is settled cannot be given up");
    std::fs::remove_file(site.layout.chain_journal()).unwrap();
    check(&command("recover", &accept), 1, "the base chain does not fit the deployment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_was_cut_short_is_refused_until_the_loss_is_accepted() {
    let site = Site::new().await;
    let journal = site.journal_file();
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    node.submit(site.frame(2)).await.unwrap();
    drop(edge);
    node.stop().await.unwrap();
    let whole = std::fs::read(&journal).unwrap();
    // Within the last group.
    std::fs::write(&journal, &whole[..used(&whole).len() - 100]).unwrap();
    let short = std::fs::read(&journal).unwrap();

    let dir = site.layout.folder().display().to_string();
    let recover = ["journal", "recover", "--dir", &dir];
    let error = site.start_error().await;
    let NodeError::Journal(error) = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("expected at least 1048576 bytes"), "{error}");
    check(&sequencer(&recover), 1, "expected at least 1048576 bytes");
    assert_eq!(std::fs::read(&journal).unwrap(), short, "nothing is changed");
    let accept = [&recover[..], &["--accept-loss", "--reason", "the disk was full"]].concat();
    check(&sequencer(&accept), 0, "missing: the witness beside the journal names group");
    assert_eq!(std::fs::read(&journal).unwrap().len(), whole.len());
    let (node, edge) = site.start().await;
    node.submit(site.frame(2)).await.unwrap();
    drop(edge);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_of_another_deployment_than_was_told_is_not_accepted() {
    let site = Site::new().await;
    let path = site.journal_file();
    let mut torn = std::fs::read(&path).unwrap();
    // What a start, or a command that opens the journal, would cut.
    let sector = (used(&torn).len() + 136).next_multiple_of(512);
    torn[sector..sector + 90].fill(7);
    std::fs::write(&path, &torn).unwrap();
    let own = site.deployment.fingerprint.to_string();
    let other = format!("{}{}", if own.starts_with('0') { '1' } else { '0' }, &own[1..]);
    let dir = site.layout.folder().display().to_string();
    let check_journal = ["journal", "check", "--dir", &dir];
    let recover = ["journal", "recover", "--dir", &dir];
    let accept = [&recover[..], &["--accept-loss", "--reason", "a test"]].concat();
    let told = |command: &[&str], fingerprint: &str| {
        sequencer(&[command, &["--fingerprint", fingerprint]].concat())
    };
    for command in [&check_journal[..], &recover, &accept] {
        let refused = told(command, &other);
        check(&refused, 1, &own);
        check(&refused, 1, &other);
        assert!(refused.stdout.is_empty(), "nothing is shown of another deployment");
        assert_eq!(std::fs::read(&path).unwrap(), torn, "and nothing is changed");
    }
    // The witness is missing: a node has not run yet.
    for command in [check_journal, recover] {
        check(&told(&command, &own), 5, &format!("deployment {own}\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_a_stopped_nodes_journal_end_as_the_page_says() {
    let site = Site::new().await;
    let dir = site.layout.folder().display().to_string();
    let journal = |command: &str| sequencer(&["journal", command, "--dir", &dir]);
    // A node that never ran has groups here, because a test put them there, and no witness.
    for command in ["check", "recover"] {
        check(&journal(command), 5, "expected the witness");
    }
    let (node, edge) = site.start().await;
    drop(edge);
    node.stop().await.unwrap();
    check(&journal("check"), 0, "all hold");
    check(&journal("convert"), 0, "nothing to convert");
    check(&journal("recover"), 0, "nothing is missing");
    let recover = ["journal", "recover", "--dir", &dir, "--accept-loss"];
    check(&sequencer(&recover), 2, "--reason");
    let with_reason = |reason| sequencer(&[&recover[..], &["--reason", reason]].concat());
    check(&with_reason(" "), 2, "expected a reason");
    check(&with_reason("a test"), 1, "nothing is missing");
    check_receipt_folders(&site, &recover[..4]);

    let path = site.journal_file();
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[200] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    check(&journal("check"), 1, "is corrupt");
    std::fs::write(&path, &whole).unwrap();
    let first = include_str!("../journal/vectors/log-v1.hex");
    let first = hex::decode(first.split_whitespace().collect::<String>()).unwrap();
    let old = site.layout.old_journal();
    files::replace(&old, &[&first], files::Audience::Owner).unwrap();
    for command in ["check", "convert", "recover"] {
        check(&journal(command), 1, model::FIRST_VERSION);
        assert_eq!(std::fs::read(&old).unwrap(), first, "left as it is");
    }
    let error = site.start_error().await;
    assert!(model::with_causes(&error).contains(model::FIRST_VERSION), "{error}");
    std::fs::remove_file(&old).unwrap();
    std::fs::remove_file(&path).unwrap();
    check(&journal("check"), 3, "found none");

    files::replace(&path, &[&whole], files::Audience::Owner).unwrap();
    let (node, edge) = site.start().await;
    check(&journal("check"), 3, "stop it first");
    drop(edge);
    node.stop().await.unwrap();
}
