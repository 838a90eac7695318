//! Spectral clustering: k-means on the lowest eigenvectors of a graph's Laplacian.
//!
//! Observations are the nodes of a [graph](super::graph) with normalised weights `N = D^-1/2 W D^-1/2`. With
//!
//! ```text
//! L = I - N,   L u = lambda u,   y = D^-1/2 u
//! ```
//!
//! each observation is placed at its entries of the `n_components` vectors `y` with the lowest `lambda`, where
//! k-means finds the clusters (Shi and Malik 2000, *Normalized cuts and image segmentation*; von Luxburg 2007, *A
//! tutorial on spectral clustering*). Results are equal in distribution to those of scikit-learn's
//! `SpectralClustering(assign_labels="kmeans")`.
//!
//! The null space of `L` is known: one vector `sqrt(d)` on each connected component; where these are more than are wanted,
//! those of the largest are taken, so that small pieces do not pass for clusters (any others would do as well for the
//! objective; scikit-learn's depend on rounding). A node without edges is an eigenvector by itself, of eigenvalue 1. A Lanczos recurrence (`lanczos`) finds the others, so that any number of
//! components works. It sees a single vector of an eigenspace, and repeated eigenvalues take a symmetry of the graph, or
//! pieces that next to nothing holds together: where nodes look alike, or an eigenvalue is all but zero, it is asked
//! again for what it may have missed.
//!
//! Cost O(n^2 m) for distances, besides the recurrence.

use super::graph::{Affinity, Graph, Pieces};
use super::kmeans::KMeans;
use super::lanczos::{Lanczos, TOLERANCE};
use super::{ClusterSession, Clusterer, Matrix, Values};
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::simd::{self, Level};

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
        work.graph.build(level, patch, self.affinity)?;
        work.lowest_eigenvectors(level, self.components(), self.n_clusters, rng);
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

/// An eigenvalue of `N` above this beside the null space: pieces of the graph hang together so loosely that others may be
/// as near to 1, and the same but for rounding.
const NEARLY_IN_PIECES: f64 = 1.0 - 1e-6;

#[derive(Default)]
struct Work {
    graph: Graph,
    lanczos: Lanczos,
    /// The wanted eigenvectors of `L`, by rows.
    found: Vec<f64>,
    embedding: Vec<f64>,
}

impl Work {
    /// Fills `found` with `wanted` eigenvectors of the lowest eigenvalues of `L`, which are the largest of `N`: orthonormal but
    /// where more pieces are to be told apart than there are vectors.
    fn lowest_eigenvectors(&mut self, level: Level, wanted: usize, clusters: usize, rng: &mut Stream) {
        self.found.clear();
        let Pieces { volumes, isolated } = self.graph.null_space(&mut self.found);
        if volumes.len() >= wanted {
            self.tell_apart(&volumes, wanted, clusters);
            return;
        }
        let connected = wanted.min(self.graph.n - isolated.len());
        let mut values = vec![1.0; volumes.len()];
        if connected > values.len() {
            self.recur(level, &isolated, connected, &mut values, rng);
        }
        self.add_isolated(&isolated, &values, wanted);
    }

    /// Makes `wanted` vectors of the null vectors of more pieces.
    fn tell_apart(&mut self, volumes: &[f64], wanted: usize, clusters: usize) {
        let stride = self.graph.stride;
        // Which of them are taken says which pieces are told apart: the largest, and not what chance would mix, which
        // would differ from one start to the next. The rest lies in the origin.
        let mut largest: Vec<usize> = (0..volumes.len()).collect();
        largest.sort_by(|&a, &b| volumes[b].total_cmp(&volumes[a]));
        largest.truncate(wanted.max(clusters));
        let pieces = std::mem::replace(&mut self.found, vec![0.0; wanted * stride]);
        for (rank, piece) in largest.into_iter().enumerate() {
            // With fewer vectors than clusters, smaller pieces lie further out on the axes of larger ones.
            let further = (1 + rank / wanted) as f64;
            let axis = &mut self.found[rank % wanted * stride..][..stride];
            let piece = &pieces[piece * stride..][..stride];
            axis.iter_mut().zip(piece).for_each(|(sum, value)| *sum += further * value);
        }
    }

    /// Appends eigenvectors of the nodes with edges to the null vectors, up to `wanted` in all, and their eigenvalues of `N`.
    fn recur(
        &mut self,
        level: Level,
        isolated: &[usize],
        wanted: usize,
        values: &mut Vec<f64>,
        rng: &mut Stream,
    ) {
        let Work { graph, lanczos, found, .. } = self;
        let (null, stride) = (values.len(), graph.stride);
        lanczos.extend(level, graph, isolated, wanted - null, rng, found, values);
        let all = wanted == graph.n - isolated.len();
        if all || values[null] < NEARLY_IN_PIECES && graph.tells_nodes_apart(level) {
            return;
        }
        // Vectors that were missed because they share an eigenvalue with others take the places of lower ones.
        loop {
            lanczos.extend(level, graph, isolated, 1, rng, found, values);
            let lowest = (null..wanted).fold(null, |low, v| if values[v] < values[low] { v } else { low });
            let missed = values[wanted] > values[lowest] + TOLERANCE;
            if missed {
                found.copy_within(wanted * stride.., lowest * stride);
                values[lowest] = values[wanted];
            }
            found.truncate(wanted * stride);
            values.truncate(wanted);
            if !missed {
                return;
            }
        }
    }

