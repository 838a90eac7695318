//! Products whose right factor is thin: a few lanes of columns, one for each component of a mixture.
//!
//! [`deep::product`](crate::deep::product) packs both factors first, which pays where each is used many times. Here the
//! left factor is used once for each lane of the thin one, so it is read where it lies, by rows or by columns. Every
//! element is one chain of fused operations in the order of the inner index, the same bits whatever the tile and the
//! vector.

use std::array::from_fn;

use crate::lanes::{Real, Vector};
use crate::simd::Level;

/// Columns of the thin factor are a multiple of this: one AVX-512 register.
pub const LANES: usize = 8;

/// The left factor: where its values lie, and how far apart those of a row and of a column are.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    values: &'a [f64],
    rows: usize,
    inner: usize,
    /// From one row to the next, and from one inner index to the next.
    strides: [usize; 2],
}

impl<'a> Left<'a> {
    /// A row-major matrix of rows of `inner` values.
    pub fn new(values: &'a [f64], inner: usize) -> Self {
        Left { values, rows: values.len() / inner, inner, strides: [inner, 1] }
    }

    /// The transpose of a row-major matrix of rows of `rows` values.
    pub fn transposed(values: &'a [f64], rows: usize) -> Self {
        Left { values, rows, inner: values.len() / rows, strides: [1, rows] }
    }
}

/// `out += left thin`, with rows of `width` values in `thin` and `out`.
///
/// # Panics
/// When the shapes do not fit, or `width` is no multiple of [`LANES`].
pub fn multiply_add(level: Level, left: Left<'_>, thin: &[f64], width: usize, out: &mut [f64]) {
    assert!(width.is_multiple_of(LANES), "whole lanes");
    assert_eq!(left.values.len(), left.rows * left.inner, "the left factor");
    assert_eq!(thin.len(), left.inner * width, "the thin factor");
    assert_eq!(out.len(), left.rows * width, "the product");
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn avx512(left: Left<'_>, thin: &[f64], width: usize, out: &mut [f64]) {
            strips::<<f64 as Real>::Full, 12, 1>(left, thin, width, out);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(left: Left<'_>, thin: &[f64], width: usize, out: &mut [f64]) {
            strips::<<f64 as Real>::Half, 6, 2>(left, thin, width, out);
        }
        match level {
            // SAFETY: levels never exceed what the machine was detected to support.
            Level::Avx512 => return unsafe { avx512(left, thin, width, out) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(left, thin, width, out) },
            Level::Baseline => {}
        }
    }
    let _ = level;
    strips::<<f64 as Real>::Quarter, 2, 4>(left, thin, width, out);
}

/// Tiles of R rows and Q vectors, whose accumulators, a row of the thin factor and one value of the left one must fit in the
/// registers (32 with AVX-512, else 16), and hide the latency of a fused operation.
#[inline(always)]
fn strips<V: Vector<f64>, const R: usize, const Q: usize>(
    left: Left<'_>,
    thin: &[f64],
    width: usize,
    out: &mut [f64],
) {
    let mut row = 0;
    while row + R <= left.rows {
        strip::<V, R, Q>(left, row, thin, width, out);
        row += R;
    }
    while row + 2 <= left.rows {
        strip::<V, 2, Q>(left, row, thin, width, out);
        row += 2;
    }
    if row < left.rows {
        strip::<V, 1, Q>(left, row, thin, width, out);
    }
}

/// R rows of the product, from row `first` on.
#[inline(always)]
fn strip<V: Vector<f64>, const R: usize, const Q: usize>(
    left: Left<'_>,
    first: usize,
    thin: &[f64],
    width: usize,
    out: &mut [f64],
) {
    let lanes = LANES / Q;
    let [down, along] = left.strides;
    assert!(size_of::<V>() == size_of::<[f64; LANES]>() / Q && first + R <= left.rows);
    for block in (0..width).step_by(LANES) {
        let at = |r: usize, q: usize| (first + r) * width + block + q * lanes;
        // SAFETY: the product has rows of `width` values, of which LANES follow `block`, and R rows follow `first`.
        let mut sums: [[V; Q]; R] = from_fn(|r| from_fn(|q| unsafe { V::load(out.as_ptr().add(at(r, q))) }));
        for l in 0..left.inner {
            // SAFETY: the thin factor has `inner` rows of `width` values.
            let columns: [V; Q] =
                from_fn(|q| unsafe { V::load(thin.as_ptr().add(l * width + block + q * lanes)) });
            for (r, row) in sums.iter_mut().enumerate() {
                // SAFETY: the left factor has a value for each of its rows and inner indices.
                let value = V::splat(unsafe { *left.values.get_unchecked((first + r) * down + l * along) });
                for (sum, &column) in row.iter_mut().zip(&columns) {
                    *sum = value.mul_add(column, *sum);
                }
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (q, sum) in row.iter().enumerate() {
                // SAFETY: as for the load.
                unsafe { sum.store(out.as_mut_ptr().add(at(r, q))) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    #[test]
    fn every_element_is_one_fused_chain_at_every_level() {
        let mut rng = Stream::new(2, Purpose::Standalone, 0);
        let mut random = |count: usize| -> Vec<f64> { (0..count).map(|_| rng.unit() - 0.5).collect() };
        for (rows, inner, width) in [(1, 1, 8), (12, 40, 8), (23, 5, 16), (31, 64, 24), (3, 2, 8)] {
            let (values, thin, start) = (random(rows * inner), random(inner * width), random(rows * width));
            // The same matrix by columns.
            let turned: Vec<f64> =
                (0..rows * inner).map(|at| values[(at % rows) * inner + at / rows]).collect();
            let expected: Vec<f64> = (0..rows * width)
                .map(|at| {
                    let (i, c) = (at / width, at % width);
                    (0..inner)
                        .fold(start[at], |sum, l| values[i * inner + l].mul_add(thin[l * width + c], sum))
                })
                .collect();
            for level in Level::ALL.into_iter().filter(|&level| level <= Level::supported()) {
                for left in [Left::new(&values, inner), Left::transposed(&turned, rows)] {
                    let mut out = start.clone();
                    multiply_add(level, left, &thin, width, &mut out);
                    assert_eq!(out, expected, "{rows} x {inner} x {width}, {level:?}");
                }
            }
        }
    }
}
