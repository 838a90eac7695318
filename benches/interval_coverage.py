"""How far intervals, p-values and Monte-Carlo errors can be trusted, by simulation.

Five parts. `intervals`: coverage of the 95% intervals of LOCO-MP over fresh data sets from one mixture and fresh
minipatches, the target being the mean score over them. `conditional`: the same for the target that the
theory has, the expected score, on fresh observations, of the very ensemble that was fitted. `nulls` and
`nulls_split`: how often LOCO-MP and LOCO-Split call features of pure noise significant. `monte_carlo`: the
Monte-Carlo error, as estimated from one seed, over the standard deviation between seeds.

    python benches/interval_coverage.py [--parts intervals conditional nulls nulls_split monte_carlo] [--quick]
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from _study import arguments, save, show
from scipy.stats import norm
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

import clusterwhy as cw
from clusterwhy._scores import NAMED, score_ensemble
from clusterwhy.datasets import make_gaussian_mixture

N_SIGNAL, N_NOISE = 10, 40
N_FEATURES = N_SIGNAL + N_NOISE
REACH = norm.ppf(0.975)
KIND = np.array(["signal"] * N_SIGNAL + ["null"] * N_NOISE)


def fresh_samples(n_samples: int, n_clusters: int, n_sets: int, n_spare: int = 0) -> Any:
    """Cut data sets (and a spare one) from one large sample of one mixture: rows are in random order."""
    X, y, _ = make_gaussian_mixture(n_samples * n_sets + n_spare, n_clusters, n_noise=N_NOISE, random_state=0)
    parts = [slice(i * n_samples, (i + 1) * n_samples) for i in range(n_sets)]
    spare = slice(n_samples * n_sets, None)
    return [(X[part], y[part]) for part in parts], (X[spare], y[spare])


def covered(scores: Any, target: Any, errors: Any) -> Any:
    return np.abs(scores - target) <= REACH * errors


def intervals(options: Any) -> pd.DataFrame:
    """Coverage of the mean score over data sets and minipatches, with the true groups as reference."""
    n_samples, n_sets, budgets = (200, 20, (100,)) if options.quick else (300, 5 * options.seeds, (100, 400, 1600))
    samples, _ = fresh_samples(n_samples, 3, n_sets)
    rows = []
    for n_patches in budgets:
        found = []
        for seed, (X, y) in enumerate(samples):
            fitted = cw.LOCOMP(KMeans(3), n_patches=n_patches, reference=y, n_jobs=options.jobs, random_state=seed)
            fitted.fit(X)
            found.append((fitted.feature_importances_, fitted.standard_errors_, fitted.monte_carlo_errors_))
        scores, errors, mc = np.array(found).swapaxes(0, 1)
        target = scores.mean(axis=0)
        alone, both = covered(scores, target, errors), covered(scores, target, np.hypot(errors, mc))
        for j in range(N_FEATURES):
            rows.append(
                {
                    "n_samples": n_samples,
                    "n_sets": n_sets,
                    "n_patches": n_patches,
                    "feature": j,
                    "kind": KIND[j],
                    "target": target[j],
                    "sd_over_sets": scores[:, j].std(ddof=1),
                    "standard_error": np.sqrt((errors[:, j] ** 2).mean()),
                    "monte_carlo_error": np.sqrt((mc[:, j] ** 2).mean()),
                    "coverage_alone": alone[:, j].mean(),
                    "coverage_with_mc": both[:, j].mean(),
                }
            )
        print(f"intervals: {n_patches} minipatches done", flush=True)
    table = save(rows, options.output, "coverage_intervals")
    columns = ["target", "sd_over_sets", "standard_error", "monte_carlo_error", "coverage_alone", "coverage_with_mc"]
    show(
        "95% intervals, target: mean over data sets",
        table.groupby(["n_patches", "kind"])[columns].mean().reset_index(),
    )
    return table


def votes_of_everyone(X: Any, y: Any, X_new: Any, patches: Any, seed: int) -> Any:
    """Votes of every minipatch's tree for the observations of `X` and for new ones: (B, N + new, 3)."""
    everyone = np.vstack([X, X_new])
    votes = np.zeros((len(patches), len(everyone), 3))
    for b in range(len(patches)):
        rows, columns = patches.rows(b), patches.columns(b)
        labels = KMeans(3, n_init=1, random_state=seed * 100_000 + b).fit_predict(X[np.ix_(rows, columns)])
        aligned = cw.align_labels(labels, y[rows])
        tree = DecisionTreeClassifier(random_state=b).fit(X[np.ix_(rows, columns)], aligned)
        votes[b][:, tree.classes_] = tree.predict_proba(everyone[:, columns])
    return votes


