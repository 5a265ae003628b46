//! Frames, receipts, limits and the sans-IO session machines of the ingest protocol.

mod access;
mod client;
mod codec;
mod deframe;
mod eip712;
mod entry;
mod frame;
mod group;
mod hash;
mod header;
mod lane;
pub mod limits;
mod message;
mod operation;
mod receipt;
mod registry;
mod server;
mod stream;
mod time;

pub use access::{AccessKind, AccessRequest, GroupId, Reason, SignedAccessRequest, Source};
pub use client::{
    ClientConfig, ClientError, ClientEvent, ClientLimits, ClientSession, StopReason, Violation,
};
pub use codec::DecodeError;
pub use deframe::Deframer;
pub use entry::{Decision, Entry, FrameEntry, RefusalEntry, RefusalReason, Refused};
pub use frame::{Frame, FrameError, FramePlace, Quality, RAW_ROW_BYTES, Reading};
pub use group::receipts_of_group;
pub use hash::{Address, Holder, Role};
pub use header::{Codec, FrameHeader, HEADER_BYTES};
pub use k256::ecdsa::SigningKey;
pub use lane::{ALPN, Features, LANE_PREAMBLE, Lane, PROTOCOL_VERSION};
pub use message::{
    AccessAnswer, ClientMessage, ClientName, Concern, Credit, Hello, Mark, MessageError, Reject,
    ReleaseEnd, Released, RequestId, ServerMessage, Welcome,
};
pub use operation::SignedOperation;
pub use receipt::{
    AccessItem, FramesItem, GroupIdentity, Items, OperationItem, Receipt, ReceiptError,
    RefusalItem, SignedReceipt, signer_address,
};
pub use registry::{RegistryChange, RegistryKey, RegistryRecord};
pub use server::{OutgoingFull, ServerConfig, ServerEvent, ServerLimits, ServerSession};
pub use stream::{ClockFact, Descriptor, OpenStream, Period, StreamKey, StreamName, SyncMethod};
pub use time::DeviceTime;
