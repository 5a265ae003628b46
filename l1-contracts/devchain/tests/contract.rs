use crate::support::{Hand, Ledger, START_S, chain, deploy, genesis, keep, signer};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, Bytes, U256},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use devchain::{DevChain, Limits};

#[tokio::test]
async fn a_contract_is_deployed_called_and_remembers() {
    let ledger = deploy(&chain()).await;
    assert_eq!(keep(&ledger, 7).await, 2);
    assert_eq!(ledger.kept().call().await.unwrap(), U256::from(7));
    assert!(!ledger.provider().get_code_at(*ledger.address()).await.unwrap().is_empty());
    let slot = ledger.provider().get_storage_at(*ledger.address(), U256::ZERO).await.unwrap();
    assert_eq!(slot, U256::from(7));
}

#[tokio::test]
async fn the_data_of_a_revert_reaches_the_caller() {
    let ledger = deploy(&chain()).await;
    let too_large = U256::from(1_001);
    for error in [
        ledger.keep(too_large).call().await.map(|_| ()).unwrap_err(),
        ledger.keep(too_large).send().await.map(|_| ()).unwrap_err(),
    ] {
        let revert = error.as_decoded_error::<Ledger::TooLarge>().expect("carries the error");
        assert_eq!((revert.value, revert.max), (too_large, U256::from(1_000)));
    }
}

#[tokio::test]
async fn a_transaction_that_reverts_is_mined_and_says_so() {
    let ledger = deploy(&chain()).await;
    let sent = ledger.keep(U256::MAX).gas(100_000).send().await.unwrap();
    let receipt = sent.get_receipt().await.unwrap();
    assert!(!receipt.status());
    assert!(receipt.logs().is_empty());
    assert_eq!(ledger.kept().call().await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn logs_are_found_by_contract_topic_and_block() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    for value in [1, 2, 3, 2] {
        keep(&ledger, value).await;
    }
    let found = |logs: Vec<(Ledger::Kept, alloy::rpc::types::Log)>| -> Vec<(u64, u64)> {
        let pair = |(kept, log): (Ledger::Kept, alloy::rpc::types::Log)| {
            (kept.value.to::<u64>(), log.block_number.unwrap())
        };
        logs.into_iter().map(pair).collect()
    };
    let all = ledger.Kept_filter().from_block(0);
    assert_eq!(found(all.query().await.unwrap()), [(1, 2), (2, 3), (3, 4), (2, 5)]);
    let twos = ledger.Kept_filter().from_block(0).topic1(U256::from(2));
    assert_eq!(found(twos.query().await.unwrap()), [(2, 3), (2, 5)]);
    let range = ledger.Kept_filter().from_block(3).to_block(4);
    assert_eq!(found(range.query().await.unwrap()), [(2, 3), (3, 4)]);
    let block = ledger.provider().get_block_by_number(4.into()).await.unwrap().unwrap();
    let one = ledger.Kept_filter().at_block_hash(block.header.hash);
    assert_eq!(found(one.query().await.unwrap()), [(3, 4)]);
    let elsewhere = ledger.Kept_filter().from_block(0).address(Address::ZERO);
    assert_eq!(found(elsewhere.query().await.unwrap()), []);
}

#[tokio::test]
async fn a_receipt_names_its_block_its_gas_and_its_price() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    let before = ledger.provider().get_balance(signer(0).address()).await.unwrap();
    let sent = ledger.keep(U256::from(5)).send().await.unwrap();
    let receipt = sent.get_receipt().await.unwrap();
    let number = receipt.block_number.unwrap();
    let block = ledger.provider().get_block_by_number(number.into()).full().await.unwrap().unwrap();
    assert_eq!(receipt.block_hash, Some(block.header.hash));
    assert_eq!(block.header.hash, block.header.inner.hash_slow());
    assert_eq!(receipt.gas_used, block.header.gas_used);
    assert_eq!(receipt.to, Some(*ledger.address()));
    assert_eq!(receipt.logs().len(), 1);
    let tx = ledger.provider().get_transaction_by_hash(receipt.transaction_hash).await.unwrap();
    assert_eq!(Some(&tx.unwrap()), block.transactions.first_transaction());
    let paid = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
    let after = ledger.provider().get_balance(signer(0).address()).await.unwrap();
    assert_eq!(before - after, paid);
}

