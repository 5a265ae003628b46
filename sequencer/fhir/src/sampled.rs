//! `SampledData`: a waveform in a text.

use std::fmt;

use model::whole_number;
use recordings::{Decimal, Period};

use crate::element::{Element, Object};
use crate::issue::{Fault, Issue};
use crate::unit::{Unit, read_unit};

/// Samples of one waveform: a minute at 1,000 Hz, or ten at 100.
pub const SAMPLES_MAX: usize = 65_536;
/// Digits of `dimensions`.
const DIMENSIONS_BYTES_MAX: usize = 9;
/// Between two samples: a day.
const PERIOD_US_MAX: u64 = 86_400_000_000;
/// Bytes of the text with the samples.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A waveform, its samples still as they were written: `origin + factor * sample` is each value.
#[derive(Clone, PartialEq, Eq)]
pub struct Sampled {
    /// Of the origin, which is that of all values.
    pub unit: Unit,
    /// The value of a sample that is zero.
    pub origin: Decimal,
    /// What a step of a sample is worth.
    pub factor: Decimal,
    /// Between two samples.
    pub period: Period,
    /// How many samples there are, one at least.
    pub count: usize,
    data: String,
}

/// One sample.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sample<'a> {
    /// A number.
    Number(&'a str),
    /// There was an error (`E`).
    Error,
}

/// Hides what was measured.
impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sampled({} samples)", self.count)
    }
}

impl Sampled {
    /// The samples, in the order of their times.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        self.data.split_ascii_whitespace().map(|word| match word {
            "E" => Sample::Error,
            word => Sample::Number(word),
        })
    }

    /// Microseconds from the first sample to the last.
    pub fn length_us(&self) -> Option<u64> {
        self.period.times(self.count.checked_sub(1)?.try_into().ok()?)
    }

    pub(crate) fn read(element: &Element<'_>) -> Result<Sampled, Issue> {
        let object = element.object()?;
        check_dimensions(&object)?;
        let origin = object.need("origin")?.object()?;
        let factor = object.field("factor").map(|it| it.decimal()).transpose()?;
        let text = object.need("data")?;
        let data = text.string(TEXT_BYTES_MAX)?;
        let mut count = 0;
        for word in data.split_ascii_whitespace() {
            count += 1;
            if count > SAMPLES_MAX {
                return Err(text.refuse(Fault::Many { of: "samples", max: SAMPLES_MAX }));
            }
            check_sample(word).map_err(|fault| text.refuse(fault))?;
        }
        if count == 0 {
            return Err(text.refuse(Fault::Sample));
        }
        Ok(Sampled {
            unit: read_unit(&origin)?,
            origin: origin.need("value")?.decimal()?,
            factor: factor.unwrap_or(Decimal::from_integer(1)),
            period: read_period(&object.need("period")?)?,
            count,
            data: data.into_owned(),
        })
    }
}

/// What FHIR says a sample is, and that it is a value.
fn check_sample(word: &str) -> Result<(), Fault> {
    match word {
        "E" => Ok(()),
        "U" | "L" => Err(Fault::SampleBeyond),
        word => word.parse::<Decimal>().map(|_| ()).map_err(|_| Fault::Sample),
    }
}

/// The time between two samples, milliseconds in FHIR R4. Held as a fraction, since a rounded one
/// would drift along the samples.
fn read_period(element: &Element<'_>) -> Result<Period, Issue> {
    element.decimal()?;
    let period = Period::from_length(&format!("{}ms", element.text())).ok();
    let in_range = |us: u64| (1..=PERIOD_US_MAX).contains(&us);
    let period = period.filter(|period| period.times(1).is_some_and(in_range));
    period.ok_or_else(|| element.refuse(Fault::SamplePeriod))
}

fn check_dimensions(object: &Object<'_>) -> Result<(), Issue> {
    let dimensions = object.need("dimensions")?;
    dimensions.decimal()?;
    let digits = dimensions.text();
    let found = whole_number(digits).filter(|_| digits.len() <= DIMENSIONS_BYTES_MAX);
    match found {
        Some(1) => Ok(()),
        Some(found) => Err(dimensions.refuse(Fault::Dimensions { found })),
        None => Err(dimensions.refuse(Fault::Decimal)),
    }
}
