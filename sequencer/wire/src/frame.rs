//! A frame: what a gateway sends at once for one stream, with its original bytes.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use model::{EpochNumber, Interval, Sequence, Signal, StreamHandle};

use crate::columns::{Columns, Extent, put_columnar, put_grid, take_array};
use crate::header::{Codec, ENCRYPTION_BYTES, FrameHeader, HEADER_BYTES, SEQUENCE_MAX};
use crate::limits::{BLOCK_BODY_BYTES_MIN, FRAME_BYTES_MAX};
use crate::reading::{NO_VALUE, check_absence, within};
use crate::{DecodeError, DeviceTime, FrameError, Layout, Quality, Reading};

/// Bytes of a row of [`Codec::RAW`].
pub const RAW_ROW_BYTES: usize = 16;

/// Where a frame stands: what is written into its header besides the readings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FramePlace {
    /// Session-local number of the stream.
    pub handle: StreamHandle,
    /// Epoch of the stream.
    pub epoch: EpochNumber,
    /// Number of the frame within the epoch.
    pub sequence: Sequence,
}

/// A frame with a well-formed header and a body of the length that the header says.
///
/// Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    header: FrameHeader,
    bytes: Bytes,
}

impl Frame {
    /// Most readings in a raw frame: what fits into [`FRAME_BYTES_MAX`].
    pub const RAW_READINGS_MAX: usize = (FRAME_BYTES_MAX - HEADER_BYTES) / RAW_ROW_BYTES;

    /// Encodes readings after checking each as a receiver does.
    ///
    /// # Errors
    /// [`FrameError`] for none or more than [`Frame::RAW_READINGS_MAX`] readings, one out of range
    /// or order, and readings that the codec of the layout does not hold.
    pub fn encode(
        place: FramePlace,
        signal: &Signal,
        readings: &[Reading],
        layout: Layout,
    ) -> Result<Frame, FrameError> {
        let (found, limit) = (readings.len(), Frame::RAW_READINGS_MAX);
        // First, since the lengths below are cast to the widths that they have in a header. The
        // bound of rows for every codec: each frame can go to a server that speaks no other.
        if found > limit {
            return Err(DecodeError::TooLarge { what: "readings", limit, found }.into());
        }
        let Some(first) = readings.first() else {
            return Err(DecodeError::field("frame", "expected a reading, found none").into());
        };
        if !are_in_order(readings) {
            check_in_order(readings)?;
        }
        // The header in front, once the body shows how long it is.
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 2 * found + 32);
        bytes.resize(HEADER_BYTES, 0);
        let codec = put_body(readings, layout, &mut bytes)?;
        let header = FrameHeader {
            length: bytes.len() as u32,
            codec,
            count: found as u16,
            handle: place.handle,
            epoch: place.epoch,
            sequence: place.sequence,
            start: first.at,
        };
        bytes[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        // Read back as the server reads it: what it would reject never reaches the spool, where it
        // would block its stream for good.
        let frame = Frame::from_bytes(bytes.into())?;
        frame.check(signal)?;
        Ok(frame)
    }

    /// Encodes readings as raw rows: [`Frame::encode`] with [`Layout::RAW`].
    ///
    /// # Errors
    /// As [`Frame::encode`].
    pub fn encode_raw(
        place: FramePlace,
        signal: &Signal,
        readings: &[Reading],
    ) -> Result<Frame, FrameError> {
        Frame::encode(place, signal, readings, Layout::RAW)
    }

    /// The same readings at the same place as raw rows.
    ///
    /// # Errors
    /// As [`Frame::readings`], and [`FrameError`] for more than [`Frame::RAW_READINGS_MAX`].
    pub(crate) fn to_raw(&self, signal: &Signal) -> Result<Frame, FrameError> {
        let FrameHeader { handle, epoch, sequence, .. } = self.header;
        let place = FramePlace { handle, epoch, sequence };
        Frame::encode_raw(place, signal, &self.readings(signal)?)
    }

