"""What comes out when something is wrong: one table, an error or a warning and its message for each case."""

import copy
import datetime
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

import clusterwhy as cw
from clusterwhy import LOCOMP, LOCORampart, LOCOSplit, comparators, native
from clusterwhy._loco_mp import check_room_for_samples

N, M = 40, 6
X = make_blobs(N, n_features=M, centers=3, random_state=0)[0]
LABELS = np.arange(N) % 3
KINDS = {"mp": LOCOMP, "rampart": LOCORampart, "split": LOCOSplit}


def kmeans():
    return KMeans(3, n_init=1)


def mp(**changes):
    settings = {"n_patches": 60, "max_samples": 0.5, "max_features": 0.5, "random_state": 0}
    return LOCOMP(changes.pop("clusterer", kmeans()), **{**settings, **changes})


def rampart(**changes):
    settings = {"n_patches": 60, "max_samples": 0.5, "max_features": 0.5, "random_state": 0}
    return LOCORampart(changes.pop("clusterer", kmeans()), **{**settings, "n_features_to_select": 2, **changes})


def split(**changes):
    settings = {"classifier": DecisionTreeClassifier(), "random_state": 0}
    return LOCOSplit(changes.pop("clusterer", kmeans()), **{**settings, **changes})


def picks():
    return ColumnTransformer([("all", "passthrough", slice(None)), ("two", "passthrough", np.array([0, 2]))])


class Labels(BaseEstimator):
    """Returns what a function of the data says."""

    def __init__(self, function=None):
        self.function = function

    def fit_predict(self, X, y=None):
        return self.function(X)


class Meddler(BaseEstimator):
    """Changes its parameter, against scikit-learn's rules."""

    def __init__(self, size=None):
        self.size = np.array(3 if size is None else size)

    def fit_predict(self, X, y=None):
        return np.zeros(len(X))


class Boom(Exception):
    """An exception that cannot be unpickled: two arguments to make it, one kept."""

    def __init__(self, what, why):
        super().__init__(f"{what} {why}")


class FailsInMinipatch(BaseEstimator):
    """Raises in one minipatch, told by its observations: the data's first column numbers them."""

    def __init__(self, rows=None, error=None):
        self.rows = rows
        self.error = error

    def fit_predict(self, X, y=None):
        return self.fit(X).predict(X)

    def fit(self, X, y=None):
        if np.isin(self.rows, X[:, 0].round().astype(int)).all() and len(X) == len(self.rows):
            raise self.error() if callable(self.error) else self.error
        return self

    def predict(self, X):
        return np.arange(len(X)) % 2


def exhausted(X):
    raise MemoryError("Unable to allocate 9 TiB")


def numbered():
    return np.column_stack([np.arange(N), *[X[:, 0]] * (M - 1)])


def failing_in_37(role, error, **changes):
    """A model whose clusterer or classifier fails on the observations of minipatch 37."""
    # All but one of the features are in every minipatch of these, the numbers almost always.
    patches = cw.minipatches(N, M, 60, 0.5, M - 1, seed=0)
    assert 0 in patches.columns(37)
    bad = FailsInMinipatch(patches.rows(37), error)
    good = Labels(lambda X: np.arange(len(X)) % 2)
    reference = np.arange(N) % 2
    if role == "clusterer":
        return mp(clusterer=bad, max_features=M - 1, reference=reference, **changes)
    return mp(clusterer=good, classifier=bad, max_features=M - 1, reference=reference, **changes)


def put(value, at=(3, 2)):
    out = X.copy()
    out[at] = value
    return out


def misplaced(at, column, indptr=None):
    """Sparse data with one index that is not in them, or a row that begins before the last one ends."""
    out = sp.csr_matrix(X)
    out.indices[at] = column
    if indptr is not None:
        out.indptr[2] = indptr
    return out


def frame(**columns):
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def fitted():
    return mp().fit(pd.DataFrame(X, columns=list("abcdef")))


@pytest.fixture(scope="module")
def fitted_ari():
    return mp(loss="ari").fit(X)


# ------------------------------------------------------------------------------------------ the table: fitting

