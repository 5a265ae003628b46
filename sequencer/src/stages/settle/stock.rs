//! What became of the outbox, for whoever must know before a node goes on after a loss.

use alloy::primitives::B256;
use alloy::providers::Provider as _;
use l1_contracts::headers_of_calldata;
use model::BatchHeader;
use tokio::time::timeout;

use super::error::{SettleError, transport};
use super::fees;
use super::plan::{Action, OnChain, row_action};
use super::settler::Settler;
use crate::folder::store::OutboxRow;

/// A row of the outbox of which the chain says nothing that would close it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open {
    /// The account's nonce.
    pub nonce: u64,
    /// First batch that it settles.
    pub first: u64,
    /// Last batch that it settles.
    pub last: u64,
    /// Hash of the latest transaction.
    pub hash: B256,
    /// Whether no transaction of it can be mined, because nobody was ever given one.
    pub never_left: bool,
}

impl Settler {
    /// Records whatever the chain says of the outbox, as the rounds of a running node do: mined,
    /// final, failed, gone again, or the nonce used otherwise. Builds, sends and replaces nothing.
    /// What is left is open: it may be mined yet, if it ever left this node. One look is believed:
    /// a person asks, and can ask again.
    ///
    /// # Errors
    /// [`SettleError`]; what was recorded until then is true and stays.
    pub async fn take_stock(&mut self) -> Result<Vec<Open>, SettleError> {
        let deadline = self.config.round_max();
        while timeout(deadline, self.record_next()).await.map_err(|_| SettleError::Deadline)?? {}
        let pending = self.store.outbox_pending()?;
        let open = pending.iter().filter(|(_, row)| row.is_open());
        let mut found = Vec::new();
        for (nonce, row) in open {
            // The outbox says so before anything leaves; the chain's node is asked all the same.
            let never_left =
                row.never_left() && self.find(row).await? == OnChain::Nothing { known: false };
            let (first, last, hash) = (row.first, row.last, row.hash.into());
            found.push(Open { nonce: *nonce, first, last, hash, never_left });
        }
        Ok(found)
    }

    /// The first nonce of the account that a waiting transaction uses of which the outbox, whose
    /// open rows are these, knows nothing: after a rollback of the whole machine, or where somebody
    /// else has the key. A chain's node that keeps no pool, or lost it, knows of none.
    ///
    /// # Errors
    /// [`SettleError`] if the chain does not answer.
    pub async fn foreign_nonce(&self, open: &[Open]) -> Result<Option<u64>, SettleError> {
        let (provider, account) = (self.edge.provider(), self.signer.address());
        // What waits before what is mined: a transaction that is mined in between is mined then.
        let waiting = provider.get_transaction_count(account).pending().await;
        let waiting = waiting.map_err(transport)?;
        let mined = provider.get_transaction_count(account).await.map_err(transport)?;
        Ok(first_foreign(waiting, mined, open))
    }

