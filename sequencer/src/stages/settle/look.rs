//! Reads what the next action depends on, all of it as of one block.
//!
//! Behind one address may stand several nodes, and some are blocks behind. So the head is asked
//! once, nonce, counter and balance are asked of that block by its hash, and a node that does not
//! have it is asked again, for the next answer may be another's. Receipts know no block to be asked
//! of: what they say is held against the counter ([`next_action`](super::plan::next_action)).

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::B256;
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionReceipt;
use l1_contracts::EdgeError;
use model::BatchNumber;

use super::error::{SettleError, transport};
use super::plan::{OnChain, Row, View};
use super::settler::Settler;
use crate::folder::store::OutboxRow;

/// How often one question is asked before its error counts: if half of the nodes behind an address
/// lack the block, one look in ten fails.
const ASKED_MAX: usize = 6;

/// JSON-RPC's code for parameters that a node does not take: it knows no blocks by hash.
const INVALID_PARAMS: i64 = -32602;

/// A receipt with the block that it is in.
pub(super) struct MinedReceipt {
    pub(super) receipt: TransactionReceipt,
    pub(super) block: u64,
    pub(super) block_hash: [u8; 32],
}

/// The block that a look is of.
#[derive(Clone, Copy)]
struct Head {
    number: u64,
    hash: B256,
}

/// What the chain says of account and contract after the head.
struct Pinned {
    account_nonce: u64,
    settled: u64,
}

/// The last batch of which a transaction was given to the chain's node, or that is settled: of
/// those rows of the outbox that are neither final nor void.
pub fn last_sent(settled: u64, pending: &[(u64, OutboxRow)]) -> u64 {
    let sent = pending.iter().filter(|(_, row)| !row.never_left());
    sent.map(|(_, row)| row.last).fold(settled, u64::max)
}

impl Settler {
    pub(super) async fn look(&mut self) -> Result<View, SettleError> {
        let head = self.head().await?;
        // Before the receipts: a nonce seen used here whose receipt is not there is another's.
        // Asked after them, a transaction mined in between would look like another's and be given
        // up.
        let Pinned { account_nonce, settled } = self.pinned(head).await?;
        let pending = self.store.outbox_pending()?;
        let mut rows = Vec::with_capacity(pending.len());
        for (nonce, row) in &pending {
            let found = self.find(row).await?;
            rows.push(Row { nonce: *nonce, last: row.last, state: row.state, found });
        }
        let finalized = self.finalized(head.number).await?;
        let waiting =
            self.store.assembled_from(BatchNumber(settled + 1), self.config.batches_max)?;
        // At most one row is open: nothing is built beside it.
        let open = pending.iter().find(|(_, row)| row.is_open()).map(|(nonce, _)| *nonce);
        self.metrics.outbox_pending.set(rows.len() as i64);
        self.metrics.batch_settled.set(settled as i64);
        self.metrics.batch_sent.set(last_sent(settled, &pending) as i64);
        // Whatever failed before is behind, once the contract gets on.
        self.failed = self.failed.take().filter(|failed| failed.settled == settled);
        Ok(View {
            now: self.clock.now(),
            head: head.number,
            head_hash: head.hash.0,
            account_nonce,
            finalized,
            settled,
            recorded: self.store.last_settled()?.0,
            rows,
            waiting: waiting.into_iter().map(|(number, row)| (number.0, row.t1)).collect(),
            sent_here: open.is_some() && open == self.sent,
            underpriced: open.is_some() && open == self.underpriced.map(|(nonce, _)| nonce),
            doubt: self.doubt,
            hold_until: self.failed.as_ref().map(|failed| failed.until),
        })
    }

    async fn head(&self) -> Result<Head, SettleError> {
        let head = self.edge.provider().get_block_by_number(BlockNumberOrTag::Latest).await;
        let missing = || EdgeError::Pending("its head".into());
        let header = head.map_err(transport)?.ok_or_else(missing)?.header;
        let base_fee = header.base_fee_per_gas.unwrap_or_default();
        self.metrics.settle_base_fee_wei.set(base_fee as f64);
        Ok(Head { number: header.number, hash: header.hash })
    }

