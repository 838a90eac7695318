//! Agglomerative clustering: the tree of merges, cut to `k` clusters.
//!
//! Clusters are merged two by two, nearest first, until `k` are left. With Euclidean distances between
//! observations, the distance between the union of two clusters `x`, `y` and another cluster `i` is
//!
//! ```text
//! single    min(d_xi, d_yi)
//! complete  max(d_xi, d_yi)
//! average   (n_x d_xi + n_y d_yi) / (n_x + n_y)
//! ward      sqrt(((n_i + n_x) d_xi^2 + (n_i + n_y) d_yi^2 - n_i d_xy^2) / (n_x + n_y + n_i))
//! ```
//!
//! Ward, complete and average follow chains of nearest neighbours (Benzécri 1982; Murtagh 1983, *A survey of recent
//! advances in hierarchical clustering algorithms*); single grows a minimum spanning tree (Prim 1957). Both
//! cost O(n^2) after the distances, O(n^2 m); memory is n^2 doubles.
//!
//! # The same tree as SciPy's
//!
//! The partition is that of scikit-learn's `AgglomerativeClustering`, which calls SciPy. Distances come from inner
//! products of centred rows, which is faster than summing squared differences but rounds differently. The
//! rounding can only matter where two candidates are nearly as close, or where the cut falls between two
//! merges of nearly the same height. Every such comparison is checked against a bound on the rounding error; when one
//! is too close to call, the patch is clustered again from distances summed exactly as SciPy sums them, with SciPy's
//! formulas and its rules for ties: the previous element of the chain first, then the lowest index; merges
//! sorted stably by height. Integer data need no second run, because their squared distances are exact either way.
//!
//! # Why not a crate
//!
//! One patch of 294 x 199 in single precision takes 0.72 ms on one core of an AMD EPYC with AVX-512. Of this the
//! distances take 0.46 ms; a symmetric product by `faer` takes 0.35 ms and a general one by `matrixmultiply` 0.63 ms, but
//! both fuse multiplication and addition on some machines and not on others, so that their bits depend on the
//! machine. The merging takes 0.2 ms here and 0.56 ms in `kodama`, whose condensed matrix makes half of each
//! row a strided read, and which has neither the check for close calls nor SciPy's rule for ties.

use super::distance::{self, Form, Panels, WIDTH};
use super::{ClusterSession, Clusterer, Matrix};
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::simd::{self, Level};

/// How far apart two clusters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// The growth of the within-cluster sum of squares.
    Ward,
    /// The largest distance between members.
    Complete,
    /// The mean distance between members.
    Average,
    /// The smallest distance between members.
    Single,
}

/// Agglomerative clustering with Euclidean distances, cut to a given number of clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Agglomerative {
    /// Number of clusters to leave.
    pub n_clusters: usize,
    /// Distance between clusters.
    pub linkage: Linkage,
}

impl Clusterer for Agglomerative {
    fn session(&self) -> Box<dyn ClusterSession + '_> {
        Box::new(Session { params: self, work: Work::default() })
    }
}

struct Session<'a> {
    params: &'a Agglomerative,
    work: Work,
}

impl ClusterSession for Session<'_> {
    fn cluster(&mut self, patch: Matrix<'_>, _rng: &mut Stream, labels: &mut [i32]) -> Result<()> {
        let (n, k) = (patch.rows, self.params.n_clusters);
        if n < 1 || patch.columns < 1 {
            return Err(Error::shape(
                "the data",
                format!("{n} rows and {} columns", patch.columns),
                "at least 1 of each",
            ));
        }
        if k < 1 || k > n {
            return Err(Error::value("n_clusters", k, format!("1 to the number of observations, {n}")));
        }
        if labels.len() != n {
            return Err(Error::shape("labels", labels.len(), n));
        }
        self.work.cluster(simd::level(), patch, self.params.linkage, k)?;
        self.work.cut(k, labels);
        Ok(())
    }
}

/// Ward's tree, cut by other rules or grown from other distances; its memory is reused from tree to tree.
#[derive(Default)]
pub struct WardTree(Work);

