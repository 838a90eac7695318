//! Forests of decision trees: random forests (Breiman 2001) and extremely randomised trees (Geurts, Ernst and
//! Wehenkel 2006) as scikit-learn's `RandomForestClassifier` and `ExtraTreesClassifier` grow them.
//!
//! Each tree is grown on a bootstrap sample (n rows drawn with replacement, as weights) or on all rows; a node
//! looks at `max_features` features drawn at random. The forest's probabilities are the means over trees of
//! the class shares of the leaves that a row falls into.
//!
//! Training costs O(t m' n log n) for t trees and m' features a node. The minipatch's rows are sorted once
//! for all trees, a node's rows are filtered out of that order; extremely randomised trees need no order.
//! Memory per thread: O(n m).

use super::grow::{Grower, Patch};
use super::presorted::{Presorted, Sorted};
use super::split::{Key, NARROW_ROWS};
use super::tree::{Descent, Splitter, Tree, TreeParameters};
use super::{Classifier, ClassifySession, Query, Task};
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::simd::{Level, level};

/// How a forest is grown.
#[derive(Debug, Clone, PartialEq)]
pub struct ForestParameters {
    /// How each tree is grown.
    pub tree: TreeParameters,
    /// Number of trees.
    pub n_estimators: usize,
    /// Whether each tree has a bootstrap sample of its own.
    pub bootstrap: bool,
}

impl ForestParameters {
    /// A single tree, grown on all rows.
    pub fn single(tree: TreeParameters) -> Self {
        ForestParameters { tree, n_estimators: 1, bootstrap: false }
    }

    /// The defaults of `RandomForestClassifier` (100 trees, bootstrap) with `max_features` features a node.
    pub fn random_forest(max_features: usize) -> Self {
        let tree = TreeParameters { max_features: Some(max_features), ..TreeParameters::default() };
        ForestParameters { tree, n_estimators: 100, bootstrap: true }
    }

    /// The defaults of `ExtraTreesClassifier` (100 trees, no bootstrap, random thresholds) with
    /// `max_features` features a node.
    pub fn extra_trees(max_features: usize) -> Self {
        let forest = ForestParameters::random_forest(max_features);
        let tree = TreeParameters { splitter: Splitter::Random, ..forest.tree };
        ForestParameters { tree, bootstrap: false, ..forest }
    }

    /// Grows a forest on all rows and columns of sorted data, to be kept.
    pub fn grow(
        &self,
        presorted: &Presorted,
        classes: &[u32],
        n_classes: usize,
        rng: &mut Stream,
    ) -> Result<Vec<Tree>> {
        let mut trees = vec![Tree::default(); self.n_estimators];
        presorted.whole(classes, n_classes, |task| {
            if presorted.rows <= NARROW_ROWS {
                Nursery::<u32>::new(level()).grow(self, presorted, task, rng, &mut trees)
            } else {
                Nursery::<u64>::new(level()).grow(self, presorted, task, rng, &mut trees)
            }
        })??;
        Ok(trees)
    }
}

/// A forest as a classifier.
#[derive(Debug, Clone)]
pub struct Forest<'a> {
    /// The whole data, sorted; without them, what comes with a task is sorted for that task.
    pub presorted: Option<&'a Presorted>,
    /// How the forest is grown.
    pub parameters: ForestParameters,
}

impl Forest<'_> {
    /// A session that runs at a chosen level.
    pub(crate) fn session_at(&self, level: Level) -> Box<dyn ClassifySession + '_> {
        if self.presorted.is_some_and(|presorted| presorted.rows <= NARROW_ROWS) {
            Box::new(Session::<u32>::new(self, level))
        } else {
            Box::new(Session::<u64>::new(self, level))
        }
    }
}

impl Classifier for Forest<'_> {
    fn session(&self) -> Box<dyn ClassifySession + '_> {
        self.session_at(level())
    }
}

/// Working memory for growing forests.
struct Nursery<K: Key> {
    patch: Patch<K>,
    grower: Grower<K>,
    /// How often each row was drawn.
    counts: Vec<u32>,
}

impl<K: Key> Nursery<K> {
    fn new(level: Level) -> Self {
        Nursery { patch: Patch::new(), grower: Grower::new(level), counts: Vec::new() }
    }

    /// Grows the trees of a forest one after the other, into trees that are there already, whose memory serves again.
    fn grow(
        &mut self,
        parameters: &ForestParameters,
        presorted: &Presorted,
        task: &Task<'_>,
        rng: &mut Stream,
        trees: &mut [Tree],
    ) -> Result<()> {
        if trees.is_empty() {
            return Err(Error::value("n_estimators", 0, "at least 1"));
        }
        self.patch.load(presorted, task, parameters.tree.uses_orders());
        for tree in trees {
            self.counts.clear();
            if parameters.bootstrap {
                self.counts.resize(task.rows.len(), 0);
                (0..task.rows.len()).for_each(|_| self.counts[rng.below(task.rows.len())] += 1);
            }
            self.grower.grow(presorted, &self.patch, &self.counts, &parameters.tree, rng, tree);
        }
        Ok(())
    }
}

struct Session<'a, K: Key> {
    parameters: &'a ForestParameters,
    sorted: Sorted<'a>,
    nursery: Nursery<K>,
    trees: Vec<Tree>,
    descent: Descent,
}

impl<'a, K: Key> Session<'a, K> {
    fn new(model: &'a Forest<'_>, level: Level) -> Self {
        Session {
            parameters: &model.parameters,
            sorted: Sorted::new(model.presorted),
            nursery: Nursery::new(level),
            trees: vec![Tree::default(); model.parameters.n_estimators],
            descent: Descent::default(),
        }
    }
}

impl<K: Key> ClassifySession for Session<'_, K> {
    fn fit(&mut self, task: &Task<'_>, rng: &mut Stream) -> Result<()> {
        let presorted = self.sorted.of_task(task)?;
        self.nursery.grow(self.parameters, presorted, task, rng, &mut self.trees)
    }

    fn predict(&mut self, query: &Query<'_>, proba: &mut [f64]) -> Result<()> {
        let data = self.sorted.of_query(query)?;
        for tree in &self.trees {
            self.descent.add_shares(tree, data, query, proba);
        }
        let trees = self.trees.len() as f64;
        proba.iter_mut().for_each(|share| *share /= trees);
        Ok(())
    }
}
