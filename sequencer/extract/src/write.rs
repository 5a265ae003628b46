//! Writes a patient's record, batch by batch.

use std::collections::BTreeSet;

use model::{Action, ChainScope, ClaimKind, Party, PatientIndex, Word};
use statement::batch::{PatientOpening, PublicFile, ReleasedFrames};
use statement::eddsa::{self, SecretKey};

use crate::fault::ExtractError;
use crate::frames::Given;
use crate::gaps::Gaps;
use crate::line::{
    BatchLine, ClaimLine, EndLine, FrameLine, Head, Line, OperationLine, RecordLine, RefusedLine,
    parties,
};
use crate::lines::check_length;
use crate::names::Names;
use crate::proof::{BatchProof, ClaimProof, OperationProof, RecordProof, SoundHeader};
use crate::root::LineRoot;
use crate::text::Hex;

/// Name and version of the format of a record.
pub const RECORD_SCHEMA: &str = "vitals-record-1";

/// Whose record is written, and from what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// Chain and contract.
    pub scope: ChainScope,
    /// The deployment's fingerprint.
    pub fingerprint: String,
    /// Whose record.
    pub patient: PatientIndex,
    /// First and last batch that are read.
    pub batches: [u64; 2],
    /// Collections of one source that lie further apart have a gap between them, milliseconds.
    pub gap_over_ms: u64,
    /// Names to write beside words; those that nothing names are left out.
    pub names: Names,
}

/// A record that is being written.
pub struct RecordWriter {
    subject: Subject,
    lines: Vec<Line>,
    gaps: Gaps,
    named: BTreeSet<Word>,
    given: Option<Given>,
    last: Option<RecordLine>,
}

/// How many collections stand in a record with their readings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Opened {
    /// With every reading.
    pub whole: u64,
    /// Of which frames were given and no reading is shown: some are missing, their signal is not
    /// known, or only a gateway's key opens them.
    pub closed: u64,
}

impl RecordWriter {
    /// A record without lines.
    pub fn new(subject: Subject) -> RecordWriter {
        let gaps = Gaps::over(subject.gap_over_ms);
        let (lines, named) = (Vec::new(), BTreeSet::new());
        RecordWriter { subject, lines, gaps, named, given: None, last: None }
    }

    /// Shows the readings of every collection whose frames are all here, before any batch is added.
    /// With them the key of the record's digests goes into the file ([`SegmentKey::to_bytes`]).
    ///
    /// [`SegmentKey::to_bytes`]: statement::batch::SegmentKey::to_bytes
    ///
    /// # Errors
    /// [`ExtractError::Frames`] of another patient's or deployment's frames.
    pub fn give(
        &mut self,
        frames: Vec<ReleasedFrames>,
        view_key: &Word,
    ) -> Result<(), ExtractError> {
        let Subject { scope, patient, .. } = self.subject;
        self.given = Some(Given::new(frames, (scope, patient), view_key)?);
        Ok(())
    }

    /// What became of the frames that were given.
    pub fn opened(&self) -> Opened {
        let of = |given: &Given| Opened { whole: given.opened, closed: given.closed };
        self.given.as_ref().map(of).unwrap_or_default()
    }

