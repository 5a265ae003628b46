//! Which server, who logs in there, and what can go wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use files::Audience;
use model::whole_number;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

/// Longest wait for any single answer of the server.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Most bytes of a file with a login.
const LOGIN_BYTES_MAX: u64 = 1024;

/// `nats://HOST:PORT`, or `tls://HOST:PORT` for a server that has a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress(String);

/// The text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
// What was found is not shown: it may hold a password.
#[error(
    "expected nats://HOST:PORT or tls://HOST:PORT with neither user nor path; a user stands in a \
     file of its own"
)]
pub struct AddressError;

/// A user and a password, zeroised when dropped.
pub struct Login {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

/// Why there is no login.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The file cannot be read.
    #[error("the login {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not `USER:PASSWORD`.
    #[error("expected one line USER:PASSWORD in {}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
    },
}

/// A server of the queue.
pub struct Server {
    /// Where it is.
    pub address: ServerAddress,
    /// Who logs in.
    pub login: Option<Login>,
    /// Certificates of the authority behind a `tls://` server; without it the machine's own.
    pub authority: Option<PathBuf>,
}

/// What failed, and why. The server's words are a `source`.
#[derive(Debug, thiserror::Error)]
#[error("the queue: {doing} failed")]
pub struct QueueError {
    doing: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl QueueError {
    pub(crate) fn of<E>(doing: &'static str) -> impl FnOnce(E) -> QueueError
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| QueueError { doing, source: source.into() }
    }
}

impl Server {
    /// A client of it, which connects in the background and again whenever it was cut off.
    ///
    /// # Errors
    /// [`QueueError`] if the authority's file is no certificate; not if nobody listens there yet.
    pub async fn connect(&self, name: &str) -> Result<Client, QueueError> {
        let mut options = ConnectOptions::new()
            .name(name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(reconnect_delay)
            .request_timeout(Some(ANSWER_WITHIN))
            .require_tls(self.address.0.starts_with("tls://"))
            // The server could name others, to which nobody agreed.
            .ignore_discovered_servers();
        if let Some(Login { user, password }) = &self.login {
            options = options.user_and_password(user.to_string(), password.to_string());
        }
        if let Some(authority) = &self.authority {
            // Read here as well: the client would try again for ever and say so to nobody.
            let read = CertificateDer::pem_file_iter(authority);
            let read = read.and_then(|all| all.collect::<Result<Vec<_>, _>>());
            let certificates = read.map_err(QueueError::of("reading the authority"))?;
            if certificates.is_empty() {
                let expected = format!("expected a certificate in {}", authority.display());
                return Err(QueueError::of("reading the authority")(expected));
            }
            options = options.add_root_certificates(authority.clone());
        }
        options.connect(&self.address.0).await.map_err(QueueError::of("connecting"))
    }
}

/// From a tenth of a second up to eight: each try is a line of the log.
fn reconnect_delay(attempts: usize) -> Duration {
    Duration::from_millis(100 << attempts.min(6)).min(Duration::from_secs(8))
}

impl Login {
    /// Reads one.
    ///
    /// # Errors
    /// [`LoginError`]; a file that others may open is refused.
    pub fn read(path: &Path) -> Result<Login, LoginError> {
        let bytes = files::read(path, LOGIN_BYTES_MAX, Audience::Owner)
            .map_err(|source| LoginError::File { path: path.into(), source })?;
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).ok().map(str::trim_end);
        let parts = text.and_then(|text| text.split_once(':'));
        // Several lines are several logins or none: better refused than half of it sent.
        match parts.filter(|(user, password)| !user.is_empty() && !password.contains('\n')) {
            Some((user, password)) => Ok(Login {
                user: Zeroizing::new(user.to_owned()),
                password: Zeroizing::new(password.to_owned()),
            }),
            None => Err(LoginError::Format { path: path.into() }),
        }
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"));
        let (host, port) = rest.and_then(|rest| rest.rsplit_once(':')).ok_or(AddressError)?;
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        if host.is_empty() || !host.bytes().all(letters) || whole_number::<u16>(port).is_none() {
            return Err(AddressError);
        }
        Ok(ServerAddress(text.to_owned()))
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_host_and_port_and_nothing_else() {
        for text in ["nats://127.0.0.1:4222", "tls://queue.example:4222", "nats://[::1]:4222"] {
            assert_eq!(
                text.parse::<ServerAddress>().map(|found| found.to_string()).as_deref(),
                Ok(text)
            );
        }
        for text in [
            "127.0.0.1:4222",
            "nats://host",
            "nats://user:word@host:1",
            "nats://h:1/path",
            "nats://:1",
            "nats://host:+1",
        ] {
            let refused = text.parse::<ServerAddress>().expect_err(text).to_string();
            assert!(!refused.contains("word@"), "{refused}");
        }
    }

    #[tokio::test]
    async fn an_authority_without_a_certificate_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("authority.pem");
        for text in ["", "no certificate"] {
            files::replace(&path, &[text.as_bytes()], Audience::Public).expect("writable");
            let address = "tls://127.0.0.1:4222".parse().expect("an address");
            let server = Server { address, login: None, authority: Some(path.clone()) };
            assert!(server.connect("test").await.is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_login_is_one_line_of_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("login");
        for (text, whole) in
            [("node:a:b\n", true), ("node", false), (":x", false), ("a:b\nc:d", false)]
        {
            files::replace(&path, &[text.as_bytes()], Audience::Owner).expect("writable");
            assert_eq!(Login::read(&path).is_ok(), whole, "{text:?}");
        }
        files::replace(&path, &[b"node:word"], Audience::Public).expect("writable");
        assert!(matches!(Login::read(&path), Err(LoginError::File { .. })));
    }
}
