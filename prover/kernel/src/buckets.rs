//! Sums of many points each, as balanced trees of pairs.
//!
//! ```text
//! segment     a b c d e | f g | h i j
//! pairs      (ab)(cd) e | (fg)| (hi) j      one batch of additions
//!            (abcd)   e |     | (hij)       the next
//!            (abcde)    |     |             and so on, until one point a segment is left
//! ```
//!
//! Segments are taken in blocks that fit the second-level cache; blocks are independent.

use std::sync::Mutex;

use rayon::prelude::*;
use zeroize::Zeroize;

use crate::addition::{GROUP, Pairs, Passes};
use crate::cpu::Ifma;
use crate::points::{Curve, Memory};

/// Points of a block: with what the passes leave to each other they take half of a megabyte in G1.
const BLOCK: usize = 8192;
/// Levels of a tree of 2^31 points.
const LEVELS_MAX: usize = 31;

/// Points to add and where each sum's begin.
#[derive(Clone, Copy)]
pub(crate) struct Segments<'a, C: Curve> {
    pub(crate) points: &'a [C::Stored],
    /// Places in `points` times two, plus one for the point's negative.
    pub(crate) references: &'a [u32],
    /// Where each segment begins in `references`, and the end.
    pub(crate) starts: &'a [u32],
    /// Whether a point may be infinite.
    pub(crate) infinite: bool,
}

/// Buffers of threads that add.
pub(crate) struct Workers<C: Curve>(Mutex<Vec<Worker<C>>>);

impl<C: Curve> Default for Workers<C> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

struct Worker<C: Curve> {
    passes: Passes<C>,
    left: Vec<u32>,
    right: Vec<u32>,
    /// What is left of each segment, segment by segment: places in `sums`.
    items: Vec<u32>,
    /// How many are left of each.
    counts: Vec<usize>,
    sums: Vec<C::Stored>,
}

impl<C: Curve> Workers<C> {
    /// The sum of each segment; infinity for an empty one.
    pub(crate) fn sum(&self, cpu: Ifma, segments: Segments<'_, C>) -> Vec<C::Stored> {
        let count = segments.starts.len() - 1;
        let longest = segments.starts.windows(2).map(|ends| ends[1] - ends[0]).max();
        if longest.unwrap_or(0) as usize <= BLOCK {
            return self.sum_short(cpu, segments);
        }
        // Long ones, as those of a bit that most scalars have, are cut: else one thread would have
        // all of the work, in a buffer of any size.
        let (mut pieces, mut firsts) = (vec![0], Vec::with_capacity(count + 1));
        for ends in segments.starts.windows(2) {
            firsts.push(pieces.len() as u32 - 1);
            pieces.extend((ends[0]..ends[1]).step_by(BLOCK).skip(1));
            pieces.push(ends[1]);
        }
        firsts.push(pieces.len() as u32 - 1);
        let sums = self.sum_short(cpu, Segments { starts: &pieces, ..segments });
        let references: Vec<u32> = (0..sums.len() as u32).map(|place| place << 1).collect();
        // Pieces of one sum may cancel.
        let infinite = true;
        self.sum(
            cpu,
            Segments { points: &sums, references: &references, starts: &firsts, infinite },
        )
    }

    fn sum_short(&self, cpu: Ifma, segments: Segments<'_, C>) -> Vec<C::Stored> {
        let count = segments.starts.len() - 1;
        let mut sums = vec![C::Stored::INFINITY; count];
        let (mut blocks, mut rest, mut first) = (Vec::new(), &mut sums[..], 0);
        while first < count {
            let end = segments.starts[first] as usize + BLOCK;
            let fits = segments.starts[first + 1..].partition_point(|start| *start as usize <= end);
            let (block, others) = rest.split_at_mut(fits.max(1));
            let starts = &segments.starts[first..=first + block.len()];
            (first, rest) = (first + block.len(), others);
            blocks.push((Segments { starts, ..segments }, block));
        }
        blocks.into_par_iter().for_each(|(segments, sums)| {
            let free = self.0.lock().expect("nothing panics with the lock").pop();
            let mut worker = free.unwrap_or_default();
            worker.add_block(cpu, segments, sums);
            // They tell the digits of the scalars.
            for list in [&mut worker.left, &mut worker.right, &mut worker.items] {
                list.zeroize();
            }
            self.0.lock().expect("nothing panics with the lock").push(worker);
        });
        sums
    }
}

