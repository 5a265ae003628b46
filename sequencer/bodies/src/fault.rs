//! A key folder in memory whose calls fail, wait and whose power can be cut, for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use crate::generation::Places;
use crate::keys::BodyKeys;
use crate::medium::KeyMedium;

/// The folder. Clones are of the same one.
#[derive(Clone, Default)]
pub struct FaultyKeys(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<Faulty>,
    changed: Condvar,
}

#[derive(Clone, Default)]
struct Faulty {
    files: BTreeMap<String, Vec<u8>>,
    /// What happened since the folder was made; behind each step power may be cut.
    steps: Vec<Step>,
    /// Whether nobody asks for images: of ten thousand patients the steps take gigabytes.
    forgets_steps: bool,
    calls: usize,
    /// The call from which on all fail.
    fails_at: Option<usize>,
    /// The one call that fails.
    fails_once_at: Option<usize>,
    /// Changes of files whose names begin so wait.
    held: Option<String>,
    /// Changes that wait.
    waiting: usize,
    wrote: Wrote,
    /// What keys are drawn from in the place of the system's randomness.
    seeded: Option<Seeded>,
}

/// Bytes that follow from a seed.
#[derive(Clone)]
struct Seeded {
    seed: [u8; 32],
    draws: u64,
}

/// What was written, in sum.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Wrote {
    /// Bytes.
    pub bytes: usize,
    /// Syncs: two for a file that is replaced, one for one that is written in place.
    pub syncs: usize,
}

#[derive(Clone)]
enum Step {
    Set(String, Vec<u8>),
    WriteAt(String, usize, Vec<u8>),
    Zero(String, usize),
    Remove(String),
}

