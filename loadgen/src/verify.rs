//! Holds a ledger against the node: everything that was acknowledged must still be there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use client::{
    Connection, ConnectionConfig, ConnectionError, Deployment, Identity, IdentityError, StreamError,
};
use model::{DeviceId, EpochNumber, ExitCode, IdError, PatientIndex, Sequence};
use serde::Serialize;
use thiserror::Error;
use wire::{Descriptor, Lane, StopReason, StreamKey};

use crate::exit;
use crate::ledger::{LedgerEntry, LedgerError, LedgerReader, LedgerStream};

/// Streams asked for on one connection; nodes open at most some hundred on each.
const STREAMS_PER_CONNECTION: usize = 128;

/// Whom to ask about what.
#[derive(Clone, Debug)]
pub struct VerifyConfig {
    /// Where the node listens (UDP).
    pub node: SocketAddr,
    /// Name in the node's certificate.
    pub server_name: String,
    /// Identity folders of the gateways in the ledger.
    pub identities: Vec<PathBuf>,
    /// The ledger.
    pub ledger: PathBuf,
    /// How long a stream is asked for that the node does not open yet. Reached: nothing is said
    /// about what it has.
    pub open_for: Duration,
}

/// What the comparison found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verification {
    /// Acknowledged frames in the ledger.
    pub acknowledged: u64,
    /// Streams and epochs they belong to.
    pub streams: usize,
    /// How many of the frames the node does not have.
    pub lost: u64,
    /// The first of these in the order of the ledger.
    pub first_lost: Option<Lost>,
}

/// A frame that was acknowledged and is not there: the receipt is evidence against its signer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Lost {
    /// Gateway that sent it.
    pub gateway: String,
    /// Device that measured it.
    pub device: String,
    /// IEEE 11073 code.
    pub signal: u32,
    /// Epoch of the stream.
    pub epoch: u16,
    /// Its sequence.
    pub seq: u64,
    /// Group of the receipt.
    pub group: u64,
    /// The last sequence that the node says it has.
    pub durable: u64,
}

impl Verification {
    /// [`ExitCode::Ok`] if nothing is lost.
    pub fn exit_code(&self) -> ExitCode {
        if self.lost == 0 { ExitCode::Ok } else { ExitCode::Failed }
    }
}

/// Why a ledger cannot be held against the node.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is nothing to check.
    #[error("expected acknowledged frames in the ledger, found none")]
    Empty,
    /// A stream in it cannot be.
    #[error("expected device names and patients in the ledger, found others")]
    Stream(#[from] IdError),
    /// An identity folder cannot be used.
    #[error("the identity {folder} cannot be used")]
    Identity {
        /// Which.
        folder: PathBuf,
        /// Why not.
        source: IdentityError,
    },
    /// A gateway of the ledger has no identity.
    #[error("expected the identity of {gateway}, which stands in the ledger, among those given")]
    Missing {
        /// Which gateway.
        gateway: String,
    },
    /// A gateway does not get in.
    #[error("{gateway} cannot connect")]
    Connect {
        /// Which gateway.
        gateway: String,
        /// Why not.
        source: ConnectionError,
    },
    /// The node does not say what it has of a stream.
    #[error("expected the node to say what it has of a stream of {gateway}")]
    Open {
        /// Which gateway.
        gateway: String,
        /// Why not.
        source: StreamError,
    },
}

impl VerifyError {
    /// How the program ends: what the node does not say is unavailable, not broken.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::of_error(self, |cause| match cause.downcast_ref() {
            Some(VerifyError::Connect { .. } | VerifyError::Open { .. }) => {
                Some(ExitCode::Unavailable)
            }
            Some(VerifyError::Empty | VerifyError::Missing { .. }) => Some(ExitCode::Usage),
            // What stands below says it.
            Some(
                VerifyError::Ledger(_) | VerifyError::Stream(_) | VerifyError::Identity { .. },
            )
            | None => exit::known(cause),
        })
    }
}

/// One stream in one epoch.
type Place = (LedgerStream, u16);
/// Gateway, then stream, to the last durable sequence.
type Marks = BTreeMap<String, BTreeMap<Place, Sequence>>;

/// Asks the node what it has of every stream in the ledger and compares. Appends nothing but the
/// openings of these streams to the node's log.
///
/// # Errors
/// [`VerifyError`]; lost frames are findings.
pub async fn verify(config: &VerifyConfig) -> Result<Verification, VerifyError> {
    // Read twice rather than held: a ledger has a line for each frame, the marks only for streams.
    let mut marks = Marks::new();
    for (gateway, places) in collect_places(LedgerReader::open(&config.ledger)?)? {
        marks.insert(gateway.clone(), ask_node(config, &gateway, places).await?);
    }
    compare(LedgerReader::open(&config.ledger)?, &marks)
}

fn collect_places(
    entries: impl Iterator<Item = Result<LedgerEntry, LedgerError>>,
) -> Result<BTreeMap<String, BTreeSet<Place>>, VerifyError> {
    let mut found: BTreeMap<String, BTreeSet<Place>> = BTreeMap::new();
    for entry in entries {
        let LedgerEntry { gateway, stream, epoch, .. } = entry?;
        found.entry(gateway).or_default().insert((stream, epoch));
    }
    if found.is_empty() { Err(VerifyError::Empty) } else { Ok(found) }
}

