//! The shell of an audit: reads the chain and the files, feeds the core, writes the report.

use std::collections::BTreeMap;

use l1_contracts::SetupKind;
use model::{BatchHeader, BatchNumber};
use statement::batch::JournalSpan;
use statement::scope;

use crate::broken::{Broken, Fault, Item, equal};
use crate::chain::{self, History};
use crate::check::{
    self, BatchContext, Context, Coverage, Lateness, NamedFrames, NamedOpening, Previous,
    SoundBatch,
};
use crate::place::Place;
use crate::receipts::{NamedReceipt, ReceiptCounts, Waiting};
use crate::report::Report;

/// What to audit beside what the chain commits to.
#[derive(Clone, Debug)]
pub struct Options {
    /// First batch whose file is checked, at least 1; the headers are always followed from genesis.
    /// Default 1.
    pub from: u64,
    /// A batch counts as late if it settled so much later than its window ended, milliseconds.
    /// Default 10 minutes.
    pub late_after_ms: u64,
    /// Openings, if some are to be compared; those of batches before `from` are only counted.
    pub openings: Option<Vec<NamedOpening>>,
    /// Whether the openings are those of all patients of the batches.
    pub coverage: Coverage,
    /// Released frames, if some are to be compared with the collections of the openings.
    pub frames: Option<Vec<NamedFrames>>,
    /// Hashes of the headers of batches 1, 2, .. that an earlier audit saw.
    pub saved_headers: Vec<[u8; 32]>,
    /// Receipts of the node, if some are to be compared: their groups must be those of the settled
    /// journal.
    pub receipts: Option<Vec<NamedReceipt>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            from: 1,
            late_after_ms: 10 * 60 * 1000,
            openings: None,
            coverage: Coverage::Some,
            frames: None,
            saved_headers: Vec::new(),
            receipts: None,
        }
    }
}

/// Is told how far an audit is.
pub trait Progress: Send + Sync {
    /// Batch `number` of `of` is being checked.
    fn batch(&self, number: u64, of: u64);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn batch(&self, _number: u64, _of: u64) {}
}

/// Audits a deployment. It never fails: what goes wrong is the report's verdict.
///
/// Verifying is done on the calling task: about 5 ms a proof.
pub async fn audit(place: Place<'_>, options: &Options, progress: &dyn Progress) -> Report {
    let report = Report::new(place.deployment, options.from, options.late_after_ms);
    let mut run = Run { place, options, progress, report, receipts: Vec::new() };
    let outcome = run.check_all().await;
    let outcome = run.tell_receipts(outcome);
    // Sections that were finished before a fault stay: a reader sees how far the audit came.
    run.report.conclude(outcome);
    run.report
}

struct Run<'a> {
    place: Place<'a>,
    options: &'a Options,
    progress: &'a dyn Progress,
    report: Report,
    /// Receipts that are not of the settled journal.
    receipts: Vec<Broken>,
}

