use crate::{
    chain::{Chain, Prepared, SignedTx},
    error::{OpenError, RpcError, TxRefused},
    genesis::Genesis,
    journal::{AppendError, Journal, Located, Record},
    limits::Limits,
    rpc::{Params, Reader, json},
};
use alloy::primitives::{B256, Bytes};
use serde_json::Value;
use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

/// The one source of time: unix seconds. It may jump; a block is never earlier than one second
/// after its parent.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Misbehaviour that a test asks for. Each counts down as transactions arrive; `drop` goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// So many next transactions are answered with their hash and then lost.
    pub drop: u32,
    /// So many next transactions are refused as underpriced.
    pub underpriced: u32,
}

/// What opening a journal did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records executed again: blocks and removals.
    pub records: u64,
    /// Bytes of a torn last record that were cut off. It had not been answered.
    pub cut_bytes: u64,
}

/// A development chain. Clones share one chain.
///
/// Reads run beside each other and beside a running transaction; transactions run one at a time,
/// and each is durable before its answer. All methods block the calling thread for as long as the
/// EVM and the disk take: [`EvmTransport`](crate::EvmTransport) and
/// [`serve_http`](crate::serve_http) move that off the async runtime.
#[derive(Clone)]
pub struct DevChain(Arc<Shared>);

struct Shared {
    chain: RwLock<Chain>,
    writer: Mutex<Writer>,
    clock: Clock,
    limits: Limits,
    finality_blocks: AtomicU64,
    /// Each request of a transport reads it. Apart from the chain, which a request lets go first.
    requests: Arc<tokio::sync::RwLock<()>>,
}

/// Whoever holds it is the only one to change the chain.
struct Writer {
    journal: Option<Journal>,
    faults: Faults,
}

impl DevChain {
    /// A chain that is gone with its last clone.
    pub fn in_memory(genesis: Genesis, limits: Limits, clock: Clock) -> Self {
        Self::assemble(Chain::new(genesis), None, limits, clock)
    }

    /// The chain of the journal at `path`, which is created if it does not exist. All blocks are
    /// executed again and must come out with the hashes they had.
    ///
    /// # Errors
    /// [`OpenError`]: the genesis takes more than 8 MiB as JSON, or the file is locked, is no
    /// journal, belongs to another genesis, or holds a broken record (which is named). A torn last
    /// record is no error: see [`Replayed`].
    pub fn open(
        path: &Path,
        genesis: Genesis,
        limits: Limits,
        clock: Clock,
    ) -> Result<(Self, Replayed), OpenError> {
        let opened = Journal::open(path, &genesis)?;
        let mut chain = Chain::new(genesis);
        for located in &opened.records {
            // On a chain that nobody else has yet: no reader sees a head that is still being made.
            replay(&mut chain, located).map_err(|reason| opened.broken_record(located, reason))?;
        }
        // Only now: a file that is another chain's is left as it is.
        let records = opened.records.len() as u64;
        let (journal, cut_bytes) = opened.accept()?;
        let replayed = Replayed { records, cut_bytes };
        Ok((Self::assemble(chain, Some(journal), limits, clock), replayed))
    }

