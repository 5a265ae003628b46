//! The header of a message: whose it is, what it is, and how it is to be answered.

use std::borrow::Cow;

use bridge::Cause;

use crate::fault::{Fault, Place};
use crate::segment::{Separators, segments};

/// Longest field of a header that is kept and answered with.
const FIELD_BYTES_MAX: usize = 256;
/// How much of a message is looked at for its header.
const HEADER_BYTES_MAX: usize = 4096;

/// How the bytes of a message are text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Charset {
    /// `ASCII`, and where MSH-18 is empty.
    #[default]
    Ascii,
    /// `UNICODE UTF-8`.
    Utf8,
    /// `8859/1`.
    Latin1,
}

impl Charset {
    /// The one that MSH-18 names.
    fn named(name: &str) -> Option<Charset> {
        match name {
            "" | "ASCII" => Some(Charset::Ascii),
            "UNICODE UTF-8" | "UTF-8" => Some(Charset::Utf8),
            "8859/1" => Some(Charset::Latin1),
            _ => None,
        }
    }

    /// The text of a message.
    ///
    /// # Errors
    /// [`Cause::Malformed`] if the bytes are none of it: what they mean nobody knows.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, Cause> {
        match self {
            Charset::Ascii if !bytes.is_ascii() => {
                Err(Cause::Malformed { expected: "ASCII, as MSH-18 names nothing else" })
            }
            Charset::Ascii | Charset::Utf8 => std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|_| Cause::Malformed { expected: "UTF-8, as MSH-18 says" }),
            Charset::Latin1 => Ok(latin1(bytes)),
        }
    }

    /// A text in bytes; what there is no byte for becomes a question mark.
    pub(crate) fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Charset::Utf8 => text.as_bytes().to_vec(),
            Charset::Ascii | Charset::Latin1 => {
                text.chars().map(|sign| u8::try_from(u32::from(sign)).unwrap_or(b'?')).collect()
            }
        }
    }
}

fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes).ok().filter(|_| bytes.is_ascii()) {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// What MSH says. Fields are kept as they stand, escapes included, so that they go back as they
/// came.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Header {
    pub(crate) separators: Separators,
    /// None: the message does not begin with a header.
    pub(crate) is_there: bool,
    /// None: one that is not read.
    pub(crate) charset: Option<Charset>,
    pub(crate) charset_name: String,
    pub(crate) application: String,
    pub(crate) facility: String,
    pub(crate) to_application: String,
    pub(crate) to_facility: String,
    kind: String,
    pub(crate) control: String,
    pub(crate) processing: String,
    pub(crate) version: String,
    pub(crate) accept: String,
    pub(crate) acknowledge: String,
    /// Whether a field is longer than it may be.
    is_long: bool,
}

/// Shows nothing that the sender wrote.
impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Header {{ is_there: {}, charset: {:?} }}", self.is_there, self.charset)
    }
}

impl Header {
    /// Of a message's bytes, whatever they are: what is not there stays empty, so that everything
    /// can be answered.
    pub fn read(bytes: &[u8]) -> Header {
        let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let line = &line[..line.len().min(HEADER_BYTES_MAX)];
        // Before it is known how it is encoded. A header that is UTF-8 is nothing else by chance.
        let text = std::str::from_utf8(line).map_or_else(|_| latin1(line), Cow::Borrowed);
        let Ok(separators) = Separators::read(&text) else { return Header::default() };
        let Some(segment) = segments(&text, separators).next() else { return Header::default() };
        let is_long = (3..=18).any(|number| segment.field(number).raw().len() > FIELD_BYTES_MAX);
        let field = |number: usize| {
            let raw = segment.field(number).raw();
            // Cut between characters: what is too long is answered, and refused.
            let end =
                (0..=FIELD_BYTES_MAX.min(raw.len())).rev().find(|at| raw.is_char_boundary(*at));
            // It goes back in an answer, whose frame it must not end.
            raw[..end.unwrap_or_default()].replace(char::is_control, " ")
        };
        let charset_name = segment.field(18).repetitions().next().map_or("", |one| one.raw());
        Header {
            separators,
            is_there: true,
            charset: Charset::named(charset_name.trim()),
            charset_name: field(18),
            application: field(3),
            facility: field(4),
            to_application: field(5),
            to_facility: field(6),
            kind: field(9),
            control: field(10),
            processing: field(11),
            version: field(12),
            accept: field(15),
            acknowledge: field(16),
            is_long,
        }
    }

    /// Whether the message is one that is read: an ORU^R01 in production, of version 2, with an
    /// identifier, in a character set that is known.
    ///
    /// # Errors
    /// [`Fault`] of the field that says otherwise.
    pub fn check(&self) -> Result<(), Fault> {
        let fault = |field, cause| Err(Fault::at(Place::header(field), cause));
        let unsupported = |field, expected| fault(field, Cause::Unsupported { expected });
        if !self.is_there {
            let expected = "a message that begins with MSH and its separators";
            return fault(0, Cause::Malformed { expected });
        }
        if self.is_long {
            return fault(0, Cause::TooMany { what: "bytes in a field", limit: FIELD_BYTES_MAX });
        }
        let mut kind = self.kind.split(self.separators.component);
        if (kind.next(), kind.next()) != (Some("ORU"), Some("R01")) {
            return unsupported(9, "ORU^R01");
        }
        if self.control.is_empty() {
            // Without it nobody could tell a message that is sent again from another one.
            return fault(10, Cause::Malformed { expected: "an identifier of the message" });
        }
        // What somebody sends for training is no patient's.
        if self.processing.split(self.separators.component).next() != Some("P") {
            return unsupported(11, "P, a message in production");
        }
        let version = self.version.split(self.separators.component).next().unwrap_or_default();
        if !version.starts_with("2.") {
            return unsupported(12, "a version from 2.1 on");
        }
        if self.charset.is_none() {
            return unsupported(18, "ASCII, UNICODE UTF-8 or 8859/1");
        }
        Ok(())
    }

    /// How the message's bytes are text; ASCII where that is not known.
    pub fn charset(&self) -> Charset {
        self.charset.unwrap_or_default()
    }

    /// Who sent it, as MSH-3 and MSH-4 say, and its identifier: what tells it from others.
    pub fn identity(&self) -> [&str; 3] {
        [&self.application, &self.facility, &self.control]
    }

    /// What divides it.
    pub fn separators(&self) -> Separators {
        self.separators
    }

    /// Whether accept and application are answered apart (enhanced mode).
    pub(crate) fn is_enhanced(&self) -> bool {
        !self.accept.is_empty() || !self.acknowledge.is_empty()
    }
}
