//! Hard votes: how many voters for a class hold each feature, by bit-sliced positional popcounts.
//!
//! The minipatches that vote for one class on one observation are a list of feature masks, and the wanted
//! figure is the number of ones in each bit position of that list. Carry-save adders (Harley and Seal; Klarqvist,
//! Mula and Lemire 2019 for the positional form) add the masks as binary numbers of which slice `s` holds
//! the bit of weight `2^s` of every position: eight masks cost seven adders and one carry up the slices.
//! The slices are spread to one number a feature at the end.
//!
//! Cost: `B N M / 64` words read, a few operations each. Everything is whole numbers, so the order is free.

use super::{Cell, FEATURES, for_each_block};
use crate::parallel::Workers;
use crate::simd::Level;
use crate::votes::{Ensemble, LeaveOneOut};

/// Observations that are worked on together: they share the reading of the votes.
const BLOCK: usize = 16;
/// Words that are added side by side: one 256-bit vector.
const WORDS: usize = 4;
type Word = [u64; WORDS];

struct Scratch<S> {
    /// For each observation of the block, its voters ordered by class (and a place to spill), and where each
    /// class starts.
    voters: Vec<u32>,
    starts: Vec<u32>,
    held: Vec<u32>,
    sums: Vec<f64>,
    counts: Vec<f64>,
    sink: S,
}

