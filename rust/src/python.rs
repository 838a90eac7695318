//! The Python module `clusterwhy._core`: converts and delegates, nothing else.
//!
//! Every function takes NumPy arrays of one fixed dtype in C order, only reads them, releases the GIL while it
//! works and returns fresh arrays. Python normalises dtype and order before it calls; what arrives otherwise
//! is a `TypeError`. The one class, `Presorted`, lives as long as a fit and is never stored. [`Error`] becomes
//! `ValueError`; a panic, which would be a bug, becomes `RuntimeError`.
//!
//! | Python | Rust |
//! |---|---|
//! | `uint16 (B, N)`, `float32 (B, N, K)`, `float64 (B, N, K)` | [`Votes`] |
//! | `uint64 (B, words)` | [`BitMatrix`] |
//! | `int32 (N,)`, -1 for noise | labels |

mod deep;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use numpy::ndarray::{Array1, Array2, Array3};
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bits::BitMatrix;
use crate::comparators::impacc::{self, Adaptive};
use crate::comparators::shapley::Memberships;
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::native::centroid::{Metric, NearestCentroid};
use crate::native::engine::{self, Run, RunVotes};
use crate::native::forest::{Forest, ForestParameters};
use crate::native::gamma_mixture::GammaMixture;
use crate::native::kmeans::{Init, KMeans, KMeansFit};
use crate::native::linkage::{Agglomerative, Linkage};
use crate::native::neighbors::{KNeighbors, Weights};
use crate::native::spectral::{Affinity, Spectral};
use crate::native::tree::{Criterion, DecisionTree, NO_CHILD, Splitter, Tree, TreeParameters};
use crate::native::{Classifier, Clusterer, Matrix, Task, Values, presorted};
use crate::parallel::Workers;
use crate::rng::{Purpose, Stream};
use crate::sampling::Minipatches;
use crate::votes::{Ensemble, LeaveOneOut, Votes};
use crate::{aggregate, align, ari, consensus, inference, overlap, parallel, simd, summary};

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        PyValueError::new_err(error.to_string())
    }
}

/// Milliseconds between two looks at Python's signals.
const PATIENCE: u64 = 50;

/// Runs `work` on a thread of its own without the GIL, and looks for Ctrl-C meanwhile: this is the one seam
/// where the GIL is released, signals are seen and errors become Python's.
///
/// An interrupt makes the workers stop after the chunks at hand, and comes back as the exception that Python's
/// handler raised. A panic comes back as a Python error instead of tearing through the stack.
fn detached<T: Send>(
    py: Python<'_>,
    threads: usize,
    work: impl FnOnce(Workers<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    let stop = AtomicBool::new(false);
    let mut interrupt = None;
    let outcome = py.detach(|| {
        std::thread::scope(|scope| {
            let (done, wait) = mpsc::channel::<()>();
            let handle = scope.spawn(|| {
                let _done = done;
                catch_unwind(AssertUnwindSafe(|| work(Workers { threads, stop: &stop })))
            });
            // The channel closes when the work is over.
            while wait.recv_timeout(Duration::from_millis(PATIENCE)) == Err(RecvTimeoutError::Timeout) {
                if interrupt.is_none()
                    && let Err(signal) = Python::attach(|py| py.check_signals())
                {
                    stop.store(true, Ordering::Relaxed);
                    interrupt = Some(signal);
                }
            }
            handle.join().unwrap_or_else(Err)
        })
    });
    match interrupt {
        Some(signal) => Err(signal),
        None => python_result(outcome),
    }
}

/// Runs short `work` without the GIL, on the caller's own thread: a thread costs more than the work.
fn briefly<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    python_result(py.detach(|| catch_unwind(AssertUnwindSafe(work))))
}

fn python_result<T>(outcome: std::thread::Result<Result<T>>) -> PyResult<T> {
    match outcome {
        Ok(result) => Ok(result?),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(PyRuntimeError::new_err(format!(
                "internal error in clusterwhy ({}); please report it",
                text.unwrap_or_default()
            )))
        }
    }
}

fn slice<'a, T: numpy::Element, D: numpy::ndarray::Dimension>(
    array: &'a numpy::PyReadonlyArray<'_, T, D>,
) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| PyTypeError::new_err("expected a C-contiguous array"))
}

fn matrix<T>(rows: usize, columns: usize, values: Vec<T>) -> Array2<T> {
    Array2::from_shape_vec((rows, columns), values).expect("rows x columns values")
}

/// An ensemble of Python's, read from its attributes for one call.
struct Arrays<'py> {
    votes: VoteArray<'py>,
    voters: BitMatrix,
    holds: BitMatrix,
    n_classes: usize,
}

enum VoteArray<'py> {
    Hard(PyReadonlyArrayDyn<'py, u16>),
    Single(PyReadonlyArrayDyn<'py, f32>),
    Double(PyReadonlyArrayDyn<'py, f64>),
}

impl<'py> FromPyObject<'_, 'py> for Arrays<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let size = |name: &str| object.getattr(name)?.extract::<usize>();
        let words = |name: &str, columns: usize| {
            let words: PyReadonlyArray2<'py, u64> = object.getattr(name)?.extract()?;
            bits(&words, columns)
        };
        let votes = object.getattr("votes")?;
        let votes = if let Ok(votes) = votes.extract() {
            VoteArray::Hard(votes)
        } else if let Ok(votes) = votes.extract() {
            VoteArray::Single(votes)
        } else if let Ok(votes) = votes.extract() {
            VoteArray::Double(votes)
        } else {
            return Err(PyTypeError::new_err("votes must be a uint16, float32 or float64 array"));
        };
        Ok(Arrays {
            votes,
            voters: words("voters", size("n_samples")?)?,
            holds: words("holds", size("n_features")?)?,
            n_classes: size("n_classes")?,
        })
    }
}

