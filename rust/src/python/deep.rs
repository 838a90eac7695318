//! Deep clustering: training works in single precision, losses are given in double to be compared with others.

use numpy::ndarray::Array1;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{briefly, detached, matrix, slice};
use crate::deep::autoencoder::{self, Autoencoder, Error as Difference, Noise, Terms};
use crate::deep::coding_rate;
use crate::deep::global_gates::{self, GlobalGates};
use crate::deep::head::{self, Head};
use crate::deep::network::{Activation, Network};
use crate::deep::optimizer::{Solver, Training};
use crate::error::{Error, Result};
use crate::parallel::{Workers, for_each_chunk, pooled};
use crate::rng::{Purpose, Stream};

/// Options of the autoencoder's loss, as a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct AutoencoderSettings {
    absolute: bool,
    gated: bool,
    sparsity: f64,
    diversity: f64,
    precision: f64,
    masked: f64,
    latent_noise: f64,
}

impl AutoencoderSettings {
    fn read(&self) -> autoencoder::Settings {
        let error = if self.absolute { Difference::Absolute } else { Difference::Squared };
        let &AutoencoderSettings { gated, sparsity, diversity, precision, masked, latent_noise, .. } = self;
        autoencoder::Settings { error, gated, sparsity, diversity, precision, masked, latent_noise }
    }
}

/// What one epoch needs besides the data, as a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Epoch {
    batch_size: usize,
    rate: f64,
    seed: u64,
    epoch: u64,
    threads: usize,
}

fn expect(what: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected { Ok(()) } else { Err(Error::shape(what, got, expected)) }
}

fn check_widths(widths: &[usize]) -> Result<()> {
    if widths.len() >= 2 && !widths.contains(&0) {
        return Ok(());
    }
    Err(Error::value("the widths of a network", format!("{widths:?}"), "two or more, all positive"))
}

/// A network of one of the two kinds.
fn network(widths: &[usize], kind: &str) -> Result<Network> {
    check_widths(widths)?;
    match kind {
        "tanh" => Ok(Network::new(widths, Activation::Tanh, Activation::Tanh)),
        "norm_relu" => Ok(Network::new(widths, Activation::NormRelu, Activation::Linear)),
        _ => Err(Error::value("the kind of a network", kind, "tanh or norm_relu")),
    }
}

fn terms_dict<'py>(py: Python<'py>, terms: &Terms, loss: f64) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let &Terms { clean, masked, gated, latent, sparsity, rate } = terms;
    for (name, value) in [
        ("clean", clean),
        ("masked", masked),
        ("gated", gated),
        ("latent", latent),
        ("sparsity", sparsity),
        ("rate", rate),
        ("loss", loss),
    ] {
        out.set_item(name, value)?;
    }
    Ok(out)
}

/// First parameters of a network; `index` names the network among those of a seed.
#[pyfunction]
pub fn deep_initial<'py>(
    py: Python<'py>,
    widths: Vec<usize>,
    kind: &str,
    last_gain: f64,
    seed: u64,
    index: u64,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let network = network(&widths, kind)?;
    let mut stream = Stream::new(seed, Purpose::Weights, index);
    let parameters = briefly(py, || Ok(network.initial::<f32>(&mut stream, last_gain)))?;
    Ok(parameters.into_pyarray(py))
}

/// Moments of the batch-normed columns of a trained network over all of `x`.
#[pyfunction]
pub fn deep_calibrate<'py>(
    py: Python<'py>,
    widths: Vec<usize>,
    kind: &str,
    parameters: PyReadonlyArray1<'py, f32>,
    x: PyReadonlyArray2<'py, f32>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let network = network(&widths, kind)?;
    let (columns, parameters, x) = (x.shape()[1], slice(&parameters)?, slice(&x)?);
    expect("the parameters' length", parameters.len(), network.n_parameters())?;
    expect("the number of columns", columns, network.inputs())?;
    let statistics = detached(py, threads, |workers| {
        Ok(pooled(workers, |threads| network.calibrate(threads, parameters, x)))
    })?;
    Ok(statistics.into_pyarray(py))
}

