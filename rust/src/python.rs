//! The Python module `clusterwhy._core`: converts and delegates, nothing else.
//!
//! Every function takes NumPy arrays of one fixed dtype in C order, only reads them, releases the GIL while it
//! works and returns fresh arrays. Python normalises dtype and order before it calls; what arrives otherwise
//! is a `TypeError`. The one class, `Presorted`, lives as long as a fit and is never stored. [`Error`] becomes
//! `ValueError`, or `MemoryError`; a panic, which would be a bug, becomes `RuntimeError`.
//!
//! | Python | Rust |
//! |---|---|
//! | `uint16 (B, N)`, `float32 (B, N, K)`, `float64 (B, N, K)` | [`Votes`] |
//! | `uint64 (B, words)` | [`BitMatrix`] |
//! | `int32 (N,)`, -1 for noise | labels |

mod comparators;
mod deep;
mod native;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use numpy::ndarray::{Array1, Array2, Array3};
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bits::BitMatrix;
use crate::error::{Error, Result};
use crate::loss::Loss;
use crate::parallel::Workers;
use crate::rng::{Purpose, Stream};
use crate::sampling::Minipatches;
use crate::votes::{Ensemble, LeaveOneOut, Votes};
use crate::{aggregate, align, ari, consensus, inference, overlap, parallel, simd, summary};

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        let text = error.to_string();
        if error.is_memory() { PyMemoryError::new_err(text) } else { PyValueError::new_err(text) }
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
    simd::read()?;
    let stop = AtomicBool::new(false);
    let mut interrupt = None;
    let work = Mutex::new(Some(work));
    let run = || {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take().expect("run once");
        catch_unwind(AssertUnwindSafe(|| work(Workers { threads, stop: &stop })))
    };
    let outcome = py.detach(|| {
        std::thread::scope(|scope| {
            let (done, wait) = mpsc::channel::<()>();
            let started = std::thread::Builder::new().spawn_scoped(scope, || {
                let _done = done;
                run()
            });
            // Where there is no thread to be had (a container's limit) this one works, and signals wait for it.
            let Ok(handle) = started else { return run() };
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
    simd::read()?;
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
    // `as_slice` alone would read Fortran's order as if it were C's.
    let values = array.as_slice().ok().filter(|_| array.is_c_contiguous());
    values.ok_or_else(|| PyTypeError::new_err("expected a C-contiguous, aligned array"))
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
    fn ensemble(&self, py: Python<'_>) -> PyResult<Ensemble<'_>> {
        let votes = match &self.votes {
            VoteArray::Hard(votes) => Votes::Hard(slice(votes)?),
            VoteArray::Single(votes) => Votes::Single(slice(votes)?),
            VoteArray::Double(votes) => Votes::Double(slice(votes)?),
        };
        let ensemble =
            Ensemble { votes, voters: &self.voters, holds: &self.holds, n_classes: self.n_classes };
        briefly(py, || ensemble.validate())?;
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

/// For minipatches `start..stop`, as words of bits: the features that each holds, or the observations that it leaves out.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn minipatch_bits<'py>(
    py: Python<'py>,
    n_samples: usize,
    n_features: usize,
    n_rows: usize,
    n_columns: usize,
    seed: u64,
    start: usize,
    stop: usize,
    columns: bool,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let bits = detached(py, 1, |workers| {
        let design = Minipatches::new(n_samples, n_features, n_rows, n_columns, seed)?;
        Ok(if columns { design.held(start..stop, workers) } else { design.left_out(start..stop, workers) })
    })?;
    let stride = bits.stride();
    Ok(matrix(stop.saturating_sub(start), stride, bits.into_words()).into_pyarray(py))
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
    threads: usize,
) -> PyResult<(Bound<'py, PyArray1<i32>>, usize)> {
    let (labels, rows, offsets) = (slice(&labels)?, slice(&rows)?, slice(&offsets)?);
    let (reference, n_classes) = detached(py, threads, |workers| {
        let rows = check_ragged(rows, labels.len(), offsets, n_samples)?;
        let patches: Vec<overlap::Labelled<'_>> = offsets
            .windows(2)
            .map(|w| w[0] as usize..w[1] as usize)
            .map(|range| overlap::Labelled { rows: &rows[range.clone()], labels: &labels[range] })
            .collect();
        Ok(overlap::reference_from_overlaps(&patches, n_samples, workers))
    })?;
    Ok((reference.into_pyarray(py), n_classes))
}

type LooArrays<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<u32>>);

/// Sums of votes (N, K) and numbers of voters (N,) over the minipatches that leave an observation out.
#[pyfunction]
fn leave_one_out<'py>(py: Python<'py>, ensemble: Arrays<'py>, threads: usize) -> PyResult<LooArrays<'py>> {
    let ensemble = ensemble.ensemble(py)?;
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
    let ensemble = ensemble.ensemble(py)?;
    let loo = loo.of(&ensemble)?;
    let (n, m, k) = (ensemble.n_samples(), ensemble.n_features(), ensemble.n_classes);
    let losses = losses.iter().map(|name| loss_named(name)).collect::<PyResult<Vec<Loss>>>()?;
    let labels = slice(&labels)?;
    let (base, scores) = detached(py, threads, |workers| {
        check_labels(labels, n, k)?;
        let base = aggregate::loo_losses(&loo, labels, &losses);
        Ok((base, aggregate::sample_scores(&ensemble, &loo, labels, &losses, workers)?))
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
    let ensemble = ensemble.ensemble(py)?;
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
    let ensemble = ensemble.ensemble(py)?;
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
    let ensemble = ensemble.ensemble(py)?;
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
    let ensemble = ensemble.ensemble(py)?;
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

/// The instruction set that kernels run with: `"avx512"`, `"avx2"` or `"baseline"`.
#[pyfunction]
fn simd_level() -> PyResult<&'static str> {
    simd::read()?;
    Ok(simd::level().name())
}

/// The compiled core of clusterwhy. See `_core.pyi` for shapes and dtypes.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{
        align_patches, ari_scores, count_votes, estimator_seeds, leave_one_out, losses, majority,
        minipatch_bits, minipatch_indices, moments, monte_carlo_errors, overlap_reference, pair_differences,
        probabilities, sample_scores, simd_level,
    };

    #[pymodule_export]
    use super::comparators::{exact_shapley, minipatch_consensus, permutation_shapley, permutations};

    #[pymodule_export]
    use super::native::{
        Presorted, native_classify, native_cluster, native_compare, native_descend, native_fit_clusters,
        native_fit_gamma_mixture, native_grow, native_relabel,
    };

    #[pymodule_export]
    use super::deep::{
        deep_apply, deep_autoencoder_epoch, deep_autoencoder_loss, deep_calibrate, deep_clusters_rate,
        deep_global_gates_epoch, deep_global_gates_loss, deep_head_loss, deep_heads_epoch, deep_initial,
    };

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
