//! The native engine and the estimators of `clusterwhy.native`.

use numpy::ndarray::{Array1, Array3};
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{check_labels, detached, matrix, param, slice};
use crate::comparators::relabel::{self, Permuted};
use crate::error::{Error, Result};
use crate::native::centroid::{Metric, NearestCentroid};
use crate::native::engine::{self, Run, RunVotes};
use crate::native::forest::{Forest, ForestParameters};
use crate::native::gamma_mixture::GammaMixture;
use crate::native::graph::Affinity;
use crate::native::kmeans::{Init, KMeans, KMeansFit};
use crate::native::linkage::{Agglomerative, Linkage};
use crate::native::neighbors::{KNeighbors, Weights};
use crate::native::patch::{self, Csr, Whole};
use crate::native::spectral::Spectral;
use crate::native::tree::{Criterion, NO_CHILD, Splitter, Tree, TreeParameters};
use crate::native::{Classifier, Clusterer, Matrix, Query, Task, Values, presorted};
use crate::parallel;
use crate::rng::{Purpose, Stream};
use crate::sampling::Minipatches;

fn unknown(what: &'static str, got: &str, expected: &str) -> PyErr {
    Error::value(what, format!("{got:?}"), expected).into()
}

fn clusterer(method: &str, params: &Bound<'_, PyDict>) -> PyResult<Box<dyn Clusterer + Send>> {
    let n_clusters = || param(params, "n_clusters");
    Ok(match method {
        "agglomerative" => {
            let linkage = match param::<String>(params, "linkage")?.as_str() {
                "ward" => Linkage::Ward,
                "complete" => Linkage::Complete,
                "average" => Linkage::Average,
                "single" => Linkage::Single,
                other => return Err(unknown("linkage", other, "ward, complete, average or single")),
            };
            Box::new(Agglomerative { n_clusters: n_clusters()?, linkage })
        }
        "gamma_mixture" => Box::new(GammaMixture {
            n_components: param(params, "n_components")?,
            max_iter: param(params, "max_iter")?,
            tol: param(params, "tol")?,
            n_init: param(params, "n_init")?,
        }),
        "kmeans" => Box::new(kmeans(params)?),
        "spectral" => {
            let affinity = match param::<String>(params, "affinity")?.as_str() {
                "nearest_neighbors" => {
                    Affinity::NearestNeighbors { n_neighbors: param(params, "n_neighbors")? }
                }
                "rbf" => Affinity::Rbf { gamma: param(params, "gamma")? },
                other => return Err(unknown("affinity", other, "nearest_neighbors or rbf")),
            };
            let (n_components, n_init) = (param(params, "n_components")?, param(params, "n_init")?);
            Box::new(Spectral { n_clusters: n_clusters()?, affinity, n_components, n_init })
        }
        other => {
            return Err(unknown("the method", other, "agglomerative, gamma_mixture, kmeans or spectral"));
        }
    })
}

fn kmeans(params: &Bound<'_, PyDict>) -> PyResult<KMeans> {
    Ok(KMeans {
        n_clusters: param(params, "n_clusters")?,
        init: match param::<String>(params, "init")?.as_str() {
            "k-means++" => Init::PlusPlus,
            "random" => Init::Random,
            other => return Err(unknown("init", other, "k-means++ or random")),
        },
        n_init: param(params, "n_init")?,
        max_iter: param(params, "max_iter")?,
        tol: param(params, "tol")?,
    })
}

fn tree_parameters(params: &Bound<'_, PyDict>) -> PyResult<TreeParameters> {
    Ok(TreeParameters {
        criterion: match param::<String>(params, "criterion")?.as_str() {
            "gini" => Criterion::Gini,
            "entropy" => Criterion::Entropy,
            other => return Err(unknown("criterion", other, "gini or entropy")),
        },
        splitter: match param::<String>(params, "splitter")?.as_str() {
            "best" => Splitter::Best,
            "random" => Splitter::Random,
            other => return Err(unknown("splitter", other, "best or random")),
        },
        max_depth: param(params, "max_depth")?,
        min_samples_split: param(params, "min_samples_split")?,
        min_samples_leaf: param(params, "min_samples_leaf")?,
        max_features: param(params, "max_features")?,
        min_impurity_decrease: param(params, "min_impurity_decrease")?,
    })
}

