//! Where an archive is, read from the words of `[archive]`.

use std::net::IpAddr;

use archive::{Access, CacheLimits, Place};

use l1_contracts::HttpUrl;

use super::ConfigError;
use super::sections::ArchiveSection;

impl ArchiveSection {
    /// The place; none if nothing is archived.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for an address that is none. It is not quoted: it may hold what
    /// somebody took for the place of a password.
    pub fn place(&self) -> Result<Option<Place>, ConfigError> {
        if self.url == "off" {
            return Ok(None);
        }
        let place = self.url.parse::<Place>().map_err(|_| ConfigError::Value {
            key: "archive.url",
            expected: "`off`, file:///FOLDER or s3://BUCKET/PREFIX without user or password".into(),
            found: "another address".into(),
        });
        place.map(Some)
    }

    /// Checks what no range can say: that an archive can be read with what is configured.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub(super) fn check(&self, file_bytes_max: u64) -> Result<(), ConfigError> {
        if self.place()?.is_none() {
            return Ok(());
        }
        if self.cache_bytes < file_bytes_max {
            return Err(ConfigError::Value {
                key: "archive.cache_bytes",
                expected: format!("at least {file_bytes_max}, as journal.file_bytes_max"),
                found: self.cache_bytes.to_string(),
            });
        }
        // Errors of the store name addresses, and whatever stands in them. What is shown of one
        // hides the rest of it.
        let is_plain =
            |url: &HttpUrl| url.to_string() == url.expose().as_str().trim_end_matches('/');
        // Who was treated stands in what is put there, and a network is not the node's disk.
        let is_closed = |url: &HttpUrl| url.expose().scheme() == "https" || is_here(url);
        if !self.endpoint.as_ref().is_none_or(|url| is_plain(url) && is_closed(url)) {
            return Err(ConfigError::Value {
                key: "archive.endpoint",
                expected: "https://HOST[:PORT], or http:// of this machine, without user, path or \
                           query"
                    .into(),
                found: "another address".into(),
            });
        }
        Ok(())
    }

    /// How a bucket is reached.
    pub fn access(&self) -> Access {
        let exposed = |url: &HttpUrl| url.expose().as_str().trim_end_matches('/').to_owned();
        Access {
            endpoint: self.endpoint.as_ref().map(exposed),
            region: self.region.clone(),
            login: self.login.clone(),
        }
    }

    /// How much of what was fetched is kept.
    pub fn cache_limits(&self) -> CacheLimits {
        CacheLimits { bytes_max: self.cache_bytes }
    }
}

/// Whether it is of this machine.
fn is_here(url: &HttpUrl) -> bool {
    let host = url.expose().host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
