//! Where a notice goes: an address by a grammar that leaves no two readings, on a host that the
//! operator listed.

use std::collections::BTreeSet;
use std::fmt;

use model::whole_number;
use thiserror::Error;

/// Longest endpoint.
pub const ENDPOINT_BYTES_MAX: usize = 512;
/// Most hosts of a list.
const HOSTS_MAX: usize = 256;
/// Longest name of a host (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
/// Longest label of one.
const LABEL_BYTES_MAX: usize = 63;
/// Port of https.
const PORT: u16 = 443;

/// An https address on a named host. Its path may hold what lets somebody in there: `Debug` shows
/// none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    place: Place,
    /// Path and query.
    path: String,
}

/// A host by its name, with a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    name: String,
    port: u16,
}

/// Hosts that may be told; none unless the operator names one.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hosts(BTreeSet<Place>);

/// A list of hosts that is none.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HostsError {
    /// Too many.
    #[error("expected at most {HOSTS_MAX} hosts, found {found}")]
    Many {
        /// How many.
        found: usize,
    },
    /// One is no host.
    #[error(
        "expected `NAME` or `NAME:PORT` of a host, with a dot in its name and no address, as host \
         {number}"
    )]
    Host {
        /// From 1.
        number: usize,
    },
}

impl Endpoint {
    /// Reads `https://HOST[:PORT][/PATH][?QUERY]`; none of anything else. A host is a name with a
    /// dot: an address would not be looked up, and a name is what the operator lists. Two programs
    /// that read an address differently are how a list is gone round, so what could be read twice
    /// (users, backslashes, other signs than ASCII, numbers as hosts) is refused.
    pub fn parse(text: &str) -> Option<Endpoint> {
        if text.len() > ENDPOINT_BYTES_MAX {
            return None;
        }
        let rest = text.strip_prefix("https://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(end);
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte);
        if !path.bytes().all(is_plain) {
            return None;
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        let endpoint = Endpoint { place: Place::parse(place)?, path: format!("{slash}{path}") };
        // It is kept as it is written, with the slash that it may have come without: one that could
        // not be read again would make damage of the file with everybody's subscriptions.
        Some(endpoint).filter(|endpoint| endpoint.to_string().len() <= ENDPOINT_BYTES_MAX)
    }

    /// Name of the host.
    pub fn host(&self) -> &str {
        &self.place.name
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.place.port
    }
}

/// As it was given, with the small letters of its host and without the usual port.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { place: Place { name, port }, path } = self;
        match *port {
            PORT => write!(f, "https://{name}{path}"),
            port => write!(f, "https://{name}:{port}{path}"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({} bytes)", self.to_string().len())
    }
}

impl Place {
    fn parse(text: &str) -> Option<Place> {
        let (name, port) = match text.split_once(':') {
            None => (text, PORT),
            Some((name, port)) => (name, whole_number(port).filter(|port| *port > 0)?),
        };
        let name = name.to_ascii_lowercase();
        let is_label = |label: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(is_plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A name whose last label begins with a digit is read as an address by browsers and others.
        let (_, last) = name.rsplit_once('.')?;
        let is_name = name.len() <= NAME_BYTES_MAX
            && name.split('.').all(is_label)
            && last.starts_with(|first: char| first.is_ascii_alphabetic());
        is_name.then_some(Place { name, port })
    }
}

impl Hosts {
    /// Reads a list of `NAME` or `NAME:PORT`, 443 unless it is said.
    ///
    /// # Errors
    /// [`HostsError`].
    pub fn parse(list: &[String]) -> Result<Hosts, HostsError> {
        if list.len() > HOSTS_MAX {
            return Err(HostsError::Many { found: list.len() });
        }
        let read = |(number, text): (usize, &String)| {
            Place::parse(text).ok_or(HostsError::Host { number: number + 1 })
        };
        list.iter().enumerate().map(read).collect::<Result<_, _>>().map(Hosts)
    }

