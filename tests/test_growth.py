"""An ensemble that grows: by a warm start, or until its scores are precise; however, it ends in the same bits."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier
from spies import SpyClassifier, SpyClusterer, notes

import clusterwhy as cw
from clusterwhy._growth import Convergence, Target, narrow
from clusterwhy._loco_mp import warn_clusters
from clusterwhy._votes import VoteStore, one_hot

X = make_blobs(90, n_features=12, centers=3, cluster_std=5.0, random_state=2)[0]
LABELS = np.arange(90) % 3

# What is fitted here is small on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class TurnsSoft(ClassifierMixin, BaseEstimator):
    """Gives whole votes in some minipatches, halves in single precision in others, thirds in double in few."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        k, kind = len(self.classes_), self.random_state % 11
        proba = np.eye(k)[(X[:, 0] > 0).astype(int) % k]
        if kind < 2 and k > 1:
            proba = (proba + 1 / k) / 2
        return proba.astype(np.float32) if kind < 1 else proba


def loco(**changes):
    settings = {
        "clusterer": AgglomerativeClustering(3),
        "n_patches": 130,
        "max_samples": 0.4,
        "max_features": 0.4,
        "random_state": 7,
    }
    return cw.LOCOMP(**{**settings, **changes})


def arrays(model):
    return {name: value for name, value in vars(model).items() if isinstance(value, np.ndarray)}


def assert_same_bits(one, other):
    one, other = arrays(one), arrays(other)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        assert one[name].tobytes() == other[name].tobytes(), name


# ------------------------------------------------------------------------------------------ warm starts


@pytest.mark.parametrize("reference", ["full", "overlap", LABELS], ids=["full", "overlap", "labels"])
@pytest.mark.parametrize(
    "methods",
    [
        {},
        {"engine": "sklearn", "classifier": GaussianNB()},
        {"classifier": TurnsSoft(), "clusterer": KMeans(3, n_init=1)},
        {"classifier": SpyClassifier()},
    ],
    ids=["native", "soft", "turning", "hard"],
)
def test_the_bits_do_not_depend_on_how_the_ensemble_grew(methods, reference, tmp_path):
    if isinstance(methods.get("classifier"), SpyClassifier):
        methods = {"classifier": SpyClassifier(str(tmp_path))}
    at_once = loco(reference=reference, **methods).fit(X)
    grown = loco(reference=reference, warm_start=True, **methods)
    for n_patches in (1, 20, 77, 130):
        grown.set_params(n_patches=n_patches).fit(X)
        # What was fitted survives the way to another process.
        grown = pickle.loads(pickle.dumps(grown))
    assert_same_bits(grown, at_once)
    assert grown.patches_ == at_once.patches_
    assert grown.n_patches_ == 130
    assert grown.convergence_["n_patches"].tolist() == [1, 20, 77, 130]


def test_a_warm_start_fits_the_new_minipatches_alone(tmp_path):
    def fitted():
        lines = notes(tmp_path)
        return [sum(line.startswith(kind) for line in lines) for kind in ("cluster", "train")]

    model = loco(clusterer=SpyClusterer(str(tmp_path)), classifier=SpyClassifier(str(tmp_path)), n_patches=20)
    model.fit(X)
    assert fitted() == [21, 20]
    model.set_params(warm_start=True, n_patches=50).fit(X)
    assert fitted() == [51, 50]
    # Scores of another loss need no fit at all.
    model.set_params(loss="ari").fit(X)
    assert fitted() == [51, 50]
    assert "sample_importances_" not in vars(model)
    assert_same_bits(model, clone(model).set_params(warm_start=False).fit(X))


def test_a_reference_of_overlaps_is_built_anew_and_nothing_is_clustered_again(tmp_path):
    model = loco(clusterer=SpyClusterer(str(tmp_path)), reference="overlap", warm_start=True, n_patches=20).fit(X)
    model.set_params(n_patches=50).fit(X)
    assert len(notes(tmp_path)) == 50


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(1), np.random.default_rng(1)])
def test_the_drawn_seed_is_kept(random_state):
    model = loco(random_state=random_state, warm_start=True, n_patches=30).fit(X)
    seed = model.patches_.seed
    model.set_params(n_patches=60).fit(X)
    assert model.patches_.seed == seed
    assert_same_bits(model, loco(random_state=seed, n_patches=60).fit(X))


