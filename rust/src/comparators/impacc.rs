//! Minipatch consensus clustering: MPCC, MPACC and IMPACC (Gan and Allen 2022, *Fast and interpretable consensus
//! clustering via minipatch learning*, PLOS Computational Biology 18(10):e1010577).
//!
//! Each minipatch of `n` observations and `m` features is clustered by Ward's method, its tree cut at a quantile of
//! the merges' heights; then the co-association `C` is updated, and a feature that is among those that differ most
//! between the minipatch's clusters gets one more support. MPCC draws minipatches uniformly. MPACC draws more
//! often the observations that are hard to place, and IMPACC also the features with much support:
//!
//! ```text
//! score_j = support_j / times sampled_j             v_j <- alpha v_j + (1 - alpha) score_j
//! u_i     = confusion_i / times sampled_i           w_i <- alpha w_i + (1 - alpha) u_i / sum(u)
//! high    = {i: w_i >= quantile of w},              {j: v_j >= mean of v + deviations * sd of v}
//! ```
//!
//! Of the high set, `ceil(min(size, pi |high|))` are drawn by weight, the rest of the minipatch uniformly from the
//! others, `pi` rising from 1/2 towards 1. Before that, random partitions show every observation and feature some
//! times. It stops when the 90th percentile of the confusions has stood still for a number of minipatches, since every
//! observation was seen: before that, confusions are low because little is known.
//! The labels are Ward's, on the distances `1 - C`.
//!
//! The minipatches depend on one another, so that there is nothing to run in parallel but the work within one.

use std::sync::atomic::Ordering;

use super::anova::Anova;
use super::coassociation::CoAssociation;
use crate::error::{Error, Result};
use crate::memory::check_room;
use crate::native::linkage::WardTree;
use crate::native::{Matrix, Values};
use crate::parallel::Workers;
use crate::rng::{Purpose, Stream};
use crate::sampling::Minipatches;

/// The percentile of the confusions that is watched.
const WATCHED: f64 = 0.9;

/// What is clustered into how many, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// K of the final labels.
    pub n_clusters: usize,
    /// Observations in a minipatch, at least 3: fewer have no clusters to tell apart.
    pub n_rows: usize,
    /// Features in a minipatch.
    pub n_columns: usize,
    /// Minipatches after the partitions.
    pub max_iter: usize,
    /// The quantile of the heights at which the tree of a minipatch is cut.
    pub cut_quantile: f64,
    /// The share of a minipatch's features that get support.
    pub support: f64,
    /// What the watched percentile may move and still count as standing still.
    pub tol: f64,
    /// How often in a row it must stand still; `None` never stops early.
    pub n_iter_no_change: Option<usize>,
    /// Adaptive draws; `None` draws uniformly.
    pub adaptive: Option<Adaptive>,
}

/// How draws adapt.
#[derive(Debug, Clone, PartialEq)]
pub struct Adaptive {
    /// How often the partitions show every observation and feature, at least.
    pub burn_in: usize,
    /// What weights keep of themselves.
    pub alpha: f64,
    /// From which quantile of the weights on observations are drawn more often.
    pub row_quantile: f64,
    /// By how many standard deviations the weight of features that are drawn more often lies above the mean; `None`
    /// draws features uniformly.
    pub column_deviations: Option<f64>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// One of `0..n_clusters` for each observation.
    pub labels: Vec<i32>,
    /// `C`, N x N.
    pub consensus: Vec<f64>,
    /// The confusion of each observation.
    pub confusion: Vec<f64>,
    /// The watched percentile after each minipatch that follows the partitions.
    pub confusion_curve: Vec<f64>,
    /// How often each observation was sampled.
    pub rows_sampled: Vec<u32>,
    /// How often each feature was sampled.
    pub columns_sampled: Vec<u32>,
    /// How often each feature was among those that differ most.
    pub support: Vec<u32>,
    /// The weights `w` of the last draw.
    pub row_weights: Vec<f64>,
    /// The weights `v` of the last draw.
    pub column_weights: Vec<f64>,
    /// The observations of every minipatch, one after another.
    pub rows: Vec<u32>,
    /// The features of every minipatch.
    pub columns: Vec<u32>,
}

