//! The path from one leaf of a chunk's list to the chunk's root (SPEC.md section 2, `root16`).

use model::Word;
use serde::{Deserialize, Serialize};
use statement::claim::LIST_ARITY;
use statement::domain::Domain;
use statement::field::{from_word, to_word};
use statement::poseidon;

use crate::text::Hex;

/// Most leaves of a chunk that is read: far more than any shape has.
const LEAVES_MAX: u32 = 1 << 16;

/// Where a leaf stands in its list, and every node on the way to the root with its siblings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListPath {
    /// Index of the leaf.
    pub leaf: u32,
    /// Leaves of the list. Every node's hash holds it, so that no inner node passes for a leaf.
    pub leaves: u32,
    /// From the leaves up, the children of the node above; which one the path comes through follows
    /// from the index.
    pub levels: Vec<Vec<Hex<Word>>>,
}

impl ListPath {
    /// The path of a leaf; `None` if the list has no such leaf, or more than a path is read of.
    pub fn of(node: Domain, leaves: &[Word], leaf: u32) -> Option<ListPath> {
        let count = u32::try_from(leaves.len()).ok().filter(|count| *count <= LEAVES_MAX)?;
        leaves.get(leaf as usize)?;
        let tag = node.tag_of_list(leaves.len());
        let (mut below, mut at, mut levels) = (leaves.to_vec(), leaf as usize, Vec::new());
        loop {
            let group = below.chunks(LIST_ARITY).nth(at / LIST_ARITY)?;
            levels.push(group.iter().copied().map(Hex).collect());
            let hash = |group: &[Word]| {
                let words: Vec<_> = group.iter().map(from_word).collect();
                to_word(&poseidon::hash(tag, &words))
            };
            below = below.chunks(LIST_ARITY).map(hash).collect();
            at /= LIST_ARITY;
            if below.len() == 1 {
                return Some(ListPath { leaf, leaves: count, levels });
            }
        }
    }

    /// The root that the path leads to from what is committed at its leaf; `None` if the path has
    /// another form than that of a list of so many leaves, or does not hold the leaf.
    pub fn root(&self, node: Domain, committed: Word) -> Option<Word> {
        if self.leaf >= self.leaves || self.leaves > LEAVES_MAX {
            return None;
        }
        let tag = node.tag_of_list(self.leaves as usize);
        let (mut length, mut at) = (self.leaves as usize, self.leaf as usize);
        let (mut current, mut levels) = (committed, self.levels.iter());
        loop {
            let group = levels.next()?;
            // A shorter group would be a node of another list.
            let expected = LIST_ARITY.min(length - at / LIST_ARITY * LIST_ARITY);
            if group.len() != expected || group.get(at % LIST_ARITY)?.0 != current {
                return None;
            }
            let words: Vec<_> = group.iter().map(|word| from_word(&word.0)).collect();
            current = to_word(&poseidon::hash(tag, &words));
            (length, at) = (length.div_ceil(LIST_ARITY), at / LIST_ARITY);
            if length == 1 {
                return levels.next().is_none().then_some(current);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statement::claim::root16;

    fn list(count: u64) -> Vec<Word> {
        (1..=count).map(Word::from_u64).collect()
    }

    #[test]
    fn every_leaf_of_a_list_of_any_length_leads_to_the_root_that_the_batch_has() {
        for count in [1, 2, 15, 16, 17, 60, 256, 257, 300] {
            let leaves = list(count);
            let words: Vec<_> = leaves.iter().map(from_word).collect();
            let root = to_word(&root16(Domain::ClaimsNode, &words));
            for leaf in [0, count / 2, count - 1] {
                let path = ListPath::of(Domain::ClaimsNode, &leaves, leaf as u32).unwrap();
                let committed = leaves[leaf as usize];
                assert_eq!(path.root(Domain::ClaimsNode, committed), Some(root), "{count} {leaf}");
                assert_ne!(path.root(Domain::OperationsNode, committed), Some(root));
                assert_eq!(path.root(Domain::ClaimsNode, Word::from_u64(999)), None);
            }
            assert_eq!(ListPath::of(Domain::ClaimsNode, &leaves, count as u32), None);
        }
    }

    #[test]
    fn a_path_of_another_form_leads_nowhere() {
        let leaves = list(60);
        let words: Vec<_> = leaves.iter().map(from_word).collect();
        let root = to_word(&root16(Domain::ClaimsNode, &words));
        let path = ListPath::of(Domain::ClaimsNode, &leaves, 17).unwrap();
        let leads = |change: &dyn Fn(&mut ListPath)| {
            let mut changed = path.clone();
            change(&mut changed);
            changed.root(Domain::ClaimsNode, leaves[17]) == Some(root)
        };
        assert!(leads(&|_| ()));
        assert!(!leads(&|path| path.leaf = 18));
        assert!(!leads(&|path| path.leaf = u32::MAX));
        assert!(!leads(&|path| path.leaves = 61));
        assert!(!leads(&|path| path.leaves = u32::MAX));
        assert!(!leads(&|path| path.levels.truncate(1)));
        assert!(!leads(&|path| path.levels.push(vec![Hex(root)])));
        assert!(!leads(&|path| path.levels[0].truncate(15)));
        assert!(!leads(&|path| path.levels[1][0] = Hex(Word::ZERO)));
    }
}
