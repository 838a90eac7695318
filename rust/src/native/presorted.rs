//! The whole data, sorted once per feature, for every tree that will ever be grown on a part of it.
//!
//! A tree grown on a minipatch needs its rows in the order of each of its features. Sorting them anew costs
//! O(n m log n) per minipatch; keeping the members of an order made once costs O(N) per feature and no
//! comparison. Features of counts (gene expression above all) hold one value most of the time, so an order
//! leaves out the rows that have the feature's most frequent value, its *mode*: they move as one block, and
//! what is true of them follows from the totals.

use super::{Matrix, Query, Task, Values};
use crate::error::{Error, Result};
use crate::parallel::{Workers, for_each_chunk};

/// Marks, in an order, a row whose value differs from that of the row before it.
const NEW_VALUE: u32 = 1 << 31;

/// Every feature's values and the order of its rows.
///
/// Memory: 4 N M bytes for a single-precision copy by columns, and at most 4 N M bytes for the orders (less
/// the rows at the mode). Built in O(N M log N).
#[derive(Debug, Clone, Default)]
pub struct Presorted {
    /// Number of observations, N.
    pub rows: usize,
    /// Number of features, M.
    pub columns: usize,
    /// The data as single precision, column by column; what scikit-learn's trees compare.
    values: Vec<f32>,
    orders: Vec<Order>,
}

/// The order of one feature.
#[derive(Debug, Clone, Default)]
struct Order {
    /// The rows below the mode in ascending order, then those above it in descending order.
    rows: Vec<u32>,
    /// Number of rows below the mode.
    low: usize,
    mode: f32,
}

impl Presorted {
    /// Sorts every feature of `data`, one at a time on each worker. All values must be finite in single precision.
    pub fn new(data: Matrix<'_>, workers: Workers<'_>) -> Result<Self> {
        let Matrix { rows, columns, .. } = data;
        if rows >= NEW_VALUE as usize {
            return Err(Error::value("the number of rows", rows, "less than 2^31"));
        }
        let mut values = Vec::new();
        by_columns(data, workers, &mut values)?;
        let mut orders = vec![Order::default(); columns];
        for_each_chunk(workers, &mut orders, 1, Vec::new, |keys, column, order| {
            order[0] = Order::new(&values[column * rows..][..rows], keys);
        });
        Ok(Presorted { rows, columns, values, orders })
    }

    /// One feature's values, by row.
    #[inline]
    pub fn column(&self, column: usize) -> &[f32] {
        self.single().of(column)
    }

    /// The values of all features.
    pub(crate) fn single(&self) -> Columns<'_> {
        Columns { values: &self.values, rows: self.rows }
    }

    /// The mode of a feature.
    #[inline]
    pub fn mode(&self, column: usize) -> f32 {
        self.orders[column].mode
    }

    /// The order of a feature: rows below the mode ascending, rows above it descending. Each item is to be
    /// read with [`unpack`].
    #[inline]
    pub(crate) fn order(&self, column: usize) -> (&[u32], &[u32]) {
        let order = &self.orders[column];
        order.rows.split_at(order.low)
    }

    /// Whether `data` has the shape that was sorted.
    pub(crate) fn check(&self, data: &Matrix<'_>) -> Result<()> {
        if (data.rows, data.columns) != (self.rows, self.columns) {
            let shape = |rows: usize, columns: usize| format!("{rows} x {columns}");
            return Err(Error::shape(
                "the data",
                shape(data.rows, data.columns),
                shape(self.rows, self.columns),
            ));
        }
        Ok(())
    }
}

impl Presorted {
    /// Runs `grow` on all rows and columns of the presorted data as one task.
    pub(crate) fn whole<R>(
        &self,
        classes: &[u32],
        n_classes: usize,
        grow: impl FnOnce(&Task<'_>) -> R,
    ) -> Result<R> {
        if classes.len() != self.rows || classes.is_empty() {
            return Err(Error::shape("classes", classes.len(), self.rows.max(1)));
        }
        if let Some(class) = classes.iter().find(|&&class| class as usize >= n_classes) {
            return Err(Error::value("a class", class, format!("less than {n_classes}")));
        }
        let (rows, columns): (Vec<u32>, Vec<u32>) =
            ((0..self.rows as u32).collect(), (0..self.columns as u32).collect());
        // Trees read the presorted copy, never the data.
        let data = Matrix { values: Values::F32(&[]), rows: self.rows, columns: self.columns };
        Ok(grow(&Task { data, rows: &rows, columns: &columns, classes, n_classes }))
    }
}

impl Order {
    /// Sorts a feature; `keys` is memory that serves again.
    fn new(column: &[f32], keys: &mut Vec<u64>) -> Self {
        // Counts are mostly zeros: where they are the mode beyond doubt, the others alone are sorted.
        let zeros = column.iter().filter(|&&value| value == 0.0).count();
        let mostly_zero = 2 * zeros > column.len();
        keys.clear();
        keys.extend(
            column
                .iter()
                .zip(0u64..)
                .filter(|&(&value, _)| !(mostly_zero && value == 0.0))
                .map(|(&value, row)| u64::from(ordered_bits(value)) << 32 | row),
        );
        keys.sort_unstable();
        let (begin, end) = if mostly_zero {
            let at = keys.partition_point(|key| key >> 32 < u64::from(ordered_bits(0.0)));
            (at, at)
        } else {
            longest_run(keys)
        };
        let mut rows = Vec::with_capacity(keys.len() - (end - begin));
        let mut push = |keys: &mut dyn Iterator<Item = &u64>| {
            let mut last = None;
            for &key in keys {
                let new = last != Some(key >> 32);
                rows.push(key as u32 | if new { NEW_VALUE } else { 0 });
                last = Some(key >> 32);
            }
        };
        push(&mut keys[..begin].iter());
        push(&mut keys[end..].iter().rev());
        let mode =
            if mostly_zero { 0.0 } else { keys.get(begin).map_or(0.0, |&key| column[key as u32 as usize]) };
        Order { rows, low: begin, mode }
    }
}

/// Data in single precision, column by column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a> {
    values: &'a [f32],
    rows: usize,
}

