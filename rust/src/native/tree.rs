//! Decision trees (CART; Breiman, Friedman, Olshen and Stone 1984) as scikit-learn's `DecisionTreeClassifier`
//! grows them.
//!
//! A node of rows S with class shares p_c has the impurity `1 - sum p_c^2` (Gini) or `- sum p_c log2 p_c`
//! (entropy). It is split by the feature and the threshold that make the children's impurities, weighted by
//! their numbers of rows, least. Features are compared in single precision, thresholds lie halfway between
//! neighbouring values, values nearer than 1e-7 are one value; of equally good splits the first wins, features
//! being visited in random order and thresholds from below. Where there are no ties the tree is
//! scikit-learn's, node for node.
//!
//! Training costs O(n m) per level of the tree after the data were [sorted](super::presorted) once, less the
//! rows at a feature's mode. Memory per thread: O(n m). A tree on its own is a [forest](super::forest) of one.

use super::presorted::Columns;
pub use super::split::Criterion;
use super::{Matrix, Query};

/// How a node's threshold on a feature is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Splitter {
    /// The best of all thresholds.
    Best,
    /// One threshold, uniform between the feature's least and greatest value in the node.
    Random,
}

/// How a tree is grown; the names and their meaning are scikit-learn's.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeParameters {
    /// What splits minimise.
    pub criterion: Criterion,
    /// How thresholds are chosen.
    pub splitter: Splitter,
    /// Nodes at this depth are leaves; the root has depth 0.
    pub max_depth: Option<usize>,
    /// Nodes with fewer rows are leaves.
    pub min_samples_split: usize,
    /// Fewest rows of a leaf.
    pub min_samples_leaf: usize,
    /// How many features a node looks at, drawn anew for each node; `None` for all.
    pub max_features: Option<usize>,
    /// Least weighted decrease of impurity that makes a split worth while.
    pub min_impurity_decrease: f64,
}

impl Default for TreeParameters {
    fn default() -> Self {
        TreeParameters {
            criterion: Criterion::Gini,
            splitter: Splitter::Best,
            max_depth: None,
            min_samples_split: 2,
            min_samples_leaf: 1,
            max_features: None,
            min_impurity_decrease: 0.0,
        }
    }
}

impl TreeParameters {
    /// How many of `columns` features a node visits.
    pub(crate) fn visits(&self, columns: usize) -> usize {
        self.max_features.unwrap_or(columns).clamp(1, columns.max(1))
    }

    /// Whether growing looks at rows in the order of a feature.
    pub(crate) fn uses_orders(&self) -> bool {
        self.splitter == Splitter::Best
    }
}

/// Marks the missing children of a leaf.
pub const NO_CHILD: i32 = -1;
/// Marks the missing feature and threshold of a leaf.
pub const NO_FEATURE: i32 = -2;

/// A grown tree, as parallel arrays over its nodes; node 0 is the root, and a node's left subtree follows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    /// Number of classes.
    pub n_classes: usize,
    /// Column that a node asks about ([`NO_FEATURE`] for leaves), counted among the columns trained on.
    pub feature: Vec<i32>,
    /// Rows with a value up to this go left (-2 for leaves).
    pub threshold: Vec<f64>,
    /// Left child, or [`NO_CHILD`].
    pub left: Vec<i32>,
    /// Right child, or [`NO_CHILD`].
    pub right: Vec<i32>,
    /// Share of each class among a node's training rows, `nodes x n_classes`.
    pub value: Vec<f64>,
    /// Impurity of a node.
    pub impurity: Vec<f64>,
    /// Number of training rows in a node.
    pub samples: Vec<u32>,
    /// Sum of the weights of the training rows in a node.
    pub weight: Vec<u32>,
}

