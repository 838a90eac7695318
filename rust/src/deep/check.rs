//! What the tests of gradients share.

use crate::rng::Stream;

/// Numbers from -1 to 1.
pub fn random(stream: &mut Stream, len: usize) -> Vec<f64> {
    (0..len).map(|_| 2.0 * stream.unit() - 1.0).collect()
}

/// Holds a gradient against central differences: no derivative may be off by more than 1e-6 of the largest.
pub fn assert_gradient(loss: impl Fn(&[f64]) -> f64, at: &[f64], gradient: &[f64]) {
    assert_eq!(at.len(), gradient.len());
    const STEP: f64 = 1e-6;
    let mut point = at.to_vec();
    let largest = gradient.iter().fold(1e-3, |m: f64, g| m.max(g.abs()));
    for i in 0..at.len() {
        point[i] = at[i] + STEP;
        let above = loss(&point);
        point[i] = at[i] - STEP;
        let below = loss(&point);
        point[i] = at[i];
        let difference = (above - below) / (2.0 * STEP);
        assert!((difference - gradient[i]).abs() < 1e-6 * largest, "{i}: {difference} and {}", gradient[i]);
    }
}
