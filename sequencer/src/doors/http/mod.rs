//! What the node shows: batch files, metrics, health; and what it takes from whoever signed it.
//! HTTP/1.1, meant for loopback or for a proxy that adds TLS and names.
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /batches` | JSON: the last assembled and the last settled batch, and what is under way |
//! | `GET /batches/{n}` | the public file |
//! | `GET /batches/{n}/private` | the private file: openings, each sealed for its patient |
//! | `POST /operations` | takes a signed operation; JSON with its receipt once it is durable |
//! | `POST /erasures` | keeps a signed request to erase for the operator; JSON with how it stands |
//! | `GET /fhir/AuditEvent` | a Bundle of AuditEvents, for whoever has a token for them |
//! | `POST`, `GET /fhir/Subscription` | who is told that somebody read, of a patient's own |
//! | `GET`, `DELETE /fhir/Subscription/{id}` | one of these |
//! | `GET /fhir/metadata` | the CapabilityStatement of what is switched on below `/fhir` |
//! | `POST /fhir/$consent-decision` | tells a system whether consent would allow something |
//! | `GET /metrics` | text for Prometheus |
//! | `GET /healthz` | 200 while no stage failed, then 503 |
//! | `GET /desk` | JSON: what an operator watches, of the last hours, for whoever is let in |
//! | `GET /readyz` | 200 while all is taken in, the chain answers and stages get on, else 503 |
//!
//! Whoever asks these two for JSON (`Accept: application/json`, or `?format=json`) is told every
//! reason, and how each stage stands: `docs/watching.md`.
//!
//! Health, readiness and metrics are asked of memory alone. A scrape copies each value under its
//! own lock, which those who count hold for one addition: nobody waits for the text to be made.
//!
//! Whatever fails is answered with JSON `{"error": code, ...}`; every code stands in
//! [`codes::HTTP`](super::codes::HTTP). Files are immutable once settled
//! and say so to caches; a damaged one is answered with 500 and not served.

mod answer;
mod audit_events;
mod capabilities;
mod decisions;
mod desk;
mod door_place;
mod erasures;
mod fhir;
mod handed_in;
mod health;
mod operations;
mod places;
mod serve;
mod shown;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use audit_events::{AuditEvents, AuditSetup};
pub use desk::{Access, DESK_POINTS_MAX, TellDesk, TokenError, WrongTokens};
pub(super) use desk::{is_own_host, since};
pub use door_place::DoorPlace;
pub use health::{Health, StageHealth, Unready, tell_health};
pub(super) use places::FILES_MAX;
pub use shown::Shown;

use crate::guard::{Guard, GuardedTask, Stage};

/// The service does not start.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The address cannot be bound.
    #[error("expected {address} to be free for HTTP")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A running service. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct HttpService {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: GuardedTask,
}

impl HttpService {
    /// Binds `address` (port 0 takes a free one) and serves.
    ///
    /// Limits: 64 connections that have or wait for a file, of which 16 have one, and 16 wait for
    /// the archive, which gives four at once, for 10 s; 64 with an operation under way; 64 others,
    /// of which the one that waits longest gives way to a new one; 16 KiB of request head with 32
    /// headers within 10 s; two minutes for a connection. Memory: 16 files of up to 64 MiB.
    ///
    /// # Errors
    /// [`HttpError::Bind`].
    pub async fn start(
        address: SocketAddr,
        shown: Shown,
        guard: &Guard,
    ) -> Result<HttpService, HttpError> {
        let bind = |source| HttpError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let router = answer::router(shown);
        let (stop, stopped) = watch::channel(false);
        let task = guard.task(Stage::Http, async move {
            serve::accept(listener, router, stopped).await;
            Ok::<_, Infallible>(())
        });
        Ok(HttpService { address, stop, task })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests under way be answered for up to 10 s, and returns.
    pub async fn stop(self) {
        self.task.stop(|| _ = self.stop.send_replace(true)).await;
    }
}
