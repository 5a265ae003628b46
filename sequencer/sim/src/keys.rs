//! The keys of a run that are nobody's secret here, and the names that follow from them: chain and
//! contract, when the first window begins.

use std::sync::LazyLock;

use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;
use model::{ChainScope, Millis, Word};
use statement::eddsa::SecretKey;
use statement::field;
use wire::SigningKey;

use crate::clock::BEGIN_UNIX_MS;

/// The chain's id.
const CHAIN_ID: u64 = 31_337;

/// Transactions of the deployment before that of the contract: a verifying key each.
const KEYS_BEFORE: u64 = 4;

/// Chain and contract of every run.
pub(crate) fn chain_scope() -> ChainScope {
    ChainScope { chain_id: CHAIN_ID, contract: contract().into_array() }
}

/// Where the contract is: a function of who deploys it, as which transaction.
pub(crate) fn contract() -> Address {
    static CONTRACT: LazyLock<Address> =
        LazyLock::new(|| Address::create(&settling_key().address(), KEYS_BEFORE));
    *CONTRACT
}

/// When the first window begins.
pub(crate) fn genesis_time() -> Millis {
    Millis::from_unix_ms(BEGIN_UNIX_MS - 1_000)
}

/// That of the account that deploys and settles.
pub(crate) fn settling_key() -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[7; 32]).expect("a number below the order of the curve, not zero")
}

/// The key of receipts.
pub(crate) fn receipt_key() -> SigningKey {
    SigningKey::from_slice(&[9; 32]).expect("a number below the order of the curve, not zero")
}

pub(crate) fn registrar() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

/// The hash by which a record and a deployment name a key.
pub(crate) fn key_hash(key: &SecretKey) -> Word {
    let bytes = field::to_bytes(&key.public().hash());
    Word::from_bytes(bytes).expect("the bytes of a field element are canonical")
}
