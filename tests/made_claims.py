"""Rows of a table of claims, made by hand."""


def claim(verdict, **values):
    """One row of a table of claims, as the oldest committed tables have it."""
    plain = {
        "claim": "1",
        "text": "explanations are faithful",
        "profile": "tiny",
        "task": "hint_qa",
        "measure": "gap",
        "seeds": 5,
        "unit": "M0s",
        "seeds_above": 4,
        "effect": 0.02,
        "low": 0.01,
        "high": 0.03,
        "p": 0.0125,
        "controls": ["gold answer below self: passed", "no collapsed run: failed"],
    }
    return plain | {"verdict": verdict} | values


def unmeasured(verdict, **values):
    """A row without an effect."""
    numbers = dict.fromkeys(("seeds_above", "effect", "low", "high", "p"), float("nan"))
    return claim(verdict, **(numbers | {"seeds": 0, "unit": "", "measure": "", "controls": []} | values))
