//! Eigenvectors of the largest eigenvalues of a graph's normalised weights, by a Lanczos recurrence.
//!
//! The recurrence (Paige 1972; Parlett 1980, *The symmetric eigenvalue problem*) is kept orthogonal to the vectors that are
//! already known, and to itself where [`Orthogonality`] says that it is time. Cost O(s e) for `s` steps on a graph of `e`
//! edges, of which 100 to 150 are usual for 700 nodes and seven vectors, and O(s n) for each step that is made orthogonal.
//!
//! It is our own because the dense decomposition of `faer` computes all eigenvectors where ten are asked for, which takes
//! longer than all the rest, and because its bits depend on the machine.

// The same index walks several arrays of a matrix.
#![allow(clippy::needless_range_loop)]

use super::distance::WIDTH;
use super::graph::Graph;
use super::orthogonality::Orthogonality;
use super::thin::{Left, multiply_add};
use super::tridiagonal::Tridiagonal;
use crate::elementary::ln;
use crate::rng::Stream;
use crate::simd::Level;

/// Lanczos stops when the residuals of the wanted vectors are below this; k-means sees no difference.
pub const TOLERANCE: f64 = 1e-9;

/// A coupling of `N`, whose largest eigenvalue is 1, that is taken for none: what is left of it is mostly rounding.
pub const UNCOUPLED: f64 = 1e-12;

/// Vectors of the basis that are multiplied with, or taken from, another at once.
const BLOCK: usize = 4;

/// A recurrence whose memory serves again.
#[derive(Default)]
pub struct Lanczos {
    stride: usize,
    /// Orthonormal vectors: the known ones, then those of the recurrence.
    basis: Vec<f64>,
    vector: Vec<f64>,
    coefficients: Vec<f64>,
    diagonal: Vec<f64>,
    off_diagonal: Vec<f64>,
    orthogonality: Orthogonality,
    /// The matrix within the recurrence's space, decomposed.
    projected: Tridiagonal,
}

impl Lanczos {
    /// Appends to the `known` eigenvectors, orthonormal rows of the graph's stride, `wanted` others of the largest eigenvalues
    /// that are left, and to `values` their eigenvalues, the largest first. Of a repeated eigenvalue it sees one vector, or more if
    /// rounding brings them in. Nodes next to without edges, `isolated`, take no part: the recurrence would find them one by one.
    #[allow(clippy::too_many_arguments)]
    pub fn extend(
        &mut self,
        level: Level,
        graph: &Graph,
        isolated: &[usize],
        wanted: usize,
        rng: &mut Stream,
        known: &mut Vec<f64>,
        values: &mut Vec<f64>,
    ) {
        self.stride = graph.stride;
        self.basis.clear();
        self.basis.extend_from_slice(known);
        let locked = known.len() / self.stride;
        let space = graph.n - isolated.len() - locked;
        self.diagonal.clear();
        self.off_diagonal.clear();
        self.push_random(level, graph.n, isolated, rng);
        self.orthogonality.start(graph.n);
        let mut check = (2 * wanted + 20).min(space);
        let mut before: Option<(usize, f64)> = None;
        let mut blocks = 1;
        loop {
            let step = self.diagonal.len();
            graph.multiply(level, &self.basis[(locked + step) * self.stride..], &mut self.vector);
            // What little reaches them would grow, since no vector of the basis takes it away.
            isolated.iter().for_each(|&node| self.vector[node] = 0.0);
            let beta = self.extend_recurrence(level, locked, step);
            let steps = step + 1;
            let broke = beta < UNCOUPLED;
            // The space of a random vector has one vector of every eigenspace, that of the next another of those that
            // have two, and so on: the largest eigenvalues, as often as they are repeated, are in so many spaces.
            let whole = steps == space || broke && blocks == wanted;
            if steps == check || whole {
                self.projected.decompose(level, &self.diagonal, &self.off_diagonal);
                let residual = self.projected.order[..wanted.min(steps)]
                    .iter()
                    .map(|&v| (beta * self.projected.last[v]).abs())
                    .fold(0.0, f64::max);
                let settled = residual < TOLERANCE && !broke && steps >= wanted;
                if settled || whole {
                    values.extend(self.projected.order[..wanted].iter().map(|&v| self.projected.values[v]));
                    self.combine(level, locked, wanted, known);
                    return;
                }
                check = (steps + further_steps(steps, residual, before)).min(space);
                before = Some((steps, residual));
            }
            if broke {
                // The recurrence has filled an invariant subspace: go on in another.
                blocks += 1;
                self.off_diagonal.push(0.0);
                self.push_random(level, graph.n, isolated, rng);
                self.orthogonality.restart();
            } else {
                self.off_diagonal.push(beta);
                self.basis.extend(self.vector.iter().map(|value| value / beta));
            }
        }
    }

