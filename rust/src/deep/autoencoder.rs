//! The first stage: an autoencoder that learns, for each observation, which features it needs.
//!
//! For a batch `x`, gates `z` of the gating network, a random mask `m` and noise `e` around one, with an encoder `E`
//! and a decoder `D`,
//!
//! ```text
//! loss = |D(E(x)) - x| + |D(E(x m)) - x| + |D(E(x) e) - x|
//!      + |D(E(x z)) - x| + lambda * sparsity(z) - weight * R(z) / n        once the gates are in use
//! ```
//!
//! where `|.|` is the mean of squares or of absolute values ([`super::gates::sparsity`], [`super::coding_rate::total`]).
//! The versions of the batch are stacked as groups of rows ([`super::network`]); `E(x)` is computed once.

use super::batches::{Batches, fill_normal, gather};
use super::coding_rate;
use super::gates::{follows, gate, sparsity};
use super::network::{Activation, Network, Tape};
use super::optimizer::{Solver, Training};
use super::real::{Real, sum};
use crate::parallel::Workers;
use crate::rng::{Purpose, Stream};
use crate::simd::level;

/// Deviation of a gate's noise.
pub const GATE_NOISE: f64 = 0.5;

/// The three networks; their parameters lie one after the other.
#[derive(Debug, Clone)]
pub struct Autoencoder {
    gating: Network,
    encoder: Network,
    decoder: Network,
}

/// How a reconstruction is compared with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The mean of squared differences.
    Squared,
    /// The mean of absolute differences.
    Absolute,
}

/// The loss's options.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How reconstructions are compared.
    pub error: Error,
    /// Whether the gates are in use.
    pub gated: bool,
    /// Weight of the gates' sparsity.
    pub sparsity: f64,
    /// Weight of the gates' coding rate, and its precision.
    pub diversity: f64,
    /// Precision of the gates' coding rate.
    pub precision: f64,
    /// Share of the features that a random mask closes.
    pub masked: f64,
    /// Deviation of the noise that multiplies the embedding.
    pub latent_noise: f64,
}

/// Random numbers of one batch.
#[derive(Debug, Clone, Default)]
pub struct Noise<T> {
    /// Added to the gates' `mu` (`n x D`, deviation [`GATE_NOISE`]).
    pub gates: Vec<T>,
    /// 0 or 1 for each value (`n x D`).
    pub mask: Vec<T>,
    /// Factors of the embedding (`n x d`).
    pub latent: Vec<T>,
}

impl<T: Real> Noise<T> {
    fn draw(&mut self, n: usize, features: usize, latent: usize, settings: &Settings, stream: &mut Stream) {
        self.mask.clear();
        // Two values of 32 bits from one of 64.
        let closed = (settings.masked * (1u64 << 32) as f64) as u64;
        let values = (0..(n * features).div_ceil(2)).flat_map(|_| {
            let bits = stream.next_u64();
            [bits >> 32, bits & u64::from(u32::MAX)].map(|b| if b < closed { T::ZERO } else { T::ONE })
        });
        self.mask.extend(values);
        self.mask.truncate(n * features);
        fill_normal(&mut self.latent, n * latent, 1.0, settings.latent_noise, stream);
        let gates = if settings.gated { n * features } else { 0 };
        fill_normal(&mut self.gates, gates, 0.0, GATE_NOISE, stream);
    }
}

/// The loss's terms, before their weights; those of the gates are 0 while the gates are not in use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Terms {
    /// Reconstruction from the batch itself.
    pub clean: f64,
    /// From the randomly masked batch.
    pub masked: f64,
    /// From the gated batch.
    pub gated: f64,
    /// From the noisy embedding.
    pub latent: f64,
    /// Mean chance of a gate to be open.
    pub sparsity: f64,
    /// Coding rate of the gates, per observation.
    pub rate: f64,
}

impl Terms {
    /// The weighted sum that is minimised.
    pub fn loss(&self, settings: &Settings) -> f64 {
        self.clean + self.masked + self.gated + self.latent + settings.sparsity * self.sparsity
            - settings.diversity * self.rate
    }