/// What a trained network makes of the rows of `x`.
#[pyfunction]
pub fn deep_apply<'py>(
    py: Python<'py>,
    widths: Vec<usize>,
    kind: &str,
    parameters: PyReadonlyArray1<'py, f32>,
    statistics: PyReadonlyArray1<'py, f32>,
    x: PyReadonlyArray2<'py, f32>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let network = network(&widths, kind)?;
    let (rows, columns) = (x.shape()[0], x.shape()[1]);
    let (parameters, statistics, x) = (slice(&parameters)?, slice(&statistics)?, slice(&x)?);
    expect("the parameters' length", parameters.len(), network.n_parameters())?;
    expect("the statistics' length", statistics.len(), network.n_statistics())?;
    expect("the number of columns", columns, network.inputs())?;
    let values = detached(py, threads, |workers| {
        Ok(pooled(workers, |threads| network.apply(threads, parameters, statistics, x)))
    })?;
    Ok(matrix(rows, network.outputs(), values).into_pyarray(py))
}

type State<'py> = (Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<f32>>, u64);

/// One epoch of the autoencoder and its gates: the new state and the means of the loss's terms.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn deep_autoencoder_epoch<'py>(
    py: Python<'py>,
    gating_size: usize,
    widths: Vec<usize>,
    parameters: PyReadonlyArray1<'py, f32>,
    moments: PyReadonlyArray1<'py, f32>,
    steps: u64,
    x: PyReadonlyArray2<'py, f32>,
    settings: AutoencoderSettings,
    epoch: Epoch,
) -> PyResult<(State<'py>, Bound<'py, PyDict>)> {
    check_widths(&widths)?;
    let model = Autoencoder::new(gating_size, &widths);
    let settings = settings.read();
    expect("the parameters' length", parameters.shape()[0], model.n_parameters())?;
    expect("the moments' length", moments.shape()[0], 2 * model.n_parameters())?;
    expect("the number of columns", x.shape()[1], widths[0])?;
    let (parameters, moments) = (slice(&parameters)?.to_vec(), slice(&moments)?.to_vec());
    let mut state = Training { parameters, moments, steps };
    let x = slice(&x)?;
    let Epoch { batch_size, rate, seed, epoch, threads } = epoch;
    let (state, terms) = detached(py, threads, |workers| {
        let terms = pooled(workers, |threads| {
            let workers = Workers { threads, ..workers };
            model.epoch(workers, &mut state, x, &settings, batch_size, rate, seed, epoch)
        });
        Ok((state, terms))
    })?;
    let arrays = (state.parameters.into_pyarray(py), state.moments.into_pyarray(py), state.steps);
    Ok((arrays, terms_dict(py, &terms, terms.loss(&settings))?))
}

type States<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<f32>>, u64);

/// One epoch of several heads, each with random numbers of its own: their new states and mean losses.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn deep_heads_epoch<'py>(
    py: Python<'py>,
    widths: Vec<usize>,
    parameters: PyReadonlyArray2<'py, f32>,
    moments: PyReadonlyArray2<'py, f32>,
    steps: u64,
    embedding: PyReadonlyArray2<'py, f32>,
    temperature: f64,
    precision: f64,
    epoch: Epoch,
) -> PyResult<(States<'py>, Bound<'py, PyArray1<f64>>)> {
    check_widths(&widths)?;
    let model = Head::new(&widths);
    let (heads, length) = (parameters.shape()[0], model.network().n_parameters());
    expect("the parameters' length", parameters.shape()[1], length)?;
    expect("the number of heads' moments", moments.shape()[0], heads)?;
    expect("the moments' length", moments.shape()[1], 2 * length)?;
    expect("the number of columns", embedding.shape()[1], widths[0])?;
    let states = slice(&parameters)?.chunks(length).zip(slice(&moments)?.chunks(2 * length));
    let training = |(parameters, moments): (&[f32], &[f32])| Training {
        parameters: parameters.into(),
        moments: moments.into(),
        steps,
    };
    let mut states: Vec<(Training<f32>, f64)> = states.map(|state| (training(state), 0.0)).collect();
    let embedding = slice(&embedding)?;
    let settings = head::Settings { temperature, precision };
    let Epoch { batch_size, rate, seed, epoch, threads } = epoch;
    let states = detached(py, threads, |workers| {
        for_each_chunk(
            workers,
            &mut states,
            1,
            || (),
            |(), index, part| {
                // Every head's epochs are numbered apart.
                let epoch = (index as u64 + 1) << 32 | epoch;
                let (state, loss) = &mut part[0];
                *loss = model.epoch(workers, state, embedding, &settings, batch_size, rate, seed, epoch);
            },
        );
        Ok(states)
    })?;
    let steps = states.first().map_or(steps, |(state, _)| state.steps);
    let losses: Array1<f64> = states.iter().map(|(_, loss)| *loss).collect();
    let parameters = states.iter().flat_map(|(state, _)| state.parameters.iter().copied()).collect();
    let moments = states.iter().flat_map(|(state, _)| state.moments.iter().copied()).collect();
    let arrays = (
        matrix(heads, length, parameters).into_pyarray(py),
        matrix(heads, 2 * length, moments).into_pyarray(py),
        steps,
    );
    Ok((arrays, losses.into_pyarray(py)))
}