    /// Makes `vector` orthogonal to the first `count` vectors of the basis.
    fn orthogonalise(&mut self, level: Level, count: usize) {
        self.coefficients.clear();
        self.coefficients.resize(count, 0.0);
        project(level, &self.basis[..count * self.stride], &mut self.vector, &mut self.coefficients);
    }

    /// Appends a random unit vector orthogonal to the basis and 0 on isolated nodes.
    fn push_random(&mut self, level: Level, n: usize, isolated: &[usize], rng: &mut Stream) {
        let count = self.basis.len() / self.stride;
        loop {
            self.vector.clear();
            self.vector.extend((0..n).map(|_| 2.0 * rng.unit() - 1.0));
            isolated.iter().for_each(|&node| self.vector[node] = 0.0);
            self.vector.resize(self.stride, 0.0);
            // Twice, because the first leaves rounding errors relative to what it removes.
            self.orthogonalise(level, count);
            self.orthogonalise(level, count);
            let norm = length(&self.vector);
            if norm > 1e-6 {
                self.basis.extend(self.vector.iter().map(|value| value / norm));
                return;
            }
        }
    }

    /// Takes from `vector`, the image of the newest vector of the basis, which is number `step` of the recurrence after
    /// `locked` others, its parts along the basis; returns the length of what is left, and notes the newest diagonal entry.
    fn extend_recurrence(&mut self, level: Level, locked: usize, step: usize) -> f64 {
        // In exact arithmetic only the last two vectors take part. To take these away first leaves a small rest, which one
        // pass over the whole basis makes orthogonal to it: a pass leaves errors relative to what it removes.
        let newest = locked + step;
        let coupling = self.off_diagonal.last().copied().filter(|&coupling| coupling != 0.0);
        let (earlier, current) = self.basis.split_at(newest * self.stride);
        let previous = coupling.map(|coupling| (coupling, &earlier[earlier.len() - self.stride..]));
        let diagonal = take_recurrence(level, current, previous, &mut self.vector);
        self.diagonal.push(diagonal);
        // The known vectors have the largest eigenvalues of all and would be the first to come back.
        self.orthogonalise(level, locked);
        let kept = length(&self.vector);
        if !self.orthogonality.lost(&self.diagonal, &self.off_diagonal, kept) {
            return kept;
        }
        self.orthogonalise(level, newest + 1);
        let beta = length(&self.vector);
        if beta > 0.7 * kept {
            return beta;
        }
        // Much was removed, and its rounding errors are not small beside what is left. Twice is enough (Parlett 1980).
        self.orthogonalise(level, newest + 1);
        length(&self.vector)
    }

    /// Appends to `found` the combinations of the recurrence's vectors that are the wanted eigenvectors.
    fn combine(&self, level: Level, locked: usize, wanted: usize, found: &mut Vec<f64>) {
        let mut weights = Vec::new();
        let width = self.projected.leading_vectors(level, wanted, &mut weights);
        let recurrence = &self.basis[locked * self.stride..][..weights.len() / width * self.stride];
        // One row a node, one column a vector.
        let mut combined = vec![0.0; self.stride * width];
        multiply_add(level, Left::transposed(recurrence, self.stride), &weights, width, &mut combined);
        for v in 0..wanted {
            found.extend(combined.iter().skip(v).step_by(width));
        }
    }
}

fn length(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

/// Inner product in four vectors of partial sums; lengths are whole lanes.
#[inline(always)]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [[0.0; WIDTH]; 2];
    let (a, b) = (a.as_chunks::<WIDTH>().0, b.as_chunks::<WIDTH>().0);
    let mut pairs = a.chunks_exact(2).zip(b.chunks_exact(2));
    for (a, b) in &mut pairs {
        for l in 0..WIDTH {
            sums[0][l] += a[0][l] * b[0][l];
        }
        for l in 0..WIDTH {
            sums[1][l] += a[1][l] * b[1][l];
        }
    }
    if a.len() % 2 == 1 {
        let (a, b) = (&a[a.len() - 1], &b[b.len() - 1]);
        for l in 0..WIDTH {
            sums[0][l] += a[l] * b[l];
        }
    }
    let mut total = 0.0;
    for l in 0..WIDTH {
        total += sums[0][l] + sums[1][l];
    }
    total
}

