//! Blocks of numbers of one width: how many bits each takes, then bit behind bit, the lowest first.

use crate::DecodeError;
use crate::columns::bytes::{take, take_array};

/// Numbers of a whole block.
pub(crate) const BLOCK: usize = 64;

/// The numbers of a block; those behind its end are zero.
pub(crate) type Block = [u64; BLOCK];

/// Widest number: together with the 7 bits that may stand before it in its first byte it fits into
/// one load of 64 bits.
const WIDTH_MAX: u32 = 57;

/// A whole block of the widest numbers, and what one load reaches beyond it.
const PADDED_BYTES: usize = 512 + 8;

/// Bits that a number takes.
fn bits_of(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

/// Numbers that take whole bytes together, whatever their width.
const EIGHT: usize = 8;

/// Bytes of a block of numbers of 8 bits, the widest of which eight fit into 64 bits.
const NARROW_BYTES: usize = BLOCK;

/// Calls a function with the width as its constant, where eight numbers fit into 64 bits: what
/// stands at which bit is known when it is compiled then. Most blocks of vital signs are so narrow.
macro_rules! with_width {
    ($width:expr, $known:ident($($argument:expr),+), $else:expr) => {
        match $width {
            1 => $known::<1>($($argument),+),
            2 => $known::<2>($($argument),+),
            3 => $known::<3>($($argument),+),
            4 => $known::<4>($($argument),+),
            5 => $known::<5>($($argument),+),
            6 => $known::<6>($($argument),+),
            7 => $known::<7>($($argument),+),
            8 => $known::<8>($($argument),+),
            _ => $else,
        }
    };
}

/// Appends a block of numbers below 2^57.
pub(crate) fn pack(numbers: &[u64], to: &mut Vec<u8>) {
    let width = bits_of(numbers.iter().fold(0, |all, number| all | number));
    debug_assert!(numbers.len() <= BLOCK && width <= WIDTH_MAX, "{width} bits");
    to.push(width as u8);
    match numbers.as_chunks() {
        (eights, []) => {
            with_width!(width, pack_eights(eights, to), pack_each(numbers, width, to))
        }
        _ => pack_each(numbers, width, to),
    }
}

fn pack_eights<const WIDTH: usize>(eights: &[[u64; EIGHT]], to: &mut Vec<u8>) {
    let mut packed = [0; NARROW_BYTES];
    let (bytes, _) = packed.as_chunks_mut::<WIDTH>();
    for (bytes, numbers) in bytes.iter_mut().zip(eights) {
        let mut held = 0;
        for (index, number) in numbers.iter().enumerate() {
            held |= number << (index * WIDTH);
        }
        bytes.copy_from_slice(&held.to_le_bytes()[..WIDTH]);
    }
    to.extend_from_slice(&packed[..WIDTH * eights.len()]);
}

fn pack_each(numbers: &[u64], width: u32, to: &mut Vec<u8>) {
    // Bits of the next bytes, and how many of them are there yet: below 64.
    let (mut held, mut bits) = (0u64, 0);
    for number in numbers {
        held |= number << bits;
        bits += width;
        if bits >= 64 {
            to.extend(held.to_le_bytes());
            bits -= 64;
            // What of the number did not fit; all of it did if nothing is over.
            held = if bits > 0 { number >> (width - bits) } else { 0 };
        }
    }
    to.extend(&held.to_le_bytes()[..bits.div_ceil(8) as usize]);
}

/// Takes a block of so many numbers off the front.
///
/// # Errors
/// [`DecodeError`] for a width that is not the least one, bits behind the last number, and where
/// the bytes end too early.
pub(crate) fn unpack(
    from: &mut &[u8],
    count: usize,
    width_max: u32,
    into: &mut Block,
) -> Result<(), DecodeError> {
    let width = u32::from(take_array::<1>(from)?[0]);
    if width > width_max.min(WIDTH_MAX) {
        let why = format!("expected a width of at most {width_max} bits, found {width}");
        return Err(DecodeError::field("block", why));
    }
    let packed = take(from, (count * width as usize).div_ceil(8))?;
    let all = match count {
        BLOCK => with_width!(width, unpack_eights(packed, into), unpack_each(packed, width, into)),
        _ => unpack_each(packed, width, into),
    };
    // Both by W.8. The last byte's spare bits are those of the numbers behind the end.
    if into[count..].iter().any(|number| *number != 0) {
        return Err(DecodeError::field("block", "expected zero bits behind the last number"));
    }
    if bits_of(all) != width {
        return Err(DecodeError::field("block", "expected the least width that holds its numbers"));
    }
    Ok(())
}

/// Unpacks a whole block; says which bits are set in any of its numbers.
fn unpack_eights<const WIDTH: usize>(packed: &[u8], into: &mut Block) -> u64 {
    let ((bytes, _), (eights, _)) = (packed.as_chunks::<WIDTH>(), into.as_chunks_mut::<EIGHT>());
    let mut all = 0;
    for (bytes, numbers) in bytes.iter().zip(eights) {
        let mut window = [0; 8];
        window[..WIDTH].copy_from_slice(bytes);
        let held = u64::from_le_bytes(window);
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = held >> (index * WIDTH) & ((1 << WIDTH) - 1);
            all |= *number;
        }
    }
    all
}

