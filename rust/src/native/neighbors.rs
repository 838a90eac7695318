//! k nearest neighbours (Fix and Hodges 1951; Cover and Hart 1967) in Euclidean distance, as scikit-learn's
//! `KNeighborsClassifier`.
//!
//! A row's class probabilities are the shares of the classes among its k nearest training rows, each counting
//! once or by `1 / distance`; if some are at distance 0, only these count.
//!
//! Distances are screened in single precision, as `|q|^2 + |t|^2 - 2 q.t` of rows centred on the training
//! mean, with a bound on the rounding error. Where the screen cannot tell who is among the k nearest, and
//! wherever a distance itself is needed, the squared differences of the original values are added in double
//! precision. So the neighbours are exact to double precision, and adding a constant to the data changes
//! nothing as long as the data can hold it. Rows at exactly the same distance are taken in the order of the
//! training rows; scikit-learn leaves that order open.
//!
//! Cost O(n q m) for q rows to predict; memory per thread O(n m).

use super::patch::copy;
use super::{Classifier, ClassifySession, Query, Task, Values};
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::simd::{Level, level};

/// How much each neighbour counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// All the same.
    Uniform,
    /// By the inverse of its distance.
    Distance,
}

/// k nearest neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KNeighbors {
    /// How many neighbours vote, k.
    pub n_neighbors: usize,
    /// How much each counts.
    pub weights: Weights,
}

impl KNeighbors {
    /// A session that runs at a chosen level.
    pub(crate) fn session_at(&self, level: Level) -> Box<dyn ClassifySession + '_> {
        Box::new(Session {
            model: *self,
            level,
            n_classes: 0,
            classes: Vec::new(),
            training: Vec::new(),
            centre: Vec::new(),
            panels: Vec::new(),
            norms: Vec::new(),
            longest: 0.0,
            query: Vec::new(),
            queries: Vec::new(),
            screened: Vec::new(),
            nearest: Vec::new(),
            found: Vec::new(),
        })
    }
}

impl Classifier for KNeighbors {
    fn session(&self) -> Box<dyn ClassifySession + '_> {
        self.session_at(level())
    }
}

/// Training rows that are compared together.
const LANES: usize = 16;
/// Rows to predict that are compared together.
const QUERIES: usize = 4;

struct Session {
    model: KNeighbors,
    level: Level,
    n_classes: usize,
    /// The class of each training row.
    classes: Vec<u32>,
    /// The training rows, row by row.
    training: Vec<f64>,
    /// Mean of the training rows.
    centre: Vec<f64>,
    /// The centred training rows by panels of [`LANES`] rows, column by column.
    panels: Vec<f32>,
    /// Squared norm of each centred training row, infinite for the padding.
    norms: Vec<f32>,
    /// The largest norm of a training row.
    longest: f32,
    /// The rows of one group of queries, row by row.
    query: Vec<f64>,
    /// The same, centred, column by column.
    queries: Vec<f32>,
    /// Screened squared distances of one group of queries to all training rows.
    screened: Vec<f32>,
    /// The least of them.
    nearest: Vec<f32>,
    /// Squared distance and training row of a query's candidates.
    found: Vec<(f64, u32)>,
}

impl ClassifySession for Session {
    fn fit(&mut self, task: &Task<'_>, _: &mut Stream) -> Result<()> {
        let (k, n) = (self.model.n_neighbors, task.rows.len());
        if k == 0 || k > n {
            return Err(Error::value("n_neighbors", k, format!("1 to the number of training rows, {n}")));
        }
        self.n_classes = task.n_classes;
        self.classes.clear();
        self.classes.extend_from_slice(task.classes);
        match task.data.values {
            Values::F32(values) => {
                copy(values, task.data.columns, task.rows, task.columns, &mut self.training)
            }
            Values::F64(values) => {
                copy(values, task.data.columns, task.rows, task.columns, &mut self.training)
            }
        }
        self.centre_training(task.columns.len());
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, proba: &mut [f64]) -> Result<()> {
        let Query { data, rows, columns } = *query;
        for (group, out) in rows.chunks(QUERIES).zip(proba.chunks_mut(QUERIES * self.n_classes)) {
            match data.values {
                Values::F32(values) => copy(values, data.columns, group, columns, &mut self.query),
                Values::F64(values) => copy(values, data.columns, group, columns, &mut self.query),
            }
            answer(self.level, self, columns.len(), out);
        }
        Ok(())
    }
}

