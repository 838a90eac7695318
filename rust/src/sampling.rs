//! Minipatches: `n` observations and `m` features drawn uniformly without replacement.
//!
//! Minipatch `b` depends on `(seed, b)` alone. Nothing but the seed is stored: indices are derived again
//! wherever they are needed, in O(n + m + (N + M) / 64) per minipatch. Rows and columns come from streams of
//! their own, so the rows do not change with the number of features.

use std::ops::Range;

use crate::bits::BitMatrix;
use crate::error::{Error, Result};
use crate::parallel::{Workers, for_each_chunk};
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

    /// The observations that each of some minipatches leaves out, and so may vote on.
    pub fn left_out(&self, patches: Range<usize>, workers: Workers<'_>) -> BitMatrix {
        self.bits(patches, self.n_samples, workers, |b, words| self.mark_left_out(b, words))
    }

    /// The features that each of some minipatches holds.
    pub fn held(&self, patches: Range<usize>, workers: Workers<'_>) -> BitMatrix {
        self.bits(patches, self.n_features, workers, |b, words| self.mark_held(b, words))
    }

    fn bits(
        &self,
        patches: Range<usize>,
        columns: usize,
        workers: Workers<'_>,
        mark: impl Fn(usize, &mut [u64]) + Sync,
    ) -> BitMatrix {
        let stride = columns.div_ceil(64);
        let mut words = vec![0; patches.len() * stride];
        for_each_chunk(workers, &mut words, stride, || (), |(), index, row| mark(patches.start + index, row));
        BitMatrix::from_words(words, columns)
    }

    /// Marks them in a row of words: observation `i` is bit `i % 64` of word `i / 64`.
    fn mark_left_out(&self, b: usize, words: &mut [u64]) {
        words.fill(u64::MAX);
        if let Some(last) = words.last_mut().filter(|_| !self.n_samples.is_multiple_of(64)) {
            *last = (1 << (self.n_samples % 64)) - 1;
        }
        self.rows(b).iter().for_each(|&i| words[i as usize / 64] &= !(1 << (i % 64)));
    }

    /// Marks them in a row of words that are 0.
    fn mark_held(&self, b: usize, words: &mut [u64]) {
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
            let (left_out, held) =
                (patches.left_out(3..30, Workers::new(2)), patches.held(3..30, Workers::new(2)));
            for b in 3..30 {
                let (rows, columns) = (patches.rows(b), patches.columns(b));
                assert!((0..samples).all(|i| left_out.contains(b - 3, i) != rows.contains(&(i as u32))));
                assert!((0..9).all(|j| held.contains(b - 3, j) == columns.contains(&(j as u32))));
                let count: u32 = left_out.row(b - 3).iter().map(|word| word.count_ones()).sum();
                assert_eq!(count, samples as u32 - 20);
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
