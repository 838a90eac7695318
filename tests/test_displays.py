"""What the displays draw: the artists hold the numbers, in the order that the names say."""

import sys
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import clusterwhy as cw
from clusterwhy import displays
from clusterwhy.comparators import IMPACC, PermutationImportance

mpl.use("Agg")
import matplotlib.pyplot as plt

N, M = 72, 10
NAMES = [f"gene{j}" for j in range(M)]
X = np.random.default_rng(2).normal(size=(N, M)) + 4 * np.eye(3, M)[np.arange(N) % 3]
FRAME = pd.DataFrame(X, columns=NAMES)
SETTINGS = {"n_patches": 80, "max_samples": 0.4, "max_features": 0.4, "random_state": 0}
# A mean may be summed in another order.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-15}
ENSEMBLE_DISPLAYS = (displays.ConvergenceDisplay, displays.ConsensusDisplay, displays.InteractionDisplay)


@pytest.fixture(scope="module")
def mp():
    return cw.LOCOMP(AgglomerativeClustering(3), **SETTINGS).fit(FRAME)


@pytest.fixture(scope="module")
def models(mp):
    return {
        "mp": mp,
        "rampart": cw.LOCORampart(AgglomerativeClustering(3), n_features_to_select=5, **SETTINGS).fit(FRAME),
        "split": cw.LOCOSplit(AgglomerativeClustering(3), DecisionTreeClassifier(), random_state=0).fit(FRAME),
    }


@pytest.fixture(scope="module")
def ari(mp):
    return clone(mp).set_params(loss="ari").fit(X)


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    def shown(*_, **__):
        raise AssertionError("a display called show")

    monkeypatch.setattr(plt, "show", shown)
    yield
    plt.close("all")


def texts(labels):
    return [label.get_text() for label in labels]


# ------------------------------------------------------------------------------------------ conventions


@pytest.mark.parametrize("name", displays.__all__)
def test_conventions(name, mp):
    display_class = getattr(cw, name)
    display = display_class.from_estimator(mp)
    assert type(display) is display_class
    assert display.figure_ is display.ax_.figure
    figure, axes = plt.subplots(1, 2)
    assert display_class.from_estimator(mp, ax=axes[1]).ax_ is axes[1]
    # What was computed can be drawn again, elsewhere, and nothing is drawn where nobody asked.
    assert display.plot(axes[0]) is display
    assert display.ax_ is axes[0]
    assert display.figure_ is figure
    with pytest.raises(TypeError, match=r"ax must be one matplotlib Axes .* got ndarray"):
        display.plot(axes)
    with pytest.raises(NotFittedError):
        display_class.from_estimator(clone(mp))
    with pytest.raises(TypeError, match="estimator"):
        display_class.from_estimator(X)


@pytest.mark.parametrize("name", displays.__all__)
def test_an_error_names_the_extra(name, mp, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=rf'{name} needs matplotlib.*pip install "clusterwhy\[plot\]"'):
        getattr(cw, name).from_estimator(mp)


LONG = [f"a feature with a name that goes on and on ${j}$ {'and on ' * 30}" for j in range(M)]


@pytest.mark.parametrize("name", displays.__all__)
def test_long_names_fit(name, mp):
    options = {} if name == "ConsensusDisplay" else {"feature_names": LONG}
    assert_fits(getattr(cw, name).from_estimator(mp, **options))


def assert_fits(display):
    figure = display.figure_
    figure.canvas.draw()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    # To about a pixel.
    assert box.x1 <= width + 0.02
    assert box.y1 <= height + 0.02
    # And the plot keeps most of the room that it asked for.
    assert display.ax_.get_position().width * width > 2.5


