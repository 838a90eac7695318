//! The comparators, as far as they work in the core.

use numpy::ndarray::{Array1, Array3};
use numpy::{IntoPyArray, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{briefly, detached, matrix, param, slice};
use crate::comparators::impacc::{self, Adaptive};
use crate::comparators::shapley::Memberships;
use crate::rng::{Purpose, Stream};

/// Uniform orders of `0..size`, int64 (stop - start, count, size): `count` from each of the streams `start..stop`.
#[pyfunction]
pub fn permutations<'py>(
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
pub fn exact_shapley<'py>(
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

pub type ShapleyArrays<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>);

/// The same by `orders` random orders and their reverses: the values, and their squared standard errors (N, M).
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn permutation_shapley<'py>(
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
pub fn minipatch_consensus<'py>(
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
