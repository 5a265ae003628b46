//! Frames of several streams in one message (docs/wire.md, rules W.88 to W.91).
//!
//! A frame of one slow reading is nearly all header, and twenty streams of a bed say nearly the
//! same in twenty headers. A block says of each frame only how its header differs from the one
//! before. It is a container and no frame: whoever reads it has the very bytes that would have come
//! one by one, and nothing behind the session knows that they came together.

use bytes::Bytes;
use model::{EpochNumber, Sequence, StreamHandle};

use crate::columns::{put_number, take, take_array, take_number};
use crate::header::{Codec, FrameHeader, HEADER_BYTES, Type};
use crate::limits::{BLOCK_BODY_BYTES_MIN, BLOCK_FRAME_BYTES_MAX, BLOCK_FRAMES_MAX};
use crate::{DecodeError, DeviceTime, Frame, FrameError, MessageError};

/// Sequences below this can go in a block; what its numbers hold.
const SEQUENCE_LIMIT: u64 = 1 << 56;

/// Frames of one lane, of several streams, that travel in one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    frames: Vec<BlockFrame>,
}

/// A frame of a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockFrame {
    /// Session-local number of its stream.
    pub handle: StreamHandle,
    /// The frame in its stored form, with handle 0.
    pub frame: Frame,
}

/// A frame on its way into a block: the header with its own handle, and the body.
#[derive(Clone, Copy)]
struct Part<'a> {
    header: FrameHeader,
    body: &'a [u8],
}

/// What the next part is written as a difference to.
#[derive(Clone, Copy)]
struct Before {
    handle: u32,
    epoch: EpochNumber,
    sequence: u64,
    start: u64,
}

impl Block {
    /// A block of frames with the handles of their session, in order of handles, and of one stream
    /// in order of sequence without a hole.
    ///
    /// # Errors
    /// [`DecodeError`] for fewer than 2 or more than [`BLOCK_FRAMES_MAX`] frames, one larger than
    /// [`BLOCK_FRAME_BYTES_MAX`], a sequence of 2^56 and beyond, and another order.
    pub fn new(frames: &[Frame]) -> Result<Block, DecodeError> {
        let parts: Vec<_> = frames.iter().map(Part::of).collect();
        check(&parts)?;
        let frames = frames
            .iter()
            .map(|frame| BlockFrame { handle: frame.header().handle, frame: frame.stored() });
        Ok(Block { frames: frames.collect() })
    }

    /// The frames, in order.
    pub fn frames(&self) -> &[BlockFrame] {
        &self.frames
    }

    pub(crate) fn into_frames(self) -> Vec<BlockFrame> {
        self.frames
    }

    /// The whole message with its header.
    pub(crate) fn encode(&self) -> Bytes {
        let parts = self.frames.iter().map(|BlockFrame { handle, frame }| {
            let mut part = Part::of(frame);
            part.header.handle = *handle;
            part
        });
        encode(&parts.collect::<Vec<_>>())
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// [`MessageError`] for every byte string that no block encodes to; nothing of it is taken.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Block, MessageError> {
        let (count, start) = read_header(bytes)?;
        let mut rest = &bytes[HEADER_BYTES..];
        let mut frames = Vec::with_capacity(count);
        let mut before = None;
        for _ in 0..count {
            let part = take_part(&mut rest, before, start)?;
            before = Some(Before::of(&part.header));
            frames.push(BlockFrame { handle: part.header.handle, frame: part.into_frame()? });
        }
        match rest.len() {
            0 => Ok(Block { frames }),
            found => Err(DecodeError::Trailing { what: "block", found }.into()),
        }
    }
}

/// Whether a whole frame can go in a block.
pub(crate) fn joins(frame: &[u8]) -> bool {
    // The sequence is the header's, little-endian: below 2^56 its last byte is zero.
    (HEADER_BYTES + BLOCK_BODY_BYTES_MIN..=BLOCK_FRAME_BYTES_MAX).contains(&frame.len())
        && frame[23] == 0
}

