//! The second stage's other half: which features tell each cluster from the others.
//!
//! A matrix of gates, one row a cluster, is learned with an auxiliary classifier `A` that has to name the cluster of an
//! observation from its gated features, `A(x z z_G[label])`, by cross-entropy, while open gates cost what
//! [`super::gates::sparsity`] says.

use super::autoencoder::GATE_NOISE;
use super::batches::{Batches, fill_normal, gather};
use super::gates::{follows, gate, sparsity};
use super::network::{Activation, Network, Tape};
use super::optimizer::{Solver, Training};
use super::real::Real;
use crate::elementary::{exp, ln};
use crate::parallel::Workers;
use crate::rng::{Purpose, Stream};

/// The gates' shape and the classifier. The parameters are the gates (`K x D`; `mu` is their hyperbolic tangent) and
/// then the classifier's.
#[derive(Debug, Clone)]
pub struct GlobalGates {
    classifier: Network,
}

/// Memory that is reused from batch to batch.
#[derive(Debug, Default)]
pub struct Scratch<T> {
    tape: Tape<T>,
    mu: Vec<T>,
    gates: Vec<T>,
    inputs: Vec<T>,
    d_logits: Vec<T>,
    d_mu: Vec<T>,
    gradient: Vec<T>,
}

impl GlobalGates {
    /// A classifier through `widths`, from the features to the clusters.
    pub fn new(widths: &[usize]) -> Self {
        GlobalGates { classifier: Network::new(widths, Activation::NormRelu, Activation::Linear) }
    }

    /// The auxiliary classifier.
    pub fn classifier(&self) -> &Network {
        &self.classifier
    }

    /// How many gates there are.
    pub fn n_gates(&self) -> usize {
        self.classifier.inputs() * self.classifier.outputs()
    }

    /// `(cross-entropy, sparsity)` of a batch of locally gated observations with their labels and normal noise
    /// (`n x D`); the derivatives of `cross-entropy + weight * sparsity` are added to `gradient`.
    #[allow(clippy::too_many_arguments)]
    pub fn loss<T: Real>(
        &self,
        threads: usize,
        parameters: &[T],
        x: &[T],
        labels: &[usize],
        noise: &[T],
        weight: f64,
        scratch: &mut Scratch<T>,
        gradient: &mut [T],
    ) -> [f64; 2] {
        let (features, clusters) = (self.classifier.inputs(), self.classifier.outputs());
        let Scratch { tape, mu, gates, inputs, d_logits, d_mu, .. } = scratch;
        let (matrix, classifier) = parameters.split_at(self.n_gates());
        let (d_matrix, d_classifier) = gradient.split_at_mut(self.n_gates());
        let n = labels.len();
        mu.clear();
        mu.extend(matrix.iter().map(|m| m.tanh()));
        let rows = labels.iter().flat_map(|&label| &mu[label * features..][..features]);
        gates.clear();
        gates.extend(rows.zip(noise).map(|(&mu, &e)| gate(mu + e)));
        inputs.clear();
        inputs.extend(x.iter().zip(&*gates).map(|(&x, &z)| x * z));
        self.classifier.forward(threads, classifier, 1, inputs, tape);

        d_logits.clear();
        let mut entropy = 0.0;
        for (logits, &label) in tape.output().chunks(clusters).zip(labels) {
            let largest = logits.iter().fold(f64::NEG_INFINITY, |m, l| m.max(l.to_f64()));
            let sum: f64 = logits.iter().map(|l| exp(l.to_f64() - largest)).sum();
            entropy -= logits[label].to_f64() - largest - ln(sum);
            d_logits.extend(logits.iter().enumerate().map(|(j, l)| {
                T::from_f64((exp(l.to_f64() - largest) / sum - f64::from(j == label)) / n as f64)
            }));
        }
        let d_inputs =
            self.classifier.backward(threads, classifier, 1, inputs, tape, d_logits, 0..n, d_classifier);
        d_mu.clear();
        d_mu.resize(mu.len(), T::ZERO);
        let open = sparsity(mu, GATE_NOISE, weight, d_mu);
        for (i, &label) in labels.iter().enumerate() {
            let row = i * features..(i + 1) * features;
            let values = d_inputs[row.clone()].iter().zip(&x[row.clone()]).zip(&gates[row]);
            for (d_mu, ((&d, &x), &z)) in d_mu[label * features..][..features].iter_mut().zip(values) {
                if follows(z) {
                    *d_mu += d * x;
                }
            }
        }
        for ((d, &d_mu), &mu) in d_matrix.iter_mut().zip(&*d_mu).zip(&*mu) {
            *d += d_mu * (T::ONE - mu * mu);
        }
        [entropy / n as f64, open]
    }

    /// One pass over locally gated observations; returns the mean cross-entropy and sparsity.
    #[allow(clippy::too_many_arguments)]
    pub fn epoch<T: Real>(
        &self,
        workers: Workers<'_>,
        state: &mut Training<T>,
        x: &[T],
        labels: &[usize],
        weight: f64,
        solver: Solver,
        batch_size: usize,
        rate: f64,
        seed: u64,
        epoch: u64,
    ) -> [f64; 2] {
        let features = self.classifier.inputs();
        let batches =
            Batches::draw(labels.len(), batch_size, &mut Stream::new(seed, Purpose::Batches, epoch));
        let mut stream = Stream::new(seed, Purpose::Noise, epoch);
        let mut scratch = Scratch::default();
        let (mut batch, mut noise, mut batch_labels) = (Vec::new(), Vec::new(), Vec::new());
        let mut means = [0.0; 2];
        for b in 0..batches.count() {
            if workers.stopped() {
                break;
            }
            let rows = batches.rows(b);
            gather(x, features, rows, &mut batch);
            batch_labels.clear();
            batch_labels.extend(rows.iter().map(|&i| labels[i]));
            fill_normal(&mut noise, batch.len(), 0.0, GATE_NOISE, &mut stream);
            let mut gradient = std::mem::take(&mut scratch.gradient);
            gradient.clear();
            gradient.resize(state.parameters.len(), T::ZERO);
            let found = self.loss(
                workers.threads,
                &state.parameters,
                &batch,
                &batch_labels,
                &noise,
                weight,
                &mut scratch,
                &mut gradient,
            );
            state.step(solver, &gradient, rate);
            scratch.gradient = gradient;
            let share = rows.len() as f64 / labels.len() as f64;
            means.iter_mut().zip(found).for_each(|(mean, value)| *mean += share * value);
        }
        means
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{assert_gradient, random};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let gates = GlobalGates::new(&[5, 6, 3]);
        let mut stream = Stream::new(0, Purpose::Noise, 0);
        let mut parameters = random(&mut stream, gates.n_gates());
        parameters.extend(gates.classifier().initial::<f64>(&mut stream, 1.0));
        let x = random(&mut stream, 8 * 5);
        let labels = [0, 1, 2, 0, 1, 2, 2, 0];
        let noise: Vec<f64> = (0..8 * 5).map(|_| GATE_NOISE * stream.normals()[0]).collect();
        for weight in [0.0, 2.0] {
            let loss = |parameters: &[f64], gradient: &mut [f64]| {
                let scratch = &mut Scratch::default();
                let [entropy, open] =
                    gates.loss(1, parameters, &x, &labels, &noise, weight, scratch, gradient);
                entropy + weight * open
            };
            let mut gradient = vec![0.0; parameters.len()];
            loss(&parameters, &mut gradient);
            assert_gradient(|p| loss(p, &mut vec![0.0; p.len()]), &parameters, &gradient);
        }
    }
}
