"""Cluster LOCO in plain NumPy, written from the formulas: the oracle of the tests.

Nothing here is fast, and nothing is shared with the library. Labels are codes ``0..K-1`` with -1 for noise.
Votes are probabilities (B, N, K); `inside` (B, N) says which observations a minipatch holds, `held` (B, M)
which features, so minipatch b votes on i where ``not inside[b, i]``, unless it was never trained.
"""

from itertools import permutations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

CLIP = 2.0**-52
PAIRS = 10


# ---------------------------------------------------------------- labels


def contingency(labels, reference):
    """Return the clusters, the reference labels they meet, and how often they meet; noise counts for nothing."""
    both = (labels >= 0) & (reference >= 0)
    clusters, targets = np.unique(labels[both]), np.unique(reference[both])
    table = np.array([[((labels == c) & (reference == t)).sum() for t in targets] for c in clusters], dtype=int)
    return clusters, targets, table.reshape(len(clusters), len(targets))


def rename(labels, clusters, targets, table, pairs):
    """Name assigned clusters by their pair, surplus ones by their largest overlap, all others noise."""
    out = np.full(len(labels), -1)
    for row, cluster in enumerate(clusters):
        column = pairs.get(row, table[row].argmax())
        out[labels == cluster] = targets[column]
    return out


def align(labels, reference):
    clusters, targets, table = contingency(labels, reference)
    pairs = dict(zip(*linear_sum_assignment(table, maximize=True), strict=True))
    return rename(labels, clusters, targets, table, pairs)


def all_alignments(labels, reference):
    """Every alignment whose assignment has the largest overlap, by trying all assignments."""
    clusters, targets, table = contingency(labels, reference)
    r, c = table.shape
    if r <= c:
        assignments = [dict(enumerate(p)) for p in permutations(range(c), r)]
    else:
        assignments = [{row: column for column, row in enumerate(p)} for p in permutations(range(r), c)]
    totals = [sum(table[row, column] for row, column in pairs.items()) for pairs in assignments]
    best = [pairs for pairs, total in zip(assignments, totals, strict=True) if total == max(totals)]
    found = [tuple(rename(labels, clusters, targets, table, pairs)) for pairs in best]
    return [np.array(one) for one in dict.fromkeys(found)]


def consensus(labels, rows, reference, n_classes):
    """Majority of the minipatches holding i; ties to the reference's label, else to the smallest."""
    out = reference.copy()
    for i in range(len(reference)):
        votes = np.zeros(n_classes, dtype=int)
        for part, where in zip(labels, rows, strict=True):
            for label, row in zip(part, where, strict=True):
                if row == i and label >= 0:
                    votes[label] += 1
        if votes.sum() == 0:
            continue
        tied = np.flatnonzero(votes == votes.max())
        out[i] = reference[i] if reference[i] in tied else tied[0]
    return out


# ---------------------------------------------------------------- votes


def one_hot(classes, n_classes):
    return np.eye(n_classes)[classes]


def average(votes, eligible):
    """Mean vote (N, K) over the eligible (B, N) minipatches; NaN where there is none."""
    n, k = votes.shape[1:]
    out = np.full((n, k), np.nan)
    for i in range(n):
        mine = votes[eligible[:, i], i].astype(float)
        if len(mine):
            out[i] = mine.sum(axis=0) / len(mine)
    return out


def loo(votes, voters):
    """``H(i, k)``."""
    return average(votes, voters)


def loco_loo(votes, voters, held, features):
    """``H^-G(i, k)`` for a set of features."""
    return average(votes, voters & ~held[:, features].any(axis=1)[:, None])


# ---------------------------------------------------------------- losses


def adjusted_rand(a, b):
    """Hubert and Arabie (1985), from the contingency table."""
    table = np.array([[((a == x) & (b == y)).sum() for y in np.unique(b)] for x in np.unique(a)])

    def pairs(counts):
        return (counts * (counts - 1) / 2).sum()

    index, left, right = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    every = len(a) * (len(a) - 1) / 2
    expected = left * right / every if every else 0.0
    largest = (left + right) / 2
    return 1.0 if largest == expected else (index - expected) / (largest - expected)


def loss_of(loss, z, p):
    """Losses (n,) of votes p (n, K), or one figure for the whole set."""
    if callable(loss):
        return np.asarray(loss(z, p), dtype=float)
    if loss == "ari":
        return np.asarray(-adjusted_rand(z, p.argmax(axis=1)))
    out = np.empty(len(z))
    for i, (label, vote) in enumerate(zip(z, p, strict=True)):
        others = np.delete(vote, label)
        out[i] = {
            "hinge": 1 - vote[label],
            "margin": (others.max() if len(others) else 0.0) - vote[label],
            "brier": ((vote - np.eye(len(vote))[label]) ** 2).sum(),
            "log": -np.log(max(vote[label], CLIP)),
            "zero_one": float(vote.argmax() != label),
        }[loss]
    return out


