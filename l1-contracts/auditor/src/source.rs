//! Where batch files come from: a folder, or a node's HTTP address.

use std::io;
use std::path::{Path, PathBuf};

use l1_contracts::{
    Busy, HttpClientError, HttpUrl, HttpUrlError, Patience, StayedBusy, Waits, http_client,
    speaks_no_tls,
};
use model::{BatchNumber, limits, whole_number};
use page_server::Reach;
use reqwest::{Client, Response, StatusCode};
use thiserror::Error;

use crate::broken::{Fault, Refused, Unavailable};

/// A source of batch files. Nothing it delivers is believed.
#[derive(Clone, Debug)]
pub enum Source {
    /// `{dir}/{number, six digits}/public.bin`, and `private.bin` beside it.
    Folder(PathBuf),
    /// `GET {url}/batches/{number}`.
    Http(HttpUrl, Client),
}

/// A `--data` argument that names no source.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The text is no address.
    #[error("expected a folder or an address")]
    Address(#[from] HttpUrlError),
    /// There is no such folder.
    #[error(
        "expected a folder or an address http://HOST[:PORT] or https://HOST[:PORT], found neither \
         at {0}"
    )]
    NoFolder(PathBuf),
    /// It looks like an address, and could hold a secret.
    #[error(
        "expected a folder or an address http://HOST[:PORT] or https://HOST[:PORT], found what is \
         no folder and has no http:// before it"
    )]
    NoScheme,
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

impl Source {
    /// Reads an argument: an address if it has a scheme, a folder otherwise.
    ///
    /// # Errors
    /// [`SourceError`] if it is neither.
    pub fn parse(text: &str) -> Result<Source, SourceError> {
        // Whatever looks like an address is one: as a folder it would be quoted, secrets included.
        if text.contains("://") {
            let url = text.parse::<HttpUrl>()?;
            let client = http_client(&url)?;
            return Ok(Source::Http(url, client));
        }
        let folder = PathBuf::from(text);
        if folder.is_dir() {
            Ok(Source::Folder(folder))
        } else if text.contains([':', '@', '?']) || !is_in_a_folder(&folder) {
            // Whoever forgot the scheme may have given a key with the rest, in the path, too.
            Err(SourceError::NoScheme)
        } else {
            Err(SourceError::NoFolder(folder))
        }
    }

    /// The public file of a batch, at most one byte longer than any may be. A busy host is waited
    /// for.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if it is not there or nobody delivers it; [`Fault::Refused`] if the
    /// address says TLS and nobody speaks it there.
    pub async fn public_file(
        &self,
        number: BatchNumber,
        patience: &Patience,
    ) -> Result<Vec<u8>, Fault> {
        let what = format!("the public file of batch {}", number.0);
        let why = match self {
            Source::Folder(folder) => {
                let path = folder.join(format!("{:06}", number.0)).join("public.bin");
                match read(&path).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(error) => format!("{}: {error}", path.display()),
                }
            }
            Source::Http(base, client) => {
                let path = format!("/batches/{}", number.0);
                let most = limits::BATCH_FILE_BYTES_MAX;
                match fetch(client, &base.join(&path), most, patience.begin(base)).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(Missed::Http(error)) if speaks_no_tls(&error) => {
                        return Err(Refused::no_tls("address of batch files").into());
                    }
                    // As it may be shown: the address itself may hold a key.
                    Err(missed) => format!("GET {base}{path}: {}", missed.in_words()),
                }
            }
        };
        // Whatever the reason: what nobody delivers cannot be found wrong.
        Err(Unavailable { what, why }.into())
    }

    /// How far batches are: what a node says, or the highest number of a folder. Nothing is
    /// concluded from it: what settled the chain says.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if nobody says; [`Fault::Refused`] as [`Source::public_file`].
    pub async fn reach(&self, patience: &Patience) -> Result<Reach, Fault> {
        let what = || "how far batches are".to_owned();
        let why = match self {
            Source::Folder(folder) => {
                let looked_in = folder.clone();
                let found = tokio::task::spawn_blocking(move || highest(&looked_in)).await;
                match found.map_err(io::Error::other).flatten() {
                    Ok(last) => return Ok(Reach::of(last, last)),
                    Err(error) => format!("{}: {error}", folder.display()),
                }
            }
            Source::Http(base, client) => {
                let url = base.join("/batches");
                match fetch(client, &url, REACH_BYTES_MAX, patience.begin(base)).await {
                    Ok(bytes) => match Reach::read(&bytes) {
                        Some(reach) => return Ok(reach),
                        None => {
                            let schema = Reach::SCHEMA;
                            format!("GET {base}/batches: expected two numbers of schema {schema}")
                        }
                    },
                    Err(Missed::Http(error)) if speaks_no_tls(&error) => {
                        return Err(Refused::no_tls("address of batch files").into());
                    }
                    Err(missed) => format!("GET {base}/batches: {}", missed.in_words()),
                }
            }
        };
        Err(Unavailable { what: what(), why }.into())
    }

    /// The private file of a batch, if the source has it; only a folder can.
    ///
    /// # Errors
    /// [`Unavailable`] if it is there and cannot be read.
    pub async fn private_file(&self, number: BatchNumber) -> Result<Option<Vec<u8>>, Unavailable> {
        let Source::Folder(folder) = self else { return Ok(None) };
        let path = folder.join(format!("{:06}", number.0)).join("private.bin");
        match read(&path).await {
            Ok(bytes) => Ok(Some(bytes)),
            // Only of a file that is not there nothing is said; one that cannot be read may be
            // wrong.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let what = format!("the private file of batch {}", number.0);
                Err(Unavailable { what, why: format!("{}: {error}", path.display()) })
            }
        }
    }
}

