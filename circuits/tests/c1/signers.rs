//! Signers who do not keep to the protocol: whatever the native rules take has rows that hold, and
//! what they refuse has none.

use super::case::*;
use crate::repair::{Change, repaired};
use ark_bn254::Fr;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use ark_std::rand::rngs::StdRng;
use ark_std::rand::{Rng, SeedableRng};
use circuits::c1::{RowError, check_row};
use model::{Action, Interval, Record, Rule, RuleSlot};
use statement::babyjubjub::{self, Point, PointSum, Scalar};
use statement::c1::{Context, apply};
use statement::domain::Domain;
use statement::eddsa::{self, PublicKey, Signature};
use statement::operation::{self, SignedOperation, SignedOperationError};
use statement::{field, poseidon};

/// A key whose owner knows its scalar, and signs with it as it likes.
#[derive(Clone, Copy)]
struct Owner {
    key: PublicKey,
    scalar: Scalar,
}

impl Owner {
    fn new(scalar: Scalar) -> Owner {
        let point = babyjubjub::multiply(&babyjubjub::base(), &scalar).into_affine();
        Owner { key: key_of(point), scalar }
    }

    /// The response to the integer `h` for this nonce.
    fn respond(&self, nonce: Scalar, h: Scalar) -> Scalar {
        nonce + h * Scalar::from(8u8) * self.scalar
    }
}

fn key_of(point: Point) -> PublicKey {
    PublicKey::new(point.x, point.y).expect("a point of the subgroup")
}

fn times_base(nonce: Scalar) -> Point {
    babyjubjub::multiply(&babyjubjub::base(), &nonce).into_affine()
}

/// The canonical challenge, or the other one of 254 bits.
fn challenge(key: &PublicKey, message: Fr, r8: &Point) -> (Scalar, Option<Scalar>) {
    let canonical = eddsa::challenge(key, message, r8).into_bigint();
    let mut second = canonical;
    second.add_with_carry(&Fr::MODULUS);
    let reduce =
        |integer: &ark_ff::BigInt<4>| Scalar::from_le_bytes_mod_order(&integer.to_bytes_le());
    (reduce(&canonical), (second.num_bits() <= 254).then(|| reduce(&second)))
}

/// What an owner may do: the name of the trick, and whether it is a signature all the same.
struct Trick {
    name: &'static str,
    holds: bool,
    sign: fn(&Owner, Fr) -> Signature,
}

const TRICKS: [Trick; 12] = [
    Trick {
        name: "an honest one",
        holds: true,
        sign: |owner, m| with_nonce(owner, m, 99u64.into()),
    },
    Trick { name: "R8 neutral", holds: true, sign: |owner, m| with_nonce(owner, m, Scalar::ZERO) },
    Trick { name: "R8 the base", holds: true, sign: |owner, m| with_nonce(owner, m, Scalar::ONE) },
    Trick { name: "R8 minus it", holds: true, sign: |owner, m| with_nonce(owner, m, -Scalar::ONE) },
    Trick { name: "R8 the key", holds: true, sign: |owner, m| with_nonce(owner, m, owner.scalar) },
    Trick { name: "R8 minus the key", holds: true, sign: |o, m| with_nonce(o, m, -o.scalar) },
    Trick { name: "over h + r", holds: false, sign: over_second_form },
    Trick {
        name: "R8 of order two",
        holds: false,
        sign: |o, m| with_torsion(o, m, Scalar::ZERO, 4),
    },
    Trick {
        name: "R8 of order eight",
        holds: false,
        sign: |o, m| with_torsion(o, m, Scalar::ZERO, 1),
    },
    Trick {
        name: "R8 of mixed order",
        holds: false,
        sign: |o, m| with_torsion(o, m, 7u64.into(), 1),
    },
    Trick { name: "with the other sign", holds: false, sign: with_the_negative_key },
    Trick {
        name: "over no h",
        holds: false,
        sign: |_, _| Signature { r8: times_base(5u64.into()), s: 5u64.into() },
    },
];

