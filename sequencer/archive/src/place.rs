//! Where an archive is, and what opens it.
//!
//! Threat note: whoever has these credentials, or reads the folder or the bucket, has what the
//! journal holds. Credentials come from a file that is closed to others or from the environment,
//! stand in no configuration, and are in no log, error or `Debug`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use files::Audience;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::objects::Objects;

/// Longest file of credentials, bytes.
const LOGIN_BYTES_MAX: u64 = 1_024;
/// Environment variables that S3 programs read.
const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";
/// One request, a part of 8 MiB at most: at 128 KiB a second.
const REQUEST: Duration = Duration::from_secs(64);
const CONNECT: Duration = Duration::from_secs(5);
/// A request that failed is tried again for so long; then whoever asked for it comes again.
const RETRY: Duration = Duration::from_secs(90);

/// Where an archive is: `file:///folder` or `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder, made if it is not there; best on another disk.
    Folder(PathBuf),
    /// A bucket of S3 or of what speaks it.
    Bucket {
        /// Its name.
        bucket: String,
        /// What names in it begin with; empty for all of it.
        prefix: String,
    },
}

/// How a bucket is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// `https://HOST` of what speaks S3; without it Amazon's, of the region.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// File with one line `KEY_ID:SECRET`, closed to others; without it the environment is read.
    pub login: Option<PathBuf>,
}

/// What names no archive, or does not open one.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// It is no address of one.
    #[error("expected `file:///FOLDER` or `s3://BUCKET/PREFIX`, found another address")]
    Address,
    /// Nobody says who is asking.
    #[error(
        "expected credentials of the bucket in {KEY_ID} and {SECRET}, or in the file that \
         `[archive] login` names, found none"
    )]
    NoCredentials,
    /// The file of credentials cannot be read, or others may.
    #[error("the credentials in {path} cannot be read")]
    Login {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file of credentials has another form.
    #[error("expected one line `KEY_ID:SECRET` in {path}, found something else")]
    LoginForm {
        /// Which.
        path: PathBuf,
    },
    /// The folder cannot be made.
    #[error("the archive's folder {path} cannot be made")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The store does not open.
    #[error("the archive does not open")]
    Store(#[from] object_store::Error),
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Place, PlaceError> {
        if let Some(folder) = text.strip_prefix("file://") {
            let is_folder = folder.starts_with('/') && folder.len() > 1;
            return is_folder.then(|| Place::Folder(folder.into())).ok_or(PlaceError::Address);
        }
        let rest = text.strip_prefix("s3://").ok_or(PlaceError::Address)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let parts = prefix.trim_end_matches('/');
        let is_part = |part: &str| !part.trim_matches('.').is_empty() && part.chars().all(plain);
        let fits = (1..=255).contains(&bucket.len())
            && is_part(bucket)
            && (parts.is_empty() || parts.split('/').all(is_part));
        let (bucket, prefix) = (bucket.to_owned(), parts.to_owned());
        fits.then_some(Place::Bucket { bucket, prefix }).ok_or(PlaceError::Address)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Folder(folder) => write!(f, "file://{}", folder.display()),
            Place::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Place {
    /// Opens it; of a bucket nothing is asked yet.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn open(&self, access: &Access) -> Result<Objects, PlaceError> {
        match self {
            Place::Folder(folder) => {
                let failed = |source| PlaceError::Folder { path: folder.clone(), source };
                files::make_folder(folder, Audience::Owner).map_err(failed)?;
                // Durable before it is called there: what leaves the node's folder rests on it.
                let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
                Ok(Objects::new(Arc::new(store), ObjectPath::default()))
            }
            Place::Bucket { bucket, prefix } => {
                let store = bucket_of(bucket, access)?.build()?;
                Ok(Objects::new(Arc::new(store), ObjectPath::from(prefix.as_str())))
            }
        }
    }
}

fn bucket_of(bucket: &str, access: &Access) -> Result<AmazonS3Builder, PlaceError> {
    let Credentials { key_id, secret, token } = Credentials::find(access.login.as_deref())?;
    let options = ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT);
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 6, retry_timeout: RETRY };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&access.region)
        .with_access_key_id(key_id.as_str())
        .with_secret_access_key(secret.as_str())
        // At most one of two writers gets a name: what keeps two nodes out of one archive.
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(options)
        .with_retry(retry);
    if let Some(token) = token {
        builder = builder.with_token(token.as_str());
    }
    if let Some(endpoint) = &access.endpoint {
        let is_plain = endpoint.starts_with("http://");
        builder = builder.with_endpoint(endpoint).with_allow_http(is_plain);
    }
    Ok(builder)
}

