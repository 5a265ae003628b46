//! A walk over the records of the files, and the one question it has to answer: whether a bad
//! record is the remains of a write that was never synced, and may be cut, or a durable group that
//! was damaged, and must be reported. `docs/journal.md` derives the answer from what is assumed of
//! the medium; [`Scan::judge`] is that derivation in code.

use std::io;

use crate::entry::Walk;
use crate::file::FileHeader;
use crate::index::Index;
use crate::index_file::Kept;
use crate::record::{
    GROUP_HEADER_BYTES, GROUP_MAGIC, GroupHeader, MARK_BYTES, MARK_MAGIC, RECORD_BYTES_MAX,
    SECTOR_BYTES, durable_mark,
};
use crate::{
    Corruption, DurableEvidence, Fault, FileName, FileNumber, GroupNumber, Head, Medium, Millis,
    OpenError, Place,
};

/// Bytes that are read at once where nothing is decoded.
const STEP: usize = 1 << 20;

/// The walk; `index` holds what was good so far.
pub(crate) struct Scan<'a, M> {
    pub(crate) medium: &'a M,
    file: Walked,
    pub(crate) index: Index,
    /// Entries of these groups.
    pub(crate) entries: u64,
    /// The last good record, which may have to be written again, and a second buffer to read into.
    pub(crate) record: Vec<u8>,
    spare: Vec<u8>,
    /// Whether it carries its durable mark.
    pub(crate) marked: bool,
}

/// The file that is walked over.
struct Walked {
    number: FileNumber,
    len: u64,
    seed: u32,
    /// The next file and the last group before it, if one continues this file.
    next: Option<(FileNumber, GroupNumber)>,
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
    /// A walk that begins with the first file.
    pub(crate) fn new(medium: &'a M, first: &FileHeader) -> Scan<'a, M> {
        let seed = first.seed();
        Scan {
            medium,
            file: Walked { number: first.number, len: 0, seed, next: None },
            index: Index::new(first.head(), seed),
            entries: 0,
            record: Vec::new(),
            spare: Vec::new(),
            marked: true,
        }
    }

    /// Walks over one file of `len` bytes, up to the group before the file that continues it, or to
    /// the end of what is good.
    pub(crate) fn walk(
        &mut self,
        header: &FileHeader,
        len: u64,
        next: Option<&FileHeader>,
    ) -> Result<(), OpenError> {
        let next = next.map(|next| (next.number, next.head().group));
        self.file = Walked { number: header.number, len, seed: header.seed(), next };
        self.begin(header);
        while self.step()? {}
        Ok(())
    }

    /// Takes in a file by its index.
    pub(crate) fn adopt(&mut self, header: &FileHeader, kept: &Kept, last: Head) {
        self.begin(header);
        self.index.adopt(kept.count, &kept.gaps, last);
        // Of a sealed file the last group is durable.
        self.marked = true;
    }

    fn begin(&mut self, header: &FileHeader) {
        if self.head().file != header.number {
            self.index.begin_file(header.head(), header.seed());
        }
    }

    pub(crate) fn head(&self) -> Head {
        self.index.head()
    }

    /// What a write that was never synced left behind the last group, up to its last byte that is
    /// not zero. Empty where nothing is.
    pub(crate) fn torn(&self) -> Result<Vec<u8>, OpenError> {
        // No torn record is longer, and anything behind it would have been corruption.
        let left = self.file.len.saturating_sub(self.head().end).min(RECORD_BYTES_MAX as u64);
        // A last good record may end beyond the file, which may end within its mark.
        if left == 0 {
            return Ok(Vec::new());
        }
        let mut torn = vec![0; left as usize];
        self.read(self.head().end, &mut torn)?;
        torn.truncate(torn.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        Ok(torn)
    }

    fn name(&self) -> FileName {
        FileName::Log(self.file.number)
    }

    /// Takes in the next record; `false` at the end of what is good.
    fn step(&mut self) -> Result<bool, OpenError> {
        match self.file.next {
            // The file was left at this group: what follows is no record.
            Some((_, last)) if self.head().group >= last => return Ok(false),
            None if self.file.len <= self.head().end => return Ok(false),
            _ => {}
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
                    let (file, fault) = (self.file.number, bad.fault);
                    Err(Box::new(Corruption { group, file, offset, fault, evidence }).into())
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
            file: self.file.number,
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
        let checked = self.load_into(&mut record, self.file.len.saturating_sub(self.head().end))?;
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
        let header = match GroupHeader::intact(&head, self.file.seed) {
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
        header.check_body(body, self.file.seed)?;
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
        let expected = durable_mark(self.file.seed, number);
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
        // Before all others: the file was left behind it.
        if let Some((file, _)) = self.file.next {
            return Ok(Some(DurableEvidence::LaterFile { file }));
        }
        // Only these can a torn write cause; every other check sees bytes whose checksum holds.
        if !matches!(bad.fault, Magic { .. } | HeaderCrc { .. } | BodyCrc { .. } | Truncated { .. })
        {
            return Ok(Some(DurableEvidence::IntactChecksum));
        }
        // Free space, as mostly: nothing was written here.
        let rest = self.head().end..self.file.len;
        let zeros = record.iter().all(|byte| *byte == 0);
        if zeros && first_byte(self.medium, self.name(), rest).map_err(failed("read"))?.is_none() {
            return Ok(None);
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
        let mark = durable_mark(self.file.seed, self.head().group + 1);
        let mut beyond = None;
        // Steps overlap by a header, so that one across their border is seen whole.
        let mut buffer = vec![0; STEP + GROUP_HEADER_BYTES];
        let mut start = self.head().end;
        while start < self.file.len {
            let present = (self.file.len - start).min(buffer.len() as u64) as usize;
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
        let header = GroupHeader::intact(bytes.first_chunk()?, self.file.seed).ok()?;
        let number = header.number;
        // Not its own number: a torn record may have an intact header over half a body.
        (number > self.head().group + 1).then_some(DurableEvidence::LaterGroup { number, offset })
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), OpenError> {
        self.medium.read_at(self.name(), offset, bytes).map_err(failed("read"))
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

/// The first byte of a part of a file that is not zero.
pub(crate) fn first_byte<M: Medium>(
    medium: &M,
    name: FileName,
    part: std::ops::Range<u64>,
) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; STEP];
    let mut at = part.start;
    while at < part.end {
        let bytes = &mut buffer[..(part.end - at).min(STEP as u64) as usize];
        medium.read_at(name, at, bytes)?;
        // As a sum of bits: the compiler reads many bytes at once for it, which a search forbids.
        if bytes.iter().fold(0, |bits, byte| bits | byte) != 0 {
            let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
            return Ok(Some(at + first as u64));
        }
        at += bytes.len() as u64;
    }
    Ok(None)
}

pub(crate) fn failed(op: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Medium { op, source }
}