ODD = np.arange(N) % 2
MIXED = pd.DataFrame(X, columns=["a", 1, 2, 3, 4, 5])
TWICE = pd.DataFrame(X, columns=list("aabcde"))
FITS = {
    # the data
    "nan": (lambda: mp().fit(put(np.nan)), ValueError, r"Input X contains NaN.\s*LOCOMP does not accept missing"),
    "inf": (lambda: mp().fit(put(np.inf)), ValueError, "Input X contains infinity or a value too large"),
    "nan in a frame": (
        lambda: mp().fit(pd.DataFrame(put(np.nan, ([1, 2, 2], [5, 0, 5])), columns=list("abcdef")).convert_dtypes()),
        ValueError,
        r"Input X contains NaN.\s*LOCOMP does not accept missing.*fill them in.* \(columns 'a', 'f'\)$",
    ),
    "nan in an array": (lambda: mp().fit(put(np.nan)), ValueError, r"features out \(column 2\)$"),
    "nan in columns of sparse": (lambda: mp().fit(sp.csc_array(put(np.nan))), ValueError, r"\(column 2\)$"),
    "nan in many columns": (
        lambda: mp().fit(put(np.nan, slice(None))),
        ValueError,
        r"\(columns 0, 1, 2, 3, 4 and 1 more\)$",
    ),
    "inf in a frame": (
        lambda: split().fit(pd.DataFrame(put(-np.inf), columns=list("abcdef"))),
        ValueError,
        r"Input X contains infinity .*\(column 'c'\)$",
    ),
    "nan, rampart": (lambda: rampart().fit(put(np.nan)), ValueError, "Input X contains NaN"),
    "nan, split": (lambda: split().fit(put(np.nan)), ValueError, "Input X contains NaN"),
    "nan, and who takes none": (
        lambda: mp(clusterer=make_pipeline(SimpleImputer(), KMeans(3)), classifier=GaussianNB()).fit(put(np.nan)),
        ValueError,
        r"LOCOMP does not accept missing values where its estimators do not \(here GaussianNB\): fill them in",
    ),
    "indices of a sparse matrix": (
        lambda: split(reference=LABELS).fit(misplaced(4, M)),
        ValueError,
        "X is no valid csr matrix: its indices must be from 0 to 5, got 0 to 6",
    ),
    "negative indices": (
        lambda: mp().fit(misplaced(4, -1)),
        ValueError,
        "its indices must be from 0 to 5, got -1 to 5",
    ),
    "indptr of a sparse matrix": (
        lambda: mp(engine="sklearn").fit(misplaced(0, 0, indptr=3)),
        ValueError,
        "indptr must rise from 0 to the number of values",
    ),
    "warm start": (lambda: mp(warm_start="no").fit(X), TypeError, "warm_start must be True or False, got 'no'"),
    "stored scores": (
        lambda: rampart(store_sample_importances=2).fit(X),
        TypeError,
        "store_sample_importances must be True or False, got 2",
    ),
    "nan in sparse": (lambda: mp().fit(sp.csr_array(put(np.nan))), ValueError, "Input X contains NaN"),
    "one observation": (lambda: mp().fit(X[:1]), ValueError, r"1 sample\(s\).* minimum of 2 is required by LOCOMP"),
    "three, split": (
        lambda: split().fit(X[:3]),
        ValueError,
        r"3 sample\(s\).* minimum of 4 is required by LOCOSplit",
    ),
    "no observation": (lambda: mp().fit(X[:0]), ValueError, r"0 sample\(s\).* minimum of 2 is required"),
    "one feature": (lambda: mp().fit(X[:, :1]), ValueError, r"1 feature\(s\).* minimum of 2 is required by LOCOMP"),
    "fewer observations than clusters": (
        lambda: mp().fit(X[:2]),
        ValueError,
        "clusterer KMeans failed on all the data, for the reference, 2 x 6: n_samples=2 should be >= n_clusters=3",
    ),
    "no advice where none helps": (
        lambda: mp(clusterer=KMeans(1000)).fit(X),
        ValueError,
        "failed on all the data, for the reference, 40 x 6: n_samples=40 should be >= n_clusters=1000$",
    ),
    "minipatch smaller than K": (
        lambda: mp(max_samples=2, engine="sklearn").fit(X),
        ValueError,
        "KMeans failed on minipatch 0, 2 x 3: n_samples=2 .*; if it needs more observations .* larger .max_samples",
    ),
    "part smaller than K": (
        lambda: split(calibration_size=2).fit(X),
        ValueError,
        "KMeans failed on the calibration part of split 0, 2 x 6: .* calibration_size",
    ),
    "strings": (
        lambda: mp().fit([["a", "b"]] * 4),
        ValueError,
        "X must be a table of numbers: could not convert string to float: 'a'; encode text, dates and categories",
    ),
    "strings in a frame": (
        lambda: mp().fit(frame(a=["u", "v"], b=[1, 2])),
        ValueError,
        "X must be a table of numbers: could not convert string to float: 'u'",
    ),
    "text columns": (
        lambda: mp().fit(frame(a=["u", "v"], b=[1, 2], c=pd.to_datetime(["2020", "2021"]))),
        TypeError,
        r"X must be a table of numbers: .*; encode text, dates and categories as numbers.* \(columns 'a', 'c'\)$",
    ),
    "text in polars": (
        lambda: mp().fit(pl.DataFrame({"a": ["u", "v"], "b": [1, 2]})),
        ValueError,
        r"as numbers, or leave them out \(column 'a'\)$",
    ),
    "dates": (
        lambda: mp().fit(frame(a=pd.to_datetime(["2020", "2021"]), b=[1, 2])),
        TypeError,
        r"X must be a table of numbers: got dates or times; encode .* or leave them out \(column 'a'\)$",
    ),
    "objects": (
        lambda: mp().fit(np.array([[{}] * 3] * 4)),
        TypeError,
        "X must be a table of numbers: float.* 'dict'",
    ),
    "ragged": (lambda: mp().fit([[1, 2], [3]]), ValueError, "X must be a table of numbers: .* inhomogeneous shape"),
    "complex": (lambda: mp().fit(X * 1j), ValueError, "Complex data not supported"),
    "nothing": (lambda: mp().fit(None), ValueError, "Expected 2D array, got scalar array"),
    "one dimension": (lambda: mp().fit(X[:, 0]), ValueError, "Expected 2D array, got 1D array"),
    "three dimensions": (lambda: mp().fit(X[None]), ValueError, "dim 3.*LOCOMP"),
    "time zones, differences": (
        lambda: split().fit(frame(a=pd.to_datetime(["2020", "2021"], utc=True), b=pd.to_timedelta([1, 2]), c=[1, 2])),
        TypeError,
        r"X must be a table of numbers: got dates or times; encode .* \(columns 'a', 'b'\)$",
    ),
    "nothing but dates": (
        lambda: mp().fit(np.arange(2 * N).reshape(N, 2).astype("datetime64[D]")),
        TypeError,
        "X must be a table of numbers: got dates or times",
    ),
    "dates in polars": (
        lambda: mp().fit(pl.DataFrame({"a": [datetime.date(2020, 1, 1)] * N, "b": [1.0] * N})),
        TypeError,
        r"got dates or times; .* \(column 'a'\)$",
    ),
    "lazy polars": (
        lambda: mp().fit(pl.DataFrame(X).lazy()),
        TypeError,
        r"X must be a table of numbers, got a LazyFrame, which has none yet: pass X.collect\(\)",
    ),
    "names of two levels": (
        lambda: rampart().fit(pd.DataFrame(X, columns=pd.MultiIndex.from_product([["a", "b"], [1, 2, 3]]))),
        TypeError,
        r"features must have one name each, got tuples such as \('a', 1\); join the levels, as in X.columns = ",
    ),
    "duplicate names": (
        lambda: mp().fit(TWICE),
        ValueError,
        "feature names must be unique, got 'a' more than once; rename the columns",
    ),
    "names and numbers": (lambda: mp().fit(MIXED), TypeError, "Feature names are only supported if all .* string"),
    "sparse for Ward": (
        lambda: mp(clusterer=AgglomerativeClustering(3)).fit(sp.csr_array(X)),
        TypeError,
        "AgglomerativeClustering failed on all the data.*[Ss]parse.*a clusterer that takes them.*='overlap'",
    ),
    # sizes and numbers
    "max_samples 0": (
        lambda: mp(max_samples=0).fit(X),
        ValueError,
        "max_samples must be from 1 to the 40 observations of the data when it is an integer, got 0; pass a float",
    ),
    "max_samples negative": (lambda: mp(max_samples=-2).fit(X), ValueError, "max_samples must be from 1 .* got -2"),
    "max_samples above": (lambda: mp(max_samples=41).fit(X), ValueError, "from 1 to the 40 observations .* got 41"),
    "max_samples all": (lambda: mp(max_samples=N).fit(X), ValueError, "leave none out to predict: make max_samples"),
    "max_samples 1.5": (
        lambda: mp(max_samples=1.5).fit(X),
        ValueError,
        "max_samples must be above 0 and at most 1 when it is a fraction, got 1.5; pass an integer",
    ),
    "max_samples 0.0": (lambda: mp(max_samples=0.0).fit(X), ValueError, "above 0 and at most 1 .* got 0.0"),
    "max_samples nan": (lambda: mp(max_samples=np.nan).fit(X), ValueError, "above 0 and at most 1 .* got nan"),
    "max_samples bool": (
        lambda: mp(max_samples=True).fit(X),
        TypeError,
        r"max_samples must be a fraction \(float\) or a number of observations \(int\), got True of type bool",
    ),
    "max_samples string": (lambda: mp(max_samples="half").fit(X), TypeError, "max_samples .* got 'half' of type str"),
    "max_samples None": (lambda: mp(max_samples=None).fit(X), TypeError, "max_samples .* got None"),
    "max_features 0": (
        lambda: mp(max_features=0).fit(X),
        ValueError,
        "max_features must be from 1 to the 6 features",
    ),
    "max_features above": (lambda: mp(max_features=7).fit(X), ValueError, "from 1 to the 6 features .* got 7"),
    "max_features all": (lambda: mp(max_features=1.0).fit(X), ValueError, "leave none out to score: make max_featur"),
    "max_features all, rampart": (
        lambda: rampart(max_features=1.0).fit(X),
        ValueError,
        "minipatches of all 6 features leave none out to score",
    ),
    "max_samples all, rampart": (lambda: rampart(max_samples=1.0).fit(X), ValueError, "leave none out to predict"),
    "n_patches 0": (lambda: mp(n_patches=0).fit(X), ValueError, "n_patches must be at least 1, got 0"),
    "n_patches float": (lambda: mp(n_patches=9.0).fit(X), TypeError, "n_patches must be an integer, got 9.0 of type"),
    "n_patches bool": (lambda: mp(n_patches=True).fit(X), TypeError, "n_patches must be an integer, got True"),
    "n_patches huge": (lambda: mp(n_patches=2**40).fit(X), ValueError, "n_patches must be at most 4294967295"),
    "variance_barrier": (lambda: mp(variance_barrier="x").fit(X), TypeError, "variance_barrier must be a number"),
    "variance_barrier < 0": (lambda: mp(variance_barrier=-1).fit(X), ValueError, "finite and at least 0, got -1"),
    "n_jobs 0": (lambda: mp(n_jobs=0).fit(X), ValueError, "n_jobs must not be 0: use 1 for one worker, -1"),
    "n_jobs 0, split": (lambda: split(n_jobs=0).fit(X), ValueError, "n_jobs must not be 0"),
    "n_jobs string": (lambda: split(n_jobs="2").fit(X), TypeError, "n_jobs must be None or an integer, got '2'"),
    "verbose": (lambda: mp(verbose="x").fit(X), TypeError, "verbose must be an integer, got 'x' of type str"),
    "random_state string": (
        lambda: mp(random_state="a").fit(X),
        ValueError,
        "random_state must be None, an integer, a numpy.random.RandomState or a numpy.random.Generator, got 'a'",
    ),
    "random_state negative": (lambda: mp(random_state=-1).fit(X), ValueError, r"from 0 to 2\*\*64 - 1, got -1"),
    "select 0": (lambda: mp(n_features_to_select=0).fit(X), ValueError, "n_features_to_select must be at least 1"),
    "select 1.5": (lambda: mp(n_features_to_select=1.5).fit(X), ValueError, r"in \(0, 1\] when it is a fraction"),
    "select bool": (
        lambda: mp(n_features_to_select=True).fit(X),
        TypeError,
        "None, an integer or a fraction, got Tr",
    ),
    "select None, rampart": (
        lambda: rampart(n_features_to_select=None).fit(X),
        TypeError,
        "n_features_to_select must be an integer or a fraction, got None",
    ),
    "patch_growth 0": (
        lambda: rampart(patch_growth=0).fit(X),
        ValueError,
        "patch_growth must be above 0 and finite, got 0",
    ),
    "patch_growth huge": (
        lambda: rampart(patch_growth=1e300).fit(X),
        ValueError,
        "patch_growth=1e.300 asks for .* minipatches in round 2, expected at most",
    ),
    "calibration_size 1.0": (
        lambda: split(calibration_size=1.0).fit(X),
        ValueError,
        "splits 40 observations into 0 to train on and 40 to calibrate on; each needs at least 2",
    ),
    "n_folds 1": (lambda: split(n_folds=1).fit(X), ValueError, "n_folds must be at least 2, got 1"),
    "n_folds 21": (lambda: split(n_folds=21).fit(X), ValueError, "n_folds=21 leaves fewer than 2 of 40"),
    "n_repeats 0": (lambda: split(n_repeats=0).fit(X), ValueError, "n_repeats must be at least 1, got 0"),
    # names
    "loss": (
        lambda: mp(loss="l2").fit(X),
        ValueError,
        r"loss must be one of 'hinge', .*'ari' or a callable loss\(y, proba\), got 'l2'",
    ),
    "loss, split": (lambda: split(loss=3).fit(X), ValueError, "loss must be one of 'hinge'.* got 3"),
    "engine": (lambda: mp(engine="gpu").fit(X), ValueError, "engine must be one of 'auto', 'native'.* got 'gpu'"),
    "reference name": (
        lambda: mp(reference="half").fit(X),
        ValueError,
        "reference must be 'full', 'overlap', a clusterer for all the data or an array of labels.*, got 'half'",
    ),
    "reference object": (lambda: mp(reference=object()).fit(X), ValueError, "reference must be 'full'.* got <object"),
    "reference method": (
        lambda: mp(reference=KMeans(3).fit_predict).fit(X),
        ValueError,
        "reference must be 'full'.*",
    ),
    "reference ragged": (
        lambda: mp(reference=[[0], [1, 2]]).fit(X),
        ValueError,
        "reference labels must be a flat list of labels, got lists of different lengths",
    ),
    "reference class": (
        lambda: split(reference=KMeans).fit(X),
        TypeError,
        "reference must be an instance, got the class KMeans",
    ),
    "reference classifier": (
        lambda: mp(reference=DecisionTreeClassifier()).fit(X),
        TypeError,
        "reference must be a clusterer, got DecisionTreeClassifier",
    ),
    "reference None": (lambda: split(reference=None).fit(X), ValueError, "reference must be 'full'.* got None"),
    # estimators
    "clusterer class": (
        lambda: mp(clusterer=KMeans).fit(X),
        TypeError,
        r"clusterer must be an instance, got the class KMeans: write it with \(\)",
    ),
    "clusterer that classifies": (
        lambda: mp(clusterer=GaussianNB()).fit(X),
        TypeError,
        r"clusterer must be a clusterer, got GaussianNB\(\), which is a classifier",
    ),
    "clusterer that scales": (
        lambda: mp(clusterer=StandardScaler()).fit(X),
        TypeError,
        "StandardScaler failed on all the data.*: a clusterer must have fit_predict, or .* has only fit$",
    ),
    "classifier class": (
        lambda: split(classifier=GaussianNB).fit(X),
        TypeError,
        "classifier must be an instance, got the class GaussianNB",
    ),
    "clusterer string": (
        lambda: rampart(clusterer="ward").fit(X),
        TypeError,
        "clusterer must have fit_predict, or fit and labels_, or fit and predict; got 'ward' of type str",
    ),
    "classifier without predict": (
        lambda: mp(classifier=DBSCAN()).fit(X),
        TypeError,
        r"classifier must be a classifier, got DBSCAN\(\), which is a clusterer",
    ),
    "fails in 37": (
        lambda: failing_in_37("clusterer", RuntimeError("out of luck")).fit(numbered()),
        ValueError,
        r"clusterer FailsInMinipatch failed on minipatch 37, 20 x 5: out of luck \(RuntimeError\); if it needs",
    ),
    "fails in 37, with a TypeError": (
        lambda: failing_in_37("clusterer", TypeError("out of luck")).fit(numbered()),
        TypeError,
        "clusterer FailsInMinipatch failed on minipatch 37, 20 x 5: out of luck; if",
    ),
    "fails in 37, in a worker": (
        lambda: failing_in_37("clusterer", ZeroDivisionError("out of luck"), n_jobs=2).fit(numbered()),
        ValueError,
        r"clusterer FailsInMinipatch failed on minipatch 37, 20 x 5: out of luck \(ZeroDivisionError\)",
    ),
    "classifier fails in 37": (
        lambda: failing_in_37("classifier", lambda: Boom("out of", "luck")).fit(numbered()),
        ValueError,
        r"classifier FailsInMinipatch failed on minipatch 37, 20 x 5: out of luck \(Boom\)",
    ),
    "classifier fails in split": (
        lambda: split(classifier=FailsInMinipatch(np.arange(0), ValueError("no"))).fit(np.zeros((4, 2))),
        ValueError,
        "KMeans failed on the training part of split 0",
    ),
    "cannot be cloned": (
        lambda: mp(clusterer=Meddler()).fit(X),
        TypeError,
        "Meddler cannot be copied, which every minipatch needs: .*; its __init__ must only store its parameters",
    ),
    "wrong length": (
        lambda: mp(clusterer=Labels(lambda X: np.zeros(len(X) + 1)), reference=LABELS).fit(X),
        ValueError,
        r"labels of the clusterer Labels \(minipatch 0\) must have one label per observation, shape \(20,\), got "
        r"shape \(21,\)",
    ),
    "two columns": (
        lambda: mp(clusterer=Labels(lambda X: np.zeros((len(X), 2)))).fit(X),
        ValueError,
        r"labels of the clusterer Labels \(all the data, for the reference\) .* got shape \(40, 2\)",
    ),
    "no labels": (
        lambda: mp(clusterer=Labels(lambda X: None)).fit(X),
        ValueError,
        "must be an array of labels, got N",
    ),
    "labels not whole": (
        lambda: mp(clusterer=Labels(lambda X: np.arange(len(X)) / 2)).fit(X),
        ValueError,
        r"labels of the clusterer Labels .* must be whole numbers .* got 0.5 for observation 1",
    ),
    "labels nan": (
        lambda: mp(clusterer=Labels(lambda X: np.full(len(X), np.nan))).fit(X),
        ValueError,
        "must be whole numbers .* got nan for observation 0",
    ),
    "labels strings": (
        lambda: mp(clusterer=Labels(lambda X: np.array(["a"] * len(X)))).fit(X),
        ValueError,
        "must be whole numbers .-1 for noise., got dtype <U1 .* number the clusters, as .*LabelEncoder",
    ),
    "labels above int64": (
        lambda: mp(clusterer=Labels(lambda X: np.full(len(X), 2**64 - 1, dtype=np.uint64))).fit(X),
        ValueError,
        r"must be below 2\*\*63, got 18446744073709551615; number the clusters from 0",
    ),
    "all noise in minipatches": (
        lambda: mp(clusterer=Labels(lambda X: np.full(len(X), -1)), reference=LABELS).fit(X),
        ValueError,
        r"every minipatch was all noise \(-1\): there is nothing to train a classifier on",
    ),
    "all noise, overlap": (
        lambda: mp(clusterer=Labels(lambda X: np.full(len(X), -1)), reference="overlap").fit(X),
        ValueError,
        r"every minipatch was all noise \(-1\): there is no cluster to explain",
    ),
    "all noise, split": (
        lambda: split(clusterer=Labels(lambda X: np.full(len(X), -1)), reference=LABELS).fit(X),
        ValueError,
        r"training part of split 0 is all noise \(-1\)",
    ),
    # references
    "reference short": (
        lambda: mp(reference=LABELS[:-1]).fit(X),
        ValueError,
        r"reference labels must have one label per observation, shape \(40,\), got shape \(39,\)",
    ),
    "reference short, split": (lambda: split(reference=LABELS[:-1]).fit(X), ValueError, r"got shape \(39,\)"),
    "reference short, rampart": (lambda: rampart(reference=LABELS[:-1]).fit(X), ValueError, r"got shape \(39,\)"),
    "reference 2-d": (lambda: mp(reference=X).fit(X), ValueError, r"shape \(40,\), got shape \(40, 6\)"),
    "reference nan": (
        lambda: mp(reference=np.where(ODD, np.nan, 1.0)).fit(X),
        ValueError,
        "reference labels must be whole numbers .* or strings, got nan for observation 1",
    ),
    "reference missing": (
        lambda: mp(reference=pd.array(["a", None] * 20, dtype="string")).fit(X),
        ValueError,
        "reference labels must not contain missing values, got <NA> for observation 1; leave such observations out",
    ),
    "reference None inside": (lambda: mp(reference=["a", None] * 20).fit(X), ValueError, "missing values, got None"),
    "reference mixed objects": (
        lambda: mp(reference=np.array(["a", 1] * 20, dtype=object)).fit(X),
        ValueError,
        "reference labels must be all integers or all strings, got int, str",
    ),
    "reference half": (
        lambda: mp(reference=ODD / 2).fit(X),
        ValueError,
        "whole numbers .* got 0.5 for observation 1",
    ),
    "reference huge": (lambda: mp(reference=ODD * 1e300).fit(X), ValueError, "whole numbers .* got 1e.300"),
    "reference noise": (
        lambda: mp(reference=np.full(N, -1)).fit(X),
        ValueError,
        r"the reference labels must name at least one cluster to explain, got noise \(-1\) alone; .* \(eps",
    ),
    "reference dates": (
        lambda: mp(reference=np.full(N, np.datetime64("2020"))).fit(X),
        ValueError,
        "must be integers .* or strings, got dtype datetime64",
    ),
    # losses
    "loss nan": (
        lambda: mp(loss=lambda y, p: np.full(len(y), np.nan)).fit(X),
        ValueError,
        "loss <lambda> must return finite numbers, got nan for 40 of 40 observations; clip probabilities",
    ),
    "loss inf": (
        lambda: mp(loss=lambda y, p: np.inf).fit(X),
        ValueError,
        "must return finite numbers, got inf; clip",
    ),
    "loss shape": (
        lambda: mp(loss=lambda y, p: p).fit(X),
        ValueError,
        r"loss <lambda> must return one value per observation, shape \(40,\), or a single number; it returned shape "
        r"\(40, 3\)",
    ),
    "loss shape, split": (lambda: split(loss=lambda y, p: p).fit(X), ValueError, r"it returned shape \(20, 3\)"),
    "loss changes shape": (
        lambda: mp(loss=Fickle()).fit(X),
        ValueError,
        r"always one value per observation or always one in all; it gave shapes \(40,\) and \(\)",
    ),
    "loss changes shape, split": (
        lambda: split(loss=Fickle()).fit(X),
        ValueError,
        r"always one value per observation or always one in all; it gave shapes \(20,\) and \(\)",
    ),
    "loss raises": (
        lambda: mp(loss=lambda y, p: 1 / 0).fit(X),
        ValueError,
        r"loss <lambda> failed on labels of shape \(40,\) .* division by zero \(ZeroDivisionError\)",
    ),
    "loss without return": (lambda: mp(loss=lambda y, p: None).fit(X), TypeError, "must return numbers, got None"),
    "loss of strings": (lambda: mp(loss=lambda y, p: "a").fit(X), TypeError, "loss <lambda> must return numbers"),
    # parameters of the estimators
    **{
        f"{name}, {engine}": (
            lambda make=make, engine=engine: mp(engine=engine, **make).fit(X),
            ValueError,
            f"^{message}.*Got {got} instead.$",
        )
        for engine in ("auto", "native")
        for name, make, message, got in [
            ("no clusters", {"clusterer": KMeans(0)}, "The 'n_clusters' parameter of KMeans must be", "0"),
            ("tol", {"clusterer": KMeans(3, tol=-1)}, "The 'tol' parameter of KMeans must be", "-1"),
            ("algorithm", {"clusterer": KMeans(3, algorithm="x")}, "The 'algorithm' parameter of KMeans", "'x'"),
            (
                "depth",
                {"classifier": DecisionTreeClassifier(max_depth=-1)},
                "The 'max_depth' parameter of DecisionTreeClassifier must be an int in the range",
                "-1",
            ),
        ]
    },
    "no clusters, ours": (
        lambda: mp(clusterer=native.KMeans(0), engine="native").fit(X),
        ValueError,
        r"^KMeans\(n_clusters=0\) .*expected an integer of at least 1$",
    ),
    "no clusters, sklearn": (
        lambda: mp(clusterer=KMeans(0), engine="sklearn").fit(X),
        ValueError,
        "KMeans failed on all the data.*must be an int in the range .* Got 0 instead$",
    ),
    # probabilities
    "scores for probabilities": (
        lambda: mp(classifier=Proba(3.0)).fit(X),
        ValueError,
        r"the classifier Proba \(minipatch 0\) gave \[3.0.* expected probabilities, from 0 to 1: normalise them",
    ),
    "classes of another fit": (
        lambda: mp(classifier=Renamed()).fit(X),
        ValueError,
        r"classifier Renamed \(minipatch 0\) has classes_ \[10, 11, 12\], expected the whole numbers .* 0 to 2, in",
    ),
    # what has no features, or asks for them by their place
    **{
        f"precomputed {name}": (
            lambda model=model: model.fit(X @ X.T),
            ValueError,
            f"^{role} must take features, got {name}.*'precomputed.*: with .* distances between observations",
        )
        for role, name, model in [
            ("clusterer", "DBSCAN", mp(clusterer=DBSCAN(metric="precomputed"))),
            ("clusterer", "Pipeline", split(clusterer=make_pipeline(None, DBSCAN(metric="precomputed")))),
            ("clusterer", "SpectralClustering", rampart(clusterer=SpectralClustering(affinity="precomputed"))),
            ("classifier", "KNeighborsClassifier", split(classifier=KNeighborsClassifier(metric="precomputed"))),
            ("clusterer", "DBSCAN", comparators.PermutationImportance(DBSCAN(metric="precomputed"))),
        ]
    },
    **{
        f"positions, {name}": (
            lambda model=model: model.fit(X),
            ValueError,
            rf"{role} must take whatever columns it is given, got a ColumnTransformer .* array\(\[0, 2\]\): parts",
        )
        for name, role, model in [
            ("mp", "clusterer", mp(clusterer=make_pipeline(picks(), kmeans()))),
            ("rampart", "classifier", rampart(classifier=make_pipeline(picks(), GaussianNB()))),
            ("split", "classifier", split(classifier=make_pipeline(picks(), GaussianNB()))),
            ("silhouette", "clusterer", comparators.SilhouetteLOCO(make_pipeline(picks(), kmeans()))),
            ("stability", "clusterer", comparators.StabilityLOCO(make_pipeline(picks(), kmeans()))),
        ]
    },
    "array for all": (
        lambda: mp(clusterer=KMeans(3, init=X[:3], n_init=1)).fit(X),
        ValueError,
        "minipatch 0, .*; its init may be for all the data, and not fit a part of them",
    ),
    # large values
    "huge": (
        lambda: mp().fit(X * 1e299),
        ValueError,
        r"X has values as large as .*e\+300 \(columns 0, 1, 2, 3, 4 and 1 more\), expected at most 1e\+150",
    ),
    "huge, named": (
        lambda: split().fit(pd.DataFrame(X, columns=[*"abcdef"]).assign(b=1e200)),
        ValueError,
        r"as large as 1e\+200 \(column 'b'\), .*divide the features by a constant, or standardize them",
    ),
    "huge, sparse": (
        lambda: mp(reference=LABELS).fit(sp.csr_array(put(1e200, (2, 3)))),
        ValueError,
        r"1e\+200 \(column 3\)",
    ),
    "beyond single precision": (
        lambda: mp(engine="sklearn").fit(X * 1e39),
        ValueError,
        r"if it computes in single precision, which ends at 3.4e38, \S+e\+\d+ is too large: divide the features",
    ),
    "beyond single precision, native": (
        lambda: mp(engine="native").fit(put(1e39, (2, 3))),
        ValueError,
        r"DecisionTreeClassifier failed in Rust: an entry of the data is 1.000e39 \(observation 2, feature 3\), "
        "expected at most 3.4e38 in size, since trees compare features in single precision: divide the feature",
    ),
    "masked": (
        lambda: mp().fit(np.ma.masked_greater(X, 9)),
        ValueError,
        r"X must not be masked, got \d+ masked values: fill them in",
    ),
}


