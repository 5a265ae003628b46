//! What left the rollup with its proofs, held against the headers that the chain has: a patient's
//! record, and a study's data set.
//!
//! The lines are checked by `extract`; here their headers are compared, and it is said what was
//! compared with what.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use extract::{CheckedRecord, CheckedStudy, Expected, Fault as LineFault, UsedHeader};
use l1_contracts::{Deployment, HttpUrl};
use model::{ExitCode, escape};
use serde::Serialize;
use statement::scope::header_hash;

use crate::broken::Fault;
use crate::chain;
use crate::check::{self, Previous};
use crate::headers::SavedBatch;
use crate::place::Place;
use crate::progress::{Progress, Quiet};
use crate::report::{Colour, Section, red};
use crate::source::Source;

/// Headers by number, as the contract keeps their hashes, and who says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownHeaders {
    /// `the chain`, or `the saved headers`.
    pub from: &'static str,
    /// Hash of each header.
    pub hashes: BTreeMap<u64, [u8; 32]>,
    /// The transactions that settled them, as far as they are known.
    pub transactions: BTreeMap<u64, [u8; 32]>,
}

/// What checking a file that left the rollup came to; JSON schema `vitals-extract-audit-1`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExtractReport {
    /// Always `vitals-extract-audit-1`.
    pub schema: &'static str,
    /// `record` or `study`.
    pub kind: &'static str,
    /// Of which deployment.
    pub fingerprint: String,
    /// What was checked, and against what.
    pub sections: Vec<Section>,
    /// The first thing that does not hold.
    pub broken: Option<String>,
    /// What was compared with nothing.
    pub not_compared: Vec<String>,
    /// What no such check shows.
    pub not_shown: &'static [&'static str],
}

/// What a record does not show to whoever is given it.
pub const RECORD_NOT_SHOWN: &[&str] = &[
    "that the proofs of the batches hold: `auditor verify` with --data does, and the contract did",
    "that no claim of a batch is left out: the slots' tags show it to whoever has the openings",
    "refusals: the word of whoever signed this file; nothing binds it to the operator",
    "that a batch without lines does not concern the patient, or that there is no later one: of \
     those behind the last one with lines nothing is shown, and of no batch that it was read",
    "that every access or collection became a claim",
];

/// What a data set does not show.
pub const STUDY_NOT_SHOWN: &[&str] = &[
    "that values and times are those that were measured: whoever makes a set could move all times \
     of a participant together; frames are held against segments with --frames",
    "which device measured a reading: the word of whoever made the set",
    "that the consent still held when the set was made: it was proven of the time of the access",
    "that the proofs of the batches hold: `auditor verify` with --data does, and the contract did",
];

impl KnownHeaders {
    /// Those of a file that an earlier audit saved.
    pub fn of_saved(saved: &[SavedBatch]) -> KnownHeaders {
        let hashes = saved.iter().map(|one| (one.header.number.0, header_hash(&one.header)));
        let transactions = saved.iter().filter_map(|one| {
            let verified = one.verified.as_ref()?;
            Some((one.header.number.0, verified.transaction.0))
        });
        KnownHeaders {
            from: "the saved headers",
            hashes: hashes.collect(),
            transactions: transactions.collect(),
        }
    }

