//! What order, slots, denies and claims share: the public inputs, the hull, widths and bounds.

use crate::builder::{Bit, Builder, Num};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, PrimeField};
use model::Millis;
use statement::c2::{Chunk, Hull};
use statement::inputs::C2Inputs;
use statement::tree::CAP;

/// Bits of the distance of two receipts: a window is no longer.
pub(super) const RECEIPT_BITS: usize = 27;
/// Bits of a time.
pub(super) const TIME_BITS: usize = Millis::BITS as usize;

/// What all slots read.
pub(super) struct Shared<'a> {
    pub(super) chunk: &'a Chunk,
    pub(super) public: &'a Public,
    pub(super) domain: &'a Num,
    pub(super) cap: &'a [Num; CAP],
}

/// The public inputs, in the order of `C2Inputs::to_field_elements`.
pub(super) struct Public {
    pub(super) root: Num,
    pub(super) t0: Num,
    pub(super) t1: Num,
    pub(super) claims_root: Num,
    pub(super) kinds: [Num; 3],
    pub(super) excluded: Num,
    pub(super) edge_in: Num,
    pub(super) edge_out: Num,
    pub(super) position_in: Num,
    pub(super) position_out: Num,
    pub(super) domain: Num,
}

impl Public {
    pub(super) fn alloc(b: &mut Builder, inputs: &C2Inputs) -> Public {
        // By position, as the array is: an input more or less does not compile.
        let [
            root,
            t0,
            t1,
            claims_root,
            access,
            collect,
            break_glass,
            excluded,
            edge_in,
            edge_out,
            position_in,
            position_out,
            domain,
        ] = inputs.to_field_elements().map(|value| b.input(value));
        let kinds = [access, collect, break_glass];
        Public {
            root,
            t0,
            t1,
            claims_root,
            kinds,
            excluded,
            edge_in,
            edge_out,
            position_in,
            position_out,
            domain,
        }
    }
}

/// The hull with its values.
pub(super) struct HullNums {
    pub(super) receipt: [Num; 2],
    pub(super) measured: [Num; 2],
    pub(super) values: Hull,
}

/// A private number below `2^width`, made from its bits: `width` rows.
///
/// A value that does not fit is kept whole in the lowest bit and violates the row of that bit, so
/// that of a bad chunk the rule is violated that the bound belongs to, and no other.
#[track_caller]
pub(super) fn alloc_in_range(b: &mut Builder, value: Fr, width: usize) -> Num {
    let integer = value.into_bigint();
    let fits = integer.num_bits() as usize <= width;
    let mut bits: Vec<Bit> = Vec::with_capacity(width);
    for place in 0..width {
        let bit = b.alloc(match (fits, place) {
            (true, place) => Fr::from(integer.get_bit(place)),
            (false, 0) => value,
            (false, _) => Fr::ZERO,
        });
        bits.push(b.to_bit(&bit));
    }
    Num::pack(&bits)
}

/// A time as a field element.
pub(super) fn fr(time: Millis) -> Fr {
    Fr::from(time.get())
}
