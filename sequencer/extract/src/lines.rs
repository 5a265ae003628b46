//! Lines of JSON as they are read: each ends, is no longer than one may be, and has one text.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::Fault;

/// Longest line, 4 MiB: a head with some 28,000 names; no other line comes to a tenth of it.
/// Memory: a parser may hold sixteen times the text of one line, and of no more than one.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Reads a line with its end, and gives its exact text without it. `what` names it in a fault.
pub(crate) fn read<'a, T: DeserializeOwned>(
    text: &'a str,
    number: usize,
    what: &str,
) -> Result<(T, &'a str), Fault> {
    let Some(exact) = text.strip_suffix('\n') else {
        return Err(Fault::new(number, "end", "a line that ends", "one that is cut off"));
    };
    check_length(number, exact)?;
    match serde_json::from_str(exact) {
        Ok(line) => Ok((line, exact)),
        // Without the parser's words: they quote what stands there.
        Err(error) => {
            let found = format!("something else at column {}", error.column());
            Err(Fault::new(number, "form", what, found))
        }
    }
}

/// Reads a line that has to be the text which is written of it: one with a member that nobody here
/// knows, or with one twice, says one thing to this reader and another to the next.
pub(crate) fn read_exact<T: DeserializeOwned + Serialize>(
    text: &str,
    number: usize,
    what: &str,
) -> Result<T, Fault> {
    let (line, exact) = read::<T>(text, number, what)?;
    match serde_json::to_string(&line) {
        Ok(own) if own == exact => Ok(line),
        _ => Err(Fault::new(number, "words", "the one text that such a line has", "another")),
    }
}

/// Refuses a line that nobody would read.
pub(crate) fn check_length(number: usize, line: &str) -> Result<(), Fault> {
    if line.len() <= LINE_BYTES_MAX {
        return Ok(());
    }
    let most = format!("a line of at most {LINE_BYTES_MAX} bytes");
    Err(Fault::new(number, "length", most, line.len().to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What such a line is refused for.
    fn part(text: &str) -> Option<&'static str> {
        let read = read_exact::<BTreeMap<String, u8>>(text, 1, "numbers by name");
        read.err().map(|fault| fault.part)
    }

    #[test]
    fn a_line_has_one_text_and_ends() {
        assert_eq!(part("{\"a\":1,\"b\":2}\n"), None);
        for other in ["{\"b\":2,\"a\":1}\n", "{\"a\":1,\"a\":1}\n", "{\"a\": 1}\n", "{\"a\":1}\r\n"]
        {
            assert_eq!(part(other), Some("words"), "{other:?}");
        }
        assert_eq!(part("{\"a\":1}"), Some("end"));
        assert_eq!(part("{\"a\":1,\"b\":-2}\n"), Some("form"));
    }

    #[test]
    fn a_line_is_no_longer_than_one_may_be() {
        let name = "x".repeat(LINE_BYTES_MAX - "{\"\":1}".len());
        assert_eq!(part(&format!("{{\"{name}\":1}}\n")), None);
        assert_eq!(part(&format!("{{\"{name}y\":1}}\n")), Some("length"));
    }
}