fn forest_parameters(params: &Bound<'_, PyDict>) -> PyResult<ForestParameters> {
    Ok(ForestParameters {
        tree: tree_parameters(params)?,
        n_estimators: param(params, "n_estimators")?,
        bootstrap: param(params, "bootstrap")?,
    })
}

fn grows_trees(method: &str) -> bool {
    matches!(method, "tree" | "forest")
}

fn classifier<'a>(
    method: &str,
    params: &Bound<'_, PyDict>,
    presorted: Option<&'a Presorted>,
) -> PyResult<Box<dyn Classifier + Send + 'a>> {
    let presorted = presorted.map(|presorted| &presorted.0);
    Ok(match method {
        "tree" => {
            Box::new(Forest { presorted, parameters: ForestParameters::single(tree_parameters(params)?) })
        }
        "forest" => Box::new(Forest { presorted, parameters: forest_parameters(params)? }),
        "neighbors" => Box::new(KNeighbors {
            n_neighbors: param(params, "n_neighbors")?,
            weights: match param::<String>(params, "weights")?.as_str() {
                "uniform" => Weights::Uniform,
                "distance" => Weights::Distance,
                other => return Err(unknown("weights", other, "uniform or distance")),
            },
        }),
        "centroid" => Box::new(NearestCentroid {
            metric: match param::<String>(params, "metric")?.as_str() {
                "euclidean" => Metric::Euclidean,
                "manhattan" => Metric::Manhattan,
                other => return Err(unknown("metric", other, "euclidean or manhattan")),
            },
            soft: param(params, "soft")?,
        }),
        other => return Err(unknown("the method", other, "tree, forest, neighbors or centroid")),
    })
}

/// The data as native methods read them: C-contiguous, of either precision.
enum Data<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

impl<'py> Data<'py> {
    fn new(x: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(x) = x.extract() {
            return Ok(Data::Single(x));
        }
        let wrong = |_| PyTypeError::new_err("the data must be a float32 or float64 array of two dimensions");
        Ok(Data::Double(x.extract().map_err(wrong)?))
    }

    fn matrix(&self) -> PyResult<Matrix<'_>> {
        let (values, shape) = match self {
            Data::Single(x) => (Values::F32(slice(x)?), x.shape()),
            Data::Double(x) => (Values::F64(slice(x)?), x.shape()),
        };
        Ok(Matrix { values, rows: shape[0], columns: shape[1] })
    }
}

/// An array of whole numbers of either width, as SciPy keeps the places of sparse values.
enum WholeArray<'py> {
    Narrow(PyReadonlyArray1<'py, i32>),
    Wide(PyReadonlyArray1<'py, i64>),
}

impl<'py> WholeArray<'py> {
    fn of(x: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        let array = x.getattr(name)?;
        if let Ok(array) = array.extract() {
            return Ok(WholeArray::Narrow(array));
        }
        let wrong = |_| PyTypeError::new_err(format!("{name} must be an int32 or int64 array"));
        Ok(WholeArray::Wide(array.extract().map_err(wrong)?))
    }

    fn whole(&self) -> PyResult<Whole<'_>> {
        Ok(match self {
            WholeArray::Narrow(array) => Whole::I32(slice(array)?),
            WholeArray::Wide(array) => Whole::I64(slice(array)?),
        })
    }
}

/// The data of a run: an array, or a CSR matrix of SciPy, whose parts are read where they lie.
enum AnyData<'py> {
    Dense(Data<'py>),
    Single(PyReadonlyArray1<'py, f32>, SparseShape<'py>),
    Double(PyReadonlyArray1<'py, f64>, SparseShape<'py>),
}

/// Where the values of a sparse matrix lie, and its number of columns.
struct SparseShape<'py> {
    indices: WholeArray<'py>,
    indptr: WholeArray<'py>,
    columns: usize,
}

impl<'py> AnyData<'py> {
    fn new(x: &Bound<'py, PyAny>) -> PyResult<Self> {
        if !x.hasattr("indptr")? {
            return Ok(AnyData::Dense(Data::new(x)?));
        }
        let (_, columns): (usize, usize) = x.getattr("shape")?.extract()?;
        let (indices, indptr) = (WholeArray::of(x, "indices")?, WholeArray::of(x, "indptr")?);
        let (values, shape) = (x.getattr("data")?, SparseShape { indices, indptr, columns });
        if let Ok(values) = values.extract() {
            return Ok(AnyData::Single(values, shape));
        }
        let wrong = |_| PyTypeError::new_err("the values of a sparse matrix must be float32 or float64");
        Ok(AnyData::Double(values.extract().map_err(wrong)?, shape))
    }

