//! The shell of an audit: reads the chain and the files, feeds the core, writes the report.

use std::collections::BTreeMap;
use std::sync::Arc;

use l1_contracts::{Patience, SetupKind};
use model::{BatchHeader, BatchNumber};
use statement::batch::JournalSpan;
use statement::scope;

use crate::broken::{Broken, Fault, Item, Refused, Unavailable, equal};
use crate::chain::{self, Before, History};
use crate::check::{
    self, BatchContext, Context, Coverage, NamedErasure, NamedFrames, NamedOpening, Previous,
    Readings, Settled, SoundBatch,
};
use crate::headers::{SavedBatch, Verified, kept_so_far};
use crate::place::Place;
use crate::progress::{Progress, Step};
use crate::receipts::{NamedReceipt, ReceiptCounts, Waiting};
use crate::report::Report;

/// What to audit beside what the chain commits to.
#[derive(Clone, Debug)]
pub struct Options {
    /// First batch whose file is checked, at least 1; the headers are always followed from genesis.
    /// Without it, the first that no earlier audit verified, or 1 if something is compared with
    /// the files.
    pub from: Option<u64>,
    /// A batch counts as late if it settled so much later than its window ended, milliseconds.
    /// Default 10 minutes.
    pub late_after_ms: u64,
    /// Openings, if some are to be compared; those of batches before `from` are only counted.
    pub openings: Option<Vec<NamedOpening>>,
    /// Whether the openings are those of all patients of the batches.
    pub coverage: Coverage,
    /// Released frames, if some are to be compared with the collections of the openings.
    pub frames: Option<Vec<NamedFrames>>,
    /// Patients' requests to erase, none of them or all that there are, if the readings of every
    /// collection of the openings are to be accounted for.
    pub erasures: Option<Vec<NamedErasure>>,
    /// Batches 1, 2, .. as an earlier audit left them.
    pub saved: Vec<SavedBatch>,
    /// Receipts of the node, if some are to be compared: their groups must be those of the settled
    /// journal.
    pub receipts: Option<Vec<NamedReceipt>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            from: None,
            late_after_ms: 10 * 60 * 1000,
            openings: None,
            coverage: Coverage::Some,
            frames: None,
            erasures: None,
            saved: Vec::new(),
            receipts: None,
        }
    }
}

/// Audits a deployment. It never fails: what goes wrong is the report's verdict.
///
/// Verifying is done on the calling task: about 5 ms a proof.
pub async fn audit(place: Place<'_>, options: &Options, progress: Arc<dyn Progress>) -> Report {
    let report = Report::new(place.deployment, options.late_after_ms);
    let patience = chain::patience(&progress);
    let mut run = Run { place, options, progress, patience, report, receipts: Vec::new() };
    let outcome = run.check_all().await;
    let outcome = run.tell_receipts(outcome);
    // Sections that were finished before a fault stay: a reader sees how far the audit came.
    run.report.conclude(outcome);
    run.report
}

struct Run<'a> {
    place: Place<'a>,
    options: &'a Options,
    progress: Arc<dyn Progress>,
    patience: Patience,
    report: Report,
    /// Receipts that are not of the settled journal.
    receipts: Vec<Broken>,
}

