//! Renews the certificate of a connection by itself, while everything else goes on.
//!
//! ```text
//!   half of its life --> request, kept on disk --> asked again and again --> certificate, kept
//!     --> welcomed on a connection of its own --> the identity's --> the streams go over
//! ```

use std::convert::Infallible;
use std::future::pending;
use std::path::Path;

use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use tokio::time::{sleep, timeout};
use wire::{ClientError, ClientEvent, ClientSession, Features, Lane};

use super::drive::{Dialer, Shown, shorten};
use super::error::{ConnectionError, RequestError};
use super::shared::Shared;
use super::state::session_config;
use super::told::{Renewal, RenewalError};
use crate::identity::Identity;
use crate::renewing::Pending;

/// Looks after the certificate for as long as the connection is driven.
pub(super) async fn run(shared: &Shared, dialer: &Dialer) -> Infallible {
    let config = &shared.config;
    let (Some(every), Some(folder)) = (config.renew_every, config.identity_folder.as_deref())
    else {
        return pending().await;
    };
    loop {
        // Spread: those who were issued certificates by one command would else show them at once.
        sleep(shorten(shared, every)).await;
        // The folder first: who shares it may have renewed, and so may whoever looks after it.
        if let Some(other) = dialer.another(shared) {
            tell(shared, take_over(shared, dialer, &other).await);
            continue;
        }
        let shown = dialer.shown_identity();
        let is_due = config.clock.now() >= shown.renew_from();
        let (is_welcomed, is_spoken) = {
            let state = shared.lock();
            (state.welcomed, state.session.speaks(Features::RENEWALS))
        };
        // A node of before may be a newer one tomorrow: it is looked at each time.
        let is_wanted = is_unfinished(folder, &shown) || is_due && is_spoken;
        if !is_welcomed || !is_wanted {
            continue;
        }
        match step(shared, dialer, folder).await {
            Ok(None) => {}
            Ok(Some(told)) => tell(shared, told),
            // Another node answers since it was looked: one of before.
            Err(RenewalError::Request(RequestError::Session(ClientError::NotSpoken {
                ..
            }))) => {}
            Err(why) => tell(shared, Renewal::Failed(why)),
        }
    }
}

/// Whether the last step of a renewal is missing, because a program ended before it: what is shown,
/// and welcome, is not the identity's yet.
fn is_unfinished(folder: &Path, shown: &Identity) -> bool {
    let pending = Pending::read(folder).ok().flatten();
    let issued = pending.as_ref().and_then(Pending::issued);
    issued.is_some_and(|issued| issued.certificate() == shown.certificate())
}

/// Goes over to another certificate of the folder, if the node welcomes it.
async fn take_over(shared: &Shared, dialer: &Dialer, other: &Identity) -> Renewal {
    let proven = prove(shared, dialer, other).await;
    match proven.and_then(|()| dialer.show(other)) {
        Ok(()) => {
            shared.go_over();
            Renewal::Renewed { until: other.valid().until }
        }
        Err(why) => {
            if why.is_refusal() {
                dialer.refuse(other);
            }
            Renewal::Failed(RenewalError::NotWelcomed(why))
        }
    }
}

fn tell(shared: &Shared, what: Renewal) {
    if let Some(listener) = &shared.config.on_renewal {
        listener(&what);
    }
}

