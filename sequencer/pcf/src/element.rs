//! An element of a document with its path: every value is asked for by its form, and what is not
//! asked for is found.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::finding::{Findings, Reason};
use crate::once::Once;

/// Largest document, bytes. The largest of HL7's examples has 10 KiB; a signature or a scan goes
/// in a document of its own.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Most members of a list, each.
const LIST_MAX: usize = 64;

/// Longest name of an element that is shown.
const NAME_BYTES_MAX: usize = 64;

/// Bytes that are no document.
#[derive(Debug, Error)]
pub enum NotJson {
    /// Too large.
    #[error("expected at most {DOCUMENT_BYTES_MAX} bytes of Consent, found {found}")]
    Size {
        /// The size found.
        found: usize,
    },
    /// No JSON.
    #[error("expected a Consent as JSON, each name of an object once, found none at line {line}")]
    Json {
        /// Where.
        line: usize,
    },
    /// Another resource, or none.
    #[error("expected a resource of type Consent, found something else")]
    Resource,
}

/// Reads a document as far as that it is a Consent.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, NotJson> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(NotJson::Size { found: bytes.len() });
    }
    // The reader's own text may quote what stands there: the line is enough.
    let Once(value) =
        serde_json::from_slice(bytes).map_err(|error| NotJson::Json { line: error.line() })?;
    match value.get("resourceType").and_then(Value::as_str) {
        Some("Consent") => Ok(value),
        _ => Err(NotJson::Resource),
    }
}

/// An object and where it stands.
#[derive(Clone)]
pub(crate) struct Element<'a> {
    pub(crate) path: String,
    object: &'a Map<String, Value>,
}

impl<'a> Element<'a> {
    /// The whole document.
    pub(crate) fn root(value: &'a Value) -> Option<Element<'a>> {
        Some(Element { path: String::new(), object: value.as_object()? })
    }

    /// The path of an element of it.
    pub(crate) fn at(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// Text, if there is any; another form is found.
    pub(crate) fn text(&self, name: &str, findings: &mut Findings) -> Option<&'a str> {
        let value = self.object.get(name)?;
        let text = value.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            findings.add(&self.at(name), Reason::Form("text"));
        }
        text
    }

    /// An object, if there is one; another form is found.
    pub(crate) fn object(&self, name: &str, findings: &mut Findings) -> Option<Element<'a>> {
        let path = self.at(name);
        match self.object.get(name)? {
            Value::Object(object) => Some(Element { path, object }),
            _ => {
                findings.add(&path, Reason::Form("an object"));
                None
            }
        }
    }

    /// Objects of a list; none if there is no list. An empty list is found: it would read as *none*
    /// here and as *all* where the element is absent.
    pub(crate) fn list(&self, name: &str, findings: &mut Findings) -> Vec<Element<'a>> {
        let path = self.at(name);
        let items = match self.object.get(name) {
            None => return Vec::new(),
            Some(Value::Array(items)) if !items.is_empty() => items,
            Some(_) => {
                findings.add(&path, Reason::Form("a list that is not empty"));
                return Vec::new();
            }
        };
        if items.len() > LIST_MAX {
            let (what, found) = ("members of a list", items.len());
            findings.add(&path, Reason::TooMany { what, expected: LIST_MAX, found });
            return Vec::new();
        }
        let mut elements = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let path = format!("{path}[{at}]");
            match item {
                Value::Object(object) => elements.push(Element { path, object }),
                _ => findings.add(&path, Reason::Form("an object")),
            }
        }
        elements
    }

    /// Texts of a list, as of `meta.profile`.
    pub(crate) fn texts(&self, name: &str) -> Vec<&'a str> {
        let items = self.object.get(name).and_then(Value::as_array);
        items.into_iter().flatten().take(LIST_MAX).filter_map(Value::as_str).collect()
    }

    /// Finds every element that is not among those that are read. What starts with an underscore
    /// says something of an element of that name, and nobody knows what.
    pub(crate) fn only(&self, read: &[&str], findings: &mut Findings) {
        for name in self.object.keys().filter(|name| !read.contains(&name.as_str())) {
            // A name is the document's own text, of any length.
            let name = if name.len() <= NAME_BYTES_MAX { name.as_str() } else { "(a long name)" };
            findings.add(&self.at(&model::escape(name)), Reason::Unread);
        }
    }

    /// Finds every element that PCF forbids.
    pub(crate) fn without(&self, forbidden: &[&str], findings: &mut Findings) {
        for name in forbidden.iter().filter(|name| self.has(name)) {
            findings.add(&self.at(name), Reason::Forbidden);
        }
    }
}
