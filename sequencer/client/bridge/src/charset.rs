//! How the bytes of a message are text.

use std::borrow::Cow;

use crate::refusal::Cause;

/// A character set that is read, by its names in HL7's table 0211.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
pub enum Charset {
    /// `ASCII`, and where nobody names one.
    #[default]
    #[serde(rename = "ASCII")]
    Ascii,
    /// `UNICODE UTF-8`.
    #[serde(rename = "UNICODE UTF-8")]
    Utf8,
    /// `8859/1`.
    #[serde(rename = "8859/1")]
    Latin1,
}

/// Signs of Unicode's private use, one for each byte that ASCII does not have.
const FOREIGN: u32 = 0xf700;

/// Whether a sign of a text that was decoded as ASCII stands for a byte of which nobody said what
/// it means. In another set it is what its sender wrote.
pub fn is_foreign(sign: char) -> bool {
    (FOREIGN + 0x80..=FOREIGN + 0xff).contains(&u32::from(sign))
}

impl Charset {
    /// The one of a name.
    pub fn named(name: &str) -> Option<Charset> {
        match name {
            "ASCII" => Some(Charset::Ascii),
            "UNICODE UTF-8" | "UTF-8" => Some(Charset::Utf8),
            "8859/1" => Some(Charset::Latin1),
            _ => None,
        }
    }

    /// The text of a message. A byte that ASCII does not have becomes a sign that
    /// [stands for no text](is_foreign): most of a message is read by nobody, and whoever reads
    /// the field in which it stands refuses it.
    ///
    /// # Errors
    /// [`Cause::Malformed`] for bytes that are said to be UTF-8 and are not.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, Cause> {
        match self {
            Charset::Ascii => Ok(each_byte(bytes, |byte| {
                char::from_u32(FOREIGN + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
            })),
            Charset::Utf8 => std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|_| Cause::Malformed { expected: "UTF-8, as MSH-18 or the map says" }),
            Charset::Latin1 => Ok(each_byte(bytes, char::from)),
        }
    }

    /// A text in bytes; what there is no byte for becomes a question mark. Of ASCII as of Latin-1,
    /// so that what was read as Latin-1 for want of a name goes back as the bytes that came.
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Charset::Utf8 => text.as_bytes().to_vec(),
            Charset::Ascii | Charset::Latin1 => {
                text.chars().map(|sign| u8::try_from(u32::from(sign)).unwrap_or(b'?')).collect()
            }
        }
    }
}

/// A text whose signs are one byte each, those beyond ASCII by `beyond`.
fn each_byte(bytes: &[u8], beyond: impl Fn(u8) -> char) -> Cow<'_, str> {
    if let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| bytes.is_ascii()) {
        return Cow::Borrowed(text);
    }
    let sign = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { beyond(*byte) };
    Cow::Owned(bytes.iter().map(sign).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_bytes_are_another_text_in_each_set() {
        let (utf8, latin1) = ("Z\u{fc}rich".as_bytes(), &b"Z\xfcrich"[..]);
        let text = |charset: Charset, bytes| charset.decode(bytes).map(Cow::into_owned);
        for (charset, own, other) in
            [(Charset::Utf8, utf8, latin1), (Charset::Latin1, latin1, utf8)]
        {
            assert_eq!(text(charset, own).as_deref(), Ok("Z\u{fc}rich"), "{charset:?}");
            assert_ne!(text(charset, other).as_deref(), Ok("Z\u{fc}rich"), "{charset:?}");
            assert_eq!(charset.encode("Z\u{fc}rich"), own, "{charset:?}");
        }
    }

    #[test]
    fn a_byte_of_no_set_is_a_sign_of_its_own_that_stands_for_no_text() {
        let all: Vec<u8> = (0..=255).collect();
        let text = Charset::Ascii.decode(&all).unwrap();
        let signs: BTreeSet<char> = text.chars().collect();
        assert_eq!(signs.iter().filter(|sign| is_foreign(**sign)).count(), 128);
        assert_eq!(signs.len(), 256, "two bytes are never one sign");
        assert!(!"Z\u{fc}rich \u{20ac} \u{fffd}".contains(is_foreign));
    }
}
