//! The ingest protocol: frames, messages, receipts, the bodies of the log's entries, and both sides
//! of a session as machines without IO. The normative text is `docs/wire.md`; its rules are W.n.
//!
//! A session is a value that is fed: received bytes and the current time come in, events and bytes
//! to send come out. It opens no socket, reads no clock and draws no randomness; a shell around it
//! copies bytes between three QUIC streams and [`ClientSession`] or [`ServerSession`].
//!
//! A gateway calls `connected`, `open_stream` and `push` (and stores the frame that it returns),
//! and `submit` or `request_access` for what else it asks. On [`ClientEvent::Durable`] it drops its
//! spool up to `last`; it keeps every [`ClientEvent::Receipt`]; at `wakeup` it calls
//! `handle_timeout`.
//!
//! A node answers [`ServerEvent::Hello`] by `welcome`, `OpenStream` by `open_stream` with the
//! durable mark, and `Duplicate` by `acknowledge` with the receipt of the stored frame's group.
//! After a group is synced: [`receipts_of_group`], `sign`, `acknowledge`. Its log has the last word
//! on sequences: a `Frame` may be one that an earlier connection left in the node's queue, and is
//! then answered as a duplicate.
//!
//! Both sides write what `poll_transmit` gives for each lane, and feed what is read to
//! `handle_bytes`.
//!
//! # Example
//! One frame from a gateway to a receipt, without a network:
//! ```
//! use model::{ChainScope, DeviceId, EpochNumber, GatewayId, Millis};
//! use model::{PatientIndex, Position, Sequence};
//! use wire::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::from_slice(&[7; 32])?; // the node's receipt key
//! let (scope, signer) = (ChainScope { chain_id: 1, contract: [1; 20] }, signer_address(&key));
//! let (gateway, now) = (GatewayId::new("gw-01")?, Millis::new(4_004_288_800_000)?);
//! let (holder, name) = (Holder::gateway(&gateway), ClientName::new("example")?);
//! let (codec, limits) = (None, ClientLimits::default());
//! let config = ClientConfig { scope, signer, holder, name, codec, limits };
//! let mut client = ClientSession::new(config);
//! let limits = ServerLimits::default();
//! let mut server = ServerSession::new(ServerConfig { scope, signer, limits });
//!
//! // The gateway opens a stream of heart rates and makes a frame, which it would now store.
//! client.connected();
//! let device = DeviceId::new("monitor-1")?;
//! let stream = StreamKey { device, patient: PatientIndex::new(7)?, signal: 147842 };
//! let descriptor = Descriptor { key: stream.clone(), period: None, epoch: EpochNumber(1) };
//! let handle = client.open_stream(Lane::Live, descriptor, Sequence(0))?;
//! client.push(handle, &[Reading::new(DeviceTime::from_millis(now), 72)])?;
//!
//! let mut durable = None;
//! while durable.is_none() {
//!     for lane in Lane::ALL {
//!         while let Some(bytes) = client.poll_transmit(lane) {
//!             server.handle_bytes(lane, &bytes, now); // in a shell: over QUIC
//!         }
//!         while let Some(bytes) = server.poll_transmit(lane) {
//!             client.handle_bytes(lane, &bytes, now);
//!         }
//!     }
//!     while let Some(event) = server.poll_event() {
//!         match event {
//!             ServerEvent::Hello(_) => server.welcome(Vec::new(), Standing::default(), now),
//!             ServerEvent::OpenStream(open) => server.open_stream(open.handle, Sequence(0)),
//!             ServerEvent::Frame { frame, .. } => {
//!                 // Append it as one group, sync, and only then acknowledge.
//!                 let entry = FrameEntry::new(gateway.clone(), stream.clone(), &frame);
//!                 let (position, entry) = (Position(1), Entry::Frame(entry));
//!                 let group = GroupIdentity { scope, group: 1, term: 0, journal_hash: [2; 32] };
//!                 let placed = PlacedEntry { position, time: now, entry };
//!                 let receipts = receipts_of_group(group, &[placed])?;
//!                 for receipt in receipts.into_values() {
//!                     server.acknowledge(receipt.sign(&key));
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//!     while let Some(event) = client.poll_event() {
//!         if let ClientEvent::Durable { last, .. } = event {
//!             durable = Some(last);
//!         }
//!     }
//! }
//! assert_eq!(durable, Some(Sequence(1)));
//! # Ok(())
//! # }
//! ```

mod access;
mod asked;
mod block;
mod client;
mod codec;
mod columns;
mod credit;
mod deframe;
mod encrypted;
mod entry;
mod erasure;
mod frame;
mod group;
mod hash;
mod header;
mod lane;
mod layout;
pub mod limits;
mod message;
mod names;
mod operation;
mod page;
mod reading;
mod receipt;
mod registry;
mod renewal;
mod server;
mod signer;
mod stream;
mod time;

pub use access::{AccessKind, AccessRequest, CareTeamId, Reason, SignedAccessRequest, Source};
pub use asked::Verifies;
pub use block::{Block, BlockFrame};
pub use client::{
    ClientConfig, ClientError, ClientEvent, ClientLimits, ClientSession, KeptFrames, StopReason,
    Violation,
};
pub use codec::DecodeError;
pub use credit::{Credit, UnderWay};
pub use deframe::Deframer;
pub use encrypted::{Encrypted, Sealed};
pub use entry::{
    Decision, Entry, ErasureEntry, FrameEntry, FrameName, GapEntry, HoldChange, HoldEntry,
    JournalPlace, QueryEntry, RefusalCount, RefusalEntry, RefusalReason, RefusedItem, RefusedKind,
    SealedFrame, Sealing, StoringFrame, place_digest,
};
pub use erasure::{ErasureOf, ErasureRequest, KeyChecks, SignedErasure};
pub use frame::{Frame, FramePlace, RAW_ROW_BYTES};
pub use group::{GroupReceipts, PlacedEntry, PlacedFrame, receipts_of_group};
pub use hash::{Address, Holder, Role};
pub use header::{
    BOUND_BYTES, Codec, ENCRYPTION_BYTES, FrameHeader, HEADER_BYTES, NONCE_BYTES, TAG_BYTES,
};
pub use lane::{ALPN, Features, Lane, PROTOCOL_VERSION};
pub use layout::Layout;
pub use message::{
    AccessAnswer, ClientMessage, ClientName, Concern, Hello, Mark, MessageError, Reject,
    ReleaseEnd, Released, RequestId, ServerMessage, Standing, Welcome,
};
pub use names::{NamesAnswer, NamesQuestion};
pub use operation::{SealedOperation, SignedOperation, StoredOperation};
pub use page::{Page, PageOrder};
pub use reading::{FrameError, Quality, Reading};
pub use receipt::{
    AccessItem, FramesItem, GroupIdentity, Items, OperationItem, Receipt, ReceiptError,
    RefusalItem, SignedReceipt,
};
pub use registry::{RegistryChange, RegistryKey, RegistryRecord};
pub use renewal::{RenewalAnswer, RenewalRequest};
pub use server::{OutgoingFull, ServerConfig, ServerEvent, ServerLimits, ServerSession};
pub use signer::{NoSigningKey, SigningKey, signer_address};
pub use stream::{ClockFact, Descriptor, OpenStream, Period, StreamKey, StreamName, SyncMethod};
pub use time::DeviceTime;
