//! An export read back: from what it says it is about and its openings alone the file is laid out
//! again, and every line that differs was changed by somebody.

use serde::Deserialize;
use thiserror::Error;

use crate::document::{About, AboutError, Document, ENTRIES_MAX, ExportKind, TooMany};
use crate::entry::{Entry, EntryError};
use crate::export::{CSV_ABOUT, CSV_OPENING, Export, Format, HTML_ABOUT, HTML_OPENING};
use crate::gathered::{Event, Gathered};

/// Largest file that is read back, bytes.
pub const FILE_BYTES_MAX: usize = 256 << 20;
/// Most lines that are named as different.
const DIFFERENT_MAX: usize = 100;

/// Why a file is no export, or not what its openings say.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ReadError {
    /// Too long.
    #[error("expected a file of at most {FILE_BYTES_MAX} bytes, found {found}")]
    Long {
        /// Bytes found.
        found: usize,
    },
    /// Not text, or JSON that is no export.
    #[error(
        "expected an accounting, an access log or a Bundle of AuditEvents, found something else"
    )]
    Form,
    /// It does not say what it is about.
    #[error("the file does not say what it is about")]
    About(#[from] AboutError),
    /// Too many openings.
    #[error(transparent)]
    Many(#[from] TooMany),
    /// An opening is none.
    #[error("opening {number} of the file is none")]
    Opening {
        /// From 1.
        number: usize,
        /// What is wrong.
        source: EntryError,
    },
    /// An opening is not in hexadecimal.
    #[error("expected opening {number} of the file in hexadecimal, found something else")]
    Hex {
        /// From 1.
        number: usize,
    },
    /// Lines say something else than their openings.
    #[error("expected each line as its openings say it, found others at lines {}", list(lines))]
    Different {
        /// Lines of the file, from 1, the first hundred.
        lines: Vec<usize>,
    },
}

fn list(lines: &[usize]) -> String {
    lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// What a file says of itself.
struct Found {
    about: About,
    openings: Vec<String>,
    format: Format,
}

impl Export {
    /// Reads a file that was written from settled claims, and compares every line with what its
    /// openings say. Whether those are settled, [`Entry::check`] says of each.
    ///
    /// # Errors
    /// [`ReadError`] of a file that is none, and [`ReadError::Different`] with the lines that
    /// somebody changed.
    pub fn read(bytes: &[u8]) -> Result<Export, ReadError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(ReadError::Long { found: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ReadError::Form)?;
        let Found { about, mut openings, format } = find(text)?;
        // The two AuditEvents of an access have the same one.
        openings.dedup();
        let entries = openings.iter().zip(1..).map(|(hex, number)| {
            let bytes = hex::decode(hex).map_err(|_| ReadError::Hex { number })?;
            Entry::from_bytes(&bytes).map_err(|source| ReadError::Opening { number, source })
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let export = Export { document: Document::new(about, entries)?, format };
        let lines = different(text, &export.to_text());
        if lines.is_empty() { Ok(export) } else { Err(ReadError::Different { lines }) }
    }
}

fn find(text: &str) -> Result<Found, ReadError> {
    let found = match text.chars().next() {
        Some('{') => find_in_json(text),
        Some('<') => find_in_lines(text, Format::Html),
        _ => find_in_lines(text, Format::Csv),
    }?;
    // A table's lines are laid out as the kind has it, and AuditEvents as JSON alone.
    let fits = found.about.kind != ExportKind::AuditEvents || found.format == Format::Json;
    if fits { Ok(found) } else { Err(ReadError::Form) }
}

/// Lines are searched for by what they begin with: foreign words stand behind that, and have no
/// line breaks.
fn find_in_lines(text: &str, format: Format) -> Result<Found, ReadError> {
    let [about_mark, opening_mark, end] = match format {
        Format::Html => [HTML_ABOUT, HTML_OPENING, "<"],
        Format::Csv | Format::Json => [CSV_ABOUT, CSV_OPENING, "\r"],
    };
    let value = |line: &str, mark: &str| -> Option<String> {
        let rest = line.strip_prefix(mark)?;
        Some(rest.split(end).next().unwrap_or_default().to_owned())
    };
    let about = text.split('\n').find_map(|line| value(line, about_mark)).ok_or(ReadError::Form)?;
    let openings = text.split('\n').filter_map(|line| value(line, opening_mark));
    let openings: Vec<_> = openings.take(ENTRIES_MAX + 1).collect();
    Ok(Found { about: About::parse(&about)?, openings, format })
}

/// What is read of a file of JSON; the rest is passed over and never held.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "resourceType")]
    resource_type: Option<String>,
    about: Option<String>,
    identifier: Option<Identifier>,
    openings: Option<Gathered<String>>,
    #[serde(rename = "entry")]
    events: Option<Gathered<Event>>,
}

#[derive(Deserialize)]
struct Identifier {
    value: Option<String>,
}

fn find_in_json(text: &str) -> Result<Found, ReadError> {
    let said: Said = serde_json::from_str(text).map_err(|_| ReadError::Form)?;
    let is_bundle = said.resource_type.as_deref() == Some("Bundle");
    // A Bundle that says it is a table would be laid out as one, and every line would differ.
    let (about, openings) = match is_bundle {
        true => (said.identifier.and_then(|it| it.value), said.events.map(Gathered::into_texts)),
        false => (said.about, said.openings.map(Gathered::into_texts)),
    };
    let about = About::parse(&about.ok_or(ReadError::Form)?)?;
    Ok(Found { about, openings: openings.unwrap_or_default(), format: Format::Json })
}

/// Numbers of the lines in which two texts differ; of a text that ends early, the line after it.
fn different(found: &str, expected: &str) -> Vec<usize> {
    if found == expected {
        return Vec::new();
    }
    let (mut found, mut expected) = (found.split('\n'), expected.split('\n'));
    let mut lines = Vec::new();
    for number in 1.. {
        let pair = (found.next(), expected.next());
        if pair == (None, None) || lines.len() == DIFFERENT_MAX {
            break;
        }
        if pair.0 != pair.1 {
            lines.push(number);
        }
    }
    lines
}
