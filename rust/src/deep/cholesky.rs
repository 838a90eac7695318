//! Log-determinant and inverse of a symmetric positive definite matrix, in double precision.

use crate::simd::level;

/// `(log det A, A^-1)` of an `n x n` matrix by its Cholesky factor `A = L L^T`; O(n^3).
///
/// `A` must be positive definite, as an identity plus a matrix of second moments is; only its lower triangle is read.
pub fn log_det_and_inverse(a: &mut [f64], n: usize) -> (f64, Vec<f64>) {
    factor(level(), a, n)
}

dispatch! {
    fn factor(a: &mut [f64], n: usize) -> (f64, Vec<f64>) = factor_body
}

#[inline(always)]
fn factor_body(a: &mut [f64], n: usize) -> (f64, Vec<f64>) {
    let mut log_det = 0.0;
    for j in 0..n {
        let (above, below) = a.split_at_mut((j + 1) * n);
        let pivot_row = &mut above[j * n..];
        let pivot = (pivot_row[j] - dot(&pivot_row[..j], &pivot_row[..j])).sqrt();
        log_det += 2.0 * libm::log(pivot);
        pivot_row[j] = pivot;
        for row in below.chunks_mut(n) {
            row[j] = (row[j] - dot(&row[..j], &pivot_row[..j])) / pivot;
        }
    }
    // Row i of M = L^-1, kept as row i, from the rows above it: M_i = (e_i - sum_l L_il M_l) / L_ii.
    let mut m = vec![0.0; n * n];
    for i in 0..n {
        let (above, row) = m.split_at_mut(i * n);
        let factor = &a[i * n..];
        for (l, done) in above.chunks(n).enumerate() {
            let weight = factor[l];
            for (x, y) in row[..=l].iter_mut().zip(&done[..=l]) {
                *x -= weight * y;
            }
        }
        row[i] = 1.0;
        row[..=i].iter_mut().for_each(|x| *x /= factor[i]);
    }
    // A^-1 = M^T M.
    let mut inverse = vec![0.0; n * n];
    for row in m.chunks(n) {
        for (i, &left) in row.iter().enumerate() {
            if left != 0.0 {
                for (x, y) in inverse[i * n..][..n].iter_mut().zip(row) {
                    *x += left * y;
                }
            }
        }
    }
    (log_det, inverse)
}

/// Sum of products, in eight partial sums: an order of its own that vector units can keep.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_lanes, b_lanes) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_lanes.remainder().iter().zip(b_lanes.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a_lanes.zip(b_lanes) {
        for l in 0..8 {
            sums[l] += a[l] * b[l];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::super::check::random;
    use super::*;
    use crate::rng::{Purpose, Stream};

    #[test]
    fn the_inverse_inverts_and_the_determinant_is_the_product_of_pivots() {
        let mut stream = Stream::new(0, Purpose::Noise, 0);
        for n in [1, 2, 7, 20] {
            let half = random(&mut stream, n * n);
            let mut a = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..n {
                    a[i * n + j] =
                        f64::from(i == j) + (0..n).map(|l| half[i * n + l] * half[j * n + l]).sum::<f64>();
                }
            }
            let (log_det, inverse) = log_det_and_inverse(&mut a.clone(), n);
            for i in 0..n {
                for j in 0..n {
                    let product: f64 = (0..n).map(|l| a[i * n + l] * inverse[l * n + j]).sum();
                    assert!((product - f64::from(i == j)).abs() < 1e-9);
                }
            }
            // Gaussian elimination needs no pivoting here.
            let mut naive = 0.0;
            for j in 0..n {
                naive += a[j * n + j].ln();
                for i in j + 1..n {
                    let factor = a[i * n + j] / a[j * n + j];
                    (j..n).for_each(|l| a[i * n + l] -= factor * a[j * n + l]);
                }
            }
            assert!((log_det - naive).abs() < 1e-9);
        }
    }
}
