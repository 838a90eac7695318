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
        if let Votes::Hard(votes) = self.votes {
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

/// Adds up `H`'s numerators and denominators, minipatch by minipatch in their order, in f64.
pub fn leave_one_out(ensemble: &Ensemble<'_>, workers: Workers<'_>) -> LeaveOneOut {
    let (patches, n, k) = (ensemble.n_patches(), ensemble.n_samples(), ensemble.n_classes);
    // One row of K sums and the count, so that one task owns all of an observation.
    let mut sums = vec![0.0f64; n * (k + 1)];
    const BLOCK: usize = 64;
    for_each_chunk(
        workers,
        &mut sums,
        BLOCK * (k + 1),
        || (),
        |(), block, part| {
            let first = block * BLOCK;
            for b in 0..patches {
                for (offset, row) in part.chunks_exact_mut(k + 1).enumerate() {
                    let i = first + offset;
                    if !ensemble.voters.contains(b, i) {
                        continue;
                    }
                    row[k] += 1.0;
                    let at = b * n + i;
                    match ensemble.votes {
                        Votes::Hard(votes) => row[usize::from(votes[at])] += 1.0,
                        Votes::Single(votes) => {
                            add(&mut row[..k], votes[at * k..(at + 1) * k].iter().map(|&p| f64::from(p)));
                        }
                        Votes::Double(votes) => {
                            add(&mut row[..k], votes[at * k..(at + 1) * k].iter().copied());
                        }
                    }
                }
            }
        },
    );
    LeaveOneOut {
        totals: sums.chunks_exact(k + 1).flat_map(|row| row[..k].iter().copied()).collect(),
        counts: sums.chunks_exact(k + 1).map(|row| row[k] as u32).collect(),
    }
}

#[inline(always)]
fn add(sums: &mut [f64], values: impl Iterator<Item = f64>) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}
