"""Classifiers that grow trees: one, or forests of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from clusterwhy import _core
from clusterwhy._native_params import NativeMethod, read_extra_trees, read_random_forest, read_tree
from clusterwhy._validation import seed_from_random_state

from ._classifiers import Classifier
from ._reading import read

# Of the nodes that are leaves.
NO_CHILD = -1


class _Growing(Classifier):
    """A classifier that is the trees it grew."""

    random_state: Any

    def _train(self, X: NDArray[Any], codes: NDArray[np.int32]) -> None:
        method = self._read(X.shape[1])
        seed = seed_from_random_state(self.random_state)
        self._trees = _core.native_grow(X, codes, len(self.classes_), method.name, method.params, seed)

    def _grown(self) -> dict[str, NDArray[Any]]:
        check_is_fitted(self)
        return self._trees

    def _proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        return _core.native_descend(X, self._trees, 1)

    def _read(self, n_features: int) -> NativeMethod:
        raise NotImplementedError

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Share of each feature in the decrease of impurity, the mean over trees; zeros where nothing was split."""
        trees = self._grown()
        total = np.zeros(self.n_features_in_)
        for start, stop in zip(trees["offsets"][:-1], trees["offsets"][1:], strict=True):
            total += _importances({name: array[start:stop] for name, array in trees.items()}, len(total))
        scale = total.sum()
        return total / scale if scale > 0 else total


def _importances(tree: dict[str, NDArray[Any]], n_features: int) -> NDArray[np.float64]:
    inner = np.flatnonzero(tree["children_left"] != NO_CHILD)
    left, right = tree["children_left"][inner], tree["children_right"][inner]
    weighted = tree["weighted_n_node_samples"] * tree["impurity"]
    gains = weighted[inner] - weighted[left] - weighted[right]
    shares = np.bincount(tree["feature"][inner], gains, n_features)
    scale = shares.sum()
    return np.asarray(shares / scale if scale > 0 else shares, dtype=np.float64)


