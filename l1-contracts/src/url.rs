//! Addresses that may hold a secret.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// What stands where a secret was.
const HIDDEN: &str = "<hidden>";

/// What an address looks like.
const EXPECTED: &str = "http://HOST[:PORT] or https://HOST[:PORT]";

/// The HTTP address, with or without TLS, of a chain's node or of batch files.
///
/// Providers of chain nodes put a key into the user, the password, the path or the query. So none
/// of these is ever shown: `Display`, `Debug` and the serialised form are scheme, host and port
/// with `<hidden>` for the rest, and text with that mark is read back by nobody.
///
/// ```
/// use l1_contracts::HttpUrl;
///
/// let url: HttpUrl = "http://me:secret@node:8545/v2/key?token=1".parse()?;
/// assert_eq!(url.to_string(), "http://<hidden>@node:8545/<hidden>?<hidden>");
/// assert!(url.to_string().parse::<HttpUrl>().is_err());
/// assert_eq!("http://127.0.0.1:8545".parse::<HttpUrl>()?.to_string(), "http://127.0.0.1:8545");
/// # Ok::<(), l1_contracts::HttpUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

/// Text that is no HTTP address. It is not quoted: it may be one with a typing error, and
/// hold the secret all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HttpUrlError {
    /// It does not parse.
    #[error("expected an address {EXPECTED}, found text that does not parse as one")]
    Malformed,
    /// No scheme stands before it.
    #[error("expected an address {EXPECTED}, found one without http:// or https:// before it")]
    NoScheme,
    /// Neither.
    #[error("expected an address {EXPECTED}, found another scheme")]
    Scheme,
    /// Somebody copied what was shown.
    #[error("expected the address itself, found one that was shown with its secrets hidden")]
    Hidden,
}

impl HttpUrl {
    /// The address with `path` behind its own path, without query.
    pub fn join(&self, path: &str) -> HttpUrl {
        let mut url = self.0.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&(base + path));
        HttpUrl(url)
    }

    /// Whether it is spoken to by TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// With everything in it: for a client, never for a person.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl FromStr for HttpUrl {
    type Err = HttpUrlError;

    fn from_str(text: &str) -> Result<HttpUrl, HttpUrlError> {
        if text.contains(HIDDEN) {
            return Err(HttpUrlError::Hidden);
        }
        // Before it is parsed: the host of `localhost:8545` would be taken for its scheme.
        if !text.contains("://") {
            return Err(HttpUrlError::NoScheme);
        }
        let url = Url::parse(text).map_err(|_| HttpUrlError::Malformed)?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(HttpUrl(url)),
            "http" | "https" => Err(HttpUrlError::Malformed),
            _ => Err(HttpUrlError::Scheme),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.0;
        write!(f, "{}://", url.scheme())?;
        if !url.username().is_empty() || url.password().is_some() {
            write!(f, "{HIDDEN}@")?;
        }
        f.write_str(url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        if !matches!(url.path(), "" | "/") {
            write!(f, "/{HIDDEN}")?;
        }
        // A fragment is never sent, but somebody may have pasted one that is a key.
        if url.query().is_some() || url.fragment().is_some() {
            write!(f, "?{HIDDEN}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for HttpUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HttpUrl, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_an_address_shows_its_secrets() {
        for text in [
            "http://hunter2@node",
            "http://me:hunter2@node:1/",
            "http://node/v2/hunter2",
            "http://node/?key=hunter2",
            "http://node#hunter2",
            "https://node/v2/hunter2",
        ] {
            let url: HttpUrl = text.parse().unwrap();
            let forms = [url.to_string(), format!("{url:?}"), serde_json::to_string(&url).unwrap()];
            for shown in forms {
                assert!(!shown.contains("hunter2") && shown.contains("node"), "{shown}");
                assert!(!shown.contains("me:"), "{shown}");
            }
            assert_eq!(url.to_string().parse::<HttpUrl>(), Err(HttpUrlError::Hidden));
            assert!(url.expose().as_str().contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_quoting_it() {
        let refused = [
            ("https://", HttpUrlError::Malformed),
            ("http://", HttpUrlError::Malformed),
            ("http://me:hunter2@", HttpUrlError::Malformed),
            ("http://node:hunter2", HttpUrlError::Malformed),
            ("hunter2", HttpUrlError::NoScheme),
            ("127.0.0.1:8545/hunter2", HttpUrlError::NoScheme),
            ("localhost:8545", HttpUrlError::NoScheme),
            ("me:hunter2@localhost:8545", HttpUrlError::NoScheme),
            ("ftp://hunter2@node", HttpUrlError::Scheme),
        ];
        for (text, expected) in refused {
            let error = text.parse::<HttpUrl>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_path_is_put_behind_the_addresss_own() {
        for text in ["http://node:80/x", "http://node:80/x/", "http://node/x/?key=1"] {
            let url = text.parse::<HttpUrl>().unwrap().join("/batches/7");
            assert_eq!(url.expose().path(), "/x/batches/7");
        }
    }
}
