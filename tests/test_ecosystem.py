"""Inside scikit-learn's and shap's tools, as their users expect."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
import pytest
import shap
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import clusterwhy as cw

mpl.use("Agg")
import matplotlib.pyplot as plt

N, M = 72, 10
NAMES = [f"gene{j}" for j in range(M)]
GROUPS = np.arange(N) % 3
X = np.random.default_rng(2).normal(size=(N, M)) + 4 * np.eye(3, M)[GROUPS]
FRAME = pd.DataFrame(X, columns=NAMES)
MP = cw.LOCOMP(
    AgglomerativeClustering(3),
    n_patches=80,
    max_samples=0.4,
    max_features=0.4,
    n_features_to_select=3,
    random_state=0,
)
SPLIT = cw.LOCOSplit(AgglomerativeClustering(3), DecisionTreeClassifier(), n_features_to_select=3, random_state=0)
RAMPART = cw.LOCORampart(AgglomerativeClustering(3), n_features_to_select=3, n_patches=60, random_state=0)
MODELS = {"mp": MP, "split": SPLIT, "rampart": RAMPART}
# More clusters than the data have are not found again in every minipatch, and the fit says so.
pytestmark = pytest.mark.filterwarnings("ignore:the clusters of the minipatches:UserWarning")


@pytest.fixture(scope="module")
def fitted():
    return {name: clone(model).fit(FRAME) for name, model in MODELS.items()}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


# ------------------------------------------------------------------------------------------ shap


@pytest.mark.parametrize("data", [None, FRAME], ids=["without data", "with data"])
@pytest.mark.parametrize("kind", ["mp", "split"])
@pytest.mark.parametrize("plot", ["bar", "beeswarm", "heatmap"])
def test_shap_draws_the_scores(plot, kind, data, fitted):
    model = fitted[kind]
    explanation = model.to_shap(data)
    assert isinstance(explanation, shap.Explanation)
    assert explanation.shape == (N, M)
    getattr(shap.plots, plot)(explanation, max_display=M, show=False)
    plt.gcf().canvas.draw()
    axes = [ax for ax in plt.gcf().axes if any(label.get_text() in NAMES for label in ax.get_yticklabels())]
    shown = [label.get_text() for label in axes[0].get_yticklabels()]
    assert set(NAMES) <= set(shown)


def test_shap_bars_of_means_are_the_scores(fitted):
    model = fitted["mp"]
    ax = shap.plots.bar(model.to_shap().mean(0), max_display=M, show=False)
    widths = sorted(bar.get_width() for bar in ax.patches)
    np.testing.assert_allclose(widths, np.sort(model.feature_importances_), rtol=1e-10)
    # And by cluster.
    cohorts = model.to_shap().cohorts(model.labels_.astype(str).tolist()).mean(0)
    found = {name: part.values for name, part in cohorts.cohorts.items()}
    for k, row in enumerate(model.cluster_importances_):
        np.testing.assert_allclose(found[str(k)], row, rtol=1e-10, atol=1e-15)


# ------------------------------------------------------------------------------------------ selection


def best_names(model):
    return [NAMES[j] for j in np.sort(np.argsort(model.ranking_)[:3])]


def test_select_from_model():
    selector = SelectFromModel(clone(MP), max_features=3, threshold=-np.inf).fit(FRAME)
    assert selector.get_feature_names_out().tolist() == NAMES[:3]
    np.testing.assert_array_equal(selector.transform(FRAME), X[:, :3])
    positive = SelectFromModel(clone(MP), threshold=1e-9, importance_getter=lambda m: m.feature_importances_.clip(0))
    assert positive.fit(FRAME).get_support().tolist() == (positive.estimator_.feature_importances_ > 1e-9).tolist()


@pytest.mark.parametrize("kind", MODELS)
def test_select_from_model_by_rank(kind, fitted):
    # The documented way: magnitudes, which scikit-learn compares, are not what counts where scores are below 0.
    by_rank = {"importance_getter": lambda model: 1 / model.ranking_, "threshold": -np.inf, "max_features": 3}
    selector = SelectFromModel(clone(MODELS[kind]), **by_rank).fit(FRAME)
    assert selector.get_feature_names_out().tolist() == best_names(fitted[kind])
    prefit = SelectFromModel(fitted[kind], prefit=True, **by_rank).fit(FRAME)
    assert prefit.get_feature_names_out().tolist() == best_names(fitted[kind])


@pytest.mark.parametrize("kind", MODELS)
def test_in_a_pipeline(kind, fitted):
    pipeline = make_pipeline(clone(MODELS[kind]), StandardScaler(), LogisticRegression()).fit(FRAME, GROUPS)
    assert pipeline[-1].n_features_in_ == 3
    assert pipeline[:-1].get_feature_names_out().tolist() == best_names(fitted[kind])
    scores = cross_val_score(pipeline, FRAME, GROUPS, cv=3)
    assert scores.min() > (0.6 if kind == "split" else 0.9)


def test_grid_search_over_the_clusterer():
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("loco", clone(MP).set_params(clusterer=KMeans(2, n_init=1))),
            ("classify", LogisticRegression()),
        ]
    )
    grid = {"loco__clusterer__n_clusters": [2, 3], "loco__n_features_to_select": [1, 3]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(FRAME, GROUPS)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_params_["loco__n_features_to_select"] == 3
    best = search.best_estimator_["loco"]
    assert best.clusterer.n_clusters == search.best_params_["loco__clusterer__n_clusters"]
    assert len(best.classes_) == best.clusterer.n_clusters
    assert search.best_score_ > 0.9
    # The objects that were handed in are as they were.
    assert pipeline["loco"].clusterer.n_clusters == 2
    assert not hasattr(pipeline["loco"], "feature_importances_")


@pytest.mark.parametrize(("kind", "library"), [("pandas", pd), ("polars", pl)])
@pytest.mark.parametrize("model", MODELS)
def test_frames_come_out(model, kind, library, fitted):
    frame = pd.DataFrame(X, columns=NAMES) if kind == "pandas" else pl.DataFrame(X, schema=NAMES)
    pipeline = make_pipeline(clone(MODELS[model]), StandardScaler()).set_output(transform=kind)
    out = pipeline.fit(frame).transform(frame)
    assert isinstance(out, library.DataFrame)
    assert list(out.columns) == best_names(fitted[model])
    selector = SelectFromModel(clone(MODELS[model]), max_features=3, threshold=-np.inf).set_output(transform=kind)
    out = selector.fit(frame).transform(frame)
    assert isinstance(out, library.DataFrame)
    assert list(out.columns) == selector.get_feature_names_out().tolist()


# ------------------------------------------------------------------------------------------ HTML


@pytest.mark.parametrize("kind", MODELS)
def test_html(kind, fitted):
    model = fitted[kind]
    before, after = clone(model)._repr_html_(), model._repr_html_()
    for html in (before, after):
        assert type(model).__name__ in html
        # The clusterer is a part of it, to be unfolded.
        assert "clusterer: AgglomerativeClustering" in html
        assert html.count("<div") == html.count("</div>")
    assert "Not fitted" in before
    assert "Not fitted" not in after
    html = make_pipeline(StandardScaler(), model)._repr_html_()
    assert "StandardScaler" in html
    assert type(model).__name__ in html
    # Arrays and generators among the parameters are no obstacle.
    odd = clone(model).set_params(reference=np.arange(N) % 3, random_state=np.random.default_rng(0))
    assert type(model).__name__ in odd._repr_html_()
    assert len(repr(odd)) < 2000
