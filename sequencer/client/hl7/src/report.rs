//! ORU^R01: from segments to measurements, all of them or none.

use std::borrow::Cow;

use bridge::{Cause, Foreign, Map, Measure, Measurement, Missing, Readings, Unknown, codes};
use model::calendar::Instant;
use model::{DeviceId, PatientIndex, signal_by_name};

use crate::fault::{Fault, Place};
use crate::header::Header;
use crate::segment::{Field, SEGMENTS_MAX, Segment, Separators, segments};
use crate::time::read_time;
use crate::value::{
    self, At, CODE, Codes, Condition, EQUIPMENT, Skip, Structured, TIME, TYPE, VALUE,
};
use crate::waveform::{Rates, Sample, Waveform, is_attribute};

/// Most readings of one message: some 8 MiB of memory.
pub const READINGS_MAX: usize = 65_536;
/// Most faults that are kept; further ones are counted.
const FAULTS_MAX: usize = 20;

/// What a message holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Its readings, in its order.
    pub readings: Vec<Measurement>,
    /// The first of what is no reading and was passed over.
    pub left_out: Vec<Fault>,
    /// How many were.
    pub left_out_count: u64,
}

/// Reads a message whose header was [checked](Header::check).
///
/// # Errors
/// The first faults: the message is taken whole or not at all. Each names a segment and a field,
/// and nothing that stands there.
pub fn read(bytes: &[u8], header: &Header, map: &Map) -> Result<Report, Vec<Fault>> {
    let whole = |cause| vec![Fault::of_message(cause)];
    let charset = header.charset(map);
    let text = charset.decode(bytes).map_err(whole)?;
    let separators = Separators { charset, ..header.separators };
    let count = segments(&text, separators).take(SEGMENTS_MAX + 1).count();
    if count > SEGMENTS_MAX {
        return Err(whole(Cause::TooMany { what: "segments", limit: SEGMENTS_MAX }));
    }
    // What follows a second header is another message's, of another patient perhaps.
    if segments(&text, separators).filter(|one| one.name() == "MSH").count() > 1 {
        return Err(whole(Cause::Malformed { expected: "one message in a frame" }));
    }
    let rates = Rates::read(&text, separators);
    let mut walk = Walk {
        map,
        rates,
        application: None,
        patient: None,
        bed: None,
        observed: None,
        place: Counts::default(),
        readings: Readings::default(),
        report: Report::default(),
        refused: Vec::new(),
    };
    for segment in segments(&text, separators) {
        walk.take(segment);
    }
    walk.end()
}

/// How many segments of each name came.
#[derive(Clone, Copy, Default)]
struct Counts {
    pid: usize,
    pv1: usize,
    obr: usize,
    obx: usize,
}

struct Walk<'a> {
    map: &'a Map,
    rates: Rates,
    /// The sending application, MSH-3.
    application: Option<Result<String, Fault>>,
    /// The last PID's.
    patient: Option<Result<PatientIndex, Fault>>,
    /// The last PV1's assigned location.
    bed: Option<Result<String, Fault>>,
    /// The last OBR's time.
    observed: Option<String>,
    place: Counts,
    readings: Readings,
    report: Report,
    refused: Vec<Fault>,
}

/// An observation on its way to be a reading.
struct Observation<'a> {
    obx: Segment<'a>,
    /// The first of its codes.
    code: &'a str,
    condition: Condition,
    device: DeviceId,
    patient: PatientIndex,
    at: Instant,
}

