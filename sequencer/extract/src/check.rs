//! Checks a patient's record: every line against the header of its batch, and the lines against
//! each other.

use std::collections::BTreeSet;

use model::{Action, ChainScope, ClaimKind, PatientIndex};
use statement::batch::SegmentKey;
use statement::eddsa;
use statement::field::to_word;
use statement::scope::header_hash;

use crate::fault::Fault;
use crate::frames::{OpenSegment, SoundFrame};
use crate::gaps::Gaps;
use crate::line::{
    BatchLine, ClaimLine, EndLine, FrameLine, GapLine, Head, Line, OperationLine, RecordLine,
    RefusedLine,
};
use crate::lines;
use crate::proof::SoundHeader;
use crate::root::LineRoot;
use crate::write::{RECORD_SCHEMA, write};

/// Most bytes of a record that is read: room for some 50,000 lines.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// Of which deployment a file has to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Chain and contract.
    pub scope: ChainScope,
    /// The deployment's fingerprint.
    pub fingerprint: String,
}

/// A header that lines were held against: whoever knows the chain compares it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsedHeader {
    /// Which line has it.
    pub line: usize,
    /// Number of the batch.
    pub batch: u64,
    /// What the contract keeps of it.
    pub hash: [u8; 32],
    /// The transaction that settled it, as the line says.
    pub transaction: Option<[u8; 32]>,
}

/// A record that holds in itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckedRecord {
    /// The headers that its lines were held against.
    pub headers: Vec<UsedHeader>,
    /// First and last batch that it says to have been made from: the word of whoever signed it.
    pub batches: [u64; 2],
    /// The last batch that has lines. Whether a later one concerns the patient nothing in the file
    /// shows: its record is the one of this batch.
    pub shown_until: u64,
    /// Lines that were opened.
    pub operations: u64,
    /// Likewise.
    pub claims: u64,
    /// Claims that are counted in public as not covered.
    pub excluded: u64,
    /// Refusals: the word of whoever signed the file.
    pub refused: u64,
    /// Gaps, which follow from the collections.
    pub gaps: u64,
    /// Collections whose every reading is in the file, and is of its digest.
    pub opened: u64,
    /// Their readings.
    pub readings: u64,
    /// Whether the operations are all there are of the record up to that batch, by its nonce.
    pub operations_complete: bool,
}

/// Checks a whole file, or the first line that does not hold.
///
/// # Errors
/// [`Fault`] that names it.
pub fn check_record(text: &str, expected: &Expected) -> Result<CheckedRecord, Fault> {
    if text.len() > RECORD_BYTES_MAX {
        let most = format!("at most {RECORD_BYTES_MAX} bytes");
        return Err(Fault::new(0, "length", most, text.len().to_string()));
    }
    let mut lines = text.split_inclusive('\n').zip(1..);
    let (first, _) = lines.next().unwrap_or(("", 1));
    let (Line::Head(head), line) = read(first, 1)? else {
        return Err(Fault::new(1, "kind", "the head of a record", "another line"));
    };
    let mut reading = Reading::begin(head, expected)?;
    same(1, &Line::Head(reading.head.clone()), line)?;
    reading.root.take(line);
    for (text, number) in lines {
        let (line, exact) = read(text, number)?;
        if reading.ended {
            return Err(Fault::new(number, "kind", "no line behind the end", "one"));
        }
        let is_end = matches!(line, Line::End(_));
        reading.take(number, line, exact)?;
        if !is_end {
            reading.root.take(exact);
        }
    }
    if !reading.ended {
        return Err(Fault::new(
            0,
            "end",
            "a last line that is signed",
            "none: the file is cut off",
        ));
    }
    Ok(reading.checked)
}

/// A line and its exact text, which its words have to give again.
fn read(text: &str, number: usize) -> Result<(Line, &str), Fault> {
    lines::read(text, number, "a line of a record")
}

