//! The record tree: the consent record of every patient under one root.
//!
//! It has 8 children a node and 8 levels: `2^24` leaves, the leaf's index being the
//! patient's pseudonym. It is sparse: leaves never set are 0, which is the hash of nothing, and
//! only nodes above a set leaf are stored (256 bytes a node, about 2 kB for a lonely leaf).

use crate::{domain::Domain, poseidon};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, MontFp};
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

/// The root of the tree that holds no record: what every deployment begins with. The contract has
/// the same constant, so that nobody can deploy a tree of consents that nobody signed.
pub const EMPTY_ROOT: Fr =
    MontFp!("9348585184473287447830312506802996622137765759631205883365317449595900878434");

/// The children of one node.
pub type Children = [Fr; ARITY];
/// The children of the nodes above a leaf, lowest first. Sibling or not, all are given; which one
/// the path comes through follows from the index, three bits a level, lowest first.
pub type Path = [Children; DEPTH];

/// The record tree.
#[derive(Clone)]
pub struct Tree {
    /// By level, lowest first: the children of each stored node by its place in its level. Nothing
    /// iterates over the maps, so that no order of theirs is ever seen.
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
        check_index(index);
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
        // All before the first is written: a panic leaves the tree as it was.
        leaves.iter().for_each(|(index, _)| check_index(*index));
        // Level by level, so that a node above several leaves is hashed once; the map keeps the
        // last of two leaves at one index.
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
        // Without a leaf nothing changed, and there is no node at the top.
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
        check_index(index);
        std::array::from_fn(|level| self.children(level, index >> (ARITY_BITS * (level + 1))))
    }

    /// The 64 nodes two levels below the root.
    pub fn cap(&self) -> [Fr; CAP] {
        std::array::from_fn(|place| {
            self.children(CAP_DEPTH, place as u32 >> ARITY_BITS)[child(place as u32)]
        })
    }

    /// Gives every node above the leaves at `indices`, which ascend, below the root: the leaves in
    /// their order, then each level the same way. As many values as [`Tree::restore`] takes.
    pub fn save(&self, indices: &[u32], mut put: impl FnMut(&Fr)) {
        let mut places = indices.to_vec();
        for level in 0..DEPTH {
            for place in &places {
                put(&self.children(level, place >> ARITY_BITS)[child(*place)]);
            }
            places.iter_mut().for_each(|place| *place >>= ARITY_BITS);
            places.dedup();
        }
    }

    /// The tree with leaves at `indices`, which ascend, and these nodes above them, as
    /// [`Tree::save`] gave them. One hash, that of the root: nothing says that each node is that of
    /// its children but whoever kept the values.
    ///
    /// # Errors
    /// What `next` says.
    ///
    /// # Panics
    /// If an index is not below [`LEAVES`].
    pub fn restore<E>(indices: &[u32], mut next: impl FnMut() -> Result<Fr, E>) -> Result<Tree, E> {
        indices.iter().for_each(|index| check_index(*index));
        let (mut tree, mut places) = (Tree::new(), indices.to_vec());
        for (level, stored) in tree.levels.iter_mut().enumerate() {
            let empty = [empty_nodes()[level]; ARITY];
            for place in &places {
                stored.entry(place >> ARITY_BITS).or_insert(empty)[child(*place)] = next()?;
            }
            places.iter_mut().for_each(|place| *place >>= ARITY_BITS);
            places.dedup();
        }
        tree.root = tree.levels[DEPTH - 1].get(&0).map_or(tree.root, node);
        Ok(tree)
    }

    fn children(&self, level: usize, parent: u32) -> Children {
        // What is not stored stands above empty leaves only.
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
        // At each level and not at the root alone: the circuit, too, opens a node with all its
        // children and ties the one below in.
        (children[child(place)] == below).then(|| node(children))
    })
}

/// Whether `leaf` stands at `index` under `root`.
pub fn verify_path(root: Fr, leaf: Fr, index: u32, path: &Path) -> bool {
    // A path picks three bits a level: of an index beyond 24 bits it would not see the rest.
    index < LEAVES && open(leaf, index, path) == Some(root)
}

/// The roots before and after `old` at `index` became `new`, or `None` if `path` does not open
/// `old`.
pub fn update(old: Fr, new: Fr, index: u32, path: &Path) -> Option<(Fr, Fr)> {
    // Both from the same siblings: that is what says that no other leaf moved.
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

fn check_index(index: u32) {
    assert!(index < LEAVES, "a leaf's index has 24 bits");
}

/// The node above nothing, by level.
fn empty_nodes() -> &'static [Fr; DEPTH + 1] {
    static NODES: OnceLock<[Fr; DEPTH + 1]> = OnceLock::new();
    // Once: every read of a leaf that was never set asks for them.
    NODES.get_or_init(|| {
        let mut nodes = [Fr::ZERO; DEPTH + 1];
        for level in 0..DEPTH {
            nodes[level + 1] = node(&[nodes[level]; ARITY]);
        }
        nodes
    })
}

#[cfg(test)]
mod tests;
