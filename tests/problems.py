"""Random problems for the tests of scores: votes, minipatches of uneven size, labels with noise."""

from dataclasses import dataclass

import numpy as np
import reference
from hypothesis import strategies as st

KINDS = ("double", "single", "hard")


@dataclass
class Problem:
    """Predictions as the library takes them, and the same as the oracle does."""

    predictions: np.ndarray
    rows: list
    columns: list
    labels: np.ndarray
    n_features: int
    n_classes: int

    @property
    def patches(self):
        return self.rows, self.columns

    @property
    def votes(self):
        if self.predictions.ndim == 3:
            return self.predictions.astype(np.float64)
        return reference.one_hot(self.predictions, self.n_classes)

    @property
    def voters(self):
        return ~mask(self.rows, len(self.labels))

    @property
    def held(self):
        return mask(self.columns, self.n_features)

    @property
    def tolerance(self):
        return 1e-6 if self.predictions.dtype == np.float32 else 1e-9


def mask(sets, size):
    out = np.zeros((len(sets), size), dtype=bool)
    for b, members in enumerate(sets):
        out[b, members] = True
    return out


def make_problem(seed, n, m, b, k, kind, *, noise=True, largest=0.8):
    """Votes on N observations by B minipatches over M features, K classes, of which some may be missing."""
    rng = np.random.default_rng(seed)

    def subsets(size):
        share = rng.uniform(0, largest, size=b)
        return [np.flatnonzero(rng.random(size) < p) for p in share]

    rows, columns = subsets(n), subsets(m)
    if m > 2:
        # One feature in no minipatch and one in all: exactly 0, and undefined.
        columns = [np.union1d(np.setdiff1d(c, [0]), [1]).astype(int) for c in columns]
    labels = rng.integers(-1 if noise else 0, max(1, k - rng.integers(0, 2)), size=n)
    # The library may read K off the labels, so the last class must be among them.
    labels[rng.integers(n)] = k - 1
    if kind == "hard":
        predictions = rng.integers(0, k, size=(b, n))
    elif rng.random() < 0.5:
        predictions = rng.dirichlet(np.ones(k), size=(b, n))
    else:
        # Fifths, as five neighbours give: exact zeros and ties, and sums that round.
        predictions = rng.multinomial(5, np.ones(k) / k, size=(b, n)) / 5
    if kind == "single":
        predictions = predictions.astype(np.float32)
    if kind == "hard":
        predictions, labels, k = compact(predictions, ~mask(rows, n), labels)
    return Problem(predictions, rows, columns, labels, m, k)


def compact(predictions, voters, labels):
    """Number the classes that occur among the labels and the votes that are cast, as the library does."""
    classes = np.unique(np.concatenate([labels[labels >= 0], predictions[voters]]))
    codes = np.searchsorted(classes, np.where(voters, predictions, classes[0]))
    return codes, np.where(labels < 0, -1, np.searchsorted(classes, labels)), len(classes)


@st.composite
def problems(draw, kinds=KINDS, **options):
    return make_problem(
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(1, 20)),
        draw(st.integers(1, 8)),
        draw(st.integers(1, 30)),
        draw(st.integers(1, 5)),
        draw(st.sampled_from(kinds)),
        **options,
    )


def squared(y, proba):
    """Scores each observation as a user's own loss might."""
    return (1 - proba[np.arange(len(y)), y]) ** 2


def worst(y, proba):
    """Scores the whole set at once."""
    return 1.0 - proba[np.arange(len(y)), y].min(initial=1.0)


LOSSES = ("hinge", "margin", "brier", "log", "zero_one", "ari", squared, worst)
POINTWISE = ("hinge", "margin", "brier", "log", "zero_one", squared)


def assert_close(got, expected, tolerance, names=None):
    """Compare every score that the oracle has."""
    for name in expected if names is None else names:
        np.testing.assert_allclose(got[name], expected[name], rtol=tolerance, atol=tolerance, err_msg=name)
