//! The adjusted Rand index (Hubert and Arabie 1985) from pair counts.

use crate::aggregate::NO_VOTE;
use crate::parallel::{Workers, for_each_chunk};

/// The adjusted Rand index of a contingency table of `rows x columns` counts.
///
/// 1 for equal partitions (also when both are trivial). Pair counts are whole numbers, so it is exact but for
/// the final division.
pub fn adjusted_rand(table: &[u32], rows: usize, columns: usize) -> f64 {
    let square = |value: u64| i128::from(value) * i128::from(value);
    let of_row = |r: usize| table[r * columns..(r + 1) * columns].iter().map(|&c| u64::from(c)).sum::<u64>();
    let of_column = |c: usize| (0..rows).map(|r| u64::from(table[r * columns + c])).sum::<u64>();
    let cells: i128 = table.iter().map(|&c| square(u64::from(c))).sum();
    let in_rows: i128 = (0..rows).map(|r| square(of_row(r))).sum();
    let in_columns: i128 = (0..columns).map(|c| square(of_column(c))).sum();
    let n = i128::from(table.iter().map(|&c| u64::from(c)).sum::<u64>());
    // Ordered pairs: together in both, in one only, in neither.
    let (both, left, right) = (cells - n, in_rows - cells, in_columns - cells);
    let neither = n * n - n - both - left - right;
    if left == 0 && right == 0 {
        return 1.0;
    }
    let numerator = 2.0 * (both as f64 * neither as f64 - left as f64 * right as f64);
    let denominator =
        (both + left) as f64 * (left + neither) as f64 + (both + right) as f64 * (right + neither) as f64;
    numerator / denominator
}

/// `ARI(z, H)` over the observations that have a label and a vote; NaN where there is none.
pub fn ari_of(labels: &[i32], majorities: &[u16], n_classes: usize) -> f64 {
    let mut table = vec![0u32; n_classes * n_classes];
    for (&z, &h) in labels.iter().zip(majorities).filter(|&(&z, &h)| z >= 0 && h != NO_VOTE) {
        table[z as usize * n_classes + usize::from(h)] += 1;
    }
    if table.iter().all(|&count| count == 0) {
        return f64::NAN;
    }
    adjusted_rand(&table, n_classes, n_classes)
}

/// `ARI(z, H) - ARI(z, H^-j)` for each feature, over the observations where both vote and `z` is a label.
///
/// `base` has N majorities, `without` N x M. NaN for a feature where no observation is left.
pub fn ari_scores(
    labels: &[i32],
    base: &[u16],
    without: &[u16],
    n_classes: usize,
    workers: Workers<'_>,
) -> Vec<f64> {
    let m = without.len().checked_div(base.len()).unwrap_or(0);
    let mut out = vec![f64::NAN; m];
    let size = n_classes * n_classes;
    let tables = || (vec![0u32; size], vec![0u32; size]);
    for_each_chunk(workers, &mut out, 16, tables, |(with, wo), block, part| {
        for (offset, score) in part.iter_mut().enumerate() {
            let j = block * 16 + offset;
            with.fill(0);
            wo.fill(0);
            let mut any = false;
            for (i, (&z, &h)) in labels.iter().zip(base).enumerate() {
                let h_j = without[i * m + j];
                if z >= 0 && h != NO_VOTE && h_j != NO_VOTE {
                    with[z as usize * n_classes + usize::from(h)] += 1;
                    wo[z as usize * n_classes + usize::from(h_j)] += 1;
                    any = true;
                }
            }
            if any {
                *score = adjusted_rand(with, n_classes, n_classes) - adjusted_rand(wo, n_classes, n_classes);
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(adjusted_rand(&[2, 0, 0, 2], 2, 2), 1.0);
        assert_eq!(adjusted_rand(&[0, 3, 2, 0], 2, 2), 1.0, "names do not matter");
        assert_eq!(adjusted_rand(&[4], 1, 1), 1.0);
        // scikit-learn's documented example: [0, 0, 1, 2] against [0, 0, 1, 1] is 0.57...
        assert!((adjusted_rand(&[2, 0, 0, 1, 0, 1], 3, 2) - 4.0 / 7.0).abs() < 1e-15);
        assert_eq!(adjusted_rand(&[1, 1, 1, 1], 2, 2), -0.5);
    }
}
