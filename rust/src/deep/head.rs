//! The second stage: a head that assigns embeddings to clusters, so that each cluster is cheap to code.
//!
//! Embeddings do not change any more. For a batch of them at unit length, memberships are a Gumbel-softmax (Jang et al.
//! 2017) of the head's logits, `p = softmax((log softmax(logits) + g) / temperature)`, and the loss is the clusters'
//! coding rate, [`super::coding_rate::of_clusters`], per dimension.

use super::batches::{Batches, gather};
use super::coding_rate;
use super::network::{Activation, Network, Tape};
use super::optimizer::{Solver, Training};
use super::real::Real;
use crate::elementary::exp;
use crate::parallel::Workers;
use crate::rng::{Purpose, Stream};

/// A clustering head: one hidden layer.
#[derive(Debug, Clone)]
pub struct Head {
    network: Network,
}

/// The loss's options.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Divides noisy log-probabilities: small makes memberships hard.
    pub temperature: f64,
    /// Precision of the coding rate.
    pub precision: f64,
}

/// Memory that is reused from batch to batch.
#[derive(Debug, Default)]
pub struct Scratch<T> {
    tape: Tape<T>,
    memberships: Vec<T>,
    batch: Vec<T>,
    noise: Vec<T>,
    gradient: Vec<T>,
}

impl Head {
    /// A head through `widths`, from the embedding to the clusters.
    pub fn new(widths: &[usize]) -> Self {
        Head { network: Network::new(widths, Activation::NormRelu, Activation::Linear) }
    }

    /// The network behind the logits.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The coding rate of a batch of unit embeddings with Gumbel noise; its derivatives are added to `gradient`.
    pub fn loss<T: Real>(
        &self,
        parameters: &[T],
        embedding: &[T],
        noise: &[T],
        settings: &Settings,
        scratch: &mut Scratch<T>,
        gradient: &mut [T],
    ) -> f64 {
        let (width, clusters) = (self.network.inputs(), self.network.outputs());
        let Scratch { tape, memberships, .. } = scratch;
        self.network.forward(1, parameters, 1, embedding, tape);
        memberships.clear();
        for (logits, noise) in tape.output().chunks(clusters).zip(noise.chunks(clusters)) {
            // A constant in a row cancels, so the logits do as well as their log-softmax.
            let noisy = |j: usize| (logits[j].to_f64() + noise[j].to_f64()) / settings.temperature;
            let largest = (0..clusters).map(noisy).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..clusters).map(|j| exp(noisy(j) - largest)).sum();
            memberships.extend((0..clusters).map(|j| T::from_f64(exp(noisy(j) - largest) / sum)));
        }
        let (rate, mut d) =
            coding_rate::of_clusters(embedding, width, memberships, clusters, settings.precision);
        let scale = T::from_f64(1.0 / (settings.temperature * width as f64));
        for (d, p) in d.chunks_mut(clusters).zip(memberships.chunks(clusters)) {
            let mean = d.iter().zip(p).fold(T::ZERO, |sum, (&d, &p)| sum + d * p);
            d.iter_mut().zip(p).for_each(|(d, &p)| *d = scale * p * (*d - mean));
        }
        self.network.backward(1, parameters, 1, embedding, tape, &d, 0..0, gradient);
        rate / width as f64
    }

    /// One pass over unit embeddings; returns the mean loss. `epoch` numbers the passes of all heads, so that no two
    /// see the same random numbers.
    #[allow(clippy::too_many_arguments)]
    pub fn epoch<T: Real>(
        &self,
        workers: Workers<'_>,
        state: &mut Training<T>,
        embedding: &[T],
        settings: &Settings,
        batch_size: usize,
        rate: f64,
        seed: u64,
        epoch: u64,
    ) -> f64 {
        let (width, clusters) = (self.network.inputs(), self.network.outputs());
        let n = embedding.len() / width;
        let batches = Batches::draw(n, batch_size, &mut Stream::new(seed, Purpose::Batches, epoch));
        let mut stream = Stream::new(seed, Purpose::Noise, epoch);
        let mut scratch = Scratch::default();
        let mut loss = 0.0;
        for b in 0..batches.count() {
            if workers.stopped() {
                break;
            }
            let mut batch = std::mem::take(&mut scratch.batch);
            let mut noise = std::mem::take(&mut scratch.noise);
            let mut gradient = std::mem::take(&mut scratch.gradient);
            gather(embedding, width, batches.rows(b), &mut batch);
            noise.clear();
            noise.extend((0..batches.rows(b).len() * clusters).map(|_| T::from_f64(stream.gumbel())));
            gradient.clear();
            gradient.resize(state.parameters.len(), T::ZERO);
            let found = self.loss(&state.parameters, &batch, &noise, settings, &mut scratch, &mut gradient);
            state.step(Solver::Adam, &gradient, rate);
            loss += found * batches.rows(b).len() as f64 / n as f64;
            (scratch.batch, scratch.noise, scratch.gradient) = (batch, noise, gradient);
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{assert_gradient, random};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let head = Head::new(&[4, 6, 3]);
        let mut stream = Stream::new(0, Purpose::Noise, 0);
        let parameters: Vec<f64> = head.network().initial(&mut stream, 1.0);
        let mut embedding = random(&mut stream, 9 * 4);
        coding_rate::to_unit_length(&mut embedding, 4);
        let noise: Vec<f64> = (0..9 * 3).map(|_| stream.gumbel()).collect();
        for temperature in [0.5, 1.0, 100.0] {
            let settings = Settings { temperature, precision: 0.1 };
            let loss = |parameters: &[f64], gradient: &mut [f64]| {
                head.loss(parameters, &embedding, &noise, &settings, &mut Scratch::default(), gradient)
            };
            let mut gradient = vec![0.0; parameters.len()];
            loss(&parameters, &mut gradient);
            assert_gradient(|p| loss(p, &mut vec![0.0; p.len()]), &parameters, &gradient);
        }
    }

    #[test]
    fn separate_directions_become_separate_clusters() {
        let mut stream = Stream::new(1, Purpose::Noise, 0);
        let mut embedding = vec![0.0; 60 * 3];
        for (i, row) in embedding.chunks_mut(3).enumerate() {
            row[i % 3] = 1.0;
            row.iter_mut().for_each(|v| *v += 0.05 * stream.normals()[0]);
        }
        coding_rate::to_unit_length(&mut embedding, 3);
        let head = Head::new(&[3, 16, 3]);
        let mut state: Training<f64> = Training::new(head.network().initial(&mut stream, 1.0));
        let settings = Settings { temperature: 1.0, precision: 0.1 };
        for epoch in 0..150 {
            head.epoch(Workers::new(1), &mut state, &embedding, &settings, 60, 1e-2, 0, epoch);
        }
        let statistics = head.network().calibrate(1, &state.parameters, &embedding);
        let logits = head.network().apply(1, &state.parameters, &statistics, &embedding);
        let label = |row: &[f64]| (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let labels: Vec<usize> = logits.chunks(3).map(label).collect();
        assert!(labels.iter().enumerate().all(|(i, &l)| l == labels[i % 3]), "{labels:?}");
    }
}