impl WardTree {
    /// Clusters the rows of `patch` by every merge at or below a quantile of the merges' heights (interpolated
    /// linearly between them), and returns the number of clusters.
    ///
    /// Of `n - 1` heights `h_0 <= h_1 <= ...` the quantile lies between `h_f` and `h_(f+1)`, with `f` the integer part
    /// of `quantile (n - 2)`, so that merges up to `h_f` are applied and, but for ties, `n - 1 - f` clusters are left.
    pub fn cut_at_quantile(&mut self, patch: Matrix<'_>, quantile: f64, labels: &mut [i32]) -> Result<usize> {
        let n = patch.rows;
        if n < 2 || patch.columns < 1 {
            let got = format!("{n} rows and {} columns", patch.columns);
            return Err(Error::shape("the data", got, "at least 2 rows and 1 column"));
        }
        if !(0.0..=1.0).contains(&quantile) {
            return Err(Error::value("the quantile of heights", quantile, "0 to 1"));
        }
        if labels.len() != n {
            return Err(Error::shape("labels", labels.len(), n));
        }
        let last = (quantile * (n - 2) as f64) as usize;
        self.0.cluster(simd::level(), patch, Linkage::Ward, n - 1 - last)?;
        let height = self.0.merges[last].height;
        let applied = self.0.merges.partition_point(|merge| merge.height <= height);
        self.0.cut(n - applied, labels);
        Ok(n - applied)
    }

    /// Clusters observations of which only the distances are known, `distance(i, j)` for `i < j`, into `k`.
    pub fn cut_distances(
        &mut self,
        distance: impl Fn(usize, usize) -> f64,
        k: usize,
        labels: &mut [i32],
    ) -> Result<()> {
        let n = labels.len();
        if k < 1 || k > n {
            return Err(Error::value("n_clusters", k, format!("1 to the number of observations, {n}")));
        }
        self.0.rows = n;
        let (_, stride) = self.0.places();
        distance::make_square(&mut self.0.distances, stride)?;
        self.0.distances.fill(f64::INFINITY);
        for i in 0..n {
            for j in i + 1..n {
                let distance = distance(i, j);
                self.0.distances[i * stride + j] = distance;
                self.0.distances[j * stride + i] = distance;
            }
        }
        // Without rounding to fear, no comparison is too close.
        let _ = self.0.tree(simd::level(), Linkage::Ward, k, Rounding::NONE);
        self.0.cut(k, labels);
        Ok(())
    }
}

/// Two clusters that were merged, each named by one of its observations, and how far apart they were.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Merge {
    x: u32,
    y: u32,
    height: f64,
}

/// What rounding may do to a squared distance: it matters between candidates that differ by less than
/// `relative * (d^2 + norm * n_x)`, where `norm` is the largest squared norm of a row and `n_x` the size of
/// the cluster whose neighbour is sought. Zero when distances are exact.
#[derive(Debug, Clone, Copy)]
struct Rounding {
    relative: f64,
    norm: f64,
}

impl Rounding {
    const NONE: Rounding = Rounding { relative: 0.0, norm: 0.0 };

    /// The distance up to which a candidate is too close to one at `distance` to call.
    #[inline(always)]
    fn reach(self, distance: f64, size: f64) -> f64 {
        if self.relative == 0.0 {
            return distance;
        }
        let square = distance * distance;
        (square + self.relative * (square + self.norm * size)).sqrt()
    }
}

/// A comparison that rounding may have decided.
struct TooClose;

#[derive(Default)]
struct Work {
    /// Number of observations.
    rows: usize,
    centre: Vec<f64>,
    panels: Panels<f64, WIDTH>,
    norms: Vec<f64>,
    /// Distances between the clusters that are left, each at the place of its last observation; a full square, so that
    /// every scan reads consecutive entries.
    distances: Vec<f64>,
    /// Zero for a cluster that is left, infinity for one that was merged into another.
    gone: Vec<f64>,
    sizes: Vec<f64>,
    left: Vec<u32>,
    chain: Vec<u32>,
    merges: Vec<Merge>,
    parents: Vec<u32>,
}

