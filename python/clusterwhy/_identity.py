"""What an ensemble depends on, in words that can be compared: data, estimators, minipatches, version."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any, cast

import joblib
import numpy as np
import sklearn
from numpy.typing import NDArray
from scipy.sparse import issparse

from clusterwhy import _core

# From the name of what an ensemble depends on to a description of it.
Identity = dict[str, str]

# Bytes of data that are brought into C order at a time.
HASH_BYTES = 2**26
# Longer descriptions are cut in messages.
SHOWN = 120


def versions() -> Identity:
    """What computed it."""
    return {"clusterwhy": _core.VERSION, "scikit-learn": sklearn.__version__}


def describe(value: Any, within: tuple[int, ...] = ()) -> str:
    """Describe a parameter by its content, the same in any process.

    Functions and classes go by their names: what they do is not looked at. `within` are the identities of the objects
    that hold it, one of which it may be.
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value)
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, np.ndarray) or issparse(value):
        return describe_data(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    name = name_of_class(value)
    if id(value) in within:
        return f"{name}, which holds this"
    within = (*within, id(value))
    if isinstance(value, dict):
        items = (f"{describe(key, within)}: {describe(item, within)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(describe(item, within) for item in value) + "]"
    if hasattr(value, "get_params"):
        parts = value.get_params(deep=False)
    else:
        try:
            return f"{name}({joblib.hash(value)})"
        except Exception:  # whatever pickling an unknown object raises
            parts = parts_of(value)
    return f"{name}({', '.join(f'{key}={describe(parts[key], within)}' for key in sorted(parts))})"


def parts_of(value: Any) -> dict[str, Any]:
    """Return what an object holds, by name, as far as Python tells."""
    parts = dict(getattr(value, "__dict__", {}))
    slots = [getattr(kind, "__slots__", ()) for kind in type(value).__mro__]
    names = [name for some in slots for name in ([some] if isinstance(some, str) else some)]
    if isinstance(value, partial):
        names += ["func", "args", "keywords"]
    parts |= {name: getattr(value, name) for name in names if hasattr(value, name)}
    return {name: part for name, part in parts.items() if name not in ("__dict__", "__weakref__")}


def name_of_class(value: Any) -> str:
    """Name the class of an object, and the package that it is of: others have classes of the same name."""
    kind = type(value)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def describe_estimator(role: str, estimator: Any) -> Identity:
    """Describe an estimator by its class and each of its parameters, however deep."""
    found = {role: name_of_class(estimator) if hasattr(estimator, "get_params") else describe(estimator)}
    params = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    for name, value in sorted(params.items()):
        found[f"{role}__{name}"] = name_of_class(value) if hasattr(value, "get_params") else describe(value)
    return found


def describe_data(X: Any) -> str:
    """Describe data by dtype, shape and a hash of the values, which does not depend on their order in memory."""
    digest = hashlib.blake2b(digest_size=16)
    if issparse(X):
        X = cast(Any, X)
        for part in (X.data, X.indices, X.indptr):
            _update(digest, part)
        return f"sparse {X.dtype} of shape {X.shape}, hash {digest.hexdigest()}"
    if X.dtype.hasobject:
        return f"{X.dtype} of shape {X.shape}, hash {joblib.hash(X)}"
    _update(digest, X)
    return f"{X.dtype} of shape {X.shape}, hash {digest.hexdigest()}"


def _update(digest: Any, array: NDArray[Any]) -> None:
    """Hash an array by rows, a bounded number of bytes at a time."""
    if array.ndim == 0 or not array.size:
        digest.update(array.tobytes())
        return
    rows = max(1, HASH_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]).view(np.uint8).data)


def refuse_differences(before: Identity, now: Identity, problem: str, advice: str) -> None:
    """Raise a ValueError that names what differs, if anything does."""
    missing = "(nothing)"
    changes = [
        f"{name} was {_short(before.get(name, missing))}, and is now {_short(now.get(name, missing))}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if changes:
        raise ValueError(f"{problem}: {'; '.join(changes)}. To go on, {advice}")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
