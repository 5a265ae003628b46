//! What the chain says of its past: blocks, and the batches that were settled in them.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::B256;
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use alloy::transports::{RpcError, TransportErrorKind};
use model::{BatchHeader, Millis, escape};

use crate::batch::from_abi;
use crate::bindings::Settlement;
use crate::edge::{Edge, EdgeError, SettlementState, small};
use crate::log_range::{LogRange, suggested_blocks};
use crate::transport::{is_late, may_be_too_much};

/// Most blocks that are searched: at four a second those of eight years. A node that names a later
/// head would keep its reader busy for ever.
const BLOCKS_MAX: u64 = 1_000_000_000;

/// Most batches that are read at once: at one a minute those of four years, some two gigabytes.
const SETTLED_MAX: u64 = 2_000_000;

/// A `BatchSettled` event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettledBatch {
    /// The header.
    pub header: BatchHeader,
    /// Its hash as the event says.
    pub header_hash: [u8; 32],
    /// How late it settled, milliseconds.
    pub lateness_ms: u64,
    /// The transaction.
    pub transaction: B256,
    /// Its block.
    pub block: u64,
    /// The hash of that block.
    pub block_hash: B256,
}

/// A block, as far as anybody here looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time.
    pub time: Millis,
}

impl Edge {
    /// The block of this number or tag; `None` if the node has none.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers.
    pub async fn block(&self, which: BlockNumberOrTag) -> Result<Option<Block>, EdgeError> {
        let block = self.provider().get_block_by_number(which).await?;
        Ok(block.map(|block| Block {
            number: block.header.number,
            hash: block.header.hash,
            time: Millis::from_block_timestamp(block.header.timestamp),
        }))
    }

    /// What the contract stores after this block.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers, or the node does not know the block.
    pub async fn state_after(&self, block: &Block) -> Result<SettlementState, EdgeError> {
        // By its hash: a number may mean another block by the next call.
        self.state_at(BlockId::hash(block.hash)).await
    }

    /// Every settled batch in order, from the deployment's block on.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers or an event is malformed.
    pub async fn settled_batches(&self) -> Result<Vec<SettledBatch>, EdgeError> {
        // The head is read once: what comes meanwhile belongs to the next call, and a head that
        // keeps moving cannot keep this one going.
        let last = self.provider().get_block_number().await?;
        self.settled_between(self.deployment().block, last, &|_| {}).await
    }

    /// Every batch settled in the blocks `first` to `last`, in order of numbers; of equal numbers,
    /// which a reorganisation can leave, in that of blocks. `tell` is told how many of the blocks
    /// are done.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers, an event is malformed, or two of one place differ.
    pub async fn settled_between(
        &self,
        first: u64,
        last: u64,
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<SettledBatch>, EdgeError> {
        if last.saturating_sub(first) > BLOCKS_MAX {
            return Err(EdgeError::Beyond { what: "blocks to search", most: BLOCKS_MAX });
        }
        let mut events = Events::default();
        let mut next = first;
        while next <= last {
            let blocks = self.in_log_range(|range| range.blocks());
            let to = last.min(next.saturating_add(blocks - 1));
            let asked = to - next + 1;
            match self.provider().get_logs(&self.filter(next, to)).await {
                Ok(logs) => {
                    self.in_log_range(|range| range.served(asked));
                    let settlement = self.deployment().settlement;
                    // Some nodes know no filter, and what others say there is not about batches.
                    let ours = logs.iter().filter(|log| log.address() == settlement);
                    ours.filter(|log| is_settled(log)).try_for_each(|log| events.add(log))?;
                    tell(to - first + 1);
                    let Some(behind) = to.checked_add(1) else { break };
                    next = behind;
                }
                Err(error) if asked > 1 && may_be_too_much(&error) => {
                    let suggested = suggestion(&error, asked);
                    self.in_log_range(|range| range.refused(asked, suggested));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(events.in_order())
    }

    fn filter(&self, from: u64, to: u64) -> Filter {
        Filter::new()
            .address(self.deployment().settlement)
            .event_signature(Settlement::BatchSettled::SIGNATURE_HASH)
            .from_block(from)
            .to_block(to)
    }

    fn in_log_range<T>(&self, act: impl FnOnce(&mut LogRange) -> T) -> T {
        // A range is right whatever the thread was about that broke off.
        act(&mut self.log_range().lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn suggestion(error: &RpcError<TransportErrorKind>, asked: u64) -> Option<u64> {
    match error.as_error_resp() {
        Some(payload) => suggested_blocks(&payload.message),
        // Each further silence would cost as long again.
        None => is_late(error).then_some(asked / 16),
    }
}

/// Events by place: a node that repeats one says nothing new.
#[derive(Default)]
struct Events(BTreeMap<Place, SettledBatch>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    block: u64,
    block_hash: B256,
    index: u64,
}

impl Events {
    fn add(&mut self, log: &Log) -> Result<(), EdgeError> {
        // What a reorganisation took back is not settled.
        if log.removed {
            return Ok(());
        }
        let batch = decode_event(log)?;
        let index = log.log_index.ok_or_else(|| EdgeError::Value("a log without its index".into()));
        let (index, block) = (index?, batch.block);
        let place = Place { block, block_hash: batch.block_hash, index };
        if self.0.get(&place).is_some_and(|known| *known != batch) {
            return Err(EdgeError::TwoLogs { block, index });
        }
        self.0.insert(place, batch);
        if self.0.len() as u64 > SETTLED_MAX {
            return Err(EdgeError::Beyond { what: "settled batches", most: SETTLED_MAX });
        }
        Ok(())
    }

    fn in_order(self) -> Vec<SettledBatch> {
        let mut found: Vec<_> = self.0.into_values().collect();
        // They are in order of places, which is that of numbers unless the chain was reorganised
        // while it was read; the sort is stable.
        found.sort_by_key(|batch| batch.header.number);
        found
    }
}

fn is_settled(log: &Log) -> bool {
    log.topic0() == Some(&Settlement::BatchSettled::SIGNATURE_HASH)
}

fn decode_event(log: &Log) -> Result<SettledBatch, EdgeError> {
    let event = Settlement::BatchSettled::decode_log(&log.inner);
    let event = event.map_err(|error| EdgeError::Value(escape(&error.to_string())))?;
    // Only a log that is not mined yet lacks them, and such a batch is not settled.
    let missing = || EdgeError::Value("a log without its transaction".into());
    Ok(SettledBatch {
        header: from_abi(&event.header)?,
        header_hash: event.headerHash.0,
        lateness_ms: small(event.lateness)?,
        transaction: log.transaction_hash.ok_or_else(missing)?,
        block: log.block_number.ok_or_else(missing)?,
        block_hash: log.block_hash.ok_or_else(missing)?,
    })
}