def conditional(options: Any) -> pd.DataFrame:
    """Coverage of what the fitted ensemble would score on fresh observations; labels are the true groups."""
    n_samples, n_new = 300, 2000
    n_sets, n_patches = (6, 100) if options.quick else (2 * options.seeds, 400)
    samples, (X_new, y_new) = fresh_samples(n_samples, 3, n_sets, n_new)
    nobody = np.zeros((n_patches, n_new), dtype=bool)
    rows = []
    for seed, (X, y) in enumerate(samples):
        patches = cw.minipatches(n_samples, N_FEATURES, n_patches, seed=seed)
        votes = votes_of_everyone(X, y, X_new, patches, seed)
        held = np.zeros((n_patches, N_FEATURES), dtype=bool)
        np.put_along_axis(held, patches.columns(), True, axis=1)
        fitted = cw.loco_scores(votes[:, :n_samples], patches, y)
        new = cw.loco_scores(votes[:, n_samples:], (nobody, held), y_new)
        # The target is itself measured on a sample of new observations.
        target_error = np.nanstd(new.sample_importances_, axis=0) / np.sqrt(n_new)
        for j in range(N_FEATURES):
            rows.append(
                {
                    "seed": seed,
                    "feature": j,
                    "kind": KIND[j],
                    "score": fitted.feature_importances_[j],
                    "target": new.feature_importances_[j],
                    "standard_error": fitted.standard_errors_[j],
                    "target_error": target_error[j],
                    "difference": fitted.feature_importances_[j] - new.feature_importances_[j],
                }
            )
    table = save(rows, options.output, "coverage_conditional")
    # Their shared noise is not the interval's fault: widen by it.
    table["covered"] = covered(table["difference"], 0, np.hypot(table["standard_error"], table["target_error"]))
    summary = table.groupby("kind").agg(
        score=("score", "mean"),
        target=("target", "mean"),
        bias=("difference", "mean"),
        sd_of_difference=("difference", "std"),
        standard_error=("standard_error", "mean"),
        coverage=("covered", "mean"),
    )
    show(f"95% intervals, target: this ensemble on fresh observations (B = {n_patches})", summary.reset_index())
    return table


def null_rows(name: str, n_clusters: int, n_patches: int, seed: int, fitted: Any) -> list[dict[str, Any]]:
    p = {"p": fitted.pvalues(), "p_bh": fitted.pvalues("bh"), "p_holm": fitted.pvalues("holm")}
    if not np.isnan(fitted.monte_carlo_errors_).all():
        p |= {f"{key}_mc": fitted.pvalues(how, monte_carlo=True) for key, how in CORRECTED.items()}
    else:
        p |= {f"{key}_mc": np.full(fitted.n_features_in_, np.nan) for key in CORRECTED}
    return [
        {
            "method": name,
            "n_clusters": n_clusters,
            "n_patches": n_patches,
            "seed": seed,
            "feature": j,
            "kind": "signal" if j < N_SIGNAL else "null",
            "score": fitted.feature_importances_[j],
            "standard_error": fitted.standard_errors_[j],
            "monte_carlo_error": fitted.monte_carlo_errors_[j],
            **{key: values[j] for key, values in p.items()},
        }
        for j in range(fitted.n_features_in_)
    ]


CORRECTED = {"p": None, "p_bh": "bh", "p_holm": "holm"}


def nulls(options: Any) -> pd.DataFrame:
    """How often LOCO-MP calls noise features significant, with and without corrections."""
    n_samples, budgets = (300, (200,)) if options.quick else (700, (200, 1000, 5000))
    classifiers = {"LOCO-MP tree": DecisionTreeClassifier(), "LOCO-MP 5-NN": KNeighborsClassifier(5)}
    rows = []
    for n_clusters in (3,) if options.quick else (3, 7):
        for seed in range(3 if options.quick else options.seeds):
            X, _, _ = make_gaussian_mixture(n_samples, n_clusters, n_noise=N_NOISE, random_state=100 + seed)
            for n_patches in budgets:
                for name, classifier in classifiers.items():
                    fitted = cw.LOCOMP(
                        KMeans(n_clusters), classifier, n_patches=n_patches, n_jobs=options.jobs, random_state=seed
                    ).fit(X)
                    rows += null_rows(name, n_clusters, n_patches, seed, fitted)
        table = save(rows, options.output, "coverage_nulls")
        print(f"nulls: K = {n_clusters} done", flush=True)
    show_nulls(table)
    return table


