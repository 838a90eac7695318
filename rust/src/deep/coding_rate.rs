//! Coding rates (Yu et al. 2020): how many nats describe vectors up to a precision.
//!
//! Rows are taken at unit length. For `n` of them in `d` dimensions, with memberships `p` in a cluster that sum to `t`,
//!
//! ```text
//! R(W)    = 1/2 log det(I + d / (n eps) W^T W)
//! R(W, p) = t / (2 n) log det(I + d / (t eps) W^T diag(p) W)
//! ```
//!
//! `-R` of the gates makes them differ between observations; the sum of `R(W, p_k)` over clusters is small when each
//! cluster is compact. The weight `t / n` matters: without it the sum is smallest when one cluster takes everything,
//! because `log det(I + A + B) <= log det(I + A) + log det(I + B)`.

use super::cholesky::log_det_and_inverse;
use super::product::{View, multiply};
use super::real::Real;

/// The shortest length that rows are divided by.
const SHORTEST: f64 = 1e-12;
/// Added to the size of a cluster, so that an empty one has a rate: 0.
const EMPTY: f64 = 1e-8;

/// Divides rows by their length, and returns the lengths.
pub fn to_unit_length<T: Real>(rows: &mut [T], columns: usize) -> Vec<T> {
    let scale = |row: &mut [T]| {
        let squares = row.iter().fold(T::ZERO, |sum, &v| sum + v * v);
        let length = squares.sqrt().or_more(T::from_f64(SHORTEST));
        row.iter_mut().for_each(|v| *v *= T::ONE / length);
        length
    };
    rows.chunks_mut(columns).map(scale).collect()
}

/// `(R, dR / dz)` of all rows of `z` (`n x d`).
///
/// `log det(I + a W^T W) = log det(I + a W W^T)` (Sylvester), so the smaller side is worked on.
pub fn total<T: Real>(threads: usize, z: &[T], d: usize, epsilon: f64) -> (f64, Vec<T>) {
    let n = z.len() / d;
    let mut w = z.to_vec();
    let lengths = to_unit_length(&mut w, d);
    let view = View::new(&w, n, d);
    let side = n.min(d);
    let scale = d as f64 / (n as f64 * epsilon);
    let mut moments = vec![T::ZERO; side * side];
    let (left, right) = if n <= d { (view, view.t()) } else { (view.t(), view) };
    multiply(threads, left, right, &mut moments, false);
    let mut shifted: Vec<f64> = moments.iter().map(|m| scale * m.to_f64()).collect();
    shifted.iter_mut().step_by(side + 1).for_each(|diagonal| *diagonal += 1.0);
    let (log_det, inverse) = log_det_and_inverse(&mut shifted, side);
    // dR/dW = a (I + a W W^T)^-1 W = a W (I + a W^T W)^-1.
    let inverse: Vec<T> = inverse.into_iter().map(|v| T::from_f64(scale * v)).collect();
    let inverse = View::new(&inverse, side, side);
    let mut gradient = vec![T::ZERO; n * d];
    let (left, right) = if n <= d { (inverse, view) } else { (view, inverse) };
    multiply(threads, left, right, &mut gradient, false);
    // Through the division by the length: what points along the row has no effect.
    for ((g, w), length) in gradient.chunks_mut(d).zip(w.chunks(d)).zip(lengths) {
        let along = g.iter().zip(w).fold(T::ZERO, |sum, (&g, &w)| sum + g * w);
        g.iter_mut().zip(w).for_each(|(g, &w)| *g = (*g - along * w) * (T::ONE / length));
    }
    (0.5 * log_det, gradient)
}