    fn read(&self) -> PyResult<patch::Data<'_>> {
        let (values, SparseShape { indices, indptr, columns }) = match self {
            AnyData::Dense(data) => return Ok(patch::Data::Dense(data.matrix()?)),
            AnyData::Single(values, shape) => (Values::F32(slice(values)?), shape),
            AnyData::Double(values, shape) => (Values::F64(slice(values)?), shape),
        };
        Ok(patch::Data::Sparse(Csr::new(values, indices.whole()?, indptr.whole()?, *columns)?))
    }
}

/// Every feature of the data, sorted: made once a fit and handed to each call that grows trees.
#[pyclass(frozen)]
pub struct Presorted(presorted::Presorted);

#[pymethods]
impl Presorted {
    #[new]
    fn new(py: Python<'_>, x: &Bound<'_, PyAny>, threads: usize) -> PyResult<Self> {
        let data = Data::new(x)?;
        let data = data.matrix()?;
        Ok(Presorted(detached(py, threads, |workers| presorted::Presorted::new(data, workers))?))
    }
}

/// The sizes of a design, and which of its minipatches to run.
#[derive(FromPyObject)]
pub struct Plan {
    n_rows: usize,
    n_columns: usize,
    seed: u64,
    features: Option<Vec<u32>>,
    start: usize,
    stop: usize,
}

impl Plan {
    fn run<'a>(&'a self, data: patch::Data<'a>) -> Result<Run<'a>> {
        let active = self.features.as_ref().map_or(data.columns(), Vec::len);
        let design = Minipatches::new(data.rows(), active, self.n_rows, self.n_columns, self.seed)?;
        Ok(Run { data, design, features: self.features.as_deref(), start: self.start, stop: self.stop })
    }
}

/// Clusters minipatches natively: labels (stop - start, n_rows).
#[pyfunction]
pub fn native_cluster<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    plan: Plan,
    method: &str,
    params: &Bound<'py, PyDict>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let data = AnyData::new(x)?;
    let data = data.read()?;
    let clusterer = clusterer(method, params)?;
    let labels = detached(py, threads, |workers| engine::cluster(&plan.run(data)?, &*clusterer, workers))?;
    let labels = labels.into_iter().map(i64::from).collect();
    Ok(matrix(plan.stop.saturating_sub(plan.start), plan.n_rows, labels).into_pyarray(py))
}

pub type NativeVotes<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<bool>>);

/// Trains and predicts minipatches natively: classes (b, N) or probabilities (b, N, K), and which were trained.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn native_classify<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    plan: Plan,
    labels: PyReadonlyArray2<'py, i32>,
    n_classes: usize,
    method: &str,
    params: &Bound<'py, PyDict>,
    presorted: Option<&Bound<'py, Presorted>>,
    threads: usize,
) -> PyResult<NativeVotes<'py>> {
    let data = AnyData::new(x)?;
    let data = data.read()?;
    let samples = data.rows();
    match data {
        patch::Data::Sparse(csr) if grows_trees(method) => csr.check_single()?,
        patch::Data::Dense(_) if grows_trees(method) && presorted.is_none() => {
            return Err(PyTypeError::new_err("trees need the data presorted"));
        }
        _ => {}
    }
    let classifier = classifier(method, params, presorted.map(Bound::get))?;
    let labels = slice(&labels)?;
    let (votes, trained) = detached(py, threads, |workers| {
        check_labels(labels, labels.len(), n_classes)?;
        engine::classify(&plan.run(data)?, labels, n_classes, &*classifier, workers)
    })?;
    let patches = trained.len();
    let votes = match votes {
        RunVotes::Hard(votes) => matrix(patches, samples, votes).into_pyarray(py).into_any(),
        RunVotes::Soft(votes) => Array3::from_shape_vec((patches, samples, n_classes), votes)
            .expect("b x N x K values")
            .into_pyarray(py)
            .into_any(),
    };
    Ok((votes, trained.into_pyarray(py)))
}

