//! Whose bearer tokens are taken below `/fhir`: those of one issuer, with keys out of a file.
//!
//! One issuer for all routes: a hospital has one SMART server, and two places for its keys would be
//! rolled at two times. What a token grants, each route asks by itself. SIGHUP reads the file
//! again, so that keys are rolled without a restart; the node fetches none.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use axum::http::{HeaderMap, header};
use files::Audience;
use model::Millis;
use thiserror::Error;
use tokens::{Bearer, JWKS_BYTES_MAX, JwksError, Keys, TokenError, Verifier, bearer_of};

use super::config::TokensSection;

/// Keys that tokens cannot be checked with.
#[derive(Debug, Error)]
pub enum TokenIssuerError {
    /// The file cannot be read.
    #[error("the keys of the token issuer cannot be read from {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What stands there is no JWKS to be used.
    #[error("the keys of the token issuer in {path} cannot be used")]
    Keys {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: JwksError,
    },
}

/// Whose a token with `patient/` scopes is that does not say by `fhirUser` who sits in front of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unnamed {
    /// Nobody's: a clinician's app that was opened from a record has such scopes, too.
    IsNobody,
    /// The patient's: the issuer grants such scopes to apps of patients alone.
    IsThePatient,
}

/// Checks the tokens of the issuer that is configured.
#[derive(Debug)]
pub struct TokenIssuer {
    path: PathBuf,
    unnamed: Unnamed,
    verifier: RwLock<Verifier>,
    /// The audience without the slash at its end: what links of answers begin with.
    base: String,
}

impl TokenIssuer {
    /// Reads its keys; `None` where no file of them is set.
    ///
    /// # Errors
    /// [`TokenIssuerError`].
    pub fn open(section: &TokensSection) -> Result<Option<TokenIssuer>, TokenIssuerError> {
        let Some(path) = section.jwks_file.clone() else { return Ok(None) };
        let expected = section.expected();
        let base = expected.audience.trim_end_matches('/').to_owned();
        let verifier = RwLock::new(Verifier::new(read_keys(&path)?, expected));
        let unnamed = match section.requires_fhir_user {
            true => Unnamed::IsNobody,
            false => Unnamed::IsThePatient,
        };
        Ok(Some(TokenIssuer { path, unnamed, verifier, base }))
    }

    /// Whose a token is that names no user.
    pub fn unnamed(&self) -> Unnamed {
        self.unnamed
    }

    /// The keys as they stand in the file now; nobody goes by them yet.
    ///
    /// # Errors
    /// [`TokenIssuerError`].
    pub fn read_again(&self) -> Result<Keys, TokenIssuerError> {
        read_keys(&self.path)
    }

    /// From now on these hold: a token signed by one that is not among them is refused, however
    /// long it is still good.
    pub fn replace_keys(&self, keys: Keys) {
        let mut verifier = self.verifier.write().unwrap_or_else(PoisonError::into_inner);
        if *verifier.keys() != keys {
            tracing::info!(keys = keys.count(), "the token issuer has other keys now");
            verifier.replace_keys(keys);
        }
    }

    /// The address of the FHIR routes as clients have it.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Who asks, by the token of a request.
    ///
    /// # Errors
    /// [`TokenError`]; of several `Authorization` headers none is believed, since a proxy might
    /// have looked at another one.
    pub fn bearer(&self, headers: &HeaderMap, now: Millis) -> Result<Bearer, TokenError> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(one), None) = (given.next(), given.next()) else {
            return Err(TokenError::NotBearer);
        };
        let token = bearer_of(one.to_str().map_err(|_| TokenError::NotBearer)?)?;
        self.verifier.read().unwrap_or_else(PoisonError::into_inner).check(token, now)
    }
}

fn read_keys(path: &Path) -> Result<Keys, TokenIssuerError> {
    // Public keys; whoever could change them could let anybody in, but nobody by reading them.
    let bytes = files::read(path, JWKS_BYTES_MAX as u64, Audience::Public)
        .map_err(|source| TokenIssuerError::File { path: path.into(), source })?;
    Keys::from_jwks(&bytes).map_err(|source| TokenIssuerError::Keys { path: path.into(), source })
}

#[cfg(test)]
pub(crate) mod tests;
