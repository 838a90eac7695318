//! Spectral clustering: k-means on the lowest eigenvectors of a graph's Laplacian.
//!
//! Observations are the nodes of a graph with weights `W`, either of nearest neighbours (`a_ij = 1` when `j` is among the
//! `n_neighbors` nearest of `i`, itself included; `W = (A + A^T) / 2`) or `w_ij = exp(-gamma |x_i - x_j|^2)`. With `d` the
//! degrees, loops left out,
//!
//! ```text
//! L = I - N,   N = D^-1/2 W D^-1/2,   L u = lambda u,   y = D^-1/2 u
//! ```
//!
//! and each observation is placed at its entries of the `n_components` vectors `y` with the lowest `lambda`, where
//! k-means finds the clusters (Shi and Malik 2000, *Normalized cuts and image segmentation*; von Luxburg 2007, *A
//! tutorial on spectral clustering*). Results are equal in distribution to those of scikit-learn's
//! `SpectralClustering(assign_labels="kmeans")`.
//!
//! # Eigenvectors
//!
//! The null space of `L` is known: one vector `sqrt(d)` on each connected component; where these are more than are wanted,
//! those of the largest are taken, so that small pieces do not pass for clusters (any others would do as well for the
//! objective; scikit-learn's depend on rounding). A Lanczos recurrence on `N`, kept
//! orthogonal to these, and to itself where [`Orthogonality`] says that it is time, finds the others (Paige 1972; Parlett
//! 1980, *The symmetric eigenvalue problem*), so that any number of components works. A single recurrence sees one vector of an eigenspace; a second is found only
//! because rounding or a breakdown brings it in. Repeated eigenvalues above zero take a symmetry of the graph.
//!
//! Cost O(n^2 m) for distances, O(s e) for `s` steps on a graph of `e` edges, of which 100 to 150 are usual for
//! 700 nodes and seven vectors, and O(s n) for each step that is made orthogonal. Lanczos is our own because the dense decomposition of `faer` computes all eigenvectors
//! where ten are asked for, which takes longer than all the rest, and because its bits depend on the machine.

// The same index walks several arrays of a matrix.
#![allow(clippy::needless_range_loop)]

use super::distance::{self, Form, Panels, WIDTH};
use super::kmeans::KMeans;
use super::orthogonality::Orthogonality;
use super::tridiagonal::Tridiagonal;
use super::{ClusterSession, Clusterer, Matrix, Values};
use crate::bits::for_each_one;
use crate::elementary::{exp, ln};
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::simd::{self, Level};

/// The weights of the graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Affinity {
    /// Symmetrised nearest neighbours, each observation among its own.
    NearestNeighbors {
        /// Number of neighbours, the observation itself included.
        n_neighbors: usize,
    },
    /// `exp(-gamma d^2)`.
    Rbf {
        /// Inverse squared width.
        gamma: f64,
    },
}

/// Spectral clustering with its parameters, named as scikit-learn names them; labels are assigned by k-means.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectral {
    /// Number of clusters.
    pub n_clusters: usize,
    /// The weights of the graph.
    pub affinity: Affinity,
    /// Number of eigenvectors; `None` means `n_clusters`.
    pub n_components: Option<usize>,
    /// Number of runs of k-means.
    pub n_init: usize,
}

impl Spectral {
    /// scikit-learn's defaults, with the graph of ten nearest neighbours.
    pub fn new(n_clusters: usize) -> Self {
        let affinity = Affinity::NearestNeighbors { n_neighbors: 10 };
        Spectral { n_clusters, affinity, n_components: None, n_init: 10 }
    }

    /// The embedding that k-means clusters: `n_components` numbers per observation, row-major.
    pub fn embedding(&self, patch: Matrix<'_>, rng: &mut Stream) -> Result<Vec<f64>> {
        let mut work = Work::default();
        self.embed(&mut work, simd::level(), patch, rng)?;
        Ok(work.embedding)
    }

    fn components(&self) -> usize {
        self.n_components.unwrap_or(self.n_clusters)
    }