impl Session {
    /// Centres the training rows on their mean, in single precision, by panels.
    fn centre_training(&mut self, m: usize) {
        let Session { training, centre, panels, norms, longest, .. } = self;
        let n = training.len() / m;
        centre.clear();
        centre.resize(m, 0.0);
        for row in training.chunks_exact(m) {
            centre.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        centre.iter_mut().for_each(|sum| *sum /= n as f64);
        let padded = n.next_multiple_of(LANES);
        panels.clear();
        panels.resize(padded * m, 0.0);
        norms.clear();
        norms.resize(padded, f32::INFINITY);
        for (i, row) in training.chunks_exact(m).enumerate() {
            let panel = &mut panels[i / LANES * LANES * m..][..LANES * m];
            let mut norm = 0.0;
            for ((value, centre), lanes) in row.iter().zip(centre.iter()).zip(panel.chunks_exact_mut(LANES)) {
                let value = (value - centre) as f32;
                lanes[i % LANES] = value;
                norm += f64::from(value) * f64::from(value);
            }
            norms[i] = norm as f32;
        }
        *longest = norms[..n].iter().fold(0.0, |a, &b| if b > a { b } else { a });
    }
}

crate::dispatch! {
    /// Writes the probabilities of one group of queries of `m` columns.
    fn answer(session: &mut Session, m: usize, proba: &mut [f64]) = answer_body
}

#[inline(always)]
fn answer_body(session: &mut Session, m: usize, proba: &mut [f64]) {
    let Session {
        model,
        classes,
        training,
        centre,
        panels,
        norms,
        longest,
        query,
        queries,
        screened,
        nearest,
        found,
        ..
    } = session;
    let (n, padded) = (classes.len(), norms.len());
    // Each of the m + 4 roundings of a screened distance is at most half a unit of `|q|^2 + |t|^2`, and
    // rounding the centred values moves it by 4 more; doubled to be on the safe side.
    let relative = (m as f32 + 16.0) * f32::EPSILON;
    screened.resize(QUERIES * padded, 0.0);
    queries.resize(QUERIES * m, 0.0);
    let mut lengths = [0f32; QUERIES];
    for (q, row) in query.chunks_exact(m).enumerate() {
        let mut norm = 0.0;
        for (c, (value, centre)) in row.iter().zip(centre.iter()).enumerate() {
            let value = (value - centre) as f32;
            queries[c * QUERIES + q] = value;
            norm += f64::from(value) * f64::from(value);
        }
        lengths[q] = norm as f32;
    }
    screen(panels, norms, queries, &lengths, screened);
    let rows = query.len() / m;
    for (q, (row, out)) in query.chunks_exact(m).zip(proba.chunks_exact_mut(proba.len() / rows)).enumerate() {
        let distances = &screened[q * padded..q * padded + n];
        // The squares of very small values have no more digits than the smallest number that has all of them.
        let slack = 2.0 * relative * (lengths[q] + *longest) + (m as f32 + 16.0) * f32::MIN_POSITIVE;
        let limit = least(distances, model.n_neighbors, nearest) + slack;
        found.clear();
        // Anything that is not surely beyond the limit is a candidate, not-a-numbers included.
        found.extend(
            distances
                .iter()
                .zip(0..)
                .filter(|&(d, _)| !matches!(d.partial_cmp(&limit), Some(std::cmp::Ordering::Greater)))
                .map(|(_, i)| (0.0, i)),
        );
        if found.len() > model.n_neighbors || model.weights == Weights::Distance {
            for (distance, i) in found.iter_mut() {
                *distance = squared_distance(row, &training[*i as usize * m..][..m]);
            }
            found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            found.truncate(model.n_neighbors);
        }
        vote(model.weights, found, classes, out);
    }
}

/// Squared distances of a group of queries to all training rows, up to rounding in single precision.
#[inline(always)]
fn screen(panels: &[f32], norms: &[f32], queries: &[f32], lengths: &[f32; QUERIES], out: &mut [f32]) {
    let padded = norms.len();
    let m = queries.len() / QUERIES;
    for (first, norms) in (0..padded).step_by(LANES).zip(norms.chunks_exact(LANES)) {
        let panel = &panels[first * m..][..LANES * m];
        let [mut d0, mut d1, mut d2, mut d3] = [[0f32; LANES]; QUERIES];
        for (values, query) in panel.as_chunks::<LANES>().0.iter().zip(queries.as_chunks::<QUERIES>().0) {
            for lane in 0..LANES {
                d0[lane] += query[0] * values[lane];
                d1[lane] += query[1] * values[lane];
                d2[lane] += query[2] * values[lane];
                d3[lane] += query[3] * values[lane];
            }
        }
        let dots = [d0, d1, d2, d3];
        for (q, dots) in dots.iter().enumerate() {
            let out = &mut out[q * padded + first..][..LANES];
            for lane in 0..LANES {
                out[lane] = (lengths[q] + norms[lane]) - 2.0 * dots[lane];
            }
        }
    }
}

/// The k-th least of some distances.
#[inline(always)]
fn least(distances: &[f32], k: usize, nearest: &mut Vec<f32>) -> f32 {
    /// Up to this many are kept in order by insertion.
    const FEW: usize = 64;
    nearest.clear();
    if k > FEW {
        nearest.extend_from_slice(distances);
        return *nearest.select_nth_unstable_by(k - 1, f32::total_cmp).1;
    }
    nearest.resize(k, f32::INFINITY);
    for chunk in distances.chunks(LANES) {
        let worst = nearest[k - 1];
        let mut any = false;
        for &distance in chunk {
            any |= distance < worst;
        }
        if any {
            for &distance in chunk {
                let mut at = k;
                while at > 0 && distance < nearest[at - 1] {
                    if at < k {
                        nearest[at] = nearest[at - 1];
                    }
                    at -= 1;
                }
                if at < k {
                    nearest[at] = distance;
                }
            }
        }
    }
    nearest[k - 1]
}

/// The squared distance of two rows: eight sums, added in a fixed order.
#[inline(always)]
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0f64; 8];
    let (a, b) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.0.iter().zip(b.0) {
        for lane in 0..8 {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a.1.iter().zip(b.1)) {
        *sum += (a - b) * (a - b);
    }
    sums.iter().sum()
}

/// Writes the shares of the classes among the neighbours found.
fn vote(weights: Weights, found: &[(f64, u32)], classes: &[u32], out: &mut [f64]) {
    let touching = found.iter().any(|&(distance, _)| distance == 0.0);
    for &(distance, i) in found {
        out[classes[i as usize] as usize] += match weights {
            Weights::Uniform => 1.0,
            Weights::Distance if touching => f64::from(u8::from(distance == 0.0)),
            Weights::Distance => 1.0 / distance.sqrt(),
        };
    }
    let sum: f64 = out.iter().sum();
    out.iter_mut().for_each(|share| *share /= sum);
}
