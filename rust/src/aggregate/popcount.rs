//! How many sets of a list hold each feature: bit-sliced positional popcounts.
//!
//! The sets are masks of bits, and the wanted figure is the number of ones in each position of the list. Carry-save
//! adders (Harley and Seal; Klarqvist, Mula and Lemire 2019 for the positional form) add the masks as binary
//! numbers of which slice `s` holds the bit of weight `2^s` of every position: 32 masks cost 31 adders
//! and one carry up the slices. At the end eight slices at a time are transposed to one byte a feature.
//!
//! Everything is whole numbers, so the order is free.

use super::FEATURES;
use crate::bits::{BitMatrix, transpose_squares};
use crate::simd::{Aligned, Level};

/// Words that are added side by side: one 512-bit vector.
const WORDS: usize = FEATURES / 64;
type Word = [u64; WORDS];

/// The sets of a matrix, cut into chunks of [`FEATURES`].
pub(super) struct Masks {
    /// Bit `s` of byte `q` of a chunk is its feature `64 s + q`: transposed slices come out in order.
    words: Vec<Aligned<Word>>,
    /// Sets of a chunk; the last is empty, to fill up lists with.
    sets: usize,
}

impl Masks {
    pub(super) fn new(sets: &BitMatrix) -> Self {
        let mut words = Vec::with_capacity((sets.rows() + 1) * sets.columns().div_ceil(FEATURES));
        for first in (0..sets.stride()).step_by(WORDS) {
            for b in 0..sets.rows() {
                let mut rows = [[0u64]; WORDS];
                rows.iter_mut().zip(&sets.row(b)[first..]).for_each(|(row, &word)| *row = [word]);
                // Now bit `s` of byte `c` of row `r` is feature `64 s + 8 c + r`.
                transpose_squares(&mut rows);
                let bytes = rows.map(|[row]| row.to_le_bytes());
                let byte = |c: usize| u64::from_le_bytes(std::array::from_fn(|r| bytes[r][c]));
                words.push(Aligned(std::array::from_fn(byte)));
            }
            words.push(Aligned(NOTHING));
        }
        Masks { words, sets: sets.rows() + 1 }
    }

    /// Counts, for each feature of a chunk, the listed sets that hold it.
    pub(super) fn count(&self, level: Level, chunk: usize, list: &[u32], held: &mut [u32; FEATURES]) {
        positional_popcount(level, &self.words[chunk * self.sets..][..self.sets], list, held);
    }
}

dispatch! {
    fn positional_popcount(masks: &[Aligned<Word>], list: &[u32], held: &mut [u32; FEATURES])
        = positional_popcount_body
}

/// Masks that are added at once.
const BATCH: usize = 32;
const NOTHING: Word = [0; WORDS];

#[inline(always)]
fn positional_popcount_body(masks: &[Aligned<Word>], list: &[u32], held: &mut [u32; FEATURES]) {
    // Enough slices to write down the number of masks.
    let depth = (u32::BITS - (list.len() as u32).leading_zeros()) as usize;
    let mut slices = [[0u64; WORDS]; u32::BITS as usize];
    let largest = list.iter().fold(0, |largest, &set| largest.max(set)) as usize;
    assert!(largest < masks.len(), "set {largest} of {}", masks.len());
    let (batches, rest) = list.as_chunks::<BATCH>();
    for batch in batches {
        // SAFETY: no number of the list is larger than the largest.
        unsafe { add_batch(masks, batch, &mut slices, depth) };
    }
    if !rest.is_empty() {
        let mut batch = [masks.len() as u32 - 1; BATCH];
        batch[..rest.len()].copy_from_slice(rest);
        // SAFETY: as above, and the last mask is there.
        unsafe { add_batch(masks, &batch, &mut slices, depth) };
    }
    held.fill(0);
    for (octet, slices) in slices.as_chunks_mut::<8>().0.iter_mut().take(depth.div_ceil(8)).enumerate() {
        transpose_squares(slices);
        for (slice, held) in slices.iter().zip(held.as_chunks_mut::<64>().0) {
            for (word, held) in slice.iter().zip(held.as_chunks_mut::<8>().0) {
                for (byte, held) in word.to_le_bytes().into_iter().zip(held) {
                    *held |= u32::from(byte) << (8 * octet);
                }
            }
        }
    }
}

/// Adds a batch of masks to `depth` slices. The lanes are the outer loop, which is the one that compilers turn into
/// vectors.
///
/// # Safety
/// Every number of the batch is below `masks.len()`.
#[inline(always)]
unsafe fn add_batch(
    masks: &[Aligned<Word>],
    batch: &[u32; BATCH],
    slices: &mut [Word; u32::BITS as usize],
    depth: usize,
) {
    const LOW: usize = BATCH.ilog2() as usize;
    // SAFETY: the caller's promise. A check of each number costs as much as the adder that it is for.
    let rows: [&Word; BATCH] = std::array::from_fn(|t| unsafe { &masks.get_unchecked(batch[t] as usize).0 });
    let mut carry = NOTHING;
    for w in 0..WORDS {
        let mut bits = [0; BATCH];
        for t in 0..BATCH {
            bits[t] = rows[t][w];
        }
        for (s, slice) in slices[..LOW].iter_mut().enumerate() {
            for t in 0..BATCH >> (s + 1) {
                let (sum, a, b) = (slice[w], bits[2 * t], bits[2 * t + 1]);
                slice[w] = sum ^ a ^ b;
                bits[t] = (a & b) | (sum & (a | b));
            }
        }
        carry[w] = bits[0];
    }
    for slice in &mut slices[LOW..depth.max(LOW)] {
        for w in 0..WORDS {
            (slice[w], carry[w]) = (slice[w] ^ carry[w], slice[w] & carry[w]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    #[test]
    fn counts_are_those_of_looking_at_every_bit() {
        let mut rng = Stream::new(0, Purpose::Rows, 0);
        for (rows, columns, density) in [(1, 1, 2), (17, 64, 2), (300, 513, 3), (700, 765, 1)] {
            let mut sets = BitMatrix::new(rows, columns);
            for row in 0..rows {
                (0..columns).for_each(|c| {
                    if rng.below(density) == 0 {
                        sets.insert(row, c)
                    }
                });
            }
            let masks = Masks::new(&sets);
            for every in [1, 2, 7] {
                let list: Vec<u32> = (0..rows as u32).step_by(every).collect();
                for level in Level::ALL.into_iter().filter(|&level| level <= Level::supported()) {
                    for first in (0..columns).step_by(FEATURES) {
                        let mut held = [9; FEATURES];
                        masks.count(level, first / FEATURES, &list, &mut held);
                        for (j, &held) in held.iter().enumerate() {
                            let holds =
                                |&&set: &&u32| first + j < columns && sets.contains(set as usize, first + j);
                            assert_eq!(held as usize, list.iter().filter(holds).count(), "{level:?} {j}");
                        }
                    }
                }
            }
        }
    }
}
