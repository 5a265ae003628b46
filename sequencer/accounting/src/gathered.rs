//! Openings out of foreign JSON, one after the other: of up to 256 MiB nothing else is held.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::document::ENTRIES_MAX;
use crate::events::OPENING;

/// Most openings that are kept: one more than a Bundle has, each in two AuditEvents.
const TEXTS_MAX: usize = ENTRIES_MAX * 2 + 1;

/// What the elements of a list hold of texts; beyond the most they are read and let go.
pub(crate) struct Gathered<T> {
    texts: Vec<String>,
    of: PhantomData<T>,
}

/// An entry of a Bundle.
#[derive(Deserialize)]
pub(crate) struct Event {
    resource: Option<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    entity: Option<Gathered<Entity>>,
}

#[derive(Deserialize)]
struct Entity {
    detail: Option<Gathered<Detail>>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "valueString")]
    value: Option<String>,
}

/// What holds texts.
pub(crate) trait Texts {
    fn texts(self) -> Vec<String>;
}

impl Texts for String {
    fn texts(self) -> Vec<String> {
        vec![self]
    }
}

impl Texts for Event {
    fn texts(self) -> Vec<String> {
        let entities = self.resource.and_then(|resource| resource.entity);
        entities.map(Gathered::into_texts).unwrap_or_default()
    }
}

impl Texts for Entity {
    fn texts(self) -> Vec<String> {
        self.detail.map(Gathered::into_texts).unwrap_or_default()
    }
}

impl Texts for Detail {
    fn texts(self) -> Vec<String> {
        let is_opening = self.kind.as_deref() == Some(OPENING);
        self.value.filter(|_| is_opening).into_iter().collect()
    }
}

impl<T> Gathered<T> {
    pub(crate) fn into_texts(self) -> Vec<String> {
        self.texts
    }
}

impl<'de, T: Texts + Deserialize<'de>> Deserialize<'de> for Gathered<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Gathered<T>, D::Error> {
        from.deserialize_seq(Gatherer(PhantomData))
    }
}

struct Gatherer<T>(PhantomData<T>);

impl<'de, T: Texts + Deserialize<'de>> Visitor<'de> for Gatherer<T> {
    type Value = Gathered<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Gathered<T>, A::Error> {
        let mut texts = Vec::new();
        while let Some(one) = list.next_element::<T>()? {
            let room = TEXTS_MAX.saturating_sub(texts.len());
            texts.extend(one.texts().into_iter().take(room));
        }
        Ok(Gathered { texts, of: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_list_no_more_is_held_than_a_file_has() {
        let list = |count: usize| format!("[{}\"\"]", "\"\",".repeat(count - 1));
        for (count, kept) in [(1, 1), (TEXTS_MAX + 1000, TEXTS_MAX)] {
            let read: Gathered<String> = serde_json::from_str(&list(count)).unwrap();
            assert_eq!(read.into_texts().len(), kept);
        }
        let event = r#"[{"resource": {"id": [{}], "entity": [{"what": {}}, {"detail": [
            {"type": "batch", "valueString": "4"}, {"type": "opening", "valueString": "01"}]}]}}]"#;
        let read: Gathered<Event> = serde_json::from_str(event).unwrap();
        assert_eq!(read.into_texts(), ["01"]);
    }
}
