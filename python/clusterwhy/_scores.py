"""From an ensemble's votes to every score: importances, errors and leave-one-out figures."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core
from clusterwhy._inference import without_rounding
from clusterwhy._patches import bits_at, pack_bits
from clusterwhy._validation import NOISE
from clusterwhy._votes import Ensemble, LeaveOneOut

POINTWISE = ("hinge", "margin", "brier", "log", "zero_one")
NAMED = (*POINTWISE, "ari")
Loss = str | Callable[[NDArray[np.int64], NDArray[np.float64]], Any]

# Bytes of leave-one-covariate-out probabilities that a callable loss is given work on at a time.
CALLABLE_BYTES = 64 * 2**20
# Bytes of sample scores that are worked on at a time where they are not kept (but 64 features at least).
SAMPLE_BYTES = 2**28


def check_loss(loss: Any) -> Loss:
    """Return `loss` if it is a known name or a callable."""
    if callable(loss) or (isinstance(loss, str) and loss in NAMED):
        return loss  # type: ignore[no-any-return]
    raise ValueError(f"loss must be one of {', '.join(map(repr, NAMED))} or a callable loss(y, proba), got {loss!r}")


@dataclass(frozen=True)
class RawScores:
    """Loss of ``H`` and rise of the loss in ``H^-j``.

    For a loss of each observation: `base` (N,) and `samples` (N, M), NaN where undefined. For a loss of the whole
    set: `base` is a number, and `whole` (M,) are the rises.
    """

    base: NDArray[np.float64] | float
    samples: NDArray[np.float64] | None
    whole: NDArray[np.float64] | None


def raw_scores(
    ensemble: Ensemble, loo: LeaveOneOut, labels: NDArray[np.int32], loss: Loss, threads: int
) -> RawScores:
    """Score every feature of an ensemble whose votes are already as hard as the loss wants them."""
    if callable(loss):
        return _callable_scores(ensemble, loo, labels, loss, threads)
    if loss == "ari":
        index, features = _core.ari_scores(ensemble, loo, labels, threads)
        return RawScores(-index, None, features)
    base, samples = _core.sample_scores(ensemble, loo, labels, [loss], threads)
    return RawScores(base[:, 0], samples[:, 0], None)


@dataclass(frozen=True)
class Moments:
    """Means, standard deviations and numbers of sample scores, each (K + 1, M): by cluster, and over all."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    count: NDArray[np.uint32]


def moments(samples: NDArray[np.float64], labels: NDArray[np.int32], n_classes: int, threads: int) -> Moments:
    """Summarise sample scores (N, M); NaN is left out."""
    return Moments(*_core.moments(np.ascontiguousarray(samples), labels, n_classes, threads))


@dataclass(frozen=True)
class Summary:
    """What :class:`RawScores` come to: their moments, and with those the samples if they were to be kept."""

    base: NDArray[np.float64] | float
    whole: NDArray[np.float64] | None
    moments: Moments | None
    samples: NDArray[np.float64] | None

    @property
    def mean(self) -> NDArray[np.float64]:
        """Scores of each cluster and, in the last row, of all; of all alone for a loss of the whole set."""
        if self.moments is not None:
            return self.moments.mean
        return np.atleast_2d(np.asarray(self.whole))


