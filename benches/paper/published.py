"""Runs the published library on the cells, in its own environment: prints its scores as one line of JSON."""

from __future__ import annotations

import json
import sys

import numpy as np
from clim import ClusterLOCOMP
from clim.utils import hinge_error
from sklearn.cluster import AgglomerativeClustering
from sklearn.tree import DecisionTreeClassifier

path, seed, n_patches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
X = np.load(path)
n, m = int(np.ceil(0.42 * X.shape[0])), int(np.ceil(0.26 * X.shape[1]))
# Ward has no chance in it: these are the labels that the library aligns to.
labels = AgglomerativeClustering(10).fit_predict(X)
model = ClusterLOCOMP(10, n_patches, AgglomerativeClustering(10), DecisionTreeClassifier(), random_state=seed)
parallel = {"n_jobs": 1, "backend": "loky", "prefer": "processes", "verbose": 0}
model.fit(X, patch_n=n, patch_m=m, par=parallel, pprint=False)
found = model.score(error_metric=hinge_error, z=labels, agg="by_clusters", proba_error=True)
order = np.argsort(found["clusters"])
by_cluster = np.asarray(found["delta_by_cluster"], dtype=float).T[order]
scores = np.asarray(found["delta"], dtype=float)
print(json.dumps({"labels": labels.tolist(), "scores": scores.tolist(), "by_cluster": by_cluster.tolist()}))