impl Arrays<'_> {
    fn ensemble(&self) -> PyResult<Ensemble<'_>> {
        let votes = match &self.votes {
            VoteArray::Hard(votes) => Votes::Hard(slice(votes)?),
            VoteArray::Single(votes) => Votes::Single(slice(votes)?),
            VoteArray::Double(votes) => Votes::Double(slice(votes)?),
        };
        let ensemble =
            Ensemble { votes, voters: &self.voters, holds: &self.holds, n_classes: self.n_classes };
        ensemble.validate()?;
        Ok(ensemble)
    }
}

/// Leave-one-out sums of Python's, read from their attributes.
#[derive(FromPyObject)]
struct Sums<'py> {
    totals: PyReadonlyArray2<'py, f64>,
    counts: PyReadonlyArray1<'py, u32>,
}

impl Sums<'_> {
    fn read(&self) -> PyResult<LeaveOneOut> {
        if self.counts.shape() != [self.totals.shape()[0]] {
            let (counts, totals) = (self.counts.shape(), self.totals.shape());
            return Err(Error::shape(
                "the numbers of voters",
                format!("{counts:?}"),
                format!("[{}]", totals[0]),
            )
            .into());
        }
        Ok(LeaveOneOut { totals: slice(&self.totals)?.to_vec(), counts: slice(&self.counts)?.to_vec() })
    }

    fn of(&self, ensemble: &Ensemble<'_>) -> PyResult<LeaveOneOut> {
        let expected = [ensemble.n_samples(), ensemble.n_classes];
        if self.totals.shape() != expected {
            let got = format!("{:?}", self.totals.shape());
            return Err(Error::shape("the leave-one-out sums", got, format!("{expected:?}")).into());
        }
        self.read()
    }
}

fn bits(words: &PyReadonlyArray2<'_, u64>, columns: usize) -> PyResult<BitMatrix> {
    if words.shape()[1] != columns.div_ceil(64) {
        return Err(Error::shape(
            "a bit matrix",
            format!("{} words a row", words.shape()[1]),
            format!("{} for {columns} columns", columns.div_ceil(64)),
        )
        .into());
    }
    Ok(BitMatrix::from_words(slice(words)?.to_vec(), columns))
}

fn check_labels(labels: &[i32], n_samples: usize, n_classes: usize) -> Result<()> {
    if labels.len() != n_samples {
        return Err(Error::shape("the labels", format!("{} entries", labels.len()), n_samples));
    }
    match labels.iter().position(|&label| label >= n_classes as i32) {
        Some(i) => Err(Error::value(
            "a label",
            format!("{} (observation {i})", labels[i]),
            format!("less than the {n_classes} classes"),
        )),
        None => Ok(()),
    }
}

/// Minipatches given as one flat list of observations, cut at `offsets`.
fn check_ragged(rows: &[i64], n_labels: usize, offsets: &[i64], n_samples: usize) -> Result<Vec<u32>> {
    let ends_fit = offsets.first() == Some(&0)
        && offsets.last() == Some(&(rows.len() as i64))
        && offsets.windows(2).all(|w| w[0] <= w[1]);
    if !ends_fit || n_labels != rows.len() {
        return Err(Error::shape(
            "the minipatches' labels",
            format!("{n_labels} entries"),
            format!("one for each of the {} observations", rows.len()),
        ));
    }
    rows.iter()
        .map(|&i| match u32::try_from(i) {
            Ok(index) if (index as usize) < n_samples => Ok(index),
            _ => Err(Error::value("an observation's index", i, format!("0 to {}", n_samples as i64 - 1))),
        })
        .collect()
}

/// Observations (`columns=False`) or features of minipatches `start..stop`, one row each, ascending.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn minipatch_indices<'py>(
    py: Python<'py>,
    n_samples: usize,
    n_features: usize,
    n_rows: usize,
    n_columns: usize,
    seed: u64,
    start: usize,
    stop: usize,
    columns: bool,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let size = if columns { n_columns } else { n_rows };
    let values = briefly(py, || {
        let design = Minipatches::new(n_samples, n_features, n_rows, n_columns, seed)?;
        let draw = |b| if columns { design.columns(b) } else { design.rows(b) };
        Ok((start..stop).flat_map(draw).map(i64::from).collect::<Vec<i64>>())
    })?;
    Ok(matrix(stop.saturating_sub(start), size, values).into_pyarray(py))
}

type MaskArrays<'py> = (Bound<'py, PyArray2<u64>>, Bound<'py, PyArray2<u64>>);

/// For minipatches `0..n_patches`: the observations left out (voters) and the features held, as words of bits.
#[pyfunction]
fn minipatch_masks<'py>(
    py: Python<'py>,
    n_samples: usize,
    n_features: usize,
    n_rows: usize,
    n_columns: usize,
    seed: u64,
    n_patches: usize,
) -> PyResult<MaskArrays<'py>> {
    let (voters, holds) = detached(py, 1, |_| {
        let design = Minipatches::new(n_samples, n_features, n_rows, n_columns, seed)?;
        Ok((design.left_out_rows(n_patches), design.held_columns(n_patches)))
    })?;
    let array = |bits: &BitMatrix| matrix(n_patches, bits.stride(), bits.words().to_vec());
    Ok((array(&voters).into_pyarray(py), array(&holds).into_pyarray(py)))
}

/// Seeds for the random states of estimators that are not the core's own.
#[pyfunction]
fn estimator_seeds(py: Python<'_>, seed: u64, index: u64, count: usize) -> Bound<'_, PyArray1<u32>> {
    let mut stream = Stream::new(seed, Purpose::Estimator, index);
    let seeds: Array1<u32> = (0..count).map(|_| (stream.next_u64() >> 33) as u32).collect();
    seeds.into_pyarray(py)
}

/// Aligns the labels of each minipatch to the reference labels of its observations.
#[pyfunction]
fn align_patches<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray1<'py, i64>,
    rows: PyReadonlyArray1<'py, i64>,
    offsets: PyReadonlyArray1<'py, i64>,
    reference: PyReadonlyArray1<'py, i32>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<i32>>> {
    let (labels, rows) = (slice(&labels)?, slice(&rows)?);
    let (offsets, reference) = (slice(&offsets)?, slice(&reference)?);
    let aligned = detached(py, threads, |workers| {
        let rows = check_ragged(rows, labels.len(), offsets, reference.len())?;
        let mut parts: Vec<Vec<i32>> = vec![Vec::new(); offsets.len() - 1];
        parallel::for_each_chunk(
            workers,
            &mut parts,
            64,
            || (),
            |(), block, parts| {
                for (offset, part) in parts.iter_mut().enumerate() {
                    let b = block * 64 + offset;
                    let range = offsets[b] as usize..offsets[b + 1] as usize;
                    let local: Vec<i32> =
                        rows[range.clone()].iter().map(|&i| reference[i as usize]).collect();
                    *part = align::align(&labels[range], &local);
                }
            },
        );
        Ok(parts.concat())
    })?;
    Ok(aligned.into_pyarray(py))
}

