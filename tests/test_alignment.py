"""Names of clusters, the consensus over minipatches, and labels from overlaps."""

import numpy as np
import reference
from hypothesis import assume, given
from hypothesis import strategies as st

import clusterwhy as cw


@st.composite
def labellings(draw, largest=5, n_classes=5):
    size = draw(st.integers(1, largest * 8))
    label = st.integers(-1, draw(st.integers(0, n_classes - 1)))
    target = st.integers(-1, draw(st.integers(0, n_classes - 1)))
    labels = draw(st.lists(label, min_size=size, max_size=size))
    targets = draw(st.lists(target, min_size=size, max_size=size))
    return np.array(labels), np.array(targets)


@given(pair=labellings())
def test_alignment_has_the_largest_overlap(pair):
    labels, targets = pair
    assume((targets >= 0).any())
    aligned = cw.align_labels(labels, targets)
    optima = reference.all_alignments(labels, targets)
    assert any(np.array_equal(aligned, one) for one in optima)
    # The fast oracle is held against the same exhaustive search.
    assert any(np.array_equal(reference.align(labels, targets), one) for one in optima)


@given(pair=labellings(), names=st.permutations(range(5)), shift=st.integers(0, 10**9))
def test_names_of_clusters_do_not_matter(pair, names, shift):
    labels, targets = pair
    assume((targets >= 0).any())
    renamed = np.where(labels < 0, -1, np.array(names)[np.maximum(labels, 0)] + shift)
    assert np.array_equal(cw.align_labels(labels, targets), cw.align_labels(renamed, targets))


@given(pair=labellings(), scale=st.integers(1, 1000), shift=st.integers(0, 1000))
def test_alignment_speaks_the_names_of_the_reference(pair, scale, shift):
    labels, targets = pair
    assume((targets >= 0).any())
    plain = cw.align_labels(labels, targets)
    scaled = cw.align_labels(labels, np.where(targets < 0, -1, targets * scale + shift))
    assert np.array_equal(scaled, np.where(plain < 0, -1, plain * scale + shift))


def test_clusters_and_references_may_have_names():
    aligned = cw.align_labels(["b", "b", "a", "a", "a"], ["x", "x", "y", "y", "x"])
    assert aligned.tolist() == ["x", "x", "y", "y", "y"]


@given(pair=labellings())
def test_noise_stays_noise_and_clusters_stay_together(pair):
    labels, targets = pair
    assume((targets >= 0).any())
    aligned = cw.align_labels(labels, targets)
    assert (aligned[labels < 0] == -1).all()
    for cluster in np.unique(labels[labels >= 0]):
        members = labels == cluster
        assert len(np.unique(aligned[members])) == 1
        # Only a cluster that meets no reference label at all has no name.
        assert (aligned[members] >= 0).all() == (targets[members] >= 0).any()


@given(labels=st.lists(st.integers(0, 9), min_size=1, max_size=80), names=st.permutations(range(10)))
def test_a_renaming_is_undone(labels, names):
    labels = np.array(labels)
    assert np.array_equal(cw.align_labels(np.array(names)[labels], labels), labels)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 30),
    b=st.integers(1, 12),
    k=st.integers(1, 5),
)
def test_consensus_is_the_majority_with_its_tie_rules(seed, n, b, k):
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(n)[: rng.integers(0, n + 1)] for _ in range(b)]
    labels = [rng.integers(-1, k, size=len(part)) for part in rows]
    targets = rng.integers(-1, k, size=n)
    targets[rng.integers(n)] = k - 1
    got = cw.consensus_labels(labels, rows, n, targets)
    assert np.array_equal(got, reference.consensus(labels, rows, targets, k))


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 4))
def test_consensus_does_not_depend_on_the_order_of_minipatches(seed, k):
    rng = np.random.default_rng(seed)
    rows, targets = [rng.permutation(20)[:8] for _ in range(9)], rng.integers(0, k, size=20)
    labels, order = [rng.integers(-1, k, size=8) for _ in range(9)], rng.permutation(9)
    got = cw.consensus_labels(labels, rows, 20, targets)
    again = cw.consensus_labels([labels[b] for b in order], [rows[b] for b in order], 20, targets)
    assert np.array_equal(got, again)
