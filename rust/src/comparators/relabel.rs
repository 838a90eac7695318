//! Which labels of a forest change when the values of a feature are permuted.
//!
//! With another value of feature `j` a row leaves its path through a tree at the first node of the path that compares
//! `j`, or nowhere. So the paths are walked once, and for each repeat the row goes down anew from those nodes alone:
//! with paths of `d` nodes that all compare different features, `d (d - 1) / 2` steps a tree, row and repeat for all
//! features together, where to predict permuted copies of the data takes `d` steps for every feature.
//!
//! A label is the class of the greatest mean of the leaves' class shares, of equal ones the first. A row that reaches
//! another leaf has its shares summed again over all trees in their order, as in a prediction from scratch: the labels
//! are those of the permuted copies, ties and rounding included, and no difference of sums has to be trusted.
//!
//! Memory: a byte for each row, feature and repeat, which is the result; per thread the leaves of one row and the nodes
//! of its paths. Walking the paths costs `t d` a row for `t` trees, whatever the number of features.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::native::Matrix;
use crate::native::tree::Tree;
use crate::parallel::{Workers, for_each_chunk};

/// Rows of one task.
const ROWS: usize = 256;

/// Features whose values are permuted, one at a time.
#[derive(Debug, Clone)]
pub struct Permuted<'a> {
    /// Which columns of the data.
    pub features: Range<usize>,
    /// How often each is permuted.
    pub n_repeats: usize,
    /// The row whose value each row is given, `features x n_repeats x rows`.
    pub orders: &'a [i64],
}

impl Permuted<'_> {
    /// Checks that the sizes agree and that all rows and columns exist.
    fn validate(&self, data: &Matrix<'_>) -> Result<()> {
        let Range { start, end } = self.features;
        if start > end || end > data.columns {
            let got = format!("{start} to {end}");
            return Err(Error::value("the range of features", got, format!("within 0 to {}", data.columns)));
        }
        let (features, rows) = (end - start, data.rows);
        if self.orders.len() != features * self.n_repeats * rows {
            let expected = format!("{features} x {} x {rows}", self.n_repeats);
            return Err(Error::shape(
                "the array of orders",
                format!("{} values", self.orders.len()),
                expected,
            ));
        }
        match self.orders.iter().find(|&&row| usize::try_from(row).map_or(true, |row| row >= rows)) {
            Some(row) => Err(Error::value("a row of the orders", row, format!("0 to {}", rows as i64 - 1))),
            None => Ok(()),
        }
    }
}

/// Whether the label of each row changes, `rows x features x n_repeats`. The trees ask about columns of the data.
pub fn changes(
    data: Matrix<'_>,
    trees: &[Tree],
    permuted: &Permuted<'_>,
    workers: Workers<'_>,
) -> Result<Vec<bool>> {
    permuted.validate(&data)?;
    let width = permuted.features.len() * permuted.n_repeats;
    let mut out = vec![false; data.rows * width];
    for_each_chunk(workers, &mut out, ROWS * width, Paths::default, |paths, index, out| {
        for (row, changed) in (index * ROWS..).zip(out.chunks_exact_mut(width)) {
            paths.walk(data, row, trees, &permuted.features);
            paths.leave(data, row, trees, permuted, changed);
        }
    });
    Ok(out)
}

/// Where a row's path through a tree first meets a feature; sorted, the trees of each feature stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fork {
    feature: usize,
    tree: usize,
    node: usize,
}

/// The paths of one row through all trees.
#[derive(Debug, Default)]
struct Paths {
    /// The leaf that each tree sends the row to.
    leaves: Vec<usize>,
    forks: Vec<Fork>,
    /// The leaves with a feature replaced.
    moved: Vec<usize>,
    sums: Vec<f64>,
}

impl Paths {
    /// Sends a row down all trees and remembers where its paths meet the features.
    fn walk(&mut self, data: Matrix<'_>, row: usize, trees: &[Tree], features: &Range<usize>) {
        self.leaves.clear();
        self.forks.clear();
        for (index, tree) in trees.iter().enumerate() {
            self.leaves.push(tree.leaf_below(0, |node, feature| {
                if features.contains(&feature) {
                    self.forks.push(Fork { feature, tree: index, node });
                }
                data.single(row, feature)
            }));
        }
        // Nodes lie behind those above them, so that the first of several on a path comes first.
        self.forks.sort_unstable();
        self.forks.dedup_by_key(|fork| (fork.feature, fork.tree));
        self.moved.clone_from(&self.leaves);
    }

