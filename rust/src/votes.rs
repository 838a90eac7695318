//! The predictions of an ensemble, and their leave-one-out sums.

use crate::bits::BitMatrix;
use crate::error::{Error, Result};
use crate::parallel::{Workers, for_each_chunk};
use crate::simd::{self, prefetch};

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

/// Adds up `H`'s numerators and denominators, minipatch by minipatch in their order, in f64.
pub fn leave_one_out(ensemble: &Ensemble<'_>, workers: Workers<'_>) -> LeaveOneOut {
    let (level, n, k) = (simd::level(), ensemble.n_samples(), ensemble.n_classes);
    // One row of K sums and the number of voters, so that one task owns all of an observation.
    let row = k + 1;
    let mut sums = vec![0.0f64; n * row];
    let block = if matches!(ensemble.votes, Votes::Hard(_)) { HARD_BLOCK } else { SOFT_BLOCK };
    let sum_up = |(): &mut (), index, part: &mut [f64]| match ensemble.votes {
        Votes::Hard(votes) => count_votes(level, ensemble, votes, index * block, part),
        Votes::Single(votes) => sum_votes(level, ensemble, votes, index * block, part),
        Votes::Double(votes) => sum_votes(level, ensemble, votes, index * block, part),
    };
    for_each_chunk(workers, &mut sums, block * row, || (), sum_up);
    LeaveOneOut {
        totals: sums.chunks_exact(row).flat_map(|row| row[..k].iter().copied()).collect(),
        counts: sums.chunks_exact(row).map(|row| row[k] as u32).collect(),
    }
}

/// Observations of hard votes that are worked on together: a few cache lines.
const HARD_BLOCK: usize = 128;
/// Observations of soft votes that are worked on together: half a word of the voters' bits.
const SOFT_BLOCK: usize = 32;

dispatch! {
    /// Hard votes of a block of observations.
    fn count_votes(ensemble: &Ensemble<'_>, votes: &[u16], first: usize, sums: &mut [f64]) = count_votes_body
}

/// Each class is compared with the votes of a tile of minipatches, and the hits are counted in the votes' own lanes.
#[inline(always)]
fn count_votes_body(ensemble: &Ensemble<'_>, votes: &[u16], first: usize, sums: &mut [f64]) {
    const TILE: usize = 32;
    const ABSTAINS: u16 = u16::MAX;
    let (n, k, patches) = (ensemble.n_samples(), ensemble.n_classes, ensemble.n_patches());
    let here = sums.len() / (k + 1);
    let mut counts = vec![[0u32; HARD_BLOCK]; k];
    let mut tile = [[ABSTAINS; HARD_BLOCK]; TILE];
    for b0 in (0..patches).step_by(TILE) {
        let rows = &mut tile[..TILE.min(patches - b0)];
        for (b, row) in (b0..).zip(&mut *rows) {
            if b + TILE < patches {
                prefetch(&votes[(b + TILE) * n + first..][..here]);
            }
            row[..here].copy_from_slice(&votes[b * n + first..][..here]);
            let words = &ensemble.voters.row(b)[first / 64..];
            for (votes, &word) in row.as_chunks_mut::<64>().0.iter_mut().zip(words) {
                for (votes, bits) in votes.as_chunks_mut::<16>().0.iter_mut().zip([0, 16, 32, 48]) {
                    let voters = (word >> bits) as u16;
                    for (lane, vote) in votes.iter_mut().enumerate() {
                        // No branch: ones everywhere where the bit is 0.
                        *vote |= (voters >> lane & 1).wrapping_sub(1);
                    }
                }
            }
        }
        for (class, counts) in counts.iter_mut().enumerate() {
            let mut hits = [0u16; HARD_BLOCK];
            for row in &*rows {
                for lane in 0..HARD_BLOCK {
                    hits[lane] += u16::from(row[lane] == class as u16);
                }
            }
            counts.iter_mut().zip(hits).for_each(|(count, hits)| *count += u32::from(hits));
        }
    }
    for (lane, sums) in sums.chunks_exact_mut(k + 1).enumerate() {
        sums.iter_mut().zip(&counts).for_each(|(sum, counts)| *sum = f64::from(counts[lane]));
        sums[k] = sums[..k].iter().sum();
    }
}

/// A vote of any precision.
trait Probability: Copy + Into<f64> {}
impl<V: Copy + Into<f64>> Probability for V {}

dispatch! {
    /// Soft votes of a block of observations.
    fn sum_votes<V: Probability>(ensemble: &Ensemble<'_>, votes: &[V], first: usize, sums: &mut [f64]) = sum_votes_body
}

#[inline(always)]
fn sum_votes_body<V: Probability>(ensemble: &Ensemble<'_>, votes: &[V], first: usize, sums: &mut [f64]) {
    /// Minipatches that memory is asked for ahead of their turn.
    const AHEAD: usize = 8;
    let (n, k, patches) = (ensemble.n_samples(), ensemble.n_classes, ensemble.n_patches());
    let here = sums.len() / (k + 1);
    let row = |b: usize| &votes[(b * n + first) * k..][..here * k];
    // Observation and class are one index: its observation, and its sum.
    let owner: Vec<u32> = (0..here * k).map(|lane| (lane / k) as u32).collect();
    let mut totals = vec![0.0; here * k];
    let mut counts = [0u32; SOFT_BLOCK];
    for b in 0..patches {
        if b + AHEAD < patches {
            prefetch(row(b + AHEAD));
        }
        let voters = (ensemble.voters.row(b)[first / 64] >> (first % 64)) as u32;
        for ((total, &owner), &vote) in totals.iter_mut().zip(&owner).zip(row(b)) {
            // No branch: which observations vote cannot be foreseen.
            *total += if voters >> owner & 1 == 1 { vote.into() } else { 0.0 };
        }
        for (lane, count) in counts.iter_mut().enumerate() {
            *count += voters >> lane & 1;
        }
    }
    for ((sums, totals), count) in sums.chunks_exact_mut(k + 1).zip(totals.chunks_exact(k)).zip(counts) {
        sums[..k].copy_from_slice(totals);
        sums[k] = f64::from(count);
    }
}
