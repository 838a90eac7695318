//! Soft votes: for each block of observations, the sum over the minipatches that hold a feature.
//!
//! The votes of a block are `lanes = observations x classes` numbers a minipatch, padded to whole vectors. A
//! tile of minipatches is copied to the first-level cache (with zeros for observations that a minipatch does
//! not vote on); then, for each feature, the tile's minipatches that hold it are added lane by lane, in
//! registers and in the votes' own precision, and the tile's sum is added to the feature's f64 sums. With
//! single-precision votes the rounding error is that of `TILE` additions, whatever B is; with double-precision
//! votes everything is double.
//!
//! What is left of a class after the subtraction may be pure rounding. With double-precision votes, a difference
//! that is no larger than the rounding of the two sums counts as the 0 it almost always is (losses with a
//! logarithm would see the difference). Where no voter is left, the sums are 0 whatever the precision.
//!
//! Cost: `B N K m` additions. No lane is ever added to another, so the order of every sum is that of the
//! minipatches, for any instruction set and number of threads.

use super::{Cell, FEATURES, for_each_block};
use crate::parallel::Workers;
use crate::simd::Level;
use crate::votes::{Ensemble, LeaveOneOut};

/// Minipatches that are added up in the votes' own precision.
const TILE: usize = 64;

/// The precision of the votes.
pub(super) trait Vote: Copy + Default + Send + Sync + std::ops::AddAssign + Into<f64> {
    /// Lanes that are summed together: eight 512-bit registers.
    const LANES: usize;
    /// Relative rounding for each vote added, up to which a difference of sums is 0. Not for single precision:
    /// its tiles round more coarsely than small probabilities are.
    const ROUNDING: f64;
    /// [`add_tile`] for this precision and the instruction set at hand.
    fn add_tile(level: Level, tile: &[Self], members: &[u8], starts: &[u32], lanes: usize, held: &mut [f64]);
}

impl Vote for f32 {
    const LANES: usize = 128;
    const ROUNDING: f64 = 0.0;
    fn add_tile(level: Level, tile: &[f32], members: &[u8], starts: &[u32], lanes: usize, held: &mut [f64]) {
        add_tile_single(level, tile, members, starts, lanes, held);
    }
}

impl Vote for f64 {
    const LANES: usize = 64;
    const ROUNDING: f64 = f64::EPSILON;
    fn add_tile(level: Level, tile: &[f64], members: &[u8], starts: &[u32], lanes: usize, held: &mut [f64]) {
        add_tile_double(level, tile, members, starts, lanes, held);
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
                let mut rest = by_feature.row(j)[tile];
                while rest != 0 {
                    holders.members.push(rest.trailing_zeros() as u8);
                    rest &= rest - 1;
                }
                holders.starts.push(holders.members.len() as u32);
            }
        }
        holders
    }
}

struct Scratch<V, S> {
    tile: Vec<V>,
    held: Vec<f64>,
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
    let (n, m, k) = (ensemble.n_samples(), ensemble.n_features(), ensemble.n_classes);
    let block = (V::LANES / k).max(1);
    let lanes = (block * k).next_multiple_of(V::LANES);
    let width = m.min(FEATURES);
    let holders = Holders::new(ensemble);
    let held_by = ensemble.holds.transpose();
    let voted_by = ensemble.voters.transpose();
    let state = || Scratch {
        tile: vec![V::default(); TILE * lanes],
        held: vec![0.0; width * lanes],
        sums: vec![0.0; width * k],
        counts: vec![0.0; width],
        sink: scratch(),
    };
    for_each_block(workers, out, per_row, block, state, |s, first, rows| {
        let here = block.min(n - first);
        for j0 in (0..m).step_by(FEATURES) {
            let width = FEATURES.min(m - j0);
            let held = &mut s.held[..width * lanes];
            held.fill(0.0);
            for (tile, b0) in (0..ensemble.n_patches()).step_by(TILE).enumerate() {
                let patches = TILE.min(ensemble.n_patches() - b0);
                for t in 0..patches {
                    let b = b0 + t;
                    let target = &mut s.tile[t * lanes..][..here * k];
                    target.copy_from_slice(&votes[(b * n + first) * k..][..here * k]);
                    for (offset, of_one) in target.chunks_exact_mut(k).enumerate() {
                        if !ensemble.voters.contains(b, first + offset) {
                            of_one.fill(V::default());
                        }
                    }
                }
                let starts = &holders.starts[tile * m + j0..][..width + 1];
                V::add_tile(level, &s.tile, &holders.members, starts, lanes, held);
            }
            for (offset, row) in rows.chunks_exact_mut(per_row).enumerate() {
                let i = first + offset;
                let total = &loo.totals[i * k..(i + 1) * k];
                let (sums, counts) = (&mut s.sums[..width * k], &mut s.counts[..width]);
                let rounding = V::ROUNDING * f64::from(loo.counts[i]);
                subtract(level, held, lanes, offset * k, total, rounding, sums);
                count(level, voted_by.row(i), &held_by, j0, loo.counts[i], counts);
                for (j, _) in counts.iter().enumerate().filter(|&(_, &count)| count == 0.0) {
                    sums.iter_mut().skip(j).step_by(width).for_each(|sum| *sum = 0.0);
                }
                let cell = Cell { i, first: j0, sums, counts };
                sink(&mut s.sink, cell, row);
            }
        }
    });
}