impl Run<'_> {
    async fn check_all(&mut self) -> Result<(), Fault> {
        // Each step takes for granted what those before it have found, and nothing else.
        let edge = chain::connect(self.place).await?;
        let on_chain = chain::constants(&edge).await?;
        let context = check::deployment(self.place.deployment, &on_chain)?;
        // A key that anybody can forge under says so itself, whatever the file calls the setup.
        if context.dev_insecure {
            self.report.setup = SetupKind::DevInsecure;
        }
        let keys = context.keys.len();
        let holds = format!(
            "code, constants, empty genesis and {keys} keys on chain are those of the file"
        );
        self.report.add_section("deployment", holds);

        let history = chain::history(&edge).await?;
        let lateness = self.check_headers(&context, &history)?;
        self.check_files(&context, &history).await?;
        self.check_head(&context, &history, lateness)
    }

    fn check_headers(&mut self, context: &Context, history: &History) -> Result<Lateness, Fault> {
        let settled = &history.settled;
        // Before the checks: a report of something broken still says of how many batches.
        self.report.settled = settled.len() as u64;
        check_range(self.options.from, self.report.settled)?;
        let lateness = check::headers(&context.genesis, settled, self.options.late_after_ms)?;
        self.report.set_lateness(lateness);
        self.report.headers = settled.iter().map(|s| s.batch.header.clone()).collect();
        // Only now: of headers that are linked from genesis the place in the row is the number.
        compare_saved(&self.options.saved_headers, &self.report.headers)?;
        let (count, max) = (settled.len(), lateness.max_ms);
        let holds = format!("{count} headers linked from genesis, lateness at most {max} ms");
        self.report.add_section("headers", holds);
        Ok(lateness)
    }

    async fn check_files(&mut self, context: &Context, history: &History) -> Result<(), Fault> {
        let all = self.options.openings.as_deref().unwrap_or_default();
        let openings = by_batch(all, history.state.number)?;
        let receipts = self.options.receipts.as_deref().unwrap_or_default();
        let mut waiting = Waiting::new(receipts);
        self.report.complete = self.options.coverage == Coverage::All;
        // Each opening takes those of its patient and batch off; no two are of the same.
        let released = self.options.frames.as_deref().unwrap_or_default();
        let frames: usize = released.iter().map(|one| one.released.frames.len()).sum();
        self.report.frames_not_opened = frames as u64;
        let mut previous = context.genesis.clone();
        for settled in &history.settled {
            let header = &settled.batch.header;
            let number = header.number;
            if number.0 < self.options.from {
                // Its file is not read, so its last journal group stays unknown.
                previous = Previous::after(header, None);
                continue;
            }
            self.progress.batch(number.0, history.state.number);
            let bytes = self.place.data.public_file(number).await?;
            let summary =
                check::batch(BatchContext { context, previous: &previous, header }, &bytes)?;
            self.report.add_batch(header, &summary);
            let other = waiting.take(&previous, header, &summary.file.groups)?;
            self.receipts.extend(other);
            self.report.edges.insert(number.0, check::edges(&summary.file));
            if let Some(bytes) = self.place.data.private_file(number).await? {
                check::private_file(header, &bytes)?;
                self.report.private_files += 1;
            }
            // A batch without any is looked at as well: if all patients opened, it must hold
            // nothing.
            let of_batch = openings.get(&number).map_or(&[][..], Vec::as_slice);
            let sound = SoundBatch { context, header, file: &summary.file };
            self.check_openings(sound, of_batch)?;
            let span = JournalSpan { after: previous.position, until: header.journal_position };
            self.compare_frames(sound, span, of_batch)?;
            previous = Previous::after(header, summary.tail);
        }
        let (counts, missing) = waiting.conclude(previous.position);
        self.report.receipts = counts;
        self.receipts.extend(missing);
        self.report.openings_not_compared = all.len() as u64 - self.report.openings;
        self.add_file_sections();
        Ok(())
    }

    /// Lists every receipt that is not of the settled journal. The first of them is what is broken,
    /// unless something else is: a file that is withheld hides none of them.
    fn tell_receipts(&mut self, outcome: Result<(), Fault>) -> Result<(), Fault> {
        self.report.add_broken_receipts(&self.receipts);
        match (outcome, self.receipts.first()) {
            (Ok(()) | Err(Fault::Unavailable(_)), Some(first)) => Err(Fault::Broken(first.clone())),
            (outcome, _) => outcome,
        }
    }

    /// A section for each thing that was there or was given: one that was given and says nothing
    /// would be taken for one that holds.
    fn add_file_sections(&mut self) {
        let Report { batches, proofs_verified, private_files, .. } = self.report;
        let files = format!(
            "{batches} files: leaves, roots, counters, segments, journal and {proofs_verified} \
             proofs are those of the headers"
        );
        self.report.add_section("public files", files);
        if private_files > 0 {
            let holds = format!("{private_files} files have the length and hash committed");
            self.report.add_section("private files", holds);
        }
        if self.options.openings.is_some() {
            let Report { openings, openings_not_compared, .. } = self.report;
            let holds = format!(
                "{openings} openings are as committed and as ruled; {openings_not_compared} of \
                 batches before the first that was read"
            );
            self.report.add_section("openings", holds);
            let before = "openings, of batches before the first that was read";
            self.report.add_not_compared(&[(openings_not_compared, before)]);
        }
        if self.options.frames.is_some() {
            let Report { frames_equal, frames_not_compared, frames_not_opened, .. } = self.report;
            let holds = format!(
                "{frames_equal} collections have the digest of the frames that were released; \
                 {frames_not_compared} were released in part and not compared, \
                 {frames_not_opened} frames are of patients or batches without an opening"
            );
            self.report.add_section("released frames", holds);
            let nothing = frames_equal + frames_not_compared + frames_not_opened == 0;
            self.report.add_not_compared(&[
                (frames_not_compared, "collections, of which a part was released"),
                (frames_not_opened, "released frames, of patients or batches without an opening"),
                (
                    u64::from(nothing),
                    "or more files of released frames, which are of no collection",
                ),
            ]);
        }
        if self.options.receipts.is_some() {
            let ReceiptCounts { settled, not_settled, not_compared } = self.report.receipts;
            let holds = format!(
                "{settled} receipts name groups of the settled journal; {not_settled} are later \
                 than the last batch, {not_compared} of batches whose files were not read"
            );
            // A section holds; those that do not are listed apart.
            if self.receipts.is_empty() {
                self.report.add_section("receipts", holds);
            }
            // Some are always younger than the last batch; if all are, nothing was compared.
            let compared = settled > 0 || !self.receipts.is_empty();
            let none = if compared { 0 } else { not_settled };
            self.report.add_not_compared(&[
                (not_compared, "receipts, of batches whose files were not read"),
                (none, "receipts, all of them later than the last batch"),
            ]);
        }
    }

    fn check_openings(
        &mut self,
        batch: SoundBatch<'_>,
        openings: &[&NamedOpening],
    ) -> Result<(), Broken> {
        let mut opened = Vec::with_capacity(openings.len());
        for named in openings {
            opened.push(check::opening(batch, named)?);
            self.report.openings += 1;
        }
        check::coverage(batch, &opened, self.options.coverage)
    }

    fn compare_frames(
        &mut self,
        batch: SoundBatch<'_>,
        span: JournalSpan,
        openings: &[&NamedOpening],
    ) -> Result<(), Broken> {
        let released = self.options.frames.as_deref().unwrap_or_default();
        for named in openings {
            let found = check::frames(batch, span, named, released)?;
            self.report.frames_equal += found.equal;
            self.report.frames_not_compared += found.not_compared;
            let left = self.report.frames_not_opened.saturating_sub(found.frames);
            self.report.frames_not_opened = left;
        }
        Ok(())
    }

    fn check_head(
        &mut self,
        context: &Context,
        history: &History,
        lateness: Lateness,
    ) -> Result<(), Fault> {
        let last = self.report.headers.last();
        let last = last.map_or_else(|| context.genesis.clone(), |h| Previous::after(h, None));
        check::head(&history.state, &last, lateness)?;
        let holds = format!("the contract stores what batch {} ends with", last.number);
        self.report.add_section("head", holds);
        Ok(())
    }
}