#[allow(clippy::too_many_arguments)]
pub(super) fn run<T: Send, S>(
    level: Level,
    votes: &[u16],
    ensemble: &Ensemble<'_>,
    loo: &LeaveOneOut,
    workers: Workers<'_>,
    out: &mut [T],
    per_row: usize,
    scratch: &(impl Fn() -> S + Sync),
    sink: &(impl Fn(&mut S, Cell<'_>, &mut [T]) + Sync),
) {
    let (n, m, k) = (ensemble.n_samples(), ensemble.n_features(), ensemble.n_classes);
    let patches = ensemble.n_patches();
    let masks = pad_masks(ensemble);
    let per_patch = masks.len() / patches.max(1);
    let width = m.min(FEATURES);
    let state = || Scratch {
        voters: vec![0; BLOCK * (patches + 1)],
        starts: vec![0; BLOCK * (k + 1)],
        held: vec![0; FEATURES],
        sums: vec![0.0; width * k],
        counts: vec![0.0; width],
        sink: scratch(),
    };
    for_each_block(workers, out, per_row, BLOCK, state, |s, first, rows| {
        let here = BLOCK.min(n - first);
        sort_by_class(votes, ensemble, loo, first, here, &mut s.voters, &mut s.starts);
        for (offset, row) in rows.chunks_exact_mut(per_row).enumerate() {
            let i = first + offset;
            let starts = &s.starts[offset * (k + 1)..][..k + 1];
            let voters = &s.voters[offset * (patches + 1)..][..patches];
            for j0 in (0..m).step_by(FEATURES) {
                let width = FEATURES.min(m - j0);
                let counts = &mut s.counts[..width];
                counts.fill(f64::from(loo.counts[i]));
                let words = j0 / (64 * WORDS)..(j0 + width).div_ceil(64 * WORDS);
                for (class, sums) in s.sums[..width * k].chunks_exact_mut(width).enumerate() {
                    let of_class = &voters[starts[class] as usize..starts[class + 1] as usize];
                    let held = &mut s.held[..(words.end - words.start) * 64 * WORDS];
                    positional_popcount(level, &masks, per_patch, words.start, of_class, held);
                    let total = loo.totals[i * k + class];
                    for ((sum, count), &held) in sums.iter_mut().zip(counts.iter_mut()).zip(held.iter()) {
                        *sum = total - f64::from(held);
                        *count -= f64::from(held);
                    }
                }
                let cell = Cell { i, first: j0, sums: &s.sums[..width * k], counts: &s.counts[..width] };
                sink(&mut s.sink, cell, row);
            }
        }
    });
}

/// The feature masks, each minipatch's padded to whole vectors.
fn pad_masks(ensemble: &Ensemble<'_>) -> Vec<Word> {
    let per_patch = ensemble.holds.stride().div_ceil(WORDS);
    let mut masks = vec![[0u64; WORDS]; ensemble.n_patches() * per_patch];
    for (b, target) in masks.chunks_exact_mut(per_patch).enumerate() {
        for (w, &word) in ensemble.holds.row(b).iter().enumerate() {
            target[w / WORDS][w % WORDS] = word;
        }
    }
    masks
}

/// For each observation, lists its voters class by class.
fn sort_by_class(
    votes: &[u16],
    ensemble: &Ensemble<'_>,
    loo: &LeaveOneOut,
    first: usize,
    here: usize,
    voters: &mut [u32],
    starts: &mut [u32],
) {
    let (n, k, patches) = (ensemble.n_samples(), ensemble.n_classes, ensemble.n_patches());
    for offset in 0..here {
        // Totals of hard votes are whole numbers, so they say where each class begins.
        let mut next = 0;
        let starts = &mut starts[offset * (k + 1)..][..k + 1];
        for (class, start) in starts[..k].iter_mut().enumerate() {
            *start = next;
            next += loo.totals[(first + offset) * k + class] as u32;
        }
        starts[k] = next;
    }
    // Which minipatches vote is random, so a branch on it would be mispredicted half the time: everybody
    // writes, those who do not vote to the place to spill.
    for b in 0..patches {
        let row = &votes[b * n + first..][..here];
        // A block never straddles a word.
        let voters_of_b = ensemble.voters.row(b)[first / 64] >> (first % 64);
        for (offset, &vote) in row.iter().enumerate() {
            let voted = voters_of_b >> offset & 1 == 1;
            let class = if voted { usize::from(vote) } else { 0 };
            let slot = &mut starts[offset * (k + 1) + class];
            let place = if voted { *slot as usize } else { patches };
            voters[offset * (patches + 1) + place] = b as u32;
            *slot += u32::from(voted);
        }
    }
    // Filling moved every start to the next one's place.
    for offset in 0..here {
        let starts = &mut starts[offset * (k + 1)..][..k + 1];
        starts.copy_within(0..k, 1);
        starts[0] = 0;
    }
}

dispatch! {
    /// Counts, for each bit position of words `first..` that `held` covers, the listed masks that have it.
    fn positional_popcount(masks: &[Word], per_patch: usize, first: usize, list: &[u32], held: &mut [u32])
        = positional_popcount_body
}

#[inline(always)]
fn positional_popcount_body(masks: &[Word], per_patch: usize, first: usize, list: &[u32], held: &mut [u32]) {
    const SLICES: usize = 32;
    // Enough slices to write down the number of masks.
    let depth = (u32::BITS - (list.len() as u32).leading_zeros()) as usize;
    for (v, held) in held.chunks_exact_mut(64 * WORDS).enumerate() {
        let mut slices = [[0u64; WORDS]; SLICES];
        let (eights, rest) = list.as_chunks::<8>();
        for eight in eights {
            let mask = |t: usize| masks[eight[t] as usize * per_patch + first + v];
            let (a, twos_a) = add3(slices[0], mask(0), mask(1));
            let (a, twos_b) = add3(a, mask(2), mask(3));
            let (twos, fours_a) = add3(slices[1], twos_a, twos_b);
            let (a, twos_a) = add3(a, mask(4), mask(5));
            let (a, twos_b) = add3(a, mask(6), mask(7));
            let (twos, fours_b) = add3(twos, twos_a, twos_b);
            let (fours, mut carry) = add3(slices[2], fours_a, fours_b);
            (slices[0], slices[1], slices[2]) = (a, twos, fours);
            for slice in &mut slices[3..depth.max(3)] {
                (*slice, carry) = add2(*slice, carry);
            }
        }
        for &b in rest {
            let mut carry = masks[b as usize * per_patch + first + v];
            for slice in &mut slices[..depth] {
                (*slice, carry) = add2(*slice, carry);
            }
        }
        for (w, held) in held.as_chunks_mut::<64>().0.iter_mut().enumerate() {
            for (quarter, held) in held.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                *held = spread(&slices[..depth], w, quarter as u32 * 16);
            }
        }
    }
}

/// The numbers at positions `first..first + 16` of word `w`: bit `s` of each is in slice `s`.
#[inline(always)]
fn spread(slices: &[Word], w: usize, first: u32) -> [u32; 16] {
    const LANE: [u32; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut numbers = [0; 16];
    for (s, slice) in slices.iter().enumerate() {
        let bits = (slice[w] >> first) as u32;
        for lane in 0..16 {
            numbers[lane] |= ((bits >> LANE[lane]) & 1) << s;
        }
    }
    numbers
}

/// Adds three bits in every position: sum and carry.
#[inline(always)]
fn add3(a: Word, b: Word, c: Word) -> (Word, Word) {
    let (mut sum, mut carry) = ([0; WORDS], [0; WORDS]);
    for w in 0..WORDS {
        sum[w] = a[w] ^ b[w] ^ c[w];
        carry[w] = (a[w] & b[w]) | (c[w] & (a[w] ^ b[w]));
    }
    (sum, carry)
}

/// Adds two bits in every position: sum and carry.
#[inline(always)]
fn add2(a: Word, b: Word) -> (Word, Word) {
    let (mut sum, mut carry) = ([0; WORDS], [0; WORDS]);
    for w in 0..WORDS {
        sum[w] = a[w] ^ b[w];
        carry[w] = a[w] & b[w];
    }
    (sum, carry)
}
