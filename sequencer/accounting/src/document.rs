//! What stands in a file: which lines there are, before it is decided how they look.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use model::{ChainScope, ClaimKind, Millis, PatientIndex, Purpose, Word, whole_number};
use thiserror::Error;

use crate::entry::Entry;

/// Most settled claims in a file.
pub(crate) const ENTRIES_MAX: usize = 100_000;

/// Which of the three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExportKind {
    /// 45 CFR 164.528.
    Disclosures,
    /// EHDS Article 9.
    AccessLog,
    /// FHIR R4 AuditEvents after IHE BALP.
    AuditEvents,
}

/// Which purposes an accounting of disclosures has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purposes {
    /// Those that 164.528(a)(1) does not exempt.
    Required,
    /// All of them.
    All,
}

/// What a file is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// Which of the three.
    pub kind: ExportKind,
    /// Which deployment.
    pub scope: ChainScope,
    /// Whose.
    pub patient: PatientIndex,
    /// First moment that it covers.
    pub from: Millis,
    /// First moment that it does not cover any more: where the last batch that was read ends.
    pub until: Millis,
    /// Which purposes.
    pub purposes: Purposes,
    /// Until when a suspension under 164.528(a)(2) was declared to whoever made the file. It is
    /// said; no line is left out for it.
    pub suspended_until: Option<Millis>,
}

/// Text that is not that of an [`About`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected what a file is about ({BEGIN} kind=.. ), found something else")]
pub struct AboutError;

/// More settled claims than a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected at most {ENTRIES_MAX} settled claims in a file, found more: give a later begin")]
pub struct TooMany;

/// One line: an access, or a series of them to one recipient for one purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// The first access.
    pub first: &'a Entry,
    /// All of them by time, the first included.
    pub members: Vec<&'a Entry>,
}

/// A file before it is laid out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    about: About,
    entries: Vec<Entry>,
}

/// First word of the text of an [`About`].
const BEGIN: &str = "vitals-accounting-1";

impl ExportKind {
    pub(crate) const ALL: [ExportKind; 3] =
        [ExportKind::Disclosures, ExportKind::AccessLog, ExportKind::AuditEvents];

    /// Short name.
    pub fn name(self) -> &'static str {
        match self {
            ExportKind::Disclosures => "disclosures",
            ExportKind::AccessLog => "access-log",
            ExportKind::AuditEvents => "audit-events",
        }
    }
}

impl Document {
    /// Takes what belongs into the file and puts it in order of time. A leaf that stands twice is
    /// there once, as it is first.
    ///
    /// # Errors
    /// [`TooMany`] if it would hold more than 100,000 settled claims: a file that left some out
    /// would look as if there were none.
    pub fn new(
        about: About,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Document, TooMany> {
        let taken = entries.into_iter().filter(|entry| about.takes(entry));
        let mut entries: Vec<_> = taken.take(ENTRIES_MAX + 1).collect();
        if entries.len() > ENTRIES_MAX {
            return Err(TooMany);
        }
        entries.sort_by_key(|entry| (entry.claim().receipt.from, entry.batch(), entry.place()));
        // By the leaf, and not by all that is said of it: one access is one line, however often
        // and with whatever names it is given.
        let mut leaves = BTreeSet::new();
        entries.retain(|entry| leaves.insert((entry.batch(), entry.place())));
        Ok(Document { about, entries })
    }

    /// What it is about.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The settled claims by time.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The lines by time of their first access. Of an accounting, repeated disclosures to one
    /// recipient for one purpose are one line (164.528(b)(3)); elsewhere each access has its own.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let alone = |first| Line { first, members: vec![first] };
        if self.about.kind != ExportKind::Disclosures {
            return self.entries.iter().map(alone).collect();
        }
        let mut lines: Vec<Line<'_>> = Vec::new();
        let mut places = BTreeMap::new();
        for entry in &self.entries {
            match places.get(&Series::of(entry)) {
                Some(place) => {
                    let line: &mut Line<'_> = &mut lines[*place];
                    line.members.push(entry);
                }
                None => {
                    places.insert(Series::of(entry), lines.len());
                    lines.push(alone(entry));
                }
            }
        }
        lines
    }
}

