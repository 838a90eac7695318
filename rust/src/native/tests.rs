//! Laws of the classifiers, held against deliberately naive versions.
//!
//! Equally good splits have no order of their own, so trees are not compared with another grower's tree: every
//! node of a tree is shown to be one that exhaustive search could have chosen.

use super::centroid::{Metric, NearestCentroid};
use super::forest::{Forest, ForestParameters};
use super::grow::{Grower, Patch};
use super::neighbors::{KNeighbors, Weights};
use super::presorted::Presorted;
use super::split::Criterion;
use super::tree::{NO_CHILD, Splitter, Tree, TreeParameters};
use super::{ClassifySession, Matrix, Query, Task, Values};
use crate::parallel::Workers;
use crate::rng::{Purpose, Stream};
use crate::simd::Level;
use proptest::prelude::*;

/// Data, and a minipatch of it.
#[derive(Debug, Clone)]
struct Case {
    x: Vec<f32>,
    rows: usize,
    columns: usize,
    train: Vec<u32>,
    features: Vec<u32>,
    classes: Vec<u32>,
    n_classes: usize,
    held_out: Vec<u32>,
}

impl Case {
    /// Random data on a grid of `grid` values (0 for no grid, hence no ties).
    fn new(seed: u64, rows: usize, columns: usize, n_classes: usize, grid: usize) -> Self {
        let mut rng = Stream::new(seed, Purpose::Rows, 0);
        let mut value = || {
            if grid == 0 {
                return (rng.unit() * 8.0 - 4.0) as f32;
            }
            // Half of the values are one value, as in counts.
            if rng.below(2) == 0 { 1.0 } else { rng.below(grid) as f32 - 1.0 }
        };
        let x = (0..rows * columns).map(|_| value()).collect();
        let train = rng.subset(rows, (2 * rows / 3).max(2));
        let features = rng.subset(columns, columns.div_ceil(2));
        let classes = train.iter().map(|_| rng.below(n_classes) as u32).collect();
        let held_out = (0..rows as u32).filter(|row| !train.contains(row)).collect();
        Case { x, rows, columns, train, features, classes, n_classes: n_classes + 1, held_out }
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix { values: Values::F32(&self.x), rows: self.rows, columns: self.columns }
    }

    fn task<'a>(&'a self, data: Matrix<'a>) -> Task<'a> {
        Task {
            data,
            rows: &self.train,
            columns: &self.features,
            classes: &self.classes,
            n_classes: self.n_classes,
        }
    }

    fn query<'a>(&'a self, data: Matrix<'a>) -> Query<'a> {
        Query { data, rows: &self.held_out, columns: &self.features }
    }

    fn value(&self, local: usize, column: usize) -> f32 {
        self.x[self.train[local] as usize * self.columns + self.features[column] as usize]
    }

    fn predict(&self, mut session: Box<dyn ClassifySession + '_>) -> Vec<f64> {
        self.predict_with(&mut *session, self.matrix())
    }

    fn predict_with(&self, session: &mut dyn ClassifySession, data: Matrix<'_>) -> Vec<f64> {
        let mut proba = vec![0.0; self.held_out.len() * self.n_classes];
        session.fit(&self.task(data), &mut Stream::new(5, Purpose::Classifier, 1)).unwrap();
        session.predict(&self.query(data), &mut proba).unwrap();
        proba
    }
}

fn single_tree(presorted: &Presorted, parameters: TreeParameters) -> Forest<'_> {
    Forest { presorted: Some(presorted), parameters: ForestParameters::single(parameters) }
}

fn case(grid: impl Strategy<Value = usize>) -> impl Strategy<Value = Case> {
    (any::<u64>(), 3usize..90, 1usize..12, 1usize..6, grid)
        .prop_map(|(seed, rows, columns, classes, grid)| Case::new(seed, rows, columns, classes, grid))
}

