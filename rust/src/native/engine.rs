//! Runs minipatches: one is one task of one thread, from gathering its data to its labels or votes.
//!
//! Memory: the data, shared by all threads; one gathered minipatch and one method's working memory a thread;
//! and the results. Of sparse data only parts are ever dense: a minipatch, and some thousand of the rows that it predicts.

use std::sync::Mutex;

use super::patch::{Data, Gathered};
use super::{Classifier, ClassifySession, Clusterer, Query, Task};
use crate::error::{Error, Result};
use crate::parallel::{Workers, for_each_chunk};
use crate::rng::{Purpose, Stream};
use crate::sampling::Minipatches;

/// Rows of sparse data that are made dense at once to be predicted. No power of two: columns would lie a whole number
/// of pages apart, where they push each other out of the cache.
const BLOCK: usize = if cfg!(test) { 7 } else { 4000 };

/// Which minipatches of which data.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// All the data.
    pub data: Data<'a>,
    /// The design that rows and columns are derived from.
    pub design: Minipatches,
    /// The features that the design's columns count through; `None` for all of them.
    pub features: Option<&'a [u32]>,
    /// The first minipatch.
    pub start: usize,
    /// One past the last minipatch.
    pub stop: usize,
}

impl Run<'_> {
    /// Checks that the design is one of the data.
    pub fn validate(&self) -> Result<()> {
        let active = self.features.map_or(self.data.columns(), <[u32]>::len);
        if (self.design.n_samples, self.design.n_features) != (self.data.rows(), active) {
            return Err(Error::shape(
                "the data",
                format!("{} x {active}", self.data.rows()),
                format!("{} x {}, as the minipatches", self.design.n_samples, self.design.n_features),
            ));
        }
        match self.features.and_then(|f| f.iter().find(|&&j| j as usize >= self.data.columns())) {
            Some(j) => Err(Error::value("a feature", j, format!("less than {}", self.data.columns()))),
            None => Ok(()),
        }
    }

    fn columns(&self, b: usize) -> Vec<u32> {
        let columns = self.design.columns(b);
        match self.features {
            None => columns,
            Some(features) => columns.into_iter().map(|j| features[j as usize]).collect(),
        }
    }

    fn len(&self) -> usize {
        self.stop.saturating_sub(self.start)
    }
}

/// The error of the first minipatch that failed, whatever thread it was on.
#[derive(Default)]
struct FirstError(Mutex<Option<(usize, Error)>>);

impl FirstError {
    fn note(&self, b: usize, (rows, columns): (usize, usize), error: Error) {
        let mut first = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if first.as_ref().is_none_or(|(earlier, _)| b < *earlier) {
            *first = Some((b, Error::Patch { b, rows, columns, source: Box::new(error) }));
        }
    }

    fn into_result(self) -> Result<()> {
        match self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            None => Ok(()),
            Some((_, error)) => Err(error),
        }
    }
}

/// Clusters each minipatch: labels in the order (minipatch, row of the minipatch), -1 for noise.
pub fn cluster(run: &Run<'_>, clusterer: &dyn Clusterer, workers: Workers<'_>) -> Result<Vec<i32>> {
    run.validate()?;
    let mut labels = vec![0i32; run.len() * run.design.n_rows];
    let errors = FirstError::default();
    let session = || (clusterer.session(), Gathered::default());
    for_each_chunk(workers, &mut labels, run.design.n_rows, session, |(session, memory), index, labels| {
        let b = run.start + index;
        let patch = memory.gather(run.data, &run.design.rows(b), &run.columns(b));
        let mut rng = Stream::new(run.design.seed, Purpose::Clusterer, b as u64);
        if let Err(error) = session.cluster(patch, &mut rng, labels) {
            errors.note(b, (patch.rows, patch.columns), error);
        }
    });
    errors.into_result()?;
    Ok(labels)
}

/// The votes of a run of minipatches.
#[derive(Debug, Clone, PartialEq)]
pub enum RunVotes {
    /// Every probability was 0 or 1: the classes, (minipatch, observation).
    Hard(Vec<u16>),
    /// Probabilities, (minipatch, observation, class).
    Soft(Vec<f64>),
}

#[derive(Default, Clone)]
struct Slot {
    hard: Vec<u16>,
    soft: Vec<f64>,
    trained: bool,
}

