//! Labels of one clustering renamed to the labels of another.
//!
//! The contingency table of the two is assigned with the largest total overlap ([`crate::assignment`]). When
//! there are more clusters than reference labels, each cluster left over goes to the reference label that it
//! overlaps most (ties: the smallest), so no observation loses its vote; when there are fewer, the remaining
//! reference labels are not used. Negative labels are noise on either side: they count for nothing, and a
//! noise observation stays noise.
//!
//! Several assignments may tie. The clusters are taken in the order of their rows of the table (largest first,
//! equal rows by first appearance), so that their names never decide.

use crate::assignment::maximum_weight;

/// The label of noise.
pub const NOISE: i32 = -1;

/// The distinct values of `labels` without noise, ascending.
fn distinct(labels: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut values: Vec<i64> = labels.filter(|&label| label >= 0).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Renames `labels` (any whole numbers; negative is noise) to the values of `reference` (negative is noise).
///
/// Both have one entry per observation. A cluster none of whose observations has a reference label cannot be
/// named by overlap; it becomes noise.
pub fn align(labels: &[i64], reference: &[i32]) -> Vec<i32> {
    debug_assert_eq!(labels.len(), reference.len());
    let both = || labels.iter().zip(reference).filter(|&(&l, &r)| l >= 0 && r >= 0);
    let clusters = distinct(both().map(|(&l, _)| l));
    let targets = distinct(both().map(|(_, &r)| i64::from(r)));
    let mut table = vec![0u32; clusters.len() * targets.len()];
    // Where each cluster is seen first.
    let mut appears = vec![usize::MAX; clusters.len()];
    for (at, (l, &r)) in labels.iter().zip(reference).enumerate() {
        let Ok(row) = clusters.binary_search(l) else { continue };
        appears[row] = appears[row].min(at);
        if r < 0 {
            continue;
        }
        let column = targets.binary_search(&i64::from(r)).expect("listed");
        table[row * targets.len() + column] += 1;
    }
    let overlap = |row: usize| &table[row * targets.len()..(row + 1) * targets.len()];
    let mut order: Vec<usize> = (0..clusters.len()).collect();
    order.sort_by(|&a, &b| overlap(b).cmp(overlap(a)).then(appears[a].cmp(&appears[b])));
    let sorted: Vec<u32> = order.iter().flat_map(|&row| overlap(row).iter().copied()).collect();
    let mut names = vec![NOISE; clusters.len()];
    for (&row, column) in order.iter().zip(maximum_weight(&sorted, clusters.len(), targets.len())) {
        let column = column.unwrap_or_else(|| first_largest(overlap(row)));
        names[row] = targets[column] as i32;
    }
    labels.iter().map(|l| clusters.binary_search(l).map_or(NOISE, |row| names[row])).collect()
}

/// The position of the largest value, the first of several.
fn first_largest(values: &[u32]) -> usize {
    let mut best = 0;
    for (position, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = position;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_renaming_is_undone() {
        assert_eq!(align(&[7, 7, 3, 3, 9], &[0, 0, 1, 1, 2]), [0, 0, 1, 1, 2]);
    }

    #[test]
    fn surplus_clusters_join_their_largest_overlap() {
        // Cluster 2 is left over; two of its three observations belong to reference label 5.
        assert_eq!(
            align(&[0, 0, 0, 0, 1, 1, 1, 2, 2, 2], &[4, 4, 4, 4, 5, 5, 5, 5, 5, 4]),
            [4, 4, 4, 4, 5, 5, 5, 5, 5, 5]
        );
    }

    #[test]
    fn missing_clusters_leave_reference_labels_unused() {
        assert_eq!(align(&[0, 0, 0, 0], &[1, 1, 1, 2]), [1, 1, 1, 1]);
    }

    #[test]
    fn noise_stays_noise_and_counts_for_nothing() {
        assert_eq!(align(&[-1, 0, 0, 1, 1], &[0, 0, -1, 1, 1]), [-1, 0, 0, 1, 1]);
        assert_eq!(align(&[0, 0], &[-1, -1]), [-1, -1]);
        assert_eq!(align(&[], &[]), [0i32; 0]);
    }

    proptest! {
        #[test]
        fn renaming_clusters_changes_nothing(
            pairs in proptest::collection::vec((-1i64..5, -1i32..4), 1..40),
            shift in 1i64..50,
        ) {
            let (labels, reference): (Vec<i64>, Vec<i32>) = pairs.into_iter().unzip();
            let renamed: Vec<i64> =
                labels.iter().map(|&l| if l < 0 { -1 } else { (4 - l) * 7 + shift }).collect();
            prop_assert_eq!(align(&labels, &reference), align(&renamed, &reference));
        }
    }
}
