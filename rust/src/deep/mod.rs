//! Interpretable deep clustering (Svirsky and Lindenbaum, ICML 2024), with gradients written by hand.
//!
//! Two stages, each a loss over mini-batches, its exact gradient and a pass over the data:
//!
//! - [`autoencoder`]: a gating network, an encoder and a decoder learn to rebuild observations from few features;
//! - [`head`] and [`global_gates`]: embeddings are assigned to clusters that are cheap to code, and each cluster learns
//!   which features tell it from the others.
//!
//! Their parts: [`network`] (perceptrons), [`gates`], [`coding_rate`] (over [`cholesky`]), [`optimizer`], [`batches`],
//! [`product`] (matrix products) and [`real`] (precisions).
//!
//! Nothing here keeps state: parameters and moments come in and go out, and every random number is one of a stream that
//! the seed and the epoch name. Training can stop after any epoch and go on later, with the same bits.

pub mod autoencoder;
pub mod batches;
#[cfg(test)]
mod check;
pub mod cholesky;
pub mod coding_rate;
pub mod gates;
pub mod global_gates;
pub mod head;
pub mod network;
pub mod optimizer;
pub mod product;
pub mod real;
