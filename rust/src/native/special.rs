//! Logarithm, exponential and the functions of gamma distributions, as branch-free formulas.
//!
//! They compile to vectors in a plain loop over an array, and use nothing but operations that round alike
//! everywhere: the same bits on every machine, which the logarithm of the platform does not promise.

use std::f64::consts::{LN_2, LOG2_E, SQRT_2};

/// ln 2 in two parts: the first has few bits, so that its products with small integers are exact.
const LN_2_PARTS: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
/// Adding it to a small number leaves the nearest integer in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Bits of the fraction of a double.
const FRACTION: u32 = 52;
/// The exponent's offset.
const BIAS: u64 = 1023;

/// Natural logarithm of a positive, normal number, to one unit in the last place.
///
/// With `x = 2^k (1 + f)`, `1 + f` between the square roots of 1/2 and of 2, and `s = f / (2 + f)`:
/// `ln(1 + f) = f - s (f - R(s^2))`, with the polynomial of FDLIBM for the even part (Sun Microsystems 1993).
#[inline(always)]
pub(super) fn ln(x: f64) -> f64 {
    const EVEN: [f64; 7] = [
        0.147_981_986_051_165_86,
        0.153_138_376_992_093_73,
        0.181_835_721_616_180_5,
        0.222_221_984_321_497_84,
        0.285_714_287_436_623_9,
        0.399_999_999_994_094_2,
        0.666_666_666_666_673_5,
    ];
    let bits = x.to_bits();
    let exponent = (bits.wrapping_sub((SQRT_2 / 2.0).to_bits()) as i64) >> FRACTION;
    let f = f64::from_bits(bits.wrapping_sub((exponent as u64) << FRACTION)) - 1.0;
    let k = f64::from_bits(ROUND.to_bits().wrapping_add(exponent as u64)) - ROUND;
    let s = f / (2.0 + f);
    let z = s * s;
    let even = EVEN.into_iter().fold(0.0, |sum, c| (sum + c) * z);
    let half = 0.5 * f * f;
    k * LN_2_PARTS[0] - ((half - (s * (half + even) + k * LN_2_PARTS[1])) - f)
}

/// Exponential function, to one unit in the last place; 0 below -708, where results would be subnormal.
///
/// `2^k e^r` with `x = k ln 2 + r`, and FDLIBM's rational function for `e^r`.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    const ODD: [f64; 5] = [
        4.138_136_797_057_238_5e-8,
        -1.653_390_220_546_525_2e-6,
        6.613_756_321_437_934e-5,
        -2.777_777_777_701_559_3e-3,
        0.166_666_666_666_666_02,
    ];
    let least = (2.0 - BIAS as f64) * LN_2;
    let rounded = (if x < least { least } else { x }) * LOG2_E + ROUND;
    let k = rounded - ROUND;
    let (high, low) = (x - k * LN_2_PARTS[0], k * LN_2_PARTS[1]);
    let r = high - low;
    let t = r * r;
    let c = r - ODD.into_iter().fold(0.0, |sum, p| (sum + p) * t);
    let power =
        f64::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(BIAS) << FRACTION);
    let value = (1.0 - ((low - r * c / (2.0 - c)) - high)) * power;
    if x < least { 0.0 } else { value }
}

/// How far arguments are shifted to where asymptotic series hold.
const SHIFT: f64 = 8.0;

/// Solves `ln a - digamma(a) = log_ratio` by Newton's method on `1 / a`. The start is within 1.5% everywhere, and each
/// step squares the error.
#[inline(always)]
pub(super) fn gamma_shapes<const N: usize>(log_ratios: &[f64; N]) -> [f64; N] {
    let mut shapes = log_ratios.map(|s| (3.0 - s + ((s - 3.0) * (s - 3.0) + 24.0 * s).sqrt()) / (12.0 * s));
    for _ in 0..3 {
        // One loop for each step: a loop within a loop over the lanes would not become vectors.
        for (a, s) in shapes.iter_mut().zip(log_ratios) {
            let (gap, slope) = log_less_digamma(*a);
            *a = 1.0 / (1.0 / *a + (gap - s) / (*a * *a * slope));
        }
    }
    shapes
}

