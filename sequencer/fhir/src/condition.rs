//! `If-None-Exist`: not if something is there already.

use std::fmt;

use crate::issue::{Fault, Issue};
use crate::observation::Identifier;

/// The one condition that can be looked for here: an identifier that was taken before.
#[derive(Clone, PartialEq, Eq)]
pub struct Condition {
    /// Of the Observation that is asked for.
    pub identifier: Identifier,
}

/// Hides the identifier.
impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identifier.fmt(f)
    }
}

impl Condition {
    /// Reads `identifier=SYSTEM|VALUE` or `identifier=VALUE`, percent-encoded as in an address.
    ///
    /// # Errors
    /// [`Fault::Condition`] for every other search: what cannot be looked for must not be found
    /// absent.
    pub fn read(expression: &str, text: &str) -> Result<Condition, Issue> {
        let refuse = || Issue::new(expression, Fault::Condition);
        let asked = text.strip_prefix("identifier=").ok_or_else(refuse)?;
        if asked.contains(['&', ',', '$', '\\', '#']) {
            return Err(refuse());
        }
        let asked = percent_decoded(asked).ok_or_else(refuse)?;
        let (system, value) = match asked.split_once('|') {
            Some(("", value)) => (None, value),
            Some((system, value)) => (Some(system.to_owned()), value),
            None => (None, asked.as_str()),
        };
        if value.is_empty() || value.contains('|') {
            return Err(refuse());
        }
        Ok(Condition { identifier: Identifier { system, value: value.to_owned() } })
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_looked_for_and_no_other_search_is() {
        let read = |text: &str| Condition::read("If-None-Exist", text).map(|it| it.identifier);
        let expected = Identifier { system: Some("urn:x:1".into()), value: "a b".into() };
        assert_eq!(read("identifier=urn:x:1|a b").as_ref(), Ok(&expected));
        assert_eq!(read("identifier=urn%3Ax%3a1%7Ca%20b").as_ref(), Ok(&expected));
        let bare = Identifier { system: None, value: "a".into() };
        assert_eq!(read("identifier=a").as_ref(), Ok(&bare));
        assert_eq!(read("identifier=|a").as_ref(), Ok(&bare));
        for text in [
            "",
            "identifier=",
            "identifier=a|",
            "identifier=a|b|c",
            "identifier=a&code=b",
            "identifier=a,b",
            "identifier=%4",
            "identifier=%ff",
            "code=a",
            "_id=a",
        ] {
            let issue = read(text).unwrap_err();
            assert_eq!(
                (issue.expression.as_str(), issue.fault),
                ("If-None-Exist", Fault::Condition)
            );
        }
    }
}
