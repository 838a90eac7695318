//! Matrix products, row-major.
//!
//! Every element is one chain of fused multiplications and additions in the order of the inner index,
//!
//! ```text
//! c_ij = fma(a_in, b_nj, ... fma(a_i2, b_2j, fma(a_i1, b_1j, c_ij)))
//! ```
//!
//! whatever the tile, the block, the thread and the vector it is computed in, so that a seed trains the same network
//! to the last bit on every machine. The crates (`matrixmultiply`, `gemm`, `faer`) block and fuse as the machine likes
//! it, and their bits differ.
//!
//! The plan is that of Goto and van de Geijn (2008): the right factor is packed into panels of a tile's columns and the
//! left one into panels of its rows, so that the innermost loop reads both in a row; a tile of the product stays in
//! registers for a block of the inner index.

use std::ops::Range;

use rayon::prelude::*;

use super::real::Real;
use crate::lanes::Vector;
use crate::simd::{Level, level};

/// Multiplications below which a product stays on one thread.
const WORTH_SHARING: usize = 1 << 21;
/// Rows of the product that one thread takes at a time, about; their packed left factor stays in the second cache.
const BAND: usize = 192;
/// The most inner indices of a block: a panel of both factors stays in the first cache.
const DEPTH: usize = 256;

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
    multiply_at(level(), threads, a, b, out, accumulate);
}

fn multiply_at<T: Real>(
    level: Level,
    threads: usize,
    a: View<'_, T>,
    b: View<'_, T>,
    out: &mut [T],
    accumulate: bool,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "the inner sizes of a product");
    assert_eq!(out.len(), m * n, "the product of {m} x {k} and {k} x {n}");
    if !accumulate {
        out.fill(T::ZERO);
    }
    if out.is_empty() || k == 0 {
        return;
    }
    let [tile_rows, tile_columns] = tile_shape::<T>(level);
    // The right factor is packed once, the left one by each band for itself.
    let packed = pack(b.t(), 0..n, tile_columns);
    let rows = m.div_ceil(m.div_ceil(BAND)).next_multiple_of(tile_rows);
    let band = |(index, part): (usize, &mut [T])| {
        let first = index * rows;
        let left = pack(a, first..first + part.len() / n, tile_rows);
        run_band(level, &left, &packed, k, n, part);
    };
    if threads > 1 && m * k * n >= WORTH_SHARING {
        out.par_chunks_mut(rows * n).enumerate().for_each(band);
    } else {
        out.chunks_mut(rows * n).enumerate().for_each(band);
    }
}

/// Rows in panels of `width`, column by column; the last panel is filled up with zeros.
fn pack<T: Real>(matrix: View<'_, T>, rows: Range<usize>, width: usize) -> Vec<T> {
    let View { data, columns, strides: [down, right], .. } = matrix;
    let mut packed = vec![T::ZERO; rows.len().next_multiple_of(width) * columns];
    for (first, panel) in rows.clone().step_by(width).zip(packed.chunks_exact_mut(width * columns)) {
        let present = width.min(rows.end - first);
        if down == 1 {
            for (k, to) in panel.chunks_exact_mut(width).enumerate() {
                to[..present].copy_from_slice(&data[first + k * right..][..present]);
            }
        } else {
            for (lane, row) in (first..first + present).enumerate() {
                let row = &data[row * down..][..columns];
                panel[lane..].iter_mut().step_by(width).zip(row).for_each(|(to, &value)| *to = value);
            }
        }
    }
    packed
}

/// Vectors side by side in a tile.
const VECTORS: usize = 2;
/// Values of the largest tile.
const LARGEST: usize = 8 * VECTORS * 16;

/// Rows and columns of a tile, whose accumulators, a row of the right factor and one value of the left one must fit in
/// 32 vector registers (AVX-512) or 16.
fn tile_shape<T: Real>(level: Level) -> [usize; 2] {
    match level {
        Level::Avx512 => [8, VECTORS * lanes::<T, T::Full>()],
        Level::Avx2 => [6, VECTORS * lanes::<T, T::Half>()],
        Level::Baseline => [4, VECTORS * lanes::<T, T::Quarter>()],
    }
}

const fn lanes<T, V>() -> usize {
    size_of::<V>() / size_of::<T>()
}

/// Adds the product of packed factors, `k` deep, to rows of `n` columns.
fn run_band<T: Real>(level: Level, left: &[T], right: &[T], k: usize, n: usize, out: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn avx512<T: Real>(left: &[T], right: &[T], k: usize, n: usize, out: &mut [T]) {
            band::<T, T::Full, 8>(left, right, k, n, out);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<T: Real>(left: &[T], right: &[T], k: usize, n: usize, out: &mut [T]) {
            band::<T, T::Half, 6>(left, right, k, n, out);
        }
        match level {
            // SAFETY: levels never exceed what the machine was detected to support.
            Level::Avx512 => return unsafe { avx512(left, right, k, n, out) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(left, right, k, n, out) },
            Level::Baseline => {}
        }
    }
    let _ = level;
    band::<T, T::Quarter, 4>(left, right, k, n, out);
}