/// What opens a bucket. Zeroised when dropped; the client has its own copy.
struct Credentials {
    key_id: Zeroizing<String>,
    secret: Zeroizing<String>,
    token: Option<Zeroizing<String>>,
}

impl Credentials {
    fn find(login: Option<&Path>) -> Result<Credentials, PlaceError> {
        if let Some(path) = login {
            return Credentials::read(path);
        }
        let given = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        match (given(KEY_ID), given(SECRET)) {
            (Some(key_id), Some(secret)) => Ok(Credentials {
                key_id: Zeroizing::new(key_id),
                secret: Zeroizing::new(secret),
                token: given(TOKEN).map(Zeroizing::new),
            }),
            _ => Err(PlaceError::NoCredentials),
        }
    }

    fn read(path: &Path) -> Result<Credentials, PlaceError> {
        let failed = |source| PlaceError::Login { path: path.into(), source };
        files::check_secret(path).map_err(failed)?;
        let bytes = files::read(path, LOGIN_BYTES_MAX, Audience::Owner).map_err(failed)?;
        let text = Zeroizing::new(bytes);
        // The cause is left out: it would quote what is secret.
        let form = || PlaceError::LoginForm { path: path.into() };
        let line = std::str::from_utf8(&text).map_err(|_| form())?.trim_end();
        let (key_id, secret) = line.split_once(':').ok_or_else(form)?;
        let is_word = |word: &str| !word.is_empty() && !word.contains(char::is_whitespace);
        if !is_word(key_id) || !is_word(secret) {
            return Err(form());
        }
        let (key_id, secret) = (key_id.to_owned(), secret.to_owned());
        Ok(Credentials {
            key_id: Zeroizing::new(key_id),
            secret: Zeroizing::new(secret),
            token: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_folder_or_a_bucket_and_nothing_else() {
        for text in ["file:///srv/archive", "s3://vitals/ward-1", "s3://vitals/a/b", "s3://v/"] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
        }
        let refused = [
            "",
            "file://",
            "file:///",
            "file://srv/archive",
            "/srv/archive",
            "s3://",
            "s3:///prefix",
            "s3://key:secret@vitals/prefix",
            "s3://vitals/../other",
            "s3://vitals/a//b",
            "s3://vitals/a?b",
            "https://example.org/vitals",
        ];
        for text in refused {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_are_read_from_a_closed_file_and_never_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login");
        let access = |path: &Path| Access { login: Some(path.into()), ..Access::default() };
        let place: Place = "s3://vitals/ward".parse().unwrap();
        files::create(&path, b"AKIA:geheim/+\n", Audience::Owner).unwrap();
        let objects = place.open(&access(&path)).unwrap();
        assert!(!format!("{objects:?}").contains("geheim"));
        let read = Credentials::read(&path).unwrap();
        assert_eq!((read.key_id.as_str(), read.secret.as_str()), ("AKIA", "geheim/+"));
        for content in ["geheim", ":geheim", "AKIA:", "AKIA:ge heim"] {
            files::replace(&path, &[content.as_bytes()], Audience::Owner).unwrap();
            let error = place.open(&access(&path)).unwrap_err().to_string();
            assert!(error.contains("KEY_ID:SECRET") && !error.contains("heim"), "{error}");
        }
        files::replace(&path, &[b"AKIA:geheim"], Audience::Public).unwrap();
        let error = place.open(&access(&path)).unwrap_err();
        assert!(matches!(error, PlaceError::Login { .. }), "{error}");
    }
}
