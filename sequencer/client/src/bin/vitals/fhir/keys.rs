//! The issuer's keys out of a file that may become another one while this runs: issuers roll
//! theirs, and who has a key that is known to others takes it out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context as _;
use files::Audience;
use model::{Millis, with_causes};
use tokens::{Bearer, Expected, JWKS_BYTES_MAX, Keys, TokenError, Verifier};

use crate::bridge::Telling;

/// How long what was read is believed without a look at the file.
const LOOK_EVERY_MS: u64 = 10_000;

/// A verifier whose keys are those of a file.
pub(crate) struct KeyFile {
    path: PathBuf,
    standing: Mutex<Standing>,
    telling: Telling,
}

struct Standing {
    verifier: Verifier,
    /// Of the file whose keys these are.
    stamp: Stamp,
    /// When the file was looked at last.
    looked: Millis,
}

/// What is another one once a file was changed or replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
}

impl KeyFile {
    /// Reads the keys.
    pub(crate) fn open(path: &Path, expected: Expected, now: Millis) -> anyhow::Result<KeyFile> {
        let reading = || format!("reading the keys {}", path.display());
        // Before the keys: what is written between is found by the next look.
        let stamp = Stamp::of(path).with_context(reading)?;
        let verifier = Verifier::new(read(path).with_context(reading)?, expected);
        let standing = Mutex::new(Standing { verifier, stamp, looked: now });
        Ok(KeyFile { path: path.to_owned(), standing, telling: Telling::default() })
    }

    /// Checks a token with the keys as they stand in the file, or stood there 10 s ago.
    pub(crate) fn check(&self, token: &str, now: Millis) -> Result<Bearer, TokenError> {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was put back must not keep the keys for as long as it was.
        if now < standing.looked || now.since(standing.looked) >= LOOK_EVERY_MS {
            standing.looked = now;
            if let Err(error) = self.look(&mut standing) {
                let why = with_causes(error.as_ref());
                let path = self.path.display();
                self.telling
                    .say("keys", &format!("the keys before hold on: reading {path}: {why}"));
            }
        }
        let checked = standing.verifier.check(token, now);
        if let Err(error) = &checked {
            // To whoever runs this: who shows a forged one learns nothing of what is wrong with it.
            let code = error.code();
            self.telling.say(code, &format!("a token is refused ({code}): {error}"));
        }
        checked
    }

    /// Takes other keys over. What cannot be read is looked at again: it may be half written.
    fn look(&self, standing: &mut Standing) -> anyhow::Result<()> {
        let stamp = Stamp::of(&self.path)?;
        if stamp != standing.stamp {
            standing.verifier.replace_keys(read(&self.path)?);
            standing.stamp = stamp;
        }
        Ok(())
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Stamp> {
        let found = fs::metadata(path)?;
        Ok(Stamp { modified: found.modified()?, bytes: found.len() })
    }
}

fn read(path: &Path) -> anyhow::Result<Keys> {
    let bytes = files::read(path, JWKS_BYTES_MAX as u64, Audience::Public)?;
    Ok(Keys::from_jwks(&bytes)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fhir::issuer::Issuer;

    const BEGIN: u64 = 1_777_624_200;

    fn at(seconds: u64) -> Millis {
        Millis::from_block_timestamp(BEGIN + seconds)
    }

    fn token(issuer: &Issuer) -> String {
        issuer.token(&json!({
            "iss": "https://auth.example.org", "aud": "https://bridge.example.org/fhir",
            "sub": "feed", "iat": BEGIN, "exp": BEGIN + 600, "scope": "system/Observation.c",
        }))
    }

    #[test]
    fn other_keys_in_the_file_hold_without_a_restart_and_a_file_that_is_none_changes_nothing() {
        let (before, after) = (Issuer::new(), Issuer::new());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let write = |text: &str| fs::write(&path, text).unwrap();
        write(&before.jwks());
        let expected = Expected {
            issuer: "https://auth.example.org".into(),
            audience: "https://bridge.example.org/fhir".into(),
            skew_ms: tokens::SKEW_MS,
            lifetime_ms_max: tokens::LIFETIME_MS_MAX,
        };
        let keys = KeyFile::open(&path, expected, at(0)).unwrap();
        let tokens = [&before, &after].map(token);
        let taken = |seconds| {
            tokens.each_ref().map(|token| keys.check(token, at(seconds)).map(|_| ()).err())
        };
        let signature = Some(TokenError::Signature);
        assert_eq!(taken(1), [None, signature.clone()]);
        // Longer than before: a clock of the disk may be coarser than a test is long.
        write(&format!("{} ", after.jwks()));
        assert_eq!(taken(9), [None, signature.clone()], "looked at 9 s ago");
        assert_eq!(taken(10), [signature.clone(), None]);
        write("{\"keys\": [");
        assert_eq!(taken(20), [signature.clone(), None]);
        fs::remove_file(&path).unwrap();
        assert_eq!(taken(30), [signature.clone(), None]);
        write(&before.jwks());
        assert_eq!(taken(40), [None, signature.clone()]);
        // A clock that is put back looks at once.
        write(&format!("{}  ", after.jwks()));
        assert_eq!(taken(5), [signature, None]);
    }
}
