//! The open window as canonical bytes.

use std::collections::BTreeSet;

use ark_bn254::Fr;
use model::{BatchNumber, ChainScope, Claim, DecodeError, DeviceId, Position, Reader, Record};
use statement::batch::SegmentEntry;
use statement::field;
use statement::operation::SignedOperation;
use statement::tree::{ARITY, DEPTH, Path};
use wire::SignedAccessRequest;

use super::{Begin, OpenWindow};
use crate::stages::ledger::bodies::BodySeal;
use crate::stages::ledger::codec::{
    NAME_BYTES_MIN, read_list, read_map, read_name, read_option, write_count, write_name,
    write_option, write_time,
};
use crate::stages::ledger::consent::{Consent, read_patient};
use crate::stages::ledger::refused::RefusedAccesses;
use crate::stages::ledger::segment::OpenSegment;
use crate::window::AppliedOperation;

/// Least bytes of an operation: the record before may be none.
const OPERATION_BYTES_MIN: usize = SignedOperation::BYTES + 8 + 1 + (DEPTH * ARITY + 1) * 32;

/// What a window is read beside.
#[derive(Clone, Copy)]
pub(in crate::stages::ledger) struct Beside<'a> {
    /// Its deployment.
    pub(in crate::stages::ledger) scope: ChainScope,
    pub(in crate::stages::ledger) consent: &'a Consent,
    /// What opens the last readings of open segments.
    pub(in crate::stages::ledger) bodies: &'a BodySeal,
    /// Whether those stand in the clear, as version 1 wrote them.
    pub(in crate::stages::ledger) is_plain: bool,
}

impl OpenWindow {
    /// Canonical bytes; chain and contract are the ledger's.
    pub(in crate::stages::ledger) fn write(&self, bodies: &BodySeal, out: &mut Vec<u8>) {
        let Begin { number, t0, position_in, .. } = self.begin;
        out.extend(number.0.to_be_bytes());
        write_time(t0, out);
        out.extend(position_in.0.to_be_bytes());
        out.extend(field::to_bytes(&self.root_in));
        write_option(self.first.as_ref(), out, |first, out| write_time(*first, out));
        write_count(self.operations.len(), out);
        self.operations.iter().for_each(|operation| write_operation(operation, out));
        write_count(self.claims.len(), out);
        self.claims.iter().for_each(|claim| out.extend(claim.to_bytes()));
        write_count(self.requests.len(), out);
        for (position, request) in &self.requests {
            out.extend(position.0.to_be_bytes());
            write_count(request.len(), out);
            out.extend(request);
        }
        write_count(self.segments.len(), out);
        self.segments.iter().for_each(|segment| segment.write(out));
        self.refused.write(out);
        write_count(self.open.len(), out);
        for ((patient, device), segment) in &self.open {
            out.extend(patient.get().to_be_bytes());
            write_name(device.as_str(), out);
            segment.write(device, bodies, out);
        }
    }

