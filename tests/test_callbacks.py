"""scikit-learn's callbacks follow long fits, from the version on that has them."""

from __future__ import annotations

import importlib.util
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import clusterwhy as cw

X, _ = make_blobs(90, n_features=8, centers=3, random_state=0)
PASSES = ["cluster", "classify"]


class Recorder:
    """Writes down the tasks of a run, and asks to stop at the end of those of one name."""

    max_propagation_depth = None

    def __init__(self, stop_after: str = "") -> None:
        self.stop_after = stop_after
        self.begun: list[tuple[str, ...]] = []
        self.ended: list[tuple[str, ...]] = []
        self.brackets: list[str] = []
        self.told: list[object] = []
        self.at_the_end: object = None

    def setup(self, estimator, context):
        self.brackets.append("setup")

    def teardown(self, estimator, context):
        self.brackets.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(path(context))

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.ended.append(path(context))
        self.told.append(X)
        self.at_the_end = fitted_estimator
        return context.task_name == self.stop_after

    def children(self, *parents: str) -> list[str]:
        return [task[-1] for task in self.begun if task[:-1] == parents]


def path(context) -> tuple[str, ...]:
    return () if context is None else (*path(context.parent), context.task_name)


def locomp(**parameters):
    return cw.LOCOMP(KMeans(3), max_samples=0.4, max_features=0.4, random_state=0, **parameters)


def rampart(**parameters):
    kept = {"n_features_to_select": 4, "max_samples": 0.4, "max_features": 0.4, "random_state": 0}
    return cw.LOCORampart(KMeans(3), **kept, **parameters)


def deep(**parameters):
    epochs = {"pretrain_epochs": 2, "gate_epochs": 3, "cluster_epochs": 4, "cluster_gate_epochs": 6}
    return cw.InterpretableDeepClustering(3, random_state=0, **epochs, **parameters)


def split():
    return cw.LOCOSplit(AgglomerativeClustering(3), DecisionTreeClassifier(), n_repeats=2, random_state=0)


FITS = {
    "native": (locomp(n_patches=600), PASSES, {"block": 2}),
    "sklearn": (locomp(n_patches=70, engine="sklearn"), PASSES, {"block": 3}),
    "overlap": (locomp(n_patches=70, reference="overlap"), PASSES, {"block": 1}),
    "rampart": (rampart(n_patches=60), ["round 1", "round 2"], dict.fromkeys(PASSES, 1)),
    "split": (split(), [*PASSES, "leave out"], {"split": 2, "feature": 2}),
    "deep": (deep(), ["autoencoder", "clustering heads", "clusters' gates"], {"epoch": (5, 4, 6)}),
}


def test_estimators_have_callbacks_where_scikit_learn_has_them():
    has = importlib.util.find_spec("sklearn.callback") is not None
    assert all(hasattr(model, "set_callbacks") == has for model, *_ in FITS.values())


