"""The sampling: what a minipatch depends on, and that it is uniform."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

import clusterwhy as cw


@given(
    n=st.integers(1, 200),
    m=st.integers(1, 200),
    b=st.integers(1, 20),
    seed=st.integers(0, 2**64 - 1),
    data=st.data(),
)
def test_subsets_are_sorted_distinct_and_of_their_size(n, m, b, seed, data):
    size = data.draw(st.one_of(st.integers(1, n), st.floats(0.01, 1)))
    width = data.draw(st.one_of(st.integers(1, m), st.floats(0.01, 1)))
    patches = cw.minipatches(n, m, b, size, width, seed)
    assert len(patches) == b
    assert patches.rows().shape == (b, size if isinstance(size, int) else np.ceil(size * n))
    assert patches.columns().shape == (b, width if isinstance(width, int) else np.ceil(width * m))
    for indices, total in ((patches.rows(), n), (patches.columns(), m)):
        assert (np.diff(indices, axis=1) > 0).all()
        assert indices.min() >= 0
        assert indices.max() < total


@given(seed=st.integers(0, 2**64 - 1), b=st.integers(1, 30), more=st.integers(1, 30))
def test_a_minipatch_depends_on_the_seed_and_its_number_alone(seed, b, more):
    few, many = cw.minipatches(50, 9, b, 7, 3, seed), cw.minipatches(50, 9, b + more, 7, 3, seed)
    assert np.array_equal(few.rows(), many.rows()[:b])
    assert np.array_equal(few.columns(), many.columns()[:b])
    # In any order, one by one or in slices.
    for t in reversed(range(b)):
        assert np.array_equal(many.rows(t), many.rows()[t])
        assert np.array_equal(many.columns(slice(t, t + 2)), many.columns()[t : t + 2])
    # The rows know nothing of the features, nor the features of the rows.
    assert np.array_equal(few.rows(), cw.minipatches(50, 200, b, 7, 100, seed).rows())
    assert np.array_equal(few.columns(), cw.minipatches(500, 9, b, 70, 3, seed).columns())


def test_seeds_are_frozen():
    # Published seeds must keep their minipatches.
    patches = cw.minipatches(20, 10, 2, 5, 3, seed=42)
    assert patches.rows(0).tolist() == [2, 8, 16, 17, 19]
    assert patches.columns(1).tolist() == [0, 7, 9]


def check_uniform(counts, expected, variance_share=1.0):
    statistic = ((counts - expected) ** 2 / (expected * variance_share)).sum()
    assert statistic < chi2.ppf(0.999, counts.size - 1), statistic


def test_members_and_pairs_are_uniform():
    n, size, b = 12, 5, 20_000
    for seed, indices in enumerate(
        [cw.minipatches(n, 3, b, size, 2, 0).rows(), cw.minipatches(3, n, b, 2, size, 1).columns()]
    ):
        inside = np.zeros((b, n))
        np.put_along_axis(inside, indices, 1, axis=1)
        # Of a sample without replacement, counts spread less than Poisson's: by 1 - n / N, and N / (N - 1).
        share = (1 - size / n) * n / (n - 1)
        check_uniform(inside.sum(axis=0), b * size / n, share)
        pairs = (inside.T @ inside)[np.triu_indices(n, 1)]
        p = size * (size - 1) / (n * (n - 1))
        z = (pairs - b * p) / np.sqrt(b * p * (1 - p))
        assert np.abs(z).max() < 4, seed


def test_every_subset_is_equally_likely():
    b = 40_000
    rows = cw.minipatches(6, 2, b, 3, 1, seed=9).rows()
    _, counts = np.unique((1 << rows).sum(axis=1), return_counts=True)
    assert len(counts) == 20
    check_uniform(counts, b / 20)


def test_streams_of_seeds_minipatches_rows_and_columns_are_independent():
    def drawn(indices, total):
        out = np.zeros((len(indices), total))
        np.put_along_axis(out, indices, 1, axis=1)
        return (out - out.mean()).ravel()

    first = cw.minipatches(40, 40, 2000, 10, 10, seed=0)
    second = cw.minipatches(40, 40, 2000, 10, 10, seed=1)
    sets = [drawn(first.rows(), 40), drawn(first.columns(), 40), drawn(second.rows(), 40)]
    sets.append(np.roll(sets[0], 40))
    correlations = np.corrcoef(sets)[np.triu_indices(len(sets), 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(80_000)
