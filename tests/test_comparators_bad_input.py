"""What the comparators say when something is wrong: one table, an error and its message for each case."""

import copy
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from clusterwhy.comparators import (
    IMPACC,
    MPACC,
    MPCC,
    NEON,
    FuzzyCMeans,
    FuzzyCMeansSHAP,
    PermutationImportance,
    PrototypeImportance,
    SilhouetteLOCO,
    StabilityLOCO,
)

N, M = 40, 4
X = make_blobs(N, n_features=M, centers=3, random_state=0)[0]
LABELS = np.arange(N) % 3
ALL = (FuzzyCMeansSHAP, PermutationImportance, PrototypeImportance, SilhouetteLOCO, StabilityLOCO)


class Clumsy(BaseEstimator):
    """Clusters, and predicts what a function of the data says."""

    def __init__(self, function=None):
        self.function = function

    def fit_predict(self, X, y=None):
        return LABELS

    def predict(self, X):
        return self.function(X)


def clumsy(function):
    return PermutationImportance(Clumsy(function))


class Picky(BaseEstimator):
    """Clusters all the features and nothing less."""

    def fit_predict(self, X, y=None):
        if X.shape[1] < M:
            raise RuntimeError("too narrow")
        return LABELS[: len(X)]


def pfi(**params):
    return PermutationImportance(KMeans(3, n_init=1), **params)


def shap(**params):
    return FuzzyCMeansSHAP(reference=LABELS, **params)


