"""What a fit costs beyond the estimators' bare fit and predict calls: ``python benches/overhead.py``.

The bare cost is the time that the estimators spend inside their own methods, measured by wrappers in the same
run, with one worker; both are CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.tree import DecisionTreeClassifier

import clusterwhy as cw
from clusterwhy.datasets import load_cells

spent = 0.0


def timed(kind: type, *names: str) -> type:
    """Make a subclass whose named methods add their time to ``spent``."""

    def wrap(name: str) -> Any:
        bare = getattr(kind, name)

        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            global spent
            start = time.process_time()
            result = bare(self, *args, **kwargs)
            spent += time.process_time() - start
            return result

        return method

    return type(kind.__name__, (kind,), {name: wrap(name) for name in names})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=1000)
    options = parser.parse_args()
    global spent
    X = load_cells().data
    tree = timed(DecisionTreeClassifier, "fit", "predict_proba")()
    ward = timed(AgglomerativeClustering, "fit_predict")(10)
    kmeans = timed(KMeans, "fit_predict")(10, n_init=1)
    for clusterer in (ward, kmeans):
        spent = 0.0
        loco = cw.LOCOMP(
            clusterer,
            tree,
            n_patches=options.patches,
            max_samples=0.42,
            max_features=0.26,
            engine="sklearn",
            random_state=0,
        )
        start = time.process_time()
        loco.fit(X)
        whole = time.process_time() - start
        print(
            f"{type(clusterer).__name__} + tree, B = {options.patches}: fit {whole:.2f} s, the estimators' own "
            f"calls {spent:.2f} s: {100 * (whole / spent - 1):.1f}% on top"
        )


if __name__ == "__main__":
    main()
