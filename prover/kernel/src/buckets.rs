//! Sums of many points each, as balanced trees of pairs, eight sums side by side.
//!
//! ```text
//!            lane 0      lane 1    ...  lane 7
//! segment    a b c d e   f g h i        v w x y     eight of about the same length
//! pairs      (ab)        (fg)           (vw)        one vector of additions
//!            (cd)        (hi)           (xy)        the next
//!             e           -              -          copied
//! then       (abcd)      (fghi)         (vwxy)      and so on, until one point a lane is left
//! ```
//!
//! Segments are sorted by length first. So the lanes of a vector end together, and from the second
//! level on both points of a pair stand in the same lane of two vectors: nothing is gathered.
//! Groups of eight are taken in blocks that fit the second-level cache; blocks are independent.

use std::sync::Mutex;

use rayon::prelude::*;
use zeroize::Zeroize;

use crate::addition::{Added, Gathered, Lined, Passes, Source, Step, copy, save};
use crate::cpu::Ifma;
use crate::lanes::{Mask, lanes};
use crate::points::{Coordinate, Curve, Lanes, Memory};
use crate::turns::{PART, give_way, give_way_every};

/// Bytes of points that a block reads. With what the passes leave to each other that is somewhat
/// more than a megabyte.
const BLOCK_BYTES: usize = 1 << 18;
/// Longer segments are cut: else one lane would have all of the work.
const PIECE: usize = 256;

/// Groups between asking for references and reading them.
const AHEAD: usize = 4;

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

impl<C: Curve> Workers<C> {
    /// The sum of each segment; infinity for an empty one.
    pub(crate) fn sum(&self, cpu: Ifma, segments: Segments<'_, C>) -> Vec<C::Stored> {
        let count = segments.starts.len() - 1;
        let longest = segments.starts.windows(2).map(|ends| ends[1] - ends[0]).max();
        if longest.unwrap_or(0) as usize <= PIECE {
            return self.sum_short(cpu, segments);
        }
        let (mut pieces, mut firsts) = (vec![0], Vec::with_capacity(count + 1));
        for (segment, ends) in segments.starts.windows(2).enumerate() {
            give_way_every(PART, segment);
            firsts.push(pieces.len() as u32 - 1);
            pieces.extend((ends[0]..ends[1]).step_by(PIECE).skip(1));
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
        let mut order = by_length(segments.starts);
        let mut sorted: Vec<[C::Stored; 8]> = crate::pages::with_capacity(order.len());
        sorted.resize(order.len(), [C::Stored::INFINITY; 8]);
        let (mut blocks, mut groups, mut rest) = (Vec::new(), &order[..], &mut sorted[..]);
        while !groups.is_empty() {
            let fits = fit_block(groups, BLOCK_BYTES / size_of::<C::Stored>());
            let (block, others) = groups.split_at(fits);
            let (sums, other_sums) = rest.split_at_mut(fits);
            blocks.push((block, sums));
            (groups, rest) = (others, other_sums);
        }
        blocks.into_par_iter().for_each(|(groups, sums)| {
            give_way();
            let free = self.0.lock().expect("nothing panics with the lock").pop();
            let mut worker = free.unwrap_or_default();
            worker.add_block(cpu, segments, groups, sums);
            worker.wipe();
            self.0.lock().expect("nothing panics with the lock").push(worker);
        });
        let mut sums = vec![C::Stored::INFINITY; segments.starts.len() - 1];
        for (number, (group, sorted)) in order.iter().zip(&sorted).enumerate() {
            give_way_every(PART, 8 * number);
            for ((segment, length), sum) in group.segments.iter().zip(group.lengths).zip(sorted) {
                if length > 0 {
                    sums[*segment as usize] = *sum;
                }
            }
        }
        order.zeroize();
        sums
    }
}

/// Eight segments that are added side by side.
#[derive(Clone, Copy, Default)]
struct Group {
    segments: [u32; 8],
    /// Points of each; 0 for a lane that has no segment.
    lengths: [u32; 8],
}

impl Zeroize for Group {
    fn zeroize(&mut self) {
        self.segments.zeroize();
        self.lengths.zeroize();
    }
}

impl Group {
    fn longest(&self) -> u32 {
        self.lengths.into_iter().max().expect("there are lanes")
    }

