//! A frame in the log whose readings are sealed (docs/wire.md section 7).

use std::fmt;

use bytes::Bytes;
use model::{EpochNumber, GatewayId, Interval, Sequence};

use super::frame::FrameEntry;
use crate::codec::{Reader, Writer};
use crate::header::{Codec, FrameHeader, HEADER_BYTES};
use crate::limits::FRAME_BYTES_MAX;
use crate::{DecodeError, Frame, FrameError, StreamKey, StreamName};

/// Version byte of the body.
pub(super) const VERSION: u8 = 3;

/// By how many bytes sealed readings are longer.
const TAG_BYTES: usize = 16;

/// What stands in the clear beside readings that are about to be sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealing {
    /// Which key of the patient.
    pub body_epoch: u32,
    /// When the readings were measured: whoever has no key has to know.
    pub measured: Interval,
}

/// A frame whose readings are sealed. Everything that the log is read for without them stands
/// beside: whose it is, where it stands in its stream, how many readings, and when they were
/// measured.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedFrame {
    /// Who sent it.
    pub gateway: GatewayId,
    /// Device, patient and signal.
    pub key: StreamKey,
    /// What else stands in the clear.
    pub sealing: Sealing,
    header: FrameHeader,
    /// The whole body of the entry.
    body: Bytes,
}

/// A frame that is about to be stored, with what the log needs to know beside it.
#[derive(Clone, Copy)]
pub struct StoringFrame<'a> {
    /// Who sent it.
    pub gateway: &'a GatewayId,
    /// Device, patient and signal.
    pub key: &'a StreamKey,
    /// The frame in its stored form.
    pub frame: &'a Frame,
}

impl FrameEntry {
    /// The same, about to be stored.
    pub fn storing(&self) -> StoringFrame<'_> {
        StoringFrame { gateway: &self.gateway, key: &self.key, frame: self.frame() }
    }
}

impl StoringFrame<'_> {
    /// Appends the body of an entry with the readings still in the clear, and gives the place in
    /// `out` where they begin: whoever seals them does so there, and appends a tag of 16 bytes.
    pub fn write_to_seal(&self, sealing: Sealing, out: &mut Vec<u8>) -> usize {
        let mut to = Writer(std::mem::take(out));
        to.u8(VERSION);
        to.text(self.gateway.as_str());
        self.key.write(&mut to);
        to.u32(sealing.body_epoch);
        to.interval(sealing.measured);
        let frame = self.frame.as_bytes();
        // Of what it will be.
        to.u32((frame.len() + TAG_BYTES) as u32);
        to.raw(&frame[..HEADER_BYTES]);
        let readings_at = to.0.len();
        to.raw(&frame[HEADER_BYTES..]);
        *out = to.0;
        readings_at
    }
}

impl SealedFrame {
    /// Header of the frame; its length is that of the frame before it was sealed.
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// Epoch of the stream.
    pub fn epoch(&self) -> EpochNumber {
        self.header.epoch
    }

    /// Number of the frame.
    pub fn sequence(&self) -> Sequence {
        self.header.sequence
    }

    /// The stream as receipts name it.
    pub fn stream(&self) -> StreamName {
        self.key.name(self.epoch())
    }

    /// What stands before the sealed readings, and is bound to them.
    pub fn clear(&self) -> &[u8] {
        &self.body[..self.readings_at()]
    }

    /// The sealed readings and their tag.
    pub fn sealed(&self) -> &[u8] {
        &self.body[self.readings_at()..]
    }

    /// The frame as it stands in the log: its header, then sealed readings and tag.
    pub fn stored(&self) -> &[u8] {
        &self.body[self.readings_at() - HEADER_BYTES..]
    }

    /// The whole body of the entry.
    pub fn as_bytes(&self) -> &Bytes {
        &self.body
    }

    /// They come last, so that their length says where they begin.
    fn readings_at(&self) -> usize {
        self.body.len() - (self.header.length as usize - HEADER_BYTES + TAG_BYTES)
    }

    /// The frame, of the readings that its sealed ones opened to.
    ///
    /// # Errors
    /// [`FrameError`] for readings that are not of this frame.
    pub fn with_readings(&self, readings: &[u8]) -> Result<FrameEntry, FrameError> {
        let header = &self.stored()[..HEADER_BYTES];
        let frame = Frame::from_bytes([header, readings].concat().into())?;
        Ok(FrameEntry::of_stored(self.gateway.clone(), self.key.clone(), frame))
    }

    /// Reads a body whose version was looked at.
    pub(super) fn read(body: &[u8]) -> Result<SealedFrame, FrameError> {
        let mut from = Reader::new("entry", body);
        from.version(VERSION)?;
        let gateway = from.name("gateway id", GatewayId::new)?;
        let key = StreamKey::read(&mut from)?;
        let (body_epoch, measured) = (from.u32()?, from.interval("measured interval")?);
        let stored = from.long("sealed frame", FRAME_BYTES_MAX + TAG_BYTES)?;
        from.finish()?;
        let found = stored.len();
        let expected = HEADER_BYTES + TAG_BYTES;
        let truncated = DecodeError::Truncated { what: "sealed frame", expected, found };
        let header = stored.first_chunk().ok_or(truncated)?;
        let header = FrameHeader::from_bytes(header)?;
        if header.handle.0 != 0 {
            return Err(DecodeError::field("stored frame", "expected handle 0").into());
        }
        if !Codec::SPOKEN.contains(&header.codec) {
            return Err(FrameError::Codec { found: header.codec.number() });
        }
        // Before any place is computed of it.
        let length = header.length as usize;
        if length < HEADER_BYTES || length + TAG_BYTES != found || header.count == 0 {
            let why = format!("expected {found} bytes with the tag, found {length} without");
            return Err(DecodeError::field("sealed frame", why).into());
        }
        let sealing = Sealing { body_epoch, measured };
        Ok(SealedFrame { gateway, key, sealing, header, body: Bytes::copy_from_slice(body) })
    }
}

/// Hides whose it is.
impl fmt::Debug for SealedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameHeader { epoch, sequence, count, .. } = self.header;
        write!(f, "SealedFrame {{ {epoch:?}, {sequence:?}, {count} readings }}")
    }
}