    /// Sends the row down anew from where it met each feature, with its value replaced, and writes whether its label
    /// `changed`, `features x n_repeats`.
    fn leave(
        &mut self,
        data: Matrix<'_>,
        row: usize,
        trees: &[Tree],
        permuted: &Permuted<'_>,
        changed: &mut [bool],
    ) {
        let Paths { leaves, forks, moved, sums } = self;
        let label = label_of(trees, leaves, sums);
        for forks in forks.chunk_by(|a, b| a.feature == b.feature) {
            let replaced = forks[0].feature;
            let first = (replaced - permuted.features.start) * permuted.n_repeats;
            for (repeat, changed) in (first..).zip(&mut changed[first..][..permuted.n_repeats]) {
                let from = permuted.orders[repeat * data.rows + row] as usize;
                let value = data.single(from, replaced);
                let mut any = false;
                for fork in forks {
                    let leaf = trees[fork.tree].leaf_below(fork.node, |_, feature| {
                        if feature == replaced { value } else { data.single(row, feature) }
                    });
                    moved[fork.tree] = leaf;
                    any |= leaf != leaves[fork.tree];
                }
                *changed = any && label_of(trees, moved, sums) != label;
            }
            forks.iter().for_each(|fork| moved[fork.tree] = leaves[fork.tree]);
        }
    }
}

