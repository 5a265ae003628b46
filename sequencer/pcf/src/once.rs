//! JSON that everybody reads the same way.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// JSON in which no name of an object stands twice: of two, one program takes the first and the
/// next one the last, and what a patient signed would be what only one of them read.
pub(crate) struct Once(pub(crate) Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Once, D::Error> {
        from.deserialize_any(Any).map(Once)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E: de::Error>(self, found: bool) -> Result<Value, E> {
        Ok(found.into())
    }

    fn visit_i64<E: de::Error>(self, found: i64) -> Result<Value, E> {
        Ok(found.into())
    }

    fn visit_u64<E: de::Error>(self, found: u64) -> Result<Value, E> {
        Ok(found.into())
    }

    fn visit_f64<E: de::Error>(self, found: f64) -> Result<Value, E> {
        Ok(found.into())
    }

    fn visit_str<E: de::Error>(self, found: &str) -> Result<Value, E> {
        Ok(found.into())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Once(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Once(value))) = object.next_entry::<String, Once>()? {
            if fields.insert(name, value).is_some() {
                return Err(de::Error::custom("a name twice"));
            }
        }
        Ok(fields.into())
    }
}
