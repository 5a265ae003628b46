//! The record tree and the trees over lists.
//!
//! The record tree has 8 children a node and 8 levels: `2^24` leaves, the leaf's index being the
//! patient's pseudonym. It is sparse: leaves never set are 0, which is the hash of nothing, and
//! only nodes above a set leaf are stored (256 bytes a node, about 2 kB for a lonely leaf).
//!
//! Lists of claims and operations have 16 children a node, because opening one entry is rare there
//! and hashing the whole list is not.

use crate::{domain::Domain, poseidon};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// Children of a node of the record tree.
pub const ARITY: usize = 8;
/// Bits of an index that pick a child.
pub const ARITY_BITS: usize = 3;
/// Levels of nodes above the leaves of the record tree.
pub const DEPTH: usize = 8;
/// Number of leaves of the record tree.
pub const LEAVES: u32 = 1 << (ARITY_BITS * DEPTH);
/// Levels of nodes below the cap.
pub const CAP_DEPTH: usize = DEPTH - 2;
/// Nodes two levels below the root.
pub const CAP: usize = ARITY * ARITY;
/// Children of a node of a list.
pub const CHUNK_ARITY: usize = 16;

/// The children of one node.
pub type Children = [Fr; ARITY];
/// The children of the nodes above a leaf, lowest first. Sibling or not, all are given; which one
/// the path comes through follows from the index, three bits a level, lowest first.
pub type Path = [Children; DEPTH];

/// The record tree.
#[derive(Clone)]
pub struct Tree {
    /// By level, lowest first: the children of each stored node by its place in its level.
    levels: [HashMap<u32, Children>; DEPTH],
    root: Fr,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// The tree with no leaf.
    pub fn new() -> Self {
        Self { levels: Default::default(), root: empty_nodes()[DEPTH] }
    }

    /// The leaf at `index`; 0 if it was never set.
    ///
    /// # Panics
    /// If `index` is not below [`LEAVES`].
    pub fn get(&self, index: u32) -> Fr {
        check(index);
        self.children(0, index >> ARITY_BITS)[child(index)]
    }

    /// Writes one leaf: eight hashes.
    ///
    /// # Panics
    /// If `index` is not below [`LEAVES`].
    pub fn set(&mut self, index: u32, leaf: Fr) {
        self.set_many(&[(index, leaf)]);
    }

    /// Writes leaves and hashes each node above them once. Of two leaves at one index the later
    /// stays.
    ///
    /// # Panics
    /// If an index is not below [`LEAVES`].
    pub fn set_many(&mut self, leaves: &[(u32, Fr)]) {
        leaves.iter().for_each(|(index, _)| check(*index));
        let mut changed: BTreeMap<u32, Fr> = leaves.iter().copied().collect();
        for level in 0..DEPTH {
            let mut touched: BTreeMap<u32, Children> = BTreeMap::new();
            for (place, node) in changed {
                let parent = place >> ARITY_BITS;
                let children = touched.entry(parent);
                children.or_insert_with(|| self.children(level, parent))[child(place)] = node;
            }
            changed = touched.iter().map(|(place, children)| (*place, node(children))).collect();
            self.levels[level].extend(touched);
        }
        self.root = changed.remove(&0).unwrap_or(self.root);
    }

    /// The root.
    pub fn root(&self) -> Fr {
        self.root
    }

    /// What opens the leaf at `index` against the root.
    ///
    /// # Panics
    /// If `index` is not below [`LEAVES`].
    pub fn path(&self, index: u32) -> Path {
        check(index);
        std::array::from_fn(|level| self.children(level, index >> (ARITY_BITS * (level + 1))))
    }

    /// The 64 nodes two levels below the root.
    pub fn cap(&self) -> [Fr; CAP] {
        std::array::from_fn(|place| {
            self.children(CAP_DEPTH, place as u32 >> ARITY_BITS)[child(place as u32)]
        })
    }

    fn children(&self, level: usize, parent: u32) -> Children {
        let stored = self.levels[level].get(&parent);
        stored.copied().unwrap_or([empty_nodes()[level]; ARITY])
    }
}

/// The root of the tree with this cap.
pub fn cap_root(cap: &[Fr; CAP]) -> Fr {
    let (groups, _) = cap.as_chunks::<ARITY>();
    let nodes: Vec<Fr> = groups.iter().map(node).collect();
    node(&nodes.try_into().expect("as many groups as children"))
}

/// The node that `path` leads to from `leaf` at `index`, or `None` if at a level the node below is
/// not the child that the index picks. A whole [`Path`] leads to the root, its first [`CAP_DEPTH`]
/// levels to node `index >> 18` of the cap.
pub fn open(leaf: Fr, index: u32, path: &[Children]) -> Option<Fr> {
    let steps = path.iter().enumerate();
    steps.into_iter().try_fold(leaf, |below, (level, children)| {
        let place = index >> (ARITY_BITS * level);
        (children[child(place)] == below).then(|| node(children))
    })
}

