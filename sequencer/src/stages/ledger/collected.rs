//! A frame on its way into the ledger: what is looked at of it, and where it came from.

use model::{GatewayId, Interval};
use wire::{Frame, StreamKey, StreamName};

/// A frame that is collected.
#[derive(Clone, Copy)]
pub(super) struct Collected<'a> {
    pub(super) gateway: &'a GatewayId,
    pub(super) key: &'a StreamKey,
    /// When its readings were measured.
    pub(super) measured: Interval,
}

/// The same with its bytes, as a session submits it.
pub(super) struct FrameOf<'a> {
    pub(super) collected: Collected<'a>,
    pub(super) stream: StreamName,
    pub(super) frame: &'a Frame,
}
