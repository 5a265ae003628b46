//! What the chain says of its past: blocks, and the batches that were settled in them.
//!
//! Nodes serve logs of so many blocks at once, of so many logs, or of so many bytes, and each says
//! in its own way that it was more. So the range is halved on any refusal that less could mend, the
//! one that was served is kept, and it grows again slowly. What is refused for one block alone is
//! refused for another reason.

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
use crate::transport::{is_late, may_be_too_much};

/// Blocks of logs asked for at once: at first, and at most.
const LOG_BLOCKS_MAX: u64 = 10_000;

/// Ranges served in a row before a larger one is tried, at first.
const SERVED_TO_GROW: u32 = 16;

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
            let blocks = self.in_log_range(|range| range.blocks);
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

/// How many blocks of logs a node serves at once, as far as is known.
#[derive(Debug)]
pub(crate) struct LogRange {
    /// Asked for next.
    blocks: u64,
    /// The largest that was served since the last refusal below it.
    worked: u64,
    in_a_row: u32,
    to_grow: u32,
}

impl Default for LogRange {
    fn default() -> LogRange {
        let to_grow = SERVED_TO_GROW;
        LogRange { blocks: LOG_BLOCKS_MAX, worked: 0, in_a_row: 0, to_grow }
    }
}

impl LogRange {
    fn served(&mut self, asked: u64) {
        // The last range before the head is short and says nothing of longer ones.
        if asked < self.blocks {
            return;
        }
        self.worked = self.worked.max(asked);
        self.in_a_row += 1;
        if self.in_a_row >= self.to_grow {
            self.in_a_row = 0;
            self.blocks = LOG_BLOCKS_MAX.min(self.blocks + self.blocks.div_ceil(4));
        }
    }

    /// The next range is always smaller than `asked`, and at least one block.
    fn refused(&mut self, asked: u64, suggested: Option<u64>) {
        self.in_a_row = 0;
        let fits = |blocks: &u64| (1..asked).contains(blocks);
        if fits(&self.worked) {
            // A limit was found by growing: to try again and again would cost a question each time.
            self.to_grow = self.to_grow.saturating_mul(2);
            self.blocks = self.worked;
            return;
        }
        // What worked before is refused now: of logs, a node serves so many and not of so many
        // blocks.
        self.worked = 0;
        self.blocks = suggested.filter(fits).unwrap_or(asked / 2).max(1);
    }
}

fn suggestion(error: &RpcError<TransportErrorKind>, asked: u64) -> Option<u64> {
    match error.as_error_resp() {
        Some(payload) => suggested_blocks(&payload.message),
        // Each further silence would cost as long again.
        None => is_late(error).then_some(asked / 16),
    }
}

/// The number of blocks that a refusal names, as `[0x10, 0x1f]` or as `500 blocks`; it need not be
/// one that is served.
fn suggested_blocks(message: &str) -> Option<u64> {
    in_brackets(message).or_else(|| before_blocks(message))
}

fn in_brackets(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("[0x")?;
    let (first, rest) = rest.split_once(',')?;
    let (last, _) = rest.trim_start().strip_prefix("0x")?.split_once(']')?;
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| digits)
    };
    number(last)?.checked_sub(number(first)?)?.checked_add(1)
}

fn before_blocks(message: &str) -> Option<u64> {
    let words: Vec<&str> = message.split([' ', '-']).collect();
    let number = |text: &str| {
        let plain = text.replace(',', "");
        let (digits, unit) = match plain.strip_suffix(['k', 'K']) {
            Some(thousands) => (thousands, 1000),
            None => (plain.as_str(), 1),
        };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(unit)
    };
    let named = words.windows(2).filter(|pair| pair[1].starts_with("block"));
    named.filter_map(|pair| number(pair[0])).min()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_may_name_the_range_that_is_served() {
        for (words, expected) in [
            ("Try with this block range [0x10, 0x1f].", Some(16)),
            ("this block range should work: [0x0, 0x1f4]", Some(501)),
            ("block range is too large, max is 500 blocks", Some(500)),
            ("eth_getLogs requests with up to a 2K block range and no limit", Some(2000)),
            ("ranges over 10,000 blocks are not supported on freetier", Some(10_000)),
            ("you can request up to a 10-block range, or 5 blocks", Some(5)),
            ("query returned more than 10000 results", None),
            ("exceed maximum block range: 5000", None),
            ("[0x20, 0x10]", None),
            ("[0x+1, 0x2]", None),
            ("+5 blocks", None),
            ("99999999999999999999 blocks", None),
            ("", None),
        ] {
            assert_eq!(suggested_blocks(words), expected, "{words}");
        }
    }

    /// Reads `total` blocks from a node that serves at most `most` at once; gives the questions
    /// asked and how many of them were refused.
    fn read(range: &mut LogRange, total: u64, most: u64, suggested: Option<u64>) -> [u64; 2] {
        let (mut done, mut asked, mut refused) = (0, 0, 0);
        while done < total {
            let blocks = range.blocks.min(total - done);
            asked += 1;
            if blocks <= most {
                range.served(blocks);
                done += blocks;
            } else {
                refused += 1;
                range.refused(blocks, suggested);
                assert!(range.blocks >= 1 && range.blocks < blocks, "{range:?}");
            }
        }
        [asked, refused]
    }

    #[test]
    fn a_limit_is_found_in_few_questions_and_tried_rarely_again() {
        for most in [1, 2, 7, 100, 500, 1024, 5000, 9999, 10_000, 50_000] {
            let [asked, refused] = read(&mut LogRange::default(), 1_000_000, most, None);
            let least = 1_000_000_u64.div_ceil(most.min(LOG_BLOCKS_MAX));
            assert!(asked <= 3 * least + 20, "{most}: asked {asked}, at best {least}");
            // To halve 10,000 down to one, and a try to grow after 16, 32, 64 .. questions.
            assert!(refused <= 14 + 16, "{most}: refused {refused}");
        }
        let [_, refused] = read(&mut LogRange::default(), 100_000, 500, Some(500));
        assert!(refused <= 4, "a suggestion is taken: {refused}");
        for wrong in [0, 10_000, u64::MAX] {
            let [asked, _] = read(&mut LogRange::default(), 100_000, 500, Some(wrong));
            assert!(asked < 1000, "a suggestion that helps nothing: {asked}");
        }
    }

    #[test]
    fn what_worked_is_kept_grows_again_and_gives_way() {
        let mut range = LogRange::default();
        read(&mut range, 10_000, 300, None);
        let dense = range.blocks;
        assert!((150..=300).contains(&dense), "{dense}");
        read(&mut range, 10_000_000, u64::MAX, None);
        assert_eq!(range.blocks, LOG_BLOCKS_MAX);
        read(&mut range, 1000, 3, None);
        assert!(range.blocks <= 3, "{}", range.blocks);
    }
}
