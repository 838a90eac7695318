"""How far a long run is, for whoever wants to know: tqdm's bars, and scikit-learn's callbacks (from 1.9 on).

A run is a tree of tasks: a fit has passes over the minipatches, and a pass has blocks. Each pass is a bar; each task
is one of scikit-learn's, so that its callbacks (``estimator.set_callbacks(ProgressBar())``) follow the same tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tqdm.auto import tqdm

from clusterwhy._validation import check_verbose

try:
    from sklearn import callback as _callback
except ImportError:  # scikit-learn before 1.9
    _callback = None

_CallbackSupport: Any = object if _callback is None else _callback.CallbackSupportMixin
Step = Callable[[int], AbstractContextManager["Progress"]]


class Progress:
    """A task of a run, with parts of its own.

    Parameters
    ----------
    verbose : int, default=0
        Whether to show bars.
    title : str, default=""
        What bars say before the name of a pass.
    task : sklearn.callback.CallbackContext, optional
        The task for scikit-learn's callbacks; None tells none.
    told : dict, default={}
        What the callbacks are told about: the estimator and the data.

    Attributes
    ----------
    stopped : bool
        Whether a callback asked, at the end of the task, that no more of its kind follow.
    """

    def __init__(
        self, verbose: int = 0, *, title: str = "", task: Any = None, told: dict[str, Any] | None = None
    ) -> None:
        self.verbose = verbose
        self.title = title
        self.stopped = False
        self._task = task
        self._told = told or {}

    @contextmanager
    def part(self, name: str, n_parts: int | None = None) -> Iterator[Progress]:
        """Begin a part of this task, with `n_parts` of its own (None: not known yet), and end it if all went well."""
        task = None if self._task is None else self._task.subcontext(task_name=name, max_subtasks=n_parts)
        part = Progress(self.verbose, title=f"{self.title}{name}: ", task=task, told=self._told)
        if task is not None:
            task.call_on_fit_task_begin(**self._told)
        yield part
        if task is not None:
            part.stopped = task.call_on_fit_task_end(**self._told)

    @contextmanager
    def steps(self, name: str, n_steps: int, total: int, *, unit: str = "patch", start: int = 0) -> Iterator[Step]:
        """Begin a pass of `n_steps` steps over `total` units, of which `start` were done before.

        Yields a function that begins a step of so many units.
        """
        title = self.title + name
        hidden = not self.verbose
        with (
            self.part(name, n_steps) as whole,
            tqdm(total=total, initial=start, desc=title, unit=unit, disable=hidden, leave=True) as bar,
        ):

            @contextmanager
            def step(size: int) -> Iterator[Progress]:
                with whole.part("block" if unit == "patch" else unit, 0) as one:
                    yield one
                bar.update(size)

            yield step


SILENT = Progress()


class ReportsProgress(_CallbackSupport):
    """Lets an estimator's fit say how far it is: ``verbose``, and ``set_callbacks`` where scikit-learn has it."""

    verbose: int

    @contextmanager
    def _progress(self, X: Any, n_parts: int | None = None) -> Iterator[Progress]:
        """Begin a fit of `n_parts` passes (None: not known yet); callbacks are torn down however it ends."""
        verbose = check_verbose(self.verbose)
        if _callback is None:
            yield Progress(verbose)
            return
        try:
            task = self._init_callback_context(max_subtasks=n_parts)
            told = {"estimator": self, "X": X}
            task.call_on_fit_task_begin(**told)
            yield Progress(verbose, task=task, told=told)
            task.call_on_fit_task_end(**told, reconstruction_attributes={})
        finally:
            # A fit decorated so would be a frame between a warning and the line that it is about.
            _callback.with_callbacks(lambda estimator: None)(self)
