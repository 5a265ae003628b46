//! What a message says, and what of it goes to each stream.

use std::collections::BTreeMap;

use bridge::{Cause, Measurement};
use model::Millis;
use wire::{DeviceTime, Reading, StreamKey};

use super::content::{Content, Said};
use super::receipts::Slot;
use super::taken::{MessageId, PartId};

/// How far ahead of this bridge's clock or the node's, whichever is later, a time may be: less than
/// the node allows (300 s), which takes the frame of a later one only when its own clock is there,
/// and nothing behind it before.
const AHEAD_S_MAX: u64 = 240;
/// How far ahead one may be that is waited for. Clocks of computers are wrong by a time zone or by
/// what they drifted; those of devices begin anew in another year.
const AHEAD_HOURS_MAX: u64 = 24;

/// What a message says.
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) content: Content,
    /// What it says, by what is known by itself. Its frames say in the folder whose readings they
    /// hold, so that a member is stored once in whichever message it comes.
    pub(crate) members: Vec<Member>,
}

/// What of a message is known by itself: as the message is stored, each of them is.
pub(crate) struct Member {
    pub(super) id: MessageId,
    /// Made once: it is asked often, and a member may have a million readings.
    said: Said,
    pub(crate) readings: Vec<Measurement>,
}

impl Message {
    /// One that is known as a whole alone.
    pub(crate) fn single(id: MessageId, content: Content, readings: Vec<Measurement>) -> Message {
        Message { id, content, members: vec![Member::new(id, content, readings)] }
    }

    /// What it says. As a whole it has no readings but where one member is all of it.
    pub(super) fn said(&self) -> Said {
        let own = self.members.iter().find(|member| member.id == self.id);
        own.map_or(Said::without_readings(self.content), |own| own.said)
    }

    /// Its members with names of their own.
    pub(super) fn named(&self) -> impl Iterator<Item = (MessageId, Said)> {
        let named = self.members.iter().filter(|member| member.id != self.id);
        named.map(|member| (member.id, member.said))
    }

    /// Whether no time is ahead of now, but for what clocks disagree. Asked before anything of it
    /// is placed.
    pub(super) fn check_times(&self, now: Millis) -> Result<(), Cause> {
        let readings = self.members.iter().flat_map(|member| &member.readings);
        let latest = readings.map(|one| one.at.millis()).max().unwrap_or_default();
        if latest > now.plus(AHEAD_HOURS_MAX * 3_600_000) {
            Err(Cause::TimeFar { hours: AHEAD_HOURS_MAX })
        } else if latest > now.plus(AHEAD_S_MAX * 1000) {
            Err(Cause::TimeAhead { seconds: AHEAD_S_MAX })
        } else {
            Ok(())
        }
    }

    /// Its members that have readings: others are names alone, and take no place of their own.
    pub(super) fn with_readings(&self) -> usize {
        self.members.iter().filter(|member| !member.readings.is_empty()).count().max(1)
    }

    pub(super) fn readings(&self) -> usize {
        self.members.iter().map(|member| member.readings.len()).sum()
    }
}

impl Member {
    /// Without readings it is another name of one beside it.
    pub(crate) fn new(id: MessageId, content: Content, readings: Vec<Measurement>) -> Member {
        Member { id, said: Said::of(content, &readings), readings }
    }
}

/// The readings of a message that go to one stream.
pub(super) struct Part {
    pub(super) key: StreamKey,
    pub(super) members: Vec<MemberPart>,
}

/// Those of one member, in the order of their times.
pub(super) struct MemberPart {
    pub(super) id: MessageId,
    pub(super) said: Said,
    pub(super) readings: Vec<Reading>,
}

impl Part {
    /// Parts of a message, by stream. A device measures one patient at a time: of a message that
    /// says otherwise the second one would wait for the first for ever.
    pub(super) fn of(message: &Message) -> Result<Vec<Part>, Cause> {
        let mut parts = BTreeMap::<_, Part>::new();
        for member in &message.members {
            let said = member.said;
            for one in &member.readings {
                let (device, signal) = (one.device.clone(), one.signal.code);
                let key = StreamKey { device, patient: one.patient, signal };
                let part = parts
                    .entry(Slot::of(&key))
                    .or_insert_with_key(|_| Part { key, members: Vec::new() });
                if part.key.patient != one.patient {
                    return Err(Cause::PatientsMeet { signal: one.signal.name });
                }
                part.push((member.id, said), read(one)?);
            }
        }
        let mut parts: Vec<_> = parts.into_values().collect();
        let members = parts.iter_mut().flat_map(|part| &mut part.members);
        members.for_each(|member| member.readings.sort_by_key(|reading| reading.at));
        Ok(parts)
    }

