//! Leave-one-covariate-out sums for every (observation, feature), streamed to whoever wants them.
//!
//! For observation `i` and feature `j` the sums run over the minipatches that leave out `i` and do not hold
//! `j`. They are taken as the difference of the sums over all minipatches that leave out `i`
//! ([`LeaveOneOut`]) and over those that do hold `j`, which are the fewer: `soft.rs` and `hard.rs` compute
//! the latter. (But see [`Sums`].) N x M x K numbers exist only a block of observations at a time.
//!
//! Memory, beside the inputs: `threads * (block * features * K)` and the caller's output; for hard votes also `4 B K` bytes
//! of ballots a thread.

mod ballots;
mod hard;
mod popcount;
mod soft;

use crate::error::Result;
use crate::loss::Loss;
use crate::memory::zeros;
use crate::parallel::{Workers, for_each_chunk};
use crate::simd;
use crate::votes::{Ensemble, LeaveOneOut, Votes};

/// Features that are worked on together: their sums stay in the second-level cache.
pub(crate) const FEATURES: usize = 512;

/// How sums of soft votes over the minipatches without a feature come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// What the minipatches with it leave of all: the fewer additions. Off by the rounding of both sums.
    Left,
    /// By adding them up, so that a sum keeps its digits however small it is, which a logarithm sees.
    Added,
}

/// What is known of one observation for features `first..first + counts.len()`.
pub struct Cell<'a> {
    /// The observation.
    pub i: usize,
    /// The first feature.
    pub first: usize,
    /// Sums of votes, K rows of `counts.len()`.
    pub sums: &'a [f64],
    /// How many minipatches voted, for each feature.
    pub counts: &'a [f64],
}

/// Calls `sink(scratch, cell, row)` for every observation and block of features; `row` is the observation's
/// own `per_row` entries of `out`.
///
/// The sums of a feature that no minipatch holds are those of [`LeaveOneOut`], bit for bit. (Hard votes are counted, and
/// single-precision ones rounded in any case: for both, differences serve as well.)
#[allow(clippy::too_many_arguments)]
pub fn for_each_cell<T: Send, S>(
    ensemble: &Ensemble<'_>,
    loo: &LeaveOneOut,
    how: Sums,
    workers: Workers<'_>,
    out: &mut [T],
    per_row: usize,
    scratch: impl Fn() -> S + Sync,
    sink: impl Fn(&mut S, Cell<'_>, &mut [T]) + Sync,
) {
    let level = simd::level();
    if per_row == 0 || out.is_empty() || ensemble.n_features() == 0 {
        return;
    }
    match ensemble.votes {
        Votes::Hard(votes) => hard::run(level, votes, ensemble, loo, workers, out, per_row, &scratch, &sink),
        Votes::Single(votes) => {
            soft::run(level, votes, ensemble, loo, Sums::Left, workers, out, per_row, &scratch, &sink)
        }
        Votes::Double(votes) => {
            soft::run(level, votes, ensemble, loo, how, workers, out, per_row, &scratch, &sink)
        }
    }
}

/// The losses of `H` itself: N x L, NaN where there is no vote or no label.
pub fn loo_losses(loo: &LeaveOneOut, labels: &[i32], losses: &[Loss]) -> Vec<f64> {
    let n_classes = loo.totals.len().checked_div(loo.counts.len()).unwrap_or(0);
    let mut out = vec![f64::NAN; loo.counts.len() * losses.len()];
    let mut work = [0.0];
    for (i, &label) in labels.iter().enumerate().filter(|&(_, &label)| label >= 0) {
        let sums = &loo.totals[i * n_classes..(i + 1) * n_classes];
        for (l, loss) in losses.iter().enumerate() {
            let at = i * losses.len() + l;
            loss.evaluate(label as usize, sums, &[f64::from(loo.counts[i])], &mut work, &mut out[at..=at]);
        }
    }
    out
}

/// `D_j(i)` for each loss, N x L x M: the loss of `H^-j` minus the loss of `H`, NaN where either has no vote
/// or the observation no label.
pub fn sample_scores(
    ensemble: &Ensemble<'_>,
    loo: &LeaveOneOut,
    labels: &[i32],
    losses: &[Loss],
    workers: Workers<'_>,
) -> Result<Vec<f64>> {
    let (m, l) = (ensemble.n_features(), losses.len());
    let base = loo_losses(loo, labels, losses);
    let mut out = zeros(ensemble.n_samples() * l * m, "the scores of single observations")?;
    let level = simd::level();
    let scratch = || vec![0.0; FEATURES];
    let how = if losses.contains(&Loss::Log) { Sums::Added } else { Sums::Left };
    for_each_cell(ensemble, loo, how, workers, &mut out, l * m, scratch, |work: &mut Vec<f64>, cell, row| {
        let width = cell.counts.len();
        for (index, loss) in losses.iter().enumerate() {
            let part = &mut row[index * m + cell.first..][..width];
            if labels[cell.i] < 0 {
                part.fill(f64::NAN);
                continue;
            }
            loss.evaluate_at(level, labels[cell.i] as usize, cell.sums, cell.counts, work, part);
            let without_loss = base[cell.i * l + index];
            part.iter_mut().for_each(|value| *value -= without_loss);
        }
    });
    Ok(out)
}

/// The class with most votes of every `H^-j(i)` (ties: the smallest), N x M; `NO_VOTE` where there is none.
pub fn majorities(ensemble: &Ensemble<'_>, loo: &LeaveOneOut, workers: Workers<'_>) -> Vec<u16> {
    let m = ensemble.n_features();
    let mut out = vec![NO_VOTE; ensemble.n_samples() * m];
    for_each_cell(
        ensemble,
        loo,
        Sums::Left,
        workers,
        &mut out,
        m,
        || (),
        |(), cell, row| {
            let width = cell.counts.len();
            for (j, winner) in row[cell.first..][..width].iter_mut().enumerate() {
                if cell.counts[j] > 0.0 {
                    *winner = first_largest(cell.sums.iter().skip(j).step_by(width));
                }
            }
        },
    );
    out
}

/// Marks an observation without votes in [`majorities`].
pub const NO_VOTE: u16 = u16::MAX;

/// The class with most votes of `H(i)`, ties to the smallest; `NO_VOTE` where there is none.
pub fn loo_majorities(loo: &LeaveOneOut) -> Vec<u16> {
    let n_classes = loo.totals.len().checked_div(loo.counts.len()).unwrap_or(0);
    (loo.counts.iter().enumerate())
        .map(|(i, &count)| match count {
            0 => NO_VOTE,
            _ => first_largest(loo.totals[i * n_classes..(i + 1) * n_classes].iter()),
        })
        .collect()
}

fn first_largest<'a>(values: impl Iterator<Item = &'a f64>) -> u16 {
    let mut best = (0, f64::NEG_INFINITY);
    for (k, &value) in values.enumerate() {
        if value > best.1 {
            best = (k as u16, value);
        }
    }
    best.0
}