OTHERS = {
    "X": ({}, X + 1),
    "X was float64 of shape (90, 12)": ({}, X[:-1]),
    "feature_names_in_": ({}, "frame"),
    "clusterer__n_clusters was 3, and is now 4": ({"clusterer": AgglomerativeClustering(4)}, X),
    "classifier__max_depth was None, and is now 3": ({"classifier": DecisionTreeClassifier(max_depth=3)}, X),
    "reference was 'full', and is now 'overlap'": ({"reference": "overlap"}, X),
    "max_samples was 36 of 90, and is now 20 of 90": ({"max_samples": 20}, X),
    "max_features": ({"max_features": 0.3}, X),
    "engine was native, and is now sklearn": ({"engine": "sklearn"}, X),
    "random_state was 7, and is now 8": ({"random_state": 8}, X),
}


@pytest.mark.parametrize("difference", OTHERS)
def test_a_warm_start_of_something_else_is_refused_with_the_difference(difference):
    changes, data = OTHERS[difference]
    if isinstance(data, str):
        pandas = pytest.importorskip("pandas")
        data = pandas.DataFrame(X, columns=[f"gene{j}" for j in range(X.shape[1])])
    model = loco(n_patches=20, warm_start=True).fit(X)
    before = arrays(model)
    with pytest.raises(ValueError, match="warm_start=True adds minipatches to the earlier fit") as error:
        model.set_params(n_patches=40, **changes).fit(data)
    assert difference in str(error.value)
    # Named alone: nothing else differs, and the earlier fit is as it was.
    assert str(error.value).count(" was ") == 1 + difference.startswith("X was")
    assert arrays(model).keys() == before.keys()
    assert all(value is before[name] for name, value in arrays(model).items())


def test_fewer_minipatches_than_there_are_are_refused():
    model = loco(n_patches=20, warm_start=True).fit(X)
    with pytest.raises(ValueError, match="n_patches=10 must be at least the 20 minipatches that the earlier fit has"):
        model.set_params(n_patches=10).fit(X)
    assert model.set_params(warm_start=False).fit(X).n_patches_ == 10


# ------------------------------------------------------------------------------------------ until precise


@pytest.fixture(scope="module")
def precise():
    return loco(n_patches="auto", tol=0.1, n_features_to_select=4).fit(X)


def test_auto_stops_when_the_top_scores_are_precise(precise):
    record = precise.convergence_
    assert record["converged"].tolist() == [False] * (len(record["converged"]) - 1) + [True]
    assert len(record["converged"]) >= 2
    assert precise.n_patches_ == len(precise.patches_) == record["n_patches"][-1]
    assert (np.diff(record["n_patches"]) > 0).all()
    assert (np.diff(record["seconds"]) > 0).all()
    top = np.argsort(-precise.feature_importances_)[:4]
    assert record["monte_carlo_error"][-1] == precise.monte_carlo_errors_[top].max()
    assert record["tolerance"][-1] == 0.1 * precise.feature_importances_.max()
    assert record["monte_carlo_error"][-1] <= record["tolerance"][-1]
    np.testing.assert_array_equal(record["feature_importances"][-1], precise.feature_importances_)
    assert np.isnan(record["top_k_overlap"][0])
    before = np.argsort(-record["feature_importances"][-2])[:4]
    assert record["top_k_overlap"][-1] == len(set(top) & set(before)) / 4


@pytest.mark.parametrize("reference", ["full", "overlap"])
def test_auto_ends_in_the_bits_of_so_many_minipatches(reference, precise):
    model = precise if reference == "full" else clone(precise).set_params(reference=reference).fit(X)
    assert_same_bits(model, clone(model).set_params(n_patches=model.n_patches_).fit(X))


