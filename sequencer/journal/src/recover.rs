//! Opening a log: which files there are, whether each continues the one before, what of the last
//! one is torn; then what makes the rest durable. Nothing is changed before all of it holds.

use crate::archived::Stub;
use crate::file::{
    FILE_HEADER_BYTES, FileHeader, SEAL_BYTES, Seal, could_be_log, last_sector, seal_offset,
};
use crate::index::{Index, Run};
use crate::index_file::{self, Kept};
use crate::prepare::{Ahead, Making, NextFile, fill, make};
use crate::read::Shared;
use crate::record::{Jumps, MARK_BYTES, RECORD_BYTES_MAX, durable_mark};
use crate::scan::{Scan, failed, first_byte};
use crate::{
    FileFault, FileName, FileNumber, GROUP_ENTRIES_MAX, Genesis, Head, Medium, OpenError, Place,
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

/// The file that groups go into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) header: FileHeader,
    /// Bytes that it holds, zeros included.
    pub(crate) len: u64,
}

impl Tail {
    /// Where its seal would stand, its groups reaching to `end`.
    pub(crate) fn seal_offset(&self, end: u64) -> u64 {
        seal_offset(self.len, end)
    }
}

/// A log that is open.
pub(crate) struct Opened<M> {
    pub(crate) shared: Shared<M>,
    pub(crate) tail: Tail,
    pub(crate) recovery: Recovery,
}

/// What becomes of a log whose last file is missing or shorter than it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostEnd {
    /// It is not opened.
    Refused,
    /// It ends with what is left, and goes on there.
    Accepted,
}

/// A file as it is found, begun with a header.
struct Found {
    header: FileHeader,
    len: u64,
    seal: Option<Seal>,
    /// Whether it is in an archive, and only what stands for it is here.
    archived: bool,
}

impl Found {
    /// Bytes that it was made with, and more where it grew.
    fn made(&self) -> u64 {
        self.len.max(self.header.length)
    }
}

/// Opens the log on a medium.
pub(crate) fn recover<M: Medium>(
    medium: M,
    genesis: Genesis,
    lost_end: LostEnd,
) -> Result<Opened<M>, OpenError> {
    let Folder { files, unbegun, lost } = look(&medium, &genesis, lost_end)?;
    let Some(last) = files.last() else {
        return create(medium, genesis, &unbegun);
    };
    let tail = Tail { header: last.header, len: last.made() };
    let filled = NextFile { number: last.header.number, length: last.made() };
    // What stands for an archived file may say any length.
    let total = files.iter().map(Found::made).fold(0, u64::saturating_add);
    let ahead = Ahead::new(filled, total);
    let mut scan = Scan::new(&medium, &files[0].header);
    // A corruption leaves here, before the first change: a damaged log stays as it was found.
    let before = scan_all(&mut scan, &files)?;
    let (head, torn) = (scan.head(), scan.torn()?);
    let has_groups = !scan.index.last_file_is_empty();
    let begun = has_groups || !torn.is_empty();
    if let Some(before) = before.filter(|before| !before.is_sealed) {
        check_unsealed(&medium, &before, begun)?;
    }
    let Scan { index, entries, record, marked, .. } = scan;
    remove_unbegun(&medium, &unbegun)?;
    if let Some(lost) = lost {
        // Its header is written below, as that of each file without a group.
        let making = Making::anew(lost);
        make(&medium, making, &|_| Some(lost.length)).map_err(failed("make the lost file"))?;
    }
    sync_found(&medium, &files)?;
    cut(&medium, &head, &torn, last.len)?;
    if lost.is_none() {
        // Behind the cut: what is left of a group would else have all of its sectors.
        lengthen(&medium, last)?;
    }
    // Only the last group can need it: each is written after the one before was synced.
    let unmarked = (index.len() > 0 && !marked).then_some(record);
    let rewrote_last = unmarked.is_some() && (has_groups || !begun);
    match unmarked {
        Some(record) if has_groups => {
            rewrite_last(&medium, &head, record, last.header.seed())?;
        }
        // With a group, or a part of one, in the file all of this is durable.
        unmarked if !begun => rewrite_change(&medium, &last.header, before, unmarked)?,
        _ => {}
    }
    let (groups, cut_bytes) = (index.len() as u64, torn.len() as u64);
    let recovery = Recovery { created: false, groups, entries, cut_bytes, rewrote_last };
    let shared = Shared::new(medium, tail.header.log_id, index, ahead);
    Ok(Opened { shared, tail, recovery })
}