/// Counts the votes (N, K) of aligned labels for the observations `rows`. Noise does not vote.
#[pyfunction]
fn count_votes<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray1<'py, i32>,
    rows: PyReadonlyArray1<'py, i64>,
    n_samples: usize,
    n_classes: usize,
) -> PyResult<Bound<'py, PyArray2<u32>>> {
    let (labels, rows) = (slice(&labels)?, slice(&rows)?);
    let counts = briefly(py, || {
        check_labels(labels, labels.len(), n_classes)?;
        let rows = check_ragged(rows, labels.len(), &[0, rows.len() as i64], n_samples)?;
        let mut votes = consensus::Consensus::new(n_samples, n_classes);
        votes.add(&rows, labels);
        Ok(votes.into_counts())
    })?;
    Ok(matrix(n_samples, n_classes, counts).into_pyarray(py))
}

/// The consensus of counted votes (N, K): ties go to the reference (N,), else to the smallest label.
#[pyfunction]
fn majority<'py>(
    py: Python<'py>,
    counts: PyReadonlyArray2<'py, u32>,
    reference: PyReadonlyArray1<'py, i32>,
) -> PyResult<Bound<'py, PyArray1<i32>>> {
    let (n, k) = (counts.shape()[0], counts.shape()[1]);
    let (counts, reference) = (slice(&counts)?, slice(&reference)?);
    let labels: Vec<i32> = briefly(py, || {
        check_labels(reference, n, k)?;
        let votes = consensus::Consensus::from_counts(counts.to_vec(), k);
        Ok((0..n).map(|i| votes.label(i, reference[i])).collect())
    })?;
    Ok(labels.into_pyarray(py))
}

/// Reference labels built from the minipatches' overlaps, and their number.
#[pyfunction]
fn overlap_reference<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray1<'py, i64>,
    rows: PyReadonlyArray1<'py, i64>,
    offsets: PyReadonlyArray1<'py, i64>,
    n_samples: usize,
) -> PyResult<(Bound<'py, PyArray1<i32>>, usize)> {
    let (labels, rows, offsets) = (slice(&labels)?, slice(&rows)?, slice(&offsets)?);
    let (reference, n_classes) = detached(py, 1, |_| {
        let rows = check_ragged(rows, labels.len(), offsets, n_samples)?;
        let patches: Vec<overlap::Labelled<'_>> = offsets
            .windows(2)
            .map(|w| w[0] as usize..w[1] as usize)
            .map(|range| overlap::Labelled { rows: &rows[range.clone()], labels: &labels[range] })
            .collect();
        Ok(overlap::reference_from_overlaps(&patches, n_samples))
    })?;
    Ok((reference.into_pyarray(py), n_classes))
}

type LooArrays<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<u32>>);

/// Sums of votes (N, K) and numbers of voters (N,) over the minipatches that leave an observation out.
#[pyfunction]
fn leave_one_out<'py>(py: Python<'py>, ensemble: Arrays<'py>, threads: usize) -> PyResult<LooArrays<'py>> {
    let ensemble = ensemble.ensemble()?;
    let loo = detached(py, threads, |workers| Ok(crate::votes::leave_one_out(&ensemble, workers)))?;
    let totals = matrix(ensemble.n_samples(), ensemble.n_classes, loo.totals);
    Ok((totals.into_pyarray(py), loo.counts.into_pyarray(py)))
}

type ScoreArrays<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray3<f64>>);

/// Losses of `H` (N, L), and losses of `H^-j` minus losses of `H` (N, L, M).
#[pyfunction]
fn sample_scores<'py>(
    py: Python<'py>,
    ensemble: Arrays<'py>,
    loo: Sums<'py>,
    labels: PyReadonlyArray1<'py, i32>,
    losses: Vec<String>,
    threads: usize,
) -> PyResult<ScoreArrays<'py>> {
    let ensemble = ensemble.ensemble()?;
    let loo = loo.of(&ensemble)?;
    let (n, m, k) = (ensemble.n_samples(), ensemble.n_features(), ensemble.n_classes);
    let losses = losses.iter().map(|name| loss_named(name)).collect::<PyResult<Vec<Loss>>>()?;
    let labels = slice(&labels)?;
    let (base, scores) = detached(py, threads, |workers| {
        check_labels(labels, n, k)?;
        let base = aggregate::loo_losses(&loo, labels, &losses);
        Ok((base, aggregate::sample_scores(&ensemble, &loo, labels, &losses, workers)))
    })?;
    let scores = Array3::from_shape_vec((n, losses.len(), m), scores).expect("N x L x M values");
    Ok((matrix(n, losses.len(), base).into_pyarray(py), scores.into_pyarray(py)))
}

/// Losses (N, L) of sums of votes (N, K) over numbers of voters (N,); NaN without a vote or a label.
#[pyfunction]
fn losses<'py>(
    py: Python<'py>,
    loo: Sums<'py>,
    labels: PyReadonlyArray1<'py, i32>,
    losses: Vec<String>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (n, k) = (loo.totals.shape()[0], loo.totals.shape()[1]);
    let loo = loo.read()?;
    let losses = losses.iter().map(|name| loss_named(name)).collect::<PyResult<Vec<Loss>>>()?;
    let labels = slice(&labels)?;
    let values = briefly(py, || {
        check_labels(labels, n, k)?;
        Ok(aggregate::loo_losses(&loo, labels, &losses))
    })?;
    Ok(matrix(n, losses.len(), values).into_pyarray(py))
}

