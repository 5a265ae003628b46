//! Collections, their readings and their gaps as Observations.

use bridge::codes::{self, Known};
use model::calendar::Utc;
use model::{Categories, Category, Claim, Signal, signal_by_name, signals};
use serde_json::{Value, json};
use wire::{Quality, Reading};

use super::named::{Named, SYSTEM};
use crate::frames::SoundFrame;
use crate::line::{ClaimLine, FrameLine, GapLine};

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";

/// A collection: what was measured when and by what, and its segment by digest. It has no value:
/// no batch has one. With the readings in the file, those are its members.
///
/// Nothing of bytes that are no claim.
pub(super) fn collection(named: &Named<'_>, line: &ClaimLine, members: &[String]) -> Option<Value> {
    let claim = Claim::from_bytes(&line.proof.claim.0).ok()?;
    let mut made = observation(named, &code(claim.categories));
    made["effectivePeriod"] = json!({ "start": line.measured[0], "end": line.measured[1] });
    made["issued"] = line.time.clone().into();
    made["device"] = named.reference("device", claim.individual);
    made["derivedFrom"] = json!([{ "type": "DocumentReference", "identifier": {
        "system": format!("{SYSTEM}:segment"), "value": hex::encode(line.digest.0),
    } }]);
    if !members.is_empty() {
        let members: Vec<_> = members.iter().map(|url| json!({ "reference": url })).collect();
        made["hasMember"] = members.into();
        return Some(made);
    }
    let says = "the readings are in this segment, which a permitted reader is given";
    absent(&mut made, claim.categories, &Absent { code: "masked", says });
    Some(made)
}

/// A time in which a device collected nothing. Why, nobody here knows.
pub(super) fn gap(named: &Named<'_>, gap: &GapLine) -> Value {
    let categories = gap.categories.iter().filter_map(|name| Category::from_name(name).ok());
    let categories: Categories = categories.collect();
    let mut made = observation(named, &code(categories));
    made["effectivePeriod"] = json!({ "start": gap.from, "end": gap.until });
    let device = gap.source.split_once(':').map(|(_, name)| name);
    made["device"] = accounting::identifier::reference("device", device, &gap.source);
    let says = "nothing was collected in this time, and no reason is known";
    absent(&mut made, categories, &Absent { code: "unknown", says });
    made
}

/// How many Observations a frame becomes.
pub(super) fn count(line: &FrameLine) -> usize {
    let frame = sound(line);
    frame.map_or(0, |frame| if sampled(&frame).is_some() { 1 } else { frame.readings.len() })
}

/// The readings of a frame: sampled data where they are evenly spaced, as waveforms are; else one
/// Observation each, made when it is asked for.
///
/// Nothing of bytes that are no frame, or no claim.
pub(super) fn readings<'a>(
    named: &'a Named<'a>,
    claim: &ClaimLine,
    line: &FrameLine,
) -> Option<Box<dyn Iterator<Item = Value> + 'a>> {
    let frame = sound(line)?;
    let (signal, device) = (frame.signal, Claim::from_bytes(&claim.proof.claim.0).ok()?.individual);
    let own = move || {
        let mut made = observation(named, &of_signal(signal));
        made["device"] = named.reference("device", device);
        made
    };
    if let Some(data) = sampled(&frame) {
        let mut made = own();
        let [start, end] = &line.measured;
        made["effectivePeriod"] = json!({ "start": start, "end": end });
        made["valueSampledData"] = data;
        let all = frame.readings.iter().fold(Quality::GOOD, |all, one| all.with(one.quality));
        doubt(&mut made, all);
        return Some(Box::new(std::iter::once(made)));
    }
    let each = frame.readings.into_iter().map(move |reading| {
        let mut made = own();
        made["effectiveDateTime"] = Utc(reading.at.millis()).to_string().into();
        match reading.value {
            Some(value) => made["valueQuantity"] = quantity(signal, value),
            None => {
                let says = "the sensor was off";
                absent(&mut made, Categories::NONE, &Absent { code: "error", says });
            }
        }
        doubt(&mut made, reading.quality);
        made
    });
    Some(Box::new(each))
}

