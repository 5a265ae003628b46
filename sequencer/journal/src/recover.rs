//! Opening a log: scan, decide what is torn and what is corrupt, make the rest durable.
//!
//! The one question here is whether a bad record is the remains of a write that was never synced,
//! and may be cut, or a durable group that was damaged, and must be reported. `docs/journal.md`
//! derives the answer from what is assumed of the medium; [`Scan::judge`] is that derivation in
//! code.

use crate::entry::Walk;
use crate::index::Index;
use crate::read::Shared;
use crate::record::{
    FILE_HEADER_BYTES, FileHeader, GROUP_HEADER_BYTES, GROUP_MAGIC, GroupHeader, MARK_BYTES,
    MARK_MAGIC, RECORD_BYTES_MAX, SECTOR_BYTES, could_be_log, durable_mark,
};
use crate::{
    Corruption, DurableEvidence, Fault, Genesis, GroupNumber, Head, Medium, Millis, OpenError,
    Place,
};

/// What opening a log found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the log is new.
    pub created: bool,
    /// Groups in the log.
    pub groups: u64,
    /// Entries in the log.
    pub entries: u64,
    /// Bytes cut as the remains of a group that was never acknowledged.
    pub cut_bytes: u64,
    /// Whether the last group carried no durable mark and was written and synced again.
    pub rewrote_last: bool,
}

/// Opens the log on a medium.
pub(crate) fn recover<M: Medium>(
    medium: M,
    genesis: Genesis,
) -> Result<(Shared<M>, Recovery), OpenError> {
    let len = medium.len().map_err(failed("length"))?;
    let Some(header) = read_file_header(&medium, len)? else {
        return create(medium, genesis, len);
    };
    // Before the scan: the log of another deployment is neither searched nor cut.
    if header.journal_hash != genesis.journal_hash {
        let (expected, found) = (genesis.journal_hash, header.journal_hash);
        return Err(OpenError::Genesis { expected, found });
    }
    let mut scan = Scan::new(&medium, &header, len);
    // A corruption leaves here, before the first change: a damaged log stays as it was found.
    while scan.step()? {}
    let Scan { index, entries, record, marked, .. } = scan;
    let head = index.head();
    // Saturating: a last good record may end beyond the file, which may end within its mark.
    let cut_bytes = len.saturating_sub(head.end);
    if cut_bytes > 0 {
        // Synced before anything is written there: bytes behind the end must read as zeros, or what
        // is left of this record could pass for sectors of the next one.
        medium.truncate(head.end).map_err(failed("truncate"))?;
        medium.sync().map_err(failed("sync"))?;
    }
    // Only the last can need it: each group is written after the one before was synced.
    let count = index.len() as u64;
    let rewrote_last = count > 0 && !marked;
    if rewrote_last {
        rewrite_last(&medium, &head, record, header.seed())?;
    }
    let recovery = Recovery { created: false, groups: count, entries, cut_bytes, rewrote_last };
    Ok((Shared::new(medium, header, index), recovery))
}

/// The file header, or `None` where a power cut came before it was synced.
fn read_file_header<M: Medium>(medium: &M, len: u64) -> Result<Option<FileHeader>, OpenError> {
    let mut bytes = [0; FILE_HEADER_BYTES];
    let present = len.min(FILE_HEADER_BYTES as u64) as usize;
    medium.read_at(0, &mut bytes[..present]).map_err(failed("read"))?;
    // Nothing was acknowledged under it: at most 128 zeros, or a shorter file that begins right.
    let unwritten = bytes.iter().all(|byte| *byte == 0) && present as u64 == len;
    if unwritten || (present < FILE_HEADER_BYTES && could_be_log(&bytes[..present])) {
        return Ok(None);
    }
    FileHeader::decode(&bytes).map(Some)
}

