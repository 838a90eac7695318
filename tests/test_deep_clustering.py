"""What the deep clusterer promises: it finds clusters and their features, and nothing depends on threads."""

import pickle
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline

import clusterwhy as cw
from clusterwhy import _core
from clusterwhy.comparators import NEON
from clusterwhy.datasets import make_local_features
from clusterwhy.deep._architecture import choose_architecture
from clusterwhy.deep._schedule import Plateau, along_cosine, enough_epochs, n_batches
from clusterwhy.metrics import matched_accuracy

QUICK = {"pretrain_epochs": 5, "gate_epochs": 15, "cluster_epochs": 15, "cluster_gate_epochs": 10, "random_state": 0}
FITTED = (
    "labels_",
    "sample_importances_",
    "cluster_importances_",
    "feature_importances_",
    "ranking_",
    "head_coding_rates_",
    "loss_curve_",
    "head_loss_curve_",
    "cluster_gate_loss_curve_",
)


def quick(n_clusters=3, **options):
    return cw.InterpretableDeepClustering(**({"n_clusters": n_clusters} | QUICK | options))


@pytest.fixture(scope="module")
def blobs():
    X, y = make_blobs(150, n_features=6, centers=3, cluster_std=0.5, random_state=0)
    return X, y


@pytest.fixture(scope="module")
def fitted(blobs):
    return quick().fit(blobs[0])


def assert_same_fit(a, b):
    for name in FITTED:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


# --- what it finds


@pytest.fixture(scope="module")
def local():
    # A third of the source's data set.
    X, y, _ = make_local_features(1800, random_state=0)
    return y, cw.InterpretableDeepClustering(4, random_state=0).fit(X)


def test_finds_the_clusters_of_the_synthetic_set(local):
    y, model = local
    assert matched_accuracy(y, model.labels_) >= 0.99


def test_opens_the_features_of_each_cluster(local):
    y, model = local
    truth = np.zeros((4, 13), dtype=bool)
    truth[:2, [0, 1]] = truth[2:, [0, 2]] = True
    gates = model.sample_importances_ > 0

    def f1(selected):
        hits = (selected & truth[y]).sum(axis=1)
        return np.mean(2 * hits / (selected.sum(axis=1) + 2))

    assert f1(gates) >= 0.79
    assert f1(gates & (model.cluster_importances_ > 0)[model.labels_]) >= 0.95
    assert set(np.argsort(model.ranking_)[:3]) == {0, 1, 2}


def test_a_larger_penalty_closes_gates(blobs):
    open_gates = [quick(gate_penalty=p, gate_epochs=60).fit(blobs[0]).feature_importances_.sum() for p in (0, 1, 20)]
    assert open_gates[0] > open_gates[1] > open_gates[2]


def test_labels_are_those_of_the_head_with_the_lowest_coding_rate(blobs, fitted):
    directions = fitted._networks_.directions.of(fitted.transform(blobs[0])).astype(np.float64)
    rate = _core.deep_clusters_rate(directions, np.eye(3)[fitted.labels_], fitted.cluster_precision)
    assert rate == pytest.approx(fitted.head_coding_rates_.min())
    assert len(fitted.head_coding_rates_) == fitted.n_init


# --- fitted attributes and new data


def test_shapes_and_ranges(fitted):
    assert fitted.labels_.shape == (150,)
    assert fitted.classes_.tolist() == [0, 1, 2]
    assert fitted.sample_importances_.shape == (150, 6)
    assert fitted.cluster_importances_.shape == (3, 6)
    for gates in (fitted.sample_importances_, fitted.cluster_importances_):
        assert gates.min() >= 0
        assert gates.max() <= 1
    np.testing.assert_allclose(fitted.feature_importances_, fitted.sample_importances_.mean(axis=0), rtol=1e-6)
    assert sorted(fitted.ranking_) == list(range(1, 7))
    assert len(fitted.loss_curve_) == fitted.n_iter_ == 20
    assert np.isfinite(fitted.loss_curve_).all()


