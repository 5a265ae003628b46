use crate::support::{Hand, Ledger, chain, deploy, genesis, keep, signer};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::{BlockNumberOrTag, eip2718::Encodable2718},
    network::TxSignerSync,
    primitives::{Address, TxKind, U256},
    providers::Provider,
    rpc::types::Filter,
};
use devchain::{CHAIN_ID, DevChain, Genesis, Limits, RAW_TX_BYTES_MAX, RpcError, TxRefused};
use serde_json::{Value, json};

/// A plain transfer of account 0, changed by `change`.
fn transfer(change: impl FnOnce(&mut TxEip1559)) -> Vec<u8> {
    let mut tx = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        to: TxKind::Call(Address::repeat_byte(9)),
        value: U256::from(1),
        ..Default::default()
    };
    change(&mut tx);
    let signature = signer(0).sign_transaction_sync(&mut tx).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718()
}

fn refusal(chain: &DevChain, raw: &[u8]) -> TxRefused {
    match chain.send_raw(raw).unwrap_err() {
        RpcError::Refused(refused) => refused,
        other => panic!("expected a refusal, found {other}"),
    }
}

#[test]
fn a_transaction_that_breaks_a_rule_is_refused_with_what_was_expected() {
    let chain = chain();
    let refused = |change: fn(&mut TxEip1559)| refusal(&chain, &transfer(change));
    assert_eq!(
        refused(|tx| tx.chain_id = 1),
        TxRefused::ChainId { expected: CHAIN_ID, found: Some(1) }
    );
    assert_eq!(refused(|tx| tx.nonce = 2), TxRefused::NonceTooHigh { expected: 0, found: 2 });
    assert_eq!(
        refused(|tx| tx.max_fee_per_gas = 5),
        TxRefused::FeeTooLow { base_fee_wei: 1_000_000_000, found: 5 }
    );
    assert!(matches!(refused(|tx| tx.value = U256::MAX >> 1), TxRefused::Funds { .. }));
    assert!(matches!(refused(|tx| tx.gas_limit = 20_999), TxRefused::Invalid(_)));
    assert!(matches!(refused(|tx| tx.gas_limit = 16_777_217), TxRefused::Invalid(_)));
    assert!(matches!(refusal(&chain, b"no transaction"), TxRefused::Malformed(_)));
    let oversized = refusal(&chain, &vec![2; RAW_TX_BYTES_MAX + 1]);
    assert_eq!(
        oversized,
        TxRefused::Oversized { max: RAW_TX_BYTES_MAX, found: RAW_TX_BYTES_MAX + 1 }
    );
    assert_eq!(chain.handle("eth_blockNumber", &[]).unwrap(), json!("0x0"));
    chain.send_raw(&transfer(|_| ())).unwrap();
    assert_eq!(refused(|_| ()), TxRefused::NonceTooLow { expected: 1, found: 0 });
}

#[test]
fn a_transaction_followed_by_a_byte_is_malformed() {
    let mut raw = transfer(|_| ());
    raw.push(0);
    assert!(matches!(refusal(&chain(), &raw), TxRefused::Malformed(_)));
}

#[test]
fn a_full_chain_refuses_and_keeps_answering() {
    let limits = Limits { blocks_max: 2, ..Limits::default() };
    let chain = DevChain::in_memory(genesis(), limits, Hand::new().clock());
    chain.send_raw(&transfer(|_| ())).unwrap();
    assert_eq!(refusal(&chain, &transfer(|tx| tx.nonce = 1)), TxRefused::Full { max: 2 });
    assert_eq!(chain.handle("eth_blockNumber", &[]).unwrap(), json!("0x1"));
}

#[test]
fn unknown_methods_and_wrong_parameters_have_their_codes() {
    let chain = chain();
    let code = |method: &str, params: Value| {
        chain.handle(method, params.as_array().unwrap()).unwrap_err().code()
    };
    assert_eq!(code("eth_subscribe", json!([])), -32601);
    assert_eq!(code("evm_mine", json!([])), -32601);
    assert_eq!(code("eth_getBalance", json!([])), -32602);
    assert_eq!(code("eth_getBalance", json!(["0x12"])), -32602);
    assert_eq!(code("eth_sendRawTransaction", json!([5])), -32602);
    assert_eq!(code("eth_getBalance", json!([Address::ZERO, "0x63"])), -32001);
    assert_eq!(code("eth_sendRawTransaction", json!(["0x02c0"])), -32000);
}

#[test]
fn the_constant_answers_are_those_of_a_synced_node_without_keys() {
    let chain = chain();
    for (method, answer) in [
        ("eth_chainId", json!("0x7a69")),
        ("net_version", json!("31337")),
        ("eth_syncing", json!(false)),
        ("eth_accounts", json!([])),
        ("eth_maxPriorityFeePerGas", json!("0x3b9aca00")),
        ("eth_gasPrice", json!("0x77359400")),
    ] {
        assert_eq!(chain.handle(method, &[]).unwrap(), answer, "{method}");
    }
    let version = chain.handle("web3_clientVersion", &[]).unwrap();
    assert!(version.as_str().unwrap().starts_with("devchain/"));
}

