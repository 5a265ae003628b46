//! Where the entries of a Bundle go: into its text, or against the text that somebody gave.
//!
//! One after the other, and none is kept: a line of less than a kilobyte may make thousands.

use serde_json::{Value, json};

use super::named::SYSTEM;
use crate::check::RECORD_BYTES_MAX;
use crate::fault::Fault;

/// Most bytes of a Bundle: each line stands in it once, as a text in a text, beside words that are
/// made from it.
const BUNDLE_BYTES_MAX: usize = 3 * RECORD_BYTES_MAX;

/// Takes the entries of a Bundle.
pub(super) trait Sink {
    /// The next one. The first that is refused ends the Bundle: no further one is made.
    fn take(&mut self, entry: &Value) -> Result<(), Fault>;
}

/// A Bundle that is being written.
pub(super) struct Written {
    text: String,
    /// What stands behind the entries.
    tail: String,
    count: usize,
    bytes_max: usize,
}

impl Written {
    /// Of the record with this root.
    pub(super) fn begin(root: &str) -> Result<Written, Fault> {
        let [text, tail] = around(root)?;
        Ok(Written { text, tail, count: 0, bytes_max: BUNDLE_BYTES_MAX })
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text + &self.tail
    }
}

impl Sink for Written {
    fn take(&mut self, entry: &Value) -> Result<(), Fault> {
        let next = text_of(entry, self.count)?;
        if self.text.len() + next.len() + self.tail.len() > self.bytes_max {
            return Err(too_long(self.bytes_max));
        }
        self.text += &next;
        self.count += 1;
        Ok(())
    }
}

/// A Bundle that is held against the one that its lines make.
pub(super) struct Compared<'a> {
    rest: &'a str,
    tail: String,
    count: usize,
}

impl<'a> Compared<'a> {
    /// Of the record with this root.
    pub(super) fn begin(text: &'a str, root: &str) -> Result<Compared<'a>, Fault> {
        let [head, tail] = around(root)?;
        let rest = text.strip_prefix(&head).ok_or_else(other_words)?;
        Ok(Compared { rest, tail, count: 0 })
    }

    /// Whether nothing else stands behind the entries.
    pub(super) fn finish(self) -> Result<(), Fault> {
        match self.rest {
            rest if rest == self.tail => Ok(()),
            rest if rest.starts_with(',') => Err(other_entry(self.count)),
            _ => Err(other_words()),
        }
    }
}

impl Sink for Compared<'_> {
    fn take(&mut self, entry: &Value) -> Result<(), Fault> {
        let next = text_of(entry, self.count)?;
        self.rest = self.rest.strip_prefix(&next).ok_or_else(|| other_entry(self.count))?;
        self.count += 1;
        Ok(())
    }
}

/// Refuses a text that is longer than any that is read.
pub(super) fn check_length(text: &str) -> Result<(), Fault> {
    if text.len() > BUNDLE_BYTES_MAX { Err(too_long(BUNDLE_BYTES_MAX)) } else { Ok(()) }
}

fn too_long(most: usize) -> Fault {
    let expected = format!(
        "a Bundle of at most {most} bytes: give frames of a shorter time, or leave the Bundle away"
    );
    Fault::new(0, "length", expected, "more")
}

/// The words before and behind the entries.
fn around(root: &str) -> Result<[String; 2], Fault> {
    let none = written(&json!({
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": { "system": format!("{SYSTEM}:record"), "value": root },
        "entry": [],
    }))?;
    let (head, tail) = none.split_once("[]").ok_or_else(unwritten)?;
    Ok([format!("{head}["), format!("\n  ]{tail}")])
}

/// An entry as it stands behind so many others. No text of JSON has a line break in it.
fn text_of(entry: &Value, count: usize) -> Result<String, Fault> {
    let before = if count == 0 { "" } else { "," };
    Ok(format!("{before}\n    {}", written(entry)?.replace('\n', "\n    ")))
}

fn written(made: &Value) -> Result<String, Fault> {
    serde_json::to_string_pretty(made).map_err(|_| unwritten())
}

fn unwritten() -> Fault {
    Fault::new(0, "Bundle", "words that can be written", "others")
}

fn other_entry(count: usize) -> Fault {
    let expected = "the entry that its line makes";
    Fault::new(count + 1, "entry of the Bundle", expected, "another, or none")
}

fn other_words() -> Fault {
    let expected = "the Bundle that its lines make";
    Fault::new(0, "Bundle", expected, "other words beside its entries")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32) -> Value {
        json!({ "fullUrl": format!("urn:{number}"), "resource": { "list": [number] } })
    }

    fn text(count: u32) -> String {
        let mut to = Written::begin("aa").unwrap();
        (0..count).for_each(|number| to.take(&entry(number)).unwrap());
        to.finish()
    }

    /// Takes so many entries, and says which fault ends it.
    fn compare(text: &str, count: u32) -> Result<(), (usize, &'static str)> {
        let told = |fault: Fault| (fault.line, fault.part);
        let mut to = Compared::begin(text, "aa").map_err(told)?;
        (0..count).try_for_each(|number| to.take(&entry(number))).map_err(told)?;
        to.finish().map_err(told)
    }

    #[test]
    fn what_is_written_entry_by_entry_is_what_is_written_of_the_whole() {
        let entries: Vec<_> = (0..3).map(entry).collect();
        let whole = json!({
            "resourceType": "Bundle", "type": "collection", "entry": entries,
            "identifier": { "system": format!("{SYSTEM}:record"), "value": "aa" },
        });
        assert_eq!(text(3), serde_json::to_string_pretty(&whole).unwrap());
    }

    #[test]
    fn the_first_entry_that_differs_is_named_and_ends_it() {
        let own = text(3);
        assert_eq!(compare(&own, 3), Ok(()));
        assert_eq!(compare(&own.replace("urn:1", "urn:7"), 3), Err((2, "entry of the Bundle")));
        assert_eq!(compare(&own, 2), Err((3, "entry of the Bundle")), "one that no line makes");
        assert_eq!(compare(&own, 4), Err((4, "entry of the Bundle")), "one that is not there");
        let other = own.replace("collection", "document");
        assert_eq!(compare(&other, 3), Err((0, "Bundle")));
        assert_eq!(compare(&own.replacen('{', "{ ", 1), 3), Err((0, "Bundle")));
    }

    #[test]
    fn a_bundle_that_grows_too_long_is_refused_at_the_entry_that_makes_it_so() {
        let most = text(2).len();
        let mut to = Written { bytes_max: most, ..Written::begin("aa").unwrap() };
        assert_eq!((to.take(&entry(0)), to.take(&entry(1))), (Ok(()), Ok(())));
        assert_eq!(to.take(&entry(2)).map_err(|fault| fault.part), Err("length"));
        assert_eq!(to.finish().len(), most);
    }
}
