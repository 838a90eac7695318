//! Steps down a gradient: Adam, or plain stochastic gradient descent.

use super::real::Real;
use crate::simd::level;

/// Adam's decay of the first and second moments and the floor of its denominator, as Kingma and Ba (2015) have them.
const DECAYS: [f64; 2] = [0.9, 0.999];
const FLOOR: f64 = 1e-8;

/// How steps are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// Each parameter at a pace of its own.
    Adam,
    /// The gradient times the rate.
    Descent,
}

/// Parameters in training, with the moments that Adam keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Training<T> {
    /// What is learned.
    pub parameters: Vec<T>,
    /// Decayed means of the gradients and of their squares, one after the other; plain descent leaves them alone.
    pub moments: Vec<T>,
    /// Steps taken.
    pub steps: u64,
}

impl<T: Real> Training<T> {
    /// Parameters that no step has moved.
    pub fn new(parameters: Vec<T>) -> Self {
        let moments = vec![T::ZERO; 2 * parameters.len()];
        Training { parameters, moments, steps: 0 }
    }

    /// One step down `gradient`.
    pub fn step(&mut self, solver: Solver, gradient: &[T], rate: f64) {
        self.steps += 1;
        if solver == Solver::Descent {
            let rate = T::from_f64(rate);
            self.parameters.iter_mut().zip(gradient).for_each(|(p, &g)| *p += -(rate * g));
            return;
        }
        let corrections = DECAYS.map(|decay| 1.0 - decay.powi(self.steps.min(1 << 20) as i32));
        let rate = T::from_f64(rate / corrections[0]);
        let root = T::from_f64(1.0 / corrections[1].sqrt());
        let (means, squares) = self.moments.split_at_mut(self.parameters.len());
        adam(level(), &mut self.parameters, means, squares, gradient, rate, root);
    }
}

dispatch! {
    /// The steps of Adam for bias-corrected `rate` and `root` (a factor of the squares' root).
    fn adam<T: Real>(
        parameters: &mut [T], means: &mut [T], squares: &mut [T], gradient: &[T], rate: T, root: T,
    ) = adam_body
}

#[inline(always)]
fn adam_body<T: Real>(
    parameters: &mut [T],
    means: &mut [T],
    squares: &mut [T],
    gradient: &[T],
    rate: T,
    root: T,
) {
    let [keep, keep_squares] = DECAYS.map(T::from_f64);
    let [add, add_squares] = DECAYS.map(|decay| T::from_f64(1.0 - decay));
    let floor = T::from_f64(FLOOR);
    for (((p, m), v), &g) in parameters.iter_mut().zip(means).zip(squares).zip(gradient) {
        *m = keep * *m + add * g;
        *v = keep_squares * *v + add_squares * (g * g);
        *p += -(rate * *m) / (v.sqrt() * root + floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adam_follows_its_formulas() {
        let mut adam = Training::new(vec![1.0, -2.0]);
        let (mut m, mut v, mut p) = ([0.0; 2], [0.0; 2], [1.0, -2.0]);
        for t in 1..6 {
            let gradient = [0.3 * f64::from(t), -1.0];
            adam.step(Solver::Adam, &gradient, 0.1);
            for i in 0..2 {
                m[i] = 0.9 * m[i] + 0.1 * gradient[i];
                v[i] = 0.999 * v[i] + 0.001 * gradient[i] * gradient[i];
                let (m, v) = (m[i] / (1.0 - 0.9f64.powi(t)), v[i] / (1.0 - 0.999f64.powi(t)));
                p[i] -= 0.1 * m / (v.sqrt() + 1e-8);
            }
        }
        assert!(adam.parameters.iter().zip(p).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(adam.steps, 5);
    }

    #[test]
    fn plain_descent_follows_the_gradient() {
        let mut state = Training::new(vec![1.0, -2.0]);
        state.step(Solver::Descent, &[0.5, -1.0], 0.1);
        assert_eq!(state.parameters, [0.95, -1.9]);
        assert_eq!(state.moments, [0.0; 4]);
    }
}
