//! Times on a grid: the first one, a period, and where in its microsecond the first reading lies.

use crate::columns::bytes::take_array;
use crate::{DecodeError, Period, Reading};

/// Nanoseconds of a microsecond.
const MICRO: u64 = 1000;

/// First numerator that is too large: the times of 8192 readings are then below 2^61 ns.
const NUMERATOR_LIMIT: u64 = 1 << 48;

/// First offset in microseconds that no grid reaches, whatever its phase.
const OFFSET_LIMIT: u64 = 1 << 52;

/// The rhythm of a frame: reading `i` is `(i * numerator / denominator + phase) / 1000`
/// microseconds behind the first, each division floored.
///
/// Device times are whole microseconds, and few periods are. Rounded one by one they lie on a
/// grid that begins some nanoseconds behind the first of them: its phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rhythm {
    numerator: u64,
    denominator: u64,
    phase: u64,
}

impl Rhythm {
    /// The rhythm of this period that gives exactly these times, if there is one.
    pub(crate) fn of(period: Period, readings: &[Reading]) -> Option<Rhythm> {
        let (numerator, denominator) = period.in_lowest_terms();
        if numerator >= NUMERATOR_LIMIT {
            return None;
        }
        let grid = Rhythm { numerator, denominator, phase: 0 };
        let (first, last) = (readings.first()?.at.micros(), readings.last()?.at.micros());
        // Beyond what a grid reaches; below it no product here leaves 63 bits.
        if last.checked_sub(first)? >= OFFSET_LIMIT {
            return None;
        }
        // How far each reading's microsecond begins behind the grid. Without a branch for each.
        let (mut least, mut most) = (0, 0);
        for (reading, nanos) in readings.iter().zip(grid.nanos()) {
            let micros = reading.at.micros().wrapping_sub(first);
            let behind = micros.wrapping_mul(MICRO).wrapping_sub(nanos) as i64;
            (least, most) = (behind.min(least), behind.max(most));
        }
        // The phases that put each reading into its microsecond are those from the most to a
        // microsecond behind the least. The first, so that these times have one encoding (W.75).
        (most < least + MICRO as i64).then_some(Rhythm { phase: most as u64, ..grid })
    }

    /// Appends it: numerator u64, denominator u32, phase u16.
    pub(crate) fn put(self, to: &mut Vec<u8>) {
        to.extend(self.numerator.to_le_bytes());
        to.extend((self.denominator as u32).to_le_bytes());
        to.extend((self.phase as u16).to_le_bytes());
    }

    /// Takes the rhythm of so many readings off the front.
    ///
    /// # Errors
    /// [`DecodeError`] unless it is the one that is written for its times.
    pub(crate) fn take(from: &mut &[u8], count: usize) -> Result<Rhythm, DecodeError> {
        let numerator = u64::from_le_bytes(take_array(from)?);
        let denominator = u32::from_le_bytes(take_array(from)?);
        let phase = u64::from(u16::from_le_bytes(take_array(from)?));
        let period = Period::new(numerator, denominator)?;
        let rhythm = Rhythm { numerator, denominator: denominator.into(), phase };
        let is_lowest = period.in_lowest_terms() == (numerator, rhythm.denominator);
        if numerator >= NUMERATOR_LIMIT || !is_lowest || phase >= MICRO {
            let why = "expected a period below 2^48 in lowest terms and a phase below 1000";
            return Err(DecodeError::field("rhythm", why));
        }
        if !rhythm.phase_is_least(count) {
            return Err(DecodeError::field("rhythm", "expected the least phase for its times"));
        }
        Ok(rhythm)
    }

    /// Nanoseconds of each reading behind the first, without the phase.
    fn nanos(self) -> impl Iterator<Item = u64> {
        let (whole, part) = (self.numerator / self.denominator, self.numerator % self.denominator);
        // The part in units of 2^-64, rounded up: over the readings of a frame that is too much by
        // less than 2^-51, and the nearest sum below a whole lacks 2^-32 at least. Added up and
        // not multiplied: a division for each reading costs more than all the rest.
        let part = ((u128::from(part) << 64).div_ceil(self.denominator.into())) as u64;
        let mut parts = 0u64;
        std::iter::successors(Some(0), move |nanos: &u64| {
            let (sum, carry) = parts.overflowing_add(part);
            parts = sum;
            Some(nanos + whole + u64::from(carry))
        })
    }

    /// Microseconds of each reading behind the first.
    pub(crate) fn offsets(self) -> impl Iterator<Item = u64> {
        self.nanos().map(move |nanos| (nanos + self.phase) / MICRO)
    }

    /// Microseconds of one reading behind the first.
    pub(crate) fn offset(self, index: usize) -> u64 {
        (index as u64 * self.numerator / self.denominator + self.phase) / MICRO
    }

