//! Eigenvalues of a symmetric tridiagonal matrix, and those of its eigenvectors that are asked for.
//!
//! Implicit QL (Bowdler, Martin, Reinsch and Wilkinson 1968) turns the matrix into a diagonal one by plane rotations,
//! `Z^T T Z = D` with `Z = G_1 G_2 ...`. The rotations are kept instead of multiplied into `Z`, which would cost
//! O(n^3): the last row of `Z`, by which Lanczos sees whether a vector has settled, takes them as they come, and a few
//! columns of `Z`, the eigenvectors, take them backwards, in lanes over the columns.
//!
//! Cost O(n^2) for the eigenvalues and the last row, O(n^2) for every eight eigenvectors; memory some 20 bytes for
//! each of about `1.7 n^2 / 2` rotations.

use super::thin::LANES;
use crate::simd::Level;

/// The rotation of rows `at` and `at + 1`.
#[derive(Debug, Clone, Copy)]
struct Rotation {
    at: usize,
    sine: f64,
    cosine: f64,
}

/// A decomposition, whose memory serves again.
#[derive(Debug, Default)]
pub(super) struct Tridiagonal {
    /// Eigenvalues, in no order.
    pub values: Vec<f64>,
    /// Numbers of the eigenvalues, the largest first.
    pub order: Vec<usize>,
    /// Last component of each eigenvector.
    pub last: Vec<f64>,
    rotations: Vec<Rotation>,
    off_diagonal: Vec<f64>,
}

impl Tridiagonal {
    /// Decomposes the matrix with this diagonal and these neighbours of it, of which the first `n - 1` are read.
    pub fn decompose(&mut self, level: Level, diagonal: &[f64], off_diagonal: &[f64]) {
        let n = diagonal.len();
        self.values.clear();
        self.values.extend_from_slice(diagonal);
        self.off_diagonal.clear();
        self.off_diagonal.extend_from_slice(&off_diagonal[..n - 1]);
        self.off_diagonal.push(0.0);
        self.rotations.clear();
        rotate(level, &mut self.values, &mut self.off_diagonal, &mut self.rotations);
        self.last.clear();
        self.last.resize(n, 0.0);
        self.last[n - 1] = 1.0;
        for &Rotation { at, sine, cosine } in &self.rotations {
            let (a, b) = (self.last[at], self.last[at + 1]);
            self.last[at] = cosine * a - sine * b;
            self.last[at + 1] = sine * a + cosine * b;
        }
        self.order.clear();
        self.order.extend(0..n);
        self.order.sort_by(|&a, &b| self.values[b].total_cmp(&self.values[a]));
    }

    /// Writes the eigenvectors of the `count` largest eigenvalues: component `s` of vector `v` at `s * width + v`. Returns
    /// the width.
    pub fn leading_vectors(&self, level: Level, count: usize, vectors: &mut Vec<f64>) -> usize {
        let width = count.next_multiple_of(LANES);
        vectors.clear();
        vectors.resize(self.values.len() * width, 0.0);
        for (v, &which) in self.order[..count].iter().enumerate() {
            vectors[which * width + v] = 1.0;
        }
        undo(level, &self.rotations, vectors, width);
        width
    }
}

dispatch! {
    /// Makes the matrix diagonal and lists the rotations that do so.
    fn rotate(d: &mut [f64], e: &mut [f64], rotations: &mut Vec<Rotation>) = rotate_body
}

#[inline(always)]
fn rotate_body(d: &mut [f64], e: &mut [f64], rotations: &mut Vec<Rotation>) {
    let n = d.len();
    for l in 0..n {
        // A few iterations an eigenvalue are the rule; the bound only keeps the impossible from hanging.
        for _ in 0..60 {
            let split = (l..n - 1)
                .find(|&i| e[i].abs() <= f64::EPSILON * (d[i].abs() + d[i + 1].abs()))
                .unwrap_or(n - 1);
            if split == l {
                break;
            }
            let half = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let root = (half * half + 1.0).sqrt();
            let mut g = d[split] - d[l] + e[l] / (half + root.copysign(half));
            let (mut sine, mut cosine, mut p) = (1.0, 1.0, 0.0);
            let mut deflated = false;
            for i in (l..split).rev() {
                let f = sine * e[i];
                let b = cosine * e[i];
                let r = (f * f + g * g).sqrt();
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[split] = 0.0;
                    deflated = true;
                    break;
                }
                sine = f / r;
                cosine = g / r;
                g = d[i + 1] - p;
                let r = (d[i] - g) * sine + 2.0 * cosine * b;
                p = sine * r;
                d[i + 1] = g + p;
                g = cosine * r - b;
                rotations.push(Rotation { at: i, sine, cosine });
            }
            if !deflated {
                d[l] -= p;
                e[l] = g;
                e[split] = 0.0;
            }
        }
    }
}

dispatch! {
    /// Takes the rotations back, last to first, from the rows of a matrix of `width` columns.
    fn undo(rotations: &[Rotation], rows: &mut [f64], width: usize) = undo_body
}

#[inline(always)]
fn undo_body(rotations: &[Rotation], rows: &mut [f64], width: usize) {
    for &Rotation { at, sine, cosine } in rotations.iter().rev() {
        let (upper, lower) = rows[at * width..][..2 * width].split_at_mut(width);
        let lanes = upper.as_chunks_mut::<LANES>().0.iter_mut().zip(lower.as_chunks_mut::<LANES>().0);
        for (a, b) in lanes {
            for l in 0..LANES {
                let (old_a, old_b) = (a[l], b[l]);
                a[l] = cosine * old_a + sine * old_b;
                b[l] = cosine * old_b - sine * old_a;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::level;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn vectors_are_orthonormal_and_the_matrix_maps_them_to_their_multiples(
            rows in proptest::collection::vec((-1.0..1.0f64, -1.0..1.0f64), 1..40),
            zero in proptest::option::of(0usize..40),
            share in 0.0..1.0f64,
        ) {
            let n = rows.len();
            let (diagonal, mut off): (Vec<f64>, Vec<f64>) = rows.into_iter().unzip();
            if let Some(at) = zero.filter(|&at| at < n) {
                off[at] = 0.0;
            }
            let mut found = Tridiagonal::default();
            found.decompose(level(), &diagonal, &off);
            prop_assert!((found.values.iter().sum::<f64>() - diagonal.iter().sum::<f64>()).abs() < 1e-12 * n as f64);
            let count = 1 + (share * (n - 1) as f64) as usize;
            let mut vectors = Vec::new();
            let width = found.leading_vectors(level(), count, &mut vectors);
            let column = |v: usize| -> Vec<f64> { (0..n).map(|s| vectors[s * width + v]).collect() };
            for v in 0..count {
                let (value, vector) = (found.values[found.order[v]], column(v));
                prop_assert!(v == 0 || value <= found.values[found.order[v - 1]]);
                prop_assert!((vector[n - 1] - found.last[found.order[v]]).abs() < 1e-12);
                for s in 0..n {
                    let mut image = diagonal[s] * vector[s];
                    if s > 0 {
                        image += off[s - 1] * vector[s - 1];
                    }
                    if s + 1 < n {
                        image += off[s] * vector[s + 1];
                    }
                    prop_assert!((image - value * vector[s]).abs() < 1e-12);
                }
                for other in 0..=v {
                    let product: f64 = vector.iter().zip(column(other)).map(|(x, y)| x * y).sum();
                    prop_assert!((product - f64::from(u8::from(other == v))).abs() < 1e-12);
                }
            }
        }
    }
}