dispatch! {
    /// Adds a tile's votes to the sums of each feature.
    fn add_tile_single(tile: &[f32], members: &[u8], starts: &[u32], lanes: usize, held: &mut [f64])
        = add_tile::<f32, { 512 / 32 }>
}

dispatch! {
    /// Adds a tile's votes to the sums of each feature.
    fn add_tile_double(tile: &[f64], members: &[u8], starts: &[u32], lanes: usize, held: &mut [f64])
        = add_tile::<f64, { 512 / 64 }>
}

/// `Q` votes fill a 512-bit register; eight registers of sums hide the latency of an addition.
#[inline(always)]
fn add_tile<V: Vote, const Q: usize>(
    tile: &[V],
    members: &[u8],
    starts: &[u32],
    lanes: usize,
    held: &mut [f64],
) {
    for (range, held) in starts.windows(2).zip(held.chunks_exact_mut(lanes)) {
        let members = &members[range[0] as usize..range[1] as usize];
        if members.is_empty() {
            continue;
        }
        for (part, held) in held.chunks_exact_mut(8 * Q).enumerate() {
            // Eight arrays with names of their own: as one array of arrays they would live in memory.
            let mut s0 = [V::default(); Q];
            let (mut s1, mut s2, mut s3, mut s4, mut s5, mut s6, mut s7) = (s0, s0, s0, s0, s0, s0, s0);
            for &t in members {
                let votes = &tile[usize::from(t) * lanes + part * 8 * Q..][..8 * Q];
                add_votes(&mut s0, &votes[..Q]);
                add_votes(&mut s1, &votes[Q..2 * Q]);
                add_votes(&mut s2, &votes[2 * Q..3 * Q]);
                add_votes(&mut s3, &votes[3 * Q..4 * Q]);
                add_votes(&mut s4, &votes[4 * Q..5 * Q]);
                add_votes(&mut s5, &votes[5 * Q..6 * Q]);
                add_votes(&mut s6, &votes[6 * Q..7 * Q]);
                add_votes(&mut s7, &votes[7 * Q..8 * Q]);
            }
            add_sums(&mut held[..Q], &s0);
            add_sums(&mut held[Q..2 * Q], &s1);
            add_sums(&mut held[2 * Q..3 * Q], &s2);
            add_sums(&mut held[3 * Q..4 * Q], &s3);
            add_sums(&mut held[4 * Q..5 * Q], &s4);
            add_sums(&mut held[5 * Q..6 * Q], &s5);
            add_sums(&mut held[6 * Q..7 * Q], &s6);
            add_sums(&mut held[7 * Q..8 * Q], &s7);
        }
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
    /// `sums[k][j] = total[k] - held[j][at + k]`, 0 within `rounding * total[k]`: from feature-major lanes to
    /// one row a class.
    fn subtract(held: &[f64], lanes: usize, at: usize, total: &[f64], rounding: f64, sums: &mut [f64])
        = subtract_body
}

#[inline(always)]
fn subtract_body(held: &[f64], lanes: usize, at: usize, total: &[f64], rounding: f64, sums: &mut [f64]) {
    let width = held.len() / lanes;
    for (k, (row, &total)) in sums.chunks_exact_mut(width).zip(total).enumerate() {
        let least = rounding * total.abs();
        for (j, sum) in row.iter_mut().enumerate() {
            let rest = total - held[j * lanes + at + k];
            *sum = if rest.abs() > least { rest } else { 0.0 };
        }
    }
}

dispatch! {
    /// How many voters do not hold each of the features from `j0`.
    fn count(voted: &[u64], held_by: &crate::bits::BitMatrix, j0: usize, total: u32, counts: &mut [f64]) = count_body
}

#[inline(always)]
fn count_body(voted: &[u64], held_by: &crate::bits::BitMatrix, j0: usize, total: u32, counts: &mut [f64]) {
    for (j, count) in counts.iter_mut().enumerate() {
        let mut both = 0u32;
        for (v, h) in voted.iter().zip(held_by.row(j0 + j)) {
            both += (v & h).count_ones();
        }
        *count = f64::from(total - both);
    }
}
