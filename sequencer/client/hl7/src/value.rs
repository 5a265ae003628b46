//! OBX: under what condition its value stands, and the numbers in it.

use bridge::{Cause, Coding, Measure, Unit};

use crate::fault::{Fault, Place};
use crate::segment::{Field, Segment};

/// Whether an observation has a value at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Condition {
    /// It has one.
    Value,
    /// It says that none could be obtained.
    None,
}

/// Where it stands that an observation is no reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum At {
    /// In a field of its own, or in the whole segment (0).
    Own(usize),
    /// Before it, in what several observations share: the patient, the bed.
    Before(Option<Place>),
}

/// Why an observation is no reading: it is passed over, or the whole message is refused, with the
/// field that says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Skip {
    pub(crate) at: At,
    pub(crate) cause: Cause,
    pub(crate) is_refusal: bool,
}

impl Skip {
    pub(crate) fn refused(field: usize, cause: Cause) -> Skip {
        Skip { at: At::Own(field), cause, is_refusal: true }
    }

    pub(crate) fn left_out(field: usize, cause: Cause) -> Skip {
        Skip { at: At::Own(field), cause, is_refusal: false }
    }
}

/// A fault of something that stands before the observation, of which it needs it.
impl From<Fault> for Skip {
    fn from(Fault { place, cause }: Fault) -> Skip {
        Skip { at: At::Before(place), cause, is_refusal: true }
    }
}

/// The fields of OBX that are read.
pub(crate) const TYPE: usize = 2;
pub(crate) const CODE: usize = 3;
pub(crate) const SUB_ID: usize = 4;
pub(crate) const VALUE: usize = 5;
pub(crate) const UNIT: usize = 6;
const FLAGS: usize = 8;
const STATUS: usize = 11;
pub(crate) const TIME: usize = 14;
pub(crate) const EQUIPMENT: usize = 18;

/// What OBX-11 and OBX-8 say; `by_map` is the status of one that says none.
pub(crate) fn condition(obx: Segment<'_>, by_map: Option<&str>) -> Result<Condition, Skip> {
    let expected = "F or R, or X for no value";
    let status = obx.field(STATUS);
    let status = if status.is_empty() { by_map.unwrap_or_default() } else { status.raw().trim() };
    let condition = match status {
        "F" | "R" => Condition::Value,
        "X" => Condition::None,
        // Preliminary, partial, pending, not asked for, not done: it will be said again, or never.
        "P" | "S" | "I" | "O" | "N" | "U" | "B" | "V" => {
            return Err(Skip::left_out(STATUS, Cause::Status { expected }));
        }
        // Corrected, deleted, wrong: what it takes back is stored, and stays.
        _ => return Err(Skip::refused(STATUS, Cause::Status { expected })),
    };
    let mut flags = obx.field(FLAGS).repetitions();
    // Of the flags for measurements (IHE PCD-01), those under which a number is no reading.
    match flags.find_map(|flag| match flag.component(1).raw() {
        "INV" | "NAV" => Some(Ok(Condition::None)),
        "QUES" | "CAL" | "TEST" | "DEMO" => {
            let expected = "no flag of doubt, calibration, test or demonstration";
            Some(Err(Skip::left_out(FLAGS, Cause::Status { expected })))
        }
        _ => None,
    }) {
        Some(flagged) => flagged,
        None => Ok(condition),
    }
}

/// The codes of OBX-3: the identifier and its alternate.
pub(crate) struct Codes {
    codes: [(String, String); 2],
}

impl Codes {
    pub(crate) fn read(obx: Segment<'_>) -> Result<Codes, Skip> {
        let field = obx.field(CODE);
        let text = |number: usize| {
            let text = field.component(number).text();
            text.map(|text| text.into_owned()).map_err(|cause| Skip::refused(CODE, cause))
        };
        Ok(Codes { codes: [(text(3)?, text(1)?), (text(6)?, text(4)?)] })
    }

    pub(crate) fn codings(&self) -> Vec<Coding<'_>> {
        let is_there = |(_, code): &&(String, String)| !code.is_empty();
        let codes = self.codes.iter().filter(is_there);
        codes.map(|(system, code)| Coding { system, code }).collect()
    }
}

/// The value of an NM.
pub(crate) fn numeric(obx: Segment<'_>, measure: &Measure<'_>) -> Result<Option<i32>, Skip> {
    component(obx, one(obx.field(VALUE))?, measure)
}

/// The numbers of an SN: one, or the two of a pressure.
pub(crate) enum Structured<'m> {
    /// One number.
    One(Field<'m>),
    /// Both, as of `120/80`.
    Pair([Field<'m>; 2]),
}

/// What an SN says, if it is a value and no bound, range or ratio.
pub(crate) fn structured<'m>(field: Field<'m>) -> Result<Structured<'m>, Skip> {
    let field = one(field)?;
    let [comparator, first, separator, second] = [1, 2, 3, 4].map(|number| field.component(number));
    match (comparator.raw().trim(), separator.raw().trim()) {
        ("" | "=", "") if second.is_empty() => Ok(Structured::One(first)),
        ("" | "=", "/") if !second.is_empty() => Ok(Structured::Pair([first, second])),
        _ => Err(Skip::refused(VALUE, Cause::NotOne)),
    }
}

/// A component of a value as a reading.
pub(crate) fn component(
    obx: Segment<'_>,
    number: Field<'_>,
    measure: &Measure<'_>,
) -> Result<Option<i32>, Skip> {
    let unit = unescaped_unit(obx)?;
    let number = number.text().map_err(|cause| Skip::refused(VALUE, cause))?;
    measure.value(&number, unit.as_deref().map(Unit)).map_err(of_value)
}

/// OBX-6, its escapes resolved; none where it says none.
pub(crate) fn unescaped_unit(obx: Segment<'_>) -> Result<Option<String>, Skip> {
    let field = obx.field(UNIT);
    for number in [1, 4] {
        let text = field.component(number).text().map_err(|cause| Skip::refused(UNIT, cause))?;
        if !text.is_empty() {
            return Ok(Some(text.into_owned()));
        }
    }
    Ok(None)
}

/// A cause at the field that it is of.
pub(crate) fn of_value(cause: Cause) -> Skip {
    let field = match cause {
        Cause::UnitMissing { .. } | Cause::UnitUnknown { .. } => UNIT,
        _ => VALUE,
    };
    Skip::refused(field, cause)
}

/// The one repetition of a value.
pub(crate) fn one(field: Field<'_>) -> Result<Field<'_>, Skip> {
    let mut all = field.repetitions();
    let first = all.next().ok_or_else(|| Skip::refused(VALUE, Cause::ValueMissing))?;
    if all.next().is_some() {
        return Err(Skip::refused(VALUE, Cause::NotOne));
    }
    Ok(first)
}
