"""The two stages of training, on arrays: what the core does in an epoch, repeated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core
from clusterwhy._progress import Progress

from ._architecture import Architecture
from ._schedule import Plateau, along_cosine, run_epochs

_Floats = NDArray[np.float32]

# Added to the variance in batch norm, as in the core.
_VARIANCE_FLOOR = 1e-5
# Rates fall to this share of where they start.
_LAST_RATE = 0.01
# Share of the epochs with gates in which their penalty rises.
_RISE = 0.5
# Streams of first weights.
_GATING, _ENCODER, _DECODER, _CLASSIFIER, _HEADS = 0, 1, 2, 3, 16
# The gating network starts with gates that are nearly open, the same for all observations but for a trace.
_OPEN_BIAS, _TRACE = 0.5, 0.01


@dataclass
class Stage:
    """How long and how fast one part is trained."""

    n_epochs: int
    batch_size: int
    rate: float
    patience: int


@dataclass
class Settings:
    """The options of a fit, checked."""

    architecture: Architecture
    absolute: bool
    gate_penalty: float
    gate_diversity: float
    gate_precision: float
    mask_fraction: float
    latent_noise: float
    embedding_offset: float | None
    cluster_precision: float
    temperature: float
    cluster_gate_penalty: float
    adam: bool
    n_pretrain: int
    autoencoder: Stage
    heads: Stage
    cluster_gates: Stage
    n_init: int
    tol: float
    seed: int
    threads: int

    def without_second_stage(self) -> Settings:
        """Return the same options with no epochs for the heads and the clusters' gates."""
        heads, gates = (replace(stage, n_epochs=0) for stage in (self.heads, self.cluster_gates))
        return replace(self, heads=heads, cluster_gates=gates)


@dataclass
class Directions:
    """How embeddings become the unit vectors that heads look at.

    Coding rates know lines through the origin, and not which side of it a vector lies on. So embeddings are centred,
    divided by their root mean square length, and lifted off the origin by a constant coordinate, `offset`; or, with
    None, left where they are.
    """

    offset: float | None
    center: _Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    scale: np.float32 = field(default_factory=lambda: np.float32(1))

    def measure(self, embedding: _Floats) -> None:
        """Take the centre and the scale of embeddings."""
        self.center = embedding.mean(axis=0)
        lengths = np.linalg.norm(embedding - self.center, axis=1)
        self.scale = np.float32(np.sqrt(np.mean(lengths**2, dtype=np.float64)) or 1)

    def of(self, embedding: _Floats) -> _Floats:
        """Return unit vectors (n, d + 1), or (n, d) without an offset."""
        if self.offset is not None:
            constant = np.full((len(embedding), 1), self.offset, dtype=np.float32)
            embedding = np.hstack([(embedding - self.center) / self.scale, constant])
        lengths = np.linalg.norm(embedding, axis=1, keepdims=True)
        return np.ascontiguousarray(embedding / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)


