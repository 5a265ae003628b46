//! From values with their codes and units to readings, by the map.

use std::borrow::Cow;
use std::fmt;

use bridge::{Cause, Coding, Foreign, Map, Measurement, Missing, Readings, Refusal, Unit, Unknown};
use model::calendar::Instant;
use model::{PatientIndex, Signal};

use crate::named::Said;

/// Most values of one message.
pub const READINGS_MAX: usize = 4096;
/// Refusals that are told of what is left out; all are counted.
pub const LEFT_OUT_MAX: usize = 8;
/// Longest identifier of a message, bytes.
pub const IDENTITY_BYTES_MAX: usize = 256;

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
pub struct Taken {
    /// At least one.
    pub readings: Vec<Measurement>,
    /// What of it is no reading by the word of the map; the first [`LEFT_OUT_MAX`].
    pub left_out: Vec<Refusal>,
    /// How much is.
    pub left_out_count: usize,
    /// How its sender calls it; without one its content stands for it.
    pub identity: Option<String>,
    /// How its sender calls the device whose clock it has, with who calls it so. Of channels, which
    /// are devices of their own here, there is one.
    pub device: String,
}

/// Hides whose it is and what was measured.
impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (readings, left_out) = (self.readings.len(), self.left_out_count);
        write!(f, "Taken {{ readings: {readings}, left_out: {left_out} }}")
    }
}

/// A value as its payload has it.
pub(crate) struct Valued<'a> {
    pub(crate) at: Instant,
    pub(crate) code: Code<'a>,
    /// `None` says that there was none.
    pub(crate) number: Option<Cow<'a, str>>,
    pub(crate) unit: Option<Cow<'a, str>>,
    pub(crate) element: String,
}

/// What it is of.
pub(crate) struct Code<'a> {
    pub(crate) system: &'a str,
    pub(crate) code: Cow<'a, str>,
    /// What the code means where the map has no row of it.
    pub(crate) known: Option<&'static Signal>,
}

/// Of whom and by what.
pub(crate) struct Subject<'a> {
    pub(crate) patient: PatientIndex,
    pub(crate) device: Said<'a>,
    pub(crate) authority: &'a str,
}

/// Takes the values of one message.
pub(crate) struct Taker<'a> {
    pub(crate) map: &'a Map,
    pub(crate) subject: Subject<'a>,
    taken: Taken,
    readings: Readings,
}

impl<'a> Taker<'a> {
    pub(crate) fn new(map: &'a Map, subject: Subject<'a>, identity: Option<String>) -> Taker<'a> {
        let (readings, left_out) = (Vec::new(), Vec::new());
        // No authority holds the sign between: of two devices no two names are one.
        let device = format!("{}\0{}", subject.authority, subject.device.text);
        let taken = Taken { readings, left_out, left_out_count: 0, identity, device };
        Taker { map, subject, taken, readings: Readings::default() }
    }

    pub(crate) fn add(&mut self, valued: &Valued<'_>) -> Result<(), Refusal> {
        let refuse = |cause| Refusal::at(&valued.element, cause);
        let (system, code) = (valued.code.system, &*valued.code.code);
        let codings = [Coding { system, code }];
        let measure = match (self.map.measure(&codings), valued.code.known) {
            (Ok(measure), _) => measure,
            (Err(Cause::CodeUnknown), Some(signal)) => self.map.measure_part(signal),
            (Err(Cause::CodeUnknown), None) if self.map.unknown() == Unknown::LeaveOut => {
                self.leave_out(refuse(Cause::CodeUnknown));
                return Ok(());
            }
            (Err(cause), _) => return Err(refuse(cause)),
        };
        let value = match &valued.number {
            Some(number) => {
                let unit = valued.unit.as_deref().map(Unit);
                measure.value(number, unit).map_err(refuse)?
            }
            None => match self.map.missing() {
                Missing::Off => None,
                Missing::LeaveOut => {
                    self.leave_out(refuse(Cause::ValueMissing));
                    return Ok(());
                }
                Missing::Refuse => return Err(refuse(Cause::ValueMissing)),
            },
        };
        let Subject { patient, device, authority } = &self.subject;
        let foreign = Foreign { authority, identifier: &device.text };
        let found = self.map.device([foreign], &codings);
        let device = found.map_err(|cause| Refusal::at(&device.element, cause))?.clone();
        let (signal, at) = (measure.signal, valued.at);
        let reading = Measurement { device, patient: *patient, signal, at, value };
        match self.readings.add(code, reading) {
            Err(cause @ Cause::Repeated { .. }) => self.leave_out(refuse(cause)),
            added => added.map_err(refuse)?,
        }
        Ok(())
    }

    fn leave_out(&mut self, refusal: Refusal) {
        self.taken.left_out_count += 1;
        if self.taken.left_out.len() < LEFT_OUT_MAX {
            self.taken.left_out.push(refusal);
        }
    }

    /// # Errors
    /// Of a message without a reading: the first thing that was left out, or that there was none.
    pub(crate) fn end(mut self) -> Result<Taken, Refusal> {
        self.taken.readings = self.readings.into_measurements();
        if !self.taken.readings.is_empty() {
            return Ok(self.taken);
        }
        let nothing = || Refusal::at("payload", Cause::Nothing);
        Err(self.taken.left_out.into_iter().next().unwrap_or_else(nothing))
    }
}
