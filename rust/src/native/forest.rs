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
use super::presorted::Presorted;
use super::split::{Key, NARROW_ROWS};
use super::tree::{Descent, Splitter, Tree, TreeParameters};
use super::{Classifier, ClassifySession, Task};
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
}

/// A forest.
#[derive(Debug, Clone)]
pub struct Forest<'a> {
    /// The whole data, sorted.
    pub presorted: &'a Presorted,
    /// How the forest is grown.
    pub parameters: ForestParameters,
}

impl Forest<'_> {
    /// Grows a forest on all of the presorted data, to be kept.
    pub fn fit(&self, classes: &[u32], n_classes: usize, rng: &mut Stream) -> Result<Vec<Tree>> {
        self.parameters.check()?;
        self.presorted.whole(classes, n_classes, |task| {
            let mut trees = Vec::new();
            let keep = |tree: &Tree| trees.push(tree.clone());
            if task.rows.len() <= NARROW_ROWS {
                Session::<u32>::new(self, level()).grow(task, rng, keep);
            } else {
                Session::<u64>::new(self, level()).grow(task, rng, keep);
            }
            trees
        })
    }

    /// A session that runs at a chosen level.
    pub(crate) fn session_at(&self, level: Level) -> Box<dyn ClassifySession + '_> {
        if self.presorted.rows <= NARROW_ROWS {
            Box::new(Session::<u32>::new(self, level))
        } else {
            Box::new(Session::<u64>::new(self, level))
        }
    }
}

impl ForestParameters {
    fn check(&self) -> Result<()> {
        if self.n_estimators == 0 {
            return Err(Error::value("n_estimators", 0, "at least 1"));
        }
        Ok(())
    }
}

impl Classifier for Forest<'_> {
    fn session(&self) -> Box<dyn ClassifySession + '_> {
        self.session_at(level())
    }
}

struct Session<'a, K: Key> {
    presorted: &'a Presorted,
    parameters: &'a ForestParameters,
    patch: Patch<K>,
    grower: Grower<K>,
    tree: Tree,
    /// How often each row was drawn.
    counts: Vec<u32>,
    descent: Descent,
}

impl<'a, K: Key> Session<'a, K> {
    fn new(model: &'a Forest<'_>, level: Level) -> Self {
        Session {
            presorted: model.presorted,
            parameters: &model.parameters,
            patch: Patch::new(),
            grower: Grower::new(level),
            tree: Tree::default(),
            counts: Vec::new(),
            descent: Descent::default(),
        }
    }

    /// Grows the trees one after the other and hands each to `use_tree`.
    fn grow(&mut self, task: &Task<'_>, rng: &mut Stream, mut use_tree: impl FnMut(&Tree)) {
        let ForestParameters { tree, n_estimators, bootstrap } = self.parameters;
        self.patch.load(self.presorted, task, tree.uses_orders());
        self.counts.clear();
        for _ in 0..*n_estimators {
            if *bootstrap {
                self.counts.clear();
                self.counts.resize(task.rows.len(), 0);
                (0..task.rows.len()).for_each(|_| self.counts[rng.below(task.rows.len())] += 1);
            }
            self.grower.grow(self.presorted, &self.patch, &self.counts, tree, rng, &mut self.tree);
            use_tree(&self.tree);
        }
    }
}

impl<K: Key> ClassifySession for Session<'_, K> {
    fn fit_predict(&mut self, task: &Task<'_>, rng: &mut Stream, proba: &mut [f64]) -> Result<()> {
        self.parameters.check()?;
        self.presorted.check(&task.data)?;
        let presorted = self.presorted;
        let mut descent = std::mem::take(&mut self.descent);
        self.grow(task, rng, |tree| descent.add_shares(tree, presorted, task, proba));
        self.descent = descent;
        let trees = self.parameters.n_estimators as f64;
        proba.iter_mut().for_each(|p| *p /= trees);
        Ok(())
    }
}