fn with_nonce(owner: &Owner, message: Fr, nonce: Scalar) -> Signature {
    let r8 = times_base(nonce);
    let (h, _) = challenge(&owner.key, message, &r8);
    Signature { r8, s: owner.respond(nonce, h) }
}

fn over_second_form(owner: &Owner, message: Fr) -> Signature {
    let signed = |nonce: u64| {
        let r8 = times_base(nonce.into());
        let h = challenge(&owner.key, message, &r8).1?;
        Some(Signature { r8, s: owner.respond(nonce.into(), h) })
    };
    (1..).find_map(signed).expect("a third of the challenges has a second form")
}

/// R8 with a part outside the subgroup: `order` times a point of order eight.
fn with_torsion(owner: &Owner, message: Fr, nonce: Scalar, times: u64) -> Signature {
    let part = torsion().mul_bigint([times]);
    assert!(part != PointSum::ZERO && !babyjubjub::in_subgroup(&part.into_affine()));
    let r8 = (part + times_base(nonce)).into_affine();
    let (h, _) = challenge(&owner.key, message, &r8);
    Signature { r8, s: owner.respond(nonce, h) }
}

fn with_the_negative_key(owner: &Owner, message: Fr) -> Signature {
    with_nonce(&Owner { key: owner.key, scalar: -owner.scalar }, message, 3u64.into())
}

/// A point of order eight: `l` times a point outside the subgroup.
fn torsion() -> Point {
    let points = (2u64..).filter_map(|y| {
        let point = babyjubjub::unpack(&field::to_bytes_le(&Fr::from(y))).ok()?;
        Some(point.mul_bigint(Scalar::MODULUS).into_affine())
    });
    let of_order_eight = |point: &Point| point.mul_bigint([4u64]) != PointSum::ZERO;
    points.into_iter().find(of_order_eight).expect("half of all points")
}

/// The case with this key as the record's or the registrar's.
struct Ownership {
    record: Option<Record>,
    context: Context,
    case: Case,
}

impl Ownership {
    fn of(case: Case, key: &PublicKey) -> Ownership {
        let mut record = case.old.clone();
        let mut registrar_key_hash = registrar().public().hash();
        match &mut record {
            Some(record) => record.key_hash = field::to_word(&key.hash()),
            None => registrar_key_hash = key.hash(),
        }
        let context = Context {
            sig_domain: case.signed_domain,
            registrar_key_hash,
            t0: at(0),
            last_time: case.time_in,
            t_op: case.t_op,
            t1: None,
        };
        Ownership { record, context, case }
    }

    fn message(&self) -> Fr {
        operation::message(self.context.sig_domain, &self.case.operation)
    }

    /// Asserts that both twins take the signature, or that both refuse it for C1.7.
    fn assert_twins(&self, signer: PublicKey, signature: Signature, holds: bool, name: &str) {
        let operation = self.case.operation.clone();
        let signed = SignedOperation { operation, signer, signature };
        // As it comes over the wire.
        let signed = SignedOperation::from_bytes(&signed.to_bytes()).expect("well formed");
        let native = apply(self.record.as_ref(), &signed, &self.context);
        let rows = check_row(self.record.as_ref(), &signed, &self.context);
        let kind = self.case.operation.kind();
        match holds {
            true => {
                assert!(native.is_ok(), "{name}, {kind:?}: {native:?}");
                assert_eq!(rows, Ok(()), "{name}, {kind:?}");
            }
            false => {
                let refused = native.map(|_| ()).map_err(|error| error.rule.number);
                assert_eq!(refused, Err(7), "{name}, {kind:?}");
                assert_eq!(rows, Err(RowError::Violated { rule: "C1.7" }), "{name}, {kind:?}");
            }
        }
    }
}

/// One operation of each kind.
fn kinds() -> [Case; 6] {
    let revocation = Action::Revoke { slot: RuleSlot::Permit(0), rule: permit() };
    [
        Case::new(None, enrolment()),
        Case::permit(permit()),
        Case::on_record(write(RuleSlot::Deny(0), permit())),
        Case::on_record(write(RuleSlot::Policy(1), policy())),
        Case::on_record(revocation),
        Case::stop(),
    ]
}

