//! Who is told that somebody read: FHIR R4 Subscriptions, hosts and addresses that may be told, and
//! which notice is due when.
//!
//! A notice says that something happened to a record, and nothing else: whoever gets it asks for
//! the AuditEvents with a token of their own. Everything here is a value that is fed: the settled
//! batches, the time, how a delivery ended. Whoever feeds it owns file, clock and socket.

mod address;
mod book;
mod endpoint;
mod fault;
mod kept;
mod subscription;

pub use address::is_public;
pub use book::{Book, BookFull, DoneAt, Limits, Look, Notice, Pace};
pub use endpoint::{ENDPOINT_BYTES_MAX, Endpoint, Hosts, HostsError};
pub use fault::Fault;
pub use kept::{Kept, NoticeSecret, SubscriptionId};
pub use subscription::{AskedSubscription, SubscriptionError, listed, resource};