/// Removes files that were made ahead, the highest first. They are made anew when they are needed:
/// whether their zeros and their names are durable nobody knows.
fn remove_unbegun<M: Medium>(medium: &M, unbegun: &[FileNumber]) -> Result<(), OpenError> {
    for number in unbegun {
        medium.remove(FileName::Log(*number)).map_err(failed("remove"))?;
        // One that came back without the one below it would look like a lost file.
        medium.sync_names().map_err(failed("sync the folder"))?;
    }
    // What is left of one that was put away: whether its name is durable nobody knows, either.
    medium.remove(FileName::Spare).map_err(failed("remove"))?;
    medium.remove(FileName::Next).map_err(failed("remove"))
}

/// Makes what was found durable: a copy that was put back and what a process left that was killed
/// may so far stand in memory alone, contents and names.
fn sync_found<M: Medium>(medium: &M, files: &[Found]) -> Result<(), OpenError> {
    for found in files {
        let number = found.header.number;
        let name = match found.archived {
            true => FileName::Archived(number),
            false => FileName::Log(number),
        };
        medium.sync(name).map_err(failed("sync what is there"))?;
    }
    medium.sync_names().map_err(failed("sync the folder"))
}

/// Makes a file that is shorter than it was made as long again.
fn lengthen<M: Medium>(medium: &M, found: &Found) -> Result<(), OpenError> {
    let (name, part) = (FileName::Log(found.header.number), found.len..found.made());
    let end = part.end;
    let filled = fill(medium, name, part, &|_| Some(end));
    filled.map(drop).map_err(failed("lengthen the last file"))
}

/// The file before the last one.
#[derive(Clone, Copy)]
struct Before {
    /// Where its groups end.
    end: Head,
    len: u64,
    seed: u32,
    is_sealed: bool,
    /// Whether it is in an archive: then it was durable, with its seal, before it went there.
    archived: bool,
}

/// Walks over all files; returns how the one before the last stands.
fn scan_all<M: Medium>(
    scan: &mut Scan<'_, M>,
    files: &[Found],
) -> Result<Option<Before>, OpenError> {
    let mut before = None;
    for (i, found) in files.iter().enumerate() {
        let Found { header, len, seal, archived } = found;
        let archived = *archived;
        let next = files.get(i + 1).map(|next| &next.header);
        let of = |file, fault| OpenError::File { file, fault };
        if let (Some(Seal(last)), Some(next)) = (seal, next)
            && adopt(scan, header, last)?
        {
            let continues = next.check_continues(last);
            continues.map_err(|fault| of(next.number, FileFault::Chain(fault)))?;
            let (end, len, seed) = (*last, *len, header.seed());
            before = Some(Before { end, len, seed, is_sealed: true, archived });
            continue;
        }
        scan.walk(header, *len, next)?;
        let Some(next) = next else { break };
        let end = scan.head();
        let continues = next.check_continues(&end);
        continues.map_err(|fault| of(next.number, FileFault::Chain(fault)))?;
        match seal {
            Some(seal) => {
                seal.check(&end).map_err(|fault| of(header.number, FileFault::Seal(fault)))?;
                check_zeros(scan.medium, &end, last_sector(*len))?;
            }
            // Power may have failed between the header of the last file and this seal.
            None if i + 2 == files.len() => {}
            None => return Err(of(header.number, FileFault::Unsealed)),
        }
        let (seed, is_sealed) = (header.seed(), seal.is_some());
        before = Some(Before { end, len: *len, seed, is_sealed, archived });
    }
    Ok(before)
}