#[inline(always)]
fn band<T: Real, V: Vector<T>, const R: usize>(left: &[T], right: &[T], k: usize, n: usize, out: &mut [T]) {
    let width = VECTORS * lanes::<T, V>();
    let depth = k.div_ceil(k.div_ceil(DEPTH));
    let mut edge = [T::ZERO; LARGEST];
    for start in (0..k).step_by(depth) {
        let block = start..k.min(start + depth);
        for (first, b) in (0..n).step_by(width).zip(right.chunks_exact(width * k)) {
            let columns = width.min(n - first);
            let b = &b[block.start * width..block.end * width];
            for (strip, a) in out.chunks_mut(R * n).zip(left.chunks_exact(R * k)) {
                let a = &a[block.start * R..block.end * R];
                let rows = strip.len() / n;
                if rows == R && columns == width {
                    // SAFETY: the strip holds R rows of n values, of which `width` follow `first`.
                    unsafe { tile::<T, V, R, VECTORS>(a, b, strip.as_mut_ptr().add(first), n) };
                    continue;
                }
                for r in 0..rows {
                    edge[r * width..][..columns].copy_from_slice(&strip[r * n + first..][..columns]);
                }
                let to = edge.as_mut_ptr();
                if columns > lanes::<T, V>() {
                    // SAFETY: the buffer holds R rows of `width` values.
                    unsafe { tile::<T, V, R, VECTORS>(a, b, to, width) };
                } else {
                    // SAFETY: as above.
                    unsafe { tile::<T, V, R, 1>(a, b, to, width) };
                }
                for r in 0..rows {
                    strip[r * n + first..][..columns].copy_from_slice(&edge[r * width..][..columns]);
                }
            }
        }
    }
}

/// Adds the product of a panel of R rows and the first C vectors of a panel of columns to a tile of `out`.
///
/// # Safety
/// `out` must hold R rows of C vectors, each `stride` values after the last.
#[inline(always)]
unsafe fn tile<T: Real, V: Vector<T>, const R: usize, const C: usize>(
    a: &[T],
    b: &[T],
    out: *mut T,
    stride: usize,
) {
    let lanes = lanes::<T, V>();
    let mut sums = [[V::splat(T::ZERO); C]; R];
    for (r, row) in sums.iter_mut().enumerate() {
        for (c, sum) in row.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            *sum = unsafe { V::load(out.add(r * stride + c * lanes)) };
        }
    }
    for (a, b) in a.chunks_exact(R).zip(b.chunks_exact(VECTORS * lanes)) {
        // SAFETY: C is at most VECTORS.
        let columns: [V; C] = std::array::from_fn(|c| unsafe { V::load(b.as_ptr().add(c * lanes)) });
        for (row, &value) in sums.iter_mut().zip(a) {
            let value = V::splat(value);
            for (sum, &column) in row.iter_mut().zip(&columns) {
                *sum = value.mul_add(column, *sum);
            }
        }
    }
    for (r, row) in sums.iter().enumerate() {
        for (c, sum) in row.iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe { sum.store(out.add(r * stride + c * lanes)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::{Workers, pooled};
    use crate::rng::{Purpose, Stream};

    fn random<T: Real>(stream: &mut Stream, len: usize) -> Vec<T> {
        (0..len).map(|_| T::from_f64(stream.unit() - 0.5)).collect()
    }

    /// `start + a b`, each element a chain in the order of the inner index.
    fn naive<T: Real>(a: View<'_, T>, b: View<'_, T>, start: T) -> Vec<T> {
        let at = |v: &View<'_, T>, i: usize, j: usize| v.data[i * v.strides[0] + j * v.strides[1]];
        let element = |i, j| (0..a.columns).fold(start, |sum, l| at(&a, i, l).mul_add(at(&b, l, j), sum));
        (0..a.rows).flat_map(|i| (0..b.columns).map(move |j| (i, j))).map(|(i, j)| element(i, j)).collect()
    }

    fn check<T: Real>() {
        let mut stream = Stream::new(0, Purpose::Noise, 0);
        let shapes =
            [(1, 1, 1), (3, 5, 2), (17, 9, 33), (64, 1, 7), (4, 0, 3), (9, 300, 18), (200, 3, 50), (2, 4, 0)];
        for (m, k, n) in shapes {
            let (a, b) = (random::<T>(&mut stream, m * k), random(&mut stream, k * n));
            let views = [
                (View::new(&a, m, k), View::new(&b, k, n)),
                (View::new(&a, k, m).t(), View::new(&b, k, n)),
                (View::new(&a, m, k), View::new(&b, n, k).t()),
            ];
            for (left, right) in views {
                for level in Level::ALL.into_iter().filter(|&l| l <= Level::supported()) {
                    let mut out = vec![T::ONE; m * n];
                    multiply_at(level, 1, left, right, &mut out, true);
                    assert_eq!(out, naive(left, right, T::ONE), "{level:?}, {m} x {k} x {n}");
                    multiply_at(level, 1, left, right, &mut out, false);
                    assert_eq!(out, naive(left, right, T::ZERO), "{level:?}, {m} x {k} x {n}");
                }
            }
        }
    }

    #[test]
    fn products_are_the_same_chains_at_every_level_to_the_last_bit() {
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn threads_change_no_bit() {
        let mut stream = Stream::new(1, Purpose::Noise, 0);
        let (m, k, n) = (1030, 50, 71);
        let (a, b) = (random::<f32>(&mut stream, m * k), random(&mut stream, k * n));
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
