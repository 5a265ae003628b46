//! A rule: whom it names, what it is about, and when it holds (SPEC.md section 3).

use thiserror::Error;

use crate::layout::{self, MaskBits};
use crate::{
    Categories, ClaimKinds, Interval, Labels, MaskError, Millis, Purposes, TimeError, Word,
};

/// Whom a rule or claim names: everybody, or one word computed from a registered id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Party {
    /// Everybody; the tagged constant [`Party::ANY`].
    Any,
    /// One organisation, practitioner, care team or device.
    Named(Word),
}

impl Party {
    /// The constant that stands for everybody ("any" in ASCII). Zero is *empty*, not *any*.
    pub const ANY: Word = Word::from_u64(0x61_6e_79);

    /// The word of this party.
    pub fn word(&self) -> Word {
        match self {
            Party::Any => Party::ANY,
            Party::Named(word) => *word,
        }
    }

    /// Reads a party from its word.
    ///
    /// # Errors
    /// [`RuleError::EmptyParty`] for zero.
    pub fn from_word(word: Word) -> Result<Party, RuleError> {
        match word {
            // Zero is what an empty slot holds: a rule with it would name nobody (C1.19).
            word if word.is_zero() => Err(RuleError::EmptyParty),
            word if word == Party::ANY => Ok(Party::Any),
            word => Ok(Party::Named(word)),
        }
    }
}

/// A permit, deny or break-glass policy: three field elements on the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Who may act (or may not).
    pub actor: Party,
    /// Whose data: the device or author it comes from.
    pub source: Party,
    /// Which categories.
    pub categories: Categories,
    /// For which purposes.
    pub purposes: Purposes,
    /// For which kinds of claim.
    pub kinds: ClaimKinds,
    /// Which labels.
    pub labels: Labels,
    /// The access period, when the act may happen (FHIR `provision.period`); a revocation sets its
    /// end.
    pub access: Interval,
    /// The data period, when the data was measured (FHIR `provision.dataPeriod`).
    pub data: Interval,
}