/// Clusters `data` (row-major, `n_samples` rows of `n_features`), of which each feature should have unit variance.
///
/// Sequential. Memory: the counts of the pairs (2 N^2 bytes), Ward's distances (8 N^2) and `C` (8 N^2).
pub fn fit(
    data: &[f64],
    n_samples: usize,
    n_features: usize,
    parameters: &Parameters,
    seed: u64,
    workers: Workers<'_>,
) -> Result<Fit> {
    if data.len() != n_samples * n_features {
        return Err(Error::shape("the data", data.len(), format!("{n_samples} x {n_features} values")));
    }
    let Parameters { n_clusters, n_rows, n_columns, max_iter, .. } = *parameters;
    let design = Minipatches::new(n_samples, n_features, n_rows, n_columns, seed)?;
    if n_rows < 3 {
        return Err(Error::value("the number of observations in a minipatch", n_rows, "at least 3"));
    }
    if n_clusters < 1 || n_clusters > n_samples {
        return Err(Error::value(
            "n_clusters",
            n_clusters,
            format!("1 to the number of observations, {n_samples}"),
        ));
    }
    let blocks = n_samples.div_ceil(n_rows).max(n_features.div_ceil(n_columns));
    let adaptive = parameters.adaptive.as_ref();
    let burn_in = adaptive.map_or(0, |adaptive| adaptive.burn_in.saturating_mul(blocks));
    let total = burn_in.saturating_add(max_iter);
    let updates = u16::try_from(total)
        .map_err(|_| Error::value("the number of minipatches", total, format!("at most {}", u16::MAX)))?;
    let mut state = State::new(data, n_samples, n_features, parameters, updates)?;
    for b in 0..burn_in {
        if workers.stop.load(Ordering::Relaxed) {
            break;
        }
        let rows = block(seed, Purpose::Rows, n_samples, n_rows, b);
        let columns = block(seed, Purpose::Columns, n_features, n_columns, b);
        state.add(rows, columns)?;
    }
    let mut row_weights = vec![1.0 / n_samples as f64; n_samples];
    let mut column_weights = vec![1.0 / n_features as f64; n_features];
    let mut curve: Vec<f64> = Vec::new();
    let mut still = 0;
    for t in 0..max_iter {
        if workers.stop.load(Ordering::Relaxed) {
            break;
        }
        let b = burn_in + t;
        let (mut rows, mut columns) = (None, None);
        if let Some(adaptive) = adaptive {
            let pi = 0.5 + 0.5 * t as f64 / max_iter as f64;
            state.update_row_weights(adaptive.alpha, &mut row_weights);
            let threshold = quantile(&row_weights, adaptive.row_quantile);
            let mut rng = Stream::new(seed, Purpose::Rows, b as u64);
            rows = Some(draw(&mut rng, &row_weights, threshold, n_rows, pi));
            if let Some(deviations) = adaptive.column_deviations {
                state.update_column_weights(adaptive.alpha, &mut column_weights);
                let threshold = above_mean(&column_weights, deviations);
                let mut rng = Stream::new(seed, Purpose::Columns, b as u64);
                columns = Some(draw(&mut rng, &column_weights, threshold, n_columns, pi));
            }
        }
        state.add(rows.unwrap_or_else(|| design.rows(b)), columns.unwrap_or_else(|| design.columns(b)))?;
        let confusion: Vec<f64> = state.pairs.confusion().collect();
        let watched = quantile(&confusion, WATCHED);
        let moved = curve.last().is_none_or(|last| (watched - last).abs() >= parameters.tol);
        // Nothing stands still while uniform draws have yet to show some observation.
        let unseen = state.pairs.sampled().contains(&0);
        still = if moved || unseen { 0 } else { still + 1 };
        curve.push(watched);
        if parameters.n_iter_no_change.is_some_and(|wanted| still >= wanted) {
            break;
        }
    }
    let mut labels = vec![0; n_samples];
    state.tree.cut_distances(|i, j| 1.0 - state.pairs.share(i, j), n_clusters, &mut labels)?;
    // Its distances are as large as what follows.
    drop(state.tree);
    Ok(Fit {
        labels,
        consensus: state.pairs.matrix()?,
        confusion: state.pairs.confusion().collect(),
        confusion_curve: curve,
        rows_sampled: state.pairs.sampled().to_vec(),
        columns_sampled: state.columns_sampled,
        support: state.support,
        row_weights,
        column_weights,
        rows: state.rows,
        columns: state.columns,
    })
}

/// What minipatches leave behind, and the memory that they share.
struct State<'a> {
    data: &'a [f64],
    n_features: usize,
    parameters: &'a Parameters,
    pairs: CoAssociation,
    support: Vec<u32>,
    columns_sampled: Vec<u32>,
    rows: Vec<u32>,
    columns: Vec<u32>,
    patch: Vec<f64>,
    labels: Vec<i32>,
    tree: WardTree,
    anova: Anova,
}

