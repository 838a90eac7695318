//! Multi-layer perceptrons: forward, backward, and the statistics that batch norm uses after training.
//!
//! A network is its shape; parameters lie outside, in one flat slice, so that an optimizer needs no structure. A layer
//! holds its weights (`inputs x outputs`, row-major) and then its bias, or for [`Activation::NormRelu`] the gain and
//! the shift of batch norm, which make a bias redundant.
//!
//! Rows may come in groups of equal size, one below the other: several versions of a mini-batch that pass the same
//! network. One product serves them all, and batch norm (Ioffe and Szegedy 2015) normalises each group by itself, as
//! if each had come alone.

use std::ops::Range;

use super::product::{View, multiply};
use super::real::Real;
use crate::rng::Stream;
use crate::simd::level;

/// Added to the variance in batch norm.
const VARIANCE_FLOOR: f64 = 1e-5;
/// Rows that pass a trained network at a time: bounds the memory.
const BLOCK: usize = 8192;

/// What follows the weights of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// A bias.
    Linear,
    /// A bias and the hyperbolic tangent.
    Tanh,
    /// Batch norm and the positive part.
    NormRelu,
}

#[derive(Debug, Clone, Copy)]
struct Layer {
    inputs: usize,
    outputs: usize,
    activation: Activation,
}

impl Layer {
    fn n_parameters(self) -> usize {
        let vectors = if self.activation == Activation::NormRelu { 2 } else { 1 };
        (self.inputs + vectors) * self.outputs
    }

    fn n_statistics(self) -> usize {
        if self.activation == Activation::NormRelu { 2 * self.outputs } else { 0 }
    }
}

/// The shape of a multi-layer perceptron.
#[derive(Debug, Clone)]
pub struct Network {
    layers: Vec<Layer>,
}

/// What a forward pass leaves for the backward pass; its memory is reused.
#[derive(Debug, Default)]
pub struct Tape<T> {
    layers: Vec<LayerTape<T>>,
    /// Derivatives with respect to what enters and leaves a layer, by turns.
    derivatives: [Vec<T>; 2],
}

#[derive(Debug, Default)]
struct LayerTape<T> {
    output: Vec<T>,
    /// Batch norm only: the normalised values, and one over the deviation of each group and column.
    normalised: Vec<T>,
    scales: Vec<T>,
}

impl<T: Real> Tape<T> {
    /// What left the last layer.
    pub fn output(&self) -> &[T] {
        self.layers.last().map_or(&[], |layer| &layer.output)
    }
}

impl Network {
    /// A network through `widths`, from the inputs to the outputs.
    ///
    /// # Panics
    /// With fewer than two widths.
    pub fn new(widths: &[usize], hidden: Activation, last: Activation) -> Self {
        assert!(widths.len() >= 2, "a network has inputs and outputs");
        let n = widths.len() - 1;
        let layer = |i: usize| Layer {
            inputs: widths[i],
            outputs: widths[i + 1],
            activation: if i + 1 == n { last } else { hidden },
        };
        Network { layers: (0..n).map(layer).collect() }
    }

