//! The issuer's keys out of a file that may become another one while this runs: issuers roll
//! theirs, and who has a key that is known to others takes it out.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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
    /// When the file was looked at last.
    looked: Millis,
}

impl KeyFile {
    /// Reads the keys.
    pub(crate) fn open(path: &Path, expected: Expected, now: Millis) -> anyhow::Result<KeyFile> {
        let reading = || format!("reading the keys {}", path.display());
        let verifier = Verifier::new(read(path).with_context(reading)?, expected);
        let standing = Mutex::new(Standing { verifier, looked: now });
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

    /// Takes other keys over. What cannot be read is looked at again: it may be half written. All
    /// of it each time, 64 KiB at most: a file that was put in its place may have the time and
    /// length of the one before.
    fn look(&self, standing: &mut Standing) -> anyhow::Result<()> {
        let keys = read(&self.path)?;
        if *standing.verifier.keys() != keys {
            standing.verifier.replace_keys(keys);
        }
        Ok(())
    }
}

fn read(path: &Path) -> anyhow::Result<Keys> {
    let bytes = files::read(path, JWKS_BYTES_MAX as u64, Audience::Public)?;
    Ok(Keys::from_jwks(&bytes)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let begun = fs::metadata(folder.path()).unwrap().modified().unwrap();
        let [old, new] = [&before, &after].map(Issuer::jwks);
        let bytes = old.len().max(new.len());
        // Each of the same length and time: a restored or copied file may be so.
        let write = |text: &str| {
            fs::write(&path, format!("{text:bytes$}")).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(begun).unwrap();
        };
        write(&old);
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
        write(&new);
        assert_eq!(taken(9), [None, signature.clone()], "looked at 9 s ago");
        assert_eq!(taken(10), [signature.clone(), None]);
        write("{\"keys\": [");
        assert_eq!(taken(20), [signature.clone(), None]);
        fs::remove_file(&path).unwrap();
        assert_eq!(taken(30), [signature.clone(), None]);
        write(&old);
        assert_eq!(taken(40), [None, signature.clone()]);
        // A clock that is put back looks at once.
        write(&new);
        assert_eq!(taken(5), [signature, None]);
    }
}