/// `H^-j(i)` itself, N x M x K (rows of NaN where there is no vote), for losses that are not the core's own.
/// Meant for a few features at a time: restrict `ensemble.holds` to them.
pub fn probabilities(ensemble: &Ensemble<'_>, loo: &LeaveOneOut, workers: Workers<'_>) -> Vec<f64> {
    let (m, k) = (ensemble.n_features(), ensemble.n_classes);
    let mut out = vec![f64::NAN; ensemble.n_samples() * m * k];
    for_each_cell(
        ensemble,
        loo,
        Sums::Added,
        workers,
        &mut out,
        m * k,
        || (),
        |(), cell, row| {
            let width = cell.counts.len();
            for (j, p) in row[cell.first * k..][..width * k].chunks_exact_mut(k).enumerate() {
                if cell.counts[j] > 0.0 {
                    (0..k).for_each(|class| p[class] = cell.sums[class * width + j] / cell.counts[j]);
                }
            }
        },
    );
    out
}

/// Splits `out` into one chunk per block of observations and runs `task(state, first, chunk)` on each.
fn for_each_block<T: Send, S>(
    workers: Workers<'_>,
    out: &mut [T],
    per_row: usize,
    block: usize,
    state: impl Fn() -> S + Sync,
    task: impl Fn(&mut S, usize, &mut [T]) + Sync,
) {
    for_each_chunk(workers, out, block * per_row, state, |state, index, part| {
        task(state, index * block, part);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::BitMatrix;
    use crate::rng::{Purpose, Stream};
    use crate::votes::leave_one_out;
    use proptest::prelude::*;

    /// Sets of very different sizes, some of them empty and some full.
    fn sets(rng: &mut Stream, rows: usize, columns: usize) -> BitMatrix {
        let mut bits = BitMatrix::new(rows, columns);
        for row in 0..rows {
            let share = 1.2 * rng.unit() - 0.1;
            (0..columns)
                .filter(|_| rng.unit() < share)
                .collect::<Vec<_>>()
                .iter()
                .for_each(|&c| bits.insert(row, c));
        }
        bits
    }

    /// `H^-j` from its definition: sums over the minipatches that leave out both, one after the other.
    fn naive(ensemble: &Ensemble<'_>, vote: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
        let (m, k) = (ensemble.n_features(), ensemble.n_classes);
        let mut out = vec![f64::NAN; ensemble.n_samples() * m * k];
        for (cell, p) in out.chunks_exact_mut(k).enumerate() {
            let (i, j) = (cell / m, cell % m);
            let counted = |b: &usize| ensemble.voters.contains(*b, i) && !ensemble.holds.contains(*b, j);
            let patches: Vec<usize> = (0..ensemble.n_patches()).filter(counted).collect();
            for (class, p) in p.iter_mut().enumerate() {
                *p = patches.iter().map(|&b| vote(b, i, class)).sum::<f64>() / patches.len() as f64;
            }
        }
        out
    }

    fn compare(ensemble: &Ensemble<'_>, expected: &[f64], tolerance: f64) {
        let loo = leave_one_out(ensemble, Workers::new(1));
        let got = probabilities(ensemble, &loo, Workers::new(1));
        for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
            let same = (got.is_nan() && expected.is_nan()) || (got - expected).abs() <= tolerance;
            assert!(same, "entry {at}: {got} against {expected}");
        }
        let threaded = probabilities(ensemble, &loo, Workers::new(3));
        assert!(got.iter().zip(&threaded).all(|(a, b)| a.to_bits() == b.to_bits()), "threads change bits");
    }

    #[test]
    fn small_votes_keep_their_digits() {
        // Without the one feature that counts, minipatches hardly ever think of the label.
        const SMALL: f64 = 1e-13;
        for patches in [5usize, 64, 1000, 9999] {
            let (mut holds, mut voters) = (BitMatrix::new(patches, 2), BitMatrix::new(patches, 1));
            let mut votes = Vec::new();
            for b in 0..patches {
                voters.insert(b, 0);
                let p = if b % 5 == 0 {
                    holds.insert(b, 0);
                    1.0
                } else {
                    SMALL
                };
                votes.extend([p, 1.0 - p]);
            }
            let e = Ensemble { votes: Votes::Double(&votes), voters: &voters, holds: &holds, n_classes: 2 };
            let loo = leave_one_out(&e, Workers::new(1));
            let p = probabilities(&e, &loo, Workers::new(1));
            assert!((p[0] / SMALL - 1.0).abs() < 1e-11, "{patches}: {}", p[0]);
            let scores = sample_scores(&e, &loo, &[0], &[Loss::Log], Workers::new(1)).unwrap();
            let all = loo.totals[0] / f64::from(loo.counts[0]);
            assert!((scores[0] - (all / SMALL).ln()).abs() < 1e-11, "{patches}: {}", scores[0]);
            // Nothing holds the other feature.
            assert_eq!((p[2], scores[1]), (all, 0.0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn sums_are_those_of_the_definition(
            seed in any::<u64>(),
            n in prop_oneof![19 => 1usize..75, 1 => 126usize..132],
            m in prop_oneof![1usize..70, 500usize..530, 1020usize..1030],
            k in prop_oneof![Just(1usize), 2usize..9, 33usize..41, 129usize..140],
            patches in prop_oneof![1usize..5, 60usize..70, 120usize..140],
        ) {
            let mut rng = Stream::new(seed, Purpose::Standalone, 0);
            // Large problems are thinned, for the naive twin's sake.
            let (n, m) = (if m > 100 { n.min(6) } else { n }, if k > 100 { m.min(20) } else { m });
            let (voters, holds) = (sets(&mut rng, patches, n), sets(&mut rng, patches, m));
            let hard: Vec<u16> = (0..patches * n)
                // What stands where nobody votes means nothing.
                .map(|at| if voters.contains(at / n, at % n) { rng.below(k) as u16 } else { rng.below(70_000) as u16 })
                .collect();
            let double: Vec<f64> = (0..patches * n * k)
                .map(|at| if voters.contains(at / k / n, at / k % n) { rng.unit() } else { f64::NAN })
                .collect();
            let single: Vec<f32> = double.iter().map(|&p| p as f32).collect();
            let ensemble = |votes| Ensemble { votes, voters: &voters, holds: &holds, n_classes: k };
            let at = |b: usize, i: usize| b * n + i;

            let e = ensemble(Votes::Hard(&hard));
            compare(&e, &naive(&e, |b, i, class| f64::from(u8::from(usize::from(hard[at(b, i)]) == class))), 0.0);
            let e = ensemble(Votes::Double(&double));
            compare(&e, &naive(&e, |b, i, class| double[at(b, i) * k + class]), 1e-12);
            let e = ensemble(Votes::Single(&single));
            compare(&e, &naive(&e, |b, i, class| f64::from(single[at(b, i) * k + class])), 3e-5);
        }
    }
}
