"""Whether different clusters are explained by different features."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from clusterwhy._validation import check_count

from ._validation import as_scores, top_features


def diversity(cluster_importances: npt.ArrayLike, *, top_k: int | None = None) -> float:
    r"""Return one minus the mean Jaccard similarity of the clusters' sets of features.

    .. math:: 1 - \frac{2}{K (K - 1)} \sum_{k < l} \frac{|S_k \cap S_l|}{|S_k \cup S_l|}

    The source writes the sum over all k other than l, which would count each pair twice and reach -1; as its
    text says, it is the mean over pairs.

    Parameters
    ----------
    cluster_importances : array-like of shape (n_clusters, n_features)
        A score for each cluster and feature, or a boolean mask of the features of each cluster.
    top_k : int, optional
        :math:`S_k` holds the `top_k` features of cluster k with the largest scores (among equal ones, the
        smaller index), from 1 to n_features. Default: all features whose score is above zero.

    Returns
    -------
    diversity : float
        From 0, where all clusters have the same features, to 1, where no two share one. Two clusters
        without any feature count as equal. NaN scores are never in a set.

    Raises
    ------
    ValueError
        If there are fewer than two clusters, or `top_k` is out of range.

    References
    ----------
    .. [1] J. Svirsky and O. Lindenbaum, "Interpretable deep clustering for tabular data", ICML 2024,
       section 5.

    Examples
    --------
    >>> from clusterwhy.metrics import diversity
    >>> diversity([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]])
    0.6666666666666667
    """
    scores = as_scores(cluster_importances, "cluster_importances", ndim=2)
    n_clusters, n_features = scores.shape
    if n_clusters < 2:
        raise ValueError(f"diversity compares clusters and needs at least 2, got {n_clusters}.")
    if top_k is None:
        selected = scores > 0
    else:
        top_k = check_count(top_k, "top_k", minimum=1, maximum=n_features)
        selected = np.zeros(scores.shape, dtype=np.bool_)
        for row, chosen in zip(scores, selected, strict=True):
            chosen[top_features(row, top_k)] = True
    similarities = []
    for first, second in combinations(selected, 2):
        union = np.count_nonzero(first | second)
        similarities.append(np.count_nonzero(first & second) / union if union else 1.0)
    return float(1 - np.mean(similarities))
