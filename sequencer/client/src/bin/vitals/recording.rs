//! Files of samples on disk: found, opened, and their channels chosen by name or number.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use model::Signal;
use recordings::recording::Recording;
use recordings::text::{Mapping, Role};
use recordings::{Channel, DETECT_BYTES, FILE_BYTES_MAX, Folder, Format};

use crate::report::Usage;

/// What a file is, by its name and first bytes. A WFDB record may be named without its ending.
pub(crate) fn detect(path: &Path) -> anyhow::Result<Format> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let shown = || path.display().to_string();
    let mut first = Vec::new();
    match File::open(path) {
        Ok(file) => {
            file.take(DETECT_BYTES as u64).read_to_end(&mut first).with_context(shown)?;
        }
        Err(error) if path.with_extension("hea").exists() => drop(error),
        Err(error) => return Err(error).with_context(shown),
    }
    Ok(Format::detect(&name.unwrap_or_default(), &first)?)
}

/// Gives the bytes of a file and of those beside it that its header names.
pub(crate) struct Disk {
    folder: PathBuf,
    /// The hash of each file that was read.
    hashes: RefCell<BTreeMap<String, blake3::Hash>>,
}

impl Disk {
    /// The hash of all that was read.
    pub(crate) fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for (name, hash) in self.hashes.borrow().iter() {
            hasher.update(&(name.len() as u64).to_be_bytes());
            hasher.update(name.as_bytes()).update(hash.as_bytes());
        }
        hasher.finalize()
    }

    fn read(&self, name: &str, bytes_max: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One more than is allowed shows that there is more.
        let limited = File::open(self.folder.join(name))?.take(bytes_max.saturating_add(1));
        { limited }.read_to_end(&mut bytes)?;
        self.hashes.borrow_mut().insert(name.to_owned(), blake3::hash(&bytes));
        Ok(bytes)
    }
}

/// Opens a file of samples for as long as something is done with it.
pub(crate) fn with<T>(
    path: &Path,
    format: Format,
    work: impl FnOnce(&Recording<'_>, &Disk) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let name = path.file_name().context("expected the name of a file")?.to_string_lossy();
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let disk = Disk { folder, hashes: RefCell::default() };
    let files = |name: &str, bytes_max: u64| disk.read(name, bytes_max);
    let recording = Recording::open(format, &name, Folder::new(&files, FILE_BYTES_MAX))
        .with_context(|| path.display().to_string())?;
    work(&recording, &disk)
}

/// The channel that holds a signal: as `--column` says it, or the only one that can be meant.
pub(crate) fn choose<'a>(
    channels: &'a [Channel],
    signal: &'static Signal,
    mappings: &[Mapping],
) -> anyhow::Result<&'a Channel> {
    let list = |of: &mut dyn Iterator<Item = &Channel>| {
        let shown: Vec<_> =
            of.map(|one| format!("{} {}", one.number, model::escape(&one.name))).collect();
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
    };
    if let Some(mapping) = mappings.iter().find(|one| one.role == Role::Signal(signal)) {
        let asked = mapping.column.as_str();
        let named = channels.iter().filter(|one| one.name.eq_ignore_ascii_case(asked));
        let numbered = channels.iter().filter(|one| one.number.to_string() == asked);
        // A name before a number: a channel may be named `1`.
        let found: Vec<_> =
            if named.clone().next().is_some() { named.collect() } else { numbered.collect() };
        return match found.as_slice() {
            [one] => Ok(one),
            _ => {
                let all = list(&mut channels.iter());
                Err(Usage(format!("expected one channel {asked}, found {all}")).into())
            }
        };
    }
    let mut meant = channels.iter().filter(|one| one.signal.is_some_and(|own| own == signal));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => {
            let (name, all) = (signal.name, list(&mut channels.iter()));
            Err(Usage(format!(
                "expected a channel of {name}, found {all}: if one of them holds it, say which with \
                 --column {name}=NUMBER; vitals inspect shows units and rates"
            ))
            .into())
        }
        _ => {
            let own = |one: &&Channel| one.signal.is_some_and(|own| own == signal);
            let (name, all) = (signal.name, list(&mut channels.iter().filter(own)));
            Err(Usage(format!(
                "expected one channel of {name}, found {all}: say which with --column \
                 {name}=NUMBER"
            ))
            .into())
        }
    }
}