def whole_votes(loss, votes):
    """One whole vote a minipatch for the losses that count them."""
    return one_hot(votes.argmax(axis=2), votes.shape[2]) if loss in ("zero_one", "ari") else votes


# ---------------------------------------------------------------- scores


def set_scores(votes, voters, held, z, loss, sets):
    """``D_G(i)`` (N, sets), NaN where undefined (for a loss of the whole set: everywhere), and their means."""
    votes = whole_votes(loss, votes)
    h = loo(votes, voters)
    samples, means = np.full((len(z), len(sets)), np.nan), np.full(len(sets), np.nan)
    for g, features in enumerate(sets):
        without = loco_loo(votes, voters, held, features)
        both = (z >= 0) & ~np.isnan(h[:, 0]) & ~np.isnan(without[:, 0])
        if not both.any():
            continue
        difference = loss_of(loss, z[both], without[both]) - loss_of(loss, z[both], h[both])
        if difference.ndim:
            samples[both, g] = difference
        means[g] = difference.mean()
    return samples, means


def pair_differences(votes, voters):
    """Mean squared distance over the first ten disjoint pairs of minipatches that vote on i."""
    out = np.full(votes.shape[1], np.nan)
    for i in range(len(out)):
        mine = votes[voters[:, i], i].astype(float)
        squares = [((mine[t] - mine[t + 1]) ** 2).sum() for t in range(0, len(mine) - 1, 2)][:PAIRS]
        if squares:
            out[i] = np.mean(squares)
    return out


def standard_errors(samples, differences, barrier, fraction):
    """``sd / sqrt(N) + eps Dhat log(N) n / N`` for each column, over the rows given."""
    known = differences[~np.isnan(differences)]
    dhat = np.sqrt(known.mean()) if len(known) else 0.0
    out = np.full(samples.shape[1], np.nan)
    for j, column in enumerate(samples.T):
        values = column[~np.isnan(column)]
        if len(values) > 1:
            count = len(values)
            out[j] = np.std(values, ddof=1) / np.sqrt(count) + barrier * dhat * np.log(count) * fraction
    return out


def column_means(samples):
    return np.array([np.mean(c[~np.isnan(c)]) if (~np.isnan(c)).any() else np.nan for c in samples.T])


def scores(votes, voters, held, z, loss, *, barrier=1e-4, fraction=None):
    """Every score of one loss, under the names of the fitted attributes."""
    m, k = held.shape[1], votes.shape[2]
    samples, means = set_scores(votes, voters, held, z, loss, [[j] for j in range(m)])
    votes = whole_votes(loss, votes)
    h = loo(votes, voters)
    scored = (z >= 0) & ~np.isnan(h[:, 0])
    out = {"feature_importances_": means, "loo_proba_": h}
    base = loss_of(loss, z[scored], h[scored]) if scored.any() else np.array([np.nan])
    out["loo_error_"] = base.mean()
    if loss == "ari" or base.ndim == 0:
        return out
    differences = pair_differences(votes, voters)
    fraction = 1 - voters.mean() if fraction is None else fraction
    everyone = z >= 0
    out["sample_importances_"] = samples
    out["standard_errors_"] = standard_errors(samples[everyone], differences[everyone], barrier, fraction)
    of = [z == c for c in range(k)]
    out["cluster_importances_"] = np.array([column_means(samples[c]) for c in of])
    out["cluster_standard_errors_"] = np.array(
        [standard_errors(samples[c], differences[c], barrier, fraction) for c in of]
    )
    return out


# ---------------------------------------------------------------- inference


def intervals(scores, errors, level):
    z = norm.ppf((1 + level) / 2)
    return np.array([[s - z * e, s + z * e] for s, e in zip(scores, errors, strict=True)])


def pvalues(scores, errors, samples):
    """``1 - Phi(score / error)``; 1 where the sample scores do not vary."""
    out = np.full(len(scores), np.nan)
    for j, (score, error) in enumerate(zip(scores, errors, strict=True)):
        values = samples[~np.isnan(samples[:, j]), j]
        if len(values) > 1:
            out[j] = 1.0 if np.ptp(values) < 1e-12 else 1 - norm.cdf(score / error)
    return out


