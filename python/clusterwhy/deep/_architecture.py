"""The sizes of the networks: as asked for, or from the shape of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clusterwhy._validation import check_count

# Units of a hidden layer that adapts: at least, and at most.
_NARROWEST, _WIDEST = 32, 256


@dataclass(frozen=True)
class Architecture:
    """Widths of the five networks, from their inputs to their outputs."""

    gating: tuple[int, ...]
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    head: tuple[int, ...]
    classifier: tuple[int, ...]

    @property
    def n_features(self) -> int:
        """Features of the data."""
        return self.encoder[0]

    @property
    def n_clusters(self) -> int:
        """Clusters to find."""
        return self.head[-1]


def choose_architecture(
    n_features: int,
    n_clusters: int,
    *,
    hidden_layer_sizes: Any,
    n_components: Any,
    lifted: bool,
    gating_layer_size: Any,
    head_layer_size: Any,
    classifier_layer_size: Any,
) -> Architecture:
    """Check the sizes that were asked for and choose the others.

    The encoder's first hidden layer is the power of two that holds twice the features, from 32 to 256; above 128 a
    second one is half as wide. The embedding has a dimension for each cluster, at least 8, and one more for the
    heads when it is `lifted`.
    """
    first = int(np.clip(2 ** np.ceil(np.log2(2 * n_features)), _NARROWEST, _WIDEST))
    hidden = _hidden_sizes(hidden_layer_sizes, (first,) if first <= 128 else (first, first // 2))
    width = _size(n_components, "n_components", max(8, n_clusters))
    side = min(first, 128)
    encoder = (n_features, *hidden, width)
    return Architecture(
        gating=(n_features, _size(gating_layer_size, "gating_layer_size", side), n_features),
        encoder=encoder,
        decoder=encoder[::-1],
        head=(width + lifted, _size(head_layer_size, "head_layer_size", max(64, 8 * n_clusters)), n_clusters),
        classifier=(n_features, _size(classifier_layer_size, "classifier_layer_size", side), n_clusters),
    )


def _size(value: Any, name: str, default: int) -> int:
    return default if value is None else check_count(value, name)


def _hidden_sizes(value: Any, default: tuple[int, ...]) -> tuple[int, ...]:
    if value is None:
        return default
    if isinstance(value, str) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"hidden_layer_sizes must be None or a sequence of integers, got {value!r}")
    return tuple(check_count(size, f"hidden_layer_sizes[{i}]") for i, size in enumerate(value))
