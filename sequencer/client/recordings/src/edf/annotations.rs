//! Lists of annotations with their times (EDF+ specification, section 2.2).

use crate::Decimal;

/// Behind an onset or a duration.
const BEHIND_TIME: u8 = 0x14;
/// Before a duration.
const BEFORE_DURATION: u8 = 0x15;
/// Longest onset that is looked at.
const ONSET_BYTES_MAX: usize = 32;

/// Microseconds from the start of the file to a record, from the bytes of its annotations: the
/// onset of the first list, which is `+1234.5`.
pub(super) fn onset_us(bytes: &[u8]) -> Option<u64> {
    let bytes = &bytes[..bytes.len().min(ONSET_BYTES_MAX)];
    let end = bytes.iter().position(|byte| matches!(*byte, BEHIND_TIME | BEFORE_DURATION))?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    if !text.starts_with(['+', '-']) {
        return None;
    }
    let onset: Decimal = text.parse().ok()?;
    // A record before the start of its file has no place on its clock.
    u64::try_from(onset.floor_micros(0)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_onset_is_the_records_time() {
        assert_eq!(onset_us(b"+0\x14\x14\0\0"), Some(0));
        assert_eq!(onset_us(b"+567.2500001\x14\x14\0+568\x1510\x14apnea\x14\0"), Some(567_250_000));
        assert_eq!(onset_us(b"+5\x151\x14\x14\0"), Some(5_000_000));
        for bytes in [&b""[..], b"\0\0", b"+5", b"5\x14\x14", b"-5\x14", b"+x\x14", b"\xff\x14"] {
            assert_eq!(onset_us(bytes), None, "{bytes:?}");
        }
    }
}