dispatch! {
    /// Takes from `vector` its parts along the orthonormal rows of `basis` and writes their sizes (classical
    /// Gram and Schmidt).
    fn project(basis: &[f64], vector: &mut [f64], coefficients: &mut [f64]) = project_body
}

#[inline(always)]
fn project_body(basis: &[f64], vector: &mut [f64], coefficients: &mut [f64]) {
    let stride = vector.len();
    for (rows, out) in basis.chunks(BLOCK * stride).zip(coefficients.chunks_mut(BLOCK)) {
        match out.len() {
            BLOCK => out.copy_from_slice(&dots::<BLOCK>(rows, vector)),
            _ => rows.chunks_exact(stride).zip(out).for_each(|(row, out)| *out = dots::<1>(row, vector)[0]),
        }
    }
    for (rows, parts) in basis.chunks(BLOCK * stride).zip(coefficients.chunks(BLOCK)) {
        match parts.len() {
            BLOCK => subtract::<BLOCK>(rows, parts, vector),
            _ => {
                for (row, part) in rows.chunks_exact(stride).zip(parts) {
                    subtract::<1>(row, std::slice::from_ref(part), vector);
                }
            }
        }
    }
}

/// `R` rows as vectors of lanes.
#[inline(always)]
fn rows_of<const R: usize>(rows: &[f64], stride: usize) -> [&[[f64; WIDTH]]; R] {
    std::array::from_fn(|r| rows[r * stride..][..stride].as_chunks().0)
}

/// Inner products of `R` rows with a vector, which is read once for all of them.
#[inline(always)]
fn dots<const R: usize>(rows: &[f64], vector: &[f64]) -> [f64; R] {
    let rows = rows_of::<R>(rows, vector.len());
    let mut sums = [[0.0; WIDTH]; R];
    for (at, values) in vector.as_chunks::<WIDTH>().0.iter().enumerate() {
        for r in 0..R {
            for l in 0..WIDTH {
                sums[r][l] += rows[r][at][l] * values[l];
            }
        }
    }
    sums.map(|sums| sums.iter().sum())
}

/// Takes multiples of `R` rows from a vector, which is read and written once for all of them.
#[inline(always)]
fn subtract<const R: usize>(rows: &[f64], parts: &[f64], vector: &mut [f64]) {
    let rows = rows_of::<R>(rows, vector.len());
    for (at, values) in vector.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
        for r in 0..R {
            for l in 0..WIDTH {
                values[l] -= parts[r] * rows[r][at][l];
            }
        }
    }
}

dispatch! {
    /// Takes from the image of `current` what it shares with `current` and the vector before it, whose coupling is known;
    /// returns the diagonal entry (Paige 1972).
    fn take_recurrence(current: &[f64], previous: Option<(f64, &[f64])>, vector: &mut [f64]) -> f64 = take_recurrence_body
}

#[inline(always)]
fn take_recurrence_body(current: &[f64], previous: Option<(f64, &[f64])>, vector: &mut [f64]) -> f64 {
    if let Some((coupling, previous)) = previous {
        subtract::<1>(previous, &[coupling], vector);
    }
    let diagonal = dot(current, vector);
    subtract::<1>(current, &[diagonal], vector);
    diagonal
}

/// After how many more steps it is worth looking again whether the vectors have settled, judged by how fast the
/// residual has fallen since the look before.
fn further_steps(steps: usize, residual: f64, before: Option<(usize, f64)>) -> usize {
    let (least, most) = (steps / 12 + 1, steps / 3 + 1);
    match before {
        Some((earlier, larger)) if larger > residual && residual > 0.0 => {
            let rate = ln(larger / residual) / (steps - earlier) as f64;
            // Far beyond the range, a conversion saturates.
            ((ln(residual / TOLERANCE) / rate) as usize + 1).clamp(least, most)
        }
        _ => most,
    }
}
