//! A receipt: what one group of the log acknowledges to one holder (docs/wire.md section 6).

use std::fmt;

use model::{ChainScope, Position, RejectCode};
use thiserror::Error;

use crate::DecodeError;
use crate::codec::{Reader, Writer};
use crate::hash::{Address, Holder, keccak};
use crate::limits::RECEIPT_ITEMS_MAX;
use crate::signer::{SignatureBytes, SigningKey, recover};
use crate::stream::check_signal;

mod eip712;
mod items;

pub use items::{AccessItem, FramesItem, GroupIdentity, Items, OperationItem, RefusalItem};

/// A receipt before it is signed. A pure function of the log: equal groups give equal bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Of which group.
    pub group: GroupIdentity,
    /// For whom.
    pub holder: Holder,
    items: Items,
}

/// Why a receipt is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// None or too many items, or a list out of order.
    #[error("expected 1 to {RECEIPT_ITEMS_MAX} items in ascending order, found otherwise")]
    Items,
    /// The bytes do not decode.
    #[error("the bytes of the receipt do not decode")]
    Decode(#[from] DecodeError),
    /// No key gives this signature, or not in its one accepted form.
    #[error("expected a low-s secp256k1 signature with v 27 or 28")]
    Signature,
    /// Another key signed.
    #[error("expected a receipt signed by {expected:?}, found {found:?}")]
    Signer {
        /// The registered signer.
        expected: Address,
        /// The signer recovered.
        found: Address,
    },
}

impl ReceiptError {
    /// The code of the one list.
    pub fn code(&self) -> RejectCode {
        match self {
            ReceiptError::Signature | ReceiptError::Signer { .. } => RejectCode::Signature,
            _ => RejectCode::Malformed,
        }
    }
}

impl Receipt {
    /// Version byte of the canonical bytes.
    pub const VERSION: u8 = 2;

    /// Checks number and order of the items, and that their signals are known.
    ///
    /// # Errors
    /// [`ReceiptError::Items`], or [`ReceiptError::Decode`] for a signal.
    pub fn new(
        group: GroupIdentity,
        holder: Holder,
        items: Items,
    ) -> Result<Receipt, ReceiptError> {
        // Asked where it is made, or a receipt could be signed that nobody can read.
        for item in &items.frames {
            check_signal(item.stream.signal)?;
        }
        let ascending = |mut positions: Vec<Position>| {
            let sorted = positions.is_sorted_by(|a, b| a < b);
            // Positions are counted from 1.
            positions.retain(|position| position.0 == 0);
            sorted && positions.is_empty()
        };
        let frames_hold = items.frames.iter().all(|item| {
            let (sequences, positions) = (item.sequences, item.positions);
            let more = sequences.1.0.checked_sub(sequences.0.0);
            let span = positions.1.0.checked_sub(positions.0.0);
            // Every frame has a position of its own, and other entries may stand between them.
            sequences.0.0 > 0 && more.is_some_and(|more| span.is_some_and(|span| more <= span))
        });
        // By this one door for built and for read receipts: equal lists have one order and so one
        // encoding (W.8).
        let ok = frames_hold
            && (1..=RECEIPT_ITEMS_MAX).contains(&items.len())
            && ascending(items.frames.iter().map(|item| item.positions.0).collect())
            && ascending(items.operations.iter().map(|item| item.position).collect())
            && ascending(items.accesses.iter().map(|item| item.position).collect())
            && ascending(items.refusals.iter().map(|item| item.position).collect());
        if ok { Ok(Receipt { group, holder, items }) } else { Err(ReceiptError::Items) }
    }

    /// What is acknowledged.
    pub fn items(&self) -> &Items {
        &self.items
    }

    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u8(Receipt::VERSION);
        to.u64(self.group.scope.chain_id);
        to.raw(&self.group.scope.contract);
        to.u64(self.group.group);
        to.u32(self.group.term);
        to.raw(&self.group.journal_hash);
        to.raw(&self.holder.0);
        self.items.write(&mut to);
        to.0
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`ReceiptError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<Receipt, ReceiptError> {
        let mut from = Reader::new("receipt", bytes);
        from.version(Receipt::VERSION)?;
        let scope = ChainScope { chain_id: from.u64()?, contract: from.array()? };
        let (group, term) = (from.u64()?, from.u32()?);
        let group = GroupIdentity { scope, group, term, journal_hash: from.array()? };
        let holder = Holder(from.array()?);
        let items = Items::read(&mut from)?;
        from.finish()?;
        Receipt::new(group, holder, items)
    }

    /// The EIP-712 digest that is signed.
    pub fn signing_hash(&self) -> [u8; 32] {
        let domain = eip712::domain_separator(&self.group.scope);
        let message = eip712::receipt_hash(&self.group, &self.holder, &self.items);
        // The prefix of EIP-712, with which no transaction and no other signed text begins.
        keccak(&[&[0x19, 0x01], &domain, &message])
    }

    /// Signs deterministically (RFC 6979, low s).
    pub fn sign(self, key: &SigningKey) -> SignedReceipt {
        // Without randomness: the same group gives the same signature, however often (W.34).
        let signature = key.sign(self.signing_hash());
        SignedReceipt { receipt: self, signature }
    }
}

/// A receipt with its signature: r, s, v (27 or 28), s in the lower half.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedReceipt {
    /// What is signed.
    pub receipt: Receipt,
    /// 65 bytes.
    pub signature: SignatureBytes,
}

impl fmt::Debug for SignedReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Receipt { group, items, .. } = &self.receipt;
        write!(f, "SignedReceipt {{ group: {}, items: {} }}", group.group, items.len())
    }
}

impl SignedReceipt {
    /// Checks who signed.
    ///
    /// # Errors
    /// [`ReceiptError`] unless `expected` did.
    pub fn verify(&self, expected: Address) -> Result<(), ReceiptError> {
        // Recovered and compared: of the signer the contract knows the address and no key.
        match recover(self.receipt.signing_hash(), &self.signature) {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(ReceiptError::Signer { expected, found }),
            None => Err(ReceiptError::Signature),
        }
    }

    /// Canonical bytes: the receipt's, then the signature.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.receipt.to_bytes();
        bytes.extend(self.signature);
        bytes
    }

    /// Reads canonical bytes; does not check who signed.
    ///
    /// # Errors
    /// [`ReceiptError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<SignedReceipt, ReceiptError> {
        let found = bytes.len();
        let truncated = DecodeError::Truncated { what: "signed receipt", expected: 65, found };
        // From the back: only the signature has a length that is known beforehand.
        let (receipt, signature) = bytes.split_last_chunk::<65>().ok_or(truncated)?;
        Ok(SignedReceipt { receipt: Receipt::from_bytes(receipt)?, signature: *signature })
    }
}
