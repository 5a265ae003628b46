//! The JSON files of snarkjs: verification key, proof and public inputs, in decimal numbers.
//!
//! Points are projective with z = 1 and Fq2 elements list the real part first: the opposite of the
//! words on chain. Everything is read by way of those words, so that one place checks points.

use ark_bn254::Fr;
use ark_ff::{BigInt, BigInteger, PrimeField};
use num_bigint::BigUint;
use num_traits::Num;
use serde_json::{Value, json};
use statement::proof::{PointError, Proof, VerifyingKey};

/// `verification_key.json`.
pub fn verification_key_json(key: &VerifyingKey) -> Value {
    let words = key.key_words();
    let ic: Vec<Value> = words[14..].chunks_exact(2).map(g1).collect();
    json!({
        "protocol": "groth16",
        "curve": "bn128",
        "nPublic": key.input_count(),
        "vk_alpha_1": g1(&words[0..2]),
        "vk_beta_2": g2(&words[2..6]),
        "vk_gamma_2": g2(&words[6..10]),
        "vk_delta_2": g2(&words[10..14]),
        "IC": ic,
    })
}

/// `proof.json`.
pub fn proof_json(proof: &Proof) -> Value {
    let bytes = proof.encode();
    let (words, _) = bytes.as_chunks::<32>();
    json!({
        "pi_a": g1(&words[0..2]),
        "pi_b": g2(&words[2..6]),
        "pi_c": g1(&words[6..8]),
        "protocol": "groth16",
        "curve": "bn128",
    })
}

/// `public.json`: the inputs without the constant one.
pub fn public_json(inputs: &[Fr]) -> Value {
    inputs.iter().map(|input| decimal(&input.into_bigint().to_bytes_be())).collect()
}

/// Reads a `verification_key.json` from anywhere.
///
/// # Errors
/// [`JsonError`] for another structure or protocol, and for every point that a key may not have.
pub fn read_verification_key(file: &Value) -> Result<VerifyingKey, JsonError> {
    expect_groth16(file)?;
    let mut words = read_g1(file, "vk_alpha_1")?;
    for name in ["vk_beta_2", "vk_gamma_2", "vk_delta_2"] {
        words.extend(read_g2(file, name)?);
    }
    let ic = file["IC"].as_array().ok_or(JsonError::Shape { field: "IC" })?;
    for point in ic {
        words.extend(read_point(point, "IC")?);
    }
    Ok(VerifyingKey::from_words(&words)?)
}

/// Reads a `proof.json` from anywhere.
///
/// # Errors
/// [`JsonError`] for another structure or protocol, and for points that a proof may not have.
pub fn read_proof(file: &Value) -> Result<Proof, JsonError> {
    expect_groth16(file)?;
    let words = [read_g1(file, "pi_a")?, read_g2(file, "pi_b")?, read_g1(file, "pi_c")?].concat();
    Ok(Proof::decode(&words.concat())?)
}

/// Reads a `public.json`. Inputs must be below the modulus of the scalar field: the chain refuses
/// others, because they would give one statement many names.
///
/// # Errors
/// [`JsonError`].
pub fn read_public(file: &Value) -> Result<Vec<Fr>, JsonError> {
    let field = "public inputs";
    let inputs = file.as_array().ok_or(JsonError::Shape { field })?;
    let read = |value: &Value| {
        let word = read_number(value, field)?;
        let (chunks, _) = word.as_chunks::<8>();
        let limbs = BigInt::new(std::array::from_fn(|i| u64::from_be_bytes(chunks[3 - i])));
        Fr::from_bigint(limbs).ok_or(JsonError::Number { field })
    };
    inputs.iter().map(read).collect()
}

/// Why a JSON file is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Another proof system or curve.
    #[error("expected protocol groth16 on curve bn128")]
    Protocol,
    /// A field is missing or has another structure.
    #[error("{field}: expected the arrays of decimal strings that snarkjs writes")]
    Shape {
        /// Its name.
        field: &'static str,
    },
    /// A number is not a decimal integer in its range.
    #[error("{field}: expected a decimal integer below the field's modulus")]
    Number {
        /// Its name.
        field: &'static str,
    },
    /// The numbers are no points of a proof or key.
    #[error("the points do not make a proof or key")]
    Point(#[from] PointError),
}

fn decimal(word: &[u8]) -> Value {
    Value::String(BigUint::from_bytes_be(word).to_string())
}

fn g1(words: &[[u8; 32]]) -> Value {
    if words.iter().all(|word| *word == [0; 32]) {
        // Infinity in projective coordinates, as snarkjs writes it.
        return json!(["0", "1", "0"]);
    }
    json!([decimal(&words[0]), decimal(&words[1]), "1"])
}

fn g2(words: &[[u8; 32]]) -> Value {
    if words.iter().all(|word| *word == [0; 32]) {
        return json!([["0", "0"], ["1", "0"], ["0", "0"]]);
    }
    let pair = |at: usize| json!([decimal(&words[at + 1]), decimal(&words[at])]);
    json!([pair(0), pair(2), ["1", "0"]])
}

