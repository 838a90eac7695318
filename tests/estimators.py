"""Deterministic estimators: no random state, so that the plain reference can run the same ones."""

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import DBSCAN, AgglomerativeClustering
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier


class ShallowTree(ClassifierMixin, BaseEstimator):
    """A decision tree whose ties fall the same way every time."""

    def fit(self, X, y):
        self.tree_ = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)
        self.classes_ = self.tree_.classes_
        return self

    def predict(self, X):
        return self.tree_.predict(X)

    def predict_proba(self, X):
        return self.tree_.predict_proba(X)


CLASSIFIERS = {
    "neighbours": lambda: KNeighborsClassifier(3),
    "tree": ShallowTree,
    "ridge": RidgeClassifier,
}


def ward():
    return AgglomerativeClustering(3)


def density():
    return DBSCAN(eps=1.1, min_samples=3)
