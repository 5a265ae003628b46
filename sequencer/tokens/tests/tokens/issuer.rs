//! An issuer of tokens with a key of its own. Tests of other crates take this file, too.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// Signs with ES384 under the name `own`.
pub(crate) struct Issuer {
    key: EcdsaKeyPair,
}

impl Issuer {
    pub(crate) fn new() -> Issuer {
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
        Issuer { key }
    }

    /// Its public key, under a name.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        let point = self.key.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-384", "kid": id,
               "x": encode(&point[1..49]), "y": encode(&point[49..])})
    }

    /// What is published of it.
    pub(crate) fn jwks(&self) -> String {
        json!({"keys": [self.jwk("own")]}).to_string()
    }

    /// A token of any header and payload.
    pub(crate) fn sign(&self, header: &Value, payload: &str) -> String {
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload.as_bytes()));
        let random = SystemRandom::new();
        let signature = self.key.sign(&random, signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    /// The token of some claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES384", "kid": "own"}), &claims.to_string())
    }
}

/// base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            text.push(ALPHABET[(word >> (18 - 6 * place) & 63) as usize].into());
        }
    }
    text
}
