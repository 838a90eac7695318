"""How far apart the simulated clusters are when a difficulty is asked for by name.

A difficulty is defined by the adjusted Rand index (ARI) that the setting's base clusterer reaches on the
10 signal features alone, in the mean over data sets: .95 is easy, .75 is hard. The constants were found by
bisection with ``benches/calibrate_difficulty.py``, 500 observations a cluster; the ARI beside each is the
mean over fresh data sets.
"""

from __future__ import annotations

import numpy as np

from clusterwhy._validation import check_option

TARGET_ARI = {"easy": 0.95, "hard": 0.75}

#: setting -> difficulty -> number of clusters -> constant
CALIBRATED: dict[str, dict[str, dict[int, float]]] = {
    # separation; base clusterer: k-means, 10 starts
    "gaussian": {
        "easy": {3: 2.286, 7: 2.612},  # ARI .957, .950
        "hard": {3: 1.495, 7: 1.755},  # ARI .766, .748
    },
    # separation; base clusterer: GammaMixture, 3 starts
    "gamma": {
        "easy": {3: 1.870, 7: 2.282},  # ARI .960, .961
        "hard": {3: 1.234, 7: 1.473},  # ARI .770, .765
    },
    # separation; base clusterer: spectral clustering on nearest neighbours, scikit-learn's defaults
    "moons_circles": {
        "easy": {3: 0.477, 7: 0.462},  # ARI .968, .947
        "hard": {3: 0.332, 7: 0.347},  # ARI .735, .758
    },
}


def resolve_setting(setting: str, difficulty: str | None, value: float | None, name: str, n_clusters: int) -> float:
    """Return `value`, or the constant of `difficulty` where no value is given.

    Between the calibrated numbers of clusters the constant is interpolated; outside, it is that of the
    nearer end.
    """
    check_option(difficulty, "difficulty", ("easy", "hard", None))
    if value is not None:
        return value
    if difficulty is None:
        raise ValueError(f"difficulty=None needs a value for {name}.")
    table = CALIBRATED[setting][difficulty]
    return float(np.interp(n_clusters, sorted(table), [table[k] for k in sorted(table)]))