impl Step {
    fn take(&self, files: &mut BTreeMap<String, Vec<u8>>) {
        match self {
            Step::Set(name, bytes) => drop(files.insert(name.clone(), bytes.clone())),
            Step::WriteAt(name, at, bytes) => {
                let file = files.entry(name.clone()).or_default();
                file.resize(file.len().max(at + bytes.len()), 0);
                file[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Step::Zero(name, until) => {
                if let Some(file) = files.get_mut(name) {
                    file[..*until].fill(0);
                }
            }
            Step::Remove(name) => drop(files.remove(name)),
        }
    }
}

impl FaultyKeys {
    /// From the n-th change on, counted from now, every change fails and does nothing.
    pub fn fail_at(&self, call: Option<usize>) {
        let mut state = self.state();
        state.fails_at = call.map(|call| state.calls + call);
    }

    /// The n-th change, counted from now, fails and does nothing, and no other.
    pub fn fail_once_at(&self, call: usize) {
        let mut state = self.state();
        state.fails_once_at = Some(state.calls + call);
    }

    /// From now on changes of files whose names begin so wait in their sync, until nothing is held.
    pub fn hold(&self, names: Option<&str>) {
        self.state().held = names.map(str::to_owned);
        self.0.changed.notify_all();
    }

    /// Waits until so many changes wait.
    pub fn until_waiting(&self, changes: usize) {
        let mut state = self.state();
        while state.waiting < changes {
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What was written since the folder was made.
    pub fn wrote(&self) -> Wrote {
        self.state().wrote
    }

    /// Every state that a power cut would have left since the folder was made, oldest first.
    pub fn images(&self) -> Vec<FaultyKeys> {
        let (steps, mut files) = (self.state().steps.clone(), BTreeMap::new());
        let image = |files: &BTreeMap<_, _>| {
            let image = FaultyKeys::default();
            image.set(files.clone());
            image
        };
        let mut images = vec![image(&files)];
        for step in steps {
            step.take(&mut files);
            images.push(image(&files));
        }
        images
    }

    /// Changes what a file holds.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        self.state().files.get_mut(name).map(change);
    }

    /// Everything that stands in it now.
    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().files.clone()
    }

    /// Puts this in the place of all that stands in it.
    pub fn set(&self, files: BTreeMap<String, Vec<u8>>) {
        self.state().files = files;
    }

    /// Removes a file as an accident does.
    pub fn lose(&self, name: &str) {
        self.state().files.remove(name);
    }

    fn state(&self) -> MutexGuard<'_, Faulty> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, name: &str) -> io::Result<MutexGuard<'_, Faulty>> {
        let mut state = self.state();
        state.waiting += 1;
        while state.held.as_ref().is_some_and(|held| name.starts_with(held)) {
            self.0.changed.notify_all();
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        state.calls += 1;
        let once = state.fails_once_at == Some(state.calls);
        if once || state.fails_at.is_some_and(|at| state.calls >= at) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(state)
    }
}

impl Faulty {
    fn step(&mut self, step: Step) {
        step.take(&mut self.files);
        if !self.forgets_steps {
            self.steps.push(step);
        }
    }

    fn wrote(&mut self, bytes: usize, syncs: usize) {
        self.wrote.bytes += bytes;
        self.wrote.syncs += syncs;
    }
}

impl KeyMedium for FaultyKeys {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().files.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        Ok(self.state().files.get(name).cloned().map(Zeroizing::new))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.begin(name)?;
        // Written beside it: a cut may leave that, whole or torn.
        let beside = format!("{name}.new");
        state.step(Step::Set(beside.clone(), bytes[..bytes.len() / 2].to_vec()));
        state.step(Step::Set(beside.clone(), bytes.to_vec()));
        state.step(Step::Remove(beside));
        state.step(Step::Set(name.to_owned(), bytes.to_vec()));
        state.wrote(bytes.len(), 2);
        Ok(())
    }

    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.begin(name)?;
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let parts = [bytes.len() / 3, 2 * bytes.len() / 3];
        // A cut may leave any part of it: the end without what is before, the begin without the
        // middle.
        for (from, until) in [(parts[1], bytes.len()), (0, parts[0]), (parts[0], parts[1])] {
            let part = bytes[from..until].to_vec();
            state.step(Step::WriteAt(name.to_owned(), at + from, part));
        }
        state.wrote(bytes.len(), 1 + usize::from(at == 0));
        Ok(())
    }

    fn erase(&self, name: &str) -> io::Result<()> {
        let mut state = self.begin(name)?;
        let Some(length) = state.files.get(name).map(Vec::len) else { return Ok(()) };
        state.step(Step::Zero(name.to_owned(), length / 2));
        state.step(Step::Zero(name.to_owned(), length));
        state.step(Step::Remove(name.to_owned()));
        state.wrote(length, 2);
        Ok(())
    }

    fn draw(&self, bytes: &mut [u8]) -> Result<(), Unspecified> {
        let mut state = self.state();
        let Some(Seeded { seed, draws }) = &mut state.seeded else {
            return aws_lc_rs::rand::fill(bytes);
        };
        *draws += 1;
        let mut hash = blake3::Hasher::new_keyed(seed);
        hash.update(&draws.to_le_bytes()).finalize_xof().fill(bytes);
        Ok(())
    }
}

/// Keys in memory that are gone with the process, for tests and measures; an epoch lasts a year.
///
/// # Panics
/// If the system gives no randomness.
pub fn keys() -> BodyKeys {
    opened_in(FaultyKeys::default())
}

/// As [`keys`], all of them drawn from a seed: whoever knows it opens everything. For a simulation,
/// in which equal seeds are equal to the last byte that is sealed; a node has no way here, since
/// its keys stand in a [`KeyFolder`](crate::KeyFolder).
///
/// # Panics
/// As [`keys`].
pub fn keys_of_seed(seed: [u8; 32]) -> BodyKeys {
    let folder = FaultyKeys::default();
    folder.state().seeded = Some(Seeded { seed, draws: 0 });
    opened_in(folder)
}

fn opened_in(folder: FaultyKeys) -> BodyKeys {
    let [keys, beside] = [folder, FaultyKeys::default()].map(|folder| {
        folder.state().forgets_steps = true;
        Arc::new(folder)
    });
    let opened = BodyKeys::open(Places { keys, beside }, 366 * 24 * 3_600_000);
    opened.expect("memory takes a small folder")
}