/// `ln a - digamma(a)`, and `1 / a - trigamma(a)`, its derivative.
///
/// digamma(a) is digamma(a + 8) less the sum of `1 / (a + i)`, `i` from 0 to 7, and an asymptotic series holds there;
/// trigamma likewise, with squares.
#[inline(always)]
fn log_less_digamma(a: f64) -> (f64, f64) {
    // Terms i and 7 - i have the denominator t + i (7 - i), t = a (a + 7), and add up to 2 a + 7 over it.
    let (t, sum) = (a * (a + 7.0), 2.0 * a + 7.0);
    let inverse = [0.0, 6.0, 10.0, 12.0].map(|product| 1.0 / (t + product));
    let first = sum * ((inverse[0] + inverse[1]) + (inverse[2] + inverse[3]));
    // 1 / (a + i)^2 + 1 / (a + 7 - i)^2 is the square of their sum less twice their product.
    let squares = inverse.map(|v| v * (sum * sum * v - 2.0));
    let second = (squares[0] + squares[1]) + (squares[2] + squares[3]);
    let w = 1.0 / (a + SHIFT);
    let v = w * w;
    let tail = v * (1.0 / 12.0 - v * (1.0 / 120.0 - v * (1.0 / 252.0 - v * (1.0 / 240.0 - v / 132.0))));
    let series = 1.0 / 6.0 - v * (1.0 / 30.0 - v * (1.0 / 42.0 - v * (1.0 / 30.0 - v * 5.0 / 66.0)));
    let trigamma = w + 0.5 * v + w * v * series;
    // ln a - ln(a + 8), without the cancellation that two logarithms of large numbers would have.
    let gap = ln_one_less(SHIFT * w) + 0.5 * w + tail + first;
    (gap, 1.0 / a - second - trigamma)
}

/// `ln(1 - x)` for x in [0, 1), to a few units in the last place.
#[inline(always)]
fn ln_one_less(x: f64) -> f64 {
    let rounded = 1.0 - x;
    // What rounding took from 1 - x goes back in to first order (Kahan).
    ln(rounded) + ((1.0 - rounded) - x) / rounded
}

/// `ln Gamma(a)` by Stirling's series.
#[inline(always)]
pub(super) fn ln_gamma(a: f64) -> f64 {
    // Gamma(a + 8) over Gamma(a), in the pairs of `log_less_digamma`.
    let t = a * (a + 7.0);
    let product = (t * (t + 6.0)) * ((t + 10.0) * (t + 12.0));
    const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_7;
    let z = a + SHIFT;
    let w = 1.0 / z;
    let v = w * w;
    let tail = w * (1.0 / 12.0 - v * (1.0 / 360.0 - v * (1.0 / 1260.0 - v * (1.0 / 1680.0 - v / 1188.0))));
    (z - 0.5) * ln(z) - z + HALF_LN_TWO_PI + tail - ln(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the expected value.
    fn ulps(found: f64, expected: f64) -> f64 {
        (found - expected).abs() / (expected.abs() * f64::EPSILON).max(f64::MIN_POSITIVE)
    }

    #[test]
    fn logarithms_and_exponentials_are_those_of_libm() {
        for i in -70_000..70_000 {
            let x = f64::from(i) * 0.01;
            assert!(ulps(exp(x), libm::exp(x)) <= 1.0, "exp({x})");
            let y = libm::exp(x) * (1.0 + f64::from(i % 7) * 0.05);
            assert!(ulps(ln(y), libm::log(y)) <= 1.0, "ln({y})");
            let near = 1.0 + f64::from(i) * 1e-6;
            assert!(ulps(ln(near), libm::log(near)) <= 1.0, "ln({near})");
        }
        assert_eq!((exp(0.0), ln(1.0), exp(f64::NEG_INFINITY), exp(-709.0)), (1.0, 0.0, 0.0, 0.0));
        assert!(ulps(ln(f64::MIN_POSITIVE), libm::log(f64::MIN_POSITIVE)) <= 1.0);
        assert!(ulps(ln(f64::MAX), libm::log(f64::MAX)) <= 1.0);
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn shapes_solve_their_equation() {
        // From very skewed to nearly normal.
        for shape in [1e-3, 0.05, 0.3, 1.0, 2.5, 17.0, 400.0, 2e6, 4e7] {
            let (gap, _) = log_less_digamma(shape);
            assert!((gamma_shapes(&[gap])[0] / shape - 1.0).abs() < 1e-7, "{shape}");
        }
        // digamma(1) is the negative of Euler's constant, trigamma(1) is pi^2 / 6.
        let (gap, slope) = log_less_digamma(1.0);
        assert!((gap - 0.577_215_664_901_532_9).abs() < 1e-13);
        assert!((slope - (1.0 - std::f64::consts::PI.powi(2) / 6.0)).abs() < 1e-13);
        // 1 / (2 a) + 1 / (12 a^2) - ...
        let (gap, slope) = log_less_digamma(1e6);
        assert!((gap / (0.5e-6 + 1e-12 / 12.0) - 1.0).abs() < 1e-8);
        assert!((slope / (-0.5e-12 - 1e-18 / 6.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn log_gamma_is_that_of_factorials_and_halves() {
        let mut factorial = 1.0f64;
        for n in 1..12 {
            assert!((ln_gamma(f64::from(n)) - factorial.ln()).abs() < 1e-12, "{n}");
            factorial *= f64::from(n);
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-12);
        assert!((ln_gamma(1e6) / 12_815_504.569_147_7 - 1.0).abs() < 1e-14);
    }
}
