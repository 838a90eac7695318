//! The native engine: clusterers and classifiers that run on one minipatch, with no Python in sight.
//!
//! A method is one file. It implements [`Clusterer`] or [`Classifier`], whose sessions own the working memory
//! that one thread reuses from minipatch to minipatch.

pub mod centroid;
pub mod distance;
pub mod engine;
pub mod forest;
pub mod gamma_mixture;
pub mod graph;
pub mod kmeans;
pub mod linkage;
pub mod neighbors;
pub mod patch;
pub mod presorted;
pub mod spectral;
pub mod tree;

mod grow;
mod lanczos;
mod orthogonality;
mod special;
mod split;
#[cfg(test)]
mod tests;
mod thin;
mod tridiagonal;

use crate::error::Result;
use crate::rng::Stream;

/// A dense row-major matrix of either precision, borrowed. Nothing here writes to it.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

/// A dense row-major matrix with its shape.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The entries, row by row.
    pub values: Values<'a>,
    /// Number of observations.
    pub rows: usize,
    /// Number of features.
    pub columns: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` rows from row `first` on.
    pub fn slice(self, first: usize, rows: usize) -> Matrix<'a> {
        let range = first * self.columns..(first + rows) * self.columns;
        let values = match self.values {
            Values::F32(values) => Values::F32(&values[range]),
            Values::F64(values) => Values::F64(&values[range]),
        };
        Matrix { values, rows, ..self }
    }

    /// An entry in single precision, as trees compare it.
    #[inline]
    pub(crate) fn single(&self, row: usize, column: usize) -> f32 {
        let at = row * self.columns + column;
        match self.values {
            Values::F32(values) => values[at],
            Values::F64(values) => values[at] as f32,
        }
    }
}

/// A clustering method with its parameters fixed.
pub trait Clusterer: Sync {
    /// Working memory for one thread. It borrows the parameters, and is reused for patch after patch.
    fn session(&self) -> Box<dyn ClusterSession + '_>;
}

/// A clusterer at work in one thread.
pub trait ClusterSession {
    /// Clusters the observations of `patch` (its own gathered copy of the data) and writes one label per row:
    /// `0..k` in no particular order, or -1 for noise. The result is a function of `patch` and the
    /// state of `rng` alone: nothing may leak from one call to the next.
    fn cluster(&mut self, patch: Matrix<'_>, rng: &mut Stream, labels: &mut [i32]) -> Result<()>;
}

/// What a classifier is trained on: rows and columns of some data, and the rows' classes.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// All the data, shared by every thread, or a part that was gathered for this task.
    pub data: Matrix<'a>,
    /// The rows to train on, ascending.
    pub rows: &'a [u32],
    /// The features to use, ascending.
    pub columns: &'a [u32],
    /// The class of each row of `rows`, in `0..n_classes`; at least one class occurs.
    pub classes: &'a [u32],
    /// Number of classes, of which some may not occur in `classes`.
    pub n_classes: usize,
}

/// What a trained classifier is asked about: rows of some data, and the columns that are those trained on.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The data of the task, or others.
    pub data: Matrix<'a>,
    /// The rows to predict.
    pub rows: &'a [u32],
    /// The column of each column trained on, ascending.
    pub columns: &'a [u32],
}

/// A classification method with its parameters fixed, and whatever it precomputed once from the whole data.
pub trait Classifier: Sync {
    /// Working memory for one thread.
    fn session(&self) -> Box<dyn ClassifySession + '_>;
}

/// A classifier at work in one thread.
pub trait ClassifySession {
    /// Trains on the rows of `task`; what was learned before is forgotten.
    fn fit(&mut self, task: &Task<'_>, rng: &mut Stream) -> Result<()>;

    /// Writes the class probabilities of each row of `query` to `proba` (`rows.len() x n_classes`, row-major, zero on
    /// entry; classes that do not occur keep 0).
    fn predict(&mut self, query: &Query<'_>, proba: &mut [f64]) -> Result<()>;
}
