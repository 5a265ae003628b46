//! An operation on its way over HTTP: kept, sent, and its receipt kept.

use anyhow::Context as _;
use client::Applied;
use client::hand_in::{Door, HandInError};
use statement::operation::SignedOperation;

use crate::node::{Node, let_pass};

/// What was handed in and took effect.
pub(crate) struct HandedIn {
    pub(crate) applied: Applied,
    /// Why its receipt is not kept, if it is not.
    pub(crate) not_kept: Option<String>,
}

/// Whether nobody knows what became of it.
pub(crate) fn is_unknown(error: &anyhow::Error) -> bool {
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

/// Over HTTP, and keeps the receipt where receipts are kept.
pub(crate) fn hand_in(
    door: &Door,
    node: &Node,
    signed: &SignedOperation,
) -> anyhow::Result<HandedIn> {
    if let Some(folder) = &node.receipts {
        let operation = wire::SignedOperation::new(signed.to_bytes().to_vec())?;
        client::keep_operation(folder, &operation)
            .with_context(|| format!("keeping the operation in {}", folder.display()))?;
    }
    let applied = door.hand_in(&node.deployment()?, signed, &let_pass)?;
    let kept = node.receipts.as_ref().map(|folder| client::keep_receipt(folder, &applied.receipt));
    // It is in force whatever became of the receipt, and the wallet's copy has to say so.
    let not_kept = kept.and_then(Result::err).map(|error| error.to_string());
    Ok(HandedIn { applied, not_kept })
}
