//! Signing, and signing again with higher fees.

use alloy::consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy::network::TxSignerSync as _;
use alloy::signers::local::PrivateKeySigner;

use super::error::SettleError;

/// What a unit of gas is offered, wei.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fees {
    /// At most, base fee included.
    pub(super) max: u128,
    /// For the block's maker.
    pub(super) tip: u128,
}

impl Fees {
    /// At most `limit`.
    pub(super) fn cut_to(self, limit: u128) -> Fees {
        Fees { max: self.max.min(limit), tip: self.tip.min(limit) }
    }

    /// What is offered instead of `old`, of which the chain's node has nothing: what the chain asks
    /// now, if that is more, and else an eighth more, for the node wants more than it says.
    ///
    /// # Errors
    /// [`SettleError::FeeLimit`] if that is beyond `limit`.
    pub(super) fn offer_again(old: Fees, asked: Fees, limit: u128) -> Result<Fees, SettleError> {
        // No eighth is owed to a node that holds no transaction of this nonce: what the chain asks
        // is enough, so that a short rise of fees does not drive the offer up step by step.
        let asked = asked.cut_to(limit);
        if asked.max > old.max {
            return Ok(Fees { max: asked.max, tip: asked.tip.max(old.tip).min(asked.max) });
        }
        Fees::raise(old, asked, limit)
    }

    /// What replaces `old`: an eighth more of both, or what the chain asks now if that is more.
    ///
    /// # Errors
    /// [`SettleError::FeeLimit`] if an eighth more is beyond `limit`.
    pub(super) fn raise(old: Fees, asked: Fees, limit: u128) -> Result<Fees, SettleError> {
        // Nodes want at least a tenth more of both fees; an eighth leaves room for their rounding,
        // and one wei more makes it so for the smallest fees as well.
        let dearer = |wei: u128| wei.saturating_add(wei / 8).saturating_add(1);
        let (max, tip) = (dearer(old.max), dearer(old.tip));
        if max > limit {
            return Err(SettleError::FeeLimit { max: limit, needed: max });
        }
        // What the chain asks may be cut to the limit, the eighth may not: a replacement below it
        // is refused by every node, so that trying it would hide that the limit is reached.
        let asked = asked.cut_to(limit);
        let max = max.max(asked.max);
        Ok(Fees { max, tip: tip.max(asked.tip).min(max) })
    }
}

/// A transaction as it is written to the outbox.
pub(super) struct Signed {
    pub(super) hash: [u8; 32],
    /// EIP-2718 bytes.
    pub(super) bytes: Vec<u8>,
}

/// Signs a transaction.
pub(super) fn sign(
    signer: &PrivateKeySigner,
    mut transaction: TxEip1559,
) -> Result<Signed, SettleError> {
    let signature = signer.sign_transaction_sync(&mut transaction)?;
    let signed = TxEnvelope::from(transaction.into_signed(signature));
    Ok(Signed { hash: signed.tx_hash().0, bytes: signed.encoded_2718() })
}

/// The transaction in these bytes; `None` if it is none of ours.
pub(super) fn decode(signed: &[u8]) -> Option<TxEip1559> {
    // Decoded again rather than kept beside: what is raised is what was sent, also after a restart.
    let envelope = TxEnvelope::decode_2718(&mut &signed[..]).ok()?;
    Some(envelope.as_eip1559()?.tx().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_more_than_an_eighth_dearer_and_stays_below_the_limit() {
        let fees = |max, tip| Fees { max, tip };
        let raised = Fees::raise(fees(800, 8), fees(1, 1), 10_000).unwrap();
        assert_eq!(raised, fees(901, 10));
        let asked = Fees::raise(fees(800, 8), fees(5_000, 100), 10_000).unwrap();
        assert_eq!(asked, fees(5_000, 100));
        let limited = Fees::raise(fees(800, 8), fees(50_000, 100), 10_000).unwrap();
        assert_eq!(limited, fees(10_000, 100));
        let beyond = Fees::raise(fees(9_000, 8), fees(1, 1), 10_000);
        assert!(matches!(beyond, Err(SettleError::FeeLimit { max: 10_000, needed: 10_126 })));
    }

    #[test]
    fn what_was_never_taken_is_offered_again_at_what_the_chain_asks() {
        let fees = |max, tip| Fees { max, tip };
        let dearer = Fees::offer_again(fees(800, 8), fees(810, 20), 10_000).unwrap();
        assert_eq!(dearer, fees(810, 20));
        let cheaper = Fees::offer_again(fees(800, 8), fees(700, 20), 10_000).unwrap();
        assert_eq!(cheaper, fees(901, 20));
        let cut = Fees::offer_again(fees(800, 8), fees(50_000, 20), 10_000).unwrap();
        assert_eq!(cut, fees(10_000, 20));
        let beyond = Fees::offer_again(fees(10_000, 8), fees(50_000, 20), 10_000);
        assert!(matches!(beyond, Err(SettleError::FeeLimit { max: 10_000, .. })));
    }

    #[test]
    fn a_signed_transaction_decodes_to_what_was_signed() {
        let signer = PrivateKeySigner::from_slice(&[7; 32]).unwrap();
        let transaction = TxEip1559 { nonce: 5, gas_limit: 21_000, ..TxEip1559::default() };
        let Signed { hash, bytes } = sign(&signer, transaction.clone()).unwrap();
        assert_eq!(decode(&bytes), Some(transaction));
        assert_eq!(hash, alloy::primitives::keccak256(&bytes).0);
        assert_eq!(decode(&bytes[1..]), None);
    }
}
