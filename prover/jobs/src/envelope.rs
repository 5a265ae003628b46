//! What stands in the queue: a sealed job, or where to fetch one that is larger than a message.

use crate::codec::{DecodeError, Reader};
use crate::seal::SEALED_BYTES_MAX;

const MAGIC: &[u8; 8] = b"VTLBREF\x01";

/// A message of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// The sealed job itself.
    Sealed(Vec<u8>),
    /// A sealed job in the object store.
    Stored {
        /// Name of the object: 16 random bytes, written as 32 hexadecimal digits.
        object: [u8; 16],
        /// Its bytes.
        bytes: u32,
    },
}

impl Envelope {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Envelope::Sealed(sealed) => sealed.clone(),
            Envelope::Stored { object, bytes } => {
                [MAGIC.as_slice(), object, &bytes.to_le_bytes()].concat()
            }
        }
    }

    /// Reads a message. What has not the magic of a stored job is taken for a sealed one, and
    /// refused when it is opened if it is none.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(message: &[u8]) -> Result<Envelope, DecodeError> {
        if !message.starts_with(MAGIC) {
            return Ok(Envelope::Sealed(message.to_vec()));
        }
        let mut reader = Reader::new(&message[MAGIC.len()..]);
        let object = reader.array("name of the object")?;
        let bytes = reader.u32("bytes of the object")?;
        reader.end()?;
        // Before anybody makes room for it.
        if bytes as usize > SEALED_BYTES_MAX {
            let (what, found) = ("bytes of the object", bytes as usize);
            return Err(DecodeError::Count { what, most: SEALED_BYTES_MAX, found });
        }
        Ok(Envelope::Stored { object, bytes })
    }
}
