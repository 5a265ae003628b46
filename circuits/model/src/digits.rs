//! Whole numbers as texts from outside have them.

use std::str::FromStr;

/// Reads a whole number from its digits: one number has one text.
///
/// The parser of the standard library takes `+7` and `007` for 7, too. Of a number that names
/// somebody that is a second name, and whoever compares names by their texts, before or behind
/// this, sees two people where there is one.
///
/// ```
/// use model::whole_number;
///
/// assert_eq!(whole_number("7"), Some(7_u32));
/// assert_eq!(["+7", "007", " 7", "-7", "", "4294967296"].map(whole_number::<u32>), [None; 6]);
/// ```
pub fn whole_number<N: FromStr>(text: &str) -> Option<N> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    text.parse::<N>().ok().filter(|_| is_digits && !is_padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_text() {
        for (text, number) in [("0", 0), ("7", 7), ("10", 10), ("255", 255)] {
            assert_eq!(whole_number::<u8>(text), Some(number));
        }
        let wrong = [
            "", "+7", "-0", "00", "07", " 7", "7 ", "7\n", "0x7", "7.0", "1e1", "256", "\u{0667}",
            "\u{ff17}",
        ];
        for text in wrong {
            assert_eq!(whole_number::<u8>(text), None, "{text:?}");
        }
        assert_eq!(whole_number("18446744073709551615"), Some(u64::MAX));
        assert_eq!(whole_number::<u64>("18446744073709551616"), None);
    }
}
