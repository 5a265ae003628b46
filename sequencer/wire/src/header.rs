//! The 32 bytes before every message (docs/wire.md section 2), little-endian.

use model::{EpochNumber, Sequence, StreamHandle};

use crate::limits::{BLOCK_BYTES_MAX, FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, RELEASED_BYTES_MAX};
use crate::{DecodeError, DeviceTime, Features};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 32;

/// Bytes of a nonce of AES-GCM.
pub const NONCE_BYTES: usize = 12;
/// Bytes of a tag of AES-GCM.
pub const TAG_BYTES: usize = 16;
/// Bytes of what is authenticated beside the ciphertext: the header, and the last reading's time.
pub const BOUND_BYTES: usize = HEADER_BYTES + LAST_BYTES;
/// By how much an encrypted body is longer than the one in it.
pub const ENCRYPTION_BYTES: usize = LAST_BYTES + NONCE_BYTES + TAG_BYTES;

/// Bytes of the last reading's time.
const LAST_BYTES: usize = 8;

/// Largest sequence: its successor always exists.
pub(crate) const SEQUENCE_MAX: u64 = i64::MAX as u64;

/// How the readings of a frame are laid out: [`Codec::SPOKEN`] are spoken by this version,
/// `docs/wire.md` names the reserved ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub struct Codec(u8);

impl Codec {
    /// Rows of 16 bytes: time offset, value, quality.
    pub const RAW: Codec = Codec(0);
    /// Columns of values and of times without a rhythm.
    pub const COLUMNAR: Codec = Codec(2);
    /// Columns of values; times on a grid.
    pub const GRID: Codec = Codec(3);
    /// Those that this version speaks.
    pub const SPOKEN: [Codec; 3] = [Codec::RAW, Codec::COLUMNAR, Codec::GRID];
    /// The bit that says that the body is encrypted.
    const ENCRYPTED: u8 = 0x80;

    /// The one with this number, spoken or not.
    pub(crate) const fn from_number(number: u8) -> Codec {
        Codec(number)
    }

    /// The number in the header.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The name in `docs/wire.md`; of a reserved one, that it is.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::RAW => "raw",
            Codec::COLUMNAR => "columnar",
            Codec::GRID => "grid",
            encrypted if encrypted.is_encrypted() => "encrypted",
            _ => "reserved",
        }
    }

    /// Whether the body is encrypted.
    pub const fn is_encrypted(self) -> bool {
        self.0 & Codec::ENCRYPTED != 0
    }

    /// The codec of what is within an encrypted body; of one in the clear itself.
    pub const fn plain(self) -> Codec {
        Codec(self.0 & !Codec::ENCRYPTED)
    }

    /// The same within an encrypted body.
    pub(crate) const fn encrypted(self) -> Codec {
        Codec(self.0 | Codec::ENCRYPTED)
    }

    /// The one of these that has this name.
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::SPOKEN.into_iter().find(|codec| codec.name() == name)
    }

    /// The feature that says that it is spoken; none of a reserved one.
    pub(crate) const fn feature(self) -> Option<Features> {
        match self {
            Codec::RAW => Some(Features::RAW),
            Codec::COLUMNAR => Some(Features::COLUMNAR),
            Codec::GRID => Some(Features::GRID),
            // Whichever is within: the server does not look.
            encrypted if encrypted.is_encrypted() => Some(Features::ENCRYPTED),
            _ => None,
        }
    }
}

/// The type byte of a message that is no frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Type {
    Block = 0x04,
    Hello = 0x20,
    OpenStream = 0x21,
    ClockFact = 0x22,
    Operation = 0x23,
    AccessRequest = 0x24,
    EndStream = 0x25,
    Goodbye = 0x26,
    NamesQuestion = 0x27,
    RenewalRequest = 0x28,
    Welcome = 0x40,
    StreamOpened = 0x41,
    Receipt = 0x42,
    AccessAnswer = 0x43,
    Released = 0x44,
    ReleaseEnd = 0x45,
    Reject = 0x46,
    Credit = 0x47,
    Closing = 0x48,
    NamesAnswer = 0x49,
    RenewalAnswer = 0x4a,
}

impl Type {
    const ALL: [Type; 21] = [
        Type::Block,
        Type::Hello,
        Type::OpenStream,
        Type::ClockFact,
        Type::Operation,
        Type::AccessRequest,
        Type::EndStream,
        Type::Goodbye,
        Type::NamesQuestion,
        Type::RenewalRequest,
        Type::Welcome,
        Type::StreamOpened,
        Type::Receipt,
        Type::AccessAnswer,
        Type::Released,
        Type::ReleaseEnd,
        Type::Reject,
        Type::Credit,
        Type::Closing,
        Type::NamesAnswer,
        Type::RenewalAnswer,
    ];

