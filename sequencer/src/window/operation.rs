//! An operation that took effect, and whose signatures count.

use ark_bn254::Fr;
use model::{Millis, Record};
use statement::operation::SignedOperation;
use statement::tree::Path;

/// What an operation is judged against besides the record.
#[derive(Clone, Copy, Debug)]
pub struct OperationScope {
    /// Chain and contract, as signers know them.
    pub sig_domain: Fr,
    /// Hash of the registrar's key.
    pub registrar_key_hash: Fr,
}

/// One operation that took effect, with all that its proof needs.
#[derive(Clone, Debug)]
pub struct AppliedOperation {
    /// The operation as signed.
    pub signed: SignedOperation,
    /// When it took effect.
    pub t_op: Millis,
    /// The record before.
    pub old: Option<Record>,
    /// The record's path before.
    pub path: Path,
    /// The consent root after.
    pub root_out: Fr,
}
