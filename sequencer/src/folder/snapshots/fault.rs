//! A medium of snapshots in memory whose calls fail and whose power can be cut, and the disks of a
//! node, which lose it together: for tests and the simulation.

use std::io;

use journal::fault::{Cut, FaultDisk, FaultMedium, Power};

use super::medium::SnapshotMedium;

/// The medium. Clones are of the same one.
#[derive(Clone, Default)]
pub struct FaultySnapshots(FaultDisk<String>);

impl FaultySnapshots {
    /// With the supply of other disks, too.
    pub fn powered_by(self, power: &Power) -> FaultySnapshots {
        FaultySnapshots(self.0.powered_by(power))
    }

    /// What lets its calls fail, and counts them.
    pub fn power(&self) -> &Power {
        self.0.power()
    }

    /// The next sync of this file fails, alone.
    pub fn fail_sync_once(&self, name: &str) {
        self.0.fail_sync_once(&name.to_owned());
    }

    /// Says "synced" of this file from now on, and is not.
    pub fn lie_about(&self, name: &str) {
        self.0.lie_about(&name.to_owned());
    }

    /// Lets all files together take at most so many bytes from now on.
    pub fn limit_room(&self, bytes: u64) {
        self.0.limit_room(bytes);
    }

    /// What is there after the power was cut.
    pub fn after_power_cut(&self, cut: Cut, seed: u64) -> FaultySnapshots {
        FaultySnapshots(self.0.after_power_cut(cut, seed))
    }

    /// Another medium with the same content, all of it durable.
    pub fn copy(&self) -> FaultySnapshots {
        FaultySnapshots(FaultDisk::holding(self.0.files()))
    }

    /// Changes a bit of a file.
    ///
    /// # Errors
    /// If there is no such file, or it is shorter.
    pub fn flip(&self, name: &str, at: usize) -> io::Result<()> {
        self.0.flip(&name.to_owned(), at)
    }
}

/// Journal and snapshots of a node on one supply of power. Clones are of the same disks.
#[derive(Clone)]
pub struct Disks {
    /// The journal.
    pub journal: FaultMedium,
    /// Snapshots, and the index of stored frames.
    pub snapshots: FaultySnapshots,
    /// What lets calls of either fail, and counts them.
    pub power: Power,
}

impl Disks {
    /// These two, on a supply of their own.
    pub fn of(journal: FaultMedium, snapshots: FaultySnapshots) -> Disks {
        let power = Power::default();
        let (journal, snapshots) = (journal.powered_by(&power), snapshots.powered_by(&power));
        Disks { journal, snapshots, power }
    }

    /// What is there after the power was cut. What becomes of one disk is drawn apart from what
    /// becomes of the other.
    pub fn after_power_cut(&self, cut: Cut, seed: u64) -> Disks {
        let journal = self.journal.after_power_cut(cut, seed);
        Disks::of(journal, self.snapshots.after_power_cut(cut, seed.wrapping_add(1 << 32)))
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
