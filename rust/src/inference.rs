//! How far the scores can be trusted: the spread between minipatches, and what a finite ensemble leaves open.

use crate::loss::Loss;
use crate::parallel::{Workers, for_each_chunk};
use crate::votes::{Ensemble, LeaveOneOut, Votes};

/// Disjoint pairs of minipatches that [`pair_differences`] compares for each observation.
const PAIRS: usize = 10;

impl Ensemble<'_> {
    /// Calls `use_vote(k, p)` for the classes that minipatch `b` gives observation `i` a vote for.
    #[inline]
    fn vote(&self, b: usize, i: usize, mut use_vote: impl FnMut(usize, f64)) {
        let (at, k) = (b * self.n_samples() + i, self.n_classes);
        match self.votes {
            Votes::Hard(votes) => use_vote(usize::from(votes[at]), 1.0),
            Votes::Single(votes) => {
                (0..k).for_each(|class| use_vote(class, f64::from(votes[at * k + class])));
            }
            Votes::Double(votes) => (0..k).for_each(|class| use_vote(class, votes[at * k + class])),
        }
    }
}

/// For each observation, the mean squared Euclidean distance between the votes of up to ten disjoint pairs of
/// minipatches that vote on it: the first with the second, the third with the fourth, and so on (minipatches
/// are in random order already). NaN where fewer than two vote.
///
/// The root of its mean over observations is the `Dhat` of the variance barrier (Gan, Zheng and Allen,
/// arXiv 2206.02088, section 3).
pub fn pair_differences(ensemble: &Ensemble<'_>) -> Vec<f64> {
    let (n, k) = (ensemble.n_samples(), ensemble.n_classes);
    let mut sums = vec![0.0; n];
    let mut pairs = vec![0usize; n];
    let mut first: Vec<Option<u32>> = vec![None; n];
    let mut open = n;
    let mut difference = vec![0.0; k];
    for b in 0..ensemble.n_patches() {
        if open == 0 {
            break;
        }
        for i in 0..n {
            if pairs[i] == PAIRS || !ensemble.voters.contains(b, i) {
                continue;
            }
            let Some(partner) = first[i].take() else {
                first[i] = Some(b as u32);
                continue;
            };
            difference.fill(0.0);
            ensemble.vote(partner as usize, i, |class, p| difference[class] += p);
            ensemble.vote(b, i, |class, p| difference[class] -= p);
            sums[i] += difference.iter().map(|d| d * d).sum::<f64>();
            pairs[i] += 1;
            open -= usize::from(pairs[i] == PAIRS);
        }
    }
    sums.iter().zip(&pairs).map(|(&sum, &pairs)| sum / pairs as f64).collect()
}

/// The Monte-Carlo standard error of every feature's mean score: its standard deviation over fresh draws of
/// the minipatches, with the labels held fixed.
///
/// To first order the score of `j` is `mean of q_b over b without j - mean of q_b over all b`, where
///
/// `q_b = (1/N) sum_{i left out by b} (B / T_i) l'(z_i, H(i)) . (p_b(i) - H(i))`
///
/// is what minipatch `b` does to the mean loss (the infinitesimal jackknife; `T_i` minipatches vote on `i`).
/// With `B1` minipatches that hold `j` and `B0` that do not, the difference `D` of the two means has variance
/// `(B1 / B)^2 (s1^2 / B1 + s0^2 / B0) + D^2 B0 / (B1 B)`, `s` the standard deviations of `q` on either side:
/// another draw would change `B1` as well, and the mean over all minipatches with it.
///
/// `None` for a loss without a slope. NaN for a feature that no or one minipatch leaves out, and where no
/// observation is scored; 0 for one that none holds. Cost: O(B (N K + M)).
pub fn monte_carlo_errors(
    ensemble: &Ensemble<'_>,
    loo: &LeaveOneOut,
    labels: &[i32],
    loss: Loss,
    workers: Workers<'_>,
) -> Option<Vec<f64>> {
    let (n, k, patches) = (ensemble.n_samples(), ensemble.n_classes, ensemble.n_patches());
    // Minipatches that vote on nothing were never trained: they are not part of the ensemble.
    let used: Vec<usize> = (0..patches).filter(|&b| ensemble.voters.row(b).iter().any(|&w| w != 0)).collect();
    // The slopes, weighted so that q_b is a plain sum; and the constant part, slope . H.
    let mut slopes = vec![0.0; n * k];
    let mut at_mean = vec![0.0; n];
    let scored: Vec<usize> = (0..n).filter(|&i| labels[i] >= 0 && loo.counts[i] > 0).collect();
    for &i in &scored {
        let slope = &mut slopes[i * k..(i + 1) * k];
        let count = f64::from(loo.counts[i]);
        let p: Vec<f64> = loo.totals[i * k..(i + 1) * k].iter().map(|sum| sum / count).collect();
        loss.gradient(labels[i] as usize, &p, slope)?;
        slope.iter_mut().for_each(|s| *s *= used.len() as f64 / count / scored.len() as f64);
        at_mean[i] = slope.iter().zip(&p).map(|(s, p)| s * p).sum();
    }
    let mut influence = vec![0.0; patches];
    const BLOCK: usize = 64;
    for_each_chunk(
        workers,
        &mut influence,
        BLOCK,
        || (),
        |(), block, part| {
            for (offset, q) in part.iter_mut().enumerate() {
                let b = block * BLOCK + offset;
                for &i in scored.iter().filter(|&&i| ensemble.voters.contains(b, i)) {
                    ensemble.vote(b, i, |class, p| *q += slopes[i * k + class] * p);
                    *q -= at_mean[i];
                }
            }
        },
    );
    let m = ensemble.n_features();
    if scored.is_empty() {
        // Whether the loss has a slope is told all the same.
        return loss.gradient(0, &vec![1.0 / k as f64; k], &mut vec![0.0; k]).map(|()| vec![f64::NAN; m]);
    }
    // Count, sum and squares of q with and without each feature, about 0 (q has mean 0 by construction).
    let mut with = vec![[0.0f64; 3]; m];
    let mut all = [0.0f64; 3];
    for &b in &used {
        let moment = [1.0, influence[b], influence[b] * influence[b]];
        (0..3).for_each(|t| all[t] += moment[t]);
        for (w, &word) in ensemble.holds.row(b).iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                let cell = &mut with[w * 64 + rest.trailing_zeros() as usize];
                (0..3).for_each(|t| cell[t] += moment[t]);
                rest &= rest - 1;
            }
        }
    }
    let variance = |[count, sum, squares]: [f64; 3]| ((squares - sum * sum / count) / (count - 1.0)).max(0.0);
    let errors = with
        .into_iter()
        .map(|with| {
            let without = [all[0] - with[0], all[1] - with[1], all[2] - with[2]];
            if with[0] == 0.0 {
                return 0.0;
            }
            if without[0] < 2.0 {
                return f64::NAN;
            }
            // A single minipatch has no spread of its own: borrow the other side's.
            let s0 = variance(without);
            let s1 = if with[0] < 2.0 { s0 } else { variance(with) };
            let difference = without[1] / without[0] - all[1] / all[0];
            let of_sides = (with[0] / all[0]).powi(2) * (s1 / with[0] + s0 / without[0]);
            let of_sizes = difference * difference * without[0] / (with[0] * all[0]);
            (of_sides + of_sizes).sqrt()
        })
        .collect();
    Some(errors)
}
