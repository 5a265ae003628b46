//! A frame in the log, its readings in the clear.

use bytes::Bytes;
use model::{EpochNumber, GatewayId, Sequence};

use crate::codec::Reader;
use crate::limits::FRAME_BYTES_MAX;
use crate::{DecodeError, Frame, FrameError, StreamKey, StreamName};

/// A frame with what the log needs to know beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameEntry {
    /// Who sent it.
    pub gateway: GatewayId,
    /// Device, patient and signal.
    pub key: StreamKey,
    frame: Frame,
}

impl FrameEntry {
    /// An entry that holds the stored form of the frame.
    pub fn new(gateway: GatewayId, key: StreamKey, frame: &Frame) -> FrameEntry {
        FrameEntry { gateway, key, frame: frame.stored() }
    }

    /// The frame with handle 0: its original bytes but for the handle (rule W.12).
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Epoch of the stream.
    pub fn epoch(&self) -> EpochNumber {
        self.frame.header().epoch
    }

    /// Number of the frame.
    pub fn sequence(&self) -> Sequence {
        self.frame.sequence()
    }

    /// The stream as receipts name it.
    pub fn stream(&self) -> StreamName {
        self.key.name(self.epoch())
    }

    /// With this frame, which has handle 0 already.
    pub(super) fn of_stored(gateway: GatewayId, key: StreamKey, frame: Frame) -> FrameEntry {
        FrameEntry { gateway, key, frame }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<FrameEntry, FrameError> {
        let gateway = from.name("gateway id", GatewayId::new)?;
        let key = StreamKey::read(from)?;
        let bytes = Bytes::copy_from_slice(from.long("frame", FRAME_BYTES_MAX)?);
        let frame = Frame::from_bytes(bytes)?;
        // Another handle would give the same frame another digest (W.12, W.41).
        if frame.header().handle.0 != 0 {
            return Err(DecodeError::field("stored frame", "expected handle 0").into());
        }
        Ok(FrameEntry { gateway, key, frame })
    }
}