fn loss_named(name: &str) -> PyResult<Loss> {
    Loss::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Loss::ALL.iter().map(|loss| loss.name()).collect();
        Error::value("the loss", format!("{name:?}"), format!("one of {}", known.join(", "))).into()
    })
}

/// `ARI(z, H)` over all observations that vote, and `ARI(z, H) - ARI(z, H^-j)` (M,) over those that vote in both.
#[pyfunction]
fn ari_scores<'py>(
    py: Python<'py>,
    ensemble: Arrays<'py>,
    loo: Sums<'py>,
    labels: PyReadonlyArray1<'py, i32>,
    threads: usize,
) -> PyResult<(f64, Bound<'py, PyArray1<f64>>)> {
    let ensemble = ensemble.ensemble()?;
    let loo = loo.of(&ensemble)?;
    let (n, k) = (ensemble.n_samples(), ensemble.n_classes);
    let labels = slice(&labels)?;
    let (base, scores) = detached(py, threads, |workers| {
        check_labels(labels, n, k)?;
        let with = aggregate::loo_majorities(&loo);
        let without = aggregate::majorities(&ensemble, &loo, workers);
        let scores = ari::ari_scores(labels, &with, &without, k, workers);
        Ok((ari::ari_of(labels, &with, k), scores))
    })?;
    Ok((base, scores.into_pyarray(py)))
}

/// `H^-j` (N, M, K) for the few features that `holds` covers; NaN where there is no vote.
#[pyfunction]
fn probabilities<'py>(
    py: Python<'py>,
    ensemble: Arrays<'py>,
    loo: Sums<'py>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray3<f64>>> {
    let ensemble = ensemble.ensemble()?;
    let loo = loo.of(&ensemble)?;
    let (n, m, k) = (ensemble.n_samples(), ensemble.n_features(), ensemble.n_classes);
    let p = detached(py, threads, |workers| Ok(aggregate::probabilities(&ensemble, &loo, workers)))?;
    Ok(Array3::from_shape_vec((n, m, k), p).expect("N x M x K values").into_pyarray(py))
}

type MomentArrays<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<u32>>);

/// Means, sample standard deviations and counts of the columns of `scores` (N, M): rows 0 to K-1 within each
/// group, row K over all groups. NaN and observations with a negative group are left out.
#[pyfunction]
fn moments<'py>(
    py: Python<'py>,
    scores: PyReadonlyArray2<'py, f64>,
    groups: PyReadonlyArray1<'py, i32>,
    n_groups: usize,
    threads: usize,
) -> PyResult<MomentArrays<'py>> {
    let (n, m) = (scores.shape()[0], scores.shape()[1]);
    let (scores, groups) = (slice(&scores)?, slice(&groups)?);
    let found = detached(py, threads, |workers| {
        check_labels(groups, n, n_groups)?;
        Ok(summary::moments(scores, groups, n_groups, workers))
    })?;
    Ok((
        matrix(n_groups + 1, m, found.mean).into_pyarray(py),
        matrix(n_groups + 1, m, found.deviation).into_pyarray(py),
        matrix(n_groups + 1, m, found.count).into_pyarray(py),
    ))
}

/// Mean squared distance between the votes of up to ten disjoint pairs of voters, for each observation (N,).
#[pyfunction]
fn pair_differences<'py>(py: Python<'py>, ensemble: Arrays<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let ensemble = ensemble.ensemble()?;
    let differences = detached(py, 1, |_| Ok(inference::pair_differences(&ensemble)))?;
    Ok(differences.into_pyarray(py))
}

/// Monte-Carlo standard errors of the mean scores (M,); `None` for a loss without a slope.
#[pyfunction]
fn monte_carlo_errors<'py>(
    py: Python<'py>,
    ensemble: Arrays<'py>,
    loo: Sums<'py>,
    labels: PyReadonlyArray1<'py, i32>,
    loss: &str,
    threads: usize,
) -> PyResult<Option<Bound<'py, PyArray1<f64>>>> {
    let ensemble = ensemble.ensemble()?;
    let loo = loo.of(&ensemble)?;
    let (n, k) = (ensemble.n_samples(), ensemble.n_classes);
    let loss = loss_named(loss)?;
    let labels = slice(&labels)?;
    let errors = detached(py, threads, |workers| {
        check_labels(labels, n, k)?;
        Ok(inference::monte_carlo_errors(&ensemble, &loo, labels, loss, workers))
    })?;
    Ok(errors.map(|errors| errors.into_pyarray(py)))
}

/// Reads a parameter of a native method.
fn param<'py, T: for<'a> FromPyObject<'a, 'py>>(
    params: &Bound<'py, PyDict>,
    name: &'static str,
) -> PyResult<T> {
    let value = params.get_item(name)?;
    let value = value.ok_or_else(|| PyTypeError::new_err(format!("missing parameter {name}")))?;
    value.extract().map_err(|_| PyTypeError::new_err(format!("cannot read parameter {name}")))
}

fn unknown(what: &'static str, got: &str, expected: &str) -> PyErr {
    Error::value(what, format!("{got:?}"), expected).into()
}

fn clusterer(method: &str, params: &Bound<'_, PyDict>) -> PyResult<Box<dyn Clusterer + Send>> {
    let n_clusters = || param(params, "n_clusters");
    Ok(match method {
        "agglomerative" => {
            let linkage = match param::<String>(params, "linkage")?.as_str() {
                "ward" => Linkage::Ward,
                "complete" => Linkage::Complete,
                "average" => Linkage::Average,
                "single" => Linkage::Single,
                other => return Err(unknown("linkage", other, "ward, complete, average or single")),
            };
            Box::new(Agglomerative { n_clusters: n_clusters()?, linkage })
        }
        "gamma_mixture" => Box::new(GammaMixture {
            n_components: param(params, "n_components")?,
            max_iter: param(params, "max_iter")?,
            tol: param(params, "tol")?,
            n_init: param(params, "n_init")?,
        }),
        "kmeans" => Box::new(kmeans(params)?),
        "spectral" => {
            let affinity = match param::<String>(params, "affinity")?.as_str() {
                "nearest_neighbors" => {
                    Affinity::NearestNeighbors { n_neighbors: param(params, "n_neighbors")? }
                }
                "rbf" => Affinity::Rbf { gamma: param(params, "gamma")? },
                other => return Err(unknown("affinity", other, "nearest_neighbors or rbf")),
            };
            let (n_components, n_init) = (param(params, "n_components")?, param(params, "n_init")?);
            Box::new(Spectral { n_clusters: n_clusters()?, affinity, n_components, n_init })
        }
        other => {
            return Err(unknown("the method", other, "agglomerative, gamma_mixture, kmeans or spectral"));
        }
    })
}

