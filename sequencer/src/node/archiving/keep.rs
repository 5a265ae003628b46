//! Which files of the journal may leave the node's folder. Decides, and touches nothing.

use std::time::Duration;

use journal::{GroupNumber, SealedFile};
use model::Millis;

/// How long files stay, and how much of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Keep {
    /// After the last entry of each.
    pub(in crate::node) age: Duration,
    /// Of all that are here and sealed, bytes.
    pub(in crate::node) bytes: u64,
    /// Bytes of the longest file that can be fetched again.
    pub(in crate::node) fetched: u64,
}

/// What of the journal has to be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    /// The first file that is not archived.
    pub(super) unarchived: u64,
    /// From this group on a start reads, or a window that is not settled is read back.
    pub(super) from_group: GroupNumber,
}

/// How many of the first files may go: each because it is too old, or because those behind it are
/// more than may stay, and none that is needed.
pub(super) fn may_go(local: &[SealedFile], needed: Needed, keep: Keep, now: Millis) -> usize {
    let mut left: u64 = local.iter().map(|file| file.length).sum();
    let goes = |file: &&SealedFile| {
        let free = file.file < needed.unarchived
            && file.last_group < needed.from_group
            && file.length <= keep.fetched;
        let last = Millis::new(file.last_time).unwrap_or(now);
        let is_old = u128::from(now.since(last)) >= keep.age.as_millis();
        let goes = free && (is_old || left > keep.bytes);
        left -= file.length;
        goes
    };
    local.iter().take_while(goes).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 3_976_214_400_000;

    /// Five files of 10 bytes and 10 groups, each a second older than the next one.
    fn local() -> Vec<SealedFile> {
        let file = |file: u64| SealedFile {
            file,
            length: 10,
            first_group: file * 10 - 9,
            last_group: file * 10,
            first_position: file * 100 - 99,
            last_position: file * 100,
            last_time: NOW - (6 - file) * 1_000,
            hash_before: [0; 32],
            hash_after: [0; 32],
        };
        (1..=5).map(file).collect()
    }

    fn check(needed: (u64, u64), keep: (u64, u64), expected: usize) {
        check_fetched(needed, keep, (u64::MAX, expected));
    }

    fn check_fetched(needed: (u64, u64), keep: (u64, u64), (fetched, expected): (u64, usize)) {
        let needed = Needed { unarchived: needed.0, from_group: needed.1 };
        let (age, bytes) = (Duration::from_millis(keep.0), keep.1);
        let keep = Keep { age, bytes, fetched };
        let now = Millis::new(NOW).unwrap();
        assert_eq!(may_go(&local(), needed, keep, now), expected, "{needed:?} {keep:?}");
    }

    #[test]
    fn files_go_by_age_or_by_bytes_the_first_ones_first() {
        let all = (u64::MAX, u64::MAX);
        check(all, (u64::MAX, u64::MAX), 0);
        check(all, (3_000, u64::MAX), 3);
        check(all, (3_001, u64::MAX), 2);
        check(all, (0, u64::MAX), 5);
        check(all, (u64::MAX, 50), 0);
        check(all, (u64::MAX, 49), 1);
        check(all, (u64::MAX, 20), 3);
        check(all, (u64::MAX, 0), 5);
        check(all, (4_000, 20), 3);
    }

    #[test]
    fn what_is_not_archived_or_still_needed_stays_whatever_its_age() {
        check((1, u64::MAX), (0, 0), 0);
        check((4, u64::MAX), (0, 0), 3);
        // The group itself is read: a start holds the next one against it.
        check((u64::MAX, 30), (0, 0), 2);
        check((u64::MAX, 31), (0, 0), 3);
        check((u64::MAX, 0), (0, 0), 0);
        // A file that could not be fetched any more.
        check_fetched((u64::MAX, u64::MAX), (0, 0), (9, 0));
        check_fetched((u64::MAX, u64::MAX), (0, 0), (10, 5));
    }
}
