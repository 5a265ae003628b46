//! What an audit says, as stable text and as one JSON object.

use std::fmt::Write as _;

use l1_contracts::{Deployment, SetupKind};
use model::{BatchHeader, ExitCode, escape};
use serde::Serialize;

use crate::broken::{Broken, Fault};
use crate::check::{Lateness, Summary};
use crate::headers::SavedBatch;
use crate::receipts::ReceiptCounts;

/// What no audit can show (SPEC.md section 12), in the words of the report.
pub const NOT_PROVEN: [&str; 9] = [
    "that every access or collection became a claim",
    "that a rule covered an excluded claim: it is committed and counted as not covered, and no \
     more; nor that it was excluded rightly (openings show it for those who opened)",
    "that declared device, category, label and time are true: measured times are bounded by \
     nothing but the future, receipt times by their window, and a window by the lateness above",
    "that an operation took effect when it was signed: the operator chooses the time while the \
     signature is valid, which of two with one nonce, and whether at all",
    "that what was committed cannot be guessed by whoever knows most of it and is given its salt",
    "that bytes match digests, or can be had",
    "that the registrar bound the right key to the right person",
    "that a declared actor acted: actors' signatures are checked by the node, not proven",
    "that the verifying keys belong to the circuits (`prover export` and the setup show it)",
];

/// How an audit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that was checked holds.
    Holds,
    /// Something is wrong.
    Broken,
    /// Something is missing, and what is there holds as far as it was checked.
    Unavailable,
    /// What was given cannot be checked: there is no such batch, or nothing of the kind.
    Refused,
}

/// The first broken item in words, as the report prints it; [`Broken`](crate::Broken) is the value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BrokenItem {
    /// What.
    pub item: String,
    /// In which batch, if in one.
    pub batch: Option<u64>,
    /// What a sound deployment has there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl BrokenItem {
    /// Names, files and the node's words are foreign: what they hold must not act on a terminal.
    fn of(broken: &Broken) -> BrokenItem {
        BrokenItem {
            item: escape(&broken.item.to_string()),
            batch: broken.batch.map(|batch| batch.0),
            expected: escape(&broken.expected),
            found: escape(&broken.found),
        }
    }

    /// One line of text.
    fn text(&self) -> String {
        let BrokenItem { item, batch, expected, found } = self;
        let place = batch.map_or_else(String::new, |batch| format!("batch {batch}, "));
        format!("broken: {place}{item}: expected {expected}, found {found}")
    }
}

/// What is missing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MissingItem {
    /// What.
    pub item: String,
    /// What was tried.
    pub why: String,
}

/// A section of the report: checks of one thing that were finished.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What holds.
    pub holds: String,
}

/// The result of an audit; JSON schema `vitals-audit-1`. Counters are those of the batches whose
/// files were checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// Always [`Report::SCHEMA`].
    pub schema: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What is broken, if something is.
    pub broken: Option<BrokenItem>,
    /// Every receipt that is not of the settled journal; the first of them is `broken`, unless
    /// something else is.
    pub broken_receipts: Vec<BrokenItem>,
    /// What is missing, if something is.
    pub unavailable: Option<MissingItem>,
    /// Why what was given cannot be checked, if it cannot.
    pub refused: Option<String>,
    /// Chain id.
    pub chain_id: u64,
    /// The contract.
    pub settlement: String,
    /// What tells the deployment from every other; compare it with the one you were told.
    pub fingerprint: String,
    /// How the keys were made, as the deployment file says and the keys show.
    pub setup: SetupKind,
    /// Who vouches that data can be had: always the operator alone.
    pub data_source: &'static str,
    /// Batches that the contract settled.
    pub settled: u64,
    /// First batch whose file was checked.
    pub from: u64,
    /// First and last of the settled batches whose files were not checked.
    pub unchecked: Option<[u64; 2]>,
    /// First and last of the settled batches that an earlier audit verified, as the file of saved
    /// headers says: their files were not checked again.
    pub verified_before: Option<[u64; 2]>,
    /// Batches whose files were checked.
    pub batches: u64,
    /// Proofs verified.
    pub proofs_verified: u64,
    /// Operations.
    pub operations: u64,
    /// Of these, enrolments.
    pub enrolments: u64,
    /// Access claims.
    pub access: u64,
    /// Collect claims.
    pub collect: u64,
    /// Break-glass claims.
    pub break_glass: u64,
    /// Claims of any kind that were not covered.
    pub excluded: u64,
    /// Losses of unsettled entries that the operator accepted: groups of the journal were given up.
    pub losses: u64,
    /// Batches that settled later than `late_after_ms` after their windows.
    pub late_batches: u64,
    /// The threshold of `late_batches`.
    pub late_after_ms: u64,
    /// Longest from the end of a window to its block.
    pub lateness_max_ms: u64,
    /// Private files found and compared.
    pub private_files: u64,
    /// Openings evaluated.
    pub openings: u64,
    /// Opened collections whose digest is that of frames that were released.
    pub frames_equal: u64,
    /// Opened collections of which a part was released: nothing is known of those.
    pub frames_not_compared: u64,
    /// Released frames of patients and batches that nobody opened: nothing is known of those.
    pub frames_not_opened: u64,
    /// Opened collections whose readings were given, if readings were to be accounted for.
    pub readings_given: u64,
    /// Those whose patient asked for their erasure.
    pub readings_erased: u64,
    /// Those of which neither was shown.
    pub readings_withheld: u64,
    /// Openings of batches before `from`, which were not looked at.
    pub openings_not_compared: u64,
    /// Whether all openings were said to be given.
    pub complete: bool,
    /// Receipts compared with the settled journal.
    pub receipts: ReceiptCounts,
    /// What was given to be compared and was not, in words: then the audit ends with exit code 5.
    pub not_compared: Vec<String>,
    /// What was checked to the end, in order; `groups` in JSON, as the schema has it.
    #[serde(rename = "groups")]
    pub sections: Vec<Section>,
    /// What no audit shows.
    pub not_proven: [&'static str; NOT_PROVEN.len()],
    /// The headers of the contract with what was verified of each, for a later audit and for
    /// patients; none before all of them were found to be the contract's.
    #[serde(skip)]
    pub kept: Vec<SavedBatch>,
}

