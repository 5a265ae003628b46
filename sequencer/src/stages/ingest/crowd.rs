//! Members by key, oldest first: who has most, and who came first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Members of each key. Memory: some 100 bytes a member.
#[derive(Debug)]
pub(super) struct Crowd<K, T> {
    /// By number, which grows: the first of a key is its oldest.
    of_key: BTreeMap<K, BTreeMap<u64, T>>,
    members: usize,
    last: u64,
}

impl<K, T> Default for Crowd<K, T> {
    fn default() -> Crowd<K, T> {
        Crowd { of_key: BTreeMap::new(), members: 0, last: 0 }
    }
}

impl<K: Ord + Copy, T> Crowd<K, T> {
    /// Takes a member in; its number.
    pub(super) fn enter(&mut self, key: K, member: T) -> u64 {
        self.last += 1;
        self.members += 1;
        self.of_key.entry(key).or_default().insert(self.last, member);
        self.last
    }

    /// Takes a member out, if it is still in.
    pub(super) fn leave(&mut self, key: K, number: u64) {
        let Some(members) = self.of_key.get_mut(&key) else { return };
        self.members -= usize::from(members.remove(&number).is_some());
        if members.is_empty() {
            self.of_key.remove(&key);
        }
    }

    /// Takes the oldest member of a key out.
    pub(super) fn take_oldest(&mut self, key: K) -> Option<T> {
        let members = self.of_key.get_mut(&key)?;
        let (_, oldest) = members.pop_first()?;
        self.members -= 1;
        if members.is_empty() {
            self.of_key.remove(&key);
        }
        Some(oldest)
    }

    /// The key with most members, and how many; of several such the one whose oldest is oldest.
    pub(super) fn largest(&self) -> Option<(K, usize)> {
        let first = |members: &BTreeMap<u64, T>| Reverse(members.first_key_value().map(|m| *m.0));
        let largest = self.of_key.iter().max_by_key(|(_, all)| (all.len(), first(all)))?;
        Some((*largest.0, largest.1.len()))
    }

    /// How many a key has.
    pub(super) fn of(&self, key: K) -> usize {
        self.of_key.get(&key).map_or(0, BTreeMap::len)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_gives_its_oldest_and_of_equals_the_oldest_goes() {
        let mut crowd = Crowd::default();
        let numbers = ["b", "a", "a", "c"].map(|key| crowd.enter(key, key));
        assert_eq!((crowd.len(), crowd.largest()), (4, Some(("a", 2))));
        assert_eq!(crowd.take_oldest("a"), Some("a"));
        // The one that was taken out leaves once more when it notices.
        crowd.leave("a", numbers[1]);
        assert_eq!((crowd.len(), crowd.of("a")), (3, 1));
        assert_eq!(crowd.largest(), Some(("b", 1)), "of one each, who came first");
        for (key, number) in ["b", "a", "a", "c"].into_iter().zip(numbers) {
            crowd.leave(key, number);
        }
        assert_eq!((crowd.len(), crowd.largest()), (0, None));
        assert_eq!(crowd.take_oldest("a"), None);
    }
}