/// Clusters all of `x` natively, once: `labels`, and for k-means `centers`, `inertia` and `n_iter`.
#[pyfunction]
pub fn native_fit_clusters<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    method: &str,
    params: &Bound<'py, PyDict>,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let data = Data::new(x)?;
    let data = data.matrix()?;
    let kmeans = if method == "kmeans" { Some(kmeans(params)?) } else { None };
    let clusterer = clusterer(method, params)?;
    let (labels, fit) = detached(py, 1, |_| {
        let mut rng = Stream::new(seed, Purpose::Standalone, 0);
        if let Some(kmeans) = kmeans {
            let mut fit = kmeans.fit(data, &mut rng)?;
            return Ok((std::mem::take(&mut fit.labels), Some(fit)));
        }
        let mut labels = vec![0; data.rows];
        clusterer.session().cluster(data, &mut rng, &mut labels)?;
        Ok((labels, None))
    })?;
    let out = PyDict::new(py);
    out.set_item("labels", labels.into_iter().map(i64::from).collect::<Array1<i64>>().into_pyarray(py))?;
    if let Some(KMeansFit { centers, inertia, n_iter, .. }) = fit {
        let clusters = centers.len() / data.columns.max(1);
        out.set_item("centers", matrix(clusters, data.columns, centers).into_pyarray(py))?;
        out.set_item("inertia", inertia)?;
        out.set_item("n_iter", n_iter)?;
    }
    Ok(out)
}

/// Runs EM for a mixture of gamma distributions, once, from labels: `weights`, `shapes` and `scales` of the components,
/// `lower_bound`, `n_iter` and `converged`.
#[pyfunction]
pub fn native_fit_gamma_mixture<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    start: PyReadonlyArray1<'py, i32>,
    n_components: usize,
    max_iter: usize,
    tol: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let (columns, x, start) = (x.shape()[1], slice(&x)?, slice(&start)?);
    let mixture = GammaMixture { n_components, max_iter, tol, n_init: 1 };
    let fitted = detached(py, 1, |workers| mixture.run(x, start, &|| workers.stopped()))?;
    let out = PyDict::new(py);
    out.set_item("weights", fitted.weights.into_pyarray(py))?;
    out.set_item("shapes", matrix(n_components, columns, fitted.shapes).into_pyarray(py))?;
    out.set_item("scales", matrix(n_components, columns, fitted.scales).into_pyarray(py))?;
    out.set_item("lower_bound", fitted.bound)?;
    out.set_item("n_iter", fitted.turns)?;
    out.set_item("converged", fitted.converged)?;
    Ok(out)
}

/// Labels of classes as native classifiers read them, one for each of `rows` observations.
fn codes(classes: &[i32], rows: usize, n_classes: usize) -> Result<Vec<u32>> {
    check_labels(classes, rows, n_classes)?;
    let code = |&class: &i32| {
        u32::try_from(class)
            .map_err(|_| Error::value("a class", class, format!("0 to {}", n_classes as i64 - 1)))
    };
    classes.iter().map(code).collect()
}

/// Grows a tree or a forest on all of `x`: the nodes of all trees as parallel arrays, tree `t` at
/// `offsets[t]..offsets[t + 1]` with children counted from its own first node.
#[pyfunction]
pub fn native_grow<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    classes: PyReadonlyArray1<'py, i32>,
    n_classes: usize,
    method: &str,
    params: &Bound<'py, PyDict>,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let data = Data::new(x)?;
    let data = data.matrix()?;
    let classes = codes(slice(&classes)?, data.rows, n_classes)?;
    let forest = match method {
        "tree" => ForestParameters::single(tree_parameters(params)?),
        "forest" => forest_parameters(params)?,
        other => return Err(unknown("the method", other, "tree or forest")),
    };
    let trees = detached(py, 1, |workers| {
        let mut rng = Stream::new(seed, Purpose::Standalone, 0);
        let presorted = &presorted::Presorted::new(data, workers)?;
        forest.grow(presorted, &classes, n_classes, &mut rng)
    })?;
    let out = PyDict::new(py);
    let counts = trees.iter().map(Tree::node_count);
    let ends = counts.scan(0, |end, nodes| {
        *end += nodes as i64;
        Some(*end)
    });
    let offsets: Array1<i64> = std::iter::once(0).chain(ends).collect();
    let nodes = trees.iter().map(Tree::node_count).sum();
    out.set_item("offsets", offsets.into_pyarray(py))?;
    out.set_item("feature", gather(py, &trees, |tree| &tree.feature))?;
    out.set_item("threshold", gather(py, &trees, |tree| &tree.threshold))?;
    out.set_item("children_left", gather(py, &trees, |tree| &tree.left))?;
    out.set_item("children_right", gather(py, &trees, |tree| &tree.right))?;
    out.set_item("impurity", gather(py, &trees, |tree| &tree.impurity))?;
    out.set_item("n_node_samples", gather(py, &trees, |tree| &tree.samples))?;
    out.set_item("weighted_n_node_samples", gather(py, &trees, |tree| &tree.weight))?;
    let values = trees.iter().flat_map(|tree| tree.value.iter().copied()).collect();
    out.set_item("value", matrix(nodes, n_classes, values).into_pyarray(py))?;
    Ok(out)
}