/// How text is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// Letters only.
    Plain,
    /// With ANSI colours for what must be seen.
    Terminal,
}

impl Report {
    /// Name and version of the JSON object.
    pub const SCHEMA: &str = "vitals-audit-1";

    pub(crate) fn new(deployment: &Deployment, late_after_ms: u64) -> Report {
        Report {
            schema: Report::SCHEMA,
            // Until it is concluded: a report that nobody finished must not read as one that holds.
            verdict: Verdict::Unavailable,
            broken: None,
            broken_receipts: Vec::new(),
            unavailable: None,
            refused: None,
            chain_id: deployment.chain_id,
            settlement: deployment.settlement.to_string(),
            fingerprint: deployment.fingerprint.to_string(),
            setup: deployment.setup,
            // A header that names another source is broken: no statement stands behind one yet.
            data_source: "operator",
            settled: 0,
            from: 1,
            unchecked: None,
            verified_before: None,
            batches: 0,
            proofs_verified: 0,
            operations: 0,
            enrolments: 0,
            access: 0,
            collect: 0,
            break_glass: 0,
            excluded: 0,
            losses: 0,
            late_batches: 0,
            late_after_ms,
            lateness_max_ms: 0,
            private_files: 0,
            openings: 0,
            frames_equal: 0,
            frames_not_compared: 0,
            frames_not_opened: 0,
            readings_given: 0,
            readings_erased: 0,
            readings_withheld: 0,
            openings_not_compared: 0,
            complete: false,
            receipts: ReceiptCounts::default(),
            not_compared: Vec::new(),
            sections: Vec::new(),
            not_proven: NOT_PROVEN,
            kept: Vec::new(),
        }
    }

    /// Whether everything that was checked holds.
    pub fn holds(&self) -> bool {
        self.verdict == Verdict::Holds
    }

    /// How a program that made this report ends.
    pub fn exit_code(&self) -> ExitCode {
        match self.verdict {
            Verdict::Holds if self.not_compared.is_empty() => ExitCode::Ok,
            Verdict::Holds => ExitCode::NotCompared,
            Verdict::Broken => ExitCode::Failed,
            Verdict::Unavailable => ExitCode::Unavailable,
            Verdict::Refused => ExitCode::Usage,
        }
    }

    /// Files are checked from batch `from` on; those of the first `known` were before.
    pub(crate) fn set_range(&mut self, from: u64, known: u64) {
        self.from = from;
        self.verified_before = (known > 0).then_some([1, known]);
    }

    pub(crate) fn add_batch(&mut self, header: &BatchHeader, summary: &Summary) {
        self.batches += 1;
        self.proofs_verified += summary.proofs;
        self.losses += summary.gaps;
        // From the header: the file was found to sum to the same.
        self.operations += u64::from(header.operations);
        self.enrolments += u64::from(header.enrolments);
        self.access += u64::from(header.access);
        self.collect += u64::from(header.collect);
        self.break_glass += u64::from(header.break_glass);
        self.excluded += u64::from(header.excluded);
    }

    pub(crate) fn set_lateness(&mut self, lateness: Lateness) {
        self.lateness_max_ms = lateness.max_ms;
        self.late_batches = lateness.late_batches;
    }

    pub(crate) fn add_section(&mut self, name: &'static str, holds: String) {
        self.sections.push(Section { name, holds });
    }

