//! What is signed of an operation, and the operation as a leaf, twin of `statement::operation`.

use crate::builder::{Bit, Builder, Num};
use crate::claim::two_to;
use crate::gadgets::poseidon;
use ark_bn254::Fr;
use statement::domain::Domain;
use statement::operation::{HEAD_SIGNED_AT, HEAD_SLOT, HEAD_VALID_UNTIL};

/// The hash of the three argument words: 261 rows.
pub fn argument(b: &mut Builder, words: &[Num; 3]) -> Num {
    poseidon::hash(b, Domain::Rule.tag(), words)
}

/// Kind, slot and times in one word: no row. `kinds` and `slots` are one-hot; the caller bounds the
/// times (SPEC.md section 5).
pub fn head(kinds: &[Bit], slots: &[Bit], signed_at: &Num, valid_until: &Num) -> Num {
    place(kinds)
        + place(slots) * two_to(HEAD_SLOT)
        + signed_at * two_to(HEAD_SIGNED_AT)
        + valid_until * two_to(HEAD_VALID_UNTIL)
}

/// What the patient or the registrar signs: 321 rows.
pub fn message(
    b: &mut Builder,
    sig_domain: &Num,
    index: &Num,
    nonce: &Num,
    head: &Num,
    argument: &Num,
) -> Num {
    let parts = [sig_domain, index, nonce, head, argument].map(Num::clone);
    poseidon::hash(b, Domain::Operation.tag(), &parts)
}

/// The leaf that commits to an operation and to when it took effect: 261 rows.
pub fn leaf(b: &mut Builder, message: &Num, t_op: &Num, salt: &Num) -> Num {
    let parts = [message, t_op, salt].map(Num::clone);
    poseidon::hash(b, Domain::OperationLeaf.tag(), &parts)
}

/// The place of the set bit, 0 if none is.
fn place(hot: &[Bit]) -> Num {
    Num::combination(hot.iter().enumerate().map(|(i, bit)| (Fr::from(i as u64), bit.num())))
}