    fn embed(&self, work: &mut Work, level: Level, patch: Matrix<'_>, rng: &mut Stream) -> Result<()> {
        let n = patch.rows;
        if n < 1 || patch.columns < 1 {
            return Err(Error::shape(
                "the data",
                format!("{n} rows and {} columns", patch.columns),
                "at least 1 of each",
            ));
        }
        let within = |what, value: usize| {
            let expected = format!("1 to the number of observations, {n}");
            if value < 1 || value > n { Err(Error::value(what, value, expected)) } else { Ok(()) }
        };
        within("n_clusters", self.n_clusters)?;
        within("n_components", self.components())?;
        match self.affinity {
            Affinity::NearestNeighbors { n_neighbors } => within("n_neighbors", n_neighbors)?,
            Affinity::Rbf { gamma } if !(gamma >= 0.0 && gamma.is_finite()) => {
                return Err(Error::value("gamma", gamma, "a finite number of at least 0"));
            }
            Affinity::Rbf { .. } => {}
        }
        work.measure(level, patch)?;
        match self.affinity {
            Affinity::NearestNeighbors { n_neighbors } => work.neighbour_graph(n_neighbors),
            Affinity::Rbf { gamma } => work.rbf_graph(gamma),
        }
        work.normalise();
        work.lowest_eigenvectors(level, self.components(), rng);
        work.place(self.components());
        Ok(())
    }
}

impl Clusterer for Spectral {
    fn session(&self) -> Box<dyn ClusterSession + '_> {
        let kmeans = KMeans { n_init: self.n_init, ..KMeans::new(self.n_clusters) };
        Box::new(Session { params: self, work: Work::default(), kmeans })
    }
}

struct Session<'a> {
    params: &'a Spectral,
    work: Work,
    kmeans: KMeans,
}

impl ClusterSession for Session<'_> {
    fn cluster(&mut self, patch: Matrix<'_>, rng: &mut Stream, labels: &mut [i32]) -> Result<()> {
        self.params.embed(&mut self.work, simd::level(), patch, rng)?;
        let columns = self.params.components();
        let embedded = Matrix { values: Values::F64(&self.work.embedding), rows: patch.rows, columns };
        self.kmeans.session().cluster(embedded, rng, labels)
    }
}

/// Lanczos stops when the residuals of the wanted vectors are below this; k-means sees no difference.
const TOLERANCE: f64 = 1e-9;

/// Weights of `N` below this share of the largest eigenvalue, 1, connect nothing: the eigenvalue that they would split
/// from zero is lost in rounding.
const CONNECTED: f64 = f64::EPSILON;

/// Vectors of the basis that are multiplied with, or taken from, another at once.
const BLOCK: usize = 4;

#[derive(Default)]
struct Work {
    n: usize,
    /// Rows of vectors and of a dense graph are padded to whole lanes.
    stride: usize,
    centre: Vec<f64>,
    panels: Panels<f64, WIDTH>,
    norms: Vec<f64>,
    /// Distances at first, then the weights of a dense graph.
    square: Vec<f64>,
    dense: bool,
    /// Edges by rows: where a row starts, and the neighbour and weight of each edge.
    starts: Vec<usize>,
    neighbours: Vec<u32>,
    weights: Vec<f64>,
    /// For each observation, a bit set of its nearest neighbours.
    chosen: Vec<u64>,
    /// Square roots of the degrees, 1 for a node without edges.
    roots: Vec<f64>,
    /// Sums of the degrees of the connected components that have edges.
    volumes: Vec<f64>,
    /// Orthonormal vectors: those of the null space, then those of the recurrence.
    basis: Vec<f64>,
    vector: Vec<f64>,
    coefficients: Vec<f64>,
    diagonal: Vec<f64>,
    off_diagonal: Vec<f64>,
    orthogonality: Orthogonality,
    /// The wanted eigenvectors of `L`, by rows.
    found: Vec<f64>,
    /// `N` within the recurrence's space, decomposed.
    projected: Tridiagonal,
    embedding: Vec<f64>,
}

impl Work {
    fn measure(&mut self, level: Level, patch: Matrix<'_>) -> Result<()> {
        distance::centre(patch, &mut self.centre);
        self.panels.pack(patch, &self.centre);
        self.panels.squared_norms(&mut self.norms);
        distance::check_reach(&self.norms)?;
        if distance::pairwise(level, Form::Product, &self.panels, &self.norms, &mut self.square) {
            distance::pairwise(level, Form::Difference, &self.panels, &self.norms, &mut self.square);
        }
        self.n = patch.rows;
        self.stride = self.panels.padded();
        Ok(())
    }

