"""Sentences and cells from numbers: how means, their intervals and their sides are written."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

ZERO, HALF = 0.0, 0.5  # the nulls of a difference and of a preference
_NULLS = {ZERO: "zero", HALF: "one half"}


class Case(NamedTuple):
    """A mean with its 95 % interval, and whose it is.

    Attributes:
        name: What has this mean, for instance a task and a condition.
        mean: The mean.
        low: The lower end of the interval; NaN where there is no interval.
        high: The upper end.
    """

    name: str
    mean: float
    low: float
    high: float


def share(value: float) -> str:
    """Write a share from 0 to 1; empty for NaN."""
    return "" if pd.isna(value) else f"{value:.3f}"


def difference(value: float) -> str:
    """Write a difference with its sign; empty for NaN."""
    return "" if pd.isna(value) else f"{value:+.3f}"


def count(part: int, whole: int) -> str:
    """Write how many of all; empty where none are."""
    return f"{part} of {whole}" if part else ""


def interval(row: Any, name: str, write: Callable[[float], str] = difference) -> str:
    """Write a mean with its interval; the mean alone where there is no interval.

    Args:
        row: Holds the mean under `name`, and the ends of the interval under `name`_low and `name`_high.
        name: The measure.
        write: How a number is written.
    """
    mean, low, high = (row[column] for column in (name, f"{name}_low", f"{name}_high"))
    if pd.isna(mean) or pd.isna(low):
        return write(mean)
    return f"{write(mean)} ({write(low)} to {write(high)})"


def listed(words: Iterable[str]) -> str:
    """Join words by commas, the last two by "and"."""
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def named(rows: pd.DataFrame) -> list[str]:
    """Name each row by its condition, and by its task too where there are several tasks."""
    several = rows["task"].nunique() > 1
    return [
        f"{task} `{condition}`" if several else f"`{condition}`"
        for task, condition in zip(rows["task"], rows["condition"], strict=True)
    ]


def cases(rows: pd.DataFrame, measure: str) -> list[Case]:
    """Return the cases of a measure, one a row of a summary that has the measure."""
    columns = [measure, f"{measure}_low", f"{measure}_high"]
    found = (Case(name, *ends) for name, *ends in zip(named(rows), *(rows[c] for c in columns), strict=True))
    return [case for case in found if not pd.isna(case.mean)]


def sides(what: str, found: Sequence[Case], null: float = ZERO) -> list[str]:
    """Say on which side of the null each interval lies.

    Args:
        what: What is measured, with which the sentence begins.
        found: The cases.
        null: The value of no effect.

    Returns:
        One sentence, with the mean of each case in brackets. Cases without an interval have a sentence of
        their own. Empty without any case.
    """
    write = share if null == HALF else difference
    groups: dict[str, list[str]] = {"lies above": [], "lies below": [], "cannot be told from": [], "": []}
    for case in found:
        side = "cannot be told from"
        if pd.isna(case.low):
            side = ""
        elif case.low > null:
            side = "lies above"
        elif case.high < null:
            side = "lies below"
        groups[side].append(f"{case.name} ({write(case.mean)})")
    bare = groups.pop("")
    parts = [f"{verb} {_NULLS[null]} for {listed(names)}" for verb, names in groups.items() if names]
    sentences = [f"{what} {'; it '.join(parts)}."] if parts else []
    if bare:
        sentences.append(f"{what} has no interval for {listed(bare)}, because too few runs are behind it.")
    return sentences


def more_often(more: str, no_more: str, found: Iterable[tuple[str, float, float]]) -> list[str]:
    """Say for which cases the first of two shares is the larger one.

    Args:
        more: The beginning of the sentence on cases in which it is, up to their names.
        no_more: The beginning of the sentence on the others.
        found: For each case its name and the two shares. A case without one of them is left out.

    Returns:
        Up to two sentences, with both shares of each case in brackets.
    """
    known = [one for one in found if not (pd.isna(one[1]) or pd.isna(one[2]))]
    said = []
    for begins, some in (
        (more, [one for one in known if one[1] > one[2]]),
        (no_more, [one for one in known if one[1] <= one[2]]),
    ):
        if some:
            each = listed(f"{name} ({share(a)} against {share(b)})" for name, a, b in some)
            said.append(f"{begins} {each}.")
    return said