fn kmeans(params: &Bound<'_, PyDict>) -> PyResult<KMeans> {
    Ok(KMeans {
        n_clusters: param(params, "n_clusters")?,
        init: match param::<String>(params, "init")?.as_str() {
            "k-means++" => Init::PlusPlus,
            "random" => Init::Random,
            other => return Err(unknown("init", other, "k-means++ or random")),
        },
        n_init: param(params, "n_init")?,
        max_iter: param(params, "max_iter")?,
        tol: param(params, "tol")?,
    })
}

fn tree_parameters(params: &Bound<'_, PyDict>) -> PyResult<TreeParameters> {
    Ok(TreeParameters {
        criterion: match param::<String>(params, "criterion")?.as_str() {
            "gini" => Criterion::Gini,
            "entropy" => Criterion::Entropy,
            other => return Err(unknown("criterion", other, "gini or entropy")),
        },
        splitter: match param::<String>(params, "splitter")?.as_str() {
            "best" => Splitter::Best,
            "random" => Splitter::Random,
            other => return Err(unknown("splitter", other, "best or random")),
        },
        max_depth: param(params, "max_depth")?,
        min_samples_split: param(params, "min_samples_split")?,
        min_samples_leaf: param(params, "min_samples_leaf")?,
        max_features: param(params, "max_features")?,
        min_impurity_decrease: param(params, "min_impurity_decrease")?,
    })
}

fn forest_parameters(params: &Bound<'_, PyDict>) -> PyResult<ForestParameters> {
    Ok(ForestParameters {
        tree: tree_parameters(params)?,
        n_estimators: param(params, "n_estimators")?,
        bootstrap: param(params, "bootstrap")?,
    })
}

fn classifier<'a>(
    method: &str,
    params: &Bound<'_, PyDict>,
    presorted: Option<&'a Presorted>,
) -> PyResult<Box<dyn Classifier + Send + 'a>> {
    let sorted = || {
        let none = || PyTypeError::new_err("trees need the data presorted");
        presorted.map(|presorted| &presorted.0).ok_or_else(none)
    };
    Ok(match method {
        "tree" => Box::new(DecisionTree { presorted: sorted()?, parameters: tree_parameters(params)? }),
        "forest" => Box::new(Forest { presorted: sorted()?, parameters: forest_parameters(params)? }),
        "neighbors" => Box::new(KNeighbors {
            n_neighbors: param(params, "n_neighbors")?,
            weights: match param::<String>(params, "weights")?.as_str() {
                "uniform" => Weights::Uniform,
                "distance" => Weights::Distance,
                other => return Err(unknown("weights", other, "uniform or distance")),
            },
        }),
        "centroid" => Box::new(NearestCentroid {
            metric: match param::<String>(params, "metric")?.as_str() {
                "euclidean" => Metric::Euclidean,
                "manhattan" => Metric::Manhattan,
                other => return Err(unknown("metric", other, "euclidean or manhattan")),
            },
            soft: param(params, "soft")?,
        }),
        other => return Err(unknown("the method", other, "tree, forest, neighbors or centroid")),
    })
}

/// The data as native methods read them: C-contiguous, of either precision.
enum Data<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

impl<'py> Data<'py> {
    fn new(x: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(x) = x.extract() {
            return Ok(Data::Single(x));
        }
        let wrong = |_| PyTypeError::new_err("the data must be a float32 or float64 array of two dimensions");
        Ok(Data::Double(x.extract().map_err(wrong)?))
    }

    fn matrix(&self) -> PyResult<Matrix<'_>> {
        let (values, shape) = match self {
            Data::Single(x) => (Values::F32(slice(x)?), x.shape()),
            Data::Double(x) => (Values::F64(slice(x)?), x.shape()),
        };
        Ok(Matrix { values, rows: shape[0], columns: shape[1] })
    }
}

/// Every feature of the data, sorted: made once a fit and handed to each call that grows trees.
#[pyclass(frozen)]
struct Presorted(presorted::Presorted);

#[pymethods]
impl Presorted {
    #[new]
    fn new(py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<Self> {
        let data = Data::new(x)?;
        let data = data.matrix()?;
        Ok(Presorted(detached(py, 1, |_| presorted::Presorted::new(data))?))
    }
}

/// The sizes of a design, and which of its minipatches to run.
#[derive(FromPyObject)]
struct Plan {
    n_rows: usize,
    n_columns: usize,
    seed: u64,
    features: Option<Vec<u32>>,
    start: usize,
    stop: usize,
}

impl Plan {
    fn run<'a>(&'a self, data: Matrix<'a>) -> Result<Run<'a>> {
        let active = self.features.as_ref().map_or(data.columns, Vec::len);
        let design = Minipatches::new(data.rows, active, self.n_rows, self.n_columns, self.seed)?;
        Ok(Run { data, design, features: self.features.as_deref(), start: self.start, stop: self.stop })
    }
}

/// Clusters minipatches natively: labels (stop - start, n_rows).
#[pyfunction]
fn native_cluster<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    plan: Plan,
    method: &str,
    params: &Bound<'py, PyDict>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let data = Data::new(x)?;
    let data = data.matrix()?;
    let clusterer = clusterer(method, params)?;
    let labels = detached(py, threads, |workers| engine::cluster(&plan.run(data)?, &*clusterer, workers))?;
    let labels = labels.into_iter().map(i64::from).collect();
    Ok(matrix(plan.stop.saturating_sub(plan.start), plan.n_rows, labels).into_pyarray(py))
}

