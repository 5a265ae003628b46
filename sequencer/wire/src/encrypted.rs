//! Bodies that a gateway encrypted under a key that the node does not have (docs/wire.md, rules
//! W.92 to W.97).
//!
//! The header stays as it is, and so does the time of the last reading: consent, windows, claims
//! and releases are about whose readings these are and when they were measured. What they are only
//! the key opens. This crate knows where the parts stand, and no cipher.

use model::Signal;

use crate::columns::take_array;
use crate::header::{BOUND_BYTES, ENCRYPTION_BYTES, HEADER_BYTES, NONCE_BYTES};
use crate::limits::FRAME_BYTES_MAX;
use crate::{DecodeError, Frame, FrameError, FrameHeader};

/// The parts of a frame with an encrypted body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encrypted<'a> {
    /// What the tag is over besides the ciphertext: the header in its stored form, with handle 0,
    /// and the last reading's time behind the first.
    pub bound: [u8; BOUND_BYTES],
    /// The nonce.
    pub nonce: [u8; NONCE_BYTES],
    /// Ciphertext and tag.
    pub sealed: &'a [u8],
}

/// What a cipher makes of a body.
pub struct Sealed {
    /// The nonce.
    pub nonce: [u8; NONCE_BYTES],
    /// Ciphertext and tag.
    pub sealed: Vec<u8>,
}

impl Frame {
    /// The parts of an encrypted body; `None` of one in the clear.
    pub fn encrypted(&self) -> Option<Encrypted<'_>> {
        if !self.is_encrypted() {
            return None;
        }
        let bytes = self.as_bytes();
        let (mut bound, mut rest) = ([0; BOUND_BYTES], &bytes[BOUND_BYTES..]);
        bound.copy_from_slice(&bytes[..BOUND_BYTES]);
        // As it is stored: whoever opens it may have it under another handle than who sealed it.
        bound[8..12].fill(0);
        // There are as many, or it would be no frame.
        let nonce = take_array(&mut rest).ok()?;
        Some(Encrypted { bound, nonce, sealed: rest })
    }

    /// The same readings at the same place with a body that `seal` makes of the bytes to
    /// authenticate and of the body in the clear.
    ///
    /// # Errors
    /// [`FrameError`] as [`Frame::readings`], or if it grows beyond what a frame may be. Of a frame
    /// that is encrypted already, [`FrameError::Encrypted`].
    pub fn encrypt(
        &self,
        signal: &Signal,
        seal: impl FnOnce(&[u8; BOUND_BYTES], &[u8]) -> Sealed,
    ) -> Result<Frame, FrameError> {
        let start = self.header().start;
        let last = self.readings(signal)?.last().map_or(start, |last| last.at);
        let (found, limit) = (self.as_bytes().len() + ENCRYPTION_BYTES, FRAME_BYTES_MAX);
        if found > limit {
            return Err(DecodeError::TooLarge { what: "encrypted frame", limit, found }.into());
        }
        let codec = self.header().codec.encrypted();
        let header = FrameHeader { length: found as u32, codec, ..*self.header() };
        let mut bytes = Vec::with_capacity(found);
        bytes.extend(header.to_bytes());
        bytes.extend((last.micros() - start.micros()).to_le_bytes());
        let mut bound = [0; BOUND_BYTES];
        bound.copy_from_slice(&bytes);
        bound[8..12].fill(0);
        let Sealed { nonce, sealed } = seal(&bound, &self.as_bytes()[HEADER_BYTES..]);
        bytes.extend(nonce);
        bytes.extend(sealed);
        Frame::from_bytes(bytes.into())
    }

    /// The frame in the clear, with the body that a key opened.
    ///
    /// # Errors
    /// [`FrameError`] if the body is none of the header's, or the frame was not encrypted.
    pub fn decrypted(&self, body: &[u8]) -> Result<Frame, FrameError> {
        if !self.is_encrypted() {
            let why = "expected an encrypted body, found one in the clear";
            return Err(DecodeError::field("frame", why).into());
        }
        let (length, codec) = ((HEADER_BYTES + body.len()) as u32, self.header().codec.plain());
        let header = FrameHeader { length, codec, ..*self.header() };
        Frame::from_bytes([&header.to_bytes()[..], body].concat().into())
    }
}