    /// Width of the input.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs
    }

    /// Width of the output.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs
    }

    /// Length of the parameters' slice.
    pub fn n_parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.n_parameters()).sum()
    }

    /// Length of the statistics' slice: mean and variance of each batch-normed column.
    pub fn n_statistics(&self) -> usize {
        self.layers.iter().map(|layer| layer.n_statistics()).sum()
    }

    /// Each layer with the place of its parameters and of its statistics.
    fn places(&self) -> std::vec::IntoIter<(Layer, Range<usize>, Range<usize>)> {
        let (mut p, mut s) = (0, 0);
        let mut places = Vec::with_capacity(self.layers.len());
        for &layer in &self.layers {
            places.push((layer, p..p + layer.n_parameters(), s..s + layer.n_statistics()));
            (p, s) = (p + layer.n_parameters(), s + layer.n_statistics());
        }
        places.into_iter()
    }

    /// Random first parameters: weights of variance 2 / inputs before a positive part (He et al. 2015), else
    /// 2 / (inputs + outputs) (Glorot and Bengio 2010), those of the last layer times `last_gain`; gains of 1, the
    /// rest 0.
    pub fn initial<T: Real>(&self, stream: &mut Stream, last_gain: f64) -> Vec<T> {
        let mut parameters = vec![T::ZERO; self.n_parameters()];
        for (i, (layer, place, _)) in self.places().enumerate() {
            let (weights, vectors) = parameters[place].split_at_mut(layer.inputs * layer.outputs);
            let variance = match layer.activation {
                Activation::NormRelu => 2.0 / layer.inputs as f64,
                _ => 2.0 / (layer.inputs + layer.outputs) as f64,
            };
            let gain = if i + 1 == self.layers.len() { last_gain } else { 1.0 };
            weights.iter_mut().for_each(|w| *w = T::from_f64(gain * variance.sqrt() * stream.normals()[0]));
            if layer.activation == Activation::NormRelu {
                vectors[..layer.outputs].fill(T::ONE);
            }
        }
        parameters
    }

    /// Passes `groups` groups of rows through the network in training: batch norm uses each group's own moments.
    pub fn forward<T: Real>(
        &self,
        threads: usize,
        parameters: &[T],
        groups: usize,
        x: &[T],
        tape: &mut Tape<T>,
    ) {
        let rows = x.len() / self.inputs();
        tape.layers.resize_with(self.layers.len(), LayerTape::default);
        for (i, (layer, place, _)) in self.places().enumerate() {
            let (before, rest) = tape.layers.split_at_mut(i);
            let input = before.last().map_or(x, |layer| &layer.output);
            let own = &mut rest[0];
            let (weights, vectors) = parameters[place].split_at(layer.inputs * layer.outputs);
            own.output.resize(rows * layer.outputs, T::ZERO);
            let weights = View::new(weights, layer.inputs, layer.outputs);
            multiply(threads, View::new(input, rows, layer.inputs), weights, &mut own.output, false);
            match layer.activation {
                Activation::NormRelu => own.normalise(layer.outputs, rows / groups, vectors),
                activation => add_bias(&mut own.output, vectors, activation),
            }
        }
    }

    /// Derivatives of a loss with respect to the parameters, added to `gradient`, from those with respect to the
    /// output of the last [`Network::forward`]; returns those with respect to the `wanted` rows of its input.
    #[allow(clippy::too_many_arguments)]
    pub fn backward<'a, T: Real>(
        &self,
        threads: usize,
        parameters: &[T],
        groups: usize,
        x: &[T],
        tape: &'a mut Tape<T>,
        d_output: &[T],
        wanted: Range<usize>,
        gradient: &mut [T],
    ) -> &'a [T] {
        let rows = x.len() / self.inputs();
        let Tape { layers, derivatives: [current, next] } = tape;
        current.clear();
        current.extend_from_slice(d_output);
        for (i, (layer, place, _)) in self.places().enumerate().rev() {
            let own = &layers[i];
            let input = if i == 0 { x } else { &layers[i - 1].output };
            let (weights, vectors) = parameters[place.clone()].split_at(layer.inputs * layer.outputs);
            let (d_weights, d_vectors) = gradient[place].split_at_mut(layer.inputs * layer.outputs);
            match layer.activation {
                Activation::NormRelu => {
                    own.denormalise(layer.outputs, rows / groups, vectors, current, d_vectors);
                }
                activation => {
                    if activation == Activation::Tanh {
                        for (d, &a) in current.iter_mut().zip(&own.output) {
                            *d *= T::ONE - a * a;
                        }
                    }
                    add_columns(level(), d_vectors, current);
                }
            }
            let d = View::new(current, rows, layer.outputs);
            multiply(threads, View::new(input, rows, layer.inputs).t(), d, d_weights, true);
            // The data need no derivatives, except the rows that somebody asked for.
            let rows = if i == 0 { wanted.clone() } else { 0..rows };
            next.resize(rows.len() * layer.inputs, T::ZERO);
            let d = &current[rows.start * layer.outputs..rows.end * layer.outputs];
            let weights = View::new(weights, layer.inputs, layer.outputs).t();
            multiply(threads, View::new(d, rows.len(), layer.outputs), weights, next, false);
            std::mem::swap(current, next);
        }
        current
    }

    /// Passes rows through the trained network, with the moments of [`Network::calibrate`].
    pub fn apply<T: Real>(&self, threads: usize, parameters: &[T], statistics: &[T], x: &[T]) -> Vec<T> {
        let mut out = Vec::with_capacity(x.len() / self.inputs() * self.outputs());
        for block in x.chunks(BLOCK * self.inputs()) {
            out.extend(self.apply_first(self.layers.len(), threads, parameters, statistics, block));
        }
        out
    }

    /// Passes a block of rows through the first `depth` layers.
    fn apply_first<T: Real>(
        &self,
        depth: usize,
        threads: usize,
        parameters: &[T],
        statistics: &[T],
        x: &[T],
    ) -> Vec<T> {
        let mut values = x.to_vec();
        for (layer, place, moments) in self.places().take(depth) {
            let vectors = &parameters[place.start + layer.inputs * layer.outputs..place.end];
            values = weighted(layer, threads, &parameters[place], &values);
            if layer.activation == Activation::NormRelu {
                let (means, variances) = statistics[moments].split_at(layer.outputs);
                let (gains, shifts) = vectors.split_at(layer.outputs);
                for row in values.chunks_mut(layer.outputs) {
                    for (j, value) in row.iter_mut().enumerate() {
                        let scale = T::ONE / (variances[j] + T::from_f64(VARIANCE_FLOOR)).sqrt();
                        *value = (gains[j] * ((*value - means[j]) * scale) + shifts[j]).or_more(T::ZERO);
                    }
                }
            } else {
                add_bias(&mut values, vectors, layer.activation);
            }
        }
        values
    }

    /// Mean and variance of each batch-normed column over all rows, layer by layer: what batch norm uses once
    /// training is over. Exact, so no running averages are kept while training.
    ///
    /// Costs one forward pass for each such layer.
    pub fn calibrate<T: Real>(&self, threads: usize, parameters: &[T], x: &[T]) -> Vec<T> {
        let rows = (x.len() / self.inputs()) as f64;
        let mut statistics = vec![T::ZERO; self.n_statistics()];
        for (depth, (layer, place, moments)) in self.places().enumerate() {
            if layer.activation != Activation::NormRelu {
                continue;
            }
            let mut sums = vec![[0.0; 2]; layer.outputs];
            for block in x.chunks(BLOCK * self.inputs()) {
                let values = self.apply_first(depth, threads, parameters, &statistics, block);
                for row in weighted(layer, threads, &parameters[place.clone()], &values).chunks(layer.outputs)
                {
                    for (sum, value) in sums.iter_mut().zip(row) {
                        let value = value.to_f64();
                        sum[0] += value;
                        sum[1] += value * value;
                    }
                }
            }
            let (means, variances) = statistics[moments].split_at_mut(layer.outputs);
            for (j, [sum, squares]) in sums.into_iter().enumerate() {
                let mean = sum / rows;
                means[j] = T::from_f64(mean);
                variances[j] = T::from_f64((squares / rows - mean * mean).max(0.0));
            }
        }
        statistics
    }
}

