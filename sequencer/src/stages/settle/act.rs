//! Does what was decided: one durable write or one request each.

use alloy::consensus::TxEip1559;
use alloy::eips::BlockId;
use alloy::primitives::TxKind;
use alloy::providers::Provider as _;
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent as _;
use l1_contracts::{EdgeError, Settlement};
use model::{BatchNumber, Millis};
use statement::batch::PublicFile;

use super::error::{SettleError, transport};
use super::fees::{self, Fees, Signed};
use super::look::{MinedReceipt, ask};
use super::plan::{Action, Doubt, Doubted, View};
use super::settler::{FailedBefore, Settler, Step, Underpriced};
use crate::folder::store::{FileDigest, OutboxRow, OutboxState, Settled, StoreError};

/// Most bytes of calldata: below the 128 KiB of a transaction that nodes relay.
const CALLDATA_BYTES_MAX: usize = 120 * 1024;

/// A batch and where it was settled, or that it is not.
type Change = (BatchNumber, Option<Settled>);

/// What a simulation says of batches.
enum Estimate {
    /// They take so much gas.
    Gas(u64),
    /// Their last window is not over for the chain; its words.
    NotOver(String),
    /// The contract refuses them; its reason.
    Refused(String),
}

impl Settler {
    pub(super) async fn act(&mut self, view: &View, action: Action) -> Result<Step, SettleError> {
        let poll = Step::Wait(view.now.plus(self.config.poll_ms));
        let done = match action {
            Action::Idle => return Ok(poll),
            Action::Wait(until) => return Ok(Step::Wait(until)),
            Action::Recheck(doubt) => return Ok(Step::Wait(self.remember_doubt(view.now, doubt))),
            Action::Adopt => self.adopt(view).await?,
            Action::Build { first, last } => self.build(view, first, last).await?,
            Action::Send(nonce) => self.send(view.now, nonce).await?,
            Action::Replace(nonce) => self.replace(view.now, nonce).await?,
            Action::Record(nonce) => self.record(nonce).await?,
            Action::Reopen(nonce) => self.reopen(view.now, nonce)?,
            Action::Finish(nonce) => self.finish(nonce)?,
            Action::Void(nonce) => self.void(nonce)?,
            Action::Failed(nonce) => return Err(self.give_up(view, nonce).await?),
        };
        // What waits for the chain or for the batcher is not asked for again at once.
        Ok(if done { Step::Did(action) } else { poll })
    }

    /// Remembers a doubt; when to look again.
    pub(super) fn remember_doubt(&mut self, now: Millis, what: Doubt) -> Millis {
        let before = self.doubt.filter(|before| before.what == what);
        if before.is_none() {
            let doubt_ms = self.config.doubt_ms;
            tracing::info!(
                ?what,
                doubt_ms,
                "the chain contradicts what was sent or recorded: looked at again before it is \
                 believed"
            );
            self.metrics.settle_doubts_total.inc();
        }
        let doubted = Doubted::seen_again(before, what, now);
        self.doubt = Some(doubted);
        let (believed, next) =
            (doubted.since.plus(self.config.doubt_ms), now.plus(self.config.poll_ms));
        // Long enough, and seen too seldom: looks in quick succession would all be of one moment.
        if believed > now { believed.min(next) } else { next }
    }

    /// Gives up a transaction that was mined and settled nothing; what is to be told of it. Its
    /// batches are built anew after a pause that grows with each further one.
    async fn give_up(&mut self, view: &View, nonce: u64) -> Result<SettleError, SettleError> {
        let row = self.load_row(nonce)?;
        let reason = self.failure_reason(view, &row).await;
        self.void(nonce)?;
        self.metrics.settle_failed_total.inc();
        let count = self.failed.as_ref().map_or(1, |before| before.count.saturating_add(1));
        let pause = self.config.refused_pause(count).as_millis();
        let until = view.now.plus(u64::try_from(pause).unwrap_or(u64::MAX));
        self.failed = Some(FailedBefore { count, settled: view.settled, until });
        Ok(SettleError::Failed { nonce, reason })
    }

