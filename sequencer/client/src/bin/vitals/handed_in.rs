//! An operation on its way over HTTP: kept, sent, and its receipt kept; and one program at a time
//! that signs with a key.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use client::hand_in::{Door, HandInError, Pending};
use client::{Applied, Deployment, Wallet};
use files::{Audience, LockedFile};
use model::Word;
use statement::operation::SignedOperation;

use crate::node::{let_pass, now};
use crate::report::KeyInUse;

/// For so long after its end a signature may still be taken by a node whose clock is behind.
const CLOCKS_APART_MS: u64 = 5 * 60 * 1000;

/// Nobody else signs with a key while this is held: what two programs sign on one nonce, one of
/// them takes over into the copy, and the other's would be lost from it.
pub(crate) struct KeyLock(#[expect(dead_code, reason = "held until it is dropped")] LockedFile);

impl KeyLock {
    /// Of the key in this file.
    pub(crate) fn take(key: &Path) -> anyhow::Result<KeyLock> {
        let mut path = key.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let locked = files::open_locked(&path, Audience::Owner)
            .with_context(|| format!("locking {}", path.display()))?;
        Ok(KeyLock(locked.ok_or(KeyInUse { path })?))
    }
}

/// What became of an operation that had no answer.
pub(crate) enum Finished {
    /// There was none.
    Nothing,
    /// It took effect.
    Applied(Box<HandedIn>),
    /// The node does not take it any more, as its signature is over: whether it took effect before,
    /// the log says.
    Over,
}

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
    pub(crate) fn finish(&self, key: &Path, wallet: &mut Wallet) -> anyhow::Result<Finished> {
        let pending = Pending::of_key(key);
        let Some(signed) = read(&pending)? else { return Ok(Finished::Nothing) };
        let handed = match self.hand_in(&signed) {
            Ok(handed) => handed,
            Err(error) if is_refused(&error) && is_over(&signed) => {
                // Kept for ever, it would keep everything else from being signed, a stop too.
                forget(&pending)?;
                return Ok(Finished::Over);
            }
            Err(error) => {
                let kept = kept_in(&pending);
                let why =
                    format!("{kept}: if it took effect or is over, vitals log --rebuild says so");
                return Err(error.context(why));
            }
        };
        // A program that ended between the two may have taken it over already.
        if wallet.record()?.nonce <= signed.operation.nonce {
            wallet.apply(&signed, handed.applied.time, Word::ZERO)?;
            wallet.write(&Wallet::path(key))?;
        }
        forget(&pending)?;
        Ok(Finished::Applied(Box::new(handed)))
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

/// Whether the node said that it does not take it.
fn is_refused(error: &anyhow::Error) -> bool {
    // After a silence of the same try its refusal may be that of what took effect: unknown.
    matches!(error.downcast_ref(), Some(HandInError::Refused { .. }))
}

/// Whether nobody takes it any more, by whatever clock.
fn is_over(signed: &SignedOperation) -> bool {
    signed.operation.valid_until.plus(CLOCKS_APART_MS) <= now()
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
