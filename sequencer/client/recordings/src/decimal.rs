//! Decimal numbers as files have them, exactly: no value passes through a float.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Most digits of a number, leading and trailing zeros apart.
const DIGITS_MAX: usize = 18;
/// Greatest power of ten, either way, that is read.
const EXPONENT_MAX: i32 = 18;

/// What stands between whole and fraction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DecimalMark {
    /// `97.5`
    #[default]
    Point,
    /// `97,5`
    Comma,
}

/// A text that is no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected a decimal number of at most 18 digits")]
pub struct NotDecimal;

/// A decimal number: `digits * 10^-scale`. Without trailing zeros, so that equal numbers are equal:
/// `72.0`, `72` and `7.2e1` are one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Decimal {
    digits: i64,
    scale: u8,
}

/// A number taken to the resolution of a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scaled {
    /// Nothing was lost.
    Exact(i64),
    /// The nearest, halves away from zero.
    Rounded(i64),
}

impl Scaled {
    /// The integer, lost digits or not.
    pub fn nearest(self) -> i64 {
        match self {
            Scaled::Exact(value) | Scaled::Rounded(value) => value,
        }
    }
}

impl Decimal {
    /// Reads sign, digits with one mark, and an exponent: `-12.50`, `+72`, `.5`, `1.2e-3`. No
    /// separators of thousands: they are the other mark of some countries.
    ///
    /// ```
    /// use recordings::{Decimal, DecimalMark};
    ///
    /// let read = |text| Decimal::parse(text, DecimalMark::Point);
    /// assert_eq!(read("72.0"), read("72"));
    /// assert!(read("1,072").is_err());
    /// ```
    ///
    /// # Errors
    /// [`NotDecimal`] for anything else.
    pub fn parse(text: &str, mark: DecimalMark) -> Result<Decimal, NotDecimal> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, read_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let mark = if mark == DecimalMark::Comma { ',' } else { '.' };
        let (whole, fraction) = number.split_once(mark).unwrap_or((number, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().next().is_none() || !all().all(|byte| byte.is_ascii_digit()) {
            return Err(NotDecimal);
        }
        let fraction_digits = i32::try_from(fraction.len()).map_err(|_| NotDecimal)?;
        let significant: Vec<u8> = all().skip_while(|byte| *byte == b'0').collect();
        let kept = significant.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
        if kept > DIGITS_MAX {
            return Err(NotDecimal);
        }
        let magnitude =
            significant[..kept].iter().fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        let digits = if text.starts_with('-') { -magnitude } else { magnitude };
        if digits == 0 {
            return Ok(Decimal { digits: 0, scale: 0 });
        }
        let trailing = i32::try_from(significant.len() - kept).map_err(|_| NotDecimal)?;
        Decimal::of(digits, fraction_digits - trailing - exponent)
    }

    /// `digits * 10^-scale`, with a scale that may be negative.
    fn of(digits: i64, scale: i32) -> Result<Decimal, NotDecimal> {
        if let Ok(scale) = u8::try_from(scale) {
            let fits = i32::from(scale) <= EXPONENT_MAX;
            return if fits { Ok(Decimal { digits, scale }) } else { Err(NotDecimal) };
        }
        let zeros = u32::try_from(-scale).map_err(|_| NotDecimal)?;
        let power = 10i64.checked_pow(zeros).ok_or(NotDecimal)?;
        let digits = digits.checked_mul(power).ok_or(NotDecimal)?;
        Ok(Decimal { digits, scale: 0 })
    }

    /// A whole number.
    pub fn from_integer(value: i64) -> Decimal {
        Decimal { digits: value, scale: 0 }
    }

    /// All its digits, without the mark.
    pub(crate) fn digits(self) -> i64 {
        self.digits
    }

    /// Microseconds of so many units of which `10^unit` are a second, floored.
    pub(crate) fn floor_micros(self, unit: u32) -> Option<i64> {
        let below = 10i128.checked_pow(u32::from(self.scale).checked_add(unit)?)?;
        let micros = i128::from(self.digits).checked_mul(1_000_000)?.div_euclid(below);
        i64::try_from(micros).ok()
    }

    /// Digits behind the mark that are needed to write it.
    pub fn decimals(self) -> u8 {
        self.scale
    }

    /// The number in another unit, in steps of `10^-decimals`; `None` beyond what any signal holds.
    pub fn scaled(self, by: Linear, decimals: u8) -> Option<Scaled> {
        Fraction::of(self)?.scaled(by, decimals)
    }

    /// `self * factor + origin`: what a converter's step stands for. `None` if that has more digits
    /// than a number may.
    ///
    /// ```
    /// use recordings::Decimal;
    ///
    /// let read = |text: &str| text.parse::<Decimal>();
    /// assert_eq!(read("2048")?.affine(read("0.005")?, read("-10.24")?), Some(read("0")?));
    /// # Ok::<(), recordings::decimal::NotDecimal>(())
    /// ```
    pub fn affine(self, factor: Decimal, origin: Decimal) -> Option<Decimal> {
        let product = i128::from(self.digits).checked_mul(factor.digits.into())?;
        let (own, other) = (u32::from(self.scale + factor.scale), u32::from(origin.scale));
        let mut scale = own.max(other);
        let raised = |digits: i128, by: u32| digits.checked_mul(10i128.checked_pow(by)?);
        let mut digits = raised(product, scale - own)?
            .checked_add(raised(origin.digits.into(), scale - other)?)?;
        while scale > 0 && digits % 10 == 0 {
            (digits, scale) = (digits / 10, scale - 1);
        }
        Decimal::of(i64::try_from(digits).ok()?, i32::try_from(scale).ok()?).ok()
    }
}

impl FromStr for Decimal {
    type Err = NotDecimal;

