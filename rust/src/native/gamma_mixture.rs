//! A mixture of gamma distributions, fitted by EM.
//!
//! Within component `k` the features are independent, feature `j` being gamma distributed with shape `a_kj` and scale
//! `s_kj`. With responsibilities `r_ik` the M-step is exact: the scale is `mean / shape`, and the shape solves
//! `ln a - digamma(a) = ln(mean) - mean(ln)`, by Newton's method on `1 / a`. The E-step needs no logarithm of a
//! density: `ln p = sum_j (a_kj - 1) ln x_ij - x_ij / s_kj` and a constant for each component. That is the product of the
//! data, logarithms beside values, with a thin matrix of one column a component; so are the sums that the M-step needs, with the
//! transposed data.
//!
//! A component of a single observation would have a density without bound. Shapes have a prior, therefore, as Fraley and Raftery
//! (2007) give one to the variances of Gaussian mixtures: one observation more in each component, at whose mean it does not pull,
//! with the `ln(mean) - mean(ln)` of the whole sample. It adds `a ln a - ln Gamma(a) - a (1 + ratio)` of each shape to the
//! log-likelihood. What EM raises, the *bound*, is this sum over the number of observations.
//!
//! EM is slow where groups overlap. Each turn goes on, in logarithms, beyond where the M-step points to, half as far again as the
//! turn before, for as long as the bound rises; where it does not, the M-step itself is taken (the adaptive overrelaxation of
//! Salakhutdinov and Roweis, 2003). The bound never falls, and little more than half the turns arrive at it.
//!
//! In minipatches, features with values that are not positive are shifted as `clusterwhy.datasets.GammaMixture` does,
//! each start is one run of k-means on the standardised logarithms, a run ends when a plain turn raises the bound
//! by less than `tol`, and of `n_init` starts the highest bound wins. All is done in double precision.
//!
//! A turn costs `4 n m` fused operations in each component and `m` shapes.

use super::kmeans::KMeans;
use super::special::{gamma_shapes, ln_gamma};
use super::thin::{LANES, Left, multiply_add};
use super::{ClusterSession, Clusterer, Matrix, Values};
use crate::elementary::{exp, ln};
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::simd::{self, Level};

/// Rows whose sums are added as soon as their responsibilities are known, while they are in the cache: whole tiles.
const CHUNK: usize = 24;
/// A component's `ln(mean) - mean(ln)` is kept above this: a feature that is constant within a component
/// would otherwise have an infinite shape. Up to here the density keeps seven digits.
const MIN_LOG_RATIO: f64 = 1e-8;
/// Where a feature has values that are not positive, its smallest lands this many of its standard deviations above 0.
const SHIFT_MARGIN: f64 = 0.1;
/// How many observations the prior of a component's shapes counts for.
const PRIOR: f64 = 1.0;
/// An observation's share so small that it is seen only by a component that has lost all observations: such a
/// component takes the parameters of the whole sample, and stays finite.
const SHARE: f64 = 10.0 * f64::EPSILON;
/// How much further each turn goes than the one before, and the furthest, in lengths of the M-step.
const GROWTH: f64 = 1.5;
const FURTHEST: f64 = 32.0;
/// No turn changes a parameter by more than this in its logarithm: `exp` is finite there.
const FURTHEST_LN: f64 = 50.0;

/// A gamma mixture with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct GammaMixture {
    /// Number of components, which are the clusters.
    pub n_components: usize,
    /// Greatest number of EM turns of one start.
    pub max_iter: usize,
    /// A run ends when a plain turn of EM raises the bound by less than this.
    pub tol: f64,
    /// Number of starts, of which the best is kept.
    pub n_init: usize,
}

/// What one run of EM arrives at.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Log-likelihood of the observations and log-density of the prior, over the number of observations.
    pub bound: f64,
    /// Turns taken.
    pub turns: usize,
    /// Whether the last turn was a plain one, and raised the bound by less than `tol`.
    pub converged: bool,
    /// Proportions of the components.
    pub weights: Vec<f64>,
    /// Shapes, one row a component.
    pub shapes: Vec<f64>,
    /// Scales, one row a component.
    pub scales: Vec<f64>,
}