class Renamed(DecisionTreeClassifier):
    """Has other classes than it was given."""

    def predict_proba(self, X):
        proba = super().predict_proba(X)
        self.classes_ = self.classes_ + 10
        return proba


class Proba(DecisionTreeClassifier):
    """Gives each observation the same values for the classes."""

    def __init__(self, values=0.0):
        super().__init__()
        self.values = values

    def predict_proba(self, X):
        out = np.zeros((len(X), len(self.classes_)))
        out[:] = np.resize(self.values, out.shape[1])
        return out


class Fickle:
    """A loss of each observation at first, of the whole set later."""

    def __init__(self):
        self.calls = 0

    def __call__(self, y, proba):
        self.calls += 1
        return np.zeros(len(y)) if self.calls == 1 else 0.0


@pytest.mark.parametrize("case", FITS)
def test_fit(case):
    action, error, message = FITS[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error, match=message) as caught:
            action()
    # The very types of the contract, or scikit-learn's own subclasses of them, and never a panic.
    assert isinstance(caught.value, (ValueError, TypeError))
    assert "internal error" not in str(caught.value)


def test_out_of_memory():
    advice = r"Labels failed on all the data.* smaller parts of the data .* max_samples, or reference='overlap'"
    with pytest.raises(MemoryError, match=advice):
        mp(clusterer=Labels(exhausted)).fit(X)