    /// Gives up the nonces of rows that never left: their batches are no longer settled by them.
    ///
    /// # Errors
    /// [`SettleError::Store`].
    pub fn void_rows<'a>(
        &mut self,
        rows: impl IntoIterator<Item = &'a Open>,
    ) -> Result<(), SettleError> {
        rows.into_iter().try_for_each(|row| self.void(row.nonce).map(drop))
    }

    /// One thing that the chain says and the outbox does not know; whether there was one.
    async fn record_next(&mut self) -> Result<bool, SettleError> {
        let view = self.look().await?;
        let actions = view.rows.iter().filter_map(|row| row_action(&view, row, &self.config));
        let says = |action: &Action| match action {
            Action::Record(_)
            | Action::Reopen(_)
            | Action::Finish(_)
            | Action::Void(_)
            | Action::Failed(_) => true,
            Action::Idle
            | Action::Wait(_)
            | Action::Recheck(_)
            | Action::Adopt
            | Action::Build { .. }
            | Action::Send(_)
            | Action::Replace(_) => false,
        };
        let Some(action) = actions.into_iter().find(says) else { return Ok(false) };
        match self.act(&view, action).await {
            // Written down as void first; that it failed is nobody's hope any more.
            Err(SettleError::Failed { .. }) | Ok(_) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// The first waiting nonce that is neither mined nor of a row that left: what was never given to
/// anybody waits nowhere, so another transaction has its nonce.
fn first_foreign(waiting: u64, mined: u64, open: &[Open]) -> Option<u64> {
    let left = open.iter().filter(|row| !row.never_left).map(|row| row.nonce.saturating_add(1));
    let known = left.fold(mined, u64::max);
    (waiting > known).then_some(known)
}

/// The headers that a row's latest transaction carries; none where it holds no such bytes any more.
pub fn carried_headers(row: &OutboxRow) -> Vec<BatchHeader> {
    let transaction = fees::decode(&row.signed);
    let headers = transaction.and_then(|transaction| headers_of_calldata(&transaction.input).ok());
    headers.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloy::primitives::keccak256;
    use devchain::Faults;

    use super::super::tests::{Bench, signer};
    use super::*;
    use crate::folder::store::OutboxState;

    async fn stock(bench: &Bench) -> Vec<Open> {
        let mut settler = bench.settler_on(bench.edge.clone(), bench.store.clone());
        settler.take_stock().await.unwrap()
    }

    /// One round of a node that is stopped after it.
    async fn step(bench: &Bench) {
        bench.settler_on(bench.edge.clone(), bench.store.clone()).step().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_signed_and_never_sent_is_told_from_what_left() {
        let bench = Bench::with(2).await;
        assert_eq!(stock(&bench).await, []);
        step(&bench).await;
        let [row] = &bench.rows()[..] else { panic!("one row") };
        let headers = carried_headers(row);
        let numbers: Vec<u64> = headers.iter().map(|header| header.number.0).collect();
        assert_eq!(numbers, [1, 2]);
        let hash = row.hash.into();
        let [open] = stock(&bench).await[..] else { panic!("one open row") };
        let built = Open { nonce: open.nonce, first: 1, last: 2, hash, never_left: true };
        assert_eq!(open, built);
        // Lost on the way, but somebody had it.
        bench.chain.set_faults(Faults { drop: 1, ..Faults::default() });
        step(&bench).await;
        assert_eq!(stock(&bench).await, [Open { never_left: false, ..built }]);
        assert_eq!(stock(&bench).await.len(), 1, "and nothing is sent by looking");
        assert!(bench.counts().await.is_empty());
    }

    #[test]
    fn a_waiting_nonce_is_foreign_unless_it_is_mined_or_of_a_row_that_left() {
        let open = |nonce, never_left| {
            let (first, last, hash) = (1, 1, B256::ZERO);
            [Open { nonce, first, last, hash, never_left }]
        };
        assert_eq!(first_foreign(7, 7, &[]), None);
        assert_eq!(first_foreign(6, 7, &[]), None, "a node whose pool lags behind");
        assert_eq!(first_foreign(9, 7, &[]), Some(7));
        assert_eq!(first_foreign(8, 7, &open(7, false)), None);
        assert_eq!(first_foreign(9, 7, &open(7, false)), Some(8));
        assert_eq!(first_foreign(8, 7, &open(7, true)), Some(7));
    }

    #[tokio::test]
    async fn what_the_node_refused_left_all_the_same() {
        let bench = Bench::with(1).await;
        step(&bench).await;
        bench.chain.set_faults(Faults { underpriced: 1, ..Faults::default() });
        let mut settler = bench.settler_on(bench.edge.clone(), bench.store.clone());
        assert!(matches!(settler.step().await, Err(SettleError::NotTaken { .. })));
        let [open] = stock(&bench).await[..] else { panic!("one open row") };
        assert!(!open.never_left);
    }

    #[tokio::test]
    async fn what_is_mined_is_recorded_and_a_nonce_that_was_used_otherwise_is_void() {
        let bench = Bench::with(1).await;
        step(&bench).await;
        step(&bench).await;
        assert_eq!(stock(&bench).await, []);
        assert!(matches!(bench.rows()[0].state, OutboxState::Final { .. }));
        assert_eq!(bench.store.last_settled().unwrap().0, 1);

        let bench = Bench::with(1).await;
        step(&bench).await;
        let mut other = fees::decode(&bench.rows()[0].signed).unwrap();
        (other.input, other.to) = (Default::default(), signer().address().into());
        let fees::Signed { hash, bytes } = fees::sign(&signer(), other).unwrap();
        assert_eq!(hash, keccak256(&bytes).0);
        bench.chain.send_raw(&bytes).unwrap();
        assert_eq!(stock(&bench).await, []);
        assert_eq!(bench.rows()[0].state, OutboxState::Void);
    }
}