impl GammaMixture {
    /// Runs EM once, from labels (`0..n_components`) of positive observations; ends early when `stopped` says so,
    /// which is asked after every turn.
    ///
    /// # Errors
    /// If there are no observations, one is not positive and finite, a label is out of range, or there are not as many labels as
    /// observations.
    pub fn run(&self, observations: &[f64], start: &[i32], stopped: &dyn Fn() -> bool) -> Result<Fitted> {
        let k = self.n_components;
        if let Some(value) = observations.iter().find(|value| !(value.is_normal() && **value > 0.0)) {
            return Err(Error::value("an observation", value, "a positive, normal number"));
        }
        if let Some(label) = start.iter().find(|&&label| label < 0 || label as usize >= k) {
            return Err(Error::value("a label", label, format!("0 to {}", k as i64 - 1)));
        }
        if start.is_empty() || observations.is_empty() || !observations.len().is_multiple_of(start.len()) {
            return Err(Error::shape("labels", start.len(), "one for each observation"));
        }
        let mut work = Work::default();
        work.resize(start.len(), observations.len() / start.len(), k);
        work.take(simd::level(), observations);
        let (bound, turns, converged) = work.run(simd::level(), start, self, stopped);
        let (m, width) = (work.columns, work.width);
        let rows = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
            (0..k * m).map(|at| of((at % m) * width + at / m)).collect()
        };
        Ok(Fitted {
            bound,
            turns,
            converged,
            weights: work.weights().to_vec(),
            shapes: rows(&|at| work.shapes[at]),
            scales: rows(&|at| -1.0 / work.factors[m * width + at]),
        })
    }
}

impl Clusterer for GammaMixture {
    fn session(&self) -> Box<dyn ClusterSession + '_> {
        Box::new(Session { params: self, work: Work::default() })
    }
}

struct Session<'a> {
    params: &'a GammaMixture,
    work: Work,
}

impl ClusterSession for Session<'_> {
    fn cluster(&mut self, patch: Matrix<'_>, rng: &mut Stream, labels: &mut [i32]) -> Result<()> {
        let params = self.params;
        if params.n_components < 1 || params.n_components > patch.rows {
            return Err(Error::value(
                "n_components",
                params.n_components,
                format!("1 to the number of observations, {}", patch.rows),
            ));
        }
        let level = simd::level();
        self.work.load(level, patch, params.n_components);
        let start = KMeans::new(params.n_components);
        let standardised = std::mem::take(&mut self.work.standardised);
        let matrix = Matrix { values: Values::F64(&standardised), ..patch };
        let mut best = f64::NEG_INFINITY;
        for _ in 0..params.n_init.max(1) {
            let first = start.fit(matrix, rng)?.labels;
            let (bound, ..) = self.work.run(level, &first, params, &|| false);
            if bound > best || best == f64::NEG_INFINITY {
                best = bound;
                self.work.label(labels);
            }
        }
        self.work.standardised = standardised;
        if !best.is_finite() {
            let expected = "a finite number: standardize the features, or leave out those that hardly vary";
            return Err(Error::value("the likelihood of the gamma mixture", best, expected));
        }
        Ok(())
    }
}

/// The memory of one thread. Arrays over components are padded to whole lanes, one row a feature or observation.
#[derive(Default)]
struct Work {
    rows: usize,
    columns: usize,
    components: usize,
    /// Components, padded.
    width: usize,
    /// Each observation's logarithms, then its values.
    data: Vec<f64>,
    /// Means of the columns of `data`.
    means: Vec<f64>,
    /// `ln(mean) - mean(ln)` of each feature in the whole sample.
    ratios: Vec<f64>,
    standardised: Vec<f64>,
    responsibilities: Vec<f64>,
    joint: Vec<f64>,
    /// Sums of the responsibilities, and of the data that they weight.
    mass: Vec<f64>,
    sums: Vec<f64>,
    /// Parameters: of each feature in each component the mean and `ln(mean) - mean(ln)`, then the components' weights.
    /// Those of the last turn that raised the bound, those that its M-step points to, and those in use.
    settled: Vec<f64>,
    target: Vec<f64>,
    point: Vec<f64>,
    shapes: Vec<f64>,
    /// What the data are multiplied with in a log-density: the shapes less 1, then the negative rates (1 / scale).
    factors: Vec<f64>,
    constants: Vec<f64>,
    /// Log-density of the prior at the shapes of each component.
    priors: Vec<f64>,
}