CASES = {
    "repeats": (lambda: pfi(n_repeats=0), ValueError, "n_repeats must be at least 1, got 0"),
    "repeats type": (lambda: pfi(n_repeats=2.5), TypeError, "n_repeats must be an integer, got 2.5"),
    "classifier": (lambda: pfi(classifier=3), TypeError, "classifier must have fit, and predict"),
    "regressor": (lambda: pfi(classifier=LinearRegression()), TypeError, "which is a regressor"),
    "n_jobs": (lambda: pfi(n_jobs=0), ValueError, "n_jobs must not be 0"),
    "predict raises": (
        lambda: clumsy(lambda X: 1 / 0),
        ValueError,
        r"Clumsy failed on predicting all the data, 40 x 4: division by zero .*pass them as reference",
    ),
    "predict shape": (lambda: clumsy(lambda X: X), ValueError, "what Clumsy predicts must have one label per obs"),
    "predict floats": (lambda: clumsy(lambda X: X[:, 0]), ValueError, "what Clumsy predicts must be whole numbers"),
    "method": (lambda: shap(method="magic"), ValueError, "method must be one of 'auto', 'exact', 'permutation'"),
    "fuzziness 1": (lambda: shap(fuzziness=1), ValueError, r"fuzziness must be above 1 .*, got 1"),
    "fuzziness type": (lambda: shap(fuzziness="2"), TypeError, "fuzziness must be a number, got '2'"),
    "fuzziness inf": (lambda: shap(fuzziness=np.inf), ValueError, "fuzziness must be finite"),
    "permutations": (lambda: shap(n_permutations=0), ValueError, "n_permutations must be at least 1"),
    "permutations many": (lambda: shap(n_permutations=2**32), ValueError, "n_permutations must be at most"),
    "coalitions": (
        lambda: shap(method="kernel", n_coalitions=5),
        ValueError,
        "n_coalitions must be at least twice the number of features, 8, or all, got 5",
    ),
    "coalitions type": (lambda: shap(n_coalitions="many"), TypeError, "n_coalitions must be an integer"),
    "baseline shape": (
        lambda: shap(baseline=[1.0, 2.0]),
        ValueError,
        r"baseline must have a finite value for each feature, shape \(4,\), got shape \(2,\)",
    ),
    "baseline nan": (lambda: shap(baseline=[1, 2, np.nan, 4]), ValueError, r"each feature, shape \(4,\), got \[1, 2"),
    "baseline text": (lambda: shap(baseline="mean"), TypeError, "baseline must be None or numbers, .* got 'mean'"),
    "baseline far": (lambda: shap(baseline=[1e200] * 4), ValueError, "squared distances to the centres overflow"),
    "shap n_jobs": (lambda: shap(n_jobs="two"), TypeError, "n_jobs must be None or an integer"),
    "pairs": (lambda: StabilityLOCO(n_pairs=0), ValueError, "n_pairs must be at least 1, got 0"),
    "fraction": (lambda: StabilityLOCO(max_samples=1.5), ValueError, "max_samples must be above 0 and at most 1"),
    "count": (lambda: StabilityLOCO(max_samples=41), ValueError, "from 1 to the 40 observations"),
    "no overlap": (
        lambda: StabilityLOCO(max_samples=3, random_state=0),
        ValueError,
        "a pair of subsamples of 3 of 40 observations shares 0, and must share at least 2.*raise max_samples",
    ),
    "picky silhouette": (
        lambda: SilhouetteLOCO(Picky()),
        ValueError,
        r"Picky failed on all the data without feature 0, 40 x 3: too narrow \(RuntimeError\).*one feature less",
    ),
    "picky stability": (
        lambda: StabilityLOCO(Picky()),
        ValueError,
        "Picky failed on subsample 0 without feature 0, 32 x 3: too narrow",
    ),
    "too many clusters": (
        lambda: StabilityLOCO(AgglomerativeClustering(39), max_samples=0.8),
        ValueError,
        "AgglomerativeClustering failed on subsample 0 with all features, 32 x 4: .*max_samples",
    ),
    "prototypes": (
        lambda: PrototypeImportance(prototypes="mode"),
        ValueError,
        "prototypes must be one of 'mean', 'me",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_parameter(case):
    make, error, message = CASES[case]
    with pytest.raises(error, match=f"(?s){message}"):
        make().fit(X)


def with_nan():
    out = X.copy()
    out[3, 1] = np.nan
    return out


DATA = {
    "nan": (with_nan, ValueError, "contains NaN"),
    "one feature": (lambda: X[:, :1], ValueError, "1 feature.* while a minimum of 2"),
    "one row": (lambda: X[:1], ValueError, "1 sample.* while a minimum of 2"),
    "text": (lambda: X.astype(str).astype(object) + "x", ValueError, "X must be a table of numbers"),
    "flat": (lambda: X[0], ValueError, "Expected 2D array, got 1D array"),
}


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("case", DATA)
def test_data(make, case):
    data, error, message = DATA[case]
    with pytest.raises(error, match=message):
        make().fit(data())


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"clusterer": KMeans},
            TypeError,
            r"clusterer must be an instance, got the class KMeans: write it with \(\)",
        ),
        ({"clusterer": 3}, TypeError, "clusterer must have fit_predict, or fit and labels_"),
        ({"clusterer": KMeans(99)}, ValueError, "the clusterer KMeans failed on .*n_samples=.*n_clusters=99"),
        (
            {"clusterer": DBSCAN(1e-9)},
            ValueError,
            r"reference labels must name at least one cluster .*noise \(-1\) alone",
        ),
        ({"reference": LABELS[:5]}, ValueError, r"shape \(40,\), got shape \(5,\)"),
        ({"reference": None}, ValueError, "reference must be 'full' or an array of labels"),
        ({"reference": "overlap"}, ValueError, "reference must be 'full' or an array of labels"),
        ({"reference": LABELS / 2}, ValueError, "must be whole numbers .* or strings, got 0.5"),
        ({"reference": -np.ones(N, dtype=int)}, ValueError, "the reference labels must name at least one cluster"),
        ({"n_features_to_select": 0}, ValueError, "n_features_to_select must be at least 1"),
        ({"random_state": "x"}, ValueError, "random_state must be None, an integer"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_all_refuse(make, params, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        make(**params).fit(X)


@pytest.mark.parametrize("make", ALL)
def test_not_fitted(make):
    for action in ("to_frame", "get_support", "confidence_interval"):
        with pytest.raises(NotFittedError):
            getattr(make(), action)()


@pytest.mark.parametrize("make", ALL)
def test_a_failed_refit_leaves_the_earlier_fit(make):
    model = make(random_state=0).fit(X)
    before = copy.copy(vars(model))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(with_nan())
    assert all(vars(model)[name] is value for name, value in before.items())


@pytest.mark.parametrize("make", [*ALL, IMPACC, MPACC, MPCC, NEON])
def test_constant_data_are_warned_of_once(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(random_state=0).fit(np.ones((N, M)))
    assert [str(warning.message)[:31] for warning in caught] == ["all observations are the same: "]
    assert caught[0].filename == __file__


@pytest.mark.parametrize("make", ALL)
def test_a_selection_of_more_features_than_there_are_is_warned_of(make):
    with pytest.warns(UserWarning, match="n_features_to_select=9 is more than the 4 features of the data") as caught:
        assert make(n_features_to_select=9, reference=LABELS, random_state=0).fit(X).get_support().all()
    assert caught[0].filename == __file__


@pytest.mark.parametrize("make", ALL)
def test_strings_and_one_cluster(make):
    names = np.array(["a", "b", "c"])[LABELS]
    model = make(reference=names, random_state=0).fit(X)
    np.testing.assert_array_equal(model.classes_, ["a", "b", "c"])
    np.testing.assert_array_equal(model.labels_, names)
    with pytest.warns(UserWarning, match="there is only one cluster") as caught:
        make(reference=np.zeros(N, dtype=int), random_state=0).fit(X)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (FuzzyCMeans(0), ValueError, "n_clusters must be at least 1"),
        (FuzzyCMeans(41), ValueError, "n_clusters=41 is more than there are observations"),
        (FuzzyCMeans(fuzziness=1.0), ValueError, "fuzziness must be above 1"),
        (FuzzyCMeans(max_iter=0), ValueError, "max_iter must be at least 1"),
        (FuzzyCMeans(tol=-1), ValueError, "tol must be finite and at least 0"),
    ],
    ids=str,
)
def test_fuzzy_c_means(model, error, message):
    with pytest.raises(error, match=message):
        model.fit(X)


@pytest.mark.parametrize("make", [*ALL, IMPACC, MPACC, MPCC, NEON])
def test_the_order_of_the_data_in_memory_does_not_matter(make):
    params = {"reference": LABELS} if make in ALL else {}
    expected = make(random_state=0, **params).fit(X).feature_importances_
    for data in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(make(random_state=0, **params).fit(data).feature_importances_, expected)
