//! One thing that needs consent: a collection, an access, or a break-glass access.

use crate::rule::pack_mask;
use crate::{
    Categories, Digest, Interval, Kind, Labels, Party, PatientIndex, Position, Purpose, Word,
};

/// A claim as it is evaluated, committed and proven (SPEC.md section 6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Whose data.
    pub patient: PatientIndex,
    /// Collect, access or break-glass.
    pub kind: Kind,
    /// Who acts: a practitioner, or the device of a collection.
    pub individual: Word,
    /// For which organisation.
    pub organisation: Word,
    /// For which group; zero for none (a rule names no zero word).
    pub group: Word,
    /// Which device or author the data comes from; [`Party::Any`] for all sources.
    pub source: Party,
    /// Which categories; never empty.
    pub categories: Categories,
    /// For which one purpose.
    pub purpose: Purpose,
    /// Which labels the data carries; never empty.
    pub labels: Labels,
    /// When it happened: of a collection, from the first to after the last receipt.
    pub receipt: Interval,
    /// When the data was measured.
    pub measured: Interval,
    /// Journal position of the access, or of the last frame of the segment.
    pub position: Position,
    /// Of a segment, its bytes; of an access, its signed request with the reason.
    pub digest: Digest,
}

impl Claim {
    /// The masks in a rule's layout, with exactly one purpose and one kind.
    pub fn mask(&self) -> u64 {
        pack_mask(self.categories, self.purpose.only(), self.kind.only(), self.labels)
    }
}
