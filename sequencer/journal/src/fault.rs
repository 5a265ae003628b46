//! A hostile medium in memory, for tests of the log and of whatever is built on it.
//!
//! It keeps what was synced apart from what was only written. A power cut keeps the synced part and
//! an arbitrary part of the rest; a failed sync drops the rest for good while reads still show it,
//! as a page cache does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use crate::file::FILE_HEADER_BYTES;
use crate::record::{
    GROUP_HEADER_BYTES, GROUP_MAGIC, MARK_BYTES, durable_mark, record_bytes, u32_at, u64_at,
};
use crate::{FileLengths, FileName, Medium, Salts};

const SECTOR: usize = crate::record::SECTOR_BYTES as usize;

/// Salts that anybody can foretell, the same at every start: for tests, whose bytes must not
/// change.
pub fn salts() -> Salts {
    let mut number = 0u64;
    Salts::new(move || {
        number += 1;
        let mut salt = [0x5a; 32];
        salt[..8].copy_from_slice(&number.to_le_bytes());
        Ok(salt)
    })
}

/// The groups of a first file, as the version before wrote them into the one file of a log.
pub fn as_one_file(first: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8], at| u32_at(bytes, at) as usize;
    let mut bytes = first[..FILE_HEADER_BYTES].to_vec();
    bytes[8] = 2;
    bytes[88..104].fill(0);
    let crc = crc32c::crc32c(&bytes[..124]);
    bytes[124..].copy_from_slice(&crc.to_le_bytes());
    let seed = crc32c::crc32c(&first[16..32]);
    while let Some(head) = first[bytes.len()..].first_chunk::<GROUP_HEADER_BYTES>() {
        let (at, end) = (bytes.len(), bytes.len() + record_bytes(number(head, 28)));
        if !head.starts_with(&GROUP_MAGIC) {
            break;
        }
        bytes.extend_from_slice(&first[at..end]);
        let record = &mut bytes[at..];
        let (body, mark) = (GROUP_HEADER_BYTES, end - at - MARK_BYTES);
        let crc = crc32c::crc32c_append(seed, &record[body..mark]);
        record[128..132].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &record[..132]);
        record[132..136].copy_from_slice(&crc.to_le_bytes());
        let durable = durable_mark(seed, u64_at(record, 8));
        record[mark..].copy_from_slice(&durable);
    }
    bytes
}

/// What a power cut does to writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All are lost.
    Drop,
    /// All survive: the power failed just before the sync would have said so.
    Keep,
    /// A prefix of them survives, the last one up to an arbitrary sector.
    Prefix,
    /// Each survives or not, whatever the order.
    Reorder,
    /// Each sector of each survives or not.
    Tear,
}

impl Cut {
    /// All of them.
    pub const ALL: [Cut; 5] = [Cut::Drop, Cut::Keep, Cut::Prefix, Cut::Reorder, Cut::Tear];
}

/// A medium that can lose power and fail. Clones share their content.
#[derive(Clone, Default)]
pub struct FaultMedium {
    state: Arc<Mutex<State>>,
    on_sync: Option<Arc<dyn Fn(FileName) + Send + Sync>>,
}

impl fmt::Debug for FaultMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultMedium")
    }
}

/// Files by name, with their content.
pub type Files = BTreeMap<FileName, Vec<u8>>;

#[derive(Debug)]
struct State {
    durable: Disk,
    visible: Disk,
    unsynced: Vec<Change>,
    /// The number of the next file that is made.
    made: u64,
    lengths: FileLengths,
    lying: bool,
    room: u64,
    calls: u64,
    fails_at: Option<u64>,
    off_at: Option<u64>,
}

impl Default for State {
    fn default() -> Self {
        State {
            durable: Disk::default(),
            visible: Disk::default(),
            unsynced: Vec::new(),
            made: 0,
            lengths: FileLengths { least: 1 << 16, most: 1 << 20 },
            lying: false,
            room: u64::MAX,
            calls: 0,
            fails_at: None,
            off_at: None,
        }
    }
}

/// Names and contents apart, as a file system keeps them: a file keeps its content under any name.
#[derive(Clone, Debug, Default)]
struct Disk {
    names: BTreeMap<FileName, u64>,
    contents: BTreeMap<u64, Vec<u8>>,
}

impl Disk {
    fn holding(files: Files) -> Disk {
        let names = files.keys().copied().zip(0..).collect();
        Disk { names, contents: (0..).zip(files.into_values()).collect() }
    }

    fn files(&self) -> Files {
        let content = |file| self.contents.get(file).cloned().unwrap_or_default();
        self.names.iter().map(|(name, file)| (*name, content(file))).collect()
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write { file: u64, offset: usize, bytes: Vec<u8> },
    Name { name: FileName, file: u64 },
    Rename { from: FileName, to: FileName },
    Remove { name: FileName },
}

impl FaultMedium {
    /// A medium that holds these files, durably.
    pub fn holding(files: Files) -> FaultMedium {
        let medium = FaultMedium::default();
        let made = files.len() as u64;
        let disk = Disk::holding(files);
        *medium.state() = State { durable: disk.clone(), visible: disk, made, ..State::default() };
        medium
    }

