"""The compiled core. Arrays are C-contiguous and of exactly the dtype given; they are only read."""

from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, final, type_check_only

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

__all__ = [
    "VERSION",
    "Presorted",
    "align_patches",
    "ari_scores",
    "count_votes",
    "deep_apply",
    "deep_autoencoder_epoch",
    "deep_autoencoder_loss",
    "deep_calibrate",
    "deep_clusters_rate",
    "deep_global_gates_epoch",
    "deep_global_gates_loss",
    "deep_head_loss",
    "deep_heads_epoch",
    "deep_initial",
    "estimator_seeds",
    "exact_shapley",
    "leave_one_out",
    "losses",
    "majority",
    "minipatch_bits",
    "minipatch_consensus",
    "minipatch_indices",
    "moments",
    "monte_carlo_errors",
    "native_classify",
    "native_cluster",
    "native_compare",
    "native_descend",
    "native_fit_clusters",
    "native_fit_gamma_mixture",
    "native_grow",
    "overlap_reference",
    "pair_differences",
    "permutation_shapley",
    "permutations",
    "probabilities",
    "sample_scores",
    "simd_level",
]

VERSION: Final[str]

_Votes = NDArray[np.uint16] | NDArray[np.float32] | NDArray[np.float64]

@type_check_only
class _Ensemble(Protocol):
    @property
    def votes(self) -> _Votes: ...
    @property
    def voters(self) -> NDArray[np.uint64]: ...
    @property
    def holds(self) -> NDArray[np.uint64]: ...
    @property
    def n_samples(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def n_classes(self) -> int: ...

@type_check_only
class _Sums(Protocol):
    @property
    def totals(self) -> NDArray[np.float64]: ...
    @property
    def counts(self) -> NDArray[np.uint32]: ...

def minipatch_indices(
    n_samples: int,
    n_features: int,
    n_rows: int,
    n_columns: int,
    seed: int,
    start: int,
    stop: int,
    columns: bool,
) -> NDArray[np.int64]: ...
def minipatch_bits(
    n_samples: int,
    n_features: int,
    n_rows: int,
    n_columns: int,
    seed: int,
    start: int,
    stop: int,
    columns: bool,
) -> NDArray[np.uint64]: ...
def estimator_seeds(seed: int, index: int, count: int) -> NDArray[np.uint32]: ...
def align_patches(
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    offsets: NDArray[np.int64],
    reference: NDArray[np.int32],
    threads: int,
) -> NDArray[np.int32]: ...
def count_votes(
    labels: NDArray[np.int32], rows: NDArray[np.int64], n_samples: int, n_classes: int
) -> NDArray[np.uint32]: ...
def majority(counts: NDArray[np.uint32], reference: NDArray[np.int32]) -> NDArray[np.int32]: ...
def overlap_reference(
    labels: NDArray[np.int64], rows: NDArray[np.int64], offsets: NDArray[np.int64], n_samples: int, threads: int
) -> tuple[NDArray[np.int32], int]: ...
def leave_one_out(ensemble: _Ensemble, threads: int) -> tuple[NDArray[np.float64], NDArray[np.uint32]]: ...
def sample_scores(
    ensemble: _Ensemble,
    loo: _Sums,
    labels: NDArray[np.int32],
    losses: list[str],
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def losses(loo: _Sums, labels: NDArray[np.int32], losses: list[str]) -> NDArray[np.float64]: ...
def ari_scores(
    ensemble: _Ensemble,
    loo: _Sums,
    labels: NDArray[np.int32],
    threads: int,
) -> tuple[float, NDArray[np.float64]]: ...
def probabilities(
    ensemble: _Ensemble,
    loo: _Sums,
    threads: int,
) -> NDArray[np.float64]: ...
def moments(
    scores: NDArray[np.float64], groups: NDArray[np.int32], n_groups: int, threads: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint32]]: ...
def pair_differences(ensemble: _Ensemble) -> NDArray[np.float64]: ...
def monte_carlo_errors(
    ensemble: _Ensemble,
    loo: _Sums,
    labels: NDArray[np.int32],
    loss: str,
    threads: int,
) -> NDArray[np.float64] | None: ...

@final
class Presorted:
    def __new__(cls, x: NDArray[np.float32] | NDArray[np.float64], threads: int) -> Presorted: ...

@type_check_only
class Plan(Protocol):
    @property
    def n_rows(self) -> int: ...
    @property
    def n_columns(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def features(self) -> NDArray[np.uint32] | None: ...
    @property
    def start(self) -> int: ...
    @property
    def stop(self) -> int: ...

def native_cluster(
    x: NDArray[np.float32] | NDArray[np.float64] | csr_array | csr_matrix,
    plan: Plan,
    method: str,
    params: dict[str, Any],
    threads: int,
) -> NDArray[np.int64]: ...
def native_classify(
    x: NDArray[np.float32] | NDArray[np.float64] | csr_array | csr_matrix,
    plan: Plan,
    labels: NDArray[np.int32],
    n_classes: int,
    method: str,
    params: dict[str, Any],
    presorted: Presorted | None,
    threads: int,
) -> tuple[NDArray[np.uint16] | NDArray[np.float64], NDArray[np.bool_]]: ...
def native_fit_clusters(
    x: NDArray[np.float32] | NDArray[np.float64], method: str, params: dict[str, Any], seed: int
) -> dict[str, Any]: ...
def native_fit_gamma_mixture(
    x: NDArray[np.float64], start: NDArray[np.int32], n_components: int, max_iter: int, tol: float
) -> dict[str, Any]: ...
def native_grow(
    x: NDArray[np.float32] | NDArray[np.float64],
    classes: NDArray[np.int32],
    n_classes: int,
    method: str,
    params: dict[str, Any],
    seed: int,
) -> dict[str, NDArray[Any]]: ...
def native_descend(
    x: NDArray[np.float32] | NDArray[np.float64], trees: dict[str, NDArray[Any]], threads: int
) -> NDArray[np.float64]: ...
def native_relabel(
    x: NDArray[np.float32] | NDArray[np.float64],
    trees: dict[str, NDArray[Any]],
    first: int,
    orders: NDArray[np.int64],
    threads: int,
) -> NDArray[np.bool_]: ...
def native_compare(
    x: NDArray[np.float32] | NDArray[np.float64],
    classes: NDArray[np.int32],
    n_classes: int,
    queries: NDArray[np.float32] | NDArray[np.float64],
    method: str,
    params: dict[str, Any],
) -> NDArray[np.float64]: ...
def permutations(size: int, count: int, seed: int, start: int, stop: int) -> NDArray[np.int64]: ...
def exact_shapley(
    x: NDArray[np.float64],
    centers: NDArray[np.float64],
    baseline: NDArray[np.float64],
    own: NDArray[np.int32],
    power: float,
    threads: int,
) -> NDArray[np.float64]: ...
def permutation_shapley(
    x: NDArray[np.float64],
    centers: NDArray[np.float64],
    baseline: NDArray[np.float64],
    own: NDArray[np.int32],
    power: float,
    orders: int,
    seed: int,
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def minipatch_consensus(x: NDArray[np.float64], params: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]: ...
def simd_level() -> Literal["avx512", "avx2", "baseline"]: ...

# Networks: widths from the inputs to the outputs, "tanh" or "norm_relu" layers (the last linear), flat parameters.
def deep_initial(
    widths: Sequence[int], kind: str, last_gain: float, seed: int, index: int
) -> NDArray[np.float32]: ...
def deep_calibrate(
    widths: Sequence[int], kind: str, parameters: NDArray[np.float32], x: NDArray[np.float32], threads: int
) -> NDArray[np.float32]: ...
def deep_apply(
    widths: Sequence[int],
    kind: str,
    parameters: NDArray[np.float32],
    statistics: NDArray[np.float32],
    x: NDArray[np.float32],
    threads: int,
) -> NDArray[np.float32]: ...

# One epoch: `epoch` has batch_size, rate, seed, epoch and threads. New states are returned.
def deep_autoencoder_epoch(
    gating_size: int,
    widths: Sequence[int],
    parameters: NDArray[np.float32],
    moments: NDArray[np.float32],
    steps: int,
    x: NDArray[np.float32],
    settings: dict[str, Any],
    epoch: dict[str, Any],
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32], int], dict[str, float]]: ...
def deep_heads_epoch(
    widths: Sequence[int],
    parameters: NDArray[np.float32],
    moments: NDArray[np.float32],
    steps: int,
    embedding: NDArray[np.float32],
    temperature: float,
    precision: float,
    epoch: dict[str, Any],
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32], int], NDArray[np.float64]]: ...
def deep_global_gates_epoch(
    widths: Sequence[int],
    parameters: NDArray[np.float32],
    moments: NDArray[np.float32],
    steps: int,
    x: NDArray[np.float32],
    labels: NDArray[np.int64],
    weight: float,
    adam: bool,
    epoch: dict[str, Any],
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32], int], float, float]: ...
def deep_clusters_rate(
    embedding: NDArray[np.float64], memberships: NDArray[np.float64], precision: float
) -> float: ...

# Losses and gradients of one batch with given noise, in double precision: to be compared with others.
def deep_autoencoder_loss(
    gating_size: int,
    widths: Sequence[int],
    parameters: NDArray[np.float64],
    x: NDArray[np.float64],
    gates: NDArray[np.float64],
    mask: NDArray[np.float64],
    latent: NDArray[np.float64],
    settings: dict[str, Any],
) -> tuple[dict[str, float], NDArray[np.float64]]: ...
def deep_head_loss(
    widths: Sequence[int],
    parameters: NDArray[np.float64],
    embedding: NDArray[np.float64],
    noise: NDArray[np.float64],
    temperature: float,
    precision: float,
) -> tuple[float, NDArray[np.float64]]: ...
def deep_global_gates_loss(
    widths: Sequence[int],
    parameters: NDArray[np.float64],
    x: NDArray[np.float64],
    labels: NDArray[np.int64],
    noise: NDArray[np.float64],
    weight: float,
) -> tuple[float, float, NDArray[np.float64]]: ...
