//! Reads the files of `circuits/vectors` for the tests of this crate.

use ark_bn254::Fr;
use serde_json::Value;

/// Hashes, keys and signatures.
pub(crate) fn primitives() -> Value {
    parse(include_str!("../../vectors/primitives.json"))
}

/// Records, claims and what is hashed of them.
pub(crate) fn records() -> Value {
    parse(include_str!("../../vectors/records.json"))
}

/// Domains, headers and the order of public inputs.
pub(crate) fn inputs() -> Value {
    parse(include_str!("../../vectors/inputs.json"))
}

/// Operations as a wallet signs them.
pub(crate) fn operations() -> Value {
    parse(include_str!("../../vectors/operations.json"))
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("the vector file is JSON")
}

/// The cases of a list.
pub(crate) fn cases(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// A decimal number.
pub(crate) fn number(value: &Value) -> u64 {
    text(value).parse().expect("a decimal number of 64 bits")
}

/// A decimal field element as a word.
pub(crate) fn word(value: &Value) -> model::Word {
    crate::field::to_word(&element(value))
}

/// A time.
pub(crate) fn millis(value: &Value) -> model::Millis {
    model::Millis::new(number(value)).expect("44 bits")
}

/// Two times.
pub(crate) fn interval(value: &Value) -> model::Interval {
    model::Interval { from: millis(&value[0]), until: millis(&value[1]) }
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
