//! Who votes for what, when votes are hard: for each observation and class, the set of minipatches that vote for it.

use crate::bits::BitMatrix;
use crate::simd::prefetch;

/// Observations that are worked on together: 16-bit lanes of a 512-bit vector.
pub(super) const BLOCK: usize = 32;

dispatch! {
    /// For each observation `i` of the block that begins at `first` (as many as `ballots` has room for) and each class,
    /// the set of minipatches that vote for it. `voted_by` is the voters transposed.
    pub(super) fn cast(votes: &[u16], n_classes: usize, voted_by: &BitMatrix, first: usize, ballots: &mut [u64])
        = cast_body
}

/// Each class is compared with the votes of 64 minipatches on all observations of the block.
#[inline(always)]
fn cast_body(votes: &[u16], n_classes: usize, voted_by: &BitMatrix, first: usize, ballots: &mut [u64]) {
    let (n, words, patches) = (voted_by.rows(), voted_by.stride(), voted_by.columns());
    let lanes = ballots.len() / (n_classes * words);
    let row = |b: usize| &votes[b * n + first..][..lanes];
    let mut tile = [[0u16; BLOCK]; 64];
    for word in 0..words {
        for b in (word + 1) * 64..patches.min((word + 2) * 64) {
            prefetch(row(b));
        }
        for b in word * 64..patches.min((word + 1) * 64) {
            match row(b).first_chunk() {
                Some(votes) => tile[b % 64] = *votes,
                None => tile[b % 64][..lanes].copy_from_slice(row(b)),
            }
        }
        for class in 0..n_classes {
            let mut same = [0u64; BLOCK];
            for (quarter, rows) in tile.as_chunks::<16>().0.iter().enumerate() {
                let bits = compare(rows, class as u16);
                for lane in 0..BLOCK {
                    same[lane] |= u64::from(bits[lane]) << (16 * quarter);
                }
            }
            for (lane, ballots) in ballots.chunks_exact_mut(n_classes * words).enumerate() {
                ballots[class * words + word] = same[lane] & voted_by.row(first + lane)[word];
            }
        }
    }
}

/// Bit `t` of a lane: whether row `t` has the class there.
#[inline(always)]
fn compare(rows: &[[u16; BLOCK]; 16], class: u16) -> [u16; BLOCK] {
    let mut bits = [0; BLOCK];
    for lane in 0..BLOCK {
        for (t, row) in rows.iter().enumerate() {
            // One without a branch: 1 where they are equal.
            bits[lane] |= 1u16.saturating_sub(row[lane] ^ class) << t;
        }
    }
    bits
}
