"""NEON as an estimator: neuralise the clustering, pass its evidence back to the features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from clusterwhy._tables import read_table
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._validation import (
    check_count,
    check_nonnegative,
    check_option,
    check_proportion,
    encode_reference,
    seed_from_random_state,
)
from clusterwhy._warnings import warn_user
from clusterwhy.comparators._base import ComparatorMixin
from clusterwhy.comparators._centers import feature_scaling, numbered_centers, scaled
from clusterwhy.comparators.neon._kernel_kmeans import KernelKMeansNetwork
from clusterwhy.comparators.neon._kmeans import KMeansNetwork
from clusterwhy.comparators.neon._layers import SOFTMAX, backward, forward
from clusterwhy.comparators.neon._pooling import UNDECIDED, leads, log_mean_exp, min_take_most, undecided
from clusterwhy.comparators.neon._reading import read_layers
from clusterwhy.comparators.neon._soft import SoftAssignmentNetwork
from clusterwhy.comparators.neon._surrogate import fit_surrogate

Floats = NDArray[np.float64]
Network = KMeansNetwork | KernelKMeansNetwork | SoftAssignmentNetwork

MODELS = ("auto", "kmeans", "kernel_kmeans", "soft")
# Observations that are explained at a time: bounds the memory, and keeps it in the processor's cache.
ROWS = 2048
LESS_POOR = "standardize the features, or try more support vectors (n_support)"
# A network that reproduces fewer of the labels than this explains another clustering.
LOW_FIDELITY = 0.9


class NEON(ComparatorMixin):
    """Relevance of features by neuralisation and propagation.

    The clustering is rewritten as a neural network whose output ``f``, positive inside a cluster, is the evidence for
    an observation's cluster against its nearest competitors; ``f`` is then passed back, layer by layer, to the
    features. Exact for k-means; other clusterings are first fitted by a small kernel k-means model.

    It explains a clustering of all the data, with what that clustering found in noise. The scores have the
    squared unit of the features: standardise these, before or in the clusterer's pipeline.

    Parameters
    ----------
    clusterer : estimator, default=None
        Clusters all the data (their last activations, with `layers`) once; never changed. None is Ward clustering
        into 2. Not used when labels are given as `reference`. Of a pipeline that only scales features before
        it clusters, the network takes over the scaling.
    model : {"auto", "kmeans", "kernel_kmeans", "soft"}, default="auto"
        The network.

        - "kmeans": nearest centre, of the fitted clusterer's ``cluster_centers_``, or of the means of the labels.
        - "kernel_kmeans": nearest in the soft minimum over `n_support` support vectors a cluster, fitted to the
          labels.
        - "soft": the largest of the logits that `layers` end in; needs neither clusterer nor labels.
        - "auto": "soft" for `layers` alone, "kmeans" for a clusterer with ``cluster_centers_``, else "kernel_kmeans".
    gamma : float, default=None
        Of the Gaussian kernel, per squared unit of the data. None is ``1 / (2 variance)`` of the observations
        around the support vectors, per feature.
    n_support : int, default=10
        Support vectors of a cluster, but at most one for two of its observations.
    beta : float, default=None
        Stiffness: how much the nearest competitors of a cluster matter more than others, from 0, alike. None is the
        source's heuristic, ``1 / mean(f)``.
    threshold : float, default=None
        For soft assignments: None explains why a cluster is more probable than each other; a number strictly
        between 0 and 1, why its probability exceeds that.
    layers : MLPClassifier, MLPRegressor, torch.nn.Sequential or list of Layer or tuple, default=None
        A fitted perceptron through which relevance passes to its inputs, see :func:`read_layers`. What is
        clustered is its output; of a classifier, where something else than its own classes is explained,
        its last hidden layer. ``clone`` unfits an estimator: there, pass ``read_layers(network)``.
    lrp_gamma : float, default=0.1
        In `layers`, how much more what speaks for a neuron's value counts than what speaks against it.
    lrp_epsilon : float, default=1e-6
        In `layers`, what is added to the size of a neuron's value: relevance that contradictory inputs would blow up
        is absorbed. ``lrp_gamma=0`` leaves the epsilon rule.
    reference : {"full"} or array-like of shape (N,), default="full"
        The labels to explain: those of `clusterer`, or these (integers with -1 for noise, or strings).
    n_features_to_select : int or float, default=None
        How many features ``transform`` keeps; None is half.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the clusterer where it has no seed of its own, and the choice of support vectors.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (M,)
        Mean relevance over the observations.
    cluster_importances_ : ndarray of shape (K, M)
        Mean over each cluster's observations; rows in the order of ``classes_``.
    sample_importances_ : ndarray of shape (N, M)
        Relevance for the cluster that each observation is labelled with; NaN for noise. For k-means and
        ``layers=None`` it sums to ``evidence_``.
    standard_errors_, cluster_standard_errors_ : ndarray of shape (M,), (K, M)
        Of these means, given the network.
    evidence_ : ndarray of shape (N,)
        ``f``: positive where the network agrees with the label (with `threshold`, where its probability exceeds
        that); NaN for noise.
    fidelity_ : float
        Share of the clustered observations that the network puts into the cluster of their label.
    network_ : KMeansNetwork, KernelKMeansNetwork or SoftAssignmentNetwork
        Its arrays: ``centres``; ``vectors``, ``log_weights``, ``starts``, ``gamma``; ``directions``, ``biases``.
    network_labels_ : ndarray of shape (K',)
        Label of each of the network's clusters, sorted: ``classes_`` and those that no observation has.
    layers_ : list of Layer
        Layers below it.
    scaling_ : Pipeline or None
        The clusterer's scaling of features, between the two.
    beta_ : float
        The stiffness used; absent with `threshold`.
    clusterer_ : estimator
        The fitted clusterer, where there is one.
    labels_, reference_labels_ : ndarray of shape (N,)
        The labels that are explained, twice.
    classes_ : ndarray of shape (K,)
        Their values, sorted, without noise; of soft assignments, the logits' positions.
    ranking_ : ndarray of shape (M,)
        1 is the most important.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Warns
    -----
    UserWarning
        When ``fidelity_`` is below .9.

    Notes
    -----
    With ``h_k = d_k - d_c``, the lead of cluster c over cluster k, and ``f = min_k h_k`` [1]_ (eq. 2 to 4):

    ``R_i = sum_k p_k (f / h_k) T_ki``, ``p = softmin(beta h)``, ``T_ki`` what feature i adds to ``h_k``.

    ``d`` are squared distances for k-means (proposition 1), soft minima of them for kernel k-means (proposition 5,
    with eq. 10, by which a sum over pairs of support vectors becomes one over support vectors; its relevances
    do not sum to ``f`` where several of them are near), minus the logits for soft assignments (proposition 6).
    With `threshold`, f is a log ratio of odds (proposition 7). Where f < 0, that is for a cluster that the
    observation is not in, ``f / h_k`` has no bound, and where an ``h_k`` is 0 the relevances are not defined.

    The labels' network costs O(N M P) for P support vectors or centres, and O(N P) an iteration of its
    fine-tuning; explaining, O(N M P). Nothing depends on the number of threads.

    References
    ----------
    .. [1] J. Kauffmann, M. Esders, L. Ruff, G. Montavon, W. Samek, K.-R. Müller, "From clustering to cluster
       explanations via neural networks", IEEE TNNLS 35 (2024), 1926-1940.
    .. [2] L. Andéol, Y. Kawakami, Y. Wada, T. Kanamori, K.-R. Müller, G. Montavon, "Learning domain invariant
       representations by joint Wasserstein distance minimization", Neural Networks 167 (2023): the generalised
       gamma rule.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.cluster import KMeans
    >>> from clusterwhy.comparators import NEON
    >>> X = np.array([[0.0, 1.0], [0.0, 2.0], [4.0, 1.0], [4.0, 2.0]])
    >>> model = NEON(KMeans(2, random_state=0)).fit(X)
    >>> model.feature_importances_
    array([16.,  0.])
    >>> model.explain([[1.0, 5.0]])
    array([[8., 0.]])
    """

    def __init__(
        self,
        clusterer: Any = None,
        *,
        model: str = "auto",
        gamma: float | None = None,
        n_support: int = 10,
        beta: float | None = None,
        threshold: float | None = None,
        layers: Any = None,
        lrp_gamma: float = 0.1,
        lrp_epsilon: float = 1e-6,
        reference: Any = "full",
        n_features_to_select: float | None = None,
        random_state: Any = None,
    ) -> None:
        self.clusterer = clusterer
        self.model = model
        self.gamma = gamma
        self.n_support = n_support
        self.beta = beta
        self.threshold = threshold
        self.layers = layers
        self.lrp_gamma = lrp_gamma
        self.lrp_epsilon = lrp_epsilon
        self.reference = reference
        self.n_features_to_select = n_features_to_select
        self.random_state = random_state

    # ------------------------------------------------------------------ fitting

    def _fit(self, X: Any) -> None:
        model = self._check_params()
        X = self._check_data(X)
        self.layers_ = [] if self.layers is None else read_layers(self.layers)
        if self.layers_ and self.layers_[0].weights.shape[0] != X.shape[1]:
            raise ValueError(
                f"layers take {self.layers_[0].weights.shape[0]} features, but X has {X.shape[1]}: pass what the "
                "network was trained on"
            )
        with single_threaded_libraries():
            codes = self._label_soft(X) if model == "soft" else self._label_and_neuralise(X, model)
            if len(self.network_labels_) < 2:
                raise ValueError(
                    "NEON explains a cluster against the others, and got 1 cluster; ask the clusterer for 2 or more"
                )
            clustered = codes >= 0
            own = np.searchsorted(self.network_labels_, self.classes_)[codes[clustered]]
            explained = X[clustered]
            distances = self._distances(explained)
            self.fidelity_ = float(np.mean(distances.argmin(axis=1) == own))
            if self.threshold is None:
                self.beta_ = self._stiffness(distances, own)
                if (wrong := undecided(distances, own)).any():
                    raise ValueError(
                        f"observation {np.flatnonzero(clustered)[wrong.argmax()]} lies {UNDECIDED}; leave it out, or "
                        "label it -1"
                        + (", or use model='kernel_kmeans'" if isinstance(self.network_, KMeansNetwork) else "")
                    )
            samples = np.full(X.shape, np.nan)
            evidence = np.full(len(X), np.nan)
            evidence[clustered], samples[clustered] = self._explain(explained, distances, own)
        self.evidence_ = evidence
        if self.fidelity_ < LOW_FIDELITY:
            warn_user(
                f"the network puts only {self.fidelity_:.0%} of the observations into the cluster that they are "
                "labelled with, so that it explains another clustering: "
                + ("try model='kernel_kmeans'" if isinstance(self.network_, KMeansNetwork) else LESS_POOR)
            )
        self._score_samples(samples, codes, threads=1)

    def _check_params(self) -> str:
        """Check parameters that do not depend on the data, and return the model that "auto" stands for so far."""
        model: str = check_option(self.model, "model", MODELS)
        check_count(self.n_support, "n_support")
        for name in ("beta", "gamma"):
            if getattr(self, name) is not None:
                check_nonnegative(getattr(self, name), name)
        if self.gamma == 0:
            raise ValueError("gamma must be above 0, got 0; None chooses it from the data")
        check_nonnegative(self.lrp_gamma, "lrp_gamma")
        check_nonnegative(self.lrp_epsilon, "lrp_epsilon")
        self._check_reference()
        given = self.clusterer is not None or not isinstance(self.reference, str)
        if model == "auto" and self.layers is not None and not given:
            model = "soft"
        if model == "soft" and (self.layers is None or given):
            raise ValueError(
                "model='soft' explains the assignments of the layers themselves: it needs layers, and takes neither "
                "a clusterer nor labels as reference"
            )
        if self.threshold is not None:
            check_proportion(self.threshold, "threshold")
            if self.beta is not None:
                raise ValueError("beta is of a minimum over clusters, and threshold has none: leave one of them None")
            if model != "soft":
                raise ValueError(
                    "threshold is for soft assignments, whose probabilities it is held against; leave it None, or "
                    "pass layers alone"
                )
        return model

    def _label_soft(self, X: NDArray[Any]) -> NDArray[np.int32]:
        """Take the last layer as the network, and label by it."""
        *self.layers_, last = self.layers_
        self.scaling_ = None
        if last.activation not in ("identity", SOFTMAX):
            raise ValueError(
                f"layers must end in logits or in a softmax to be a soft assignment, got {last.activation!r}; pass a "
                "clusterer (or labels) to explain a clustering of what they compute"
            )
        self.network_: Network = SoftAssignmentNetwork(last.weights.T, last.biases)
        self.network_labels_ = np.arange(len(last.biases))
        columns = self._distances(X).argmin(axis=1)
        codes, self.classes_ = encode_reference(columns, len(X))
        self.labels_ = self.reference_labels_ = columns
        return codes

    def _label_and_neuralise(self, X: NDArray[Any], model: str) -> NDArray[np.int32]:
        """Label what the layers compute, and make or fit a network of it."""
        seed = seed_from_random_state(self.random_state)
        if self.layers_ and self.layers_[-1].activation == SOFTMAX:
            self.layers_ = self.layers_[:-1]
        inputs = forward(self.layers_, X.astype(np.float64))[-1] if self.layers_ else X
        codes = self._label(inputs, seed)
        clustered = codes >= 0
        clusterer = vars(self).get("clusterer_")
        self.scaling_ = feature_scaling(clusterer)
        A, codes_of_A = scaled(self.scaling_, inputs[clustered].astype(np.float64)), codes[clustered]
        centres = None if model == "kernel_kmeans" else numbered_centers(clusterer, self.classes_, A.shape[1])
        self.network_labels_ = self.classes_ if centres is None else np.arange(len(centres))
        if centres is not None:
            self.network_ = KMeansNetwork(centres)
        elif model == "kmeans":
            means = [A[codes_of_A == k].mean(axis=0) for k in range(len(self.classes_))]
            self.network_ = KMeansNetwork(np.array(means))
        else:
            gamma = None if self.gamma is None else float(self.gamma)
            self.network_ = fit_surrogate(A, codes_of_A, self.n_support, gamma, seed)
        return codes

    def _stiffness(self, distances: Floats, own: NDArray[np.intp]) -> float:
        """Return `beta`, or its heuristic."""
        if self.beta is not None:
            return float(self.beta)
        mean = float(leads(distances, own).min(axis=1).mean())
        if not mean > 0:
            raise ValueError(
                f"the mean evidence f is {mean:.3g}, so that beta = 1 / mean(f) is not defined: clusters coincide, "
                "or the network cannot tell them apart; cluster into fewer, or pass beta"
            )
        return 1.0 / mean

    # ------------------------------------------------------------------ the network

    def _distances(self, X: NDArray[Any]) -> Floats:
        """Return the distances (n, K') to the network's clusters, the nearest of which an observation is in."""
        parts = [
            self.network_.distances(scaled(self.scaling_, forward(self.layers_, X[part].astype(np.float64))[-1]))
            for part in gen_batches(len(X), ROWS)
        ]
        return np.concatenate(parts)

    def _explain(self, X: NDArray[Any], distances: Floats, own: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return the evidence (n,) for the clusters `own`, and its relevances (n, M)."""
        evidence, relevance = np.empty(len(X)), np.empty(X.shape)
        for part in gen_batches(len(X), ROWS):
            values = forward(self.layers_, X[part].astype(np.float64))
            if self.threshold is None:
                evidence[part], pull = min_take_most(distances[part], own[part], self.beta_)
            else:
                evidence[part], pull = log_mean_exp(distances[part], own[part], self.threshold)
            top = self.network_.relevance(scaled(self.scaling_, values[-1]), pull)
            relevance[part] = backward(self.layers_, values, top, self.lrp_gamma, self.lrp_epsilon)
        return evidence, relevance

    # ------------------------------------------------------------------ new data

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the cluster that the network puts each row of `X` into.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n,)
            Values of ``network_labels_``.
        """
        check_is_fitted(self)
        with single_threaded_libraries():
            return np.asarray(self.network_labels_[self._distances(self._new_data(X)).argmin(axis=1)])

    def explain(self, X: Any, cluster: Any = None) -> Floats:
        """Return the relevance of each feature for a cluster.

        Parameters
        ----------
        X : array-like of shape (n, M)
        cluster : label, default=None
            One of ``network_labels_``. None is the cluster that the network puts the observation into.

        Returns
        -------
        ndarray of shape (n, M)

        Raises
        ------
        ValueError
            For a cluster that an observation is not in, where a third cluster is exactly as near as this one.
        """
        return self._about(X, cluster)[1]

    def evidence(self, X: Any, cluster: Any = None) -> Floats:
        """Return the network's output ``f``, positive inside the cluster and negative outside.

        Parameters
        ----------
        X : array-like of shape (n, M)
        cluster : label, default=None
            As in :meth:`explain`.

        Returns
        -------
        ndarray of shape (n,)
        """
        return self._about(X, cluster)[0]

    def _about(self, X: Any, cluster: Any) -> tuple[Floats, Floats]:
        check_is_fitted(self)
        X = self._new_data(X)
        with single_threaded_libraries():
            distances = self._distances(X)
            if cluster is None:
                return self._explain(X, distances, distances.argmin(axis=1))
            known = self.network_labels_
            if np.ndim(cluster) != 0 or cluster not in known:
                raise ValueError(f"cluster must be one of {known.tolist()}, got {cluster!r}")
            own = np.full(len(X), np.flatnonzero(known == cluster)[0])
            if self.threshold is None and (wrong := undecided(distances, own)).any():
                raise ValueError(f"observation {wrong.argmax()} lies {UNDECIDED}; explain the cluster that it is in")
            return self._explain(X, distances, own)

    def _new_data(self, X: Any) -> NDArray[Any]:
        return np.asarray(read_table(self, X, reset=False))