/// Takes in the groups of a sealed file by its index, without a look at them: each is checked
/// whenever it is read. `false` where no index says what the header and the seal say.
fn adopt<M: Medium>(
    scan: &mut Scan<'_, M>,
    header: &FileHeader,
    last: &Head,
) -> Result<bool, OpenError> {
    let kept =
        index_file::read(scan.medium, last, header.seed()).map_err(failed("read an index"))?;
    let Some(Kept { count, gaps }) = kept else { return Ok(false) };
    // As many as numbers from the header to the seal, less those that were given up: what is left
    // of a jump over all of them.
    let begin = Place::after(&header.head());
    let numbers = Jumps {
        groups: (last.group + 1).saturating_sub(begin.group),
        positions: (last.position + 1).saturating_sub(begin.position),
    };
    let over =
        |jumps: Jumps| gaps.iter().try_fold(jumps, |left, gap| left.after(gap.next, gap.first));
    let Some(Jumps { groups, positions }) = over(numbers) else { return Ok(false) };
    // No more than in groups that are walked over: numbers given up, and entries.
    let allowed = over(scan.index.jumps_left()).is_some()
        && stand_where_they_say(begin, &gaps)
        && positions <= groups.saturating_mul(GROUP_ENTRIES_MAX as u64);
    if groups != count as u64 || last.file != header.number || !allowed {
        return Ok(false);
    }
    scan.adopt(header, &Kept { count, gaps }, *last);
    scan.entries += positions;
    Ok(true)
}

/// Whether before each gap of a file there are as many groups as numbers since the one before it.
fn stand_where_they_say(begin: Place, gaps: &[Run]) -> bool {
    let (mut index, mut group) = (0, begin.group);
    gaps.iter().all(|gap| {
        let groups = gap.index.checked_sub(index);
        let stands =
            groups.is_some() && gap.next.group.checked_sub(group) == groups.map(|n| n as u64);
        (index, group) = (gap.index, gap.first.group);
        stands
    })
}

/// A file before the last one may lack its seal while nothing was written into the last.
fn check_unsealed<M: Medium>(medium: &M, before: &Before, begun: bool) -> Result<(), OpenError> {
    let Before { end, len, .. } = before;
    if begun {
        return Err(OpenError::File { file: end.file, fault: FileFault::Unsealed });
    }
    check_zeros(medium, end, *len)
}

/// Makes the change from one file to the next durable, in the order in which it is made: a sync of
/// it may have failed although all of it reads as it should.
fn rewrite_change<M: Medium>(
    medium: &M,
    header: &FileHeader,
    before: Option<Before>,
    unmarked: Option<Vec<u8>>,
) -> Result<(), OpenError> {
    // The header of a log of one file is whole: it has no next one, and is left at once.
    if header.takes_groups() {
        begin(medium, header).map_err(failed("write the file header"))?;
    }
    let here = before.filter(|before| !before.archived);
    let Some(Before { end, len, seed, .. }) = here else { return Ok(()) };
    if let Some(record) = unmarked {
        rewrite_last(medium, &end, record, seed)?;
    }
    seal(medium, &end, len, seed).map_err(failed("seal"))
}

/// Checks that nothing but zeros stands between the last group of a file and `end`.
fn check_zeros<M: Medium>(medium: &M, head: &Head, end: u64) -> Result<(), OpenError> {
    let stray = first_byte(medium, FileName::Log(head.file), head.end..end);
    match stray.map_err(failed("read"))? {
        None => Ok(()),
        Some(offset) => {
            Err(OpenError::File { file: head.file, fault: FileFault::Stray { offset } })
        }
    }
}

/// The files of a log.
struct Folder {
    /// Those with a header, which belong together; none in a new log.
    files: Vec<Found>,
    /// Those without, which were made ahead of need, the highest first.
    unbegun: Vec<FileNumber>,
    /// The last of `files`, if it is not there and is made again.
    lost: Option<NextFile>,
}

