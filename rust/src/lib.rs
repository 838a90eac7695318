//! Which features drive a clustering: Cluster LOCO by ensembles of minipatches (He and Allen, arXiv 2606.14592).
//!
//! # The maths
//!
//! `B` minipatches of `n` observations and `m` features are drawn; each is clustered, its labels are aligned to
//! reference labels, and a classifier trained on them predicts the observations that the minipatch left out. With
//! `z*` the majority of the aligned labels,
//!
//! ```text
//! H(i, k)    = mean of p_b(i, k) over b with i not in I_b
//! H^-j(i, k) = mean of p_b(i, k) over b with i not in I_b and j not in F_b
//! D_j(i)     = loss(z*_i, H^-j(i)) - loss(z*_i, H(i))
//! ```
//!
//! and the importance of feature `j` is the mean of `D_j(i)`: over all observations, over those of a cluster, or for
//! each one on its own.
//!
//! | symbol | in the code | what |
//! |---|---|---|
//! | `N`, `M`, `K` | `n_samples`, `n_features`, `n_classes` | observations, features, classes |
//! | `B`, `n`, `m` | `n_patches`, `n_rows`, `n_columns` | minipatches and their size |
//! | `I_b`, `F_b` | `rows(b)`, `columns(b)` | what minipatch `b` holds |
//! | `z0`, `z*` | `reference`, `labels` | reference and consensus labels, codes `0..K`, -1 for noise |
//! | `p_b(i, k)` | [`votes::Votes`] | votes, hard or soft |
//! | `H` times its count | [`votes::LeaveOneOut`] | leave-one-out sums |
//!
//! # The modules, in the order that data flow
//!
//! - sample: [`rng`] (random streams), [`sampling`] (minipatches), [`bits`] (sets of indices)
//! - cluster: [`native`] (clusterers and classifiers that run here; `native::engine` runs minipatches)
//! - align: [`assignment`] (Hungarian), [`align`], [`overlap`] (reference labels from overlaps)
//! - vote: [`consensus`]
//! - train and predict: [`native`] again
//! - aggregate: [`votes`], [`aggregate`] (soft and hard votes), [`loss`], [`ari`]
//! - score: [`summary`] (means and deviations), [`inference`] (how far they can be trusted)
//! - beside LOCO: [`comparators`] (other methods, as far as they need a core of their own)
//! - beside them: [`deep`] (a clustering network that explains itself)
//! - machinery: [`simd`] (instruction sets), `lanes` (vectors), `elementary`
//!   (logarithms), [`parallel`] (threads), `memory` (huge pages), [`error`];
//!   only `python` and what is under it know Python.
//!
//! Where to start: `aggregate/mod.rs` for the scores, `native/mod.rs` for the traits that a new method implements.
//!
//! # What the tests cannot show
//!
//! The property tests hold every kernel against a plain twin on small random problems; that the scores mean anything
//! is shown by the studies in `benches` and `docs/evidence.md`.

#[macro_use]
pub mod simd;
pub mod aggregate;
pub mod align;
pub mod ari;
pub mod assignment;
pub mod bits;
pub mod comparators;
pub mod consensus;
pub mod deep;
mod elementary;
pub mod error;
pub mod inference;
mod lanes;
pub mod loss;
mod memory;
pub mod native;
pub mod overlap;
pub mod parallel;
#[cfg(feature = "python")]
mod python;
pub mod rng;
pub mod sampling;
pub mod summary;
pub mod votes;