    /// Edges of the symmetrised graph of nearest neighbours; ties go to the observation itself, then the lowest index.
    fn neighbour_graph(&mut self, n_neighbors: usize) {
        let (n, words) = (self.n, self.n.div_ceil(64));
        self.dense = false;
        self.chosen.clear();
        self.chosen.resize(n * words, 0);
        let mut nearest: Vec<(f64, u32)> = Vec::with_capacity(n_neighbors + 1);
        for i in 0..n {
            let row = &self.square[i * self.stride..][..n];
            nearest.clear();
            nearest.push((-1.0, i as u32));
            let mut worst = if n_neighbors > 1 { reach(row, n_neighbors).next_up() } else { -1.0 };
            for (j, &distance) in row.iter().enumerate() {
                if distance < worst && j != i {
                    let at = nearest.partition_point(|&(other, _)| other <= distance);
                    nearest.insert(at, (distance, j as u32));
                    nearest.truncate(n_neighbors);
                    if nearest.len() == n_neighbors {
                        worst = nearest[n_neighbors - 1].0;
                    }
                }
            }
            for &(_, j) in &nearest {
                self.chosen[i * words + j as usize / 64] |= 1 << (j % 64);
            }
        }
        self.starts.clear();
        self.neighbours.clear();
        self.weights.clear();
        let has = |i: usize, j: usize| (self.chosen[i * words + j / 64] >> (j % 64)) & 1;
        // The transpose of the graph, so that a row's edges are found without looking at all pairs.
        let mut chosen_by: Vec<Vec<u32>> = vec![Vec::new(); n];
        for i in 0..n {
            for_each_one(&self.chosen[i * words..][..words], |j| chosen_by[j].push(i as u32));
        }
        for i in 0..n {
            self.starts.push(self.neighbours.len());
            for_each_one(&self.chosen[i * words..][..words], |j| {
                if j != i {
                    self.neighbours.push(j as u32);
                    self.weights.push(if has(j, i) == 1 { 1.0 } else { 0.5 });
                }
            });
            for &j in &chosen_by[i] {
                if has(i, j as usize) == 0 {
                    self.neighbours.push(j);
                    self.weights.push(0.5);
                }
            }
        }
        self.starts.push(self.neighbours.len());
    }

    fn rbf_graph(&mut self, gamma: f64) {
        self.dense = true;
        for i in 0..self.n {
            let row = &mut self.square[i * self.stride..][..self.stride];
            for value in &mut row[..self.n] {
                *value = exp(-gamma * (*value * *value));
            }
            row[i] = 0.0;
            row[self.n..].fill(0.0);
        }
    }

    /// Divides each weight by the roots of both degrees.
    fn normalise(&mut self) {
        self.roots.clear();
        for i in 0..self.n {
            let degree: f64 = if self.dense {
                self.square[i * self.stride..][..self.n].iter().sum()
            } else {
                self.weights[self.starts[i]..self.starts[i + 1]].iter().sum()
            };
            self.roots.push(if degree > 0.0 { degree.sqrt() } else { 1.0 });
        }
        for i in 0..self.n {
            let root = self.roots[i];
            if self.dense {
                for (value, other) in self.square[i * self.stride..].iter_mut().zip(&self.roots) {
                    *value = *value / root / other;
                }
            } else {
                for e in self.starts[i]..self.starts[i + 1] {
                    self.weights[e] = self.weights[e] / root / self.roots[self.neighbours[e] as usize];
                }
            }
        }
    }

    /// Calls `visit` with the far end and the weight of each edge of node `i`.
    fn edges(&self, i: usize, mut visit: impl FnMut(usize, f64)) {
        if self.dense {
            self.square[i * self.stride..][..self.n].iter().enumerate().for_each(|(j, &w)| visit(j, w));
        } else {
            (self.starts[i]..self.starts[i + 1])
                .for_each(|e| visit(self.neighbours[e] as usize, self.weights[e]));
        }
    }

