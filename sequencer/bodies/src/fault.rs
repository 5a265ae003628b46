//! A key folder in memory whose calls fail and whose power can be cut, for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use crate::generation::Places;
use crate::keys::BodyKeys;
use crate::medium::KeyMedium;

/// The folder. Clones are of the same one.
#[derive(Clone, Default)]
pub struct FaultyKeys(Arc<Mutex<Faulty>>);

#[derive(Clone, Default)]
struct Faulty {
    files: BTreeMap<String, Vec<u8>>,
    /// Every state that a power cut may leave, in order.
    images: Vec<BTreeMap<String, Vec<u8>>>,
    /// Whether nobody asks for images: of ten thousand patients they take gigabytes.
    forgets_images: bool,
    calls: usize,
    /// The call from which on all fail.
    fails_at: Option<usize>,
    /// What keys are drawn from in the place of the system's randomness.
    drawn: Option<Drawn>,
}

/// Bytes that follow from a seed.
#[derive(Clone)]
struct Drawn {
    seed: [u8; 32],
    draws: u64,
}

impl FaultyKeys {
    /// From the n-th change on, counted from now, every change fails and does nothing.
    pub fn fail_at(&self, call: Option<usize>) {
        let mut state = self.state();
        state.fails_at = call.map(|call| state.calls + call);
    }

    /// Every state that a power cut would have left since the folder was made, oldest first.
    pub fn images(&self) -> Vec<FaultyKeys> {
        let images = self.state().images.clone();
        let image = |files| FaultyKeys(Arc::new(Mutex::new(Faulty { files, ..Faulty::default() })));
        images.into_iter().map(image).collect()
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> io::Result<MutexGuard<'_, Faulty>> {
        let mut state = self.state();
        state.calls += 1;
        if state.fails_at.is_some_and(|at| state.calls >= at) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(state)
    }
}

impl Faulty {
    fn note(&mut self) {
        if self.forgets_images {
            return;
        }
        let now = self.files.clone();
        self.images.push(now);
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
        let mut state = self.begin()?;
        state.note();
        // Written beside it: a cut may leave that, whole or torn.
        let beside = format!("{name}.new");
        state.files.insert(beside.clone(), bytes[..bytes.len() / 2].to_vec());
        state.note();
        state.files.remove(&beside);
        state.files.insert(name.to_owned(), bytes.to_vec());
        state.note();
        Ok(())
    }

    fn draw(&self, bytes: &mut [u8]) -> Result<(), Unspecified> {
        let mut state = self.state();
        let Some(Drawn { seed, draws }) = &mut state.drawn else {
            return aws_lc_rs::rand::fill(bytes);
        };
        *draws += 1;
        let mut hash = blake3::Hasher::new_keyed(seed);
        hash.update(&draws.to_le_bytes()).finalize_xof().fill(bytes);
        Ok(())
    }

    fn erase(&self, name: &str) -> io::Result<()> {
        let mut state = self.begin()?;
        state.note();
        let Some(bytes) = state.files.get_mut(name) else { return Ok(()) };
        let half = bytes.len() / 2;
        bytes[..half].fill(0);
        state.note();
        if let Some(bytes) = state.files.get_mut(name) {
            bytes.fill(0);
        }
        state.note();
        state.files.remove(name);
        state.note();
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
    folder.state().drawn = Some(Drawn { seed, draws: 0 });
    opened_in(folder)
}

fn opened_in(folder: FaultyKeys) -> BodyKeys {
    let [keys, beside] = [folder, FaultyKeys::default()].map(|folder| {
        folder.state().forgets_images = true;
        Arc::new(folder)
    });
    let opened = BodyKeys::open(Places { keys, beside }, 366 * 24 * 3_600_000);
    opened.expect("memory takes a small folder")
}
