//! Which features drive a clustering.

#[macro_use]
pub mod simd;
pub mod aggregate;
pub mod align;
pub mod ari;
pub mod assignment;
pub mod bits;
pub mod consensus;
pub mod error;
pub mod inference;
pub mod loss;
pub mod native;
pub mod overlap;
pub mod parallel;
#[cfg(feature = "python")]
mod python;
pub mod rng;
pub mod sampling;
pub mod summary;
pub mod votes;
