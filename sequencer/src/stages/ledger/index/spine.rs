//! A list of which memory holds the last row of each level.

use std::fmt;

use model::{DecodeError, Reader};

use super::nodes::{DamagedNode, FrameNodes, IndexError, NODE_BYTES_MAX, NodeRef};

/// Items of a node, and nodes of one of the next level.
pub(in crate::stages::ledger) const FANOUT: usize = 64;

/// What a list is of.
pub(in crate::stages::ledger) trait Item: Clone {
    /// What is said of items, or of nodes, above the node that they make.
    type Summary: Clone;
    /// Bytes of a summary.
    const SUMMARY_BYTES: usize;

    /// Of items, at least one.
    fn summary(items: &[Self]) -> Self::Summary;
    /// Of summaries in order, at least one.
    fn join(summaries: &[Self::Summary]) -> Self::Summary;
    /// Canonical bytes of items.
    fn write(items: &[Self], out: &mut Vec<u8>);
    /// Reads `count` items.
    fn read(count: usize, from: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError>;
    /// Canonical bytes of a summary.
    fn write_summary(summary: &Self::Summary, out: &mut Vec<u8>);
    /// Reads a summary.
    fn read_summary(from: &mut Reader<'_>) -> Result<Self::Summary, DecodeError>;
}

/// A node, as what stands above it knows it.
#[derive(Clone)]
pub(in crate::stages::ledger) struct Fence<T: Item> {
    node: NodeRef,
    pub(in crate::stages::ledger) summary: T::Summary,
}

/// A node of some level with all below it.
#[derive(Clone)]
pub(in crate::stages::ledger) struct Subtree<T: Item> {
    /// 0 for a node of items.
    pub(in crate::stages::ledger) level: usize,
    pub(in crate::stages::ledger) fence: Fence<T>,
}

/// The list. Memory: fewer than [`FANOUT`] items, and as many nodes a level.
#[derive(Clone)]
pub(in crate::stages::ledger) struct Spine<T: Item> {
    count: u64,
    items: Vec<T>,
    /// Lowest first.
    levels: Vec<Vec<Fence<T>>>,
}

impl<T: Item> Default for Spine<T> {
    fn default() -> Spine<T> {
        Spine { count: 0, items: Vec::new(), levels: Vec::new() }
    }
}

impl<T: Item> Spine<T> {
    /// How many items there are.
    pub(in crate::stages::ledger) fn len(&self) -> u64 {
        self.count
    }

    /// Those that are in no node yet, the last ones.
    pub(in crate::stages::ledger) fn tail(&self) -> &[T] {
        &self.items
    }

    /// Every node that has none above it, in the order of the list.
    pub(in crate::stages::ledger) fn roots(&self) -> Vec<Subtree<T>> {
        let levels = self.levels.iter().enumerate().rev();
        let row = |(level, fences): (usize, &Vec<Fence<T>>)| {
            fences.iter().map(|fence| Subtree { level, fence: fence.clone() }).collect::<Vec<_>>()
        };
        levels.flat_map(row).collect()
    }

    /// Appends an item; a row that is full becomes a node.
    pub(in crate::stages::ledger) fn push(&mut self, item: T, nodes: &FrameNodes) {
        self.count += 1;
        self.items.push(item);
        if self.items.len() < FANOUT {
            return;
        }
        let mut fence = Fence::of_items(&std::mem::take(&mut self.items), nodes);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(fence);
            if row.len() < FANOUT {
                return;
            }
            fence = Fence::of_fences(&std::mem::take(row), nodes);
        }
    }

    /// Reads every node. What is below one that is damaged is looked at once that is mended.
    pub(in crate::stages::ledger) fn look(&self, nodes: &FrameNodes, look: &mut Look<'_>) {
        let mut ahead = self.roots();
        while let Some(subtree) = ahead.pop() {
            if !look.goes_on() {
                return;
            }
            let read = match subtree.level {
                0 => subtree.items(nodes).map(drop),
                _ => subtree.children(nodes).map(|children| ahead.extend(children)),
            };
            look.take_in(read, subtree.fence.node);
        }
    }

    /// Where the item at a place stands, from 0. Reads nothing.
    pub(in crate::stages::ledger) fn locate(&self, place: u64) -> Option<Located<T>> {
        let mut place = place;
        for (level, row) in self.levels.iter().enumerate().rev() {
            let items = items_below(level);
            let covered = items.saturating_mul(row.len() as u64);
            if place < covered {
                let fence = row[(place / items) as usize].clone();
                return Some(Located::Below(Subtree { level, fence }, place % items));
            }
            place -= covered;
        }
        self.items.get(place as usize).cloned().map(Located::Here)
    }
}

/// What a look through an index finds.
pub struct Look<'a> {
    damaged: Vec<DamagedNode>,
    /// Asked before each node.
    go_on: &'a dyn Fn() -> bool,
}

impl<'a> Look<'a> {
    /// Most nodes that are kept: what is left is found by the next look.
    pub const MOST: usize = 1 << 20;