impl Work {
    /// Observations and the places that are left for them in each row of the distances.
    fn places(&self) -> (usize, usize) {
        (self.rows, self.rows.next_multiple_of(WIDTH))
    }

    /// Finds the merges of the whole tree, sorted by height.
    fn cluster(&mut self, level: Level, patch: Matrix<'_>, linkage: Linkage, k: usize) -> Result<()> {
        self.rows = patch.rows;
        let integers = distance::centre(patch, &mut self.centre);
        self.panels.pack(patch, &self.centre);
        self.panels.squared_norms(&mut self.norms);
        let norm = self.norms.iter().copied().fold(0.0, f64::max);
        distance::check_reach(&self.norms)?;
        let spoilt =
            distance::pairwise(level, Form::Product, &self.panels, &self.norms, &mut self.distances)?;
        let exact = integers && norm < 1_125_899_906_842_624.0;
        if exact || !spoilt {
            // The sum of m products and the updates of n merges each round by a few units of 2^-53; the
            // factor leaves room for the sizes of the merged clusters and for SciPy's own rounding.
            let terms = (patch.rows + patch.columns) as f64;
            let relative = terms / 4_398_046_511_104.0;
            let rounding = if exact { Rounding::NONE } else { Rounding { relative, norm } };
            if self.tree(level, linkage, k, rounding).is_ok() {
                return Ok(());
            }
        }
        self.centre.fill(0.0);
        self.panels.pack(patch, &self.centre);
        distance::pairwise(level, Form::Difference, &self.panels, &self.norms, &mut self.distances)?;
        // Without rounding to fear, no comparison is too close.
        let _ = self.tree(level, linkage, k, Rounding::NONE);
        Ok(())
    }

    /// Merges and sorts, or gives up at the first comparison that is too close.
    fn tree(
        &mut self,
        level: Level,
        linkage: Linkage,
        k: usize,
        rounding: Rounding,
    ) -> std::result::Result<(), TooClose> {
        let (n, stride) = self.places();
        for i in 0..n {
            self.distances[i * stride + i] = f64::INFINITY;
        }
        self.gone.clear();
        self.gone.resize(n, 0.0);
        self.gone.resize(stride, f64::INFINITY);
        self.merges.clear();
        match linkage {
            Linkage::Single => self.spanning_tree(level),
            Linkage::Ward => self.merge_along_chains::<WARD>(level, rounding)?,
            Linkage::Complete => self.merge_along_chains::<COMPLETE>(level, rounding)?,
            Linkage::Average => self.merge_along_chains::<AVERAGE>(level, rounding)?,
        }
        self.merges.sort_by(|a, b| a.height.total_cmp(&b.height));
        if rounding.relative > 0.0 && k > 1 && k < n {
            let (last, next) = (self.merges[n - k - 1].height, self.merges[n - k].height);
            if next <= rounding.reach(last, n as f64) {
                return Err(TooClose);
            }
        }
        Ok(())
    }