#[test]
fn c1_7_what_an_owner_signs_by_a_trick_is_one_for_both_twins_or_for_none() {
    let owner = Owner::new(Scalar::from(0x1234_5678_9abc_def1u64));
    for case in kinds() {
        let owned = Ownership::of(case, &owner.key);
        for trick in &TRICKS {
            let signature = (trick.sign)(&owner, owned.message());
            owned.assert_twins(owner.key, signature, trick.holds, trick.name);
        }
    }
}

#[test]
fn c1_7_keys_made_from_constants_are_keys_like_others() {
    let eighth = Scalar::from(8u8).inverse().expect("not zero");
    let small = [1u64, 2, 3, 5, 7, 8, 64].map(Scalar::from);
    // Those that the tables of the rows hold, those next to them, and their negatives.
    let scalars = small.into_iter().chain([eighth, Scalar::from(2u8).pow([252]) + Scalar::ONE]);
    for scalar in scalars.flat_map(|scalar| [scalar, -scalar]) {
        let owner = Owner::new(scalar);
        let owned = Ownership::of(Case::stop(), &owner.key);
        for trick in &TRICKS[..7] {
            let signature = (trick.sign)(&owner, owned.message());
            owned.assert_twins(owner.key, signature, trick.holds, trick.name);
        }
    }
}

/// `U` of the circuit, read anew from its definition.
fn start_point() -> Point {
    let y = |k: u64| poseidon::hash(Domain::CurveStart.tag(), &[k.into()]);
    let mut points = (1..).filter_map(|k| babyjubjub::unpack(&field::to_bytes_le(&y(k))).ok());
    points.next().expect("half of all y have a point").mul_by_cofactor()
}

#[test]
fn c1_7_a_key_made_from_the_circuits_start_point_signs_for_nobody() {
    // Nobody knows its logarithm, so that no signature is known; the tries of an owner who takes
    // another for it are refused by both, also where the rows' additions meet a point twice.
    let (start, half) = (start_point(), Scalar::from(2u8).inverse().expect("not zero"));
    let shifted = Scalar::from(2u8).pow([254]);
    let factors = [Scalar::ONE, half, half * half, shifted, shifted * half * half];
    for factor in factors.into_iter().flat_map(|factor| [factor, -factor]) {
        let key = key_of(babyjubjub::multiply(&start, &factor).into_affine());
        let owned = Ownership::of(Case::stop(), &key);
        for scalar in [Scalar::ONE, factor] {
            let pretender = Owner { key, scalar };
            let signature = with_nonce(&pretender, owned.message(), 9u64.into());
            owned.assert_twins(key, signature, false, "a pretender");
        }
    }
}

#[test]
fn c1_7_s_is_taken_up_to_its_last_value_and_not_beyond() {
    let owner = Owner::new(Scalar::from(11u8));
    let owned = Ownership::of(Case::stop(), &owner.key);
    let honest = with_nonce(&owner, owned.message(), 4u64.into());
    for s in [Scalar::ZERO, Scalar::ONE, -Scalar::ONE, honest.s + Scalar::ONE, -honest.s] {
        owned.assert_twins(owner.key, Signature { s, ..honest }, false, "another S");
    }
    // S + l, which is the same modulo l, l itself and what lies above are no encodings.
    let operation = owned.case.operation.clone();
    let signed = SignedOperation { operation, signer: owner.key, signature: honest };
    let order = Scalar::MODULUS;
    let (mut above, mut alias) = (order, order);
    above.add_with_carry(&1u64.into());
    alias.add_with_carry(&honest.s.into_bigint());
    for integer in [order, above, alias] {
        let mut bytes = signed.to_bytes();
        let s = bytes.len() - 32;
        bytes[s..].copy_from_slice(&integer.to_bytes_le());
        let refused = SignedOperation::from_bytes(&bytes);
        assert!(matches!(refused, Err(SignedOperationError::Signature(_))), "{refused:?}");
    }
}