    /// Whether a phase one less would give other times: whether some reading but the first lies
    /// in the first nanosecond of its microsecond.
    fn phase_is_least(self, count: usize) -> bool {
        if self.phase == 0 {
            return true;
        }
        // Everything in parts of a nanosecond, within one microsecond. Four readings side by side:
        // one behind the other each would wait for the one before it.
        let micro = MICRO * self.denominator;
        let begin = self.phase * self.denominator;
        let behind = |readings: u64| (readings * self.numerator) % micro;
        let (mut lanes, step) = ([1, 2, 3, 4].map(|one| (begin + behind(one)) % micro), behind(4));
        let (rounds, rest) = ((count - 1) / lanes.len(), (count - 1) % lanes.len());
        let mut least = u64::MAX;
        for _ in 0..rounds {
            for lane in &mut lanes {
                least = least.min(*lane);
                let next = *lane + step;
                *lane = if next >= micro { next - micro } else { next };
            }
        }
        lanes[..rest].iter().fold(least, |least, lane| least.min(*lane)) < self.denominator
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceTime;

    fn at(micros: u64) -> Reading {
        Reading::new(DeviceTime::from_micros(4_000_000_000_000_000 + micros).unwrap(), 1)
    }

    fn period(numerator: u64, denominator: u32) -> Period {
        Period::new(numerator, denominator).unwrap()
    }

    fn offsets(rhythm: Rhythm, count: usize) -> Vec<u64> {
        let offsets: Vec<_> = rhythm.offsets().take(count).collect();
        let each: Vec<_> = (0..count).map(|index| rhythm.offset(index)).collect();
        assert_eq!(offsets, each, "added up and multiplied");
        offsets
    }

    #[test]
    fn every_rounding_of_a_steady_beat_has_a_rhythm_from_wherever_a_frame_begins() {
        let beats = [
            period(1_000_000_000, 360),
            period(1_000_000_000, 117),
            period(1_000_000, 1),
            period(60_000_000_000, 7),
            period(NUMERATOR_LIMIT - 1, 1),
        ];
        for period in beats {
            let (numerator, denominator) = period.in_lowest_terms();
            for (first, round) in [(0, 0), (1, 0), (77, 500), (1234, 999), (5_000, 250)] {
                let time = |beat: u64| {
                    let nanos = u128::from(beat) * u128::from(numerator) / u128::from(denominator);
                    at(((nanos + round) / 1000) as u64)
                };
                for count in [1, 2, 5, 64, 300] {
                    let readings: Vec<_> = (first..first + count).map(time).collect();
                    let found = Rhythm::of(period, &readings);
                    let rhythm = found.unwrap_or_else(|| panic!("{period:?} {first} {round}"));
                    let start = readings[0].at.micros();
                    let times: Vec<_> =
                        readings.iter().map(|one| one.at.micros() - start).collect();
                    assert_eq!(offsets(rhythm, count as usize), times);
                }
            }
        }
    }

    #[test]
    fn the_phase_is_the_least_that_gives_its_times_and_no_other_is_taken() {
        for (numerator, denominator) in [(25_000_000, 9), (1500, 7), (999, 1), (1, 1)] {
            for count in [1, 2, 3, 4, 5, 6, 9, 40] {
                // Phases that give the same times stand behind each other.
                let mut before = Vec::new();
                for phase in 0..MICRO {
                    let rhythm = Rhythm { numerator, denominator, phase };
                    let times = offsets(rhythm, count);
                    let is_new = before != times;
                    let mut bytes = Vec::new();
                    rhythm.put(&mut bytes);
                    assert_eq!(bytes.len(), 14);
                    let taken = Rhythm::take(&mut &bytes[..], count);
                    assert_eq!(taken.is_ok(), is_new, "{numerator}/{denominator} {phase} {count}");
                    let readings: Vec<_> = times.iter().map(|offset| at(*offset)).collect();
                    let period = period(numerator, denominator as u32);
                    let found = Rhythm::of(period, &readings).expect("on the grid");
                    assert_eq!(found == rhythm, is_new);
                    before = times;
                }
            }
        }
    }

    #[test]
    fn times_off_the_grid_and_periods_that_no_frame_holds_have_none() {
        let jitter = [at(0), at(2777), at(5556), at(8333)];
        assert!(Rhythm::of(period(1_000_000_000, 360), &jitter).is_none());
        let back = [at(5), at(0)];
        assert!(Rhythm::of(period(1, 1), &back).is_none());
        assert!(Rhythm::of(period(NUMERATOR_LIMIT, 1), &[at(0)]).is_none());
        for (numerator, denominator, phase) in
            [(0, 1, 0), (1, 0, 0), (2, 4, 0), (NUMERATOR_LIMIT, 1, 0), (1, 1, 1000)]
        {
            let mut bytes = Vec::new();
            Rhythm { numerator, denominator, phase }.put(&mut bytes);
            assert!(Rhythm::take(&mut &bytes[..], 9).is_err(), "{numerator}/{denominator} {phase}");
        }
    }
}