fn parameters() -> impl Strategy<Value = TreeParameters> {
    let criterion = prop_oneof![Just(Criterion::Gini), Just(Criterion::Entropy)];
    let max_depth = prop_oneof![Just(None), (0usize..4).prop_map(Some)];
    (criterion, max_depth, 2usize..8, 1usize..4, prop_oneof![Just(0.0), Just(0.02)]).prop_map(
        |(criterion, max_depth, min_samples_split, min_samples_leaf, min_impurity_decrease)| TreeParameters {
            criterion,
            max_depth,
            min_samples_split,
            min_samples_leaf,
            min_impurity_decrease,
            ..TreeParameters::default()
        },
    )
}

/// Minus the weighted impurities of the two sides of a threshold, and their numbers of rows.
fn quality(
    case: &Case,
    weights: &[u32],
    criterion: Criterion,
    rows: &[usize],
    column: usize,
    at: f64,
) -> (f64, [usize; 2]) {
    let mut counts = [vec![0u32; case.n_classes], vec![0u32; case.n_classes]];
    let mut sizes = [0; 2];
    for &row in rows {
        let side = usize::from(f64::from(case.value(row, column)) > at);
        counts[side][case.classes[row] as usize] += weights[row];
        sizes[side] += 1;
    }
    let [left, right] = counts.map(|counts| {
        let weight: u32 = counts.iter().sum();
        if weight == 0 { 0.0 } else { f64::from(weight) * criterion.impurity(&counts, weight) }
    });
    (-right - left, sizes)
}

/// Every threshold between neighbouring values of a column, ascending.
fn thresholds(case: &Case, rows: &[usize], column: usize) -> Vec<f64> {
    let mut values: Vec<f32> = rows.iter().map(|&row| case.value(row, column)).collect();
    values.sort_by(f32::total_cmp);
    values
        .windows(2)
        .filter(|pair| pair[1] > pair[0] + 1e-7)
        .map(|pair| f64::from(pair[0]) / 2.0 + f64::from(pair[1]) / 2.0)
        .collect()
}

/// Shows that `tree` is one that exhaustive search could have grown.
fn verify(case: &Case, weights: &[u32], parameters: &TreeParameters, tree: &Tree) {
    let all: Vec<usize> = (0..case.train.len()).filter(|&row| weights[row] > 0).collect();
    let total: u32 = weights.iter().sum();
    let mut pending = vec![(0usize, all, 0usize)];
    let mut seen = 0;
    while let Some((node, rows, depth)) = pending.pop() {
        assert_eq!(node, seen, "nodes are numbered from the root, left before right");
        seen += 1;
        let mut counts = vec![0u32; case.n_classes];
        rows.iter().for_each(|&row| counts[case.classes[row] as usize] += weights[row]);
        let weight: u32 = counts.iter().sum();
        let impurity = parameters.criterion.impurity(&counts, weight);
        assert_eq!((tree.samples[node] as usize, tree.weight[node]), (rows.len(), weight));
        assert!((tree.impurity[node] - impurity).abs() < 1e-14);
        for (class, &count) in counts.iter().enumerate() {
            assert_eq!(tree.value[node * case.n_classes + class], f64::from(count) / f64::from(weight));
        }
        let mut best = f64::NEG_INFINITY;
        for column in 0..case.features.len() {
            for at in thresholds(case, &rows, column) {
                let (proxy, sizes) = quality(case, weights, parameters.criterion, &rows, column, at);
                if sizes[0].min(sizes[1]) >= parameters.min_samples_leaf {
                    best = best.max(proxy);
                }
            }
        }
        let may_split = impurity > f64::EPSILON
            && rows.len() >= parameters.min_samples_split
            && parameters.max_depth.is_none_or(|most| depth < most)
            && best > f64::NEG_INFINITY;
        if tree.left[node] == NO_CHILD {
            let gain = (best + f64::from(weight) * impurity) / f64::from(total);
            assert!(
                !may_split || gain < parameters.min_impurity_decrease + 1e-12,
                "a leaf that could be split"
            );
            continue;
        }
        assert!(may_split);
        let (column, at) = (tree.feature[node] as usize, tree.threshold[node]);
        let (proxy, _) = quality(case, weights, parameters.criterion, &rows, column, at);
        // Class order differs from the grower's where classes are missing, hence rounding in the entropy.
        assert!((proxy - best).abs() <= 1e-12 * f64::from(weight), "{proxy} is not the best, {best}");
        let first = thresholds(case, &rows, column).into_iter().find(|&other| {
            let (same, sizes) = quality(case, weights, parameters.criterion, &rows, column, other);
            sizes[0].min(sizes[1]) >= parameters.min_samples_leaf
                && if parameters.criterion == Criterion::Gini { same == proxy } else { same >= proxy - 1e-9 }
        });
        assert!(first == Some(at) || parameters.criterion == Criterion::Entropy, "not the lowest threshold");
        let (left, right) = rows.into_iter().partition(|&row| f64::from(case.value(row, column)) <= at);
        pending.push((tree.right[node] as usize, right, depth + 1));
        pending.push((tree.left[node] as usize, left, depth + 1));
    }
    assert_eq!(seen, tree.node_count());
}

