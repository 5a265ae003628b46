//! Real recordings, decoded to the integers of their signal.

use std::sync::OnceLock;

use model::{Signal, UnknownSignal, signal_by_name};
use thiserror::Error;

const ECG: &[u8] = include_bytes!("../data/mitbih-100.dat");
const PPG: &str = include_str!("../data/heartpy-2.csv");
/// Units of the ECG file: (sample - baseline) / gain is millivolt; one step is 5 uV.
const ECG_BASELINE: i32 = 1024;
const ECG_UV_PER_STEP: i32 = 5;
const ECG_PERIOD_NS: u64 = 1_000_000_000 / 360;
const PPG_PERIOD_NS: u64 = 1_000_000_000 / 117;

/// One signal sampled at a fixed period.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// Name for tables and reports.
    pub name: &'static str,
    /// What was measured.
    pub signal: &'static Signal,
    /// Time between samples, nanoseconds (rounded down).
    pub period_ns: u64,
    /// Samples in the integers of `signal`.
    pub samples: Vec<i32>,
}

/// A recording that does not decode.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordingError {
    /// WFDB format 212 packs two samples into three bytes.
    #[error("expected a multiple of 3 bytes of WFDB format 212, found {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// A line of the CSV file has no number in its second column.
    #[error("expected `timer,value` in line {line}, found something else")]
    Line {
        /// Line number, from 1.
        line: usize,
    },
    /// The signal table lacks what the file holds.
    #[error("the table of signals lacks what the file holds")]
    Signal(#[from] UnknownSignal),
    /// A sample is outside its signal's range.
    #[error("expected samples within {min}..={max}, found {found}")]
    Range {
        /// Smallest allowed.
        min: i32,
        /// Largest allowed.
        max: i32,
        /// Sample found.
        found: i32,
    },
}

/// Every shipped recording: two ECG leads, one PPG.
///
/// # Panics
/// If a shipped file does not decode, which a test excludes.
pub fn recordings() -> &'static [Recording] {
    static ALL: OnceLock<Vec<Recording>> = OnceLock::new();
    ALL.get_or_init(|| decode_all().expect("the shipped recordings decode"))
}

/// The first shipped recording of a signal, by the signal's name.
pub fn recording(signal: &str) -> Option<&'static Recording> {
    recordings().iter().find(|recording| recording.signal.name == signal)
}

fn decode_all() -> Result<Vec<Recording>, RecordingError> {
    let pairs = decode_format_212(ECG)?;
    let scaled = |lead: fn(&(i32, i32)) -> i32| -> Vec<i32> {
        pairs.iter().map(|pair| (lead(pair) - ECG_BASELINE) * ECG_UV_PER_STEP).collect()
    };
    Ok(vec![
        make_recording("mitbih-100-MLII", "ecg", ECG_PERIOD_NS, scaled(|pair| pair.0))?,
        make_recording("mitbih-100-V5", "ecg", ECG_PERIOD_NS, scaled(|pair| pair.1))?,
        make_recording("heartpy-2", "ppg", PPG_PERIOD_NS, read_second_column(PPG)?)?,
    ])
}

fn make_recording(
    name: &'static str,
    signal: &'static str,
    period_ns: u64,
    samples: Vec<i32>,
) -> Result<Recording, RecordingError> {
    let signal = signal_by_name(signal)?;
    let (min, max) = (signal.min, signal.max);
    if let Some(found) = samples.iter().copied().find(|s| !(min..=max).contains(s)) {
        return Err(RecordingError::Range { min, max, found });
    }
    Ok(Recording { name, signal, period_ns, samples })
}

/// WFDB format 212: two 12-bit two's complement samples in three bytes.
fn decode_format_212(bytes: &[u8]) -> Result<Vec<(i32, i32)>, RecordingError> {
    if !bytes.len().is_multiple_of(3) {
        return Err(RecordingError::Length { found: bytes.len() });
    }
    // 12 bits with their own sign; the shift to 32 bits does not extend it.
    let signed = |raw: i32| if raw >= 2048 { raw - 4096 } else { raw };
    let pair = |b: &[u8]| {
        let (low, middle, high) = (i32::from(b[0]), i32::from(b[1]), i32::from(b[2]));
        (signed(low | (middle & 0x0f) << 8), signed(high | (middle & 0xf0) << 4))
    };
    Ok(bytes.chunks_exact(3).map(pair).collect())
}

fn read_second_column(text: &str) -> Result<Vec<i32>, RecordingError> {
    let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty());
    lines
        .map(|(n, line)| {
            let value = line.split(',').nth(1).and_then(|field| field.trim().parse().ok());
            value.ok_or(RecordingError::Line { line: n + 1 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_recordings_decode_to_what_their_sources_state() {
        let [lead, other, ppg] = recordings() else { panic!("expected three recordings") };
        assert_eq!((lead.samples.len(), other.samples.len()), (108_000, 108_000));
        // The first samples that the MIT-BIH header states: 995 and 1011.
        assert_eq!((lead.samples[0], other.samples[0]), ((995 - 1024) * 5, (1011 - 1024) * 5));
        assert_eq!(ppg.samples.len(), 15_000);
        assert_eq!(&ppg.samples[..2], [515, 514]);
    }

    #[test]
    fn malformed_files_are_refused() {
        assert_eq!(decode_format_212(&[1, 2]), Err(RecordingError::Length { found: 2 }));
        assert_eq!(read_second_column("a,b\n1,2\n3\n"), Err(RecordingError::Line { line: 3 }));
        let found = make_recording("x", "spo2", 1, vec![10_001]);
        assert!(matches!(found, Err(RecordingError::Range { found: 10_001, .. })));
    }
}