    fn from_str(text: &str) -> Result<Decimal, NotDecimal> {
        Decimal::parse(text, DecimalMark::Point)
    }
}

fn read_exponent(text: &str) -> Result<i32, NotDecimal> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 2 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotDecimal);
    }
    let exponent: i32 = digits.parse().map_err(|_| NotDecimal)?;
    let exponent = if text.starts_with('-') { -exponent } else { exponent };
    if exponent.abs() <= EXPONENT_MAX { Ok(exponent) } else { Err(NotDecimal) }
}

/// An exact number that need not be a decimal: a converter's steps seldom are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fraction {
    above: i128,
    /// Above zero.
    below: i128,
}

impl Fraction {
    /// `None` unless something stands below the line.
    pub(crate) fn new(above: i128, below: i128) -> Option<Fraction> {
        match below.signum() {
            0 => None,
            1 => Some(Fraction { above, below }),
            // A gain may be negative, of a sensor whose sign is turned.
            _ => Some(Fraction { above: above.checked_neg()?, below: below.checked_neg()? }),
        }
    }

    pub(crate) fn of(decimal: Decimal) -> Option<Fraction> {
        Fraction::new(decimal.digits.into(), ten(decimal.scale)?)
    }

    /// Whether it is that number.
    pub(crate) fn is(self, decimal: Decimal) -> bool {
        let own = ten(decimal.scale).and_then(|ten| self.above.checked_mul(ten));
        own.is_some() && own == i128::from(decimal.digits).checked_mul(self.below)
    }

    /// The number in another unit, in steps of `10^-decimals`; `None` beyond what any signal holds.
    pub(crate) fn scaled(self, by: Linear, decimals: u8) -> Option<Scaled> {
        // One fraction in i128, divided once: nothing is rounded on the way.
        let hundredths = self.above.checked_mul(100)?;
        let before = i128::from(by.before_e2).checked_mul(self.below)?;
        let above = hundredths.checked_add(before)?.checked_mul(by.numerator.into())?;
        let above = above.checked_mul(ten(decimals)?)?;
        let below = self.below.checked_mul(by.denominator.into())?.checked_mul(100)?;
        let (whole, rest) = (above / below, above % below);
        // Away from zero, as people round, so that a wave and its mirror image stay mirrored.
        let up = rest.unsigned_abs().checked_mul(2)? >= below.unsigned_abs();
        let value = i64::try_from(if up { whole + above.signum() } else { whole }).ok()?;
        Some(if rest == 0 { Scaled::Exact(value) } else { Scaled::Rounded(value) })
    }
}

/// A power of ten.
pub(crate) fn ten(power: u8) -> Option<i128> {
    10i128.checked_pow(u32::from(power))
}

/// `(value + before) * numerator / denominator`: how one unit becomes another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Linear {
    /// In hundredths of the unit that is left: where zero is, as of a temperature.
    pub(crate) before_e2: i64,
    pub(crate) numerator: u64,
    pub(crate) denominator: u64,
}

impl Linear {
    /// The same unit.
    pub const SAME: Linear = Linear::times(1, 1);

    pub(crate) const fn times(numerator: u64, denominator: u64) -> Linear {
        Linear { before_e2: 0, numerator, denominator }
    }
}

/// As it is computed, with `x` for the value: `(x - 32) * 5 / 9`.
impl fmt::Display for Linear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.before_e2.abs() / 100, self.before_e2.abs() % 100);
        let hundredths = if hundredths == 0 { String::new() } else { format!(".{hundredths:02}") };
        let sign = if self.before_e2 < 0 { '-' } else { '+' };
        let sum = format!("x {sign} {whole}{hundredths}");
        match (self.before_e2, self.numerator == self.denominator) {
            (0, _) => f.write_str("x")?,
            (_, true) => f.write_str(&sum)?,
            (_, false) => write!(f, "({sum})")?,
        }
        if self.numerator != 1 {
            write!(f, " * {}", self.numerator)?;
        }
        if self.denominator != 1 {
            write!(f, " / {}", self.denominator)?;
        }
        Ok(())
    }
}