    fn assemble(chain: Chain, journal: Option<Journal>, limits: Limits, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            chain: RwLock::new(chain),
            writer: Mutex::new(Writer { journal, faults: Faults::default() }),
            clock,
            limits,
            finality_blocks: AtomicU64::new(0),
            requests: Arc::default(),
        }))
    }

    /// Answers one JSON-RPC method. See the crate's page for the methods there are.
    ///
    /// # Errors
    /// [`RpcError`], each with its JSON-RPC code.
    pub fn handle(&self, method: &str, params: &[Value]) -> Result<Value, RpcError> {
        let params = Params(params);
        // Before the read lock below: mining waits for every reader and would wait for itself.
        if method == "eth_sendRawTransaction" {
            return json(self.send_raw(&params.at::<Bytes>(0)?)?);
        }
        let now_s = (self.0.clock)();
        let reader = Reader {
            chain: &self.read(),
            limits: &self.0.limits,
            finality_blocks: self.0.finality_blocks.load(Ordering::Relaxed),
            now_s,
        };
        reader.answer(method, &params)
    }

    /// Mines one signed transaction in a block of its own and returns its hash. A transaction that
    /// reverts is mined too; its receipt says so.
    ///
    /// # Errors
    /// [`RpcError::Refused`] if no block came of it, [`RpcError::Journal`] if the block could not
    /// be made durable; then it does not exist either.
    pub fn send_raw(&self, raw: &[u8]) -> Result<B256, RpcError> {
        let tx = self.read().decode(raw)?;
        let hash = *tx.tx_hash();
        // Decoded before the writer is taken: a bad transaction must not wait for a good one.
        let mut writer = self.writer();
        if writer.faults.drop > 0 {
            writer.faults.drop -= 1;
            return Ok(hash);
        }
        if writer.faults.underpriced > 0 {
            writer.faults.underpriced -= 1;
            return Err(TxRefused::Underpriced.into());
        }
        self.mine(&mut writer, Some(tx), raw)?;
        Ok(hash)
    }

    /// Mines a block without a transaction, so that time or finality moves on.
    ///
    /// # Errors
    /// As [`send_raw`](Self::send_raw).
    pub fn mine_empty(&self) -> Result<(), RpcError> {
        self.mine(&mut self.writer(), None, &[])
    }

    /// Removes the last `depth` blocks (never the genesis) and returns their transactions, oldest
    /// first. Later blocks differ from the removed ones even if they hold the same transactions.
    ///
    /// # Errors
    /// [`RpcError::Journal`] if the removal could not be made durable; then nothing is removed.
    pub fn remove_blocks(&self, depth: u64) -> Result<Vec<Bytes>, RpcError> {
        self.remove(&mut self.writer(), depth)
    }

    /// A reorganisation in its simple form: removes the last `depth` blocks and mines their
    /// transactions again at the present time, in their order. Returns how many were mined again.
    ///
    /// # Errors
    /// As [`send_raw`](Self::send_raw).
    pub fn reorganise(&self, depth: u64) -> Result<usize, RpcError> {
        // Held throughout, so that no transaction slips in between the old and the new blocks.
        let mut writer = self.writer();
        let removed = self.remove(&mut writer, depth)?;
        for raw in &removed {
            let tx = self.read().decode(raw)?;
            self.mine(&mut writer, Some(tx), raw)?;
        }
        Ok(removed.len())
    }

    /// From now on the tags `safe` and `finalized` lie `blocks` behind the head (at least at the
    /// genesis). Initially 0. It is not journaled.
    pub fn set_finality(&self, blocks: u64) {
        // Relaxed, because nothing else hangs on it: a reader that sees the old number is only
        // early.
        self.0.finality_blocks.store(blocks, Ordering::Relaxed);
    }

    /// Replaces the faults that are still to come.
    pub fn set_faults(&self, faults: Faults) {
        self.writer().faults = faults;
    }

    /// Ends when no request of a transport runs and none holds the chain. One whose caller gave up
    /// runs to its end, and the journal stays locked until then: whoever opens the chain again
    /// waits here first.
    pub async fn answered(&self) {
        drop(self.0.requests.write().await);
    }

    /// Until it is dropped, [`answered`](Self::answered) waits.
    pub(crate) async fn begin_request(&self) -> tokio::sync::OwnedRwLockReadGuard<()> {
        self.0.requests.clone().read_owned().await
    }

    fn remove(&self, writer: &mut Writer, depth: u64) -> Result<Vec<Bytes>, RpcError> {
        // Durable first, as a block is: a block that was seen to be gone must not come back.
        writer.append(&Record::Remove { depth })?;
        Ok(self.write().remove(depth))
    }

    /// Executes beside the readers, makes durable, and only then shows the block to anyone.
    fn mine(&self, writer: &mut Writer, tx: Option<SignedTx>, raw: &[u8]) -> Result<(), RpcError> {
        let max = self.0.limits.blocks_max;
        let now_s = (self.0.clock)();
        // Under the read lock, which readers share: the EVM runs for as long as it likes, and only
        // the commit below keeps readers out. The writer's lock keeps the head where it is.
        let prepared = {
            let chain = self.read();
            if chain.head() + 1 >= max {
                return Err(TxRefused::Full { max }.into());
            }
            chain.prepare(tx, now_s)?
        };
        // Durable first: a block that somebody saw must be there after a crash.
        writer.append(&block_record(&prepared, raw))?;
        self.write().commit(prepared);
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Chain> {
        self.0.chain.read().expect("a panic while a block is committed ends the chain")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Chain> {
        self.0.chain.write().expect("a panic while a block is committed ends the chain")
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.writer.lock().expect("a panic while a block is mined ends the chain")
    }
}

impl Writer {
    fn append(&mut self, record: &Record) -> Result<(), RpcError> {
        // A chain in memory promises nothing after its end.
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.append(record).map_err(|error| match error {
            AppendError::Io(source) => RpcError::Journal(source),
            AppendError::Closed => RpcError::JournalClosed,
        })
    }
}

fn block_record(prepared: &Prepared, raw: &[u8]) -> Record {
    let block = prepared.block();
    Record::Block { timestamp_s: block.header.timestamp, hash: block.hash, raw: raw.to_vec() }
}

fn replay(chain: &mut Chain, located: &Located) -> Result<(), String> {
    let (timestamp_s, expected, raw) = match &located.record {
        Record::Remove { depth } => {
            chain.remove(*depth);
            return Ok(());
        }
        Record::Block { timestamp_s, hash, raw } => (*timestamp_s, *hash, raw),
    };
    // Executed and not taken on trust: the journal keeps no state, and a hash that differs shows
    // that it was written by other rules.
    let tx = (!raw.is_empty()).then(|| chain.decode(raw)).transpose();
    // The time on record is later than the parent's, so that the block gets it again.
    let prepared = tx.and_then(|tx| chain.prepare(tx, timestamp_s));
    let prepared = prepared.map_err(|refused| format!("expected a block, found {refused}"))?;
    let found = prepared.block().hash;
    if found != expected {
        return Err(format!("expected block {expected}, found {found}"));
    }
    chain.commit(prepared);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_cannot_be_written_does_not_exist_and_no_more_are_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let journal = Journal::unwritable(file.path()).unwrap();
        let genesis = Chain::new(Genesis::default());
        let chain = DevChain::assemble(genesis, Some(journal), Limits::default(), Arc::new(|| 1));
        assert!(matches!(chain.mine_empty().unwrap_err(), RpcError::Journal(_)));
        assert!(matches!(chain.mine_empty().unwrap_err(), RpcError::JournalClosed));
        assert!(matches!(chain.remove_blocks(1).unwrap_err(), RpcError::JournalClosed));
        assert_eq!(chain.handle("eth_blockNumber", &[]).unwrap(), "0x0");
    }
}