#[tokio::test]
async fn the_base_fee_follows_eip_1559() {
    let genesis = Genesis { block_gas_max: 2_000_000, ..genesis() };
    let chain = DevChain::in_memory(genesis, Limits::default(), Hand::new().clock());
    let ledger = Ledger::deploy(chain.provider(signer(0))).await.unwrap();
    for rounds in [1u64, 11_000, 11_000] {
        let sent = ledger.burn(U256::from(rounds)).send().await.unwrap();
        assert!(sent.get_receipt().await.unwrap().status());
    }
    let history = ledger.provider().get_fee_history(5, BlockNumberOrTag::Latest, &[50.0]);
    let history = history.await.unwrap();
    assert_eq!(history.oldest_block, 0);
    let fees = &history.base_fee_per_gas;
    assert_eq!(fees.len(), 6);
    assert_eq!(fees[0..2], [1_000_000_000, 1_000_000_000]);
    for (parent, used) in history.gas_used_ratio.iter().enumerate().skip(1) {
        assert_eq!(fees[parent + 1] > fees[parent], *used > 0.5, "block {parent}");
        let step = (1.0 + (used - 0.5) / 4.0) * fees[parent] as f64;
        assert!((fees[parent + 1] as f64 - step).abs() < 2.0, "block {parent}");
    }
    assert!(fees[5] > fees[3], "two full blocks raise the fee");
    assert!(history.reward.unwrap().iter().skip(1).all(|tips| tips.len() == 1 && tips[0] > 0));
}

#[tokio::test]
async fn finalized_and_safe_lie_the_set_distance_behind_the_head() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    for value in 1..=4 {
        keep(&ledger, value).await;
    }
    let number = async |tag: BlockNumberOrTag| {
        let block = ledger.provider().get_block_by_number(tag).await.unwrap().unwrap();
        block.header.number
    };
    assert_eq!(number(BlockNumberOrTag::Finalized).await, 5);
    chain.set_finality(3);
    assert_eq!(number(BlockNumberOrTag::Finalized).await, 2);
    assert_eq!(number(BlockNumberOrTag::Safe).await, 2);
    assert_eq!(number(BlockNumberOrTag::Latest).await, 5);
    let kept = ledger.kept().block(BlockNumberOrTag::Finalized.into()).call().await.unwrap();
    assert_eq!(kept, U256::from(1));
    chain.mine_empty().unwrap();
    assert_eq!(number(BlockNumberOrTag::Finalized).await, 3);
    chain.set_finality(99);
    assert_eq!(number(BlockNumberOrTag::Finalized).await, 0);
}

#[tokio::test]
async fn a_search_for_logs_has_limits() {
    let limits = Limits { log_blocks_max: 3, logs_max: 2, ..Limits::default() };
    let chain = DevChain::in_memory(genesis(), limits, Hand::new().clock());
    let ledger = deploy(&chain).await;
    for value in 1..=4 {
        keep(&ledger, value).await;
    }
    let logs = async |from: u64, to: u64| {
        let filter = Filter::new().from_block(from).to_block(to);
        ledger.provider().get_logs(&filter).await
    };
    assert_eq!(logs(1, 3).await.unwrap().len(), 2);
    for (from, to) in [(1, 4), (3, 5)] {
        let error = logs(from, to).await.unwrap_err();
        assert_eq!(error.as_error_resp().unwrap().code, -32005, "{from} to {to}");
    }
    assert_eq!(logs(4, 3).await.unwrap().len(), 0);
    assert_eq!(logs(9, 11).await.unwrap().len(), 0);
}

#[tokio::test]
async fn unknown_hashes_are_answered_with_null() {
    let provider = chain().provider(signer(0));
    let hash = alloy::primitives::B256::repeat_byte(1);
    assert!(provider.get_transaction_by_hash(hash).await.unwrap().is_none());
    assert!(provider.get_transaction_receipt(hash).await.unwrap().is_none());
    assert!(provider.get_block_by_hash(hash).await.unwrap().is_none());
    assert!(provider.get_block_by_number(1.into()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_accounts_send_and_read_at_once_and_nothing_is_lost() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    let mut tasks = Vec::new();
    for account in 1..8 {
        let (chain, address) = (chain.clone(), *ledger.address());
        tasks.push(tokio::spawn(async move {
            let ledger = Ledger::new(address, chain.provider(signer(account)));
            for round in 0..5 {
                keep(&ledger, u64::from(account) * 100 + round).await;
                assert!(ledger.kept().call().await.unwrap() >= U256::from(100));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(ledger.provider().get_block_number().await.unwrap(), 1 + 7 * 5);
    let kept = ledger.Kept_filter().from_block(0).query().await.unwrap();
    assert_eq!(kept.len(), 7 * 5);
    for account in 1..8 {
        let nonce = ledger.provider().get_transaction_count(signer(account).address());
        assert_eq!(nonce.pending().await.unwrap(), 5);
    }
}