    fn add(&mut self, other: Terms, weight: f64) {
        self.clean += weight * other.clean;
        self.masked += weight * other.masked;
        self.gated += weight * other.gated;
        self.latent += weight * other.latent;
        self.sparsity += weight * other.sparsity;
        self.rate += weight * other.rate;
    }
}

/// Memory that is reused from batch to batch.
#[derive(Debug, Default)]
pub struct Scratch<T> {
    tapes: [Tape<T>; 3],
    batch: Vec<T>,
    noise: Noise<T>,
    gates: Vec<T>,
    inputs: Vec<T>,
    latents: Vec<T>,
    d_output: Vec<T>,
    d_embedding: Vec<T>,
    d_mu: Vec<T>,
    gradient: Vec<T>,
}

impl Autoencoder {
    /// A gating network from the features through `hidden` tanh units and back, and an encoder through `widths` (from
    /// the features to the embedding) with a decoder that mirrors it.
    pub fn new(hidden: usize, widths: &[usize]) -> Self {
        let features = widths[0];
        let mirrored: Vec<usize> = widths.iter().rev().copied().collect();
        Autoencoder {
            gating: Network::new(&[features, hidden, features], Activation::Tanh, Activation::Tanh),
            encoder: Network::new(widths, Activation::NormRelu, Activation::Linear),
            decoder: Network::new(&mirrored, Activation::NormRelu, Activation::Linear),
        }
    }

    /// The gating network, the encoder and the decoder.
    pub fn networks(&self) -> [&Network; 3] {
        [&self.gating, &self.encoder, &self.decoder]
    }

    /// Length of the parameters' slice.
    pub fn n_parameters(&self) -> usize {
        self.networks().iter().map(|network| network.n_parameters()).sum()
    }

    /// The terms of the loss of a batch `x`; the derivatives of the weighted sum are added to `gradient`.
    #[allow(clippy::too_many_arguments)]
    pub fn loss<T: Real>(
        &self,
        threads: usize,
        parameters: &[T],
        x: &[T],
        noise: &Noise<T>,
        settings: &Settings,
        scratch: &mut Scratch<T>,
        gradient: &mut [T],
    ) -> Terms {
        let (features, width) = (self.encoder.inputs(), self.encoder.outputs());
        let n = x.len() / features;
        let Scratch { tapes, gates, inputs, latents, d_output, d_embedding, d_mu, .. } = scratch;
        let [gating_tape, encoder_tape, decoder_tape] = tapes;
        let (gating_parameters, rest) = parameters.split_at(self.gating.n_parameters());
        let (encoder_parameters, decoder_parameters) = rest.split_at(self.encoder.n_parameters());
        let (gating_gradient, rest) = gradient.split_at_mut(self.gating.n_parameters());
        let (encoder_gradient, decoder_gradient) = rest.split_at_mut(self.encoder.n_parameters());
        let mut terms = Terms::default();

        // Groups of rows: clean, masked, gated; and for the decoder the noisy embeddings of the clean ones.
        inputs.clear();
        inputs.extend_from_slice(x);
        inputs.extend(x.iter().zip(&noise.mask).map(|(&x, &m)| x * m));
        if settings.gated {
            self.gating.forward(threads, gating_parameters, 1, x, gating_tape);
            gates.clear();
            gates.extend(gating_tape.output().iter().zip(&noise.gates).map(|(&mu, &e)| gate(mu + e)));
            inputs.extend(x.iter().zip(&*gates).map(|(&x, &z)| x * z));
        }
        let groups = inputs.len() / x.len();
        self.encoder.forward(threads, encoder_parameters, groups, inputs, encoder_tape);
        latents.clear();
        latents.extend_from_slice(encoder_tape.output());
        latents.extend(encoder_tape.output().iter().zip(&noise.latent).map(|(&h, &e)| h * e));
        self.decoder.forward(threads, decoder_parameters, groups + 1, latents, decoder_tape);

        d_output.clear();
        let mut errors = [0.0; 4];
        for (error, group) in errors.iter_mut().zip(decoder_tape.output().chunks(x.len())) {
            *error = compare(settings.error, group, x, d_output);
        }
        (terms.clean, terms.masked) = (errors[0], errors[1]);
        terms.gated = if settings.gated { errors[2] } else { 0.0 };
        terms.latent = errors[groups];

        let d_latents = self.decoder.backward(
            threads,
            decoder_parameters,
            groups + 1,
            latents,
            decoder_tape,
            d_output,
            0..(groups + 1) * n,
            decoder_gradient,
        );
        let (d_plain, d_noisy) = d_latents.split_at(groups * n * width);
        d_embedding.clear();
        d_embedding.extend_from_slice(d_plain);
        for ((d, &noisy), &e) in d_embedding.iter_mut().zip(d_noisy).zip(&noise.latent) {
            *d += noisy * e;
        }
        let gated_rows = if settings.gated { 2 * n..3 * n } else { 0..0 };
        let d_gated = self.encoder.backward(
            threads,
            encoder_parameters,
            groups,
            inputs,
            encoder_tape,
            d_embedding,
            gated_rows,
            encoder_gradient,
        );
        if !settings.gated {
            return terms;
        }

        let (rate, d_rate) = if settings.diversity > 0.0 {
            coding_rate::total(threads, gates, features, settings.precision)
        } else {
            (0.0, vec![T::ZERO; gates.len()])
        };
        terms.rate = rate / n as f64;
        let pull = T::from_f64(-settings.diversity / n as f64);
        d_mu.clear();
        for (((&d, &x), &z), &d_rate) in d_gated.iter().zip(x).zip(&*gates).zip(&d_rate) {
            d_mu.push(if follows(z) { d * x + pull * d_rate } else { T::ZERO });
        }
        terms.sparsity = sparsity(gating_tape.output(), GATE_NOISE, settings.sparsity, d_mu);
        self.gating.backward(threads, gating_parameters, 1, x, gating_tape, d_mu, 0..0, gating_gradient);
        terms
    }

