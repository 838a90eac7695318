"""From an ensemble's votes to every score: importances, errors and leave-one-out figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core
from clusterwhy._patches import pack_bits, unpack_bits
from clusterwhy._validation import NOISE
from clusterwhy._votes import Ensemble, LeaveOneOut

POINTWISE = ("hinge", "margin", "brier", "log", "zero_one")
NAMED = (*POINTWISE, "ari")
Loss = str | Callable[[NDArray[np.int64], NDArray[np.float64]], Any]

# Bytes of leave-one-covariate-out probabilities that a callable loss is given work on at a time.
CALLABLE_BYTES = 64 * 2**20


def check_loss(loss: Any) -> Loss:
    """Return `loss` if it is a known name or a callable."""
    if callable(loss) or (isinstance(loss, str) and loss in NAMED):
        return loss  # type: ignore[no-any-return]
    raise ValueError(f"loss must be one of {', '.join(map(repr, NAMED))} or a callable loss(y, proba), got {loss!r}")


@dataclass(frozen=True)
class RawScores:
    """Loss of ``H`` and rise of the loss in ``H^-j``.

    For a loss of each observation: `base` (N,) and `samples` (N, M), NaN where undefined. For a loss of the
    whole set: `base` is a number, `samples` None. `features` (M,) is the mean rise in either case.
    """

    base: NDArray[np.float64] | float
    features: NDArray[np.float64]
    samples: NDArray[np.float64] | None


def raw_scores(
    ensemble: Ensemble, loo: LeaveOneOut, labels: NDArray[np.int32], loss: Loss, threads: int
) -> RawScores:
    """Score every feature of an ensemble whose votes are already as hard as the loss wants them."""
    if callable(loss):
        return _callable_scores(ensemble, loo, labels, loss, threads)
    if loss == "ari":
        index, features = _core.ari_scores(ensemble, loo, labels, threads)
        return RawScores(-index, features, None)
    base, samples = _core.sample_scores(ensemble, loo, labels, [loss], threads)
    of_loss = np.ascontiguousarray(samples[:, 0])
    return RawScores(base[:, 0], column_means(of_loss), of_loss)


def column_means(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the columns, leaving out NaN; NaN for a column with nothing else."""
    defined = ~np.isnan(samples)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = np.where(defined, samples, 0.0).sum(axis=0) / defined.sum(axis=0)
    return means


def uses_hard_votes(loss: Loss) -> bool:
    """Whether each minipatch casts one whole vote, whatever its classifier can say."""
    return loss in ("zero_one", "ari") if isinstance(loss, str) else False


def prepare(ensemble: Ensemble, loss: Loss) -> Ensemble:
    """Harden the votes if the loss wants hard ones; widen them if it may be steep where a vote is 0.

    Sums of single-precision votes are off by some 1e-8, which hinge, margin and brier pass on as it is, but a
    logarithm turns a vote of 0 into anything at all.
    """
    if uses_hard_votes(loss):
        return ensemble.harden()
    return ensemble.widen() if loss == "log" or callable(loss) else ensemble


