"""The two things that generalizability means: of selected features, and of a clustering."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from clusterwhy._fitting import check_classifier, check_clusterer, cluster
from clusterwhy._tables import in_columns_of
from clusterwhy._validation import as_random_state, check_count, check_option

from ._matching import is_noise, match_labels
from ._validation import as_labels, as_scores, check_dense, top_features


def feature_generalizability(
    importances: npt.ArrayLike,
    X: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    top_k: int | None = None,
    classifier: Any = None,
    cv: int = 5,
    random_state: int | np.random.RandomState | None = None,
) -> float:
    """Return how well another model predicts the labels from the selected features alone.

    This is what the literature on interpretable deep clustering calls generalizability: the accuracy of
    a simple classifier, in cross-validation, on data masked by the most important features.

    Parameters
    ----------
    importances : array-like of shape (n_features,) or (n_samples, n_features)
        Scores of the features, or of the features for each observation. In the second case each observation
        is set to zero outside its own features. If the explanations know the labels, so does such a mask,
        and the accuracy is no evidence then. Names of features, as pandas has them, are matched with those of `X`.
    X : array-like of shape (n_samples, n_features)
        The observations.
    labels : array-like of shape (n_samples,)
        The labels to predict, such as those of the clustering; at least two.
    top_k : int, optional
        Select the features with the `top_k` largest scores (among equal ones, the smaller index), from 1 to
        n_features. Default: all features whose score is above zero. NaN is never selected.
    classifier : estimator, optional
        Any scikit-learn classifier. Default: standardisation and a support vector machine with a radial
        kernel.
    cv : int, default=5
        Number of stratified, shuffled folds, at least 2.
    random_state : int, RandomState instance, Generator or None, default=None
        Determines the folds. Pass an int for reproducible output.

    Returns
    -------
    accuracy : float
        Mean over folds, from 0 to 1; larger is better.

    Raises
    ------
    ValueError
        If the shapes do not fit, no feature is selected, or there are too few observations of all labels for
        `cv` folds.

    See Also
    --------
    generalizability_error : The other meaning of the word.

    References
    ----------
    .. [1] J. Svirsky and O. Lindenbaum, "Interpretable deep clustering for tabular data", ICML 2024,
       section 5.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from clusterwhy.metrics import feature_generalizability
    >>> X, y = load_iris(return_X_y=True)
    >>> petals, sepals = [0, 0, 1, 1], [1, 1, 0, 0]
    >>> feature_generalizability(petals, X, y, random_state=0) > feature_generalizability(
    ...     sepals, X, y, random_state=0
    ... )
    True
    """
    data = as_scores(X, "X", ndim=2)
    y = as_labels(labels, "labels")
    if y.size != data.shape[0]:
        raise ValueError(f"X has {data.shape[0]} observations, but labels has {y.size}.")
    kept = ~is_noise(y)
    names, counts = np.unique(y[kept], return_counts=True)
    if names.size < 2:
        raise ValueError("labels must hold at least 2 different labels that are not noise (below 0).")
    cv = check_count(cv, "cv", minimum=2)
    smallest, count = min(zip(names, counts, strict=True), key=lambda pair: pair[1])
    if count < 2:
        raise ValueError(
            "each label must have at least 2 observations, to learn it from one and try it on another, but "
            f"{smallest} has 1; leave it out."
        )
    if classifier is not None:
        check_classifier(classifier)
    scores = np.asarray(in_columns_of(X, importances, "importances"), dtype=np.float64)
    per_sample = scores.ndim == 2
    scores = as_scores(scores, "importances", ndim=2 if per_sample else 1)
    if scores.shape[-1] != data.shape[1] or (per_sample and scores.shape[0] != data.shape[0]):
        raise ValueError(f"importances of shape {scores.shape} do not fit X of shape {data.shape}.")
    if top_k is not None:
        top_k = check_count(top_k, "top_k", minimum=1, maximum=data.shape[1])

    data, y, scores = data[kept], y[kept], scores[kept] if per_sample else scores
    rows = scores if per_sample else scores[None, :]
    if top_k is None:
        selected = rows > 0
    else:
        selected = np.zeros(rows.shape, dtype=np.bool_)
        for row, chosen in zip(rows, selected, strict=True):
            chosen[top_features(row, top_k)] = True
    if not selected.any():
        raise ValueError("no feature is selected: all scores are NaN, zero or negative; pass top_k.")
    masked = np.where(selected, data, 0.0) if per_sample else data[:, selected[0]]

    model = make_pipeline(StandardScaler(), SVC()) if classifier is None else clone(classifier)
    folds = StratifiedKFold(n_splits=cv, shuffle=True, random_state=as_random_state(random_state))
    return float(np.mean(cross_val_score(model, masked, y, cv=folds, scoring="accuracy", error_score="raise")))


def generalizability_error(
    clusterer: Any,
    X: npt.ArrayLike,
    *,
    classifier: Any = None,
    loss: str = "zero_one",
    calibration_size: float = 0.5,
    n_repeats: int = 1,
    random_state: int | np.random.RandomState | None = None,
) -> float:
    """Return how badly a clustering of one part of the data predicts the clustering of another part.

    This is what Cluster LOCO calls generalizability. The data are split in two, and each part is clustered
    by itself; a transfer classifier learns the training part's labels and predicts labels for the calibration
    part, which are compared with the calibration part's own clustering.

    Parameters
    ----------
    clusterer : estimator
        Any object with ``fit_predict``, or ``fit`` and ``labels_``, or ``fit`` and ``predict``. It is copied for each
        part, never fitted itself. Its labels are whole numbers.
    X : array-like of shape (n_samples, n_features)
        The observations, at least 4.
    classifier : estimator, optional
        The transfer classifier. Default: a random forest of 100 trees.
    loss : {"zero_one", "hinge", "ari"}, default="zero_one"
        "zero_one" is the share of calibration observations whose label differs from the prediction, and
        "hinge" the mean of one minus the probability of the label, both after matching the two clusterings
        one to one; a cluster left without a partner is wrong throughout. "ari" is the negative adjusted Rand
        index, which needs no matching.
    calibration_size : float, default=0.5
        Share of the observations in the calibration part, between 0 and 1.
    n_repeats : int, default=1
        Number of random splits, whose errors are averaged.
    random_state : int, RandomState instance, Generator or None, default=None
        Determines the splits, and the parameters called ``random_state`` of the clones where they are None.

    Returns
    -------
    error : float
        From 0 to 1, or from -1 for "ari"; smaller is better. Noise (-1) takes no part: it neither trains
        nor is predicted.

    Raises
    ------
    TypeError
        If the clusterer cannot cluster, or the classifier cannot classify.
    ValueError
        If an option is unknown or out of range, "hinge" meets a classifier without probabilities, or a part
        is noise throughout.

    See Also
    --------
    feature_generalizability : The other meaning of the word.

    References
    ----------
    .. [1] T. Lange, V. Roth, M. L. Braun and J. M. Buhmann, "Stability-based validation of clustering
       solutions", Neural Computation 16(6), 2004.
    .. [2] "Cluster LOCO: feature importance for clustering", equation 1.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> from clusterwhy.metrics import generalizability_error
    >>> X, _ = make_blobs(90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    >>> generalizability_error(KMeans(3), X, random_state=0)
    0.0
    """
    check_clusterer(clusterer)
    check_option(loss, "loss", ("zero_one", "hinge", "ari"))
    n_repeats = check_count(n_repeats, "n_repeats", minimum=1)
    check_dense(X, "X")
    data = np.asarray(X)
    if data.ndim != 2 or data.shape[0] < 4:
        raise ValueError(f"X must have shape (n_samples >= 4, n_features), got {data.shape}.")
    if not isinstance(calibration_size, numbers.Real) or not 0 < calibration_size < 1:
        raise ValueError(f"calibration_size must lie between 0 and 1, got {calibration_size!r}.")
    transfer = RandomForestClassifier() if classifier is None else check_classifier(classifier)
    if loss == "hinge" and not hasattr(transfer, "predict_proba"):
        raise ValueError(f"loss='hinge' needs predict_proba, which {type(transfer).__name__} does not have.")
    rng = as_random_state(random_state)

    errors = []
    for _ in range(n_repeats):
        train, calibration = train_test_split(
            data, test_size=float(calibration_size), random_state=rng.randint(np.iinfo(np.int32).max)
        )
        train, train_labels = _clustered(_seeded(clusterer, rng), train, "training")
        calibration, labels = _clustered(_seeded(clusterer, rng), calibration, "calibration")
        model = _seeded(transfer, rng).fit(train, train_labels)
        errors.append(_error(model, calibration, labels, loss))
    return float(np.mean(errors))


def _seeded(estimator: Any, rng: np.random.RandomState) -> Any:
    """Return a clone whose unset seeds, nested ones too, are drawn from `rng`."""
    copy = clone(estimator, safe=False)
    if not hasattr(copy, "get_params"):
        return copy
    parameters = copy.get_params(deep=True)
    unset = sorted(
        name
        for name, value in parameters.items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    )
    return copy.set_params(**{name: int(rng.randint(np.iinfo(np.int32).max)) for name in unset})


def _clustered(clusterer: Any, X: npt.NDArray[Any], part: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Cluster a part, and return its observations that are not noise with their labels."""
    labels = cluster(clusterer, X, f"the {part} part")
    kept = ~is_noise(labels)
    if not kept.any():
        raise ValueError(f"the clusterer found nothing but noise in the {part} part of {labels.size} observations.")
    return X[kept], labels[kept]


def _error(model: Any, X: npt.NDArray[Any], labels: npt.NDArray[Any], loss: str) -> float:
    if hasattr(model, "predict"):
        predicted = model.predict(X)
    else:
        predicted = model.classes_[model.predict_proba(X).argmax(axis=1)]
    if loss == "ari":
        return -float(adjusted_rand_score(labels, predicted))
    naming = match_labels(labels, predicted)
    if loss == "zero_one":
        right = [naming.get(label) == guess for label, guess in zip(labels.tolist(), predicted.tolist(), strict=True)]
        return 1 - float(np.mean(right))
    column = {name: k for k, name in enumerate(model.classes_.tolist())}
    proba = model.predict_proba(X)
    of_own = [proba[i, column[naming[label]]] if label in naming else 0.0 for i, label in enumerate(labels.tolist())]
    return 1 - float(np.mean(of_own))
