//! Files in memory whose calls fail and whose power can be cut.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

const SECTOR: usize = crate::record::SECTOR_BYTES as usize;

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

/// The supply of one disk or of several, which then lose it together. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Power(Arc<Mutex<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    made: u64,
    fails_at: Option<u64>,
    off_at: Option<u64>,
}

impl Power {
    /// Lets the `call`-th changing call from now (write, sync, create, rename, remove; from 1)
    /// fail, once.
    pub fn fail_at(&self, call: u64) {
        let mut calls = self.calls_made();
        calls.fails_at = Some(calls.made + call);
    }

    /// Lets the power fail at the `call`-th changing call from now: it and all later ones fail. A
    /// write that the power fails at is among the writes that may survive.
    pub fn off_at(&self, call: u64) {
        let mut calls = self.calls_made();
        calls.off_at = Some(calls.made + call);
    }

    /// Changing calls so far.
    pub fn calls(&self) -> u64 {
        self.calls_made().made
    }

    /// Whether it failed.
    pub fn is_off(&self) -> bool {
        let calls = self.calls_made();
        calls.off_at.is_some_and(|off| calls.made >= off)
    }

    fn calls_made(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a changing call and says how it goes.
    fn call(&self) -> Call {
        let mut calls = self.calls_made();
        calls.made += 1;
        match (calls.fails_at, calls.off_at) {
            (_, Some(off)) if calls.made > off => Call::Ignored,
            (_, Some(off)) if calls.made == off => Call::Interrupted,
            (Some(fails), _) if calls.made == fails => Call::Fails,
            _ => Call::Succeeds,
        }
    }
}

/// A disk of files by name. What was synced is kept apart from what was only written. Clones are
/// the same one.
#[derive(Clone)]
pub struct FaultDisk<N> {
    state: Arc<Mutex<State<N>>>,
    power: Power,
}

struct State<N> {
    durable: Disk<N>,
    visible: Disk<N>,
    unsynced: Vec<Change<N>>,
    /// The number of the next file that is made.
    made: u64,
    lying: bool,
    lies_about: Option<N>,
    room: u64,
    /// The file whose next sync fails.
    sync_fails: Option<N>,
}

/// Names and contents apart, as a file system keeps them: a file keeps its content under any name.
#[derive(Clone)]
struct Disk<N> {
    names: BTreeMap<N, u64>,
    contents: BTreeMap<u64, Vec<u8>>,
}

#[derive(Clone)]
enum Change<N> {
    Write { file: u64, offset: usize, bytes: Vec<u8> },
    Length { file: u64, bytes: usize },
    Name { name: N, file: u64 },
    Rename { from: N, to: N },
    Remove { name: N },
}

/// Prints nothing of what is on it.
impl<N> fmt::Debug for FaultDisk<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultDisk")
    }
}

impl<N: Ord + Clone> Default for FaultDisk<N> {
    fn default() -> FaultDisk<N> {
        FaultDisk::holding(BTreeMap::new())
    }
}

impl<N: Ord + Clone> FaultDisk<N> {
    /// A disk that holds these files, durably.
    pub fn holding(files: BTreeMap<N, Vec<u8>>) -> FaultDisk<N> {
        let made = files.len() as u64;
        let names = files.keys().cloned().zip(0..).collect();
        let disk = Disk { names, contents: (0..).zip(files.into_values()).collect() };
        let state = State {
            durable: disk.clone(),
            visible: disk,
            unsynced: Vec::new(),
            made,
            lying: false,
            lies_about: None,
            room: u64::MAX,
            sync_fails: None,
        };
        FaultDisk { state: Arc::new(Mutex::new(state)), power: Power::default() }
    }

    /// With the supply of other disks, too.
    pub fn powered_by(self, power: &Power) -> FaultDisk<N> {
        FaultDisk { power: power.clone(), ..self }
    }

    /// Its supply.
    pub fn power(&self) -> &Power {
        &self.power
    }

    /// Says "synced" from now on and is not.
    pub fn lie(&self) {
        self.state().lying = true;
    }

