//! The graph of a minipatch: its weights, its connected components, and products with it.
//!
//! Weights are those of nearest neighbours (`a_ij = 1` when `j` is among the `n_neighbors` nearest of `i`, itself included;
//! `W = (A + A^T) / 2`), kept by edges, or `w_ij = exp(-gamma |x_i - x_j|^2)`, kept as a square. With `d` the degrees, loops
//! left out, they are normalised to `N = D^-1/2 W D^-1/2`.

// The same index walks several arrays of a matrix.
#![allow(clippy::needless_range_loop)]

use super::Matrix;
use super::distance::{self, Form, Panels, WIDTH};
use super::lanczos::{UNCOUPLED, dot};
use crate::bits::for_each_one;
use crate::elementary::exp;
use crate::error::Result;
use crate::simd::Level;

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

/// Nodes whose marks differ by less than this share look alike: rounding leaves less, and chance more.
const ALIKE: f64 = 1e-12;

/// What a graph falls apart into.
pub struct Pieces {
    /// Sums of the degrees of the connected components of more than one node.
    pub volumes: Vec<f64>,
    /// The nodes without edges to speak of, each an eigenvector of `N` of eigenvalue 0.
    pub isolated: Vec<usize>,
}

/// A graph whose memory serves again.
#[derive(Default)]
pub struct Graph {
    /// Number of nodes.
    pub n: usize,
    /// Entries of a vector over the nodes and of a row of a dense graph: padded to whole lanes.
    pub stride: usize,
    /// Square roots of the degrees, 1 for a node without edges.
    pub roots: Vec<f64>,
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
}

impl Graph {
    /// Takes the place of the graph before.
    pub fn build(&mut self, level: Level, patch: Matrix<'_>, affinity: Affinity) -> Result<()> {
        self.measure(level, patch)?;
        match affinity {
            Affinity::NearestNeighbors { n_neighbors } => self.neighbour_graph(level, n_neighbors),
            Affinity::Rbf { gamma } => self.rbf_graph(gamma),
        }
        self.normalise();
        Ok(())
    }

    fn measure(&mut self, level: Level, patch: Matrix<'_>) -> Result<()> {
        distance::centre(patch, &mut self.centre);
        self.panels.pack(patch, &self.centre);
        self.panels.squared_norms(&mut self.norms);
        distance::check_reach(&self.norms)?;
        if distance::pairwise(level, Form::Product, &self.panels, &self.norms, &mut self.square)? {
            distance::pairwise(level, Form::Difference, &self.panels, &self.norms, &mut self.square)?;
        }
        self.n = patch.rows;
        self.stride = self.panels.padded();
        Ok(())
    }