    /// Those that the contract has now, followed from its genesis.
    ///
    /// # Errors
    /// [`Fault`] if the chain is not there, or is not that of the deployment file.
    pub async fn of_chain(rpc: &HttpUrl, deployment: &Deployment) -> Result<KnownHeaders, Fault> {
        // No batch file is read.
        let data = Source::Folder(PathBuf::new());
        let place = Place { rpc, deployment, data: &data };
        let progress: Arc<dyn Progress> = Arc::new(Quiet);
        let edge = chain::connect(place, chain::patience(&progress)).await?;
        let context = check::deployment(deployment, &chain::constants(&edge).await?)?;
        let history = chain::history(&edge, chain::Before::default(), progress.as_ref()).await?;
        let lateness = check::headers(&context.genesis, &history.settled, u64::MAX)?;
        let last = history.settled.last().map(|settled| &settled.batch.header);
        let last = last.map_or_else(|| context.genesis.clone(), |h| Previous::after(h, None));
        check::head(&history.state, &last, lateness)?;
        let settled = history.settled.iter().map(|settled| &settled.batch.header);
        let hashes = settled.map(|header| (header.number.0, header_hash(header))).collect();
        let batches = history.settled.iter().map(|settled| &settled.batch);
        let transactions = batches.map(|one| (one.header.number.0, one.transaction.0)).collect();
        Ok(KnownHeaders { from: "the chain", hashes, transactions })
    }
}

/// Checks a patient's record, as lines or as a FHIR Bundle, and its headers against those that are
/// known.
pub fn audit_record(
    text: &str,
    deployment: &Deployment,
    known: Option<&KnownHeaders>,
) -> ExtractReport {
    let mut report = ExtractReport::new("record", deployment, RECORD_NOT_SHOWN);
    let expected = expected(deployment);
    // A Bundle is one object; the first line of a record is one of its own.
    let is_bundle = !text.starts_with("{\"line\":");
    let checked = match is_bundle {
        true => extract::check_bundle(text, &expected),
        false => extract::check_record(text, &expected),
    };
    match checked {
        Ok(checked) => {
            report.tell_record(&checked, is_bundle);
            report.compare(&checked.headers, known);
        }
        Err(fault) => report.break_at(&fault),
    }
    report
}

/// Checks a study's data set against its proofs, and their headers against those that are known.
pub fn audit_study(
    [data, proofs]: [&str; 2],
    deployment: &Deployment,
    known: Option<&KnownHeaders>,
) -> ExtractReport {
    let mut report = ExtractReport::new("study", deployment, STUDY_NOT_SHOWN);
    match extract::check_study(data, proofs, &expected(deployment)) {
        Ok(checked) => {
            report.tell_study(&checked);
            report.compare(&checked.headers, known);
        }
        Err(fault) => report.break_at(&fault),
    }
    report
}

fn expected(deployment: &Deployment) -> Expected {
    Expected { scope: deployment.scope(), fingerprint: deployment.fingerprint.to_string() }
}

