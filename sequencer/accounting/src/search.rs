//! A search for AuditEvents (IHE ITI-81): what is asked, who may see what of it, and the page.

use std::fmt;

use model::calendar::{Local, Utc, Written};
use model::{
    BatchNumber, ChainScope, Millis, OrganisationId, PatientIndex, PractitionerId, Word,
    whole_number,
};
use serde_json::{Value, json};
use statement::scope;
use thiserror::Error;

use crate::entry::Entry;
use crate::events::events;

/// Most parameters of a search.
const PARAMETERS_MAX: usize = 16;
/// Settled claims of a page, if nothing else is asked for.
const COUNT: usize = 50;
/// Most settled claims of a page; each is two events of some 6 KiB.
const COUNT_MAX: usize = 200;

/// Who asks, by a token that was checked.
#[derive(Clone, PartialEq, Eq)]
pub enum Asker {
    /// The patient, of the own record.
    Patient(PatientIndex),
    /// A practitioner, of the own accesses.
    Practitioner(PractitionerId),
    /// An auditor, of everything.
    Auditor,
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Search {
    /// Whose record: one at a time.
    pub patient: PatientIndex,
    /// When it happened.
    date: Bounds,
    /// When it was settled.
    updated: Bounds,
    /// Who acted.
    agent: Option<Word>,
    /// Most settled claims of a page.
    pub count: usize,
    /// Where the page begins.
    pub from: Cursor,
    /// The parameters without the cursor, for the links of the page.
    asked: Vec<(String, String)>,
}

/// A place among a record's settled claims.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cursor {
    /// Batch.
    pub batch: BatchNumber,
    /// Claims of the batch's opening that are before it.
    pub claim: u32,
}

/// A settled claim that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The claim.
    pub entry: Entry,
    /// When its batch settled: what `_lastUpdated` asks for.
    pub settled: Millis,
}

/// A page of what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<'a> {
    /// Settled claims by batch and position.
    pub entries: Vec<Found>,
    /// Where the next page begins; none behind the last.
    pub next: Option<Cursor>,
    /// The base of the FHIR routes, as the audience of tokens.
    pub base: &'a str,
    /// Which deployment.
    pub scope: ChainScope,
}

/// A search that is none. No value of a parameter stands in the text.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SearchError {
    /// Nobody's record.
    #[error("expected `patient`, the index of a record, once: none is searched without it")]
    Patient,
    /// A parameter that is not known here. Passed over, it would show more than was asked for.
    #[error(
        "expected patient, date, agent, _lastUpdated, _count, _cursor or _format, found another"
    )]
    Unknown,
    /// A value is none.
    #[error("expected {expected} as `{parameter}`, found something else")]
    Value {
        /// Which parameter.
        parameter: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// Too many.
    #[error("expected at most {PARAMETERS_MAX} parameters, found more")]
    Many,
    /// Somebody else's record.
    #[error("expected a search of the own record, found another's")]
    Forbidden,
}

/// From the first time on to before the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bounds {
    from: Millis,
    until: Millis,
}

impl Search {
    /// Reads parameters, decoded.
    ///
    /// # Errors
    /// [`SearchError`].
    pub fn parse(parameters: &[(String, String)]) -> Result<Search, SearchError> {
        if parameters.len() > PARAMETERS_MAX {
            return Err(SearchError::Many);
        }
        let mut patient = None;
        let all = Bounds { from: Millis::UNBOUNDED_PAST, until: Millis::UNBOUNDED_FUTURE };
        let (mut date, mut updated) = (all, all);
        let (mut agent, mut count) = (None, COUNT);
        let mut from = Cursor { batch: BatchNumber(1), claim: 0 };
        for (name, value) in parameters {
            match name.as_str() {
                "patient" if patient.is_none() => patient = Some(read_patient(value)?),
                "date" => date = date.narrowed("date", value)?,
                "_lastUpdated" => updated = updated.narrowed("_lastUpdated", value)?,
                "agent" if agent.is_none() => agent = Some(read_agent(value)?),
                "_count" => count = read_count(value)?,
                "_cursor" => from = Cursor::parse(value)?,
                "_format" if ["json", "application/fhir+json"].contains(&value.as_str()) => {}
                "patient" => return Err(SearchError::Patient),
                _ => return Err(SearchError::Unknown),
            }
        }
        let patient = patient.ok_or(SearchError::Patient)?;
        let asked = parameters.iter().filter(|(name, _)| name != "_cursor").cloned().collect();
        Ok(Search { patient, date, updated, agent, count, from, asked })
    }

    /// Whether somebody may search this record at all.
    ///
    /// # Errors
    /// [`SearchError::Forbidden`] of a patient who asks for another's.
    pub fn allow(&self, asker: &Asker) -> Result<(), SearchError> {
        match asker {
            Asker::Patient(own) if *own != self.patient => Err(SearchError::Forbidden),
            Asker::Patient(_) | Asker::Practitioner(_) | Asker::Auditor => Ok(()),
        }
    }

    /// Whether a batch whose window ended and that settled then is before all that is asked for:
    /// then neither it nor one before it has to be read. Each claim was received before the end of
    /// its window (rule C2.5), and neither windows nor settling go back in time from a batch to the
    /// next.
    pub fn is_before(&self, window_end: Millis, settled: Millis) -> bool {
        window_end <= self.date.from || settled < self.updated.from
    }

    /// Whether a batch whose window began and that settled then is behind all that is asked for,
    /// and with it every later one.
    pub fn is_behind(&self, window_begin: Millis, settled: Millis) -> bool {
        window_begin >= self.date.until || settled >= self.updated.until
    }