/// Packs whole frames of one lane, each stream's in order, into a block. `None` if one of them
/// cannot go in one.
pub(crate) fn pack(frames: &[Bytes]) -> Option<Bytes> {
    let header = |frame: &Bytes| FrameHeader::from_bytes(frame.first_chunk()?).ok();
    let part = |frame| Some(Part { header: header(frame)?, body: &frame[HEADER_BYTES..] });
    let mut parts = frames.iter().map(part).collect::<Option<Vec<_>>>()?;
    // Stable: of one stream they are in order already.
    parts.sort_by_key(|part| part.header.handle);
    check(&parts).ok()?;
    Some(encode(&parts))
}

impl<'a> Part<'a> {
    fn of(frame: &'a Frame) -> Part<'a> {
        Part { header: *frame.header(), body: &frame.as_bytes()[HEADER_BYTES..] }
    }

    /// The frame in its stored form.
    fn into_frame(self) -> Result<Frame, FrameError> {
        let header = FrameHeader { handle: StreamHandle(0), ..self.header };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.body.len());
        bytes.extend(header.to_bytes());
        bytes.extend(self.body);
        // As if it had come alone: lengths, codec and number of readings are checked there.
        Frame::from_bytes(bytes.into())
    }
}

impl Before {
    fn of(header: &FrameHeader) -> Before {
        Before {
            handle: header.handle.0,
            epoch: header.epoch,
            sequence: header.sequence.0,
            start: header.start.micros(),
        }
    }
}