    /// Why a mined transaction settled nothing, as far as it can be told now.
    async fn failure_reason(&self, view: &View, row: &OutboxRow) -> String {
        let unknown = |error: &dyn std::error::Error| {
            format!("its reason cannot be read: {}", model::with_causes(error))
        };
        let mined = match self.find_receipt(row).await {
            Ok(Some(mined)) => mined,
            Ok(None) => return "its receipt is gone".into(),
            Err(error) => return unknown(&error),
        };
        if mined.receipt.status() {
            let settled = view.settled;
            return format!("its receipt says that it did, and the contract is at batch {settled}");
        }
        let Some(transaction) = fees::decode(&row.signed) else {
            return "its bytes are not at hand".into();
        };
        let gas = transaction.gas_limit;
        if mined.receipt.gas_used >= gas {
            return format!("it ran out of its {gas} gas");
        }
        let again = self.edge.call_again(transaction.input, gas, mined.block.into()).await;
        match again {
            Err(EdgeError::Refused { reason }) => reason,
            Err(error) => unknown(&error),
            Ok(()) => "the same succeeds after its block".into(),
        }
    }

    fn load_row(&self, nonce: u64) -> Result<OutboxRow, SettleError> {
        let missing = StoreError::Missing { what: "outbox", key: nonce };
        Ok(self.store.outbox(nonce)?.ok_or(missing)?)
    }

    /// Asks the contract's events about every batch on which store and contract differ. False if
    /// the store lacks those batches, as after it was lost: they are being made anew.
    async fn adopt(&self, view: &View) -> Result<bool, SettleError> {
        // Beyond the contract's counter the store is ahead: those were reorganised away.
        let mut changes: Vec<Change> =
            (view.settled + 1..=view.recorded).map(|n| (BatchNumber(n), None)).collect();
        for event in self.edge.settled_batches().await? {
            let number = event.header.number;
            if number.0 <= view.recorded || self.store.batch(number)?.is_none() {
                continue;
            }
            // Taking over another header would settle the next batch on a head we do not have.
            self.check_ours(number, event.header_hash)?;
            let receipt = self.edge.provider().get_transaction_receipt(event.transaction).await;
            let gas = receipt.map_err(transport)?.map_or(0, |receipt| receipt.gas_used);
            let (transaction, block) = (event.transaction.0, event.block);
            let lateness_ms = event.lateness_ms;
            changes.push((number, Some(Settled { transaction, block, lateness_ms, gas })));
        }
        self.store.mark_settled(&changes)?;
        Ok(!changes.is_empty())
    }

    fn check_ours(&self, number: BatchNumber, header_hash: [u8; 32]) -> Result<(), SettleError> {
        match self.store.batch(number)? {
            Some(row) if row.header_hash == header_hash => Ok(()),
            _ => Err(SettleError::Diverged { number: number.0 }),
        }
    }

    /// Simulates, signs and writes; false if the chain's clock is behind.
    async fn build(&mut self, view: &View, first: u64, last: u64) -> Result<bool, SettleError> {
        let block = self.block_id(view.head, view.head_hash);
        let Some((files, gas_limit)) = self.fit(first, last, block).await? else {
            return Ok(false);
        };
        // A chain's node may lag behind the outbox, and a nonce given twice would lose one row.
        let after_pending = view.rows.iter().map(|row| row.nonce + 1).max().unwrap_or(0);
        let nonce = view.account_nonce.max(after_pending);
        let fees = self.ask_fees().await?.cut_to(self.config.fee_max());
        let deployment = self.edge.deployment();
        let transaction = TxEip1559 {
            chain_id: deployment.chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: fees.max,
            // A tip above the whole fee is no valid transaction.
            max_priority_fee_per_gas: fees.tip.min(fees.max),
            to: TxKind::Call(deployment.settlement),
            input: self.edge.calldata(&files),
            ..TxEip1559::default()
        };
        let Signed { hash, bytes: signed } = fees::sign(&self.signer, transaction)?;
        let last = first + files.len() as u64 - 1;
        let (replaced, state) = (Vec::new(), OutboxState::Built);
        // Written before it is sent: a crash in between must find the bytes that may be mined.
        let row = OutboxRow { first, last, hash, signed, replaced, state };
        // With what was read before the simulation: the scrub may have proven a batch again since.
        let digest = |file: &PublicFile| (file.header.number, FileDigest::of(&file.to_bytes()));
        let carried: Vec<_> = files.iter().map(digest).collect();
        self.store.outbox_put(nonce, &row, &carried)?;
        Ok(true)
    }

