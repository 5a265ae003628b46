//! Cuts the bytes of a lane into messages.

use bytes::{Bytes, BytesMut};

use crate::DecodeError;
use crate::header::checked_length;

/// Collects the bytes of one direction of one lane. Holds at most one message and what was fed
/// behind it; a length beyond its type's limit is refused before memory is taken for it.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: BytesMut,
}

impl Deframer {
    /// Adds received bytes. Take all messages before adding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The first `length` bytes, once they are there.
    pub(crate) fn take(&mut self, length: usize) -> Option<BytesMut> {
        // Split off and not copied: a frame goes on as a part of what was received.
        (self.buffer.len() >= length).then(|| self.buffer.split_to(length))
    }

    /// The next whole message, header included.
    ///
    /// # Errors
    /// [`DecodeError`] for an unknown type or an impossible length; the lane is then lost.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, DecodeError> {
        Ok(self.next_unshared()?.map(BytesMut::freeze))
    }

    /// As [`Deframer::next_message`], while nobody shares the bytes.
    ///
    /// # Errors
    /// As [`Deframer::next_message`].
    pub(crate) fn next_unshared(&mut self) -> Result<Option<BytesMut>, DecodeError> {
        // Length and type are enough to refuse: before the rest of a header has come, and before
        // memory is taken for a body.
        let Some(head) = self.buffer.first_chunk::<5>() else {
            return Ok(None);
        };
        let length = checked_length(head)?;
        Ok(self.take(length))
    }
}
