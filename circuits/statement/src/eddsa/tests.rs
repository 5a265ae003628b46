use super::*;
use crate::vectors::{bytes, element, primitives, text};
use ark_ff::{AdditiveGroup, BigInteger, Field};

#[test]
fn keys_and_signatures_equal_circomlibjs_byte_for_byte() {
    for case in primitives()["signatures"].as_array().expect("a list") {
        let key = SecretKey::from_bytes(&bytes(&case["secret"]));
        let public = key.public();
        assert_eq!(public.encode(), bytes(&case["key"]["packed"]));
        assert_eq!(PublicKey::decode(&public.encode()), Ok(public));
        assert_eq!(PublicKey::new(public.point().x, public.point().y), Ok(public));

        let message = element(&case["message"]);
        let signature = sign(&key, message);
        let packed: [u8; 64] = bytes(&case["signature"]["packed"]);
        assert_eq!(signature.encode(), packed);
        assert_eq!(Signature::decode(&packed), Ok(signature));
        assert!(verify(&public, message, &signature));
        assert!(verify_bytes(&public.encode(), field::to_word(&message), &packed));
    }
}

#[test]
fn a_signature_changed_anywhere_is_rejected() {
    let vectors = primitives();
    let cases = vectors["rejected_signatures"].as_array().expect("a list");
    assert_eq!(cases.len(), 7);
    for case in cases {
        let public = PublicKey::decode(&bytes(&case["key"])).expect("a key");
        let signature = Signature::decode(&bytes(&case["signature"])).expect("a signature");
        assert!(!verify(&public, element(&case["message"]), &signature), "{}", case["why"]);
        let message = field::to_word(&element(&case["message"]));
        assert!(!verify_bytes(&bytes(&case["key"]), message, &bytes(&case["signature"])));
    }
}

#[test]
fn bytes_that_are_no_key_or_no_signature_verify_nothing() {
    let key = SecretKey::from_bytes(&[3; 32]);
    let message = Fr::from(5);
    let (public, signature) = (key.public().encode(), sign(&key, message).encode());
    let word = field::to_word(&message);
    assert!(verify_bytes(&public, word, &signature));
    // No point of the curve; the neutral element; an S that is not reduced.
    let neutral = {
        let mut packed = [0; 32];
        packed[0] = 1;
        packed
    };
    for key in [[0xff; 32], neutral] {
        assert!(!verify_bytes(&key, word, &signature));
    }
    let mut unreduced = signature;
    unreduced[32..].fill(0xff);
    assert!(!verify_bytes(&public, word, &unreduced) && !verify_bytes(&public, word, &[0xff; 64]));
}

#[test]
fn a_key_of_low_or_mixed_order_is_refused() {
    for case in primitives()["rejected_keys"].as_array().expect("a list") {
        let refused = PublicKey::decode(&bytes(&case["packed"])).expect_err(text(&case["why"]));
        match text(&case["why"]) {
            "the identity" => assert_eq!(refused, PointError::Identity),
            "the point of order two" | "a point of low order" | "a point outside the subgroup" => {
                assert_eq!(refused, PointError::OutsideSubgroup)
            }
            _ => (),
        }
    }
    assert_eq!(PublicKey::new(Fr::ONE, Fr::ONE), Err(PointError::NotOnCurve));
}

#[test]
fn s_at_or_above_the_order_is_refused() {
    let key = SecretKey::from_bytes(&[3; 32]);
    let mut signature = sign(&key, Fr::ONE).encode();
    signature[32..].copy_from_slice(&field::limbs_to_bytes_le(&Scalar::MODULUS));
    assert_eq!(Signature::decode(&signature), Err(SignatureError::SNotReduced));
    let largest = field::limbs_to_bytes_le(&(-Scalar::ONE).into_bigint());
    signature[32..].copy_from_slice(&largest);
    assert!(Signature::decode(&signature).is_ok());
}