    /// One pass over `x`; returns the means of the terms. Stops early, with a state that is not to be used, when the
    /// workers are told to.
    #[allow(clippy::too_many_arguments)]
    pub fn epoch<T: Real>(
        &self,
        workers: Workers<'_>,
        state: &mut Training<T>,
        x: &[T],
        settings: &Settings,
        batch_size: usize,
        rate: f64,
        seed: u64,
        epoch: u64,
    ) -> Terms {
        let (features, width) = (self.encoder.inputs(), self.encoder.outputs());
        let batches =
            Batches::draw(x.len() / features, batch_size, &mut Stream::new(seed, Purpose::Batches, epoch));
        let mut stream = Stream::new(seed, Purpose::Noise, epoch);
        let mut scratch = Scratch::default();
        let mut terms = Terms::default();
        for b in 0..batches.count() {
            if workers.stopped() {
                break;
            }
            let mut batch = std::mem::take(&mut scratch.batch);
            let mut noise = std::mem::take(&mut scratch.noise);
            let mut gradient = std::mem::take(&mut scratch.gradient);
            gather(x, features, batches.rows(b), &mut batch);
            noise.draw(batches.rows(b).len(), features, width, settings, &mut stream);
            gradient.clear();
            gradient.resize(state.parameters.len(), T::ZERO);
            let found = self.loss(
                workers.threads,
                &state.parameters,
                &batch,
                &noise,
                settings,
                &mut scratch,
                &mut gradient,
            );
            state.step(Solver::Adam, &gradient, rate);
            terms.add(found, batches.rows(b).len() as f64 * features as f64 / x.len() as f64);
            (scratch.batch, scratch.noise, scratch.gradient) = (batch, noise, gradient);
        }
        terms
    }
}