    /// Whether a claim was asked for, and whether who asks may see it. A practitioner sees what
    /// they read themselves: who else reads a record is the patient's to know.
    pub fn wants(&self, asker: &Asker, entry: &Entry) -> bool {
        let claim = entry.claim();
        let own = match asker {
            Asker::Patient(patient) => claim.patient == *patient,
            Asker::Practitioner(id) => {
                entry.is_access() && claim.individual == scope::practitioner(id)
            }
            Asker::Auditor => true,
        };
        let by = |word: Word| claim.individual == word || claim.organisation == word;
        own && claim.patient == self.patient
            && self.date.contains(claim.receipt.from)
            && self.agent.is_none_or(by)
    }

    /// The page as a Bundle of type *searchset*. How many there are in all is not said: that would
    /// have every batch read for each page. Each event says when it settled, so that whoever polls
    /// goes on from there.
    pub fn bundle(&self, page: &Page<'_>) -> Value {
        let Page { entries, next, base, scope } = page;
        let link = |relation: &str, cursor: Cursor| {
            let asked = self.asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let cursor = cursor.to_string();
            let all = asked.chain([("_cursor", cursor.as_str())]);
            let query = all.map(|(name, value)| format!("{name}={}", percent(value)));
            let query = query.collect::<Vec<_>>().join("&");
            json!({"relation": relation, "url": format!("{base}/AuditEvent?{query}")})
        };
        let mut links = vec![link("self", self.from)];
        links.extend(next.map(|next| link("next", next)));
        let shown = |Found { entry, settled }: &Found| {
            let settled = Utc(*settled).to_string();
            events(entry, *scope).into_iter().map(move |mut event| {
                event["meta"]["lastUpdated"] = json!(settled);
                let id = event["id"].as_str().unwrap_or_default();
                let url = format!("{base}/AuditEvent/{id}");
                json!({"fullUrl": url, "resource": event, "search": {"mode": "match"}})
            })
        };
        let found: Vec<_> = entries.iter().flat_map(shown).collect();
        let mut bundle = json!({"resourceType": "Bundle", "type": "searchset", "link": links});
        // An array without members is no FHIR.
        if !found.is_empty() {
            bundle["entry"] = found.into();
        }
        bundle
    }
}

impl Cursor {
    fn parse(text: &str) -> Result<Cursor, SearchError> {
        let wrong = SearchError::Value { parameter: "_cursor", expected: "that of a page's link" };
        let bytes = hex::decode(text).ok().and_then(|bytes| <[u8; 12]>::try_from(bytes).ok());
        let bytes = bytes.ok_or(wrong)?;
        let (batch, claim) = bytes.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Ok(Cursor { batch: BatchNumber(number(batch)), claim: number(claim) as u32 })
    }
}

/// Opaque to whoever has it: a place and nothing else. It lets nobody in; each page asks for the
/// token again.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:08x}", self.batch.0, self.claim)
    }
}

impl Bounds {
    fn contains(&self, at: Millis) -> bool {
        self.from <= at && at < self.until
    }

    /// Narrowed by `ge2026-05-01` and the like: a day, month or year is all of it.
    fn narrowed(self, parameter: &'static str, text: &str) -> Result<Bounds, SearchError> {
        let expected = "a time with its zone, or a day, behind eq, ge, gt, le or lt";
        let wrong = || SearchError::Value { parameter, expected };
        let is_prefix = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.is_ascii();
        let (prefix, time) =
            if is_prefix { text.split_at(2.min(text.len())) } else { ("eq", text) };
        let (begin, end) = match Written::parse(time).map_err(|_| wrong())? {
            // FHIR has seconds where no fraction is written; here a time is its millisecond.
            Written::Instant(at) => (at.millis(), at.millis().plus(1)),
            // A day without a zone is one of UTC, as all times here are.
            Written::Whole { begin, end } => {
                let utc = |local: Local| local.at_offset(0).map_err(|_| wrong());
                (utc(begin)?.millis(), utc(end)?.millis())
            }
            Written::Now | Written::Local(_) => return Err(wrong()),
        };
        let Bounds { from, until } = self;
        let (begin, end) = match prefix {
            "eq" => (begin, end),
            "ge" => (begin, until),
            "gt" => (end, until),
            "le" => (from, end),
            "lt" => (from, begin),
            _ => return Err(wrong()),
        };
        Ok(Bounds { from: from.max(begin), until: until.min(end) })
    }
}

/// `7` or `Patient/7`.
pub(crate) fn read_patient(text: &str) -> Result<PatientIndex, SearchError> {
    let index = text.strip_prefix("Patient/").unwrap_or(text);
    index.parse::<PatientIndex>().map_err(|_| SearchError::Patient)
}

/// `Practitioner/dr-001` or `Organization/ward-3`.
fn read_agent(text: &str) -> Result<Word, SearchError> {
    let expected = "Practitioner/ID or Organization/ID";
    let wrong = SearchError::Value { parameter: "agent", expected };
    let word = match text.split_once('/') {
        Some(("Practitioner", id)) => {
            PractitionerId::new(id).ok().map(|id| scope::practitioner(&id))
        }
        Some(("Organization", id)) => {
            OrganisationId::new(id).ok().map(|id| scope::organisation(&id))
        }
        _ => None,
    };
    word.ok_or(wrong)
}

fn read_count(text: &str) -> Result<usize, SearchError> {
    let expected = "a number from 1 on";
    let wrong = SearchError::Value { parameter: "_count", expected };
    let count = whole_number(text).filter(|count| *count > 0).ok_or(wrong)?;
    // FHIR has a server give fewer than asked for.
    Ok(COUNT_MAX.min(count))
}

/// A value in a link, as RFC 3986 has it in a query.
fn percent(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                written.push(char::from(byte));
            }
            other => written.push_str(&format!("%{other:02X}")),
        }
    }
    written
}