    /// As many of the batches as fit one transaction, and its gas limit. `None` if the chain's
    /// clock is behind, also that of its next block.
    async fn fit(
        &mut self,
        first: u64,
        mut last: u64,
        block: BlockId,
    ) -> Result<Option<(Vec<PublicFile>, u64)>, SettleError> {
        let mut files = self.read_files(first, last)?;
        loop {
            let fewer = last > first;
            let mut estimate = self.estimate(&files, block).await;
            // Nodes judge a named block by its own time. Where blocks are made for transactions
            // alone, the last one stays older than the window for as long as nothing is sent.
            if let (Ok(Estimate::NotOver(_)), false) = (&estimate, fewer) {
                estimate = self.estimate_pending(&files).await;
            }
            let found = match estimate {
                // A quarter above, for state that differs when it is mined; what is not used is not
                // paid, but a transaction that runs out is paid and settles nothing.
                Ok(Estimate::Gas(gas)) => gas.saturating_add(gas / 4),
                // The newest window must not hold back those before it.
                Ok(Estimate::NotOver(_)) if fewer => u64::MAX,
                // Only waiting helps, and it does, unless one of the clocks is wrong: then the
                // alarm has this.
                Ok(Estimate::NotOver(words)) => {
                    self.last_trouble = Some(format!(
                        "batch {first} is not over by the clock of the chain's next block: {words}"
                    ));
                    return Ok(None);
                }
                Ok(Estimate::Refused(reason)) => {
                    return Err(SettleError::Refused { first, last, reason });
                }
                // The node answered, but not with gas: perhaps it is too much for one transaction.
                Err(error) if fewer && error.rpc_code().is_some() => u64::MAX,
                Err(error) => return Err(error),
            };
            let max = self.config.gas_max;
            if found <= max && self.edge.calldata(&files).len() <= CALLDATA_BYTES_MAX {
                return Ok(Some((files, found)));
            }
            if !fewer {
                return Err(SettleError::TooDear { number: first, max, found });
            }
            // Halving finds a size in a few simulations; the exact most would save little gas.
            last = first + (last - first) / 2;
            files.truncate((last - first + 1) as usize);
        }
    }

    /// What the batches take as of this block. What may be the answer of a node that lacks the
    /// block is asked again.
    async fn estimate(
        &self,
        files: &[PublicFile],
        block: BlockId,
    ) -> Result<Estimate, SettleError> {
        let simulate = || async {
            match self.edge.simulate_at(files, block).await {
                Ok(gas) => Ok(Estimate::Gas(gas)),
                Err(EdgeError::Refused { reason }) if reason.starts_with("WindowNotOver") => {
                    Ok(Estimate::NotOver(reason))
                }
                // An answer like gas: asking again would only get it again.
                Err(EdgeError::Refused { reason }) => Ok(Estimate::Refused(reason)),
                Err(error) => Err(error.into()),
            }
        };
        ask(simulate).await
    }

    /// What they take in the chain's next block. A node that cannot say is waited for: the next
    /// block that it does have tells as well.
    async fn estimate_pending(&self, files: &[PublicFile]) -> Result<Estimate, SettleError> {
        match self.estimate(files, BlockId::pending()).await {
            Err(error) if error.rpc_code().is_some() => {
                Ok(Estimate::NotOver(model::with_causes(&error)))
            }
            answer => answer,
        }
    }