/// Trains each minipatch on its aligned `labels` (minipatch, row of the minipatch; -1 for noise) and predicts
/// the observations it leaves out. Returns the votes and which minipatches were trained: those that are all
/// noise are not.
pub fn classify(
    run: &Run<'_>,
    labels: &[i32],
    n_classes: usize,
    classifier: &dyn Classifier,
    workers: Workers<'_>,
) -> Result<(RunVotes, Vec<bool>)> {
    run.validate()?;
    let (n, samples) = (run.design.n_rows, run.data.rows());
    if labels.len() != run.len() * n {
        return Err(Error::shape("the labels", labels.len(), run.len() * n));
    }
    let mut slots = vec![Slot::default(); run.len()];
    let errors = FirstError::default();
    let session = || (classifier.session(), Gathered::default(), Vec::new());
    for_each_chunk(workers, &mut slots, 1, session, |(session, memory, proba), index, slot| {
        let b = run.start + index;
        let labels = &labels[index * n..(index + 1) * n];
        let rows = run.design.rows(b);
        let held_out = complement(&rows, samples);
        let (known, classes): (Vec<u32>, Vec<u32>) =
            rows.iter().zip(labels).filter(|&(_, &l)| l >= 0).map(|(&i, &l)| (i, l as u32)).unzip();
        let slot = &mut slot[0];
        slot.hard = vec![0; samples];
        let Some(&only) = classes.first() else {
            return;
        };
        slot.trained = true;
        if classes.iter().all(|&class| class == only) {
            // One class left: nothing to train.
            slot.hard.fill(only as u16);
            return;
        }
        proba.clear();
        proba.resize(held_out.len() * n_classes, 0.0);
        let columns = run.columns(b);
        let part =
            Part { rows: &known, columns: &columns, classes: &classes, n_classes, held_out: &held_out };
        let mut rng = Stream::new(run.design.seed, Purpose::Classifier, b as u64);
        match part.fit_predict(run.data, &mut **session, memory, &mut rng, proba) {
            Err(error) => errors.note(b, (known.len(), columns.len()), error),
            Ok(()) => slot.keep(&held_out, proba, n_classes, samples),
        }
    });
    errors.into_result()?;
    let trained = slots.iter().map(|slot| slot.trained).collect();
    if slots.iter().all(|slot| slot.soft.is_empty()) {
        return Ok((RunVotes::Hard(slots.into_iter().flat_map(|slot| slot.hard).collect()), trained));
    }
    let mut soft = vec![0.0; slots.len() * samples * n_classes];
    for (slot, out) in slots.iter().zip(soft.chunks_exact_mut(samples * n_classes)) {
        if slot.soft.is_empty() {
            for (row, &class) in out.chunks_exact_mut(n_classes).zip(&slot.hard) {
                row[usize::from(class)] = 1.0;
            }
        } else {
            out.copy_from_slice(&slot.soft);
        }
    }
    Ok((RunVotes::Soft(soft), trained))
}

/// What one minipatch trains on, and what it predicts.
struct Part<'a> {
    rows: &'a [u32],
    columns: &'a [u32],
    classes: &'a [u32],
    n_classes: usize,
    held_out: &'a [u32],
}

impl Part<'_> {
    /// Writes the class probabilities of the rows held out; dense data are read where they lie.
    fn fit_predict(
        &self,
        data: Data<'_>,
        session: &mut dyn ClassifySession,
        memory: &mut Gathered,
        rng: &mut Stream,
        proba: &mut [f64],
    ) -> Result<()> {
        let Part { rows, columns, classes, n_classes, held_out } = *self;
        if let Data::Dense(data) = data {
            session.fit(&Task { data, rows, columns, classes, n_classes }, rng)?;
            return session.predict(&Query { data, rows: held_out, columns }, proba);
        }
        let most = rows.len().max(BLOCK).max(columns.len()) as u32;
        let counting: Vec<u32> = (0..most).collect();
        let part = memory.gather(data, rows, columns);
        let columns_of_part = &counting[..columns.len()];
        let task =
            Task { data: part, rows: &counting[..rows.len()], columns: columns_of_part, classes, n_classes };
        session.fit(&task, rng)?;
        for (block, proba) in held_out.chunks(BLOCK).zip(proba.chunks_mut(BLOCK * n_classes)) {
            let part = memory.gather(data, block, columns);
            let query = Query { data: part, rows: &counting[..block.len()], columns: columns_of_part };
            session.predict(&query, proba)?;
        }
        Ok(())
    }
}

