//! A scenario in parts: several programs play one, each with some of its gateways.
//!
//! A process has so many sockets, and a machine so many cores: what one cannot play, two can, on
//! one machine or on several.

use std::num::NonZeroU32;
use std::str::FromStr;

use model::whole_number;
use thiserror::Error;

/// Most parts of a scenario.
pub const PARTS_MAX: u32 = 1000;

/// Which gateways of each group a program plays: every `of`-th.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Which part, from 0.
    number: u32,
    of: NonZeroU32,
}

/// A text that names no part.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a part as NUMBER/COUNT, such as 1/2 (1 to {PARTS_MAX} of them), found {found:?}")]
pub struct PartError {
    found: String,
}

impl Part {
    /// All of it.
    pub const WHOLE: Part = Part { number: 0, of: NonZeroU32::MIN };

    /// Whether a gateway of a group, counted from 0, is played.
    pub(super) fn has(self, gateway: usize) -> bool {
        gateway % self.count() == self.number as usize
    }

    /// How many there are.
    pub(super) fn count(self) -> usize {
        self.of.get() as usize
    }

    /// This part's share of what a group has all together, at least 1.
    pub(super) fn share(self, of_group: u64) -> u64 {
        let (number, of) = (u64::from(self.number), u64::from(self.of.get()));
        let rest = u64::from(number < of_group % of);
        (of_group / of + rest).max(1)
    }
}

impl FromStr for Part {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Part, PartError> {
        let wrong = || PartError { found: text.chars().take(40).collect() };
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let number: NonZeroU32 = whole_number(number).ok_or_else(wrong)?;
        let of: NonZeroU32 = whole_number(of).ok_or_else(wrong)?;
        if number > of || of.get() > PARTS_MAX {
            return Err(wrong());
        }
        Ok(Part { number: number.get() - 1, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gateway_is_in_one_part_and_shares_add_up() {
        let parts = ["1/3", "2/3", "3/3"].map(|text| text.parse::<Part>().unwrap());
        for gateway in 0..20 {
            let having = parts.iter().filter(|part| part.has(gateway)).count();
            assert_eq!(having, 1, "{gateway}");
            assert!(Part::WHOLE.has(gateway));
        }
        for all in [3, 4, 5, 1024] {
            assert_eq!(parts.map(|part| part.share(all)).iter().sum::<u64>(), all);
            assert_eq!(Part::WHOLE.share(all), all);
        }
        assert_eq!(parts.map(|part| part.share(1)), [1, 1, 1], "none is without");
    }

    #[test]
    fn what_names_no_part_is_told_how_one_is_named() {
        for text in ["", "1", "0/2", "3/2", "1/0", "1/1001", "-1/2", "+1/2", "1/02", "1/2/3"] {
            let error = text.parse::<Part>().unwrap_err();
            assert!(error.to_string().contains("NUMBER/COUNT"), "{error}");
        }
    }
}
