//! Soft votes: for each block of observations, the sum over the minipatches that hold a feature.
//!
//! The votes of a block are `observations x classes` numbers a minipatch, in lanes padded to whole parts of 256 bytes.
//! A tile of minipatches is copied together, part by part (with zeros for observations that a minipatch does not
//! vote on), so that one part of it fits the first-level cache; then, for each feature, the tile's minipatches that
//! hold it are added lane by lane, in registers and in the votes' own precision, and the tile's sum is added to
//! the feature's f64 sums. With single-precision votes the rounding error is that of `TILE` additions, whatever B
//! is; with double-precision votes everything is double.
//!
//! What is left of a class after the subtraction may be pure rounding. With double-precision votes, a difference
//! that is no larger than the rounding of the two sums counts as the 0 it almost always is (losses with a
//! logarithm would see the difference). Where no voter is left, the sums are 0 whatever the precision.
//!
//! Cost: `B N K m` additions. No lane is ever added to another, so the order of every sum is that of the
//! minipatches, for any instruction set and number of threads.

use std::ops::Range;

use super::popcount::Masks;
use super::{Cell, FEATURES, for_each_block};
use crate::bits::for_each_one;
use crate::parallel::Workers;
use crate::simd::{Level, prefetch};
use crate::votes::{Ensemble, LeaveOneOut};

/// Minipatches that are added up in the votes' own precision.
const TILE: usize = 64;
/// Features whose sums are kept between tiles: they stay in the second-level cache.
const HELD: usize = 2 * FEATURES;
/// Parts that a block of observations fills, if its classes are not more.
const PARTS: usize = 2;

/// The precision of the votes.
pub(super) trait Vote: Copy + Default + Send + Sync + std::ops::AddAssign + Into<f64> {
    /// Lanes of a part: four 512-bit registers.
    const PART: usize;
    /// Relative rounding for each vote added, up to which a difference of sums is 0. Not for single precision:
    /// its tiles round more coarsely than small probabilities are.
    const ROUNDING: f64;
    /// [`add_tile`] for this precision and the instruction set at hand.
    fn add_tile(level: Level, tile: &[Self], members: &[u8], starts: &[u32], held: &mut [f64]);
}

impl Vote for f32 {
    const PART: usize = 64;
    const ROUNDING: f64 = 0.0;
    fn add_tile(level: Level, tile: &[f32], members: &[u8], starts: &[u32], held: &mut [f64]) {
        add_tile_single(level, tile, members, starts, held);
    }
}

impl Vote for f64 {
    const PART: usize = 32;
    const ROUNDING: f64 = f64::EPSILON;
    fn add_tile(level: Level, tile: &[f64], members: &[u8], starts: &[u32], held: &mut [f64]) {
        add_tile_double(level, tile, members, starts, held);
    }
}

/// For each tile of minipatches and each feature, the minipatches of the tile that hold it.
struct Holders {
    /// Positions within the tile.
    members: Vec<u8>,
    /// `starts[tile * M + j]..starts[tile * M + j + 1]` are the members of feature `j`.
    starts: Vec<u32>,
}

impl Holders {
    fn new(ensemble: &Ensemble<'_>) -> Self {
        let (patches, m) = (ensemble.n_patches(), ensemble.n_features());
        let tiles = patches.div_ceil(TILE);
        let by_feature = ensemble.holds.transpose();
        let mut holders = Holders { members: Vec::new(), starts: Vec::with_capacity(tiles * m + 1) };
        holders.starts.push(0);
        for tile in 0..tiles {
            for j in 0..m {
                // A tile is one word of the feature's row.
                for_each_one(&by_feature.row(j)[tile..=tile], |t| holders.members.push(t as u8));
                holders.starts.push(holders.members.len() as u32);
            }
        }
        holders
    }
}

struct Scratch<V, S> {
    tile: Vec<V>,
    sums_held: Vec<f64>,
    voters: Vec<u32>,
    held: [u32; FEATURES],
    sums: Vec<f64>,
    counts: Vec<f64>,
    sink: S,
}

