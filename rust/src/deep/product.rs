//! Matrix products, row-major, by `matrixmultiply`.
//!
//! A large product is cut into bands of output rows, which workers share out. The cut depends on the shapes alone and
//! every element is summed by one worker in one order, so the number of threads cannot change a bit. Another
//! instruction set can: sums are fused and blocked as the machine likes it.

use rayon::prelude::*;

use super::real::Real;

/// Multiplications below which a product stays on one thread.
const WORTH_SHARING: usize = 1 << 21;
/// Rows of a band, about: each band packs the other factor anew, which more rows make up for.
const BAND: usize = 256;

/// A matrix to be read: as it lies in memory, or transposed.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    strides: [usize; 2],
}

impl<'a, T: Real> View<'a, T> {
    /// A row-major matrix.
    ///
    /// # Panics
    /// When `data` does not hold `rows x columns` values.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a matrix of {rows} x {columns}");
        View { data, rows, columns, strides: [columns, 1] }
    }

    /// The transpose, without a copy.
    pub fn t(self) -> Self {
        View { rows: self.columns, columns: self.rows, strides: [self.strides[1], self.strides[0]], ..self }
    }
}

/// `out = a b`, or `out += a b` when `accumulate`.
///
/// With more than one thread the caller must be inside a pool of its own ([`crate::parallel::pooled`]).
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply<T: Real>(threads: usize, a: View<'_, T>, b: View<'_, T>, out: &mut [T], accumulate: bool) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "the inner sizes of a product");
    assert_eq!(out.len(), m * n, "the product of {m} x {k} and {k} x {n}");
    if n == 0 {
        return;
    }
    let beta = if accumulate { T::ONE } else { T::ZERO };
    let band = |first: usize, part: &mut [T]| {
        let rows = part.len() / n;
        let strides = |v: &View<'_, T>| [v.strides[0] as isize, v.strides[1] as isize];
        let start = if k == 0 { 0 } else { first * a.strides[0] };
        // SAFETY: both views hold rows x columns values at their strides, the band's rows are rows of `a`, and
        // `part` is borrowed for writing alone.
        unsafe {
            T::gemm(
                rows,
                k,
                n,
                a.data[start..].as_ptr(),
                strides(&a),
                b.data.as_ptr(),
                strides(&b),
                beta,
                part.as_mut_ptr(),
                n as isize,
            );
        }
    };
    if m * k * n < WORTH_SHARING {
        return band(0, out);
    }
    let rows = m.div_ceil((m / BAND).max(1));
    if threads > 1 {
        out.par_chunks_mut(rows * n).enumerate().for_each(|(index, part)| band(index * rows, part));
    } else {
        out.chunks_mut(rows * n).enumerate().for_each(|(index, part)| band(index * rows, part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::{Workers, pooled};
    use crate::rng::{Purpose, Stream};

    fn random(stream: &mut Stream, len: usize) -> Vec<f64> {
        (0..len).map(|_| stream.unit() - 0.5).collect()
    }

    fn naive(a: View<'_, f64>, b: View<'_, f64>) -> Vec<f64> {
        let at = |v: &View<'_, f64>, i: usize, j: usize| v.data[i * v.strides[0] + j * v.strides[1]];
        let mut out = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.columns {
                out.push((0..a.columns).map(|l| at(&a, i, l) * at(&b, l, j)).sum());
            }
        }
        out
    }

    #[test]
    fn products_are_those_of_the_definition() {
        let mut stream = Stream::new(0, Purpose::Noise, 0);
        for (m, k, n) in [(1, 1, 1), (3, 5, 2), (17, 9, 33), (64, 1, 7), (4, 0, 3)] {
            let (a, b) = (random(&mut stream, m * k), random(&mut stream, k * n));
            let (a_t, b_t) = (random(&mut stream, m * k), random(&mut stream, k * n));
            let views = [
                (View::new(&a, m, k), View::new(&b, k, n)),
                (View::new(&a_t, k, m).t(), View::new(&b, k, n)),
                (View::new(&a, m, k), View::new(&b_t, n, k).t()),
            ];
            for (left, right) in views {
                let expected = naive(left, right);
                let mut out = vec![1.0; m * n];
                multiply(1, left, right, &mut out, true);
                assert!(out.iter().zip(&expected).all(|(x, y)| (x - y - 1.0).abs() < 1e-12));
                multiply(1, left, right, &mut out, false);
                assert!(out.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-12));
            }
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let mut stream = Stream::new(1, Purpose::Noise, 0);
        let (m, k, n) = (1030, 50, 71);
        let a: Vec<f32> = random(&mut stream, m * k).into_iter().map(|v| v as f32).collect();
        let b: Vec<f32> = random(&mut stream, k * n).into_iter().map(|v| v as f32).collect();
        let product = |threads: usize| {
            pooled(Workers::new(threads), |threads| {
                let mut out = vec![0.0; m * n];
                multiply(threads, View::new(&a, m, k), View::new(&b, k, n), &mut out, false);
                out
            })
        };
        let one = product(1);
        assert!(m * k * n >= WORTH_SHARING);
        assert!([2, 3, 8].into_iter().all(|threads| product(threads) == one));
    }
}
