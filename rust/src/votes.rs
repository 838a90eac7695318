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

/// Observations that are worked on together: 16-bit lanes of a 512-bit vector, and half a word of the voters' bits.
pub(crate) const BLOCK: usize = 32;

/// Adds up `H`'s numerators and denominators, minipatch by minipatch in their order, in f64.
pub fn leave_one_out(ensemble: &Ensemble<'_>, workers: Workers<'_>) -> LeaveOneOut {
    let (level, n, k) = (simd::level(), ensemble.n_samples(), ensemble.n_classes);
    // One row of K sums and the number of voters, so that one task owns all of an observation.
    let mut sums = vec![0.0f64; n * (k + 1)];
    let voted_by = ensemble.voters.transpose();
    let ballots = || vec![0; BLOCK * k * voted_by.stride()];
    for_each_chunk(workers, &mut sums, BLOCK * (k + 1), ballots, |ballots, block, part| {
        match ensemble.votes {
            Votes::Hard(votes) => {
                let ballots = &mut ballots[..part.len() / (k + 1) * k * voted_by.stride()];
                cast_ballots(level, votes, k, &voted_by, block * BLOCK, ballots);
                count_ballots(ballots, ensemble, part);
            }
            Votes::Single(votes) => sum_votes(level, ensemble, votes, &voted_by, block, part),
            Votes::Double(votes) => sum_votes(level, ensemble, votes, &voted_by, block, part),
        }
    });
    LeaveOneOut {
        totals: sums.chunks_exact(k + 1).flat_map(|row| row[..k].iter().copied()).collect(),
        counts: sums.chunks_exact(k + 1).map(|row| row[k] as u32).collect(),
    }
}

dispatch! {
    /// Who votes for what: for each observation `i` of the block that begins at `first` (as many as `ballots` has room
    /// for) and each class, the set of minipatches that vote for it. `voted_by` is the voters transposed.
    pub(crate) fn cast_ballots(votes: &[u16], n_classes: usize, voted_by: &BitMatrix, first: usize, ballots: &mut [u64])
        = cast_ballots_body
}

/// Each class is compared with the votes of 64 minipatches on all observations of the block.
#[inline(always)]
fn cast_ballots_body(
    votes: &[u16],
    n_classes: usize,
    voted_by: &BitMatrix,
    first: usize,
    ballots: &mut [u64],
) {
    let (n, words, patches) = (voted_by.rows(), voted_by.stride(), voted_by.columns());
    let lanes = ballots.len() / (n_classes * words);
    let row = |b: usize| &votes[b * n + first..][..lanes];
    let mut tile = [[0u16; BLOCK]; 64];
    for word in 0..words {
        for b in (word + 1) * 64..patches.min((word + 2) * 64) {
            prefetch(row(b));
        }
        for b in word * 64..patches.min((word + 1) * 64) {
            match row(b).first_chunk() {
                Some(votes) => tile[b % 64] = *votes,
                None => tile[b % 64][..lanes].copy_from_slice(row(b)),
            }
        }
        for class in 0..n_classes {
            let mut same = [0u64; BLOCK];
            for (quarter, rows) in tile.as_chunks::<16>().0.iter().enumerate() {
                let bits = compare(rows, class as u16);
                for lane in 0..BLOCK {
                    same[lane] |= u64::from(bits[lane]) << (16 * quarter);
                }
            }
            for (lane, ballots) in ballots.chunks_exact_mut(n_classes * words).enumerate() {
                ballots[class * words + word] = same[lane] & voted_by.row(first + lane)[word];
            }
        }
    }
}

/// Bit `t` of a lane: whether row `t` has the class there.
#[inline(always)]
fn compare(rows: &[[u16; BLOCK]; 16], class: u16) -> [u16; BLOCK] {
    let mut bits = [0; BLOCK];
    for lane in 0..BLOCK {
        for (t, row) in rows.iter().enumerate() {
            // One without a branch: 1 where they are equal.
            bits[lane] |= 1u16.saturating_sub(row[lane] ^ class) << t;
        }
    }
    bits
}

/// Hard votes of a block of observations: how large the sets are.
fn count_ballots(ballots: &[u64], ensemble: &Ensemble<'_>, sums: &mut [f64]) {
    let (k, words) = (ensemble.n_classes, ensemble.n_patches().div_ceil(64));
    for (sums, ballots) in sums.chunks_exact_mut(k + 1).zip(ballots.chunks_exact(k * words)) {
        for (sum, ballots) in sums[..k].iter_mut().zip(ballots.chunks_exact(words)) {
            *sum = f64::from(ballots.iter().map(|set| set.count_ones()).sum::<u32>());
        }
        sums[k] = sums[..k].iter().sum();
    }
}

/// A vote of any precision.
trait Probability: Copy + Into<f64> {}
impl<V: Copy + Into<f64>> Probability for V {}

dispatch! {
    /// Soft votes of a block of observations.
    fn sum_votes<V: Probability>(
        ensemble: &Ensemble<'_>, votes: &[V], voted_by: &BitMatrix, block: usize, sums: &mut [f64],
    ) = sum_votes_body
}

#[inline(always)]
fn sum_votes_body<V: Probability>(
    ensemble: &Ensemble<'_>,
    votes: &[V],
    voted_by: &BitMatrix,
    block: usize,
    sums: &mut [f64],
) {
    /// Minipatches that memory is asked for ahead of their turn.
    const AHEAD: usize = 8;
    let (n, k, patches) = (ensemble.n_samples(), ensemble.n_classes, ensemble.n_patches());
    let first = block * BLOCK;
    let here = sums.len() / (k + 1);
    let row = |b: usize| &votes[(b * n + first) * k..][..here * k];
    // Observation and class are one index: its observation, and its sum.
    let owner: Vec<u32> = (0..here * k).map(|lane| (lane / k) as u32).collect();
    let mut totals = vec![0.0; here * k];
    for b in 0..patches {
        if b + AHEAD < patches {
            prefetch(row(b + AHEAD));
        }
        let voters = (ensemble.voters.row(b)[first / 64] >> (first % 64)) as u32;
        for ((total, &owner), &vote) in totals.iter_mut().zip(&owner).zip(row(b)) {
            // No branch: which observations vote cannot be foreseen.
            *total += if voters >> owner & 1 == 1 { vote.into() } else { 0.0 };
        }
    }
    for (offset, (sums, totals)) in sums.chunks_exact_mut(k + 1).zip(totals.chunks_exact(k)).enumerate() {
        sums[..k].copy_from_slice(totals);
        sums[k] = f64::from(voted_by.row(first + offset).iter().map(|set| set.count_ones()).sum::<u32>());
    }
}
