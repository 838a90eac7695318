"""``clusterwhy explain``: the scores of one method."""

from __future__ import annotations

from argparse import Namespace

from clusterwhy._anndata import patches_fitted, stored_params
from clusterwhy._importances import import_extra
from clusterwhy.cli._data import read_data
from clusterwhy.cli._estimators import check_options, name_of_clusterer
from clusterwhy.cli._fit import fit
from clusterwhy.cli._output import check_output, rows_shown, save, show
from clusterwhy.displays._overview import save_overview


def explain(options: Namespace) -> None:
    """Score the features of a table and present the scores."""
    pandas = import_extra("pandas", "cli", "the table of scores")
    check_output(options)
    check_options([options.method], options)
    data = read_data(options)
    model = fit(options.method, options, data)
    frame = model.to_frame(by_cluster=options.by_cluster, level=options.level, adjust=options.adjust)
    groups = "cluster" if options.by_cluster else None
    summary = {
        "method": options.method,
        "clusterer": name_of_clusterer([options.method], options),
        "n_samples": len(data.rows),
        "n_features": model.n_features_in_,
        "classes": model.classes_.tolist(),
        "loo_error": getattr(model, "loo_error_", None),
        "n_patches": patches_fitted(model),
        "parameters": stored_params(model._params_used()),
        "seed": options.seed,
        "engine": str(model.engine_) if hasattr(model, "engine_") else None,
    }
    save(frame, options, summary, groups)
    if options.plot:
        best = {"Whole clustering": model}
        save_overview(best, options.plot, max_display=rows_shown(options), by_cluster=True, level=options.level)
    if options.labels_out:
        labels = pandas.DataFrame({"observation": data.rows, "label": model.labels_})
        labels.to_csv(options.labels_out, index=False)
    show(frame, options, summary, groups)