/// Whether `leaf` stands at `index` under `root`.
pub fn verify_path(root: Fr, leaf: Fr, index: u32, path: &Path) -> bool {
    index < LEAVES && open(leaf, index, path) == Some(root)
}

/// The roots before and after `old` at `index` became `new`, or `None` if `path` does not open
/// `old`.
pub fn update(old: Fr, new: Fr, index: u32, path: &Path) -> Option<(Fr, Fr)> {
    let before = open(old, index, path)?;
    let after = path.iter().enumerate().fold(new, |below, (level, children)| {
        let mut children = *children;
        children[child(index >> (ARITY_BITS * level))] = below;
        node(&children)
    });
    Some((before, after))
}

fn node(children: &Children) -> Fr {
    poseidon::hash(Domain::TreeNode.tag(), children)
}

fn child(place: u32) -> usize {
    place as usize % ARITY
}

fn check(index: u32) {
    assert!(index < LEAVES, "a leaf's index has 24 bits");
}

/// The node above nothing, by level.
fn empty_nodes() -> &'static [Fr; DEPTH + 1] {
    static NODES: OnceLock<[Fr; DEPTH + 1]> = OnceLock::new();
    NODES.get_or_init(|| {
        let mut nodes = [Fr::ZERO; DEPTH + 1];
        for level in 0..DEPTH {
            nodes[level + 1] = node(&[nodes[level]; ARITY]);
        }
        nodes
    })
}

/// Levels of the smallest 16-ary tree with room for `leaves`, at least one.
pub fn chunk_depth(leaves: usize) -> usize {
    let mut depth = 1;
    while CHUNK_ARITY.pow(depth) < leaves {
        depth += 1;
    }
    depth as usize
}

/// The root of the smallest 16-ary tree that holds `leaves` in order, the rest being 0; every node
/// is hashed under `tag`. The list is not bound to its length: whoever needs that puts it beside
/// the root.
pub fn chunk_root(tag: Fr, leaves: &[Fr]) -> Fr {
    chunk_levels(tag, leaves).pop().expect("levels end in the root")[0]
}

/// The children of the nodes above the leaf at `index`, lowest first.
///
/// # Panics
/// If there is no such leaf.
pub fn chunk_path(tag: Fr, leaves: &[Fr], index: usize) -> Vec<[Fr; CHUNK_ARITY]> {
    assert!(index < leaves.len(), "the list has a leaf at the index");
    let levels = chunk_levels(tag, leaves);
    let mut place = index;
    let below_root = &levels[..levels.len() - 1];
    let absent = std::iter::successors(Some(Fr::ZERO), |below| {
        Some(poseidon::hash(tag, &[*below; CHUNK_ARITY]))
    });
    below_root
        .iter()
        .zip(absent)
        .map(|(level, absent)| {
            place /= CHUNK_ARITY;
            let stored = &level[place * CHUNK_ARITY..];
            std::array::from_fn(|child| stored.get(child).copied().unwrap_or(absent))
        })
        .collect()
}

/// Whether `leaf` stands at `index` of the list with this `root`. The length of `path` is the depth
/// of the tree, which the caller knows from the capacity of the list.
pub fn verify_chunk_path(
    tag: Fr,
    root: Fr,
    leaf: Fr,
    index: usize,
    path: &[[Fr; CHUNK_ARITY]],
) -> bool {
    let mut place = index;
    let opened = path.iter().try_fold(leaf, |below, children| {
        let found = children[place % CHUNK_ARITY] == below;
        place /= CHUNK_ARITY;
        found.then(|| poseidon::hash(tag, children))
    });
    place == 0 && opened == Some(root)
}

/// The present nodes of each level, from the leaves to the root.
fn chunk_levels(tag: Fr, leaves: &[Fr]) -> Vec<Vec<Fr>> {
    let mut levels = vec![leaves.to_vec()];
    let mut absent = Fr::ZERO;
    for _ in 0..chunk_depth(leaves.len()) {
        let below = levels.last().expect("at least the leaves");
        let above = chunk_parents(tag, below, absent);
        levels.push(above);
        absent = poseidon::hash(tag, &[absent; CHUNK_ARITY]);
    }
    levels
}

fn chunk_parents(tag: Fr, below: &[Fr], absent: Fr) -> Vec<Fr> {
    let hash_group = |group: &[Fr]| {
        let mut children = [absent; CHUNK_ARITY];
        children[..group.len()].copy_from_slice(group);
        poseidon::hash(tag, &children)
    };
    match below.is_empty() {
        true => vec![hash_group(&[])],
        false => below.chunks(CHUNK_ARITY).map(hash_group).collect(),
    }
}

#[cfg(test)]
mod tests;
