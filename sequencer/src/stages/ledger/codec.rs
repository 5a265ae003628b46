//! Parts of a ledger's state as canonical bytes: big-endian, names with a u8 of length, lists with
//! a u32 of count, maps in the order of their keys.

use std::collections::BTreeMap;

use model::{DecodeError, IdError, Interval, Millis, Reader, RuleNumber, Uncovered};
use wire::RefusalReason;

/// Least bytes of a name with its length.
pub(super) const NAME_BYTES_MIN: usize = 2;

pub(super) fn write_count(count: usize, out: &mut Vec<u8>) {
    // What is counted stands in memory, some hundred bytes each: there is no memory for 2^32.
    out.extend((count as u32).to_be_bytes());
}

pub(super) fn write_name(name: &str, out: &mut Vec<u8>) {
    // A name has at most 64 bytes.
    out.push(name.len() as u8);
    out.extend(name.as_bytes());
}

pub(super) fn read_name<T>(
    new: fn(&str) -> Result<T, IdError>,
    from: &mut Reader<'_>,
) -> Result<T, DecodeError> {
    let take = |from: &mut Reader<'_>| {
        let len = usize::from(from.u8()?);
        Ok(from.take(len)?.to_vec())
    };
    let name = |bytes: Vec<u8>| new(std::str::from_utf8(&bytes).ok()?).ok();
    from.map("a name", take, name)
}

/// Begin and end; a record that ended before it began has them the other way round.
pub(super) fn write_interval(interval: &Interval, out: &mut Vec<u8>) {
    write_time(interval.from, out);
    write_time(interval.until, out);
}

pub(super) fn read_interval(from: &mut Reader<'_>) -> Result<Interval, DecodeError> {
    Ok(Interval { from: from.millis()?, until: from.millis()? })
}

pub(super) fn write_time(time: Millis, out: &mut Vec<u8>) {
    out.extend(time.get().to_be_bytes());
}

/// 0, or 1 and the value.
pub(super) fn write_option<T>(
    value: Option<&T>,
    out: &mut Vec<u8>,
    write: impl FnOnce(&T, &mut Vec<u8>),
) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, out);
    }
}

pub(super) fn read_option<T>(
    from: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if read_flag(from)? { read(from).map(Some) } else { Ok(None) }
}

pub(super) fn read_flag(from: &mut Reader<'_>) -> Result<bool, DecodeError> {
    let flag = |byte: u8| (byte <= 1).then_some(byte == 1);
    from.map("0 or 1", Reader::u8, flag)
}

/// Reads a list whose items have at least so many bytes each.
pub(super) fn read_list<T>(
    item_bytes: usize,
    from: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = from.count(item_bytes)?;
    // Not more at once than the bytes could hold of what has many bytes in memory.
    let mut list = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        list.push(read(from)?);
    }
    Ok(list)
}

/// As [`read_list`], of keys that ascend.
pub(super) fn read_map<K: Ord, V>(
    item_bytes: usize,
    from: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<(K, V), DecodeError>,
) -> Result<BTreeMap<K, V>, DecodeError> {
    let mut map = BTreeMap::new();
    for _ in 0..from.count(item_bytes)? {
        let offset = from.offset();
        let (key, value) = read(from)?;
        // One order, or the same state would have several encodings.
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(DecodeError::Field { offset, expected: "keys that ascend" });
        }
        map.insert(key, value);
    }
    Ok(map)
}

/// Kinds of reasons.
mod kind {
    pub(super) const CODE: u8 = 0;
    pub(super) const CLAIM: u8 = 1;
    pub(super) const OPERATION: u8 = 2;
}

pub(super) fn write_reason(reason: &RefusalReason, out: &mut Vec<u8>) {
    match reason {
        RefusalReason::Code => out.push(kind::CODE),
        RefusalReason::Claim(uncovered) => {
            out.push(kind::CLAIM);
            out.extend(uncovered.to_bytes());
        }
        RefusalReason::Operation(rule) => {
            out.extend([kind::OPERATION, rule.statement, rule.number])
        }
    }
}

pub(super) fn read_reason(from: &mut Reader<'_>) -> Result<RefusalReason, DecodeError> {
    let offset = from.offset();
    match from.u8()? {
        kind::CODE => Ok(RefusalReason::Code),
        kind::CLAIM => {
            let cover = "a missing cover with its own rule";
            let uncovered = from.map(cover, Reader::array, Uncovered::from_bytes)?;
            Ok(RefusalReason::Claim(uncovered))
        }
        kind::OPERATION => {
            let [statement, number] = from.array()?;
            Ok(RefusalReason::Operation(RuleNumber { statement, number }))
        }
        _ => Err(DecodeError::Field { offset, expected: "a kind of reason from 0 to 2" }),
    }
}
