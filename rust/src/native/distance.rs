//! Squared norms, products and pairwise distances: the kernels that the clusterers share.
//!
//! Observations are packed in *panels*: `W` rows side by side, feature by feature, so that one vector holds the
//! same feature of `W` observations. Every sum over features then runs in a lane of its own, in the order of
//! the features, whatever the width of the machine's vectors and the shape of the register tile:
//!
//! ```text
//! g_ij = ((x_i1 x_j1 + x_i2 x_j2) + x_i3 x_j3) + ...
//! ```
//!
//! which makes each `g_ij` the same bits at every [`Level`], makes `g_ij = g_ji`, and makes the squared distance
//! `g_ii + g_jj - 2 g_ij` of two equal rows exactly zero. It is also the order in which SciPy sums
//! `(x_ik - x_jk)^2`, so [`Form::Difference`] gives SciPy's distances to the last bit.
//!
//! The products are our own code because the crates fuse multiplication and addition where the machine can
//! (`matrixmultiply`, `faer`), so that their bits differ from machine to machine, and because a symmetric
//! product is half the work of a general one.

// Indices are lanes and registers here, counted alike in several arrays.
#![allow(clippy::needless_range_loop)]

use super::{Matrix, Values};
use crate::error::{Error, Result};
use crate::lanes::{Real, Vector};
use crate::memory;
use crate::simd::Level;

/// Rows side by side in a panel of double precision: one AVX-512 register.
pub const WIDTH: usize = 8;

/// The mean of each feature, in double precision, rounded to integers when all values are integers (second
/// result), which keeps integer data exact.
pub fn centre(patch: Matrix<'_>, centre: &mut Vec<f64>) -> bool {
    match patch.values {
        Values::F32(values) => centre_of(values, patch.columns, centre),
        Values::F64(values) => centre_of(values, patch.columns, centre),
    }
}

fn centre_of<S: Real>(values: &[S], columns: usize, centre: &mut Vec<f64>) -> bool {
    centre.clear();
    centre.resize(columns, 0.0);
    let mut rows = 0u32;
    let mut integers = true;
    for row in values.chunks_exact(columns) {
        rows += 1;
        for (sum, value) in centre.iter_mut().zip(row) {
            *sum += value.to_f64();
        }
        integers = integers && row.iter().all(|value| is_integer(value.to_f64()));
    }
    for sum in centre.iter_mut() {
        *sum /= f64::from(rows.max(1));
        if integers {
            *sum = sum.round();
        }
    }
    integers
}

/// Whether a value is an integer below 2^51, by the trick of adding and removing 1.5 * 2^52.
#[inline(always)]
fn is_integer(value: f64) -> bool {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    value.abs() < 2_251_799_813_685_248.0 && (value + SHIFT) - SHIFT == value
}

/// Refuses rows so far apart, given by their squared norms, that squared distances might not be finite: four times the
/// largest norm bounds them all.
pub fn check_reach<T: Real>(norms: &[T]) -> Result<()> {
    if norms.iter().all(|&norm| (norm * T::from_f64(4.0)).to_f64().is_finite()) {
        return Ok(());
    }
    let expected = "a finite number: divide the features by a constant, or standardize them";
    Err(Error::value("the largest squared distance", "not finite", expected))
}

/// Rows packed `W` side by side: panel `p` holds rows `p * W ..`, feature by feature; missing rows are zero.
#[derive(Debug, Clone, Default)]
pub struct Panels<T, const W: usize> {
    data: Vec<[T; W]>,
    rows: usize,
    columns: usize,
}

impl<T: Real, const W: usize> Panels<T, W> {
    /// Number of packed rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of panels.
    pub fn panels(&self) -> usize {
        self.rows.div_ceil(W)
    }

    /// Number of rows with the missing ones of the last panel.
    pub fn padded(&self) -> usize {
        self.panels() * W
    }

    /// One panel, feature by feature.
    #[inline(always)]
    pub fn panel(&self, index: usize) -> &[[T; W]] {
        &self.data[index * self.columns..(index + 1) * self.columns]
    }

    /// Packs `patch` with `centre` subtracted in double precision.
    pub fn pack(&mut self, patch: Matrix<'_>, centre: &[f64]) {
        match patch.values {
            Values::F32(values) => self.pack_rows(values, patch.rows, patch.columns, centre),
            Values::F64(values) => self.pack_rows(values, patch.rows, patch.columns, centre),
        }
    }

    fn pack_rows<S: Real>(&mut self, values: &[S], rows: usize, columns: usize, centre: &[f64]) {
        self.fill(
            rows,
            columns,
            |i| &values[i * columns..(i + 1) * columns],
            |value, k| T::from_f64(value.to_f64() - centre[k]),
        );
    }