    fn merge_along_chains<const LINKAGE: u8>(
        &mut self,
        level: Level,
        rounding: Rounding,
    ) -> std::result::Result<(), TooClose> {
        let (n, stride) = self.places();
        self.sizes.clear();
        self.sizes.resize(stride, 1.0);
        self.left.clear();
        self.left.extend(0..n as u32);
        self.chain.clear();
        while self.left.len() > 1 {
            if self.chain.is_empty() {
                self.chain.push(self.left[0]);
            }
            let (x, y, height) = loop {
                let x = self.chain[self.chain.len() - 1] as usize;
                let row = &self.distances[x * stride..][..stride];
                let Nearest { at, least, within } = scan(level, row, &self.gone, rounding, self.sizes[x]);
                if within > 1 && rounding.relative > 0.0 {
                    return Err(TooClose);
                }
                if !least.is_finite() {
                    // Distances beyond all numbers from here to anywhere: any other cluster will do.
                    let other = self.left[usize::from(self.left[0] as usize == x)];
                    self.chain.clear();
                    break (x, other as usize, f64::INFINITY);
                }
                // The previous element wins ties, or chains could run in circles.
                let previous = self.chain.len().checked_sub(2).map(|at| self.chain[at] as usize);
                match previous {
                    Some(y) if row[y] <= least => break (x, y, row[y]),
                    _ => self.chain.push(at as u32),
                }
            };
            self.chain.truncate(self.chain.len().saturating_sub(2));
            // The union lives on at the later place.
            let (x, y) = (x.min(y), x.max(y));
            self.merges.push(Merge { x: x as u32, y: y as u32, height });
            self.gone[x] = f64::INFINITY;
            if let Ok(at) = self.left.binary_search(&(x as u32)) {
                self.left.remove(at);
            }
            let (before, after) = self.distances.split_at_mut(y * stride);
            let (row_x, row_y) = (&before[x * stride..][..stride], &mut after[..stride]);
            let pair = (height, self.sizes[x], self.sizes[y]);
            match LINKAGE {
                WARD => update_ward(level, row_x, row_y, &self.sizes, pair),
                COMPLETE => update_complete(level, row_x, row_y),
                _ => update_average(level, row_x, row_y, pair),
            }
            row_y[y] = f64::INFINITY;
            self.sizes[y] += self.sizes[x];
            for &i in &self.left {
                let i = i as usize;
                self.distances[i * stride + y] = self.distances[y * stride + i];
            }
        }
        Ok(())
    }

    /// Prim's algorithm from the first observation, ties to the lowest index.
    fn spanning_tree(&mut self, level: Level) {
        let (n, stride) = self.places();
        // `sizes` holds the distance from the tree to each observation outside it.
        let nearest = &mut self.sizes;
        nearest.clear();
        nearest.resize(stride, f64::INFINITY);
        let mut x = 0;
        for _ in 1..n {
            self.gone[x] = f64::INFINITY;
            let row = &self.distances[x * stride..][..stride];
            for (near, &distance) in nearest.iter_mut().zip(row) {
                *near = if distance < *near { distance } else { *near };
            }
            let Nearest { at, least, .. } = scan(level, nearest, &self.gone, Rounding::NONE, 1.0);
            self.merges.push(Merge { x: x as u32, y: at as u32, height: least });
            x = at;
        }
    }

    /// Applies the lowest `n - k` merges and numbers the clusters by first appearance.
    fn cut(&mut self, k: usize, labels: &mut [i32]) {
        let n = labels.len();
        let parents = &mut self.parents;
        parents.clear();
        parents.extend(0..n as u32);
        fn root(parents: &mut [u32], mut i: u32) -> u32 {
            while parents[i as usize] != i {
                parents[i as usize] = parents[parents[i as usize] as usize];
                i = parents[i as usize];
            }
            i
        }
        for merge in &self.merges[..n - k] {
            let (x, y) = (root(parents, merge.x), root(parents, merge.y));
            parents[x.max(y) as usize] = x.min(y);
        }
        // A root is its cluster's lowest index, so it is numbered before its members ask.
        let mut next = 0;
        for i in 0..n as u32 {
            let root = root(parents, i);
            labels[i as usize] = if root == i {
                next += 1;
                next - 1
            } else {
                labels[root as usize]
            };
        }
    }
}

const WARD: u8 = 0;
const COMPLETE: u8 = 1;
const AVERAGE: u8 = 2;

/// The result of a scan over the clusters that are left.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Nearest {
    /// Where the smallest value first occurs; out of range when nothing compares.
    at: usize,
    least: f64,
    /// How many values are within reach of the smallest, itself included.
    within: usize,
}

dispatch! {
    /// The smallest entry of `row` among the clusters that are left.
    fn scan(row: &[f64], gone: &[f64], rounding: Rounding, size: f64) -> Nearest = scan_body
}

