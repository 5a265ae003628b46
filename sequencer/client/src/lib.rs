//! The gateway, wallet and access client, and the `vitals` command line.
//!
//! A gateway opens a [`Connection`] and streams frames until every one has a verified receipt; a
//! wallet signs operations of a patient's record; a practitioner's system asks to read. All of it
//! compiles without the node, the prover and the base chain.
//!
//! # Example
//! ```no_run
//! use client::{Connection, ConnectionConfig, Deployment, Identity};
//! use model::{Clock, DeviceId, PatientIndex, SystemClock};
//! use wire::{Descriptor, DeviceTime, Lane, Reading, StreamKey};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = std::path::Path::new("gateways/gw-01");
//! let (identity, deployment) = (Identity::load(folder)?, Deployment::load(folder)?);
//! let config =
//!     ConnectionConfig::new("127.0.0.1:4433".parse()?, "localhost", identity, deployment);
//! let connection = Connection::connect(config).await?;
//!
//! let device = DeviceId::new("monitor-1")?;
//! let key = StreamKey { device, patient: PatientIndex::new(7)?, signal: 147842 };
//! let epoch = connection.epoch(&key)?;
//! let stream = connection.open_stream(Lane::Live, Descriptor { key, period: None, epoch }).await?;
//! let at = DeviceTime::from_millis(SystemClock.now());
//! let sequence = stream.send(&[Reading::new(at, 72)]).await?;
//! stream.wait_for_receipt(sequence).await?; // durable, and a signed receipt says so
//! connection.close().await;
//! # Ok(())
//! # }
//! ```

pub mod batches;
mod connection;
mod file;
pub mod headers;
mod identity;
mod key;
pub mod log;
pub mod party;
pub mod preview;
pub mod readings;
mod receipts;
pub mod rule_slot;
mod spool;
mod transport;
mod wallet;

pub use connection::{
    AccessOutcome, Applied, Connection, ConnectionConfig, ConnectionError, Counts, ReceiptListener,
    RequestError, Stream, StreamError, Waits,
};
pub use identity::{Deployment, Identity, IdentityError};
pub use key::{Key, KeyError, KeyKind};
pub use receipts::read_receipt;
pub use spool::SpoolError;
pub use wallet::{Wallet, WalletError, date_back};
