//! The readings of one message, each of which can be told from all others.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use model::calendar::Instant;
use model::{DeviceId, PatientIndex};

use crate::measurement::Measurement;
use crate::refusal::Cause;

/// Readings of one message in its order. What is stored of a reading is its device, signal and
/// instant: of two of them that are the same, as of a probe before the duct and one behind it,
/// nobody could tell which was which. Each takes some 48 bytes besides until they are handed on.
#[derive(Default)]
pub struct Readings {
    all: Vec<Measurement>,
    streams: BTreeMap<DeviceId, BTreeMap<u32, Stream>>,
}

/// What is known of one signal of a device.
struct Stream {
    /// The code under which its values came.
    code: String,
    /// With its value: the same one again says nothing new.
    met: BTreeMap<Met, Option<i32>>,
}

/// A patient's instant: of two patients the delivery says that they meet.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Met {
    patient: PatientIndex,
    at: Instant,
}

impl Readings {
    /// Adds one that came under a code.
    ///
    /// # Errors
    /// [`Cause::CodesMeet`] if its signal came from its device under another code, or at the same
    /// instant with another value; [`Cause::Repeated`] if it came as it is: then it is there.
    pub fn add(&mut self, code: &str, one: Measurement) -> Result<(), Cause> {
        let meet = Cause::CodesMeet { signal: one.signal.name };
        let signals = match self.streams.get_mut(&one.device) {
            Some(signals) => signals,
            None => self.streams.entry(one.device.clone()).or_default(),
        };
        let begin = || Stream { code: code.to_owned(), met: BTreeMap::new() };
        let stream = signals.entry(one.signal.code).or_insert_with(begin);
        if stream.code != code {
            return Err(meet);
        }
        match stream.met.entry(Met { patient: one.patient, at: one.at }) {
            Entry::Occupied(met) if *met.get() == one.value => {
                Err(Cause::Repeated { signal: one.signal.name })
            }
            Entry::Occupied(_) => Err(meet),
            Entry::Vacant(place) => {
                place.insert(one.value);
                self.all.push(one);
                Ok(())
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, in the order in which they were added.
    pub fn into_measurements(self) -> Vec<Measurement> {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use model::calendar::parse_instant;
    use model::signal_by_name;

    use super::*;

    fn reading(device: &str, signal: &str, at: &str) -> Measurement {
        Measurement {
            device: DeviceId::new(device).unwrap(),
            patient: PatientIndex::new(7).unwrap(),
            signal: signal_by_name(signal).unwrap(),
            at: parse_instant(at).unwrap(),
            value: Some(9700),
        }
    }

    #[test]
    fn two_readings_of_one_stream_have_one_code_and_an_instant_each() {
        let (at, later) = ("2026-05-01T08:30:00Z", "2026-05-01T08:30:01Z");
        let meets = |code, next: Measurement| {
            let mut readings = Readings::default();
            readings.add("150456", reading("m-1", "spo2", at)).unwrap();
            let added = readings.add(code, next);
            assert_eq!(readings.into_measurements().len(), 1 + usize::from(added.is_ok()));
            added == Err(Cause::CodesMeet { signal: "spo2" })
        };
        let other = |value| Measurement { value, ..reading("m-1", "spo2", at) };
        assert!(meets("150456", other(Some(8500))), "two probes of one code");
        assert!(meets("150456", other(None)));
        assert!(meets("2708-6", reading("m-1", "spo2", at)));
        assert!(meets("2708-6", reading("m-1", "spo2", later)));
        assert!(!meets("150456", reading("m-1", "spo2", later)));
        assert!(!meets("150456", reading("m-2", "spo2", at)));
        assert!(!meets("149530", reading("m-1", "pulse-rate", at)));
    }

    #[test]
    fn a_reading_that_comes_again_as_it_is_is_there_once() {
        let at = "2026-05-01T08:30:00Z";
        for value in [Some(9700), None] {
            let one = || Measurement { value, ..reading("m-1", "spo2", at) };
            let mut readings = Readings::default();
            readings.add("150456", one()).unwrap();
            let again = readings.add("150456", one());
            assert_eq!(again, Err(Cause::Repeated { signal: "spo2" }));
            assert!(readings.into_measurements() == [one()]);
        }
    }
}
