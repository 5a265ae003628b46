//! `vitals record`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use client::batches::Batches;
use client::log::{Audited, Seen, Viewer, before_first, check};
use client::{Deployment, Key, KeyKind, Wallet, headers, read_layouts};
use extract::{Names, Opened, RecordWriter, Subject};
use files::Audience;
use model::calendar::parse_length;
use model::{BatchHeader, BatchNumber, with_causes};
use serde_json::json;
use statement::batch::{PatientOpening, PublicFile};

use crate::log::read_copy;
use crate::node::{let_pass, tell_deployment};
use crate::of_patient::{OfPatient, patient_of, read_frames};
use crate::report::{Outcome, Report, Usage};

/// Write a patient's record of all settled batches, each line with what proves it
///
/// For the patient, and for whoever the patient hands it to: collections, accesses, consents,
/// refusals and gaps, as JSON lines that an auditor checks offline, and as a FHIR R4 Bundle of
/// Observations, AuditEvents and Consents. Each batch is checked first, as by `vitals log`; of one
/// that does not hold nothing is written. No line has the view key, and none a reading unless
/// --frames gives it. The patient's key signs the whole.
///
///   vitals record --patient-key anna.key --data batches --headers headers.json --identity DIR \
///       --out anna.jsonl --fhir anna.json
///   auditor verify --bundle anna.jsonl --deployment deployment.json --headers headers.json
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct WriteRecord {
    #[command(flatten)]
    of: OfPatient,
    /// Names to write beside their words besides those the wallet used, as device:monitor-0001
    #[arg(long, value_name = "WHO", value_delimiter = ',')]
    know: Vec<String>,
    /// Tell a gap where collections of one device lie further apart than this
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, default_value = "1m")]
    gaps_over: u64,
    /// Write the readings, too, of each collection whose frames a reader was released and kept
    /// (vitals access --frames) whole, and of whose categories there is one signal. With them goes
    /// the key of this record's digests: whoever has the file can test a guess at any other segment
    #[arg(long, value_name = "FILE.frames")]
    frames: Vec<PathBuf>,
    /// The record as JSON lines, with proofs
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
    /// The same as a FHIR R4 Bundle of type collection, with the lines in it
    #[arg(long, value_name = "FILE.json")]
    fhir: Option<PathBuf>,
    /// Also write what each batch was opened from, NNNNNN.opening, for auditor verify --openings.
    /// Only with them somebody else sees that no claim is left out; and each has the view key,
    /// which opens all there is and will be of this record
    #[arg(long, value_name = "DIR")]
    openings: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
}

/// What was written, for the report.
#[derive(Default)]
struct Written {
    batches: usize,
    concerned: u64,
    claims: usize,
    operations: usize,
    refused: usize,
    opened: Opened,
}

/// What opens a patient's batches.
pub(crate) struct Opening {
    pub(crate) key: Key,
    pub(crate) deployment: Deployment,
    pub(crate) wallet: Option<Wallet>,
    pub(crate) viewer: Viewer,
    pub(crate) headers: Vec<BatchHeader>,
}

/// A batch that does not hold.
pub(crate) struct BrokenBatch {
    number: u64,
    why: String,
}

impl OfPatient {
    /// Key, deployment and headers: at least one.
    pub(crate) fn open(&self) -> anyhow::Result<Opening> {
        let key = Key::read(&self.patient_key, KeyKind::Patient)?;
        let deployment = self.expected.load(&self.identity)?;
        let wallet = read_copy(&self.patient_key, deployment)?;
        let viewer = Viewer {
            scope: deployment.scope,
            layouts: read_layouts(&self.identity)?,
            patient: patient_of(self.patient, wallet.as_ref())?,
            view_key: key.view_key(),
        };
        let headers = headers::read(&self.headers, deployment.scope)?;
        if headers.is_empty() {
            let why = "expected headers of settled batches, found none: verify again later";
            return Err(Usage(why.to_owned()).into());
        }
        Ok(Opening { key, deployment, wallet, viewer, headers })
    }

    /// Hands over each batch that concerns the patient, checked; ends at one that does not hold.
    pub(crate) fn each(
        &self,
        opening: &Opening,
        mut take: impl FnMut(&PublicFile, &Seen) -> anyhow::Result<()>,
    ) -> anyhow::Result<Result<(), BrokenBatch>> {
        let edges = headers::read_edges(&self.headers)?;
        let batches = Batches::parse(&self.data)?;
        let mut before = before_first(&opening.headers);
        let mut concerned = 0;
        for header in &opening.headers {
            let edges = edges.get(&header.number).map_or(&[][..], Vec::as_slice);
            let files = batches.fetch(header.number, &let_pass)?;
            let audited = Audited { header, edges };
            let seen = match check(&opening.viewer, &audited, &files, before) {
                Ok(seen) => seen,
                // What follows would be held against a record that nobody vouches for.
                Err(error) => {
                    let (number, why) = (header.number.0, with_causes(&error));
                    return Ok(Err(BrokenBatch { number, why }));
                }
            };
            if seen.opening.is_some() {
                take(&PublicFile::from_bytes(&files.public)?, &seen)?;
                concerned += 1;
            }
            before = seen.after;
        }
        if concerned == 0 {
            let why = "expected batches that concern this record, found none: check --patient";
            return Err(Usage(why.to_owned()).into());
        }
        Ok(Ok(()))
    }
}