    /// Appends to the basis the null vector of each component of more than one node; returns how many there are.
    fn null_space(&mut self) -> usize {
        self.volumes.clear();
        let mut component = vec![u32::MAX; self.n];
        let mut stack = Vec::new();
        let mut count = 0;
        for start in 0..self.n {
            if component[start] != u32::MAX {
                continue;
            }
            let at = self.basis.len();
            self.basis.resize(at + self.stride, 0.0);
            let (mut members, mut square) = (0, 0.0);
            component[start] = count;
            stack.push(start);
            while let Some(i) = stack.pop() {
                members += 1;
                square += self.roots[i] * self.roots[i];
                self.basis[at + i] = self.roots[i];
                self.edges(i, |j, weight| {
                    if weight > CONNECTED && component[j] == u32::MAX {
                        component[j] = count;
                        stack.push(j);
                    }
                });
            }
            if members > 1 {
                let norm = square.sqrt();
                self.basis[at..].iter_mut().for_each(|value| *value /= norm);
                self.volumes.push(square);
                count += 1;
            } else {
                // A node without edges has eigenvalue 1, like the rest of the space.
                self.basis.truncate(at);
            }
        }
        count as usize
    }

    /// `vector = N * basis[at]`.
    fn multiply(&mut self, level: Level, at: usize) {
        let from = &self.basis[at * self.stride..][..self.stride];
        self.vector.clear();
        self.vector.resize(self.stride, 0.0);
        if self.dense {
            multiply_dense(level, &self.square[..self.n * self.stride], from, &mut self.vector);
            return;
        }
        for i in 0..self.n {
            let edges = self.starts[i]..self.starts[i + 1];
            // Four sums, because one would wait for each addition.
            let mut sums = [0.0; 4];
            let (neighbours, rest) = self.neighbours[edges.clone()].as_chunks::<4>();
            let (weights, rest_weights) = self.weights[edges].as_chunks::<4>();
            for (neighbours, weights) in neighbours.iter().zip(weights) {
                for l in 0..4 {
                    sums[l] += weights[l] * from[neighbours[l] as usize];
                }
            }
            for (l, (&neighbour, weight)) in rest.iter().zip(rest_weights).enumerate() {
                sums[l] += weight * from[neighbour as usize];
            }
            self.vector[i] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        }
    }

    /// Makes `vector` orthogonal to the first `count` vectors of the basis.
    fn orthogonalise(&mut self, level: Level, count: usize) {
        self.coefficients.clear();
        self.coefficients.resize(count, 0.0);
        project(level, &self.basis[..count * self.stride], &mut self.vector, &mut self.coefficients);
    }

