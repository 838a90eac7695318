//! The data of a run, dense or sparse, and a minipatch's own dense copy of its part of them.

use super::presorted::too_large;
use super::{Matrix, Values};
use crate::error::{Error, Result};

/// All the data of a run.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// Every value.
    Dense(Matrix<'a>),
    /// The values that are not 0.
    Sparse(Csr<'a>),
}

impl Data<'_> {
    /// Number of observations.
    pub fn rows(&self) -> usize {
        match self {
            Data::Dense(matrix) => matrix.rows,
            Data::Sparse(csr) => csr.starts.len() - 1,
        }
    }

    /// Number of features.
    pub fn columns(&self) -> usize {
        match self {
            Data::Dense(matrix) => matrix.columns,
            Data::Sparse(csr) => csr.columns,
        }
    }
}

/// Whole numbers of either width, borrowed.
#[derive(Debug, Clone, Copy)]
pub enum Whole<'a> {
    /// 32 bits.
    I32(&'a [i32]),
    /// 64 bits.
    I64(&'a [i64]),
}

impl Whole<'_> {
    fn len(&self) -> usize {
        match self {
            Whole::I32(values) => values.len(),
            Whole::I64(values) => values.len(),
        }
    }

    #[inline(always)]
    fn at(&self, index: usize) -> usize {
        match self {
            Whole::I32(values) => values[index] as usize,
            Whole::I64(values) => values[index] as usize,
        }
    }
}

/// A sparse matrix by rows, as SciPy's: row `i` has `values[at]` in column `indices[at]` for `at` in
/// `starts[i]..starts[i + 1]`, in any order; values of one place add up.
#[derive(Debug, Clone, Copy)]
pub struct Csr<'a> {
    values: Values<'a>,
    indices: Whole<'a>,
    starts: Whole<'a>,
    columns: usize,
}

impl<'a> Csr<'a> {
    /// A matrix of `columns` columns.
    ///
    /// # Errors
    /// If the parts do not make a matrix. Cost: a pass over the indices.
    pub fn new(values: Values<'a>, indices: Whole<'a>, starts: Whole<'a>, columns: usize) -> Result<Self> {
        let count = match values {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
        };
        if indices.len() != count {
            return Err(Error::shape("the indices of a sparse matrix", indices.len(), count));
        }
        let ends = starts.len().checked_sub(1).map(|last| (starts.at(0), starts.at(last)));
        if ends != Some((0, count)) || (1..starts.len()).any(|i| starts.at(i - 1) > starts.at(i)) {
            return Err(Error::value(
                "indptr of a sparse matrix",
                "not in order",
                format!("0 first, {count} last, and never less than before"),
            ));
        }
        match (0..count).map(|at| indices.at(at)).find(|&column| column >= columns) {
            Some(column) => {
                Err(Error::value("a column of a sparse matrix", column, format!("less than {columns}")))
            }
            None => Ok(Csr { values, indices, starts, columns }),
        }
    }

    /// Checks that trees can compare the values.
    pub fn check_single(&self) -> Result<()> {
        let Values::F64(values) = self.values else { return Ok(()) };
        match values.iter().position(|&value| !(value as f32).is_finite()) {
            Some(at) => {
                let row = (1..self.starts.len()).position(|i| self.starts.at(i) > at).unwrap_or(0);
                Err(too_large(values[at], row, self.indices.at(at)))
            }
            None => Ok(()),
        }
    }
}

/// Reusable memory for gathered minipatches, in the precision of the data.
#[derive(Debug, Default)]
pub struct Gathered {
    single: Vec<f32>,
    double: Vec<f64>,
    /// The place of each column of sparse data in the minipatch.
    places: Vec<u32>,
}

/// A column that is not in the minipatch.
const ABSENT: u32 = u32::MAX;