@dataclass
class Networks:
    """Everything that is learned, as flat arrays in the core's layout.

    `epochs` counts the epochs of the autoencoder, the heads and the clusters' gates since the first fit: it names
    their random numbers.
    """

    architecture: Architecture
    center: NDArray[np.float64]
    scale: float
    autoencoder: _Floats
    heads: _Floats
    cluster_gates: _Floats
    autoencoder_moments: _Floats
    head_moments: _Floats
    cluster_gate_moments: _Floats
    autoencoder_steps: int = 0
    head_steps: int = 0
    cluster_gate_steps: int = 0
    epochs: list[int] = field(default_factory=lambda: [0, 0, 0])
    directions: Directions = field(default_factory=lambda: Directions(None))
    encoder_statistics: _Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    head_statistics: _Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    best_head: int = 0

    def standardise(self, X: NDArray[Any]) -> _Floats:
        """Centre data and divide them by one number, as those of the first fit."""
        return np.ascontiguousarray((X - self.center) / self.scale, dtype=np.float32)

    def split_autoencoder(self) -> tuple[_Floats, _Floats]:
        """Return the parameters of the gating network and of the encoder."""
        gating = n_parameters(self.architecture.gating, "tanh")
        encoder = n_parameters(self.architecture.encoder, "norm_relu")
        return self.autoencoder[:gating], self.autoencoder[gating : gating + encoder]

    def gates(self, X: _Floats, threads: int) -> _Floats:
        """Return the local gates (n, D) without noise."""
        none = np.zeros(0, np.float32)
        mu = _core.deep_apply(self.architecture.gating, "tanh", self.split_autoencoder()[0], none, X, threads)
        gates: _Floats = np.clip(mu + np.float32(0.5), np.float32(0), np.float32(1))
        return gates

    def calibrate_encoder(self, gated: _Floats, threads: int) -> None:
        """Set what the encoder's batch norm uses from now on: the moments of all the gated data."""
        encoder = self.split_autoencoder()[1]
        self.encoder_statistics = _core.deep_calibrate(
            self.architecture.encoder, "norm_relu", encoder, gated, threads
        )

    def embed(self, gated: _Floats, threads: int) -> _Floats:
        """Return the embedding (n, d) of gated data."""
        encoder = self.split_autoencoder()[1]
        statistics = self.encoder_statistics
        return _core.deep_apply(self.architecture.encoder, "norm_relu", encoder, statistics, gated, threads)

    def logits(self, embedding: _Floats, threads: int) -> _Floats:
        """Return the best head's logits (n, K)."""
        directions = self.directions.of(embedding)
        head, statistics = self.heads[self.best_head], self.head_statistics
        return _core.deep_apply(self.architecture.head, "norm_relu", head, statistics, directions, threads)

    def encoder_layers(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64], str]]:
        """Return the encoder's weights, biases and activations, batch norm folded in."""
        widths = self.architecture.encoder
        parameters, statistics = (
            part.astype(np.float64) for part in (self.split_autoencoder()[1], self.encoder_statistics)
        )
        layers = []
        for i, (n, m) in enumerate(pairwise(widths)):
            weights, parameters = parameters[: n * m].reshape(n, m), parameters[n * m :]
            if i == len(widths) - 2:
                layers.append((weights, parameters, "identity"))
                break
            gain, shift, parameters = parameters[:m], parameters[m : 2 * m], parameters[2 * m :]
            mean, variance, statistics = statistics[:m], statistics[m : 2 * m], statistics[2 * m :]
            scale = gain / np.sqrt(variance + _VARIANCE_FLOOR)
            layers.append((weights * scale, shift - mean * scale, "relu"))
        return layers

    def gates_of_clusters(self) -> NDArray[np.float64]:
        """Return the global gates (K, D) without noise."""
        k, d = self.architecture.n_clusters, self.architecture.n_features
        mu = np.tanh(self.cluster_gates[: k * d].astype(np.float64).reshape(k, d))
        return np.clip(mu + 0.5, 0, 1)

    def without_moments(self) -> Networks:
        """Drop what only more training would need."""
        none = np.zeros(0, np.float32)
        return replace(self, autoencoder_moments=none, head_moments=none, cluster_gate_moments=none)


def n_parameters(widths: tuple[int, ...], kind: str) -> int:
    """Count a network's parameters: weights, and a bias or batch norm's two vectors for each layer."""
    last = len(widths) - 2
    vectors = [2 if kind == "norm_relu" and i < last else 1 for i in range(last + 1)]
    return sum((n + v) * m for n, m, v in zip(widths[:-1], widths[1:], vectors, strict=True))


def check_room(settings: Settings) -> None:
    """Refuse networks that will not fit in memory, with what their training needs beside them."""
    a = settings.architecture
    count = (
        a.n_clusters * a.n_features
        + n_parameters(a.gating, "tanh")
        + settings.n_init * n_parameters(a.head, "norm_relu")
    )
    count += sum(n_parameters(widths, "norm_relu") for widths in (a.encoder, a.decoder, a.classifier))
    # Parameters, their gradients and the two moments of each.
    size = 4 * count
    try:
        # Pages that nobody touches cost nothing.
        np.empty(size, np.float32)
    except (MemoryError, ValueError):
        raise MemoryError(
            f"networks of these sizes have {count:.3g} parameters, and training them would take {4e-9 * size:.3g} GB "
            "of memory, more than the system gives: make them smaller (hidden_layer_sizes, n_components, "
            "gating_layer_size, head_layer_size, classifier_layer_size, n_init)"
        ) from None