    /// Reads a whole frame; keeps the bytes.
    ///
    /// # Errors
    /// [`FrameError`] unless header and lengths agree and the codec is spoken.
    pub fn from_bytes(bytes: Bytes) -> Result<Frame, FrameError> {
        let (found, limit) = (bytes.len(), FRAME_BYTES_MAX);
        if found > limit {
            return Err(DecodeError::TooLarge { what: "frame", limit, found }.into());
        }
        let head: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(DecodeError::Truncated {
            what: "frame",
            expected: HEADER_BYTES,
            found,
        })?;
        let header = FrameHeader::from_bytes(head)?;
        if !Codec::SPOKEN.contains(&header.codec.plain()) {
            return Err(FrameError::Codec { found: header.codec.number() });
        }
        // Lengths only: readings are checked against the signal, which the frame does not name.
        let (count, limit) = (usize::from(header.count), Frame::RAW_READINGS_MAX);
        // Also of columns, of which more would fit: so each frame can go as rows, and what a frame
        // costs to check is bounded by what its readings cost as rows.
        if count == 0 || count > limit {
            let why = format!("expected 1 to {limit} readings, found {count}");
            return Err(DecodeError::field("frame", why).into());
        }
        let least = match header.codec.is_encrypted() {
            true => ENCRYPTION_BYTES + BLOCK_BODY_BYTES_MIN,
            false => 0,
        };
        // How long columns are is seen when they are read, or by nobody here.
        let expected = match header.codec {
            Codec::RAW => HEADER_BYTES + RAW_ROW_BYTES * count,
            encrypted if encrypted.plain() == Codec::RAW => {
                HEADER_BYTES + ENCRYPTION_BYTES + RAW_ROW_BYTES * count
            }
            _ => (header.length as usize).max(HEADER_BYTES + least),
        };
        if header.length as usize != found || found != expected {
            let why = format!("expected {expected} bytes for {count} readings, found {found}");
            return Err(DecodeError::field("frame", why).into());
        }
        Ok(Frame { header, bytes })
    }

    /// The header.
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// Number of the frame within its epoch.
    pub fn sequence(&self) -> Sequence {
        self.header.sequence
    }

    /// Header and body as they came.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same frame under another session-local handle.
    pub(crate) fn with_handle(&self, handle: StreamHandle) -> Frame {
        let FrameHeader { epoch, sequence, .. } = self.header;
        self.at_place(FramePlace { handle, epoch, sequence })
    }

    /// The same readings at another place. Only what nobody was shown yet may move: a sequence that
    /// was sent stands for its bytes for good (rules W.19 and W.20).
    ///
    /// # Panics
    /// For a sequence that no frame can have: 0, or 2^63 and beyond.
    pub fn at_place(&self, place: FramePlace) -> Frame {
        let FramePlace { handle, epoch, sequence } = place;
        let is_sequence = (1..=SEQUENCE_MAX).contains(&sequence.0);
        assert!(is_sequence, "expected a sequence of 1 to 2^63 - 1, found {}", sequence.0);
        let header = FrameHeader { handle, epoch, sequence, ..self.header };
        // Most frames stand there already, and a clone shares their bytes.
        if header == self.header {
            return self.clone();
        }
        // A copy: others may share these bytes at their own place.
        let mut bytes = self.bytes.to_vec();
        bytes[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        Frame { header, bytes: bytes.into() }
    }

    /// The frame as it is stored, hashed, compared and released: with handle 0 (rule W.12).
    pub fn stored(&self) -> Frame {
        self.with_handle(StreamHandle(0))
    }

    /// The same without a copy where it stands so already, as what a session hands out does.
    pub fn as_stored(&self) -> Cow<'_, Frame> {
        match self.header.handle {
            StreamHandle(0) => Cow::Borrowed(self),
            _ => Cow::Owned(self.stored()),
        }
    }

    /// Whether the other says the same: the same bytes but for the handle, or the same readings at
    /// the same place in another codec. What was made before a client knew the codecs of a node may
    /// go in one and come again in the other (rule W.20).
    pub fn says_same(&self, other: &Frame, signal: &Signal) -> bool {
        let (own, other) = (self.stored(), other.stored());
        if own.header.codec == other.header.codec {
            return own.bytes == other.bytes;
        }
        let place = |frame: &Frame| (frame.header.epoch, frame.header.sequence);
        let readings = |frame: &Frame| frame.readings(signal).ok();
        place(&own) == place(&other)
            && readings(&own).is_some_and(|all| readings(&other) == Some(all))
    }