    /// Packs `rows` rows that are already of this type and centred, `row(i)` giving each.
    pub fn gather<'a>(&mut self, rows: usize, columns: usize, row: impl Fn(usize) -> &'a [T]) {
        self.fill(rows, columns, row, |value, _| value);
    }

    fn fill<'a, S: Real>(
        &mut self,
        rows: usize,
        columns: usize,
        row: impl Fn(usize) -> &'a [S],
        convert: impl Fn(S, usize) -> T,
    ) {
        self.rows = rows;
        self.columns = columns;
        self.data.clear();
        for start in (0..rows).step_by(W) {
            let lanes: [&[S]; W] = std::array::from_fn(|lane| &row((start + lane).min(rows - 1))[..columns]);
            self.data.extend((0..columns).map(|k| {
                let mut packed = [T::default(); W];
                for lane in 0..W {
                    packed[lane] = convert(lanes[lane][k], k);
                }
                packed
            }));
        }
        let present = rows - (self.panels().max(1) - 1) * W;
        if present < W {
            for packed in self.data.iter_mut().rev().take(columns) {
                packed[present..].fill(T::default());
            }
        }
    }

    /// Writes the squared norm of each row, and zeros for the missing ones.
    pub fn squared_norms(&self, norms: &mut Vec<T>) {
        norms.clear();
        for p in 0..self.panels() {
            let mut sums = [T::default(); W];
            for column in self.panel(p) {
                for lane in 0..W {
                    sums[lane] = sums[lane] + column[lane] * column[lane];
                }
            }
            norms.extend_from_slice(&sums);
        }
    }
}

/// What is summed over the features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Products `x_ik x_jk`, from which distances follow by `g_ii + g_jj - 2 g_ij`: fast, and accurate where
    /// the distance is not much smaller than the norms.
    Product,
    /// Squared differences `(x_ik - x_jk)^2`: half as fast, and as accurate as can be.
    Difference,
}

/// Makes room for the distances between all pairs of so many rows. Entries are left as they were where the size is the same.
pub fn make_square(out: &mut Vec<f64>, rows: usize) -> Result<()> {
    memory::resize(out, rows.saturating_mul(rows), 0.0, "the distances of all pairs of observations")
}

/// Euclidean distances between all pairs of rows: `out` becomes a square matrix of [`Panels::padded`] rows and
/// columns whose entries beyond the real rows are meaningless. `norms` are the squared norms of the rows.
///
/// Returns whether cancellation spoilt a distance: [`Form::Product`] leaves few of the leading digits when a
/// squared distance is below 2^-16 of the squared norms. Cost n^2 m / 2 multiplications and additions.
pub fn pairwise(
    level: Level,
    form: Form,
    panels: &Panels<f64, WIDTH>,
    norms: &[f64],
    out: &mut Vec<f64>,
) -> Result<bool> {
    // No fill when the size is unchanged: every entry is written below.
    make_square(out, panels.padded())?;
    Ok(match form {
        Form::Product => run_pairwise::<true>(level, panels, norms, out),
        Form::Difference => run_pairwise::<false>(level, panels, norms, out),
    })
}

/// Inner products of every row of `a` with every row of `b`: `out[r * b.padded() + i]`.
pub fn products<T: Real, const W: usize>(
    level: Level,
    a: &Panels<T, WIDTH>,
    b: &Panels<T, W>,
    out: &mut Vec<T>,
) {
    assert!(a.columns == b.columns && W.is_multiple_of(4));
    out.resize(a.padded() * b.padded(), T::default());
    run_products(level, a, b, out);
}

/// Below this share of the squared norms a squared distance has lost too many digits.
const SPOILT: f64 = 1.0 / 65536.0;

/// Sums over the features of `R` rows of a panel, from row `first`, against `C` whole panels of `Q` vectors each.
///
/// The accumulators are `R * C * Q` registers; each sum is one lane of one of them.
#[inline(always)]
fn tile<
    T: Real,
    V: Vector<T>,
    const W: usize,
    const R: usize,
    const C: usize,
    const Q: usize,
    const PRODUCT: bool,
