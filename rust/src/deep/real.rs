//! The two precisions that networks work in, and their elementary functions.
//!
//! Training takes millions of exponentials in single precision. Those are short branch-free formulas that compile to
//! vectors and round alike on every machine; in double precision, which only the tests of gradients use, they are
//! those of `libm`.

use std::fmt::Debug;
use std::ops::{AddAssign, MulAssign, Neg};

use crate::lanes;

/// `f32` or `f64`.
pub trait Real: lanes::Real + Debug + Neg<Output = Self> + AddAssign + MulAssign {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// Exponential function.
    fn exp(self) -> Self;

    /// Complementary error function; in single precision to 6e-7.
    fn erfc(self) -> Self;

    /// Hyperbolic tangent, to one unit in the last place of 1.
    #[inline(always)]
    fn tanh(self) -> Self {
        let size = self.or_more(-self);
        let e = (-(size + size)).exp();
        let t = (Self::ONE - e) / (Self::ONE + e);
        if self < Self::ZERO { -t } else { t }
    }

    /// The larger of two numbers.
    #[inline(always)]
    fn or_more(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

impl Real for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;

    /// `2^n e^r` with `x = n ln 2 + r`: the polynomial of Cephes' `expf` (Moshier 1989).
    #[inline(always)]
    fn exp(self) -> f32 {
        // Adding it leaves the nearest integer in the low bits.
        const ROUND: f32 = 12_582_912.0;
        // ln 2 in two parts, of which the first has few bits.
        const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
        // NaN passes through both.
        let x = if self < -87.0 { -87.0 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        let rounded = x * std::f32::consts::LOG2_E + ROUND;
        let n = rounded - ROUND;
        let r = x - n * LN_2[0] - n * LN_2[1];
        let coefficients = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
        let tail = coefficients.into_iter().fold(0.0, |sum, c| sum * r + c);
        let power = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
        (tail * (r * r) + r + 1.0) * f32::from_bits(power)
    }

    /// Formula 7.1.26 of Abramowitz and Stegun (1964).
    #[inline(always)]
    fn erfc(self) -> f32 {
        let x = self.or_more(-self);
        let t = 1.0 / (1.0 + 0.327_591_1 * x);
        let coefficients = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
        let tail = coefficients.into_iter().fold(0.0, |sum, c| (sum + c) * t) * (-x * x).exp();
        if self < 0.0 { 2.0 - tail } else { tail }
    }
}

impl Real for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;

    #[inline(always)]
    fn exp(self) -> f64 {
        libm::exp(self)
    }

    #[inline(always)]
    fn erfc(self) -> f64 {
        libm::erfc(self)
    }
}

/// The sum of values, block by block and in each block lane by lane: an order of its own that vectors can keep.
#[inline(always)]
pub fn sum<T: Real>(values: &[T]) -> f64 {
    const LANES: usize = 16;
    const BLOCK: usize = 64 * LANES;
    let mut total = 0.0;
    for block in values.chunks(BLOCK) {
        let mut sums = [T::ZERO; LANES];
        let lanes = block.chunks_exact(LANES);
        for (sum, &value) in sums.iter_mut().zip(lanes.remainder()) {
            *sum = value;
        }
        for lane in lanes {
            for l in 0..LANES {
                sums[l] += lane[l];
            }
        }
        total += sums.iter().map(|sum| sum.to_f64()).sum::<f64>();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_precision_is_as_good_as_it_says() {
        for i in -100_000..=100_000 {
            let x = i as f32 * 1e-3;
            let exact = libm::exp(f64::from(x));
            if x.abs() < 87.0 {
                assert!((f64::from(Real::exp(x)) / exact - 1.0).abs() < 2e-7, "exp({x})");
            }
            assert!((f64::from(Real::tanh(x)) - libm::tanh(f64::from(x))).abs() < 2e-7, "tanh({x})");
            assert!((f64::from(Real::erfc(x)) - libm::erfc(f64::from(x))).abs() < 6e-7, "erfc({x})");
        }
        assert_eq!(Real::exp(-200.0f32).max(1e-37), 1e-37);
        assert!(
            Real::exp(f32::NAN).is_nan() && Real::tanh(f32::NAN).is_nan() && Real::erfc(f32::NAN).is_nan()
        );
        assert!((Real::tanh(0.3f64) - libm::tanh(0.3)).abs() < 1e-15);
    }

    #[test]
    fn sums_miss_nothing() {
        for n in [0, 1, 15, 16, 17, 1024, 1030, 3000] {
            let values: Vec<f64> = (0..n).map(f64::from).collect();
            assert_eq!(sum(&values), f64::from(n) * (f64::from(n) - 1.0) / 2.0);
        }
    }
}
