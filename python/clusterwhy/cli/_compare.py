"""``clusterwhy compare``: the ranks that several methods give the features, side by side."""

from __future__ import annotations

import time
from argparse import Namespace
from itertools import combinations
from typing import Any

import numpy as np

from clusterwhy._anndata import patches_fitted, stored_params
from clusterwhy._importances import import_extra
from clusterwhy.cli._data import read_data
from clusterwhy.cli._errors import UsageError
from clusterwhy.cli._estimators import METHODS, check_options, name_of_clusterer
from clusterwhy.cli._fit import fit
from clusterwhy.cli._output import LEVEL, check_output, rows_shown, save, show
from clusterwhy.displays._overview import save_overview
from clusterwhy.metrics import rank_stability


def compare(options: Namespace) -> None:
    """Score the features of a table by several methods and present scores, ranks and agreement."""
    pandas = import_extra("pandas", "cli", "the table of scores")
    check_output(options)
    if options.level is not None and not options.plot:
        raise UsageError("--level is for the intervals of a figure: pass --plot too, or leave it out")
    methods = check_methods(options.methods)
    check_options(methods, options)
    data = read_data(options)
    models: dict[str, Any] = {}
    seconds = {}
    for method in methods:
        start = time.perf_counter()
        models[method] = fit(method, options, data)
        seconds[method] = round(time.perf_counter() - start, 3)
    ranks = {method: model.ranking_ for method, model in models.items()}
    columns: dict[str, Any] = {
        "feature": models[methods[0]]._names(),
        "mean_rank": np.mean(list(ranks.values()), axis=0),
    }
    for method, model in models.items():
        columns[f"{method}_rank"] = model.ranking_
        columns[f"{method}_importance"] = model.feature_importances_
    frame = pandas.DataFrame(columns).sort_values(["mean_rank", f"{methods[0]}_rank"]).reset_index(drop=True)
    top = min(rows_shown(options), len(frame))
    agreement = []
    for one, other in combinations(methods, 2):
        found = rank_stability([-ranks[one].astype(float), -ranks[other].astype(float)], top_k=top)
        shared = round(found["top_k_overlap"] * top)
        agreement.append({"methods": [one, other], "top": top, "shared": shared, "spearman": found["spearman"]})
    summary = {
        "clusterer": name_of_clusterer(methods, options),
        "seed": options.seed,
        "seconds": seconds,
        "agreement": agreement,
        "n_patches": {method: patches_fitted(model) for method, model in models.items()},
        "parameters": {method: stored_params(model._params_used()) for method, model in models.items()},
    }
    save(frame, options, summary)
    if options.plot:
        save_overview(models, options.plot, max_display=top, by_cluster=False, level=options.level or LEVEL)
    show(frame, options, summary)


def check_methods(text: str) -> list[str]:
    """Read the names of two or more methods."""
    methods = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in methods if name not in METHODS]
    if unknown or len(methods) < 2:
        got = f"got {unknown[0]!r}" if unknown else f"each once, got {text!r}"
        raise UsageError(f"--methods must be two or more of {', '.join(METHODS)}, {got}")
    return methods