/// As [`unpack_eights`], of any width and count; the numbers behind the end are made of the spare
/// bits.
fn unpack_each(packed: &[u8], width: u32, into: &mut Block) -> u64 {
    // A copy with zeroes behind it, so that no load has to ask whether it reaches beyond the end:
    // there is no branch for a number, and none for the last ones.
    let mut padded = [0; PADDED_BYTES];
    padded[..packed.len()].copy_from_slice(packed);
    let (mask, mut all) = ((1 << width) - 1, 0);
    for (index, number) in into.iter_mut().enumerate() {
        let bit = index * width as usize;
        // Below 512 anyway; said so that the compiler sees it.
        let at = (bit >> 3) & 511;
        let mut window = [0; 8];
        window.copy_from_slice(&padded[at..at + 8]);
        *number = u64::from_le_bytes(window) >> (bit & 7) & mask;
        all |= *number;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_and_count_come_back_and_nothing_else_does() {
        for width in 0..=WIDTH_MAX {
            for count in [1, 2, 7, 8, 9, 63, 64] {
                let top = if width == 0 { 0 } else { 1 << (width - 1) };
                let number =
                    |index: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15) & (top.max(1) - 1);
                let mut numbers: Vec<_> = (0..count).map(number).collect();
                numbers[count as usize - 1] |= top;
                let mut bytes = Vec::new();
                pack(&numbers, &mut bytes);
                let count = count as usize;
                assert_eq!(bytes.len(), 1 + (count * width as usize).div_ceil(8));
                let (mut rest, mut block) = (&bytes[..], [7; BLOCK]);
                assert_eq!(unpack(&mut rest, count, WIDTH_MAX, &mut block), Ok(()));
                assert_eq!((&block[..count], rest.len()), (&numbers[..], 0), "{width} x {count}");
                for end in 0..bytes.len() {
                    assert!(unpack(&mut &bytes[..end], count, WIDTH_MAX, &mut block).is_err());
                }
                if width > 0 {
                    let narrower = unpack(&mut &bytes[..], count, width - 1, &mut block);
                    assert!(narrower.is_err(), "{width} bits where {} are most", width - 1);
                }
            }
        }
    }

    #[test]
    fn a_width_that_is_not_the_least_and_spare_bits_that_are_set_are_refused() {
        let mut block = [0; BLOCK];
        // Three numbers of 2 bits: 1, 2, 3, and two spare bits.
        let sound = [2, 0b11_10_01];
        assert_eq!(unpack(&mut &sound[..], 3, 57, &mut block), Ok(()));
        assert_eq!(block[..4], [1, 2, 3, 0]);
        for spare in [0b0100_0000, 0b1000_0000] {
            assert!(unpack(&mut &[2, sound[1] | spare][..], 3, 57, &mut block).is_err());
        }
        assert!(unpack(&mut &[2, 0b01_00_01][..], 3, 57, &mut block).is_err(), "1 bit is enough");
        assert!(unpack(&mut &[58; 600][..], 64, 64, &mut block).is_err(), "beyond one load");
    }
}