/// Reads every header and seal, and holds them against each other.
fn look<M: Medium>(medium: &M, genesis: &Genesis, lost_end: LostEnd) -> Result<Folder, OpenError> {
    let mut numbers: Vec<FileNumber> = medium
        .names()
        .map_err(failed("list"))?
        .into_iter()
        .filter_map(|name| match name {
            FileName::Log(number) | FileName::Archived(number) => Some(number),
            FileName::Index(_) | FileName::Next | FileName::Spare => None,
        })
        .collect();
    numbers.sort_unstable();
    // Both, where power failed between the two steps of putting one away: then the file counts.
    numbers.dedup();
    let unbegun = split_unbegun(medium, &mut numbers)?;
    let mut files = Vec::<Found>::new();
    for (file, number) in (1..).zip(&numbers) {
        if file != *number {
            return Err(missing(file));
        }
        let Some(found) = find(medium, file)? else {
            let why = "there are files behind it";
            return Err(OpenError::File { file, fault: FileFault::NotBegun { why } });
        };
        check_belongs(&found, files.first(), genesis)?;
        if lost_end == LostEnd::Refused || numbers.last() != Some(number) {
            check_whole(&found)?;
        }
        files.push(found);
    }
    if lost_end == LostEnd::Refused {
        for (file, number) in (files.len() as FileNumber + 1..).zip(unbegun.iter().rev()) {
            if file != *number {
                return Err(missing(file));
            }
        }
    }
    // Sealed once the next one had its header.
    let sealed = files.last().and_then(|last| Some((last.header, last.seal.as_ref()?.0)));
    let Some((header, end)) = sealed else { return Ok(Folder { files, unbegun, lost: None }) };
    if lost_end == LostEnd::Refused {
        return Err(lost_file(header.number + 1, &unbegun));
    }
    let length = medium.file_lengths().least;
    let next = FileHeader::after(&end, header.log_id, length);
    let lost = Some(NextFile { number: next.number, length });
    // As if nothing but its header were left.
    let len = FILE_HEADER_BYTES as u64;
    files.push(Found { header: next, len, seal: None, archived: false });
    Ok(Folder { files, unbegun, lost })
}

/// Splits off files without a header at the end, the highest first. There is mostly one. When a
/// power cut takes the header of a file that was just begun, the next one may have been made too.
fn split_unbegun<M: Medium>(
    medium: &M,
    numbers: &mut Vec<FileNumber>,
) -> Result<Vec<FileNumber>, OpenError> {
    let mut unbegun = Vec::new();
    while let Some(last) = numbers.last().copied() {
        if find(medium, last)?.is_some() {
            break;
        }
        unbegun.push(last);
        numbers.pop();
    }
    Ok(unbegun)
}

/// Of the file behind one that is sealed.
fn lost_file(file: FileNumber, unbegun: &[FileNumber]) -> OpenError {
    if !unbegun.contains(&file) {
        return missing(file);
    }
    let why = "the file before it is sealed";
    OpenError::File { file, fault: FileFault::NotBegun { why } }
}

fn missing(file: FileNumber) -> OpenError {
    OpenError::File { file, fault: FileFault::Missing { before: file - 1 } }
}

/// Before anything is walked over: the log of another deployment is neither searched nor cut.
fn check_belongs(found: &Found, first: Option<&Found>, genesis: &Genesis) -> Result<(), OpenError> {
    let header = &found.header;
    match first {
        None if header.journal_hash != genesis.journal_hash => {
            let (expected, found) = (genesis.journal_hash, header.journal_hash);
            Err(OpenError::Genesis { expected, found })
        }
        Some(first) if first.header.log_id != header.log_id => {
            Err(OpenError::File { file: header.number, fault: FileFault::Foreign })
        }
        _ => Ok(()),
    }
}

/// A file is made whole and durable before its header is written.
fn check_whole(found: &Found) -> Result<(), OpenError> {
    let Found { header, len, .. } = found;
    if *len < header.length {
        let fault = FileFault::Short { expected: header.length, found: *len };
        return Err(OpenError::File { file: header.number, fault });
    }
    Ok(())
}

/// A file with its header and its seal; `None` where a power cut came before its header was synced.
fn find<M: Medium>(medium: &M, number: FileNumber) -> Result<Option<Found>, OpenError> {
    let name = FileName::Log(number);
    let len = match medium.len(name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let Some(Stub { header, seal, archived }) = Stub::read(medium, number)? else {
                return Err(missing(number));
            };
            seal.check_last()
                .map_err(|fault| OpenError::File { file: number, fault: FileFault::Seal(fault) })?;
            let (len, seal) = (archived.length, Some(seal));
            return Ok(Some(Found { header, len, seal, archived: true }));
        }
        len => len.map_err(failed("length"))?,
    };
    let mut bytes = [0; FILE_HEADER_BYTES];
    let present = len.min(FILE_HEADER_BYTES as u64) as usize;
    medium.read_at(name, 0, &mut bytes[..present]).map_err(failed("read"))?;
    // Nothing was acknowledged under it.
    if bytes.iter().all(|byte| *byte == 0) {
        let stray = first_byte(medium, name, present as u64..len).map_err(failed("read"))?;
        return match stray {
            None => Ok(None),
            Some(_) => {
                let why = "there are bytes where groups go";
                Err(OpenError::File { file: number, fault: FileFault::NotBegun { why } })
            }
        };
    }
    if present < FILE_HEADER_BYTES && could_be_log(&bytes[..present]) {
        let fault = FileFault::Short { expected: FILE_HEADER_BYTES as u64, found: len };
        return Err(OpenError::File { file: number, fault });
    }
    let header = FileHeader::decode(&bytes, number)?;
    let mut seal = [0; SEAL_BYTES];
    let at = last_sector(len);
    let seal = match at {
        0 => None,
        at => {
            medium.read_at(name, at, &mut seal).map_err(failed("read"))?;
            Seal::decode(&seal, header.seed())
        }
    };
    let of = |fault| OpenError::File { file: number, fault: FileFault::Seal(fault) };
    seal.iter().try_for_each(Seal::check_last).map_err(of)?;
    Ok(Some(Found { header, len, seal, archived: false }))
}

