//! What devices measure: a function of gateway and number, so that whoever finds a reading in the
//! journal knows whether somebody changed it.

use model::Millis;
use wire::{DeviceTime, Reading};

use crate::clock::BEGIN_UNIX_MS;

/// A device measures this often, milliseconds.
pub(crate) const PERIOD_MS: u64 = 20;

/// Readings of a frame.
pub(crate) const FRAME_READINGS: u64 = 8;

/// Behind the begin of a run, so that no clock of a gateway is ahead of what it measured.
const BEFORE_MS: u64 = 3_600_000;

/// What a device measured as its `number`-th reading, from 0.
pub(crate) fn reading(gateway: usize, number: u64) -> Reading {
    let at = Millis::from_unix_ms(BEGIN_UNIX_MS - BEFORE_MS + number * PERIOD_MS);
    Reading::new(DeviceTime::from_millis(at), value(gateway, number))
}

/// The number of a reading, if a device of this gateway measured it.
pub(crate) fn number_of(gateway: usize, found: &Reading) -> Option<u64> {
    let at = found.at.millis().unix_ms();
    let since = at.checked_sub(BEGIN_UNIX_MS - BEFORE_MS)?;
    let number = since / PERIOD_MS;
    (reading(gateway, number) == *found).then_some(number)
}

fn value(gateway: usize, number: u64) -> i32 {
    let mixed = (gateway as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
    let mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
    (mixed % 2_000) as i32 - 1_000
}
