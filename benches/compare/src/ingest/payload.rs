//! What is sent: the same readings to every server, as rows of 16 bytes or packed in frames.

use std::fmt;
use std::num::NonZeroUsize;

use anyhow::{Context, ensure};
use model::{EpochNumber, Sequence, StreamHandle};
use serde::{Serialize, Serializer};
use wire::{Codec, DeviceTime, Frame, FramePlace, Layout, Period, Reading};

/// Bytes of a row, as of this project's raw codec: a time, a value and its quality.
pub(crate) const ROW_BYTES: usize = 16;

/// When the recording of a frame begins: 2026-01-01, microseconds since 1900.
const START_US: u64 = 3_976_214_400_000_000;

/// One kind of message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Payload {
    /// How readings lie in it.
    #[serde(serialize_with = "by_name")]
    pub(crate) codec: Codec,
    /// Readings of a message.
    pub(crate) readings: usize,
}

fn by_name<S: Serializer>(codec: &Codec, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(codec.name())
}

impl Payload {
    /// One for each codec and number of readings.
    pub(crate) fn all(codecs: &[Codec], readings: &[NonZeroUsize]) -> anyhow::Result<Vec<Payload>> {
        let largest = readings.iter().map(|one| one.get()).max().unwrap_or(1);
        let limit = Frame::RAW_READINGS_MAX;
        ensure!(largest <= limit, "expected at most {limit} readings a message, found {largest}");
        let of = |codec: &Codec| {
            let codec = *codec;
            readings.iter().map(move |one| Payload { codec, readings: one.get() })
        };
        Ok(codecs.iter().flat_map(of).collect())
    }

    /// The bytes that a server which does not look into them is given. In place of rows, as many
    /// bytes that do not compress, since a server might try and the rows of a patient would; of
    /// packed readings the very frame that the node is sent.
    ///
    /// # Errors
    /// If the recording cannot be made into such a frame.
    pub(crate) fn opaque(self) -> anyhow::Result<Vec<u8>> {
        if self.codec != Codec::RAW {
            return Ok(self.frame()?.as_bytes().to_vec());
        }
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::with_capacity(self.readings * ROW_BYTES);
        while bytes.len() < self.readings * ROW_BYTES {
            // xorshift64: no bytes of a patient are needed for what nobody reads.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        Ok(bytes)
    }

    /// An ECG as `loadgen` sends it.
    fn frame(self) -> anyhow::Result<Frame> {
        let ecg = world::recording("ecg").context("a recording of an ECG")?;
        let samples = ecg.samples.iter().cycle().take(self.readings);
        let readings: Vec<Reading> = (0..)
            .zip(samples)
            .map(|(index, value)| {
                let at = DeviceTime::from_micros(START_US + index * ecg.period_ns / 1000)?;
                Ok(Reading::new(at, *value))
            })
            .collect::<Result<_, wire::DecodeError>>()?;
        let place =
            FramePlace { handle: StreamHandle(1), epoch: EpochNumber(1), sequence: Sequence(1) };
        let period = Some(Period::new(ecg.period_ns, 1)?);
        let layout = Layout { codec: Some(self.codec), period };
        Frame::encode(place, ecg.signal, &readings, layout).context("a frame of the recording")
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.codec.name(), self.readings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> [NonZeroUsize; 2] {
        [256, 1024].map(|n| NonZeroUsize::new(n).expect("not zero"))
    }

    fn lengths(codec: Codec) -> Vec<usize> {
        let all = Payload::all(&[codec], &sizes()).expect("both fit");
        all.iter().map(|one| one.opaque().expect("made").len()).collect()
    }

    #[test]
    fn a_message_has_its_rows_and_more_than_a_frame_holds_are_refused() {
        assert_eq!(lengths(Codec::RAW), [4096, 16384]);
        let many = NonZeroUsize::new(Frame::RAW_READINGS_MAX + 1).expect("not zero");
        assert!(Payload::all(&[Codec::RAW], &[many]).is_err());
    }

    #[test]
    fn packed_readings_are_a_frame_of_this_project() {
        for (codec, bytes_max) in [(Codec::GRID, 1.3), (Codec::COLUMNAR, 3.0)] {
            for (length, readings) in lengths(codec).into_iter().zip([256.0, 1024.0]) {
                let each = length as f64 / readings;
                assert!((0.5..bytes_max).contains(&each), "{codec:?}: {each} bytes a reading");
            }
        }
    }

    #[test]
    fn kinds_are_every_codec_with_every_number_of_readings() {
        let all = Payload::all(&[Codec::RAW, Codec::GRID], &sizes()).expect("all fit");
        let names: Vec<String> = all.iter().map(Payload::to_string).collect();
        assert_eq!(names, ["raw 256", "raw 1024", "grid 256", "grid 1024"]);
        let json = serde_json::to_value(all[3]).expect("JSON");
        assert_eq!(json, serde_json::json!({ "codec": "grid", "readings": 1024 }));
    }
}