impl Tree {
    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.feature.len()
    }

    /// Number of edges from the root to the deepest leaf.
    pub fn depth(&self) -> usize {
        let mut depth = vec![0; self.node_count()];
        for node in 0..self.node_count() {
            for child in [self.left[node], self.right[node]] {
                if child != NO_CHILD {
                    depth[child as usize] = depth[node] + 1;
                }
            }
        }
        depth.into_iter().max().unwrap_or(0)
    }

    /// Writes the class probabilities of every row of `x` (`rows x n_classes`). The columns of `x` are those
    /// that the tree was trained on.
    pub fn predict_proba(&self, x: Matrix<'_>, proba: &mut [f64]) {
        for (row, out) in proba.chunks_exact_mut(self.n_classes).enumerate().take(x.rows) {
            let leaf = self.leaf_below(0, |_, column| x.single(row, column));
            out.copy_from_slice(self.shares(leaf));
        }
    }

    /// The leaf that a row falls into from `node` on; it is asked, at each node, for its value of the node's column.
    pub(crate) fn leaf_below(&self, mut node: usize, mut value: impl FnMut(usize, usize) -> f32) -> usize {
        while self.left[node] != NO_CHILD {
            let goes_left = f64::from(value(node, self.feature[node] as usize)) <= self.threshold[node];
            node = if goes_left { self.left[node] } else { self.right[node] } as usize;
        }
        node
    }

    /// The class shares of a node.
    pub(crate) fn shares(&self, node: usize) -> &[f64] {
        &self.value[node * self.n_classes..(node + 1) * self.n_classes]
    }

    /// Forgets all nodes.
    pub(crate) fn clear(&mut self, n_classes: usize) {
        self.n_classes = n_classes;
        self.feature.clear();
        self.threshold.clear();
        self.left.clear();
        self.right.clear();
        self.value.clear();
        self.impurity.clear();
        self.samples.clear();
        self.weight.clear();
    }

    /// Adds a leaf under `parent` (and whether it is the left child) with weights `totals` of the classes
    /// `present`; its index.
    pub(crate) fn add(
        &mut self,
        parent: &Option<(usize, bool)>,
        samples: usize,
        impurity: f64,
        totals: &[u32],
        present: &[u32],
    ) -> usize {
        let index = self.node_count();
        match *parent {
            Some((parent, true)) => self.left[parent] = index as i32,
            Some((parent, false)) => self.right[parent] = index as i32,
            None => {}
        }
        let weight: u32 = totals.iter().sum();
        self.feature.push(NO_FEATURE);
        self.threshold.push(f64::from(NO_FEATURE));
        self.left.push(NO_CHILD);
        self.right.push(NO_CHILD);
        self.value.resize(self.value.len() + self.n_classes, 0.0);
        let shares = &mut self.value[index * self.n_classes..];
        for (&total, &class) in totals.iter().zip(present) {
            shares[class as usize] = f64::from(total) / f64::from(weight);
        }
        self.impurity.push(impurity);
        self.samples.push(samples as u32);
        self.weight.push(weight);
        index
    }

    /// Makes a leaf ask about a feature; its children are added next.
    pub(crate) fn split(&mut self, node: usize, column: usize, threshold: f64) {
        self.feature[node] = column as i32;
        self.threshold[node] = threshold;
    }
}

/// Working memory for sending rows of the presorted data down trees.
#[derive(Debug, Default)]
pub(crate) struct Descent {
    /// Positions among the rows to predict, every node's in one piece.
    rows: Vec<u32>,
    right: Vec<u32>,
    pending: Vec<(usize, usize, usize)>,
}

impl Descent {
    /// Adds the tree's class shares of each row of a query to `proba`; `data` are those of the query.
    ///
    /// All rows go down together, node by node, so that each question reads one column of the data.
    pub(crate) fn add_shares(
        &mut self,
        tree: &Tree,
        data: Columns<'_>,
        query: &Query<'_>,
        proba: &mut [f64],
    ) {
        let n_classes = tree.n_classes;
        self.rows.clear();
        self.rows.extend(0..query.rows.len() as u32);
        self.right.resize(query.rows.len() + 1, 0);
        self.pending.clear();
        self.pending.push((0, 0, query.rows.len()));
        while let Some((node, start, end)) = self.pending.pop() {
            let rows = &mut self.rows[start..end];
            if tree.left[node] == NO_CHILD {
                let shares = tree.shares(node);
                match shares.iter().position(|&share| share == 1.0) {
                    Some(class) => {
                        rows.iter().for_each(|&row| proba[row as usize * n_classes + class] += 1.0)
                    }
                    None => {
                        for &row in rows.iter() {
                            let out = &mut proba[row as usize * n_classes..][..n_classes];
                            out.iter_mut().zip(shares).for_each(|(out, share)| *out += share);
                        }
                    }
                }
                continue;
            }
            let values = data.of(query.columns[tree.feature[node] as usize] as usize);
            let threshold = tree.threshold[node];
            let mut left = 0;
            for i in 0..rows.len() {
                let row = rows[i];
                rows[left] = row;
                self.right[i - left] = row;
                left += usize::from(f64::from(values[query.rows[row as usize] as usize]) <= threshold);
            }
            let right = rows.len() - left;
            rows[left..].copy_from_slice(&self.right[..right]);
            if right > 0 {
                self.pending.push((tree.right[node] as usize, start + left, end));
            }
            if left > 0 {
                self.pending.push((tree.left[node] as usize, start, start + left));
            }
        }
    }
}