    /// Says "synced" of this file from now on, and is not.
    pub fn lie_about(&self, name: &N) {
        self.state().lies_about = Some(name.clone());
    }

    /// Lets all files together take at most so many bytes from now on.
    pub fn limit_room(&self, bytes: u64) {
        self.state().room = bytes;
    }

    /// Lets the next sync of a file fail, alone.
    pub fn fail_sync_once(&self, name: &N) {
        self.state().sync_fails = Some(name.clone());
    }

    /// Changes a bit of a file, durably.
    ///
    /// # Errors
    /// If there is no such byte.
    pub fn flip(&self, name: &N, at: usize) -> io::Result<()> {
        let mut state = self.state();
        let State { durable, visible, .. } = &mut *state;
        for disk in [durable, visible] {
            let content = disk.names.get(name).and_then(|file| disk.contents.get_mut(file));
            let byte = content.and_then(|content| content.get_mut(at));
            *byte.ok_or(io::ErrorKind::NotFound)? ^= 1;
        }
        Ok(())
    }

    /// What reads show.
    pub fn files(&self) -> BTreeMap<N, Vec<u8>> {
        self.state().visible.files()
    }

    /// What is on the disk after a power cut now; `seed` chooses among the possibilities. It has a
    /// supply of its own.
    pub fn after_power_cut(&self, cut: Cut, seed: u64) -> FaultDisk<N> {
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
        FaultDisk::holding(image.files())
    }

    fn change(
        &self,
        change: impl FnOnce(&mut State<N>) -> io::Result<Change<N>>,
    ) -> io::Result<()> {
        let (mut state, call) = (self.state(), self.power.call());
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
    fn make_durable(
        &self,
        file: Option<&N>,
        of: impl Fn(&State<N>, &Change<N>) -> bool,
    ) -> io::Result<()> {
        let (mut state, mut call) = (self.state(), self.power.call());
        if file.is_some() && state.sync_fails.take_if(|fails| Some(&*fails) == file).is_some() {
            call = Call::Fails;
        }
        let lies = state.lying || file.is_some() && state.lies_about.as_ref() == file;
        match call {
            Call::Succeeds if lies => return Ok(()),
            Call::Ignored | Call::Interrupted => return call.result(),
            Call::Succeeds | Call::Fails => {}
        }
        let unsynced = std::mem::take(&mut state.unsynced);
        let (synced, rest): (Vec<_>, Vec<_>) =
            unsynced.into_iter().partition(|change| of(&state, change));
        state.unsynced = rest;
        if let Call::Succeeds = call {
            // Only what waits: what an earlier failed sync dropped stays lost.
            synced.iter().for_each(|change| change.apply(&mut state.durable));
        }
        call.result()
    }

    fn state(&self) -> MutexGuard<'_, State<N>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls of a medium.
impl<N: Ord + Clone> FaultDisk<N> {
    /// The files that there are.
    pub fn names(&self) -> Vec<N> {
        self.state().visible.names.keys().cloned().collect()
    }

    /// Bytes that a file holds.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], here and below.
    pub fn len(&self, name: &N) -> io::Result<u64> {
        Ok(self.state().content(name)?.len() as u64)
    }

    /// A whole file.
    ///
    /// # Errors
    /// As [`Self::len`].
    pub fn read(&self, name: &N) -> io::Result<Vec<u8>> {
        Ok(self.state().content(name)?.to_vec())
    }

    /// As many bytes as there is room for.
    ///
    /// # Errors
    /// As [`Self::len`]; fewer bytes are an error.
    pub fn read_at(&self, name: &N, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (state, start) = (self.state(), offset as usize);
        let stored = state.content(name)?.get(start..start + bytes.len());
        bytes.copy_from_slice(stored.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// Makes an empty file; what had the name is gone.
    ///
    /// # Errors
    /// As the test asked, here and below.
    pub fn make_empty(&self, name: N) -> io::Result<()> {
        self.change(|state| {
            state.made += 1;
            Ok(Change::Name { name, file: state.made })
        })
    }

    /// Writes all of `bytes` at `offset`, growing the file.
    ///
    /// # Errors
    /// As [`Self::len`]; [`io::ErrorKind::StorageFull`].
    pub fn write_at(&self, name: &N, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|state| {
            let (file, offset) = (state.find(name)?, offset as usize);
            let more = (offset + bytes.len()).saturating_sub(state.content(name)?.len());
            if state.taken() + more as u64 > state.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(Change::Write { file, offset, bytes: bytes.to_vec() })
        })
    }

    /// Cuts a file, or grows it by zeros.
    ///
    /// # Errors
    /// As [`Self::write_at`].
    pub fn set_len(&self, name: &N, bytes: u64) -> io::Result<()> {
        self.change(|state| {
            let (file, bytes) = (state.find(name)?, bytes as usize);
            let more = bytes.saturating_sub(state.content(name)?.len());
            if state.taken() + more as u64 > state.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(Change::Length { file, bytes })
        })
    }

    /// Makes everything durable that was written to the file.
    ///
    /// # Errors
    /// Then it is lost for good, although reads still show it.
    pub fn sync(&self, name: &N) -> io::Result<()> {
        self.make_durable(Some(name), |state, change| match change {
            Change::Write { file, .. } | Change::Length { file, .. } => {
                state.visible.names.get(name) == Some(file)
            }
            _ => false,
        })
    }

    /// Gives a file another name; what had that name is gone.
    ///
    /// # Errors
    /// As [`Self::len`].
    pub fn rename(&self, from: &N, to: &N) -> io::Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.change(|state| state.find(&from).map(|_| Change::Rename { from, to }))
    }

    /// Removes a file, if there is one.
    ///
    /// # Errors
    /// As the test asked.
    pub fn remove(&self, name: &N) -> io::Result<()> {
        if self.state().find(name).is_err() {
            return Ok(());
        }
        let name = name.clone();
        self.change(|_| Ok(Change::Remove { name }))
    }

    /// Makes every name durable.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub fn sync_names(&self) -> io::Result<()> {
        let of_a_file =
            |change: &Change<N>| matches!(change, Change::Write { .. } | Change::Length { .. });
        self.make_durable(None, |_, change| !of_a_file(change))
    }
}

impl<N: Ord + Clone> Disk<N> {
    fn files(&self) -> BTreeMap<N, Vec<u8>> {
        let content = |file| self.contents.get(file).cloned().unwrap_or_default();
        self.names.iter().map(|(name, file)| (name.clone(), content(file))).collect()
    }
}

impl<N: Ord + Clone> State<N> {
    fn find(&self, name: &N) -> io::Result<u64> {
        Ok(*self.visible.names.get(name).ok_or(io::ErrorKind::NotFound)?)
    }