/// The class that the trees vote for, given the leaf of each.
fn label_of(trees: &[Tree], leaves: &[usize], sums: &mut Vec<f64>) -> usize {
    sums.clear();
    sums.resize(trees.first().map_or(0, |tree| tree.n_classes), 0.0);
    for (tree, &leaf) in trees.iter().zip(leaves) {
        sums.iter_mut().zip(tree.shares(leaf)).for_each(|(sum, share)| *sum += share);
    }
    // Sums that differ may have the same mean, once it is rounded.
    let means = sums.iter().map(|sum| sum / trees.len() as f64);
    let greatest = means.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    greatest.map_or(0, |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Values;
    use crate::native::forest::ForestParameters;
    use crate::native::presorted::Presorted;
    use crate::native::tree::{NO_CHILD, Splitter, TreeParameters};
    use crate::rng::{Purpose, Stream};
    use proptest::prelude::*;

    const N_CLASSES: usize = 3;

    /// Data on a grid of few values, so that leaves are impure and votes tied, with trees and orders.
    struct Problem {
        x: Vec<f64>,
        rows: usize,
        columns: usize,
        trees: Vec<Tree>,
        n_repeats: usize,
        orders: Vec<i64>,
    }

    impl Problem {
        fn new(seed: u64, rows: usize, columns: usize, n_trees: usize, depth: usize, grid: usize) -> Self {
            let mut rng = Stream::new(seed, Purpose::Permutation, 0);
            let x: Vec<f64> = (0..rows * columns).map(|_| rng.below(grid) as f64 / 3.0).collect();
            let classes: Vec<u32> = (0..rows).map(|_| rng.below(N_CLASSES) as u32).collect();
            let data = Matrix { values: Values::F64(&x), rows, columns };
            let parameters = ForestParameters {
                tree: TreeParameters {
                    max_depth: Some(depth),
                    splitter: if seed.is_multiple_of(2) { Splitter::Best } else { Splitter::Random },
                    ..TreeParameters::default()
                },
                n_estimators: n_trees,
                bootstrap: seed.is_multiple_of(3),
            };
            let presorted = &Presorted::new(data, Workers::new(1)).unwrap();
            let trees = parameters.grow(presorted, &classes, N_CLASSES, &mut rng).unwrap();
            let n_repeats = 3;
            let orders =
                (0..columns * n_repeats).flat_map(|_| rng.permutation(rows)).map(i64::from).collect();
            Problem { x, rows, columns, trees, n_repeats, orders }
        }

        fn data(&self) -> Matrix<'_> {
            Matrix { values: Values::F64(&self.x), rows: self.rows, columns: self.columns }
        }

        fn permuted(&self, features: Range<usize>) -> Permuted<'_> {
            let size = self.n_repeats * self.rows;
            let orders = &self.orders[features.start * size..features.end * size];
            Permuted { features, n_repeats: self.n_repeats, orders }
        }

        fn changes(&self, features: Range<usize>, threads: usize) -> Vec<bool> {
            changes(self.data(), &self.trees, &self.permuted(features), Workers::new(threads)).unwrap()
        }

        /// Labels of a whole matrix, predicted tree by tree.
        fn labels(&self, x: &[f64]) -> Vec<usize> {
            let mut sums = vec![0.0; self.rows * N_CLASSES];
            let mut shares = sums.clone();
            for tree in &self.trees {
                tree.predict_proba(Matrix { values: Values::F64(x), ..self.data() }, &mut shares);
                sums.iter_mut().zip(&shares).for_each(|(sum, share)| *sum += share);
            }
            let label = |sums: &[f64]| {
                let means: Vec<f64> = sums.iter().map(|sum| sum / self.trees.len() as f64).collect();
                let greatest = means.iter().copied().fold(0.0, f64::max);
                means.iter().position(|&mean| mean == greatest).unwrap()
            };
            sums.chunks_exact(N_CLASSES).map(label).collect()
        }

        /// The definition: predicts permuted copies of the data.
        fn naive(&self) -> Vec<bool> {
            let before = self.labels(&self.x);
            let mut out = vec![false; self.rows * self.columns * self.n_repeats];
            for (which, order) in self.orders.chunks_exact(self.rows).enumerate() {
                let feature = which / self.n_repeats;
                let mut copy = self.x.clone();
                for (row, &from) in order.iter().enumerate() {
                    copy[row * self.columns + feature] = self.x[from as usize * self.columns + feature];
                }
                for (row, label) in self.labels(&copy).into_iter().enumerate() {
                    out[row * self.columns * self.n_repeats + which] = label != before[row];
                }
            }
            out
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn labels_are_those_of_permuted_copies(
            seed in 0..u64::MAX, rows in 2..60usize, columns in 1..6usize, trees in 1..8usize, depth in 0..8usize,
            grid in 1..8usize,
        ) {
            let problem = Problem::new(seed, rows, columns, trees, depth, grid);
            prop_assert_eq!(problem.changes(0..columns, 1), problem.naive());
        }
    }

    #[test]
    fn threads_and_blocks_of_features_change_nothing() {
        let problem = Problem::new(0, 2 * ROWS + 40, 4, 6, 5, 9);
        let all = problem.changes(0..4, 1);
        assert!(all.contains(&true) && all.contains(&false));
        assert_eq!(all, problem.changes(0..4, 3));
        let size = 4 * problem.n_repeats;
        let middle = problem.changes(1..3, 2);
        for (all, middle) in all.chunks_exact(size).zip(middle.chunks_exact(size / 2)) {
            assert_eq!(&all[size / 4..size * 3 / 4], middle);
        }
        assert!(problem.changes(2..2, 1).is_empty());
    }

    #[test]
    fn a_tie_that_no_vote_moves_stays_and_an_equal_leaf_changes_nothing() {
        // Both trees ask about feature 0; feature 1 is asked about on one side only, and its leaves are the same.
        let vote = |shares: [f64; 2]| Tree {
            n_classes: 2,
            feature: vec![0, 1, -2, -2, -2],
            threshold: vec![0.5, 0.5, -2.0, -2.0, -2.0],
            left: vec![1, 2, NO_CHILD, NO_CHILD, NO_CHILD],
            right: vec![4, 3, NO_CHILD, NO_CHILD, NO_CHILD],
            value: [[0.5; 2], [0.5; 2], shares, shares, [0.0, 1.0]].concat(),
            ..Tree::default()
        };
        let trees = [vote([0.7, 0.3]), vote([0.3, 0.7])];
        let x = [0.0f32, 0.0, 1.0, 1.0];
        let data = Matrix { values: Values::F32(&x), rows: 2, columns: 2 };
        let permuted = Permuted { features: 0..2, n_repeats: 1, orders: &[1, 0, 1, 0] };
        let changed = changes(data, &trees, &permuted, Workers::new(1)).unwrap();
        assert_eq!(changed, [true, false, true, false]);
    }

    #[test]
    fn orders_that_do_not_fit() {
        let problem = Problem::new(1, 5, 2, 1, 2, 3);
        let good = problem.permuted(0..2);
        let fails = |permuted: Permuted<'_>| {
            changes(problem.data(), &problem.trees, &permuted, Workers::new(1)).unwrap_err()
        };
        let far = fails(Permuted { features: 1..3, ..good.clone() });
        assert_eq!(far.to_string(), "the range of features is 1 to 3, expected within 0 to 2");
        let few = fails(Permuted { n_repeats: 2, ..good.clone() });
        assert_eq!(few.to_string(), "the array of orders has 30 values, expected 2 x 2 x 5");
        for row in [-1, 5] {
            let mut orders = problem.orders.clone();
            orders[7] = row;
            let missing = fails(Permuted { orders: &orders, ..good.clone() });
            assert_eq!(missing.to_string(), format!("a row of the orders is {row}, expected 0 to 4"));
        }
    }
}