    fn read_files(&self, first: u64, last: u64) -> Result<Vec<PublicFile>, SettleError> {
        let file = |number| {
            let missing = StoreError::Missing { what: "batches", key: number };
            let bytes = self.store.public_bytes(BatchNumber(number))?.ok_or(missing)?;
            let file = PublicFile::from_bytes(&bytes);
            file.map_err(|source| SettleError::Batch { number, source })
        };
        (first..=last).map(file).collect()
    }

    async fn ask_fees(&self) -> Result<Fees, SettleError> {
        let asked = self.edge.provider().estimate_eip1559_fees().await.map_err(transport)?;
        Ok(Fees { max: asked.max_fee_per_gas, tip: asked.max_priority_fee_per_gas })
    }

    async fn send(&mut self, now: Millis, nonce: u64) -> Result<bool, SettleError> {
        let mut row = self.load_row(nonce)?;
        if row.state == OutboxState::Built {
            // Before the bytes leave: a row that says built was never given to anybody, and whoever
            // must give a batch up goes by that.
            row.state = OutboxState::Sent { at: now, times: 0 };
            self.store.outbox_update(nonce, &row, &[])?;
            // Bytes that they replace may have been taken; these were not yet.
            self.sent = None;
        }
        // Counted before: what fails was given to the node as well.
        self.metrics.settle_sends_total.inc();
        if let Err(error) = self.edge.provider().send_raw_transaction(&row.signed).await {
            let Some(payload) = error.as_error_resp() else { return Err(transport(error)) };
            let reason = payload.message.to_string();
            let why = NotSent::of(&reason);
            if why != NotSent::Known {
                // The next look asks for other fees instead of the same bytes, if those are why.
                self.underpriced = why.underpriced().map(|why| (nonce, why));
                self.not_taken = true;
                self.metrics.settle_not_taken_total.inc();
                return Err(SettleError::NotTaken { nonce, reason });
            }
        }
        // Whatever the node said of these bytes before: now it has them.
        (self.underpriced, self.not_taken) = (None, false);
        let times = match row.state {
            OutboxState::Sent { times, .. } => times.saturating_add(1),
            _ => 1,
        };
        row.state = OutboxState::Sent { at: now, times };
        self.store.outbox_update(nonce, &row, &[])?;
        self.sent = Some(nonce);
        Ok(true)
    }

    async fn replace(&mut self, now: Millis, nonce: u64) -> Result<bool, SettleError> {
        let mut row = self.load_row(nonce)?;
        let mut transaction = fees::decode(&row.signed).ok_or(SettleError::Outbox { nonce })?;
        let old =
            Fees { max: transaction.max_fee_per_gas, tip: transaction.max_priority_fee_per_gas };
        let (asked, limit) = (self.ask_fees().await?, self.config.fee_max());
        let max = self.config.replacements_max;
        let is_beyond = row.replaced.len() >= max;
        let raised = match self.underpriced {
            // Dearer by itself it is mined no sooner, it seems, and its tip is paid in full. What
            // the chain asks is followed all the same: below that nothing is ever mined.
            _ if is_beyond && asked.max <= old.max => {
                Err(SettleError::ReplacementLimit { nonce, max })
            }
            Some((of, Underpriced::Fees)) if of == nonce => Fees::offer_again(old, asked, limit),
            _ => Fees::raise(old, asked, limit),
        };
        let raised = match raised {
            Ok(raised) => raised,
            Err(error) => {
                // The most that is allowed is offered already. The same bytes again: fees fall,
                // and a node that did not take them, or lost them, takes them then.
                self.set_fee_limit(Some(error));
                return self.send(now, nonce).await;
            }
        };
        // Somebody must learn of it, whether or not the offer rises once more.
        self.set_fee_limit(is_beyond.then_some(SettleError::ReplacementLimit { nonce, max }));
        transaction.max_fee_per_gas = raised.max;
        transaction.max_priority_fee_per_gas = raised.tip;
        let Signed { hash, bytes } = fees::sign(&self.signer, transaction)?;
        // The old hash is kept: the transaction that it names may still be mined instead.
        row.replaced.push(row.hash);
        (row.hash, row.signed) = (hash, bytes);
        row.state = OutboxState::Built;
        self.store.outbox_update(nonce, &row, &[])?;
        self.metrics.settle_replacements_total.inc();
        self.underpriced = None;
        Ok(true)
    }

