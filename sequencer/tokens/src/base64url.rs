//! base64url without padding (RFC 7515 section 2): one text for each byte string, or nothing.

/// Decodes; none of a character outside the alphabet, padding, an impossible length, or bits that
/// are left over and not zero (two texts would be one value then).
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for character in text.bytes() {
        held = held << 6 | u32::from(value(character)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
            held &= (1 << bits) - 1;
        }
    }
    (held == 0).then_some(bytes)
}

fn value(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn every_byte_string_has_one_text() {
        // RFC 4648 section 10, without padding.
        let known = [("", ""), ("Zg", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob")];
        for (text, bytes) in known {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode("-_8"), Some(vec![0xfb, 0xff]));
        for text in ["Zg==", "Z", "Zh", "Zm9", "Zm9v\n", "Zm+v", "Zm/v", "Zm9vY"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
