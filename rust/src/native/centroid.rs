//! The nearest centroid (Rocchio 1971; Tibshirani et al. 2002), as scikit-learn's `NearestCentroid`.
//!
//! A row belongs to the class whose centroid is nearest: the mean of its rows in Euclidean distance, the median
//! of each feature in Manhattan distance; the first of equally near classes. Soft probabilities, for the
//! Euclidean distance and uniform priors, are
//!
//! ```text
//! p_c proportional to exp(-sum_j (x_j - centroid_cj)^2 / s_j^2),
//! s_j^2 = (sum over rows of (x_ij - centroid_{class of i, j})^2) / (n - number of classes),
//! ```
//!
//! features with `s_j = 0` not being scaled. (With as many classes as rows every s_j is undefined and counts
//! as 0, where scikit-learn gives not-a-numbers.) Means of single-precision data are summed in single
//! precision, row after row, as NumPy does. (A feature that is constant within every class then has an s_j that
//! is nothing but the rounding of such means. scikit-learn's soft probabilities are rounding noise there, and
//! these differ from them; everywhere else they agree to 1e-12.)
//!
//! Cost O((n + q k) m) for q rows to predict and k classes; memory per thread O(k m).

use super::{Classifier, ClassifySession, Query, Task, Values};
use crate::elementary::exp;
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::simd::{Level, level};

/// How far a row is from a centroid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Root of the sum of squared differences.
    Euclidean,
    /// Sum of absolute differences.
    Manhattan,
}

/// The nearest centroid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearestCentroid {
    /// How far is near.
    pub metric: Metric,
    /// Probabilities as scikit-learn from version 1.6 gives them, not all to the nearest class.
    pub soft: bool,
}

impl NearestCentroid {
    /// A session that runs at a chosen level.
    pub(crate) fn session_at(&self, level: Level) -> Box<dyn ClassifySession + '_> {
        Box::new(Session { model: *self, level, memory: Memory::default() })
    }
}

impl Classifier for NearestCentroid {
    fn session(&self) -> Box<dyn ClassifySession + '_> {
        self.session_at(level())
    }
}

struct Session {
    model: NearestCentroid,
    level: Level,
    memory: Memory,
}

#[derive(Default)]
struct Memory {
    n_classes: usize,
    /// The classes that occur.
    present: Vec<u32>,
    /// Their centroids, one after the other.
    centroids: Vec<f64>,
    /// What squared differences are divided by, per feature.
    scales: Vec<f64>,
    /// The row at hand.
    row: Vec<f64>,
    /// Its distances to the centroids.
    distances: Vec<f64>,
}

impl ClassifySession for Session {
    fn fit(&mut self, task: &Task<'_>, _: &mut Stream) -> Result<()> {
        if self.model.soft && self.model.metric == Metric::Manhattan {
            return Err(Error::value("soft", true, "false with the Manhattan metric"));
        }
        match task.data.values {
            Values::F32(values) => fit_f32(self.level, self.model, &mut self.memory, task, values),
            Values::F64(values) => fit_f64(self.level, self.model, &mut self.memory, task, values),
        }
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, proba: &mut [f64]) -> Result<()> {
        match query.data.values {
            Values::F32(values) => {
                predict_f32(self.level, self.model, &mut self.memory, query, values, proba)
            }
            Values::F64(values) => {
                predict_f64(self.level, self.model, &mut self.memory, query, values, proba)
            }
        }
        Ok(())
    }
}

/// A number of either precision, whose means are rounded to that precision.
trait Real: Copy + PartialOrd + Into<f64> + std::ops::Add<Output = Self> + std::ops::Div<Output = Self> {
    fn of_count(count: usize) -> Self;
    fn order(&self, other: &Self) -> std::cmp::Ordering;
}

impl Real for f32 {
    fn of_count(count: usize) -> Self {
        count as f32
    }
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        self.total_cmp(other)
    }
}

impl Real for f64 {
    fn of_count(count: usize) -> Self {
        count as f64
    }
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        self.total_cmp(other)
    }
}