    /// Remembers whether the highest fee, or the most replacements, stand in the way.
    pub(super) fn set_fee_limit(&mut self, limit: Option<SettleError>) {
        let is_highest = matches!(limit, Some(SettleError::FeeLimit { .. }));
        self.metrics.settle_fee_limited.set(i64::from(is_highest));
        self.fee_limit = limit;
    }

    async fn record(&mut self, nonce: u64) -> Result<bool, SettleError> {
        let mut row = self.load_row(nonce)?;
        // Gone again since it was seen: the next look says so.
        let Some(mined) = self.find_receipt(&row).await? else { return Ok(true) };
        let settled = match self.read_settled(nonce, &row, &mined) {
            // The counter says that they are settled: the receipt keeps its events to itself.
            Err(SettleError::NotSettled { .. }) => {
                self.settled_by_events(nonce, &row, &mined).await?
            }
            settled => settled?,
        };
        let MinedReceipt { receipt, block, block_hash } = mined;
        row.state = OutboxState::Mined { hash: receipt.transaction_hash.0, block, block_hash };
        // One write for row and batches: a crash cannot leave one without the other (I2).
        self.store.outbox_update(nonce, &row, &settled)?;
        self.metrics.settle_gas_total.inc_by(receipt.gas_used);
        self.metrics.batches_settled_total.inc_by(settled.len() as u64);
        for lateness_ms in settled.iter().filter_map(|(_, s)| s.map(|s| s.lateness_ms)) {
            self.metrics.settle_lateness_seconds.observe(lateness_ms as f64 / 1000.0);
        }
        self.time_withdrawals(&settled);
        Ok(true)
    }

    /// How long the withdrawals of these batches took to the chain: lateness is from their window's
    /// end to the block. What is settled is recorded: a row that cannot be read is only not timed.
    fn time_withdrawals(&self, settled: &[Change]) {
        for (number, settled) in settled {
            if let (Some(settled), Ok(Some(row))) = (settled, self.store.batch(*number)) {
                let block = row.t1.plus(settled.lateness_ms);
                self.metrics.settle_withdrawals(row.t1, block);
            }
        }
    }

    /// What the receipt's events say: exactly the row's batches, with our headers.
    fn read_settled(
        &self,
        nonce: u64,
        row: &OutboxRow,
        mined: &MinedReceipt,
    ) -> Result<Vec<Change>, SettleError> {
        let MinedReceipt { receipt, block, .. } = mined;
        let contract = self.edge.deployment().settlement;
        // A log of the same shape from another contract says nothing.
        let logs = receipt.logs().iter().filter(|log| log.inner.address == contract);
        let mut changes = Vec::new();
        for event in logs.filter_map(SettledEvent::of_log) {
            let SettledEvent { number, header_hash, lateness_ms } = event;
            self.check_ours(number, header_hash)?;
            let (transaction, gas) = (receipt.transaction_hash.0, receipt.gas_used);
            let settled = Settled { transaction, block: *block, lateness_ms, gas };
            changes.push((number, Some(settled)));
        }
        check_all(nonce, row, &changes)?;
        Ok(changes)
    }

    /// The same from the contract's events.
    async fn settled_by_events(
        &self,
        nonce: u64,
        row: &OutboxRow,
        mined: &MinedReceipt,
    ) -> Result<Vec<Change>, SettleError> {
        let gas = mined.receipt.gas_used;
        let mut changes = Vec::new();
        for event in self.edge.settled_batches().await? {
            let number = event.header.number;
            if (row.first..=row.last).contains(&number.0) {
                self.check_ours(number, event.header_hash)?;
                let (transaction, block) = (event.transaction.0, event.block);
                let lateness_ms = event.lateness_ms;
                let settled = Settled { transaction, block, lateness_ms, gas };
                changes.push((number, Some(settled)));
            }
        }
        check_all(nonce, row, &changes)?;
        Ok(changes)
    }

