//! Reads from the chain what the core compares. Nothing is decided here.

use std::collections::BTreeSet;

use alloy::providers::{Provider, ProviderBuilder};
use l1_contracts::{Constants, Edge, EdgeError, SettlementState, answer_in_words, rpc_client};
use model::with_causes;

use crate::broken::{Broken, Fault, Item, Unavailable};
use crate::check::{self, ChainKey, OnChain, Settled};
use crate::place::Place;

/// How often the head is read again because a batch settled between two answers.
const ATTEMPTS: usize = 5;

/// What the chain says about the batches up to one moment.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) state: SettlementState,
    pub(crate) settled: Vec<Settled>,
}

pub(crate) async fn connect(place: Place<'_>) -> Result<Edge, Fault> {
    let client = rpc_client(place.rpc.clone());
    let client = client.map_err(|error| no_chain(with_causes(&error)))?;
    // An audit only reads: nothing may fill in a transaction.
    let builder = ProviderBuilder::new().disable_recommended_fillers();
    let provider = builder.connect_client(client).erased();
    let connected = Edge::connect(provider, place.deployment.clone()).await;
    connected.map_err(|e| fault(e, Item::Deployment("contract code")))
}

/// Immutable values and keys.
pub(crate) async fn constants(edge: &Edge) -> Result<OnChain, Fault> {
    let item = || Item::Deployment("constants");
    // First: what other code answers to the questions below means nothing.
    let runtime = edge.runtime().await.map_err(|e| fault(e, item()))?;
    check::contract_code(runtime.is_ours)?;
    let sequencer = edge.sequencer().await.map_err(|e| fault(e, item()))?;
    let constants = edge.constants().await.map_err(|e| fault(e, item()))?;
    let mut keys = Vec::new();
    for record in &edge.deployment().keys {
        let item = || Item::Key { shape: record.shape.clone(), part: "words on chain" };
        let code = edge.key_code(record.id.0).await.map_err(|e| fault(e, item()))?;
        // Of an id that it was never given the contract has no code, and no words to compare.
        if code.is_zero() {
            let item = Item::Key { shape: record.shape.clone(), part: "id" };
            let expected = "an id that the contract accepts";
            return Err(Broken::outside(item, expected, record.id.to_string()).into());
        }
        let found = edge.verifying_key(record.id.0).await;
        let (key, circuit) = found.map_err(|e| fault(e, item()))?;
        keys.push(ChainKey { code, circuit, key });
    }
    let Constants { registrar, receipt_signer, genesis_time } = constants;
    let runtime_hash = runtime.hash;
    Ok(OnChain { sequencer, registrar, receipt_signer, runtime_hash, genesis_time, keys })
}

/// Events and head of one moment: a batch that settles meanwhile belongs to the next audit.
pub(crate) async fn history(edge: &Edge) -> Result<History, Fault> {
    let mut state = edge.state().await.map_err(|e| fault(e, Item::Head("state")))?;
    for _ in 0..ATTEMPTS {
        let events = edge.settled_batches().await.map_err(|e| fault(e, Item::Header("event")))?;
        let after = edge.state().await.map_err(|e| fault(e, Item::Head("state")))?;
        // If the state is the same before and after the events, they are those of the state.
        if after != state {
            state = after;
            continue;
        }
        let mut settled = Vec::with_capacity(events.len());
        for batch in events {
            // Times come from blocks: the lateness in the event is what is to be checked.
            let time = edge.block_time(batch.block).await;
            let block_time = time.map_err(|e| fault(e, Item::Header("block")))?;
            settled.push(Settled { batch, block_time });
        }
        return expect_all(state, settled);
    }
    Err(no_chain("its head moved during every reading".into()).into())
}

/// A node that has dropped old events cannot serve an audit; that is not the contract's fault.
fn expect_all(state: SettlementState, settled: Vec<Settled>) -> Result<History, Fault> {
    let numbers: BTreeSet<u64> = settled.iter().map(|one| one.batch.header.number.0).collect();
    match (1..=state.number).find(|number| !numbers.contains(number)) {
        None => Ok(History { state, settled }),
        Some(number) => {
            let what = format!("the event of batch {number}");
            let why = format!("the chain node delivers no log of it, of {} settled", state.number);
            Err(Unavailable { what, why }.into())
        }
    }
}

fn no_chain(why: String) -> Unavailable {
    Unavailable { what: "the base chain".into(), why }
}

/// What the chain did not answer is unavailable; what it answered wrongly is broken.
fn fault(error: EdgeError, item: Item) -> Fault {
    match error {
        EdgeError::Transport(source) => no_chain(answer_in_words(&source)).into(),
        EdgeError::Pending(why) => no_chain(why).into(),
        EdgeError::Beyond { .. } => no_chain(with_causes(&error)).into(),
        EdgeError::WrongChain { expected, found } => {
            let item = Item::Deployment("chain id");
            Broken::outside(item, expected.to_string(), found.to_string()).into()
        }
        other => Broken::outside(item, "an answer of the settlement contract", with_causes(&other))
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use model::{Millis, Position, Word};

    use super::*;

    #[test]
    fn a_node_without_the_old_logs_makes_an_audit_unavailable() {
        let state = SettlementState {
            number: 2,
            root: Word::ZERO,
            head_hash: [0; 32],
            last_t1: Millis::default(),
            journal_position: Position(0),
            lateness_max_ms: 0,
        };
        let missing = expect_all(state.clone(), Vec::new()).expect_err("two batches are missing");
        assert!(matches!(missing, Fault::Unavailable(u) if u.what == "the event of batch 1"));
        assert!(expect_all(SettlementState { number: 0, ..state }, Vec::new()).is_ok());
    }
}
