"""Sentences and cells from numbers: how means, their intervals and their sides are written."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from coupling.analysis import resampling

ZERO, HALF = 0.0, 0.5  # the nulls of a difference and of a preference
_NULLS = {ZERO: "zero", HALF: "one half"}
OFTEN = ("more often than", "less often than", "neither clearly more nor clearly less often than")


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


class Pair(NamedTuple):
    """Two means and the 95 % interval of their difference, and whose they are.

    Attributes:
        name: What has these means, for instance a task and a condition.
        one: The first mean.
        other: The second mean.
        low: The lower end of the interval of the first less the second; NaN where there is none.
        high: The upper end.
    """

    name: str
    one: float
    other: float
    low: float
    high: float


def pairs(runs: pd.DataFrame, one: str, other: str) -> list[Pair]:
    """Compare two measures of the same runs, in each task and condition.

    Args:
        runs: One row a run (or several alike), with task, condition, m0_seed, seed and both measures.
        one: The first measure.
        other: The second measure.
    """
    runs = runs.assign(over=runs[one] - runs[other])
    names = named(runs.drop_duplicates(["task", "condition"]))
    found = []
    for name, (_, part) in zip(names, runs.groupby(["task", "condition"], sort=False), strict=True):
        table = resampling.intervals(part, [one, other, "over"])
        found.append(Pair(name, *table.loc[[one, other], "mean"], *table.loc["over", ["low", "high"]]))
    return found


def more_often(text: str, found: Iterable[Pair], words: Sequence[str] = OFTEN) -> list[str]:
    """Say for which cases the first of two means is the larger one, by the interval of their difference.

    Args:
        text: The beginning of the sentence, up to the names of cases, with {} in place of `words`.
        found: The cases. One without a mean is left out.
        words: What is said where the first is larger, where it is smaller, and where neither can be told.

    Returns:
        Up to four sentences, with both means of each case in brackets. The last is on cases without an
        interval, of which nothing follows.
    """
    groups: dict[str, list[str]] = {word: [] for word in (*words, "")}
    for case in found:
        if pd.isna(case.one) or pd.isna(case.other):
            continue
        word = words[2]
        if pd.isna(case.low):
            word = ""
        elif case.low > 0:
            word = words[0]
        elif case.high < 0:
            word = words[1]
        groups[word].append(f"{case.name} ({share(case.one)} against {share(case.other)})")
    bare = groups.pop("")
    said = [f"{text.format(word)} {listed(names)}." for word, names in groups.items() if names]
    if bare:
        said.append(f"Nothing follows for {listed(bare)}: there is one run of each, and so no interval.")
    return said
