//! Sums of points, each taken a scalar times.
//!
//! A scalar is cut into signed digits ([`Digits`]), and each digit puts its point into the bucket
//! of its size. Buckets are added up (`buckets`), then weighed by their size. With a [`Table`] of
//! the points' multiples by powers of the digits' base all windows share one set of buckets;
//! without ([`Points`]) each window has its own.

use std::io::{self, Read, Write};

use ark_ec::AdditiveGroup;
use ark_ff::Zero;
use rayon::prelude::*;

use crate::addition::{Added, Gathered, Lined, Passes, Step, copy, save};
use crate::buckets::{Segments, Workers};
use crate::cpu::Ifma;
use crate::digits::window_count;
pub use crate::digits::{DIGIT_BITS_MAX, Digits, Windows};
use crate::lanes::lanes;
use crate::pages;
use crate::points::{Coordinate, Lanes, Memory};
pub use crate::points::{Curve, G1, G2};
use crate::turns::{PART, give_way, give_way_every};

/// Points that are doubled together: in the cache through all doublings.
const CHUNK: usize = 2048;

/// Lines that are weighed between two turns.
const LINES: usize = 128;

/// Points that are written or read at once.
const AT_ONCE: usize = 1 << 13;

/// Points that are summed without a table.
pub struct Points<C: Curve> {
    cpu: Ifma,
    stored: Vec<C::Stored>,
    /// Whether each point is finite; empty if all are, so that nothing is asked of most keys.
    finite: Vec<bool>,
    workers: Workers<C>,
}

/// Points and their multiples by 2^bits, 2^(2 bits), ...: window w of point i is at w n + i.
pub struct Table<C: Curve> {
    points: Points<C>,
    bits: u32,
    bases: usize,
}

impl<C: Curve> Points<C> {
    /// The points in the kernel's form. They are not checked to be on the curve.
    pub fn new(cpu: Ifma, points: &[C::Affine]) -> Self {
        let mut stored: Vec<C::Stored> = pages::with_capacity(points.len());
        stored.par_extend(points.par_iter().map(C::store));
        Self::of(cpu, stored)
    }

    fn of(cpu: Ifma, stored: Vec<C::Stored>) -> Self {
        let finite = if stored.contains(&C::Stored::INFINITY) {
            stored.iter().map(|point| *point != C::Stored::INFINITY).collect()
        } else {
            Vec::new()
        };
        Self { cpu, stored, finite, workers: Workers::default() }
    }

    /// The sum of each point times its scalar.
    ///
    /// # Panics
    /// If the digits are of another number of scalars, or sorted for a table.
    pub fn sum(&self, digits: &Digits) -> C::Group {
        assert_eq!(digits.scalars, self.stored.len(), "a scalar each point");
        let buckets = 1 << (digits.bits - 1);
        assert_eq!(digits.starts.len() - 1, window_count(digits.bits) * buckets, "sorted apart");
        give_way();
        let sums = self.add_buckets(digits);
        let windows = sums.chunks(buckets).map(|buckets| self.weigh(buckets, digits.bits));
        let windows: Vec<C::Group> = windows.collect();
        windows.into_iter().rev().fold(C::Group::zero(), |mut sum, window| {
            for _ in 0..digits.bits {
                sum.double_in_place();
            }
            sum + window
        })
    }

    fn add_buckets(&self, digits: &Digits) -> Vec<C::Stored> {
        // Infinity adds nothing to a sum, and the passes are fastest without it.
        let filtered;
        let digits = if self.finite.is_empty() {
            digits
        } else {
            filtered = digits.filter(|place| self.finite[place]);
            &filtered
        };
        let (references, starts) = (&digits.references[..], &digits.starts[..]);
        let segments = Segments { points: &self.stored, references, starts, infinite: false };
        self.workers.sum(self.cpu, segments)
    }

    /// The buckets' sum, bucket b taken b + 1 times. As a grid of rows and columns: with
    /// b = r * width + c that is width * sum(r * row r) + sum((c + 1) * column c), and few sums
    /// are left to be weighed.
    fn weigh(&self, buckets: &[C::Stored], bits: u32) -> C::Group {
        let width_bits = (bits - 1) / 2;
        let (width, height) = (1 << width_bits, buckets.len() >> width_bits);
        let grid = |lines: usize, length: usize, place: &dyn Fn(usize, usize) -> usize| {
            let (mut references, mut starts) = (Vec::with_capacity(buckets.len()), vec![0]);
            for line in 0..lines {
                give_way_every(PART, line * length);
                let places = (0..length).map(|at| place(line, at));
                let finite = places.filter(|place| buckets[*place] != C::Stored::INFINITY);
                references.extend(finite.map(|place| (place as u32) << 1));
                starts.push(references.len() as u32);
            }
            let (references, starts) = (&references[..], &starts[..]);
            let segments = Segments { points: buckets, references, starts, infinite: false };
            self.workers.sum(self.cpu, segments)
        };
        let rows = grid(height, width, &|row, column| row * width + column);
        let columns = grid(width, height, &|column, row| row * width + column);
        // Running sums from the last on: line l is in l + 1 of them.
        let weigh = |lines: &[C::Stored]| {
            let (mut running, mut sum) = (C::Group::zero(), C::Group::zero());
            for (number, line) in lines.iter().rev().enumerate() {
                give_way_every(LINES, number);
                running += C::restore(line);
                sum += running;
            }
            sum
        };
        let mut sum = weigh(&rows[1..]);
        for _ in 0..width_bits {
            sum.double_in_place();
        }
        sum + weigh(&columns)
    }
}

