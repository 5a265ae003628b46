//! The lines that stand in a Bundle. Nothing else of it is kept: all of it in memory would be many
//! times its text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::fault::Fault;

/// Every line of the Provenances of a Bundle, each ended.
///
/// # Errors
/// [`Fault`] of what is no Bundle.
pub(super) fn lines(text: &str) -> Result<String, Fault> {
    let found: Found = serde_json::from_str(text)
        .map_err(|_| Fault::new(0, "form", "a FHIR Bundle", "something else"))?;
    Ok(found.entry.0)
}

#[derive(serde::Deserialize)]
struct Found {
    entry: Lines,
}

#[derive(serde::Deserialize)]
struct Entry {
    resource: Resource,
}

#[derive(serde::Deserialize)]
struct Resource {
    #[serde(rename = "resourceType")]
    kind: String,
    #[serde(default)]
    extension: First<Extension>,
}

#[derive(serde::Deserialize)]
struct Extension {
    #[serde(rename = "valueString", default)]
    text: Option<String>,
}

struct Lines(String);

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Lines, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Lines;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the entries of a Bundle")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Lines, A::Error> {
                let mut lines = String::new();
                while let Some(Entry { resource }) = entries.next_element()? {
                    let line = resource.extension.0.and_then(|first| first.text);
                    if let Some(line) = line.filter(|_| resource.kind == "Provenance") {
                        lines += &line;
                        lines.push('\n');
                    }
                }
                Ok(Lines(lines))
            }
        }
        from.deserialize_seq(Entries)
    }
}

/// The first of a list.
struct First<T>(Option<T>);

impl<T> Default for First<T> {
    fn default() -> First<T> {
        First(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<First<T>, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = First<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First<T>, A::Error> {
                let first = list.next_element()?;
                while let Some(IgnoredAny) = list.next_element()? {}
                Ok(First(first))
            }
        }
        from.deserialize_seq(List(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_extension_of_a_provenance_is_a_line() {
        let text = r#"{ "type": "collection", "entry": [
            { "resource": { "resourceType": "Patient" } },
            { "resource": { "resourceType": "Observation", "extension": [{ "valueString": "x" }] } },
            { "resource": { "resourceType": "Provenance", "extension": [
                { "url": "a", "valueString": "one" }, { "valueString": "other" }, 7
            ] } },
            { "resource": { "extension": [{ "valueString": "two" }], "resourceType": "Provenance" } }
        ] }"#;
        assert_eq!(lines(text), Ok("one\ntwo\n".to_owned()));
        for other in ["", "[]", "{}", r#"{ "entry": [7] }"#, r#"{ "entry": [], "entry": [] }"#] {
            assert_eq!(lines(other).map_err(|fault| fault.part), Err("form"), "{other}");
        }
    }
}