type NativeVotes<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<bool>>);

/// Trains and predicts minipatches natively: classes (b, N) or probabilities (b, N, K), and which were trained.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn native_classify<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    plan: Plan,
    labels: PyReadonlyArray2<'py, i32>,
    n_classes: usize,
    method: &str,
    params: &Bound<'py, PyDict>,
    presorted: Option<&Bound<'py, Presorted>>,
    threads: usize,
) -> PyResult<NativeVotes<'py>> {
    let data = Data::new(x)?;
    let data = data.matrix()?;
    let classifier = classifier(method, params, presorted.map(Bound::get))?;
    let labels = slice(&labels)?;
    let (votes, trained) = detached(py, threads, |workers| {
        check_labels(labels, labels.len(), n_classes)?;
        engine::classify(&plan.run(data)?, labels, n_classes, &*classifier, workers)
    })?;
    let patches = trained.len();
    let votes = match votes {
        RunVotes::Hard(votes) => matrix(patches, data.rows, votes).into_pyarray(py).into_any(),
        RunVotes::Soft(votes) => Array3::from_shape_vec((patches, data.rows, n_classes), votes)
            .expect("b x N x K values")
            .into_pyarray(py)
            .into_any(),
    };
    Ok((votes, trained.into_pyarray(py)))
}

/// Clusters all of `x` natively, once: `labels`, and for k-means `centers`, `inertia` and `n_iter`.
#[pyfunction]
fn native_fit_clusters<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    method: &str,
    params: &Bound<'py, PyDict>,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let data = Data::new(x)?;
    let data = data.matrix()?;
    let kmeans = if method == "kmeans" { Some(kmeans(params)?) } else { None };
    let clusterer = clusterer(method, params)?;
    let (labels, fit) = detached(py, 1, |_| {
        let mut rng = Stream::new(seed, Purpose::Standalone, 0);
        if let Some(kmeans) = kmeans {
            let mut fit = kmeans.fit(data, &mut rng)?;
            return Ok((std::mem::take(&mut fit.labels), Some(fit)));
        }
        let mut labels = vec![0; data.rows];
        clusterer.session().cluster(data, &mut rng, &mut labels)?;
        Ok((labels, None))
    })?;
    let out = PyDict::new(py);
    out.set_item("labels", labels.into_iter().map(i64::from).collect::<Array1<i64>>().into_pyarray(py))?;
    if let Some(KMeansFit { centers, inertia, n_iter, .. }) = fit {
        let clusters = centers.len() / data.columns.max(1);
        out.set_item("centers", matrix(clusters, data.columns, centers).into_pyarray(py))?;
        out.set_item("inertia", inertia)?;
        out.set_item("n_iter", n_iter)?;
    }
    Ok(out)
}

/// Labels of classes as native classifiers read them, one for each of `rows` observations.
fn codes(classes: &[i32], rows: usize, n_classes: usize) -> Result<Vec<u32>> {
    check_labels(classes, rows, n_classes)?;
    let code = |&class: &i32| {
        u32::try_from(class)
            .map_err(|_| Error::value("a class", class, format!("0 to {}", n_classes as i64 - 1)))
    };
    classes.iter().map(code).collect()
}

/// Grows a tree or a forest on all of `x`: the nodes of all trees as parallel arrays, tree `t` at
/// `offsets[t]..offsets[t + 1]` with children counted from its own first node.
#[pyfunction]
fn native_grow<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    classes: PyReadonlyArray1<'py, i32>,
    n_classes: usize,
    method: &str,
    params: &Bound<'py, PyDict>,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let data = Data::new(x)?;
    let data = data.matrix()?;
    let classes = codes(slice(&classes)?, data.rows, n_classes)?;
    let forest = match method {
        "tree" => ForestParameters { tree: tree_parameters(params)?, n_estimators: 1, bootstrap: false },
        "forest" => forest_parameters(params)?,
        other => return Err(unknown("the method", other, "tree or forest")),
    };
    let trees = detached(py, 1, |_| {
        let mut rng = Stream::new(seed, Purpose::Standalone, 0);
        let presorted = &presorted::Presorted::new(data)?;
        Forest { presorted, parameters: forest }.fit(&classes, n_classes, &mut rng)
    })?;
    let out = PyDict::new(py);
    let counts = trees.iter().map(Tree::node_count);
    let ends = counts.scan(0, |end, nodes| {
        *end += nodes as i64;
        Some(*end)
    });
    let offsets: Array1<i64> = std::iter::once(0).chain(ends).collect();
    let nodes = trees.iter().map(Tree::node_count).sum();
    out.set_item("offsets", offsets.into_pyarray(py))?;
    out.set_item("feature", gather(py, &trees, |tree| &tree.feature))?;
    out.set_item("threshold", gather(py, &trees, |tree| &tree.threshold))?;
    out.set_item("children_left", gather(py, &trees, |tree| &tree.left))?;
    out.set_item("children_right", gather(py, &trees, |tree| &tree.right))?;
    out.set_item("impurity", gather(py, &trees, |tree| &tree.impurity))?;
    out.set_item("n_node_samples", gather(py, &trees, |tree| &tree.samples))?;
    out.set_item("weighted_n_node_samples", gather(py, &trees, |tree| &tree.weight))?;
    let values = trees.iter().flat_map(|tree| tree.value.iter().copied()).collect();
    out.set_item("value", matrix(nodes, n_classes, values).into_pyarray(py))?;
    Ok(out)
}

/// One array over the nodes of all trees.
fn gather<'py, T: numpy::Element + Copy>(
    py: Python<'py>,
    trees: &[Tree],
    of: impl Fn(&Tree) -> &Vec<T>,
) -> Bound<'py, PyArray1<T>> {
    trees.iter().flat_map(|tree| of(tree).iter().copied()).collect::<Array1<T>>().into_pyarray(py)
}

