//! What became of the outbox, for whoever must know before a node goes on after a loss.

use alloy::primitives::B256;
use alloy::providers::Provider as _;
use l1_contracts::headers_of_calldata;
use model::{BatchHeader, Millis};
use tokio::time::{sleep, timeout};

use super::error::{SettleError, transport};
use super::fees;
use super::plan::{Action, LOOKS_MIN, OnChain, row_action};
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
    /// What is left is open: it may be mined yet, if it ever left this node. What contradicts the
    /// outbox is believed as by those rounds, which takes `settle.doubt_ms`.
    ///
    /// # Errors
    /// [`SettleError`]; what was recorded until then is true and stays.
    pub async fn take_stock(&mut self) -> Result<Vec<Open>, SettleError> {
        let (deadline, mut looks) = (self.config.round_max(), 0);
        loop {
            let look = timeout(deadline, self.record_next()).await;
            match look.map_err(|_| SettleError::Deadline)?? {
                Stock::Recorded => looks = 0,
                Stock::Taken => break,
                Stock::Doubted(until) => {
                    looks += 1;
                    if looks > self.looks_max() {
                        let doubt_ms = self.config.doubt_ms;
                        return Err(SettleError::Unsteady { doubt_ms });
                    }
                    sleep(self.pause_until(until)).await;
                }
            }
        }
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

    /// Most looks in doubt between two things recorded: those that one doubt takes, four times.
    fn looks_max(&self) -> u64 {
        4 * (self.config.doubt_ms / self.config.poll_ms + u64::from(LOOKS_MIN))
    }

    /// The first nonce of the account that a waiting transaction uses of which the outbox, whose
    /// open rows are these, knows nothing: after a rollback of the whole machine, or where somebody
    /// else has the key. A chain's node that keeps no pool, or lost it, knows of none. Of several
    /// nodes behind one address that counts which knows most: it is asked as often as for a doubt.
    ///
    /// # Errors
    /// [`SettleError`] if the chain does not answer.
    pub async fn foreign_nonce(&self, open: &[Open]) -> Result<Option<u64>, SettleError> {
        let (provider, account) = (self.edge.provider(), self.signer.address());
        let (mut waiting, mut mined) = (0, 0);
        for _ in 0..LOOKS_MIN {
            // What waits before what is mined: a transaction that is mined in between is mined
            // then.
            let waits = provider.get_transaction_count(account).pending().await;
            waiting = waits.map_err(transport)?.max(waiting);
            mined = provider.get_transaction_count(account).await.map_err(transport)?.max(mined);
        }
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

    /// One thing that the chain says and the outbox does not know, if there is one.
    async fn record_next(&mut self) -> Result<Stock, SettleError> {
        let view = self.look().await?;
        let actions = view.rows.iter().filter_map(|row| row_action(&view, row, &self.config));
        let says = |action: &Action| match action {
            Action::Record(_)
            | Action::Reopen(_)
            | Action::Finish(_)
            | Action::Void(_)
            | Action::Failed(_)
            | Action::Recheck(_) => true,
            Action::Idle
            | Action::Wait(_)
            | Action::Adopt
            | Action::Build { .. }
            | Action::Send(_)
            | Action::Replace(_) => false,
        };
        let action = actions.into_iter().find(says);
        if let Some(Action::Recheck(doubt)) = action {
            return Ok(Stock::Doubted(self.remember_doubt(view.now, doubt)));
        }
        // Looks that had it are no longer without pause.
        self.doubt = None;
        let Some(action) = action else { return Ok(Stock::Taken) };
        match self.act(&view, action).await {
            // Written down as void first; that it failed is nobody's hope any more.
            Err(SettleError::Failed { .. }) | Ok(_) => Ok(Stock::Recorded),
            Err(error) => Err(error),
        }
    }
}

/// What one look at the outbox came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stock {
    /// Something was recorded; there may be more.
    Recorded,
    /// The chain contradicts what is recorded: to be looked at again then.
    Doubted(Millis),
    /// There is nothing that the outbox does not know.
    Taken,
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
    use model::Clock as _;

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

    /// A settled batch whose block may still go away, and a settler that believes no single look.
    async fn unfinal() -> (Bench, Settler) {
        let bench = Bench::with(1).await;
        bench.chain.set_finality(5);
        for _ in 0..3 {
            step(&bench).await;
        }
        assert!(matches!(bench.rows()[0].state, OutboxState::Mined { .. }));
        let mut settler = bench.settler_on(bench.edge.clone(), bench.store.clone());
        settler.config.doubt_ms = 24_000;
        (bench, settler)
    }

    #[tokio::test]
    async fn a_block_that_one_look_lacks_is_looked_for_again_before_it_is_gone() {
        let (bench, mut settler) = unfinal().await;
        let removed = bench.chain.remove_blocks(1).unwrap();
        let now = bench.clock.now();
        let look = settler.record_next().await.unwrap();
        assert_eq!(look, Stock::Doubted(now.plus(settler.config.poll_ms)));
        assert_eq!(bench.store.last_settled().unwrap().0, 1, "nothing is recorded of it");
        for raw in &removed {
            bench.chain.send_raw(raw).unwrap();
        }
        assert_eq!(settler.take_stock().await.unwrap(), []);
        assert_eq!(bench.store.last_settled().unwrap().0, 1);
    }

    #[tokio::test]
    async fn a_block_that_stays_away_is_recorded_as_gone_and_its_row_is_open() {
        let (bench, mut settler) = unfinal().await;
        bench.chain.remove_blocks(1).unwrap();
        let mut looks = 0;
        while let Stock::Doubted(until) = settler.record_next().await.unwrap() {
            looks += 1;
            bench.advance(until.since(bench.clock.now()));
        }
        assert!(looks >= LOOKS_MIN - 1, "{looks} looks");
        assert_eq!(bench.store.last_settled().unwrap().0, 0);
        assert_eq!(settler.take_stock().await.unwrap().len(), 1);
    }
}
