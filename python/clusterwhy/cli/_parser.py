"""The commands and their options."""

from __future__ import annotations

import argparse
import codecs
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from clusterwhy import __version__, demo
from clusterwhy._inference import CORRECTIONS
from clusterwhy._scores import NAMED
from clusterwhy.cli._compare import compare
from clusterwhy.cli._estimators import CLASSIFIERS, CLUSTERERS, METHODS
from clusterwhy.cli._explain import explain
from clusterwhy.cli._info import info
from clusterwhy.cli._output import FORMATS, LEVEL
from clusterwhy.cli._readers import READERS

EXAMPLES = """examples:
  clusterwhy explain cells.h5ad --labels leiden --top 20 --plot genes.png
  clusterwhy explain data.csv -k 3 --clusterer kmeans --standardize --out scores.csv
  clusterwhy compare data.parquet -k 3 --methods locomp,rampart,split
  cut -d, -f2- data.csv | clusterwhy explain - -k 3 | head"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        prog="clusterwhy",
        description="Which features drive a clustering: as a whole, for each cluster and for each observation.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"clusterwhy {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    common = Parser(add_help=False)
    common.add_argument("--traceback", action="store_true", help="on an error, show where it happened")

    one = commands.add_parser("explain", parents=[common], help="score the features of a data set")
    one.description = "Cluster the observations (rows) of a table and score its features (columns)."
    add_data(one)
    add_model(one)
    one.add_argument("--method", choices=METHODS, default="locomp", help="how to score (locomp)")
    one.add_argument("--by-cluster", action="store_true", help="one row for each cluster and feature")
    one.add_argument("--labels-out", type=Path, metavar="FILE", help="save the consensus label of every observation")
    output = add_output(one)
    output.add_argument("--adjust", choices=CORRECTIONS, default="bh", help="correction of p-values (bh)")
    one.set_defaults(level=LEVEL)
    one.set_defaults(run=explain)

    many = commands.add_parser("compare", parents=[common], help="several methods side by side")
    many.description = "Score the features of a table by several methods, and say how far these agree."
    add_data(many)
    add_model(many)
    many.add_argument("--methods", default="locomp,rampart,split", help=f"comma-separated, of {', '.join(METHODS)}")
    add_output(many)
    many.set_defaults(run=compare)

    cells = commands.add_parser("demo", parents=[common], help="explain the clusters of 700 blood cells")
    cells.description = "Explain a Ward clustering of 700 blood cells x 765 genes; needs the extra [datasets]."
    demo.add_arguments(cells)
    cells.set_defaults(run=demo.run)

    about = commands.add_parser("info", parents=[common], help="versions, instruction set and threads")
    about.description = "Versions of the packages, the instruction set of the core and the threads it may use."
    about.add_argument("--json", action="store_true", help="machine-readable")
    about.set_defaults(run=info)
    return parser


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add what to read."""
    data = parser.add_argument_group("data")
    data.add_argument("data", help=f"a file of type {', '.join(READERS)}, or - for standard input (CSV)")
    data.add_argument("--input-format", choices=READERS, help="where the file's name does not tell")
    data.add_argument(
        "--sep",
        type=separator,
        metavar="C",
        help=r"what separates columns of text (comma, or tab in .tsv; \s+: space)",
    )
    data.add_argument("--decimal", type=character, metavar="C", help="decimal point of text (.); , makes --sep ;")
    data.add_argument("--encoding", type=encoding, help="how text is encoded (utf-8), such as latin-1 or utf-16")
    data.add_argument("--no-header", action="store_true", help="the first line of text is an observation")
    data.add_argument(
        "--drop", action="append", default=[], metavar="COLUMN", help="leave a column out (may be repeated)"
    )
    data.add_argument(
        "--labels",
        metavar="NAME",
        help="labels to explain, in place of the clusterer's: a column (of obs in .h5ad, an array in .npz), "
        "or a file of one label a line or .npy",
    )
    data.add_argument("--key", help="array of an .npz file (X, or its only matrix)")
    data.add_argument("--layer", help="layer of an .h5ad file (X)")
    data.add_argument("--standardize", action="store_true", help="scale columns to mean 0 and variance 1")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add how to score; defaults are those of the method."""
    model = parser.add_argument_group("model")
    model.add_argument("--clusterer", choices=CLUSTERERS, help="what clusters the data (ward)")
    model.add_argument(
        "-k", "--clusters", type=count, metavar="K", help="how many clusters (as many as --labels has)"
    )
    model.add_argument("--classifier", choices=CLASSIFIERS, help="what predicts the clusters (the method's own)")
    model.add_argument(
        "--n-patches", type=count_or_auto, metavar="B", help="minipatches (1000), or auto: until the top is precise"
    )
    model.add_argument("--tol", type=nonnegative, help="of auto: a top score's error beside the largest score (0.05)")
    model.add_argument("--max-patches", type=count, metavar="B", help="of auto: the most minipatches (50000)")
    model.add_argument("--max-seconds", type=nonnegative, metavar="S", help="of auto: about how long (no limit)")
    part = "of a minipatch: a fraction, or a count"
    model.add_argument("--max-samples", type=size, metavar="SIZE", help=f"observations {part} (0.2)")
    model.add_argument("--max-features", type=size, metavar="SIZE", help=f"features {part} (0.2)")
    model.add_argument("--n-repeats", type=count, help="splits of split (1), permutations of permutation (10)")
    model.add_argument("--loss", choices=NAMED, help="what is compared with and without a feature (hinge)")
    model.add_argument("--engine", choices=("auto", "native", "sklearn"), help="where minipatches run (auto)")
    model.add_argument("--seed", type=seed, default=0, help="one seed gives the same result anywhere (0)")
    model.add_argument("--jobs", type=workers, default=-1, help="workers (-1: every core)")
    model.add_argument("-q", "--quiet", action="store_true", help="no progress and no warnings")


def add_output(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add what to do with the scores, and return the group of it."""
    output = parser.add_argument_group("output")
    output.add_argument("--top", type=count, metavar="N", help="only the N best features (20 in tables and figures)")
    output.add_argument("--level", type=proportion, help=f"coverage of the intervals ({LEVEL})")
    output.add_argument("--format", choices=FORMATS, help="of standard output (table on a terminal, csv in a pipe)")
    output.add_argument("--out", type=Path, metavar="FILE", help="save the scores as .csv, .tsv or .json")
    output.add_argument("--plot", type=Path, metavar="FILE", help="save a figure as .png, .pdf or .svg")
    return output


