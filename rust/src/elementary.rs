//! Logarithm and exponential as branch-free formulas.
//!
//! They compile to vectors in a plain loop over an array, and use nothing but operations that round alike
//! everywhere: the same bits on every machine, which the functions of the platform do not promise. What is not here is
//! taken from `libm`, for the same reason.

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
pub(crate) fn ln(x: f64) -> f64 {
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
pub(crate) fn exp(x: f64) -> f64 {
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
}