    pub(crate) fn conclude(&mut self, outcome: Result<(), Fault>) {
        let unchecked = self.settled.min(self.from.saturating_sub(1));
        let skipped = unchecked > 0 && self.verified_before.is_none();
        self.unchecked = skipped.then_some([1, unchecked]);
        // Foreign words, as in a broken item.
        match outcome {
            Ok(()) => self.verdict = Verdict::Holds,
            Err(Fault::Broken(broken)) => {
                self.verdict = Verdict::Broken;
                self.broken = Some(BrokenItem::of(&broken));
            }
            // Not broken: who withholds a file proves nothing against it, and nothing for it.
            Err(Fault::Unavailable(missing)) => {
                self.verdict = Verdict::Unavailable;
                let (item, why) = (escape(&missing.what), escape(&missing.why));
                self.unavailable = Some(MissingItem { item, why });
            }
            Err(Fault::Refused(refused)) => {
                self.verdict = Verdict::Refused;
                self.refused = Some(refused.to_string());
            }
        }
    }

    pub(crate) fn add_broken_receipts(&mut self, broken: &[Broken]) {
        self.broken_receipts.extend(broken.iter().map(BrokenItem::of));
    }

    /// Says of what was given how much was compared with nothing.
    pub(crate) fn add_not_compared(&mut self, counts: &[(u64, &str)]) {
        let some = counts.iter().filter(|(count, _)| *count > 0);
        self.not_compared.extend(some.map(|(count, what)| format!("{count} {what}")));
    }

    /// One line a section, then counts, warnings, what is not proven, and the verdict.
    pub fn text(&self, colour: Colour) -> String {
        let mut out = format!("audit of {} on chain {}\n", self.settlement, self.chain_id);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:<14}{}", "fingerprint", self.fingerprint);
        for Section { name, holds } in &self.sections {
            let _ = writeln!(out, "{name:<14}holds: {holds}");
        }
        for receipt in &self.broken_receipts {
            let _ = writeln!(out, "{:<14}{}", "receipts", red(colour, &receipt.text()));
        }
        let _ = writeln!(out, "{:<14}{}", "counts", self.counts());
        // In red although nothing is wrong: whoever reads "holds" must not miss what it leaves
        // open.
        let source = "operator: nobody else vouches that the data can be had";
        let _ = writeln!(out, "{:<14}{}", "data source", red(colour, source));
        let _ = writeln!(out, "{:<14}{}", "setup", self.setup_line(colour));
        out += "not proven\n";
        for line in self.not_proven {
            let _ = writeln!(out, "  - {line}");
        }
        out + &self.verdict_line(colour)
    }

    fn counts(&self) -> String {
        format!(
            "{} of {} batches from {} on, {} proofs; operations {}, of these enrolments {}; \
             claims: access {}, collect {}, break-glass {}, of these excluded {}; losses that the \
             operator accepted {}; late batches {}, lateness at most {} ms",
            self.batches,
            self.settled,
            self.from,
            self.proofs_verified,
            self.operations,
            self.enrolments,
            self.access,
            self.collect,
            self.break_glass,
            self.excluded,
            self.losses,
            self.late_batches,
            self.lateness_max_ms,
        )
    }

    fn setup_line(&self, colour: Colour) -> String {
        match self.setup {
            SetupKind::Ceremony => "ceremony: its transcript is not checked here".to_owned(),
            SetupKind::DevInsecure => {
                let loud = "DEV-INSECURE: ANYBODY CAN FORGE PROOFS UNDER THESE KEYS";
                red(colour, loud)
            }
        }
    }

    fn verdict_line(&self, colour: Colour) -> String {
        let verdict = match (&self.broken, &self.unavailable, &self.refused) {
            (Some(broken), ..) => red(colour, &broken.text()),
            (None, Some(MissingItem { item, why }), _) => {
                red(colour, &format!("unavailable: {item}: {why}"))
            }
            (None, None, Some(why)) => red(colour, &format!("refused: {why}")),
            (None, None, None) => match self.not_compared.as_slice() {
                [] => self.holds_line(),
                list => {
                    let (holds, list) = (self.holds_line(), list.join("; "));
                    red(colour, &format!("{holds}; NOT COMPARED: {list}"))
                }
            },
        };
        format!("verdict       {verdict}\n")
    }

    /// Whoever reads nothing but this line must not take a part for the whole.
    fn holds_line(&self) -> String {
        if let Some([first, last]) = self.unchecked {
            let (next, settled) = (last + 1, self.settled);
            return format!(
                "holds for batches {next} to {settled}; files of batches {first} to {last} NOT \
                 CHECKED"
            );
        }
        match self.verified_before {
            None => "holds".to_owned(),
            Some([first, last]) => format!(
                "holds; batches {first} to {last} were verified by an earlier audit, as the file \
                 of saved headers says, and not again"
            ),
        }
    }
}

pub(crate) fn red(colour: Colour, text: &str) -> String {
    match colour {
        Colour::Plain => text.to_owned(),
        Colour::Terminal => format!("\x1b[31m{text}\x1b[0m"),
    }
}
