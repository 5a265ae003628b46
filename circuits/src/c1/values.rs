//! What a row is assigned: an operation as it came, or padding. Nothing is checked here, so that
//! bad operations reach the rows that refuse them.

use super::parts::WITH_SLOT;
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::{Record, Word};
use statement::babyjubjub::Point;
use statement::c1::{Chunk, Row};
use statement::eddsa::{self, SecretKey, Signature};
use statement::field::{from_u64, from_word};
use statement::tree::{Path, Tree};
use std::sync::OnceLock;

/// The private values of C1, one row for each of the capacity.
#[derive(Clone)]
pub struct Values {
    /// At least one.
    pub rows: Vec<RowValues>,
}

/// The private values of a row. Whatever the circuit can compute is not among them.
#[derive(Clone)]
pub struct RowValues {
    /// 0 padding, otherwise the number of the operation's kind.
    pub kind: usize,
    /// Number of the slot of a write or a revocation.
    pub slot: Option<usize>,
    /// Patient index, 24 bits.
    pub index: u32,
    /// The nonce that was signed.
    pub nonce: Fr,
    /// When the signer signed.
    pub signed_at: Fr,
    /// Until when the operation may take effect.
    pub valid_until: Fr,
    /// The argument words.
    pub words: [Fr; 3],
    /// The record before; of an enrolment, the record it makes.
    pub record: Record,
    /// Opens the index under the root before.
    pub path: Path,
    /// When it takes effect; of padding, the time of the row before.
    pub t_op: Fr,
    /// The root after; of padding, the root before.
    pub root_out: Fr,
    /// The signer's key.
    pub signer: Point,
    /// The signature.
    pub signature: Signature,
    /// Blinds the row's leaf.
    pub op_salt: Fr,
}

impl Values {
    /// The rows of `chunk`, filled up with padding.
    ///
    /// # Panics
    /// If the capacity is 0 or below the number of rows: a shape has its capacity, and
    /// [`statement::c1::check`] refuses more rows.
    pub fn of(chunk: &Chunk) -> Values {
        let (capacity, rows) = (chunk.capacity.max(1), chunk.rows.len());
        assert!(rows <= chunk.capacity.max(1), "a chunk holds at most {capacity} operations");
        let mut values: Vec<RowValues> = chunk.rows.iter().map(RowValues::of).collect();
        let begin = (from_u64(chunk.time_in.get()), chunk.root_in);
        // Padding comes last and leaves time and root where the operations left them.
        let (t_op, root_out) = values.last().map_or(begin, |row| (row.t_op, row.root_out));
        values.resize_with(capacity, || RowValues::padding(t_op, root_out));
        Values { rows: values }
    }
}

impl RowValues {
    pub(super) fn of(row: &Row) -> RowValues {
        let operation = &row.signed.operation;
        let words = operation.argument_words();
        let [key_hash, view_key, salt] = words;
        let enrolled = || Record::enrolled(key_hash, view_key, salt);
        let kind = usize::from(operation.kind().number());
        let slot = usize::from(operation.slot_number());
        RowValues {
            kind,
            slot: WITH_SLOT.contains(&kind).then_some(slot),
            index: operation.patient.get(),
            nonce: from_u64(u64::from(operation.nonce)),
            signed_at: from_u64(operation.signed_at.get()),
            valid_until: from_u64(operation.valid_until.get()),
            words: words.map(|word| from_word(&word)),
            record: row.old.clone().unwrap_or_else(enrolled),
            path: row.path,
            t_op: from_u64(row.t_op.get()),
            root_out: row.root_out,
            signer: row.signed.signer.point(),
            signature: row.signed.signature,
            op_salt: row.op_salt,
        }
    }

    /// A row without effect, at this time and root.
    fn padding(t_op: Fr, root_out: Fr) -> RowValues {
        let Idle { signer, signature, path } = *idle();
        RowValues {
            kind: 0,
            slot: None,
            index: 0,
            nonce: Fr::ZERO,
            signed_at: t_op,
            // The times that C1.4 and C1.5 take, since their rows ask padding too.
            valid_until: t_op + Fr::from(1u8),
            words: [Fr::ZERO; 3],
            record: Record::enrolled(Word::ZERO, Word::ZERO, Word::ZERO),
            path,
            t_op,
            root_out,
            signer,
            signature,
            op_salt: Fr::ZERO,
        }
    }
}

/// What a padding row computes with and nobody demands anything of. The key is public: nobody's.
struct Idle {
    signer: Point,
    signature: Signature,
    path: Path,
}

fn idle() -> &'static Idle {
    static IDLE: OnceLock<Idle> = OnceLock::new();
    IDLE.get_or_init(|| {
        // Also padding verifies a signature, so that its rows are those of an operation; any key of
        // the subgroup and any point as R8 will do.
        let key = SecretKey::from_bytes(b"signs nothing, pads rows of C1..");
        let signature = eddsa::sign(&key, Fr::ZERO);
        Idle { signer: key.public().point(), signature, path: Tree::new().path(0) }
    })
}