impl<'a> State<'a> {
    fn new(
        data: &'a [f64],
        n_samples: usize,
        n_features: usize,
        parameters: &'a Parameters,
        updates: u16,
    ) -> Result<Self> {
        // Needed at the end, twice in turn.
        check_room::<f64>(n_samples.saturating_mul(n_samples), "the consensus of all pairs of observations")?;
        Ok(State {
            data,
            n_features,
            parameters,
            pairs: CoAssociation::new(n_samples, updates)?,
            support: vec![0; n_features],
            columns_sampled: vec![0; n_features],
            rows: Vec::new(),
            columns: Vec::new(),
            patch: Vec::new(),
            labels: vec![0; parameters.n_rows],
            tree: WardTree::default(),
            anova: Anova::default(),
        })
    }

    /// Clusters one minipatch and counts what it says of its observations and features.
    fn add(&mut self, rows: Vec<u32>, columns: Vec<u32>) -> Result<()> {
        self.patch.clear();
        for &i in &rows {
            let row = &self.data[i as usize * self.n_features..][..self.n_features];
            self.patch.extend(columns.iter().map(|&j| row[j as usize]));
        }
        let patch = Matrix { values: Values::F64(&self.patch), rows: rows.len(), columns: columns.len() };
        let k = self.tree.cut_at_quantile(patch, self.parameters.cut_quantile, &mut self.labels)?;
        self.pairs.add(&rows, &self.labels);
        columns.iter().for_each(|&j| self.columns_sampled[j as usize] += 1);
        self.rows.extend(rows);
        if k > 1 {
            let share = self.parameters.support;
            for at in self.anova.most_different(&self.patch, columns.len(), &self.labels, k, share) {
                self.support[columns[at] as usize] += 1;
            }
        }
        self.columns.extend(columns);
        Ok(())
    }

    /// Confusion per sampling, as a share of the total; without any confusion weights stay as they are.
    fn update_row_weights(&self, alpha: f64, weights: &mut [f64]) {
        let shares: Vec<f64> = self
            .pairs
            .confusion()
            .zip(self.pairs.sampled())
            .map(|(confusion, &count)| confusion / f64::from(count.max(1)))
            .collect();
        let total: f64 = shares.iter().sum();
        if total > 0.0 {
            for (weight, share) in weights.iter_mut().zip(shares) {
                *weight = alpha * *weight + (1.0 - alpha) * (share / total);
            }
        }
    }

    fn update_column_weights(&self, alpha: f64, weights: &mut [f64]) {
        for (weight, (&support, &count)) in
            weights.iter_mut().zip(self.support.iter().zip(&self.columns_sampled))
        {
            *weight = alpha * *weight + (1.0 - alpha) * (f64::from(support) / f64::from(count.max(1)));
        }
    }
}

/// Block `b` of random partitions, one after another, of `0..population` into blocks of `size`. The last block of a
/// partition is filled up with members of the block before. Ascending.
fn block(seed: u64, purpose: Purpose, population: usize, size: usize, b: usize) -> Vec<u32> {
    let blocks = population.div_ceil(size);
    let mut order: Vec<u32> = (0..population as u32).collect();
    Stream::new(seed, purpose, (b / blocks) as u64).shuffle(&mut order);
    let first = (b % blocks * size).min(population - size);
    let mut block = order[first..first + size].to_vec();
    block.sort_unstable();
    block
}

/// Draws `size` positions: of those whose weight reaches the threshold the share `pi` (no more than fit, no fewer than
/// the others leave room for) by weight, the rest uniformly from the others. Ascending.
fn draw(rng: &mut Stream, weights: &[f64], threshold: f64, size: usize, pi: f64) -> Vec<u32> {
    let (high, others): (Vec<u32>, Vec<u32>) =
        (0..weights.len() as u32).partition(|&i| weights[i as usize] >= threshold);
    let wanted = (pi * high.len() as f64).ceil() as usize;
    let by_weight = wanted.min(size).max(size.saturating_sub(others.len()));
    let of_high: Vec<f64> = high.iter().map(|&i| weights[i as usize]).collect();
    let mut drawn: Vec<u32> =
        rng.weighted_subset(&of_high, by_weight).into_iter().map(|at| high[at as usize]).collect();
    drawn.extend(rng.subset(others.len(), size - by_weight).into_iter().map(|at| others[at as usize]));
    drawn.sort_unstable();
    drawn
}

/// A quantile, interpolated linearly between the two values that it lies between.
fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let position = q * (sorted.len() - 1) as f64;
    let below = position as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