def test_long_names_of_clusters_fit():
    classes = [f"cluster {k} {'with a long name ' * 9}" for k in range(3)]
    labels = np.repeat(classes, 20)
    rng = np.random.default_rng(0)
    matrix = np.corrcoef(rng.random((60, 90))) ** 2
    for display in (
        cw.ClusterImportanceDisplay.from_importances(rng.random((3, 5)), classes=classes),
        cw.SampleImportanceDisplay.from_importances(rng.random((60, 5)), labels=labels),
        cw.ConsensusDisplay.from_coassociation(matrix, labels=labels),
    ):
        assert_fits(display)


def test_names_that_matplotlib_would_read_as_mathematics(mp):
    display = cw.ImportanceDisplay.from_estimator(mp, feature_names=[f"$\\bad{j}$_^" for j in range(M)])
    display.figure_.canvas.draw()
    assert all(r"\$" in text for text in texts(display.ax_.get_yticklabels()))


# ------------------------------------------------------------------------------------------ bars


@pytest.mark.parametrize("kind", ["mp", "rampart", "split"])
def test_bars_and_intervals(kind, models):
    model = models[kind]
    display = cw.ImportanceDisplay.from_estimator(model, max_display=4, level=0.9)
    order = np.argsort(model.ranking_)[:4]
    assert display.features_.tolist() == order.tolist()
    assert texts(display.ax_.get_yticklabels()) == [NAMES[j] for j in order]
    np.testing.assert_allclose([bar.get_width() for bar in display.bars_], model.feature_importances_[order])
    known = not np.isnan(model.monte_carlo_errors_).all()
    bounds = model.confidence_interval(0.9, monte_carlo=known)[order]
    segments = np.array(display.error_bars_[2][0].get_segments())
    np.testing.assert_allclose(segments[:, :, 0], bounds)
    assert ("Monte-Carlo" in display.ax_.get_xlabel()) == known
    assert "90% intervals" in display.ax_.get_xlabel()
    # The best is at the top.
    assert display.ax_.get_ylim()[0] > display.ax_.get_ylim()[1]


def test_bars_of_a_cluster(mp):
    display = cw.ImportanceDisplay.from_estimator(mp, cluster=1, max_display=3)
    row = mp.cluster_importances_[1]
    np.testing.assert_allclose([bar.get_width() for bar in display.bars_], np.sort(row)[::-1][:3])
    bounds = mp.confidence_interval(by_cluster=True, monte_carlo=True)[1, display.features_]
    np.testing.assert_allclose(np.array(display.error_bars_[2][0].get_segments())[:, :, 0], bounds)
    with pytest.raises(ValueError, match=r"cluster must be one of classes_ \(0, 1, 2\), got 7"):
        cw.ImportanceDisplay.from_estimator(mp, cluster=7)


def test_bars_without_intervals(ari):
    forest = RandomForestClassifier(5, random_state=0).fit(X, np.arange(N) % 3)
    for model in (ari, forest):
        display = cw.ImportanceDisplay.from_estimator(model)
        assert display.error_bars_ is None
        best = np.argsort(-model.feature_importances_, kind="stable")
        assert texts(display.ax_.get_yticklabels()) == [f"x{j}" for j in best]


def test_features_can_be_chosen(mp):
    for features in (["gene7", "gene2"], [7, -8]):
        assert cw.ImportanceDisplay.from_estimator(mp, features=features).features_.tolist() == [7, 2]
        display = cw.ClusterImportanceDisplay.from_estimator(mp, features=features)
        np.testing.assert_array_equal(display.im_.get_array(), mp.cluster_importances_[:, [7, 2]].T)
    with pytest.raises(ValueError, match="unknown feature name 'zz' in the display: names are such as 'gene0'"):
        cw.ImportanceDisplay.from_estimator(mp, features=["zz"])
    with pytest.raises(TypeError, match="features must be a list of names or positions, got 'gene1'"):
        cw.ImportanceDisplay.from_estimator(mp, features="gene1")
    with pytest.raises(ValueError, match="max_display must be at least 1, got 0"):
        cw.ImportanceDisplay.from_estimator(mp, max_display=0)
    with pytest.raises(ValueError, match="one name for each of 10 features, got 2"):
        cw.ImportanceDisplay.from_estimator(mp, feature_names=["a", "b"])


