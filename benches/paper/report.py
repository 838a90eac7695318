"""Figures and Markdown tables from the CSV, whatever part of it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from methods import LOCO, OTHERS
from simulations import NOISE, SETTINGS

from clusterwhy.displays._axes import COLOURS, SEQUENTIAL

#: Top-10 hits that the source prints for LOCO-MP and RAMPART, easy settings, p = 20 to 1000.
SOURCE = {
    ("gaussian", "LOCO-MP"): (1, 1, 1, 0.84, 0.55),
    ("gaussian", "LOCO-RAMPART"): (1, 1, 0.99, 0.99, 0.92),
    ("moons_circles", "LOCO-MP"): (1, 1, 1, 0.99, 0.83),
    ("moons_circles", "LOCO-RAMPART"): (1, 1, 1, 1, 0.99),
    ("gamma", "LOCO-MP"): (1, 1, 1, 0.73, 0.39),
    ("gamma", "LOCO-RAMPART"): (1, 1, 1, 0.92, 0.79),
}


def write(table: pd.DataFrame, folder: Path) -> None:
    """Draw what was measured, and write ``tables.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for experiment, part in table.groupby("experiment", sort=False):
        if experiment == "figure1":
            parts.append(toy(part, folder))
        elif experiment == "cells":
            parts.append(cells(part, folder))
        else:
            parts.append(simulation(str(experiment), part, folder))
    (folder / "tables.md").write_text("\n".join(parts))