def _callable_scores(
    ensemble: Ensemble,
    loo: LeaveOneOut,
    labels: NDArray[np.int32],
    loss: Callable[..., Any],
    threads: int,
) -> RawScores:
    scored = (labels >= 0) & (loo.counts > 0)
    if not scored.any():
        # A user's loss is not asked about nothing.
        n, m = len(labels), ensemble.n_features
        return RawScores(np.full(n, np.nan), np.full(m, np.nan), np.full((n, m), np.nan))
    proba = loo.proba
    y = labels.astype(np.int64)
    first = call_loss(loss, y[scored], proba[scored])
    whole = first.ndim == 0
    base = np.full(len(labels), np.nan)
    samples = None
    if not whole:
        base[scored] = first
        samples = np.full((len(labels), ensemble.n_features), np.nan)
    features = np.full(ensemble.n_features, np.nan)
    held = unpack_bits(ensemble.holds, ensemble.n_features)
    width = max(1, CALLABLE_BYTES // (8 * max(1, proba.size)))
    for start in range(0, ensemble.n_features, width):
        block = held[:, start : start + width]
        few = ensemble.with_sets(pack_bits(block), block.shape[1])
        without = _core.probabilities(few, loo, threads)
        for offset in range(block.shape[1]):
            p = without[:, offset]
            both = scored & ~np.isnan(p[:, 0])
            if not both.any():
                continue
            value = call_loss(loss, y[both], p[both])
            check_same_form(first, value)
            j = start + offset
            if samples is not None:
                samples[both, j] = value - base[both]
                features[j] = samples[both, j].mean()
            else:
                same = both.sum() == scored.sum()
                features[j] = value - (first if same else call_loss(loss, y[both], proba[both]))
    return RawScores(float(first) if whole else base, features, samples)


def check_same_form(first: NDArray[Any], later: NDArray[Any]) -> None:
    """Refuse a loss that is one of each observation at one time and of the whole set at another."""
    if first.ndim != later.ndim:
        raise ValueError(
            "the loss must give always one value per observation or always one in all; "
            f"it gave shapes {first.shape} and {later.shape}"
        )


def call_loss(loss: Callable[..., Any], y: NDArray[np.int64], proba: NDArray[np.float64]) -> NDArray[Any]:
    """Call a user's loss and check what it returns: (n,) or a single number, all finite."""
    name = getattr(loss, "__name__", type(loss).__name__)
    try:
        returned = loss(y, proba)
    except Exception as error:
        raise ValueError(
            f"loss {name} failed on labels of shape {y.shape} and probabilities of shape {proba.shape}: "
            f"{error} ({type(error).__name__})"
        ) from error
    try:
        value = np.asarray(returned, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise TypeError(f"loss {name} must return numbers, got {returned!r}") from error
    if returned is None:
        raise TypeError(f"loss {name} must return numbers, got None: is its return statement missing?")
    if value.ndim > 1 or (value.ndim == 1 and len(value) != len(y)):
        raise ValueError(
            f"loss {name} must return one value per observation, shape ({len(y)},), or a single number; "
            f"it returned shape {value.shape}"
        )
    wrong = ~np.isfinite(value)
    if wrong.any():
        where = f" for {int(wrong.sum())} of {len(y)} observations" if value.ndim else ""
        raise ValueError(
            f"loss {name} must return finite numbers, got {value[wrong][0]}{where}; "
            "clip probabilities of 0 before taking logarithms"
        )
    return value


def monte_carlo_errors(
    ensemble: Ensemble,
    loo: LeaveOneOut,
    labels: NDArray[np.int32],
    loss: Loss,
    threads: int,
) -> NDArray[np.float64]:
    """Estimate what another draw of as many minipatches would change, with the labels held fixed.

    By the infinitesimal jackknife for losses with a slope. For the others by the standard deviation over halves of
    the ensemble, any two of which share half their members: such scores differ as those of two whole ensembles
    do. (Deleting a few minipatches at a time, and scaling up, says twice too much where majorities jump: they
    jump as far for a small change as for a large one.) This costs eight times what the scores do.

    Returns
    -------
    ndarray of shape (K + 1, M)
        For the scores of each cluster and, in the last row, for those of all observations. The last row alone for
        a loss of the whole set.
    """
    groups = [np.where(labels == k, labels, NOISE) for k in range(ensemble.n_classes)] + [labels]
    if isinstance(loss, str) and loss != "ari":
        errors = [_core.monte_carlo_errors(ensemble, loo, group, loss, threads) for group in groups]
        if errors[-1] is not None:
            return np.array(errors)
    found = []
    for half in halves(ensemble.n_patches):
        part = ensemble.without_patches(~half)
        raw = raw_scores(part, part.leave_one_out(threads), labels, loss, threads)
        if raw.samples is None:
            found.append(raw.features[None])
        else:
            found.append(_core.moments(raw.samples, labels, ensemble.n_classes, threads)[0])
    if not found:
        return np.full((ensemble.n_classes + 1, ensemble.n_features), np.nan)
    result: NDArray[np.float64] = np.std(found, axis=0, ddof=1)
    return result


def halves(n_patches: int) -> list[NDArray[np.bool_]]:
    """Choose half the minipatches in fifteen ways, any two with half their members in common.

    Rows of the Hadamard matrix of order 16; none when there are fewer minipatches than that.
    """
    if n_patches < 16:
        return []
    out = []
    for mask in range(1, 16):
        bits = np.arange(n_patches) & mask
        bits ^= bits >> 2
        bits ^= bits >> 1
        out.append((bits & 1).astype(bool))
    return out


def standard_errors(
    samples: NDArray[np.float64],
    labels: NDArray[np.int32],
    n_classes: int,
    differences: NDArray[np.float64] | None,
    patch_fraction: float,
    barrier: float,
    threads: int,
) -> dict[str, NDArray[np.float64]]:
    """Summarise sample scores into means, standard errors and spreads, for all and for each cluster.

    The standard error is ``sd / sqrt(N) + barrier * Dhat * log(N) * n / N``; for a cluster, everything is
    taken over its own observations.

    Parameters
    ----------
    samples : ndarray of shape (N, M)
    labels : ndarray of shape (N,) of int32
    n_classes : int
    differences : ndarray of shape (N,) or None
        Mean squared differences between pairs of votes, whose mean's root is ``Dhat``; None for no barrier.
    patch_fraction : float
        n / N.
    barrier : float
        The factor of the variance barrier.
    threads : int

    Returns
    -------
    dict
        ``mean``, ``error``, ``spread`` with K + 1 rows, the last over all observations.
    """
    mean, spread, count = _core.moments(np.ascontiguousarray(samples), labels, n_classes, threads)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = spread / np.sqrt(count)
        if differences is not None and barrier > 0:
            dhat = np.empty((n_classes + 1, 1))
            for group in range(n_classes + 1):
                members = (labels == group) if group < n_classes else (labels >= 0)
                known = differences[members & ~np.isnan(differences)]
                dhat[group] = np.sqrt(known.mean()) if known.size else 0.0
            error = error + barrier * dhat * np.log(np.maximum(count, 1)) * patch_fraction
    return {"mean": mean, "error": error, "spread": spread}


def score_ensemble(
    ensemble: Ensemble,
    labels: NDArray[np.int32],
    loss: Loss,
    *,
    barrier: float,
    threads: int,
) -> dict[str, Any]:
    """Compute every score of one loss, under the names of the fitted attributes.

    ``_spreads`` has the standard deviations over observations, clusters first, all in the last row. Scores
    that a loss of the whole set cannot have are left out.
    """
    ensemble = prepare(ensemble, loss)
    loo = ensemble.leave_one_out(threads)
    raw = raw_scores(ensemble, loo, labels, loss, threads)
    spread_of_draws = monte_carlo_errors(ensemble, loo, labels, loss, threads)
    out: dict[str, Any] = {
        "feature_importances_": raw.features,
        "monte_carlo_errors_": spread_of_draws[-1],
        "loo_proba_": loo.proba,
    }
    if raw.samples is None:
        out["loo_error_"] = raw.base
        return out
    base = np.asarray(raw.base)
    out["loo_error_"] = float(base[~np.isnan(base)].mean()) if (~np.isnan(base)).any() else float("nan")
    differences = _core.pair_differences(ensemble)
    found = standard_errors(
        raw.samples, labels, ensemble.n_classes, differences, ensemble.patch_fraction, barrier, threads
    )
    out["feature_importances_"] = found["mean"][-1]
    out["cluster_importances_"] = found["mean"][:-1]
    out["sample_importances_"] = raw.samples
    out["standard_errors_"] = found["error"][-1]
    out["cluster_standard_errors_"] = found["error"][:-1]
    out["cluster_monte_carlo_errors_"] = spread_of_draws[:-1]
    out["_spreads"] = found["spread"]
    return out
