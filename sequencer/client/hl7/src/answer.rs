//! Acknowledgements: what is answered, in original and in enhanced mode.

use bridge::{Cause, Fate};
use model::Millis;
use model::calendar::Utc;

use crate::fault::{Fault, Place};
use crate::header::Header;

/// Most faults that an answer names.
pub const FAULTS_MAX: usize = 10;

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every reading of it has a verified receipt.
    Stored {
        /// The receipts, in words.
        receipts: String,
        /// What of it was no reading and was passed over.
        left_out: Vec<Fault>,
    },
    /// It was not, for these reasons.
    Refused(Vec<Fault>),
}

/// What this side adds to an answer.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// MSH-10 of the answer. Two answers have two.
    pub control: &'a str,
    /// MSH-7.
    pub at: Millis,
}

/// An acknowledgement, without its frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its bytes, in the message's character set.
    pub bytes: Vec<u8>,
    /// MSA-1.
    pub code: &'static str,
}

/// Shows the code alone: what is answered repeats what the sender wrote.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({})", self.code)
    }
}

/// How good or bad it is, in the letters of table 0008.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accept,
    Error,
    Reject,
}

impl Verdict {
    fn of(outcome: &Outcome) -> Verdict {
        match outcome {
            Outcome::Stored { .. } => Verdict::Accept,
            Outcome::Refused(faults) => {
                // Of several reasons one that no repeating mends decides.
                let never = faults.iter().any(|fault| fault.fate() == Fate::Never);
                if never { Verdict::Reject } else { Verdict::Error }
            }
        }
    }

    fn application(self) -> &'static str {
        match self {
            Verdict::Accept => "AA",
            Verdict::Error => "AE",
            Verdict::Reject => "AR",
        }
    }

    fn commit(self) -> &'static str {
        match self {
            Verdict::Accept => "CA",
            Verdict::Error => "CE",
            Verdict::Reject => "CR",
        }
    }
}

/// What is answered to a message: one acknowledgement in original mode; in enhanced mode, where
/// MSH-15 or MSH-16 says something, those that they ask for, which may be none or two.
pub fn answers(header: &Header, outcome: &Outcome, own: Own<'_>) -> Vec<Answer> {
    let verdict = Verdict::of(outcome);
    let mut codes = Vec::new();
    if !header.is_enhanced() {
        codes.push(verdict.application());
    } else {
        // Both only once it is stored: "commit" is a word for that.
        if header.accept.is_for(verdict == Verdict::Accept) {
            codes.push(verdict.commit());
        }
        if header.acknowledge.is_for(verdict == Verdict::Accept) {
            codes.push(verdict.application());
        }
    }
    let answer = |(index, code): (usize, &'static str)| {
        let control =
            if index == 0 { own.control.to_owned() } else { format!("{}-2", own.control) };
        let lines = write_header(header, Own { control: &control, ..own });
        let text = lines + &write_outcome(header, outcome, code);
        Answer { bytes: header.answer_charset().encode(&text), code }
    };
    codes.into_iter().enumerate().map(answer).collect()
}

/// MSA, and an ERR for each fault.
fn write_outcome(header: &Header, outcome: &Outcome, code: &str) -> String {
    let separators = header.separators;
    let f = separators.field;
    let (text, faults, severity) = match outcome {
        Outcome::Stored { receipts, left_out } => (receipts.clone(), left_out, 'W'),
        Outcome::Refused(faults) => (sentence(faults), faults, 'E'),
    };
    let mut lines = format!("MSA{f}{code}{f}{}{f}{}\r", header.control, separators.escape(&text));
    for fault in faults.iter().take(FAULTS_MAX) {
        lines += &write_fault(header, fault, severity);
    }
    lines
}

/// The first reason, with its code: what MSA-3 says where nobody reads ERR.
fn sentence(faults: &[Fault]) -> String {
    let Some(fault) = faults.first() else { return String::new() };
    let place = fault.place.map_or_else(String::new, |place| format!("{place}: "));
    format!("{}: {place}{}", fault.cause.code(), fault.cause)
}

fn write_header(header: &Header, own: Own<'_>) -> String {
    let s = header.separators;
    let (f, c) = (s.field, s.component);
    // As the sender has it; to one that has none, the oldest that knows all of this.
    let version = if header.version.starts_with('2') { header.version.as_str() } else { "2.5.1" };
    let processing = if header.processing.is_empty() { "P" } else { header.processing.as_str() };
    let to = format!("{}{f}{}", header.application, header.facility);
    let from = format!("{}{f}{}", header.to_application, header.to_facility);
    let (control, at) = (s.escape(own.control), time(own.at));
    let mut line = format!(
        "MSH{f}{}{f}{from}{f}{to}{f}{at}{f}{f}ACK{c}R01{f}{control}{f}{processing}{f}{version}",
        s.encoding()
    );
    if header.names_charset() {
        // MSH-13 to MSH-17 are empty: nobody acknowledges an acknowledgement.
        line.extend([f; 6]);
        line.push_str(&header.charset_name);
    }
    line + "\r"
}

/// `YYYYMMDDHHMMSS.SSS+0000`.
fn time(at: Millis) -> String {
    let digits: String =
        Utc(at).to_string().chars().filter(|sign| !"-:TZ".contains(*sign)).collect();
    digits + "+0000"
}

/// ERR as of version 2.5: where, the standard's code, how bad, this side's code, and words.
fn write_fault(header: &Header, fault: &Fault, severity: char) -> String {
    let s = header.separators;
    let (f, c) = (s.field, s.component);
    let place = fault.place.map_or_else(String::new, |place| {
        let Place { segment, number, field } = place;
        if field == 0 {
            format!("{segment}{c}{number}")
        } else {
            format!("{segment}{c}{number}{c}{field}")
        }
    });
    let (number, name) = standard(fault);
    let (code, text) = (fault.cause.code(), s.escape(&fault.cause.to_string()));
    let standard = format!("{number}{c}{name}{c}HL70357");
    let own = format!("{code}{c}{c}L");
    format!("ERR{f}{f}{place}{f}{standard}{f}{severity}{f}{own}{f}{f}{f}{text}\r")
}

/// The code of table 0357.
fn standard(fault: &Fault) -> (u16, &'static str) {
    let header_field = fault.place.filter(|place| place.segment == "MSH").map(|place| place.field);
    match (&fault.cause, header_field) {
        (Cause::Unsupported { .. }, Some(9)) => (200, "Unsupported message type"),
        (Cause::Unsupported { .. }, Some(11)) => (202, "Unsupported processing id"),
        (Cause::Unsupported { .. }, Some(12)) => (203, "Unsupported version id"),
        (Cause::PatientUnknown | Cause::DeviceUnknown | Cause::PatientAmbiguous, _) => {
            (204, "Unknown key identifier")
        }
        (Cause::Reused, _) => (205, "Duplicate key identifier"),
        (
            Cause::PatientMissing
            | Cause::DeviceMissing
            | Cause::CodeMissing
            | Cause::UnitMissing { .. }
            | Cause::ValueMissing
            | Cause::TimeMissing
            | Cause::RateMissing
            | Cause::ZoneMissing,
            _,
        ) => (101, "Required field missing"),
        (Cause::NotNumber | Cause::TimeMalformed { .. } | Cause::Type { .. }, _) => {
            (102, "Data type error")
        }
        (
            Cause::CodeUnknown
            | Cause::CodeAmbiguous
            | Cause::UnitUnknown { .. }
            | Cause::Status { .. }
            | Cause::Unsupported { .. },
            _,
        ) => (103, "Table value not found"),
        _ => (207, "Application internal error"),
    }
}
