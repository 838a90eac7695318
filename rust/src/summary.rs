//! Means and standard deviations of sample scores, over all observations and within each cluster.

use crate::parallel::{Workers, for_each_chunk};
use crate::simd;

/// Mean, standard deviation and size for each feature (or for each cluster and feature).
#[derive(Debug, Clone)]
pub struct Moments {
    /// Means; NaN where there is nothing to average.
    pub mean: Vec<f64>,
    /// Sample standard deviations (divisor `count - 1`); NaN where fewer than two values are averaged.
    pub deviation: Vec<f64>,
    /// How many values are averaged.
    pub count: Vec<u32>,
}

/// Averages the columns of `scores` (N x M, NaN is left out), within each group and over all of them.
///
/// `groups` has one entry per observation, negative for observations in no group, which count nowhere. Rows
/// `0..n_groups` of the result are the groups', row `n_groups` is that of all.
pub fn moments(scores: &[f64], groups: &[i32], n_groups: usize, workers: Workers<'_>) -> Moments {
    let m = scores.len().checked_div(groups.len()).unwrap_or(0);
    let (level, rows) = (simd::level(), n_groups + 1);
    // One task per block of features: its means, squares and counts, one row each for every group.
    const BLOCK: usize = 256;
    let mut by_feature = vec![0.0f64; 3 * rows * m];
    for_each_chunk(
        workers,
        &mut by_feature,
        3 * rows * BLOCK,
        || (),
        |(), block, part| moments_of_features(level, scores, groups, n_groups, block * BLOCK, part),
    );
    let row_by_row = |part: usize| {
        let mut out = vec![0.0; rows * m];
        for (block, parts) in by_feature.chunks(3 * rows * BLOCK).enumerate() {
            let width = parts.len() / (3 * rows);
            for (g, row) in parts.chunks_exact(width).skip(part * rows).take(rows).enumerate() {
                out[g * m + block * BLOCK..][..width].copy_from_slice(row);
            }
        }
        out
    };
    let (mean, squares, counts) = (row_by_row(0), row_by_row(1), row_by_row(2));
    let deviation = |(&square, &count): (&f64, &f64)| {
        if count > 1.0 { (square / (count - 1.0)).sqrt() } else { f64::NAN }
    };
    Moments {
        mean,
        deviation: squares.iter().zip(&counts).map(deviation).collect(),
        count: counts.iter().map(|&count| count as u32).collect(),
    }
}

dispatch! {
    /// The means, squares about them and counts, `n_groups + 1` rows each, of the features from `first` on (as many as
    /// `part` has room for).
    fn moments_of_features(scores: &[f64], groups: &[i32], n_groups: usize, first: usize, part: &mut [f64])
        = moments_of_features_body
}

#[inline(always)]
fn moments_of_features_body(scores: &[f64], groups: &[i32], n_groups: usize, first: usize, part: &mut [f64]) {
    let (m, rows) = (scores.len() / groups.len(), n_groups + 1);
    let width = part.len() / (3 * rows);
    let labelled = || {
        let known = groups.iter().enumerate().filter(|&(_, &group)| group >= 0);
        known.map(|(i, &group)| (group as usize * width, &scores[i * m + first..][..width]))
    };
    let (means, rest) = part.split_at_mut(rows * width);
    let (squares, counts) = rest.split_at_mut(rows * width);
    for (at, row) in labelled() {
        for ((mean, count), &value) in means[at..].iter_mut().zip(&mut counts[at..]).zip(row) {
            let known = !value.is_nan();
            *mean += if known { value } else { 0.0 };
            *count += if known { 1.0 } else { 0.0 };
        }
    }
    for sums in [&mut *means, &mut *counts] {
        let (of_groups, of_all) = sums.split_at_mut(n_groups * width);
        for row in of_groups.chunks_exact(width) {
            of_all.iter_mut().zip(row).for_each(|(all, sum)| *all += sum);
        }
    }
    means.iter_mut().zip(&*counts).for_each(|(mean, count)| *mean /= count);
    // Second pass about the means: no cancellation.
    for (at, row) in labelled() {
        for at in [at, n_groups * width] {
            for ((square, mean), &value) in squares[at..].iter_mut().zip(&means[at..]).zip(row) {
                let off = value - mean;
                *square += if value.is_nan() { 0.0 } else { off * off };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let nan = f64::NAN;
        let scores = [1.0, nan, 3.0, 5.0, 8.0, nan, 100.0, 100.0];
        let m = moments(&scores, &[0, 0, 1, -1], 2, Workers::new(1));
        assert_eq!(m.mean[..2], [2.0, 5.0]);
        assert_eq!(m.mean[2], 8.0);
        assert!(m.mean[3].is_nan());
        assert_eq!(m.mean[4..], [4.0, 5.0]);
        assert_eq!(m.count, [2, 1, 1, 0, 3, 1]);
        assert_eq!(m.deviation[0], 2f64.sqrt());
        assert_eq!(m.deviation[4], 13f64.sqrt());
        assert!(m.deviation[1].is_nan());
    }

    #[test]
    fn threads_change_nothing() {
        let scores: Vec<f64> =
            (0..300 * 150).map(|v| f64::from((v as u32).wrapping_mul(2_654_435_761)) / 1e9).collect();
        let groups: Vec<i32> = (0..300).map(|i| i % 4 - 1).collect();
        let (one, three) =
            (moments(&scores, &groups, 3, Workers::new(1)), moments(&scores, &groups, 3, Workers::new(3)));
        assert_eq!(one.mean, three.mean);
        assert_eq!(one.deviation, three.deviation);
    }
}