    /// Asks for the lines of the references: sorted by length, segments lie anywhere.
    fn prefetch(&self, cpu: Ifma, references: &[u32], starts: &[u32]) {
        for (segment, length) in self.segments.into_iter().zip(self.lengths) {
            let first = starts[segment as usize] as usize;
            for line in references[first..first + length as usize].chunks(16) {
                cpu.prefetch(&line[0]);
            }
        }
    }
}

/// The segments that are not empty, the longest first.
fn by_length(starts: &[u32]) -> Vec<Group> {
    let length = |segment: usize| (starts[segment + 1] - starts[segment]) as usize;
    let (count, mut places) = (starts.len() - 1, [0usize; PIECE + 2]);
    // A sort by counting: place l + 1 counts those of length PIECE - l, then sums up.
    for segment in 0..count {
        give_way_every(PART, segment);
        places[PIECE - length(segment) + 1] += 1;
    }
    for place in 1..places.len() {
        places[place] += places[place - 1];
    }
    let used = places[PIECE];
    let mut groups = vec![Group::default(); used.div_ceil(8)];
    for segment in 0..count {
        give_way_every(PART, segment);
        let length = length(segment);
        if length == 0 {
            continue;
        }
        let place = &mut places[PIECE - length];
        let group = &mut groups[*place / 8];
        (group.segments[*place % 8], group.lengths[*place % 8]) = (segment as u32, length as u32);
        *place += 1;
    }
    places.zeroize();
    groups
}

/// How many of the groups have at most `points` points; at least one.
fn fit_block(groups: &[Group], points: usize) -> usize {
    let (mut sum, mut fits) = (0, 0);
    while fits < groups.len() && (sum == 0 || sum + 8 * groups[fits].longest() as usize <= points) {
        sum += 8 * groups[fits].longest() as usize;
        fits += 1;
    }
    fits
}

/// The lists of a level and the points of two.
struct Worker<C: Curve> {
    passes: Passes<C>,
    /// Per group, how many points each lane still has.
    counts: Vec<[u32; 8]>,
    steps: Vec<Step>,
    copies: Vec<u32>,
    left: Vec<[u32; 8]>,
    right: Vec<[u32; 8]>,
    alone: Vec<[u32; 8]>,
    places: Vec<[u32; 2]>,
    copied: Vec<[u32; 2]>,
    points: Vec<Lanes<C::Coordinate>>,
    sums: Vec<Lanes<C::Coordinate>>,
}

impl<C: Curve> Default for Worker<C> {
    fn default() -> Self {
        Self {
            passes: Passes::default(),
            counts: Vec::new(),
            steps: Vec::new(),
            copies: Vec::new(),
            left: Vec::new(),
            right: Vec::new(),
            alone: Vec::new(),
            places: Vec::new(),
            copied: Vec::new(),
            points: Vec::new(),
            sums: Vec::new(),
        }
    }
}

/// Lanes whose count ends before `at`.
#[inline(always)]
fn ended(counts: &[u32; 8], at: u32) -> Mask {
    let ended = lanes!(|I| ((counts[I] <= at) as Mask) << I);
    ended.into_iter().fold(0, |mask, lane| mask | lane)
}

impl<C: Curve> Worker<C> {
    fn add_block(
        &mut self,
        cpu: Ifma,
        segments: Segments<'_, C>,
        groups: &[Group],
        out: &mut [[C::Stored; 8]],
    ) {
        self.plan_first(cpu, segments, groups);
        let Segments { points, mut infinite, .. } = segments;
        let source = Gathered::<C> { points, left: &self.left, right: &self.right };
        let lone = Gathered::<C> { points, left: &self.alone, right: &[] };
        let added = Added { source, steps: &self.steps, infinite };
        let first = Level { added, lone, copies: &self.copies };
        infinite |= first.run(cpu, &mut self.passes, &mut self.sums);
        std::mem::swap(&mut self.points, &mut self.sums);
        while self.plan_next() {
            let points = &self.points[..];
            let source = Lined::<C> { points, places: &self.places };
            let lone = Lined::<C> { points, places: &self.copied };
            let added = Added { source, steps: &self.steps, infinite };
            let next = Level { added, lone, copies: &self.copies };
            infinite |= next.run(cpu, &mut self.passes, &mut self.sums);
            std::mem::swap(&mut self.points, &mut self.sums);
        }
        save::<C>(cpu, &self.points, out);
    }

