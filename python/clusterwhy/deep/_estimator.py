"""Interpretable deep clustering as a scikit-learn clusterer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from clusterwhy._importances import ExplanationMixin
from clusterwhy._inference import rank_features
from clusterwhy._progress import Progress, ReportsProgress
from clusterwhy._validation import (
    check_count,
    check_data,
    check_nonnegative,
    check_option,
    check_positive,
    n_threads,
    seed_from_random_state,
    warn_nothing_to_explain,
)
from clusterwhy._warnings import warn_user

from ._architecture import choose_architecture
from ._schedule import enough_epochs
from ._training import (
    Networks,
    Settings,
    Stage,
    choose_head,
    continued,
    encode,
    initial_networks,
    train_autoencoder,
    train_cluster_gates,
    train_heads,
)

T = TypeVar("T")

# Steps of training that a stage takes unless its epochs are given, and the fewest epochs.
_PRETRAIN_STEPS, _GATE_STEPS, _CLUSTER_STEPS, _CLUSTER_GATE_STEPS = (300, 10), (1000, 30), (300, 20), (1500, 30)
_BATCH = 256
# First rates of the clusters' gates.
_GATE_RATES = {"adam": 0.01, "sgd": 0.1}
# Heads see this many times more observations a step: a cluster's coding rate needs many of each cluster.
_HEAD_BATCHES = 4
# Unless given, patience is this share of a stage's epochs, and at least so many.
_PATIENCE, _LEAST_PATIENCE = 0.2, 10


class InterpretableDeepClustering(
    ReportsProgress, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, ExplanationMixin
):
    """Clustering by a neural network that says which features it used, for each observation and each cluster.

    A gating network opens, for every observation, the features that an autoencoder needs to rebuild it; a clustering
    head assigns the embeddings to clusters that are cheap to code; and a matrix of gates learns which features tell
    each cluster from the others [1]_. Labels are never used: among several heads the one with the lowest coding rate
    is kept.

    Data are centred and divided by one number, the root mean square of all their values. What one feature weighs
    beside another is left as it is, as in k-means: scale the features first where their units differ.

    Parameters
    ----------
    n_clusters : int, default=8
        Number K of clusters.
    hidden_layer_sizes : sequence of int, default=None
        Units of the encoder's hidden layers; the decoder mirrors them. None: one layer of the power of two that
        holds twice the M features, from 32 to 256, and above 128 a second one of half the size.
    n_components : int, default=None
        Dimensions of the embedding. None is the larger of 8 and K.
    gating_layer_size : int, default=None
        Units of the gating network's hidden layer. None is the encoder's first size by default, at most 128.
    head_layer_size : int, default=None
        Units of the clustering head's hidden layer. None is the larger of 64 and 8 K.
    classifier_layer_size : int, default=None
        Units of the auxiliary classifier's hidden layer. None is as for the gating network.
    reconstruction : {"squared", "absolute"}, default="squared"
        Error of a reconstruction: mean of squares, or of absolute differences.
    gate_penalty : float, default=1.0
        Weight of the mean chance of a gate to be open (lambda of the source). A feature of mean variance is given up
        when that raises the squared error of reconstruction by less than this share of its variance. 0 leaves gates
        open.
    gate_diversity : float, default=0.01
        Weight of the gates' coding rate per observation, which makes explanations differ. 0 turns it off.
    gate_precision : float, default=1.0
        Precision of that coding rate (epsilon).
    mask_fraction : float, default=0.3
        Share of the values that are set to the mean in the reconstruction from masked data, from 0 to below 1.
    latent_noise : float, default=0.2
        Standard deviation of the noise, around one, that multiplies the embedding.
    embedding_offset : float or None, default=1.0
        The heads look at directions of the embedding: centred, divided by its root mean square length, and lifted off
        the origin by this constant coordinate, so that opposite sides have different directions. None takes the
        embedding's own directions, as the source does.
    cluster_precision : float, default=0.1
        Precision of the clusters' coding rate (epsilon).
    temperature : float, default=1.0
        Of the Gumbel-softmax (tau); small makes memberships hard while the heads are trained.
    cluster_gate_penalty : float, default=0.1
        Weight of the mean chance of a cluster's gate to be open.
    pretrain_epochs, gate_epochs, cluster_epochs, cluster_gate_epochs : int, default=None
        Epochs of the autoencoder alone, of the autoencoder with its gates, of the heads and of the clusters' gates.
        None: enough for 300, 1000, 300 and 1500 steps, and at least 10, 30, 20 and 30.
    batch_size : int, default=None
        Observations in a step; the heads take four times as many. None is 256. Batches are evened out, so that none
        is left over.
    learning_rate : float, default=1e-3
        First step size of Adam for the autoencoder and its gates; it falls along a cosine.
    cluster_learning_rate : float, default=1e-2
        First step size of Adam for the heads; it falls along a cosine.
    cluster_gate_solver : {"adam", "sgd"}, default="adam"
        Optimizer of the clusters' gates and their classifier: Adam, or plain gradient descent, as the source has it,
        whose steps shrink with the number of gates.
    cluster_gate_learning_rate : float, default=None
        First step size for the clusters' gates; it falls along a cosine. None is 0.01 for "adam", 0.1 for "sgd".
    n_init : int, default=4
        Heads that are trained, from different first weights, on the one embedding.
    tol : float, default=1e-4
        A loss has fallen when it is below the lowest so far by more than this share of it.
    n_iter_no_change : int, default=None
        A part's training ends after so many epochs whose loss has not fallen, once penalties have risen to their
        full weight. None is a fifth of its epochs, at least 10.
    warm_start : bool, default=False
        Go on from the networks of the last fit, with gates at once at full penalty (for `gate_epochs`), in place of
        new ones. The sizes of the networks and of the data's rows must be the same.
    n_jobs : int, default=None
        Threads of the core, by joblib's rules. Results are the same bits for any number.
    random_state : int, RandomState, Generator or None, default=None
        Seed of first weights, batches and noise.
    verbose : int, default=0
        Whether to show progress, an epoch at a time.

    Attributes
    ----------
    labels_, reference_labels_ : ndarray of shape (N,) of int64
        Cluster of each observation, ``0..K-1``: the labels that are explained, twice.
    classes_ : ndarray of shape (K,) of int64
        The clusters.
    sample_importances_ : ndarray of shape (N, M) of float32
        Local gates, from 0 (closed: the feature was not used) to 1.
    cluster_importances_ : ndarray of shape (K, M) of float64
        Global gates, from 0 to 1. They act on what the local gates let through.
    feature_importances_ : ndarray of shape (M,) of float64
        Mean of the local gates.
    standard_errors_ : ndarray of shape (M,) of float64
        ``sd / sqrt(N)`` of the local gates (divisor N - 1 in the standard deviation), given the networks.
    ranking_ : ndarray of shape (M,) of int64
        1 is the most important feature; ties by position.
    head_coding_rates_ : ndarray of shape (n_init,) of float64
        Coding rate per dimension of each head's clusters; ``labels_`` are those of the lowest.
    loss_curve_, head_loss_curve_, cluster_gate_loss_curve_ : ndarray of float64
        Loss in each epoch of the autoencoder (it falls, and rises with the penalty), of the head that was kept, and
        of the clusters' gates.
    n_iter_ : int
        Epochs of the autoencoder.
    interrupted_ : bool
        Whether Ctrl-C cut the training short.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Warns
    -----
    ConvergenceWarning
        When clusters are empty, or training was interrupted. Ctrl-C ends the training and keeps its last whole epoch
        (a second one before that is of use ends the fit);
        what comes after is not trained, so that heads, say, may be as they were drawn. With ``warm_start=True``
        another ``fit`` goes on.

    See Also
    --------
    clusterwhy.LOCOMP : Which features drive any clustering.
    sklearn.cluster.KMeans : Clusters of compact shape.

    Notes
    -----
    An epoch of the autoencoder costs some 20 N operations for each of its weights. Networks work in single precision.
    Where the source and its published code differ, `docs/deep-clustering.md` says what was chosen and why.

    References
    ----------
    .. [1] J. Svirsky and O. Lindenbaum, "Interpretable deep clustering for tabular data", ICML 2024.

    Examples
    --------
    >>> from clusterwhy import InterpretableDeepClustering
    >>> from clusterwhy.metrics import matched_accuracy
    >>> from sklearn.datasets import make_blobs
    >>> X, y = make_blobs(120, n_features=5, centers=3, cluster_std=0.5, random_state=0)
    >>> model = InterpretableDeepClustering(3, gate_epochs=100, random_state=0).fit(X)
    >>> matched_accuracy(y, model.labels_)
    1.0
    >>> model.sample_importances_.shape, model.cluster_importances_.shape
    ((120, 5), (3, 5))
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        hidden_layer_sizes: Any = None,
        n_components: int | None = None,
        gating_layer_size: int | None = None,
        head_layer_size: int | None = None,
        classifier_layer_size: int | None = None,
        reconstruction: str = "squared",
        gate_penalty: float = 1.0,
        gate_diversity: float = 0.01,
        gate_precision: float = 1.0,
        mask_fraction: float = 0.3,
        latent_noise: float = 0.2,
        embedding_offset: float | None = 1.0,
        cluster_precision: float = 0.1,
        temperature: float = 1.0,
        cluster_gate_penalty: float = 0.1,
        pretrain_epochs: int | None = None,
        gate_epochs: int | None = None,
        cluster_epochs: int | None = None,
        cluster_gate_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        cluster_learning_rate: float = 1e-2,
        cluster_gate_solver: str = "adam",
        cluster_gate_learning_rate: float | None = None,
        n_init: int = 4,
        tol: float = 1e-4,
        n_iter_no_change: int | None = None,
        warm_start: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_components = n_components
        self.gating_layer_size = gating_layer_size
        self.head_layer_size = head_layer_size
        self.classifier_layer_size = classifier_layer_size
        self.reconstruction = reconstruction
        self.gate_penalty = gate_penalty
        self.gate_diversity = gate_diversity
        self.gate_precision = gate_precision
        self.mask_fraction = mask_fraction
        self.latent_noise = latent_noise
        self.embedding_offset = embedding_offset
        self.cluster_precision = cluster_precision
        self.temperature = temperature
        self.cluster_gate_penalty = cluster_gate_penalty
        self.pretrain_epochs = pretrain_epochs
        self.gate_epochs = gate_epochs
        self.cluster_epochs = cluster_epochs
        self.cluster_gate_epochs = cluster_gate_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.cluster_learning_rate = cluster_learning_rate
        self.cluster_gate_solver = cluster_gate_solver
        self.cluster_gate_learning_rate = cluster_gate_learning_rate
        self.n_init = n_init
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    # ------------------------------------------------------------------ fitting

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the networks on `X` and cluster its rows.

        Parameters
        ----------
        X : array-like of shape (N, M)
            Finite numbers; at least as many rows as clusters. Copied to float32.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        self
            The fitted estimator. A fit that fails leaves an earlier fit as it was.

        Raises
        ------
        TypeError, ValueError
            For parameters or data that cannot be used, and when training diverges.
        """
        earlier = vars(self).get("_networks_") if self.warm_start else None
        with self._progress(X, 3) as progress:
            fitted = self._blank_copy()
            fitted._train(X, earlier, progress)
            self._adopt(fitted)
        return self

    def _train(self, X: Any, earlier: Networks | None, progress: Progress) -> None:
        X = check_data(self, X, allow_nan=False, minimum=2, accept_sparse=False)
        settings = self._check_settings(*X.shape)
        networks = initial_networks(settings, X) if earlier is None else continued(earlier, settings)
        data = networks.standardise(X)

        losses, self.interrupted_ = train_autoencoder(networks, data, settings, progress)
        self.loss_curve_ = np.asarray(losses)
        self.n_iter_ = len(losses)
        gates, gated, embedding = self._kept(lambda: encode(networks, data, settings))
        if self.interrupted_:
            settings = settings.without_second_stage()
        directions = networks.directions.of(embedding)
        head_losses, interrupted = train_heads(networks, directions, settings, progress)
        self.interrupted_ = self.interrupted_ or interrupted
        self.head_coding_rates_ = self._kept(lambda: choose_head(networks, directions, settings))
        self.head_loss_curve_ = head_losses[:, networks.best_head]
        self.labels_ = self.reference_labels_ = self._kept(
            lambda: networks.logits(embedding, settings.threads).argmax(axis=1)
        )
        if self.interrupted_:
            settings = settings.without_second_stage()
        losses, interrupted = train_cluster_gates(networks, gated, self.labels_, settings, progress)
        self.interrupted_ = self.interrupted_ or interrupted
        self.cluster_gate_loss_curve_ = np.asarray(losses)

        self.classes_ = np.arange(settings.architecture.n_clusters)
        self.sample_importances_ = gates
        self.cluster_importances_ = networks.gates_of_clusters()
        self.feature_importances_ = gates.mean(axis=0, dtype=np.float64)
        self.standard_errors_ = gates.std(axis=0, ddof=1, dtype=np.float64) / np.sqrt(len(gates))
        self.ranking_ = rank_features(self.feature_importances_)
        self._networks_ = networks if self.warm_start else networks.without_moments()
        empty = np.setdiff1d(self.classes_, self.labels_)
        if not warn_nothing_to_explain(X, self.classes_) and len(empty):
            warn_user(
                f"{len(empty)} of {len(self.classes_)} clusters are empty ({', '.join(map(str, empty))}): ask for "
                "fewer clusters, or train for longer (cluster_epochs, n_init)",
                ConvergenceWarning,
            )

    def _kept(self, work: Callable[[], T]) -> T:
        """Do what makes trained networks of use: Ctrl-C ends the training there, and not what it has come to."""
        try:
            return work()
        except KeyboardInterrupt:
            if self.interrupted_:
                raise
            self.interrupted_ = True
            warn_user(
                "training was interrupted between two of its stages; what was learned is kept, and what comes "
                "after is not trained (warm_start=True goes on from here)",
                ConvergenceWarning,
            )
            return work()

    def _check_settings(self, n_samples: int, n_features: int) -> Settings:
        n_clusters = check_count(self.n_clusters, "n_clusters")
        if n_clusters > n_samples:
            raise ValueError(f"n_clusters={n_clusters} is more than there are observations, n_samples={n_samples}")
        architecture = choose_architecture(
            n_features,
            n_clusters,
            hidden_layer_sizes=self.hidden_layer_sizes,
            n_components=self.n_components,
            lifted=self.embedding_offset is not None,
            gating_layer_size=self.gating_layer_size,
            head_layer_size=self.head_layer_size,
            classifier_layer_size=self.classifier_layer_size,
        )
        mask = check_nonnegative(self.mask_fraction, "mask_fraction")
        if mask >= 1:
            raise ValueError(f"mask_fraction must be below 1, or nothing is left to rebuild from; got {mask}")
        offset = self.embedding_offset
        if offset is not None:
            offset = check_nonnegative(offset, "embedding_offset")
        batch = min(n_samples, _BATCH if self.batch_size is None else check_count(self.batch_size, "batch_size", 2))
        head_batch = min(n_samples, _HEAD_BATCHES * batch)

        def epochs(name: str, steps: tuple[int, int], size: int) -> int:
            asked = getattr(self, name)
            return enough_epochs(*steps, n_samples, size) if asked is None else check_count(asked, name, minimum=0)

        def stage(n_epochs: int, size: int, name: str, default: float | None = None) -> Stage:
            asked = getattr(self, name)
            rate = default if asked is None and default is not None else check_positive(asked, name)
            patience = max(_LEAST_PATIENCE, int(_PATIENCE * n_epochs))
            if self.n_iter_no_change is not None:
                patience = check_count(self.n_iter_no_change, "n_iter_no_change")
            return Stage(n_epochs, size, rate, patience)

        solver = check_option(self.cluster_gate_solver, "cluster_gate_solver", tuple(_GATE_RATES))
        pretrain = epochs("pretrain_epochs", _PRETRAIN_STEPS, batch)
        gated = epochs("gate_epochs", _GATE_STEPS, batch)
        heads = epochs("cluster_epochs", _CLUSTER_STEPS, head_batch)
        cluster_gates = epochs("cluster_gate_epochs", _CLUSTER_GATE_STEPS, batch)
        return Settings(
            architecture=architecture,
            absolute=check_option(self.reconstruction, "reconstruction", ("squared", "absolute")) == "absolute",
            gate_penalty=check_nonnegative(self.gate_penalty, "gate_penalty"),
            gate_diversity=check_nonnegative(self.gate_diversity, "gate_diversity"),
            gate_precision=check_positive(self.gate_precision, "gate_precision"),
            mask_fraction=mask,
            latent_noise=check_nonnegative(self.latent_noise, "latent_noise"),
            embedding_offset=offset,
            cluster_precision=check_positive(self.cluster_precision, "cluster_precision"),
            temperature=check_positive(self.temperature, "temperature"),
            cluster_gate_penalty=check_nonnegative(self.cluster_gate_penalty, "cluster_gate_penalty"),
            adam=solver == "adam",
            n_pretrain=pretrain,
            autoencoder=stage(pretrain + gated, batch, "learning_rate"),
            heads=stage(heads, head_batch, "cluster_learning_rate"),
            cluster_gates=stage(cluster_gates, batch, "cluster_gate_learning_rate", _GATE_RATES[solver]),
            n_init=check_count(self.n_init, "n_init"),
            tol=check_nonnegative(self.tol, "tol"),
            seed=seed_from_random_state(self.random_state),
            threads=n_threads(self.n_jobs),
        )

    # ------------------------------------------------------------------ new data

    def _gate(self, X: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return checked data, standardised as those that were fitted, and their gates."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        data = self._networks_.standardise(X)
        return data, self._networks_.gates(data, n_threads(self.n_jobs))

    def _embed(self, X: Any) -> NDArray[np.float32]:
        gated = self.gate(X)
        return self._networks_.embed(gated, n_threads(self.n_jobs))

    def _logits(self, X: Any) -> NDArray[np.float32]:
        embedding = self._embed(X)
        return self._networks_.logits(embedding, n_threads(self.n_jobs))

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the cluster of each row of `X`.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n,) of int64
        """
        labels: NDArray[np.int64] = self._logits(X).argmax(axis=1)
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the head's probability of each cluster for each row of `X`.

        They say how sharply the head decides, not how often it is right.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n, K) of float64
            Rows sum to 1.
        """
        probabilities: NDArray[np.float64] = softmax(self._logits(X).astype(np.float64), axis=1)
        return probabilities

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the embedding of each row of `X`.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n, n_components) of float32
            What the autoencoder makes of the gated row.
        """
        return self._embed(X)

    def explain(self, X: Any) -> NDArray[np.float32]:
        """Return the local gates of each row of `X`: ``sample_importances_`` of new data.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n, M) of float32
            From 0, closed, to 1.
        """
        return self._gate(X)[1]

    def gate(self, X: Any) -> NDArray[np.float32]:
        """Return what the encoder is given for each row of `X`: standardised features times local gates.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n, M) of float32
            Centred, divided by the one scale of the data; 0 where a gate is closed.
        """
        data, gates = self._gate(X)
        return data * gates

    @property
    def encoder_layers_(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64], str]]:
        """Layers ``(weights, biases, activation)`` of the encoder, batch norm folded in.

        They turn what :meth:`gate` returns into what :meth:`transform` returns, and
        :class:`~clusterwhy.comparators.NEON` explains with them what is found in the embedding:
        ``NEON(layers=model.encoder_layers_, reference=model.labels_).fit(model.gate(X))``.
        """
        check_is_fitted(self)
        return self._networks_.encoder_layers()

    @property
    def _n_features_out(self) -> int:
        return self._networks_.architecture.encoder[-1]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