impl<'a> Columns<'a> {
    /// One feature's values, by row.
    #[inline]
    pub(crate) fn of(&self, column: usize) -> &'a [f32] {
        &self.values[column * self.rows..(column + 1) * self.rows]
    }
}

/// What trees read: the whole data, sorted once for all tasks, or the data that come with a task, sorted for it alone.
#[derive(Debug, Default)]
pub(crate) struct Sorted<'a> {
    whole: Option<&'a Presorted>,
    own: Presorted,
    asked: Vec<f32>,
}

impl<'a> Sorted<'a> {
    /// `None` sorts the data of each task anew.
    pub(crate) fn new(whole: Option<&'a Presorted>) -> Self {
        Sorted { whole, ..Self::default() }
    }

    /// The sorted data of a task.
    pub(crate) fn of_task(&mut self, task: &Task<'_>) -> Result<&Presorted> {
        match self.whole {
            Some(whole) => {
                whole.check(&task.data)?;
                Ok(whole)
            }
            None => {
                self.own = Presorted::new(task.data, Workers::new(1))?;
                Ok(&self.own)
            }
        }
    }

    /// The data of a query.
    pub(crate) fn of_query(&mut self, query: &Query<'_>) -> Result<Columns<'_>> {
        match self.whole {
            Some(whole) => {
                whole.check(&query.data)?;
                Ok(whole.single())
            }
            None => {
                by_columns(query.data, Workers::new(1), &mut self.asked)?;
                Ok(Columns { values: &self.asked, rows: query.data.rows })
            }
        }
    }
}

/// An item of an order: its row, and 1 if its value differs from that of the item before it, else 0.
#[inline(always)]
pub(crate) fn unpack(item: u32) -> (usize, u32) {
    ((item & !NEW_VALUE) as usize, item >> 31)
}

/// Bits that sort as the number does. Zero has one sign, so that equal values have equal bits.
#[inline(always)]
pub(crate) fn ordered_bits(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    bits ^ (((bits as i32 >> 31) as u32) | 1 << 31)
}

/// The error of a value that single precision does not hold.
pub(crate) fn too_large(value: f64, row: usize, column: usize) -> Error {
    let got = format!("{value:.3e} (observation {row}, feature {column})");
    let expected = "at most 3.4e38 in size, since trees compare features in single precision: divide the \
                    feature by a constant, or standardize it";
    Error::value("an entry of the data", got, expected)
}

/// Writes the data to `out` column by column in single precision, by blocks that fit the first-level cache.
fn by_columns(data: Matrix<'_>, workers: Workers<'_>, out: &mut Vec<f32>) -> Result<()> {
    const BLOCK: usize = 32;
    let Matrix { rows, columns, values } = data;
    out.clear();
    out.resize(rows * columns, 0.0);
    for_each_chunk(
        workers,
        out,
        BLOCK * rows,
        || (),
        |(), block, out| {
            let first = block * BLOCK;
            for row in (0..rows).step_by(BLOCK) {
                for i in row..rows.min(row + BLOCK) {
                    for (j, column) in out.chunks_exact_mut(rows).enumerate() {
                        column[i] = match values {
                            Values::F32(x) => x[i * columns + first + j],
                            Values::F64(x) => x[i * columns + first + j] as f32,
                        };
                    }
                }
            }
        },
    );
    match out.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            let (row, column) = (at % rows, at / rows);
            let value = match values {
                Values::F32(x) => f64::from(x[row * columns + column]),
                Values::F64(x) => x[row * columns + column],
            };
            Err(too_large(value, row, column))
        }
        None => Ok(()),
    }
}

/// The longest run of equal values among sorted keys; the first of them if there are several.
fn longest_run(keys: &[u64]) -> (usize, usize) {
    let (mut best, mut begin) = ((0, 0), 0);
    for end in 1..=keys.len() {
        if end == keys.len() || keys[end] >> 32 != keys[begin] >> 32 {
            if end - begin > best.1 - best.0 {
                best = (begin, end);
            }
            begin = end;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_leaves_out_the_mode() {
        let x = [3.0, 0.0, -1.0, 0.0, 5.0, -0.0, 5.0];
        let matrix = Matrix { values: Values::F64(&x), rows: 7, columns: 1 };
        let sorted = Presorted::new(matrix, Workers::new(1)).unwrap();
        let rows = |items: &[u32]| items.iter().map(|&item| unpack(item)).collect::<Vec<_>>();
        let (low, high) = sorted.order(0);
        assert_eq!(rows(low), [(2, 1)]);
        assert_eq!(rows(high), [(6, 1), (4, 0), (0, 1)]);
        assert_eq!(sorted.mode(0), 0.0);
        assert_eq!(sorted.column(0), [3.0f32, 0.0, -1.0, 0.0, 5.0, -0.0, 5.0]);
    }

    #[test]
    fn values_that_single_precision_cannot_hold_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, 1e300] {
            let matrix = Matrix { values: Values::F64(&[0.0, bad]), rows: 1, columns: 2 };
            assert!(Presorted::new(matrix, Workers::new(2)).is_err());
        }
    }
}