def initial_networks(settings: Settings, X: NDArray[Any]) -> Networks:
    """Draw first parameters, and take the measure of the data."""
    check_room(settings)
    center = X.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(np.mean((X - center) ** 2)))
    a, seed = settings.architecture, settings.seed
    gating = _core.deep_initial(a.gating, "tanh", _TRACE, seed, _GATING)
    gating[-a.n_features :] = _OPEN_BIAS
    autoencoder = np.concatenate(
        [
            gating,
            _core.deep_initial(a.encoder, "norm_relu", 1.0, seed, _ENCODER),
            _core.deep_initial(a.decoder, "norm_relu", 1.0, seed, _DECODER),
        ]
    )
    heads = np.stack([_core.deep_initial(a.head, "norm_relu", 1.0, seed, _HEADS + r) for r in range(settings.n_init)])
    classifier = _core.deep_initial(a.classifier, "norm_relu", 1.0, seed, _CLASSIFIER)
    cluster_gates = np.concatenate([np.zeros(a.n_clusters * a.n_features, np.float32), classifier])
    return Networks(
        architecture=a,
        center=center,
        # Constant data have no scale, and need none.
        scale=scale if scale > 0 else 1.0,
        autoencoder=autoencoder,
        heads=heads,
        cluster_gates=cluster_gates,
        autoencoder_moments=np.zeros(2 * len(autoencoder), np.float32),
        head_moments=np.zeros((len(heads), 2 * heads.shape[1]), np.float32),
        cluster_gate_moments=np.zeros(2 * len(cluster_gates), np.float32),
    )


def continued(earlier: Networks, settings: Settings) -> Networks:
    """Copy networks to train them further; Adam starts anew where its moments were not kept."""
    if earlier.architecture != settings.architecture or len(earlier.heads) != settings.n_init:
        raise ValueError(
            "warm_start goes on with the networks of the last fit, but their sizes are not those asked for now "
            f"(n_init or {settings.architecture} in place of {earlier.architecture}); set warm_start=False to start "
            "anew"
        )
    networks = replace(earlier, epochs=list(earlier.epochs))
    if networks.autoencoder_moments.size == 0:
        networks.autoencoder_moments = np.zeros(2 * len(networks.autoencoder), np.float32)
        networks.head_moments = np.zeros((len(networks.heads), 2 * networks.heads.shape[1]), np.float32)
        networks.cluster_gate_moments = np.zeros(2 * len(networks.cluster_gates), np.float32)
        networks.autoencoder_steps = networks.head_steps = networks.cluster_gate_steps = 0
    return networks


def _epoch(settings: Settings, stage: Stage, epoch: int, done: int) -> dict[str, Any]:
    rate = along_cosine(stage.rate, _LAST_RATE * stage.rate, epoch / stage.n_epochs)
    return {
        "batch_size": stage.batch_size,
        "rate": rate,
        "seed": settings.seed,
        "epoch": done + epoch,
        "threads": settings.threads,
    }


def train_autoencoder(
    networks: Networks, X: _Floats, settings: Settings, progress: Progress
) -> tuple[list[float], bool]:
    """Stage 1: the autoencoder, and then the gates with it. Networks that were trained before start with gates.

    Returns the loss in each epoch, and whether training was interrupted; so do the others below.
    """
    a, stage = settings.architecture, settings.autoencoder
    done = networks.epochs[0]
    pretrain = settings.n_pretrain
    rise = _RISE * (stage.n_epochs - pretrain) if done == 0 else 0.0
    if done > 0:
        stage, pretrain = replace(stage, n_epochs=stage.n_epochs - pretrain), 0
    options: dict[str, Any] = {
        "absolute": settings.absolute,
        "diversity": settings.gate_diversity,
        "precision": settings.gate_precision,
        "masked": settings.mask_fraction,
        "latent_noise": settings.latent_noise,
    }

    def step(epoch: int) -> float:
        risen = (epoch - pretrain) / rise if rise else 1.0
        options["gated"] = epoch >= pretrain
        options["sparsity"] = along_cosine(0.0, settings.gate_penalty, risen)
        state, terms = _core.deep_autoencoder_epoch(
            a.gating[1],
            a.encoder,
            networks.autoencoder,
            networks.autoencoder_moments,
            networks.autoencoder_steps,
            X,
            options,
            _epoch(settings, stage, epoch, done),
        )
        networks.autoencoder, networks.autoencoder_moments, networks.autoencoder_steps = state
        networks.epochs[0] = done + epoch + 1
        return terms["loss"]

    return run_epochs(
        stage.n_epochs,
        step,
        name="autoencoder",
        progress=progress,
        plateau=Plateau(settings.tol, stage.patience),
        first_watched=pretrain + int(rise),
    )