impl<C: Curve> Default for Worker<C> {
    fn default() -> Self {
        Self {
            passes: Passes::default(),
            left: Vec::new(),
            right: Vec::new(),
            items: Vec::new(),
            counts: Vec::new(),
            sums: Vec::new(),
        }
    }
}

impl<C: Curve> Worker<C> {
    fn add_block(&mut self, cpu: Ifma, segments: Segments<'_, C>, out: &mut [C::Stored]) {
        let (mut end, mut infinite) = self.add_first(cpu, segments);
        while self.pair_up(end) {
            let added = self.left.len();
            let (points, sums) = self.sums.split_at_mut(end);
            let (left, right) = (&self.left, &self.right);
            let pairs = Pairs { cpu, points, left, right, signed: false, infinite };
            infinite |= self.passes.add(pairs, &mut sums[..added]);
            end += added;
        }
        let mut items = self.items.iter();
        for (out, count) in out.iter_mut().zip(&self.counts) {
            if *count == 1 {
                *out = self.sums[*items.next().expect("an item a count") as usize];
            }
        }
    }

    /// The first level, which reads the points in place: the pairs' sums, then the points that have
    /// no partner. Says where they end and whether one may be infinite.
    fn add_first(&mut self, cpu: Ifma, segments: Segments<'_, C>) -> (usize, bool) {
        let lengths = segments.starts.windows(2).map(|ends| (ends[1] - ends[0]) as usize);
        let pairs: usize = lengths.clone().map(|length| length / 2).sum();
        let padded = pairs.next_multiple_of(GROUP);
        let total: usize = lengths.sum();
        let room = total + segments.starts.len() + (LEVELS_MAX + 1) * GROUP;
        if self.sums.len() < room {
            self.sums = crate::pages::with_capacity(room);
            self.sums.resize(room, C::Stored::INFINITY);
        }
        for list in [&mut self.left, &mut self.right, &mut self.items] {
            list.clear();
        }
        self.counts.clear();
        let mut single = padded;
        for ends in segments.starts.windows(2) {
            let (own, before) =
                (&segments.references[ends[0] as usize..ends[1] as usize], self.items.len());
            let (pairs, rest) = own.as_chunks::<2>();
            for [left, right] in pairs {
                self.items.push(self.left.len() as u32);
                self.left.push(*left);
                self.right.push(*right);
            }
            for reference in rest {
                let point = segments.points[(reference >> 1) as usize];
                self.sums[single] = if reference & 1 == 1 { point.negate() } else { point };
                self.items.push(single as u32);
                single += 1;
            }
            self.counts.push(self.items.len() - before);
        }
        self.pad();
        let (left, right) = (&self.left, &self.right);
        let Segments { points, infinite, .. } = segments;
        let pairs = Pairs { cpu, points, left, right, signed: true, infinite };
        let found = self.passes.add(pairs, &mut self.sums[..padded]);
        (single, found | infinite)
    }

    /// Pairs up what is left of each segment, whose sums will begin at `end`; `false` when no
    /// segment has two.
    fn pair_up(&mut self, end: usize) -> bool {
        self.left.clear();
        self.right.clear();
        let (mut read, mut write) = (0, 0);
        for count in &mut self.counts {
            let (first, left) = (write, read + *count);
            while read + 1 < left {
                let sum = end + self.left.len();
                self.left.push(self.items[read] << 1);
                self.right.push(self.items[read + 1] << 1);
                // Only now: it may be the place that was read.
                self.items[write] = sum as u32;
                (read, write) = (read + 2, write + 1);
            }
            if read < left {
                self.items[write] = self.items[read];
                (read, write) = (read + 1, write + 1);
            }
            *count = write - first;
        }
        self.items.truncate(write);
        self.pad();
        !self.left.is_empty()
    }

    /// Whole groups: the last pair again, whose further sums nobody reads.
    fn pad(&mut self) {
        for list in [&mut self.left, &mut self.right] {
            if let Some(last) = list.last().copied() {
                list.resize(list.len().next_multiple_of(GROUP), last);
            }
        }
    }
}