def test_tables_intervals_and_what_is_not_defined(blobs, fitted):
    X, _ = blobs
    gates = fitted.sample_importances_.astype(np.float64)
    np.testing.assert_allclose(
        fitted.standard_errors_, gates.std(axis=0, ddof=1) / np.sqrt(150), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_array_equal(fitted.reference_labels_, fitted.labels_)
    frame = fitted.to_frame()
    assert list(frame.columns) == ["feature", "importance", "standard_error", "ci_low", "ci_high", "rank"]
    assert frame["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert fitted.to_frame(by_cluster=True)["cluster"].tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert fitted.confidence_interval().shape == (6, 2)
    assert fitted.to_shap(X).values.shape == (150, 6)
    adata = fitted.to_anndata(anndata.AnnData(X.astype(np.float32)))
    np.testing.assert_array_equal(adata.varm["loco"], fitted.cluster_importances_.T)
    with pytest.raises(ValueError, match="InterpretableDeepClustering has no p-values"):
        fitted.pvalues()
    with pytest.raises(ValueError, match="cluster_standard_errors_ is not defined for InterpretableDeepClustering"):
        fitted.confidence_interval(by_cluster=True)
    with pytest.raises(NotFittedError, match="InterpretableDeepClustering instance is not fitted yet"):
        clone(fitted).to_frame()


def test_new_rows_are_treated_as_those_that_were_fitted(blobs, fitted):
    X, _ = blobs
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    np.testing.assert_array_equal(fitted.explain(X), fitted.sample_importances_)
    chances = fitted.predict_proba(X[:20])
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    np.testing.assert_array_equal(chances.argmax(axis=1), fitted.labels_[:20])
    names = fitted.get_feature_names_out()
    assert fitted.transform(X).shape == (150, len(names))
    assert names[0] == "interpretabledeepclustering0"


def test_single_precision_and_frames(blobs, fitted):
    X, _ = blobs
    frame = pd.DataFrame(X, columns=list("abcdef"))
    named = quick().fit(frame)
    assert named.feature_names_in_.tolist() == list("abcdef")
    assert_same_fit(named, fitted)
    assert matched_accuracy(fitted.labels_, quick().fit(X.astype(np.float32)).labels_) > 0.95


def test_shift_and_scale_of_all_data_change_nothing_much(blobs, fitted):
    moved = quick().fit(1024 * blobs[0] + 4096)
    np.testing.assert_array_equal(moved.labels_, fitted.labels_)
    np.testing.assert_allclose(moved.sample_importances_, fitted.sample_importances_, atol=0.01)


def test_constant_columns_and_constant_data():
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[:, 1] = 7
    assert np.isfinite(quick(2).fit(X).transform(X)).all()
    with pytest.warns(UserWarning, match="all observations are the same: no feature varies"):
        assert np.isfinite(quick(2).fit(np.ones((40, 3))).feature_importances_).all()


# --- reproducibility


def test_threads_change_no_bit():
    # Wide enough for products to be shared out.
    X = np.random.default_rng(0).normal(size=(300, 200))
    options = {"pretrain_epochs": 1, "gate_epochs": 2, "cluster_epochs": 2, "cluster_gate_epochs": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert_same_fit(quick(n_jobs=1, **options).fit(X), quick(n_jobs=3, **options).fit(X))


@pytest.mark.parametrize("level", ["baseline", "avx2"])
def test_instruction_sets_change_no_bit(blobs, fitted, monkeypatch, level):
    monkeypatch.setenv("CLUSTERWHY_SIMD", level)
    assert_same_fit(quick().fit(blobs[0]), fitted)


def test_seeds_decide(blobs, fitted):
    X, _ = blobs
    assert_same_fit(quick().fit(X), fitted)
    assert (quick(random_state=1).fit(X).loss_curve_ != fitted.loss_curve_).any()


def test_pickle_and_clone(blobs, fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(blobs[0]), fitted.predict_proba(blobs[0]))
    with pytest.raises(NotFittedError):
        clone(fitted).predict(blobs[0])


# --- longer, shorter and interrupted training


def test_warm_start_goes_on(blobs):
    X, _ = blobs
    model = quick(warm_start=True).fit(X)
    first = model.loss_curve_
    model.fit(X)
    # No pretraining, and gates from the start at full penalty.
    assert model.loss_curve_[0] < first[QUICK["pretrain_epochs"]]
    assert model.n_iter_ == 20 - QUICK["pretrain_epochs"]
    steps = model._networks_.autoencoder_steps
    assert steps == 35
    with pytest.raises(ValueError, match="warm_start"):
        model.fit(X[:, :4])
    with pytest.raises(ValueError, match="warm_start"):
        clone(model).set_params(n_init=2).fit(X).set_params(n_init=3).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_warm_start_after_a_cold_fit(blobs):
    model = quick().fit(blobs[0])
    assert model._networks_.autoencoder_moments.size == 0
    model.set_params(warm_start=True).fit(blobs[0])
    assert model._networks_.autoencoder_steps == 20 - QUICK["pretrain_epochs"]
    # Without epochs for the gates the autoencoder stays as it is.
    before = model._networks_.autoencoder
    model.set_params(gate_epochs=0).fit(blobs[0])
    np.testing.assert_array_equal(model._networks_.autoencoder, before)
    assert model.n_iter_ == 0
    assert len(model.head_loss_curve_) == 15


def test_training_stops_on_a_plateau(blobs):
    model = quick(n_iter_no_change=3, tol=1e6).fit(blobs[0])
    assert len(model.head_loss_curve_) == 4
    # The autoencoder is watched once the penalty has risen: after pretraining and half of the gates' epochs.
    assert model.n_iter_ == 5 + 7 + 4


def test_ctrl_c_keeps_the_last_epoch(blobs, monkeypatch):
    X, _ = blobs
    epoch, calls = _core.deep_autoencoder_epoch, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return epoch(*args)

    monkeypatch.setattr(_core, "deep_autoencoder_epoch", interrupted)
    with pytest.warns(ConvergenceWarning, match="interrupted after 7 of 20 epochs"):
        model = quick(warm_start=True).fit(X)
    assert model.n_iter_ == 7
    assert model._networks_.autoencoder_steps == 7
    # Nothing after it is trained, until somebody goes on.
    assert len(model.head_loss_curve_) == len(model.cluster_gate_loss_curve_) == 0
    assert model.interrupted_
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    model.fit(X)
    assert model._networks_.autoencoder_steps == 7 + 20 - QUICK["pretrain_epochs"]
    assert len(model.head_loss_curve_) == 15
    assert not model.interrupted_
    # As one of many, it does not keep Ctrl-C to itself.
    for ensemble in (cw.LOCOMP(quick(), n_patches=20), cw.LOCOSplit(make_pipeline(quick()))):
        calls.clear()
        with pytest.raises(KeyboardInterrupt), pytest.warns(ConvergenceWarning, match="interrupted after 7"):
            ensemble.fit(X)


def test_ctrl_c_in_the_heads_leaves_the_gates_of_clusters_untrained(blobs, monkeypatch):
    epoch, calls = _core.deep_heads_epoch, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return epoch(*args)

    monkeypatch.setattr(_core, "deep_heads_epoch", interrupted)
    with pytest.warns(ConvergenceWarning, match="interrupted after 3 of 15 epochs of the clustering heads"):
        model = quick().fit(blobs[0])
    assert model.n_iter_ == 20
    assert len(model.head_loss_curve_) == 3
    assert len(model.cluster_gate_loss_curve_) == 0
    np.testing.assert_array_equal(model.cluster_importances_, 0.5)


@pytest.mark.parametrize("at", range(4), ids=["gates", "encoder", "heads", "labels"])
def test_ctrl_c_between_stages_keeps_what_was_trained(blobs, monkeypatch, at):
    name = ("deep_apply", "deep_calibrate", "deep_clusters_rate", "deep_apply")[at]
    call, calls, turn = getattr(_core, name), [], 7 if at == 3 else 1

    def interrupted(*args):
        calls.append(args)
        if len(calls) == turn:
            raise KeyboardInterrupt
        return call(*args)

    monkeypatch.setattr(_core, name, interrupted)
    with pytest.warns(ConvergenceWarning, match="interrupted between two of its stages"):
        model = quick(n_init=4).fit(blobs[0])
    assert model.interrupted_
    assert model.n_iter_ == 20
    assert len(model.head_loss_curve_) == (0 if at < 2 else 15)
    assert len(model.cluster_gate_loss_curve_) == 0
    monkeypatch.undo()
    np.testing.assert_array_equal(model.predict(blobs[0]), model.labels_)


def test_a_second_ctrl_c_ends_the_fit(blobs, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    for name in ("deep_calibrate", "deep_autoencoder_epoch"):
        monkeypatch.setattr(_core, name, interrupted)
    with pytest.raises(KeyboardInterrupt), pytest.warns(ConvergenceWarning, match="interrupted after 0 of 20"):
        quick().fit(blobs[0])


def test_networks_that_no_system_has_room_for_are_refused(blobs):
    with pytest.raises(
        MemoryError, match=r"networks of these sizes have .* parameters, .* more than the system gives"
    ):
        quick(n_components=2**31, hidden_layer_sizes=(2**31,)).fit(blobs[0])


def test_the_encoder_s_layers_turn_gated_data_into_the_embedding(blobs, fitted):
    values = fitted.gate(blobs[0])
    assert (values[fitted.sample_importances_ == 0] == 0).all()
    for weights, biases, activation in fitted.encoder_layers_:
        values = values @ weights + biases
        values = np.maximum(values, 0) if activation == "relu" else values
    np.testing.assert_allclose(values, fitted.transform(blobs[0]), atol=1e-4)
    neon = NEON(layers=fitted.encoder_layers_, reference=fitted.labels_, random_state=0).fit(fitted.gate(blobs[0]))
    assert neon.fidelity_ > 0.95
    # What a gate has closed has no relevance.
    assert (neon.sample_importances_[fitted.sample_importances_ == 0] == 0).all()
    with pytest.raises(NotFittedError):
        _ = quick().encoder_layers_


def test_a_failed_fit_leaves_the_earlier_one(blobs):
    model = quick().fit(blobs[0])
    labels = model.labels_
    model.set_params(learning_rate=-1)
    with pytest.raises(ValueError, match="learning_rate"):
        model.fit(blobs[0][:, :3])
    assert model.n_features_in_ == 6
    assert model.labels_ is labels


def test_progress_names_each_part(blobs, capsys):
    quick(verbose=1).fit(blobs[0])
    shown = capsys.readouterr().err
    assert all(name in shown for name in ("autoencoder", "clustering heads", "clusters' gates", "epoch"))


# --- schedules and sizes


def test_schedule():
    assert along_cosine(1.0, 0.5, 0) == 1
    assert along_cosine(1.0, 0.5, 1) == along_cosine(1.0, 0.5, 3) == 0.5
    assert [n_batches(n, 10) for n in (1, 14, 15, 103)] == [1, 1, 2, 10]
    assert enough_epochs(100, 5, 40, 10) == 25
    assert enough_epochs(100, 5, 4000, 10) == 5
    plateau = Plateau(0.1, 2)
    assert [plateau.reached(loss) for loss in (10.0, 9.5, 8.0, 7.9, 7.8)] == [False, False, False, False, True]


def test_sizes_adapt_to_the_data():
    unset = dict.fromkeys(
        ["hidden_layer_sizes", "n_components", "gating_layer_size", "head_layer_size", "classifier_layer_size"]
    )
    small = choose_architecture(13, 4, lifted=True, **unset)
    assert (small.encoder, small.gating, small.head) == ((13, 32, 8), (13, 32, 13), (9, 64, 4))
    large = choose_architecture(5000, 12, lifted=False, **unset)
    assert (large.encoder, large.gating) == ((5000, 256, 128, 12), (5000, 128, 5000))
    assert (large.head, large.decoder) == ((12, 96, 12), large.encoder[::-1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be at least 1"),
        ({"n_clusters": 2.5}, TypeError, "n_clusters"),
        ({"n_clusters": 151}, ValueError, "more than there are observations"),
        ({"hidden_layer_sizes": 32}, TypeError, "hidden_layer_sizes must be None or a sequence"),
        ({"hidden_layer_sizes": (32, 0)}, ValueError, r"hidden_layer_sizes\[1\]"),
        ({"n_components": 0}, ValueError, "n_components"),
        ({"reconstruction": "huber"}, ValueError, "'squared', 'absolute'"),
        ({"gate_penalty": -1}, ValueError, "gate_penalty"),
        ({"gate_precision": 0}, ValueError, "gate_precision must be above 0"),
        ({"mask_fraction": 1.0}, ValueError, "mask_fraction must be below 1"),
        ({"temperature": 0}, ValueError, "temperature"),
        ({"embedding_offset": "big"}, TypeError, "embedding_offset"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"cluster_gate_solver": "lbfgs"}, ValueError, "'adam', 'sgd'"),
        ({"n_init": 0}, ValueError, "n_init"),
        ({"gate_epochs": -1}, ValueError, "gate_epochs"),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change"),
        ({"random_state": "x"}, ValueError, "random_state"),
        ({"learning_rate": 1e30}, ValueError, "diverged"),
    ],
    ids=str,
)
def test_bad_parameters_are_named(blobs, options, error, message):
    with pytest.raises(error, match=message):
        quick(**options).fit(blobs[0])


@pytest.mark.parametrize(
    "options",
    [
        {"reconstruction": "absolute"},
        {"cluster_gate_solver": "sgd"},
        {"embedding_offset": None},
        {"gate_diversity": 0.0, "latent_noise": 0.0, "mask_fraction": 0.0},
        {"hidden_layer_sizes": (), "n_components": 3, "head_layer_size": 8, "batch_size": 40},
        {"hidden_layer_sizes": [16, 8], "temperature": 100.0, "n_init": 1},
    ],
    ids=str,
)
def test_options_fit(blobs, options):
    X, y = blobs
    model = quick(**({"cluster_epochs": 60, "gate_epochs": 60} | options)).fit(X)
    assert matched_accuracy(y, model.labels_) > 0.6