/// Reads what `native_grow` wrote, as far as prediction needs it. Arrays may come from anywhere (a pickle, a
/// user), so each child must lie behind its parent: then every descent ends, within the arrays.
fn grown(trees: &Bound<'_, PyDict>, columns: usize) -> PyResult<Vec<Tree>> {
    fn array<'py, T: numpy::Element, D: numpy::ndarray::Dimension>(
        trees: &Bound<'py, PyDict>,
        name: &str,
    ) -> PyResult<numpy::PyReadonlyArray<'py, T, D>> {
        let value = trees.get_item(name)?;
        let value = value.ok_or_else(|| PyTypeError::new_err(format!("trees without the array {name}")))?;
        value.extract().map_err(|_| PyTypeError::new_err(format!("trees with a wrong array {name}")))
    }
    let value: PyReadonlyArray2<'_, f64> = array(trees, "value")?;
    let (nodes, n_classes) = (value.shape()[0], value.shape()[1]);
    let (offsets, feature): (PyReadonlyArray1<'_, i64>, PyReadonlyArray1<'_, i32>) =
        (array(trees, "offsets")?, array(trees, "feature")?);
    let (left, right): (PyReadonlyArray1<'_, i32>, PyReadonlyArray1<'_, i32>) =
        (array(trees, "children_left")?, array(trees, "children_right")?);
    let threshold: PyReadonlyArray1<'_, f64> = array(trees, "threshold")?;
    let (offsets, feature, left, right) = (slice(&offsets)?, slice(&feature)?, slice(&left)?, slice(&right)?);
    let (threshold, value) = (slice(&threshold)?, slice(&value)?);
    let fits = offsets.first() == Some(&0)
        && offsets.last() == Some(&(nodes as i64))
        && offsets.windows(2).all(|w| w[0] < w[1])
        && [feature.len(), left.len(), right.len(), threshold.len()] == [nodes; 4];
    if !fits {
        return Err(Error::shape("an array of the trees", "another length", format!("{nodes} nodes")).into());
    }
    offsets
        .windows(2)
        .map(|w| {
            let range = w[0] as usize..w[1] as usize;
            let tree = Tree {
                n_classes,
                feature: feature[range.clone()].to_vec(),
                threshold: threshold[range.clone()].to_vec(),
                left: left[range.clone()].to_vec(),
                right: right[range.clone()].to_vec(),
                value: value[range.start * n_classes..range.end * n_classes].to_vec(),
                ..Tree::default()
            };
            let behind = |node: usize, child: i32| child > node as i32 && (child as usize) < range.len();
            let sound = |node: usize| {
                tree.left[node] == NO_CHILD
                    || behind(node, tree.left[node])
                        && behind(node, tree.right[node])
                        && usize::try_from(tree.feature[node]).is_ok_and(|feature| feature < columns)
            };
            match (0..range.len()).find(|&node| !sound(node)) {
                None => Ok(tree),
                Some(node) => Err(Error::value(
                    "a node of the trees",
                    node,
                    format!("a leaf, or one of {columns} features with two children behind it"),
                )
                .into()),
            }
        })
        .collect()
}

/// Rows that one task sends down the trees.
const DESCENT: usize = 256;

/// Class probabilities (n, K) by trees that `native_grow` grew: the mean over trees.
#[pyfunction]
fn native_descend<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    trees: &Bound<'py, PyDict>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let data = Data::new(x)?;
    let data = data.matrix()?;
    let trees = grown(trees, data.columns)?;
    let n_classes = trees.first().map_or(0, |tree| tree.n_classes);
    let proba = detached(py, threads, |workers| {
        let mut proba = vec![0.0; data.rows * n_classes];
        let chunk = DESCENT * n_classes;
        parallel::for_each_chunk(workers, &mut proba, chunk, Vec::new, |shares, index, proba| {
            let rows = proba.len() / n_classes;
            let part = data.slice(index * DESCENT, rows);
            shares.clear();
            shares.resize(proba.len(), 0.0);
            for tree in &trees {
                tree.predict_proba(part, shares);
                proba.iter_mut().zip(shares.iter()).for_each(|(sum, share)| *sum += share);
            }
            proba.iter_mut().for_each(|sum| *sum /= trees.len() as f64);
        });
        Ok(proba)
    })?;
    Ok(matrix(data.rows, n_classes, proba).into_pyarray(py))
}

/// Class probabilities (q, K) of the rows of `queries` by a method that keeps its training rows `x`.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn native_compare<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    classes: PyReadonlyArray1<'py, i32>,
    n_classes: usize,
    queries: &Bound<'py, PyAny>,
    method: &str,
    params: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (data, queries) = (Data::new(x)?, Data::new(queries)?);
    let (data, queries) = (data.matrix()?, queries.matrix()?);
    let classes = codes(slice(&classes)?, data.rows, n_classes)?;
    let classifier = classifier(method, params, None)?;
    let proba = detached(py, 1, |_| {
        // A task trains on some rows of a matrix and predicts others.
        let (single, double);
        let values = match (data.values, queries.values) {
            (Values::F32(train), Values::F32(rows)) => {
                single = [train, rows].concat();
                Values::F32(&single)
            }
            (Values::F64(train), Values::F64(rows)) => {
                double = [train, rows].concat();
                Values::F64(&double)
            }
            _ => return Err(Error::value("the queries' dtype", "another", "that of the training rows")),
        };
        if data.columns != queries.columns {
            return Err(Error::shape("the queries", format!("{} columns", queries.columns), data.columns));
        }
        let rows: Vec<u32> = (0..(data.rows + queries.rows) as u32).collect();
        let (rows, held_out) = rows.split_at(data.rows);
        let columns: Vec<u32> = (0..data.columns as u32).collect();
        let data = Matrix { values, rows: data.rows + queries.rows, columns: data.columns };
        let task = Task { data, rows, columns: &columns, classes: &classes, n_classes, held_out };
        let mut proba = vec![0.0; queries.rows * n_classes];
        let mut rng = Stream::new(0, Purpose::Standalone, 0);
        classifier.session().fit_predict(&task, &mut rng, &mut proba)?;
        Ok(proba)
    })?;
    Ok(matrix(queries.rows, n_classes, proba).into_pyarray(py))
}

