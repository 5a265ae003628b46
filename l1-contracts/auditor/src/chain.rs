//! Reads from the chain what the core compares. Nothing is decided here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::providers::{Provider, ProviderBuilder};
use l1_contracts::{
    Constants, Edge, EdgeError, Patience, SettledBatch, SettlementState, answer_in_words,
    is_no_tls, patient_rpc_client,
};
use model::{BatchNumber, with_causes};

use crate::broken::{Broken, Fault, Item, Refused, Unavailable};
use crate::check::{self, ChainKey, OnChain, Settled};
use crate::place::Place;
use crate::progress::{Progress, Step};

/// How often the past is read again because it changed meanwhile, or the answers are of nodes that
/// are not equally far.
const ATTEMPTS: u32 = 5;
/// Before it is read again.
const PAUSE: Duration = Duration::from_secs(1);

/// What an earlier audit found.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// The first batches: taken over if the last of them is still where it was, and read like all
    /// others if not.
    pub(crate) known: Vec<Settled>,
    /// The last batch of which it is known in which block it settled for good, and that block.
    pub(crate) last: Option<(BatchNumber, u64)>,
}

/// What the chain says about the batches up to one block.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) state: SettlementState,
    pub(crate) settled: Vec<Settled>,
    /// How many of them, from the first on, were known before and not read again.
    pub(crate) known: usize,
    /// The last block that no reorganisation takes back; 0 if the node cannot say.
    pub(crate) final_block: u64,
}

pub(crate) async fn connect(place: Place<'_>, patience: Patience) -> Result<Edge, Fault> {
    let client = patient_rpc_client(place.rpc.clone(), patience);
    let client = client.map_err(|error| no_chain(with_causes(&error)))?;
    // An audit only reads: nothing may fill in a transaction.
    let builder = ProviderBuilder::new().disable_recommended_fillers();
    let provider = builder.connect_client(client).erased();
    let connected = Edge::connect(provider, place.deployment.clone()).await;
    connected.map_err(|error| match error {
        EdgeError::WrongChain { .. } | EdgeError::NoContract { .. } => {
            let rpc = place.rpc;
            let found = with_causes(&error);
            no_chain(format!("the node at {rpc} is of another chain, or behind: {found}")).into()
        }
        other => fault(other, Item::Deployment("contract code")),
    })
}

/// How long this audit waits for a busy node; each wait is told.
pub(crate) fn patience(progress: &Arc<dyn Progress>) -> Patience {
    let progress = progress.clone();
    Patience::long(Arc::new(move |wait| progress.waits(wait)))
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

/// Events and state up to one block: a batch that settles meanwhile belongs to the next audit.
pub(crate) async fn history(
    edge: &Edge,
    mut before: Before,
    progress: &dyn Progress,
) -> Result<History, Fault> {
    let mut why = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 && !why.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        match read_once(edge, &before, progress).await? {
            Reading::Whole(history) => return Ok(history),
            Reading::OtherPast => before.known.clear(),
            Reading::Moved(moved) => why = moved,
        }
    }
    Err(no_chain(format!("it was read {ATTEMPTS} times, and {why}")).into())
}

/// What reading the past once came to.
enum Reading {
    Whole(History),
    /// The known batches are not where they were.
    OtherPast,
    /// Two answers do not fit each other, and why: they may the next time.
    Moved(String),
}

async fn read_once(
    edge: &Edge,
    before: &Before,
    progress: &dyn Progress,
) -> Result<Reading, Fault> {
    let known = &before.known;
    let state_fault = |e| fault(e, Item::Head("state"));
    let head = edge.block(BlockNumberOrTag::Latest).await.map_err(state_fault)?;
    let head = head.ok_or_else(|| no_chain("it names no head".into()))?;
    // A node that is behind knows nothing of what settled later: that is no other past.
    if let Some((number, block)) = before.last.filter(|(_, block)| head.number < *block) {
        let (at, number) = (head.number, number.0);
        let moved = format!("the node is at block {at}, batch {number} settled in block {block}");
        return Ok(Reading::Moved(moved));
    }
    let state = match edge.state_after(&head).await {
        // Behind one address may stand several nodes, of which some do not have the block yet.
        Err(EdgeError::Transport(error)) if error.as_error_resp().is_some() => {
            return Ok(Reading::Moved(answer_in_words(&error)));
        }
        answer => answer.map_err(state_fault)?,
    };
    let first = known.last().map_or(edge.deployment().block, |last| last.batch.block);
    let of = head.number.saturating_sub(first).saturating_add(1);
    let tell = |done| progress.at(Step::Blocks, done, of);
    let events = edge.settled_between(first, head.number, &tell).await;
    let events = events.map_err(|e| fault(e, Item::Header("event")))?;
    let Some(events) = without_known(known, events) else { return Ok(Reading::OtherPast) };
    let mut settled = known.clone();
    if let Some(moved) = read_blocks(edge, events, &mut settled, progress).await? {
        return Ok(Reading::Moved(moved));
    }
    // All of it is the past of this block: was it taken back, some of it may be, too.
    let still = edge.block(head.number.into()).await.map_err(state_fault)?;
    if still.is_none_or(|block| block.hash != head.hash) {
        return Ok(Reading::Moved("its head was reorganised away meanwhile".into()));
    }
    let final_block = final_block(edge).await?;
    whole(History { state, settled, known: known.len(), final_block })
}