/// Begins the file anew; what a power cut left of its header is cut and counted.
fn create<M: Medium>(
    medium: M,
    genesis: Genesis,
    len: u64,
) -> Result<(Shared<M>, Recovery), OpenError> {
    let header = FileHeader::genesis(genesis);
    // A power cut between these calls leaves what was there, nothing, zeros or the whole header,
    // which lies within one sector. Each of these opens.
    medium.truncate(0).map_err(failed("truncate"))?;
    medium.write_at(0, &header.encode()).map_err(failed("write"))?;
    medium.sync().map_err(failed("sync"))?;
    let recovery =
        Recovery { created: true, groups: 0, entries: 0, cut_bytes: len, rewrote_last: false };
    let index = Index::new(header.head());
    Ok((Shared::new(medium, header, index), recovery))
}

/// After a failed sync the system may hold the last group in memory as clean although the disk
/// never got it. Its bytes are good, so writing them again and syncing makes them durable for
/// certain.
fn rewrite_last<M: Medium>(
    medium: &M,
    head: &Head,
    mut record: Vec<u8>,
    seed: u32,
) -> Result<(), OpenError> {
    let start = head.end - record.len() as u64;
    let mark_at = record.len() - MARK_BYTES;
    // A mark says that its group was synced, so it must not stand before the sync below returns.
    record[mark_at..].fill(0);
    medium.write_at(start, &record).map_err(failed("write"))?;
    medium.sync().map_err(failed("sync"))?;
    // Without a sync of its own, as after an append: if it is lost, the next open writes again.
    let mark = durable_mark(seed, head.group);
    medium.write_at(start + mark_at as u64, &mark).map_err(failed("write the durable mark"))
}

/// A walk over the records; `index` holds what was good so far.
struct Scan<'a, M> {
    medium: &'a M,
    len: u64,
    seed: u32,
    index: Index,
    /// Entries of these groups.
    entries: u64,
    /// The last good record, which may have to be written again, and a second buffer to read into.
    record: Vec<u8>,
    spare: Vec<u8>,
    /// Whether it carries its durable mark.
    marked: bool,
}

/// A good record: its header, the time of its last entry, whether it is marked.
struct Good {
    header: GroupHeader,
    last_time: Millis,
    marked: bool,
}

/// A bad record, and its header where that is intact.
struct Bad {
    fault: Fault,
    header: Option<GroupHeader>,
}

