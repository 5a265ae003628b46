//! Errors as people read them.

use std::error::Error;

use crate::escape;

/// An error with all its causes on one line, the outermost first: `reading the key: no such file`.
///
/// Errors name their cause as a source and do not repeat it in their own text, so that whoever
/// prints one alone hides why. The line is [escaped](escape()): a cause may quote a file or a host.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    escape(&text)
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("closing batch {number}")]
    struct Outer {
        number: u8,
        source: Middle,
    }

    #[derive(Debug, Error)]
    #[error("writing the file")]
    struct Middle(#[source] std::fmt::Error);

    #[test]
    fn what_a_cause_quotes_cannot_act_on_a_terminal() {
        #[derive(Debug, Error)]
        #[error("the node says {0}")]
        struct Quoting(&'static str);
        assert_eq!(
            with_causes(&Quoting("\x1b[2Jall is well")),
            "the node says \\u{1b}[2Jall is well"
        );
    }

    #[test]
    fn every_cause_follows_the_error_that_names_it() {
        let error = Outer { number: 7, source: Middle(std::fmt::Error) };
        let last = std::fmt::Error.to_string();
        assert_eq!(with_causes(&error), format!("closing batch 7: writing the file: {last}"));
        assert_eq!(with_causes(&std::fmt::Error), last);
    }
}