fn expect_groth16(file: &Value) -> Result<(), JsonError> {
    let is = |field: &str, value: &str| file[field].as_str() == Some(value);
    if is("protocol", "groth16") && is("curve", "bn128") {
        Ok(())
    } else {
        Err(JsonError::Protocol)
    }
}

fn read_g1(file: &Value, field: &'static str) -> Result<Vec<[u8; 32]>, JsonError> {
    read_point(&file[field], field)
}

fn read_point(point: &Value, field: &'static str) -> Result<Vec<[u8; 32]>, JsonError> {
    let shape = JsonError::Shape { field };
    let [x, y, z] = point.as_array().ok_or(shape)?.as_slice() else { return Err(shape) };
    match z.as_str() {
        Some("1") => Ok(vec![read_number(x, field)?, read_number(y, field)?]),
        // snarkjs writes infinity so; whether it is allowed is decided with all other points.
        Some("0") => Ok(vec![[0; 32]; 2]),
        _ => Err(shape),
    }
}

fn read_g2(file: &Value, field: &'static str) -> Result<Vec<[u8; 32]>, JsonError> {
    let shape = JsonError::Shape { field };
    let [x, y, z] = file[field].as_array().ok_or(shape)?.as_slice() else { return Err(shape) };
    // Infinity, whatever the other two say; whether it is allowed is decided with all other points.
    if *z == json!(["0", "0"]) {
        return Ok(vec![[0; 32]; 4]);
    }
    if *z != json!(["1", "0"]) {
        return Err(shape);
    }
    let mut words = Vec::with_capacity(4);
    for pair in [x, y] {
        let [real, imaginary] = pair.as_array().ok_or(shape)?.as_slice() else {
            return Err(shape);
        };
        words.extend([read_number(imaginary, field)?, read_number(real, field)?]);
    }
    Ok(words)
}

fn read_number(value: &Value, field: &'static str) -> Result<[u8; 32], JsonError> {
    let digits = value.as_str().ok_or(JsonError::Shape { field })?;
    let out_of_range = JsonError::Number { field };
    // 2^256 has 78 digits; anything longer is not worth parsing.
    if digits.is_empty() || digits.len() > 78 || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Err(out_of_range);
    }
    let number = BigUint::from_str_radix(digits, 10).map_err(|_| out_of_range)?;
    // Below 2^256 is all that is asked here: the modulus is for whoever reads the word.
    let bytes = number.to_bytes_be();
    let mut word = [0; 32];
    let start = 32usize.checked_sub(bytes.len()).ok_or(out_of_range)?;
    word[start..].copy_from_slice(&bytes);
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::ladder;
    use crate::{Blinding, Engine, PortableEngine, ProvingKey};
    use std::sync::Arc;

    fn sample() -> (VerifyingKey, Proof) {
        let (r1cs, assignment) = ladder(10, 5);
        let engine = PortableEngine::new(Arc::new(ProvingKey::dev_insecure(&r1cs).expect("small")));
        let blinding = Blinding::chosen(Fr::from(1), Fr::from(2));
        let proof = engine.prove(&assignment, &blinding).expect("satisfied");
        (engine.key().verifying_key().clone(), proof)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (key, proof) = sample();
        assert_eq!(read_verification_key(&verification_key_json(&key)), Ok(key));
        assert_eq!(read_proof(&proof_json(&proof)), Ok(proof));
        let inputs = vec![Fr::from(0), -Fr::from(1)];
        assert_eq!(read_public(&public_json(&inputs)), Ok(inputs));
    }

    #[test]
    fn other_protocols_structures_and_numbers_are_refused() {
        let (_, proof) = sample();
        let good = proof_json(&proof);
        let edited = |pointer: &str, value: Value| {
            let mut file = good.clone();
            *file.pointer_mut(pointer).expect("there") = value;
            read_proof(&file).expect_err(pointer)
        };
        assert_eq!(edited("/protocol", json!("plonk")), JsonError::Protocol);
        assert_eq!(edited("/pi_a", json!(["1", "2"])), JsonError::Shape { field: "pi_a" });
        assert_eq!(edited("/pi_a/2", json!("2")), JsonError::Shape { field: "pi_a" });
        assert_eq!(edited("/pi_b/0", json!("1")), JsonError::Shape { field: "pi_b" });
        assert_eq!(edited("/pi_c/0", json!("-1")), JsonError::Number { field: "pi_c" });
        assert_eq!(edited("/pi_c/0", json!("")), JsonError::Number { field: "pi_c" });
        assert_eq!(edited("/pi_c/0", json!("9".repeat(78))), JsonError::Number { field: "pi_c" });
        let off = edited("/pi_c/0", json!("5"));
        assert_eq!(off, JsonError::Point(PointError::NotOnCurve { word: 6 }));
    }

    #[test]
    fn a_public_input_that_is_not_reduced_is_refused() {
        let modulus = BigUint::from_bytes_be(&Fr::MODULUS.to_bytes_be()).to_string();
        let refused = read_public(&json!([modulus]));
        assert_eq!(refused, Err(JsonError::Number { field: "public inputs" }));
    }
}
