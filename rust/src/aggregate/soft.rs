//! Soft votes: for each block of observations, the sum over the minipatches that hold a feature.
//!
//! The votes of a block are `observations x classes` numbers a minipatch, in lanes cut into parts of two 512-bit
//! registers. For a tile of minipatches and one part, the votes are copied together (with zeros for observations that
//! a minipatch does not vote on), and the sums of all subsets of every four minipatches are tabulated (the method of
//! the four Russians). For each feature, one entry for each four minipatches of which it is in some is then added, in
//! registers and in the votes' own precision, and the tile's sum is added to the feature's f64 sums. With
//! single-precision votes the rounding error is that of `TILE` additions, whatever B is; with double-precision votes
//! everything is double.
//!
//! What is left of a class after the subtraction is off by the rounding of the two sums. Where that matters
//! ([`Sums::Added`]), the same is done for the minipatches that do not hold a feature, and nothing is subtracted. Where
//! no voter is left, the sums are 0 either way, and where all are left, those of all, bit for bit.
//!
//! Cost: at most `B N K m` additions, a quarter fewer where `m` is `M / 5`; where sums are added, a quarter of
//! `B N K M`, which is less than twice as much there. No lane is ever added to another, so the
//! order of every sum is that of the minipatches, for any instruction set and number of threads.

use std::ops::Range;

use super::popcount::Masks;
use super::{Cell, FEATURES, Sums, for_each_block};
use crate::bits::list_ones;
use crate::parallel::Workers;
use crate::simd::{Aligned, Level, prefetch};
use crate::votes::{Ensemble, LeaveOneOut};

/// Minipatches that are added up in the votes' own precision.
const TILE: usize = 64;
/// Minipatches of a tile for which the sums of all subsets are tabulated.
const GROUP: usize = 4;
/// Sums that a tile's table has room for: `2^GROUP` for each group, numbered by a byte.
const ENTRIES: usize = (TILE / GROUP) << GROUP;
/// Features whose sums are kept between tiles: they stay in the second-level cache.
const HELD: usize = 2 * FEATURES;
/// Parts that a block of observations fills, if its classes are not more.
const PARTS: usize = 3;

/// The lanes of a part.
type Lanes<V, const PART: usize> = Aligned<[V; PART]>;

/// The precision of the votes, `PART` of which fill two 512-bit registers.
pub(super) trait Vote<const PART: usize>:
    Copy + Default + Send + Sync + std::ops::AddAssign + Into<f64>
{
    /// [`tabulate`] for this precision and the instruction set at hand.
    fn tabulate(level: Level, table: &mut [Lanes<Self, PART>; ENTRIES]);
    /// [`add_tile`] for this precision and the instruction set at hand.
    fn add_tile(
        level: Level,
        table: &[Lanes<Self, PART>; ENTRIES],
        holders: Holders<'_>,
        held: &mut [Lanes<f64, PART>],
    );
}

impl Vote<32> for f32 {
    fn tabulate(level: Level, table: &mut [Lanes<f32, 32>; ENTRIES]) {
        tabulate_single(level, table);
    }
    fn add_tile(
        level: Level,
        table: &[Lanes<f32, 32>; ENTRIES],
        holders: Holders<'_>,
        held: &mut [Lanes<f64, 32>],
    ) {
        add_tile_single(level, table, holders, held);
    }
}

impl Vote<16> for f64 {
    fn tabulate(level: Level, table: &mut [Lanes<f64, 16>; ENTRIES]) {
        tabulate_double(level, table);
    }
    fn add_tile(
        level: Level,
        table: &[Lanes<f64, 16>; ENTRIES],
        holders: Holders<'_>,
        held: &mut [Lanes<f64, 16>],
    ) {
        add_tile_double(level, table, holders, held);
    }
}