def test_auto_goes_on_from_an_earlier_fit(precise):
    model = clone(precise).set_params(n_patches=300, warm_start=True).fit(X)
    model.set_params(n_patches="auto").fit(X)
    assert model.convergence_["n_patches"][:3].tolist() == [300, 300, 450]
    assert model.convergence_["converged"][-1]
    assert_same_bits(model, clone(model).set_params(n_patches=model.n_patches_, warm_start=False).fit(X))


def test_budgets_end_the_growth_with_a_warning():
    with pytest.warns(
        ConvergenceWarning, match=r"top 6 scores are not yet precise after 700 minipatches: their larg"
    ):
        model = loco(n_patches="auto", tol=1e-6, max_patches=700).fit(X)
    assert model.convergence_["n_patches"].tolist() == [250, 375, 700]
    assert_same_bits(model, loco(n_patches=700).fit(X))
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        model = loco(n_patches="auto", tol=1e-6, max_seconds=0.0).fit(X)
    assert model.n_patches_ == 250


def test_advice_is_of_what_the_method_has():
    model = cw.LOCORampart(
        KMeans(3, n_init=1), n_features_to_select=3, n_patches="auto", max_patches=60, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match=r"Raise max_patches, or tol\.$"):
        model.fit(X)


def test_no_budget_is_spent_on_a_fixed_number():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = loco(n_patches=100, max_patches=5, max_seconds=0).fit(X)
    assert model.convergence_["n_patches"].tolist() == [100]


def test_rounds_of_rampart_find_their_own_numbers():
    model = cw.LOCORampart(
        AgglomerativeClustering(3), n_features_to_select=3, n_patches="auto", tol=0.3, max_samples=0.4, random_state=7
    ).fit(X)
    for found in model.rounds_:
        assert found["n_patches"] == found["convergence"]["n_patches"][-1]
        assert found["convergence"]["converged"][-1]
    assert len({found["n_patches"] for found in model.rounds_}) > 1
    with pytest.raises(ValueError, match="patch_growth must be 1 when n_patches='auto'"):
        clone(model).set_params(patch_growth=2).fit(X)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_patches": "many"}, "n_patches must be an integer or 'auto', got 'many'"),
        ({"tol": -1}, "tol must be finite and at least 0, got -1"),
        ({"max_patches": 0}, "max_patches must be at least 1, got 0"),
        ({"max_seconds": -1}, "max_seconds must be finite and at least 0, got -1"),
    ],
)
def test_bad_targets_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        loco(**changes).fit(X)


def test_steps_grow_by_half_and_take_what_a_budget_leaves():
    auto = Target(None, 0.05, 1000, None, 10)
    assert (auto.first(0), auto.first(400)) == (250, 400)
    assert (auto.after(250, 250, 1.0), auto.after(400, 400, 1.0), auto.after(500, 100, 1.0)) == (375, 600, 1000)
    assert auto.after(1000, 400, 1.0) is None
    timed = Target(None, 0.05, 10**6, 10.0, 10)
    # A hundred minipatches a second: the next five hundred, or what six seconds are enough for, or nothing.
    assert timed.after(400, 400, 4.0) == 600
    assert timed.after(900, 900, 9.0) == 1000
    assert timed.after(990, 990, 9.9) is None
    assert Target(None, 0.05, 100, None, 10).first(0) == 100


def test_equals_at_the_edge_of_the_top_do_not_keep_it_from_being_stable():
    target = Target(None, 0.1, 10**6, None, 2)
    error = np.full(4, 0.01)

    def looks(*scores):
        convergence = Convergence()
        found = [
            convergence.look(
                100 * turn, {"feature_importances_": np.array(s), "monte_carlo_errors_": error}, target, 1.0
            )
            for turn, s in enumerate(scores)
        ]
        return found, convergence.record["top_k_overlap"][1:].tolist()

    assert looks([1.0, 0.5, 0.45, 0.0], [1.0, 0.5, 0.45, 0.0]) == ([False, True], [1.0])
    assert looks([1.0, 0.5, 0.45, 0.0], [1.0, 0.45, 0.5, 0.0]) == ([False, True], [0.5])
    assert looks([1.0, 0.5, 0.3, 0.0], [1.0, 0.3, 0.5, 0.0]) == ([False, False], [0.5])
    # Nothing is small beside scores of nothing.
    assert looks([-1.0, -2.0, -3.0, -4.0], [-1.0, -2.0, -3.0, -4.0]) == ([False, False], [1.0])