impl<C: Curve> Table<C> {
    /// Doubles each point as often as a scalar has bits, which takes seconds for 2^17 points;
    /// `None` as soon as `go_on` says no, which it is asked before each window.
    ///
    /// # Panics
    /// If `bits` is not between 2 and [`DIGIT_BITS_MAX`].
    pub fn build(
        cpu: Ifma,
        points: &[C::Affine],
        bits: u32,
        go_on: &dyn Fn() -> bool,
    ) -> Option<Self> {
        assert!((2..=DIGIT_BITS_MAX).contains(&bits), "digits of 2 to {DIGIT_BITS_MAX} bits");
        let (bases, windows) = (points.len(), window_count(bits));
        let mut stored: Vec<C::Stored> = pages::with_capacity(bases * windows);
        stored.par_extend(points.par_iter().map(C::store));
        for window in 1..windows {
            if !go_on() {
                return None;
            }
            let mut multiples = stored[(window - 1) * bases..].to_vec();
            multiples.par_chunks_mut(CHUNK).for_each(|chunk| double::<C>(cpu, chunk, bits));
            stored.extend_from_slice(&multiples);
        }
        Some(Self { points: Points::of(cpu, stored), bits, bases })
    }

    /// Bytes of a table of so many points, in memory and in a file.
    pub fn size(points: usize, bits: u32) -> usize {
        points * window_count(bits) * size_of::<C::Stored>()
    }

    /// Writes the table's words, the lowest byte first.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        for points in self.points.stored.chunks(AT_ONCE) {
            bytes.clear();
            for line in points.iter().flat_map(|point| point.lines()) {
                bytes.extend_from_slice(line.map(u64::to_le_bytes).as_flattened());
            }
            out.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Reads what [`write`](Self::write) wrote of a table of these points. Whether the other words
    /// are the points' multiples is not looked at: the caller knows who wrote them.
    ///
    /// # Errors
    /// What the reader says, or [`io::ErrorKind::InvalidData`] if the first points are others.
    pub fn read(
        cpu: Ifma,
        points: &[C::Affine],
        bits: u32,
        from: &mut dyn Read,
    ) -> io::Result<Self> {
        let (bases, windows) = (points.len(), window_count(bits));
        let mut stored: Vec<C::Stored> = pages::with_capacity(bases * windows);
        let mut bytes = vec![0; AT_ONCE * size_of::<C::Stored>()];
        while stored.len() < bases * windows {
            let count = AT_ONCE.min(bases * windows - stored.len());
            let bytes = &mut bytes[..count * size_of::<C::Stored>()];
            from.read_exact(bytes)?;
            stored.extend(bytes.chunks_exact(size_of::<C::Stored>()).map(|bytes| {
                let mut point = C::Stored::INFINITY;
                let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
                for (place, word) in point.lines_mut().as_flattened_mut().iter_mut().zip(words) {
                    *place = word;
                }
                point
            }));
        }
        let same = points.par_iter().map(C::store).zip(&stored).all(|(own, read)| own == *read);
        if !same {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a table of other points"));
        }
        Ok(Self { points: Points::of(cpu, stored), bits, bases })
    }

    /// Width of the digits that the table is for.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.points.stored[..])
    }

    /// The sum of each point times its scalar.
    ///
    /// # Panics
    /// If the digits are of another number of scalars or another width, or sorted by window.
    pub fn sum(&self, digits: &Digits) -> C::Group {
        assert_eq!((digits.scalars, digits.bits), (self.bases, self.bits), "the table's digits");
        assert_eq!(digits.starts.len() - 1, 1 << (self.bits - 1), "sorted for a table");
        let sums = self.points.add_buckets(digits);
        self.points.weigh(&sums, self.bits)
    }
}

/// Doubles each point `times` times.
fn double<C: Curve>(cpu: Ifma, points: &mut [C::Stored], times: u32) {
    let vectors = points.len().div_ceil(8);
    let last = points.len() as u32 - 1;
    let references: Vec<[u32; 8]> = (0..vectors as u32)
        .map(|vector| lanes!(|I| (8 * vector + I as u32).min(last) << 1))
        .collect();
    let into: Vec<u32> = (0..vectors as u32).collect();
    let zero = Lanes { x: C::Coordinate::zero(cpu), y: C::Coordinate::zero(cpu) };
    let mut from = vec![zero; vectors];
    let gathered = Gathered::<C> { points, left: &references, right: &[] };
    copy(cpu, gathered, &into, &mut from);
    let mut sums = from.clone();
    let places: Vec<[u32; 2]> = into.iter().map(|place| [*place; 2]).collect();
    let steps: Vec<Step> = into.iter().map(|into| Step { into: *into, alone: 0 }).collect();
    let mut passes = Passes::<C>::default();
    for _ in 0..times {
        let source = Lined::<C> { points: &from, places: &places };
        passes.add(cpu, Added { source, steps: &steps, infinite: true }, &mut sums);
        std::mem::swap(&mut from, &mut sums);
    }
    let mut doubled = vec![[C::Stored::INFINITY; 8]; vectors];
    save::<C>(cpu, &from, &mut doubled);
    points.copy_from_slice(&doubled.as_flattened()[..points.len()]);
}

/// The width of digits that costs least with a table: each digit puts a point into a bucket, and
/// each bucket goes to a row and a column.
pub fn table_bits(points: usize) -> u32 {
    let cost = |bits: &u32| window_count(*bits) * points + (2 << bits);
    (4..=DIGIT_BITS_MAX).min_by_key(cost).expect("there are widths")
}

/// The width of digits that costs least without a table: each window puts each point into a bucket
/// and adds each bucket to a row and a column.
pub fn digit_bits(points: usize) -> u32 {
    let cost = |bits: &u32| window_count(*bits) * (points + (1 << bits));
    (4..=DIGIT_BITS_MAX).min_by_key(cost).expect("there are widths")
}