/// One step further.
async fn step(
    shared: &Shared,
    dialer: &Dialer,
    folder: &Path,
) -> Result<Option<Renewal>, RenewalError> {
    let shown = dialer.shown_identity();
    // Each time from disk: another program with this identity may be a step ahead.
    let mut pending = Pending::read_or_make(folder, &shown)?;
    // A connection that had to show it shows that it is welcome.
    if is_unfinished(folder, &shown) {
        pending.promote()?;
        return Ok(Some(Renewal::Renewed { until: shown.valid().until }));
    }
    if pending.issued().is_none() {
        match ask(shared, &pending).await? {
            None => return Ok(Some(Renewal::Asked { until: shown.valid().until })),
            Some(certificate) => {
                let now = shared.config.clock.now();
                pending = pending.take(&certificate, &shown, now)?;
            }
        }
    }
    let Some(issued) = pending.issued().cloned() else { return Ok(None) };
    match prove(shared, dialer, &issued).await {
        Ok(()) => {}
        // It began anew, and forgot what its operator had issued.
        Err(why) if why.is_refusal() => {
            pending.ask_again()?;
            return Err(RenewalError::NotWelcomed(why));
        }
        Err(why) => return Err(RenewalError::NotWelcomed(why)),
    }
    // The one before stays on disk until here: it would have been good still.
    pending.promote()?;
    dialer.show(&issued).map_err(RenewalError::NotWelcomed)?;
    shared.go_over();
    Ok(Some(Renewal::Renewed { until: issued.valid().until }))
}

/// What the node says of a request.
async fn ask(shared: &Shared, pending: &Pending) -> Result<Option<Bytes>, RequestError> {
    let request = {
        let mut state = shared.lock();
        let request = state.session.ask_renewal(pending.request().clone())?;
        state.requests.add_question(request);
        request
    };
    shared.wake(Lane::Control);
    let answered = shared.wait_for(|state| state.find_certificate(request));
    let (address, waited) = (shared.config.address, shared.config.waits.connect);
    let answer = timeout(waited, answered).await;
    // Also if none came: the streams would else wait for it before they go over.
    shared.lock().requests.forget(request);
    answer.unwrap_or_else(|_| Err(ConnectionError::NoAnswer { address, waited }.into()))
}

/// Whether the node welcomes an identity, on a connection of its own: the one that everything goes
/// over is not risked for it.
async fn prove(
    shared: &Shared,
    dialer: &Dialer,
    identity: &Identity,
) -> Result<(), ConnectionError> {
    let waited = shared.config.waits.connect;
    let connection = dialer.dial(shared, Shown::new(identity)?, waited).await?.connection;
    let mut session = ClientSession::new(session_config(&shared.config));
    let welcomed = timeout(waited, greet(shared, &connection, &mut session)).await;
    connection.close(0u32.into(), b"");
    let address = shared.config.address;
    welcomed.unwrap_or(Err(ConnectionError::NoAnswer { address, waited }))
}

async fn greet(
    shared: &Shared,
    connection: &quinn::Connection,
    session: &mut ClientSession,
) -> Result<(), ConnectionError> {
    let broken = || match connection.close_reason() {
        Some(error) => ConnectionError::of_quic(error),
        None => ConnectionError::Lane,
    };
    session.connected();
    let mut lanes: Vec<(SendStream, RecvStream)> = Vec::with_capacity(Lane::ALL.len());
    for lane in Lane::ALL {
        let (mut send, receive) = connection.open_bi().await.map_err(ConnectionError::of_quic)?;
        while let Some(bytes) = session.poll_transmit(lane) {
            send.write_chunk(bytes).await.map_err(|_| broken())?;
        }
        lanes.push((send, receive));
    }
    let (_, control) = &mut lanes[Lane::Control as usize];
    loop {
        while let Some(event) = session.poll_event() {
            match event {
                ClientEvent::Welcomed { .. } => return Ok(()),
                ClientEvent::Closed { code: Some(code) } => {
                    return Err(ConnectionError::Closed { code });
                }
                ClientEvent::Violation { violation, evidence } => {
                    return Err(ConnectionError::Violation { violation, evidence });
                }
                _ => {}
            }
        }
        match control.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => {
                session.handle_bytes(Lane::Control, &chunk.bytes, shared.config.clock.now());
            }
            Ok(None) | Err(_) => return Err(broken()),
        }
    }
}

/// A welcome is far shorter.
const READ_BYTES: usize = 64 << 10;
