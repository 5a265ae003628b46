use crate::support::{chain, deploy, fingerprint, keep, signer};
use alloy::{
    primitives::U256,
    providers::{PendingTransactionConfig, Provider},
};
use devchain::Faults;

#[tokio::test]
async fn a_dropped_transaction_is_answered_and_never_mined() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    chain.set_faults(Faults { drop: 1, ..Faults::default() });
    let sent = ledger.keep(U256::from(1)).send().await.unwrap();
    let hash = *PendingTransactionConfig::tx_hash(sent.inner());
    assert!(ledger.provider().get_transaction_by_hash(hash).await.unwrap().is_none());
    assert_eq!(ledger.provider().get_block_number().await.unwrap(), 1);
    assert_eq!(keep(&ledger, 2).await, 2);
}

#[tokio::test]
async fn an_underpriced_transaction_is_refused_and_the_next_one_is_taken() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    chain.set_faults(Faults { underpriced: 1, ..Faults::default() });
    let error = ledger.keep(U256::from(1)).send().await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("transaction underpriced"), "{error}");
    assert_eq!(keep(&ledger, 2).await, 2);
}

#[tokio::test]
async fn removed_blocks_leave_no_trace() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    keep(&ledger, 1).await;
    let before = fingerprint(ledger.provider()).await;
    for value in [2, 0] {
        keep(&ledger, value).await;
    }
    assert_eq!(chain.remove_blocks(2).unwrap().len(), 2);
    assert_eq!(fingerprint(ledger.provider()).await, before);
    assert_eq!(ledger.kept().call().await.unwrap(), U256::from(1));
    assert_eq!(ledger.Kept_filter().from_block(0).query().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_reorganisation_mines_the_same_transactions_in_other_blocks() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    let sent = ledger.keep(U256::from(8)).send().await.unwrap();
    let before = sent.get_receipt().await.unwrap();
    assert_eq!(chain.reorganise(1).unwrap(), 1);
    let after = ledger.provider().get_transaction_receipt(before.transaction_hash);
    let after = after.await.unwrap().unwrap();
    assert_eq!(after.block_number, before.block_number);
    assert_ne!(after.block_hash, before.block_hash);
    let gone = before.block_hash.unwrap();
    assert!(ledger.provider().get_block_by_hash(gone).await.unwrap().is_none());
    assert_eq!(ledger.kept().call().await.unwrap(), U256::from(8));
}

#[tokio::test]
async fn the_genesis_cannot_be_removed() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    assert_eq!(chain.remove_blocks(99).unwrap().len(), 1);
    let funds = ledger.provider().get_balance(signer(0).address()).await.unwrap();
    assert_eq!(funds, U256::from(devchain::FUNDS_WEI));
    assert_eq!(ledger.provider().get_block_number().await.unwrap(), 0);
}