/// The mean error of a reconstruction; its derivatives are appended to `derivatives`.
fn compare<T: Real>(error: Error, output: &[T], x: &[T], derivatives: &mut Vec<T>) -> f64 {
    let share = 1.0 / x.len() as f64;
    let start = derivatives.len();
    derivatives.extend(output.iter().zip(x).map(|(&output, &x)| output - x));
    total(level(), error, &mut derivatives[start..], T::from_f64(share)) * share
}

dispatch! {
    /// The sum of the errors of differences, which turn into derivatives times `share`.
    fn total<T: Real>(error: Error, differences: &mut [T], share: T) -> f64 = total_body
}

#[inline(always)]
fn total_body<T: Real>(error: Error, differences: &mut [T], share: T) -> f64 {
    let mut errors = [T::ZERO; 256];
    let mut total = 0.0;
    for differences in differences.chunks_mut(errors.len()) {
        match error {
            Error::Squared => {
                for (d, error) in differences.iter_mut().zip(&mut errors) {
                    *error = *d * *d;
                    *d = share * (*d + *d);
                }
            }
            Error::Absolute => {
                for (d, error) in differences.iter_mut().zip(&mut errors) {
                    *error = d.or_more(-*d);
                    let sign = if *d < T::ZERO { -share } else { share };
                    *d = if *d == T::ZERO { T::ZERO } else { sign };
                }
            }
        }
        total += sum(&errors[..differences.len()]);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::super::check::{assert_gradient, random};
    use super::*;

    fn problem() -> (Autoencoder, Vec<f64>, Vec<f64>, Noise<f64>) {
        let model = Autoencoder::new(4, &[5, 6, 3]);
        let mut stream = Stream::new(0, Purpose::Noise, 0);
        let [gating, encoder, decoder] = model.networks().map(|n| n.initial::<f64>(&mut stream, 1.0));
        let x = random(&mut stream, 7 * 5);
        let mut noise = Noise::default();
        let settings = Settings { masked: 0.3, latent_noise: 0.2, ..plain() };
        noise.draw(7, 5, 3, &settings, &mut stream);
        (model, [gating, encoder, decoder].concat(), x, noise)
    }

    fn plain() -> Settings {
        Settings {
            error: Error::Squared,
            gated: true,
            sparsity: 0.0,
            diversity: 0.0,
            precision: 1.0,
            masked: 0.5,
            latent_noise: 0.1,
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences_for_every_term() {
        let (model, parameters, x, noise) = problem();
        let cases = [
            Settings { gated: false, ..plain() },
            plain(),
            Settings { error: Error::Absolute, ..plain() },
            Settings { sparsity: 2.0, ..plain() },
            Settings { diversity: 3.0, ..plain() },
            Settings { sparsity: 1.0, diversity: 1.0, precision: 0.1, ..plain() },
        ];
        for settings in cases {
            let loss = |parameters: &[f64], gradient: &mut [f64]| {
                let terms =
                    model.loss(1, parameters, &x, &noise, &settings, &mut Scratch::default(), gradient);
                terms.loss(&settings)
            };
            let mut gradient = vec![0.0; parameters.len()];
            loss(&parameters, &mut gradient);
            let mut unused = vec![0.0; parameters.len()];
            let unused = std::cell::RefCell::new(&mut unused);
            assert_gradient(|p| loss(p, &mut unused.borrow_mut()), &parameters, &gradient);
        }
    }

    #[test]
    fn training_lowers_the_loss_and_threads_change_no_bit() {
        let (model, parameters, x, _) = problem();
        let settings = Settings { sparsity: 0.1, diversity: 0.01, ..plain() };
        let fit = |threads| {
            let mut state = Training::new(parameters.clone());
            let terms: Vec<Terms> = (0..40)
                .map(|epoch| model.epoch(Workers::new(threads), &mut state, &x, &settings, 7, 1e-2, 0, epoch))
                .collect();
            (state, terms)
        };
        let (state, terms) = fit(1);
        assert!(terms[39].loss(&settings) < 0.7 * terms[0].loss(&settings));
        assert_eq!(state.steps, 40);
        assert_eq!(fit(1).0, state);
    }
}