/// Which entries of a tile's table make up the sum of each feature, for a tile and up to [`HELD`] features.
#[derive(Clone, Copy)]
pub(super) struct Holders<'a> {
    /// The features, counted from the first of the [`HELD`]. Those with equally many entries follow one another, so
    /// that the processor foresees where each loop over entries ends.
    features: &'a [u16],
    /// `starts[at]..starts[at + 1]` are the entries of `features[at]`.
    starts: &'a [usize],
    entries: &'a [u8],
}

/// [`Holders`] of all tiles and features; where sums are added, of the minipatches that do not hold a feature.
struct AllHolders {
    features: Vec<u16>,
    starts: Vec<usize>,
    entries: Vec<u8>,
    n_features: usize,
}

impl AllHolders {
    fn new(ensemble: &Ensemble<'_>, sums: Sums) -> Self {
        let (tiles, m) = (ensemble.n_patches().div_ceil(TILE), ensemble.n_features());
        let by_feature = ensemble.holds.transpose();
        let mut all = AllHolders {
            features: Vec::with_capacity(tiles * m),
            starts: Vec::with_capacity(tiles * m + 1),
            entries: Vec::new(),
            n_features: m,
        };
        all.starts.push(0);
        let mut order = Vec::with_capacity(HELD);
        for tile in 0..tiles {
            // Minipatches after the last one hold nothing, nor are they without it.
            let there = u64::MAX >> (TILE - TILE.min(ensemble.n_patches() - tile * TILE));
            let flipped = if sums == Sums::Added { there } else { 0 };
            for first in (0..m).step_by(HELD) {
                // A tile is one word of the feature's row, a group one hexadecimal digit of it.
                let digits = |j: u16| {
                    let word = by_feature.row(first + usize::from(j))[tile] ^ flipped;
                    let digits = (0..TILE / GROUP).map(move |group| (group, word >> (group * GROUP) & 15));
                    digits.filter(|&(_, digit)| digit != 0)
                };
                order.clear();
                order.extend((0..HELD.min(m - first) as u16).map(|j| (digits(j).count(), j)));
                order.sort_unstable();
                for &(_, j) in &order {
                    all.features.push(j);
                    all.entries
                        .extend(digits(j).map(|(group, digit)| ((group << GROUP) as u64 | digit) as u8));
                    all.starts.push(all.entries.len());
                }
            }
        }
        all
    }

    fn of(&self, tile: usize, features: Range<usize>) -> Holders<'_> {
        let first = tile * self.n_features + features.start;
        Holders {
            features: &self.features[first..][..features.len()],
            starts: &self.starts[first..=first + features.len()],
            entries: &self.entries,
        }
    }
}

struct Scratch<V, const PART: usize, S> {
    table: Box<[Lanes<V, PART>; ENTRIES]>,
    sums_held: Vec<Lanes<f64, PART>>,
    voters: Vec<u32>,
    held: [u32; FEATURES],
    sums: Vec<f64>,
    counts: Vec<f64>,
    sink: S,
}