/// Longest answer that says how far batches are.
const REACH_BYTES_MAX: usize = 4096;

/// The highest number that a folder has a batch of; 0 for none.
fn highest(folder: &Path) -> io::Result<BatchNumber> {
    let mut last = 0;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let digits = name.to_str().filter(|name| name.len() >= 6);
        let number = digits.and_then(|name| whole_number(name.trim_start_matches('0')));
        last = last.max(number.unwrap_or(0));
    }
    Ok(BatchNumber(last))
}

/// Whether a path names a place in a folder that there is.
fn is_in_a_folder(path: &Path) -> bool {
    path.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir())
}

async fn read(path: &Path) -> io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    // One byte more than any may have, so that the decoder sees that it is too long.
    file.take(limits::BATCH_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Why there is no answer.
enum Missed {
    Http(reqwest::Error),
    Status(u16),
    Busy(StayedBusy),
}

impl Missed {
    fn in_words(self) -> String {
        match self {
            Missed::Http(error) => root_cause(&error.without_url()),
            Missed::Status(found) => format!("expected status 200, found {found}"),
            Missed::Busy(stayed) => stayed.to_string(),
        }
    }
}

/// Stops one byte behind the limit: the decoder then names the size.
async fn fetch(
    client: &Client,
    url: &HttpUrl,
    bytes_max: usize,
    mut waits: Waits<'_>,
) -> Result<Vec<u8>, Missed> {
    loop {
        let get = client.get(url.expose().clone());
        let response = get.send().await.map_err(Missed::Http)?;
        let status = response.status();
        let Some(busy) = Busy::of(status.as_u16(), response.headers()) else {
            // No other success either: an empty answer or a part of a file must not be decoded.
            if status != StatusCode::OK {
                return Err(Missed::Status(status.as_u16()));
            }
            return read_body(response, bytes_max).await.map_err(Missed::Http);
        };
        waits.wait(busy).await.map_err(Missed::Busy)?;
    }
}

async fn read_body(mut response: Response, bytes_max: usize) -> reqwest::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        // The length that a node declares is not believed: bytes are counted as they come.
        // Not below zero: the loop ends with the chunk that fills the room.
        let room = bytes_max + 1 - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(bytes)
}

/// The innermost message: the outer ones repeat the address.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_reaches_as_far_as_its_highest_number() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::Folder(folder.path().to_owned());
        let reach = async || source.reach(&Patience::short()).await.unwrap().assembled.0;
        assert_eq!(reach().await, 0);
        for name in ["000003", "000011", "9", "notes", "1000000", "+2000000"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(reach().await, 1_000_000);
    }

    #[test]
    fn what_a_node_says_of_its_batches_is_read_or_not_believed() {
        let read =
            |text: &str| Reach::read(text.as_bytes()).map(|it| (it.assembled.0, it.settled.0));
        let said = r#"{"assembled":9,"schema":"vitals-batches-1","settled":7}"#;
        assert_eq!(read(said), Some((9, 7)));
        for none in ["", "7", "{}", r#"{"assembled":9,"schema":"vitals-batches-2","settled":7}"#] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn an_argument_is_an_address_or_a_folder_that_exists() {
        assert!(matches!(Source::parse("/nowhere-at-all"), Err(SourceError::NoFolder(_))));
        assert!(matches!(Source::parse("http://"), Err(SourceError::Address(_))));
        assert!(matches!(Source::parse("."), Ok(Source::Folder(_))));
        assert!(matches!(Source::parse("http://node:80/x"), Ok(Source::Http(..))));
        assert!(matches!(Source::parse("nowhere"), Err(SourceError::NoFolder(_))));
        let keyed = ["node:hunter2", "node/batches?key=hunter2", "node/v2/hunter2", "//n/hunter2"];
        for text in keyed.into_iter().chain(["127.0.0.1:8080", "me@node"]) {
            let refused = Source::parse(text).expect_err(text);
            assert!(matches!(refused, SourceError::NoScheme), "{refused}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
        }
    }
}
