//! Small numbers in few bytes.

use model::{DecodeError, Reader};

/// Appends seven bits a byte, lowest first.
pub(in crate::stages::ledger) fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads what [`write_varint`] wrote.
///
/// # Errors
/// [`DecodeError`] at the end, beyond 64 bits, or for more bytes than the number needs.
pub(in crate::stages::ledger) fn read_varint(from: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let read = |from: &mut Reader<'_>| {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = from.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds the last bit alone; a last byte of zero says nothing.
            if shift == 63 && bits > 1 || byte == 0 && shift > 0 {
                return Ok(None);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(Some(number));
            }
            if shift == 63 {
                return Ok(None);
            }
            shift += 7;
        }
    };
    from.map("a number in as few bytes as it needs", read, |number| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_encoding_and_every_other_is_refused() {
        for number in [0, 1, 127, 128, 300, 1 << 35, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            write_varint(number, &mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(read_varint(&mut reader), Ok(number));
            assert_eq!(reader.remaining(), 0);
            assert!(read_varint(&mut Reader::new(&bytes[..bytes.len() - 1])).is_err());
        }
        let long: [&[u8]; 4] = [&[0x80, 0], &[0xff, 0x80, 0], &[0xff; 11], &[0x80; 10]];
        for bytes in long {
            assert!(read_varint(&mut Reader::new(bytes)).is_err(), "{bytes:?}");
        }
        let mut beyond = [0xff; 10];
        beyond[9] = 2;
        assert!(read_varint(&mut Reader::new(&beyond)).is_err());
    }
}