impl ExtractReport {
    fn new(
        kind: &'static str,
        deployment: &Deployment,
        not_shown: &'static [&'static str],
    ) -> ExtractReport {
        ExtractReport {
            schema: "vitals-extract-audit-1",
            kind,
            fingerprint: deployment.fingerprint.to_string(),
            sections: Vec::new(),
            broken: None,
            not_compared: Vec::new(),
            not_shown,
        }
    }

    fn add(&mut self, name: &'static str, holds: String) {
        self.sections.push(Section { name, holds });
    }

    fn break_at(&mut self, fault: &LineFault) {
        self.broken = Some(fault.to_string());
    }

    fn tell_record(&mut self, checked: &CheckedRecord, is_bundle: bool) {
        let CheckedRecord { headers, batches, operations, claims, excluded, refused, gaps, .. } =
            checked;
        let until = checked.shown_until;
        let (of, [first, last]) = (headers.len(), batches);
        self.add(
            "lines",
            format!(
                "{claims} collections and accesses ({excluded} counted in public as not covered) \
                 and {operations} consent operations, each the leaf that the header of its batch \
                 is over; {of} batches of {first} to {last} have lines"
            ),
        );
        let mut complete = match checked.operations_complete {
            true => format!("every one since the enrolment up to batch {until}, by its nonce"),
            false => format!("the last ones up to batch {until}, by its nonce, not the first"),
        };
        if until < *last {
            let behind = until + 1;
            complete += &format!("; nothing is shown of batches {behind} to {last}");
        }
        self.add("operations", complete);
        if checked.opened > 0 {
            let CheckedRecord { opened, readings, .. } = checked;
            self.add(
                "readings",
                format!("{readings} are all there are of {opened} collections, by their digests"),
            );
        }
        self.add("gaps", format!("{gaps} follow from the collections"));
        self.add("refusals", format!("{refused}, the word of whoever signed this file"));
        self.add("signature", "the record's own key signed every line".to_owned());
        if is_bundle {
            self.add("bundle", "each entry is the one that its line makes".to_owned());
        }
    }

    fn tell_study(&mut self, checked: &CheckedStudy) {
        let CheckedStudy { study, practitioner, rows, participants, claims, root, .. } = checked;
        // In the words of whoever made the files, which must not turn a line round or begin one.
        let [study, practitioner] = [study, practitioner].map(|words| escape(words));
        self.add("study", format!("{study}, read by practitioner {practitioner} for research"));
        self.add(
            "root",
            format!("0x{} is over {rows} readings and their layout", hex::encode(root)),
        );
        self.add("times", "they count from what the set says they count from".to_owned());
        self.add("pseudonyms", format!("{participants} are those that the study's key gives"));
        self.add(
            "permits",
            format!(
                "{claims} claims, each proven covered and the leaf that the header of its batch is \
                 over, cover every reading by patient, purpose, practitioner, category and time"
            ),
        );
    }

    fn compare(&mut self, used: &[UsedHeader], known: Option<&KnownHeaders>) {
        let Some(KnownHeaders { from, hashes, transactions }) = known else {
            let none = "headers were compared with nothing: give --rpc or --headers".to_owned();
            self.not_compared.push(none);
            return;
        };
        let differs = |one: &&UsedHeader| hashes.get(&one.batch) != Some(&one.hash);
        // Of a batch whose transaction one of the two does not know nothing is compared.
        let known = |one: &UsedHeader| one.transaction.zip(transactions.get(&one.batch).copied());
        let settled_elsewhere = |one: &&UsedHeader| known(one).is_some_and(|(own, it)| own != it);
        if let Some(UsedHeader { line, batch, .. }) = used.iter().find(settled_elsewhere) {
            self.broken = Some(format!(
                "line {line}, transaction: expected the one that settled batch {batch} as {from} \
                 has it, found another"
            ));
            return;
        }
        let compared = used.iter().filter(|one| known(one).is_some()).count();
        if compared > 0 {
            self.add("transactions", format!("{compared} are those of {from}"));
        }
        match used.iter().find(differs) {
            None => self.add("headers", format!("{} are those of {from}", used.len())),
            Some(UsedHeader { line, batch, .. }) => {
                let found = if hashes.contains_key(batch) { "another" } else { "no such batch" };
                self.broken = Some(format!(
                    "line {line}, header: expected that of batch {batch} as {from} has it, found \
                     {found} there"
                ));
            }
        }
    }

    /// As the program ends.
    pub fn exit_code(&self) -> ExitCode {
        match (&self.broken, self.not_compared.is_empty()) {
            (Some(_), _) => ExitCode::Failed,
            (None, false) => ExitCode::NotCompared,
            (None, true) => ExitCode::Ok,
        }
    }

    /// One line a section, then what is not shown, and the verdict.
    pub fn text(&self, colour: Colour) -> String {
        let mut out = format!("{:<14}{}\n", "fingerprint", self.fingerprint);
        // Writing to a string cannot fail.
        for Section { name, holds } in &self.sections {
            let _ = writeln!(out, "{name:<14}holds: {holds}");
        }
        out += "not shown\n";
        for line in self.not_shown {
            let _ = writeln!(out, "  - {line}");
        }
        let verdict = match (&self.broken, self.not_compared.as_slice()) {
            (Some(broken), _) => red(colour, broken),
            (None, []) => "holds".to_owned(),
            (None, list) => red(colour, &format!("holds; NOT COMPARED: {}", list.join("; "))),
        };
        let _ = writeln!(out, "{:<14}{verdict}", "verdict");
        out
    }
}