#[allow(clippy::too_many_arguments)]
pub(super) fn run<V: Vote, T: Send, S>(
    level: Level,
    votes: &[V],
    ensemble: &Ensemble<'_>,
    loo: &LeaveOneOut,
    workers: Workers<'_>,
    out: &mut [T],
    per_row: usize,
    scratch: &(impl Fn() -> S + Sync),
    sink: &(impl Fn(&mut S, Cell<'_>, &mut [T]) + Sync),
) {
    let (m, k, patches) = (ensemble.n_features(), ensemble.n_classes, ensemble.n_patches());
    let block = (PARTS * V::PART / k).max(1);
    let parts = (block * k).div_ceil(V::PART);
    let holders = Holders::new(ensemble);
    let masks = Masks::new(ensemble.holds);
    let voted_by = ensemble.voters.transpose();
    let state = || Scratch {
        tile: vec![V::default(); parts * TILE * V::PART],
        sums_held: vec![0.0; parts * m.min(HELD) * V::PART],
        voters: Vec::with_capacity(patches),
        held: [0; FEATURES],
        sums: vec![0.0; m.min(FEATURES) * k],
        counts: vec![0.0; m.min(FEATURES)],
        sink: scratch(),
    };
    for_each_block(workers, out, per_row, block, state, |s, first, rows| {
        for first_held in (0..m).step_by(HELD) {
            let kept = HELD.min(m - first_held);
            let sums_held = &mut s.sums_held[..parts * kept * V::PART];
            sums_held.fill(0.0);
            for (tile, b0) in (0..patches).step_by(TILE).enumerate() {
                let here = rows.len() / per_row;
                copy_votes(votes, ensemble, first..first + here, b0..patches.min(b0 + TILE), &mut s.tile);
                let starts = &holders.starts[tile * m + first_held..][..kept + 1];
                let of_parts =
                    s.tile.chunks_exact(TILE * V::PART).zip(sums_held.chunks_exact_mut(kept * V::PART));
                of_parts.for_each(|(tile, held)| V::add_tile(level, tile, &holders.members, starts, held));
            }
            for (offset, row) in rows.chunks_exact_mut(per_row).enumerate() {
                let i = first + offset;
                let total = &loo.totals[i * k..(i + 1) * k];
                s.voters.clear();
                for_each_one(voted_by.row(i), |b| s.voters.push(b as u32));
                for j0 in (first_held..first_held + kept).step_by(FEATURES) {
                    let width = FEATURES.min(m - j0);
                    let (sums, counts) = (&mut s.sums[..width * k], &mut s.counts[..width]);
                    masks.count(level, j0 / FEATURES, &s.voters, &mut s.held);
                    for (count, &held) in counts.iter_mut().zip(&s.held) {
                        *count = f64::from(loo.counts[i] - held);
                    }
                    let rounding = V::ROUNDING * f64::from(loo.counts[i]);
                    for (class, sums) in sums.chunks_exact_mut(width).enumerate() {
                        let (part, lane) = ((offset * k + class) / V::PART, (offset * k + class) % V::PART);
                        let held = &sums_held[(part * kept + j0 - first_held) * V::PART..][..width * V::PART];
                        subtract(level, total[class], held, V::PART, lane, rounding, sums);
                    }
                    for (j, _) in counts.iter().enumerate().filter(|&(_, &count)| count == 0.0) {
                        sums.iter_mut().skip(j).step_by(width).for_each(|sum| *sum = 0.0);
                    }
                    sink(&mut s.sink, Cell { i, first: j0, sums, counts }, row);
                }
            }
        }
    });
}

/// Copies the votes of a tile: for each part, its lanes of every minipatch in turn.
fn copy_votes<V: Vote>(
    votes: &[V],
    ensemble: &Ensemble<'_>,
    rows: Range<usize>,
    patches: Range<usize>,
    tile: &mut [V],
) {
    let (n, k) = (ensemble.n_samples(), ensemble.n_classes);
    let of_patch = |b: usize| &votes[(b * n + rows.start) * k..][..rows.len() * k];
    patches.clone().for_each(|b| prefetch(of_patch(b)));
    for (t, b) in patches.enumerate() {
        for (part, votes) in of_patch(b).chunks(V::PART).enumerate() {
            tile[(part * TILE + t) * V::PART..][..votes.len()].copy_from_slice(votes);
        }
        for (offset, i) in rows.clone().enumerate() {
            if !ensemble.voters.contains(b, i) {
                for lane in offset * k..(offset + 1) * k {
                    tile[(lane / V::PART * TILE + t) * V::PART + lane % V::PART] = V::default();
                }
            }
        }
    }
}

dispatch! {
    /// Adds a tile's votes to the sums of each feature.
    fn add_tile_single(tile: &[f32], members: &[u8], starts: &[u32], held: &mut [f64]) = add_tile::<f32, { 512 / 32 }>
}

dispatch! {
    /// Adds a tile's votes to the sums of each feature.
    fn add_tile_double(tile: &[f64], members: &[u8], starts: &[u32], held: &mut [f64]) = add_tile::<f64, { 512 / 64 }>
}

/// `Q` votes fill a 512-bit register; four registers of sums hide the latency of an addition.
#[inline(always)]
fn add_tile<V: Vote, const Q: usize>(tile: &[V], members: &[u8], starts: &[u32], held: &mut [f64]) {
    for (range, held) in starts.windows(2).zip(held.chunks_exact_mut(4 * Q)) {
        let members = &members[range[0] as usize..range[1] as usize];
        // Four arrays with names of their own: as one array of arrays they would live in memory.
        let mut s0 = [V::default(); Q];
        let (mut s1, mut s2, mut s3) = (s0, s0, s0);
        for &t in members {
            let votes = &tile[usize::from(t) * 4 * Q..][..4 * Q];
            add_votes(&mut s0, &votes[..Q]);
            add_votes(&mut s1, &votes[Q..2 * Q]);
            add_votes(&mut s2, &votes[2 * Q..3 * Q]);
            add_votes(&mut s3, &votes[3 * Q..]);
        }
        add_sums(&mut held[..Q], &s0);
        add_sums(&mut held[Q..2 * Q], &s1);
        add_sums(&mut held[2 * Q..3 * Q], &s2);
        add_sums(&mut held[3 * Q..], &s3);
    }
}

#[inline(always)]
fn add_votes<V: Vote, const Q: usize>(sums: &mut [V; Q], votes: &[V]) {
    for lane in 0..Q {
        sums[lane] += votes[lane];
    }
}

#[inline(always)]
fn add_sums<V: Vote, const Q: usize>(held: &mut [f64], sums: &[V; Q]) {
    for lane in 0..Q {
        held[lane] += sums[lane].into();
    }
}

dispatch! {
    /// `sums[j] = total - held[j][lane]`, 0 within `rounding * total`.
    fn subtract(total: f64, held: &[f64], lanes: usize, lane: usize, rounding: f64, sums: &mut [f64])
        = subtract_body
}

#[inline(always)]
fn subtract_body(total: f64, held: &[f64], lanes: usize, lane: usize, rounding: f64, sums: &mut [f64]) {
    let least = rounding * total.abs();
    for (j, sum) in sums.iter_mut().enumerate() {
        let rest = total - held[j * lanes + lane];
        *sum = if rest.abs() > least { rest } else { 0.0 };
    }
}
