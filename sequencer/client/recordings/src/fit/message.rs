//! Messages: a definition says how those behind it are laid out.

use super::fault::FitError;

/// Field of a time that any message may have.
const TIME: u8 = 253;
/// Field of the lower half of a time, in messages of monitoring.
const LOWER_TIME: u8 = 26;
const MONITORING: u16 = 55;
/// Definitions that hold at once.
const DEFINITIONS: usize = 16;

/// A message, as its definition lays it out.
pub(super) struct Message<'a> {
    pub(super) number: u16,
    /// Its own time or the last one before it, seconds of the file's clock.
    pub(super) at_s: Option<u32>,
    definition: &'a Definition,
    bytes: &'a [u8],
}

impl Message<'_> {
    /// A field's value: `None` if the message has no such field, `Some(None)` if the field says
    /// that there was no value.
    pub(super) fn value(&self, number: u8) -> Option<Option<i64>> {
        let mut begin = 0;
        for field in &self.definition.fields {
            let end = begin + usize::from(field.bytes);
            if field.number == number {
                let bytes = self.bytes.get(begin..end)?;
                return Some(field.read(bytes, self.definition.is_big));
            }
            begin = end;
        }
        None
    }
}

/// How messages of one local number are laid out.
#[derive(Clone, Debug)]
struct Definition {
    number: u16,
    /// Whether the high byte of a number stands first.
    is_big: bool,
    fields: Vec<FieldDefinition>,
    /// Of a message in all, the fields of developers included.
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct FieldDefinition {
    number: u8,
    bytes: u8,
    base: u8,
}

impl FieldDefinition {
    /// The integer in its bytes; none if it is the base type's word for no value, or no integer.
    fn read(self, bytes: &[u8], is_big: bool) -> Option<i64> {
        let (width, is_signed, nothing) = match self.base & 0x1f {
            0 | 2 | 13 => (1, false, u64::from(u8::MAX)),
            1 => (1, true, i8::MAX as u64),
            3 => (2, true, i16::MAX as u64),
            4 => (2, false, u64::from(u16::MAX)),
            5 => (4, true, i32::MAX as u64),
            6 => (4, false, u64::from(u32::MAX)),
            10 => (1, false, 0),
            11 => (2, false, 0),
            12 => (4, false, 0),
            // Texts, floats and 64 bits: no signal is written as one.
            _ => return None,
        };
        // Several values in one field are a list, of which none is the reading.
        if bytes.len() != width {
            return None;
        }
        let place = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        let value = match is_big {
            true => bytes.iter().fold(0, place),
            false => bytes.iter().rev().fold(0, place),
        };
        if value == nothing {
            return None;
        }
        let bits = width as u32 * 8;
        // At most 32 bits, so that a negative number is itself less two to their number.
        let is_negative = is_signed && value >> (bits - 1) == 1;
        Some(value as i64 - if is_negative { 1i64 << bits } else { 0 })
    }
}

/// Calls `take` with each message of each file that the bytes hold one behind the other.
pub(super) fn read(
    bytes: &[u8],
    take: &mut dyn FnMut(&Message<'_>) -> Result<(), FitError>,
) -> Result<(), FitError> {
    let mut at = 0;
    while at == 0 || at < bytes.len() {
        at = read_file(bytes, at, take)?;
    }
    Ok(())
}

/// Reads the file that begins at a byte, and gives where it ends.
fn read_file(
    bytes: &[u8],
    begin: usize,
    take: &mut dyn FnMut(&Message<'_>) -> Result<(), FitError>,
) -> Result<usize, FitError> {
    let error = || FitError::Header { at: begin };
    let file = &bytes[begin..];
    let header = usize::from(*file.first().ok_or_else(error)?);
    if file.get(8..12) != Some(b".FIT") || header < 12 {
        return Err(error());
    }
    let length = [file[4], file[5], file[6], file[7]];
    let length = u32::from_le_bytes(length) as usize;
    if length == 0 {
        // Written while the device recorded, and never closed.
        return Err(error());
    }
    // Far below what a usize holds: 255 and 2^32.
    let end = header + length;
    let Some(whole) = file.get(..end + 2) else {
        let (expected, found) = (end as u64 + 2, file.len() as u64);
        return Err(FitError::Cut { expected, found });
    };
    // The sum over everything and itself is nothing.
    if checksum(whole) != 0 {
        return Err(FitError::Damaged);
    }
    let mut reader = Reader {
        bytes: &bytes[..begin + end],
        at: begin + header,
        last_s: None,
        definitions: [const { None }; DEFINITIONS],
    };
    while reader.at < reader.bytes.len() {
        reader.read_message(take)?;
    }
    Ok(begin + end + 2)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The last time that a message had.
    last_s: Option<u32>,
    definitions: [Option<Definition>; DEFINITIONS],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], FitError> {
        let error = FitError::Message { at: self.at };
        let end = self.at.checked_add(count).ok_or(error.clone())?;
        let taken = self.bytes.get(self.at..end).ok_or(error)?;
        self.at = end;
        Ok(taken)
    }

    fn read_message(
        &mut self,
        take: &mut dyn FnMut(&Message<'_>) -> Result<(), FitError>,
    ) -> Result<(), FitError> {
        let at = self.at;
        let head = self.take(1)?[0];
        let is_short = head & 0x80 != 0;
        if !is_short && head & 0x40 != 0 {
            let definition = self.read_definition(head & 0x20 != 0)?;
            self.definitions[usize::from(head & 0x0f)] = Some(definition);
            return Ok(());
        }
        let local = if is_short { head >> 5 & 0x03 } else { head & 0x0f };
        // Taken out while it is used, so that the reader may move on.
        let slot = usize::from(local);
        let definition = self.definitions[slot].take().ok_or(FitError::Message { at })?;
        let bytes = self.take(definition.bytes)?;
        let mut message =
            Message { number: definition.number, at_s: None, definition: &definition, bytes };
        if is_short {
            self.last_s = self.last_s.map(|last_s| next_time(last_s, (head & 0x1f).into(), 0x1f));
        }
        if let Some(Some(time)) = message.value(TIME) {
            self.last_s = u32::try_from(time).ok().or(self.last_s);
        } else if let (MONITORING, Some(Some(lower))) = (message.number, message.value(LOWER_TIME))
        {
            let lower = u32::try_from(lower).unwrap_or(0);
            self.last_s = self.last_s.map(|last_s| next_time(last_s, lower, 0xffff));
        }
        message.at_s = self.last_s;
        let taken = take(&message);
        self.definitions[slot] = Some(definition);
        taken
    }

    fn read_definition(&mut self, has_developers: bool) -> Result<Definition, FitError> {
        let head = self.take(5)?;
        let is_big = head[1] != 0;
        let number = [head[2], head[3]];
        let number = if is_big { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
        let own = self.take(usize::from(head[4]) * 3)?;
        let field =
            |field: &[u8]| FieldDefinition { number: field[0], bytes: field[1], base: field[2] };
        let fields: Vec<_> = own.chunks_exact(3).map(field).collect();
        let mut bytes: usize = fields.iter().map(|field| usize::from(field.bytes)).sum();
        if has_developers {
            let count = usize::from(self.take(1)?[0]);
            // Their meaning stands elsewhere; only their length matters here.
            bytes += self
                .take(count * 3)?
                .chunks_exact(3)
                .map(|field| usize::from(field[1]))
                .sum::<usize>();
        }
        Ok(Definition { number, is_big, fields, bytes })
    }
}

/// The first time from the last one on whose lower bits are these.
fn next_time(last_s: u32, lower: u32, mask: u32) -> u32 {
    last_s.wrapping_add(lower.wrapping_sub(last_s) & mask)
}

/// The protocol's checksum of sixteen bits, half a byte at a time.
fn checksum(bytes: &[u8]) -> u16 {
    const TABLE: [u16; 16] = [
        0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401, 0xa001, 0x6c00, 0x7800,
        0xb401, 0x5000, 0x9c01, 0x8801, 0x4400,
    ];
    let half = |sum: u16, half: u8| {
        (sum >> 4) ^ TABLE[usize::from(sum & 0x0f)] ^ TABLE[usize::from(half & 0x0f)]
    };
    bytes.iter().fold(0, |sum, byte| half(half(sum, *byte), byte >> 4))
}