# More pairs than any process has addresses for: no allocation of as much succeeds, and none ends the process.
MANY = 5_000_000


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (native.Ward(2), "the distances of all pairs of observations"),
        (native.Spectral(2), "the distances of all pairs of observations"),
        (
            comparators.MPCC(n_clusters=2, max_samples=100, max_features=1),
            "the consensus of all pairs of observations",
        ),
    ],
    ids=lambda case: type(case).__name__,
)
def test_all_pairs_of_too_many(model, what):
    with pytest.raises(MemoryError, match=f"^{what} would take 200000.0 GB of memory, more than the system gives"):
        model.fit(np.arange(2.0 * MANY).reshape(MANY, 2))


def test_sample_scores_that_will_not_fit_are_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(
        "clusterwhy._loco_mp.check_room_for_samples", lambda n, m: check_room_for_samples(n * MANY, m * MANY)
    )
    with pytest.raises(
        MemoryError, match=r"scores of single observations would take .* store_sample_importances=False"
    ):
        mp(clusterer=Labels(exhausted)).fit(X)
    with pytest.raises(MemoryError, match="scores of single observations"):
        LOCORampart(Labels(exhausted), n_features_to_select=2).fit(X)
    mp(store_sample_importances=False).fit(X)


@pytest.mark.parametrize("role", ["clusterer", "classifier"])
def test_the_cause_of_a_failure_is_chained(role):
    error = ZeroDivisionError("out of luck")
    with pytest.raises(ValueError, match="minipatch 37") as caught:
        failing_in_37(role, error).fit(numbered())
    assert type(caught.value.__cause__) is ZeroDivisionError
    with pytest.raises(ValueError, match="minipatch 37") as caught:
        failing_in_37(role, error, n_jobs=2).fit(numbered())
    # A worker's traceback arrives as text.
    assert "ZeroDivisionError: out of luck" in str(caught.value.__cause__)


