//! Times without a rhythm: blocks of steps above the shortest one of each block.

use crate::columns::bits::{BLOCK, Block, pack, unpack};
use crate::columns::bytes::{put_number, take_number};
use crate::{DecodeError, DeviceTime};

/// Bits of the longest step: two device times are not further apart.
const WIDTH_MAX: u32 = u64::BITS - (DeviceTime::LIMIT_MICROS - 1).leading_zeros();

/// Appends a block of at most 64 times that follow `before`, in microseconds, each no earlier than
/// the one before it.
pub(crate) fn put_times(before: u64, times: &[u64], to: &mut Vec<u8>) {
    let (mut steps, mut last) = ([0; BLOCK], before);
    for (step, time) in steps.iter_mut().zip(times) {
        *step = time - last;
        last = *time;
    }
    let steps = &mut steps[..times.len()];
    let shortest = steps.iter().copied().min().unwrap_or(0);
    steps.iter_mut().for_each(|step| *step -= shortest);
    put_number(shortest, to);
    pack(steps, to);
}

/// Takes a block of so many times that follow `before` off the front.
///
/// # Errors
/// [`DecodeError`] unless they are as [`put_times`] writes them, and all below the limit of times.
pub(crate) fn take_times(
    from: &mut &[u8],
    count: usize,
    before: u64,
    into: &mut Block,
) -> Result<(), DecodeError> {
    let shortest = take_number(from)?;
    unpack(from, count, WIDTH_MAX, into)?;
    if into[..count].iter().copied().min() != Some(0) {
        return Err(DecodeError::field("times", "expected the shortest step by itself"));
    }
    let mut last = before;
    for time in &mut into[..count] {
        // Not beyond 64 bits: 64 steps below 2^57, behind a time below 2^54.
        last += shortest + *time;
        *time = last;
    }
    // Of the last one alone: none is later.
    DeviceTime::from_micros(last).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: u64 = 4_000_000_000_000_000;

    fn taken(bytes: &[u8], count: usize, before: u64) -> Result<Vec<u64>, DecodeError> {
        let (mut rest, mut block) = (bytes, [0; BLOCK]);
        take_times(&mut rest, count, before, &mut block)?;
        assert!(rest.is_empty());
        Ok(block[..count].to_vec())
    }

    #[test]
    fn times_come_back_whether_they_repeat_jitter_or_leap() {
        let last = DeviceTime::LIMIT_MICROS - 1;
        for times in [
            vec![BEFORE; 64],
            (0..64).map(|one| BEFORE + one * 2777 + one % 3).collect(),
            vec![BEFORE + 1, BEFORE + 2, last, last],
            vec![last],
        ] {
            let mut bytes = Vec::new();
            put_times(BEFORE, &times, &mut bytes);
            assert_eq!(taken(&bytes, times.len(), BEFORE), Ok(times));
        }
    }

    #[test]
    fn a_step_that_all_have_stands_alone_and_no_time_is_beyond_the_limit() {
        // Two steps of 1 above 1, which are steps of 2 above 0.
        assert!(taken(&[1, 1, 0b11], 2, BEFORE).is_err());
        let late = DeviceTime::LIMIT_MICROS - 2;
        assert!(taken(&[1, 0], 1, late).is_ok());
        assert!(taken(&[1, 0], 2, late).is_err());
        // The largest that there can be, which 64 bits must hold.
        let mut bytes = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 54, 0];
        bytes.extend([0xff; 7 * 62]);
        assert!(take_times(&mut &bytes[..], 64, late, &mut [0; BLOCK]).is_err());
    }
}