#[allow(clippy::too_many_arguments)]
pub(super) fn run<const PART: usize, V: Vote<PART>, T: Send, S>(
    level: Level,
    votes: &[V],
    ensemble: &Ensemble<'_>,
    loo: &LeaveOneOut,
    how: Sums,
    workers: Workers<'_>,
    out: &mut [T],
    per_row: usize,
    scratch: &(impl Fn() -> S + Sync),
    sink: &(impl Fn(&mut S, Cell<'_>, &mut [T]) + Sync),
) {
    let (n, m, k) = (ensemble.n_samples(), ensemble.n_features(), ensemble.n_classes);
    let patches = ensemble.n_patches();
    let block = (PARTS * PART / k).max(1);
    let parts = (block * k).div_ceil(PART);
    let holders = AllHolders::new(ensemble, how);
    let masks = Masks::new(ensemble.holds);
    let voted_by = ensemble.voters.transpose();
    let state = || Scratch {
        table: Box::new([Aligned([V::default(); PART]); ENTRIES]),
        sums_held: vec![Aligned([0.0; PART]); parts * m.min(HELD)],
        voters: vec![0; patches + 64],
        held: [0; FEATURES],
        sums: vec![0.0; m.min(FEATURES) * k],
        counts: vec![0.0; m.min(FEATURES)],
        sink: scratch(),
    };
    for_each_block(workers, out, per_row, block, state, |s, first, rows| {
        let lanes = first * k..(first + rows.len() / per_row) * k;
        for first_held in (0..m).step_by(HELD) {
            let kept = HELD.min(m - first_held);
            let sums_held = &mut s.sums_held[..parts * kept];
            sums_held.fill(Aligned([0.0; PART]));
            for (tile, b0) in (0..patches).step_by(TILE).enumerate() {
                let of_tile = holders.of(tile, first_held..first_held + kept);
                let mut ahead = b0 + TILE..patches.min(b0 + 2 * TILE);
                for (lane, held) in lanes.clone().step_by(PART).zip(sums_held.chunks_exact_mut(kept)) {
                    // The next tile is asked for while this one is added.
                    let soon = ahead.by_ref().take(TILE.div_ceil(parts));
                    soon.for_each(|b| prefetch(&votes[b * n * k..][lanes.clone()]));
                    let lanes = lane..lanes.end.min(lane + PART);
                    copy_votes(votes, ensemble, lanes, b0..patches.min(b0 + TILE), &mut s.table);
                    V::tabulate(level, &mut s.table);
                    V::add_tile(level, &s.table, of_tile, held);
                }
            }
            for (offset, row) in rows.chunks_exact_mut(per_row).enumerate() {
                let i = first + offset;
                let total = &loo.totals[i * k..(i + 1) * k];
                let (of_one, mut count) = (voted_by.row(i), [0]);
                list_ones(level, of_one, of_one.len(), &mut s.voters, &mut count);
                let voters = &s.voters[..count[0]];
                for j0 in (first_held..first_held + kept).step_by(FEATURES) {
                    let width = FEATURES.min(m - j0);
                    let (sums, counts) = (&mut s.sums[..width * k], &mut s.counts[..width]);
                    masks.count(level, j0 / FEATURES, voters, &mut s.held);
                    for (count, &held) in counts.iter_mut().zip(&s.held) {
                        *count = f64::from(loo.counts[i] - held);
                    }
                    for (class, sums) in sums.chunks_exact_mut(width).enumerate() {
                        let (part, lane) = ((offset * k + class) / PART, (offset * k + class) % PART);
                        let held = &sums_held[part * kept + j0 - first_held..][..width];
                        match how {
                            Sums::Left => subtract(level, total[class], held, lane, sums),
                            Sums::Added => {
                                sums.iter_mut().zip(held).for_each(|(sum, held)| *sum = held.0[lane]);
                            }
                        }
                    }
                    for (j, &count) in counts.iter().enumerate() {
                        let of_feature = sums.iter_mut().skip(j).step_by(width);
                        if count == 0.0 {
                            of_feature.for_each(|sum| *sum = 0.0);
                        } else if count == f64::from(loo.counts[i]) {
                            of_feature.zip(total).for_each(|(sum, &total)| *sum = total);
                        }
                    }
                    sink(&mut s.sink, Cell { i, first: j0, sums, counts }, row);
                }
            }
        }
    });
}

/// Copies the votes of a tile's minipatches on one part of the lanes (of N x K) to where their groups' tables have
/// them alone.
fn copy_votes<const PART: usize, V: Vote<PART>>(
    votes: &[V],
    ensemble: &Ensemble<'_>,
    lanes: Range<usize>,
    patches: Range<usize>,
    table: &mut [Lanes<V, PART>; ENTRIES],
) {
    let (n, k) = (ensemble.n_samples(), ensemble.n_classes);
    let rows = lanes.start / k..lanes.end.div_ceil(k);
    for (t, b) in patches.enumerate() {
        let Aligned(copy) = &mut table[(t / GROUP) << GROUP | 1 << (t % GROUP)];
        let votes = &votes[b * n * k..][lanes.clone()];
        match votes.first_chunk() {
            Some(votes) => *copy = *votes,
            None => copy[..votes.len()].copy_from_slice(votes),
        }
        for i in rows.clone() {
            if !ensemble.voters.contains(b, i) {
                let (first, end) = ((i * k).max(lanes.start), ((i + 1) * k).min(lanes.end));
                copy[first - lanes.start..end - lanes.start].fill(V::default());
            }
        }
    }
}

dispatch! {
    /// The sums of all subsets of each group of minipatches.
    fn tabulate_single(table: &mut [Lanes<f32, 32>; ENTRIES]) = tabulate::<32, f32>
}

dispatch! {
    /// The sums of all subsets of each group of minipatches.
    fn tabulate_double(table: &mut [Lanes<f64, 16>; ENTRIES]) = tabulate::<16, f64>
}

/// Entry `s` of a group is the sum of the minipatches whose bits are set in `s`, added in their order.
#[inline(always)]
fn tabulate<const PART: usize, V: Vote<PART>>(table: &mut [Lanes<V, PART>; ENTRIES]) {
    for group in table.as_chunks_mut::<{ 1 << GROUP }>().0 {
        for subset in (3..1usize << GROUP).filter(|subset| !subset.is_power_of_two()) {
            let last = 1 << subset.ilog2();
            let Aligned(mut sum) = group[subset - last];
            add_votes(&mut sum, &group[last].0);
            group[subset] = Aligned(sum);
        }
    }
}

dispatch! {
    /// Adds a tile's votes to the sums of each feature.
    fn add_tile_single(table: &[Lanes<f32, 32>; ENTRIES], holders: Holders<'_>, held: &mut [Lanes<f64, 32>])
        = add_tile::<32, 16, f32>
}

dispatch! {
    /// Adds a tile's votes to the sums of each feature.
    fn add_tile_double(table: &[Lanes<f64, 16>; ENTRIES], holders: Holders<'_>, held: &mut [Lanes<f64, 16>])
        = add_tile::<16, 8, f64>
}

/// `Q` votes, half a part, fill a 512-bit register.
#[inline(always)]
fn add_tile<const PART: usize, const Q: usize, V: Vote<PART>>(
    table: &[Lanes<V, PART>; ENTRIES],
    holders: Holders<'_>,
    held: &mut [Lanes<f64, PART>],
) {
    for (range, &feature) in holders.starts.windows(2).zip(holders.features) {
        // Two arrays with names of their own: as one array of arrays they would live in memory.
        let (mut low, mut high) = ([V::default(); Q], [V::default(); Q]);
        for &entry in &holders.entries[range[0]..range[1]] {
            let Aligned(votes) = &table[usize::from(entry)];
            add_votes(&mut low, &votes[..Q]);
            add_votes(&mut high, &votes[Q..]);
        }
        let Aligned(held) = &mut held[usize::from(feature)];
        add_sums(&mut held[..Q], &low);
        add_sums(&mut held[Q..], &high);
    }
}

#[inline(always)]
fn add_votes<V: Copy + std::ops::AddAssign, const Q: usize>(sums: &mut [V; Q], votes: &[V]) {
    for lane in 0..Q {
        sums[lane] += votes[lane];
    }
}

#[inline(always)]
fn add_sums<V: Copy + Into<f64>, const Q: usize>(held: &mut [f64], sums: &[V; Q]) {
    for lane in 0..Q {
        held[lane] += sums[lane].into();
    }
}

dispatch! {
    /// `sums[j] = total - held[j][lane]`.
    fn subtract<L: AsRef<[f64]>>(total: f64, held: &[L], lane: usize, sums: &mut [f64]) = subtract_body
}

#[inline(always)]
fn subtract_body<L: AsRef<[f64]>>(total: f64, held: &[L], lane: usize, sums: &mut [f64]) {
    for (sum, held) in sums.iter_mut().zip(held) {
        *sum = total - held.as_ref()[lane];
    }
}
