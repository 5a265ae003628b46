//! Little-endian fields off the front of a frame's body.

use crate::DecodeError;

/// Takes so many bytes off.
pub(crate) fn take<'a>(from: &mut &'a [u8], expected: usize) -> Result<&'a [u8], DecodeError> {
    let found = from.len();
    let (head, rest) = from.split_at_checked(expected).ok_or(DecodeError::Truncated {
        what: "frame body",
        expected,
        found,
    })?;
    *from = rest;
    Ok(head)
}

/// Takes an array off.
pub(crate) fn take_array<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let mut array = [0; N];
    array.copy_from_slice(take(from, N)?);
    Ok(array)
}

/// Groups of 7 bits of the largest number: 54 bits, as times have.
const GROUPS_MAX: usize = 8;

/// Appends a number in groups of 7 bits, the lowest first; the high bit says that one follows.
pub(crate) fn put_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Takes such a number below 2^56 off.
///
/// # Errors
/// [`DecodeError`] for a longer one, and for one with a last group of zero, which is written
/// shorter.
pub(crate) fn take_number(from: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut number = 0;
    for group in 0..GROUPS_MAX {
        let [byte] = take_array(from)?;
        number |= u64::from(byte & 0x7f) << (7 * group);
        if byte < 0x80 {
            if byte == 0 && group > 0 {
                break;
            }
            return Ok(number);
        }
    }
    Err(DecodeError::field("number", "expected at most 8 groups of 7 bits, the last not zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_encoding() {
        for number in [0, 1, 127, 128, 16_383, 16_384, (1 << 54) - 1, (1 << 56) - 1] {
            let mut bytes = Vec::new();
            put_number(number, &mut bytes);
            assert_eq!(take_number(&mut &bytes[..]), Ok(number));
            for end in 0..bytes.len() {
                assert!(take_number(&mut &bytes[..end]).is_err(), "{number} cut to {end}");
            }
            // The same number, longer.
            *bytes.last_mut().unwrap() |= 0x80;
            bytes.push(0);
            assert!(take_number(&mut &bytes[..]).is_err(), "{number}");
        }
    }
}
