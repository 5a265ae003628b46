//! NA: the samples of a waveform, and the rate that the observations beside it say.

use std::collections::BTreeMap;

use bridge::{Cause, Measure, Missing, Said, Unit};
use model::calendar::Instant;
use recordings::Period;

use crate::segment::{Segment, Separators, segments};
use crate::value::{SUB_ID, Skip, UNIT, VALUE, of_value, one, unescaped_unit};

/// Rates by the OBR that they stand below, and the OBX-4 of the waveform (IHE PCD: a rate's own
/// OBX-4 has one number more).
#[derive(Default)]
pub(crate) struct Rates(BTreeMap<(usize, String), Period>);

/// The reference identifier of a rate.
const RATE: &str = "MDC_ATTR_SAMP_RATE";
/// Its units: all of them say how many a second.
const PER_SECOND: &[&str] =
    &["/s", "1/s", "Hz", "MDC_DIM_PER_SEC", "MDC_DIM_X_PER_SEC", "MDC_DIM_HZ", "MDC_DIM_X_HZ"];

impl Rates {
    /// Those of a message.
    pub(crate) fn read(text: &str, separators: Separators) -> Rates {
        let (mut rates, mut group) = (BTreeMap::new(), 0);
        for segment in segments(text, separators) {
            match segment.name() {
                "OBR" => group += 1,
                "OBX" if is_attribute(segment) => {
                    let parent = segment.field(SUB_ID).raw().rsplit_once('.');
                    if let (Some((parent, _)), Some(period)) = (parent, rate(segment)) {
                        rates.insert((group, parent.to_owned()), period);
                    }
                }
                _ => {}
            }
        }
        Rates(rates)
    }

    fn of(&self, group: usize, obx: Segment<'_>) -> Option<Period> {
        self.0.get(&(group, obx.field(SUB_ID).raw().to_owned())).copied()
    }
}

/// Whether an observation describes another one, as IHE PCD nests them, and is none itself.
pub(crate) fn is_attribute(obx: Segment<'_>) -> bool {
    let code = obx.field(crate::value::CODE);
    [1, 2].iter().any(|number| code.component(*number).raw().starts_with("MDC_ATTR_"))
}

fn rate(obx: Segment<'_>) -> Option<Period> {
    let code = obx.field(crate::value::CODE);
    let is_rate = [1, 2].iter().any(|number| code.component(*number).raw() == RATE);
    let unit = obx.field(UNIT);
    let mut names = [1, 2].into_iter().map(|number| unit.component(number).raw());
    let is_known = names.any(|name| PER_SECOND.contains(&name));
    // In another unit it is no rate that anybody knows: the map's, or none.
    (is_rate && is_known).then(|| Period::from_rate(obx.field(VALUE).raw()).ok())?
}

/// One waveform.
pub(crate) struct Waveform<'a, 'm> {
    pub(crate) obx: Segment<'a>,
    pub(crate) group: usize,
    pub(crate) measure: &'a Measure<'m>,
    pub(crate) missing: Missing,
    /// Of the first sample.
    pub(crate) at: Instant,
}

/// A sample with its time.
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) value: Option<i32>,
}

impl Waveform<'_, '_> {
    /// Its samples, at most so many.
    pub(crate) fn samples(&self, rates: &Rates, limit: usize) -> Result<Vec<Sample>, Skip> {
        let field = one(self.obx.field(VALUE))?;
        let period = rates.of(self.group, self.obx).or_else(|| self.measure.period());
        let period = period.ok_or_else(|| Skip::refused(VALUE, Cause::RateMissing))?;
        let unit = unescaped_unit(self.obx)?;
        let said = Said { unit: unit.as_deref().map(Unit), ..Said::default() };
        let rule = self.measure.samples(said).map_err(of_value)?;
        let count = field.components().count();
        if count > limit {
            let what = "readings in a message";
            return Err(Skip::refused(VALUE, Cause::TooMany { what, limit }));
        }
        let mut samples = Vec::with_capacity(count);
        for (index, component) in field.components().enumerate() {
            let value = match (component.is_empty(), self.missing) {
                (true, Missing::Refuse) => return Err(Skip::refused(VALUE, Cause::ValueMissing)),
                (true, Missing::LeaveOut) => continue,
                (true, Missing::Off) => None,
                (false, _) => rule.value(component.raw().trim()).map_err(of_value)?,
            };
            let at = period
                .times(index as u64)
                .and_then(|after| Instant::from_micros(self.at.micros().checked_add(after)?).ok());
            let beyond = Cause::TimeMalformed { expected: "samples that end before the year 2457" };
            let at = at.ok_or_else(|| Skip::refused(VALUE, beyond))?;
            samples.push(Sample { at, value });
        }
        Ok(samples)
    }
}
