//! Many connections that do nothing: what each of them takes of a node's memory.
//!
//! They are gateways that said hello and were welcomed, as most are most of the time. All share one
//! socket and nothing is sent on them besides, so that this side can hold as many as a node can.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{ExitCode, RejectCode};
use quinn::{Connection, RecvStream, SendStream};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use wire::{ClientMessage, ClientName, Deframer, Hello, Lane, ServerMessage};

use crate::dial::{self, DialError};
use crate::exit;

/// Most connections of one run.
pub const IDLE_CONNECTIONS_MAX: usize = 100_000;

/// Handshakes under way at once: fewer than a node asks to prove their addresses.
const AT_ONCE: usize = 32;
/// Most bytes that are read of a lane at once.
const READ_BYTES: usize = 16 << 10;

/// What is connected.
#[derive(Clone, Debug)]
pub struct IdleConfig {
    /// Where the node listens (UDP).
    pub node: SocketAddr,
    /// Name in the node's certificate.
    pub server_name: String,
    /// Identities, which the connections are dealt to in turn.
    pub identities: Vec<PathBuf>,
    /// How many connections, 1 to [`IDLE_CONNECTIONS_MAX`].
    pub connections: usize,
    /// How long they stay.
    pub hold: Duration,
    /// The node's process on this machine, whose memory is read.
    pub process: Option<u32>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct IdleReport {
    /// Connections that were welcomed.
    pub welcomed: usize,
    /// Connections that were open when they had stayed.
    pub open: usize,
    /// Resident memory of the node before the first connection, bytes; none where it was not asked
    /// for.
    pub before_bytes: Option<u64>,
    /// The same when all had stayed.
    pub after_bytes: Option<u64>,
}

/// Why not as many are connected.
#[derive(Debug, Error)]
pub enum IdleError {
    /// A number outside its range.
    #[error("expected 1 to {IDLE_CONNECTIONS_MAX} connections, found {found}")]
    Connections {
        /// Number found.
        found: usize,
    },
    /// Nothing can be dialled with.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// A connection is not made.
    #[error(
        "expected the node to welcome connection {number} (`ingest.limits.connections_max`, of one \
         certificate `connections_per_certificate_max`), found {found}"
    )]
    Connect {
        /// From 1.
        number: usize,
        /// What came instead.
        found: String,
    },
    /// The node's memory is not readable.
    #[error("expected the memory of process {process} in /proc")]
    Process {
        /// Which.
        process: u32,
    },
    /// A task is gone: a bug of this program.
    #[error("expected every connection's task to run to its end")]
    Gone(#[from] JoinError),
}

impl IdleError {
    /// How the program ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            IdleError::Connections { .. } | IdleError::Process { .. } => ExitCode::Usage,
            IdleError::Connect { .. } => ExitCode::Unavailable,
            _ => ExitCode::of_error(self, exit::known),
        }
    }
}

impl IdleReport {
    /// What a connection takes of the node, bytes.
    pub fn bytes_each(&self) -> Option<u64> {
        let grown = self.after_bytes?.saturating_sub(self.before_bytes?);
        grown.checked_div(self.welcomed as u64)
    }

    /// [`ExitCode::Ok`] if all stayed.
    pub fn exit_code(&self) -> ExitCode {
        if self.open == self.welcomed { ExitCode::Ok } else { ExitCode::Failed }
    }

    /// Lines for people.
    pub fn text(&self) -> String {
        let IdleReport { welcomed, open, before_bytes, after_bytes } = self;
        let mut text = format!("connections      {welcomed} welcomed, {open} stayed\n");
        if let (Some(before), Some(after), Some(each)) =
            (before_bytes, after_bytes, self.bytes_each())
        {
            let mib = |bytes: &u64| bytes >> 20;
            text += &format!(
                "memory           {} MiB before, {} MiB with them: {:.1} KiB a connection\n",
                mib(before),
                mib(after),
                each as f64 / 1024.0,
            );
        }
        text
    }
}

