//! Sends one notice: to an address that was checked, once, following nothing, reading nothing.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use accounting::notices::{Fault, Notice, is_public};
use aws_lc_rs::hmac;
use model::Millis;
use page_server::base64;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Client, ClientBuilder, Url};
use thiserror::Error;
use tokio::net::lookup_host;

/// Longest time to connect, the name's look-up and TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time for one notice.
const WHOLE: Duration = Duration::from_secs(10);

/// The HTTPS client cannot be made.
#[derive(Debug, Error)]
#[error(
    "the HTTPS client of notices cannot be made: expected certificates of authorities in the \
     system's store (Debian: ca-certificates), or in the file that the variable SSL_CERT_FILE names"
)]
pub struct PostError(#[source] reqwest::Error);

/// Sends notices. Cheap to clone.
#[derive(Clone)]
pub struct Poster {
    client: Client,
}

/// Addresses of a name.
type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Looks names up, and lets nobody connect to an address that it has not judged: the connection is
/// made to what was judged, so that no second answer of a name server leads elsewhere.
pub struct Judged {
    look_up: Box<dyn Fn(String) -> Found + Send + Sync>,
    may_connect: fn(IpAddr) -> bool,
}

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
struct NotJudged(Fault);

impl Judged {
    /// Names of the system's name server, and public addresses.
    fn public() -> Judged {
        let look_up = |name: String| -> Found {
            Box::pin(async move {
                let found = lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        };
        Judged { look_up: Box::new(look_up), may_connect: is_public }
    }

    /// Others, for tests, whose receiver runs on their own machine. It is code that says so: no
    /// setting and no argument of the program leads here, and a node that is given nothing sends by
    /// [`Poster::new`].
    pub fn of(
        look_up: impl Fn(String) -> Vec<IpAddr> + Send + Sync + 'static,
        may_connect: fn(IpAddr) -> bool,
    ) -> Judged {
        let look_up = move |name| -> Found { Box::pin(std::future::ready(Ok(look_up(name)))) };
        Judged { look_up: Box::new(look_up), may_connect }
    }
}

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, may_connect) = ((self.look_up)(name.as_str().to_owned()), self.may_connect);
        Box::pin(async move {
            let found = found.await.unwrap_or_default();
            if found.is_empty() {
                return Err(NotJudged(Fault::Name).into());
            }
            // One that is not public is enough: whoever answers so means to lead somebody astray.
            if !found.iter().all(|address| may_connect(*address)) {
                return Err(NotJudged(Fault::Address).into());
            }
            // The port is that of the endpoint.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok::<Addrs, _>(Box::new(found))
        })
    }
}

impl Poster {
    /// One that trusts the system's authorities and reaches public addresses.
    ///
    /// # Errors
    /// [`PostError`].
    pub fn new() -> Result<Poster, PostError> {
        let builder = Client::builder().connect_timeout(CONNECT).timeout(WHOLE);
        Poster::of(builder, Judged::public())
    }

    /// One that trusts what `builder` does, waits for as long and reaches what is judged so: tests,
    /// whose clock is not the connection's, do not depend on how busy their machine is.
    ///
    /// # Errors
    /// [`PostError`].
    pub fn of(builder: ClientBuilder, judged: Judged) -> Result<Poster, PostError> {
        // What the environment, a receiver or an earlier connection says leads nowhere else.
        let builder = builder.https_only(true).no_proxy().referer(false);
        let builder = builder.redirect(reqwest::redirect::Policy::none());
        let builder = builder.retry(reqwest::retry::never()).pool_max_idle_per_host(0).http1_only();
        let builder = builder.user_agent("vitals-node").dns_resolver(Arc::new(judged));
        Ok(Poster { client: builder.build().map_err(PostError)? })
    }

    /// Sends a notice; it is taken with a status of 200 to 299. Of the answer nothing but its head
    /// is read.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) async fn send(&self, notice: &Notice, now: Millis) -> Result<(), Fault> {
        let url: Url = notice.endpoint.to_string().parse().map_err(|_| Fault::Name)?;
        // Read by the one program as by the other: else the list and the connection were of two
        // hosts. An address, which nobody would look up, is no domain.
        let port = url.port_or_known_default();
        if url.domain() != Some(notice.endpoint.host()) || port != Some(notice.endpoint.port()) {
            return Err(Fault::Name);
        }
        let (id, timestamp) = (notice.id(), now.unix_ms() / 1_000);
        let signature = sign(notice.secret.expose(), &id, timestamp);
        // Nothing says by itself that a body is empty, and some receivers insist on hearing it.
        let request = self.client.post(url).body("").header(CONTENT_LENGTH, 0);
        let request = request.header("webhook-id", id);
        let request = request.header("webhook-timestamp", timestamp);
        let answer = request.header("webhook-signature", signature).send().await;
        let status = answer.map_err(|error| fault_of(&error))?.status();
        if status.is_success() { Ok(()) } else { Err(Fault::Status(status.as_u16())) }
    }
}

/// The signature of a notice, which has no body: HMAC-SHA256 of `ID.TIMESTAMP.`, as Standard
/// Webhooks has it. A secret a subscription: no receiver can make up what another would believe.
pub(super) fn sign(secret: &[u8], id: &str, timestamp: u64) -> String {
    let signed = format!("{id}.{timestamp}.");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("v1,{}", base64::encode(tag.as_ref()))
}

/// What of an error may be said: neither host nor address.
fn fault_of(error: &reqwest::Error) -> Fault {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(NotJudged(fault)) = found.downcast_ref() {
            return *fault;
        }
        cause = found.source();
    }
    if error.is_timeout() { Fault::Late } else { Fault::Connection }
}