/// Begins a log in a file of its own.
fn create<M: Medium>(
    medium: M,
    genesis: Genesis,
    unbegun: &[FileNumber],
) -> Result<Opened<M>, OpenError> {
    remove_unbegun(&medium, unbegun)?;
    let len = medium.file_lengths().least;
    let header = FileHeader::genesis(genesis, len);
    // A power cut between these calls leaves no file, one of zeros or one with a header. Each of
    // these opens.
    let next = NextFile { number: header.number, length: len };
    let making = Making::anew(next);
    make(&medium, making, &|_| Some(len)).map_err(failed("make the first file"))?;
    begin(&medium, &header).map_err(failed("write the file header"))?;
    let recovery =
        Recovery { created: true, groups: 0, entries: 0, cut_bytes: 0, rewrote_last: false };
    let index = Index::new(header.head(), header.seed());
    let (tail, ahead) = (Tail { header, len }, Ahead::new(next, len));
    Ok(Opened { shared: Shared::new(medium, header.log_id, index, ahead), tail, recovery })
}

/// Writes the header of a file that was made: one sector, so that it is there whole or not at all.
pub(crate) fn begin<M: Medium>(medium: &M, header: &FileHeader) -> std::io::Result<()> {
    let name = FileName::Log(header.number);
    medium.write_at(name, 0, &header.encode())?;
    medium.sync(name)
}

/// Seals a file of `len` bytes whose groups end at `head`; the next file has its header by then.
pub(crate) fn seal<M: Medium>(medium: &M, head: &Head, len: u64, seed: u32) -> std::io::Result<()> {
    let name = FileName::Log(head.file);
    medium.write_at(name, seal_offset(len, head.end), &Seal(*head).encode(seed))?;
    medium.sync(name)
}

/// Writes zeros as far as a torn record can reach in a file of `len` bytes. Synced before anything
/// is written there: bytes behind the end must be zeros, or what is left of a record could pass for
/// sectors of the next one. Also where all of it reads as zeros: a sync of a cut may have failed
/// before, and then the disk holds what was torn, whatever reads show.
fn cut<M: Medium>(medium: &M, head: &Head, torn: &[u8], len: u64) -> Result<(), OpenError> {
    let name = FileName::Log(head.file);
    if !torn.is_empty() {
        medium.keep_cut(name, head.end, torn).map_err(failed("keep what is cut"))?;
    }
    // Power may fail here as well: fewer sectors of a torn record are still a torn record.
    let end = len.min(head.end + RECORD_BYTES_MAX as u64);
    let filled = fill(medium, name, head.end.min(end)..end, &|_| Some(end));
    filled.map(drop).map_err(failed("cut"))
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
    let name = FileName::Log(head.file);
    let start = head.end - record.len() as u64;
    let mark_at = record.len() - MARK_BYTES;
    // A mark says that its group was synced, so it must not stand before the sync below returns.
    record[mark_at..].fill(0);
    medium.write_at(name, start, &record).map_err(failed("write"))?;
    medium.sync(name).map_err(failed("sync"))?;
    // Without a sync of its own, as after an append: if it is lost, the next open writes again.
    let mark = durable_mark(seed, head.group);
    medium.write_at(name, start + mark_at as u64, &mark).map_err(failed("write the durable mark"))
}