/// `(sum_k R(W, p_k), dR / dp)` for rows `w` (`n x d`, of unit length) and memberships `p` (`n x K`).
pub fn of_clusters<T: Real>(w: &[T], d: usize, p: &[T], k: usize, epsilon: f64) -> (f64, Vec<T>) {
    let n = w.len() / d;
    let mut rate = 0.0;
    let mut gradient = vec![T::ZERO; n * k];
    let mut weighted = vec![T::ZERO; n * d];
    let mut product = vec![T::ZERO; n * d];
    let mut moments = vec![T::ZERO; d * d];
    for cluster in 0..k {
        let mut size = EMPTY;
        for ((weighted, w), p) in weighted.chunks_mut(d).zip(w.chunks(d)).zip(p.chunks(k)) {
            size += p[cluster].to_f64();
            weighted.iter_mut().zip(w).for_each(|(x, &w)| *x = p[cluster] * w);
        }
        multiply(1, View::new(w, n, d).t(), View::new(&weighted, n, d), &mut moments, false);
        let scale = d as f64 / (size * epsilon);
        let mut shifted: Vec<f64> = moments.iter().map(|m| scale * m.to_f64()).collect();
        shifted.iter_mut().step_by(d + 1).for_each(|diagonal| *diagonal += 1.0);
        let (log_det, inverse) = log_det_and_inverse(&mut shifted, d);
        rate += size / (2 * n) as f64 * log_det;
        // d/dp_i of t log det(I + c S / t) is log det + (d / eps) w_i A^-1 w_i - tr(A^-1 (A - I)).
        let trace: f64 = inverse.iter().step_by(d + 1).sum();
        let constant = (log_det - (d as f64 - trace)) / (2 * n) as f64;
        let slope = d as f64 / epsilon / (2 * n) as f64;
        let inverse: Vec<T> = inverse.into_iter().map(T::from_f64).collect();
        multiply(1, View::new(w, n, d), View::new(&inverse, d, d), &mut product, false);
        for ((g, w), product) in gradient.chunks_mut(k).zip(w.chunks(d)).zip(product.chunks(d)) {
            let form = w.iter().zip(product).fold(T::ZERO, |sum, (&a, &b)| sum + a * b);
            g[cluster] = T::from_f64(constant + slope * form.to_f64());
        }
    }
    (rate, gradient)
}

#[cfg(test)]
mod tests {
    use super::super::check::{assert_gradient, random};
    use super::*;
    use crate::rng::{Purpose, Stream};

    fn memberships(stream: &mut Stream, n: usize, k: usize) -> Vec<f64> {
        let mut p: Vec<f64> = (0..n * k).map(|_| 0.1 + stream.unit()).collect();
        for row in p.chunks_mut(k) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|v| *v /= sum);
        }
        p
    }

    #[test]
    fn gradients_are_those_of_finite_differences_on_both_sides_of_sylvester() {
        let mut stream = Stream::new(0, Purpose::Noise, 0);
        for (n, d) in [(9, 4), (4, 9), (5, 5)] {
            let z = random(&mut stream, n * d);
            assert_gradient(|z| total(1, z, d, 0.7).0, &z, &total(1, &z, d, 0.7).1);
        }
        let (n, d, k) = (11, 4, 3);
        let mut w = random(&mut stream, n * d);
        to_unit_length(&mut w, d);
        let p = memberships(&mut stream, n, k);
        assert_gradient(|p| of_clusters(&w, d, p, k, 0.1).0, &p, &of_clusters(&w, d, &p, k, 0.1).1);
    }

    #[test]
    fn both_sides_of_sylvester_give_one_rate() {
        // Columns of zeros leave W W^T as it is and only make W^T W the larger side; d in the scale must follow.
        let mut stream = Stream::new(1, Purpose::Noise, 0);
        let (n, d, wide) = (6, 4, 9);
        let z = random(&mut stream, n * d);
        let padded: Vec<f64> =
            z.chunks(d).flat_map(|row| row.iter().copied().chain(vec![0.0; wide - d])).collect();
        let (narrow, _) = total(1, &z, d, 1.0);
        let (padded, _) = total(1, &padded, wide, wide as f64 / d as f64);
        assert!((narrow - padded).abs() < 1e-12);
    }

    #[test]
    fn splitting_never_raises_the_clusters_rate_and_one_cluster_has_the_total() {
        let mut stream = Stream::new(2, Purpose::Noise, 0);
        let (n, d, k) = (20, 3, 2);
        let z = random(&mut stream, n * d);
        let mut w = z.clone();
        to_unit_length(&mut w, d);
        let (whole, _) = total(1, &z, d, 0.1);
        let (one, _) = of_clusters(&w, d, &vec![1.0; n], 1, 0.1);
        assert!((whole - one).abs() < 1e-6);
        for _ in 0..20 {
            let p = memberships(&mut stream, n, k);
            assert!(of_clusters(&w, d, &p, k, 0.1).0 <= whole + 1e-6);
        }
        let empty: Vec<f64> = (0..n).flat_map(|_| [1.0, 0.0]).collect();
        assert!((of_clusters(&w, d, &empty, 2, 0.1).0 - whole).abs() < 1e-6);
    }
}