/// A check of nothing would end with "holds".
fn check_range(from: u64, settled: u64) -> Result<(), Broken> {
    if from <= settled.max(1) {
        return Ok(());
    }
    let expected = match settled {
        0 => "1, as no batch is settled".to_owned(),
        _ => format!("a settled batch, 1 to {settled}"),
    };
    Err(Broken::outside(Item::Range, expected, from.to_string()))
}

/// The openings by batch.
fn by_batch(
    openings: &[NamedOpening],
    settled: u64,
) -> Result<BTreeMap<BatchNumber, Vec<&NamedOpening>>, Broken> {
    let mut by_batch: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for named in openings {
        let NamedOpening { name, opening } = named;
        // Not skipped: an opening of a batch that never settled is a promise that was not kept.
        if !(1..=settled).contains(&opening.batch.0) {
            let item = Item::Opening { file: name.clone(), part: "batch" };
            let expected = format!("a settled batch, 1 to {settled}");
            return Err(Broken::outside(item, expected, opening.batch.0.to_string()));
        }
        by_batch.entry(opening.batch).or_default().push(named);
    }
    Ok(by_batch)
}

/// What an earlier audit saw must still be there.
fn compare_saved(saved: &[[u8; 32]], headers: &[BatchHeader]) -> Result<(), Broken> {
    // Headers behind the saved ones are new, and nothing is known of them yet.
    for (number, expected) in (1..).zip(saved) {
        let found = headers.get(number as usize - 1);
        // A header that is gone is shown as zeros: the chain's past has changed either way.
        let found = found.map_or([0; 32], scope::header_hash);
        equal(Some(BatchNumber(number)), Item::SavedHeader, expected, &found)?;
    }
    Ok(())
}