impl Run<'_> {
    async fn check_all(&mut self) -> Result<(), Fault> {
        // Each step takes for granted what those before it have found, and nothing else.
        let edge = chain::connect(self.place, self.patience.clone()).await?;
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

        let before = Before { known: self.known_before(), last: last_block(&self.options.saved) };
        let history = chain::history(&edge, before, self.progress.as_ref()).await?;
        self.check_headers(&context, &history)?;
        self.check_files(&context, &history).await?;
        let last = history.state.number;
        self.report.add_section("head", format!("the contract stores what batch {last} ends with"));
        Ok(())
    }

    /// The first batches that an earlier audit verified; none if their files are wanted again: to
    /// compare something with them, or because it was asked for.
    fn known_before(&self) -> Vec<Settled> {
        let Options { from, openings, frames, receipts, saved, .. } = self.options;
        let wanted = from.is_some() || openings.is_some() || frames.is_some() || receipts.is_some();
        let saved = if wanted { &[][..] } else { saved.as_slice() };
        saved.iter().map_while(SavedBatch::settled).collect()
    }

    fn check_headers(&mut self, context: &Context, history: &History) -> Result<(), Fault> {
        let settled = &history.settled;
        // Before the checks: a report of something broken still says of how many batches.
        self.report.settled = settled.len() as u64;
        let known = history.known as u64;
        self.report.set_range(self.options.from.unwrap_or(known + 1), known);
        if let Some(from) = self.options.from {
            check_range(from, self.report.settled)?;
        }
        let lateness = check::headers(&context.genesis, settled, self.options.late_after_ms)?;
        self.report.set_lateness(lateness);
        let headers = settled.iter().map(|settled| &settled.batch.header);
        // Only now: of headers that are linked from genesis the place in the row is the number.
        let replaced = compare_saved(&self.options.saved, headers)?;
        let last = settled.last().map(|settled| &settled.batch.header);
        let last = last.map_or_else(|| context.genesis.clone(), |h| Previous::after(h, None));
        // Before the files, which take long: what is kept of an audit that breaks off was the
        // contract's.
        check::head(&history.state, &last, lateness)?;
        self.report.kept = settled.iter().map(|one| keep(one, history.final_block)).collect();
        let (count, max) = (settled.len(), lateness.max_ms);
        let mut holds = format!("{count} headers linked from genesis, lateness at most {max} ms");
        if replaced > 0 {
            holds += &format!("; {replaced} that were saved before they were final are others now");
        }
        self.report.add_section("headers", holds);
        Ok(())
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
        for (at, settled) in history.settled.iter().enumerate() {
            let header = &settled.batch.header;
            let number = header.number;
            if number.0 < self.report.from {
                // Where its journal groups ended only an audit knows that read its file.
                let saved = self.options.saved.get(at).filter(|_| at < history.known);
                let saved = saved.inspect(|saved| self.report.kept[at] = (*saved).clone());
                let verified = saved.and_then(|saved| saved.verified.as_ref());
                previous = Previous::after(header, verified.map(|verified| verified.tail));
                continue;
            }
            let bytes = self.place.data.public_file(number, &self.patience).await?;
            let summary =
                check::batch(BatchContext { context, previous: &previous, header }, &bytes)?;
            self.report.add_batch(header, &summary);
            let other = waiting.take(&previous, header, &summary.file.groups)?;
            self.receipts.extend(other);
            self.check_private_file(header).await?;
            // A batch without any is looked at as well: if all patients opened, it must hold
            // nothing.
            let of_batch = openings.get(&number).map_or(&[][..], Vec::as_slice);
            let sound = SoundBatch { context, header, file: &summary.file };
            self.check_openings(sound, of_batch)?;
            let span = JournalSpan { after: previous.position, until: header.journal_position };
            self.compare_frames(sound, span, of_batch)?;
            self.account_for_readings(sound, span, of_batch)?;
            // Without its predecessor's last group, a lost group before its own would not show.
            let tail = summary.tail.filter(|_| previous.tail.is_some());
            self.report.kept[at].edges = check::edges(&summary.file);
            self.report.kept[at].verified = tail.map(|tail| Verified::of(settled, tail));
            previous = Previous::after(header, summary.tail);
            let (saved, kept) = (&self.options.saved, &self.report.kept);
            self.progress.verified(&|| kept_so_far(saved, kept));
            self.progress.at(Step::Batches, number.0, history.state.number);
        }
        let (counts, missing) = waiting.conclude(previous.position);
        self.report.receipts = counts;
        self.receipts.extend(missing);
        self.report.openings_not_compared = all.len() as u64 - self.report.openings;
        self.add_file_sections();
        Ok(())
    }

    async fn check_private_file(&mut self, header: &BatchHeader) -> Result<(), Fault> {
        if let Some(bytes) = self.place.data.private_file(header.number).await? {
            check::private_file(header, &bytes)?;
            self.report.private_files += 1;
        }
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
        self.add_readings_section();
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

    fn add_readings_section(&mut self) {
        let Some(erasures) = &self.options.erasures else { return };
        let Report { readings_given, readings_erased, readings_withheld, .. } = self.report;
        let holds = format!(
            "of the opened collections {readings_given} have the frames that were given, \
             {readings_erased} are erased at their patients' signed requests, \
             {readings_withheld} are withheld: neither was shown"
        );
        self.report.add_section("readings", holds);
        let all = self.options.openings.as_deref().unwrap_or_default();
        let is_opened = |one: &&NamedErasure| {
            all.iter().any(|named| named.opening.patient == one.signed.request.patient)
        };
        let foreign = erasures.iter().filter(|one| !is_opened(one)).count() as u64;
        self.report.add_not_compared(&[
            (readings_withheld, "collections, of which neither frames nor a request to erase"),
            (foreign, "requests to erase, of patients without an opening"),
        ]);
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
}

impl Run<'_> {
    /// What became of the readings of each collection, if that was asked.
    fn account_for_readings(
        &mut self,
        batch: SoundBatch<'_>,
        span: JournalSpan,
        openings: &[&NamedOpening],
    ) -> Result<(), Broken> {
        let Some(erasures) = &self.options.erasures else { return Ok(()) };
        let released = self.options.frames.as_deref().unwrap_or_default();
        for named in openings {
            let given = Readings { released, erasures };
            let found = check::readings(batch, span, named, given)?;
            self.report.readings_given += found.given;
            self.report.readings_erased += found.erased;
            self.report.readings_withheld += found.withheld;
        }
        Ok(())
    }
}