/// Connects, stays, and reads the node's memory before and after.
///
/// # Errors
/// [`IdleError`]; a connection that goes while it should stay is in the report.
pub async fn idle(config: &IdleConfig) -> Result<IdleReport, IdleError> {
    let IdleConfig { connections: wanted, process, .. } = *config;
    if !(1..=IDLE_CONNECTIONS_MAX).contains(&wanted) {
        return Err(IdleError::Connections { found: wanted });
    }
    let dials = config.identities.iter().map(|folder| dial::settings(folder));
    let dials = dials.collect::<Result<Vec<_>, _>>()?;
    let endpoint = dial::endpoint(config.node)?;
    let before_bytes = process.map(resident_bytes).transpose()?;
    let (places, mut tasks) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (number, settings) in (0..wanted).zip(dials.iter().cycle()) {
        let (places, endpoint) = (Arc::clone(&places), endpoint.clone());
        let (settings, node, name) = (settings.clone(), config.node, config.server_name.clone());
        tasks.spawn(async move {
            // Never closed, so there always comes one.
            let _place = places.acquire().await;
            let connecting = endpoint.connect_with(settings, node, &name);
            let found = async { welcome(connecting.map_err(text)?.await.map_err(text)?).await };
            found.await.map_err(|found| IdleError::Connect { number: number + 1, found })
        });
    }
    let mut held = Vec::with_capacity(wanted);
    while let Some(ended) = tasks.join_next().await {
        held.push(ended??);
    }
    sleep(config.hold).await;
    let after_bytes = process.map(resident_bytes).transpose()?;
    let open = held.iter().filter(|one| one.connection.close_reason().is_none()).count();
    for one in &held {
        one.connection.close(0u32.into(), b"");
    }
    endpoint.wait_idle().await;
    Ok(IdleReport { welcomed: held.len(), open, before_bytes, after_bytes })
}

/// A welcomed connection. Its lanes are kept: one that ends, ends the session.
struct Held {
    connection: Connection,
    _lanes: Vec<(SendStream, RecvStream)>,
}

/// Opens the lanes, says hello and waits for the answer; what came instead.
async fn welcome(connection: Connection) -> Result<Held, String> {
    let mut lanes = Vec::new();
    for lane in Lane::ALL {
        let (mut send, receive) = connection.open_bi().await.map_err(text)?;
        send.write_all(&lane.preamble()).await.map_err(text)?;
        lanes.push((send, receive));
    }
    let name = ClientName::new("vitals-idle").expect("11 printable characters");
    let hello = ClientMessage::Hello(Hello::new(name, true)).encode();
    let (send, receive) = &mut lanes[Lane::Control as usize];
    send.write_all(&hello).await.map_err(text)?;
    let mut received = Deframer::default();
    loop {
        if let Some(bytes) = received.next_message().map_err(text)? {
            match ServerMessage::decode(bytes).map_err(text)? {
                ServerMessage::Welcome(_) => return Ok(Held { connection, _lanes: lanes }),
                ServerMessage::Closing { code } => return Err(said(code)),
                _ => continue,
            }
        }
        match receive.read_chunk(READ_BYTES, true).await.map_err(text)? {
            Some(chunk) => received.feed(&chunk.bytes),
            None => return Err("the end of the control lane".into()),
        }
    }
}

fn said(code: RejectCode) -> String {
    format!("{code:?}")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// `VmRSS:    123456 kB`.
fn resident_bytes(process: u32) -> Result<u64, IdleError> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = kib.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or(IdleError::Process { process })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_read_and_shared_out() {
        assert!(resident_bytes(std::process::id()).unwrap() > 1 << 20);
        assert!(matches!(resident_bytes(u32::MAX), Err(IdleError::Process { .. })));
        let report = IdleReport {
            welcomed: 10,
            open: 9,
            before_bytes: Some(100 << 20),
            after_bytes: Some(101 << 20),
        };
        assert_eq!(report.bytes_each(), Some((1 << 20) / 10));
        assert_eq!(report.exit_code(), ExitCode::Failed);
        assert!(report.text().contains("100 MiB before, 101 MiB with them: 102.4 KiB"));
    }
}
