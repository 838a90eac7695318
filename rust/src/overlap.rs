//! Reference labels from the minipatches' overlaps alone, for data too large to cluster at once.
//!
//! Minipatches share observations, and on those their labels can be matched. One minipatch names the
//! clusters; the others are aligned in turn to the consensus of those before them, and the whole ensemble is
//! then aligned to the consensus again until nothing changes (voting as in Dudoit and Fridlyand 2003, bagged
//! clustering). Several starting minipatches are tried and the one whose consensus agrees best with the
//! minipatches is kept, since a poor start is the one thing that later rounds do not repair.
//!
//! Memory is N K counts for each worker, never N x N. Cost: O(starts * rounds * B * (n + K^3)), the starts side by side.

use crate::align::{NOISE, align};
use crate::consensus::Consensus;
use crate::parallel::{Workers, for_each_chunk};

/// Starting minipatches tried.
const STARTS: usize = 8;
/// Rounds of alignment to the consensus, at most.
const ROUNDS: usize = 10;

/// The clustering of one minipatch: its observations and a label for each.
pub struct Labelled<'a> {
    /// The observations.
    pub rows: &'a [u32],
    /// Their labels, negative for noise.
    pub labels: &'a [i64],
}

/// Labels for `n_samples` observations in `0..K`, and `K`, the number of clusters of the starting minipatch.
/// Observations in no minipatch, and those that are noise in all of theirs, are noise (-1).
pub fn reference_from_overlaps(
    patches: &[Labelled<'_>],
    n_samples: usize,
    workers: Workers<'_>,
) -> (Vec<i32>, usize) {
    // Minipatches with the most frequent number of clusters may name the clusters.
    let sizes: Vec<usize> = patches.iter().map(|p| count_clusters(p.labels)).collect();
    let mut frequency = vec![0usize; sizes.iter().copied().max().unwrap_or(0) + 1];
    sizes.iter().filter(|&&k| k > 0).for_each(|&k| frequency[k] += 1);
    let Some(usual) = (1..frequency.len()).rev().max_by_key(|&k| frequency[k]).filter(|&k| frequency[k] > 0)
    else {
        return (vec![NOISE; n_samples], 0);
    };
    let starts: Vec<usize> = (0..patches.len()).filter(|&b| sizes[b] == usual).take(STARTS).collect();
    let mut found: Vec<(usize, Vec<i32>)> = vec![(0, Vec::new()); starts.len()];
    for_each_chunk(
        workers,
        &mut found,
        1,
        || (),
        |(), at, found| {
            let labels = settle(patches, starts[at], n_samples, usual, workers);
            let agreement = patches
                .iter()
                .take_while(|_| !workers.stopped())
                .map(|p| {
                    let local: Vec<i32> = p.rows.iter().map(|&i| labels[i as usize]).collect();
                    align(p.labels, &local).iter().zip(&local).filter(|(a, l)| a == l && **a >= 0).count()
                })
                .sum();
            found[0] = (agreement, labels);
        },
    );
    // The first of the best.
    let (_, labels) = found.into_iter().rev().max_by_key(|&(agreement, _)| agreement).expect("a start");
    (labels, usual)
}

fn settle(
    patches: &[Labelled<'_>],
    start: usize,
    n_samples: usize,
    n_classes: usize,
    workers: Workers<'_>,
) -> Vec<i32> {
    let first = &patches[start];
    let mut names: Vec<i64> = first.labels.iter().copied().filter(|&l| l >= 0).collect();
    names.sort_unstable();
    names.dedup();
    let mut labels = vec![NOISE; n_samples];
    for (&i, l) in first.rows.iter().zip(first.labels) {
        labels[i as usize] = names.binary_search(l).map_or(NOISE, |k| k as i32);
    }
    // First round: the consensus grows, minipatch by minipatch.
    let mut consensus = Consensus::new(n_samples, n_classes);
    let order = std::iter::once(start).chain((0..patches.len()).filter(|&b| b != start));
    for b in order.take_while(|_| !workers.stopped()) {
        let p = &patches[b];
        let local: Vec<i32> = p.rows.iter().map(|&i| labels[i as usize]).collect();
        consensus.add(p.rows, &align(p.labels, &local));
        p.rows.iter().for_each(|&i| labels[i as usize] = consensus.label(i as usize, labels[i as usize]));
    }
    // Then all are aligned to a fixed consensus, until it stays.
    for _ in 0..ROUNDS {
        let mut consensus = Consensus::new(n_samples, n_classes);
        for p in patches.iter().take_while(|_| !workers.stopped()) {
            let local: Vec<i32> = p.rows.iter().map(|&i| labels[i as usize]).collect();
            consensus.add(p.rows, &align(p.labels, &local));
        }
        let next: Vec<i32> = (0..n_samples).map(|i| consensus.label(i, labels[i])).collect();
        if next == labels {
            break;
        }
        labels = next;
    }
    labels
}

fn count_clusters(labels: &[i64]) -> usize {
    let mut values: Vec<i64> = labels.iter().copied().filter(|&l| l >= 0).collect();
    values.sort_unstable();
    values.dedup();
    values.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};
    use crate::sampling::Minipatches;

    #[test]
    fn consistent_minipatches_are_put_together() {
        let truth: Vec<i64> = (0..300).map(|i| i % 4).collect();
        let design = Minipatches::new(300, 2, 60, 1, 9).unwrap();
        let rows: Vec<Vec<u32>> = (0..80).map(|b| design.rows(b)).collect();
        // Each minipatch names the clusters its own way.
        let labels: Vec<Vec<i64>> = rows
            .iter()
            .enumerate()
            .map(|(b, rows)| {
                let mut names = [0i64, 1, 2, 3];
                Stream::new(0, Purpose::Standalone, b as u64).shuffle(&mut names);
                rows.iter().map(|&i| names[truth[i as usize] as usize]).collect()
            })
            .collect();
        let patches: Vec<Labelled> =
            rows.iter().zip(&labels).map(|(rows, labels)| Labelled { rows, labels }).collect();
        let (found, k) = reference_from_overlaps(&patches, 300, Workers::new(1));
        assert_eq!(reference_from_overlaps(&patches, 300, Workers::new(3)), (found.clone(), k));
        assert_eq!(k, 4);
        assert!(found.iter().all(|&l| l >= 0));
        let as_i32: Vec<i32> = truth.iter().map(|&t| t as i32).collect();
        let found: Vec<i64> = found.iter().map(|&l| i64::from(l)).collect();
        assert_eq!(align(&found, &as_i32), as_i32);
    }

    #[test]
    fn noise_alone_gives_noise() {
        let patches = [Labelled { rows: &[0, 1], labels: &[-1, -1] }];
        assert_eq!(reference_from_overlaps(&patches, 3, Workers::new(1)), (vec![-1; 3], 0));
        assert_eq!(reference_from_overlaps(&[], 1, Workers::new(1)), (vec![-1], 0));
    }
}