def test_scores_that_are_not_defined():
    display = cw.ImportanceDisplay.from_importances(
        [0.2, np.nan, 0.5], intervals=[[0.1, 0.3], [np.nan, np.nan], [0.4, 0.6]]
    )
    assert texts(display.ax_.get_yticklabels()) == ["x2", "x0", "x1"]
    assert [bar.get_width() for bar in display.bars_] == [0.5, 0.2, 0]
    assert texts(display.ax_.texts) == ["not defined"]
    heat = cw.ClusterImportanceDisplay.from_importances([[0.2, np.nan], [0.1, -0.3]], classes=["T", "B"])
    # By the mean over the clusters where it is defined.
    assert heat.features_.tolist() == [0, 1]
    np.testing.assert_array_equal(np.ma.getmaskarray(heat.im_.get_array()), [[False, False], [True, False]])
    assert heat.im_.get_clim() == (-0.3, 0.3)
    nothing = cw.ClusterImportanceDisplay.from_importances(np.full((2, 3), np.nan), per_cluster=1)
    nothing.figure_.canvas.draw()
    cw.SampleImportanceDisplay.from_importances(np.zeros((4, 2))).figure_.canvas.draw()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: cw.ImportanceDisplay.from_importances([]), ValueError, r"importances must have shape \(M\).*\(0,\)"),
        (lambda: cw.ImportanceDisplay.from_importances([[1, 2]]), ValueError, r"shape \(M\) .* got \(1, 2\)"),
        (lambda: cw.ImportanceDisplay.from_importances(["a"]), TypeError, "importances must be numbers"),
        (lambda: cw.ImportanceDisplay.from_importances([np.inf]), ValueError, "must be finite, or NaN"),
        (
            lambda: cw.ImportanceDisplay.from_importances([1, 2], intervals=[[0, 1]]),
            ValueError,
            r"intervals must have shape \(2, 2\) and not be empty, got \(1, 2\)",
        ),
        (
            lambda: cw.ClusterImportanceDisplay.from_importances([[1, 2]], classes=[1, 2]),
            ValueError,
            "one name for each of 1 clusters",
        ),
        (
            lambda: cw.SampleImportanceDisplay.from_importances([[1, 2]], labels=[1, 2]),
            ValueError,
            "labels must have one label per observation",
        ),
        (
            lambda: cw.ConvergenceDisplay.from_importances([20, 10], [[1, 2], [1, 2]]),
            ValueError,
            "n_patches must be positive and ascending",
        ),
        (
            lambda: cw.ConvergenceDisplay.from_importances([10], [[1, 2]], kind="both"),
            ValueError,
            "kind must be one of 'score', 'rank', got 'both'",
        ),
        (
            lambda: cw.ConsensusDisplay.from_coassociation([[1, 0.2], [0.3, 1]]),
            ValueError,
            "coassociation must be square and symmetric",
        ),
        (lambda: cw.ConsensusDisplay.from_coassociation([[2]]), ValueError, "from 0 to 1, got 2 to 2"),
        (lambda: cw.InteractionDisplay.from_importances([[1]]), ValueError, "of two features or more"),
    ],
)
def test_arrays_that_do_not_fit(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
    # Nothing was opened for what could not be drawn.
    assert not plt.get_fignums()


# ------------------------------------------------------------------------------------------ heat maps


def test_clusters(mp):
    display = cw.ClusterImportanceDisplay.from_estimator(mp, max_display=4)
    order = np.argsort(mp.ranking_)[:4]
    np.testing.assert_array_equal(display.im_.get_array(), mp.cluster_importances_[:, order].T)
    assert texts(display.ax_.get_yticklabels()) == [NAMES[j] for j in order]
    assert texts(display.ax_.get_xticklabels()) == ["0", "1", "2"]
    low, high = display.im_.get_clim()
    assert low == -high == -np.abs(mp.cluster_importances_[:, order]).max()
    assert display.colorbar_.ax.get_ylabel().replace("\n", " ") == "rise of the hinge loss without the feature"
    # The best of every cluster in turn, each once.
    display.plot(per_cluster=2)
    wanted = np.argsort(-mp.cluster_importances_, axis=1)[:, :2].ravel().tolist()
    assert display.features_.tolist() == list(dict.fromkeys(wanted))


def test_observations(models):
    model = models["split"]
    display = cw.SampleImportanceDisplay.from_estimator(model, max_display=3)
    order = np.argsort(model.ranking_)[:3]
    assert sorted(display.samples_) == list(range(N))
    assert (np.diff(model.labels_[display.samples_]) >= 0).all()
    drawn = model.sample_importances_[np.ix_(display.samples_, order)].T
    np.testing.assert_array_equal(display.im_.get_array().filled(np.nan), drawn)
    # One split leaves half of the observations without a score.
    assert np.isnan(drawn).any()
    assert texts(display.ax_.get_xticklabels()) == ["0", "1", "2"]
    assert len(display.ax_.lines) == 2
    # Within a cluster by the mean of what is drawn.
    means = drawn.mean(axis=0)
    first = ~np.isnan(means) & (model.labels_[display.samples_] == 0)
    assert (np.diff(means[first]) <= 1e-15).all()
    assert first.any()


def test_names_of_clusters_do_not_overlap():
    labels = np.repeat([-1, 0, 1, 2], [4, 1, 1, 94])
    display = cw.SampleImportanceDisplay.from_importances(np.ones((100, 2)), labels=labels)
    assert texts(display.ax_.get_xticklabels()) == ["noise", "1", "2"]
    display = cw.SampleImportanceDisplay.from_importances(np.ones((3, 2)), labels=["b", "a", "b"])
    assert texts(display.ax_.get_xticklabels()) == ["a", "b"]
    assert display.samples_.tolist() == [1, 0, 2]


def test_interactions(models):
    for kind in ("mp", "rampart"):
        model = models[kind]
        display = cw.InteractionDisplay.from_estimator(model, max_display=3)
        best = np.argsort(model.ranking_)[:3]
        values = display.im_.get_array()
        assert np.ma.getmaskarray(values).tolist() == np.eye(3, dtype=bool).tolist()
        for a, b in [(0, 1), (0, 2), (1, 2)]:
            found = model.interaction_importance([(best[a], best[b])])[0]
            assert values[a, b] == values[b, a] == pytest.approx(found, rel=1e-12)
        assert texts(display.ax_.get_yticklabels()) == [NAMES[j] for j in best]
    # RAMPART has dropped the others.
    assert len(cw.InteractionDisplay.from_estimator(models["rampart"]).feature_names) == 5
    with pytest.raises(ValueError, match="two or more different ones"):
        cw.InteractionDisplay.from_estimator(models["mp"], features=["gene1", "gene1"])


# ------------------------------------------------------------------------------------------ ensembles


def test_convergence_scores_the_first_minipatches(mp):
    display = cw.ConvergenceDisplay.from_estimator(mp, n_points=5, max_display=4)
    assert display.n_patches[-1] == 80
    np.testing.assert_allclose(display.importances[-1], mp.feature_importances_, **TOLERANCE)
    size = int(display.n_patches[2])
    patches = list(mp.patches_.rows()[:size]), list(mp.patches_.columns()[:size])
    short = cw.loco_scores(mp._ensemble_.votes[:size], patches, mp.labels_, n_features=M)
    np.testing.assert_allclose(display.importances[2], short.feature_importances_, **TOLERANCE)
    best = np.argsort(mp.ranking_)[:4]
    assert [line.get_label() for line in display.lines_] == [NAMES[j] for j in best]
    np.testing.assert_array_equal(display.lines_[1].get_xydata()[:, 1], display.importances[:, best[1]])
    display.plot(kind="rank", max_display=4)
    assert [line.get_ydata()[-1] for line in display.lines_] == [1, 2, 3, 4]
    assert len(cw.ConvergenceDisplay.from_estimator(mp, max_display=None).lines_) == M


def test_convergence_of_the_last_round(models):
    model = models["rampart"]
    display = cw.ConvergenceDisplay.from_estimator(model, kind="rank")
    assert sorted(display.features_) == sorted(np.flatnonzero(model.get_support()))
    last = display.importances[-1, display.features_]
    np.testing.assert_allclose(last, np.sort(model.feature_importances_[display.features_])[::-1], **TOLERANCE)


@pytest.mark.parametrize("loss", ["ari", "zero_one", "log"])
def test_convergence_of_other_losses(loss, mp):
    model = clone(mp).set_params(loss=loss, n_patches=40).fit(X)
    display = cw.ConvergenceDisplay.from_estimator(model, n_points=3)
    np.testing.assert_allclose(display.importances[-1], model.feature_importances_, **TOLERANCE)


def naive_coassociation(model, samples):
    """Count, one minipatch at a time, for whom it predicts the same."""
    alike, both = np.zeros((len(samples),) * 2), np.zeros((len(samples),) * 2)
    ensemble = model._ensemble_
    for b, votes in enumerate(ensemble.votes):
        rows = model.patches_.rows(b)
        labels = votes if votes.ndim == 1 else votes.argmax(axis=1)
        for s, i in enumerate(samples):
            for t, j in enumerate(samples):
                if i not in rows and j not in rows:
                    both[s, t] += 1
                    alike[s, t] += labels[i] == labels[j]
    return alike / both


def test_consensus(mp):
    display = cw.ConsensusDisplay.from_estimator(mp, max_samples=12)
    samples = display.samples_
    assert len(set(samples.tolist())) == 12
    drawn = display.im_.get_array().filled(np.nan)
    np.testing.assert_allclose(drawn, naive_coassociation(mp, samples), rtol=1e-12)
    # Every cluster is there, in order, about as much as among all.
    counts = np.unique(mp.labels_[samples], return_counts=True)[1]
    assert counts.tolist() == [4, 4, 4]
    assert (np.diff(mp.labels_[samples]) >= 0).all()
    same = mp.labels_[samples][:, None] == mp.labels_[samples]
    assert drawn[same].mean() > drawn[~same].mean() + 0.2
    assert len(cw.ConsensusDisplay.from_estimator(mp).samples_) == N


def test_consensus_from_soft_votes():
    from sklearn.naive_bayes import GaussianNB

    model = cw.LOCOMP(AgglomerativeClustering(3), GaussianNB(), **{**SETTINGS, "n_patches": 20}).fit(X)
    assert model._ensemble_.votes.ndim == 3
    display = cw.ConsensusDisplay.from_estimator(model, max_samples=8)
    expected = naive_coassociation(model, display.samples_)
    np.testing.assert_allclose(display.im_.get_array().filled(np.nan), expected, rtol=1e-12)


def test_neighbours_in_the_consensus_are_alike():
    # Two groups within one cluster, interleaved; one pair never met.
    group = np.array([0, 1, 0, 1, 0, 1])
    matrix = np.where(group[:, None] == group, 0.9, 0.1)
    matrix[0, 3] = matrix[3, 0] = np.nan
    display = cw.ConsensusDisplay.from_coassociation(matrix)
    assert len(set(group[display.samples_[:3]])) == 1
    assert np.ma.getmaskarray(display.im_.get_array()).sum() == 2


# ------------------------------------------------------------------------------------------ other methods


def test_comparators_are_drawn_as_far_as_they_define_scores():
    permutation = PermutationImportance(KMeans(3, n_init=1), n_repeats=3, random_state=0).fit(FRAME)
    bars = cw.ImportanceDisplay.from_estimator(permutation, max_display=3)
    np.testing.assert_allclose(
        [bar.get_width() for bar in bars.bars_], permutation.feature_importances_[bars.features_]
    )
    segments = np.array(bars.error_bars_[2][0].get_segments())[:, :, 0]
    np.testing.assert_allclose(segments, permutation.confidence_interval(monte_carlo=True)[bars.features_])
    heat = cw.ClusterImportanceDisplay.from_estimator(permutation)
    np.testing.assert_array_equal(heat.im_.get_array(), permutation.cluster_importances_[:, heat.features_].T)
    impacc = IMPACC(n_clusters=3, max_samples=0.5, max_features=0.5, max_iter=40, random_state=0).fit(FRAME)
    assert cw.ImportanceDisplay.from_estimator(impacc).error_bars_ is None
    display = cw.ConsensusDisplay.from_estimator(impacc, max_samples=20)
    wanted = impacc.consensus_[np.ix_(display.samples_, display.samples_)]
    np.testing.assert_array_equal(display.im_.get_array().filled(np.nan), wanted)
    with pytest.raises(ValueError, match="cluster_importances_ is not defined for IMPACC"):
        cw.ClusterImportanceDisplay.from_estimator(impacc)


# ------------------------------------------------------------------------------------------ refusals


def test_what_an_estimator_cannot_define_is_refused(models, ari):
    for display in ENSEMBLE_DISPLAYS:
        with pytest.raises(
            ValueError, match=f"{display.__name__} needs the votes of minipatches, which a fitted LOCOS"
        ):
            display.from_estimator(models["split"])
    with pytest.raises(
        ValueError, match=r"pass a LOCOMP or LOCORampart, or a consensus clustering \(IMPACC, MPACC, M"
    ):
        cw.ConsensusDisplay.from_estimator(models["split"])
    for display in (cw.ClusterImportanceDisplay, cw.SampleImportanceDisplay):
        with pytest.raises(ValueError, match=r"not defined for loss='ari'.*Use loss='hinge'"):
            display.from_estimator(ari)
        forest = RandomForestClassifier(2, random_state=0).fit(X, np.arange(N) % 3)
        with pytest.raises(ValueError, match=f"{display.__name__} draws .* a fitted RandomForestClassifier does not"):
            display.from_estimator(forest)
    pipeline = make_pipeline(StandardScaler(), DecisionTreeClassifier()).fit(X, np.arange(N) % 3)
    with pytest.raises(ValueError, match="fitted Pipeline does not have: of a Pipeline, pass the step"):
        cw.ImportanceDisplay.from_estimator(pipeline)


def test_names_of_a_series_and_of_a_frame_are_drawn():
    scores = pd.Series([0.1, 0.4, 0.2], index=["f4", "f7", "f2"])
    display = cw.ImportanceDisplay.from_importances(scores)
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["f7", "f2", "f4"]
    assert cw.ImportanceDisplay.from_importances(scores, feature_names=[*"abc"]).feature_names.tolist() == [*"abc"]
    table = pd.DataFrame([[0.3, 0.0], [0.1, 0.2]], index=["B", "T"], columns=["g", "h"])
    clusters = cw.ClusterImportanceDisplay.from_importances(table)
    assert (clusters.classes.tolist(), clusters.feature_names.tolist()) == (["B", "T"], ["g", "h"])
    assert cw.SampleImportanceDisplay.from_importances(table).feature_names.tolist() == ["g", "h"]
    assert cw.ImportanceDisplay.from_importances(pd.Series([0.1, 0.2])).feature_names.tolist() == ["x0", "x1"]
    square = pd.DataFrame(np.zeros((2, 2)), index=["g", "h"], columns=["g", "h"])
    assert displays.InteractionDisplay.from_importances(square).feature_names.tolist() == ["g", "h"]


def test_intervals_need_not_hold_the_score():
    """Those of a bootstrap, say."""
    display = cw.ImportanceDisplay.from_importances([0.1, 0.3], intervals=[[0.2, 0.4], [0.25, 0.35]])
    segments = display.error_bars_[2][0].get_segments()
    np.testing.assert_allclose([segment[:, 0] for segment in segments], [[0.25, 0.35], [0.2, 0.4]])
    with pytest.raises(ValueError, match=r"a lower and an upper bound, got \[0.4, 0.2\]"):
        cw.ImportanceDisplay.from_importances([0.1], intervals=[[0.4, 0.2]])


@pytest.mark.parametrize("n_clusters", [9, 40, 120])
def test_names_of_many_clusters_do_not_run_into_each_other(n_clusters):
    labels = np.repeat(np.arange(n_clusters), 15)
    scores = np.random.default_rng(0).normal(size=(len(labels), 3))
    display = cw.SampleImportanceDisplay.from_importances(scores, labels=labels)
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.get_xticklabels()]
    assert len(boxes) >= 8
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


