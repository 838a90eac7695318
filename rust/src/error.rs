//! The one error type of the core. Each variant carries what was got and what was expected, so that the
//! message needs no context from the caller.

/// What can go wrong in the core. All variants are user errors; bugs panic in tests only.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Two arrays that must agree in a size do not.
    #[error("{what} has {got}, expected {expected}")]
    Shape {
        /// Which argument.
        what: &'static str,
        /// What it has, with its unit.
        got: String,
        /// What it should have.
        expected: String,
    },
    /// A value outside its allowed range.
    #[error("{what} is {got}, expected {expected}")]
    Value {
        /// Which argument.
        what: &'static str,
        /// The value that was passed.
        got: String,
        /// The allowed values.
        expected: String,
    },
    /// An array larger than what memory there is.
    #[error("{what} would take {:.1} GB of memory, more than the system gives", *.bytes as f64 / 1e9)]
    Memory {
        /// What was to be stored.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
    },
    /// A method failed on one minipatch.
    #[error("minipatch {b}, {rows} x {columns}: {source}")]
    Patch {
        /// Which minipatch.
        b: usize,
        /// Its observations that the method was given.
        rows: usize,
        /// Its features.
        columns: usize,
        /// What went wrong.
        source: Box<Error>,
    },
}

/// Shorthand for results of the core.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether memory was the cause.
    pub fn is_memory(&self) -> bool {
        match self {
            Error::Memory { .. } => true,
            Error::Patch { source, .. } => source.is_memory(),
            Error::Shape { .. } | Error::Value { .. } => false,
        }
    }

    /// A [`Error::Shape`] from anything that prints.
    pub fn shape(what: &'static str, got: impl ToString, expected: impl ToString) -> Self {
        Error::Shape { what, got: got.to_string(), expected: expected.to_string() }
    }

    /// A [`Error::Value`] from anything that prints.
    pub fn value(what: &'static str, got: impl ToString, expected: impl ToString) -> Self {
        Error::Value { what, got: got.to_string(), expected: expected.to_string() }
    }
}
