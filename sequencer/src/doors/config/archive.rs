//! Where an archive is, read from the words of `[archive]`.

use archive::{Access, CacheLimits, Place};

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

    /// How a bucket is reached.
    pub fn access(&self) -> Access {
        let exposed =
            |url: &l1_contracts::HttpUrl| url.expose().as_str().trim_end_matches('/').to_owned();
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
