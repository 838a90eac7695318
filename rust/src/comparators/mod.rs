//! The methods that LOCO is compared with, as far as they spend their time in loops of their own.

pub mod anova;
pub mod coassociation;
pub mod impacc;
pub mod relabel;
pub mod shapley;
