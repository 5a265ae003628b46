//! Who told a running node to do something: as the system knows it, and as they say.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest name and longest reason, characters.
const NAME_MAX: usize = 64;
const REASON_MAX: usize = 200;

/// Who, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The user of the process that asked, as the system says.
    pub uid: u32,
    /// The process, as the system says; none where it does not.
    pub pid: Option<i32>,
    /// Who they say they are (`--as`): several people work as one user.
    #[serde(rename = "as")]
    pub name: Option<String>,
    /// Why, in their words (`--reason`).
    pub reason: Option<String>,
}

/// Words that are not kept.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("expected at most {most} printable characters of --{what}, found {found}")]
pub struct WordsError {
    /// Which.
    pub what: &'static str,
    /// Most characters.
    pub most: usize,
    /// What was found: too many, or one that is none to print.
    pub found: String,
}

impl Who {
    /// The person behind the process, as far as can be told.
    pub fn person(&self) -> (u32, Option<&str>) {
        (self.uid, self.name.as_deref())
    }

    /// Checks what they say: it is printed and logged, and must not act on a terminal there.
    ///
    /// # Errors
    /// [`WordsError`].
    pub fn check(&self) -> Result<(), WordsError> {
        let texts = [("as", NAME_MAX, &self.name), ("reason", REASON_MAX, &self.reason)];
        for (what, most, text) in texts {
            let Some(text) = text else { continue };
            let count = text.chars().count();
            if count > most {
                return Err(WordsError { what, most, found: count.to_string() });
            }
            if text.chars().any(char::is_control) {
                let found = "one that is none to print".to_owned();
                return Err(WordsError { what, most, found });
            }
        }
        Ok(())
    }
}

/// For people: `anna (user 1000, process 4711), because the chain is upgraded`.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Who { uid, pid, name, reason } = self;
        let process = pid.map_or(String::new(), |pid| format!(", process {pid}"));
        match name {
            Some(name) => write!(f, "{name} (user {uid}{process})")?,
            None => write!(f, "user {uid}{process}")?,
        }
        reason.as_ref().map_or(Ok(()), |reason| write!(f, ", because {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded_and_cannot_act_on_a_terminal() {
        let who = |name: &str, reason: &str| Who {
            name: Some(name.into()),
            reason: Some(reason.into()),
            ..Who::default()
        };
        assert_eq!(Who::default().check(), Ok(()));
        assert_eq!(who(&"x".repeat(64), &"y".repeat(200)).check(), Ok(()));
        assert_eq!(who(&"x".repeat(65), "").check().unwrap_err().what, "as");
        assert_eq!(who("", &"y".repeat(201)).check().unwrap_err().found, "201");
        for hostile in ["a\nb", "\u{1b}[2J", "\u{7f}"] {
            assert_eq!(who("anna", hostile).check().unwrap_err().what, "reason", "{hostile:?}");
        }
    }

    #[test]
    fn whoever_gave_no_name_is_a_user_and_a_process() {
        let mut who = Who { uid: 1000, pid: Some(4711), ..Who::default() };
        assert_eq!(who.to_string(), "user 1000, process 4711");
        (who.name, who.reason) = (Some("anna".into()), Some("fees".into()));
        assert_eq!(who.to_string(), "anna (user 1000, process 4711), because fees");
    }
}