    fn reopen(&mut self, now: Millis, nonce: u64) -> Result<bool, SettleError> {
        let mut row = self.load_row(nonce)?;
        // Sent, not void: the same bytes are valid again on the chain that won.
        row.state = OutboxState::Sent { at: now, times: 1 };
        let unsettled: Vec<Change> =
            (row.first..=row.last).map(|number| (BatchNumber(number), None)).collect();
        self.store.outbox_update(nonce, &row, &unsettled)?;
        self.metrics.settle_removed_total.inc();
        self.sent = None;
        Ok(true)
    }

    fn finish(&mut self, nonce: u64) -> Result<bool, SettleError> {
        let mut row = self.load_row(nonce)?;
        let OutboxState::Mined { hash, block, .. } = row.state else {
            return Err(SettleError::Outbox { nonce });
        };
        row.state = OutboxState::Final { hash, block };
        // Nothing of it is needed again; hash and range stay for who asks.
        row.signed = Vec::new();
        self.store.outbox_update(nonce, &row, &[])?;
        Ok(true)
    }

    pub(super) fn void(&mut self, nonce: u64) -> Result<bool, SettleError> {
        let mut row = self.load_row(nonce)?;
        let mut unsettled: Vec<Change> = Vec::new();
        if let OutboxState::Mined { hash, .. } = row.state {
            // What it was believed to have settled, and nothing that another one did.
            for number in (row.first..=row.last).map(BatchNumber) {
                let settled = self.store.batch(number)?.and_then(|batch| batch.settled);
                if settled.is_some_and(|settled| settled.transaction == hash) {
                    unsettled.push((number, None));
                }
            }
        }
        row.state = OutboxState::Void;
        self.store.outbox_update(nonce, &row, &unsettled)?;
        Ok(true)
    }
}

/// Exactly the row's batches.
fn check_all(nonce: u64, row: &OutboxRow, changes: &[Change]) -> Result<(), SettleError> {
    let (first, last) = (row.first, row.last);
    match changes.iter().map(|(number, _)| number.0).eq(first..=last) {
        true => Ok(()),
        false => Err(SettleError::NotSettled { nonce, first, last }),
    }
}

/// What a `BatchSettled` event says.
struct SettledEvent {
    number: BatchNumber,
    header_hash: [u8; 32],
    lateness_ms: u64,
}

impl SettledEvent {
    /// `None` for any other event of the contract.
    fn of_log(log: &Log) -> Option<SettledEvent> {
        let event = Settlement::BatchSettled::decode_log(&log.inner).ok()?;
        Some(SettledEvent {
            number: BatchNumber(event.header.number.try_into().ok()?),
            header_hash: event.headerHash.0,
            lateness_ms: event.lateness.try_into().ok()?,
        })
    }
}

/// What a node means that does not take a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NotSent {
    /// It has it, or it is mined: the next look tells.
    Known,
    /// It has none of this nonce and wants higher fees.
    Fees,
    /// It has another of this nonce and wants an eighth more than that one's.
    Replacement,
    /// Anything else.
    Other,
}

impl NotSent {
    /// Nodes say it in words only; these are those of geth, which the others follow.
    fn of(reason: &str) -> NotSent {
        let reason = reason.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
        if says(&["already known", "known transaction", "already imported", "nonce too low"]) {
            NotSent::Known
        } else if says(&["replacement"]) {
            NotSent::Replacement
        } else if says(&["underpriced", "less than block base fee", "fee too low"]) {
            NotSent::Fees
        } else {
            NotSent::Other
        }
    }

    /// Whether it is about fees, and how.
    fn underpriced(self) -> Option<Underpriced> {
        match self {
            NotSent::Fees => Some(Underpriced::Fees),
            NotSent::Replacement => Some(Underpriced::Replacement),
            NotSent::Known | NotSent::Other => None,
        }
    }
}
