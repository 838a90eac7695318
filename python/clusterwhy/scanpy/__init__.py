"""For single-cell analysts: from an AnnData with clusters to the genes that drive them, in scanpy's own form.

:func:`rank_genes_loco` writes what ``scanpy.tl.rank_genes_groups`` writes, so that scanpy's tables, filters and plots
of markers read it. :class:`Leiden` clusters minipatches as ``scanpy.tl.leiden`` clusters cells.

Importing this module needs neither scanpy nor anndata.
"""

from ._leiden import Leiden
from ._rank_genes_loco import rank_genes_loco

__all__ = ["Leiden", "rank_genes_loco"]