/// Uniform orders of `0..size`, int64 (stop - start, count, size): `count` from each of the streams `start..stop`.
#[pyfunction]
fn permutations<'py>(
    py: Python<'py>,
    size: usize,
    count: usize,
    seed: u64,
    start: u64,
    stop: u64,
) -> PyResult<Bound<'py, PyArray3<i64>>> {
    let orders = briefly(py, || {
        let stream = |index| {
            let mut rng = Stream::new(seed, Purpose::Permutation, index);
            (0..count).flat_map(move |_| rng.permutation(size))
        };
        Ok((start..stop).flat_map(stream).map(i64::from).collect())
    })?;
    let streams = stop.saturating_sub(start) as usize;
    Ok(Array3::from_shape_vec((streams, count, size), orders)
        .expect("streams x count x size")
        .into_pyarray(py))
}

/// Exact Shapley values (N, M) of the memberships of rows of `x` in their `own` clusters; NaN for negative ones.
#[pyfunction]
fn exact_shapley<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    centers: PyReadonlyArray2<'py, f64>,
    baseline: PyReadonlyArray1<'py, f64>,
    own: PyReadonlyArray1<'py, i32>,
    power: f64,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (n, m) = (x.shape()[0], x.shape()[1]);
    let (x, centers, baseline, own) = (slice(&x)?, slice(&centers)?, slice(&baseline)?, slice(&own)?);
    let of = Memberships { x, centers, baseline, own, power };
    Ok(matrix(n, m, detached(py, threads, |workers| of.exact(workers))?).into_pyarray(py))
}

type ShapleyArrays<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>);

/// The same by `orders` random orders and their reverses: the values, and their squared standard errors (N, M).
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn permutation_shapley<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    centers: PyReadonlyArray2<'py, f64>,
    baseline: PyReadonlyArray1<'py, f64>,
    own: PyReadonlyArray1<'py, i32>,
    power: f64,
    orders: usize,
    seed: u64,
    threads: usize,
) -> PyResult<ShapleyArrays<'py>> {
    let (n, m) = (x.shape()[0], x.shape()[1]);
    let (x, centers, baseline, own) = (slice(&x)?, slice(&centers)?, slice(&baseline)?, slice(&own)?);
    let of = Memberships { x, centers, baseline, own, power };
    let found = detached(py, threads, |workers| of.permutation(orders, seed, workers))?;
    let part = |which: usize| matrix(n, m, found.iter().map(|cell| cell[which]).collect()).into_pyarray(py);
    Ok((part(0), part(1)))
}

/// Consensus clustering of `x` (N, M) by minipatches, by IMPACC or, without some of its parameters, MPACC or MPCC.
#[pyfunction]
fn minipatch_consensus<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    params: &Bound<'py, PyDict>,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let (n, m) = (x.shape()[0], x.shape()[1]);
    let x = slice(&x)?;
    let adaptive = match param(params, "burn_in")? {
        None => None,
        Some(burn_in) => Some(Adaptive {
            burn_in,
            alpha: param(params, "alpha")?,
            row_quantile: param(params, "sample_quantile")?,
            column_deviations: param(params, "feature_deviations")?,
        }),
    };
    let parameters = impacc::Parameters {
        n_clusters: param(params, "n_clusters")?,
        n_rows: param(params, "n_rows")?,
        n_columns: param(params, "n_columns")?,
        max_iter: param(params, "max_iter")?,
        cut_quantile: param(params, "cut_quantile")?,
        support: param(params, "support")?,
        tol: param(params, "tol")?,
        n_iter_no_change: param(params, "n_iter_no_change")?,
        adaptive,
    };
    let fit = detached(py, 1, |workers| impacc::fit(x, n, m, &parameters, seed, workers))?;
    let patches = fit.rows.len() / parameters.n_rows;
    let indices = |size, values: Vec<u32>| matrix(patches, size, values).into_pyarray(py);
    let out = PyDict::new(py);
    out.set_item("labels", fit.labels.into_iter().map(i64::from).collect::<Array1<i64>>().into_pyarray(py))?;
    out.set_item("consensus", matrix(n, n, fit.consensus).into_pyarray(py))?;
    out.set_item("confusion", fit.confusion.into_pyarray(py))?;
    out.set_item("confusion_curve", fit.confusion_curve.into_pyarray(py))?;
    out.set_item("rows_sampled", fit.rows_sampled.into_pyarray(py))?;
    out.set_item("columns_sampled", fit.columns_sampled.into_pyarray(py))?;
    out.set_item("support", fit.support.into_pyarray(py))?;
    out.set_item("row_weights", fit.row_weights.into_pyarray(py))?;
    out.set_item("column_weights", fit.column_weights.into_pyarray(py))?;
    out.set_item("rows", indices(parameters.n_rows, fit.rows))?;
    out.set_item("columns", indices(parameters.n_columns, fit.columns))?;
    Ok(out)
}

/// The instruction set that kernels run with: `"avx512"`, `"avx2"` or `"baseline"`.
#[pyfunction]
fn simd_level() -> &'static str {
    simd::level().name()
}

/// The compiled core of clusterwhy. See `_core.pyi` for shapes and dtypes.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{
        Presorted, align_patches, ari_scores, count_votes, estimator_seeds, exact_shapley, leave_one_out,
        losses, majority, minipatch_consensus, minipatch_indices, minipatch_masks, moments,
        monte_carlo_errors, native_classify, native_cluster, native_compare, native_descend,
        native_fit_clusters, native_grow, overlap_reference, pair_differences, permutation_shapley,
        permutations, probabilities, sample_scores, simd_level,
    };

    #[pymodule_export]
    use super::deep::{
        deep_apply, deep_autoencoder_epoch, deep_autoencoder_loss, deep_calibrate, deep_clusters_rate,
        deep_global_gates_epoch, deep_global_gates_loss, deep_head_loss, deep_heads_epoch, deep_initial,
    };

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