impl Work {
    /// Takes over the data of a minipatch: positive, with logarithms, which are also standardised for the starts.
    fn load(&mut self, level: Level, patch: Matrix<'_>, components: usize) {
        let m = patch.columns;
        let mut x: Vec<f64> = match patch.values {
            Values::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::F64(values) => values.to_vec(),
        };
        self.resize(patch.rows, m, components);
        let (_, spread) = moments(&x, m);
        let mut ranges = vec![[f64::INFINITY, f64::NEG_INFINITY]; m];
        for row in x.chunks_exact(m) {
            for ([least, most], &value) in ranges.iter_mut().zip(row) {
                (*least, *most) = (least.min(value), most.max(value));
            }
        }
        // The shift, and the floor that values may not fall below: subtracting a small margin from a large value may
        // round it away. Equal values may have a spread, which is rounding.
        let bounds: Vec<[f64; 2]> = ranges
            .iter()
            .zip(&spread)
            .map(|(&[least, most], &spread)| {
                let margin = if least < most { SHIFT_MARGIN * spread } else { 1.0 };
                let shift = if least > 0.0 { 0.0 } else { least - margin };
                [shift, (least - shift).max(f64::EPSILON * least.abs()).max(f64::MIN_POSITIVE)]
            })
            .collect();
        for row in x.chunks_exact_mut(m) {
            row.iter_mut()
                .zip(&bounds)
                .for_each(|(value, [shift, floor])| *value = (*value - shift).max(*floor));
        }
        self.standardised = self.take(level, &x);
        let (mean, spread) = moments(&self.standardised, m);
        for row in self.standardised.chunks_exact_mut(m) {
            for ((value, mean), &spread) in row.iter_mut().zip(&mean).zip(&spread) {
                *value = (*value - mean) / if spread > 0.0 { spread } else { 1.0 };
            }
        }
    }

    fn resize(&mut self, rows: usize, columns: usize, components: usize) {
        (self.rows, self.columns, self.components) = (rows, columns, components);
        self.width = components.next_multiple_of(LANES);
        self.shapes.clear();
        self.shapes.resize(columns * self.width, 0.0);
        for of_columns in [&mut self.factors, &mut self.sums] {
            of_columns.clear();
            of_columns.resize(2 * columns * self.width, 0.0);
        }
        for of_rows in [&mut self.joint, &mut self.responsibilities] {
            of_rows.clear();
            of_rows.resize(rows * self.width, 0.0);
        }
        for parameters in [&mut self.settled, &mut self.target, &mut self.point] {
            parameters.clear();
            parameters.resize((2 * columns + 1) * self.width, 0.0);
        }
        for of_components in [&mut self.constants, &mut self.priors, &mut self.mass] {
            of_components.clear();
            of_components.resize(self.width, 0.0);
        }
    }

    /// Takes over positive values; returns their logarithms.
    fn take(&mut self, level: Level, x: &[f64]) -> Vec<f64> {
        let mut log_x = x.to_vec();
        logarithms(level, &mut log_x);
        self.data.clear();
        for (log_x, x) in log_x.chunks_exact(self.columns).zip(x.chunks_exact(self.columns)) {
            self.data.extend_from_slice(log_x);
            self.data.extend_from_slice(x);
        }
        self.means = moments(&self.data, 2 * self.columns).0;
        let (mean_log, mean) = self.means.split_at(self.columns);
        let ratios =
            mean.iter().zip(mean_log).map(|(mean, mean_log)| (ln(*mean) - mean_log).max(MIN_LOG_RATIO));
        self.ratios.clear();
        self.ratios.extend(ratios);
        log_x
    }