    /// Checks every reading and says when they were measured: from the first to after the last. Of
    /// an encrypted body ([`Frame::is_encrypted`]) only the times that stand outside of it are
    /// checked, which are those that its gateway says (W.94).
    ///
    /// # Errors
    /// [`FrameError`] that names the first reading that is malformed, out of range or order.
    pub fn check(&self, signal: &Signal) -> Result<Interval, FrameError> {
        if self.is_encrypted() {
            return measured(self.header.start, self.encrypted_last()?);
        }
        match self.columns()? {
            Some(columns) => measured(self.header.start, columns.check(signal)?),
            None => self.check_rows(signal),
        }
    }

    /// Whether only a key that the node does not have opens its body: its readings are unknown
    /// here, and were compared with no range.
    pub fn is_encrypted(&self) -> bool {
        self.header().codec.is_encrypted()
    }

    /// When the last reading of an encrypted body is said to have been measured.
    fn encrypted_last(&self) -> Result<DeviceTime, FrameError> {
        let mut rest = &self.bytes[HEADER_BYTES..];
        let last = u64::from_le_bytes(take_array(&mut rest)?);
        if self.header.count == 1 && last != 0 {
            return Err(FrameError::Order { index: 0 });
        }
        let last = self.header.start.micros().saturating_add(last);
        Ok(DeviceTime::from_micros(last)?)
    }

    /// The body, unless it is rows.
    fn columns(&self) -> Result<Option<Columns<'_>>, FrameError> {
        let FrameHeader { codec, start, count, .. } = self.header;
        let (extent, body) = (Extent { start, count: count.into() }, &self.bytes[HEADER_BYTES..]);
        match codec {
            Codec::GRID => Columns::grid(extent, body).map(Some),
            Codec::COLUMNAR => Columns::columnar(extent, body).map(Some),
            // No other is spoken.
            _ => Ok(None),
        }
    }

    fn check_rows(&self, signal: &Signal) -> Result<Interval, FrameError> {
        let start = self.header.start;
        // Nearly every frame is sound, and asked no more than that. One that is not is gone through
        // once more for what is wrong with it.
        let last = self.last_offset(signal).and_then(|last| start.micros().checked_add(last));
        match last.map(DeviceTime::from_micros) {
            Some(Ok(last)) => measured(start, last),
            _ => self.check_each(signal),
        }
    }

    /// Where the last reading stands behind the first, if every reading is sound. Without a branch
    /// for each: it is what a reading costs the node most.
    fn last_offset(&self, signal: &Signal) -> Option<u64> {
        let (rows, _) = self.bytes[HEADER_BYTES..].as_chunks::<RAW_ROW_BYTES>();
        // The first stands at the start, and offsets that never go back keep the order of times.
        let (mut last, mut wrong) = (0, rows.first().is_none_or(|row| row[..8] != [0; 8]));
        for row in rows {
            let row = u128::from_le_bytes(*row);
            let (offset, value, flags) = (row as u64, (row >> 64) as i32, (row >> 96) as u32);
            let off = flags & u32::from(Quality::SENSOR_OFF.0) != 0;
            let within = (signal.min <= value) & (value <= signal.max);
            wrong |= (flags & !u32::from(Quality::KNOWN) != 0)
                | (off != (value == NO_VALUE))
                | !(off | within)
                | (offset < last);
            last = offset;
        }
        (!wrong).then_some(last)
    }

    fn check_each(&self, signal: &Signal) -> Result<Interval, FrameError> {
        let mut last = self.header.start;
        for (index, row) in self.rows().enumerate() {
            let reading = self.reading(index, row, signal)?;
            let first_elsewhere = index == 0 && reading.at != self.header.start;
            if first_elsewhere || reading.at < last {
                return Err(FrameError::Order { index });
            }
            last = reading.at;
        }
        measured(self.header.start, last)
    }

    /// The readings, checked.
    ///
    /// # Errors
    /// As [`Frame::check`]; [`FrameError::Encrypted`] of an encrypted body.
    pub fn readings(&self, signal: &Signal) -> Result<Vec<Reading>, FrameError> {
        if self.is_encrypted() {
            return Err(FrameError::Encrypted);
        }
        if let Some(columns) = self.columns()? {
            return columns.readings(signal);
        }
        // All of them first: the order between readings is not seen in one row.
        self.check_rows(signal)?;
        self.rows().enumerate().map(|(index, row)| self.reading(index, row, signal)).collect()
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes[HEADER_BYTES..].chunks_exact(RAW_ROW_BYTES)
    }

    fn reading(&self, index: usize, row: &[u8], signal: &Signal) -> Result<Reading, FrameError> {
        // Rows are exactly 16 bytes, so the fixed-size parts always exist.
        let part = |at: usize| u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
        let offset = u64::from(part(0)) | u64::from(part(4)) << 32;
        // A sum beyond 64 bits is beyond every time as well, and refused below.
        let micros = self.header.start.micros().saturating_add(offset);
        let value = part(8) as i32;
        let flags = part(12);
        if flags & !u32::from(Quality::KNOWN) != 0 {
            let why = "expected known quality flags and zero reserved bytes";
            return Err(DecodeError::field("reading", why).into());
        }
        let quality = Quality(flags as u16);
        let off = quality.contains(Quality::SENSOR_OFF);
        check_absence(quality, value == NO_VALUE)?;
        if !off {
            within(signal, index, value)?;
        }
        let value = (!off).then_some(value);
        Ok(Reading { at: DeviceTime::from_micros(micros)?, value, quality })
    }
}