/// Two passes: the first has a short chain of dependent operations, the second has several short ones, and together they
/// take less time than one pass that carries index and runner-up along.
#[inline(always)]
fn scan_body(row: &[f64], gone: &[f64], rounding: Rounding, size: f64) -> Nearest {
    let (rows, gones) = (row.as_chunks::<WIDTH>().0, gone.as_chunks::<WIDTH>().0);
    let mut lanes = [f64::INFINITY; WIDTH];
    for (row, gone) in rows.iter().zip(gones) {
        for l in 0..WIDTH {
            let value = row[l] + gone[l];
            lanes[l] = if value < lanes[l] { value } else { lanes[l] };
        }
    }
    let least = lowest(lanes);
    let reach = rounding.reach(least, size);
    let mut first = [f64::INFINITY; WIDTH];
    let mut within = [0.0; WIDTH];
    let mut index: [f64; WIDTH] = std::array::from_fn(|l| l as f64);
    for (row, gone) in rows.iter().zip(gones) {
        for l in 0..WIDTH {
            let value = row[l] + gone[l];
            let here = if value == least { index[l] } else { f64::INFINITY };
            first[l] = if here < first[l] { here } else { first[l] };
            within[l] += if value <= reach { 1.0 } else { 0.0 };
            index[l] += WIDTH as f64;
        }
    }
    Nearest { at: lowest(first) as usize, least, within: within.iter().sum::<f64>() as usize }
}

/// The smallest lane, by halves.
#[inline(always)]
fn lowest(lanes: [f64; WIDTH]) -> f64 {
    let lower = |a: f64, b: f64| if b < a { b } else { a };
    let four: [f64; WIDTH / 2] = std::array::from_fn(|l| lower(lanes[l], lanes[l + WIDTH / 2]));
    lower(lower(four[0], four[2]), lower(four[1], four[3]))
}

dispatch! {
    fn update_ward(row_x: &[f64], row_y: &mut [f64], sizes: &[f64], pair: (f64, f64, f64)) = update_ward_body
}

#[inline(always)]
fn update_ward_body(row_x: &[f64], row_y: &mut [f64], sizes: &[f64], (d_xy, n_x, n_y): (f64, f64, f64)) {
    for ((y, &d_xi), &n_i) in row_y.iter_mut().zip(row_x).zip(sizes) {
        let d_yi = *y;
        let t = 1.0 / (n_x + n_y + n_i);
        // SciPy's order of operations, to the last bit.
        let square = (n_i + n_x) * t * d_xi * d_xi + (n_i + n_y) * t * d_yi * d_yi - n_i * t * d_xy * d_xy;
        *y = square.sqrt();
    }
}

dispatch! {
    fn update_complete(row_x: &[f64], row_y: &mut [f64]) = update_complete_body
}

#[inline(always)]
fn update_complete_body(row_x: &[f64], row_y: &mut [f64]) {
    for (y, &x) in row_y.iter_mut().zip(row_x) {
        *y = if x > *y { x } else { *y };
    }
}

dispatch! {
    fn update_average(row_x: &[f64], row_y: &mut [f64], pair: (f64, f64, f64)) = update_average_body
}