/// Whether these may be a block.
fn check(parts: &[Part<'_>]) -> Result<(), DecodeError> {
    check_count(parts.len())?;
    for part in parts {
        let (found, limit) = (HEADER_BYTES + part.body.len(), BLOCK_FRAME_BYTES_MAX);
        if found > limit {
            return Err(DecodeError::TooLarge { what: "frame of a block", limit, found });
        }
        if part.body.len() < BLOCK_BODY_BYTES_MIN || part.header.sequence.0 >= SEQUENCE_LIMIT {
            let why = "expected a body of 6 bytes or more and a sequence below 2^56";
            return Err(DecodeError::field("frame of a block", why));
        }
    }
    let follows = |[before, next]: &[Part<'_>; 2]| {
        let (before, next) = (&before.header, &next.header);
        let is_next = before.epoch == next.epoch && next.sequence.0 == before.sequence.0 + 1;
        before.handle < next.handle || before.handle == next.handle && is_next
    };
    if parts[0].header.handle.0 == 0 || !parts.array_windows().all(follows) {
        let why = "expected frames in order of handles and, of one stream, of sequences";
        return Err(DecodeError::field("block", why));
    }
    Ok(())
}

fn check_count(found: usize) -> Result<(), DecodeError> {
    let limit = BLOCK_FRAMES_MAX;
    match found {
        // One frame goes as itself.
        0 | 1 => {
            let why = format!("expected 2 to {limit} frames, found {found}");
            Err(DecodeError::field("block", why))
        }
        found if found > limit => {
            Err(DecodeError::TooLarge { what: "frames of a block", limit, found })
        }
        _ => Ok(()),
    }
}

/// Of parts that were checked.
fn encode(parts: &[Part<'_>]) -> Bytes {
    let start = parts.first().map_or(0, |first| first.header.start.micros());
    let bodies: usize = parts.iter().map(|part| part.body.len()).sum();
    let mut to = Vec::with_capacity(HEADER_BYTES + bodies + 12 * parts.len());
    to.resize(HEADER_BYTES, 0);
    let mut before = None;
    for part in parts {
        put_part(part, before, &mut to);
        before = Some(Before::of(&part.header));
    }
    let length = to.len() as u32;
    to[..4].copy_from_slice(&length.to_le_bytes());
    to[4] = Type::Block as u8;
    to[6..8].copy_from_slice(&(parts.len() as u16).to_le_bytes());
    to[24..32].copy_from_slice(&start.to_le_bytes());
    to.into()
}

fn put_part(part: &Part<'_>, before: Option<Before>, to: &mut Vec<u8>) {
    let FrameHeader { codec, count, handle, epoch, sequence, start, .. } = part.header;
    let step = handle.0 - before.map_or(0, |before| before.handle);
    put_number(step.into(), to);
    // Of the stream before: its next frame, of the same epoch.
    if step > 0 {
        put_number(epoch.0.into(), to);
        put_number(sequence.0, to);
    }
    to.push(codec.number());
    put_number(count.into(), to);
    // The first one begins where the header says.
    if let Some(before) = before {
        put_number(zigzag(start.micros().wrapping_sub(before.start) as i64), to);
    }
    put_number(part.body.len() as u64, to);
    to.extend_from_slice(part.body);
}

/// Takes the next part off; `start` is that of the first one.
fn take_part<'a>(
    rest: &mut &'a [u8],
    before: Option<Before>,
    start: DeviceTime,
) -> Result<Part<'a>, DecodeError> {
    let wrong = |why: &str| DecodeError::field("frame of a block", why);
    let step = take_number(rest)?;
    let handle = step + before.map_or(0, |before| u64::from(before.handle));
    let handle = u32::try_from(handle).ok().filter(|handle| *handle > 0);
    let handle = handle.ok_or_else(|| wrong("expected a handle of 1 to 2^32 - 1"))?;
    let (epoch, sequence) = match before {
        Some(before) if step == 0 => (before.epoch, before.sequence + 1),
        _ => {
            let epoch = u16::try_from(take_number(rest)?);
            (
                EpochNumber(epoch.map_err(|_| wrong("expected an epoch below 2^16"))?),
                take_number(rest)?,
            )
        }
    };
    if !(1..SEQUENCE_LIMIT).contains(&sequence) {
        return Err(wrong("expected a sequence of 1 to 2^56 - 1"));
    }
    let [codec] = take_array(rest)?;
    let count = u16::try_from(take_number(rest)?);
    let count = count.map_err(|_| wrong("expected a number of readings below 2^16"))?;
    let start = match before {
        None => start,
        Some(before) => {
            let micros = before.start.checked_add_signed(unzigzag(take_number(rest)?));
            DeviceTime::from_micros(micros.ok_or_else(|| wrong("expected a time from 1900 on"))?)?
        }
    };
    // Before anything is taken for it.
    let (found, limit) = (take_number(rest)? as usize, BLOCK_FRAME_BYTES_MAX - HEADER_BYTES);
    if found > limit {
        return Err(DecodeError::TooLarge { what: "body in a block", limit, found });
    }
    if found < BLOCK_BODY_BYTES_MIN {
        return Err(wrong("expected a body of 6 bytes or more"));
    }
    let body = take(rest, found)?;
    let header = FrameHeader {
        length: (HEADER_BYTES + found) as u32,
        codec: Codec::from_number(codec),
        count,
        handle: StreamHandle(handle),
        epoch,
        sequence: Sequence(sequence),
        start,
    };
    Ok(Part { header, body })
}

/// How many frames there are, and when the first one begins.
fn read_header(bytes: &[u8]) -> Result<(usize, DeviceTime), DecodeError> {
    let truncated =
        DecodeError::Truncated { what: "block", expected: HEADER_BYTES, found: bytes.len() };
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(truncated)?;
    // Handle, epoch and sequence are those of its frames.
    if header[5] != 0 || header[8..24].iter().any(|byte| *byte != 0) {
        return Err(DecodeError::field("header of a block", "expected unused bytes to be zero"));
    }
    let count = usize::from(u16::from_le_bytes([header[6], header[7]]));
    check_count(count)?;
    let mut start = [0; 8];
    start.copy_from_slice(&header[24..]);
    Ok((count, DeviceTime::from_micros(u64::from_le_bytes(start))?))
}

/// Small numbers for small differences of either sign.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