>(
    a: &[[T; WIDTH]],
    first: usize,
    b: [&[[T; W]]; C],
) -> [[[V; Q]; C]; R] {
    let features = a.len();
    assert!(first + R <= WIDTH && size_of::<V>() * Q == size_of::<[T; W]>());
    for c in 0..C {
        assert!(b[c].len() == features);
    }
    let mut sums = [[[V::splat(T::default()); Q]; C]; R];
    for k in 0..features {
        // SAFETY: k is within the panels, whose lengths were compared above, and first + r < WIDTH.
        let rows = unsafe { a.get_unchecked(k).as_ptr().add(first) };
        let mut columns = [[V::splat(T::default()); Q]; C];
        for c in 0..C {
            for q in 0..Q {
                // SAFETY: as above; Q vectors fill the panel's width.
                columns[c][q] = unsafe { V::load(b[c].get_unchecked(k).as_ptr().add(q * (W / Q))) };
            }
        }
        for r in 0..R {
            // SAFETY: as above.
            let row = V::splat(unsafe { *rows.add(r) });
            for c in 0..C {
                for q in 0..Q {
                    let term = if PRODUCT {
                        row.mul(columns[c][q])
                    } else {
                        let difference = row.sub(columns[c][q]);
                        difference.mul(difference)
                    };
                    sums[r][c][q] = sums[r][c][q].add(term);
                }
            }
        }
    }
    sums
}

/// One tile of [`pairwise`]: rows `first..first + R` of panel `p` against panels `q..q + C`, written to both halves.
#[inline(always)]
fn pairwise_tile<V: Vector<f64>, const R: usize, const C: usize, const Q: usize, const PRODUCT: bool>(
    panels: &Panels<f64, WIDTH>,
    norms: &[f64],
    (p, first, q): (usize, usize, usize),
    out: &mut [f64],
) -> bool {
    let mut columns = [panels.panel(q); C];
    for c in 1..C {
        columns[c] = panels.panel(q + c);
    }
    let mut sums = tile::<f64, V, WIDTH, R, C, Q, PRODUCT>(panels.panel(p), first, columns);
    let stride = panels.padded();
    let (i, j) = (p * WIDTH + first, q * WIDTH);
    assert!(i + R <= norms.len() && j + C * WIDTH <= norms.len());
    let mut slack = V::splat(0.0);
    if PRODUCT {
        for r in 0..R {
            let norm = V::splat(norms[i + r]);
            for c in 0..C {
                for v in 0..Q {
                    // SAFETY: the norms of C panels follow j, as asserted.
                    let other = unsafe { V::load(norms.as_ptr().add(j + c * WIDTH + v * (WIDTH / Q))) };
                    let both = norm.add(other);
                    let square = both.sub(sums[r][c][v].add(sums[r][c][v]));
                    if c > 0 || q > p {
                        slack = slack.min(square.sub(both.mul(V::splat(SPOILT))));
                    }
                    sums[r][c][v] = square.max(V::splat(0.0));
                }
            }
        }
    }
    let mut distances = [[[0.0; WIDTH]; C]; R];
    for r in 0..R {
        for c in 0..C {
            for v in 0..Q {
                // SAFETY: Q vectors fill the WIDTH lanes.
                unsafe { sums[r][c][v].sqrt().store(distances[r][c].as_mut_ptr().add(v * (WIDTH / Q))) };
            }
            out[(i + r) * stride + j + c * WIDTH..][..WIDTH].copy_from_slice(&distances[r][c]);
        }
    }
    for c in 0..C {
        for l in 0..WIDTH {
            let mirror: &mut [f64] = &mut out[(j + c * WIDTH + l) * stride + i..][..R];
            for r in 0..R {
                mirror[r] = distances[r][c][l];
            }
        }
    }
    let mut low = [0.0; WIDTH];
    // SAFETY: a vector is at most WIDTH lanes.
    unsafe { slack.store(low.as_mut_ptr()) };
    let mut spoilt = low.iter().any(|&s| s < 0.0);
    if PRODUCT && q == p {
        // The zeros of the diagonal are right.
        for r in 0..R {
            for l in first + r + 1..WIDTH {
                let distance = distances[r][0][l];
                spoilt |= distance * distance < (norms[i + r] + norms[j + l]) * SPOILT;
            }
        }
    }
    spoilt
}

#[inline(always)]
fn pairwise_rows<V: Vector<f64>, const R: usize, const C: usize, const Q: usize, const PRODUCT: bool>(
    panels: &Panels<f64, WIDTH>,
    norms: &[f64],
    out: &mut [f64],
) -> bool {
    let count = panels.panels();
    let mut spoilt = false;
    for p in 0..count {
        for first in (0..WIDTH).step_by(R) {
            let mut q = p;
            while q + C <= count {
                spoilt |= pairwise_tile::<V, R, C, Q, PRODUCT>(panels, norms, (p, first, q), out);
                q += C;
            }
            if q + 2 <= count {
                spoilt |= pairwise_tile::<V, R, 2, Q, PRODUCT>(panels, norms, (p, first, q), out);
                q += 2;
            }
            if q < count {
                spoilt |= pairwise_tile::<V, R, 1, Q, PRODUCT>(panels, norms, (p, first, q), out);
            }
        }
    }
    spoilt
}