    /// Puts isolated nodes, whose eigenvalue of `N` is 0, before vectors of lower ones; `wanted` stay.
    fn add_isolated(&mut self, isolated: &[usize], values: &[f64], wanted: usize) {
        let stride = self.graph.stride;
        let above = values.iter().filter(|&&value| value >= 0.0).count();
        if isolated.is_empty() || above >= wanted {
            return;
        }
        let vectors = std::mem::take(&mut self.found);
        let of = |keep: fn(f64) -> bool| {
            vectors.chunks_exact(stride).zip(values).filter(move |&(_, &v)| keep(v)).flat_map(|(v, _)| v)
        };
        self.found.extend(of(|value| value >= 0.0));
        for &node in isolated.iter().take(wanted - above) {
            let at = self.found.len() + node;
            self.found.resize(self.found.len() + stride, 0.0);
            self.found[at] = 1.0;
        }
        self.found.extend(of(|value| value < 0.0));
        self.found.truncate(wanted * stride);
    }

    /// Divides each eigenvector by the roots of the degrees and fixes its sign: the entry of largest size is positive.
    fn place(&mut self, components: usize) {
        self.embedding.clear();
        self.embedding.resize(self.graph.n * components, 0.0);
        for c in 0..components {
            let vector = &self.found[c * self.graph.stride..][..self.graph.n];
            let mut largest = 0.0f64;
            for (value, root) in vector.iter().zip(&self.graph.roots) {
                let placed = value / root;
                if placed.abs() > largest.abs() {
                    largest = placed;
                }
            }
            let sign = if largest < 0.0 { -1.0 } else { 1.0 };
            for (i, (value, root)) in vector.iter().zip(&self.graph.roots).enumerate() {
                self.embedding[i * components + c] = sign * (value / root);
            }
        }
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
            alone in 0usize..4,
        ) {
            // Two groups, from overlapping to out of each other's reach, and some observations out of everyone's.
            let n = values.len() / 2;
            let place = |at: usize| (if at < n { gap } else { 0.0 }) + if at < 2 * alone { 1e3 * (1 + at / 2) as f64 } else { 0.0 };
            let values: Vec<f64> = (0..2 * n).map(|at| values[at] + place(at)).collect();
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
    fn symmetric_graphs_have_all_their_eigenvectors() {
        // A ring, on which eigenvalues come in pairs, and a square grid, on which most do.
        let ring: Vec<f64> = (0..90)
            .flat_map(|i| {
                let angle = f64::from(i) * std::f64::consts::TAU / 90.0;
                [angle.cos(), angle.sin()]
            })
            .collect();
        let grid: Vec<f64> = (0..81).flat_map(|i| [f64::from(i % 9), f64::from(i / 9)]).collect();
        for values in [ring, grid] {
            let n = values.len() / 2;
            for affinity in [Affinity::NearestNeighbors { n_neighbors: 5 }, Affinity::Rbf { gamma: 1.0 }] {
                let (laplacian, roots) = laplacian(affinity, &values, 2);
                let expected = eigenvalues(laplacian.clone(), n);
                for k in [3, 4, 9] {
                    let params = Spectral { affinity, ..Spectral::new(k) };
                    let placed = params.embedding(double(&values, 2), &mut stream(5)).unwrap();
                    let mut found: Vec<f64> = (0..k)
                        .map(|c| {
                            let vector: Vec<f64> = (0..n).map(|i| placed[i * k + c] * roots[i]).collect();
                            let image =
                                (0..n).map(|i| (0..n).map(|j| laplacian[i * n + j] * vector[j]).sum::<f64>());
                            image.zip(&vector).map(|(image, value)| image * value).sum()
                        })
                        .collect();
                    found.sort_by(f64::total_cmp);
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!(
                            (found - expected).abs() < 1e-7,
                            "{found} is not {expected}: {k} of {affinity:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn pieces_that_hardly_hang_together_are_told_apart() {
        let mut rng = stream(9);
        for gap in [5.0, 6.25, 7.0, 7.5, 9.0] {
            let centres = [[0.0, 0.0], [gap, 0.0], [0.0, 1.1 * gap], [gap, 1.2 * gap]];
            let values: Vec<f64> = (0..160)
                .flat_map(|i| centres[i % 4].map(|centre| centre + 1.8 * (rng.unit() - 0.5)))
                .collect();
            let mut labels = vec![0; 160];
            let params = Spectral { affinity: Affinity::Rbf { gamma: 1.0 }, ..Spectral::new(4) };
            params.session().cluster(double(&values, 2), &mut stream(0), &mut labels).unwrap();
            assert!((0..160).all(|i| labels[i] == labels[i % 4]), "{gap}: {labels:?}");
            assert!((0..4).all(|c| (0..c).all(|d| labels[c] != labels[d])), "{gap}");
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
        // As many pieces as clusters, and fewer eigenvectors.
        let values: Vec<f64> = (0..48).map(|i| f64::from(i % 4) * 1e4 + f64::from(i)).collect();
        for components in 1..4 {
            let affinity = Affinity::NearestNeighbors { n_neighbors: 5 };
            let labels =
                run(Spectral { affinity, n_components: Some(components), ..Spectral::new(4) }, &values)
                    .unwrap();
            assert!((0..48).all(|i| labels[i] == labels[i % 4]), "{labels:?}");
            assert!((0..4).all(|c| (0..c).all(|d| labels[c] != labels[d])), "{labels:?}");
        }
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
