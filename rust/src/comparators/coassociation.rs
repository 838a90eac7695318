//! Co-association: how often two observations were clustered together, of the times that both were sampled.
//!
//! ```text
//! C_ij         = co-clustered_ij / co-sampled_ij, 0 where never co-sampled
//! confusion_i  = mean over j of C_ij (1 - C_ij)
//! ```
//!
//! Both counts of a pair lie side by side and only the pairs within a minipatch are visited: O(n^2) an update, where
//! an outer product of all observations is O(N^2). The sums behind the confusions move along with the counts. They
//! are integers, in units of 2^-40, so that nothing drifts, no order of updates matters and equal confusions are
//! equal to the last bit.

use crate::error::Result;
use crate::memory::{check_room, zeros};

/// Units of confusion in 1.
const UNIT: f64 = (1u64 << 40) as f64;

#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    sampled: u16,
    together: u16,
}

/// The counts of all pairs of `n` observations, 2 n^2 bytes.
#[derive(Debug)]
pub struct CoAssociation {
    n: usize,
    /// Pairs `i < j`, row by row.
    pairs: Vec<Pair>,
    /// Sums over `j` of `C_ij (1 - C_ij)`, in units.
    confusion: Vec<i64>,
    /// How often each observation was sampled.
    sampled: Vec<u32>,
    /// Units over the square of a count.
    scale: Vec<f64>,
    /// What an update adds to the confusion of each of its observations.
    change: Vec<i64>,
}

impl CoAssociation {
    /// No counts yet; at most `updates` will follow.
    pub fn new(n: usize, updates: u16) -> Result<Self> {
        let pairs = n.saturating_mul(n.saturating_sub(1)) / 2;
        check_room::<Pair>(pairs, "the counts of all pairs of observations")?;
        let scale = |count: u16| if count > 0 { UNIT / f64::from(count).powi(2) } else { 0.0 };
        Ok(CoAssociation {
            n,
            pairs: vec![Pair::default(); pairs],
            confusion: vec![0; n],
            sampled: vec![0; n],
            scale: (0..=updates).map(scale).collect(),
            change: Vec::new(),
        })
    }

    /// Where the pairs of observation `i` with later ones begin.
    fn start(&self, i: usize) -> usize {
        i * (2 * self.n - i - 1) / 2
    }

    /// Counts one minipatch: `labels[t]` is the cluster of observation `rows[t]`; rows are ascending.
    pub fn add(&mut self, rows: &[u32], labels: &[i32]) {
        self.change.clear();
        self.change.resize(rows.len(), 0);
        let scale = &self.scale;
        let units = |pair: Pair| {
            let (together, sampled) = (u32::from(pair.together), u32::from(pair.sampled));
            (f64::from(together * (sampled - together)) * scale[pair.sampled as usize]) as i64
        };
        for (a, &i) in rows.iter().enumerate() {
            self.sampled[i as usize] += 1;
            let range = self.start(i as usize)..self.start(i as usize + 1);
            let pairs = &mut self.pairs[range];
            let (own, later) = self.change[a..].split_first_mut().expect("one entry a row");
            for ((&j, &label), change) in rows[a + 1..].iter().zip(&labels[a + 1..]).zip(later) {
                let pair = &mut pairs[(j - i - 1) as usize];
                let before = units(*pair);
                pair.sampled += 1;
                pair.together += u16::from(label == labels[a]);
                let moved = units(*pair) - before;
                *own += moved;
                *change += moved;
            }
        }
        for (&i, &change) in rows.iter().zip(&self.change) {
            self.confusion[i as usize] += change;
        }
    }

    /// `C_ij` for `i < j`.
    pub fn share(&self, i: usize, j: usize) -> f64 {
        let Pair { sampled, together } = self.pairs[self.start(i) + j - i - 1];
        if sampled > 0 { f64::from(together) / f64::from(sampled) } else { 0.0 }
    }

    /// The whole matrix `C`, row-major; an observation goes with itself, if it was sampled at all.
    pub fn matrix(&self) -> Result<Vec<f64>> {
        let n = self.n;
        let mut matrix = zeros(n * n, "the consensus of all pairs of observations")?;
        for i in 0..n {
            matrix[i * n + i] = if self.sampled[i] > 0 { 1.0 } else { 0.0 };
            for j in i + 1..n {
                let share = self.share(i, j);
                matrix[i * n + j] = share;
                matrix[j * n + i] = share;
            }
        }
        Ok(matrix)
    }

    /// How often each observation was sampled.
    pub fn sampled(&self) -> &[u32] {
        &self.sampled
    }

    /// The confusion of each observation.
    pub fn confusion(&self) -> impl Iterator<Item = f64> {
        let unit = UNIT * self.n as f64;
        self.confusion.iter().map(move |&sum| sum as f64 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_and_confusions_are_those_of_plain_counts(
            n in 1usize..30, updates in 0u16..40, share in 0.0..1.0f64, k in 1usize..4, seed in 0u64..1000,
        ) {
            let size = (share * n as f64) as usize;
            let mut found = CoAssociation::new(n, updates).unwrap();
            let (mut together, mut sampled) = (vec![0.0; n * n], vec![0.0; n * n]);
            let mut rng = Stream::new(seed, Purpose::Standalone, 0);
            for _ in 0..updates {
                let rows = rng.subset(n, size);
                let labels: Vec<i32> = rows.iter().map(|_| rng.below(k) as i32).collect();
                found.add(&rows, &labels);
                for (&i, a) in rows.iter().zip(&labels) {
                    for (&j, b) in rows.iter().zip(&labels) {
                        sampled[i as usize * n + j as usize] += 1.0;
                        together[i as usize * n + j as usize] += f64::from(u8::from(a == b));
                    }
                }
            }
            let expected: Vec<f64> =
                together.iter().zip(&sampled).map(|(a, c)| if *c > 0.0 { a / c } else { 0.0 }).collect();
            prop_assert_eq!(&found.matrix().unwrap(), &expected);
            for (i, confusion) in found.confusion().enumerate() {
                let naive: f64 = expected[i * n..][..n].iter().map(|c| c * (1.0 - c)).sum::<f64>() / n as f64;
                prop_assert!((confusion - naive).abs() < 1e-11);
                prop_assert_eq!(f64::from(found.sampled()[i]), sampled[i * n + i]);
            }
        }
    }

    #[test]
    fn counts_reach_their_largest_value() {
        let mut found = CoAssociation::new(2, u16::MAX).unwrap();
        for t in 0..u16::MAX {
            found.add(&[0, 1], &[0, i32::from(t % 2)]);
        }
        let half = 32_768.0 / 65_535.0;
        assert_eq!(found.share(0, 1), half);
        assert!(found.confusion().all(|c| (c - half * (1.0 - half) / 2.0).abs() < 1e-11));
    }
}
