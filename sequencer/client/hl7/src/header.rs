//! The header of a message: whose it is, what it is, and how it is to be answered.

use std::borrow::Cow;

use bridge::{Cause, Charset, Map};

use crate::asked::Asked;
use crate::fault::{Fault, Place};
use crate::segment::{Field, Separators};

/// Longest field of a header that is kept and answered with.
const FIELD_BYTES_MAX: usize = 256;
/// The fields that are kept; all others may be as long as the message.
const KEPT: [usize; 11] = [3, 4, 5, 6, 9, 10, 11, 12, 15, 16, 18];
/// Bytes of a header in which its separators stand.
const SEPARATORS_BYTES: usize = 16;

/// What MSH says. Fields are kept as they stand, escapes included, so that they go back as they
/// came.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Header {
    pub(crate) separators: Separators,
    /// None: the message does not begin with a header.
    pub(crate) is_there: bool,
    /// None: it names one that is not read.
    charset: Option<Charset>,
    /// Empty: it names none.
    pub(crate) charset_name: String,
    pub(crate) application: String,
    pub(crate) facility: String,
    pub(crate) to_application: String,
    pub(crate) to_facility: String,
    kind: String,
    pub(crate) control: String,
    pub(crate) processing: String,
    pub(crate) version: String,
    pub(crate) accept: Asked,
    pub(crate) acknowledge: Asked,
    /// The first field that is longer than it may be.
    long: Option<usize>,
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
        let mut lines = bytes.split(|byte| matches!(byte, b'\r' | b'\n'));
        // Some senders begin a frame with an empty line.
        let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let begin = bytewise(&line[..line.len().min(SEPARATORS_BYTES)]);
        let Ok(separators) = Separators::read(&begin) else { return Header::default() };
        let fields = line.split(|byte| char::from(*byte) == separators.field);
        let fields: Vec<&[u8]> = fields.take(KEPT[KEPT.len() - 1]).collect();
        // MSH-1 is the separator itself, so that MSH-2 follows the name.
        let raw = |number: usize| fields.get(number - 1).copied().unwrap_or_default();
        let name = bytewise(raw(18));
        let name = Field::new(&name, separators).repetitions().next();
        let name = name.map_or("", |one| one.raw().trim());
        let charset = if name.is_empty() { Some(Charset::Ascii) } else { Charset::named(name) };
        let field = |number: usize| {
            let cut = &raw(number)[..raw(number).len().min(FIELD_BYTES_MAX)];
            let text = match charset {
                Some(Charset::Utf8) => String::from_utf8_lossy(cut),
                // One sign for each byte, so that it goes back as it came, whatever it means.
                _ => bytewise(cut),
            };
            // It goes back in an answer, whose frame it must not end.
            text.replace(|sign: char| sign.is_ascii_control(), " ")
        };
        let asked = |number: usize| Asked::read(Field::new(&field(number), separators));
        Header {
            separators,
            is_there: true,
            charset,
            charset_name: field(18),
            application: field(3),
            facility: field(4),
            to_application: field(5),
            to_facility: field(6),
            kind: field(9),
            control: field(10),
            processing: field(11),
            version: field(12),
            accept: asked(15),
            acknowledge: asked(16),
            long: KEPT.into_iter().find(|number| raw(*number).len() > FIELD_BYTES_MAX),
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
        if let Some(field) = self.long {
            let (what, limit) = ("bytes in a field", FIELD_BYTES_MAX);
            return fault(field, Cause::TooMany { what, limit });
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
        // A guess might leave a sender without the answer that it waits for.
        for (field, asked) in [(15, self.accept), (16, self.acknowledge)] {
            if asked == Asked::Unknown {
                return unsupported(field, "AL, NE, ER or SU");
            }
        }
        if self.charset.is_none() {
            return unsupported(18, "ASCII, UNICODE UTF-8 or 8859/1");
        }
        Ok(())
    }

    /// How the message's bytes are text: as MSH-18 says, else as the map does, else ASCII.
    pub fn charset(&self, map: &Map) -> Charset {
        let by_map = map.charset().filter(|_| self.charset_name.is_empty());
        by_map.unwrap_or_else(|| self.answer_charset())
    }

    /// How the bytes of an answer are text: as MSH-18 says, else each as it came.
    pub(crate) fn answer_charset(&self) -> Charset {
        self.charset.unwrap_or_default()
    }

    /// Whether MSH-18 of an answer says what it says here.
    pub(crate) fn names_charset(&self) -> bool {
        !self.charset_name.is_empty() && self.charset.is_some()
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
        self.accept != Asked::Unsaid || self.acknowledge != Asked::Unsaid
    }
}

/// A text with one sign for each byte.
fn bytewise(bytes: &[u8]) -> Cow<'_, str> {
    Charset::Latin1.decode(bytes).unwrap_or_default()
}