    /// Appends a random unit vector orthogonal to the basis.
    fn push_random(&mut self, level: Level, rng: &mut Stream) {
        let count = self.basis.len() / self.stride;
        loop {
            self.vector.clear();
            self.vector.extend((0..self.n).map(|_| 2.0 * rng.unit() - 1.0));
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

    /// Fills `found` with `wanted` orthonormal eigenvectors of the lowest eigenvalues of `L`.
    fn lowest_eigenvectors(&mut self, level: Level, wanted: usize, rng: &mut Stream) {
        self.basis.clear();
        self.found.clear();
        let null = self.null_space();
        let stride = self.stride;
        if null >= wanted {
            // Which of them are taken says which pieces are told apart: the largest, and not what chance would mix, which
            // would differ from one start to the next. The rest lies in the origin.
            let mut largest: Vec<usize> = (0..null).collect();
            largest.sort_by(|&a, &b| self.volumes[b].total_cmp(&self.volumes[a]));
            for &piece in &largest[..wanted] {
                self.found.extend_from_slice(&self.basis[piece * stride..][..stride]);
            }
            return;
        }
        self.found.extend_from_slice(&self.basis);
        let (wanted, space) = (wanted - null, self.n - null);
        self.diagonal.clear();
        self.off_diagonal.clear();
        self.push_random(level, rng);
        self.orthogonality.start(self.n);
        let mut check = (2 * wanted + 20).min(space);
        let mut before: Option<(usize, f64)> = None;
        loop {
            let step = self.diagonal.len();
            self.multiply(level, null + step);
            let beta = self.extend_recurrence(level, null, step);
            let steps = step + 1;
            let broke = beta < 1e-12;
            if steps == check || steps == space {
                self.projected.decompose(level, &self.diagonal, &self.off_diagonal);
                let residual = self.projected.order[..wanted.min(steps)]
                    .iter()
                    .map(|&v| (beta * self.projected.last[v]).abs())
                    .fold(0.0, f64::max);
                let settled = residual < TOLERANCE && !broke && steps >= wanted;
                if settled || steps == space {
                    self.combine(level, null, wanted);
                    return;
                }
                check = (steps + further_steps(steps, residual, before)).min(space);
                before = Some((steps, residual));
            }
            if broke {
                // The recurrence has filled an invariant subspace: go on in another.
                self.off_diagonal.push(0.0);
                self.push_random(level, rng);
                self.orthogonality.restart();
            } else {
                self.off_diagonal.push(beta);
                self.basis.extend(self.vector.iter().map(|value| value / beta));
            }
        }
    }

    /// Takes from `vector`, the image of the newest vector of the basis, which is number `step` of the recurrence after
    /// `null` others, its parts along the basis; returns the length of what is left, and notes the newest diagonal entry.
    fn extend_recurrence(&mut self, level: Level, null: usize, step: usize) -> f64 {
        // In exact arithmetic only the last two vectors take part. To take these away first leaves a small rest, which one
        // pass over the whole basis makes orthogonal to it: a pass leaves errors relative to what it removes.
        let newest = null + step;
        let coupling = self.off_diagonal.last().copied().filter(|&coupling| coupling != 0.0);
        let (earlier, current) = self.basis.split_at(newest * self.stride);
        let previous = coupling.map(|coupling| (coupling, &earlier[earlier.len() - self.stride..]));
        let diagonal = take_recurrence(level, current, previous, &mut self.vector);
        self.diagonal.push(diagonal);
        // The null space has the largest eigenvalue of all and would be the first to come back.
        self.orthogonalise(level, null);
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
    fn combine(&mut self, level: Level, null: usize, wanted: usize) {
        let stride = self.stride;
        let width = self.projected.leading_vectors(level, wanted, &mut self.vector);
        for v in 0..wanted {
            let at = self.found.len();
            self.found.resize(at + stride, 0.0);
            let weights = self.vector.iter().skip(v).step_by(width);
            for (weight, from) in weights.zip(self.basis[null * stride..].chunks_exact(stride)) {
                self.found[at..].iter_mut().zip(from).for_each(|(sum, value)| *sum += weight * value);
            }
        }
    }

    /// Divides each eigenvector by the roots of the degrees and fixes its sign: the entry of largest size is positive.
    fn place(&mut self, components: usize) {
        self.embedding.clear();
        self.embedding.resize(self.n * components, 0.0);
        for c in 0..components {
            let vector = &self.found[c * self.stride..][..self.n];
            let mut largest = 0.0f64;
            for (value, root) in vector.iter().zip(&self.roots) {
                let placed = value / root;
                if placed.abs() > largest.abs() {
                    largest = placed;
                }
            }
            let sign = if largest < 0.0 { -1.0 } else { 1.0 };
            for (i, (value, root)) in vector.iter().zip(&self.roots).enumerate() {
                self.embedding[i * components + c] = sign * (value / root);
            }
        }
    }
}

/// A distance within which there are `count` of a row at least: most others then need no place among the nearest.
fn reach(row: &[f64], count: usize) -> f64 {
    /// Each of these parts of a row has a smallest distance, and `count` of those are as many different ones.
    const PARTS: usize = 32;
    let mut smallest = [f64::INFINITY; PARTS];
    for some in row.chunks(PARTS) {
        smallest
            .iter_mut()
            .zip(some)
            .for_each(|(least, &value)| *least = if value < *least { value } else { *least });
    }
    if count > PARTS {
        return f64::INFINITY;
    }
    *smallest.select_nth_unstable_by(count - 1, f64::total_cmp).1
}

fn length(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

/// Inner product in four vectors of partial sums; lengths are whole lanes.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
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
    fn multiply_dense(square: &[f64], from: &[f64], to: &mut [f64]) = multiply_dense_body
}

#[inline(always)]
fn multiply_dense_body(square: &[f64], from: &[f64], to: &mut [f64]) {
    for (row, to) in square.chunks_exact(from.len()).zip(to) {
        *to = dot(row, from);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;
    use proptest::prelude::*;

    fn double(values: &[f64], columns: usize) -> Matrix<'_> {
        Matrix { values: Values::F64(values), rows: values.len() / columns, columns }
    }

    fn stream(index: u64) -> Stream {
        Stream::new(0, Purpose::Clusterer, index)
    }

    /// The Laplacian, dense, from the definitions.
    fn laplacian(affinity: Affinity, values: &[f64], m: usize) -> (Vec<f64>, Vec<f64>) {
        let n = values.len() / m;
        let square = |i: usize, j: usize| -> f64 {
            (0..m).map(|k| (values[i * m + k] - values[j * m + k]).powi(2)).sum()
        };
        let mut weights = vec![0.0; n * n];
        for i in 0..n {
            match affinity {
                Affinity::Rbf { gamma } => {
                    (0..n).for_each(|j| weights[i * n + j] = (-gamma * square(i, j)).exp())
                }
                Affinity::NearestNeighbors { n_neighbors } => {
                    let mut others: Vec<usize> = (0..n).collect();
                    others.sort_by(|&a, &b| square(i, a).total_cmp(&square(i, b)));
                    for &j in &others[..n_neighbors] {
                        weights[i * n + j] += 0.5;
                        weights[j * n + i] += 0.5;
                    }
                }
            }
        }
        let degrees: Vec<f64> =
            (0..n).map(|i| (0..n).filter(|&j| j != i).map(|j| weights[i * n + j]).sum()).collect();
        let roots: Vec<f64> = degrees.iter().map(|&d: &f64| if d > 0.0 { d.sqrt() } else { 1.0 }).collect();
        for i in 0..n {
            for j in 0..n {
                weights[i * n + j] = if i == j { 1.0 } else { -weights[i * n + j] / roots[i] / roots[j] };
            }
        }
        (weights, roots)
    }

    /// All eigenvalues of a small symmetric matrix, ascending, by Jacobi's rotations.
    fn eigenvalues(mut a: Vec<f64>, n: usize) -> Vec<f64> {
        for _ in 0..30 {
            for p in 0..n {
                for q in p + 1..n {
                    if a[p * n + q].abs() < 1e-300 {
                        continue;
                    }
                    let half = (a[q * n + q] - a[p * n + p]) / (2.0 * a[p * n + q]);
                    let t = half.signum() / (half.abs() + (half * half + 1.0).sqrt());
                    let t = if half == 0.0 { 1.0 } else { t };
                    let c = 1.0 / (t * t + 1.0).sqrt();
                    let s = t * c;
                    for k in 0..n {
                        let (x, y) = (a[k * n + p], a[k * n + q]);
                        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
                    }
                    for k in 0..n {
                        let (x, y) = (a[p * n + k], a[q * n + k]);
                        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
                    }
                }
            }
        }
        let mut values: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_embedding_holds_the_lowest_eigenvectors(
            values in (3usize..60).prop_flat_map(|n| proptest::collection::vec(-1.0..1.0f64, n * 2)),
            share in 0.0..1.0f64,
            nearest in proptest::option::of(2usize..8),
            gap in 0.0..15.0f64,
        ) {
            // Two groups, from overlapping to out of each other's reach.
            let n = values.len() / 2;
            let values: Vec<f64> = (0..2 * n).map(|at| values[at] + if at < n { gap } else { 0.0 }).collect();
            let affinity = match nearest {
                Some(count) => Affinity::NearestNeighbors { n_neighbors: count.min(n) },
                None => Affinity::Rbf { gamma: 1.0 },
            };
            let k = 1 + (share * (n as f64 * 0.99)) as usize;
            let params = Spectral { affinity, ..Spectral::new(k) };
            let placed = params.embedding(double(&values, 2), &mut stream(3)).unwrap();
            let (laplacian, roots) = laplacian(affinity, &values, 2);
            let expected = eigenvalues(laplacian.clone(), n);
            let mut found = Vec::new();
            for c in 0..k {
                let vector: Vec<f64> = (0..n).map(|i| placed[i * k + c] * roots[i]).collect();
                let norm: f64 = vector.iter().map(|v| v * v).sum();
                prop_assert!((norm - 1.0).abs() < 1e-8);
                let image: Vec<f64> =
                    (0..n).map(|i| (0..n).map(|j| laplacian[i * n + j] * vector[j]).sum()).collect();
                let value: f64 = image.iter().zip(&vector).map(|(x, y)| x * y).sum();
                for i in 0..n {
                    prop_assert!((image[i] - value * vector[i]).abs() < 1e-7);
                }
                found.push(value);
            }
            found.sort_by(f64::total_cmp);
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-7, "{} is not {}", found, expected);
            }
        }

        #[test]
        fn every_level_gives_the_same_bits(values in proptest::collection::vec(-1.0..1.0f64, 45 * 2)) {
            for affinity in [Affinity::NearestNeighbors { n_neighbors: 5 }, Affinity::Rbf { gamma: 2.0 }] {
                let params = Spectral { affinity, ..Spectral::new(4) };
                let mut first: Option<Vec<u64>> = None;
                for level in Level::ALL.into_iter().filter(|&l| l <= Level::supported()) {
                    let mut work = Work::default();
                    params.embed(&mut work, level, double(&values, 2), &mut stream(0)).unwrap();
                    let bits: Vec<u64> = work.embedding.iter().map(|v| v.to_bits()).collect();
                    prop_assert!(first.is_none_or(|first| first == bits));
                    first = Some(bits);
                }
            }
        }
    }

    #[test]
    fn rings_are_told_apart() {
        let mut values = Vec::new();
        for i in 0..120 {
            let (angle, radius) =
                (f64::from(i) * std::f64::consts::TAU / 120.0, if i % 2 == 0 { 1.0 } else { 4.0 });
            values.extend([radius * angle.cos(), radius * angle.sin()]);
        }
        for affinity in [Affinity::NearestNeighbors { n_neighbors: 6 }, Affinity::Rbf { gamma: 4.0 }] {
            let params = Spectral { affinity, ..Spectral::new(2) };
            let mut labels = vec![0; 120];
            params.session().cluster(double(&values, 2), &mut stream(0), &mut labels).unwrap();
            assert!((0..120).all(|i| labels[i] == labels[i % 2]) && labels[0] != labels[1]);
        }
    }

    #[test]
    fn graphs_in_pieces_and_the_smallest_sizes() {
        let run = |params: Spectral, values: &[f64]| {
            let mut labels = vec![-1; values.len()];
            params.session().cluster(double(values, 1), &mut stream(0), &mut labels).map(|()| labels)
        };
        // Four pieces; fewer, as many and more clusters than pieces.
        let values: Vec<f64> = (0..48).map(|i| f64::from(i % 4) * 1e4 + f64::from(i)).collect();
        for k in [2, 4, 6] {
            let affinity = Affinity::NearestNeighbors { n_neighbors: 5 };
            let labels = run(Spectral { affinity, ..Spectral::new(k) }, &values).unwrap();
            if k == 4 {
                assert!((0..48).all(|i| labels[i] == labels[i % 4]));
            }
        }
        // More pieces than clusters: the largest are told apart, whatever the stream.
        let values: Vec<f64> = (0..40)
            .map(|i| f64::from(i) + 1e4 * f64::from([0, 18, 34].iter().filter(|&&at| i >= at).count() as u32))
            .collect();
        for seed in 0..5 {
            let params =
                Spectral { affinity: Affinity::NearestNeighbors { n_neighbors: 5 }, ..Spectral::new(2) };
            let mut labels = vec![-1; 40];
            params.session().cluster(double(&values, 1), &mut stream(seed), &mut labels).unwrap();
            let apart = |i: usize| labels[i] != labels[0];
            assert!((0..40).all(|i| apart(i) == (18..34).contains(&i)), "{labels:?}");
        }
        let values: Vec<f64> = (0..48).map(|i| f64::from(i % 4) * 1e4 + f64::from(i)).collect();
        // No edges at all: only the observation itself as neighbour, or weights that underflow.
        for affinity in [Affinity::NearestNeighbors { n_neighbors: 1 }, Affinity::Rbf { gamma: 1e9 }] {
            run(Spectral { affinity, ..Spectral::new(3) }, &values).unwrap();
        }
        for n_neighbors in 1..=2 {
            for k in 1..=2 {
                let affinity = Affinity::NearestNeighbors { n_neighbors };
                run(Spectral { affinity, ..Spectral::new(k) }, &[1.0, 2.0]).unwrap();
                run(Spectral { affinity, ..Spectral::new(k) }, &[1.0, 1.0]).unwrap();
            }
        }
        let message = run(Spectral::new(3), &[1.0, 2.0, 3.0, 4.0]).unwrap_err().to_string();
        assert_eq!(message, "n_neighbors is 10, expected 1 to the number of observations, 4");
        let message = run(Spectral::new(5), &[1.0, 2.0, 3.0, 4.0]).unwrap_err().to_string();
        assert_eq!(message, "n_clusters is 5, expected 1 to the number of observations, 4");
    }
}