fn check_codes(labels: &[i64], rows: usize, clusters: usize) -> Result<Vec<usize>> {
    expect("the number of labels", labels.len(), rows)?;
    let code = |&label: &i64| match usize::try_from(label) {
        Ok(code) if code < clusters => Ok(code),
        _ => Err(Error::value("a label", label, format!("0 to {}", clusters as i64 - 1))),
    };
    labels.iter().map(code).collect()
}

/// One epoch of the global gates and their classifier: the new state, mean cross-entropy and sparsity.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn deep_global_gates_epoch<'py>(
    py: Python<'py>,
    widths: Vec<usize>,
    parameters: PyReadonlyArray1<'py, f32>,
    moments: PyReadonlyArray1<'py, f32>,
    steps: u64,
    x: PyReadonlyArray2<'py, f32>,
    labels: PyReadonlyArray1<'py, i64>,
    weight: f64,
    adam: bool,
    epoch: Epoch,
) -> PyResult<(State<'py>, f64, f64)> {
    check_widths(&widths)?;
    let model = GlobalGates::new(&widths);
    let length = model.n_gates() + model.classifier().n_parameters();
    expect("the parameters' length", parameters.shape()[0], length)?;
    expect("the moments' length", moments.shape()[0], 2 * length)?;
    expect("the number of columns", x.shape()[1], widths[0])?;
    let labels = check_codes(slice(&labels)?, x.shape()[0], widths[widths.len() - 1])?;
    let (parameters, moments) = (slice(&parameters)?.to_vec(), slice(&moments)?.to_vec());
    let mut state = Training { parameters, moments, steps };
    let solver = if adam { Solver::Adam } else { Solver::Descent };
    let x = slice(&x)?;
    let Epoch { batch_size, rate, seed, epoch, threads } = epoch;
    // The numbers of epochs below 2^32 are the autoencoder's, and the heads' are below 2^63.
    let epoch = 1 << 63 | epoch;
    let (state, [entropy, open]) = detached(py, threads, |workers| {
        let means = pooled(workers, |threads| {
            let workers = Workers { threads, ..workers };
            model.epoch(workers, &mut state, x, &labels, weight, solver, batch_size, rate, seed, epoch)
        });
        Ok((state, means))
    })?;
    let arrays = (state.parameters.into_pyarray(py), state.moments.into_pyarray(py), state.steps);
    Ok((arrays, entropy, open))
}

/// The coding rate of clusters, per dimension, for unit embeddings and memberships.
#[pyfunction]
pub fn deep_clusters_rate<'py>(
    py: Python<'py>,
    embedding: PyReadonlyArray2<'py, f64>,
    memberships: PyReadonlyArray2<'py, f64>,
    precision: f64,
) -> PyResult<f64> {
    let (width, clusters) = (embedding.shape()[1], memberships.shape()[1]);
    expect("the number of memberships", memberships.shape()[0], embedding.shape()[0])?;
    let (embedding, memberships) = (slice(&embedding)?, slice(&memberships)?);
    detached(py, 1, |_| {
        Ok(coding_rate::of_clusters(embedding, width, memberships, clusters, precision).0 / width as f64)
    })
}

