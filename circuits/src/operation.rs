//! What is signed of an operation, and the operation as a leaf, twin of `statement::operation`.

use crate::builder::{Bit, Builder, Num};
use crate::gadgets::poseidon;
use ark_bn254::Fr;
use statement::domain::Domain;
use statement::field::two_to;
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

/// The words that a message hashes, in order.
pub struct MessageWords<'a> {
    /// Binds to chain and contract.
    pub sig_domain: &'a Num,
    /// The patient's index.
    pub index: &'a Num,
    /// The record's nonce.
    pub nonce: &'a Num,
    /// Kind, slot and times: [`head`].
    pub head: &'a Num,
    /// Hash of the argument words: [`argument`].
    pub argument: &'a Num,
}

/// What the patient or the registrar signs: 321 rows.
pub fn message(b: &mut Builder, words: &MessageWords<'_>) -> Num {
    let MessageWords { sig_domain, index, nonce, head, argument } = *words;
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
    // At most one bit is set, so that the sum is its place; C1.1 and C1.13 see to that.
    Num::combination(hot.iter().enumerate().map(|(i, bit)| (Fr::from(i as u64), bit.num())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadgets::check::check;
    use model::{Action, Millis, Operation, PatientIndex, RuleSlot, Word};
    use statement::field::{from_u64, from_word};
    use statement::operation as native;

    #[test]
    fn argument_head_message_and_leaf_equal_their_twins() {
        let words = [(1 << 40) + 5, u64::MAX, 7].map(Word::from_u64);
        let [key_hash, view_key, salt] = words;
        let operation = Operation {
            patient: PatientIndex::new((1 << 24) - 1).expect("24 bits"),
            nonce: u32::MAX,
            signed_at: Millis::new(1).expect("44 bits"),
            valid_until: Millis::UNBOUNDED_FUTURE,
            action: Action::Enrol { key_hash, view_key, salt },
        };
        let sig_domain = -Fr::from(1u8);
        let expected = native::message(sig_domain, &operation);
        let t_op = Millis::UNBOUNDED_FUTURE;
        let (r1cs, _, movable) = check(|b| {
            let kinds = b.choice(usize::from(operation.kind().number()), 7);
            let slots: Vec<Bit> = (0..RuleSlot::COUNT).map(|_| Bit::constant(false)).collect();
            let [signed_at, valid_until] = [operation.signed_at, operation.valid_until]
                .map(|time| Num::constant(from_u64(time.get())));
            let head = head(&kinds, &slots, &signed_at, &valid_until);
            assert_eq!(head.value(), native::head(&operation));
            let words = words.map(|word| b.alloc(from_word(&word)));
            let argument = argument(b, &words);
            let numbers = [
                sig_domain,
                Fr::from(operation.patient.get()),
                Fr::from(operation.nonce),
                from_u64(t_op.get()),
                Fr::from(9u8),
            ];
            let [scope, index, nonce, time, salt] = numbers.map(|value| b.alloc(value));
            let words = MessageWords {
                sig_domain: &scope,
                index: &index,
                nonce: &nonce,
                head: &head,
                argument: &argument,
            };
            let message = message(b, &words);
            assert_eq!(message.value(), expected);
            let leaf = leaf(b, &message, &time, &salt);
            let public = b.input(native::leaf(expected, t_op, Fr::from(9u8)));
            b.enforce_equal(&leaf, &public);
        });
        assert_eq!((r1cs.a.len(), movable), (8 + 261 + 321 + 261 + 1, 0));
    }
}
