//! Ingest: gateways, practitioners, wallets and operators over QUIC, one task a connection.
//!
//! ```text
//!   lanes -> [wire::ServerSession] -> events -> items -> Admit -> the journal's writer
//!   lanes <- [wire::ServerSession] <- answers, receipts, frames read back <-/
//! ```
//!
//! * [`IngestServer`] accepts connections; a certificate says who the peer is, the registry whether
//!   it may go on, again at every change of the registry.
//! * A session decodes and range-checks on its own task, so that the writer thread only decides.
//! * Nothing is acknowledged here: what a peer is told of its frames are receipts of durable
//!   groups.
//! * What a source may ask for is bounded before anything it signed is looked at; a stop, a
//!   revocation and a deny have room of their own that no stranger can fill.
//! * A stranger's handshakes take no place of anybody's connection, and gateways none of those that
//!   are the wallets'.
//! * A peer that breaks a rule is closed with its code. It disturbs nobody else: it holds its own
//!   task, its own budget and no lock.

mod admit;
mod buckets;
mod close;
mod config;
mod connection;
mod connection_id;
mod crowd;
mod desk;
mod door;
mod erasures;
mod error;
mod observe;
mod peer;
mod places;
mod quic_key;
mod renewals;
mod server;
mod session;
mod shared;
mod sources;
mod stored;
mod tls;
mod told;

#[cfg(test)]
mod tests;

pub use admit::{Admit, AdmitError};
pub use config::{IngestConfig, RateConfig};
pub use desk::{DeskError, RegistryDesk};
pub use door::{Arrived, Asked, DoorError, DoorParts, Examined, OperationDoor, Stored};
pub use erasures::{ErasureDoorError, ErasureStands, TakenErasure};
pub use error::IngestError;
pub use observe::{Observe, Observed, RejectedPeer, RenewalStep};
pub use quic_key::QuicKey;
pub use renewals::{IssueError, Issued, Renewals, Revoked, WaitingRenewal};
pub use server::{IngestServer, Listen, Rates};
pub use shared::Services;
