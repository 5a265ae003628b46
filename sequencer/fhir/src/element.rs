//! A JSON text read from the top, element by element, each with its FHIRPath.
//!
//! Only what is asked for is read, and numbers stay the digits that were sent: a decimal of FHIR
//! has a precision, which a float would lose. Depth and lengths are held to their limits before
//! anything is read, since a parser that follows what it is sent ends with its stack.

use std::borrow::Cow;
use std::fmt;

use recordings::Decimal;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::issue::{Fault, Issue};

/// Objects and lists within each other: an Observation of a Bundle needs ten.
pub const DEPTH_MAX: usize = 32;
/// Names of one object; no type of FHIR R4 has half as many.
pub const FIELDS_MAX: usize = 128;

/// A text that was found to be JSON has escapes of this one kind that stand for no letter.
const HALF_A_PAIR: Fault =
    Fault::JsonType { expected: "letters of Unicode", found: "half a surrogate pair" };

/// One value of a text.
#[derive(Clone)]
pub(crate) struct Element<'a> {
    at: String,
    text: &'a str,
}

/// The fields of an object.
pub(crate) struct Object<'a> {
    at: String,
    fields: Vec<Field<'a>>,
}

struct Field<'a> {
    name: Name<'a>,
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Hides what was sent.
impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element({}, {} bytes)", self.at, self.text.len())
    }
}

impl<'a> Element<'a> {
    /// The whole of a text, which is JSON then from its begin to its end.
    pub(crate) fn whole(name: &str, bytes: &'a [u8]) -> Result<Element<'a>, Issue> {
        let refuse = |fault| Issue::new(name, fault);
        if !is_shallow(bytes) {
            return Err(refuse(Fault::Deep { max: DEPTH_MAX }));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            refuse(Fault::Json { line, column: before.len() - begin + 1 })
        })?;
        let value: &RawValue = serde_json::from_str(text)
            .map_err(|error| refuse(Fault::Json { line: error.line(), column: error.column() }))?;
        Ok(Element { at: name.to_owned(), text: value.get() })
    }

    /// Where it stands.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    /// The bytes that were sent for it.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn refuse(&self, fault: Fault) -> Issue {
        Issue::new(self.at.clone(), fault)
    }

    fn wrong(&self, expected: &'static str) -> Issue {
        let found = match self.text.bytes().next() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            _ => "a number",
        };
        self.refuse(Fault::JsonType { expected, found })
    }

    pub(crate) fn object(&self) -> Result<Object<'a>, Issue> {
        if !self.text.starts_with('{') {
            return Err(self.wrong("an object"));
        }
        let fields = serde_json::from_str::<Fields<'a>>(self.text);
        let fields = fields.map_err(|_| self.refuse(HALF_A_PAIR))?.0;
        if fields.len() > FIELDS_MAX {
            return Err(self.refuse(Fault::Many { of: "names in an object", max: FIELDS_MAX }));
        }
        let is_twice = |(n, field): (usize, &Field<'_>)| {
            fields[..n].iter().any(|before| before.name.0 == field.name.0)
        };
        if fields.iter().enumerate().any(is_twice) {
            return Err(self.refuse(Fault::Twice));
        }
        Ok(Object { at: self.at.clone(), fields })
    }

    /// The items of a list, of which there are so many at most.
    pub(crate) fn items(&self, max: usize) -> Result<Vec<Element<'a>>, Issue> {
        let read = |text| serde_json::from_str::<Items<'a>>(text).ok();
        let items = self.text.starts_with('[').then(|| read(self.text)).flatten();
        let items = items.ok_or_else(|| self.wrong("a list"))?.0;
        if items.len() > max {
            return Err(self.refuse(Fault::Many { of: "items", max }));
        }
        let place = |(n, value): (usize, &'a RawValue)| {
            let at = format!("{}[{n}]", self.at);
            Element { at, text: value.get() }
        };
        Ok(items.into_iter().enumerate().map(place).collect())
    }

    /// A string of so many bytes at most.
    pub(crate) fn string(&self, bytes_max: usize) -> Result<Cow<'a, str>, Issue> {
        if !self.text.starts_with('"') {
            return Err(self.wrong("a string"));
        }
        let string = serde_json::from_str::<Name<'a>>(self.text);
        let string = string.map_err(|_| self.refuse(HALF_A_PAIR))?.0;
        if string.len() > bytes_max {
            return Err(self.refuse(Fault::Many { of: "bytes of a text", max: bytes_max }));
        }
        Ok(string)
    }

    /// A number, by the digits that were sent.
    pub(crate) fn decimal(&self) -> Result<Decimal, Issue> {
        if !self.text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Err(self.wrong("a number"));
        }
        self.text.parse::<Decimal>().map_err(|_| self.refuse(Fault::Decimal))
    }
}

impl<'a> Object<'a> {
    pub(crate) fn refuse(&self, fault: Fault) -> Issue {
        Issue::new(self.at.clone(), fault)
    }

    pub(crate) fn field(&self, name: &str) -> Option<Element<'a>> {
        let found = self.fields.iter().find(|field| field.name.0 == name)?;
        Some(Element { at: format!("{}.{name}", self.at), text: found.value.get() })
    }

    pub(crate) fn need(&self, name: &'static str) -> Result<Element<'a>, Issue> {
        self.field(name).ok_or_else(|| {
            Issue::new(format!("{}.{name}", self.at), Fault::Missing { element: name })
        })
    }

    /// A string, if it is there.
    pub(crate) fn string(&self, name: &str, max: usize) -> Result<Option<String>, Issue> {
        self.field(name).map(|it| it.string(max).map(Cow::into_owned)).transpose()
    }

    /// The items of a list, none if it is not there.
    pub(crate) fn items(&self, name: &str, max: usize) -> Result<Vec<Element<'a>>, Issue> {
        self.field(name).map_or(Ok(Vec::new()), |list| list.items(max))
    }

    /// The one element of a choice of types, as `value[x]`.
    pub(crate) fn choice(&self, of: &str, all: &'static str) -> Result<Option<Choice<'a>>, Issue> {
        let is_of = |field: &&Field<'_>| {
            let rest = field.name.0.strip_prefix(of);
            rest.is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_uppercase()))
        };
        let mut found = self.fields.iter().filter(is_of);
        let Some(one) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(self.refuse(Fault::Choice { choice: all }));
        }
        let name = one.name.0.clone().into_owned();
        let at = format!("{}.{name}", self.at);
        Ok(Some(Choice { name, element: Element { at, text: one.value.get() } }))
    }
}