    /// Runs EM from labels; returns the bound, the turns and whether it converged.
    fn run(
        &mut self,
        level: Level,
        start: &[i32],
        params: &GammaMixture,
        stopped: &dyn Fn() -> bool,
    ) -> (f64, usize, bool) {
        self.responsibilities.fill(0.0);
        for (row, &label) in self.responsibilities.chunks_exact_mut(self.width).zip(start) {
            row[label as usize] = 1.0;
        }
        self.forget_sums();
        self.add(level, 0, self.rows);
        self.maximise(level);
        let (mut bound, mut length) = (f64::NEG_INFINITY, 1.0);
        for turn in 1.. {
            self.step(level, length);
            let reached = self.expect(level);
            let (plain, risen) = (length == 1.0, reached > bound);
            if !(plain || risen) {
                length = 1.0;
                continue;
            }
            let small = reached - bound < params.tol;
            bound = reached;
            std::mem::swap(&mut self.settled, &mut self.point);
            let converged = plain && small;
            if converged || turn >= params.max_iter || stopped() {
                return (bound, turn, converged);
            }
            self.maximise(level);
            // The last turn is a plain one: it cannot fail.
            length = if small || turn + 1 == params.max_iter { 1.0 } else { FURTHEST.min(GROWTH * length) };
        }
        unreachable!("a run has at least one turn and at most usize::MAX")
    }

    fn forget_sums(&mut self) {
        self.mass.fill(0.0);
        self.sums.fill(0.0);
    }

    /// Adds the data of some rows to the sums, as the responsibilities weight them.
    fn add(&mut self, level: Level, first: usize, last: usize) {
        let (columns, width) = (2 * self.columns, self.width);
        let shares = &self.responsibilities[first * width..last * width];
        for row in shares.chunks_exact(width) {
            self.mass.iter_mut().zip(row).for_each(|(mass, share)| *mass += share);
        }
        let data = Left::transposed(&self.data[first * columns..last * columns], columns);
        multiply_add(level, data, shares, width, &mut self.sums);
    }

    /// The M-step: the parameters that the sums point to.
    fn maximise(&mut self, level: Level) {
        let total = self.rows as f64 + self.components as f64 * SHARE;
        self.mass.iter_mut().for_each(|mass| *mass += SHARE);
        let (of_features, weights) = self.target.split_at_mut(2 * self.columns * self.width);
        weights.iter_mut().zip(&self.mass).for_each(|(weight, mass)| *weight = mass / total);
        targets(level, &self.mass, &self.sums, &self.means, &self.ratios, of_features);
    }

    /// Goes from the settled parameters in the target's direction, so many times as far, and finds the densities there.
    fn step(&mut self, level: Level, length: f64) {
        if length == 1.0 {
            self.point.copy_from_slice(&self.target);
        } else {
            extrapolate(level, &self.settled, &self.target, length, &mut self.point);
        }
        let (of_features, weights) = self.point.split_at_mut(2 * self.columns * self.width);
        let weights = &mut weights[..self.components];
        let total: f64 = weights.iter().sum();
        // Components that only fill a vector are never likely.
        self.constants.fill(f64::NEG_INFINITY);
        for (constant, weight) in self.constants.iter_mut().zip(weights) {
            *weight /= total;
            *constant = ln(*weight);
        }
        self.priors.fill(0.0);
        let (shapes, factors) = (&mut self.shapes, &mut self.factors);
        densities(level, of_features, &self.ratios, shapes, factors, &mut self.constants, &mut self.priors);
    }

    /// The proportions of the components in the settled parameters.
    fn weights(&self) -> &[f64] {
        &self.settled[2 * self.columns * self.width..][..self.components]
    }