if importlib.util.find_spec("sklearn.callback") is not None:

    @pytest.mark.parametrize("name", FITS)
    def test_tasks_are_a_tree_of_passes_and_blocks(name):
        model, passes, inner = FITS[name]
        recorder = Recorder()
        followed = clone(model).set_callbacks(recorder).fit(X)
        assert recorder.brackets == ["setup", "teardown"]
        assert recorder.begun[0] == recorder.ended[-1] == ("fit",)
        assert sorted(recorder.begun) == sorted(recorder.ended)
        assert all(data is X for data in recorder.told)
        assert recorder.children("fit") == passes
        for at, one in enumerate(passes):
            names = recorder.children("fit", one)
            for kind in set(names):
                wanted = inner[kind]
                assert names.count(kind) == (wanted[at] if isinstance(wanted, tuple) else wanted)
            assert set(names) <= set(inner)
            assert names
        assert np.array_equal(recorder.at_the_end.feature_importances_, followed.feature_importances_)
        # Being watched changes nothing, and leaves nothing behind.
        alone = clone(model).set_callbacks().fit(X)
        assert np.array_equal(followed.feature_importances_, alone.feature_importances_)
        assert set(vars(followed)) - set(vars(alone)) == {"_skl_callbacks"}

    def test_a_callback_stops_growth_after_a_look_at_the_scores():
        recorder = Recorder(stop_after="375 minipatches")
        model = locomp(n_patches="auto", tol=1e-9).set_callbacks(recorder).fit(X)
        assert recorder.children("fit") == ["250 minipatches", "375 minipatches"]
        assert recorder.children("fit", "375 minipatches") == PASSES
        assert model.n_patches_ == 375
        fixed = locomp(n_patches=375).fit(X)
        assert np.array_equal(model.feature_importances_, fixed.feature_importances_)

    def test_a_callback_stops_training_after_an_epoch():
        model = deep().set_callbacks(Recorder(stop_after="epoch")).fit(X)
        assert model.n_iter_ == len(model.head_loss_curve_) == len(model.cluster_gate_loss_curve_) == 1

    def test_what_a_block_asks_is_not_heard():
        model = locomp(n_patches=600).set_callbacks(Recorder(stop_after="block")).fit(X)
        assert np.array_equal(model.feature_importances_, locomp(n_patches=600).fit(X).feature_importances_)

    def test_a_failed_fit_tears_down_and_leaves_the_earlier_one():
        recorder = Recorder()
        model = locomp(n_patches=60).set_callbacks(recorder).fit(X)
        before = dict(vars(model))
        for parameters, data in ({"n_patches": -1}, X), ({"n_patches": 60}, np.full((9, 8), np.nan)):
            with pytest.raises(ValueError, match=r"n_patches|NaN"):
                model.set_params(**parameters).fit(data)
        assert recorder.brackets == ["setup", "teardown"] * 3
        assert vars(model) == before

    def test_callbacks_come_down_from_pipelines_and_searches():
        recorder = Recorder()
        pipeline = make_pipeline(StandardScaler(), locomp(n_patches=60)).set_callbacks(recorder)
        pipeline.fit(X)
        fit = ("fit", "fit")
        assert recorder.children(*fit) == PASSES
        assert recorder.children(*fit, "cluster") == ["block"]
        assert "_parent_callback_ctx" not in vars(pipeline[-1])

        recorder = Recorder()
        search = GridSearchCV(
            locomp(), {"n_patches": [20, 30]}, cv=2, scoring=lambda model, X, y=None: -model.loo_error_
        )
        search.set_callbacks(recorder).fit(X)
        parents = [task[-2] for task in recorder.begun if task[-1] == "classify"]
        assert parents == ["fit"] * 5

    def test_fitted_estimators_are_pickled_with_their_callbacks():
        model = locomp(n_patches=60).set_callbacks(Recorder()).fit(X)
        again = pickle.loads(pickle.dumps(model))
        assert np.array_equal(again.feature_importances_, model.feature_importances_)
        assert again.fit(X)._skl_callbacks[0].brackets == ["setup", "teardown"] * 2

    def test_scikit_learns_own_progress_bar(capsys):
        from sklearn.callback import ProgressBar

        rampart(n_patches=60).set_callbacks(ProgressBar()).fit(X)
        shown = capsys.readouterr().out
        for line in ("LOCORampart - fit", "LOCORampart - round 2 #1", "LOCORampart - classify #1", "100%"):
            assert line in shown

    def test_warnings_are_about_the_line_that_fits():
        with pytest.warns(UserWarning, match=r"consensus|chance") as caught:
            cw.LOCOMP(KMeans(3), n_patches=20, reference=np.arange(90) % 3, random_state=0).fit(X)
        assert [warning.filename for warning in caught] == [__file__] * 2

    def test_what_is_no_callback_is_refused():
        with pytest.raises(TypeError, match="FitCallback"):
            locomp().set_callbacks(print)