    /// How the head is named where something is asked of it.
    pub(super) fn block_id(&self, number: u64, hash: [u8; 32]) -> BlockId {
        match self.pins_by_number {
            true => number.into(),
            false => BlockId::hash(hash.into()),
        }
    }

    async fn pinned(&mut self, head: Head) -> Result<Pinned, SettleError> {
        let (provider, account) = (self.edge.provider().clone(), self.signer.address());
        let at = self.block_id(head.number, head.hash.0);
        let nonce = || async {
            provider.get_transaction_count(account).block_id(at).await.map_err(transport)
        };
        let account_nonce = match ask(nonce).await {
            Err(error) if !self.pins_by_number && error.rpc_code() == Some(INVALID_PARAMS) => {
                tracing::warn!("the chain's node takes no block by its hash: asked by number");
                self.pins_by_number = true;
                return Err(error);
            }
            answer => answer?,
        };
        let edge = self.edge.clone();
        let settled = || async { Ok(edge.settled_at(at).await?) };
        let settled = ask(settled).await?;
        let balance =
            || async { provider.get_balance(account).block_id(at).await.map_err(transport) };
        self.metrics.settle_balance_wei.set(f64::from(ask(balance).await?));
        if self.pins_by_number {
            let again = provider.get_block_by_number(head.number.into()).await;
            let again = again.map_err(transport)?.map(|block| block.header.hash);
            // A number may mean another block by the next question.
            if again != Some(head.hash) {
                return Err(SettleError::Moved { number: head.number });
            }
        }
        Ok(Pinned { account_nonce, settled })
    }

    async fn finalized(&self, head: u64) -> Result<u64, SettleError> {
        if self.config.confirmations > 0 {
            // Confirmed by its own block and those upon it.
            return Ok((head + 1).saturating_sub(self.config.confirmations));
        }
        let finalized = self.edge.provider().get_block_number_by_id(BlockId::finalized()).await;
        // A young chain calls no block final; then nothing of ours is.
        Ok(finalized.map_err(transport)?.unwrap_or(0))
    }

    pub(super) async fn find(&self, row: &OutboxRow) -> Result<OnChain, SettleError> {
        if let Some(mined) = self.find_receipt(row).await? {
            let MinedReceipt { receipt, block, block_hash } = mined;
            return Ok(OnChain::Mined { block, block_hash, succeeded: receipt.status() });
        }
        // Only the latest: a node forgets a transaction once another replaced it.
        let latest = self.edge.provider().get_transaction_by_hash(B256::from(row.hash)).await;
        Ok(OnChain::Nothing { known: latest.map_err(transport)?.is_some() })
    }

    /// The receipt of whichever of the row's transactions is mined.
    pub(super) async fn find_receipt(
        &self,
        row: &OutboxRow,
    ) -> Result<Option<MinedReceipt>, SettleError> {
        // A replacement does not unsend what it replaced: the cheaper one may still be mined.
        for hash in row.hashes() {
            let receipt = self.edge.provider().get_transaction_receipt(B256::from(hash)).await;
            let Some(receipt) = receipt.map_err(transport)? else { continue };
            // Some nodes answer for a transaction that is pending, then without a block.
            if let (Some(block), Some(hash)) = (receipt.block_number, receipt.block_hash) {
                return Ok(Some(MinedReceipt { receipt, block, block_hash: hash.0 }));
            }
        }
        Ok(None)
    }
}

/// Asks until there is an answer that is no error, a few times. Who does not answer at all is not
/// asked again: that takes long, and the round's pause is for it.
pub(super) async fn ask<T, F>(question: impl Fn() -> F) -> Result<T, SettleError>
where
    F: Future<Output = Result<T, SettleError>>,
{
    let mut asked = 1;
    loop {
        match question().await {
            Err(error) if asked < ASKED_MAX && error.is_worth_asking_again() => asked += 1,
            answer => return answer,
        }
    }
}