    /// The E-step: the responsibilities, and the sums that the next M-step needs; returns the bound.
    fn expect(&mut self, level: Level) -> f64 {
        let (columns, width) = (2 * self.columns, self.width);
        self.forget_sums();
        let mut total = 0.0;
        for first in (0..self.rows).step_by(CHUNK) {
            let last = (first + CHUNK).min(self.rows);
            let joint = &mut self.joint[first * width..last * width];
            joint.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(&self.constants));
            let data = Left::new(&self.data[first * columns..last * columns], columns);
            multiply_add(level, data, &self.factors, width, joint);
            total += shares(level, joint, &mut self.responsibilities[first * width..last * width], width);
            self.add(level, first, last);
        }
        let prior: f64 = self.priors[..self.components].iter().sum();
        (total + PRIOR * prior) / self.rows as f64
    }

    /// Writes the most probable component of each observation.
    fn label(&self, labels: &mut [i32]) {
        for (label, joint) in labels.iter_mut().zip(self.joint.chunks_exact(self.width)) {
            let mut best = 0;
            for k in 1..self.components {
                if joint[k] > joint[best] {
                    best = k;
                }
            }
            *label = best as i32;
        }
    }
}

/// Means and standard deviations (divisor n) of the columns.
fn moments(values: &[f64], columns: usize) -> (Vec<f64>, Vec<f64>) {
    let n = (values.len() / columns) as f64;
    let (mut mean, mut spread) = (vec![0.0; columns], vec![0.0; columns]);
    for row in values.chunks_exact(columns) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    mean.iter_mut().for_each(|sum| *sum /= n);
    for row in values.chunks_exact(columns) {
        for ((sum, value), mean) in spread.iter_mut().zip(row).zip(&mean) {
            *sum += (value - mean) * (value - mean);
        }
    }
    spread.iter_mut().for_each(|sum| *sum = (*sum / n).sqrt());
    (mean, spread)
}

dispatch! {
    /// Takes the logarithm of each value.
    fn logarithms(values: &mut [f64]) = logarithms_body
}

#[inline(always)]
fn logarithms_body(values: &mut [f64]) {
    values.iter_mut().for_each(|value| *value = ln(*value));
}

/// The lanes from `at` on.
#[inline(always)]
fn lanes(values: &[f64], at: usize) -> &[f64; LANES] {
    values[at..].first_chunk().expect("whole lanes")
}

/// The lanes from `at` on, to be written.
#[inline(always)]
fn lanes_mut(values: &mut [f64], at: usize) -> &mut [f64; LANES] {
    values[at..].first_chunk_mut().expect("whole lanes")
}

dispatch! {
    /// Means and `ln(mean) - mean(ln)`, the prior's `ratios` mixed in, from the sums and, for a component that lost all
    /// observations, the means of the sample.
    fn targets(mass: &[f64], sums: &[f64], of_sample: &[f64], ratios: &[f64], out: &mut [f64]) = targets_body
}

#[inline(always)]
fn targets_body(mass: &[f64], sums: &[f64], of_sample: &[f64], ratios: &[f64], out: &mut [f64]) {
    let width = mass.len();
    let (sums_log, sums_x) = sums.split_at(sums.len() / 2);
    let (sample_log, sample_x) = of_sample.split_at(of_sample.len() / 2);
    let (means, own) = out.split_at_mut(out.len() / 2);
    for block in (0..width).step_by(LANES) {
        let mass = lanes(mass, block);
        for (j, (sample_x, sample_log)) in sample_x.iter().zip(sample_log).enumerate() {
            let at = j * width + block;
            let (sum_x, sum_log) = (lanes(sums_x, at), lanes(sums_log, at));
            let (mean, ratio) = (lanes_mut(means, at), lanes_mut(own, at));
            let prior = PRIOR * ratios[j];
            for l in 0..LANES {
                mean[l] = (sum_x[l] + SHARE * sample_x) / mass[l];
                let log_ratio = ln(mean[l]) - (sum_log[l] + SHARE * sample_log) / mass[l];
                let mixed = (mass[l] * log_ratio + prior) / (mass[l] + PRIOR);
                ratio[l] = if mixed > MIN_LOG_RATIO { mixed } else { MIN_LOG_RATIO };
            }
        }
    }
}

dispatch! {
    /// `from (to / from)^length`, for positive numbers.
    fn extrapolate(from: &[f64], to: &[f64], length: f64, out: &mut [f64]) = extrapolate_body
}

