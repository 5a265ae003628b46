//! Openings and updates of the record tree.
//!
//! A node is opened with all its children; the one that the index picks must be the node below.
//! Three bits of the index a level, the lowest level first.

use super::poseidon;
use crate::builder::{Bit, Builder, Num};
use statement::domain::Domain;
use statement::tree::{ARITY, ARITY_BITS, CAP, Children};

/// The node that `path` leads to from `leaf`: 409 rows a level. `index` has three bits a level.
///
/// # Panics
/// If `index` has another number of bits.
pub fn open(b: &mut Builder, leaf: &Num, index: &[Bit], path: &[Children]) -> Num {
    let mut below = leaf.clone();
    for (bits, children) in levels(index, path) {
        let children = children.map(|child| b.alloc(child));
        b.enforce_mux(bits, &children, &below);
        below = node(b, &children);
    }
    below
}

/// The nodes that `path` leads to from `old` and, with `old` replaced, from `new`: 824 rows a
/// level.
///
/// # Panics
/// If `index` has another number of bits than three a level.
pub fn update(
    b: &mut Builder,
    old: &Num,
    new: &Num,
    index: &[Bit],
    path: &[Children],
) -> (Num, Num) {
    let (mut old, mut new) = (old.clone(), new.clone());
    for (bits, children) in levels(index, path) {
        let children = children.map(|child| b.alloc(child));
        b.enforce_mux(bits, &children, &old);
        let hot = b.one_hot(bits);
        // A column of its own, so that the eight products below stay short.
        let change = b.alloc(new.value() - old.value());
        b.enforce_equal(&change, &(new - old));
        let replaced: Vec<Num> = children
            .iter()
            .zip(&hot)
            .map(|(child, here)| child + b.product(here.num(), &change))
            .collect();
        old = node(b, &children);
        new = node(b, &replaced);
    }
    (old, new)
}

/// The root above a cap: 9 hashes, 3,618 rows.
pub fn cap_root(b: &mut Builder, cap: &[Num; CAP]) -> Num {
    let (groups, _) = cap.as_chunks::<ARITY>();
    let nodes: Vec<Num> = groups.iter().map(|group| node(b, group)).collect();
    node(b, &nodes)
}

fn node(b: &mut Builder, children: &[Num]) -> Num {
    poseidon::hash(b, Domain::TreeNode.tag(), children)
}

fn levels<'a>(
    index: &'a [Bit],
    path: &'a [Children],
) -> impl Iterator<Item = (&'a [Bit], &'a Children)> {
    assert_eq!(index.len(), ARITY_BITS * path.len(), "an index has three bits a level");
    index.chunks(ARITY_BITS).zip(path)
}

#[cfg(test)]
mod tests;
