"""Runs: what a run needs before it, and how each part of it is made.

`prepared` makes a prepared M0, `base` measures the behaviours of an M0, `explain` trains an explainer, and
`circuits` patches the model that it trained. Each of them first makes what it needs. A complete result is
read and never computed again, unless `force` is set. The public names are imported when they are first used,
so that reading plans and records needs no torch.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "Models": "m0",
    "Result": "result",
    "base": "make",
    "circuits": "make",
    "explain": "make",
    "explainer": "make",
    "items_of": "result",
    "prepared": "make",
}

__all__ = ["Models", "Result", "base", "circuits", "explain", "explainer", "items_of", "prepared"]


def __getattr__(name: str) -> Any:
    """A public name of the package. The module that holds it is imported now (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