    /// Reads canonical bytes of a window of this deployment, beside its consent.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub(in crate::stages::ledger) fn read(
        beside: Beside<'_>,
        from: &mut Reader<'_>,
    ) -> Result<OpenWindow, DecodeError> {
        let Beside { scope, consent, bodies, is_plain } = beside;
        let first = |number: u64| (number > 0).then_some(BatchNumber(number));
        let number = from.map("a window's number from 1 on", Reader::u64, first)?;
        let t0 = from.millis()?;
        let begin = Begin { scope, number, t0, position_in: Position(from.u64()?) };
        Ok(OpenWindow {
            // Fields are evaluated in the order in which they stand, which is that of the bytes.
            begin,
            root_in: read_node(from)?,
            first: read_option(from, |from| from.millis())?,
            operations: read_list(OPERATION_BYTES_MIN, from, read_operation)?,
            claims: read_list(Claim::BYTES, from, Claim::read)?,
            requests: read_map(8 + 4, from, read_request)?,
            segments: read_list(SegmentEntry::BYTES, from, SegmentEntry::read)?,
            refused: RefusedAccesses::read(from)?,
            open: read_map(4 + NAME_BYTES_MIN + Claim::BYTES, from, |from| {
                // A segment is cut under the view key of its record, which is there for ever.
                let known = |patient| consent.record(patient).map(|_| patient);
                let patient = from.map("a patient with a record", read_patient, known)?;
                let device = read_name(DeviceId::new, from)?;
                let segment = match is_plain {
                    true => OpenSegment::read_plain(patient, bodies, from)?,
                    false => OpenSegment::read(patient, &device, bodies, from)?,
                };
                Ok(((patient, device), segment))
            })?,
            unread: BTreeSet::new(),
        })
    }

    /// Canonical bytes of which claims have digests that are not those of their readings; none
    /// without any, so that most states end before.
    pub(in crate::stages::ledger) fn write_unread(&self, out: &mut Vec<u8>) {
        if !self.unread.is_empty() {
            write_count(self.unread.len(), out);
            self.unread.iter().for_each(|position| out.extend(position.0.to_be_bytes()));
        }
    }

    /// Reads what [`OpenWindow::write_unread`] wrote, to the end.
    ///
    /// # Errors
    /// [`DecodeError`] if it is of no claims of this window.
    pub(in crate::stages::ledger) fn read_unread(
        &mut self,
        from: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        if from.remaining() == 0 {
            return Ok(());
        }
        let claims: BTreeSet<_> = self.claims.iter().map(|claim| claim.position.0).collect();
        let known = |position: u64| claims.contains(&position).then_some((Position(position), ()));
        let read = |from: &mut Reader<'_>| {
            from.map("the position of a claim of the window", Reader::u64, known)
        };
        let (offset, read) = (from.offset(), read_map(8, from, read)?);
        if read.is_empty() {
            // It would be another encoding of none.
            return Err(DecodeError::Field { offset, expected: "one claim or more, or nothing" });
        }
        self.unread = read.into_keys().collect();
        Ok(())
    }
}

fn write_operation(applied: &AppliedOperation, out: &mut Vec<u8>) {
    let AppliedOperation { signed, t_op, old, path, root_out } = applied;
    out.extend(signed.to_bytes());
    write_time(*t_op, out);
    write_option(old.as_ref(), out, |old, out| out.extend(old.to_bytes()));
    path.iter().flatten().for_each(|node| out.extend(field::to_bytes(node)));
    out.extend(field::to_bytes(root_out));
}

fn read_operation(from: &mut Reader<'_>) -> Result<AppliedOperation, DecodeError> {
    let take = |from: &mut Reader<'_>| from.take(SignedOperation::BYTES).map(<[u8]>::to_vec);
    let signed = |bytes: Vec<u8>| SignedOperation::from_bytes(&bytes).ok();
    let signed = from.map("a signed operation", take, signed)?;
    let t_op = from.millis()?;
    let old = read_option(from, Record::read)?;
    let mut path = Path::default();
    for node in path.iter_mut().flatten() {
        *node = read_node(from)?;
    }
    Ok(AppliedOperation { signed, t_op, old, path, root_out: read_node(from)? })
}

fn read_request(from: &mut Reader<'_>) -> Result<(Position, Vec<u8>), DecodeError> {
    let position = Position(from.u64()?);
    let len = from.count(1)?;
    let take = |from: &mut Reader<'_>| from.take(len).map(<[u8]>::to_vec);
    let request = |bytes: Vec<u8>| SignedAccessRequest::from_bytes(&bytes).is_ok().then_some(bytes);
    Ok((position, from.map("a signed request to read", take, request)?))
}

fn read_node(from: &mut Reader<'_>) -> Result<Fr, DecodeError> {
    from.word().map(|word| field::from_word(&word))
}
