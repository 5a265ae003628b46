//! Limits of the protocol. Each is checked before memory is taken for what it bounds.

pub use model::limits::{FRAME_BYTES_MAX, FRAME_READINGS_MAX, MESSAGE_BYTES_MAX};

/// Largest message of all, bytes: one released frame with what describes it.
pub const RELEASED_BYTES_MAX: usize = FRAME_BYTES_MAX + 1024;

/// Most frames of one block.
pub const BLOCK_FRAMES_MAX: usize = 64;

/// Largest frame that goes in a block, bytes, its header included: a longer one gains nothing.
pub const BLOCK_FRAME_BYTES_MAX: usize = 512;

/// Shortest body of a frame in a block, bytes: no codec has a shorter one.
pub const BLOCK_BODY_BYTES_MIN: usize = 6;

/// Fewest bytes that a frame takes in a block: five fields of one byte, and a body.
pub const BLOCK_PART_BYTES_MIN: usize = 5 + BLOCK_BODY_BYTES_MIN;

/// Largest block, bytes: each frame takes at most what it takes alone.
pub const BLOCK_BYTES_MAX: usize = 32 + BLOCK_FRAMES_MAX * BLOCK_FRAME_BYTES_MAX;

/// Longest name a client gives itself in its hello, bytes.
pub const CLIENT_NAME_BYTES_MAX: usize = 64;

/// Largest signed operation, bytes; the operation itself is opaque here.
pub const SIGNED_OPERATION_BYTES_MAX: usize = 1024;

/// Largest sealed operation in the log, bytes: the operation, a nonce of 24 bytes and a tag of 16.
pub const SEALED_OPERATION_BYTES_MAX: usize = SIGNED_OPERATION_BYTES_MAX + 40;

/// Longest reason of an access request, bytes.
pub const REASON_BYTES_MAX: usize = 256;
/// Letters and digits that a reason for breaking the glass has at least.
pub const REASON_LETTERS_MIN: usize = 4;

/// How long a patient's request to erase their readings is valid at most, milliseconds: a month, in
/// which GDPR 12(3) wants it answered.
pub const ERASURE_VALIDITY_MS_MAX: u64 = 31 * 24 * 60 * 60 * 1000;

/// Most resume marks in a welcome; the answer to each stream's opening is authoritative.
pub const MARKS_MAX: usize = 512;

/// Most items of one receipt, all kinds together: a group is cut before a holder needs more.
pub const RECEIPT_ITEMS_MAX: usize = 512;

/// Most names of one question about names: an actor and a source, and as many again.
pub const NAMES_ASKED_MAX: usize = 4;

/// Largest request for a certificate, bytes; one with a key on the curve P-256 has some 220.
pub const CERTIFICATE_REQUEST_BYTES_MAX: usize = 1024;

/// Largest certificate that answers one, bytes; one of the operator's authority has some 450.
pub const CERTIFICATE_BYTES_MAX: usize = 2048;

/// Most signals of one device in the registry.
pub const DEVICE_SIGNALS_MAX: usize = 64;

/// Most gateways of one device in the registry.
pub const DEVICE_GATEWAYS_MAX: usize = 64;
