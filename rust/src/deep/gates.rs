//! Stochastic gates (Yamada et al. 2020): numbers of 0 to 1 that learn to be 0 or 1.
//!
//! A gate is `clip(1/2 + mu + noise, 0, 1)` with normal noise of deviation `sigma` in training and none after. The
//! chance that it is open, `Phi((mu + 1/2) / sigma)`, is what sparsity costs; `sigma = 1/2` makes the derivative of
//! that cost largest where training starts, at `mu = 0`.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::real::{Real, sum};
use crate::simd::level;

/// The gate of `mu` plus noise.
#[inline(always)]
pub fn gate<T: Real>(noisy: T) -> T {
    let value = noisy + T::from_f64(0.5);
    if value < T::ZERO {
        T::ZERO
    } else if value > T::ONE {
        T::ONE
    } else {
        value
    }
}

/// Whether a gate follows its `mu`: derivatives pass only between 0 and 1.
#[inline(always)]
pub fn follows<T: Real>(gate: T) -> bool {
    gate > T::ZERO && gate < T::ONE
}

/// The chance that a gate is open, and its derivative with respect to `mu`.
#[inline(always)]
pub fn open_chance<T: Real>(mu: T, sigma: f64) -> (T, T) {
    let half = T::from_f64(0.5);
    let z = (mu + half) * T::from_f64(1.0 / sigma);
    let chance = half * (z * T::from_f64(-FRAC_1_SQRT_2)).erfc();
    (chance, (-(half * z * z)).exp() * T::from_f64(1.0 / ((2.0 * PI).sqrt() * sigma)))
}

/// Mean over `mu` of the chance to be open (eq. 2 of the paper, divided by the number of features); its derivatives,
/// times `weight`, are added to `d_mu`.
pub fn sparsity<T: Real>(mu: &[T], sigma: f64, weight: f64, d_mu: &mut [T]) -> f64 {
    add_sparsity(level(), mu, sigma, weight / mu.len() as f64, d_mu) / mu.len() as f64
}

dispatch! {
    fn add_sparsity<T: Real>(mu: &[T], sigma: f64, weight: f64, d_mu: &mut [T]) -> f64 = add_sparsity_body
}

#[inline(always)]
fn add_sparsity_body<T: Real>(mu: &[T], sigma: f64, weight: f64, d_mu: &mut [T]) -> f64 {
    let weight = T::from_f64(weight);
    let mut chances = [T::ZERO; 256];
    let mut total = 0.0;
    for (d, mu) in d_mu.chunks_mut(chances.len()).zip(mu.chunks(256)) {
        for ((d, &mu), open) in d.iter_mut().zip(mu).zip(&mut chances) {
            let (chance, slope) = open_chance(mu, sigma);
            *d += weight * slope;
            *open = chance;
        }
        total += sum(&chances[..mu.len()]);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::super::check::{assert_gradient, random};
    use super::*;
    use crate::rng::{Purpose, Stream};

    #[test]
    fn the_gradient_of_sparsity_is_that_of_finite_differences() {
        let mu = random(&mut Stream::new(0, Purpose::Noise, 0), 12);
        let mut gradient = vec![0.0; 12];
        sparsity(&mu, 0.5, 1.0, &mut gradient);
        assert_gradient(|mu| sparsity(mu, 0.5, 1.0, &mut [0.0; 12]), &mu, &gradient);
    }

    #[test]
    fn gates_are_open_as_often_as_their_chance_says() {
        let mut stream = Stream::new(1, Purpose::Noise, 0);
        for mu in [-0.9, -0.5, 0.0, 0.4] {
            let draws = 20_000;
            let open = (0..draws).filter(|_| gate(mu + 0.5 * stream.normals()[0]) > 0.0).count();
            assert!((open as f64 / f64::from(draws) - open_chance(mu, 0.5).0).abs() < 0.015);
        }
    }

    #[test]
    fn gates_stay_between_0_and_1() {
        assert_eq!([-2.0, -0.5, 0.0, 0.25, 0.5, 3.0].map(gate), [0.0, 0.0, 0.5, 0.75, 1.0, 1.0]);
        assert_eq!([0.0, 0.5, 1.0].map(follows), [false, true, false]);
    }
}
