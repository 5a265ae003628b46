//! Names in messages: of a shape, and of a worker.

use std::fmt;
use std::str::FromStr;

/// Most letters of a name.
const LETTERS_MAX: usize = 32;

/// The name of a circuit of one size, as `prover shapes` lists it. Whether there is such a shape,
/// whoever proves has to ask.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShapeName(String);

/// The name by which a worker is told from others, in logs and in
/// [`failed_on`](crate::JobHead::failed_on). None begins with `local-`: so a node calls its own
/// threads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerName(String);

/// The text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}, found {found:?}")]
pub struct NameError {
    /// What was found.
    pub found: String,
}

/// What decoding says that it expected.
pub(crate) const EXPECTED: &str =
    "1 to 32 of a-z, 0-9, '-' and '.', for a worker not beginning with local-";

/// How a node's own threads are called.
const LOCAL: &str = "local-";

impl WorkerName {
    /// A name made of any text, such as a host's name: letters that no name has become `-`, and
    /// what is too long is cut.
    pub fn near(text: &str) -> WorkerName {
        let text = text.strip_prefix(LOCAL).unwrap_or(text);
        let letters = text.bytes().map(|byte| byte.to_ascii_lowercase());
        let letters = letters.map(|byte| if is_letter(byte) { byte.into() } else { '-' });
        let name: String = letters.take(LETTERS_MAX).collect();
        name.parse().unwrap_or_else(|_| WorkerName("worker".into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ShapeName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShapeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        checked(text).map(ShapeName)
    }
}

impl FromStr for WorkerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = checked(text)?;
        if name.starts_with(LOCAL) { Err(NameError { found: name }) } else { Ok(WorkerName(name)) }
    }
}

impl fmt::Display for ShapeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_letter(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')
}

fn checked(text: &str) -> Result<String, NameError> {
    if (1..=LETTERS_MAX).contains(&text.len()) && text.bytes().all(is_letter) {
        Ok(text.to_owned())
    } else {
        // Cut, since it may be a stranger's and as long as a message.
        Err(NameError { found: text.chars().take(2 * LETTERS_MAX).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_a_name() {
        for (host, name) in
            [("Ward-7_gpu.local", "ward-7-gpu.local"), ("", "worker"), ("LOCAL-1", "worker")]
        {
            assert_eq!(WorkerName::near(host).as_str(), name);
        }
        let long = WorkerName::near(&"x".repeat(80));
        assert_eq!(long.as_str().parse(), Ok(long.clone()));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "a b", "A", "local-0", "\u{e4}", &"x".repeat(33)] {
            assert!(text.parse::<WorkerName>().is_err(), "{text:?}");
        }
    }
}
