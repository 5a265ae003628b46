//! Where everything stands in a rule and in a record (SPEC.md sections 3 and 4).
//!
//! The native twin and both circuits read these numbers and repeat none. They are part of every
//! consent root and of both proving keys: a change of any makes another protocol.
//!
//! The *packed* word of a rule, from its lowest bit:
//!
//! ```text
//! 0          32        48     51  52      60            108            156         204         252
//! | categories | purposes | kinds |r| labels | access.from | access.until | data.from | data.until |
//!                                  ^ reserved, zero           four lanes: 44 bits and 4 zeros each
//! ```

use std::ops::Range;

use crate::{Categories, ClaimKinds, Labels, Millis, Purposes};

/// Neighbouring bits of the packed word that hold one mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaskBits {
    /// Place of its lowest bit.
    pub first: u32,
    /// Its width.
    pub width: u32,
}

impl MaskBits {
    /// The place behind its highest bit.
    pub const fn end(self) -> u32 {
        self.first + self.width
    }

    /// Its places, to index bits with.
    pub const fn places(self) -> Range<usize> {
        self.first as usize..self.end() as usize
    }
}

/// The rule's categories.
pub const CATEGORIES: MaskBits = MaskBits { first: 0, width: Categories::BITS };
/// The rule's purposes.
pub const PURPOSES: MaskBits = MaskBits { first: 32, width: Purposes::BITS };
/// The rule's claim kinds.
pub const KINDS: MaskBits = MaskBits { first: 48, width: ClaimKinds::BITS };
/// The bit between kinds and labels; zero.
pub const RESERVED_BIT: u32 = 51;
/// The rule's labels.
pub const LABELS: MaskBits = MaskBits { first: 52, width: Labels::BITS };
/// Width of the four masks together, the reserved bit included.
pub const MASK_BITS: u32 = 60;

/// Width of the time in a lane.
pub const LANE_BITS: u32 = Millis::BITS;
/// Distance of two lanes. The four bits between two times are zero; because of them, two ways to
/// write one word as four lanes would differ by too much to be possible (SPEC.md section 10).
pub const LANE_STRIDE: u32 = 48;
/// First bit of `access.from`.
pub const ACCESS_FROM: u32 = MASK_BITS;
/// First bit of `access.until`.
pub const ACCESS_UNTIL: u32 = ACCESS_FROM + LANE_STRIDE;
/// First bit of `data.from`.
pub const DATA_FROM: u32 = ACCESS_UNTIL + LANE_STRIDE;
/// First bit of `data.until`.
pub const DATA_UNTIL: u32 = DATA_FROM + LANE_STRIDE;
/// First bit of each lane, in their order.
pub const LANES: [u32; 4] = [ACCESS_FROM, ACCESS_UNTIL, DATA_FROM, DATA_UNTIL];
/// Width of the packed word: two bits less than the field, so that every packed word is canonical.
pub const PACKED_BITS: u32 = DATA_UNTIL + LANE_STRIDE;

/// Permits of a record.
pub const PERMITS: usize = 8;
/// Denies of a record.
pub const DENIES: usize = 4;
/// Break-glass policies of a record.
pub const POLICIES: usize = 2;
/// Rules of a record.
pub const SLOTS: usize = PERMITS + DENIES + POLICIES;
/// Slot numbers of the permits.
pub const PERMIT_SLOTS: Range<usize> = 0..PERMITS;
/// Slot numbers of the denies.
pub const DENY_SLOTS: Range<usize> = PERMITS..PERMITS + DENIES;
/// Slot numbers of the policies.
pub const POLICY_SLOTS: Range<usize> = PERMITS + DENIES..SLOTS;

/// Permits that the first half of a record hashes, beside the view key: with it they fill the
/// sixteen words of the widest hash.
const FIRST_HALF_PERMITS: usize = 5;
/// Slot numbers of the permits that the first half of a record hashes (`group_a` in SPEC.md).
pub const FIRST_HALF: Range<usize> = 0..FIRST_HALF_PERMITS;
/// Slot numbers of the permits that the second half hashes, beside both policies and the closing
/// time (`group_b` in SPEC.md); the denies stand in the leaf itself.
pub const SECOND_HALF: Range<usize> = FIRST_HALF_PERMITS..PERMITS;

const _: () = {
    assert!(CATEGORIES.end() == PURPOSES.first && PURPOSES.end() == KINDS.first);
    assert!(KINDS.end() == RESERVED_BIT && RESERVED_BIT + 1 == LABELS.first);
    assert!(LABELS.end() == MASK_BITS && LANE_BITS < LANE_STRIDE && PACKED_BITS == 252);
};