# ------------------------------------------------------------------------------------------ votes


def test_votes_are_the_same_whatever_comes_first():
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 3, size=(4, 70)).astype(np.uint16)
    soft = rng.dirichlet(np.ones(3), size=(3, 70))
    blocks = {0: whole[:2], 2: soft[:1].astype(np.float32), 3: soft[1:], 5: whole[2:]}
    expected = np.concatenate([one_hot(b, 3, np.float64) if b.ndim == 2 else b for b in blocks.values()])
    for sizes in ([7], [2, 3, 7], [2, 5, 6, 7]):
        store = VoteStore(70, 3)
        for at, end in zip([0, *sizes], sizes, strict=False):
            store.reserve(end)
            for start, block in blocks.items():
                if at <= start < end:
                    part = block[: end - start]
                    store.put(start, part, np.ones((len(part), 2), dtype=np.uint64))
                elif start < at < start + len(block):
                    part = block[at - start :]
                    store.put(at, part, np.ones((len(part), 2), dtype=np.uint64))
        np.testing.assert_array_equal(store.votes, expected)
        assert (store.voters == 1).all()


def test_room_for_more_votes_is_made_in_place():
    store = VoteStore(100_000, 2)
    store.reserve(100)
    store.votes[:] = 1
    tracemalloc.start()
    held = store.votes.nbytes
    store.reserve(150)
    # The room that is added and nothing for a time beside what there was (which was not traced).
    assert tracemalloc.get_traced_memory()[1] < 1.6 * held
    tracemalloc.stop()
    assert store.votes[:100].all()
    assert not store.votes[100:].any()


# ------------------------------------------------------------------------------------------ progress


def test_progress_bars_say_which_round_and_what_they_count(capfd):
    cw.LOCORampart(n_features_to_select=4, n_patches=20, max_samples=0.4, verbose=1, random_state=0).fit(X)
    shown = capfd.readouterr().err
    for bar in ("round 1: cluster: 100%", "round 1: classify: 100%", "round 2: cluster: 100%"):
        assert bar in shown
    model = loco(n_patches=20, verbose=1, warm_start=True).fit(X).set_params(n_patches=30)
    capfd.readouterr()
    model.fit(X)
    # What was there before counts as done.
    shown = capfd.readouterr().err
    assert "cluster:  67%" in shown
    assert "30/30" in shown
    cw.LOCOSplit(AgglomerativeClustering(3), DecisionTreeClassifier(), verbose=1, random_state=0).fit(X)
    shown = capfd.readouterr().err
    assert "split" in shown
    assert "feature" in shown
    assert "patch" not in shown


def test_an_ensemble_in_which_nothing_depends_on_a_feature_stops_at_once():
    """One cluster: every minipatch votes for it, whatever it holds."""
    model = loco(clusterer=KMeans(1), n_patches="auto").fit(X)
    assert model.n_patches_ < 1000
    assert model.convergence_["converged"].tolist() == [False, True]
    np.testing.assert_array_equal(model.feature_importances_, 0.0)