impl Gathered {
    /// Copies `rows` x `columns` of `data` and returns them as a matrix.
    pub fn gather(&mut self, data: Data<'_>, rows: &[u32], columns: &[u32]) -> Matrix<'_> {
        let Gathered { single, double, places } = self;
        let values = match data {
            Data::Dense(Matrix { values: Values::F32(values), columns: stride, .. }) => {
                copy(values, stride, rows, columns, single);
                Values::F32(single)
            }
            Data::Dense(Matrix { values: Values::F64(values), columns: stride, .. }) => {
                copy(values, stride, rows, columns, double);
                Values::F64(double)
            }
            Data::Sparse(csr) => {
                places.clear();
                places.resize(csr.columns, ABSENT);
                columns.iter().zip(0..).for_each(|(&column, place)| places[column as usize] = place);
                match csr.values {
                    Values::F32(values) => {
                        scatter(csr, values, rows, columns.len(), places, single);
                        Values::F32(single)
                    }
                    Values::F64(values) => {
                        scatter(csr, values, rows, columns.len(), places, double);
                        Values::F64(double)
                    }
                }
            }
        };
        Matrix { values, rows: rows.len(), columns: columns.len() }
    }
}

/// Replaces `out` with a part of row-major values, in the precision of `out`.
pub(super) fn copy<T: Copy + Into<U>, U>(
    values: &[T],
    stride: usize,
    rows: &[u32],
    columns: &[u32],
    out: &mut Vec<U>,
) {
    out.clear();
    out.reserve(rows.len() * columns.len());
    for &i in rows {
        let row = &values[i as usize * stride..][..stride];
        out.extend(columns.iter().map(|&j| row[j as usize].into()));
    }
}

fn scatter<T: Copy + Default + std::ops::AddAssign>(
    csr: Csr<'_>,
    values: &[T],
    rows: &[u32],
    width: usize,
    places: &[u32],
    out: &mut Vec<T>,
) {
    out.clear();
    out.resize(rows.len() * width, T::default());
    for (&i, row) in rows.iter().zip(out.chunks_exact_mut(width)) {
        let range = csr.starts.at(i as usize)..csr.starts.at(i as usize + 1);
        let mut put = |column: usize, value: T| {
            let place = places[column];
            if place != ABSENT {
                row[place as usize] += value;
            }
        };
        match csr.indices {
            Whole::I32(indices) => {
                let columns = indices[range.clone()].iter();
                columns.zip(&values[range]).for_each(|(&column, &value)| put(column as usize, value));
            }
            Whole::I64(indices) => {
                let columns = indices[range.clone()].iter();
                columns.zip(&values[range]).for_each(|(&column, &value)| put(column as usize, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_what_is_named() {
        let values: Vec<f64> = (0..12).map(f64::from).collect();
        let data = Data::Dense(Matrix { values: Values::F64(&values), rows: 3, columns: 4 });
        let mut memory = Gathered::default();
        for _ in 0..2 {
            let patch = memory.gather(data, &[0, 2], &[1, 3]);
            assert!(matches!(patch.values, Values::F64([1.0, 3.0, 9.0, 11.0])));
            assert_eq!((patch.rows, patch.columns), (2, 2));
        }
    }

    #[test]
    fn gathers_sparse_values_in_any_order_and_adds_those_of_one_place() {
        // 0 7 0 1
        // 0 0 0 0
        // 4 0 5 2 + 3
        let (indices, starts) = ([3, 1, 2, 3, 0, 3], [0, 2, 2, 6]);
        let values = [1.0, 7.0, 5.0, 2.0, 4.0, 3.0];
        let wide: [Vec<i64>; 2] =
            [&indices[..], &starts[..]].map(|part| part.iter().map(|&v| i64::from(v)).collect());
        let single = values.map(|value| value as f32);
        let mut memory = Gathered::default();
        let narrow = Csr::new(Values::F64(&values), Whole::I32(&indices), Whole::I32(&starts), 4).unwrap();
        let wide = Csr::new(Values::F32(&single), Whole::I64(&wide[0]), Whole::I64(&wide[1]), 4).unwrap();
        for _ in 0..2 {
            let patch = memory.gather(Data::Sparse(narrow), &[0, 1, 2], &[1, 3]);
            assert!(matches!(patch.values, Values::F64([7.0, 1.0, 0.0, 0.0, 0.0, 5.0])));
            let patch = memory.gather(Data::Sparse(wide), &[2], &[0, 2, 3]);
            assert!(matches!(patch.values, Values::F32([4.0, 5.0, 5.0])));
        }
    }

    #[test]
    fn parts_that_make_no_matrix_are_refused() {
        let values = Values::F64(&[1.0, 2.0]);
        for (indices, starts) in [
            (&[0][..], &[0, 2][..]),
            (&[0, 4], &[0, 2]),
            (&[0, -1], &[0, 2]),
            (&[0, 1], &[0, 1]),
            (&[0, 1], &[0, 3, 2]),
            (&[0, 1], &[1, 2]),
            (&[0, 1], &[]),
        ] {
            assert!(
                Csr::new(values, Whole::I32(indices), Whole::I32(starts), 4).is_err(),
                "{indices:?} {starts:?}"
            );
        }
    }
}
