//! How a connection is closed: by a code, which its peer knows.

use model::RejectCode;
use quinn::{Connection, VarInt};

/// Closes with the code's number and meaning.
pub(super) fn close(connection: &Connection, why: RejectCode) {
    connection.close(code(why), why.meaning().as_bytes());
}

pub(super) fn code(code: RejectCode) -> VarInt {
    VarInt::from_u32(u32::from(code.number()))
}
