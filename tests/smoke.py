"""Runs against an installed wheel with nothing but its run-time dependencies: one fit of everything."""

import pickle
import sys

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

import clusterwhy as cw


def main() -> int:
    X, _ = make_blobs(150, n_features=3, centers=3, random_state=0)
    X = np.hstack([X, np.random.default_rng(0).normal(size=(150, 7))])
    split = cw.LOCOSplit(KMeans(3), n_repeats=3, random_state=0).fit(X).feature_importances_
    if split[:3].mean() <= split[3:].mean():
        print(f"LOCOSplit scores noise as high as signal: {split}")
        return 1
    for estimator in (
        cw.LOCOMP(KMeans(3), n_patches=200, max_features=0.3, random_state=0),
        cw.LOCORampart(KMeans(3), n_features_to_select=3, n_patches=100, max_features=0.3, random_state=0),
    ):
        fitted = pickle.loads(pickle.dumps(estimator.fit(X)))
        top = set(np.argsort(fitted.ranking_)[:3].tolist())
        if top != {0, 1, 2}:
            print(f"{type(estimator).__name__} ranks {sorted(top)} first, expected [0, 1, 2]")
            return 1
    print(f"clusterwhy {cw.__version__}: the wheel works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
