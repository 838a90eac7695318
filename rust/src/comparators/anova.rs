//! One-way analysis of variance: which features differ most between the clusters of a minipatch.
//!
//! ```text
//! F_j = (sum_k n_k (mean_kj - mean_j)^2 / (K - 1)) / (sum_i (x_ij - mean_z(i),j)^2 / (n - K))
//! ```
//!
//! The p-value of `F_j` falls as `F_j` grows, and within a minipatch all features have the same degrees of freedom. So
//! the features of the lowest p-values are those of the largest ratios of the two sums of squares, and neither the
//! degrees of freedom nor the F distribution are needed. The ratios go on telling features apart where p-values have
//! become too small for a double and are all zero.

/// Working memory of the analysis.
#[derive(Debug, Default)]
pub struct Anova {
    sizes: Vec<f64>,
    means: Vec<f64>,
    ratios: Vec<f64>,
    sorted: Vec<f64>,
}

impl Anova {
    /// The columns of `patch` (row-major, `m` columns) whose p-values are at or below the quantile `share` of all of
    /// them, interpolated linearly. `labels` are `0..k`, each of them present. A column of one value only is
    /// left out: no test can be made of it.
    pub fn most_different(
        &mut self,
        patch: &[f64],
        m: usize,
        labels: &[i32],
        k: usize,
        share: f64,
    ) -> impl Iterator<Item = usize> {
        self.ratios(patch, m, labels, k);
        // Without a ratio there is nothing to compare with.
        let threshold = self.threshold(share).unwrap_or(f64::INFINITY);
        (0..m).filter(move |&j| self.ratios[j] >= threshold)
    }

    /// Between over within sums of squares of each column; NaN for a column of one value only.
    fn ratios(&mut self, patch: &[f64], m: usize, labels: &[i32], k: usize) {
        self.sizes.clear();
        self.sizes.resize(k, 0.0);
        self.means.clear();
        self.means.resize(k * m, 0.0);
        for (row, &label) in patch.chunks_exact(m).zip(labels) {
            self.sizes[label as usize] += 1.0;
            let means = &mut self.means[label as usize * m..][..m];
            means.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        let mut overall = vec![0.0; m];
        for (means, &size) in self.means.chunks_exact_mut(m).zip(&self.sizes) {
            overall.iter_mut().zip(means.iter()).for_each(|(sum, x)| *sum += x);
            means.iter_mut().for_each(|sum| *sum /= size);
        }
        overall.iter_mut().for_each(|sum| *sum /= labels.len() as f64);
        let mut within = vec![0.0; m];
        let mut constant = vec![true; m];
        for (row, &label) in patch.chunks_exact(m).zip(labels) {
            let means = &self.means[label as usize * m..][..m];
            for j in 0..m {
                let difference = row[j] - means[j];
                within[j] += difference * difference;
                constant[j] &= row[j] == patch[j];
            }
        }
        self.ratios.clear();
        self.ratios.extend((0..m).map(|j| {
            let between = |(means, size): (&[f64], &f64)| size * (means[j] - overall[j]).powi(2);
            let between: f64 = self.means.chunks_exact(m).zip(&self.sizes).map(between).sum();
            // Rounding would make some ratio of a constant.
            if constant[j] { f64::NAN } else { between / within[j] }
        }));
    }

    /// The least ratio whose p-value is at or below the quantile; `None` when no test could be made.
    fn threshold(&mut self, share: f64) -> Option<f64> {
        self.sorted.clear();
        self.sorted.extend(self.ratios.iter().copied().filter(|ratio| !ratio.is_nan()));
        let last = self.sorted.len().checked_sub(1)?;
        // Ascending p-values are descending ratios; the quantile lies at or above the p-value of this one.
        let rank = (share * last as f64) as usize;
        Some(*self.sorted.select_nth_unstable_by(rank, |a, b| b.total_cmp(a)).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_by_hand() {
        // Two clusters of two; columns: (0, 2 | 4, 6), a constant that rounds, one that the clusters explain fully.
        let patch = [0.0, 0.1, 1.0, 2.0, 0.1, 1.0, 4.0, 0.1, 3.0, 6.0, 0.1, 3.0];
        let mut anova = Anova::default();
        let mut found = |share| anova.most_different(&patch, 3, &[0, 0, 1, 1], 2, share).collect::<Vec<_>>();
        assert_eq!(found(0.05), [2]);
        assert_eq!(found(1.0), [0, 2]);
        assert_eq!(anova.ratios[0], 16.0 / 4.0);
        assert!(anova.ratios[1].is_nan());
        assert_eq!(anova.ratios[2], f64::INFINITY);
        assert_eq!(anova.most_different(&[0.1, 0.1, 0.1], 1, &[0, 1, 1], 2, 0.5).count(), 0);
    }
}
