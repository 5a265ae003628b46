//! Whether what a program says repeats what it was sent.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};

/// What of a text is too long to stand in a message by chance.
const QUOTED_BYTES: usize = 24;

/// Whether it repeats a part of a text that is too long to stand there by chance.
pub(crate) fn repeats(said: &str, text: &[u8]) -> bool {
    !parts(text).is_disjoint(&parts(said.as_bytes()))
}

/// The parts of a text that are long enough, by their hashes: from a comparison of the texts
/// themselves a fuzzer learns what the program says, and writes that.
fn parts(text: &[u8]) -> BTreeSet<u64> {
    let hash = |part: &[u8]| {
        let mut hasher = DefaultHasher::new();
        hasher.write(part);
        hasher.finish()
    };
    text.windows(QUOTED_BYTES).map(hash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_text_is_found_wherever_it_stands_and_a_shorter_one_is_none() {
        let text = b"a name, an address and a reason that nobody else is told";
        assert!(repeats("line 3: an address and a reason that nobody", text));
        assert!(!repeats("line 3: an address and a cause", text));
    }
}
