//! A JSON text, read by pointers (RFC 6901). Numbers stay the digits that were sent: a float would
//! lose some.

use std::borrow::Cow;
use std::fmt;

use bridge::{Cause, Refusal};
use model::whole_number;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Steps of a pointer.
pub const STEPS_MAX: usize = 16;
/// Longest text of a name, a code, a unit or a time, bytes.
pub const TEXT_BYTES_MAX: usize = 256;

/// Where something stands below a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pointer {
    written: String,
    steps: Vec<String>,
}

impl Pointer {
    /// `None` unless it is empty or `/a/b`, with `~0` for `~` and `~1` for `/`.
    pub(crate) fn parse(text: &str) -> Option<Pointer> {
        let mut steps = Vec::new();
        if !text.is_empty() {
            for step in text.strip_prefix('/')?.split('/') {
                // A tilde stands for one of two signs, or for nothing that is known.
                let rest = step.replace("~0", "").replace("~1", "");
                if rest.contains('~') || steps.len() == STEPS_MAX {
                    return None;
                }
                steps.push(step.replace("~1", "/").replace("~0", "~"));
            }
        }
        Some(Pointer { written: text.to_owned(), steps })
    }
}

/// One value of a text, and how its place is called.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    at: String,
    text: &'a str,
}

/// Hides what was sent.
impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, {} bytes)", self.at, self.text.len())
    }
}

impl<'a> Node<'a> {
    /// The whole of a payload.
    pub(crate) fn whole(payload: &'a [u8]) -> Result<Node<'a>, Refusal> {
        let read = std::str::from_utf8(payload).ok().and_then(|text| {
            let value: &RawValue = serde_json::from_str(text).ok()?;
            Some(value.get())
        });
        let wrong = Cause::Malformed { expected: "one value of JSON" };
        let text = read.ok_or_else(|| Refusal::at("payload", wrong))?;
        Ok(Node { at: "payload".to_owned(), text })
    }

    /// What a pointer leads to; `None` if nothing is there.
    pub(crate) fn at(&self, pointer: &Pointer) -> Result<Option<Node<'a>>, Refusal> {
        let mut text = self.text;
        let place = || format!("{}{}", self.at, pointer.written);
        for step in &pointer.steps {
            let next = match text.as_bytes().first() {
                Some(b'{') => field(text, step).map_err(|cause| Refusal::at(place(), cause))?,
                Some(b'[') => item(text, step),
                _ => None,
            };
            let Some(next) = next else { return Ok(None) };
            text = next;
        }
        Ok(Some(Node { at: place(), text }))
    }

    /// As [`Node::at`] of one field.
    pub(crate) fn field(&self, name: &str) -> Result<Option<Node<'a>>, Refusal> {
        self.at(&Pointer { written: format!("/{name}"), steps: vec![name.to_owned()] })
    }

    /// The items of a list, of which there are so many at most.
    pub(crate) fn items(&self, limit: usize) -> Result<Vec<Node<'a>>, Refusal> {
        if !self.text.starts_with('[') {
            return Err(self.refuse(Cause::Malformed { expected: "a list" }));
        }
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        // It is JSON, as the whole was: what fails here is the limit.
        let items = Limited { limit }
            .deserialize(&mut deserializer)
            .map_err(|_| self.refuse(Cause::TooMany { what: "items of a list", limit }))?;
        let place =
            |(index, text): (usize, &'a str)| Node { at: format!("{}/{index}", self.at), text };
        Ok(items.into_iter().enumerate().map(place).collect())
    }

    /// How its place is called.
    pub(crate) fn place(&self) -> &str {
        &self.at
    }

    /// Whether it says that there is no value.
    pub(crate) fn is_null(&self) -> bool {
        self.text == "null"
    }

    /// A string, or a number by its digits: devices write names and values either way.
    pub(crate) fn text(&self) -> Result<Cow<'a, str>, Refusal> {
        let text = match self.text.as_bytes().first() {
            Some(b'"') => {
                let read = serde_json::from_str::<Name<'a>>(self.text);
                read.map_err(|_| self.refuse(Cause::Malformed { expected: "a string" }))?.0
            }
            Some(b'-' | b'0'..=b'9') => Cow::Borrowed(self.text),
            _ => return Err(self.refuse(Cause::Type { expected: "a number or a string" })),
        };
        if text.len() > TEXT_BYTES_MAX {
            let what = "bytes of a text";
            return Err(self.refuse(Cause::TooMany { what, limit: TEXT_BYTES_MAX }));
        }
        Ok(text)
    }

    pub(crate) fn refuse(&self, cause: Cause) -> Refusal {
        Refusal::at(&self.at, cause)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The value of a field; a name that stands twice has none that anybody could tell.
fn field<'a>(text: &'a str, name: &str) -> Result<Option<&'a str>, Cause> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = Field { name }.deserialize(&mut deserializer);
    found.map_err(|_| Cause::Malformed { expected: "each name of an object once" })
}

fn item<'a>(text: &'a str, step: &str) -> Option<&'a str> {
    // `01` is no index, as RFC 6901 has it.
    let index = whole_number(step)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Item { index }.deserialize(&mut deserializer).ok()?
}

struct Field<'n> {
    name: &'n str,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Name<'de>>()? {
            if name.0 != self.name {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if found.is_some() {
                return Err(serde::de::Error::custom("a name twice"));
            }
            found = Some(map.next_value::<&RawValue>()?.get());
        }
        Ok(found)
    }
}

struct Item {
    index: usize,
}

impl<'de> DeserializeSeed<'de> for Item {
    type Value = Option<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Item {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut index) = (None, 0);
        while let Some(value) = seq.next_element::<&RawValue>()? {
            if index == self.index {
                found = Some(value.get());
            }
            index += 1;
        }
        Ok(found)
    }
}

/// A list of so many items at most: the limit holds before the next one is taken.
struct Limited {
    limit: usize,
}

impl<'de> DeserializeSeed<'de> for Limited {
    type Value = Vec<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Limited {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(value) = seq.next_element::<&RawValue>()? {
            if items.len() == self.limit {
                return Err(serde::de::Error::custom("too many"));
            }
            items.push(value.get());
        }
        Ok(items)
    }
}