# ------------------------------------------------------------------------------------- the table: fitted questions

QUESTIONS = {
    "interval 95": (
        lambda m: m.confidence_interval(95),
        ValueError,
        "level must lie strictly between 0 and 1, got 95",
    ),
    "interval string": (lambda m: m.confidence_interval("x"), TypeError, "level must be a number, got 'x'"),
    "adjust": (lambda m: m.pvalues("fdr"), ValueError, "adjust must be None or one of 'bh', 'by', .* got 'fdr'"),
    "adjust list": (lambda m: m.pvalues(["bh"]), ValueError, "adjust must be None or one of"),
    "adjust in to_frame": (lambda m: m.to_frame(adjust="fdr"), ValueError, "adjust must be None or one of"),
    "group unknown": (
        lambda m: m.group_importance([["a", "z"]]),
        ValueError,
        "unknown feature name 'z' in groups: names are such as 'a', 'b', 'c'",
    ),
    "group empty": (lambda m: m.group_importance({"g": []}), ValueError, "one of the groups is empty"),
    "group too large": (
        lambda m: m.group_importance({"g": list("abcdef")}),
        ValueError,
        r"group 'g' \(6 features\) is absent from 0 of 60 minipatches, too few to score it \(at least 5 are needed\)",
    ),
    "group out of range": (lambda m: m.group_importance([[6]]), ValueError, "out of range: positions go from 0 to 5"),
    "group negative": (lambda m: m.group_importance([[-7]]), ValueError, "feature -7 in groups is out of range"),
    "group fraction": (
        lambda m: m.group_importance([[1.5]]),
        TypeError,
        "features in groups must be names or integer positions, got 1.5 of type float",
    ),
    "group mask": (
        lambda m: m.group_importance([[True, False]]),
        TypeError,
        "got True of type bool; numpy.flatnonzero turns a mask into positions",
    ),
    "group None": (lambda m: m.group_importance(None), TypeError, "groups must be a list of lists of features, or a"),
    "group flat": (lambda m: m.group_importance([1, 2]), TypeError, "each of the groups must be a list of features"),
    "group string": (lambda m: m.group_importance("ab"), TypeError, "groups must be a list of lists of features"),
    "group of strings": (lambda m: m.group_importance(["ab"]), TypeError, "each of the groups must be a list"),
    "pair of one": (
        lambda m: m.interaction_importance([("a", "a")]),
        ValueError,
        "pair 0 must name two different features, it names 1",
    ),
    "pair of three": (
        lambda m: m.interaction_importance([(0, 1, 2)]),
        ValueError,
        "two different features, it names 3",
    ),
    "rows out of range": (
        lambda m: m.patches_.rows(60),
        IndexError,
        "minipatch 60 is out of range: there are 60, from 0 to 59",
    ),
    "rows string": (lambda m: m.patches_.rows("a"), TypeError, "named by an integer or a slice, got 'a'"),
    "columns fraction": (lambda m: m.patches_.columns(1.5), TypeError, "integer or a slice, got 1.5 of type float"),
    "rows with a step": (lambda m: m.patches_.rows(slice(0, 9, 2)), ValueError, "must have step 1, got 2"),
    "transform width": (lambda m: m.transform(X[:, :2]), ValueError, "X has 2 features, but LOCOMP is expecting 6"),
    "to_anndata": (lambda m: m.to_anndata(None), TypeError, "adata must be an anndata.AnnData, got NoneType"),
}


@pytest.mark.parametrize("case", QUESTIONS)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_question(case, fitted):
    action, error, message = QUESTIONS[case]
    with pytest.raises(error, match=message):
        action(fitted)


def test_names_without_names():
    with pytest.raises(ValueError, match="the data had no feature names; use positions"):
        mp().fit(X).group_importance([["a"]])


BY_OBSERVATION = {
    "cluster_importances_": lambda m: m.cluster_importances_,
    "sample_importances_": lambda m: m.sample_importances_,
    "standard_errors_": lambda m: m.standard_errors_,
    "confidence_interval": lambda m: m.confidence_interval(),
    "confidence_interval by cluster": lambda m: m.confidence_interval(by_cluster=True),
    "pvalues": lambda m: m.pvalues(),
    "pvalues by cluster": lambda m: m.pvalues("holm", by_cluster=True),
    "to_frame by cluster": lambda m: m.to_frame(by_cluster=True),
    "to_shap": lambda m: m.to_shap(),
}