/// One array over the nodes of all trees.
fn gather<'py, T: numpy::Element + Copy>(
    py: Python<'py>,
    trees: &[Tree],
    of: impl Fn(&Tree) -> &Vec<T>,
) -> Bound<'py, PyArray1<T>> {
    trees.iter().flat_map(|tree| of(tree).iter().copied()).collect::<Array1<T>>().into_pyarray(py)
}

/// Reads what `native_grow` wrote, as far as prediction needs it. Arrays may come from anywhere (a pickle, a
/// user), so each child must lie behind its parent: then every descent ends, within the arrays.
fn grown(trees: &Bound<'_, PyDict>, columns: usize) -> PyResult<Vec<Tree>> {
    fn array<'py, T: numpy::Element, D: numpy::ndarray::Dimension>(
        trees: &Bound<'py, PyDict>,
        name: &str,
    ) -> PyResult<numpy::PyReadonlyArray<'py, T, D>> {
        let value = trees.get_item(name)?;
        let value = value.ok_or_else(|| PyTypeError::new_err(format!("trees without the array {name}")))?;
        value.extract().map_err(|_| PyTypeError::new_err(format!("trees with a wrong array {name}")))
    }
    let value: PyReadonlyArray2<'_, f64> = array(trees, "value")?;
    let (nodes, n_classes) = (value.shape()[0], value.shape()[1]);
    let (offsets, feature): (PyReadonlyArray1<'_, i64>, PyReadonlyArray1<'_, i32>) =
        (array(trees, "offsets")?, array(trees, "feature")?);
    let (left, right): (PyReadonlyArray1<'_, i32>, PyReadonlyArray1<'_, i32>) =
        (array(trees, "children_left")?, array(trees, "children_right")?);
    let threshold: PyReadonlyArray1<'_, f64> = array(trees, "threshold")?;
    let (offsets, feature, left, right) = (slice(&offsets)?, slice(&feature)?, slice(&left)?, slice(&right)?);
    let (threshold, value) = (slice(&threshold)?, slice(&value)?);
    let fits = offsets.first() == Some(&0)
        && offsets.last() == Some(&(nodes as i64))
        && offsets.windows(2).all(|w| w[0] < w[1])
        && [feature.len(), left.len(), right.len(), threshold.len()] == [nodes; 4];
    if !fits {
        return Err(Error::shape("an array of the trees", "another length", format!("{nodes} nodes")).into());
    }
    offsets
        .windows(2)
        .map(|w| {
            let range = w[0] as usize..w[1] as usize;
            let tree = Tree {
                n_classes,
                feature: feature[range.clone()].to_vec(),
                threshold: threshold[range.clone()].to_vec(),
                left: left[range.clone()].to_vec(),
                right: right[range.clone()].to_vec(),
                value: value[range.start * n_classes..range.end * n_classes].to_vec(),
                ..Tree::default()
            };
            let behind = |node: usize, child: i32| child > node as i32 && (child as usize) < range.len();
            let sound = |node: usize| {
                tree.left[node] == NO_CHILD
                    || behind(node, tree.left[node])
                        && behind(node, tree.right[node])
                        && usize::try_from(tree.feature[node]).is_ok_and(|feature| feature < columns)
            };
            match (0..range.len()).find(|&node| !sound(node)) {
                None => Ok(tree),
                Some(node) => Err(Error::value(
                    "a node of the trees",
                    node,
                    format!("a leaf, or one of {columns} features with two children behind it"),
                )
                .into()),
            }
        })
        .collect()
}

