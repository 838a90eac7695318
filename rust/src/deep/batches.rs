//! Mini-batches: every observation once an epoch, in an order drawn for it; and what is filled in for each.

use std::ops::Range;

use super::real::Real;
use crate::rng::Stream;

/// A random order of `n` observations and the batches it is cut into: about `n / size` of them, of sizes that differ
/// by one at most, so that batch norm never meets a remainder of one or two rows.
#[derive(Debug)]
pub struct Batches {
    order: Vec<usize>,
    count: usize,
}

impl Batches {
    /// Draws the order.
    pub fn draw(n: usize, size: usize, stream: &mut Stream) -> Self {
        let mut order: Vec<usize> = (0..n).collect();
        stream.shuffle(&mut order);
        Batches { order, count: ((n + size / 2) / size.max(1)).clamp(1, n.max(1)) }
    }

    /// How many batches there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The observations of batch `b`.
    pub fn rows(&self, b: usize) -> &[usize] {
        let place = |b: usize| b * self.order.len() / self.count;
        let range: Range<usize> = place(b)..place(b + 1);
        &self.order[range]
    }
}

/// Copies rows of a matrix of `columns` columns.
pub fn gather<T: Real>(x: &[T], columns: usize, rows: &[usize], out: &mut Vec<T>) {
    out.clear();
    for &row in rows {
        out.extend_from_slice(&x[row * columns..][..columns]);
    }
}

/// Fills `out` with `len` normal numbers.
pub fn fill_normal<T: Real>(out: &mut Vec<T>, len: usize, mean: f64, deviation: f64, stream: &mut Stream) {
    out.clear();
    out.extend(
        (0..len.div_ceil(2)).flat_map(|_| stream.normals()).map(|e| T::from_f64(mean + deviation * e)),
    );
    out.truncate(len);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn every_observation_comes_once_and_sizes_differ_by_one_at_most() {
        let mut stream = Stream::new(0, Purpose::Batches, 0);
        for (n, size, count) in [(1, 10, 1), (10, 10, 1), (14, 10, 1), (15, 10, 2), (103, 10, 10), (5, 1, 5)]
        {
            let batches = Batches::draw(n, size, &mut stream);
            assert_eq!(batches.count(), count);
            let mut seen: Vec<usize> = (0..count).flat_map(|b| batches.rows(b).to_vec()).collect();
            let sizes: Vec<usize> = (0..count).map(|b| batches.rows(b).len()).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            seen.sort_unstable();
            assert_eq!(seen, (0..n).collect::<Vec<_>>());
        }
    }
}