    fn push(&mut self, (id, said): (MessageId, Said), reading: Reading) {
        match self.members.last_mut().filter(|last| last.id == id) {
            Some(last) => last.readings.push(reading),
            None => self.members.push(MemberPart { id, said, readings: vec![reading] }),
        }
    }
}

/// Which part of a message goes to a stream, in 16 bytes.
pub(super) fn part_id(key: &StreamKey) -> PartId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.device.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(&key.signal.to_be_bytes());
    hasher.update(&key.patient.get().to_be_bytes());
    hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
}

fn read(one: &Measurement) -> Result<Reading, Cause> {
    let at = DeviceTime::from_micros(one.at.micros());
    let at = at.map_err(|_| Cause::TimeMalformed { expected: "a time before 2457" })?;
    Ok(match one.value {
        Some(value) => Reading::new(at, value),
        None => Reading::sensor_off(at),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use bridge::Fate;
    use model::calendar::{Instant, parse_instant};
    use model::{DeviceId, PatientIndex, signal_by_name};

    use super::*;

    pub(in crate::bridge) fn heart_rate(patient: u32, value: i32) -> Measurement {
        Measurement {
            device: DeviceId::new("m-1").unwrap(),
            patient: PatientIndex::new(patient).unwrap(),
            signal: signal_by_name("heart-rate").unwrap(),
            at: parse_instant("2026-05-01T08:30:00Z").unwrap(),
            value: Some(value),
        }
    }

    fn of(readings: Vec<Measurement>) -> Result<Vec<Part>, Cause> {
        Part::of(&Message::single(MessageId([1; 16]), Content([1; 16]), readings))
    }

    #[test]
    fn a_message_of_two_patients_on_one_device_and_signal_is_never_taken() {
        let refused = of(vec![heart_rate(7, 720), heart_rate(8, 720)]).err().expect("refused");
        assert_eq!(refused, Cause::PatientsMeet { signal: "heart-rate" });
        assert_eq!(refused.fate(), Fate::Never);
        assert_eq!(of(vec![heart_rate(7, 720), heart_rate(7, 730)]).unwrap().len(), 1);
    }

    #[test]
    fn a_message_with_a_time_that_is_yet_to_come_is_taken_then_but_one_of_another_day_never() {
        let begin = parse_instant("2026-05-01T08:30:00Z").unwrap();
        let at = |seconds| Instant::from_micros(begin.micros() + seconds * 1_000_000).unwrap();
        let readings = |seconds: u64| {
            let late = Measurement { at: at(seconds), ..heart_rate(7, 720) };
            Message::single(MessageId([1; 16]), Content([1; 16]), vec![heart_rate(7, 720), late])
        };
        assert_eq!(readings(AHEAD_S_MAX).check_times(begin.millis()), Ok(()));
        let day = AHEAD_HOURS_MAX * 3600;
        for (seconds, code, fate) in [
            (AHEAD_S_MAX + 1, "time-ahead", Fate::Again),
            (day, "time-ahead", Fate::Again),
            (day + 1, "time-far", Fate::Never),
        ] {
            let refused = readings(seconds).check_times(begin.millis()).unwrap_err();
            assert_eq!((refused.code().as_str(), refused.fate()), (code, fate), "{seconds}");
        }
    }

    #[test]
    fn readings_of_one_stream_stay_those_of_their_members() {
        let member = |n: u8, count: i32| {
            let readings = (0..count).map(|value| heart_rate(7, value)).collect();
            Member::new(MessageId([n; 16]), Content([n; 16]), readings)
        };
        let members = vec![member(2, 1), member(3, 2)];
        let message = Message { id: MessageId([1; 16]), content: Content([1; 16]), members };
        let parts = Part::of(&message).unwrap();
        let sizes: Vec<_> = parts[0].members.iter().map(|one| one.readings.len()).collect();
        assert_eq!((parts.len(), sizes, message.readings()), (1, vec![1, 2], 3));
    }
}