    /// With files of these lengths, instead of 64 KiB to 1 MiB.
    pub fn with_lengths(self, least: u64, most: u64) -> FaultMedium {
        self.state().lengths = FileLengths { least, most };
        self
    }

    /// Says "synced" and is not.
    pub fn lying(self) -> FaultMedium {
        self.state().lying = true;
        self
    }

    /// Calls this before every sync of a file, with its name.
    pub fn on_sync(self, call: impl Fn(FileName) + Send + Sync + 'static) -> FaultMedium {
        FaultMedium { on_sync: Some(Arc::new(call)), ..self }
    }

    /// Lets all files together take at most so many bytes from now on.
    pub fn limit_room(&self, bytes: u64) {
        self.state().room = bytes;
    }

    /// Lets the `call`-th changing call from now (write, sync, create, rename, remove; from 1)
    /// fail, once.
    pub fn fail_at(&self, call: u64) {
        let mut state = self.state();
        state.fails_at = Some(state.calls + call);
    }

    /// Lets the power fail at the `call`-th changing call from now: it and all later ones fail. A
    /// write that the power fails at is among the writes that may survive.
    pub fn power_off_at(&self, call: u64) {
        let mut state = self.state();
        state.off_at = Some(state.calls + call);
    }

    /// Changing calls so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// What reads show.
    pub fn files(&self) -> Files {
        self.state().visible.files()
    }

    /// What reads of one file show; nothing if it is not there.
    pub fn file(&self, name: FileName) -> Vec<u8> {
        self.files().remove(&name).unwrap_or_default()
    }

    /// What is on the medium after a power cut now; `seed` chooses among the possibilities.
    pub fn after_power_cut(&self, cut: Cut, seed: u64) -> FaultMedium {
        let state = self.state();
        let mut image = state.durable.clone();
        let mut dice = Dice(seed);
        let whole = dice.below(state.unsynced.len() as u64 + 1) as usize;
        for (i, change) in state.unsynced.iter().enumerate() {
            match cut {
                Cut::Drop => {}
                Cut::Keep => change.apply(&mut image),
                Cut::Prefix if i < whole => change.apply(&mut image),
                Cut::Prefix if i == whole => {
                    let sectors = dice.below(change.sectors() + 1);
                    change.apply_sectors(&mut image, |sector| sector < sectors);
                }
                Cut::Prefix => {}
                Cut::Reorder if dice.flip() => change.apply(&mut image),
                Cut::Reorder => {}
                Cut::Tear => change.apply_sectors(&mut image, |_| dice.flip()),
            }
        }
        let FileLengths { least, most } = state.lengths;
        FaultMedium::holding(image.files()).with_lengths(least, most)
    }

    /// Counts a changing call and says how it goes.
    fn call(&self) -> (MutexGuard<'_, State>, Call) {
        let mut state = self.state();
        state.calls += 1;
        let call = match (state.fails_at, state.off_at) {
            (_, Some(off)) if state.calls > off => Call::Ignored,
            (_, Some(off)) if state.calls == off => Call::Interrupted,
            (Some(fails), _) if state.calls == fails => Call::Fails,
            _ => Call::Succeeds,
        };
        (state, call)
    }

    fn change(&self, change: impl FnOnce(&mut State) -> io::Result<Change>) -> io::Result<()> {
        let (mut state, call) = self.call();
        let change = match call {
            Call::Ignored => None,
            Call::Succeeds | Call::Interrupted => Some(change(&mut state)?),
            Call::Fails => change(&mut state)?.first_half(),
        };
        if let Some(change) = change {
            change.apply(&mut state.visible);
            state.unsynced.push(change);
        }
        call.result()
    }

    /// Makes what `of` names durable, unless the call fails: then it is lost for good, although
    /// reads still show it.
    fn make_durable(&self, of: impl Fn(&State, &Change) -> bool) -> io::Result<()> {
        let (mut state, call) = self.call();
        if state.lying || matches!(call, Call::Ignored | Call::Interrupted) {
            return if state.lying { Ok(()) } else { call.result() };
        }
        let unsynced = std::mem::take(&mut state.unsynced);
        let (synced, rest) = unsynced.into_iter().partition(|change| of(&state, change));
        state.unsynced = rest;
        if let Call::Succeeds = call {
            // Only what waits: what an earlier failed sync dropped stays lost.
            let synced: Vec<Change> = synced;
            synced.iter().for_each(|change| change.apply(&mut state.durable));
        }
        call.result()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&self, name: FileName) -> io::Result<u64> {
        Ok(*self.visible.names.get(&name).ok_or(io::ErrorKind::NotFound)?)
    }