/// Adds the events with the times of their blocks; gives why not, if a block is another by now.
async fn read_blocks(
    edge: &Edge,
    events: Vec<SettledBatch>,
    settled: &mut Vec<Settled>,
    progress: &dyn Progress,
) -> Result<Option<String>, Fault> {
    let of = (settled.len() + events.len()) as u64;
    let mut last = None;
    for batch in events {
        progress.at(Step::Headers, settled.len() as u64 + 1, of);
        // Times come from blocks: the lateness in the event is what is to be checked.
        let block = match last.filter(|(number, _)| *number == batch.block) {
            Some((_, block)) => block,
            None => {
                let block = edge.block(batch.block.into()).await;
                block.map_err(|e| fault(e, Item::Header("block")))?
            }
        };
        last = Some((batch.block, block));
        match block.filter(|block| block.hash == batch.block_hash) {
            Some(block) => settled.push(Settled { batch, block_time: block.time }),
            None => {
                let (number, block) = (batch.header.number.0, batch.block);
                let moved = format!("block {block}, in which batch {number} settled, is another");
                return Ok(Some(moved));
            }
        }
    }
    Ok(None)
}

/// The events behind those that are known; `None` unless these are all where they were.
fn without_known(known: &[Settled], events: Vec<SettledBatch>) -> Option<Vec<SettledBatch>> {
    let is_known = |event: &SettledBatch| event.header.number.0 <= known.len() as u64;
    let (old, new): (Vec<_>, Vec<_>) = events.into_iter().partition(is_known);
    let known_as = |event: &SettledBatch| {
        let at = event.header.number.0.checked_sub(1)?;
        known.get(usize::try_from(at).ok()?).map(|known| &known.batch)
    };
    let unchanged = old.iter().all(|event| known_as(event) == Some(event));
    let last = known.last().map(|known| &known.batch);
    (unchanged && old.last() == last).then_some(new)
}

async fn final_block(edge: &Edge) -> Result<u64, Fault> {
    match edge.block(BlockNumberOrTag::Finalized).await {
        Ok(block) => Ok(block.map_or(0, |block| block.number)),
        // Not every node knows the tag: then nothing is final.
        Err(EdgeError::Transport(error)) if error.as_error_resp().is_some() => Ok(0),
        Err(error) => Err(fault(error, Item::Head("final block"))),
    }
}

/// A node that has dropped old events cannot serve an audit; that is not the contract's fault. One
/// that does not have the newest ones yet may have them the next time.
fn whole(history: History) -> Result<Reading, Fault> {
    let numbers: BTreeSet<u64> =
        history.settled.iter().map(|one| one.batch.header.number.0).collect();
    let state = &history.state;
    let Some(number) = (1..=state.number).find(|number| !numbers.contains(number)) else {
        return Ok(Reading::Whole(history));
    };
    let why = format!("the chain node delivers no log of it, of {} settled", state.number);
    if number > 1 && numbers.last().is_some_and(|last| *last < number) {
        return Ok(Reading::Moved(format!("batch {number} has no event: {why}")));
    }
    let what = format!("the event of batch {number}");
    Err(Unavailable { what, why }.into())
}

fn no_chain(why: String) -> Unavailable {
    Unavailable { what: "the base chain".into(), why }
}

/// What the chain did not answer is unavailable; what it answered wrongly is broken.
fn fault(error: EdgeError, item: Item) -> Fault {
    match error {
        EdgeError::Transport(source) if is_no_tls(&source) => {
            Refused::no_tls("address of the chain's node").into()
        }
        EdgeError::Transport(source) => no_chain(answer_in_words(&source)).into(),
        EdgeError::Pending(why) => no_chain(why).into(),
        EdgeError::Beyond { .. } => no_chain(with_causes(&error)).into(),
        // Nodes of two histories behind one address, or one that lies: no contract does this.
        EdgeError::TwoLogs { .. } => {
            no_chain(format!("{}: ask another node", with_causes(&error))).into()
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
        let history = History { state, settled: Vec::new(), known: 0, final_block: 0 };
        let missing = whole(history.clone()).err().expect("two batches are missing");
        assert!(matches!(missing, Fault::Unavailable(u) if u.what == "the event of batch 1"));
        let state = SettlementState { number: 0, ..history.state };
        assert!(matches!(whole(History { state, ..history }), Ok(Reading::Whole(_))));
    }
}
