//! Messages of both sides and their bytes (docs/wire.md sections 2 to 4).

mod client;
mod envelope;
mod server;

pub use client::{ClientMessage, ClientName, Hello};
pub use envelope::{MessageError, RequestId};
pub use server::{
    AccessAnswer, Concern, Mark, Reject, ReleaseEnd, Released, ServerMessage, Standing, Welcome,
};