/// What a device says against its own readings.
fn doubt(made: &mut Value, quality: Quality) {
    let flags = [
        (Quality::QUESTIONABLE, "questionable"),
        (Quality::CALIBRATING, "calibrating"),
        (Quality::ALARM, "alarm"),
    ];
    let said = flags.iter().filter(|(flag, _)| quality.contains(*flag));
    let said: Vec<_> = said.map(|(_, word)| *word).collect();
    if !said.is_empty() {
        let url = format!("{SYSTEM}:quality");
        made["extension"] = json!([{ "url": url, "valueString": said.join(", ") }]);
    }
}

fn sound(line: &FrameLine) -> Option<SoundFrame> {
    SoundFrame::read(signal_by_name(&line.signal).ok()?, line.frame.0.clone())
}

/// Evenly spaced readings, by the microsecond.
fn sampled(frame: &SoundFrame) -> Option<Value> {
    let SoundFrame { signal, readings, .. } = frame;
    let micros = |reading: &Reading| reading.at.micros();
    let step = match readings.as_slice() {
        [first, second, ..] => {
            micros(second).checked_sub(micros(first)).filter(|step| *step > 0)?
        }
        _ => return None,
    };
    let is_even = readings.windows(2).all(|two| micros(&two[1]) - micros(&two[0]) == step);
    let words = readings.iter().map(|reading| match reading.value {
        Some(value) => value.to_string(),
        // FHIR's letter for a sample that is in error.
        None => "E".to_owned(),
    });
    let words: Vec<_> = words.collect();
    is_even.then(|| {
        json!({
            "origin": quantity(signal, 0),
            "period": decimal(step as f64, 3),
            "factor": decimal(1.0, signal.decimals),
            "dimensions": 1,
            "data": words.join(" "),
        })
    })
}

fn quantity(signal: &Signal, value: i32) -> Value {
    json!({
        "value": decimal(f64::from(value), signal.decimals),
        "unit": signal.unit, "system": UCUM, "code": signal.unit,
    })
}

/// A whole number with its point moved: the division is rounded once, so that the shortest text of
/// what it gives is the decimal number that is meant.
fn decimal(whole: f64, decimals: u8) -> Value {
    let value = whole / 10_f64.powi(i32::from(decimals));
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

fn observation(named: &Named<'_>, code: &Value) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "vital-signs",
        }] }],
        "code": code,
        "subject": named.subject(),
    })
}

/// Why a value is not there.
struct Absent {
    code: &'static str,
    says: &'static str,
}

/// Says that nothing is there; of several categories, of each.
fn absent(made: &mut Value, categories: Categories, why: &Absent) {
    let system = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
    let reason = json!({ "coding": [{ "system": system, "code": why.code }], "text": why.says });
    let members = members(categories);
    if members.len() > 1 {
        let each = members
            .iter()
            .map(|one| json!({ "code": code(one.only()), "dataAbsentReason": reason }));
        made["component"] = each.collect();
        return;
    }
    made["dataAbsentReason"] = reason;
}

fn members(categories: Categories) -> Vec<Category> {
    Category::ALL.iter().copied().filter(|one| categories.contains(one.only())).collect()
}

/// What was measured. One category is coded by the codes of its signals, several by a panel.
fn code(categories: Categories) -> Value {
    let members = members(categories);
    let names: Vec<_> = members.iter().map(|one| one.name()).collect();
    let own = |code: &str| json!({ "system": format!("{SYSTEM}:category"), "code": code });
    let mut codings: Vec<_> = names.iter().map(|name| own(name)).collect();
    match members.as_slice() {
        [one] => codings.extend(of_category(*one)),
        _ => codings = vec![panel("85353-1", "Vital signs panel")],
    }
    json!({ "coding": codings, "text": names.join(", ") })
}

/// The codes of a category: of several signals only what is true of each.
fn of_category(category: Category) -> Vec<Value> {
    match category {
        Category::BloodPressure => vec![panel("85354-9", "Blood pressure panel")],
        // FHIR's vital signs count a pulse as a heart rate.
        Category::HeartRate => vec![panel("8867-4", "Heart rate")],
        _ => {
            let signals = signals().iter().filter(|signal| signal.category == category);
            signals.flat_map(codes::written).map(coding).collect()
        }
    }
}

fn of_signal(signal: &'static Signal) -> Value {
    let codings: Vec<_> = codes::written(signal).map(coding).collect();
    json!({ "coding": codings, "text": signal.name })
}

fn coding(known: &Known) -> Value {
    json!({ "system": known.url(), "code": known.code, "display": known.name })
}

fn panel(code: &str, display: &str) -> Value {
    json!({ "system": LOINC, "code": code, "display": display })
}
