//! Which features drive a clustering.

#[macro_use]
pub mod simd;
pub mod error;
pub mod native;
pub mod parallel;
pub mod rng;
