//! Minipatches: `n` observations and `m` features drawn uniformly without replacement.
//!
//! Minipatch `b` depends on `(seed, b)` alone. Nothing but the seed is stored: indices are derived again
//! wherever they are needed, in O(n + m + (N + M) / 64) per minipatch. Rows and columns come from streams of
//! their own, so the rows do not change with the number of features.

use crate::bits::BitMatrix;
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

    /// For minipatches `0..n_patches`, the observations that each leaves out, and so may vote on.
    pub fn left_out_rows(&self, n_patches: usize) -> BitMatrix {
        let mut bits = BitMatrix::new(n_patches, self.n_samples);
        let mut inside = vec![false; self.n_samples];
        for b in 0..n_patches {
            let rows = self.rows(b);
            rows.iter().for_each(|&i| inside[i as usize] = true);
            (0..self.n_samples).filter(|&i| !inside[i]).for_each(|i| bits.insert(b, i));
            rows.iter().for_each(|&i| inside[i as usize] = false);
        }
        bits
    }

    /// For minipatches `0..n_patches`, the features that each holds.
    pub fn held_columns(&self, n_patches: usize) -> BitMatrix {
        let mut bits = BitMatrix::new(n_patches, self.n_features);
        for b in 0..n_patches {
            self.columns(b).iter().for_each(|&j| bits.insert(b, j as usize));
        }
        bits
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
        let patches = Minipatches::new(70, 9, 20, 4, 5).unwrap();
        let (left_out, held) = (patches.left_out_rows(30), patches.held_columns(30));
        for b in 0..30 {
            let (rows, columns) = (patches.rows(b), patches.columns(b));
            assert!((0..70).all(|i| left_out.contains(b, i) != rows.contains(&(i as u32))));
            assert!((0..9).all(|j| held.contains(b, j) == columns.contains(&(j as u32))));
        }
    }

    #[test]
    fn rows_do_not_depend_on_the_features() {
        let wide = Minipatches::new(50, 90, 10, 30, 1).unwrap();
        let narrow = Minipatches::new(50, 9, 10, 3, 1).unwrap();
        assert!((0..20).all(|b| wide.rows(b) == narrow.rows(b)));
    }
}