/// Appends a body, and says of which codec it is.
/// Whether times never go back and absence is said by both that say it. Without a branch for each
/// reading: nearly every frame is like this, and one that is not is gone through once more.
fn are_in_order(readings: &[Reading]) -> bool {
    let (mut wrong, mut last) = (false, DeviceTime::default());
    for reading in readings {
        let is_off = reading.quality.contains(Quality::SENSOR_OFF);
        wrong |= (is_off != reading.value.is_none()) | (reading.at < last);
        last = reading.at;
    }
    !wrong
}

fn check_in_order(readings: &[Reading]) -> Result<(), FrameError> {
    for (index, reading) in readings.iter().enumerate() {
        check_absence(reading.quality, reading.value.is_none())?;
        if index > 0 && reading.at < readings[index - 1].at {
            return Err(FrameError::Order { index });
        }
    }
    Ok(())
}

fn put_body(readings: &[Reading], layout: Layout, to: &mut Vec<u8>) -> Result<Codec, FrameError> {
    let Layout { codec, period } = layout;
    let rows_bytes = RAW_ROW_BYTES * readings.len();
    let beats = readings.len() > 1;
    // One reading alone has no rhythm: any fraction would say the same.
    let codec =
        codec.map(|codec| if beats || codec != Codec::GRID { codec } else { Codec::COLUMNAR });
    if codec.is_none_or(|codec| codec == Codec::GRID)
        && let Some(period) = period.filter(|_| beats)
        && let Some(()) = put_grid(period, readings, to)
    {
        return Ok(Codec::GRID);
    }
    if codec.is_none_or(|codec| codec == Codec::COLUMNAR) {
        put_columnar(readings, to);
        let is_shorter = to.len() - HEADER_BYTES < rows_bytes;
        if is_shorter || codec.is_some() {
            return Ok(Codec::COLUMNAR);
        }
        to.truncate(HEADER_BYTES);
    }
    match codec {
        None | Some(Codec::RAW) => put_rows(readings, to),
        Some(codec) => {
            let expected = "times on the grid of the stream's period";
            return Err(FrameError::Unfit { codec: codec.name(), expected });
        }
    }
    Ok(Codec::RAW)
}