/// An element of a choice and its name.
pub(crate) struct Choice<'a> {
    pub(crate) name: String,
    pub(crate) element: Element<'a>,
}

struct Fields<'a>(Vec<Field<'a>>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    let value = map.next_value::<&'de RawValue>()?;
                    // One more than the limit says that it was reached.
                    if fields.len() <= FIELDS_MAX {
                        fields.push(Field { name, value });
                    }
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(All)
    }
}

/// Items of a list. A list of the longest text that is read is no more than its commas.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Items<'de>, S::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<&'de RawValue>()? {
                    if items.len() <= ITEMS_MAX {
                        items.push(item);
                    }
                }
                Ok(Items(items))
            }
        }
        from.deserialize_seq(All)
    }
}

/// Above every limit that is asked for: no list is kept longer than this.
pub(crate) const ITEMS_MAX: usize = 4096;

/// Whether objects and lists are within each other to the limit and no further.
fn is_shallow(bytes: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<Element<'_>, Issue> {
        Element::whole("It", text.as_bytes())
    }

    fn fault<T>(result: Result<T, Issue>) -> Fault {
        match result {
            Ok(_) => panic!("expected a fault"),
            Err(issue) => issue.fault,
        }
    }

    #[test]
    fn an_element_is_read_with_its_place_and_a_number_by_its_digits() {
        let it = whole(r#" {"a": [1, {"b\u0063": 36.50, "valueQuantity": "x\n"}]} "#).unwrap();
        let inner = it.object().unwrap().items("a", 2).unwrap()[1].object().unwrap();
        let number = inner.need("bc").unwrap();
        assert_eq!((number.at(), number.text()), ("It.a[1].bc", "36.50"));
        assert_eq!(number.decimal(), Ok("36.5".parse().unwrap()));
        let choice = inner.choice("value", "value[x]").unwrap().unwrap();
        assert_eq!(
            (choice.name.as_str(), choice.element.at()),
            ("valueQuantity", "It.a[1].valueQuantity")
        );
        assert_eq!(choice.element.string(2).unwrap(), "x\n");
        assert!(!format!("{it:?}").contains("36"), "{it:?}");
        let missing = inner.need("code").map(|_| ()).unwrap_err();
        assert_eq!(missing.to_string(), "It.a[1].code: expected code, found none");
    }

    #[test]
    fn what_is_no_json_says_where_and_what_is_another_type_says_which() {
        let json = |line, column| Fault::Json { line, column };
        assert_eq!(fault(whole("{\n \"a\": tru}")), json(2, 10));
        assert_eq!(fault(whole("{} {}")), json(1, 4));
        assert_eq!(fault(whole("")), json(1, 0));
        assert_eq!(fault(Element::whole("It", b"{\n\"\xff\"}")), json(2, 2));
        for (text, found) in
            [("1", "a number"), ("null", "null"), ("[]", "a list"), ("true", "true or false")]
        {
            let expected = Fault::JsonType { expected: "an object", found };
            assert_eq!(fault(whole(text).unwrap().object()), expected);
        }
        let text = whole("\"1\"").unwrap();
        assert_eq!(
            fault(text.decimal()),
            Fault::JsonType { expected: "a number", found: "a string" }
        );
        assert_eq!(fault(whole("1e99").unwrap().decimal()), Fault::Decimal);
    }

    #[test]
    fn limits_hold_before_anything_is_read() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(whole(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(fault(whole(&deep(DEPTH_MAX + 1))), Fault::Deep { max: DEPTH_MAX });
        assert_eq!(fault(whole(&"[".repeat(1 << 20))), Fault::Deep { max: DEPTH_MAX });
        let strings = format!("[{:?}]", "[{".repeat(100));
        assert!(whole(&strings).is_ok(), "brackets of a string are no levels");
        let names = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("\"n{n}\":0")).collect();
            format!("{{{}}}", names.join(","))
        };
        assert!(whole(&names(FIELDS_MAX)).unwrap().object().is_ok());
        assert!(matches!(
            fault(whole(&names(FIELDS_MAX + 1)).unwrap().object()),
            Fault::Many { .. }
        ));
        let list = whole("[1,2,3]").unwrap();
        assert_eq!(list.items(3).unwrap().len(), 3);
        assert_eq!(fault(list.items(2)), Fault::Many { of: "items", max: 2 });
        assert!(matches!(fault(whole("\"abc\"").unwrap().string(2)), Fault::Many { .. }));
    }

    #[test]
    fn one_name_twice_is_refused_also_when_it_is_written_another_way() {
        let twice = whole(r#"{"status":"final","st\u0061tus":"unknown"}"#).unwrap();
        assert_eq!(fault(twice.object()), Fault::Twice);
        let two = whole(r#"{"valueString":"a","valueQuantity":{},"value":1}"#).unwrap();
        let chosen = two.object().unwrap().choice("value", "value[x]").map(|_| ());
        assert_eq!(fault(chosen), Fault::Choice { choice: "value[x]" });
    }
}