    /// A look that asks this before each node.
    pub fn new(go_on: &'a dyn Fn() -> bool) -> Look<'a> {
        Look { damaged: Vec::new(), go_on }
    }

    /// The nodes that cannot be read as they were written.
    pub fn damaged(self) -> Vec<DamagedNode> {
        self.damaged
    }

    fn goes_on(&self) -> bool {
        self.damaged.len() < Look::MOST && (self.go_on)()
    }

    fn take_in(&mut self, read: Result<(), IndexError>, node: NodeRef) {
        // A bad sector is no better than other bytes. Bytes that are those that were written are no
        // damage of the disk, whatever they say.
        if matches!(read, Err(IndexError::Damaged { .. } | IndexError::Medium { .. })) {
            self.damaged.push(DamagedNode::new(node));
        }
    }
}

/// Where an item stands.
#[derive(Clone)]
pub(in crate::stages::ledger) enum Located<T: Item> {
    /// It is in no node yet.
    Here(T),
    /// Below a node, at a place among all items below it.
    Below(Subtree<T>, u64),
}

impl<T: Item> Located<T> {
    /// The item. Reads one node a level.
    ///
    /// # Errors
    /// [`IndexError`] if a node cannot be read.
    pub(in crate::stages::ledger) fn find(self, nodes: &FrameNodes) -> Result<T, IndexError> {
        match self {
            Located::Here(item) => Ok(item),
            Located::Below(subtree, place) => subtree.get(place, nodes),
        }
    }
}

/// Items below a node of a level.
fn items_below(level: usize) -> u64 {
    (FANOUT as u64).saturating_pow(level as u32 + 1)
}

impl<T: Item> Subtree<T> {
    /// Its items, if it is of level 0.
    ///
    /// # Errors
    /// [`IndexError`] if it cannot be read.
    pub(in crate::stages::ledger) fn items(
        &self,
        nodes: &FrameNodes,
    ) -> Result<Vec<T>, IndexError> {
        read_node(&self.fence.node, nodes, |from| T::read(FANOUT, from))
    }

    /// The nodes below it, if it is of a higher level.
    ///
    /// # Errors
    /// [`IndexError`] if it cannot be read.
    pub(in crate::stages::ledger) fn children(
        &self,
        nodes: &FrameNodes,
    ) -> Result<Vec<Subtree<T>>, IndexError> {
        let fences = read_node(&self.fence.node, nodes, |from| read_fences(FANOUT, from))?;
        let level = self.level.saturating_sub(1);
        Ok(fences.into_iter().map(|fence| Subtree { level, fence }).collect())
    }

    fn get(self, mut place: u64, nodes: &FrameNodes) -> Result<T, IndexError> {
        let mut subtree = self;
        while subtree.level > 0 {
            let below = items_below(subtree.level - 1);
            // As many as a node has: the place lies below it.
            subtree = subtree.children(nodes)?.swap_remove((place / below) as usize);
            place %= below;
        }
        Ok(subtree.items(nodes)?.swap_remove(place as usize))
    }
}

impl<T: Item> Fence<T> {
    fn of_items(items: &[T], nodes: &FrameNodes) -> Fence<T> {
        let mut bytes = Vec::with_capacity(NODE_BYTES_MAX / 4);
        T::write(items, &mut bytes);
        Fence { node: nodes.append(bytes), summary: T::summary(items) }
    }

    fn of_fences(fences: &[Fence<T>], nodes: &FrameNodes) -> Fence<T> {
        let mut bytes = Vec::with_capacity(fences.len() * Fence::<T>::BYTES);
        fences.iter().for_each(|fence| fence.write(&mut bytes));
        let summaries: Vec<_> = fences.iter().map(|fence| fence.summary.clone()).collect();
        Fence { node: nodes.append(bytes), summary: T::join(&summaries) }
    }

    const BYTES: usize = NodeRef::BYTES + T::SUMMARY_BYTES;

    fn write(&self, out: &mut Vec<u8>) {
        self.node.write(out);
        T::write_summary(&self.summary, out);
    }

    fn read(from: &mut Reader<'_>) -> Result<Fence<T>, DecodeError> {
        Ok(Fence { node: NodeRef::read(from)?, summary: T::read_summary(from)? })
    }
}

fn read_fences<T: Item>(count: usize, from: &mut Reader<'_>) -> Result<Vec<Fence<T>>, DecodeError> {
    (0..count).map(|_| Fence::read(from)).collect()
}

fn read_node<R>(
    node: &NodeRef,
    nodes: &FrameNodes,
    read: impl FnOnce(&mut Reader<'_>) -> Result<R, DecodeError>,
) -> Result<R, IndexError> {
    let bytes = nodes.read(node)?;
    let mut from = Reader::new(&bytes);
    let found = read(&mut from).and_then(|found| from.finish().map(|()| found));
    found.map_err(|source| IndexError::Decode { offset: node.offset(), source })
}

impl<T: Item> Spine<T> {
    /// Canonical bytes: the number of items, the items of the tail, the nodes of each level, lowest
    /// first. How many of each there are follows from the number.
    pub(in crate::stages::ledger) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.count.to_be_bytes());
        T::write(&self.items, out);
        self.levels.iter().flatten().for_each(|fence| fence.write(out));
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub(in crate::stages::ledger) fn read(from: &mut Reader<'_>) -> Result<Spine<T>, DecodeError> {
        let count = from.u64()?;
        let (items, mut left) = (T::read((count % FANOUT as u64) as usize, from)?, count);
        let mut levels = Vec::new();
        // Each level is a sixty-fourth of the one below, so there are ten at most.
        while left >= FANOUT as u64 {
            left /= FANOUT as u64;
            levels.push(read_fences((left % FANOUT as u64) as usize, from)?);
        }
        Ok(Spine { count, items, levels })
    }
}

/// Prints how many items there are.
impl<T: Item> fmt::Debug for Spine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spine({})", self.count)
    }
}