    fn content(&self, name: &N) -> io::Result<&[u8]> {
        let file = self.find(name)?;
        Ok(self.visible.contents.get(&file).map_or(&[], Vec::as_slice))
    }

    fn taken(&self) -> u64 {
        let bytes =
            |file| self.visible.contents.get(file).map_or(0, |content| content.len() as u64);
        self.visible.names.values().map(bytes).sum()
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

impl<N: Ord + Clone> Change<N> {
    fn apply(&self, disk: &mut Disk<N>) {
        self.apply_sectors(disk, |_| true);
    }

    /// Applies the sectors that `survives` names, counted from the start of the change.
    fn apply_sectors(&self, disk: &mut Disk<N>, mut survives: impl FnMut(u64) -> bool) {
        let Change::Write { file, offset, bytes } = self else {
            if survives(0) {
                self.apply_whole(disk);
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

    /// Applies what survives as a whole or not at all.
    fn apply_whole(&self, disk: &mut Disk<N>) {
        let Disk { names, contents } = disk;
        match self {
            Change::Write { .. } => {}
            Change::Length { file, bytes } => {
                contents.entry(*file).or_default().resize(*bytes, 0);
            }
            Change::Name { name, file } => {
                names.insert(name.clone(), *file);
            }
            // Nothing to rename where the file's first name did not survive.
            Change::Rename { from, to } => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
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
    fn first_half(&self) -> Option<Change<N>> {
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