impl Slot {
    /// Keeps one minipatch's predictions, as classes if all of them are certain.
    fn keep(&mut self, held_out: &[u32], proba: &[f64], n_classes: usize, samples: usize) {
        let certain = |row: &[f64]| {
            row.iter().filter(|&&p| p == 1.0).count() == 1
                && row.iter().filter(|&&p| p == 0.0).count() == n_classes - 1
        };
        if proba.chunks_exact(n_classes).all(certain) {
            for (&i, row) in held_out.iter().zip(proba.chunks_exact(n_classes)) {
                self.hard[i as usize] = row.iter().position(|&p| p == 1.0).unwrap_or(0) as u16;
            }
            return;
        }
        self.soft = vec![0.0; samples * n_classes];
        for (&i, row) in held_out.iter().zip(proba.chunks_exact(n_classes)) {
            self.soft[i as usize * n_classes..][..n_classes].copy_from_slice(row);
        }
    }
}

/// The numbers of `0..size` that are not in `sorted`.
fn complement(sorted: &[u32], size: usize) -> Vec<u32> {
    let mut rest = Vec::with_capacity(size - sorted.len());
    let mut next = sorted.iter().copied().peekable();
    for i in 0..size as u32 {
        if next.peek() == Some(&i) {
            next.next();
        } else {
            rest.push(i);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::centroid::{Metric, NearestCentroid};
    use crate::native::forest::{Forest, ForestParameters};
    use crate::native::kmeans::KMeans;
    use crate::native::neighbors::{KNeighbors, Weights};
    use crate::native::patch::{Csr, Whole};
    use crate::native::presorted::Presorted;
    use crate::native::tree::TreeParameters;
    use crate::native::{ClusterSession, Matrix, Values};
    use proptest::prelude::*;

    /// Labels a row by the sign of its first value; fails on minipatch data that start with the magic value.
    struct Sign;
    impl Clusterer for Sign {
        fn session(&self) -> Box<dyn ClusterSession + '_> {
            Box::new(Sign)
        }
    }
    impl ClusterSession for Sign {
        fn cluster(&mut self, patch: Matrix<'_>, _: &mut Stream, labels: &mut [i32]) -> Result<()> {
            let Values::F64(values) = patch.values else { unreachable!("the test's data") };
            if values[0] == 99.0 {
                return Err(Error::value("the first value", 99, "anything else"));
            }
            for (label, row) in labels.iter_mut().zip(values.chunks_exact(patch.columns)) {
                *label = i32::from(row[0] > 0.0);
            }
            Ok(())
        }
    }

    /// Predicts the share of each class in training.
    struct Prior;
    struct Shares(Vec<f64>);
    impl Classifier for Prior {
        fn session(&self) -> Box<dyn ClassifySession + '_> {
            Box::new(Shares(Vec::new()))
        }
    }
    impl ClassifySession for Shares {
        fn fit(&mut self, task: &Task<'_>, _: &mut Stream) -> Result<()> {
            self.0 = vec![0.0; task.n_classes];
            task.classes.iter().for_each(|&c| self.0[c as usize] += 1.0 / task.classes.len() as f64);
            Ok(())
        }
        fn predict(&mut self, _: &Query<'_>, proba: &mut [f64]) -> Result<()> {
            proba.chunks_exact_mut(self.0.len()).for_each(|row| row.copy_from_slice(&self.0));
            Ok(())
        }
    }

    fn run(values: &[f64], seed: u64) -> Run<'_> {
        let data = Matrix { values: Values::F64(values), rows: values.len() / 2, columns: 2 };
        let design = Minipatches::new(data.rows, 2, 4, 1, seed).unwrap();
        let data = Data::Dense(data);
        Run { data, design, features: None, start: 0, stop: 12 }
    }

    #[test]
    fn threads_change_nothing_and_noise_and_single_classes_are_handled() {
        let values: Vec<f64> = (0..40).map(|v| f64::from(v % 7) - 3.0).collect();
        let run = run(&values, 3);
        let labels = cluster(&run, &Sign, Workers::new(1)).unwrap();
        assert_eq!(labels, cluster(&run, &Sign, Workers::new(3)).unwrap());
        let mut labels = labels;
        labels[..4].fill(-1);
        labels[4..8].fill(1);
        let (votes, trained) = classify(&run, &labels, 2, &Prior, Workers::new(1)).unwrap();
        assert_eq!(
            (votes.clone(), trained.clone()),
            classify(&run, &labels, 2, &Prior, Workers::new(3)).unwrap()
        );
        assert!(!trained[0] && trained[1..].iter().all(|&t| t));
        let RunVotes::Soft(soft) = votes else { panic!("some minipatch has two classes") };
        assert!(soft[20 * 2..20 * 4].chunks_exact(2).all(|row| row == [0.0, 1.0]), "one class left");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn sparse_data_give_the_bits_of_dense_ones(seed in any::<u64>(), rows in 12usize..60, share in 0.0..1.0f64) {
            const COLUMNS: usize = 9;
            let mut rng = Stream::new(seed, Purpose::Standalone, 0);
            // Counts, mostly zeros or hardly any, and some of them in two parts; a zero may be kept as a value.
            let (mut dense, mut values, mut indices, mut starts) = (Vec::new(), Vec::new(), Vec::new(), vec![0]);
            for _ in 0..rows {
                for column in (0..COLUMNS as i32).rev() {
                    let value = if rng.unit() < share { rng.below(4) as f64 } else { 0.0 };
                    dense.push((column, value));
                    if value > 2.0 {
                        values.extend([value - 1.0, 1.0]);
                        indices.extend([column; 2]);
                    } else if value > 0.0 || rng.below(9) == 0 {
                        values.push(value);
                        indices.push(column);
                    }
                }
                starts.push(values.len() as i32);
            }
            dense.chunks_exact_mut(COLUMNS).for_each(|row| row.sort_by_key(|&(column, _)| column));
            let dense: Vec<f64> = dense.into_iter().map(|(_, value)| value).collect();
            let matrix = Matrix { values: Values::F64(&dense), rows, columns: COLUMNS };
            let csr = Csr::new(Values::F64(&values), Whole::I32(&indices), Whole::I32(&starts), COLUMNS).unwrap();
            let design = Minipatches::new(rows, 7, rows / 2, 3, seed).unwrap();
            let features = Some(&[0, 2, 3, 5, 6, 7, 8][..]);
            let [whole, parts] = [Data::Dense(matrix), Data::Sparse(csr)]
                .map(|data| Run { data, design, features, start: 0, stop: 6 });

            let labels = cluster(&whole, &KMeans::new(3), Workers::new(1)).unwrap();
            prop_assert_eq!(&labels, &cluster(&parts, &KMeans::new(3), Workers::new(1)).unwrap());
            let presorted = &Presorted::new(matrix, Workers::new(1)).unwrap();
            for parameters in [
                ForestParameters::single(TreeParameters::default()),
                ForestParameters { n_estimators: 5, ..ForestParameters::random_forest(2) },
                ForestParameters { n_estimators: 5, ..ForestParameters::extra_trees(2) },
            ] {
                let sorted = Forest { presorted: Some(presorted), parameters: parameters.clone() };
                let anew = Forest { presorted: None, parameters };
                let expected = classify(&whole, &labels, 3, &sorted, Workers::new(1)).unwrap();
                prop_assert_eq!(&expected, &classify(&parts, &labels, 3, &anew, Workers::new(2)).unwrap());
                prop_assert_eq!(&expected, &classify(&whole, &labels, 3, &anew, Workers::new(1)).unwrap());
            }
            let near = KNeighbors { n_neighbors: 3, weights: Weights::Distance };
            let centroid = NearestCentroid { metric: Metric::Euclidean, soft: true };
            for model in [&near as &dyn Classifier, &centroid] {
                let expected = classify(&whole, &labels, 3, model, Workers::new(1)).unwrap();
                prop_assert_eq!(&expected, &classify(&parts, &labels, 3, model, Workers::new(2)).unwrap());
            }
        }
    }

    #[test]
    fn the_first_minipatch_that_fails_is_named() {
        let values = vec![99.0; 40];
        let error = cluster(&run(&values, 0), &Sign, Workers::new(2)).unwrap_err();
        assert_eq!(error.to_string(), "minipatch 0, 4 x 1: the first value is 99, expected anything else");
    }

    #[test]
    fn complements() {
        assert_eq!(complement(&[1, 3], 5), [0, 2, 4]);
        assert_eq!(complement(&[], 2), [0, 1]);
        assert!(complement(&[0, 1], 2).is_empty());
    }
}