    /// Adds a batch that concerns the patient; batches by ascending number. What is given was
    /// checked: the public file to be the header's, the opening to be that of the file. The
    /// transaction that settled it is written as far as it is known.
    ///
    /// # Errors
    /// [`ExtractError`] if file and opening are not of each other.
    pub fn add(
        &mut self,
        public: &PublicFile,
        transaction: Option<[u8; 32]>,
        opening: &PatientOpening,
    ) -> Result<(), ExtractError> {
        let header = &public.header;
        let (batch, scope) = (header.number.0, self.subject.scope);
        let proof = BatchProof::of(public);
        let place = |what| ExtractError::Place { batch, what };
        let sound = proof.check().map_err(place)?;
        self.lines.push(Line::Batch(BatchLine {
            batch,
            from: model::calendar::Utc(header.window.t0()).to_string(),
            until: model::calendar::Utc(header.window.t1()).to_string(),
            operations: opening.operations.len() as u64,
            claims: opening.claims.len() as u64,
            refused: opening.refused.len() as u64,
            transaction: transaction.map(Hex),
            proof,
        }));
        let mut operations: Vec<_> = opening.operations.iter().collect();
        operations.sort_by_key(|one| one.t_op);
        for one in operations {
            let proof = OperationProof::of(public, one)?;
            // Held against the batch before it is written: what is written is checked by others.
            let found = proof.check(&sound, scope).map_err(place)?;
            if let Action::Write { rule, .. } | Action::Revoke { rule, .. } =
                &found.operation.action
            {
                let parties = [rule.actor, rule.source];
                self.named.extend(parties.iter().filter_map(|party| match party {
                    Party::Named(word) => Some(*word),
                    Party::Any => None,
                }));
            }
            self.lines.push(OperationLine::of(batch, proof, &found, &self.subject.names));
        }
        self.add_claims(public, &sound, opening)?;
        let refused = opening.refused.iter().map(|one| RefusedLine::of(batch, one));
        self.lines.extend(refused.map(Line::Refused));
        self.last = Some(RecordLine { batch, proof: RecordProof::of(opening) });
        Ok(())
    }

    fn add_claims(
        &mut self,
        public: &PublicFile,
        sound: &SoundHeader,
        opening: &PatientOpening,
    ) -> Result<(), ExtractError> {
        let batch = public.header.number.0;
        let mut claims: Vec<_> = opening.claims.iter().collect();
        claims.sort_by_key(|one| one.claim.position);
        for one in claims {
            let proof = ClaimProof::of(public, one)?;
            let found = proof.check(sound, self.subject.scope);
            let found = found.map_err(|what| ExtractError::Place { batch, what })?;
            self.named.extend(parties(&found));
            self.lines.push(ClaimLine::of(batch, proof, &found, &self.subject.names));
            if found.claim.kind == ClaimKind::Collect {
                self.gaps.take(&found.claim);
                let frames = self.given.as_mut().map(|given| given.open(&found.claim));
                let frames = frames.unwrap_or_default();
                let lines = frames.iter().map(|frame| Line::Frame(FrameLine::of(batch, frame)));
                self.lines.extend(lines);
            }
        }
        Ok(())
    }

    /// The whole file, signed with the patient's key.
    ///
    /// # Errors
    /// [`ExtractError::Nothing`] without a batch.
    pub fn finish(self, key: &SecretKey) -> Result<String, ExtractError> {
        let RecordWriter { subject, lines, gaps, named, given, last } = self;
        let last = last.ok_or(ExtractError::Nothing)?;
        let mut names = subject.names;
        // A wallet knows whom it dealt with elsewhere; who is given the file need not.
        names.retain(&named);
        let gaps = gaps.lines(&names).into_iter().map(Line::Gap);
        let head = Line::Head(Head {
            schema: RECORD_SCHEMA.to_owned(),
            chain_id: subject.scope.chain_id,
            settlement: Hex(subject.scope.contract),
            fingerprint: subject.fingerprint,
            patient: subject.patient.get(),
            batches: subject.batches,
            gap_over_ms: subject.gap_over_ms,
            segment_key: given.filter(|given| given.opened > 0).map(|given| Hex(given.key())),
            names,
        });
        let mut root = LineRoot::new();
        let mut text = String::new();
        let all = std::iter::once(head).chain(lines).chain(gaps);
        for line in all.chain([Line::Record(Box::new(last))]) {
            let line = write(&line)?;
            root.take(&line);
            text += &line;
            text.push('\n');
        }
        let (lines, root) = root.conclude();
        let signature = eddsa::sign(key, LineRoot::message(&root));
        text += &write(&Line::End(EndLine {
            lines,
            root: Hex(root),
            signer: Hex(key.public().encode()),
            signature: Hex(signature.encode()),
        }))?;
        text.push('\n');
        Ok(text)
    }
}

pub(crate) fn write(line: &Line) -> Result<String, ExtractError> {
    let text = serde_json::to_string(line);
    let text = text.map_err(|error| ExtractError::Line(error.to_string()))?;
    // Of the head alone it could be, by its names: nobody would read it.
    check_length(1, &text).map_err(|fault| ExtractError::Line(fault.to_string()))?;
    Ok(text)
}
