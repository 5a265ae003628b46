//! The time between readings at a steady rate, exactly.

use model::calendar::Instant;

use crate::Decimal;

/// The time between two readings, as a fraction of nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period {
    numerator_ns: u128,
    denominator: u128,
}

impl Period {
    /// `numerator_ns / denominator`, reduced; `None` unless both are above zero.
    pub fn new(numerator_ns: u128, denominator: u128) -> Option<Period> {
        let mut divisors = (numerator_ns, denominator);
        while divisors.1 != 0 {
            divisors = (divisors.1, divisors.0 % divisors.1);
        }
        if numerator_ns == 0 || denominator == 0 {
            return None;
        }
        let numerator_ns = numerator_ns / divisors.0;
        let denominator = denominator / divisors.0;
        Some(Period { numerator_ns, denominator })
    }

    /// Of a rate a second: `360`, `62.5`, `0.0166667`, `1/60`.
    ///
    /// # Errors
    /// A sentence that says what is read.
    pub fn from_rate(text: &str) -> Result<Period, String> {
        let wrong = || "expected readings a second above 0, as 360, 62.5 or 1/60".to_owned();
        let rate = Ratio::read(text).ok_or_else(wrong)?;
        Period::new(rate.below.checked_mul(NS).ok_or_else(wrong)?, rate.above).ok_or_else(wrong)
    }

    /// Of a length: `60s`, `4ms`, `1/360s`, `2.5ms`; seconds where no unit stands.
    ///
    /// # Errors
    /// A sentence that says what is read.
    pub fn from_length(text: &str) -> Result<Period, String> {
        let wrong = || "expected a time above 0, as 60s, 4ms, 1/360 or 5m".to_owned();
        let units = [
            ("ms", NS / 1000),
            ("us", NS / 1_000_000),
            ("s", NS),
            ("m", 60 * NS),
            ("h", 3600 * NS),
        ];
        let with_unit = units.iter().find_map(|(unit, ns)| Some((text.strip_suffix(unit)?, *ns)));
        let (number, ns) = with_unit.unwrap_or((text, NS));
        let length = Ratio::read(number).ok_or_else(wrong)?;
        Period::new(length.above.checked_mul(ns).ok_or_else(wrong)?, length.below).ok_or_else(wrong)
    }

    /// Nanoseconds above the fraction's line.
    pub fn numerator_ns(self) -> u128 {
        self.numerator_ns
    }

    /// Below it.
    pub fn denominator(self) -> u128 {
        self.denominator
    }

    /// Microseconds of so many periods, floored; `None` beyond all times.
    pub fn times(self, count: u64) -> Option<u64> {
        // From the start each time: adding a rounded period would drift by seconds a day.
        let ns = u128::from(count).checked_mul(self.numerator_ns)?;
        u64::try_from(ns / self.denominator / 1000).ok()
    }

    /// The time so many periods after the start; `None` beyond all times.
    pub(crate) fn after(self, start: Instant, count: u64) -> Option<Instant> {
        let micros = start.micros().checked_add(self.times(count)?)?;
        Instant::from_micros(micros).ok()
    }

    /// The period of `parts` readings in each of these.
    pub(crate) fn divided(self, parts: u32) -> Option<Period> {
        Period::new(self.numerator_ns, self.denominator.checked_mul(parts.into())?)
    }

    /// Whether readings come no faster than one a second.
    pub(crate) fn is_slow(self) -> bool {
        self.numerator_ns / self.denominator >= NS
    }
}

impl std::fmt::Display for Period {
    /// As [`Period::from_length`] reads it: in milliseconds where they are whole, else as a
    /// fraction of seconds.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let below = self.denominator * (NS / 1000);
        if self.numerator_ns.is_multiple_of(below) {
            return write!(f, "{}ms", self.numerator_ns / below);
        }
        let seconds = Period::new(self.numerator_ns, self.denominator * NS);
        let seconds = seconds.unwrap_or(*self);
        write!(f, "{}/{}s", seconds.numerator_ns, seconds.denominator)
    }
}

const NS: u128 = 1_000_000_000;

/// A number as a fraction of whole numbers.
struct Ratio {
    above: u128,
    below: u128,
}

impl Ratio {
    /// `3`, `62.5`, `1/360`.
    fn read(text: &str) -> Option<Ratio> {
        let one = |text: &str| -> Option<Ratio> {
            let number: Decimal = text.trim().parse().ok()?;
            Some(Ratio {
                above: u128::try_from(number.digits()).ok()?,
                below: 10u128.pow(u32::from(number.decimals())),
            })
        };
        let (above, below) = match text.split_once('/') {
            Some((above, below)) => (one(above)?, one(below)?),
            None => (one(text)?, Ratio { above: 1, below: 1 }),
        };
        Some(Ratio {
            above: above.above * below.below,
            below: above.below.checked_mul(below.above)?,
        })
    }
}

/// How far ahead of this machine a reading may be: what a node takes by default.
const AHEAD_US_MAX: u64 = 60_000_000;

/// Seconds that a time is ahead of the clock, if a node would not wait for it.
pub(crate) fn ahead_s(at: Instant, now: Instant) -> Option<u64> {
    let ahead = at.micros().saturating_sub(now.micros());
    (ahead > AHEAD_US_MAX).then_some(ahead / 1_000_000)
}