/// What is known while lines are read.
struct Reading<'a> {
    expected: &'a Expected,
    head: Head,
    patient: PatientIndex,
    root: LineRoot,
    batch: Option<OpenBatch>,
    segment_key: Option<SegmentKey>,
    /// The collection of the line before, or of the frames before.
    segment: Option<OpenSegment>,
    /// The last batch, closed.
    last_sound: Option<(u64, SoundHeader)>,
    gaps: Gaps,
    expected_gaps: Option<std::vec::IntoIter<GapLine>>,
    record: Option<RecordLine>,
    nonces: Vec<u32>,
    enrolled: bool,
    signers: Vec<(usize, model::Word)>,
    ended: bool,
    checked: CheckedRecord,
}

/// A batch whose lines are being read.
struct OpenBatch {
    line: usize,
    says: BatchLine,
    sound: SoundHeader,
    operations: u64,
    claims: u64,
    refused: u64,
    /// The last time or position: lines ascend, so that none stands twice.
    last: u64,
    places: BTreeSet<(u32, u32)>,
}

impl<'a> Reading<'a> {
    fn begin(head: Head, expected: &'a Expected) -> Result<Reading<'a>, Fault> {
        let Expected { scope, fingerprint } = expected;
        let is_ours = head.chain_id == scope.chain_id
            && head.settlement.0 == scope.contract
            && head.fingerprint == *fingerprint;
        if head.schema != RECORD_SCHEMA {
            return Err(Fault::new(1, "schema", RECORD_SCHEMA, "another"));
        }
        if !is_ours {
            return Err(Fault::new(1, "deployment", "this deployment", "another"));
        }
        if !head.names.hold() {
            return Err(Fault::new(1, "names", "each name beside its word", "another word"));
        }
        let patient = PatientIndex::new(head.patient)
            .map_err(|_| Fault::new(1, "patient", "an index below 2^24", "another number"))?;
        let gaps = Gaps::over(head.gap_over_ms);
        let segment_key = head.segment_key.map(|key| SegmentKey::from_bytes(key.0));
        let checked = CheckedRecord { batches: head.batches, ..CheckedRecord::default() };
        Ok(Reading {
            expected,
            head,
            patient,
            root: LineRoot::new(),
            batch: None,
            segment_key,
            segment: None,
            last_sound: None,
            gaps,
            expected_gaps: None,
            record: None,
            nonces: Vec::new(),
            enrolled: false,
            signers: Vec::new(),
            ended: false,
            checked,
        })
    }

    fn take(&mut self, number: usize, line: Line, exact: &str) -> Result<(), Fault> {
        if !matches!(line, Line::Frame(_)) {
            self.close_segment()?;
        }
        match line {
            Line::Head(_) => Err(Fault::new(number, "kind", "one head", "a second one")),
            Line::Batch(says) => self.batch(number, says, exact),
            Line::Operation(line) => self.operation(number, &line, exact),
            Line::Claim(line) => self.claim(number, &line, exact),
            Line::Frame(line) => self.frame(number, line, exact),
            Line::Refused(line) => self.refused(number, line, exact),
            Line::Gap(gap) => self.gap(number, gap, exact),
            Line::Record(line) => self.record(number, *line, exact),
            Line::End(end) => self.end(number, end, exact),
        }
    }

    fn batch(&mut self, number: usize, says: BatchLine, exact: &str) -> Result<(), Fault> {
        self.close_batch()?;
        self.before_gaps(number)?;
        let [first, last] = self.head.batches;
        let before = self.checked.headers.last().map_or(first.saturating_sub(1), |one| one.batch);
        let sound = says.proof.check().map_err(|part| {
            Fault::new(number, part, "the roots that the header is over", "others")
        })?;
        let own = sound.header.number.0;
        if own != says.batch || own <= before || own > last {
            let expected = format!("a batch behind {before}, up to {last}, as its header says");
            return Err(Fault::new(number, "batch", expected, own.to_string()));
        }
        let utc = |at| model::calendar::Utc(at).to_string();
        let window = [sound.header.window.t0(), sound.header.window.t1()].map(utc);
        let words = BatchLine { from: window[0].clone(), until: window[1].clone(), ..says.clone() };
        same(number, &Line::Batch(words), exact)?;
        let hash = header_hash(&sound.header);
        let transaction = says.transaction.map(|hash| hash.0);
        self.checked.headers.push(UsedHeader { line: number, batch: own, hash, transaction });
        let (operations, claims, refused, last) = (0, 0, 0, 0);
        let places = BTreeSet::new();
        self.batch = Some(OpenBatch {
            line: number,
            says,
            sound,
            operations,
            claims,
            refused,
            last,
            places,
        });
        Ok(())
    }

    /// The batch that a line is of.
    fn of_batch(&mut self, number: usize, batch: u64) -> Result<&mut OpenBatch, Fault> {
        let found = self.batch.as_ref().map(|open| open.says.batch);
        match self.batch.as_mut().filter(|open| open.says.batch == batch) {
            Some(open) => Ok(open),
            None => {
                let expected =
                    found.map_or("a batch before it".to_owned(), |n| format!("batch {n}"));
                Err(Fault::new(number, "batch", expected, format!("a line of batch {batch}")))
            }
        }
    }

    fn operation(&mut self, number: usize, line: &OperationLine, exact: &str) -> Result<(), Fault> {
        let (scope, patient) = (self.expected.scope, self.patient);
        let open = self.of_batch(number, line.batch)?;
        let sound =
            line.proof.check(&open.sound, scope).map_err(|part| not_committed(number, part))?;
        foreign(number, sound.operation.patient == patient)?;
        if open.claims + open.refused > 0 {
            return Err(Fault::new(number, "order", "operations before claims", "one behind"));
        }
        open.place(number, line.proof.chunk, line.proof.path.leaf)?;
        open.ascend(number, sound.t_op.get())?;
        open.operations += 1;
        let again = OperationLine::of(line.batch, line.proof.clone(), &sound, &self.head.names);
        same(number, &again, exact)?;
        self.checked.operations += 1;
        if matches!(sound.operation.action, Action::Enrol { .. }) {
            // Signed by the registrar, whom the proof of the batch knows.
            self.enrolled = true;
            return Ok(());
        }
        let follows = match self.nonces.last() {
            None => !self.enrolled || sound.operation.nonce == 0,
            // A header that nobody settled may be over any number, also the largest one.
            Some(before) => sound.operation.nonce.checked_sub(1) == Some(*before),
        };
        if !follows {
            let found = "a later one: operations between them are left out";
            return Err(Fault::new(number, "nonce", "the next operation of the record", found));
        }
        self.nonces.push(sound.operation.nonce);
        self.signers.push((number, sound.signer));
        Ok(())
    }

    fn claim(&mut self, number: usize, line: &ClaimLine, exact: &str) -> Result<(), Fault> {
        let (scope, patient) = (self.expected.scope, self.patient);
        let open = self.of_batch(number, line.batch)?;
        let sound =
            line.proof.check(&open.sound, scope).map_err(|part| not_committed(number, part))?;
        foreign(number, sound.claim.patient == patient)?;
        if open.claims == 0 {
            // Positions begin anew behind the times of operations.
            (open.last, open.places) = (0, BTreeSet::new());
        }
        if open.refused > 0 {
            return Err(Fault::new(number, "order", "claims before refusals", "one behind"));
        }
        open.place(number, line.proof.chunk, line.proof.path.leaf)?;
        open.ascend(number, sound.claim.position.0)?;
        open.claims += 1;
        let again = ClaimLine::of(line.batch, line.proof.clone(), &sound, &self.head.names);
        same(number, &again, exact)?;
        self.checked.claims += 1;
        self.checked.excluded += u64::from(!line.proof.covered);
        if sound.claim.kind == ClaimKind::Collect {
            self.gaps.take(&sound.claim);
            self.segment = Some(OpenSegment::begin(number, &sound.claim));
        }
        Ok(())
    }

    /// A frame of the collection above: its words are those of its bytes.
    fn frame(&mut self, number: usize, line: FrameLine, exact: &str) -> Result<(), Fault> {
        self.of_batch(number, line.batch)?;
        let Some(segment) = &mut self.segment else {
            return Err(Fault::new(number, "order", "frames behind their collection", "others"));
        };
        let sound = segment.signal.and_then(|signal| SoundFrame::read(signal, line.frame.0));
        let Some(sound) = sound else {
            let expected = "a frame of the one signal that its collection can be of";
            return Err(Fault::new(number, "frame", expected, "something else"));
        };
        segment.take(&sound.bytes);
        self.checked.readings += sound.readings.len() as u64;
        same(number, &Line::Frame(FrameLine::of(line.batch, &sound)), exact)
    }

    /// The frames that came are all of the collection, as its digest says.
    fn close_segment(&mut self) -> Result<(), Fault> {
        let Some(segment) = self.segment.take().filter(OpenSegment::is_opened) else {
            return Ok(());
        };
        if !self.segment_key.as_ref().is_some_and(|key| segment.holds(key)) {
            let expected = "every frame of the digest of its collection";
            return Err(Fault::new(segment.line, "readings", expected, "others, or fewer"));
        }
        self.checked.opened += 1;
        Ok(())
    }

    fn refused(&mut self, number: usize, line: RefusedLine, exact: &str) -> Result<(), Fault> {
        let open = self.of_batch(number, line.batch)?;
        open.refused += 1;
        if !line.is_within(&open.sound.header.window) {
            let found = "a time outside of it";
            return Err(Fault::new(number, "time", "a time of the batch's window", found));
        }
        if !line.holds() {
            return Err(Fault::new(number, "words", "the words of its reason", "others"));
        }
        self.checked.refused += 1;
        same(number, &Line::Refused(line), exact)
    }

    /// Behind all batches.
    fn before_gaps(&self, number: usize) -> Result<(), Fault> {
        match self.expected_gaps {
            None => Ok(()),
            Some(_) => Err(Fault::new(number, "order", "batches before gaps", "one behind")),
        }
    }

    fn begin_gaps(&mut self) -> Result<&mut std::vec::IntoIter<GapLine>, Fault> {
        self.close_batch()?;
        let (gaps, names) = (&mut self.gaps, &self.head.names);
        let lines = || std::mem::take(gaps).lines(names).into_iter();
        Ok(self.expected_gaps.get_or_insert_with(lines))
    }

    fn gap(&mut self, number: usize, gap: GapLine, exact: &str) -> Result<(), Fault> {
        let next = self.begin_gaps()?.next();
        if next.as_ref() != Some(&gap) || self.record.is_some() {
            let expected = "the next gap between the collections above";
            return Err(Fault::new(number, "gap", expected, "another"));
        }
        self.checked.gaps += 1;
        same(number, &Line::Gap(gap), exact)
    }

    fn record(&mut self, number: usize, line: RecordLine, exact: &str) -> Result<(), Fault> {
        self.no_gap_left(number)?;
        let Some((batch, sound)) = self.last_sound.take() else {
            return Err(Fault::new(number, "batch", "a batch before it", "none"));
        };
        if line.batch != batch || self.record.is_some() {
            return Err(Fault::new(number, "batch", "the record after the last batch", "another"));
        }
        let held = line.proof.check(&sound, self.patient);
        held.map_err(|part| {
            Fault::new(number, part, "the record under the header's root", "another")
        })?;
        let key = line.proof.key_hash.0;
        if let Some((line, _)) = self.signers.iter().find(|(_, signer)| *signer != key) {
            return Err(Fault::new(*line, "signer", "the record's key", "another key"));
        }
        let last = self.nonces.last();
        if last.is_some_and(|last| line.proof.nonce.checked_sub(1) != Some(*last)) {
            let found = "fewer: the last ones are left out";
            return Err(Fault::new(number, "nonce", "every operation of the record", found));
        }
        let count = self.nonces.len() as u64;
        self.checked.operations_complete = self.enrolled && count == u64::from(line.proof.nonce);
        same(number, &Line::Record(Box::new(line.clone())), exact)?;
        self.checked.shown_until = batch;
        self.record = Some(line);
        Ok(())
    }

    fn no_gap_left(&mut self, number: usize) -> Result<(), Fault> {
        match self.begin_gaps()?.next() {
            None => Ok(()),
            Some(_) => {
                let expected = "a line for each gap between the collections above";
                Err(Fault::new(number, "gap", expected, "fewer"))
            }
        }
    }

    fn end(&mut self, number: usize, end: EndLine, exact: &str) -> Result<(), Fault> {
        let Some(record) = &self.record else {
            return Err(Fault::new(number, "record", "the record before the end", "none"));
        };
        let (lines, root) = self.root.conclude();
        Fault::count(number, "lines", [lines, end.lines])?;
        if end.root.0 != root {
            let found = "another: a line was changed, removed or added";
            return Err(Fault::new(number, "root", "the root over the lines", found));
        }
        let signer = statement::eddsa::PublicKey::decode(&end.signer.0);
        let is_own = signer.is_ok_and(|key| to_word(&key.hash()) == record.proof.key_hash.0);
        if !is_own {
            return Err(Fault::new(number, "signer", "the record's key", "another key"));
        }
        let message = to_word(&LineRoot::message(&root));
        if !eddsa::verify_bytes(&end.signer.0, message, &end.signature.0) {
            let found = "one that does not verify";
            return Err(Fault::new(number, "signature", "the patient's signature", found));
        }
        self.ended = true;
        same(number, &Line::End(end), exact)
    }

    /// Every line that the batch's own line promises came.
    fn close_batch(&mut self) -> Result<(), Fault> {
        let Some(open) = self.batch.take() else { return Ok(()) };
        let OpenBatch { line, says, operations, claims, refused, .. } = &open;
        Fault::count(*line, "operations behind it", [says.operations, *operations])?;
        Fault::count(*line, "claims behind it", [says.claims, *claims])?;
        Fault::count(*line, "refusals behind it", [says.refused, *refused])?;
        self.last_sound = Some((says.batch, open.sound));
        Ok(())
    }
}

impl OpenBatch {
    fn place(&mut self, number: usize, chunk: u32, leaf: u32) -> Result<(), Fault> {
        match self.places.insert((chunk, leaf)) {
            true => Ok(()),
            false => Err(Fault::new(number, "place", "each place opened once", "it twice")),
        }
    }

    fn ascend(&mut self, number: usize, at: u64) -> Result<(), Fault> {
        if at <= self.last {
            return Err(Fault::new(number, "order", "lines in their order", "an earlier one"));
        }
        self.last = at;
        Ok(())
    }
}

fn not_committed(number: usize, part: &'static str) -> Fault {
    Fault::new(number, part, "what the batch committed to", "another: the line was changed")
}

fn foreign(number: usize, is_own: bool) -> Result<(), Fault> {
    match is_own {
        true => Ok(()),
        false => Err(Fault::new(number, "patient", "the patient of the file", "another")),
    }
}

/// The words of a line follow from its proof.
fn same(number: usize, line: &Line, exact: &str) -> Result<(), Fault> {
    match write(line) {
        Ok(own) if own == exact => Ok(()),
        _ => Err(Fault::new(number, "words", "the words that its proof says", "others")),
    }
}
