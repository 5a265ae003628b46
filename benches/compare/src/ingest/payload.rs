//! What is sent: readings as rows of 16 bytes, the same number of them to every server.

use std::fmt;
use std::num::NonZeroUsize;

use anyhow::ensure;
use serde::Serialize;

/// Bytes of a row, as of this project's raw codec: a time, a value and its quality.
pub(crate) const ROW_BYTES: usize = 16;

/// Most readings that a raw frame of this project holds.
const READINGS_MAX: usize = 4094;

/// One kind of message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Payload {
    /// Readings of a message.
    pub(crate) readings: usize,
}

impl Payload {
    /// One for each number of readings.
    pub(crate) fn all(readings: &[NonZeroUsize]) -> anyhow::Result<Vec<Payload>> {
        let largest = readings.iter().map(|one| one.get()).max().unwrap_or(1);
        ensure!(
            largest <= READINGS_MAX,
            "expected at most {READINGS_MAX} readings a message, found {largest}"
        );
        Ok(readings.iter().map(|one| Payload { readings: one.get() }).collect())
    }

    /// The bytes that a server which does not look into them is given: none of these can be
    /// compressed away by a server that would try.
    pub(crate) fn opaque(self) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::with_capacity(self.readings * ROW_BYTES);
        while bytes.len() < self.readings * ROW_BYTES {
            // xorshift64: no bytes of a patient are needed for what nobody reads.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        bytes
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "raw {}", self.readings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_rows_and_more_than_a_frame_holds_are_refused() {
        let sizes = [256, 1024].map(|n| NonZeroUsize::new(n).expect("not zero"));
        let all = Payload::all(&sizes).expect("both fit");
        assert_eq!(all.iter().map(|one| one.opaque().len()).collect::<Vec<_>>(), [4096, 16384]);
        let many = NonZeroUsize::new(READINGS_MAX + 1).expect("not zero");
        assert!(Payload::all(&[many]).is_err());
    }
}
