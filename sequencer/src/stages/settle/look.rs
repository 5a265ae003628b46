//! Reads what the next action depends on.

use alloy::eips::BlockId;
use alloy::primitives::B256;
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionReceipt;
use model::BatchNumber;

use super::error::{SettleError, transport};
use super::plan::{OnChain, Row, View};
use super::settler::Settler;
use crate::folder::store::OutboxRow;

/// A receipt with the block that it is in.
pub(super) struct MinedReceipt {
    pub(super) receipt: TransactionReceipt,
    pub(super) block: u64,
    pub(super) block_hash: [u8; 32],
}

impl Settler {
    pub(super) async fn look(&self) -> Result<View, SettleError> {
        let provider = self.edge.provider();
        // Before the receipts: a nonce seen used here whose receipt is not there is another's.
        // Asked after them, a transaction mined in between would look like another's and be given
        // up.
        let account = self.signer.address();
        let account_nonce = provider.get_transaction_count(account).await.map_err(transport)?;
        let pending = self.store.outbox_pending()?;
        let mut rows = Vec::with_capacity(pending.len());
        for (nonce, row) in &pending {
            rows.push(Row { nonce: *nonce, state: row.state, found: self.find(row).await? });
        }
        let finalized = provider.get_block_number_by_id(BlockId::finalized()).await;
        let settled = self.edge.state().await?.number;
        let waiting =
            self.store.assembled_from(BatchNumber(settled + 1), self.config.batches_max)?;
        // At most one row is open: nothing is built beside it.
        let open = pending.iter().find(|(_, row)| row.is_open()).map(|(nonce, _)| *nonce);
        self.metrics.outbox_pending.set(rows.len() as i64);
        self.metrics.batch_settled.set(settled as i64);
        Ok(View {
            now: self.clock.now(),
            account_nonce,
            // A young chain calls no block final; then nothing of ours is.
            finalized: finalized.map_err(transport)?.unwrap_or(0),
            settled,
            recorded: self.store.last_settled()?.0,
            rows,
            waiting: waiting.into_iter().map(|(number, row)| (number.0, row.t1)).collect(),
            sent_here: open.is_some() && open == self.sent,
            underpriced: open.is_some() && open == self.underpriced.map(|(nonce, _)| nonce),
        })
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