def markdown(frame: pd.DataFrame) -> str:
    """Write a table as Markdown; numbers as they are."""
    rows = [[str(name) for name in frame.columns], ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def with_error(values: pd.Series) -> str:
    """Write a mean with its standard error."""
    if len(values) < 2:
        return f"{values.mean():.2f}"
    return f"{values.mean():.2f} ± {values.std(ddof=1) / np.sqrt(len(values)):.2f}"


def simulation(experiment: str, table: pd.DataFrame, folder: Path) -> str:
    """Top-10 hits by noise features: a panel for each setting and difficulty, and one table."""
    methods = [method for method in (*LOCO, *OTHERS) if method in set(table["method"])]
    keys = ["setting", "difficulty", "n_noise"]
    hits = table[table["metric"] == "top10_hits"]
    # Only data sets that every method has seen, in the order of the source and not in that of the workers.
    hits = hits.groupby([*keys, "replicate"]).filter(lambda part: len(part) == len(methods))
    hits = hits.sort_values(
        keys, key=lambda column: column.map(list(SETTINGS).index) if column.name == "setting" else column
    )
    panels = list(hits.groupby(["setting", "difficulty"], sort=False))
    figure = Figure(figsize=(4 * ((len(panels) + 1) // 2), 7), layout="constrained")
    axes = np.atleast_1d(figure.subplots(2, (len(panels) + 1) // 2, sharey=True, squeeze=False).T.ravel())
    for ax, ((setting, difficulty), part) in zip(axes, panels, strict=False):
        for method, colour in zip(methods, COLOURS, strict=False):
            by_noise = part[part["method"] == method].groupby("n_noise")["value"]
            error = by_noise.sem().fillna(0)
            style = {"lw": 2.5, "marker": "o"} if method in LOCO else {"lw": 1.2, "marker": "."}
            ax.errorbar(error.index + 10, by_noise.mean(), yerr=error, label=method, color=colour, **style)
        ax.set(title=f"{setting}, {difficulty}", xscale="log", xlabel="features", ylim=(-0.03, 1.03))
        n_features = sorted(hits["n_noise"].unique() + 10)
        ax.set_xticks(n_features, n_features)
        ax.minorticks_off()
    for ax in axes[:2]:
        ax.set_ylabel("top-10 hits")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(methods))
    figure.savefig(folder / f"{experiment}.png", dpi=110)

    size = hits[["n_clusters", "n_samples"]].iloc[0]
    counts = hits.groupby(["setting", "difficulty", "n_noise", "method"]).size()
    lines = [
        f"## {experiment}: K = {size.n_clusters}, N = {size.n_samples}",
        "",
        f"Mean top-10 hits ± standard error over {counts.min()} to {counts.max()} data sets.",
        "",
    ]
    wide = hits.groupby([*keys, "method"], sort=False)["value"].agg(with_error).unstack("method")[methods]
    means = hits.groupby([*keys, "method"], sort=False)["value"].mean().unstack("method")[methods]
    frame = wide.reset_index()
    for method in LOCO:
        if experiment.startswith("figure2"):
            frame[f"{method}, source"] = [_source(row, method) for row in frame.itertuples()]
    lines.append(markdown(frame.fillna("")))
    others = [method for method in methods if method not in LOCO]
    for method in [method for method in LOCO if method in methods and others]:
        at_top = (means[method] >= means[others].max(axis=1) - 1e-9).sum()
        easy = means[method][
            means.index.isin(["easy"], "difficulty") & (means.index.get_level_values("n_noise") < 990)
        ]
        lines.append(
            f"{method} is at or above every other method in {at_top} of {len(means)} cells, and finds .95 in "
            f"{(easy >= 0.95 - 1e-9).sum()} of {len(easy)} easy ones below 990 noise features."
        )
    seconds = table[table["metric"] == "seconds"].groupby(["method", "n_noise"])["value"].mean().unstack()
    lines += ["", "Mean seconds of one core:", "", markdown(seconds.loc[methods].round(2).reset_index())]
    return "\n".join(lines)


def _source(row: Any, method: str) -> str:
    known = SOURCE.get((row.setting, method))
    if known is None or row.difficulty != "easy" or row.n_noise not in NOISE:
        return ""
    return str(known[NOISE.index(row.n_noise)])


def toy(table: pd.DataFrame, folder: Path) -> str:
    """Bars of the five features for each method, scaled to a largest value of 1, and the table."""
    scores = table[table["metric"] == "score"]
    means = scores.groupby(["method", "item"], sort=False)["value"].mean().unstack("item")
    figure = Figure(figsize=(2.2 * len(means), 3), layout="constrained")
    for ax, (method, row) in zip(figure.subplots(1, len(means), squeeze=False)[0], means.iterrows(), strict=True):
        colours = ["#0072B2" if item in ("X1", "X2", "X3") else "#999999" for item in means.columns]
        ax.bar(means.columns, row / np.abs(row).max(), color=colours)
        ax.axhline(0, color="0.3", lw=0.8)
        ax.set_title(str(method), fontsize="medium")
    figure.savefig(folder / "figure1.png", dpi=110)
    frame = scores.groupby(["method", "item"], sort=False)["value"].agg(lambda v: f"{v.mean():.3f}").unstack("item")
    return "\n".join(
        [f"## figure1: mean of {scores['replicate'].nunique()} data sets", "", markdown(frame.reset_index())]
    )


def of_types(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean over the seeds of a count for each method and type; a type that no cluster is matched to counts 0."""
    part = table[table["metric"] == metric]
    methods, items = part["method"].unique(), part["item"].unique()
    counts = part.pivot(index=["method", "replicate"], columns="item", values="value").fillna(0)
    return counts.groupby("method").mean().loc[methods, items]


def cells(table: pd.DataFrame, folder: Path) -> str:
    """Tables 1 and 2, the global top genes (Figure 3) and those of four clusters (Figure 4)."""
    lines = [f"## cells: mean of {table['replicate'].nunique()} seeds", ""]
    for metric, title in (
        ("markers", "Table 1: markers of the matched type among the top 10 of each cluster"),
        ("markers_of_others", "Table 2: markers of other types only"),
    ):
        wide = of_types(table, metric)
        wide["sum"] = wide.sum(axis=1)
        lines += [title, "", markdown(wide.round(1).reset_index())]
    ranks = table[(table["metric"] == "global_rank") & (table["replicate"] == 0)]
    rows = [(m, ", ".join(part.sort_values("value")["item"])) for m, part in ranks.groupby("method", sort=False)]
    lines += [
        "Figure 3: the top genes of the whole clustering (seed 0)",
        "",
        markdown(pd.DataFrame(rows, columns=["method", "genes"])),
    ]
    ranks = table[(table["metric"] == "rank") & (table["replicate"] == 0)].copy()
    ranks[["type", "gene"]] = ranks["item"].str.split(": ", n=1, expand=True)
    keep = ["CD14+ Monocyte", "Dendritic", "CD56+ NK", "CD34+"]
    rows = [
        (m, t, ", ".join(part.sort_values("value")["gene"]))
        for (m, t), part in ranks[ranks["type"].isin(keep)].groupby(["method", "type"], sort=False)
    ]
    lines += [
        "Figure 4: the top genes of four clusters (seed 0)",
        "",
        markdown(pd.DataFrame(rows, columns=["method", "type", "genes"])),
    ]
    _draw_markers(table, folder)
    return "\n".join(lines)


def _draw_markers(table: pd.DataFrame, folder: Path) -> None:
    wide = of_types(table, "markers")
    figure = Figure(figsize=(9, 0.6 * len(wide) + 2.5), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(wide, cmap=SEQUENTIAL, vmin=0, vmax=10, aspect="auto")
    ax.set_yticks(range(len(wide)), wide.index)
    ax.set_xticks(range(wide.shape[1]), wide.columns, rotation=35, ha="right")
    for (i, j), value in np.ndenumerate(wide.to_numpy()):
        ax.text(j, i, f"{value:.1f}", ha="center", va="center", color="w" if value < 6 else "k", fontsize="small")
    figure.colorbar(image, ax=ax, label="markers among the top 10")
    figure.savefig(folder / "cells.png", dpi=110)