/// The tile's shape for the registers of each level: accumulators, the columns and one row must fit in 32 vector
/// registers (AVX-512) or 16.
fn run_pairwise<const PRODUCT: bool>(
    level: Level,
    panels: &Panels<f64, WIDTH>,
    norms: &[f64],
    out: &mut [f64],
) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
        fn avx512<const PRODUCT: bool>(panels: &Panels<f64, WIDTH>, norms: &[f64], out: &mut [f64]) -> bool {
            pairwise_rows::<<f64 as Real>::Full, 8, 3, 1, PRODUCT>(panels, norms, out)
        }
        #[target_feature(enable = "avx2")]
        fn avx2<const PRODUCT: bool>(panels: &Panels<f64, WIDTH>, norms: &[f64], out: &mut [f64]) -> bool {
            pairwise_rows::<<f64 as Real>::Half, 4, 1, 2, PRODUCT>(panels, norms, out)
        }
        match level {
            // SAFETY: levels never exceed what the machine was detected to support.
            Level::Avx512 => return unsafe { avx512::<PRODUCT>(panels, norms, out) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2::<PRODUCT>(panels, norms, out) },
            Level::Baseline => {}
        }
    }
    let _ = level;
    pairwise_rows::<<f64 as Real>::Quarter, 2, 1, 4, PRODUCT>(panels, norms, out)
}

#[inline(always)]
fn products_tile<T: Real, V: Vector<T>, const W: usize, const R: usize, const C: usize, const Q: usize>(
    a: &Panels<T, WIDTH>,
    b: &Panels<T, W>,
    (p, first, q): (usize, usize, usize),
    out: &mut [T],
) {
    let mut columns = [b.panel(q); C];
    for c in 1..C {
        columns[c] = b.panel(q + c);
    }
    let sums = tile::<T, V, W, R, C, Q, true>(a.panel(p), first, columns);
    for r in 0..R {
        for c in 0..C {
            let at = (p * WIDTH + first + r) * b.padded() + (q + c) * W;
            let to = &mut out[at..at + W];
            for v in 0..Q {
                // SAFETY: Q vectors fill the W lanes.
                unsafe { sums[r][c][v].store(to.as_mut_ptr().add(v * (W / Q))) };
            }
        }
    }
}

#[inline(always)]
fn products_strip<T: Real, V: Vector<T>, const W: usize, const R: usize, const C: usize, const Q: usize>(
    a: &Panels<T, WIDTH>,
    b: &Panels<T, W>,
    (p, first): (usize, usize),
    out: &mut [T],
) {
    let mut q = 0;
    while q + C <= b.panels() {
        products_tile::<T, V, W, R, C, Q>(a, b, (p, first, q), out);
        q += C;
    }
    while q < b.panels() {
        products_tile::<T, V, W, R, 1, Q>(a, b, (p, first, q), out);
        q += 1;
    }
}

/// Rows of `a` in strips of up to `R`; a strip with fewer rows takes the next power of two.
#[inline(always)]
fn products_rows<T: Real, V: Vector<T>, const W: usize, const R: usize, const C: usize, const Q: usize>(
    a: &Panels<T, WIDTH>,
    b: &Panels<T, W>,
    out: &mut [T],
) {
    for p in 0..a.panels() {
        let present = (a.rows - p * WIDTH).min(WIDTH);
        let mut first = 0;
        while first < present {
            let left = present - first;
            first += if left > R / 2 {
                products_strip::<T, V, W, R, C, Q>(a, b, (p, first), out);
                R
            } else if left > 1 {
                products_strip::<T, V, W, 2, C, Q>(a, b, (p, first), out);
                2
            } else {
                products_strip::<T, V, W, 1, C, Q>(a, b, (p, first), out);
                1
            };
        }
    }
}