/// An integer times 10^-decimals, in digits: how a reading's value is written in its signal's unit.
pub fn to_decimal(value: i32, decimals: u8) -> String {
    let (sign, digits) = (if value < 0 { "-" } else { "" }, value.unsigned_abs().to_string());
    let decimals = usize::from(decimals);
    if decimals == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversion_is_written_as_it_is_computed() {
        let fahrenheit = Linear { before_e2: -3200, ..Linear::times(5, 9) };
        let kelvin = Linear { before_e2: -27_315, ..Linear::SAME };
        for (linear, expected) in [
            (Linear::SAME, "x"),
            (Linear::times(100, 1), "x * 100"),
            (Linear::times(1, 1000), "x / 1000"),
            (fahrenheit, "(x - 32) * 5 / 9"),
            (kelvin, "x - 273.15"),
        ] {
            assert_eq!(linear.to_string(), expected);
        }
    }

    fn read(text: &str) -> Decimal {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn one_number_has_one_form() {
        for text in ["72", "72.0", "72.000", "072", "+72", "72.", "7.2e1", "720e-1"] {
            assert_eq!(read(text), read("72"), "{text}");
        }
        assert_eq!(read(".5"), read("0.50"));
        assert_eq!(read("-0.0"), read("0"));
        assert_eq!(Decimal::parse("97,5", DecimalMark::Comma), Ok(read("97.5")));
        assert_eq!(read("0.025").decimals(), 3);
        assert_eq!(read("1.20").decimals(), 1);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "+.",
            "1,072",
            "1.2.3",
            "1e",
            "1e+",
            "1e999",
            "0x10",
            "ten",
            "1 2",
            "--1",
            "1234567890123456789",
            "1e19",
            "\u{661}",
            "inf",
            "nan",
        ] {
            assert_eq!(text.parse::<Decimal>(), Err(NotDecimal), "{text}");
        }
        assert_eq!(Decimal::parse("97.5", DecimalMark::Comma), Err(NotDecimal));
    }

    #[test]
    fn scaling_is_exact_or_says_that_it_rounds() {
        let same = |text: &str, decimals| read(text).scaled(Linear::SAME, decimals);
        assert_eq!(same("97.5", 1), Some(Scaled::Exact(975)));
        assert_eq!(same("97.55", 1), Some(Scaled::Rounded(976)));
        assert_eq!(same("-97.55", 1), Some(Scaled::Rounded(-976)));
        assert_eq!(same("-97.54", 1), Some(Scaled::Rounded(-975)));
        assert_eq!(same("0.4", 0), Some(Scaled::Rounded(0)));
        assert_eq!(same("999999999999999999", 2), None);
        // 98.6 degF are 37 Cel.
        let fahrenheit = Linear { before_e2: -3200, ..Linear::times(5, 9) };
        assert_eq!(read("98.6").scaled(fahrenheit, 2), Some(Scaled::Exact(3700)));
        assert_eq!(read("98.7").scaled(fahrenheit, 2), Some(Scaled::Rounded(3706)));
    }

    #[test]
    fn a_converters_step_is_exactly_what_factor_and_origin_say() {
        let of = |sample, factor, origin| read(sample).affine(read(factor), read(origin));
        assert_eq!(of("995", "0.005", "-5.12"), Some(read("-0.145")));
        assert_eq!(of("3", "1", "0"), Some(read("3")));
        assert_eq!(of("0", "0.001", "0.5"), Some(read("0.5")));
        // What has no more than eighteen digits behind the mark is exact, the rest is no number.
        assert_eq!(of("1", "0.000000000000000001", "0"), Some(read("1e-18")));
        assert_eq!(of("0.1", "0.000000000000000001", "0"), None);
        assert_eq!(of("999999999999999999", "999999999999999999", "0"), None);
    }

    #[test]
    fn a_fraction_is_rounded_once_and_known_from_any_decimal() {
        // 995 of a converter with 200 steps a millivolt and its zero at 1024: -145 uV.
        let value = Fraction::new(995 - 1024, 200).unwrap();
        assert_eq!(value.scaled(Linear::times(1000, 1), 0), Some(Scaled::Exact(-145)));
        assert!(value.is(read("-0.145")) && !value.is(read("-0.14")));
        let third = Fraction::new(-1, -3).unwrap();
        assert_eq!(third.scaled(Linear::SAME, 2), Some(Scaled::Rounded(33)));
        assert!(!third.is(read("0.333333333333333333")));
        assert!(Fraction::new(1, 0).is_none() && Fraction::new(1, i128::MIN).is_none());
        let huge = Fraction::new(i128::MAX, 1).unwrap();
        assert!(huge.scaled(Linear::SAME, 0).is_none() && !huge.is(read("0.1")));
    }

    #[test]
    fn values_are_written_in_their_unit_and_read_back() {
        for (value, decimals, text) in [(975, 1, "97.5"), (-5, 2, "-0.05"), (72, 0, "72")] {
            assert_eq!(to_decimal(value, decimals), text);
            let back = read(text).scaled(Linear::SAME, decimals);
            assert_eq!(back, Some(Scaled::Exact(value.into())));
        }
    }
}
