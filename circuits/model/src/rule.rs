//! A rule: whom it names, what it is about, and when it holds (SPEC.md section 3).

use thiserror::Error;

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
    /// The access period, when the act may happen (FHIR `provision.period`); a revocation sets its end.
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

/// First bit of each part of the packed word; the lanes are 48 bits apart and 44 wide.
mod layout {
    pub(super) const CATEGORIES: u32 = 0;
    pub(super) const PURPOSES: u32 = 32;
    pub(super) const KINDS: u32 = 48;
    pub(super) const LABELS: u32 = 52;
    pub(super) const LANES: [u32; 4] = [60, 108, 156, 204];
}

impl Rule {
    /// Bits of the four masks together, bit 51 being reserved.
    pub const MASK_BITS: u32 = 60;
    /// First bit of `access.from`, `access.until`, `data.from`, `data.until`.
    pub const LANES: [u32; 4] = layout::LANES;

    /// The masks alone: categories | purposes << 32 | kinds << 48 | labels << 52.
    pub fn mask(&self) -> u64 {
        pack_mask(self.categories, self.purposes, self.kinds, self.labels)
    }

    /// Masks and periods as one word of 252 bits.
    pub fn packed(&self) -> Word {
        let mut limbs = [self.mask(), 0, 0, 0];
        let times = [self.access.from, self.access.until, self.data.from, self.data.until];
        for (lane, time) in layout::LANES.into_iter().zip(times) {
            put(&mut limbs, lane, time.get());
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
        if words.iter().all(Word::is_zero) {
            return Ok(None);
        }
        let limbs = words[2].limbs();
        check_reserved(&limbs)?;
        let time = |lane: usize| Millis::new(take(&limbs, layout::LANES[lane], Millis::BITS));
        let mask = |from: u32, bits: u32| take(&limbs, from, bits);
        Ok(Some(Rule {
            actor: Party::from_word(words[0])?,
            source: Party::from_word(words[1])?,
            categories: Categories::from_bits(mask(layout::CATEGORIES, Categories::BITS))?,
            purposes: Purposes::from_bits(mask(layout::PURPOSES, Purposes::BITS))?,
            kinds: ClaimKinds::from_bits(mask(layout::KINDS, ClaimKinds::BITS))?,
            labels: Labels::from_bits(mask(layout::LABELS, Labels::BITS))?,
            access: Interval { from: time(0)?, until: time(1)? },
            data: Interval { from: time(2)?, until: time(3)? },
        }))
    }
}

pub(crate) fn pack_mask(
    categories: Categories,
    purposes: Purposes,
    kinds: ClaimKinds,
    labels: Labels,
) -> u64 {
    categories.bits() << layout::CATEGORIES
        | purposes.bits() << layout::PURPOSES
        | kinds.bits() << layout::KINDS
        | labels.bits() << layout::LABELS
}

fn put(limbs: &mut [u64; 4], bit: u32, value: u64) {
    let (limb, shift) = ((bit / 64) as usize, bit % 64);
    let wide = u128::from(value) << shift;
    limbs[limb] |= wide as u64;
    if let Some(next) = limbs.get_mut(limb + 1) {
        *next |= (wide >> 64) as u64;
    }
}

fn take(limbs: &[u64; 4], bit: u32, bits: u32) -> u64 {
    let (limb, shift) = ((bit / 64) as usize, bit % 64);
    let high = limbs.get(limb + 1).copied().unwrap_or(0);
    let wide = u128::from(limbs[limb]) | u128::from(high) << 64;
    ((wide >> shift) as u64) & ((1u64 << bits) - 1)
}

fn check_reserved(limbs: &[u64; 4]) -> Result<(), RuleError> {
    let gaps = layout::LANES.map(|lane| (lane + Millis::BITS, 4));
    for (bit, bits) in [(51, 1)].into_iter().chain(gaps) {
        let found = take(limbs, bit, bits);
        if found != 0 {
            return Err(RuleError::ReservedBit { bit: bit + found.trailing_zeros() });
        }
    }
    if limbs[3] >> 60 != 0 {
        return Err(RuleError::ReservedBit { bit: 252 });
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
