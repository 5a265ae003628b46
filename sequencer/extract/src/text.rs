//! Bytes and words in lines of text: hexadecimal, one way to write each.

use std::fmt;

use model::Word;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Most bytes of a hexadecimal text that is read: a request to read, a header, a signed operation
/// are all far shorter.
const BYTES_MAX: usize = 8 * 1024;

/// A value that stands in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Hex<T>(pub T);

/// Without the value: it may be a salt or a request.
impl<T> fmt::Debug for Hex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hex(..)")
    }
}

/// What can be written in hexadecimal.
pub trait HexText: Sized {
    /// As text.
    fn to_text(&self) -> String;
    /// From text; `None` of every other text than [`HexText::to_text`] gives.
    fn from_text(text: &str) -> Option<Self>;
}

impl HexText for Word {
    fn to_text(&self) -> String {
        self.to_hex()
    }

    fn from_text(text: &str) -> Option<Word> {
        Word::from_hex(text).ok().filter(|word| word.to_hex() == text)
    }
}

impl HexText for Vec<u8> {
    fn to_text(&self) -> String {
        hex::encode(self)
    }

    fn from_text(text: &str) -> Option<Vec<u8>> {
        let short = text.len() <= 2 * BYTES_MAX && !text.bytes().any(|b| b.is_ascii_uppercase());
        hex::decode(short.then_some(text)?).ok()
    }
}

impl<const N: usize> HexText for [u8; N] {
    fn to_text(&self) -> String {
        hex::encode(self)
    }

    fn from_text(text: &str) -> Option<[u8; N]> {
        Vec::from_text(text)?.try_into().ok()
    }
}

impl<T: HexText> Serialize for Hex<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.to_text())
    }
}

impl<'de, T: HexText> Deserialize<'de> for Hex<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Hex<T>, D::Error> {
        struct Text<T>(std::marker::PhantomData<T>);
        impl<T: HexText> Visitor<'_> for Text<T> {
            type Value = Hex<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("hexadecimal text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hex<T>, E> {
                // Without the text: it may hold what a record says.
                T::from_text(text).map(Hex).ok_or_else(|| E::custom("expected hexadecimal text"))
            }
        }
        from.deserialize_str(Text(std::marker::PhantomData))
    }
}