/// Grows a tree with keys of either width at some level.
fn grow<K: super::split::Key>(
    case: &Case,
    weights: &[u32],
    parameters: &TreeParameters,
    level: Level,
) -> Tree {
    let presorted = Presorted::new(case.matrix(), Workers::new(1)).unwrap();
    let mut patch = Patch::<K>::new();
    patch.load(&presorted, &case.task(case.matrix()), parameters.uses_orders());
    let mut tree = Tree::default();
    let mut rng = Stream::new(3, Purpose::Classifier, 0);
    Grower::<K>::new(level).grow(&presorted, &patch, weights, parameters, &mut rng, &mut tree);
    tree
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_split_is_the_best(case in case(0usize..6), parameters in parameters()) {
        let tree = grow::<u32>(&case, &[], &parameters, Level::supported());
        verify(&case, &vec![1; case.train.len()], &parameters, &tree);
        prop_assert_eq!(&tree, &grow::<u64>(&case, &[], &parameters, Level::Baseline));
    }

    #[test]
    fn weights_count_rows(case in case(0usize..6), parameters in parameters(), seed in any::<u64>()) {
        let mut rng = Stream::new(seed, Purpose::Rows, 1);
        let mut weights: Vec<u32> = case.train.iter().map(|_| rng.below(4) as u32).collect();
        weights[0] = 1;
        let tree = grow::<u32>(&case, &weights, &parameters, Level::supported());
        verify(&case, &weights, &parameters, &tree);
        prop_assert_eq!(&tree, &grow::<u64>(&case, &weights, &parameters, Level::Baseline));
    }

    #[test]
    fn orders_on_demand_are_the_kept_orders(case in case(0usize..6), parameters in parameters(), two in any::<bool>()) {
        // With one feature there is one to draw; and a limit that only just leaves out one of two features,
        // the second of which is constant, still finds the first.
        let mut single = case.clone();
        single.features.truncate(1);
        let mut limited = TreeParameters { max_features: Some(1), ..parameters.clone() };
        if two {
            single.x = single.x.chunks(case.columns).flat_map(|row| row.iter().copied().chain([7.0])).collect();
            single.columns += 1;
            single.features.push(case.columns as u32);
        } else {
            limited.max_features = Some(5);
        }
        let tree = grow::<u32>(&single, &[], &limited, Level::supported());
        verify(&single, &vec![1; case.train.len()], &limited, &tree);
        let weights: Vec<u32> = (0..case.train.len() as u32).map(|row| (row + 1) % 3).collect();
        let tree = grow::<u32>(&single, &weights, &limited, Level::supported());
        verify(&single, &weights, &limited, &tree);
    }

    #[test]
    fn random_thresholds_lie_within_and_leaves_are_pure(case in case(0usize..6)) {
        let parameters = TreeParameters { splitter: Splitter::Random, ..TreeParameters::default() };
        let tree = grow::<u32>(&case, &[], &parameters, Level::supported());
        prop_assert_eq!(&tree, &grow::<u64>(&case, &[], &parameters, Level::Baseline));
        for node in 0..tree.node_count() {
            if tree.left[node] != NO_CHILD {
                let children = [tree.left[node], tree.right[node]].map(|child| tree.samples[child as usize]);
                prop_assert!(children[0] > 0 && children[1] > 0 && children[0] + children[1] == tree.samples[node]);
            }
        }
    }

    #[test]
    fn a_session_predicts_what_the_tree_says(case in case(0usize..6)) {
        let presorted = Presorted::new(case.matrix(), Workers::new(1)).unwrap();
        let model = single_tree(&presorted, TreeParameters::default());
        let mut session = model.session_at(Level::supported());
        let mut proba = vec![0.0; case.held_out.len() * case.n_classes];
        session.fit(&case.task(case.matrix()), &mut Stream::new(3, Purpose::Classifier, 0)).unwrap();
        session.predict(&case.query(case.matrix()), &mut proba).unwrap();
        let tree = grow::<u32>(&case, &[], &TreeParameters::default(), Level::supported());
        let held: Vec<f64> = case.held_out.iter().flat_map(|&row| {
            case.features.iter().map(move |&j| (row, j))
        }).map(|(row, j)| f64::from(case.x[row as usize * case.columns + j as usize])).collect();
        let mut expected = vec![0.0; proba.len()];
        let x = Matrix { values: Values::F64(&held), rows: case.held_out.len(), columns: case.features.len() };
        tree.predict_proba(x, &mut expected);
        prop_assert_eq!(proba, expected);
    }

    #[test]
    fn neighbours_are_the_nearest(case in case(prop_oneof![Just(0usize), 2usize..5]), k in 1usize..8, uniform in any::<bool>()) {
        let weights = if uniform { Weights::Uniform } else { Weights::Distance };
        let k = k.min(case.train.len());
        let proba = case.predict(KNeighbors { n_neighbors: k, weights }.session_at(Level::supported()));
        for (&row, out) in case.held_out.iter().zip(proba.chunks(case.n_classes)) {
            let mut found: Vec<(f64, usize)> = (0..case.train.len()).map(|i| {
                let squares = (0..case.features.len()).map(|c| {
                    let q = case.x[row as usize * case.columns + case.features[c] as usize];
                    (f64::from(q) - f64::from(case.value(i, c))).powi(2)
                });
                (squares.sum::<f64>().sqrt(), i)
            }).collect();
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut expected = vec![0.0; case.n_classes];
            let touching = found[0].0 == 0.0;
            for &(d, i) in &found[..k] {
                expected[case.classes[i] as usize] += if uniform { 1.0 } else if touching { f64::from(u8::from(d == 0.0)) } else { 1.0 / d };
            }
            let sum: f64 = expected.iter().sum();
            // On a grid distances are exact and the stable sort takes ties in order, as the method promises.
            for (got, want) in out.iter().zip(&expected) {
                prop_assert!((got - want / sum).abs() < 1e-12, "{:?} {:?}", out, expected);
            }
        }
    }

    #[test]
    fn adding_a_constant_changes_no_neighbour(case in case(2usize..50), k in 1usize..5) {
        let k = k.min(case.train.len());
        let mut moved = case.clone();
        moved.x.iter_mut().for_each(|v| *v += 16384.0);
        let model = KNeighbors { n_neighbors: k, weights: Weights::Distance };
        prop_assert_eq!(case.predict(model.session_at(Level::supported())), moved.predict(model.session_at(Level::supported())));
    }

    #[test]
    fn the_nearest_centroid_wins(case in case(Just(0usize)), manhattan in any::<bool>()) {
        let metric = if manhattan { Metric::Manhattan } else { Metric::Euclidean };
        let wide: Vec<f64> = case.x.iter().map(|&v| f64::from(v)).collect();
        let data = Matrix { values: Values::F64(&wide), ..case.matrix() };
        let model = NearestCentroid { metric, soft: false };
        let proba = case.predict_with(&mut *model.session_at(Level::supported()), data);
        for (&row, out) in case.held_out.iter().zip(proba.chunks(case.n_classes)) {
            let distance = |class: u32| -> f64 {
                case.features.iter().enumerate().map(|(c, &j)| {
                    let mut values: Vec<f64> = (0..case.train.len()).filter(|&i| case.classes[i] == class)
                        .map(|i| f64::from(case.value(i, c))).collect();
                    values.sort_by(f64::total_cmp);
                    let n = values.len();
                    let q = wide[row as usize * case.columns + j as usize];
                    if manhattan { (q - (values[(n - 1) / 2] + values[n / 2]) / 2.0).abs() }
                    else { (q - values.iter().sum::<f64>() / n as f64).powi(2) }
                }).sum()
            };
            let class = out.iter().position(|&p| p == 1.0).expect("one class has it all") as u32;
            for other in case.classes.iter() {
                prop_assert!(distance(class) <= distance(*other) + 1e-9);
            }
        }
    }

    #[test]
    fn soft_centroids_make_probabilities(case in case(0usize..5)) {
        let proba = case.predict(NearestCentroid { metric: Metric::Euclidean, soft: true }.session_at(Level::supported()));
        for out in proba.chunks(case.n_classes) {
            prop_assert!((out.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert_eq!(out[case.n_classes - 1], 0.0);
        }
    }

    #[test]
    fn instruction_sets_and_earlier_tasks_change_nothing(case in case(0usize..6), other in case(0usize..6)) {
        let presorted = Presorted::new(case.matrix(), Workers::new(1)).unwrap();
        let tree = |criterion| single_tree(&presorted, TreeParameters { criterion, ..TreeParameters::default() });
        let (gini, entropy) = (tree(Criterion::Gini), tree(Criterion::Entropy));
        let forest = |parameters| Forest { presorted: Some(&presorted), parameters: ForestParameters { n_estimators: 5, ..parameters } };
        let (random, extra) = (forest(ForestParameters::random_forest(2)), forest(ForestParameters::extra_trees(2)));
        let near = KNeighbors { n_neighbors: 2, weights: Weights::Distance };
        let centroid = NearestCentroid { metric: Metric::Euclidean, soft: true };
        let sessions = |level: Level| [
            gini.session_at(level), entropy.session_at(level), random.session_at(level), extra.session_at(level),
            near.session_at(level), centroid.session_at(level),
        ];
        let first = sessions(Level::Baseline).map(|session| case.predict(session));
        // Another minipatch of the same data comes between.
        let rows = case.rows as u32;
        let mut between = other;
        between.train = (0..rows / 2).collect();
        between.classes = between.train.iter().map(|row| row % 2).collect();
        between.n_classes = 3;
        between.features = (0..case.columns as u32).collect();
        between.held_out = (rows / 2..rows).collect();
        for level in Level::ALL.into_iter().filter(|&level| level <= Level::supported()) {
            for (mut session, expected) in sessions(level).into_iter().zip(&first) {
                prop_assert_eq!(&case.predict_with(&mut *session, case.matrix()), expected);
                if between.train.len() >= 2 {
                    between.predict_with(&mut *session, case.matrix());
                }
                prop_assert_eq!(&case.predict_with(&mut *session, case.matrix()), expected);
            }
        }
    }
}

/// A task on a few rows of the given data, all of which are predicted after those trained on.
fn small(x: &[f32], columns: usize, classes: &[u32], n_classes: usize) -> Case {
    let rows = x.len() / columns;
    Case {
        x: x.to_vec(),
        rows,
        columns,
        train: (0..classes.len() as u32).collect(),
        features: (0..columns as u32).collect(),
        classes: classes.to_vec(),
        n_classes,
        held_out: (classes.len() as u32..rows as u32).collect(),
    }
}

#[test]
fn two_rows_make_a_stump() {
    let case = small(&[0.0, 5.0, 1.0, 5.0, 0.4, 0.0, 0.6, 9.0], 2, &[1, 0], 2);
    let presorted = Presorted::new(case.matrix(), Workers::new(1)).unwrap();
    let tree = single_tree(&presorted, TreeParameters::default());
    assert_eq!(case.predict(tree.session_at(Level::supported())), [0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn equal_rows_of_different_classes_share_a_leaf() {
    let case = small(&[2.0, 2.0, 2.0, 2.0, 2.0, 1.0], 1, &[0, 0, 1, 2], 3);
    let presorted = Presorted::new(case.matrix(), Workers::new(1)).unwrap();
    let tree = single_tree(&presorted, TreeParameters::default());
    assert_eq!(case.predict(tree.session_at(Level::supported())), [0.5, 0.25, 0.25, 0.5, 0.25, 0.25]);
}

#[test]
fn one_class_is_certain() {
    let case = small(&[1.0, 2.0, 3.0, 9.0], 1, &[2, 2, 2], 4);
    let presorted = Presorted::new(case.matrix(), Workers::new(1)).unwrap();
    let tree = single_tree(&presorted, TreeParameters::default());
    let forest = Forest { presorted: Some(&presorted), parameters: ForestParameters::random_forest(1) };
    let extra = Forest { presorted: Some(&presorted), parameters: ForestParameters::extra_trees(1) };
    let near = KNeighbors { n_neighbors: 2, weights: Weights::Distance };
    let centroid = NearestCentroid { metric: Metric::Euclidean, soft: true };
    let level = Level::supported();
    for session in [
        tree.session_at(level),
        forest.session_at(level),
        extra.session_at(level),
        near.session_at(level),
        centroid.session_at(level),
    ] {
        assert_eq!(case.predict(session), [0.0, 0.0, 1.0, 0.0]);
    }
}

#[test]
fn values_within_the_threshold_are_one_value() {
    let case = small(&[0.0, 0.5e-7, 1e-7, 1.0, 1.0], 1, &[0, 1, 0, 1], 2);
    let tree = grow::<u32>(&case, &[], &TreeParameters::default(), Level::supported());
    verify(&case, &[1; 4], &TreeParameters::default(), &tree);
    assert_eq!(tree.node_count(), 3);
}

#[test]
fn equally_good_features_win_equally_often() {
    let x: Vec<f32> = (0..12).flat_map(|row| [row as f32; 4]).collect();
    let case = small(&x, 4, &(0..12).map(|row| u32::from(row >= 6)).collect::<Vec<_>>(), 2);
    let presorted = Presorted::new(case.matrix(), Workers::new(1)).unwrap();
    let model = ForestParameters::single(TreeParameters::default());
    let mut wins = [0u32; 4];
    for index in 0..4000 {
        let mut rng = Stream::new(8, Purpose::Standalone, index);
        let trees = model.grow(&presorted, &case.classes, 2, &mut rng).unwrap();
        wins[trees[0].feature[0] as usize] += 1;
    }
    assert!(wins.iter().all(|&n| (f64::from(n) - 1000.0).abs() < 110.0), "{wins:?}");
}

#[test]
fn a_forest_kept_is_the_forest_of_a_session() {
    let case = Case::new(4, 60, 5, 3, 0);
    let whole = small(&case.x, 5, &(0..60).map(|row| row % 3).collect::<Vec<_>>(), 3);
    let presorted = Presorted::new(whole.matrix(), Workers::new(1)).unwrap();
    let forest = ForestParameters::random_forest(2);
    let mut rng = Stream::new(5, Purpose::Classifier, 1);
    let trees = forest.grow(&presorted, &whole.classes, 3, &mut rng).unwrap();
    assert_eq!(trees.len(), 100);
    assert!(trees.iter().all(|tree| tree.weight[0] == 60 && tree.depth() > 0));
}

#[test]
fn too_many_neighbours_are_refused() {
    let case = small(&[1.0, 2.0, 3.0], 1, &[0, 1], 2);
    for n_neighbors in [0, 3] {
        let model = KNeighbors { n_neighbors, weights: Weights::Uniform };
        let mut session = model.session_at(Level::supported());
        let mut rng = Stream::new(0, Purpose::Classifier, 0);
        assert!(session.fit(&case.task(case.matrix()), &mut rng).is_err());
    }
}

#[test]
fn data_of_another_shape_is_refused() {
    let case = small(&[1.0, 2.0, 3.0], 1, &[0, 1], 2);
    let presorted = Presorted::new(case.matrix(), Workers::new(1)).unwrap();
    let model = single_tree(&presorted, TreeParameters::default());
    let other = Matrix { values: Values::F32(&[1.0, 2.0]), rows: 2, columns: 1 };
    let mut rng = Stream::new(0, Purpose::Classifier, 0);
    let mut session = model.session_at(Level::supported());
    assert!(session.fit(&case.task(other), &mut rng).is_err());
    session.fit(&case.task(case.matrix()), &mut rng).unwrap();
    assert!(session.predict(&case.query(other), &mut [0.0; 2]).is_err());
}