    /// The first level's lists, which name the points in memory.
    fn plan_first(&mut self, cpu: Ifma, segments: Segments<'_, C>, groups: &[Group]) {
        self.clear();
        let Segments { references, starts, .. } = segments;
        for (number, Group { segments, lengths }) in groups.iter().enumerate() {
            if let Some(soon) = groups.get(number + AHEAD) {
                soon.prefetch(cpu, references, starts);
            }
            let (shortest, longest) = (lengths.iter().min(), lengths.iter().max());
            let (shortest, longest) = shortest.zip(longest).expect("there are lanes");
            let own = lanes!(|I| {
                let first = starts[segments[I] as usize] as usize;
                // One that has no segment reads what is at hand.
                &references[first..first + lengths[I].max(1) as usize]
            });
            for place in (0..*longest as usize).step_by(2) {
                let into = (self.steps.len() + self.copies.len()) as u32;
                if place + 1 < *shortest as usize {
                    self.left.push(lanes!(|I| own[I][place]));
                    self.right.push(lanes!(|I| own[I][place + 1]));
                    self.steps.push(Step { into, alone: 0 });
                    continue;
                }
                // A lane that has ended reads its last reference again: nothing comes of it.
                let at = |lane: usize, place: usize| own[lane][place.min(own[lane].len() - 1)];
                let alone = ended(lengths, place as u32 + 1);
                let left = lanes!(|I| at(I, place));
                if alone == Mask::MAX {
                    self.alone.push(left);
                    self.copies.push(into);
                } else {
                    self.left.push(left);
                    self.right.push(lanes!(|I| at(I, place + 1)));
                    self.steps.push(Step { into, alone });
                }
            }
            self.counts.push(lanes!(|I| lengths[I].div_ceil(2)));
        }
    }

    /// The next level's lists; `false` if no lane has two points.
    fn plan_next(&mut self) -> bool {
        self.steps.clear();
        self.copies.clear();
        self.places.clear();
        self.copied.clear();
        let mut from = 0;
        for counts in &mut self.counts {
            let longest = counts.iter().max().copied().expect("there are lanes");
            for place in (0..longest).step_by(2) {
                let alone = ended(counts, place + 1);
                let into = (self.steps.len() + self.copies.len()) as u32;
                let left = from + place;
                if alone == Mask::MAX {
                    self.copied.push([left; 2]);
                    self.copies.push(into);
                } else {
                    self.places.push([left, left + 1]);
                    self.steps.push(Step { into, alone });
                }
            }
            from += longest;
            *counts = lanes!(|I| counts[I].div_ceil(2));
        }
        !self.steps.is_empty()
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.steps.clear();
        self.copies.clear();
        self.left.clear();
        self.right.clear();
        self.alone.clear();
    }

    /// Zeroises what tells the digits of the scalars.
    fn wipe(&mut self) {
        for list in [&mut self.left, &mut self.right, &mut self.alone, &mut self.counts] {
            list.zeroize();
        }
        for list in [&mut self.places, &mut self.copied] {
            list.zeroize();
        }
        self.copies.zeroize();
        self.steps.zeroize();
    }
}

/// What a level does: sums of pairs, and copies of the points that have no partner.
struct Level<'a, S> {
    added: Added<'a, S>,
    lone: S,
    /// Where those points go.
    copies: &'a [u32],
}

impl<S> Level<'_, S> {
    /// Says whether a sum may be infinite.
    fn run<C: Curve>(
        self,
        cpu: Ifma,
        passes: &mut Passes<C>,
        sums: &mut Vec<Lanes<C::Coordinate>>,
    ) -> bool
    where
        S: Source<C>,
    {
        let room = self.added.steps.len() + self.copies.len();
        if sums.len() < room {
            let zero = Lanes { x: C::Coordinate::zero(cpu), y: C::Coordinate::zero(cpu) };
            *sums = crate::pages::with_capacity(room);
            sums.resize(room, zero);
        }
        copy(cpu, self.lone, self.copies, sums);
        passes.add(cpu, self.added, sums)
    }
}