@pytest.mark.parametrize("question", BY_OBSERVATION)
def test_questions_that_the_rand_index_cannot_answer(question, fitted_ari):
    with pytest.raises(ValueError, match=r"not defined for loss='ari'.* Use loss='hinge', 'margin'"):
        BY_OBSERVATION[question](fitted_ari)
    # And so that hasattr keeps its meaning:
    assert not hasattr(fitted_ari, "sample_importances_")


UNFITTED = {
    "confidence_interval": lambda m: m.confidence_interval(),
    "pvalues": lambda m: m.pvalues(),
    "to_frame": lambda m: m.to_frame(),
    "to_anndata": lambda m: m.to_anndata(None),
    "to_shap": lambda m: m.to_shap(),
    "get_support": lambda m: m.get_support(),
    "transform": lambda m: m.transform(X),
    "inverse_transform": lambda m: m.inverse_transform(X),
    "get_feature_names_out": lambda m: m.get_feature_names_out(),
    "group_importance": lambda m: m.group_importance([[0]]),
    "interaction_importance": lambda m: m.interaction_importance([[0, 1]]),
    "feature_importances_": lambda m: m.feature_importances_,
    "labels_": lambda m: m.labels_,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", UNFITTED)
def test_unfitted(method, kind):
    with pytest.raises(NotFittedError, match=f"{KINDS[kind].__name__} instance is not fitted yet"):
        UNFITTED[method](KINDS[kind]())


@pytest.mark.parametrize(("method", "module"), [("to_frame", "pandas"), ("to_shap", "shap")])
def test_missing_extras(method, module, fitted, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf'{method} needs {module}: pip install "clusterwhy\[{module}\]"'):
        getattr(fitted, method)()


# ------------------------------------------------------------------------------------- the table: pure functions

PATCHES = cw.minipatches(N, M, 30, 0.5, 0.5, seed=0)
HARD = np.tile(LABELS, (30, 1))
SOFT = np.eye(3)[HARD]
INSIDE, HELD = [[0]] * 30, [[0]] * 30
BIG = np.array([0, 2**64 - 1], dtype=np.uint64)
FUNCTIONS = {
    "patches n_samples": (lambda: cw.minipatches(10.0, 5, 3), TypeError, "n_samples must be an integer, got 10.0"),
    "patches n_features": (lambda: cw.minipatches(10, 0, 3), ValueError, "n_features must be at least 1, got 0"),
    "patches n_patches": (lambda: cw.minipatches(10, 5, -1), ValueError, "n_patches must be at least 1, got -1"),
    "patches huge": (lambda: cw.minipatches(2**70, 5, 3), ValueError, "n_samples must be at most 4294967295"),
    "patches size": (lambda: cw.minipatches(10, 5, 3, 11), ValueError, "max_samples must be from 1 to the 10"),
    "patches seed": (lambda: cw.minipatches(10, 5, 3, seed=-1), ValueError, r"seed must be from 0 to 2\*\*64 - 1"),
    "patches seed str": (lambda: cw.minipatches(10, 5, 3, seed="a"), TypeError, "seed must be an integer, got 'a'"),
    "align lengths": (
        lambda: cw.align_labels([0, 1], [0]),
        ValueError,
        r"reference must have one label per observation, shape \(2,\), got shape \(1,\)",
    ),
    "align None": (lambda: cw.align_labels(None, [0, 1]), ValueError, "labels must be an array of labels, got None"),
    "align 2-d": (lambda: cw.align_labels([[0, 1]], [[0, 1]]), ValueError, r"shape \(n,\), got shape \(1, 2\)"),
    "align nan": (
        lambda: cw.align_labels([np.nan, 0], [0, 1]),
        ValueError,
        "got nan for observation 0; use -1 for noise",
    ),
    "align masked": (
        lambda: cw.align_labels(np.ma.array([0, 9, 1], mask=[0, 1, 0]), [0, 0, 1]),
        ValueError,
        "labels must not be masked",
    ),
    "align noise": (
        lambda: cw.align_labels([0, 1], [-1, -1]),
        ValueError,
        "the reference must name at least one cluster",
    ),
    "align empty": (lambda: cw.align_labels([], []), ValueError, "reference must not be empty"),
    "align uint": (lambda: cw.align_labels(BIG, [0, 1]), ValueError, r"labels must be below 2\*\*63"),
    "align noise to strings": (
        lambda: cw.align_labels([0, -1], ["a", "b"]),
        ValueError,
        "noise .-1. cannot be aligned to a reference of strings",
    ),
    "vote mixed": (
        lambda: cw.consensus_labels([[0, 1]], [[0, 1]], 2, ["a", "b"]),
        TypeError,
        "labels and reference must both be whole numbers or both strings, got dtypes int64 and <U1",
    ),
    "vote fraction": (
        lambda: cw.consensus_labels([[0.5, 1]], [[0, 1]], 2, [0, 1]),
        ValueError,
        "labels of minipatch 0 must be whole numbers .* got 0.5 for observation 0",
    ),
    "vote nan": (
        lambda: cw.consensus_labels([[np.nan, 1]], [[0, 1]], 2, [0, 1]),
        ValueError,
        "minipatch 0 .* got nan",
    ),
    "vote out of range": (
        lambda: cw.consensus_labels([[0, 1]], [[0, 2]], 2, [0, 1]),
        ValueError,
        "an observation's index is 2, expected 0 to 1",
    ),
    "vote negative index": (
        lambda: cw.consensus_labels([[0, 1]], [[0, -1]], 2, [0, 1]),
        ValueError,
        "index is -1, expected 0 to 1",
    ),
    "vote uint index": (
        lambda: cw.consensus_labels([[0, 1]], [BIG], 2, [0, 1]),
        ValueError,
        "rows of minipatch 0 has the index 18446744073709551615",
    ),
    "vote n_samples": (
        lambda: cw.consensus_labels([[0]], [[0]], "x", [0]),
        TypeError,
        "n_samples must be an integer",
    ),
    "vote reference": (
        lambda: cw.consensus_labels([[0]], [[0]], 3, [0]),
        ValueError,
        r"shape \(3,\), got shape \(1,\)",
    ),
    "vote lengths": (lambda: cw.consensus_labels([[0]], [[0, 1]], 2, [0, 1]), ValueError, "has 1 labels for 2"),
    "vote counts": (
        lambda: cw.consensus_labels([[0]], [[0], [1]], 2, [0, 1]),
        ValueError,
        "labels has 1 minipatches",
    ),
    "vote flat rows": (
        lambda: cw.consensus_labels([[0, 1]], [0, 1], 2, [0, 1]),
        ValueError,
        "labels has 1 minipatches, rows has 2|rows of minipatch 0 must be a flat list of integer indices",
    ),
    "vote no rows": (
        lambda: cw.consensus_labels([[0]], 7, 2, [0, 1]),
        TypeError,
        "rows must be one array of indices",
    ),
    "vote no labels": (lambda: cw.consensus_labels(5, [[0]], 2, [0, 1]), TypeError, "labels must be one array"),
    "score integers for a mask": (
        lambda: cw.loco_scores(HARD, (np.ones((30, 40), dtype=int), PATCHES.columns()), LABELS),
        ValueError,
        r"rows are zeros and ones alone, not indices: pass a mask as booleans, .astype\(bool\)",
    ),
    "score shape": (
        lambda: cw.loco_scores(HARD[:5], PATCHES, LABELS),
        ValueError,
        r"predictions must have shape \(30, 40\) or \(30, 40, K\), got \(5, 40\)",
    ),
    "score ragged": (
        lambda: cw.loco_scores([[1], [1, 2]], PATCHES, LABELS),
        ValueError,
        "predictions must be one arr",
    ),
    "score nan": (
        lambda: cw.loco_scores(np.where(SOFT, np.nan, 0), PATCHES, LABELS),
        ValueError,
        r"probabilities must be from 0 to 1; minipatch 0 predicts \[nan, 0.0, 0.0\] for observation 0",
    ),
    "score above one": (
        lambda: cw.loco_scores(np.where(SOFT, 1.5, 0), PATCHES, LABELS),
        ValueError,
        r"probabilities must be from 0 to 1; minipatch 0 predicts \[1.5, 0.0, 0.0\] for observation 0",
    ),
    "score masked": (
        lambda: cw.loco_scores(np.ma.masked_equal(HARD, 2), PATCHES, LABELS),
        ValueError,
        r"predictions must not be masked, got a masked one of minipatch 0 for observation \d+; leave the observation",
    ),
    "score masked list": (
        lambda: cw.loco_scores([*np.ma.masked_equal(HARD, 2)], PATCHES, LABELS),
        ValueError,
        "predictions must not be masked",
    ),
    "score masked soft": (
        lambda: cw.loco_scores(np.ma.masked_equal(SOFT, 1), PATCHES, LABELS),
        ValueError,
        "predictions must not be masked",
    ),
    "score masked rows": (
        lambda: cw.loco_scores(HARD, (np.ma.masked_equal([[0, 1]] * 30, 1), HELD), LABELS),
        ValueError,
        "rows of minipatch 0 must not be masked; pass a list of arrays, which may differ in length",
    ),
    "score masked mask": (
        lambda: cw.loco_scores(HARD, (np.ma.array(np.eye(30, N) > 0, mask=np.eye(30, N) > 0), HELD), LABELS),
        ValueError,
        "rows of minipatch 0 must not be masked",
    ),
    "score negative": (lambda: cw.loco_scores(-1.0 * SOFT, PATCHES, LABELS), ValueError, "must be from 0 to 1"),
    "score hard nan": (
        lambda: cw.loco_scores(HARD * np.nan, PATCHES, LABELS),
        ValueError,
        r"predictions must be whole numbers .* got nan .* soft votes have shape \(B, N, K\)",
    ),
    "score hard inf": (lambda: cw.loco_scores(np.full((30, N), np.inf), PATCHES, LABELS), ValueError, "got inf"),
    "score hard noise": (
        lambda: cw.loco_scores(HARD - 1, PATCHES, LABELS),
        ValueError,
        "minipatch 0 predicts -1 for observation 0: noise cannot be predicted",
    ),
    "score strings": (
        lambda: cw.loco_scores(HARD.astype(str), PATCHES, LABELS),
        TypeError,
        "predictions and labels must both be whole numbers or both strings",
    ),
    "score soft strings": (lambda: cw.loco_scores(SOFT.astype(str), PATCHES, LABELS), TypeError, "must be numbers"),
    "score complex": (lambda: cw.loco_scores(HARD * 1j, PATCHES, LABELS), ValueError, "whole numbers .* got 1j"),
    "score uint": (
        lambda: cw.loco_scores(np.full((30, N), 2**64 - 1, dtype=np.uint64), PATCHES, LABELS),
        ValueError,
        r"predictions must be below 2\*\*63",
    ),
    "score too many labels": (
        lambda: cw.loco_scores(np.arange(70_000)[None], ([[0]], [[0]]), np.arange(70_000)),
        ValueError,
        "at most 65535 labels are possible, got 70000",
    ),
    "score columns": (
        lambda: cw.loco_scores(SOFT[..., :2], PATCHES, LABELS),
        ValueError,
        r"predictions have 2 columns, but labels have 3 values: \[0, 1, 2\]",
    ),
    "score labels short": (
        lambda: cw.loco_scores(HARD, PATCHES, LABELS[:5]),
        ValueError,
        "patches are of 40 observations, labels of 5",
    ),
    "score labels nan": (lambda: cw.loco_scores(HARD, PATCHES, LABELS * np.nan), ValueError, "labels must be whole"),
    "score labels noise": (
        lambda: cw.loco_scores(HARD, PATCHES, LABELS - 9),
        ValueError,
        "the labels must name at least one cluster",
    ),
    "score patches": (
        lambda: cw.loco_scores(HARD, None, LABELS),
        TypeError,
        r"patches must be Minipatches or a tuple \(rows, columns\), got NoneType",
    ),
    "score rows": (
        lambda: cw.loco_scores(HARD, ([[50]] * 30, HELD), LABELS),
        ValueError,
        "rows of minipatch 0 must be from 0 to 39",
    ),
    "score held": (
        lambda: cw.loco_scores(HARD, (INSIDE, [[9]] * 30), LABELS, n_features=5),
        ValueError,
        "columns of minipatch 0 must be from 0 to 4",
    ),
    "score mask": (
        lambda: cw.loco_scores(HARD, (np.zeros((30, 9), dtype=bool), HELD), LABELS),
        ValueError,
        r"mask of rows must have shape \(B, 40\), got \(30, 9\)",
    ),
    "score n_features": (lambda: cw.loco_scores(HARD, PATCHES, LABELS, n_features=9), ValueError, "n_features is 9"),
    "score n_features < 0": (
        lambda: cw.loco_scores(HARD, (INSIDE, HELD), LABELS, n_features=-1),
        ValueError,
        "n_features must be at least 1",
    ),
    "score counts": (
        lambda: cw.loco_scores(HARD, (INSIDE, HELD[1:]), LABELS),
        ValueError,
        "rows has 30 .* columns 29|",
    ),
    "score no minipatch": (
        lambda: cw.loco_scores(HARD[:0], ([], []), LABELS, n_features=2),
        ValueError,
        "patches has 0 minipatches of 2 features, expected at least one of each",
    ),
    "score loss": (lambda: cw.loco_scores(HARD, PATCHES, LABELS, "l2"), ValueError, "loss must be one of 'hinge'"),
    "score n_jobs": (lambda: cw.loco_scores(HARD, PATCHES, LABELS, n_jobs=0), ValueError, "n_jobs must not be 0"),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_function(case):
    action, error, message = FUNCTIONS[case]
    with pytest.raises(error, match=message):
        action()


# ------------------------------------------------------------------------------------- warnings, and what is allowed


def test_probabilities_may_be_rounded_and_may_be_none():
    thirds = np.tile(np.float32([0.3333, 0.3334, 0.3333]), (30, N, 1))
    cw.loco_scores(thirds.round(2), PATCHES, LABELS)
    # Where they are all 0 the minipatch abstains, as it does where the observation is among its own.
    absent = np.random.default_rng(0).random((30, N)) < 0.2
    inside = np.zeros((30, N), dtype=bool)
    np.put_along_axis(inside, PATCHES.rows(), True, axis=1)
    holds = np.zeros((30, M), dtype=bool)
    np.put_along_axis(holds, PATCHES.columns(), True, axis=1)
    abstains = cw.loco_scores(np.where(absent[:, :, None], 0, SOFT), (inside, holds), LABELS)
    left_out = cw.loco_scores(SOFT, (inside | absent, holds), LABELS)
    np.testing.assert_array_equal(abstains.feature_importances_, left_out.feature_importances_)
    # What is masked and no vote is as good as not there.
    masked = cw.loco_scores(np.ma.array(HARD, mask=inside), PATCHES, LABELS)
    np.testing.assert_array_equal(
        masked.feature_importances_, cw.loco_scores(HARD, PATCHES, LABELS).feature_importances_
    )


def test_every_method_refuses_what_it_could_not_square():
    for model in (cw.InterpretableDeepClustering(3), cw.comparators.IMPACC(), cw.comparators.NEON(kmeans())):
        with pytest.raises(ValueError, match=r"X has values as large as 1e\+200 \(column 1\)"):
            model.fit(put(1e200, (0, 1)))


def test_votes_that_do_not_sum_to_one_are_averaged_as_they_are_with_a_warning():
    with pytest.warns(UserWarning, match=r"votes do not sum to 1 \(minipatch 0 predicts \[1.0, 1.0, 1.0\]"):
        scores = cw.loco_scores(np.ones_like(SOFT), PATCHES, LABELS, loss="hinge")
    np.testing.assert_array_equal(scores["feature_importances_"], 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cw.loco_scores(np.float32(SOFT), PATCHES, LABELS)


@pytest.mark.parametrize("make", [mp, rampart, split])
def test_features_that_trees_cannot_see_are_warned_of(make):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(90, 6)) + np.repeat([0, 8, 16], 30)[:, None], columns=list("abcdef"))
    frame["time"] = 1.7e9 + 40 * np.repeat([0, 1, 2], 30)
    with pytest.warns(UserWarning, match="the values of 'time' differ by little beside their size, and .*Tree"):
        make(classifier=DecisionTreeClassifier()).fit(frame)
    with pytest.warns(UserWarning, match="the values of 'x6' differ by little beside their size"):
        make(classifier=DecisionTreeClassifier()).fit(sp.csr_array(frame.to_numpy()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(classifier=DecisionTreeClassifier()).fit(frame - frame.mean())
        make(classifier=native.KNeighbors()).fit(frame)


@pytest.mark.parametrize("make", [mp, rampart, split])
def test_one_cluster_is_warned_of_and_scores_nothing(make):
    with pytest.warns(
        UserWarning, match=r"there is only one cluster \(label 0\): no feature can tell clusters apart"
    ):
        model = make(clusterer=KMeans(1, n_init=1)).fit(X)
    np.testing.assert_array_equal(model.feature_importances_, 0)
    np.testing.assert_array_equal(model.pvalues(), 1)


@pytest.mark.parametrize("make", [mp, split])
def test_a_constant_column_scores_as_noise_does(make):
    varying = put(1.0, (slice(None), 4))
    model = make(clusterer=AgglomerativeClustering(3)).fit(varying)
    assert model.feature_importances_[4] <= model.feature_importances_.max()
    assert np.isfinite(model.feature_importances_).all()


@pytest.mark.parametrize("make", [mp, rampart, split])
@pytest.mark.parametrize("clusterer", [KMeans(3, n_init=1), AgglomerativeClustering(3)], ids=["one", "three"])
def test_constant_data_are_warned_of_once(make, clusterer):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = make(clusterer=clusterer).fit(np.ones((N, M)))
    ours = [warning for warning in caught if warning.category is UserWarning]
    assert len(ours) == 1
    assert "all observations are the same: no feature varies" in str(ours[0].message)
    assert ours[0].filename == __file__
    if isinstance(clusterer, KMeans):
        np.testing.assert_array_equal(model.feature_importances_, 0)
    sparse = sp.csr_array(np.ones((N, M)))
    with pytest.warns(UserWarning, match="all observations are the same"):
        make(clusterer=clusterer, reference=LABELS).fit(sparse)


@pytest.mark.parametrize("make", [mp, rampart, split])
def test_a_selection_of_more_features_than_there_are_is_warned_of(make):
    with pytest.warns(
        UserWarning, match="n_features_to_select=7 is more than the 6 features of the data: all"
    ) as found:
        model = make(n_features_to_select=M + 1).fit(X)
    assert found[0].filename == __file__
    assert model.get_support().all()


class Counted:
    """A loss that counts its calls, and is no loss."""

    calls = 0

    def __call__(self, y, proba):
        self.calls += 1
        return proba


@pytest.mark.parametrize("make", [mp, rampart, split])
def test_a_bad_loss_fails_before_anything_is_fitted(make):
    calls = []

    class Never(GaussianNB):
        def fit(self, X, y):
            calls.append(len(X))
            return super().fit(X, y)

    loss = Counted()
    with pytest.raises(ValueError, match="loss Counted must return one value per observation"):
        make(loss=loss, classifier=Never()).fit(X)
    assert not calls
    assert loss.calls == 0


def test_a_loss_is_tried_on_all_the_labels_there_are():
    # It could not be asked about two clusters, or about certainty.
    costs = 1.0 - np.eye(3)

    def cost(y, proba):
        assert set(y) == {0, 1, 2}
        assert (proba.sum(axis=1) > 0.99).all()
        return (proba @ costs)[np.arange(len(y)), y]

    expected = mp(reference=np.where(LABELS == 2, -1, LABELS)).fit(X)
    two = mp(reference=np.where(LABELS == 2, -1, LABELS), loss=lambda y, p: 1 - p[np.arange(len(y)), y]).fit(X)
    np.testing.assert_allclose(two.feature_importances_, expected.feature_importances_, rtol=1e-12, atol=1e-15)
    assert np.isfinite(mp(loss=cost).fit(X).feature_importances_).all()


def test_features_without_eligible_minipatches_are_named():
    data = pd.DataFrame(X, columns=list("abcdef"))
    with pytest.warns(UserWarning, match="no minipatch without them can score the features") as caught:
        model = mp(n_patches=1, max_features=4).fit(data)
    missing = [name for name, score in zip("abcdef", model.feature_importances_, strict=True) if np.isnan(score)]
    text = str(caught[0].message)
    assert len(missing) == 4
    assert f"features {', '.join(missing)}: their scores are NaN" in text
    assert "20 observations are left out by no minipatch and are not scored" in text
    # The number that it names is enough, and the warning points at the caller.
    enough = int(text.split("About ")[1].split()[0])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = mp(n_patches=enough, max_features=4).fit(data)
    assert np.isfinite(again.feature_importances_).all()


def test_object_arrays_of_numbers_are_numbers():
    expected = mp().fit(X)
    model = mp().fit(X.astype(object))
    np.testing.assert_array_equal(model.feature_importances_, expected.feature_importances_)


def test_missing_values_go_where_both_estimators_take_them():
    class Missing(Labels):
        def __sklearn_tags__(self):
            tags = super().__sklearn_tags__()
            tags.input_tags.allow_nan = True
            return tags

    clusterer = Missing(lambda X: (np.nan_to_num(X[:, 0]) > 0).astype(int))
    model = mp(clusterer=clusterer, classifier=DecisionTreeClassifier()).fit(put(np.nan))
    assert np.isfinite(model.feature_importances_).all()
    with pytest.raises(ValueError, match="contains infinity"):
        mp(clusterer=clusterer, classifier=DecisionTreeClassifier()).fit(put(np.inf))
    with pytest.raises(ValueError, match="contains NaN"):
        mp(clusterer=clusterer, classifier=GaussianNB()).fit(put(np.nan))
    # What None stands for: a tree of scikit-learn takes them, the forest in Rust does not.
    assert mp(clusterer=clusterer, classifier=None).fit(put(np.nan)).engine_ == "sklearn"
    with pytest.raises(ValueError, match="contains NaN"):
        split(clusterer=clusterer, classifier=None).fit(put(np.nan))
    # A pipeline that fills them in, before or after what leaves them alone; and one that does not.
    filled = make_pipeline(StandardScaler(), SimpleImputer(), KMeans(3, n_init=1))
    for make in (mp, rampart, split):
        make(clusterer=filled, classifier=make_pipeline(SimpleImputer(), GaussianNB())).fit(put(np.nan))
    assert get_tags(mp(clusterer=filled, classifier=None)).input_tags.allow_nan
    with pytest.raises(ValueError, match="contains NaN"):
        mp(clusterer=make_pipeline(StandardScaler(), KMeans(3)), classifier=None).fit(put(np.nan))


# ------------------------------------------------------------------------------------- nothing is lost


class Turncoat(BaseEstimator):
    """Clusters until it is told to raise."""

    error = None

    def fit_predict(self, X, y=None):
        if Turncoat.error is not None:
            raise Turncoat.error
        return (X[:, 0] > np.median(X[:, 0])).astype(int)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyboardInterrupt(), SystemExit()], ids=lambda e: type(e).__name__
)
def test_a_failed_refit_leaves_the_earlier_fit(kind, error, monkeypatch):
    make = {"mp": mp, "rampart": rampart, "split": split}[kind]
    model = make(clusterer=Turncoat()).fit(pd.DataFrame(X, columns=list("abcdef")))
    before = copy.copy(vars(model))
    frozen = pickle.dumps(model)
    monkeypatch.setattr(Turncoat, "error", error)
    with pytest.raises(type(error)):
        model.fit(X[:, :3])
    monkeypatch.undo()
    assert list(vars(model)) == list(before)
    assert all(vars(model)[name] is value for name, value in before.items())
    assert pickle.dumps(model) == frozen
    # And a fit that succeeds leaves nothing of the earlier one.
    model.fit(X[:, :3])
    assert not hasattr(model, "feature_names_in_")
    assert model.feature_importances_.shape == (3,)


def test_a_refit_with_another_loss_drops_the_scores_that_it_lacks():
    model = mp().fit(X)
    model.set_params(loss="ari").fit(X)
    assert not {"sample_importances_", "standard_errors_", "_spreads_"} & set(vars(model))
