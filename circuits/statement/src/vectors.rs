//! Reads `circuits/vectors/primitives.json` for the tests of this crate.

use ark_bn254::Fr;
use serde_json::Value;

/// The whole file.
pub(crate) fn primitives() -> Value {
    let text = include_str!("../../vectors/primitives.json");
    serde_json::from_str(text).expect("the vector file is JSON")
}

/// A string of the file.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// A decimal field element.
pub(crate) fn element(value: &Value) -> Fr {
    text(value).parse().expect("a decimal field element")
}

/// A list of decimal field elements.
pub(crate) fn elements(value: &Value) -> Vec<Fr> {
    value.as_array().expect("a list").iter().map(element).collect()
}

/// Bytes in hex.
pub(crate) fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let decoded = hex::decode(text(value)).expect("hex");
    decoded.try_into().expect("as many bytes as the test expects")
}
