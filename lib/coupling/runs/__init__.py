"""Runs: what a run needs before it, and how each part is made.

`prepared`, `base` and `explain` make a prepared M0, a base and an explainer, with everything that these need first.
A result that is complete is read and never computed again, unless `force` is set. The names below are imported when
they are first used, so that reading plans and records needs no torch.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "Models": "m0", "Result": "result", "base": "make", "explain": "make", "explainer": "make", "items_of": "result",
    "prepared": "make",
}  # fmt: skip

__all__ = ["Models", "Result", "base", "explain", "explainer", "items_of", "prepared"]


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name when the name is first asked for (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
