//! The words of a file: columns, cells and what is said above them.

use model::calendar::Utc;
use model::{Category, ClaimKind, Purpose, escape};

use crate::document::{About, Document, ExportKind, Line, Purposes};
use crate::entry::Entry;

/// A file as rows of text.
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// What has to be said beside the lines.
    pub(crate) notes: Vec<String>,
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<Vec<String>>,
}

const DISCLOSURES: &[&str] = &[
    "number",
    "date",
    "recipient",
    "description",
    "purpose",
    "reason",
    "basis",
    "disclosures",
    "last",
    "references",
    "transaction",
];

const ACCESS_LOG: &[&str] = &[
    "number",
    "time",
    "who",
    "organisation",
    "data",
    "measured_from",
    "measured_until",
    "purpose",
    "reason",
    "basis",
    "references",
    "transaction",
];

impl Table {
    pub(crate) fn of(document: &Document) -> Table {
        let about = document.about();
        let (title, columns) = match about.kind {
            ExportKind::Disclosures => ("Accounting of disclosures (45 CFR 164.528)", DISCLOSURES),
            ExportKind::AccessLog | ExportKind::AuditEvents => {
                ("Log of accesses (Regulation (EU) 2025/327, Article 9)", ACCESS_LOG)
            }
        };
        let rows = document.lines().into_iter().enumerate().map(|(at, line)| match about.kind {
            ExportKind::Disclosures => disclosure(at + 1, &line),
            ExportKind::AccessLog | ExportKind::AuditEvents => access(at + 1, &line),
        });
        Table { title, notes: notes(about), columns, rows: rows.collect() }
    }
}

fn notes(about: &About) -> Vec<String> {
    let About { patient, scope, .. } = about;
    let (chain, contract) = (scope.chain_id, hex::encode(scope.contract));
    let (from, until) = (Utc(about.from), Utc(about.until));
    let mut notes = vec![
        format!("Patient {} of this deployment, {from} to {until}.", patient.get()),
        format!(
            "Each line names batch.chunk.leaf of its settled claims on chain {chain}, contract \
             0x{contract}, and `auditor accounting` finds them there; the openings below are what \
             it needs. They show what was signed to read: hand the file on as you would the log."
        ),
        "Times, purposes and who asked are as the node and the reader declared them; that a rule \
         of the patient covered an access is proven. That no line is missing is not shown by this \
         file: `vitals log` compares that with the patient's key."
            .to_owned(),
    ];
    if about.kind != ExportKind::Disclosures {
        return notes;
    }
    notes.push(match about.purposes {
        Purposes::Required => "Left out, as 164.528(a)(1) has it: what a rule covered for \
                               treatment, emergency treatment, payment, operations or at the \
                               patient's request."
            .to_owned(),
        Purposes::All => "All purposes, those that 164.528(a)(1) exempts included.".to_owned(),
    });
    notes.push(
        "Whether a recipient belongs to the covered entity, and whether a signed rule is an \
         authorization under 164.508, is not known here: such lines are not left out. Addresses of \
         recipients are not known."
            .to_owned(),
    );
    notes.push(match about.suspended_until {
        None => "No suspension under 164.528(a)(2) was declared.".to_owned(),
        Some(at) => format!(
            "A suspension under 164.528(a)(2) was declared until {}. No line is left out for it: \
             whoever gives this file to the individual before then decides that.",
            Utc(at)
        ),
    });
    notes
}

fn disclosure(number: usize, line: &Line<'_>) -> Vec<String> {
    let (first, last) = (line.first, line.members.last().unwrap_or(&line.first));
    let claim = first.claim();
    let measured = claim.measured;
    let description = format!(
        "{}, measured {} to {}",
        categories(first),
        Utc(measured.from),
        Utc(measured.until)
    );
    vec![
        number.to_string(),
        Utc(claim.receipt.from).to_string(),
        format!("{} of {}", individual(first), organisation(first)),
        description,
        purpose(claim.purpose),
        reason(first),
        basis(first),
        line.members.len().to_string(),
        Utc(last.claim().receipt.from).to_string(),
        references(line),
        transaction(first),
    ]
}

fn access(number: usize, line: &Line<'_>) -> Vec<String> {
    let first = line.first;
    let claim = first.claim();
    vec![
        number.to_string(),
        Utc(claim.receipt.from).to_string(),
        individual(first),
        organisation(first),
        categories(first),
        Utc(claim.measured.from).to_string(),
        Utc(claim.measured.until).to_string(),
        purpose(claim.purpose),
        reason(first),
        basis(first),
        references(line),
        transaction(first),
    ]
}

/// The v3-ActReason code of a purpose.
pub fn act_reason(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Treatment => "TREAT",
        Purpose::EmergencyTreatment => "ETREAT",
        Purpose::Payment => "HPAYMT",
        Purpose::Operations => "HOPERAT",
        Purpose::Research => "HRESCH",
        Purpose::PatientRequest => "PATRQT",
        Purpose::PublicHealth => "PUBHLTH",
    }
}

/// Names of what was read or collected.
pub(crate) fn categories(entry: &Entry) -> String {
    let categories = entry.claim().categories;
    let named = Category::ALL.iter().filter(|one| categories.contains(one.only()));
    named.map(|one| one.name()).collect::<Vec<_>>().join(" ")
}

/// Whether a rule covered it, as proven; and that the glass was broken.
pub(crate) fn basis(entry: &Entry) -> String {
    let covered = match entry.covered() {
        true => "covered by a rule of the patient, proven",
        false => "NO RULE covered it: counted in public as excluded",
    };
    match entry.claim().kind {
        ClaimKind::BreakGlass => format!("emergency access (break-glass), {covered}"),
        ClaimKind::Access | ClaimKind::Collect => covered.to_owned(),
    }
}

fn purpose(purpose: Purpose) -> String {
    format!("{} ({})", purpose.name(), act_reason(purpose))
}

/// By name; where none is known, by the word that stands for it in rules and claims.
fn individual(entry: &Entry) -> String {
    let kind = if entry.is_access() { "practitioner" } else { "device" };
    match entry.individual() {
        Some(name) => format!("{kind} {name}"),
        None => format!("{kind} of word {}", entry.claim().individual.to_hex()),
    }
}

fn organisation(entry: &Entry) -> String {
    match entry.organisation() {
        Some(name) => format!("organisation {name}"),
        None => format!("organisation of word {}", entry.claim().organisation.to_hex()),
    }
}

/// What the reader signed: foreign words.
fn reason(entry: &Entry) -> String {
    match entry.reason() {
        Some("") => "none given".to_owned(),
        Some(reason) => escape(reason),
        None => "not in this file".to_owned(),
    }
}

fn references(line: &Line<'_>) -> String {
    line.members.iter().map(|entry| entry.reference()).collect::<Vec<_>>().join(" ")
}

fn transaction(entry: &Entry) -> String {
    let named = entry.transaction().map(|hash| format!("0x{}", hex::encode(hash)));
    named.unwrap_or_else(|| format!("that of the event of batch {}", entry.batch().0))
}
