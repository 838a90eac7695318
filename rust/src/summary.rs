//! Means and standard deviations of sample scores, over all observations and within each cluster.

use crate::parallel::{Workers, for_each_chunk};

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
    let cells = (n_groups + 1) * m;
    // One task per block of features: (sum or mean, squares, count) for every group.
    const BLOCK: usize = 64;
    let mut out = vec![[0.0f64; 3]; cells];
    let mut by_feature = vec![[0.0f64; 3]; cells];
    for_each_chunk(
        workers,
        &mut by_feature,
        BLOCK * (n_groups + 1),
        || (),
        |(), block, part| {
            let first = block * BLOCK;
            let width = part.len() / (n_groups + 1);
            let rows = || (0..groups.len()).filter(|&i| groups[i] >= 0);
            let of_row = |i: usize| &scores[i * m + first..][..width];
            for i in rows() {
                let cells = &mut part[groups[i] as usize * width..][..width];
                for (cell, &value) in cells.iter_mut().zip(of_row(i)) {
                    if !value.is_nan() {
                        cell[0] += value;
                        cell[2] += 1.0;
                    }
                }
            }
            for j in 0..width {
                for g in 0..n_groups {
                    let [sum, _, count] = part[g * width + j];
                    let all = &mut part[n_groups * width + j];
                    (all[0], all[2]) = (all[0] + sum, all[2] + count);
                }
            }
            part.iter_mut().for_each(|cell| cell[0] /= cell[2]);
            // Second pass about the means: no cancellation.
            for i in rows() {
                for (j, &value) in of_row(i).iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                    for g in [groups[i] as usize, n_groups] {
                        let cell = &mut part[g * width + j];
                        cell[1] += (value - cell[0]) * (value - cell[0]);
                    }
                }
            }
        },
    );
    for (block, part) in by_feature.chunks(BLOCK * (n_groups + 1)).enumerate() {
        let width = part.len() / (n_groups + 1);
        for (g, row) in part.chunks_exact(width).enumerate() {
            out[g * m + block * BLOCK..][..width].copy_from_slice(row);
        }
    }
    Moments {
        mean: out.iter().map(|cell| cell[0]).collect(),
        deviation: out
            .iter()
            .map(|cell| if cell[2] > 1.0 { (cell[1] / (cell[2] - 1.0)).sqrt() } else { f64::NAN })
            .collect(),
        count: out.iter().map(|cell| cell[2] as u32).collect(),
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
