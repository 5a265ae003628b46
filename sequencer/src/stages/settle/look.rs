//! Reads what the next action depends on.

use alloy::eips::BlockId;
use alloy::primitives::B256;
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionReceipt;
use model::BatchNumber;

use super::error::{SettleError, transport};
use super::plan::{Found, Row, View};
use super::settler::Settler;
use crate::folder::store::OutboxRow;

impl Settler {
    pub(super) async fn look(&self) -> Result<View, SettleError> {
        let provider = self.edge.provider();
        // Before the receipts: a nonce seen used here whose receipt is not there is another's.
        let account = self.signer.address();
        let account_nonce = provider.get_transaction_count(account).await.map_err(transport)?;
        let pending = self.store.outbox_pending()?;
        let mut rows = Vec::with_capacity(pending.len());
        for (nonce, row) in &pending {
            rows.push(Row { nonce: *nonce, state: row.state, found: self.found(row).await? });
        }
        let finalized = provider.get_block_number_by_id(BlockId::finalized()).await;
        let settled = self.edge.state().await?.number;
        let waiting =
            self.store.assembled_from(BatchNumber(settled + 1), self.config.batches_max)?;
        let open = pending.iter().find(|(_, row)| row.is_open()).map(|(nonce, _)| *nonce);
        self.metrics.outbox_pending.set(rows.len() as i64);
        self.metrics.batch_settled.set(settled as i64);
        Ok(View {
            now: self.clock.now(),
            account_nonce,
            finalized: finalized.map_err(transport)?.unwrap_or(0),
            settled,
            recorded: self.store.last_settled()?.0,
            rows,
            waiting: waiting.into_iter().map(|(number, row)| (number.0, row.t1)).collect(),
            sent_here: open.is_some() && open == self.sent,
            underpriced: open.is_some() && open == self.underpriced,
        })
    }

    async fn found(&self, row: &OutboxRow) -> Result<Found, SettleError> {
        if let Some((receipt, block, block_hash)) = self.receipt(row).await? {
            return Ok(Found::Mined {
                block,
                block_hash: block_hash.0,
                succeeded: receipt.status(),
            });
        }
        let latest = self.edge.provider().get_transaction_by_hash(B256::from(row.hash)).await;
        Ok(Found::Nothing { known: latest.map_err(transport)?.is_some() })
    }

    /// The receipt of whichever of the row's transactions is mined, with its block.
    pub(super) async fn receipt(
        &self,
        row: &OutboxRow,
    ) -> Result<Option<(TransactionReceipt, u64, B256)>, SettleError> {
        for hash in row.hashes() {
            let receipt = self.edge.provider().get_transaction_receipt(B256::from(hash)).await;
            let Some(receipt) = receipt.map_err(transport)? else { continue };
            if let (Some(block), Some(hash)) = (receipt.block_number, receipt.block_hash) {
                return Ok(Some((receipt, block, hash)));
            }
        }
        Ok(None)
    }
}