class DecisionTree(_Growing):
    """A decision tree (CART).

    Parameters
    ----------
    criterion : {"gini", "entropy", "log_loss"}, default="gini"
        Impurity that splits make small.
    splitter : {"best", "random"}, default="best"
        The best threshold of a feature, or one drawn between its least and greatest value in the node.
    max_depth : int, default=None
        Nodes at this depth are leaves.
    min_samples_split, min_samples_leaf : int, default=2, 1
        Fewest rows of a node that is split, and of a leaf.
    max_features : int, float, {"sqrt", "log2"} or None, default=None
        Features that a node looks at, drawn anew for each: a count, a fraction, or all.
    min_impurity_decrease : float, default=0.0
        A split must lower the weighted impurity by at least this much.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the order in which features are looked at, which settles ties, and of what is drawn.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The classes, sorted.
    tree_ : dict of ndarrays
        Arrays over the nodes, the root first, named as in scikit-learn: ``feature`` (-2 for leaves),
        ``threshold``, ``children_left`` and ``children_right`` (-1 for leaves), ``value`` (class shares, nodes x K),
        ``impurity``, ``n_node_samples``, ``weighted_n_node_samples``.
    feature_importances_ : ndarray of shape (M,)
        Share of each feature in the decrease of impurity.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    sklearn.tree.DecisionTreeClassifier : The same tree where splits are not tied, else equal in distribution.

    Notes
    -----
    O(N M log N) to sort the features, once, and O(N M) for each level of the tree [1]_. Values are compared in
    single precision, as in scikit-learn.

    References
    ----------
    .. [1] L. Breiman, J. Friedman, R. Olshen and C. Stone, "Classification and Regression Trees", 1984.

    Examples
    --------
    >>> from clusterwhy.native import DecisionTree
    >>> tree = DecisionTree(random_state=0).fit([[0.0], [1.0], [3.0]], ["low", "low", "high"])
    >>> tree.tree_["threshold"][0].item(), tree.predict([[1.5]]).item()
    (2.0, 'low')
    """

    def __init__(
        self,
        *,
        criterion: str = "gini",
        splitter: str = "best",
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        max_features: int | float | str | None = None,
        min_impurity_decrease: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.criterion = criterion
        self.splitter = splitter
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.min_impurity_decrease = min_impurity_decrease
        self.random_state = random_state

    def _read(self, n_features: int) -> NativeMethod:
        return read(read_tree, self, n_features)

    @property
    def tree_(self) -> dict[str, NDArray[Any]]:
        """Arrays over the nodes."""
        return {name: array for name, array in self._grown().items() if name != "offsets"}

    def get_n_leaves(self) -> int:
        """Return the number of leaves."""
        return int((self._grown()["children_left"] == NO_CHILD).sum())

    def get_depth(self) -> int:
        """Return the number of edges from the root to the deepest leaf."""
        left, right = (self._grown()[f"children_{side}"] for side in ("left", "right"))
        depth = np.zeros(len(left), dtype=np.int64)
        # Children come after their parent.
        for node in np.flatnonzero(left != NO_CHILD):
            depth[left[node]] = depth[right[node]] = depth[node] + 1
        return int(depth.max())


class _Forest(_Growing):
    """The parameters and trees of both forests."""

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        max_features: int | float | str | None = "sqrt",
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        random_state: Any = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.random_state = random_state

    @property
    def trees_(self) -> dict[str, NDArray[Any]]:
        """Arrays over the nodes of all trees, and where each tree begins and ends."""
        return self._grown()


class RandomForest(_Forest):
    """A random forest: the mean of trees that are grown on bootstrap samples.

    Parameters
    ----------
    n_estimators : int, default=100
        Trees.
    criterion, max_depth, min_samples_split, min_samples_leaf, min_impurity_decrease
        As for :class:`DecisionTree`.
    max_features : int, float, {"sqrt", "log2"} or None, default="sqrt"
        Features that a node looks at.
    bootstrap : bool, default=True
        Grow each tree on N rows drawn with replacement; False grows each on all rows.
    random_state : int, RandomState, Generator or None, default=None
        Seed of all trees.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The classes, sorted.
    trees_ : dict of ndarrays
        As ``tree_`` of :class:`DecisionTree`, of all trees one after the other: tree t is
        ``offsets[t]:offsets[t + 1]``, its children counted from its own root.
    feature_importances_ : ndarray of shape (M,)
        Mean over trees of each feature's share in the decrease of impurity.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    sklearn.ensemble.RandomForestClassifier : Equal in distribution.

    Notes
    -----
    O(N M log N) to sort the features, once for all trees, and O(N m log N) for a tree [1]_ whose nodes look at
    m features.

    References
    ----------
    .. [1] L. Breiman, "Random forests", Machine Learning 45 (2001).

    Examples
    --------
    >>> from clusterwhy.native import RandomForest
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(RandomForest(20, random_state=0).fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.9)
    True
    """

    def _read(self, n_features: int) -> NativeMethod:
        return read(read_random_forest, self, n_features)


class ExtraTrees(_Forest):
    """Extremely randomised trees: the mean of trees whose thresholds are drawn at random.

    Parameters
    ----------
    n_estimators : int, default=100
        Trees.
    criterion, max_depth, min_samples_split, min_samples_leaf, min_impurity_decrease
        As for :class:`DecisionTree`.
    max_features : int, float, {"sqrt", "log2"} or None, default="sqrt"
        Features that a node looks at.
    bootstrap : bool, default=False
        Grow each tree on N rows drawn with replacement; False grows each on all rows.
    random_state : int, RandomState, Generator or None, default=None
        Seed of all trees.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The classes, sorted.
    trees_ : dict of ndarrays
        As for :class:`RandomForest`.
    feature_importances_ : ndarray of shape (M,)
        Mean over trees of each feature's share in the decrease of impurity.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    sklearn.ensemble.ExtraTreesClassifier : Equal in distribution.

    Notes
    -----
    O(N m log N) for a tree [1]_ whose nodes look at m features.

    References
    ----------
    .. [1] P. Geurts, D. Ernst and L. Wehenkel, "Extremely randomized trees", Machine Learning 63 (2006).

    Examples
    --------
    >>> from clusterwhy.native import ExtraTrees
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(ExtraTrees(20, random_state=0).fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.9)
    True
    """

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        max_features: int | float | str | None = "sqrt",
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            n_estimators,
            criterion=criterion,
            max_depth=max_depth,
            min_samples_split=min_samples_split,
            min_samples_leaf=min_samples_leaf,
            max_features=max_features,
            min_impurity_decrease=min_impurity_decrease,
            bootstrap=bootstrap,
            random_state=random_state,
        )

    def _read(self, n_features: int) -> NativeMethod:
        return read(read_extra_trees, self, n_features)