def nulls_split(options: Any) -> pd.DataFrame:
    """The same of LOCO-Split, where each feature costs a forest: ten noise features, fewer data sets."""
    rows = []
    for n_clusters in (3,) if options.quick else (3, 7):
        for seed in range(2 if options.quick else options.seeds):
            X, _, _ = make_gaussian_mixture(700, n_clusters, n_noise=N_NOISE // 4, random_state=100 + seed)
            for repeats in (1, 4) if seed < options.seeds // 3 else (1,):
                fitted = cw.LOCOSplit(
                    KMeans(n_clusters, n_init=10),
                    RandomForestClassifier(),
                    n_repeats=repeats,
                    n_jobs=options.jobs,
                    random_state=seed,
                ).fit(X)
                name = f"LOCO-Split forest, {repeats} split" + "s" * (repeats > 1)
                rows += null_rows(name, n_clusters, 0, seed, fitted)
            table = save(rows, options.output, "coverage_nulls_split")
        print(f"nulls_split: K = {n_clusters} done", flush=True)
    show_nulls(table)
    return table


def show_nulls(table: pd.DataFrame) -> None:
    """Print shares of noise features, and of data sets with any, that are called significant."""
    null = table[table["kind"] == "null"]
    summaries = []
    for key, part in null.groupby(["method", "n_clusters", "n_patches"], sort=False):
        worst = part.groupby("seed")[["p_bh", "p_holm", "p_bh_mc", "p_holm_mc"]].min()
        known = part["p_mc"].notna().any()
        same = table[(table[["method", "n_clusters", "n_patches"]] == list(key)).all(axis=1)]
        signal = same[same["kind"] == "signal"]
        summaries.append(
            {
                "method": key[0],
                "K": key[1],
                "B": key[2],
                "mean null score": part["score"].mean(),
                "se": part["standard_error"].mean(),
                "mc": part["monte_carlo_error"].mean() if known else float("nan"),
                "p<.05": (part["p"] < 0.05).mean(),
                "p<.01": (part["p"] < 0.01).mean(),
                "p<.05 mc": (part["p_mc"] < 0.05).mean() if known else float("nan"),
                "p<.01 mc": (part["p_mc"] < 0.01).mean() if known else float("nan"),
                "any holm<.05": (worst["p_holm"] < 0.05).mean(),
                "any holm<.05 mc": (worst["p_holm_mc"] < 0.05).mean() if known else float("nan"),
                "FDP bh<.05": false_discovery_proportion(same, "p_bh"),
                "FDP bh<.05 mc": false_discovery_proportion(same, "p_bh_mc") if known else float("nan"),
                "power bh": (signal["p_bh"] < 0.05).mean(),
                "power bh mc": (signal["p_bh_mc"] < 0.05).mean() if known else float("nan"),
            }
        )
    title = "Noise features called significant (share of features; 'any': share of data sets)"
    show(title, pd.DataFrame(summaries))


def false_discovery_proportion(table: pd.DataFrame, column: str) -> float:
    """Mean over data sets of the share of noise among the discoveries at .05; 0 without discoveries."""
    called = table[table[column] < 0.05]
    wrong = called[called["kind"] == "null"].groupby("seed").size()
    shares = (wrong / called.groupby("seed").size()).reindex(table["seed"].unique())
    return float(shares.fillna(0.0).mean())


def monte_carlo(options: Any) -> pd.DataFrame:
    """Estimated Monte-Carlo errors over the spread between seeds, for labels held fixed and as fitted."""
    n_seeds, budgets = (8, (200,)) if options.quick else (2 * options.seeds, (200, 1000))
    X, _, _ = make_gaussian_mixture(300, 3, n_noise=N_NOISE, random_state=0)
    rows = []
    for n_patches in budgets:
        scores: dict[Any, list[Any]] = {}
        for seed in range(n_seeds):
            fitted = cw.LOCOMP(KMeans(3, n_init=10), n_patches=n_patches, n_jobs=options.jobs, random_state=seed)
            fitted.fit(X)
            if seed == 0:
                fixed = fitted._codes_.copy()
            codes = align_to_names_of(fitted, fixed)
            for loss in NAMED:
                for labels, z in (("fixed", codes), ("as fitted", fitted._codes_)):
                    found = score_ensemble(fitted._ensemble_, z, loss, barrier=0.0, threads=options.jobs or 1)
                    pair = (found["feature_importances_"], found["monte_carlo_errors_"])
                    scores.setdefault((loss, labels), []).append(pair)
        for (loss, labels), pairs in scores.items():
            values, claimed = np.array(pairs).swapaxes(0, 1)
            spread = values.std(axis=0, ddof=1)
            for kind in ("signal", "null"):
                at = kind == KIND
                rows.append(
                    {
                        "n_patches": n_patches,
                        "loss": loss,
                        "labels": labels,
                        "kind": kind,
                        "n_seeds": n_seeds,
                        "estimated": np.sqrt((claimed[:, at] ** 2).mean()),
                        "empirical": np.sqrt((spread[at] ** 2).mean()),
                        "ratio": np.sqrt((claimed[:, at] ** 2).mean() / (spread[at] ** 2).mean()),
                    }
                )
        print(f"monte_carlo: {n_patches} minipatches done", flush=True)
    table = save(rows, options.output, "coverage_monte_carlo")
    wide = table.pivot(index=["n_patches", "loss"], columns=["labels", "kind"], values="ratio")
    wide.columns = [" ".join(column) for column in wide.columns]
    show("Estimated Monte-Carlo error over the standard deviation between seeds (1 is right)", wide.reset_index())
    return table


def align_to_names_of(fitted: Any, fixed: Any) -> Any:
    """Give labels, fitted under another seed, the names that this fit has for the same clusters."""
    return np.asarray(cw.align_labels(fixed, fitted._codes_), dtype=np.int32)


PARTS = {
    "intervals": intervals,
    "conditional": conditional,
    "nulls": nulls,
    "nulls_split": nulls_split,
    "monte_carlo": monte_carlo,
}


def main() -> None:
    """Run the parts named on the command line."""
    parser = arguments(__doc__, seeds=20)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    options = parser.parse_args()
    for part in options.parts:
        PARTS[part](options)


if __name__ == "__main__":
    main()