/// A node's log has no holes: whatever is above its mark is not there, everything up to it is.
fn compare(
    entries: impl Iterator<Item = Result<LedgerEntry, LedgerError>>,
    marks: &Marks,
) -> Result<Verification, VerifyError> {
    let streams = marks.values().map(BTreeMap::len).sum();
    let mut found = Verification { acknowledged: 0, streams, lost: 0, first_lost: None };
    for entry in entries {
        let LedgerEntry { gateway, stream, epoch, seq, receipt, .. } = entry?;
        found.acknowledged += 1;
        let place = (stream, epoch);
        let mark = marks.get(&gateway).and_then(|marks| marks.get(&place));
        let durable = mark.copied().unwrap_or_default().0;
        if seq > durable {
            let (LedgerStream { device, signal, .. }, group) = (place.0, receipt.group);
            let lost = Lost { gateway, device, signal, epoch, seq, group, durable };
            found.first_lost.get_or_insert(lost);
            found.lost += 1;
        }
    }
    Ok(found)
}

async fn ask_node(
    config: &VerifyConfig,
    gateway: &str,
    places: BTreeSet<Place>,
) -> Result<BTreeMap<Place, Sequence>, VerifyError> {
    let (identity, deployment) = find_identity(config, gateway)?;
    let mut marks = BTreeMap::new();
    let places: Vec<_> = places.into_iter().collect();
    for some in places.chunks(STREAMS_PER_CONNECTION) {
        let name = &*config.server_name;
        let mut settings = ConnectionConfig::new(config.node, name, identity.clone(), deployment);
        settings.waits.open = config.open_for;
        let wrong = |source| VerifyError::Connect { gateway: gateway.to_owned(), source };
        let connection = Connection::connect(settings).await.map_err(wrong)?;
        for place in some {
            let (stream, epoch) = place;
            let key = StreamKey {
                device: DeviceId::new(&stream.device)?,
                patient: PatientIndex::new(stream.patient)?,
                signal: stream.signal,
            };
            let descriptor = Descriptor { key, period: None, epoch: EpochNumber(*epoch) };
            let wrong = |source| VerifyError::Open { gateway: gateway.to_owned(), source };
            marks.insert(place.clone(), ask_durable(&connection, descriptor).await.map_err(wrong)?);
        }
        connection.close().await;
    }
    Ok(marks)
}

/// What the node has of a stream, by its answer to the opening: a client that knows of no frame is
/// told to stop if there are some, and how many.
async fn ask_durable(
    connection: &Connection,
    descriptor: Descriptor,
) -> Result<Sequence, StreamError> {
    match connection.open_stream(Lane::Live, descriptor).await {
        // Opened without a word: the node has nothing of it that this client does not know of.
        Ok(_) => Ok(Sequence(0)),
        Err(StreamError::Stopped { why: StopReason::Ahead { durable } }) => Ok(durable),
        Err(error) => Err(error),
    }
}

fn find_identity(
    config: &VerifyConfig,
    gateway: &str,
) -> Result<(Identity, Deployment), VerifyError> {
    for folder in &config.identities {
        let wrong = |source| VerifyError::Identity { folder: folder.clone(), source };
        let identity = Identity::load(folder).map_err(wrong)?;
        if identity.name() == gateway {
            return Ok((identity, Deployment::load(folder).map_err(wrong)?));
        }
    }
    Err(VerifyError::Missing { gateway: gateway.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerReceipt;

    fn entry(gateway: &str, epoch: u16, seq: u64) -> LedgerEntry {
        LedgerEntry {
            gateway: gateway.into(),
            stream: LedgerStream { device: "monitor-1".into(), patient: 7, signal: 131_328 },
            epoch,
            seq,
            sent_ms: 1,
            acked_ms: 2,
            receipt: LedgerReceipt { group: 100 + seq, journal_hash: String::new() },
        }
    }

    fn ledger() -> Vec<LedgerEntry> {
        let mut entries: Vec<_> = (1..=4).map(|seq| entry("gateway-001", 1, seq)).collect();
        entries.push(entry("gateway-002", 1, 1));
        entries.push(entry("gateway-001", 2, 1));
        entries
    }

    fn held_against(marks: [u64; 3]) -> Verification {
        let mut all = Marks::new();
        let places = [("gateway-001", 1), ("gateway-001", 2), ("gateway-002", 1)];
        for ((gateway, epoch), mark) in places.into_iter().zip(marks) {
            let place = (entry(gateway, epoch, 1).stream, epoch);
            all.entry(gateway.to_owned()).or_default().insert(place, Sequence(mark));
        }
        compare(ledger().into_iter().map(Ok), &all).unwrap()
    }

    #[test]
    fn a_node_that_has_everything_or_more_has_lost_nothing() {
        for marks in [[4, 1, 1], [9, 9, 9]] {
            let found = held_against(marks);
            assert_eq!((found.acknowledged, found.streams, found.lost), (6, 3, 0));
            assert_eq!(found.exit_code(), ExitCode::Ok);
        }
    }

    #[test]
    fn the_first_acknowledged_frame_that_is_not_there_is_named() {
        let found = held_against([2, 1, 0]);
        let lost = found.first_lost.clone().unwrap();
        assert_eq!((&*lost.gateway, lost.epoch, lost.seq), ("gateway-001", 1, 3));
        assert_eq!((lost.durable, lost.group, found.lost), (2, 103, 3));
        assert_eq!(found.exit_code(), ExitCode::Failed);
        let (other, epoch) = (held_against([4, 1, 0]), held_against([4, 0, 1]));
        assert_eq!(other.first_lost.unwrap().gateway, "gateway-002");
        assert_eq!(epoch.first_lost.unwrap().epoch, 2);
    }

    #[test]
    fn every_stream_and_epoch_of_the_ledger_is_asked_for_once() {
        let found = collect_places(ledger().into_iter().map(Ok)).unwrap();
        let counts: Vec<_> = found.iter().map(|(name, places)| (&**name, places.len())).collect();
        assert_eq!(counts, [("gateway-001", 2), ("gateway-002", 1)]);
        assert!(matches!(collect_places([].into_iter()), Err(VerifyError::Empty)));
    }
}
