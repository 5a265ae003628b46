//! A medium of snapshots in memory whose calls fail and whose power can be cut.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::SnapshotMedium;

/// The medium. Clones are of the same one.
#[derive(Clone, Default)]
pub(crate) struct FaultySnapshots(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    calls: usize,
    /// The call from which on all fail.
    fails_at: Option<usize>,
    /// The file whose next sync fails.
    sync_fails: Option<String>,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Left {
    /// Nothing.
    None,
    /// The first half of it.
    Half,
    /// All content, and names as they were.
    Content,
    /// All names, and content as it was synced.
    Names,
}

impl FaultySnapshots {
    /// From its n-th call on, counted from now, everything that changes something fails.
    pub(crate) fn fail_at(&self, call: usize) {
        let mut state = self.state();
        state.fails_at = Some(state.calls + call);
    }

    /// The next sync of this file fails, alone.
    pub(crate) fn fail_sync_once(&self, name: &str) {
        self.state().sync_fails = Some(name.to_owned());
    }

    /// Calls that changed something.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    /// What is there after the power was cut.
    pub(crate) fn after_a_power_cut(&self, left: Left) -> FaultySnapshots {
        let mut state = self.state().clone();
        (state.calls, state.fails_at) = (0, None);
        for content in &mut state.files {
            content.bytes = match left {
                Left::None | Left::Names => content.synced.clone(),
                Left::Content => content.bytes.clone(),
                Left::Half => {
                    let mut half = content.bytes[..content.bytes.len() / 2].to_vec();
                    let synced = content.synced.len().min(content.bytes.len());
                    half.resize(half.len().max(synced), 0);
                    half[..synced].copy_from_slice(&content.synced[..synced]);
                    half
                }
            };
            content.synced = content.bytes.clone();
        }
        if !matches!(left, Left::Names) {
            state.names = state.durable_names.clone();
        }
        state.durable_names = state.names.clone();
        FaultySnapshots(Arc::new(Mutex::new(state)))
    }

    /// Changes a byte of a file.
    pub(crate) fn flip(&self, name: &str, at: usize) {
        let mut state = self.state();
        let file = state.names[name];
        state.files[file].bytes[at] ^= 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        state.calls += 1;
        if state.fails_at.is_some_and(|at| state.calls >= at) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change(&mut state)
    }
}

impl State {
    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl SnapshotMedium for FaultySnapshots {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        let state = self.state();
        state.file(name).map(|file| state.files[file].bytes.len() as u64)
    }

    fn read(&self, name: &str, _: u64) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.file(name).map(|file| state.files[file].bytes.clone())
    }

    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (state, offset) = (self.state(), offset as usize);
        let all = &state.files[state.file(name)?].bytes;
        let found = all.get(offset..offset + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|state| {
            state.files.push(Content { bytes: bytes.to_vec(), synced: Vec::new() });
            let file = state.files.len() - 1;
            state.names.insert(name.to_owned(), file);
            Ok(())
        })
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|state| {
            if state.file(name).is_err() {
                state.files.push(Content::default());
                let file = state.files.len() - 1;
                state.names.insert(name.to_owned(), file);
            }
            let (file, end) = (state.file(name)?, offset as usize + bytes.len());
            let all = &mut state.files[file].bytes;
            all.resize(all.len().max(end), 0);
            all[offset as usize..end].copy_from_slice(bytes);
            Ok(())
        })
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.change(|state| {
            if state.sync_fails.take_if(|fails| fails == name).is_some() {
                return Err(io::ErrorKind::Other.into());
            }
            let file = state.file(name)?;
            state.files[file].synced = state.files[file].bytes.clone();
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|state| {
            let file = state.file(from)?;
            state.names.remove(from);
            state.names.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|state| {
            state.names.remove(name);
            Ok(())
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        self.change(|state| {
            state.durable_names = state.names.clone();
            Ok(())
        })
    }
}