crate::dispatch! {
    fn fit_f32(model: NearestCentroid, memory: &mut Memory, task: &Task<'_>, values: &[f32]) = fit::<f32>
}
crate::dispatch! {
    fn fit_f64(model: NearestCentroid, memory: &mut Memory, task: &Task<'_>, values: &[f64]) = fit::<f64>
}
crate::dispatch! {
    fn predict_f32(model: NearestCentroid, memory: &mut Memory, query: &Query<'_>, values: &[f32], proba: &mut [f64])
        = predict::<f32>
}
crate::dispatch! {
    fn predict_f64(model: NearestCentroid, memory: &mut Memory, query: &Query<'_>, values: &[f64], proba: &mut [f64])
        = predict::<f64>
}

#[inline(always)]
fn fit<T: Real>(model: NearestCentroid, memory: &mut Memory, task: &Task<'_>, values: &[T]) {
    let m = task.columns.len();
    memory.n_classes = task.n_classes;
    let row_of = |row: u32| &values[row as usize * task.data.columns..][..task.data.columns];
    let mut by_class: Vec<Vec<u32>> = vec![Vec::new(); task.n_classes];
    task.rows.iter().zip(task.classes).for_each(|(&row, &class)| by_class[class as usize].push(row));
    memory.present.clear();
    memory.centroids.clear();
    for (class, rows) in by_class.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        memory.present.push(class as u32);
        let members = || rows.iter().map(|&row| row_of(row));
        let count = rows.len();
        match model.metric {
            Metric::Euclidean => {
                let mut sums = vec![T::of_count(0); m];
                for row in members() {
                    sums.iter_mut().zip(task.columns).for_each(|(sum, &j)| *sum = *sum + row[j as usize]);
                }
                memory.centroids.extend(sums.iter().map(|&sum| (sum / T::of_count(count)).into()));
            }
            Metric::Manhattan => {
                let mut column: Vec<T> = Vec::with_capacity(count);
                for &j in task.columns {
                    column.clear();
                    column.extend(members().map(|row| row[j as usize]));
                    column.sort_unstable_by(T::order);
                    let middle = count / 2;
                    let median = if count % 2 == 1 {
                        column[middle]
                    } else {
                        (column[middle - 1] + column[middle]) / T::of_count(2)
                    };
                    memory.centroids.push(median.into());
                }
            }
        }
    }
    if model.soft {
        memory.scale(task, |row, j| row_of(row)[j as usize].into());
    }
}

#[inline(always)]
fn predict<T: Real>(
    model: NearestCentroid,
    memory: &mut Memory,
    query: &Query<'_>,
    values: &[T],
    proba: &mut [f64],
) {
    let m = query.columns.len();
    let Memory { n_classes, present, centroids, scales, row, distances } = memory;
    for (&asked, out) in query.rows.iter().zip(proba.chunks_exact_mut(*n_classes)) {
        let values = &values[asked as usize * query.data.columns..][..query.data.columns];
        row.clear();
        row.extend(query.columns.iter().map(|&j| values[j as usize].into()));
        distances.clear();
        distances.extend(centroids.chunks_exact(m.max(1)).map(|centroid| match (model.soft, model.metric) {
            (true, _) => folded(
                row,
                centroid,
                |a, b, scale| {
                    let d = a / scale - b / scale;
                    d * d
                },
                scales,
            ),
            (_, Metric::Euclidean) => folded(row, centroid, |a, b, _| (a - b) * (a - b), row),
            (_, Metric::Manhattan) => folded(row, centroid, |a, b, _| (a - b).abs(), row),
        }));
        let (mut nearest, mut least) = (0, f64::INFINITY);
        for (index, &distance) in distances.iter().enumerate() {
            if distance < least {
                (nearest, least) = (index, distance);
            }
        }
        if model.soft {
            let sum: f64 = distances.iter().map(|distance| exp(least - distance)).sum();
            for (&class, distance) in present.iter().zip(distances.iter()) {
                out[class as usize] = exp(least - distance) / sum;
            }
        } else {
            out[present[nearest] as usize] = 1.0;
        }
    }
}

impl Memory {
    /// The standard deviation of each feature within classes, 1 where it is zero.
    #[inline(always)]
    fn scale(&mut self, task: &Task<'_>, value: impl Fn(u32, u32) -> f64) {
        let m = task.columns.len();
        self.scales.clear();
        self.scales.resize(m, 0.0);
        for (&row, class) in task.rows.iter().zip(task.classes) {
            let index = self.present.partition_point(|present| present < class);
            let centroid = &self.centroids[index * m..][..m];
            for ((sum, &j), centre) in self.scales.iter_mut().zip(task.columns).zip(centroid) {
                let difference = value(row, j) - centre;
                *sum += difference * difference;
            }
        }
        let freedom = task.rows.len() - self.present.len();
        for sum in &mut self.scales {
            *sum = if *sum > 0.0 { (*sum / freedom as f64).sqrt() } else { 1.0 };
        }
    }
}

/// The sum of `term` over features: eight sums, added in a fixed order.
#[inline(always)]
fn folded(a: &[f64], b: &[f64], term: impl Fn(f64, f64, f64) -> f64, third: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0f64; LANES];
    let whole = a.len() / LANES * LANES;
    for ((a, b), c) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)).zip(third.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane], c[lane]);
        }
    }
    for i in whole..a.len() {
        sums[i - whole] += term(a[i], b[i], third[i]);
    }
    sums.iter().sum()
}