#[inline(always)]
fn update_average_body(row_x: &[f64], row_y: &mut [f64], (_, n_x, n_y): (f64, f64, f64)) {
    for (y, &x) in row_y.iter_mut().zip(row_x) {
        *y = (n_x * x + n_y * *y) / (n_x + n_y);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Values;
    use super::*;
    use crate::rng::Purpose;
    use proptest::prelude::*;

    const LINKAGES: [Linkage; 4] = [Linkage::Ward, Linkage::Complete, Linkage::Average, Linkage::Single];

    fn labels(linkage: Linkage, k: usize, patch: Matrix<'_>) -> Result<Vec<i32>> {
        let mut labels = vec![-7; patch.rows];
        let params = Agglomerative { n_clusters: k, linkage };
        let mut rng = Stream::new(0, Purpose::Clusterer, 0);
        params.session().cluster(patch, &mut rng, &mut labels).map(|()| labels)
    }

    fn double(values: &[f64], columns: usize) -> Matrix<'_> {
        Matrix { values: Values::F64(values), rows: values.len() / columns, columns }
    }

    /// Merges the two nearest clusters until `k` are left, with every distance computed anew from the members.
    fn naive(linkage: Linkage, k: usize, values: &[f64], m: usize) -> Vec<i32> {
        let n = values.len() / m;
        let point = |i: usize| &values[i * m..(i + 1) * m];
        let distance =
            |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
        let mean = |members: &[usize]| -> Vec<f64> {
            (0..m).map(|j| members.iter().map(|&i| point(i)[j]).sum::<f64>() / members.len() as f64).collect()
        };
        let between = |a: &[usize], b: &[usize]| -> f64 {
            let pairs = || a.iter().flat_map(|&i| b.iter().map(move |&j| distance(point(i), point(j))));
            let (n_a, n_b) = (a.len() as f64, b.len() as f64);
            match linkage {
                Linkage::Single => pairs().fold(f64::INFINITY, f64::min),
                Linkage::Complete => pairs().fold(0.0, f64::max),
                Linkage::Average => pairs().sum::<f64>() / n_a / n_b,
                Linkage::Ward => (2.0 * n_a * n_b / (n_a + n_b)).sqrt() * distance(&mean(a), &mean(b)),
            }
        };
        let mut clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
        while clusters.len() > k {
            let mut best = (f64::INFINITY, 0, 1);
            for a in 0..clusters.len() {
                for b in a + 1..clusters.len() {
                    let d = between(&clusters[a], &clusters[b]);
                    if d < best.0 {
                        best = (d, a, b);
                    }
                }
            }
            let merged = clusters.remove(best.2);
            clusters[best.1].extend(merged);
        }
        clusters.sort_by_key(|members| members.iter().copied().min());
        let mut labels = vec![0; n];
        for (label, members) in clusters.iter().enumerate() {
            members.iter().for_each(|&i| labels[i] = label as i32);
        }
        labels
    }

    proptest! {
        // Continuous values have no ties, which have several right answers.
        #[test]
        fn the_partition_is_that_of_the_naive_algorithm(
            (m, values) in (1usize..5, 2usize..24).prop_flat_map(|(m, n)| {
                (Just(m), proptest::collection::vec(-1.0..1.0f64, n * m))
            }),
            cut in 0.0..1.0f64,
        ) {
            let n = values.len() / m;
            let k = 1 + (cut * n as f64) as usize;
            let shifted: Vec<f64> = values.iter().map(|v| v + 16384.0).collect();
            let single: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            let widened: Vec<f64> = single.iter().map(|&v| f64::from(v)).collect();
            for linkage in LINKAGES {
                let expected = naive(linkage, k, &values, m);
                prop_assert_eq!(&labels(linkage, k, double(&values, m)).unwrap(), &expected);
                prop_assert_eq!(&labels(linkage, k, double(&shifted, m)).unwrap(), &expected);
                prop_assert_eq!(
                    labels(linkage, k, Matrix { values: Values::F32(&single), rows: n, columns: m }).unwrap(),
                    naive(linkage, k, &widened, m)
                );
            }
        }

        // Here ties abound. Integers are exact in the fast form; both forms must break ties alike.
        #[test]
        fn ties_are_broken_alike_whatever_the_form(
            (m, values) in (1usize..4, 2usize..40).prop_flat_map(|(m, n)| {
                (Just(m), proptest::collection::vec((0i8..4).prop_map(f64::from), n * m))
            }),
        ) {
            let patch = double(&values, m);
            let n = patch.rows;
            let level = simd::level();
            for linkage in LINKAGES {
                for k in [1, 2, n.div_ceil(2), n] {
                    let mut slow = vec![0; n];
                    let mut work = Work { rows: n, centre: vec![0.0; m], ..Work::default() };
                    work.panels.pack(patch, &work.centre);
                    work.panels.squared_norms(&mut work.norms);
                    distance::pairwise(level, Form::Difference, &work.panels, &work.norms, &mut work.distances).unwrap();
                    prop_assert!(work.tree(level, linkage, k, Rounding::NONE).is_ok());
                    work.cut(k, &mut slow);
                    prop_assert_eq!(labels(linkage, k, patch).unwrap(), slow);
                }
            }
        }

        #[test]
        fn every_level_grows_the_same_tree(values in proptest::collection::vec(-1.0..1.0f64, 41 * 3)) {
            for linkage in LINKAGES {
                let mut first: Option<Vec<Merge>> = None;
                for level in Level::ALL.into_iter().filter(|&l| l <= Level::supported()) {
                    let mut work = Work::default();
                    work.cluster(level, double(&values, 3), linkage, 4).unwrap();
                    prop_assert!(first.is_none_or(|merges| merges == work.merges));
                    first = Some(work.merges);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_tree_is_cut_between_its_heights_and_grows_from_distances_alike(
            values in proptest::collection::vec(-1.0..1.0f64, 2 * 3..2 * 40),
            quantile in 0.0..1.0f64,
        ) {
            let n = values.len() / 2;
            let values = &values[..2 * n];
            let mut tree = WardTree::default();
            let mut found = vec![0; n];
            let k = tree.cut_at_quantile(double(values, 2), quantile, &mut found).unwrap();
            prop_assert_eq!(k, n - 1 - (quantile * (n - 2) as f64).floor() as usize);
            prop_assert_eq!(&found, &naive(Linkage::Ward, k, values, 2));
            let distance = |i: usize, j: usize| {
                (values[2 * i] - values[2 * j]).hypot(values[2 * i + 1] - values[2 * j + 1])
            };
            let mut again = vec![0; n];
            tree.cut_distances(distance, k, &mut again).unwrap();
            prop_assert_eq!(found, again);
        }
    }

    #[test]
    fn equal_heights_are_merged_together() {
        let mut labels = [0; 6];
        let mut tree = WardTree::default();
        let pairs = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0];
        assert_eq!(tree.cut_at_quantile(double(&pairs, 1), 0.1, &mut labels).unwrap(), 3);
        assert_eq!(labels, [0, 0, 1, 1, 2, 2]);
        assert_eq!(tree.cut_at_quantile(double(&[2.5; 6], 1), 0.5, &mut labels).unwrap(), 1);
        assert!(tree.cut_at_quantile(double(&[2.5], 1), 0.5, &mut [0]).is_err());
        assert!(tree.cut_at_quantile(double(&pairs, 1), f64::NAN, &mut labels).is_err());
        assert!(tree.cut_distances(|_, _| 1.0, 7, &mut labels).is_err());
    }

    #[test]
    fn a_session_forgets() {
        let (big, small): (Vec<f64>, Vec<f64>) =
            ((0..60).map(|i| f64::from(i).sin()).collect(), vec![0.0, 5.0, 0.3]);
        let params = Agglomerative { n_clusters: 2, linkage: Linkage::Ward };
        let mut session = params.session();
        let mut rng = Stream::new(0, Purpose::Clusterer, 0);
        session.cluster(double(&big, 3), &mut rng, &mut [0; 20]).unwrap();
        let mut labels = [0; 3];
        session.cluster(double(&small, 1), &mut rng, &mut labels).unwrap();
        assert_eq!(labels, [0, 1, 0]);
    }

    #[test]
    fn constant_data_and_the_smallest_sizes() {
        for linkage in LINKAGES {
            for k in 1..=5 {
                let found = labels(linkage, k, double(&[2.5; 10], 2)).unwrap();
                assert_eq!(found.iter().max(), Some(&(k as i32 - 1)));
            }
            assert_eq!(labels(linkage, 1, double(&[1.0, 2.0], 1)).unwrap(), [0, 0]);
            assert_eq!(labels(linkage, 2, double(&[1.0, 2.0], 1)).unwrap(), [0, 1]);
            assert_eq!(labels(linkage, 1, double(&[1.0], 1)).unwrap(), [0]);
        }
    }

    #[test]
    fn errors_name_what_was_wrong() {
        let message =
            |k, values: &[f64]| labels(Linkage::Ward, k, double(values, 1)).unwrap_err().to_string();
        assert_eq!(message(4, &[1.0, 2.0]), "n_clusters is 4, expected 1 to the number of observations, 2");
        assert_eq!(message(0, &[1.0, 2.0]), "n_clusters is 0, expected 1 to the number of observations, 2");
        for bad in [f64::NAN, f64::INFINITY, 1e200] {
            assert_eq!(
                message(1, &[1.0, bad, 3.0]),
                "the largest squared distance is not finite, expected a finite number: divide the features by a \
                 constant, or standardize them"
            );
        }
    }
}