fn put_rows(readings: &[Reading], to: &mut Vec<u8>) {
    let start = readings.first().map_or(0, |first| first.at.micros());
    let rows = to.len();
    to.resize(rows + RAW_ROW_BYTES * readings.len(), 0);
    let (rows, _) = to[rows..].as_chunks_mut::<RAW_ROW_BYTES>();
    for (row, reading) in rows.iter_mut().zip(readings) {
        let offset = reading.at.micros() - start;
        let value = reading.value.unwrap_or(NO_VALUE) as u32;
        let quality = reading.quality.bits();
        let high = u64::from(value) | u64::from(quality) << 32;
        *row = (u128::from(offset) | u128::from(high) << 64).to_le_bytes();
    }
}

/// Half open, like every interval that consent is checked against.
fn measured(first: DeviceTime, last: DeviceTime) -> Result<Interval, FrameError> {
    Interval::new(first.millis(), last.millis().plus(1))
        .map_err(|error| DecodeError::field("measured interval", error).into())
}

/// Hides the readings.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameHeader { handle, epoch, sequence, count, .. } = self.header;
        write!(f, "Frame {{ {handle:?}, {epoch:?}, {sequence:?}, {count} readings }}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Millis, RejectCode, signal_by_code};

    fn ecg() -> &'static Signal {
        signal_by_code(131328).expect("ecg is in the table")
    }

    fn at(us: u64) -> DeviceTime {
        DeviceTime::from_micros(4_000_000_000_000_000 + us).expect("before 2457")
    }

    fn place() -> FramePlace {
        let (handle, epoch, sequence) = (StreamHandle(7), EpochNumber(2), Sequence(9));
        FramePlace { handle, epoch, sequence }
    }

    #[test]
    fn readings_round_trip_with_repeated_times_and_a_sensor_that_was_off() {
        let sent =
            [Reading::new(at(0), -20000), Reading::sensor_off(at(0)), Reading::new(at(9), 0)];
        let frame = Frame::encode_raw(place(), ecg(), &sent).expect("valid");
        let read = Frame::from_bytes(frame.as_bytes().clone()).expect("valid");
        assert_eq!(read.readings(ecg()), Ok(sent.to_vec()));
        assert_eq!(read.header(), frame.header());
        assert_eq!(frame.as_bytes().len(), 32 + 3 * 16);
    }

    #[test]
    fn the_measured_interval_holds_the_last_reading() {
        let sent = [Reading::new(at(0), 1), Reading::new(at(5_999), 1)];
        let measured = Frame::encode_raw(place(), ecg(), &sent).unwrap().check(ecg()).unwrap();
        let from = Millis::new(4_000_000_000_000).unwrap();
        assert_eq!(measured, Interval { from, until: from.plus(6) });
    }

    #[test]
    fn a_reading_out_of_range_or_order_is_named_by_index_only() {
        let beyond = Frame::encode_raw(place(), ecg(), &[Reading::new(at(0), 20001)]);
        let error = beyond.expect_err("beyond the range");
        assert_eq!(error, FrameError::Range { index: 0, min: -20000, max: 20000 });
        assert!(!error.to_string().contains("20001"));
        let back = [Reading::new(at(5), 1), Reading::new(at(7), 1), Reading::new(at(6), 1)];
        assert_eq!(Frame::encode_raw(place(), ecg(), &back), Err(FrameError::Order { index: 2 }));
        assert_eq!(error.code(), RejectCode::Reading);
    }

    #[test]
    fn the_quick_check_and_the_one_that_names_what_is_wrong_agree() {
        let sound = [
            Reading::new(at(0), -20_000),
            Reading::sensor_off(at(0)),
            Reading { quality: Quality::ALARM, ..Reading::new(at(1 << 33), 20_000) },
        ];
        let sound = Frame::encode_raw(place(), ecg(), &sound).unwrap();
        let agree = |bytes: Vec<u8>, what: &str| {
            let frame = Frame::from_bytes(bytes.into()).unwrap();
            assert_eq!(frame.check(ecg()), frame.check_each(ecg()), "{what}");
            frame.check(ecg()).is_ok()
        };
        assert!(agree(sound.as_bytes().to_vec(), "as it is"));
        let mut refused = 0;
        for byte in HEADER_BYTES..sound.as_bytes().len() {
            for bit in 0..8 {
                let mut bytes = sound.as_bytes().to_vec();
                bytes[byte] ^= 1 << bit;
                refused += usize::from(!agree(bytes, &format!("bit {bit} of byte {byte}")));
            }
        }
        // All but a few of a value, a time or a quality.
        assert!(refused > 200, "{refused}");
        // The latest time there is, one beyond it, and a sum that no 64 bits hold.
        let start = DeviceTime::from_micros(DeviceTime::LIMIT_MICROS - 10_000).unwrap();
        let late = Frame::encode_raw(place(), ecg(), &[Reading::new(start, 1); 2]).unwrap();
        for (offset, is_sound) in [(8, true), (10_000, false), (u64::MAX, false)] {
            let mut bytes = late.as_bytes().to_vec();
            bytes[HEADER_BYTES + RAW_ROW_BYTES..][..8].copy_from_slice(&offset.to_le_bytes());
            let frame = Frame::from_bytes(bytes.into()).unwrap();
            assert_eq!(frame.check(ecg()), frame.check_each(ecg()), "{offset}");
            assert_eq!(frame.check(ecg()).is_ok(), is_sound, "{offset}");
        }
    }

    #[test]
    fn a_sensor_off_without_its_flag_or_with_a_value_is_malformed() {
        let frame = Frame::encode_raw(place(), ecg(), &[Reading::sensor_off(at(0))]).unwrap();
        let mut zero = frame.as_bytes().to_vec();
        zero[40..44].copy_from_slice(&[0; 4]);
        assert!(Frame::from_bytes(zero.into()).unwrap().check(ecg()).is_err());
        let mut unflagged = frame.as_bytes().to_vec();
        unflagged[44] = 0;
        assert!(Frame::from_bytes(unflagged.into()).unwrap().check(ecg()).is_err());
    }

    #[test]
    fn only_the_handle_differs_between_sessions() {
        let frame = Frame::encode_raw(place(), ecg(), &[Reading::new(at(0), 1)]).unwrap();
        let other = frame.with_handle(StreamHandle(8));
        assert_ne!(frame, other);
        assert_eq!(frame.stored(), other.stored());
    }

    #[test]
    fn readings_at_another_place_are_the_frame_that_is_made_there() {
        let readings = [Reading::new(at(0), 1), Reading::sensor_off(at(5))];
        let frame = Frame::encode_raw(place(), ecg(), &readings).unwrap();
        let there = FramePlace {
            handle: StreamHandle(3),
            epoch: EpochNumber(0x0102),
            sequence: Sequence(0x0304_0506),
        };
        let made = Frame::encode_raw(there, ecg(), &readings).unwrap();
        assert_eq!(frame.at_place(there), made);
        assert_eq!(Frame::from_bytes(frame.at_place(there).as_bytes().clone()), Ok(made));
    }

    #[test]
    fn a_length_that_lies_and_a_reserved_codec_are_refused() {
        let frame = Frame::encode_raw(place(), ecg(), &[Reading::new(at(0), 1)]).unwrap();
        for (byte, value) in [(0, 49), (6, 2), (6, 0), (5, 1), (15, 1)] {
            let mut bytes = frame.as_bytes().to_vec();
            bytes[byte] = value;
            assert!(Frame::from_bytes(bytes.into()).is_err(), "byte {byte}");
        }
        for codec in [1, 4, 5, 31, 0x81, 0x84] {
            let mut bytes = frame.as_bytes().to_vec();
            bytes[4] = codec;
            assert_eq!(Frame::from_bytes(bytes.into()), Err(FrameError::Codec { found: codec }));
        }
    }

    #[test]
    fn the_largest_raw_frame_fits_and_one_more_reading_does_not() {
        let most = vec![Reading::new(at(0), 1); Frame::RAW_READINGS_MAX];
        assert!(Frame::encode_raw(place(), ecg(), &most).is_ok());
        let more = vec![Reading::new(at(0), 1); Frame::RAW_READINGS_MAX + 1];
        let error = Frame::encode_raw(place(), ecg(), &more).expect_err("too many");
        assert_eq!(error.code(), RejectCode::TooLarge);
    }
}
