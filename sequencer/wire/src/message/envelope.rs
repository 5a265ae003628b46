//! What stands around the body of a message that is no frame, on both sides.

use std::fmt;

use bytes::Bytes;
use model::RejectCode;

use crate::codec::Writer;
use crate::header::{HEADER_BYTES, Type, checked_length, control_header};
use crate::{DecodeError, FrameError, ReceiptError};

/// Client-chosen number of an operation or access request within a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A message that is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    /// The bytes do not decode.
    #[error("the message does not decode")]
    Decode(#[from] DecodeError),
    /// The frame does not decode.
    #[error("the frame does not decode")]
    Frame(#[from] FrameError),
    /// The receipt does not decode.
    #[error("the receipt does not decode")]
    Receipt(#[from] ReceiptError),
}

impl MessageError {
    /// The code of the one list.
    pub fn code(&self) -> RejectCode {
        match self {
            MessageError::Decode(error) => error.code(),
            MessageError::Frame(error) => error.code(),
            MessageError::Receipt(error) => error.code(),
        }
    }
}

/// A whole message of this type: its header, then its body.
pub(super) fn whole(of: Type, body: &Writer) -> Bytes {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.0.len());
    bytes.extend(control_header(of, body.0.len()));
    bytes.extend_from_slice(&body.0);
    bytes.into()
}

/// The type of a whole message, `None` for a frame; of other messages the whole header is checked.
pub(super) fn message_type(bytes: &Bytes) -> Result<Option<Type>, DecodeError> {
    let found = bytes.len();
    let truncated = DecodeError::Truncated { what: "message", expected: HEADER_BYTES, found };
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(truncated)?;
    let [a, b, c, d, number, ..] = *header;
    if checked_length(&[a, b, c, d, number])? != found {
        return Err(DecodeError::field("message", "expected the length of its header"));
    }
    let of = Type::from_number(number)?;
    // A frame uses its whole header, and a block some of it; both check it where it is read.
    let is_plain = of.is_some_and(|of| of != Type::Block);
    if is_plain && header[5..].iter().any(|byte| *byte != 0) {
        return Err(DecodeError::field("message header", "expected unused bytes to be zero"));
    }
    Ok(of)
}

pub(super) fn wrong_side(of: Type) -> DecodeError {
    DecodeError::Unknown { what: "message type of this side", found: of as u64 }
}
