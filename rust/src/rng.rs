//! Random numbers: ChaCha8, one stream per (seed, purpose, index).
//!
//! ChaCha8 is a named, portable generator whose output will never change, and its 64-bit stream number gives
//! every minipatch a sequence of its own: minipatch `b` depends on `(seed, b)` alone, whatever thread,
//! process or machine draws it, in whatever order. Bounded integers and floats are made here, not by a
//! library's distributions, so that a seed means the same numbers for ever.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// What a stream is for. Streams of different purposes are independent even for the same seed and index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// The observations of a minipatch.
    Rows = 1,
    /// The features of a minipatch.
    Columns = 2,
    /// Random choices of a minipatch's clusterer.
    Clusterer = 3,
    /// Random choices of a minipatch's classifier.
    Classifier = 4,
    /// Seeds handed to estimators of other libraries.
    Estimator = 5,
    /// Random choices of an estimator fitted on its own.
    Standalone = 6,
    /// Orders of observations or features.
    Permutation = 7,
    /// First weights of a network.
    Weights = 10,
    /// The order of observations in an epoch of training.
    Batches = 11,
    /// Noise of an epoch of training.
    Noise = 12,
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `(seed, purpose, index)`.
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = purpose as u8;
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(index);
        Stream(rng)
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform integer in `0..bound` (Lemire 2019: multiply, reject the few values that would bias).
    ///
    /// # Panics
    /// When `bound` is zero.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a uniform integer needs a positive bound");
        let bound = bound as u64;
        let mut wide = u128::from(self.next_u64()) * u128::from(bound);
        if (wide as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (wide as u64) < threshold {
                wide = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (wide >> 64) as usize
    }

    /// A uniform number in `[0, 1)` with 53 random bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Two independent standard normal numbers (Box and Muller 1958).
    pub fn normals(&mut self) -> [f64; 2] {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * self.unit());
        [radius * cosine, radius * sine]
    }

    /// A standard Gumbel number.
    pub fn gumbel(&mut self) -> f64 {
        // Never log(0): 1 - unit() lies in (0, 1], and its logarithm is 0 with probability 2^-53 only.
        -libm::log((-libm::log(1.0 - self.unit())).max(f64::MIN_POSITIVE))
    }

    /// Shuffles a slice in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// Draws an order of `0..size`, uniform over the permutations.
    pub fn permutation(&mut self, size: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..size as u32).collect();
        self.shuffle(&mut order);
        order
    }

    /// Draws `size` distinct integers of `0..population`, uniform over the subsets, in ascending order.
    ///
    /// Floyd's algorithm on a bit set: `size` draws, and the sorted order comes from reading the bits.
    /// Cost O(size + population / 64).
    pub fn subset(&mut self, population: usize, size: usize) -> Vec<u32> {
        debug_assert!(size <= population);
        let mut chosen = vec![0u64; population.div_ceil(64)];
        for last in population - size..population {
            let draw = self.below(last + 1);
            let taken = chosen[draw / 64] >> (draw % 64) & 1 == 1;
            let pick = if taken { last } else { draw };
            chosen[pick / 64] |= 1 << (pick % 64);
        }
        let mut out = Vec::with_capacity(size);
        for (w, &word) in chosen.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                out.push((w * 64) as u32 + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
        out
    }

    /// Draws `size` distinct positions of `weights`, one after another, each with probability proportional to its
    /// weight among those that are left; positions of zero weight only when no others are left. Ascending.
    ///
    /// Every position waits an exponential time with its weight as the rate, and the first `size` are taken
    /// (Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir"). Cost O(len + size log size).
    pub fn weighted_subset(&mut self, weights: &[f64], size: usize) -> Vec<u32> {
        debug_assert!(size <= weights.len());
        let wait = |&weight: &f64| {
            let time = -libm::log1p(-self.unit());
            // Those that wait for ever are told apart by the time itself.
            (if weight > 0.0 { time / weight } else { f64::INFINITY }, time)
        };
        let waits: Vec<(f64, f64)> = weights.iter().map(wait).collect();
        let mut order: Vec<u32> = (0..weights.len() as u32).collect();
        if size < order.len() {
            order.select_nth_unstable_by(size, |&i, &j| {
                let (a, b) = (waits[i as usize], waits[j as usize]);
                a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(i.cmp(&j))
            });
        }
        order.truncate(size);
        order.sort_unstable();
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_frozen_for_ever() {
        // These figures are the contract: published seeds must keep their minipatches.
        let mut stream = Stream::new(42, Purpose::Rows, 7);
        let first: Vec<u64> = (0..3).map(|_| stream.next_u64()).collect();
        assert_eq!(first, FROZEN);
        assert_eq!(Stream::new(42, Purpose::Rows, 7).subset(20, 5), FROZEN_SUBSET);
    }

    const FROZEN: [u64; 3] = [13561005698836044211, 2498260276407499291, 15880867369031262393];
    const FROZEN_SUBSET: [u32; 5] = [2, 7, 10, 11, 15];

    #[test]
    fn bounded_integers_are_uniform() {
        let mut stream = Stream::new(1, Purpose::Rows, 0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7)] += 1;
        }
        let chi2: f64 = counts.iter().map(|&c| (f64::from(c) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi2 < 22.5, "chi-squared {chi2} with 6 degrees of freedom (p < 0.001)");
    }

    #[test]
    fn normal_and_gumbel_numbers_have_their_moments() {
        let mut stream = Stream::new(5, Purpose::Noise, 0);
        let moments = |draws: Vec<f64>| {
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            (mean, draws.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / draws.len() as f64)
        };
        let (mean, variance) = moments((0..20_000).flat_map(|_| stream.normals()).collect());
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        // Euler's constant and pi^2 / 6.
        let (mean, variance) = moments((0..40_000).map(|_| stream.gumbel()).collect());
        assert!((mean - 0.5772).abs() < 0.025 && (variance - 1.6449).abs() < 0.08, "{mean} {variance}");
    }

    #[test]
    fn subsets_are_sorted_distinct_and_uniform() {
        let mut counts = [0u32; 12];
        for index in 0..20_000 {
            let subset = Stream::new(3, Purpose::Columns, index).subset(12, 5);
            assert_eq!(subset.len(), 5);
            assert!(subset.windows(2).all(|w| w[0] < w[1]) && subset[4] < 12);
            subset.iter().for_each(|&j| counts[j as usize] += 1);
        }
        // Each is drawn with probability 5/12; the standard deviation is 70 draws.
        assert!(counts.iter().all(|&c| (f64::from(c) - 20_000.0 * 5.0 / 12.0).abs() < 300.0), "{counts:?}");
    }

    #[test]
    fn weighted_subsets_follow_the_weights() {
        // Two of three with weights 3, 2, 1: the first leads with 3/6, and so on; a fourth weighs nothing.
        let weights = [3.0, 2.0, 1.0, 0.0];
        let pair = |i: usize, j: usize| {
            let (a, b) = (weights[i] / 6.0, weights[j] / 6.0);
            a * b / (1.0 - a) + b * a / (1.0 - b)
        };
        let mut stream = Stream::new(4, Purpose::Rows, 0);
        let mut counts = std::collections::BTreeMap::<Vec<u32>, u32>::new();
        for _ in 0..20_000 {
            *counts.entry(stream.weighted_subset(&weights, 2)).or_default() += 1;
        }
        assert_eq!(counts.len(), 3, "{counts:?}");
        for (subset, &count) in &counts {
            let expected = 20_000.0 * pair(subset[0] as usize, subset[1] as usize);
            assert!((f64::from(count) - expected).abs() < 300.0, "{subset:?}: {count}, {expected} expected");
        }
        assert_eq!(stream.weighted_subset(&weights, 4), [0, 1, 2, 3]);
        let mut last = [0u32; 3];
        for _ in 0..9_000 {
            last[stream.weighted_subset(&[0.0, 0.0, 0.0, 1e-300], 2)[0] as usize] += 1;
        }
        assert!(last.iter().all(|&count| (2_700..3_300).contains(&count)), "{last:?}");
    }

    #[test]
    fn whole_and_empty_subsets() {
        let mut stream = Stream::new(0, Purpose::Rows, 0);
        assert_eq!(stream.subset(5, 5), [0, 1, 2, 3, 4]);
        assert!(stream.subset(5, 0).is_empty());
        assert!(stream.subset(0, 0).is_empty());
    }
}
