//! The predictions of an ensemble, and their leave-one-out sums.

use crate::bits::BitMatrix;
use crate::error::{Error, Result};
use crate::parallel::{Workers, for_each_chunk};

/// One prediction per minipatch and observation, in the order (minipatch, observation[, class]).
#[derive(Debug, Clone, Copy)]
pub enum Votes<'a> {
    /// Hard votes: the class. Entries of observations that the minipatch does not vote on mean nothing.
    Hard(&'a [u16]),
    /// Soft votes in single precision: the probability of each class.
    Single(&'a [f32]),
    /// Soft votes in double precision.
    Double(&'a [f64]),
}

/// An ensemble as the aggregation sees it.
#[derive(Debug, Clone, Copy)]
pub struct Ensemble<'a> {
    /// The predictions.
    pub votes: Votes<'a>,
    /// B x N: the observations that each minipatch votes on (it leaves them out, and it was trained at all).
    pub voters: &'a BitMatrix,
    /// B x M: the features that each minipatch holds.
    pub holds: &'a BitMatrix,
    /// K.
    pub n_classes: usize,
}

impl Ensemble<'_> {
    /// B, the number of minipatches.
    pub fn n_patches(&self) -> usize {
        self.voters.rows()
    }

    /// N, the number of observations.
    pub fn n_samples(&self) -> usize {
        self.voters.columns()
    }

    /// M, the number of features (or of sets of features, when `holds` says which minipatches touch a set).
    pub fn n_features(&self) -> usize {
        self.holds.columns()
    }

    /// Checks that the parts fit together and that every hard vote names a class.
    pub fn validate(&self) -> Result<()> {
        let (b, n, k) = (self.n_patches(), self.n_samples(), self.n_classes);
        if k == 0 || k > usize::from(u16::MAX) {
            return Err(Error::value("the number of classes", k, "1 to 65535"));
        }
        if self.holds.rows() != b && self.n_features() > 0 {
            return Err(Error::shape(
                "the features held",
                format!("{} minipatches", self.holds.rows()),
                format!("{b}"),
            ));
        }
        let (got, per_vote) = match self.votes {
            Votes::Hard(votes) => (votes.len(), 1),
            Votes::Single(votes) => (votes.len(), k),
            Votes::Double(votes) => (votes.len(), k),
        };
        if got != b * n * per_vote {
            return Err(Error::shape(
                "the predictions",
                format!("{got} entries"),
                format!("{b} minipatches x {n} observations x {per_vote}"),
            ));
        }
        if let Votes::Hard(votes) = self.votes
            && usize::from(votes.iter().copied().max().unwrap_or(0)) >= k
        {
            // Some vote names no class; that matters only if it counts.
            for row in 0..b {
                for i in 0..n {
                    let vote = votes[row * n + i];
                    if usize::from(vote) >= k && self.voters.contains(row, i) {
                        return Err(Error::value(
                            "a predicted class",
                            format!("{vote} (minipatch {row}, observation {i})"),
                            format!("0 to {}", k - 1),
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Sums over the minipatches that leave an observation out.
#[derive(Debug, Clone)]
pub struct LeaveOneOut {
    /// N x K sums of votes.
    pub totals: Vec<f64>,
    /// N: how many minipatches voted.
    pub counts: Vec<u32>,
}

/// Observations that are added up together: one word of the voters' bits.
const BLOCK: usize = 64;

/// Adds up `H`'s numerators and denominators, minipatch by minipatch in their order, in f64.
pub fn leave_one_out(ensemble: &Ensemble<'_>, workers: Workers<'_>) -> LeaveOneOut {
    let (n, k) = (ensemble.n_samples(), ensemble.n_classes);
    // One row of K sums and the number of voters, so that one task owns all of an observation.
    let mut sums = vec![0.0f64; n * (k + 1)];
    let tally = || vec![0u32; BLOCK * (k + 1)];
    for_each_chunk(workers, &mut sums, BLOCK * (k + 1), tally, |tally, block, part| match ensemble.votes {
        Votes::Hard(votes) => count_votes(ensemble, votes, block, tally, part),
        Votes::Single(votes) => sum_votes(ensemble, votes, block, part),
        Votes::Double(votes) => sum_votes(ensemble, votes, block, part),
    });
    LeaveOneOut {
        totals: sums.chunks_exact(k + 1).flat_map(|row| row[..k].iter().copied()).collect(),
        counts: sums.chunks_exact(k + 1).map(|row| row[k] as u32).collect(),
    }
}

/// Hard votes of 64 observations. Who votes is random, so a branch on it would be mispredicted: votes that do
/// not count go to a class of their own.
fn count_votes(ensemble: &Ensemble<'_>, votes: &[u16], block: usize, tally: &mut [u32], sums: &mut [f64]) {
    let (n, k) = (ensemble.n_samples(), ensemble.n_classes);
    tally.fill(0);
    for b in 0..ensemble.n_patches() {
        let voters = ensemble.voters.row(b)[block];
        let row = &votes[b * n + block * BLOCK..][..sums.len() / (k + 1)];
        for (offset, (&vote, tally)) in row.iter().zip(tally.chunks_exact_mut(k + 1)).enumerate() {
            let class = if voters >> offset & 1 == 1 { usize::from(vote) } else { k };
            tally[class] += 1;
        }
    }
    for (sums, tally) in sums.chunks_exact_mut(k + 1).zip(tally.chunks_exact(k + 1)) {
        sums.iter_mut().zip(tally).for_each(|(sum, &count)| *sum = f64::from(count));
        sums[k] = ensemble.n_patches() as f64 - sums[k];
    }
}

/// Soft votes of 64 observations.
fn sum_votes<V: Copy + Into<f64>>(ensemble: &Ensemble<'_>, votes: &[V], block: usize, sums: &mut [f64]) {
    let (n, k) = (ensemble.n_samples(), ensemble.n_classes);
    for b in 0..ensemble.n_patches() {
        let voters = ensemble.voters.row(b)[block];
        for (offset, sums) in sums.chunks_exact_mut(k + 1).enumerate() {
            if voters >> offset & 1 == 1 {
                let at = (b * n + block * BLOCK + offset) * k;
                sums.iter_mut().zip(&votes[at..at + k]).for_each(|(sum, &vote)| *sum += vote.into());
                sums[k] += 1.0;
            }
        }
    }
}