#[inline(always)]
fn extrapolate_body(from: &[f64], to: &[f64], length: f64, out: &mut [f64]) {
    for (out, (from, to)) in out.iter_mut().zip(from.iter().zip(to)) {
        *out = from * exp((length * ln(to / from)).clamp(-FURTHEST_LN, FURTHEST_LN));
    }
}

dispatch! {
    /// Shapes and factors of the features' densities from their means and `ln(mean) - mean(ln)`; adds what the densities of
    /// a component have in common for all observations to `constants`, and the prior's log-density to `priors`.
    fn densities(
        of_features: &[f64],
        ratios: &[f64],
        shapes: &mut [f64],
        factors: &mut [f64],
        constants: &mut [f64],
        priors: &mut [f64],
    ) = densities_body
}

#[inline(always)]
fn densities_body(
    of_features: &[f64],
    ratios: &[f64],
    shapes: &mut [f64],
    factors: &mut [f64],
    constants: &mut [f64],
    priors: &mut [f64],
) {
    let width = constants.len();
    let (means, own) = of_features.split_at(shapes.len());
    let (powers, rates) = factors.split_at_mut(shapes.len());
    for block in (0..width).step_by(LANES) {
        let (mut constant, mut prior) = (*lanes(constants, block), *lanes(priors, block));
        for (j, ratio) in ratios.iter().enumerate() {
            let at = j * width + block;
            let mean = lanes(means, at);
            let own = lanes(own, at).map(|own| if own > MIN_LOG_RATIO { own } else { MIN_LOG_RATIO });
            let shape = gamma_shapes(&own);
            let (mut rate, power) = ([0.0; LANES], lanes_mut(powers, at));
            for l in 0..LANES {
                rate[l] = shape[l] / mean[l];
            }
            // Alone in their loops, or they would not become vectors.
            let mut gamma = [0.0; LANES];
            for l in 0..LANES {
                gamma[l] = ln_gamma(shape[l]);
            }
            for l in 0..LANES {
                constant[l] += shape[l] * ln(rate[l]) - gamma[l];
            }
            for l in 0..LANES {
                prior[l] += shape[l] * (ln(shape[l]) - 1.0 - ratio) - gamma[l];
            }
            for l in 0..LANES {
                power[l] = shape[l] - 1.0;
            }
            *lanes_mut(shapes, at) = shape;
            *lanes_mut(rates, at) = rate.map(|rate| -rate);
        }
        *lanes_mut(constants, block) = constant;
        *lanes_mut(priors, block) = prior;
    }
}

dispatch! {
    /// Responsibilities from the log-densities of up to [`CHUNK`] rows; returns the sum of the rows' log-likelihoods.
    fn shares(joint: &[f64], out: &mut [f64], width: usize) -> f64 = shares_body
}

#[inline(always)]
fn shares_body(joint: &[f64], out: &mut [f64], width: usize) -> f64 {
    let (mut largest, mut sums) = ([0.0; CHUNK], [1.0; CHUNK]);
    let rows = joint.chunks_exact(width).zip(out.chunks_exact_mut(width));
    for ((joint, out), (largest, total)) in rows.zip(largest.iter_mut().zip(&mut sums)) {
        let mut most = [f64::NEG_INFINITY; LANES];
        for block in (0..width).step_by(LANES) {
            most = pairs(&most, lanes(joint, block), larger);
        }
        *largest = fold(&most, larger);
        let mut sum = [0.0; LANES];
        for block in (0..width).step_by(LANES) {
            let (joint, share) = (lanes(joint, block), lanes_mut(out, block));
            for l in 0..LANES {
                share[l] = exp(joint[l] - *largest);
            }
            sum = pairs(&sum, share, |a, b| a + b);
        }
        *total = fold(&sum, |a, b| a + b);
    }
    for (out, sum) in out.chunks_exact_mut(width).zip(&sums) {
        let inverse = 1.0 / sum;
        out.iter_mut().for_each(|share| *share *= inverse);
    }
    // Rows that are not there add nothing.
    sums.iter_mut().zip(&largest).for_each(|(sum, largest)| *sum = ln(*sum) + largest);
    sums.iter().sum()
}