impl BrokenBatch {
    /// What is said instead of a file.
    pub(crate) fn report(&self) -> Report {
        let BrokenBatch { number, why } = self;
        let text =
            format!("batch {number}: {why}\nnothing is written: batch {number} does not hold");
        let json = json!({
            "schema": "vitals-record-written-1", "holds": false, "failed_batch": number,
            "why": why,
        });
        Report::failure(text, json)
    }
}

impl WriteRecord {
    pub(crate) fn run(self) -> Outcome {
        let opening = self.of.open()?;
        let wanted = [Some(&self.out), self.fhir.as_ref()];
        wanted.into_iter().flatten().try_for_each(|path| self.check_new(path))?;
        let Opening { deployment, headers, viewer, .. } = &opening;
        let ends = [headers.first(), headers.last()];
        let mut writer = RecordWriter::new(Subject {
            scope: deployment.scope,
            fingerprint: deployment.fingerprint.to_string(),
            patient: viewer.patient,
            batches: ends.map(|header| header.map_or(0, |header| header.number.0)),
            gap_over_ms: self.gaps_over,
            names: self.names(opening.wallet.as_ref()),
        });
        let mut written = Written { batches: headers.len(), ..Written::default() };
        let transactions = headers::read_transactions(&self.of.headers)?;
        if !self.frames.is_empty() {
            writer.give(read_frames(&self.frames, viewer)?, &viewer.view_key)?;
        }
        let done = self.of.each(&opening, |public, seen| {
            let Some(opening) = &seen.opening else { return Ok(()) };
            let transaction = transactions.get(&public.header.number).copied();
            writer.add(public, transaction, opening)?;
            self.keep_opening(public.header.number, opening)?;
            written.add(seen);
            Ok(())
        })?;
        if let Err(broken) = done {
            return Ok(broken.report());
        }
        written.opened = writer.opened();
        self.write(&writer.finish(&opening.key.signer())?)?;
        Ok(tell_deployment(deployment.fingerprint, self.report(&written)))
    }

    fn names(&self, wallet: Option<&Wallet>) -> Names {
        let mut names = Names::default();
        let of_wallet = wallet.iter().flat_map(|wallet| wallet.names.all());
        of_wallet.chain(self.know.iter().map(String::as_str)).for_each(|text| names.learn(text));
        names
    }

    fn check_new(&self, path: &Path) -> Result<(), Usage> {
        if self.overwrite || !path.exists() {
            return Ok(());
        }
        let path = path.display();
        Err(Usage(format!("expected no file at {path}, found one: name another, or --overwrite")))
    }

    fn keep_opening(&self, batch: BatchNumber, opening: &PatientOpening) -> anyhow::Result<()> {
        let Some(folder) = &self.openings else { return Ok(()) };
        files::make_folder(folder, Audience::Owner)?;
        let path = folder.join(format!("{:06}.opening", batch.0));
        self.check_new(&path)?;
        let what = || format!("writing {}", path.display());
        files::replace(&path, &[&opening.to_bytes()], Audience::Owner).with_context(what)
    }

    fn write(&self, text: &str) -> anyhow::Result<()> {
        let put = |path: &Path, bytes: &[u8]| {
            let what = || format!("writing {}", path.display());
            files::replace(path, &[bytes], Audience::Owner).with_context(what)
        };
        // Both are made before either is written: one that is refused leaves no half behind.
        let bundle = self.fhir.as_ref().map(|_| extract::bundle_text(text)).transpose()?;
        put(&self.out, text.as_bytes())?;
        match self.fhir.as_ref().zip(bundle) {
            Some((path, bundle)) => put(path, bundle.as_bytes()),
            None => Ok(()),
        }
    }

    fn report(&self, written: &Written) -> Report {
        let Written { batches, concerned, claims, operations, refused, opened } = written;
        let mut text = format!(
            "{concerned} of {batches} batches concern the record: {operations} consent operations, \
             {claims} collections and accesses, {refused} refusals (in this file your word)\n\
             written to {}, signed",
            self.out.display()
        );
        let Opened { whole, closed } = opened;
        if !self.frames.is_empty() {
            text += &format!(
                "\nwith every reading of {whole} collections, and the key of this record's digests; \
                 of {closed} no reading is shown: their frames are not all here, or may be of \
                 several signals, or only a gateway's key opens them"
            );
        }
        if let Some(path) = &self.fhir {
            text += &format!("\nas a FHIR Bundle in {}", path.display());
        }
        if let Some(path) = &self.openings {
            text += &format!("\nopenings, which have the view key, in {}", path.display());
        }
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        Report::success(
            text,
            json!({
                "schema": "vitals-record-written-1", "batches": batches, "concerned": concerned,
                "operations": operations, "claims": claims, "refused": refused, "holds": true,
                "opened": whole, "not_opened": closed,
                "out": self.out.display().to_string(), "fhir": shown(&self.fhir),
                "openings": shown(&self.openings),
            }),
        )
    }
}

impl Written {
    fn add(&mut self, seen: &Seen) {
        self.concerned += 1;
        self.claims += seen.claims.len();
        self.operations += seen.operations.len();
        self.refused += seen.refused.len();
    }
}
