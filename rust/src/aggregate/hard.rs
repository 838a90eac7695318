//! Hard votes: the minipatches that vote for one class on one observation are a list of feature masks, whose
//! positional popcounts say how many of them hold each feature.
//!
//! Cost: `B N K / 32` vector operations to tell the classes' voters apart, and `B N M / 64` words read, a few
//! operations each.

use super::ballots;
use super::popcount::Masks;
use super::{Cell, FEATURES, for_each_block};
use crate::bits::list_ones;
use crate::parallel::Workers;
use crate::simd::Level;
use crate::votes::{Ensemble, LeaveOneOut};

struct Scratch<S> {
    /// For each observation of the block and each class, who votes for it.
    ballots: Vec<u64>,
    /// The voters for each class of one observation, and where each class ends.
    voters: Vec<u32>,
    ends: Vec<usize>,
    held: [u32; FEATURES],
    sums: Vec<f64>,
    counts: Vec<f64>,
    sink: S,
}

#[allow(clippy::too_many_arguments)]
pub(super) fn run<T: Send, S>(
    level: Level,
    votes: &[u16],
    ensemble: &Ensemble<'_>,
    loo: &LeaveOneOut,
    workers: Workers<'_>,
    out: &mut [T],
    per_row: usize,
    scratch: &(impl Fn() -> S + Sync),
    sink: &(impl Fn(&mut S, Cell<'_>, &mut [T]) + Sync),
) {
    let (m, k) = (ensemble.n_features(), ensemble.n_classes);
    let voted_by = ensemble.voters.transpose();
    let words = voted_by.stride();
    let masks = Masks::new(ensemble.holds);
    let width = m.min(FEATURES);
    let state = || Scratch {
        ballots: vec![0; ballots::BLOCK * k * words],
        voters: vec![0; ensemble.n_patches() + 64],
        ends: vec![0; k],
        held: [0; FEATURES],
        sums: vec![0.0; width * k],
        counts: vec![0.0; width],
        sink: scratch(),
    };
    for_each_block(workers, out, per_row, ballots::BLOCK, state, |s, first, rows| {
        let ballots = &mut s.ballots[..rows.len() / per_row * k * words];
        ballots::cast(level, votes, k, &voted_by, first, ballots);
        for (offset, row) in rows.chunks_exact_mut(per_row).enumerate() {
            let i = first + offset;
            let of_one = &ballots[offset * k * words..][..k * words];
            list_ones(level, of_one, words, &mut s.voters, &mut s.ends);
            for (chunk, j0) in (0..m).step_by(FEATURES).enumerate() {
                let width = FEATURES.min(m - j0);
                let counts = &mut s.counts[..width];
                counts.fill(f64::from(loo.counts[i]));
                let mut start = 0;
                for (class, sums) in s.sums[..width * k].chunks_exact_mut(width).enumerate() {
                    let voters = &s.voters[start..s.ends[class]];
                    start = s.ends[class];
                    masks.count(level, chunk, voters, &mut s.held);
                    let total = loo.totals[i * k + class];
                    subtract(level, total, &s.held, sums, counts);
                }
                let cell = Cell { i, first: j0, sums: &s.sums[..width * k], counts: &s.counts[..width] };
                sink(&mut s.sink, cell, row);
            }
        }
    });
}

dispatch! {
    /// Takes one class's voters that hold each feature from its votes and from the number of voters.
    fn subtract(total: f64, held: &[u32], sums: &mut [f64], counts: &mut [f64]) = subtract_body
}

#[inline(always)]
fn subtract_body(total: f64, held: &[u32], sums: &mut [f64], counts: &mut [f64]) {
    for ((sum, count), &held) in sums.iter_mut().zip(counts).zip(held) {
        *sum = total - f64::from(held);
        *count -= f64::from(held);
    }
}