    /// Whether nobody may be told.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this one may be told: host and port both, since other ports are other services.
    pub fn contains(&self, endpoint: &Endpoint) -> bool {
        self.0.contains(&endpoint.place)
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hosts({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{ENDPOINT_BYTES_MAX, Endpoint, Hosts, HostsError};

    #[test]
    fn an_endpoint_is_written_as_it_was_given() {
        for (text, written) in [
            ("https://app.example.org", "https://app.example.org/"),
            ("https://App.Example.org:443/a?b=c/d", "https://app.example.org/a?b=c/d"),
            ("https://app.example.org:8443/n/%41?x", "https://app.example.org:8443/n/%41?x"),
            ("https://app.example.org?x", "https://app.example.org/?x"),
            ("https://app.example.org/a@b:1", "https://app.example.org/a@b:1"),
        ] {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!(endpoint.to_string(), written);
            assert_eq!(Endpoint::parse(written), Some(endpoint));
        }
    }

    #[test]
    fn the_longest_endpoint_is_as_long_once_it_is_written() {
        let padded =
            |begin: &str, bytes: usize| format!("{begin}{}", "a".repeat(bytes - begin.len()));
        let longest = padded("https://app.example.org/", ENDPOINT_BYTES_MAX);
        assert_eq!(Endpoint::parse(&longest).unwrap().to_string(), longest);
        assert!(Endpoint::parse(&padded("https://app.example.org?", ENDPOINT_BYTES_MAX)).is_none());
        let without = padded("https://app.example.org?", ENDPOINT_BYTES_MAX - 1);
        let endpoint = Endpoint::parse(&without).unwrap();
        assert_eq!(endpoint.to_string().len(), ENDPOINT_BYTES_MAX);
        assert_eq!(Endpoint::parse(&endpoint.to_string()), Some(endpoint));
    }

    #[test]
    fn what_could_be_read_twice_or_names_no_host_is_no_endpoint() {
        let long = format!("https://app.example.org/{}", "a".repeat(500));
        for text in [
            "http://app.example.org/",
            "HTTPS://app.example.org/",
            "https:/app.example.org/",
            "https://",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://10.0.0.0x1/",
            "https://[::1]/",
            "https://user@app.example.org/",
            "https://evil.example.net\\@app.example.org/",
            "https://app.example.org#@evil.example.net/",
            "https://app.example.org./",
            "https://.example.org/",
            "https://-app.example.org/",
            "https://app_1.example.org/",
            "https://app.example.org:0443/",
            "https://app.example.org:/",
            "https://app.example.org:65536/",
            "https://app.example.org/a b",
            "https://app.example.org/\r\nhost: x",
            "https://app.example.org/\u{e9}",
            "https://\u{e9}.example.org/",
            long.as_str(),
        ] {
            assert!(Endpoint::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn hosts_are_those_of_the_list_with_their_port() {
        let list =
            |list: &[&str]| Hosts::parse(&list.iter().map(|&it| it.into()).collect::<Vec<_>>());
        let hosts = list(&["app.example.org", "Hook.example.net:8443"]).unwrap();
        let told = |text| hosts.contains(&Endpoint::parse(text).unwrap());
        assert!(told("https://app.example.org/x") && told("https://hook.example.net:8443/"));
        for other in [
            "https://app.example.org:8443/",
            "https://hook.example.net/",
            "https://sub.app.example.org/",
            "https://app.example.org.example.net/",
        ] {
            assert!(!told(other), "{other}");
        }
        assert_eq!(list(&["a.example", "*.example"]), Err(HostsError::Host { number: 2 }));
        assert_eq!(list(&["https://a.example"]), Err(HostsError::Host { number: 1 }));
        assert!(matches!(list(&["a.example"; 257]), Err(HostsError::Many { found: 257 })));
        assert!(list(&[]).unwrap().is_empty());
    }
}