def test_samples_without_scores_come_last_in_their_cluster():
    scores = np.array([[-1.0, -2.0], [np.nan, np.nan], [-3.0, -1.0], [0.5, 0.2]])
    display = cw.SampleImportanceDisplay.from_importances(scores, labels=[0, 0, 0, 1])
    assert display.samples_.tolist() == [0, 2, 1, 3]


def test_a_legend_of_many_features_has_room():
    display = displays.ConvergenceDisplay.from_importances(
        [10, 100], np.random.default_rng(0).normal(size=(2, 40)), max_display=None
    )
    display.figure_.canvas.draw()
    box = display.ax_.get_legend().get_window_extent()
    assert box.y0 >= 0
    assert box.y1 <= display.figure_.bbox.height


def test_scores_of_the_last_round_come_before_all_others(models):
    """Of RAMPART, whose rounds are not on one scale: an early round's score may be larger."""
    model = clone(models["rampart"]).fit(FRAME)
    survivors = set(model.rounds_[-1]["features"])
    dropped = [j for j in range(M) if j not in survivors]
    model.cluster_importances_[:, dropped] += 10
    model.cluster_importances_[1] = np.nan
    model.cluster_importances_[1, dropped] = 10
    for k in (0, 2):
        table = model.to_frame(cluster=k)["feature"].tolist()
        assert set(table[:5]) == {NAMES[j] for j in survivors}
        bars = cw.ImportanceDisplay.from_estimator(model, cluster=k, max_display=5)
        assert set(bars.features_) == survivors
    table = model.to_frame(by_cluster=True)
    for _, part in table.groupby("cluster", sort=False):
        assert {NAMES.index(name) for name in part["feature"][:5]} == survivors
    best = cw.ClusterImportanceDisplay.from_estimator(model, per_cluster=3)
    assert set(best.features_) <= survivors


