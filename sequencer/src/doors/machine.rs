//! How much memory this machine gives the process.

use std::fs;
use std::path::{Path, PathBuf};

use model::whole_number;

/// Bytes that the process may use: the machine's memory, or less where a control group says so, as
/// in a container. `None` where the system tells nothing.
pub(super) fn memory_bytes() -> Option<u64> {
    memory_bytes_of(Path::new("/"))
}

/// Bytes of this process that are in memory. `None` where the system tells nothing.
pub(super) fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    kib_of(&text, "VmRSS:")
}

/// `MemTotal: 16384 kB`, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = whole_number(line.trim().strip_suffix("kB")?.trim())?;
    kib.checked_mul(1024)
}

/// [`memory_bytes`] of the system whose files stand below `root`.
fn memory_bytes_of(root: &Path) -> Option<u64> {
    let bounds = [meminfo(root), control_group(root)];
    bounds.into_iter().flatten().min()
}

fn meminfo(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    kib_of(&text, "MemTotal:")
}

/// The lowest bound among the process's control group and those above it, of version 2 or 1.
fn control_group(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let bounds = groups.lines().filter_map(|line| {
        // `0::/a/b` is of version 2, `4:memory:/a/b` of version 1.
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.is_empty() {
            lowest(&root.join("sys/fs/cgroup"), path, "memory.max")
        } else if controllers.split(',').any(|one| one == "memory") {
            lowest(&root.join("sys/fs/cgroup/memory"), path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    bounds.min()
}

fn lowest(mount: &Path, group: &str, file: &str) -> Option<u64> {
    let group: PathBuf = mount.join(group.trim_start_matches('/'));
    // Upwards, because a group is bounded by every one above it; in a container the path may be
    // that of the host, and then only the mount itself is there.
    let above = group.ancestors().take_while(|folder| folder.starts_with(mount));
    let bounds = above.filter_map(|folder| fs::read_to_string(folder.join(file)).ok());
    // `max` is no bound; version 1 writes a number near 2^63 instead.
    bounds.filter_map(|text| whole_number(text.trim())).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal:       16384 kB\nMemFree:         1 kB\n");

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: Option<u64>) {
        assert_eq!(memory_bytes_of(system(files).path()), expected);
    }

    #[test]
    fn the_lowest_of_machine_and_control_groups_holds() {
        check(&[], None);
        check(&[MEMINFO], Some(16 << 20));
        let v2 = ("proc/self/cgroup", "0::/a/b\n");
        check(&[MEMINFO, v2], Some(16 << 20));
        let own = ("sys/fs/cgroup/a/b/memory.max", "max\n");
        check(&[MEMINFO, v2, own], Some(16 << 20));
        let above = ("sys/fs/cgroup/a/memory.max", "1048576\n");
        check(&[MEMINFO, v2, own, above], Some(1 << 20));
        let mount = ("sys/fs/cgroup/memory.max", "65536\n");
        check(&[MEMINFO, v2, mount], Some(65_536));
        let v1 = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/c\n");
        let limit = ("sys/fs/cgroup/memory/docker/c/memory.limit_in_bytes", "2097152\n");
        check(&[MEMINFO, v1, limit], Some(2 << 20));
        let unbounded = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        check(&[MEMINFO, v1, unbounded], Some(16 << 20));
    }

    #[test]
    fn this_machine_has_some() {
        assert!(memory_bytes().is_some_and(|bytes| bytes > 64 << 20));
    }
}