def encode(networks: Networks, X: _Floats, settings: Settings) -> tuple[_Floats, _Floats, _Floats]:
    """Settle what follows from a trained autoencoder; return the gates, the gated data and their embedding."""
    gates = networks.gates(X, settings.threads)
    gated = X * gates
    networks.calibrate_encoder(gated, settings.threads)
    embedding = networks.embed(gated, settings.threads)
    networks.directions = Directions(settings.embedding_offset)
    networks.directions.measure(embedding)
    return gates, gated, embedding


def train_heads(
    networks: Networks, directions: _Floats, settings: Settings, progress: Progress
) -> tuple[NDArray[np.float64], bool]:
    """Stage 2: several heads, all on the same directions. The losses are of each head (epochs, R)."""
    a, stage = settings.architecture, settings.heads
    done = networks.epochs[1]
    losses: list[NDArray[np.float64]] = []

    def step(epoch: int) -> float:
        state, found = _core.deep_heads_epoch(
            a.head,
            networks.heads,
            networks.head_moments,
            networks.head_steps,
            directions,
            settings.temperature,
            settings.cluster_precision,
            _epoch(settings, stage, epoch, done),
        )
        networks.heads, networks.head_moments, networks.head_steps = state
        networks.epochs[1] = done + epoch + 1
        losses.append(found)
        return float(found.mean())

    plateau = Plateau(settings.tol, stage.patience)
    _, interrupted = run_epochs(stage.n_epochs, step, name="clustering heads", progress=progress, plateau=plateau)
    return np.array(losses).reshape(-1, len(networks.heads)), interrupted


def choose_head(networks: Networks, directions: _Floats, settings: Settings) -> NDArray[np.float64]:
    """Keep the head whose labels have the lowest coding rate; return the rates of all."""
    a = settings.architecture
    rates = []
    statistics = []
    for head in networks.heads:
        statistics.append(_core.deep_calibrate(a.head, "norm_relu", head, directions, settings.threads))
        logits = _core.deep_apply(a.head, "norm_relu", head, statistics[-1], directions, settings.threads)
        members = np.eye(a.n_clusters)[logits.argmax(axis=1)]
        rates.append(_core.deep_clusters_rate(directions.astype(np.float64), members, settings.cluster_precision))
    networks.best_head = int(np.argmin(rates))
    networks.head_statistics = statistics[networks.best_head]
    return np.asarray(rates)


def train_cluster_gates(
    networks: Networks, gated: _Floats, labels: NDArray[np.int64], settings: Settings, progress: Progress
) -> tuple[list[float], bool]:
    """Stage 2: the clusters' gates, against labels that no longer change."""
    a, stage = settings.architecture, settings.cluster_gates
    done = networks.epochs[2]
    rise = _RISE * stage.n_epochs if done == 0 else 0.0

    def step(epoch: int) -> float:
        weight = along_cosine(0.0, settings.cluster_gate_penalty, epoch / rise if rise else 1.0)
        state, entropy, sparsity = _core.deep_global_gates_epoch(
            a.classifier,
            networks.cluster_gates,
            networks.cluster_gate_moments,
            networks.cluster_gate_steps,
            gated,
            labels,
            weight,
            settings.adam,
            _epoch(settings, stage, epoch, done),
        )
        networks.cluster_gates, networks.cluster_gate_moments, networks.cluster_gate_steps = state
        networks.epochs[2] = done + epoch + 1
        return entropy + weight * sparsity

    return run_epochs(
        stage.n_epochs,
        step,
        name="clusters' gates",
        progress=progress,
        plateau=Plateau(settings.tol, stage.patience),
        first_watched=int(rise),
    )