/// A check of nothing would end with "holds".
fn check_range(from: u64, settled: u64) -> Result<(), Refused> {
    if (1..=settled.max(1)).contains(&from) {
        return Ok(());
    }
    let expected = match settled {
        0 => "1, as no batch is settled yet".to_owned(),
        _ => format!("a batch from 1 to {settled}"),
    };
    Err(Refused { what: "first batch to check", expected, found: from.to_string() })
}

fn keep(settled: &Settled, final_block: u64) -> SavedBatch {
    SavedBatch {
        header: settled.batch.header.clone(),
        is_final: settled.batch.block <= final_block,
        edges: Vec::new(),
        verified: None,
    }
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

/// The last batch whose block an earlier audit left, and that block.
fn last_block(saved: &[SavedBatch]) -> Option<(BatchNumber, u64)> {
    let placed = saved.iter().rev().filter_map(SavedBatch::settled).next()?;
    Some((placed.batch.header.number, placed.batch.block))
}

/// What an earlier audit saw must still be there, unless its block was not final. Gives how many of
/// those are others now.
fn compare_saved<'a>(
    saved: &[SavedBatch],
    headers: impl Iterator<Item = &'a BatchHeader>,
) -> Result<usize, Fault> {
    let mut headers = headers.map(scope::header_hash);
    let mut replaced = 0;
    // Headers behind the saved ones are new, and nothing is known of them yet.
    for (number, saved) in (1..).zip(saved) {
        let expected = scope::header_hash(&saved.header);
        let found = headers.next();
        if !saved.is_final {
            replaced += usize::from(found != Some(expected));
            continue;
        }
        // Without its block nobody can tell a node that is behind from a past that was changed.
        if found.is_none() && saved.verified.is_none() {
            let what = format!("the event of batch {number}");
            let why = "an earlier audit saw it settled, and the chain's node does not have it \
                       yet, or no longer: ask it later, or another one";
            return Err(Unavailable { what, why: why.into() }.into());
        }
        // A header that is gone is shown as zeros: the chain's past has changed either way.
        let found = found.unwrap_or([0; 32]);
        equal(Some(BatchNumber(number)), Item::SavedHeader, &expected, &found)?;
    }
    Ok(replaced)
}