#[test]
fn c1_7_both_twins_agree_on_drawn_owners_and_tricks() {
    let seed = 20;
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..40 {
        let scalar = Scalar::from_le_bytes_mod_order(&rng.r#gen::<[u8; 32]>());
        let owner = Owner::new(scalar);
        let [case, ..] = {
            let mut kinds = kinds();
            kinds.rotate_left(rng.gen_range(0..6));
            kinds
        };
        let owned = Ownership::of(case, &owner.key);
        let trick = &TRICKS[rng.gen_range(0..TRICKS.len())];
        let signature = (trick.sign)(&owner, owned.message());
        owned.assert_twins(owner.key, signature, trick.holds, trick.name);
    }
}

#[test]
fn a_row_that_the_native_rules_refuse_is_not_asked() {
    let owner = Owner::new(Scalar::from(13u8));
    let nobody = Interval { from: at(7), until: at(7) };
    let empty = Case::permit(Rule { data: nobody, ..permit() });
    let owned = Ownership::of(empty, &owner.key);
    let signature = with_nonce(&owner, owned.message(), 4u64.into());
    let operation = owned.case.operation.clone();
    let signed = SignedOperation { operation, signer: owner.key, signature };
    let Err(RowError::Refused(refused)) = check_row(owned.record.as_ref(), &signed, &owned.context)
    else {
        panic!("an empty period is refused natively")
    };
    assert_eq!(refused.rule.number, 16);
}

#[test]
fn a_key_that_is_not_the_records_is_named_by_its_rule() {
    let owner = Owner::new(Scalar::from(17u8));
    let owned = Ownership::of(Case::stop(), &owner.key);
    let other = Owner::new(Scalar::from(19u8));
    let signature = with_nonce(&other, owned.message(), 4u64.into());
    let operation = owned.case.operation.clone();
    let signed = SignedOperation { operation, signer: other.key, signature };
    let found = check_row(owned.record.as_ref(), &signed, &owned.context);
    assert_eq!(found, Err(RowError::Violated { rule: "C1.27" }));
}

/// The integer that the second form is, above the modulus.
fn second_form(key: &PublicKey, message: Fr, r8: &Point) -> ark_ff::BigInt<4> {
    let mut second = eddsa::challenge(key, message, r8).into_bigint();
    second.add_with_carry(&Fr::MODULUS);
    second
}

#[test]
fn c1_7_the_upper_bits_alone_keep_the_second_form_of_a_challenge_out() {
    let owner = Owner::new(Scalar::from(23u8));
    let owned = Ownership::of(Case::stop(), &owner.key);
    let signature = over_second_form(&owner, owned.message());
    let mut case = owned.case;
    case.old = owned.record;
    let mut chunk = case.chunk();
    (chunk.rows[0].signed.signer, chunk.rows[0].signed.signature) = (owner.key, signature);
    refused(&chunk, 7);
    // The prover takes the other 254 bits, with which the equation holds.
    let message = operation::message(chunk.sig_domain, &case.operation);
    let second = second_form(&owner.key, message, &signature.r8);
    let r1cs = single();
    let bits = (0..r1cs.a.len()).filter(|row| {
        let lengths = (r1cs.a[*row].len(), r1cs.b[*row].len(), r1cs.c[*row].len());
        r1cs.rules[*row] == "C1.7" && lengths == (2, 1, 0)
    });
    let bits = bits.map(|row| r1cs.b[row][0].1 as usize - r1cs.instances).take(254);
    let cells = bits.enumerate().map(|(place, cell)| (cell, Fr::from(second.get_bit(place))));
    let change = Change { cells: cells.collect(), claimed: vec![] };
    let moved = repaired(r1cs, assignment(&claimed(&chunk), &chunk), &change);
    assert_eq!(all_violated(&moved), ["C1.7"]);
}