def test_scores_of_others_are_no_rises_of_a_loss():
    boosted = GradientBoostingClassifier(n_estimators=3).fit(X, np.arange(N) % 3)
    display = cw.ImportanceDisplay.from_estimator(boosted)
    assert display.score_name == "importance"


def test_a_consensus_that_is_drawn_again_names_the_same_observations(mp):
    display = cw.ConsensusDisplay.from_estimator(mp, max_samples=20)
    first = display.samples_.copy()
    np.testing.assert_array_equal(display.plot().samples_, first)
    assert (np.diff(mp.labels_[first]) >= 0).all()


def test_convergence_of_undefined_scores_and_named_features(models):
    frame = pd.DataFrame([[np.nan, 0.1, 0.2], [0.3, 0.1, 0.2]], columns=[*"abc"])
    display = cw.ConvergenceDisplay.from_importances([1, 2], frame, kind="rank")
    lines = {line.get_label(): line.get_ydata() for line in display.lines_}
    np.testing.assert_array_equal(lines["a"], [np.nan, 1])
    np.testing.assert_array_equal(lines["c"], [1, 2])
    model = models["rampart"]
    dropped = next(j for j in range(M) if j not in model.rounds_[-1]["features"])
    with pytest.raises(ValueError, match=f"features must have scores to draw, got gene{dropped}, which have none"):
        cw.ConvergenceDisplay.from_estimator(model, features=[dropped, *model.rounds_[-1]["features"]])