/// What accesses of one series have in common. What was read is in it, as the law has the
/// description of the first stand for all; and whether a rule covered it, as one that none covered
/// must not hide among others.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    individual: Word,
    organisation: Word,
    purpose: Purpose,
    kind: ClaimKind,
    categories: u64,
    covered: bool,
}

impl Series {
    fn of(entry: &Entry) -> Series {
        let claim = entry.claim();
        Series {
            individual: claim.individual,
            organisation: claim.organisation,
            purpose: claim.purpose,
            kind: claim.kind,
            categories: claim.categories.bits(),
            covered: entry.covered(),
        }
    }
}

impl About {
    /// Whether an entry belongs into the file.
    fn takes(&self, entry: &Entry) -> bool {
        let claim = entry.claim();
        let at = claim.receipt.from;
        if claim.patient != self.patient || at < self.from || at >= self.until {
            return false;
        }
        match self.kind {
            ExportKind::AuditEvents => true,
            ExportKind::AccessLog => entry.is_access(),
            ExportKind::Disclosures => {
                let asked = self.purposes == Purposes::All || !is_exempt(entry);
                entry.is_access() && asked
            }
        }
    }

    /// Reads what [`About`] is written as.
    ///
    /// # Errors
    /// [`AboutError`] for every other text.
    pub fn parse(text: &str) -> Result<About, AboutError> {
        let mut words = text.split(' ');
        if words.next() != Some(BEGIN) {
            return Err(AboutError);
        }
        let mut value = |key: &str| -> Result<&str, AboutError> {
            let word = words.next().ok_or(AboutError)?;
            word.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')).ok_or(AboutError)
        };
        let kind = value("kind")?;
        let kind = ExportKind::ALL.into_iter().find(|one| one.name() == kind).ok_or(AboutError)?;
        let chain_id = whole_number(value("chain")?).ok_or(AboutError)?;
        let contract = value("contract")?.strip_prefix("0x").ok_or(AboutError)?;
        let contract = hex::decode(contract).map_err(|_| AboutError)?;
        let contract = contract.try_into().map_err(|_| AboutError)?;
        let patient = value("patient")?.parse::<PatientIndex>().map_err(|_| AboutError)?;
        let (from, until) = (read_time(value("from")?)?, read_time(value("until")?)?);
        let purposes = match value("purposes")? {
            "required" => Purposes::Required,
            "all" => Purposes::All,
            _ => return Err(AboutError),
        };
        let suspended_until = match value("suspended")? {
            "no" => None,
            at => Some(read_time(at)?),
        };
        let scope = ChainScope { chain_id, contract };
        let about = About { kind, scope, patient, from, until, purposes, suspended_until };
        // One text for each: `07` and `+7` would be read as 7, too.
        if about.to_string() == text { Ok(about) } else { Err(AboutError) }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChainScope { chain_id, contract } = self.scope;
        let contract = hex::encode(contract);
        write!(f, "{BEGIN} kind={} chain={chain_id} contract=0x{contract}", self.kind.name())?;
        write!(f, " patient={} from={}", self.patient.get(), self.from.get())?;
        let purposes = if self.purposes == Purposes::All { "all" } else { "required" };
        write!(f, " until={} purposes={purposes}", self.until.get())?;
        match self.suspended_until {
            None => write!(f, " suspended=no"),
            Some(at) => write!(f, " suspended={}", at.get()),
        }
    }
}

fn read_time(text: &str) -> Result<Millis, AboutError> {
    let ms = whole_number(text).ok_or(AboutError)?;
    Millis::new(ms).map_err(|_| AboutError)
}

/// Whether 164.528(a)(1) exempts a disclosure: for treatment, payment and operations, and to the
/// individual. Only what a rule covers is exempt: the exemption is of disclosures that the rules
/// allow.
fn is_exempt(entry: &Entry) -> bool {
    entry.covered()
        && match entry.claim().purpose {
            Purpose::Treatment
            | Purpose::EmergencyTreatment
            | Purpose::Payment
            | Purpose::Operations
            | Purpose::PatientRequest => true,
            Purpose::Research | Purpose::PublicHealth => false,
        }
}