    fn content(&self, name: FileName) -> io::Result<&[u8]> {
        let file = self.find(name)?;
        Ok(self.visible.contents.get(&file).map_or(&[], Vec::as_slice))
    }

    fn taken(&self) -> u64 {
        let bytes =
            |file| self.visible.contents.get(file).map_or(0, |content| content.len() as u64);
        self.visible.names.values().map(bytes).sum()
    }
}

impl Medium for FaultMedium {
    fn names(&self) -> io::Result<Vec<FileName>> {
        Ok(self.state().visible.names.keys().copied().collect())
    }

    fn len(&self, name: FileName) -> io::Result<u64> {
        Ok(self.state().content(name)?.len() as u64)
    }

    fn read_at(&self, name: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (state, start) = (self.state(), offset as usize);
        let stored = state.content(name)?.get(start..start + bytes.len());
        bytes.copy_from_slice(stored.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn make_empty(&self, name: FileName) -> io::Result<()> {
        self.change(|state| {
            state.made += 1;
            Ok(Change::Name { name, file: state.made })
        })
    }

    fn write_at(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|state| {
            let (file, offset) = (state.find(name)?, offset as usize);
            let more = (offset + bytes.len()).saturating_sub(state.content(name)?.len());
            if state.taken() + more as u64 > state.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(Change::Write { file, offset, bytes: bytes.to_vec() })
        })
    }

    fn sync(&self, name: FileName) -> io::Result<()> {
        if let Some(call) = &self.on_sync {
            call(name);
        }
        self.make_durable(|state, change| match change {
            Change::Write { file, .. } => state.visible.names.get(&name) == Some(file),
            _ => false,
        })
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        self.change(|state| state.find(from).map(|_| Change::Rename { from, to }))
    }

    fn remove(&self, name: FileName) -> io::Result<()> {
        if self.state().find(name).is_err() {
            return Ok(());
        }
        self.change(|_| Ok(Change::Remove { name }))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.make_durable(|_, change| !matches!(change, Change::Write { .. }))
    }

    fn file_lengths(&self) -> FileLengths {
        self.state().lengths
    }
}

/// How a changing call goes.
#[derive(Clone, Copy)]
enum Call {
    Succeeds,
    Fails,
    Interrupted,
    Ignored,
}

impl Call {
    fn result(self) -> io::Result<()> {
        match self {
            Call::Succeeds => Ok(()),
            Call::Fails => Err(io::Error::other("injected failure")),
            Call::Interrupted | Call::Ignored => Err(io::Error::other("power is off")),
        }
    }
}

impl Change {
    fn apply(&self, disk: &mut Disk) {
        self.apply_sectors(disk, |_| true);
    }

    /// Applies the sectors that `survives` names, counted from the start of the change.
    fn apply_sectors(&self, disk: &mut Disk, mut survives: impl FnMut(u64) -> bool) {
        let Change::Write { file, offset, bytes } = self else {
            if survives(0) {
                self.apply_name(&mut disk.names);
            }
            return;
        };
        let image = disk.contents.entry(*file).or_default();
        let mut at = 0;
        for sector in 0..self.sectors() {
            let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
            if survives(sector) {
                image.resize(image.len().max(offset + end), 0);
                image[offset + at..offset + end].copy_from_slice(&bytes[at..end]);
            }
            at = end;
        }
    }

    fn apply_name(&self, names: &mut BTreeMap<FileName, u64>) {
        match self {
            Change::Write { .. } => {}
            Change::Name { name, file } => {
                names.insert(*name, *file);
            }
            // Nothing to rename where the file's first name did not survive.
            Change::Rename { from, to } => {
                if let Some(file) = names.remove(from) {
                    names.insert(*to, file);
                }
            }
            Change::Remove { name } => {
                names.remove(name);
            }
        }
    }

    /// Sectors that the change touches; what changes a name counts as one.
    fn sectors(&self) -> u64 {
        match self {
            Change::Write { offset, bytes, .. } => {
                ((offset % SECTOR + bytes.len()).div_ceil(SECTOR)) as u64
            }
            _ => 1,
        }
    }

    /// What a call that failed may have left behind.
    fn first_half(&self) -> Option<Change> {
        match self {
            Change::Write { file, offset, bytes } => {
                // Up to a sector: pages are copied whole.
                let half = (offset + bytes.len() / 2) / SECTOR * SECTOR;
                let bytes = bytes[..half.saturating_sub(*offset)].to_vec();
                Some(Change::Write { file: *file, offset: *offset, bytes })
            }
            _ => None,
        }
    }
}

/// splitmix64: the same seed, the same cut.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn flip(&mut self) -> bool {
        self.roll() & 1 == 1
    }
}