    /// The type with this number; `None` for a frame's.
    pub(crate) fn from_number(number: u8) -> Result<Option<Type>, DecodeError> {
        if is_frame(number) {
            return Ok(None);
        }
        let known = Type::ALL.into_iter().find(|known| *known as u8 == number);
        let found = u64::from(number);
        known.map(Some).ok_or(DecodeError::Unknown { what: "message type", found })
    }
}

/// Frames have codec numbers 0x00 to 0x1f, with or without the encrypted bit; the number of a block
/// is among them, and it is none.
fn is_frame(number: u8) -> bool {
    number != Type::Block as u8 && number & !Codec::ENCRYPTED < 0x20
}

/// Largest message of this type, header included.
pub(crate) fn bytes_max(number: u8) -> usize {
    match number {
        _ if is_frame(number) => FRAME_BYTES_MAX,
        number if number == Type::Released as u8 => RELEASED_BYTES_MAX,
        number if number == Type::Block as u8 => BLOCK_BYTES_MAX,
        _ => MESSAGE_BYTES_MAX,
    }
}

/// The decoded header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Length of header and body.
    pub length: u32,
    /// Codec of the body.
    pub codec: Codec,
    /// Number of readings, 1 to `FRAME_READINGS_MAX`.
    pub count: u16,
    /// Session-local number of the stream; 0 in stored frames.
    pub handle: StreamHandle,
    /// Epoch of the stream.
    pub epoch: EpochNumber,
    /// Number of the frame within the epoch; the first is 1.
    pub sequence: Sequence,
    /// Device time of the first reading.
    pub start: DeviceTime,
}

impl FrameHeader {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        // Bytes 5, 14 and 15 are not touched again: reserved ones are zero (W.8).
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4] = self.codec.0;
        bytes[6..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.handle.0.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.start.micros().to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<FrameHeader, DecodeError> {
        let number = u64::from_le_bytes;
        let part = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            number(eight)
        };
        // One value has one encoding (W.8): else one frame could have two digests.
        if bytes[5] != 0 || bytes[14..16] != [0, 0] {
            return Err(DecodeError::field("frame header", "expected reserved bytes to be zero"));
        }
        let sequence = Sequence(part(16));
        if sequence.0 == 0 || sequence.0 > SEQUENCE_MAX {
            return Err(DecodeError::field("sequence", "expected 1 to 2^63 - 1"));
        }
        Ok(FrameHeader {
            length: part(0) as u32,
            // Any of them: `Frame` refuses what is not spoken, with a code of its own.
            codec: Codec::from_number(bytes[4]),
            count: (part(0) >> 48) as u16,
            handle: StreamHandle(part(8) as u32),
            epoch: EpochNumber((part(8) >> 32) as u16),
            sequence,
            start: DeviceTime::from_micros(part(24))?,
        })
    }
}

/// The header of a message that is no frame: length and type, everything else zero.
pub(crate) fn control_header(of: Type, body_bytes: usize) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let length = HEADER_BYTES + body_bytes;
    assert!(length <= bytes_max(of as u8), "{of:?}: a message is built within its limit");
    bytes[0..4].copy_from_slice(&(length as u32).to_le_bytes());
    bytes[4] = of as u8;
    bytes
}

/// The handle of a frame, and 0 in its place: the frame is in its stored form then (rule W.12). A
/// message that is no frame, or too short for a header, stays as it is.
pub(crate) fn take_handle(message: &mut [u8]) -> StreamHandle {
    match message.first_chunk_mut::<HEADER_BYTES>() {
        Some(header) if is_frame(header[4]) => {
            let handle =
                StreamHandle(u32::from_le_bytes([header[8], header[9], header[10], header[11]]));
            header[8..12].fill(0);
            handle
        }
        _ => StreamHandle(0),
    }
}

/// Length of the message that begins with these bytes, checked against its type's limit.
pub(crate) fn checked_length(head: &[u8; 5]) -> Result<usize, DecodeError> {
    let found = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    // An unknown type has no limit to compare with.
    Type::from_number(head[4])?;
    let limit = bytes_max(head[4]);
    if found > limit {
        return Err(DecodeError::TooLarge { what: "message length", limit, found });
    }
    if found < HEADER_BYTES {
        return Err(DecodeError::Truncated { what: "message", expected: HEADER_BYTES, found });
    }
    Ok(found)
}