/// The autoencoder's loss and gradient for one batch and given noise, in double precision.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn deep_autoencoder_loss<'py>(
    py: Python<'py>,
    gating_size: usize,
    widths: Vec<usize>,
    parameters: PyReadonlyArray1<'py, f64>,
    x: PyReadonlyArray2<'py, f64>,
    gates: PyReadonlyArray2<'py, f64>,
    mask: PyReadonlyArray2<'py, f64>,
    latent: PyReadonlyArray2<'py, f64>,
    settings: AutoencoderSettings,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyArray1<f64>>)> {
    check_widths(&widths)?;
    let model = Autoencoder::new(gating_size, &widths);
    let settings = settings.read();
    let (rows, columns) = (x.shape()[0], x.shape()[1]);
    expect("the parameters' length", parameters.shape()[0], model.n_parameters())?;
    expect("the number of columns", columns, widths[0])?;
    expect("the gates' noise", gates.len(), rows * columns)?;
    expect("the mask", mask.len(), rows * columns)?;
    expect("the latent noise", latent.len(), rows * widths[widths.len() - 1])?;
    let copy = |array: &PyReadonlyArray2<'py, f64>| slice(array).map(<[f64]>::to_vec);
    let noise = Noise { gates: copy(&gates)?, mask: copy(&mask)?, latent: copy(&latent)? };
    let (parameters, x) = (slice(&parameters)?, slice(&x)?);
    let mut gradient = vec![0.0; model.n_parameters()];
    let scratch = &mut autoencoder::Scratch::default();
    let terms = briefly(py, || Ok(model.loss(1, parameters, x, &noise, &settings, scratch, &mut gradient)))?;
    Ok((terms_dict(py, &terms, terms.loss(&settings))?, gradient.into_pyarray(py)))
}

/// A head's loss and gradient for one batch of unit embeddings and given noise, in double precision.
#[pyfunction]
pub fn deep_head_loss<'py>(
    py: Python<'py>,
    widths: Vec<usize>,
    parameters: PyReadonlyArray1<'py, f64>,
    embedding: PyReadonlyArray2<'py, f64>,
    noise: PyReadonlyArray2<'py, f64>,
    temperature: f64,
    precision: f64,
) -> PyResult<(f64, Bound<'py, PyArray1<f64>>)> {
    check_widths(&widths)?;
    let model = Head::new(&widths);
    expect("the parameters' length", parameters.shape()[0], model.network().n_parameters())?;
    expect("the number of columns", embedding.shape()[1], widths[0])?;
    expect("the noise", noise.len(), embedding.shape()[0] * widths[widths.len() - 1])?;
    let (parameters, embedding, noise) = (slice(&parameters)?, slice(&embedding)?, slice(&noise)?);
    let settings = head::Settings { temperature, precision };
    let mut gradient = vec![0.0; model.network().n_parameters()];
    let scratch = &mut head::Scratch::default();
    let loss =
        briefly(py, || Ok(model.loss(parameters, embedding, noise, &settings, scratch, &mut gradient)))?;
    Ok((loss, gradient.into_pyarray(py)))
}

/// The global gates' `(cross-entropy, sparsity)` and gradient for one batch and given noise, in double precision.
#[pyfunction]
pub fn deep_global_gates_loss<'py>(
    py: Python<'py>,
    widths: Vec<usize>,
    parameters: PyReadonlyArray1<'py, f64>,
    x: PyReadonlyArray2<'py, f64>,
    labels: PyReadonlyArray1<'py, i64>,
    noise: PyReadonlyArray2<'py, f64>,
    weight: f64,
) -> PyResult<(f64, f64, Bound<'py, PyArray1<f64>>)> {
    check_widths(&widths)?;
    let model = GlobalGates::new(&widths);
    let length = model.n_gates() + model.classifier().n_parameters();
    expect("the parameters' length", parameters.shape()[0], length)?;
    expect("the number of columns", x.shape()[1], widths[0])?;
    expect("the noise", noise.len(), x.len())?;
    let labels = check_codes(slice(&labels)?, x.shape()[0], widths[widths.len() - 1])?;
    let mut gradient = vec![0.0; length];
    let scratch = &mut global_gates::Scratch::default();
    let (parameters, x, noise) = (slice(&parameters)?, slice(&x)?, slice(&noise)?);
    let [entropy, open] =
        briefly(py, || Ok(model.loss(1, parameters, x, &labels, noise, weight, scratch, &mut gradient)))?;
    Ok((entropy, open, gradient.into_pyarray(py)))
}