impl<'a, M: Medium> Scan<'a, M> {
    fn new(medium: &'a M, header: &FileHeader, len: u64) -> Scan<'a, M> {
        Scan {
            medium,
            len,
            seed: header.seed(),
            index: Index::new(header.head()),
            entries: 0,
            record: Vec::new(),
            spare: Vec::new(),
            marked: true,
        }
    }

    fn head(&self) -> Head {
        self.index.head()
    }

    /// Takes in the next record; `false` at the end of what is good.
    fn step(&mut self) -> Result<bool, OpenError> {
        if self.len <= self.head().end {
            return Ok(false);
        }
        let (record, checked) = self.load()?;
        match checked {
            Ok(good) => {
                self.accept(record, &good);
                Ok(true)
            }
            Err(bad) => match self.judge(&bad, &record)? {
                None => Ok(false),
                Some(evidence) => {
                    let (group, offset) = (self.head().group + 1, self.head().end);
                    Err(Box::new(Corruption { group, offset, fault: bad.fault, evidence }).into())
                }
            },
        }
    }

    fn accept(&mut self, record: Vec<u8>, good: &Good) {
        let offset = self.head().end;
        let head = Head {
            group: good.header.number,
            position: good.header.last(),
            journal_hash: good.header.journal_hash,
            last_time: good.last_time,
            end: offset + record.len() as u64,
        };
        self.index.push(offset, &good.header, head);
        self.entries += u64::from(good.header.count);
        self.spare = std::mem::replace(&mut self.record, record);
        self.marked = good.marked;
    }

    /// Reads the record at the end of what is good, as far as it exists, and checks it.
    fn load(&mut self) -> Result<(Vec<u8>, Result<Good, Bad>), OpenError> {
        let mut record = std::mem::take(&mut self.spare);
        let checked = self.load_into(&mut record, self.len - self.head().end)?;
        Ok((record, checked))
    }

    fn load_into(&self, record: &mut Vec<u8>, left: u64) -> Result<Result<Good, Bad>, OpenError> {
        // The header by itself first: a length is worth memory only if it is intact and in its
        // place.
        let mut head = [0; GROUP_HEADER_BYTES];
        let present = left.min(GROUP_HEADER_BYTES as u64) as usize;
        self.read(self.head().end, &mut head[..present])?;
        record.clear();
        record.extend_from_slice(&head[..present]);
        if present < GROUP_HEADER_BYTES {
            let fault = Fault::Truncated { expected: GROUP_HEADER_BYTES as u64, found: left };
            return Ok(Err(Bad { fault, header: None }));
        }
        let header = match GroupHeader::intact(&head, self.seed) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(Bad { fault, header: None })),
        };
        let (next, jumps) = (Place::after(&self.head()), self.index.jumps_left());
        let placed = header.check_form(&head).and_then(|()| header.check_place(next, jumps));
        if let Err(fault) = placed {
            return Ok(Err(Bad { fault, header: Some(header) }));
        }
        let (whole, body_end) = (header.record_bytes(), header.record_bytes() - MARK_BYTES);
        record.resize((whole as u64).min(left) as usize, 0);
        self.read(self.head().end + present as u64, &mut record[present..])?;
        if record.len() < body_end {
            let fault = Fault::Truncated { expected: whole as u64, found: left };
            return Ok(Err(Bad { fault, header: Some(header) }));
        }
        // The file may end within the mark: then the mark was never written.
        record.resize(whole, 0);
        Ok(self.check(&header, record).map_err(|fault| Bad { fault, header: Some(header) }))
    }

    fn check(&self, header: &GroupHeader, record: &[u8]) -> Result<Good, Fault> {
        let (body, mark) = record[GROUP_HEADER_BYTES..].split_at(header.padded_bytes());
        let entries = &body[..header.bytes as usize];
        // The checksum before the hashes: `judge` takes only a failed checksum for a torn write, so
        // a torn body must not come out as a wrong digest.
        header.check_body(body, self.seed)?;
        header.check_digest(entries)?;
        header.check_journal_hash(&self.head().journal_hash)?;
        let marked = self.check_mark(header.number, mark)?;
        let mut last_time = self.head().last_time;
        let mut walk = Walk::new(entries, header.count, header.first, last_time);
        while let Some(entry) = walk.next()? {
            last_time = entry.time;
        }
        Ok(Good { header: *header, last_time, marked })
    }

    /// A mark is right, or it is a beginning of the right one and zeros: then it was never written,
    /// a failed write left half of it, or the file ends within it.
    fn check_mark(&self, number: GroupNumber, found: &[u8]) -> Result<bool, Fault> {
        let expected = durable_mark(self.seed, number);
        let written = found.iter().zip(expected).take_while(|(a, b)| **a == *b).count();
        if found[written..].iter().all(|byte| *byte == 0) {
            return Ok(written == MARK_BYTES);
        }
        let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let (expected, found) = (word(&expected), word(found));
        Err(Fault::Field { field: "durable mark", expected, found })
    }

    /// Why a bad record was durable; `None` if it can be the remains of the one write that was in
    /// flight when power failed.
    fn judge(&self, bad: &Bad, record: &[u8]) -> Result<Option<DurableEvidence>, OpenError> {
        use Fault::{BodyCrc, HeaderCrc, Magic, Truncated};
        // Only these can a torn write cause; every other check sees bytes whose checksum holds.
        if !matches!(bad.fault, Magic { .. } | HeaderCrc { .. } | BodyCrc { .. } | Truncated { .. })
        {
            return Ok(Some(DurableEvidence::IntactChecksum));
        }
        // Without an intact header its length is not known: it may have been the longest.
        let reach = match &bad.header {
            Some(header) => header.record_bytes(),
            None => RECORD_BYTES_MAX,
        };
        // Before its sectors are looked at: damage may leave zeros as well, and then only what
        // stands behind the record tells that it was synced.
        if let Some(evidence) = self.search_beyond(self.head().end + reach as u64)? {
            return Ok(Some(evidence));
        }
        // What lies beyond the end of the file is a missing sector too (assumption 3).
        if matches!(bad.fault, Truncated { .. }) {
            return Ok(None);
        }
        // Whose checksum failed. A torn write leaves one of its sectors as it was before: zeros.
        let failed_part = match &bad.header {
            Some(header) => GROUP_HEADER_BYTES..GROUP_HEADER_BYTES + header.padded_bytes(),
            None => 0..GROUP_HEADER_BYTES,
        };
        let at = self.head().end + failed_part.start as u64;
        let missing = sector_is_missing(&record[failed_part], at);
        Ok(if missing { None } else { Some(DurableEvidence::EverySectorWritten) })
    }

    /// Searches everything behind the bad record's start for what cannot be there if it was never
    /// synced: its own durable mark, a later group, or any byte beyond `reach`.
    fn search_beyond(&self, reach: u64) -> Result<Option<DurableEvidence>, OpenError> {
        const STEP: usize = 1 << 20;
        let mark = durable_mark(self.seed, self.head().group + 1);
        let mut beyond = None;
        // Steps overlap by a header, so that one across their border is seen whole.
        let mut buffer = vec![0; STEP + GROUP_HEADER_BYTES];
        let mut start = self.head().end;
        while start < self.len {
            let present = (self.len - start).min(buffer.len() as u64) as usize;
            let bytes = &mut buffer[..present];
            self.read(start, bytes)?;
            // Every record starts at a multiple of 8, and so does every mark.
            for at in (0..present.min(STEP)).step_by(8) {
                if let Some(evidence) = self.proof_at(&bytes[at..], start + at as u64, &mark) {
                    return Ok(Some(evidence));
                }
            }
            // Kept for the end: a mark or a later group further on says more than a stray byte.
            beyond = beyond.or(last_byte_beyond(bytes, start, reach));
            start += STEP as u64;
        }
        Ok(beyond.map(|offset| DurableEvidence::BytesBeyond { offset }))
    }

    fn proof_at(
        &self,
        bytes: &[u8],
        offset: u64,
        mark: &[u8; MARK_BYTES],
    ) -> Option<DurableEvidence> {
        if bytes.starts_with(&MARK_MAGIC) && bytes.starts_with(mark) {
            return Some(DurableEvidence::DurableMark { offset });
        }
        if !bytes.starts_with(&GROUP_MAGIC) {
            return None;
        }
        let header = GroupHeader::intact(bytes.first_chunk()?, self.seed).ok()?;
        let number = header.number;
        // Not its own number: a torn record may have an intact header over half a body.
        (number > self.head().group + 1).then_some(DurableEvidence::LaterGroup { number, offset })
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), OpenError> {
        self.medium.read_at(offset, bytes).map_err(failed("read"))
    }
}

/// Whether a sector under `bytes`, which start at `offset`, still reads as before the write: zeros.
fn sector_is_missing(bytes: &[u8], offset: u64) -> bool {
    // The first sector may be shared with the record before, so of it only the own bytes count.
    let to_boundary = (SECTOR_BYTES - offset % SECTOR_BYTES) as usize;
    let (begin, rest) = bytes.split_at(to_boundary.min(bytes.len()));
    let zeros = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
    zeros(begin) || rest.chunks(SECTOR_BYTES as usize).any(zeros)
}

/// The offset of the last byte of a part that is not zero and not below `reach`.
fn last_byte_beyond(part: &[u8], start: u64, reach: u64) -> Option<u64> {
    let skip = reach.saturating_sub(start).min(part.len() as u64) as usize;
    let last = part[skip..].iter().rposition(|byte| *byte != 0)?;
    Some(start + (skip + last) as u64)
}

fn failed(op: &'static str) -> impl FnOnce(std::io::Error) -> OpenError {
    move |source| OpenError::Medium { op, source }
}