fn run_products<T: Real, const W: usize>(
    level: Level,
    a: &Panels<T, WIDTH>,
    b: &Panels<T, W>,
    out: &mut [T],
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
        fn avx512<T: Real, const W: usize>(a: &Panels<T, WIDTH>, b: &Panels<T, W>, out: &mut [T]) {
            products_rows::<T, T::Full, W, 8, 3, 1>(a, b, out)
        }
        #[target_feature(enable = "avx2")]
        fn avx2<T: Real, const W: usize>(a: &Panels<T, WIDTH>, b: &Panels<T, W>, out: &mut [T]) {
            products_rows::<T, T::Half, W, 4, 1, 2>(a, b, out)
        }
        match level {
            // SAFETY: levels never exceed what the machine was detected to support.
            Level::Avx512 => return unsafe { avx512(a, b, out) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(a, b, out) },
            Level::Baseline => {}
        }
    }
    let _ = level;
    products_rows::<T, T::Quarter, W, 2, 1, 4>(a, b, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(rows: usize, columns: usize) -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec(-10.0..10.0f64, rows * columns)
    }

    fn shaped() -> impl Strategy<Value = (usize, usize, Vec<f64>)> {
        (1usize..70, 1usize..9).prop_flat_map(|(n, m)| (Just(n), Just(m), data(n, m)))
    }

    fn packed<T: Real, const W: usize>(values: &[f64], rows: usize, columns: usize) -> Panels<T, W> {
        let mut panels = Panels::default();
        panels.pack(Matrix { values: Values::F64(values), rows, columns }, &vec![0.0; columns]);
        panels
    }

    proptest! {
        #[test]
        fn distances_are_those_of_a_double_loop((n, m, values) in shaped()) {
            let panels = packed::<f64, WIDTH>(&values, n, m);
            let mut norms = Vec::new();
            panels.squared_norms(&mut norms);
            for form in [Form::Product, Form::Difference] {
                let mut bits: Option<Vec<u64>> = None;
                for level in Level::ALL.into_iter().filter(|&l| l <= Level::supported()) {
                    let mut out = Vec::new();
                    pairwise(level, form, &panels, &norms, &mut out).unwrap();
                    let mut here = Vec::new();
                    for i in 0..n {
                        for j in 0..n {
                            let mut square = 0.0;
                            for k in 0..m {
                                let difference = values[i * m + k] - values[j * m + k];
                                square += difference * difference;
                            }
                            let distance = out[i * panels.padded() + j];
                            prop_assert_eq!(distance.to_bits(), out[j * panels.padded() + i].to_bits());
                            match form {
                                Form::Difference => prop_assert_eq!(distance, square.sqrt()),
                                Form::Product => prop_assert!((distance * distance - square).abs() < 1e-10),
                            }
                            here.push(distance.to_bits());
                        }
                    }
                    prop_assert!(bits.is_none_or(|bits| bits == here), "{:?} differs", level);
                    bits = Some(here);
                }
            }
        }

        #[test]
        fn products_are_those_of_a_double_loop((n, m, values) in shaped(), k in 1usize..20) {
            let k = k.min(n);
            fn check<T: Real + std::fmt::Debug, const W: usize>(k: usize, n: usize, m: usize, values: &[f64]) {
                let (a, b) = (packed::<T, WIDTH>(&values[..k * m], k, m), packed::<T, W>(values, n, m));
                for level in Level::ALL.into_iter().filter(|&l| l <= Level::supported()) {
                    let mut out = Vec::new();
                    products(level, &a, &b, &mut out);
                    for r in 0..k {
                        for i in 0..n {
                            let mut sum = T::default();
                            for j in 0..m {
                                sum = sum + T::from_f64(values[r * m + j]) * T::from_f64(values[i * m + j]);
                            }
                            assert!(out[r * b.padded() + i] == sum, "{level:?}");
                        }
                    }
                }
            }
            check::<f32, 16>(k, n, m, &values);
            check::<f64, 8>(k, n, m, &values);
        }
    }

    #[test]
    fn equal_rows_are_at_distance_zero_and_spoil_the_result() {
        let values = [0.1, 0.7, 0.3, 0.9, 0.1, 0.7];
        let panels = packed::<f64, WIDTH>(&values, 3, 2);
        let (mut norms, mut out) = (Vec::new(), Vec::new());
        panels.squared_norms(&mut norms);
        assert!(pairwise(Level::Baseline, Form::Product, &panels, &norms, &mut out).unwrap());
        assert_eq!(out[2], 0.0);
    }

    #[test]
    fn the_centre_of_integers_is_an_integer() {
        let mut mean = Vec::new();
        let of = |values: &[f64], mean: &mut Vec<f64>| {
            centre(Matrix { values: Values::F64(values), rows: 2, columns: 2 }, mean)
        };
        assert!(of(&[1.0, -2.0, 2.0, -9.0], &mut mean));
        assert_eq!(mean, [2.0, -6.0]);
        assert!(!of(&[1.0, -2.5, 2.0, -9.0], &mut mean));
        assert_eq!(mean, [1.5, -5.75]);
    }
}