#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

#[inline(always)]
fn pairs<const N: usize>(a: &[f64; N], b: &[f64; N], combine: impl Fn(f64, f64) -> f64) -> [f64; N] {
    std::array::from_fn(|l| combine(a[l], b[l]))
}

/// Combines the lanes by halves: a chain would wait for each of them.
#[inline(always)]
fn fold(values: &[f64; LANES], combine: impl Fn(f64, f64) -> f64) -> f64 {
    let [a, b, c, d, e, f, g, h] = *values;
    let [a, b, c, d] = pairs(&[a, b, c, d], &[e, f, g, h], &combine);
    let [a, b] = pairs(&[a, b], &[c, d], &combine);
    combine(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    /// Two or more groups of positive values on different scales.
    fn groups(rows: usize, columns: usize, rng: &mut Stream) -> Vec<f64> {
        (0..rows * columns)
            .map(|at| (1.0 + 20.0 * ((at / columns) % 3) as f64) * (0.2 - rng.unit().ln() - rng.unit().ln()))
            .collect()
    }

    #[test]
    fn each_turn_is_the_plain_formula_and_raises_the_likelihood() {
        let mut rng = Stream::new(4, Purpose::Standalone, 0);
        for (rows, columns, components) in [(13, 1, 1), (30, 5, 3), (41, 3, 9)] {
            let values = groups(rows, columns, &mut rng);
            let mut work = Work::default();
            work.load(simd::level(), Matrix { values: Values::F64(&values), rows, columns }, components);
            let start: Vec<i32> = (0..rows).map(|i| (i % components) as i32).collect();
            let params = GammaMixture { n_components: components, max_iter: 1, tol: 0.0, n_init: 1 };
            let (mut bound, ..) = work.run(simd::level(), &start, &params, &|| false);
            for _ in 0..10 {
                work.maximise(simd::level());
                work.step(simd::level(), 1.0);
                let next = work.expect(simd::level());
                assert!(next >= bound - 1e-9, "{next} after {bound}");
                bound = next;
            }
            for i in 0..rows {
                for k in 0..components {
                    let mut plain = work.constants[k];
                    for j in 0..columns {
                        let at = j * work.width + k;
                        plain += (work.shapes[at] - 1.0) * values[i * columns + j].ln()
                            + values[i * columns + j] * work.factors[columns * work.width + at];
                    }
                    let found = work.joint[i * work.width + k];
                    assert!((found - plain).abs() < 1e-9 * plain.abs().max(1.0));
                }
            }
        }
    }

    #[test]
    fn instruction_sets_agree_and_groups_are_found() {
        let mut rng = Stream::new(5, Purpose::Standalone, 0);
        let (rows, columns) = (60, 4);
        let values = groups(rows, columns, &mut rng);
        let start: Vec<i32> = (0..rows).map(|i| (i % 3) as i32).collect();
        let params = GammaMixture { n_components: 3, max_iter: 20, tol: 1e-6, n_init: 1 };
        let mut found = Vec::new();
        for level in simd::Level::ALL.into_iter().filter(|&level| level <= simd::level()) {
            let mut work = Work::default();
            work.load(level, Matrix { values: Values::F64(&values), rows, columns }, 3);
            let (bound, turns, _) = work.run(level, &start, &params, &|| false);
            found.push((bound.to_bits(), turns, work.joint));
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
        let mut labels = vec![0; rows];
        let patch = Matrix { values: Values::F64(&values), rows, columns };
        let two = GammaMixture { n_components: 2, n_init: 3, ..params };
        two.session().cluster(patch, &mut rng, &mut labels).unwrap();
        // The first group is a twentieth of the others' scale.
        assert!((0..rows).all(|i| (labels[i] == labels[0]) == (i % 3 == 0)), "{labels:?}");
    }

    #[test]
    fn leaps_arrive_where_plain_turns_do_in_fewer() {
        let mut rng = Stream::new(7, Purpose::Standalone, 0);
        let (rows, columns, level) = (400, 3, simd::level());
        // Two groups that overlap.
        let values: Vec<f64> = (0..rows * columns)
            .map(|at| (1.0 + 0.8 * ((at / columns) % 2) as f64) * (0.2 - rng.unit().ln() - rng.unit().ln()))
            .collect();
        let patch = Matrix { values: Values::F64(&values), rows, columns };
        let start: Vec<i32> = (0..rows).map(|i| (values[i * columns] > 2.0) as i32).collect();
        let params = GammaMixture { n_components: 2, max_iter: 10_000, tol: 1e-7, n_init: 1 };
        let mut work = Work::default();
        work.load(level, patch, 2);
        let once = GammaMixture { max_iter: 1, ..params };
        let (mut plain, mut plain_turns, _) = work.run(level, &start, &once, &|| false);
        let turn = |work: &mut Work| {
            work.maximise(level);
            work.step(level, 1.0);
            work.expect(level)
        };
        loop {
            let reached = turn(&mut work);
            plain_turns += 1;
            let rise = reached - plain;
            plain = reached;
            if rise < params.tol {
                break;
            }
        }
        let (bound, turns, converged) = work.run(level, &start, &params, &|| false);
        assert!(converged && bound > plain - 10.0 * params.tol, "{bound} against {plain}");
        assert!(3 * turns < 2 * plain_turns, "{turns} against {plain_turns}");
        assert!((0.0..params.tol).contains(&(turn(&mut work) - bound)));
        // However few turns are allowed, they are not exceeded, and the bound that is told is that of the densities.
        let mut most = f64::NEG_INFINITY;
        for max_iter in 1..30 {
            let endless = GammaMixture { max_iter, tol: f64::NEG_INFINITY, ..params };
            let (bound, turns, converged) = work.run(level, &start, &endless, &|| false);
            assert!(!converged && turns == max_iter);
            assert_eq!(bound.to_bits(), work.expect(level).to_bits());
            assert!(bound > plain - 1.0);
            most = most.max(bound);
        }
        assert!(most <= plain + 1e-3);
    }

    #[test]
    fn a_run_gives_the_parameters_of_its_last_turn() {
        let mut rng = Stream::new(6, Purpose::Standalone, 0);
        let (rows, columns) = (50, 3);
        let values = groups(rows, columns, &mut rng);
        let start: Vec<i32> = (0..rows).map(|i| (i % 3) as i32).collect();
        let one = GammaMixture { n_components: 3, max_iter: 1, tol: 0.0, n_init: 1 };
        let fitted = one.run(&values, &start, &|| false).unwrap();
        assert_eq!((fitted.turns, fitted.converged), (1, false));
        for k in 0..3 {
            let members: Vec<usize> = (k..rows).step_by(3).collect();
            assert!((fitted.weights[k] - members.len() as f64 / rows as f64).abs() < 1e-12);
            for j in 0..columns {
                let mean =
                    members.iter().map(|i| values[i * columns + j]).sum::<f64>() / members.len() as f64;
                let product = fitted.shapes[k * columns + j] * fitted.scales[k * columns + j];
                assert!((product / mean - 1.0).abs() < 1e-12);
            }
        }
        let more = GammaMixture { max_iter: 9, ..one };
        assert!(more.run(&values, &start, &|| false).unwrap().bound > fitted.bound);
        assert_eq!(more.run(&values, &start, &|| true).unwrap(), fitted);
        for (values, start) in
            [(&values[1..], &start[..]), (&values, &[3; 50]), (&[0.0; 150], &start), (&[], &start)]
        {
            assert!(more.run(values, start, &|| false).is_err());
        }
    }

    #[test]
    fn more_components_than_observations_are_refused() {
        let patch = Matrix { values: Values::F64(&[1.0, 2.0]), rows: 2, columns: 1 };
        let many = GammaMixture { n_components: 3, max_iter: 5, tol: 1e-4, n_init: 1 };
        let mut rng = Stream::new(0, Purpose::Standalone, 0);
        let error = many.session().cluster(patch, &mut rng, &mut [0, 0]).unwrap_err();
        assert!(error.to_string().contains("n_components is 3"), "{error}");
    }
}
