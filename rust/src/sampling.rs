//! Minipatches: `n` observations and `m` features drawn uniformly without replacement.
//!
//! Minipatch `b` depends on `(seed, b)` alone. Nothing but the seed is stored: indices are derived again
//! wherever they are needed, in O(n + m + (N + M) / 64) per minipatch. Rows and columns come from streams of
//! their own, so the rows do not change with the number of features.

use crate::error::{Error, Result};
use crate::rng::{Purpose, Stream};

/// The design of an ensemble of minipatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minipatches {
    /// N, observations in the data.
    pub n_samples: usize,
    /// M, features in the data.
    pub n_features: usize,
    /// n, observations in a minipatch.
    pub n_rows: usize,
    /// m, features in a minipatch.
    pub n_columns: usize,
    /// The seed of every stream.
    pub seed: u64,
}

impl Minipatches {
    /// Checks the sizes.
    pub fn new(
        n_samples: usize,
        n_features: usize,
        n_rows: usize,
        n_columns: usize,
        seed: u64,
    ) -> Result<Self> {
        if n_samples > u32::MAX as usize || n_features > u32::MAX as usize {
            return Err(Error::value(
                "the data's size",
                format!("{n_samples} x {n_features}"),
                format!("at most {} each way", u32::MAX),
            ));
        }
        if n_rows == 0 || n_rows > n_samples {
            return Err(Error::value(
                "the number of observations in a minipatch",
                n_rows,
                format!("1 to {n_samples}, the observations in the data"),
            ));
        }
        if n_columns == 0 || n_columns > n_features {
            return Err(Error::value(
                "the number of features in a minipatch",
                n_columns,
                format!("1 to {n_features}, the features in the data"),
            ));
        }
        Ok(Minipatches { n_samples, n_features, n_rows, n_columns, seed })
    }

    /// The observations of minipatch `b`, ascending.
    pub fn rows(&self, b: usize) -> Vec<u32> {
        Stream::new(self.seed, Purpose::Rows, b as u64).subset(self.n_samples, self.n_rows)
    }

    /// The features of minipatch `b`, ascending.
    pub fn columns(&self, b: usize) -> Vec<u32> {
        Stream::new(self.seed, Purpose::Columns, b as u64).subset(self.n_features, self.n_columns)
    }

    /// Marks, in a row of words, the observations that minipatch `b` leaves out, and so may vote on: observation `i` is
    /// bit `i % 64` of word `i / 64`.
    pub fn mark_left_out(&self, b: usize, words: &mut [u64]) {
        words.fill(u64::MAX);
        if let Some(last) = words.last_mut().filter(|_| !self.n_samples.is_multiple_of(64)) {
            *last = (1 << (self.n_samples % 64)) - 1;
        }
        self.rows(b).iter().for_each(|&i| words[i as usize / 64] &= !(1 << (i % 64)));
    }

    /// Marks, in a row of words that are 0, the features that minipatch `b` holds.
    pub fn mark_held(&self, b: usize, words: &mut [u64]) {
        self.columns(b).iter().for_each(|&j| words[j as usize / 64] |= 1 << (j % 64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        assert!(Minipatches::new(10, 5, 0, 2, 0).is_err());
        assert!(Minipatches::new(10, 5, 11, 2, 0).is_err());
        assert!(Minipatches::new(10, 5, 3, 6, 0).is_err());
        assert!(Minipatches::new(10, 5, 10, 5, 0).is_ok());
    }

    #[test]
    fn masks_agree_with_indices() {
        for samples in [64, 70] {
            let patches = Minipatches::new(samples, 9, 20, 4, 5).unwrap();
            for b in 0..30 {
                let (mut left_out, mut held) = (vec![0; samples.div_ceil(64)], [0]);
                patches.mark_left_out(b, &mut left_out);
                patches.mark_held(b, &mut held);
                let (rows, columns) = (patches.rows(b), patches.columns(b));
                let marked = |words: &[u64], at: u32| words[at as usize / 64] >> (at % 64) & 1 == 1;
                assert!((0..samples as u32).all(|i| marked(&left_out, i) != rows.contains(&i)));
                assert!((0..9).all(|j| marked(&held, j) == columns.contains(&j)));
                assert_eq!(left_out.iter().map(|word| word.count_ones()).sum::<u32>(), samples as u32 - 20);
            }
        }
    }

    #[test]
    fn rows_do_not_depend_on_the_features() {
        let wide = Minipatches::new(50, 90, 10, 30, 1).unwrap();
        let narrow = Minipatches::new(50, 9, 10, 3, 1).unwrap();
        assert!((0..20).all(|b| wide.rows(b) == narrow.rows(b)));
    }
}
