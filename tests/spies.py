"""Estimators that report what they are given; in a module of their own, so that workers can import them."""

import os
import signal
import time

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from threadpoolctl import threadpool_info


def note(directory, text):
    """Leave a note that other processes cannot garble: one file for each process."""
    with open(os.path.join(directory, str(os.getpid())), "a") as file:
        file.write(text + "\n")


def notes(directory):
    return [line for path in sorted(directory.iterdir()) for line in path.read_text().splitlines()]


class SpyClusterer(BaseEstimator):
    """Cuts at the median of its first feature."""

    def __init__(self, directory=None, random_state=None, options=None, n_clusters=2):
        self.directory = directory
        self.random_state = random_state
        self.options = options
        self.n_clusters = n_clusters

    def fit(self, X, y=None):
        self.labels_ = self.fit_predict(X)
        return self

    def fit_predict(self, X, y=None):
        threads = sorted({pool["num_threads"] for pool in threadpool_info()})
        order = "C" if X.flags.c_contiguous else "F"
        note(self.directory, f"cluster {len(X)} {X.dtype} {order} {self.random_state} {threads}")
        # What a careless estimator does to its parameters.
        self.n_clusters = 1
        if self.options is not None:
            self.options["seen"] = True
        return (X[:, 0] > np.median(X[:, 0])).astype(int)


class SpyClassifier(ClassifierMixin, BaseEstimator):
    """Predicts by the nearer class mean."""

    def __init__(self, directory=None, random_state=None):
        self.directory = directory
        self.random_state = random_state

    def fit(self, X, y):
        note(self.directory, f"train {len(X)} {X.dtype} C {self.random_state} []")
        self.classes_ = np.unique(y)
        self.means_ = np.array([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def predict(self, X):
        note(self.directory, f"predict {len(X)} {X.dtype} C {self.random_state} []")
        distances = ((X[:, None] - self.means_) ** 2).sum(axis=2)
        return self.classes_[distances.argmin(axis=1)]


class SlowClusterer(BaseEstimator):
    """Takes its time to cut at the median of its first feature."""

    def __init__(self, seconds=0.02):
        self.seconds = seconds

    def fit_predict(self, X, y=None):
        time.sleep(self.seconds)
        return (X[:, 0] > np.median(X[:, 0])).astype(int)


class KillsItsWorker(SlowClusterer):
    """Ends the first process that fits it, and no other."""

    def __init__(self, seconds=0.02, mark=None):
        super().__init__(seconds)
        self.mark = mark

    def fit_predict(self, X, y=None):
        try:
            with open(self.mark, "x"):
                os.kill(os.getpid(), signal.SIGKILL)
        except FileExistsError:
            return super().fit_predict(X)


def describe(X, block):
    """Tell what a task gets as its data."""
    return isinstance(X, np.memmap), X.flags.writeable, os.getpid()