def summarise(
    ensemble: Ensemble,
    loo: LeaveOneOut,
    labels: NDArray[np.int32],
    loss: Loss,
    threads: int,
    *,
    keep_samples: bool = False,
) -> Summary:
    """Score every feature; unless sample scores (N, M) are kept, so many features at a time as SAMPLE_BYTES hold."""
    m = ensemble.n_features
    # Whole words of the bits that say which minipatch holds which feature.
    words = -(-m // 64) if keep_samples else max(1, SAMPLE_BYTES // (8 * 64 * ensemble.n_samples))
    raws, parts = [], []
    for word in range(0, ensemble.holds.shape[1], words):
        holds = np.ascontiguousarray(ensemble.holds[:, word : word + words])
        raw = raw_scores(ensemble.with_sets(holds, min(64 * words, m - 64 * word)), loo, labels, loss, threads)
        if raw.samples is not None:
            parts.append(moments(raw.samples, labels, ensemble.n_classes, threads))
        raws.append(raw if keep_samples else replace(raw, samples=None))
        # The next block of samples does not come on top of this one.
        del raw
    base = raws[0].base
    if not parts:
        return Summary(base, np.concatenate([raw.whole for raw in raws if raw.whole is not None]), None, None)
    of_all = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("mean", "spread", "count"))
    return Summary(base, None, Moments(*of_all), raws[0].samples)


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
        return RawScores(np.full(n, np.nan), np.full((n, m), np.nan), None)
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
    width = max(1, CALLABLE_BYTES // (8 * max(1, proba.size)))
    for start in range(0, ensemble.n_features, width):
        block = bits_at(ensemble.holds, np.arange(start, min(start + width, ensemble.n_features)))
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
            else:
                same = both.sum() == scored.sum()
                features[j] = value - (first if same else call_loss(loss, y[both], proba[both]))
    return RawScores(float(first), None, features) if whole else RawScores(base, samples, None)


def try_loss(loss: Loss, labels: NDArray[np.int32], n_classes: int) -> None:
    """Call a user's loss once before anything is fitted, on labels (-1 for noise) and probabilities that favour them.

    What is called is a copy, so that a loss with a state begins with that state when it is called in earnest; one
    that cannot be copied is not tried.
    """
    if not callable(loss):
        return
    try:
        trial = copy.deepcopy(loss)
    except Exception:
        return
    y = labels[labels >= 0].astype(np.int64)
    proba = np.full((len(y), n_classes), 0.5 / n_classes)
    proba[np.arange(len(y)), y] += 0.5
    call_loss(trial, y, proba)


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
        a loss of the whole set. NaN where there are too few minipatches to tell: two that vote, or 15 for halves;
        and for features that none holds, whose scores are 0 whatever they are worth.
    """
    unknown = np.full((ensemble.n_classes + 1, ensemble.n_features), np.nan)
    if ensemble.voting.sum() < 3:
        # Any feature is held or left out by one minipatch at most, which says nothing of another.
        return unknown
    held = ensemble.held()
    groups = [np.where(labels == k, labels, NOISE) for k in range(ensemble.n_classes)] + [labels]
    if isinstance(loss, str) and loss != "ari":
        errors = [_core.monte_carlo_errors(ensemble, loo, group, loss, threads) for group in groups]
        if errors[-1] is not None:
            return np.where(held, np.array(errors), np.nan)
    found = []
    for half in halves(ensemble.n_patches):
        part = ensemble.without_patches(~half)
        found.append(summarise(part, part.leave_one_out(threads), labels, loss, threads).mean)
    if not found:
        return unknown
    # A half that scores nothing has not learned whether a user's loss is of the whole set: NaN in one row will do.
    rows = min(map(len, found))
    return np.where(held, np.std([mean[-rows:] for mean in found], axis=0, ddof=1), np.nan)


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
    """Summarise sample scores (N, M) into means, standard errors and spreads, for all and for each cluster.

    Returns
    -------
    dict
        ``mean``, ``error``, ``spread`` with K + 1 rows, the last over all observations.

    See Also
    --------
    errors_of : What the other parameters mean.
    """
    found = moments(samples, labels, n_classes, threads)
    error = errors_of(found, labels, differences, patch_fraction, barrier)
    return {"mean": found.mean, "error": error, "spread": found.spread}


def errors_of(
    found: Moments,
    labels: NDArray[np.int32],
    differences: NDArray[np.float64] | None,
    patch_fraction: float,
    barrier: float,
) -> NDArray[np.float64]:
    """Return the standard errors (K + 1, M) of means of sample scores, of each cluster and of all.

    They are ``sd / sqrt(N) + barrier * Dhat * log(N) * n / N``; for a cluster, everything is taken over its own
    observations.

    Parameters
    ----------
    found : Moments
    labels : ndarray of shape (N,) of int32
    differences : ndarray of shape (N,) or None
        Mean squared differences between pairs of votes, whose mean's root is ``Dhat``; None for no barrier.
    patch_fraction : float
        n / N.
    barrier : float
        The factor of the variance barrier.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        error: NDArray[np.float64] = found.spread / np.sqrt(found.count)
        if differences is not None and barrier > 0:
            n_classes = len(found.mean) - 1
            dhat = np.empty((n_classes + 1, 1))
            for group in range(n_classes + 1):
                members = (labels == group) if group < n_classes else (labels >= 0)
                known = differences[members & ~np.isnan(differences)]
                dhat[group] = np.sqrt(known.mean()) if known.size else 0.0
            error = error + barrier * dhat * np.log(np.maximum(found.count, 1)) * patch_fraction
    return error


def score_ensemble(
    ensemble: Ensemble,
    labels: NDArray[np.int32],
    loss: Loss,
    *,
    barrier: float,
    threads: int,
    keep_samples: bool = True,
) -> dict[str, Any]:
    """Compute every score of one loss, under the names of the fitted attributes.

    ``_spreads_`` has the standard deviations over observations, clusters first, all in the last row; 0 where they are
    rounding. Scores of single observations are left out unless `keep_samples`, and scores that a loss of the whole
    set cannot have.
    """
    ensemble = prepare(ensemble, loss)
    loo = ensemble.leave_one_out(threads)
    found = summarise(ensemble, loo, labels, loss, threads, keep_samples=keep_samples)
    spread_of_draws = monte_carlo_errors(ensemble, loo, labels, loss, threads)
    out: dict[str, Any] = {
        "feature_importances_": found.mean[-1],
        "monte_carlo_errors_": spread_of_draws[-1],
        "loo_proba_": loo.proba,
    }
    if found.moments is None:
        out["loo_error_"] = found.base
        return out
    base = np.asarray(found.base)
    out["loo_error_"] = float(base[~np.isnan(base)].mean()) if (~np.isnan(base)).any() else float("nan")
    differences = _core.pair_differences(ensemble)
    errors = errors_of(found.moments, labels, differences, ensemble.patch_fraction, barrier)
    out["cluster_importances_"] = found.mean[:-1]
    if keep_samples:
        out["sample_importances_"] = found.samples
    out["standard_errors_"] = errors[-1]
    out["cluster_standard_errors_"] = errors[:-1]
    out["cluster_monte_carlo_errors_"] = spread_of_draws[:-1]
    single = ensemble.votes.dtype == np.float32
    out["_spreads_"] = without_rounding(found.moments.spread, base if callable(loss) else None, single=single)
    return out