#[test]
fn of_the_two_forms_of_a_challenge_the_upper_bits_pass_at_most_one() {
    let room = {
        let mut room = BigInt::<4>::from(1u8);
        room <<= 254;
        room.sub_with_borrow(&Fr::MODULUS);
        Fr::from_bigint(room).expect("less than the modulus")
    };
    // Those with a second form of 254 bits, at both ends, and the first without.
    for h in [Fr::ZERO, Fr::ONE, room - Fr::ONE, room] {
        let mut second = h.into_bigint();
        second.add_with_carry(&Fr::MODULUS);
        assert!(has_one_form(&h));
        assert!(upper_bits(&second) >= CHALLENGE_UPPER_BOUND || second.num_bits() > 254);
    }
}

#[test]
fn a_challenge_with_the_upper_bits_of_r_is_refused() {
    let lowest_refused = {
        let mut lowest = Fr::MODULUS;
        lowest >>= CHALLENGE_UPPER;
        lowest <<= CHALLENGE_UPPER;
        Fr::from_bigint(lowest).expect("less than the modulus")
    };
    assert!(has_one_form(&(lowest_refused - Fr::ONE)));
    assert!(!has_one_form(&lowest_refused));
    assert!(!has_one_form(&-Fr::ONE));
    assert_eq!(CHALLENGE_UPPER_BOUND, 0xc191_39cb_84c6_80a6_e141_16da_0605_6174);
}

#[test]
fn a_signature_over_the_second_form_is_refused() {
    let key = SecretKey::from_bytes(&[4; 32]);
    let (message, signature) = (1u64..)
        .map(Fr::from)
        .find_map(|message| Some((message, sign_second(&key, message)?)))
        .expect("a third of the challenges has a second form");
    assert!(!verify(&key.public(), message, &signature));
    // The same but for `h`: only that keeps it out.
    assert!(verify(&key.public(), message, &sign(&key, message)));
}

/// Signs over `h + r` where that has 254 bits.
fn sign_second(key: &SecretKey, message: Fr) -> Option<Signature> {
    let nonce = Scalar::from(99u8);
    let r8 = babyjubjub::multiply(&babyjubjub::base(), &nonce).into_affine();
    let mut second = challenge(&key.public, message, &r8).into_bigint();
    second.add_with_carry(&Fr::MODULUS);
    let h = Scalar::from_le_bytes_mod_order(&field::limbs_to_bytes_le(&second));
    let signature = Signature { r8, s: nonce + h * Scalar::from(8u8) * key.scalar };
    (second.num_bits() <= 254).then_some(signature)
}

#[test]
fn every_attempt_has_a_nonce_of_its_own_and_a_signature_that_verifies() {
    let key = SecretKey::from_bytes(&[7; 32]);
    let message = Fr::from(5u8);
    let attempts: Vec<Signature> =
        (0..3).map(|attempt| sign_with(&key, message, attempt).expect("one form")).collect();
    assert_eq!(attempts[0], sign(&key, message));
    for (number, signature) in attempts.iter().enumerate() {
        assert!(verify(&key.public(), message, signature));
        assert!(attempts[..number].iter().all(|before| before.r8 != signature.r8));
        assert_eq!(sign_with(&key, message, number as u64).as_ref(), Some(signature));
    }
}

#[test]
fn debug_shows_neither_secret_nor_key() {
    let key = SecretKey::from_bytes(&[5; 32]);
    assert_eq!(format!("{key:?}"), "SecretKey(..)");
    assert_eq!(format!("{:?}", key.public()).len(), "PublicKey(#01234567)".len());
}

#[test]
fn keys_hash_under_their_own_tag() {
    let public = SecretKey::from_bytes(&[6; 32]).public();
    let plain = poseidon::hash(Fr::ZERO, &[public.point().x, public.point().y]);
    assert_ne!(public.hash(), plain);
}
