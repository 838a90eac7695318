//! A minipatch's own copy of its part of the data.

use super::{Matrix, Values};

/// Reusable memory for gathered minipatches, in the precision of the data.
#[derive(Debug, Default)]
pub struct Gathered {
    single: Vec<f32>,
    double: Vec<f64>,
}

impl Gathered {
    /// Copies `rows` x `columns` of `data` and returns them as a matrix.
    pub fn gather(&mut self, data: Matrix<'_>, rows: &[u32], columns: &[u32]) -> Matrix<'_> {
        let values = match data.values {
            Values::F32(values) => {
                copy(values, data.columns, rows, columns, &mut self.single);
                Values::F32(&self.single)
            }
            Values::F64(values) => {
                copy(values, data.columns, rows, columns, &mut self.double);
                Values::F64(&self.double)
            }
        };
        Matrix { values, rows: rows.len(), columns: columns.len() }
    }
}

fn copy<T: Copy>(values: &[T], stride: usize, rows: &[u32], columns: &[u32], out: &mut Vec<T>) {
    out.clear();
    out.reserve(rows.len() * columns.len());
    for &i in rows {
        let row = &values[i as usize * stride..][..stride];
        out.extend(columns.iter().map(|&j| row[j as usize]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_what_is_named() {
        let values: Vec<f64> = (0..12).map(f64::from).collect();
        let data = Matrix { values: Values::F64(&values), rows: 3, columns: 4 };
        let mut memory = Gathered::default();
        for _ in 0..2 {
            let patch = memory.gather(data, &[0, 2], &[1, 3]);
            assert!(matches!(patch.values, Values::F64([1.0, 3.0, 9.0, 11.0])));
            assert_eq!((patch.rows, patch.columns), (2, 2));
        }
    }
}