/// Rows that one task sends down the trees.
const DESCENT: usize = 256;

/// Class probabilities (n, K) by trees that `native_grow` grew: the mean over trees.
#[pyfunction]
pub fn native_descend<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    trees: &Bound<'py, PyDict>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let data = Data::new(x)?;
    let data = data.matrix()?;
    let trees = grown(trees, data.columns)?;
    let n_classes = trees.first().map_or(0, |tree| tree.n_classes);
    let proba = detached(py, threads, |workers| {
        let mut proba = vec![0.0; data.rows * n_classes];
        let chunk = DESCENT * n_classes;
        parallel::for_each_chunk(workers, &mut proba, chunk, Vec::new, |shares, index, proba| {
            let rows = proba.len() / n_classes;
            let part = data.slice(index * DESCENT, rows);
            shares.clear();
            shares.resize(proba.len(), 0.0);
            for tree in &trees {
                tree.predict_proba(part, shares);
                proba.iter_mut().zip(shares.iter()).for_each(|(sum, share)| *sum += share);
            }
            proba.iter_mut().for_each(|sum| *sum /= trees.len() as f64);
        });
        Ok(proba)
    })?;
    Ok(matrix(data.rows, n_classes, proba).into_pyarray(py))
}

/// Whether labels by trees that `native_grow` grew change (n, F, R) when the rows' values of the F features
/// from `first` on are those of the rows that `orders` (F, R, n) name.
#[pyfunction]
pub fn native_relabel<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    trees: &Bound<'py, PyDict>,
    first: usize,
    orders: PyReadonlyArray3<'py, i64>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray3<bool>>> {
    let data = Data::new(x)?;
    let data = data.matrix()?;
    let trees = grown(trees, data.columns)?;
    let [features, n_repeats, rows] = [0, 1, 2].map(|axis| orders.shape()[axis]);
    if rows != data.rows {
        return Err(Error::shape("the array of orders", format!("{rows} columns"), data.rows).into());
    }
    let features = first..first.saturating_add(features);
    let permuted = Permuted { features, n_repeats, orders: slice(&orders)? };
    let changed = detached(py, threads, |workers| relabel::changes(data, &trees, &permuted, workers))?;
    let shape = (data.rows, permuted.features.len(), n_repeats);
    Ok(Array3::from_shape_vec(shape, changed).expect("n x F x R values").into_pyarray(py))
}

/// Class probabilities (q, K) of the rows of `queries` by a method that keeps its training rows `x`.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn native_compare<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    classes: PyReadonlyArray1<'py, i32>,
    n_classes: usize,
    queries: &Bound<'py, PyAny>,
    method: &str,
    params: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (data, queries) = (Data::new(x)?, Data::new(queries)?);
    let (data, queries) = (data.matrix()?, queries.matrix()?);
    let classes = codes(slice(&classes)?, data.rows, n_classes)?;
    let classifier = classifier(method, params, None)?;
    let proba = detached(py, 1, |_| {
        if std::mem::discriminant(&data.values) != std::mem::discriminant(&queries.values) {
            return Err(Error::value("the queries' dtype", "another", "that of the training rows"));
        }
        if data.columns != queries.columns {
            return Err(Error::shape("the queries", format!("{} columns", queries.columns), data.columns));
        }
        let counting: Vec<u32> = (0..data.rows.max(queries.rows).max(data.columns) as u32).collect();
        let [rows, asked, columns] = [data.rows, queries.rows, data.columns].map(|count| &counting[..count]);
        let task = Task { data, rows, columns, classes: &classes, n_classes };
        let mut proba = vec![0.0; queries.rows * n_classes];
        let mut session = classifier.session();
        session.fit(&task, &mut Stream::new(0, Purpose::Standalone, 0))?;
        session.predict(&Query { data: queries, rows: asked, columns }, &mut proba)?;
        Ok(proba)
    })?;
    Ok(matrix(queries.rows, n_classes, proba).into_pyarray(py))
}
