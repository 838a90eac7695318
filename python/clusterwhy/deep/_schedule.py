"""How long and how fast to train: epochs, rates on a cosine, when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable

from sklearn.exceptions import ConvergenceWarning

from clusterwhy._progress import Progress
from clusterwhy._warnings import warn_user


def along_cosine(start: float, end: float, share: float) -> float:
    """Go from `start` (share 0) to `end` (share 1 and above) along half a cosine."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))


def n_batches(n_samples: int, batch_size: int) -> int:
    """Batches of an epoch: `n_samples / batch_size` to the nearest, as the core cuts them."""
    return min(max((n_samples + batch_size // 2) // batch_size, 1), n_samples)


def enough_epochs(n_steps: int, least: int, n_samples: int, batch_size: int) -> int:
    """Epochs that take `n_steps` steps together, at least `least`."""
    return max(least, math.ceil(n_steps / n_batches(n_samples, batch_size)))


class Plateau:
    """Notices that losses no longer fall.

    Parameters
    ----------
    tol : float
        A loss is lower when it is by more than this share of the lowest so far.
    patience : int
        Epochs without a lower loss that make a plateau.
    """

    def __init__(self, tol: float, patience: int) -> None:
        self.tol = tol
        self.patience = patience
        self.lowest = math.inf
        self.waited = 0

    def reached(self, loss: float) -> bool:
        """Take in the loss of another epoch."""
        if self.lowest == math.inf or loss < self.lowest - self.tol * abs(self.lowest):
            self.lowest, self.waited = loss, 0
        else:
            self.waited += 1
        return self.waited >= self.patience


def run_epochs(
    n_epochs: int,
    step: Callable[[int], float],
    *,
    name: str,
    progress: Progress,
    plateau: Plateau,
    first_watched: int = 0,
) -> tuple[list[float], bool]:
    """Call ``step(epoch)`` for each epoch; return the losses, and whether Ctrl-C cut them short, which is a warning.

    Training ends early, too, when the losses from epoch `first_watched` on reach a plateau, and when a callback asks
    for it; a loss that is not finite is an error. `step` must leave everything as it was when it is interrupted.
    """
    losses: list[float] = []
    with progress.steps(name, n_epochs, n_epochs, unit="epoch") as begin:
        for epoch in range(n_epochs):
            try:
                with begin(1) as task:
                    loss = step(epoch)
            except KeyboardInterrupt:
                warn_user(
                    f"training was interrupted after {epoch} of {n_epochs} epochs of the {name}; what was learned is "
                    "kept, and what comes after is not trained (warm_start=True goes on from here)",
                    ConvergenceWarning,
                )
                return losses, True
            losses.append(loss)
            if not math.isfinite(loss):
                raise ValueError(
                    f"the loss of the {name} was {loss} after {epoch + 1} epochs: training diverged; lower its "
                    "learning rate, or scale the data"
                )
            if task.stopped or (epoch >= first_watched and plateau.reached(loss)):
                break
    return losses, False