    /// Edges of the symmetrised graph of nearest neighbours; ties go to the observation itself, then the lowest index.
    fn neighbour_graph(&mut self, level: Level, n_neighbors: usize) {
        let (n, words) = (self.n, self.n.div_ceil(64));
        self.dense = false;
        self.chosen.clear();
        self.chosen.resize(n * words, 0);
        let mut nearest: Vec<(f64, u32)> = Vec::with_capacity(n_neighbors + 1);
        let mut within: Vec<u32> = Vec::new();
        for i in 0..n {
            let row = &self.square[i * self.stride..][..n];
            nearest.clear();
            nearest.push((-1.0, i as u32));
            if n_neighbors > 1 {
                within_reach(level, row, n_neighbors, &mut within);
                for &j in within.iter().filter(|&&j| j as usize != i) {
                    let distance = row[j as usize];
                    let at = nearest.partition_point(|&(other, _)| other <= distance);
                    if at < n_neighbors {
                        nearest.insert(at, (distance, j));
                        nearest.truncate(n_neighbors);
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

    /// Appends to `vectors` the null vector of `I - N` on each component of more than one node, in the order of the pieces.
    pub fn null_space(&self, vectors: &mut Vec<f64>) -> Pieces {
        let (mut volumes, mut isolated) = (Vec::new(), Vec::new());
        let mut component = vec![usize::MAX; self.n];
        let mut stack = Vec::new();
        for start in 0..self.n {
            if component[start] != usize::MAX {
                continue;
            }
            let at = vectors.len();
            vectors.resize(at + self.stride, 0.0);
            let (mut members, mut square) = (0, 0.0);
            component[start] = volumes.len();
            stack.push(start);
            while let Some(i) = stack.pop() {
                members += 1;
                square += self.roots[i] * self.roots[i];
                vectors[at + i] = self.roots[i];
                self.edges(i, |j, weight| {
                    if weight > UNCOUPLED && component[j] == usize::MAX {
                        component[j] = volumes.len();
                        stack.push(j);
                    }
                });
            }
            if members > 1 {
                let norm = square.sqrt();
                vectors[at..].iter_mut().for_each(|value| *value /= norm);
                volumes.push(square);
            } else {
                vectors.truncate(at);
                isolated.push(start);
            }
        }
        Pieces { volumes, isolated }
    }

    /// `to = N from`, both of `stride` entries.
    pub fn multiply(&self, level: Level, from: &[f64], to: &mut Vec<f64>) {
        to.clear();
        to.resize(self.stride, 0.0);
        if self.dense {
            multiply_dense(level, &self.square[..self.n * self.stride], from, to);
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
            to[i] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        }
    }

    /// Whether no two nodes look alike by their degrees and those of the nodes around them, some steps far. Such a graph
    /// has no symmetry, without which an eigenvalue is repeated by chance alone.
    pub fn tells_nodes_apart(&self, level: Level) -> bool {
        const STEPS: usize = 5;
        let mut marks = self.roots.clone();
        marks.resize(self.stride, 0.0);
        let (mut squares, mut around, mut sorted) = (Vec::new(), Vec::new(), Vec::new());
        (0..STEPS).any(|_| {
            squares.clear();
            squares.extend(marks.iter().map(|mark| mark * mark));
            self.multiply(level, &squares, &mut around);
            let largest = marks.iter().zip(&around).map(|(mark, around)| mark + around).fold(0.0, f64::max);
            marks.iter_mut().zip(&around).for_each(|(mark, around)| *mark = (*mark + around) / largest);
            sorted.clear();
            sorted.extend_from_slice(&marks[..self.n]);
            sorted.sort_unstable_by(f64::total_cmp);
            sorted.windows(2).all(|pair| pair[1] - pair[0] > ALIKE * pair[1])
        })
    }
}

dispatch! {
    /// Lists the entries of a row, in order, among which are the `count` smallest: few others, as a rule.
    fn within_reach(row: &[f64], count: usize, found: &mut Vec<u32>) = within_reach_body
}

#[inline(always)]
fn within_reach_body(row: &[f64], count: usize, found: &mut Vec<u32>) {
    let reach = reach(row, count);
    found.clear();
    for (part, values) in row.chunks(WIDTH).enumerate() {
        if values.iter().fold(false, |any, &value| any | (value <= reach)) {
            let start = part * WIDTH;
            found.extend((0..values.len()).filter(|&l| values[l] <= reach).map(|l| (start + l) as u32));
        }
    }
}

/// A value that `count` of a row do not exceed: most others then need no place among the smallest.
#[inline(always)]
fn reach(row: &[f64], count: usize) -> f64 {
    /// Each of these parts of a row has a smallest value, and `count` of those are as many different ones.
    const PARTS: usize = 32;
    if count > PARTS {
        return f64::INFINITY;
    }
    let mut smallest = [f64::INFINITY; PARTS];
    for some in row.chunks(PARTS) {
        smallest
            .iter_mut()
            .zip(some)
            .for_each(|(least, &value)| *least = if value < *least { value } else { *least });
    }
    *smallest.select_nth_unstable_by(count - 1, f64::total_cmp).1
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
