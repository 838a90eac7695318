"""What fitted scores become inside an AnnData. The object itself is all that is needed: anndata is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("n_obs", "n_vars", "obs", "obsm", "var", "varm", "uns")
# Of var, after the key: what feature_columns may find.
COLUMNS = ("score", "se", "mc_se", "pval", "pval_adj", "rank")


def check_anndata(adata: Any) -> None:
    """Refuse what is not an AnnData."""
    if not all(hasattr(adata, name) for name in PARTS):
        raise TypeError(f"adata must be an anndata.AnnData, got {type(adata).__name__}")


def check_key(key_added: Any) -> str:
    """Return `key_added` if it can name what is written."""
    if not isinstance(key_added, str):
        raise TypeError(f"key_added must be a string, got {key_added!r}")
    return key_added


def check_free(adata: Any, key: str) -> None:
    """Refuse a key under which there is something that no earlier fit wrote."""
    before = adata.uns.get(key)
    if isinstance(before, Mapping) and "classes" in before:
        return
    for name in ("obs", "varm", "uns"):
        if key in getattr(adata, name):
            raise ValueError(
                f"key_added={key!r} would overwrite adata.{name}[{key!r}]: choose another name, or delete it first"
            )


def patches_fitted(model: Any) -> Any:
    """Return how many minipatches a model was fitted on, of RAMPART in each round; None where there are none."""
    if hasattr(model, "rounds_"):
        return [turn["n_patches"] for turn in model.rounds_]
    return getattr(model, "n_patches_", None)


def feature_columns(model: Any) -> dict[str, NDArray[Any]]:
    """Collect the global scores that a fitted model defines, each of shape (M,), under the names of their columns."""
    columns = {"score": model.feature_importances_}
    if hasattr(model, "standard_errors_"):
        columns["se"] = model.standard_errors_
    if hasattr(model, "monte_carlo_errors_"):
        columns["mc_se"] = model.monte_carlo_errors_
    if hasattr(model, "standard_errors_") and model._null_is_zero:
        known = model._knows_monte_carlo(by_cluster=False)
        columns["pval"] = model.pvalues(monte_carlo=known)
        columns["pval_adj"] = model.pvalues("bh", monte_carlo=known)
    columns["rank"] = model.ranking_
    return columns


def label_column(labels: NDArray[Any], classes: NDArray[Any]) -> Any:
    """Turn labels into a categorical of strings whose categories keep the order of `classes`; noise is "-1"."""
    import pandas

    names = [str(value) for value in classes]
    if labels.dtype.kind == "i" and (labels < 0).any():
        names = ["-1", *names]
    return pandas.Categorical(labels.astype(str), categories=names)


def stored_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what files can hold: numbers and strings as they are, objects as text; no None, no labels."""
    out = {}
    for name, value in params.items():
        if value is None or (name == "reference" and not isinstance(value, str)):
            continue
        plain = isinstance(value, (str, bool, int, float, np.generic))
        out[name] = value if plain else getattr(value, "__name__", None) or repr(value)
    return out


def clear_scores(adata: Any, key: str) -> None:
    """Take away what an earlier fit wrote under the same key, which may be more than the next one has."""
    for frame, names in (
        (adata.var, [f"{key}_{name}" for name in COLUMNS]),
        (adata.obs, [key, f"{key}_stability"]),
        (adata.varm, [key]),
        (adata.uns, [key]),
    ):
        for name in names:
            if name in frame:
                del frame[name]


def write_scores(model: Any, adata: Any, key_added: str) -> None:
    """Write the scores of a model that was fitted on the variables of `adata`."""
    check_anndata(adata)
    key = check_key(key_added)
    if adata.n_vars != model.n_features_in_:
        raise ValueError(
            f"adata has {adata.n_vars} variables, but {model.n_features_in_} features were fitted; "
            "pass the object (or the subset) that X came from"
        )
    if adata.n_obs != len(model.labels_):
        raise ValueError(
            f"adata has {adata.n_obs} observations, but {len(model.labels_)} were fitted; pass the same ones"
        )
    names = getattr(model, "feature_names_in_", None)
    # Wholly different names may be others of the same variables: symbols and identifiers.
    if names is not None and list(names) != list(adata.var_names) and (shared := set(names) & set(adata.var_names)):
        other = (
            "they are in another order" if len(shared) == len(names) else f"only {len(shared)} of them were fitted"
        )
        raise ValueError(
            f"adata has as many variables as were fitted, {adata.n_vars}, but {other}; pass "
            "adata[:, model.feature_names_in_].copy()"
        )
    check_free(adata, key)
    clear_scores(adata, key)
    for name, values in feature_columns(model).items():
        adata.var[f"{key}_{name}"] = values
    if hasattr(model, "cluster_importances_"):
        adata.varm[key] = np.ascontiguousarray(model.cluster_importances_.T)
    adata.obs[key] = label_column(model.labels_, model.classes_)
    if hasattr(model, "label_stability_"):
        adata.obs[f"{key}_stability"] = model.label_stability_
    adata.uns[key] = {
        "method": type(model).__name__,
        "params": stored_params(model._params_used()),
        "classes": np.asarray(model.classes_).astype(str),
    }
    if hasattr(model, "loo_error_"):
        adata.uns[key]["loo_error"] = float(model.loo_error_)
    if (n_patches := patches_fitted(model)) is not None:
        adata.uns[key]["n_patches"] = n_patches