impl Walk<'_> {
    fn take(&mut self, segment: Segment<'_>) {
        match segment.name() {
            "MSH" => {
                let named = read_name(segment.field(3).component(1), Place::header(3));
                self.application = Some(named);
            }
            "PID" => {
                self.place.pid += 1;
                // What stood before is of another patient.
                (self.bed, self.observed) = (None, None);
                self.patient = Some(self.read_patient(segment));
            }
            "PV1" => {
                self.place.pv1 += 1;
                let place = Place { segment: "PV1", number: self.place.pv1, field: 3 };
                self.bed = Some(read_name(segment.field(3), place));
            }
            "OBR" => {
                self.place.obr += 1;
                self.observed = Some(segment.field(7).component(1).raw().to_owned());
            }
            "OBX" => {
                self.place.obx += 1;
                if let Err(skip) = self.observe(segment) {
                    self.skip(skip);
                }
            }
            _ => {}
        }
    }

    /// Notes what is no reading.
    fn skip(&mut self, skip: Skip) {
        let Skip { at, cause, is_refusal } = skip;
        let place = match at {
            At::Own(field) => Some(Place { segment: "OBX", number: self.place.obx, field }),
            At::Before(place) => place,
        };
        let fault = Fault { place, cause };
        let faults = if is_refusal {
            &mut self.refused
        } else {
            self.report.left_out_count += 1;
            &mut self.report.left_out
        };
        if faults.len() < FAULTS_MAX && !faults.contains(&fault) {
            faults.push(fault);
        }
    }

    fn end(mut self) -> Result<Report, Vec<Fault>> {
        self.report.readings = self.readings.into_measurements();
        if self.refused.is_empty() && self.report.readings.is_empty() {
            // Without a reading there is no receipt, and nothing that could be acknowledged.
            self.refused.push(Fault::of_message(Cause::Nothing));
            self.refused.append(&mut self.report.left_out);
        }
        if self.refused.is_empty() { Ok(self.report) } else { Err(self.refused) }
    }

    /// PID-3: each repetition under each name of who assigned it.
    fn read_patient(&self, pid: Segment<'_>) -> Result<PatientIndex, Fault> {
        let place = Place { segment: "PID", number: self.place.pid, field: 3 };
        let fault = |cause| Fault::at(place, cause);
        let mut names = Vec::new();
        for one in pid.field(3).repetitions() {
            let identifier = one.component(1).text().map_err(fault)?;
            if identifier.is_empty() {
                continue;
            }
            let authority = one.component(4);
            // A row without authority is of identifiers that say none, and of no other's.
            if authority.is_empty() {
                names.push((Cow::Borrowed(""), identifier));
                continue;
            }
            // The second one is the same in the form of an OID.
            for part in [1, 2] {
                let authority = authority.subcomponent(part).text().map_err(fault)?;
                if !authority.is_empty() {
                    names.push((authority, identifier.clone()));
                }
            }
        }
        let foreign = names.iter().map(|(authority, identifier)| Foreign { authority, identifier });
        self.map.patient(foreign).map_err(fault)
    }

    fn observe(&mut self, obx: Segment<'_>) -> Result<(), Skip> {
        let codes = Codes::read(obx)?;
        let codings = codes.codings();
        let measure = match self.map.measure(&codings) {
            Ok(measure) => Some(measure),
            Err(Cause::CodeUnknown) if is_attribute(obx) => return Ok(()),
            Err(Cause::CodeUnknown) if codings.iter().any(|one| codes::is_pressure_panel(*one)) => {
                None
            }
            Err(cause @ Cause::CodeUnknown) if self.map.unknown() == Unknown::LeaveOut => {
                return Err(Skip::left_out(CODE, cause));
            }
            Err(cause) => return Err(Skip::refused(CODE, cause)),
        };
        let condition = value::condition(obx, self.map.status())?;
        let device = self.read_device(obx, &codings)?;
        let (patient, at) = (self.current_patient()?, self.read_time(obx)?);
        let code = codings.first().map_or("", |coding| coding.code);
        let one = Observation { obx, code, condition, device, patient, at };
        match measure {
            Some(measure) => self.take_value(&one, &measure),
            None => self.take_panel(&one),
        }
    }

    fn current_patient(&self) -> Result<PatientIndex, Skip> {
        match &self.patient {
            Some(Ok(patient)) => Ok(*patient),
            // Nobody is meant: said once, at the patient's own segment.
            Some(Err(fault)) => Err(fault.clone().into()),
            None => Err(Skip::refused(0, Cause::PatientMissing)),
        }
    }

    /// OBX-14, else OBR-7. Never the time of the message: that is when it was sent.
    fn read_time(&self, obx: Segment<'_>) -> Result<Instant, Skip> {
        let own = obx.field(TIME).component(1);
        let of_request = self.observed.as_deref().unwrap_or_default();
        let text = if own.is_empty() { of_request } else { own.raw() };
        let refused = |cause| Skip::refused(TIME, cause);
        if text.trim().is_empty() {
            return Err(refused(Cause::TimeMissing));
        }
        let written = read_time(text.trim()).map_err(refused)?;
        self.map.place(written).map_err(refused)
    }

    /// OBX-18; where that names nothing the bed (PV1-3), else the sending application (MSH-3). A
    /// device that says its own name is no other one, also where the map does not know it.
    fn read_device(
        &self,
        obx: Segment<'_>,
        codings: &[bridge::Coding<'_>],
    ) -> Result<DeviceId, Skip> {
        let refused = |cause| Skip::refused(EQUIPMENT, cause);
        let mut names = own_names(obx).map_err(refused)?;
        if names.is_empty() {
            for (authority, name) in [("PV1-3", &self.bed), ("MSH-3", &self.application)] {
                if let Some(name) = name {
                    names.push((authority.to_owned(), name.clone()?));
                }
            }
        }
        let there = names.iter().filter(|(_, identifier)| !identifier.is_empty());
        let foreign = there.map(|(authority, identifier)| Foreign { authority, identifier });
        self.map.device(foreign, codings).cloned().map_err(refused)
    }

    fn take_value(&mut self, one: &Observation<'_>, measure: &Measure<'_>) -> Result<(), Skip> {
        let obx = one.obx;
        if one.condition == Condition::None || obx.field(VALUE).is_empty() {
            return self.take_missing(one, measure);
        }
        match obx.field(TYPE).raw().trim() {
            "NM" => {
                let value = value::numeric(obx, measure)?;
                self.push(one, measure, value)
            }
            "SN" => match value::structured(obx.field(VALUE))? {
                Structured::One(number) => {
                    let value = value::component(obx, number, measure)?;
                    self.push(one, measure, value)
                }
                Structured::Pair(_) => Err(Skip::refused(VALUE, Cause::NotOne)),
            },
            "NA" => self.take_waveform(one, measure),
            _ => Err(Skip::refused(TYPE, Cause::Type { expected: "type NM, SN or NA" })),
        }
    }

    fn take_missing(&mut self, one: &Observation<'_>, measure: &Measure<'_>) -> Result<(), Skip> {
        match self.map.missing() {
            Missing::Off => self.push(one, measure, None),
            Missing::LeaveOut => Err(Skip::left_out(VALUE, Cause::ValueMissing)),
            Missing::Refuse => Err(Skip::refused(VALUE, Cause::ValueMissing)),
        }
    }

    fn take_waveform(&mut self, one: &Observation<'_>, measure: &Measure<'_>) -> Result<(), Skip> {
        let waveform = Waveform {
            obx: one.obx,
            group: self.place.obr,
            measure,
            missing: self.map.missing(),
            at: one.at,
        };
        let samples = waveform.samples(&self.rates, READINGS_MAX)?;
        samples.into_iter().try_for_each(|sample| self.add(one, measure, sample))
    }

    /// Both pressures in one value, `120/80`. A panel without one is a heading.
    fn take_panel(&mut self, one: &Observation<'_>) -> Result<(), Skip> {
        let heading = || Skip::left_out(CODE, Cause::CodeUnknown);
        let is_pair = one.obx.field(TYPE).raw().trim() == "SN";
        if one.condition == Condition::None || !is_pair || one.obx.field(VALUE).is_empty() {
            return Err(heading());
        }
        let Structured::Pair(numbers) = value::structured(one.obx.field(VALUE))? else {
            return Err(Skip::refused(VALUE, Cause::NotOne));
        };
        let mut values = Vec::new();
        for (name, number) in ["bp-systolic", "bp-diastolic"].into_iter().zip(numbers) {
            let signal = signal_by_name(name).map_err(|_| heading())?;
            let measure = self.map.measure_part(signal);
            let value = value::component(one.obx, number, &measure)?;
            values.push((measure, value));
        }
        for (measure, value) in values {
            self.push(one, &measure, value)?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        one: &Observation<'_>,
        measure: &Measure<'_>,
        value: Option<i32>,
    ) -> Result<(), Skip> {
        self.add(one, measure, Sample { at: one.at, value })
    }

    fn add(
        &mut self,
        one: &Observation<'_>,
        measure: &Measure<'_>,
        sample: Sample,
    ) -> Result<(), Skip> {
        if self.readings.len() >= READINGS_MAX {
            let (what, limit) = ("readings in a message", READINGS_MAX);
            return Err(Skip::refused(VALUE, Cause::TooMany { what, limit }));
        }
        let (device, patient) = (one.device.clone(), one.patient);
        let (signal, Sample { at, value }) = (measure.signal, sample);
        let reading = Measurement { device, patient, signal, at, value };
        match self.readings.add(one.code, reading) {
            // Told at once: further samples of its waveform may be new ones.
            Err(cause @ Cause::Repeated { .. }) => self.skip(Skip::left_out(CODE, cause)),
            added => added.map_err(|cause| Skip::refused(CODE, cause))?,
        }
        Ok(())
    }
}

/// What a field before the observations says that may be the name of a device.
fn read_name(field: Field<'_>, place: Place) -> Result<String, Fault> {
    field.text().map(Cow::into_owned).map_err(|cause| Fault::at(place, cause))
}

/// What OBX-18 says of a device: names under who gave them. A name under nobody is only what says
/// of nobody that he gave it.
fn own_names(obx: Segment<'_>) -> Result<Vec<(String, String)>, Cause> {
    let mut names = Vec::new();
    for one in obx.field(EQUIPMENT).repetitions() {
        let [entity, namespace, universal, kind] =
            [1, 2, 3, 4].map(|number| one.component(number).text());
        let (entity, namespace, universal, kind) = (entity?, namespace?, universal?, kind?);
        // IHE PCD: the device itself stands as a universal identifier, as of type EUI-64.
        let all = [(&namespace, &entity), (&universal, &entity), (&kind, &universal)];
        let there = all.iter().filter(|(by, name)| !by.is_empty() && !name.is_empty());
        let before = names.len();
        names.extend(there.map(|(by, name)| (by.to_string(), name.to_string())));
        let alone = if entity.is_empty() { universal } else { entity };
        if names.len() == before && !alone.is_empty() {
            names.push((String::new(), alone.into_owned()));
        }
    }
    Ok(names)
}