#[tokio::test]
async fn a_turned_clock_moves_the_timestamp_of_blocks_and_of_calls_alike() {
    let hand = Hand::new();
    let chain = DevChain::in_memory(genesis(), Limits::default(), hand.clock());
    let ledger = deploy(&chain).await;
    assert_eq!(ledger.time().call().await.unwrap(), U256::from(START_S + 1));
    hand.turn(86_400);
    let seen = ledger.time().call().await.unwrap();
    let number = keep(&ledger, 1).await;
    let block = ledger.provider().get_block_by_number(number.into()).await.unwrap().unwrap();
    assert_eq!(block.header.timestamp, START_S + 86_400);
    assert_eq!(seen, U256::from(block.header.timestamp));
    let logs = ledger.Kept_filter().from_block(number).query().await.unwrap();
    assert_eq!(logs[0].0.time, seen);
}

#[tokio::test]
async fn a_call_at_an_earlier_block_sees_the_state_and_the_time_of_that_block() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    for value in [10, 0, 30] {
        keep(&ledger, value).await;
    }
    for (number, kept) in [(1, 0), (2, 10), (3, 0), (4, 30)] {
        let at = BlockId::from(number);
        assert_eq!(ledger.kept().block(at).call().await.unwrap(), U256::from(kept));
        let nonce = ledger.provider().get_transaction_count(signer(0).address()).block_id(at);
        assert_eq!(nonce.await.unwrap(), number);
    }
    assert_eq!(ledger.number().block(3.into()).call().await.unwrap(), U256::from(3));
    assert_eq!(ledger.number().call().await.unwrap(), U256::from(5));
    let code = ledger.provider().get_code_at(*ledger.address()).block_id(0.into()).await.unwrap();
    assert_eq!(code, Bytes::new());
    assert!(ledger.kept().block(99.into()).call().await.is_err());
}

#[tokio::test]
async fn a_contract_reads_the_hashes_of_the_blocks_before_its_own() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    keep(&ledger, 1).await;
    let block = ledger.provider().get_block_by_number(1.into()).await.unwrap().unwrap();
    assert_eq!(ledger.hashOf(U256::from(1)).call().await.unwrap(), block.header.hash);
    assert!(ledger.hashOf(U256::from(3)).call().await.unwrap().is_zero());
}

#[tokio::test]
async fn an_estimate_is_enough_and_not_much_more_than_enough() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    let estimate = ledger.burn(U256::from(50)).estimate_gas().await.unwrap();
    let sent = ledger.burn(U256::from(50)).send().await.unwrap();
    let used = sent.get_receipt().await.unwrap().gas_used;
    assert!(used <= estimate && estimate < used * 3 / 2, "used {used}, estimate {estimate}");
    let plain = TransactionRequest::default().to(signer(1).address()).value(U256::from(1));
    assert_eq!(ledger.provider().estimate_gas(plain).await.unwrap(), 21_000);
}

#[tokio::test]
async fn a_contract_that_destroys_itself_at_birth_leaves_nothing_behind() {
    let chain = chain();
    let provider = chain.provider(signer(0));
    // PUSH1 1 PUSH0 SSTORE, PUSH1 9 SELFDESTRUCT: stores a word, then gives all to address 9.
    let code = Bytes::from_static(&[0x60, 1, 0x5f, 0x55, 0x60, 9, 0xff]);
    let create = TransactionRequest::default().with_deploy_code(code).value(U256::from(5));
    let receipt = provider.send_transaction(create).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    let born = signer(0).address().create(0);
    assert_eq!(receipt.contract_address, Some(born));
    assert_eq!(provider.get_code_at(born).await.unwrap(), Bytes::new());
    assert_eq!(provider.get_storage_at(born, U256::ZERO).await.unwrap(), U256::ZERO);
    assert_eq!(provider.get_balance(born).await.unwrap(), U256::ZERO);
    let heir = Address::with_last_byte(9);
    assert_eq!(provider.get_balance(heir).await.unwrap(), U256::from(5));
    chain.remove_blocks(1).unwrap();
    assert_eq!(provider.get_balance(heir).await.unwrap(), U256::ZERO);
}