/// The mean plus some standard deviations (with `len - 1` as the divisor).
fn above_mean(values: &[f64], deviations: f64) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    mean + deviations * (squares / (n - 1.0).max(1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;

    fn parameters() -> Parameters {
        Parameters {
            n_clusters: 2,
            n_rows: 8,
            n_columns: 2,
            max_iter: 40,
            cut_quantile: 0.9,
            support: 0.05,
            tol: 1e-5,
            n_iter_no_change: Some(5),
            adaptive: Some(Adaptive {
                burn_in: 2,
                alpha: 0.5,
                row_quantile: 0.95,
                column_deviations: Some(1.0),
            }),
        }
    }

    /// Two groups that the first of four features tells apart.
    fn groups(n: usize) -> Vec<f64> {
        let mut rng = Stream::new(9, Purpose::Standalone, 0);
        (0..4 * n).map(|at| rng.unit() + if at % 4 == 0 && at / 4 >= n / 2 { 9.0 } else { 0.0 }).collect()
    }

    proptest! {
        #[test]
        fn partitions_show_everything_equally_often_but_for_the_last_block(
            population in 1usize..40, share in 0.0..1.0f64, seed in 0u64..100,
        ) {
            let size = 1 + (share * (population - 1) as f64) as usize;
            let blocks = population.div_ceil(size);
            let mut seen = vec![0; population];
            for b in 0..3 * blocks {
                let block = block(seed, Purpose::Rows, population, size, b);
                prop_assert_eq!(block.len(), size);
                prop_assert!(block.windows(2).all(|w| w[0] < w[1]));
                block.iter().for_each(|&i| seen[i as usize] += 1);
            }
            prop_assert!(seen.iter().all(|&count| (3..=6).contains(&count)));
        }

        #[test]
        fn draws_hold_the_share_of_the_high_set(
            weights in proptest::collection::vec(0.0..1.0f64, 2..40),
            share in 0.0..1.0f64, q in 0.0..1.0f64, pi in 0.5..1.0f64,
        ) {
            let size = 1 + (share * (weights.len() - 1) as f64) as usize;
            let threshold = quantile(&weights, q);
            let mut rng = Stream::new(0, Purpose::Standalone, 0);
            let drawn = draw(&mut rng, &weights, threshold, size, pi);
            prop_assert_eq!(drawn.len(), size);
            prop_assert!(drawn.windows(2).all(|w| w[0] < w[1]));
            let high = weights.iter().filter(|&&w| w >= threshold).count();
            let held = drawn.iter().filter(|&&i| weights[i as usize] >= threshold).count();
            let wanted = ((pi * high as f64).ceil() as usize).min(size);
            prop_assert_eq!(held, wanted.max(size.saturating_sub(weights.len() - high)));
        }
    }

    #[test]
    fn quantiles_and_deviations_by_hand() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 1.0), 4.0);
        assert_eq!(quantile(&[7.0], 0.3), 7.0);
        assert_eq!(above_mean(&[1.0, 3.0], 0.5), 2.0 + 0.5 * 2f64.sqrt());
        assert_eq!(above_mean(&[1.0], 1.0), 1.0);
    }

    #[test]
    fn two_groups_and_the_feature_that_tells_them_apart() {
        let data = groups(32);
        let fit = fit(&data, 32, 4, &parameters(), 3, Workers::new(1)).unwrap();
        assert!((0..32).all(|i| fit.labels[i] == i32::from(i >= 16)), "{:?}", fit.labels);
        let score = |j: usize| f64::from(fit.support[j]) / f64::from(fit.columns_sampled[j]);
        assert!((1..4).all(|j| score(0) > score(j)));
        assert_eq!(fit.rows.len() / 8, fit.columns.len() / 2);
        assert_eq!(fit.rows.len() / 8, 2 * 4 + fit.confusion_curve.len());
        assert!((fit.row_weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_set_flag_stops_it() {
        let stop = AtomicBool::new(true);
        let data = groups(32);
        let fit = fit(&data, 32, 4, &parameters(), 3, Workers { threads: 1, stop: &stop }).unwrap();
        assert!(fit.rows.is_empty());
    }

    #[test]
    fn errors_name_what_was_wrong() {
        let data = groups(32);
        let message = |parameters: &Parameters| {
            fit(&data, 32, 4, parameters, 0, Workers::new(1)).unwrap_err().to_string()
        };
        let with = |change: fn(&mut Parameters)| {
            let mut parameters = parameters();
            change(&mut parameters);
            message(&parameters)
        };
        assert!(with(|p| p.n_rows = 2).contains("is 2, expected at least 3"));
        assert!(with(|p| p.n_clusters = 33).contains("expected 1 to the number of observations, 32"));
        assert!(with(|p| p.max_iter = 65_535).contains("the number of minipatches is 65543"));
        assert!(with(|p| p.n_columns = 5).contains("expected 1 to 4"));
    }
}
