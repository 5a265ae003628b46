//! A medium of snapshots in memory whose calls fail and whose power can be cut.

use std::io;

use journal::fault::{Cut, FaultDisk, Power};

use super::SnapshotMedium;

/// The medium. Clones are of the same one.
#[derive(Clone, Default)]
pub(crate) struct FaultySnapshots(FaultDisk<String>);

impl FaultySnapshots {
    /// With the supply of other disks, too.
    pub(crate) fn powered_by(self, power: &Power) -> FaultySnapshots {
        FaultySnapshots(self.0.powered_by(power))
    }

    /// What lets its calls fail, and counts them.
    pub(crate) fn power(&self) -> &Power {
        self.0.power()
    }

    /// The next sync of this file fails, alone.
    pub(crate) fn fail_sync_once(&self, name: &str) {
        self.0.fail_sync_once(&name.to_owned());
    }

    /// Says "synced" of this file from now on, and is not.
    pub(crate) fn lie_about(&self, name: &str) {
        self.0.lie_about(&name.to_owned());
    }

    /// Lets all files together take at most so many bytes from now on.
    pub(crate) fn limit_room(&self, bytes: u64) {
        self.0.limit_room(bytes);
    }

    /// What is there after the power was cut.
    pub(crate) fn after_power_cut(&self, cut: Cut, seed: u64) -> FaultySnapshots {
        FaultySnapshots(self.0.after_power_cut(cut, seed))
    }

    /// Another medium with the same content, all of it durable.
    pub(crate) fn copy(&self) -> FaultySnapshots {
        FaultySnapshots(FaultDisk::holding(self.0.files()))
    }

    /// Changes a bit of a file.
    pub(crate) fn flip(&self, name: &str, at: usize) {
        self.0.flip(&name.to_owned(), at).unwrap();
    }
}

impl SnapshotMedium for FaultySnapshots {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.names())
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        self.0.len(&name.to_owned())
    }

    fn read(&self, name: &str, _: u64) -> io::Result<Vec<u8>> {
        self.0.read(&name.to_owned())
    }

    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_at(&name.to_owned(), offset, bytes)
    }

    // In the steps that the folder takes.
    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let name = name.to_owned();
        self.0.remove(&name)?;
        self.0.make_empty(name.clone())?;
        self.0.write_at(&name, 0, bytes)
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let name = name.to_owned();
        if self.0.len(&name).is_err() {
            self.0.make_empty(name.clone())?;
        }
        self.0.write_at(&name, offset, bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.0.sync(&name.to_owned())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(&from.to_owned(), &to.to_owned())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(&name.to_owned())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }
}
