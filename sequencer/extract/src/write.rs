//! Writes a patient's record, batch by batch.

use std::collections::BTreeSet;

use model::{Action, ChainScope, ClaimKind, Party, PatientIndex, Word};
use statement::batch::{PatientOpening, PublicFile};
use statement::eddsa::{self, SecretKey};

use crate::fault::ExtractError;
use crate::gaps::Gaps;
use crate::line::{
    BatchLine, ClaimLine, EndLine, Head, Line, OperationLine, RecordLine, RefusedLine, parties,
};
use crate::names::Names;
use crate::proof::{BatchProof, ClaimProof, OperationProof, RecordProof};
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
    last: Option<RecordLine>,
}

impl RecordWriter {
    /// A record without lines.
    pub fn new(subject: Subject) -> RecordWriter {
        let gaps = Gaps::over(subject.gap_over_ms);
        RecordWriter { subject, lines: Vec::new(), gaps, named: BTreeSet::new(), last: None }
    }

    /// Adds a batch that concerns the patient; batches by ascending number. What is given was
    /// checked: the public file to be the header's, the opening to be that of the file.
    ///
    /// # Errors
    /// [`ExtractError`] if file and opening are not of each other.
    pub fn add(
        &mut self,
        public: &PublicFile,
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
        let mut claims: Vec<_> = opening.claims.iter().collect();
        claims.sort_by_key(|one| one.claim.position);
        for one in claims {
            let proof = ClaimProof::of(public, one)?;
            let found = proof.check(&sound, scope).map_err(place)?;
            self.named.extend(parties(&found));
            if found.claim.kind == ClaimKind::Collect {
                self.gaps.take(&found.claim);
            }
            self.lines.push(ClaimLine::of(batch, proof, &found, &self.subject.names));
        }
        let refused = opening.refused.iter().map(|one| RefusedLine::of(batch, one));
        self.lines.extend(refused.map(Line::Refused));
        self.last = Some(RecordLine { batch, proof: RecordProof::of(opening) });
        Ok(())
    }

    /// The whole file, signed with the patient's key.
    ///
    /// # Errors
    /// [`ExtractError::Nothing`] without a batch.
    pub fn finish(self, key: &SecretKey) -> Result<String, ExtractError> {
        let RecordWriter { subject, lines, gaps, named, last } = self;
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
    serde_json::to_string(line).map_err(|error| ExtractError::Line(error.to_string()))
}
