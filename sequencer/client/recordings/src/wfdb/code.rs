//! How samples are packed into bytes (WFDB `signal(5)`).

/// A way to pack samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Code {
    /// Format 16: two bytes, two's complement, the low one first.
    Low16,
    /// Format 24: three bytes, two's complement, the low one first.
    Low24,
    /// Format 61: two bytes, two's complement, the high one first.
    High16,
    /// Format 80: one byte, 128 added.
    Offset8,
    /// Format 212: two samples of twelve bits, two's complement, in three bytes.
    Pair12,
}

impl Code {
    pub(super) fn of_number(number: u32) -> Option<Code> {
        Some(match number {
            16 => Code::Low16,
            24 => Code::Low24,
            61 => Code::High16,
            80 => Code::Offset8,
            212 => Code::Pair12,
            _ => return None,
        })
    }

    /// Bytes of so many samples; `None` beyond what a number of bytes can be.
    pub(super) fn bytes(self, samples: u64) -> Option<u64> {
        match self {
            Code::Low16 | Code::High16 => samples.checked_mul(2),
            Code::Low24 => samples.checked_mul(3),
            Code::Offset8 => Some(samples),
            // A last sample without its partner takes two bytes.
            Code::Pair12 => samples.checked_mul(3).map(|bytes| bytes.div_ceil(2)),
        }
    }

    /// How many whole samples stand in so many bytes.
    pub(super) fn samples(self, bytes: u64) -> u64 {
        match self {
            Code::Low16 | Code::High16 => bytes / 2,
            Code::Low24 => bytes / 3,
            Code::Offset8 => bytes,
            Code::Pair12 => bytes / 3 * 2 + bytes % 3 / 2,
        }
    }

    /// What stands in a sample's place where there was none: the lowest number of its bits.
    pub(super) fn nothing(self) -> i32 {
        match self {
            Code::Low16 | Code::High16 => -32_768,
            Code::Low24 => -8_388_608,
            Code::Offset8 => -128,
            Code::Pair12 => -2048,
        }
    }

    /// The sample at a place, counted from 0; `None` behind the last.
    pub(super) fn sample(self, bytes: &[u8], place: usize) -> Option<i32> {
        match self {
            Code::Low16 => pair(bytes, place).map(|pair| i16::from_le_bytes(pair).into()),
            Code::High16 => pair(bytes, place).map(|pair| i16::from_be_bytes(pair).into()),
            Code::Low24 => {
                let at = place.checked_mul(3)?;
                let bytes = bytes.get(at..at.checked_add(3)?)?;
                // Into the upper three bytes, so that the shift back repeats the sign.
                Some(i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8)
            }
            Code::Offset8 => bytes.get(place).map(|byte| i32::from(*byte) - 128),
            Code::Pair12 => {
                let at = (place / 2).checked_mul(3)?;
                let middle = i32::from(*bytes.get(at.checked_add(1)?)?);
                let (low, high) = match place % 2 {
                    0 => (*bytes.get(at)?, middle & 0x0f),
                    _ => (*bytes.get(at.checked_add(2)?)?, middle >> 4),
                };
                let sample = high << 8 | i32::from(low);
                Some(if sample >= 2048 { sample - 4096 } else { sample })
            }
        }
    }
}

fn pair(bytes: &[u8], place: usize) -> Option<[u8; 2]> {
    let at = place.checked_mul(2)?;
    bytes.get(at..at.checked_add(2)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(code: Code, bytes: &[u8]) -> Vec<i32> {
        (0..).map_while(|place| code.sample(bytes, place)).collect()
    }

    #[test]
    fn each_code_reads_its_ends_and_its_word_for_nothing() {
        for (code, bytes, expected) in [
            (Code::Low16, &[0xff, 0x7f, 0x00, 0x80, 0xff, 0xff][..], &[32_767, -32_768, -1][..]),
            (Code::High16, &[0x7f, 0xff, 0x80, 0x00, 0xff, 0xff], &[32_767, -32_768, -1]),
            (
                Code::Low24,
                &[0xff, 0xff, 0x7f, 0, 0, 0x80, 0xfe, 0xff, 0xff],
                &[8_388_607, -8_388_608, -2],
            ),
            (Code::Offset8, &[255, 0, 128], &[127, -128, 0]),
            (Code::Pair12, &[0xff, 0x87, 0x00, 0xe3, 0x03], &[2047, -2048, 995]),
        ] {
            assert_eq!(samples(code, bytes), expected, "{code:?}");
            let count = expected.len() as u64;
            assert_eq!(code.bytes(count), Some(bytes.len() as u64), "{code:?}");
            assert_eq!(code.samples(bytes.len() as u64), count, "{code:?}");
            assert!(expected.contains(&code.nothing()), "{code:?}");
            assert_eq!(code.sample(bytes, usize::MAX), None, "{code:?}");
        }
    }
}