class SometimesOneMore(BaseEstimator):
    """Two clusters and, in every other minipatch, one of a single observation."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit_predict(self, X):
        labels = (X[:, 0] > np.median(X[:, 0])).astype(int)
        if self.random_state % 2:
            labels[X[:, 0].argmax()] = 2
        return labels


def test_a_reference_of_overlaps_may_gain_a_cluster_that_names_nobody():
    data = np.random.default_rng(0).normal(size=(24, 6))
    model = cw.LOCOMP(
        SometimesOneMore(),
        GaussianNB(),
        n_patches=8,
        max_samples=0.5,
        max_features=0.5,
        reference="overlap",
        warm_start=True,
        random_state=1,
    )
    numbers = set()
    for n_patches in range(8, 30):
        model.set_params(n_patches=n_patches).fit(data)
        numbers.add(len(model.classes_))
        anew = clone(model).fit(data)
        np.testing.assert_array_equal(model.labels_, anew.labels_)
        np.testing.assert_array_equal(model.feature_importances_, anew.feature_importances_)
    assert numbers == {2, 3}


def test_labels_are_kept_in_few_bytes_and_stay_apart():
    large = np.array([-1, 2**60, 2**60 + 1])
    for labels, kind in {(0, 1): np.int8, (-1, 127): np.int8, (0, 128): np.int16, (-(2**31), 0): np.int32}.items():
        assert narrow(np.array(labels)).dtype == kind
    together = np.concatenate([narrow(np.array([0, 3])), narrow(large)])
    np.testing.assert_array_equal(together, [0, 3, *large])


@pytest.mark.parametrize(
    "clusterer", [DBSCAN(eps=7.0, min_samples=3), AgglomerativeClustering(3)], ids=["noise", "none"]
)
def test_stability_is_a_share_of_the_minipatches_that_hold_an_observation(clusterer):
    settings = {"n_patches": 30, "max_samples": 0.5, "max_features": 3, "random_state": 0}
    model = cw.LOCOMP(clusterer, reference=LABELS, **settings).fit(X)
    gave, held = np.zeros(len(X)), np.zeros(len(X))
    for b in range(30):
        rows, columns = model.patches_.rows(b), model.patches_.columns(b)
        labels = cw.align_labels(
            clone(clusterer).fit_predict(X[np.ix_(rows, columns)]), model.reference_labels_[rows]
        )
        held[rows] += 1
        gave[rows] += labels == model.labels_[rows]
    known = (model.labels_ >= 0) & (held > 0)
    np.testing.assert_array_equal(model.label_stability_[known], gave[known] / held[known])
    assert np.isnan(model.label_stability_[~known]).all()
    assert (gave[known] < held[known]).any()


def test_features_that_no_minipatch_holds_are_not_known():
    wide = np.random.default_rng(0).normal(size=(60, 200))
    wide[:30, -5:] += 4
    few = {"n_patches": 20, "max_features": 5, "random_state": 0}
    message = r"no minipatch holds the features x\d+, .* which says nothing of them\. About \d+ minipatches"
    for model in (cw.LOCOMP(KMeans(2), **few), cw.LOCORampart(KMeans(2), **few)):
        with pytest.warns(UserWarning, match=message):
            model.fit(wide)
    model = cw.LOCOMP(KMeans(2), **few).fit(wide)
    unseen = ~np.isin(np.arange(200), model.patches_.columns())
    np.testing.assert_array_equal(model.feature_importances_[unseen], 0)
    np.testing.assert_array_equal(np.isnan(model.monte_carlo_errors_), unseen)
    np.testing.assert_array_equal(np.isnan(model.cluster_monte_carlo_errors_).all(axis=0), unseen)
    assert np.isnan(model.confidence_interval(monte_carlo=True)[unseen]).all()
    np.testing.assert_array_equal(model.pvalues(monte_carlo=True)[unseen], 1)
    # Nor is what they might be worth precise.
    auto = cw.LOCOMP(KMeans(2), n_patches="auto", max_patches=12, tol=9.0, max_features=5, random_state=0)
    with pytest.warns(ConvergenceWarning, match="some of them are in no minipatch"):
        auto.fit(wide)


def test_a_cluster_that_keeps_few_of_its_own_is_told():
    reference = np.repeat([0, 1, -1], [50, 40, 10]).astype(np.int32)
    consensus = reference.copy()
    consensus[50 + 3 : 90] = 0
    with pytest.warns(UserWarning, match=r"of the observations with a label, only 3 of 40 keep the label 'b'"):
        warn_clusters(consensus, reference, np.array(["a", "b"]))
    consensus[50 : 50 + 36] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_clusters(consensus, reference, np.array(["a", "b"]))
