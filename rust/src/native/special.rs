//! Functions of gamma distributions, as branch-free formulas that compile to vectors in a plain loop over an array.

use crate::elementary::ln;

/// How far arguments are shifted to where asymptotic series hold.
const SHIFT: f64 = 8.0;

/// Solves `ln a - digamma(a) = log_ratio` by Newton's method on `1 / a`. The start is within 1.5% everywhere, and each
/// step squares the error.
#[inline(always)]
pub(super) fn gamma_shapes<const N: usize>(log_ratios: &[f64; N]) -> [f64; N] {
    let mut shapes = *log_ratios;
    for s in &mut shapes {
        *s = (3.0 - *s + ((*s - 3.0) * (*s - 3.0) + 24.0 * *s).sqrt()) / (12.0 * *s);
    }
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
    let [p, q, r, s] = [t, t + 6.0, t + 10.0, t + 12.0];
    // All four inverses by one division, which takes as long as a dozen products.
    let (left, right) = (p * q, r * s);
    let whole = 1.0 / (left * right);
    let (left, right) = (right * whole, left * whole);
    let inverse = [q * left, p * left, s * right, r * right];
    let first = sum * ((inverse[0] + inverse[1]) + (inverse[2] + inverse[3]));
    // 1 / (a + i)^2 + 1 / (a + 7 - i)^2 is the square of their sum less twice their product.
    let square = |v: f64| v * (sum * sum * v - 2.0);
    let second = (square(inverse[0]) + square(inverse[1])) + (square(inverse[2]) + square(inverse[3]));
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
