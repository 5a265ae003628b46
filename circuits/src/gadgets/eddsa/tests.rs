use super::*;
use crate::gadgets::check::{check, rejected};
use serde_json::Value;
use statement::eddsa::{self as twin, SecretKey};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../vectors/primitives.json")).expect("JSON")
}

fn element(value: &Value) -> Fr {
    value.as_str().expect("a string").parse().expect("a field element")
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let bytes = hex::decode(value.as_str().expect("a string")).expect("hex");
    bytes.try_into().expect("as many bytes as the test expects")
}

/// Allocates everything and verifies.
fn circuit(b: &mut Builder, key: &native::Point, message: Fr, signature: &Signature) {
    let public = PublicKey::alloc(b, key);
    let message = b.input(message);
    verify_if(b, &Bit::constant(true), &public, &message, signature);
}

#[test]
fn signatures_of_circomlibjs_are_accepted_in_the_pinned_number_of_rows() {
    let vectors = vectors();
    for case in vectors["signatures"].as_array().expect("a list").iter().step_by(4) {
        let key = twin::PublicKey::decode(&bytes(&case["key"]["packed"])).expect("a key").point();
        let signature = Signature::decode(&bytes(&case["signature"]["packed"])).expect("one");
        let (r1cs, _, movable) = check(|b| circuit(b, &key, element(&case["message"]), &signature));
        assert_eq!((r1cs.a.len(), movable), (16 + 2932, 0));
    }
}

#[test]
fn what_the_twin_rejects_is_rejected() {
    for case in vectors()["rejected_signatures"].as_array().expect("a list") {
        let key = twin::PublicKey::decode(&bytes(&case["key"])).expect("a key");
        let signature = Signature::decode(&bytes(&case["signature"])).expect("well formed");
        let message = element(&case["message"]);
        assert!(!twin::verify(&key, message, &signature));
        rejected(|b| circuit(b, &key.point(), message, &signature));
    }
}

#[test]
fn r8_off_the_curve_and_keys_that_are_none_are_rejected() {
    let key = SecretKey::from_bytes(&[1; 32]);
    let message = Fr::from(5u8);
    let good = twin::sign(&key, message);
    let off = native::Point::new_unchecked(good.r8.x + Fr::ONE, good.r8.y);
    let point = key.public().point();
    rejected(|b| circuit(b, &point, message, &Signature { r8: off, ..good }));
    rejected(|b| circuit(b, &native::Point::zero(), message, &good));
    rejected(|b| circuit(b, &off, message, &good));
}

#[test]
fn every_s_has_digits_and_they_are_those_of_s() {
    let largest = -Scalar::ONE;
    for s in [Scalar::ZERO, Scalar::ONE, Scalar::from(2u8), largest, largest - Scalar::ONE] {
        let value = digits(&s).collect::<Vec<_>>().iter().rev().fold(Scalar::ZERO, |sum, digit| {
            let odd = Scalar::from(2 * digit.half + 1);
            sum * Scalar::from(8u8) + if digit.negative { -odd } else { odd }
        });
        assert_eq!(value, s);
        let expected = tables().start_shifted.1;
        let (r1cs, assignment, movable) = check(|b| {
            let sum = fixed_base(b, &s);
            assert!(s != Scalar::ZERO || (sum.u.value(), sum.v.value()) == expected);
        });
        assert_eq!((r1cs.a.len(), movable), (WINDOWS * 8, 0));
        assert_eq!(assignment.instance.len(), 1);
    }
}

#[test]
fn the_second_form_of_a_challenge_is_a_split_of_it_that_the_comparison_refuses() {
    let h = Fr::from(77u8);
    let mut second = h.into_bigint();
    second.add_with_carry(&Fr::MODULUS);
    let split = |b: &mut Builder| {
        let num = b.alloc(h);
        let bits: Vec<Bit> = (0..CHALLENGE_BITS).map(|i| b.bit(second.get_bit(i))).collect();
        b.enforce_equal(&Num::pack(&bits), &num);
        bits
    };
    // So the comparison alone keeps it out, and with it the one row of its sum.
    check(|b| drop(split(b)));
    rejected(|b| {
        let bits = split(b);
        enforce_one_form(b, &bits);
    });
}

#[test]
fn a_challenge_is_taken_up_to_the_upper_bits_of_r() {
    let first_refused =
        Fr::from(2u8).pow([u64::from(CHALLENGE_UPPER)]) * from_u128(CHALLENGE_UPPER_BOUND);
    for h in [Fr::ZERO, Fr::ONE, first_refused - Fr::ONE] {
        let (r1cs, _, movable) = check(|b| {
            let num = b.input(h);
            challenge_bits(b, &num);
        });
        assert_eq!((r1cs.a.len(), movable), (384, 0));
    }
    for h in [first_refused, -Fr::ONE] {
        rejected(|b| {
            let num = b.input(h);
            challenge_bits(b, &num);
        });
    }
}

#[test]
fn a_disabled_row_takes_any_signature_and_still_wants_a_key() {
    let key = SecretKey::from_bytes(&[2; 32]).public();
    let dummy = Signature { r8: native::base(), s: Scalar::ZERO };
    let circuit = |b: &mut Builder, enabled: bool, key: &native::Point| {
        let condition = b.bit(enabled);
        let public = PublicKey::alloc(b, key);
        verify_if(b, &condition, &public, &Num::from(1), &dummy);
    };
    check(|b| circuit(b, false, &key.point()));
    rejected(|b| circuit(b, true, &key.point()));
    rejected(|b| circuit(b, false, &native::Point::zero()));
}

#[test]
fn keys_hash_to_the_word_of_their_twin() {
    let key = SecretKey::from_bytes(&[3; 32]).public();
    let (r1cs, _, movable) = check(|b| {
        let public = PublicKey::alloc(b, &key.point());
        let hash = public.hash(b);
        let expected = b.input(key.hash());
        b.enforce_equal(&hash, &expected);
    });
    assert_eq!((r1cs.a.len(), movable), (16 + 240 + 1, 0));
}

#[test]
fn the_starting_point_is_in_the_subgroup() {
    assert!(native::in_subgroup(&start_point()));
}