def adjust(p, method):
    """Step-up and step-down corrections, from their definitions, leaving out NaN."""
    out = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    ordered = known[np.argsort(p[known], kind="stable")]
    n = len(known)
    harmonic = sum(1 / r for r in range(1, n + 1))
    for rank, at in enumerate(ordered, start=1):
        below, above = list(enumerate(p[ordered[:rank]], start=1)), list(enumerate(p[ordered], start=1))[rank - 1 :]
        out[at] = {
            "bonferroni": p[at] * n,
            "holm": max(value * (n - r + 1) for r, value in below),
            "bh": min(value * n / r for r, value in above),
            "by": min(value * n * harmonic / r for r, value in above),
        }[method]
    return np.minimum(out, 1.0)


# ---------------------------------------------------------------- methods


def halving(rounds, k, n_features):
    """RAMPART's ranking and the features of each round, from ``rounds(turn, active) -> scores of active``."""
    active, ranking, history = list(range(n_features)), np.zeros(n_features, dtype=int), []
    while True:
        history.append(active)
        if len(active) == 1 and len(history) > 1:
            # A single feature cannot be left out of anything.
            history.pop()
            break
        given = rounds(len(history) - 1, active)
        score = {j: -np.inf if np.isnan(s) else s for j, s in zip(active, given, strict=True)}
        order = sorted(active, key=lambda j: (-score[j], j))
        for rank, j in enumerate(order, start=1):
            ranking[j] = rank
        if len(active) <= k:
            break
        active = sorted(order[: max(k, len(active) // 2)])
    return ranking, history


def predict(classifier, X, y, X_new, n_classes):
    """Train on codes y and predict probabilities (n, K), whole votes where the classifier has no soft ones."""
    known = y >= 0
    if len(np.unique(y[known])) == 1:
        return one_hot(np.full(len(X_new), y[known][0]), n_classes)
    classifier.fit(X[known], y[known])
    if not hasattr(classifier, "predict_proba"):
        return one_hot(classifier.predict(X_new), n_classes)
    out = np.zeros((len(X_new), n_classes))
    out[:, classifier.classes_] = classifier.predict_proba(X_new)
    return out


def locomp(X, patches, clusterer, classifier, reference, loss, *, align=align, barrier=1e-4):
    """LOCO-MP with the user's estimators on minipatches ``[(rows, columns), ...]``; `reference` are codes.

    `clusterer` and `classifier` make a new estimator at each call.
    """
    n, m, k = *X.shape, reference.max() + 1
    all_rows, labels = [rows for rows, _ in patches], []
    votes, voters = np.zeros((len(patches), n, k)), np.zeros((len(patches), n), dtype=bool)
    held = np.zeros((len(patches), m), dtype=bool)
    for b, (rows, columns) in enumerate(patches):
        labels.append(align(clusterer().fit_predict(X[np.ix_(rows, columns)]), reference[rows]))
        held[b, columns] = True
        if (labels[b] < 0).all():
            continue
        outside = np.setdiff1d(np.arange(n), rows)
        part, rest = X[np.ix_(rows, columns)], X[np.ix_(outside, columns)]
        votes[b, outside] = predict(classifier(), part, labels[b], rest, k)
        # Probabilities that are all 0 are an abstention.
        voters[b, outside] = votes[b, outside].any(axis=1)
    z = consensus(labels, all_rows, reference, k)
    out = scores(votes, voters, held, z, loss, barrier=barrier, fraction=len(all_rows[0]) / n)
    return {**out, "consensus": z, "votes": votes, "voters": voters, "held": held}


def loco_split(X, splits, clusterer, classifier, reference, loss, *, align=align, sets=None):
    """LOCO-Split on given ``(train, calibration)`` splits: importances, losses with all features, labels."""
    k, m = reference.max() + 1, X.shape[1]
    sets = [[j] for j in range(m)] if sets is None else sets
    importances, errors, samples, labels = [], [], [], []
    for train, calibration in splits:
        y = align(clusterer().fit_predict(X[train]), reference[train])
        raw = clusterer().fit_predict(X[calibration])
        votes = [
            predict(classifier(), X[train][:, columns], y, X[calibration][:, columns], k)
            for columns in [list(range(m)), *([c for c in range(m) if c not in absent] for absent in sets)]
        ]
        # The labels to judge by: those of the calibration part, under the names that are predicted.
        z = raw if loss == "ari" else align(raw, votes[0].argmax(axis=1))
        known = raw >= 0
        if loss in ("zero_one", "ari"):
            votes = [one_hot(p.argmax(axis=1), k) for p in votes]
        base, *without = [loss_of(loss, z[known], p[known]) for p in votes]
        rises = np.full((len(X), len(sets)), np.nan)
        if base.ndim:
            rises[calibration[known]] = np.array([w - base for w in without]).T
        importances.append([(w - base).mean() for w in without])
        errors.append(base.mean())
        samples.append(rises)
        labels.append(z)
    return np.mean(importances, axis=0), np.mean(errors), samples, labels