/// Words that are no rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RuleError {
    /// Actor or source is zero.
    #[error("expected an actor and a source, found an empty word")]
    EmptyParty,
    /// A reserved bit is set, or a lane is wider than 44 bits.
    #[error("expected the reserved bits of a packed rule to be zero, found bit {bit}")]
    ReservedBit {
        /// The lowest such bit.
        bit: u32,
    },
    /// A mask is malformed.
    #[error("the masks of a rule are malformed")]
    Mask(#[from] MaskError),
    /// A period is malformed.
    #[error("a period of a rule is malformed")]
    Time(#[from] TimeError),
}

impl Rule {
    /// The widest rule of an actor for `kinds` of claims: from every source, of every category, for
    /// every purpose, at all times. A narrower one is written as what differs from it.
    pub const fn widest(actor: Party, kinds: ClaimKinds) -> Rule {
        Rule {
            actor,
            source: Party::Any,
            categories: Categories::ALL,
            purposes: Purposes::ALL,
            kinds,
            labels: Labels::ALL,
            access: Interval::ALWAYS,
            data: Interval::ALWAYS,
        }
    }

    /// The masks alone, as they stand in the packed word ([`layout`]).
    pub fn mask(&self) -> u64 {
        pack_mask(self.categories, self.purposes, self.kinds, self.labels)
    }

    /// Masks and periods as one word of [`layout::PACKED_BITS`].
    pub fn packed(&self) -> Word {
        let mut limbs = [self.mask(), 0, 0, 0];
        let times = [self.access.from, self.access.until, self.data.from, self.data.until];
        for (lane, time) in layout::LANES.into_iter().zip(times) {
            put_bits(&mut limbs, lane, time.get());
        }
        // 252 bits are below the modulus: the fallback is unreachable.
        Word::from_limbs(limbs).unwrap_or(Word::ZERO)
    }

    /// The rule's three field elements: actor, source, packed.
    pub fn words(&self) -> [Word; 3] {
        [self.actor.word(), self.source.word(), self.packed()]
    }

    /// Reads a rule from its three words; `None` if all are zero (an empty slot).
    ///
    /// # Errors
    /// [`RuleError`] if the words are neither empty nor a rule.
    pub fn from_words(words: [Word; 3]) -> Result<Option<Rule>, RuleError> {
        // Only all three: a rule that lacks nothing but an actor or source is malformed, not
        // absent.
        if words.iter().all(Word::is_zero) {
            return Ok(None);
        }
        let limbs = words[2].limbs();
        // First, because with a reserved bit two words would read as one rule and hash apart.
        check_reserved(&limbs)?;
        let time = |first: u32| Millis::new(take_bits(&limbs, first, layout::LANE_BITS));
        let mask = |of: MaskBits| take_bits(&limbs, of.first, of.width);
        Ok(Some(Rule {
            actor: Party::from_word(words[0])?,
            source: Party::from_word(words[1])?,
            categories: Categories::from_bits(mask(layout::CATEGORIES))?,
            purposes: Purposes::from_bits(mask(layout::PURPOSES))?,
            kinds: ClaimKinds::from_bits(mask(layout::KINDS))?,
            labels: Labels::from_bits(mask(layout::LABELS))?,
            // Not `Interval::new`: a revocation may have emptied the access period (C1.21).
            access: Interval {
                from: time(layout::ACCESS_FROM)?,
                until: time(layout::ACCESS_UNTIL)?,
            },
            data: Interval { from: time(layout::DATA_FROM)?, until: time(layout::DATA_UNTIL)? },
        }))
    }
}

pub(crate) fn pack_mask(
    categories: Categories,
    purposes: Purposes,
    kinds: ClaimKinds,
    labels: Labels,
) -> u64 {
    categories.bits() << layout::CATEGORIES.first
        | purposes.bits() << layout::PURPOSES.first
        | kinds.bits() << layout::KINDS.first
        | labels.bits() << layout::LABELS.first
}

/// Sets bits that are still zero.
fn put_bits(limbs: &mut [u64; 4], bit: u32, value: u64) {
    let (limb, shift) = ((bit / 64) as usize, bit % 64);
    // A lane may begin in one limb and end in the next.
    let wide = u128::from(value) << shift;
    limbs[limb] |= wide as u64;
    if let Some(next) = limbs.get_mut(limb + 1) {
        *next |= (wide >> 64) as u64;
    }
}

fn take_bits(limbs: &[u64; 4], bit: u32, bits: u32) -> u64 {
    let (limb, shift) = ((bit / 64) as usize, bit % 64);
    let high = limbs.get(limb + 1).copied().unwrap_or(0);
    let wide = u128::from(limbs[limb]) | u128::from(high) << 64;
    ((wide >> shift) as u64) & ((1u64 << bits) - 1)
}

fn check_reserved(limbs: &[u64; 4]) -> Result<(), RuleError> {
    let above_lane = layout::LANE_STRIDE - layout::LANE_BITS;
    let gaps = layout::LANES.map(|lane| (lane + layout::LANE_BITS, above_lane));
    // From the lowest, so that the error names the lowest.
    for (bit, bits) in [(layout::RESERVED_BIT, 1)].into_iter().chain(gaps) {
        let found = take_bits(limbs, bit, bits);
        if found != 0 {
            return Err(RuleError::ReservedBit { bit: bit + found.trailing_zeros() });
        }
    }
    // What is left of the highest limb above the last lane.
    if limbs[3] >> (layout::PACKED_BITS % 64) != 0 {
        return Err(RuleError::ReservedBit { bit: layout::PACKED_BITS });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Category, ClaimKind, Label, Purpose};

    fn rule() -> Rule {
        Rule {
            actor: Party::Named(Word::from_u64(77)),
            source: Party::Any,
            categories: Category::Ecg.only().with(Category::Spo2.only()),
            purposes: Purpose::Treatment.only(),
            kinds: ClaimKind::Access.only(),
            labels: Label::Normal.only(),
            access: Interval { from: Millis::new(5).unwrap(), until: Millis::UNBOUNDED_FUTURE },
            data: Interval::ALWAYS,
        }
    }

    #[test]
    fn words_round_trip_and_an_empty_slot_is_none() {
        assert_eq!(Rule::from_words(rule().words()), Ok(Some(rule())));
        assert_eq!(Rule::from_words([Word::ZERO; 3]), Ok(None));
    }

    #[test]
    fn every_reserved_bit_is_refused() {
        let limbs = rule().packed().limbs();
        let used = |bit: u32| {
            bit < 51
                || (52..60).contains(&bit)
                || layout::LANES.iter().any(|lane| (*lane..lane + 44).contains(&bit))
        };
        for bit in (0..253).filter(|bit| !used(*bit)) {
            let mut changed = limbs;
            changed[(bit / 64) as usize] |= 1 << (bit % 64);
            let Some(word) = Word::from_limbs(changed) else { continue };
            let words = [Word::from_u64(1), Party::ANY, word];
            assert!(
                matches!(Rule::from_words(words), Err(RuleError::ReservedBit { .. })),
                "bit {bit} was accepted"
            );
        }
    }

    #[test]
    fn zero_is_not_any() {
        let [_, source, packed] = rule().words();
        assert_eq!(Rule::from_words([Word::ZERO, source, packed]), Err(RuleError::EmptyParty));
    }
}
