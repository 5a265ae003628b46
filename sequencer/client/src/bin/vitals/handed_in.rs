//! An operation on its way over HTTP: kept, sent, and its receipt kept.

use std::path::Path;

use anyhow::Context as _;
use client::hand_in::{Door, HandInError, Pending};
use client::{Applied, Deployment, Wallet};
use model::Word;
use statement::operation::SignedOperation;

use crate::node::let_pass;

/// Where operations are handed in, and where their receipts stay.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) door: &'a Door,
    pub(crate) deployment: Deployment,
    pub(crate) receipts: Option<&'a Path>,
}

/// What was handed in and took effect.
pub(crate) struct HandedIn {
    pub(crate) applied: Applied,
    /// Why its receipt is not kept, if it is not.
    pub(crate) not_kept: Option<String>,
}

impl Way<'_> {
    /// Keeps an operation beside its key and hands it in. Where it is known to have no effect, it
    /// is forgotten again; else whoever has its effect in the wallet's copy forgets it.
    pub(crate) fn send(&self, key: &Path, signed: &SignedOperation) -> anyhow::Result<HandedIn> {
        let pending = Pending::of_key(key);
        pending.keep(signed).with_context(|| keeping(&pending))?;
        match self.hand_in(signed) {
            // Nothing was sent, or it is known to be refused.
            Err(error) if !is_unknown(&error) => {
                forget(&pending)?;
                Err(error)
            }
            handed => handed,
        }
    }

    /// Hears what became of an operation that was sent and not answered, before another is signed.
    pub(crate) fn finish(
        &self,
        key: &Path,
        wallet: &mut Wallet,
    ) -> anyhow::Result<Option<Applied>> {
        let pending = Pending::of_key(key);
        let Some(signed) = read(&pending)? else { return Ok(None) };
        let applied = self.hand_in(&signed).with_context(|| {
            let kept = kept_in(&pending);
            format!("{kept}: if it took effect or is over, vitals log --rebuild says so")
        })?;
        let registrar = Word::ZERO;
        wallet.apply(&signed, applied.applied.time, registrar)?;
        wallet.write(&Wallet::path(key))?;
        pending.forget().with_context(|| kept_in(&pending))?;
        Ok(Some(applied.applied))
    }

    /// Over HTTP, and keeps the receipt where receipts are kept.
    fn hand_in(&self, signed: &SignedOperation) -> anyhow::Result<HandedIn> {
        if let Some(folder) = self.receipts {
            let operation = wire::SignedOperation::new(signed.to_bytes().to_vec())?;
            client::keep_operation(folder, &operation)
                .with_context(|| format!("keeping the operation in {}", folder.display()))?;
        }
        let applied = self.door.hand_in(&self.deployment, signed, &let_pass)?;
        let kept = self.receipts.map(|folder| client::keep_receipt(folder, &applied.receipt));
        // It is in force whatever became of the receipt, and the wallet's copy has to say so.
        let not_kept = kept.and_then(Result::err).map(|error| error.to_string());
        Ok(HandedIn { applied, not_kept })
    }
}

/// The operation that waits beside a key, if one does.
pub(crate) fn read(pending: &Pending) -> anyhow::Result<Option<SignedOperation>> {
    pending.read().with_context(|| kept_in(pending))
}

/// What became of it is known.
pub(crate) fn forget(pending: &Pending) -> anyhow::Result<()> {
    pending.forget().with_context(|| keeping(pending))
}

fn keeping(pending: &Pending) -> String {
    format!("keeping the operation in {}", pending.path().display())
}

fn kept_in(pending: &Pending) -> String {
    format!("the operation that is kept in {}", pending.path().display())
}

/// Whether nobody knows what became of it.
fn is_unknown(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(
            HandInError::Unknown { .. }
                | HandInError::NoReceipt { .. }
                | HandInError::Receipt { .. }
                | HandInError::OtherReceipt { .. }
        )
    )
}