# What an option may be; argparse names the option, and the type, before the message.


def whole(text: str, wanted: str, accepts: Callable[[int], bool]) -> int:
    """Read a whole number that is accepted."""
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or not accepts(value):
        raise ArgumentTypeError(f"must be {wanted}, got {text!r}")
    return value


def count(text: str) -> int:
    """Read how many."""
    return whole(text, "a whole number of at least 1", lambda value: value >= 1)


def seed(text: str) -> int:
    """Read a seed."""
    return whole(text, "a whole number of at least 0, below 2**64", lambda value: 0 <= value < 2**64)


def workers(text: str) -> int:
    """Read a number of workers, as joblib counts them."""
    return whole(text, "a whole number other than 0 (-1: every core)", lambda value: value != 0)


def count_or_auto(text: str) -> int | str:
    """Read a number of minipatches."""
    return text if text == "auto" else whole(text, "auto or a whole number of at least 1", lambda value: value >= 1)


def proportion(text: str) -> float:
    """Read a number strictly between 0 and 1."""
    with suppress(ValueError):
        if 0 < float(text) < 1:
            return float(text)
    raise ArgumentTypeError(f"must lie strictly between 0 and 1, got {text!r}")


def nonnegative(text: str) -> float:
    """Read a number that is not below 0."""
    with suppress(ValueError):
        if 0 <= float(text) < float("inf"):
            return float(text)
    raise ArgumentTypeError(f"must be a number of at least 0, got {text!r}")


def size(text: str) -> float:
    """Read a count as an int, and a fraction as a float."""
    for kind in (count, proportion):
        with suppress(ArgumentTypeError):
            return kind(text)
    raise ArgumentTypeError(f"must be a count of at least 1, or a fraction between 0 and 1, got {text!r}")


def character(text: str) -> str:
    """Read one character."""
    if len(text) != 1:
        raise ArgumentTypeError(f"must be one character, got {text!r}")
    return text


def separator(text: str) -> str:
    r"""Read one character, a tab as ``\t``, or any white space as ``\s+``."""
    return text if text == r"\s+" else character(text.replace(r"\t", "\t"))


def encoding(text: str) -> str:
    """Read the name of an encoding."""
    try:
        return codecs.lookup(text).name
    except LookupError:
        raise ArgumentTypeError(f"must be an encoding that Python knows, such as latin-1, got {text!r}") from None