/// A layer's weights applied to rows.
fn weighted<T: Real>(layer: Layer, threads: usize, parameters: &[T], x: &[T]) -> Vec<T> {
    let rows = x.len() / layer.inputs;
    let weights = &parameters[..layer.inputs * layer.outputs];
    let mut out = vec![T::ZERO; rows * layer.outputs];
    let weights = View::new(weights, layer.inputs, layer.outputs);
    multiply(threads, View::new(x, rows, layer.inputs), weights, &mut out, false);
    out
}

fn add_bias<T: Real>(values: &mut [T], bias: &[T], activation: Activation) {
    activate(level(), values, bias, activation == Activation::Tanh);
}

dispatch! {
    fn activate<T: Real>(values: &mut [T], bias: &[T], tanh: bool) = activate_body
}

#[inline(always)]
fn activate_body<T: Real>(values: &mut [T], bias: &[T], tanh: bool) {
    for row in values.chunks_mut(bias.len()) {
        for (value, &b) in row.iter_mut().zip(bias) {
            *value += b;
        }
        if tanh {
            row.iter_mut().for_each(|value| *value = value.tanh());
        }
    }
}

dispatch! {
    fn add_columns<T: Real>(sums: &mut [T], values: &[T]) = add_columns_body
}

#[inline(always)]
fn add_columns_body<T: Real>(sums: &mut [T], values: &[T]) {
    for row in values.chunks_exact(sums.len()) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

impl<T: Real> LayerTape<T> {
    /// `output = max(0, gain * (output - mean) / deviation + shift)`, with the moments of each group of rows.
    fn normalise(&mut self, columns: usize, group: usize, vectors: &[T]) {
        self.normalised.resize(self.output.len(), T::ZERO);
        self.scales.resize(self.output.len() / group, T::ZERO);
        let size = group * columns;
        let groups = self.output.chunks_mut(size).zip(self.normalised.chunks_mut(size));
        for ((values, normalised), scales) in groups.zip(self.scales.chunks_mut(columns)) {
            normalise_group(level(), values, normalised, scales, vectors);
        }
    }

    /// Turns derivatives with respect to the output into those with respect to what was normalised, and adds those
    /// with respect to the gains and shifts.
    fn denormalise(&self, columns: usize, group: usize, vectors: &[T], d: &mut [T], d_vectors: &mut [T]) {
        let size = group * columns;
        let saved =
            self.normalised.chunks(size).zip(self.output.chunks(size)).zip(self.scales.chunks(columns));
        for (d, ((normalised, output), scales)) in d.chunks_mut(size).zip(saved) {
            denormalise_group(level(), d, normalised, output, scales, &vectors[..columns], d_vectors);
        }
    }
}

dispatch! {
    fn normalise_group<T: Real>(
        values: &mut [T], normalised: &mut [T], scales: &mut [T], vectors: &[T],
    ) = normalise_group_body
}

#[inline(always)]
fn normalise_group_body<T: Real>(values: &mut [T], normalised: &mut [T], scales: &mut [T], vectors: &[T]) {
    let columns = scales.len();
    let (gains, shifts) = vectors.split_at(columns);
    let share = T::from_f64(columns as f64 / values.len() as f64);
    let mut means = vec![T::ZERO; columns];
    add_columns_body(&mut means, values);
    means.iter_mut().for_each(|mean| *mean *= share);
    scales.fill(T::ZERO);
    for (row, centred) in values.chunks_exact(columns).zip(normalised.chunks_exact_mut(columns)) {
        for (((&value, centred), &mean), square) in row.iter().zip(centred).zip(&means).zip(&mut *scales) {
            *centred = value - mean;
            *square += *centred * *centred;
        }
    }
    for scale in &mut *scales {
        *scale = T::ONE / (*scale * share + T::from_f64(VARIANCE_FLOOR)).sqrt();
    }
    for (row, normal) in values.chunks_exact_mut(columns).zip(normalised.chunks_exact_mut(columns)) {
        let columns = row.iter_mut().zip(normal).zip(&*scales).zip(gains.iter().zip(shifts));
        for (((value, normal), &scale), (&gain, &shift)) in columns {
            *normal *= scale;
            *value = (gain * *normal + shift).or_more(T::ZERO);
        }
    }
}

dispatch! {
    /// `d <- gain / deviation * (d - mean(d) - u mean(d u))` for normalised values `u`, where the output is positive.
    fn denormalise_group<T: Real>(
        d: &mut [T], normalised: &[T], output: &[T], scales: &[T], gains: &[T], d_vectors: &mut [T],
    ) = denormalise_group_body
}

#[inline(always)]
fn denormalise_group_body<T: Real>(
    d: &mut [T],
    normalised: &[T],
    output: &[T],
    scales: &[T],
    gains: &[T],
    d_vectors: &mut [T],
) {
    let columns = scales.len();
    let share = T::from_f64(columns as f64 / d.len() as f64);
    let (mut sums, mut products) = (vec![T::ZERO; columns], vec![T::ZERO; columns]);
    let rows = d.chunks_exact_mut(columns).zip(normalised.chunks_exact(columns));
    for ((d, u), a) in rows.zip(output.chunks_exact(columns)) {
        let sums = sums.iter_mut().zip(&mut products);
        for (((d, &u), &a), (sum, product)) in d.iter_mut().zip(u).zip(a).zip(sums) {
            *d = if a > T::ZERO { *d } else { T::ZERO };
            *sum += *d;
            *product += *d * u;
        }
    }
    let (d_gains, d_shifts) = d_vectors.split_at_mut(columns);
    for j in 0..columns {
        d_shifts[j] += sums[j];
        d_gains[j] += products[j];
        sums[j] *= share;
        products[j] *= share;
    }
    let factors: Vec<T> = gains.iter().zip(scales).map(|(&gain, &scale)| gain * scale).collect();
    for (d, u) in d.chunks_exact_mut(columns).zip(normalised.chunks_exact(columns)) {
        let means = sums.iter().zip(&products).zip(&factors);
        for ((d, &u), ((&mean, &product), &factor)) in d.iter_mut().zip(u).zip(means) {
            *d = factor * (*d - mean - u * product);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{assert_gradient, random};
    use super::*;
    use crate::rng::Purpose;

    fn network(hidden: Activation, last: Activation) -> Network {
        Network::new(&[4, 6, 5, 3], hidden, last)
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let mut stream = Stream::new(0, Purpose::Noise, 0);
        for hidden in [Activation::Linear, Activation::Tanh, Activation::NormRelu] {
            for last in [Activation::Linear, Activation::Tanh, Activation::NormRelu] {
                let network = network(hidden, last);
                let (rows, groups) = (14, 2);
                let x = random(&mut stream, rows * 4);
                let weights = random(&mut stream, rows * 3);
                let parameters: Vec<f64> = network
                    .initial::<f64>(&mut stream, 1.0)
                    .iter()
                    .map(|p| p + 0.1 * stream.unit())
                    .collect();
                let loss = |parameters: &[f64], x: &[f64]| {
                    let mut tape = Tape::default();
                    network.forward(1, parameters, groups, x, &mut tape);
                    tape.output().iter().zip(&weights).map(|(a, b)| a * b).sum::<f64>()
                };
                let mut tape = Tape::default();
                network.forward(1, &parameters, groups, &x, &mut tape);
                let mut gradient = vec![0.0; network.n_parameters()];
                let d_x = network
                    .backward(1, &parameters, groups, &x, &mut tape, &weights, 0..rows, &mut gradient)
                    .to_vec();
                assert_gradient(|p| loss(p, &x), &parameters, &gradient);
                assert_gradient(|x| loss(&parameters, x), &x, &d_x);
            }
        }
    }

    #[test]
    fn groups_are_normalised_as_if_each_came_alone() {
        let mut stream = Stream::new(1, Purpose::Noise, 0);
        let network = network(Activation::NormRelu, Activation::Linear);
        let parameters: Vec<f64> = network.initial(&mut stream, 1.0);
        let x = random(&mut stream, 3 * 8 * 4);
        let pass = |groups: usize, x: &[f64]| {
            let mut tape = Tape::default();
            network.forward(1, &parameters, groups, x, &mut tape);
            tape.output().to_vec()
        };
        let alone: Vec<f64> = x.chunks(8 * 4).flat_map(|x| pass(1, x)).collect();
        assert!(pass(3, &x).iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn calibrated_moments_are_those_of_one_batch_of_everything() {
        let mut stream = Stream::new(2, Purpose::Noise, 0);
        let network = network(Activation::NormRelu, Activation::Linear);
        let parameters: Vec<f64> = network.initial(&mut stream, 1.0);
        let x = random(&mut stream, 40 * 4);
        let statistics = network.calibrate(1, &parameters, &x);
        let mut tape = Tape::default();
        network.forward(1, &parameters, 1, &x, &mut tape);
        let applied = network.apply(1, &parameters, &statistics, &x);
        assert!(applied.iter().zip(tape.output()).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}
