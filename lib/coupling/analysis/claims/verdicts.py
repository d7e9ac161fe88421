"""From findings to verdicts (docs/method.md, "Statistics")."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from coupling.analysis.claims.effects import Control, Effect, Finding, Missing
from coupling.analysis.claims.evidence import PlanError
from coupling.sweep import CLAIMS, Claim

COLUMNS = [
    "claim",
    "text",
    "exploration",
    "primary",
    "part",
    "profile",
    "task",
    "measure",
    "seeds",
    "unit",
    "seeds_above",
    "effect",
    "low",
    "high",
    "drawn_low",
    "drawn_high",
    "p_alone",
    "p",
    "family",
    "premise",
    "controls",
    "verdict",
    "supported",
    "why",
]
VERDICTS = (
    "replicated",
    "not replicated",
    "inconclusive",
    "premise not met",
    "not computable",
    "not tested",
)
SEEDS = {"M0s": 5, "explainers": 3}  # the fewest of each that decide
ALPHA = 0.05
SUPPORTED = "an exploration: all that is asked for is there, but nothing is confirmed"
FEW = "the smallest that so few explainers can give"
PAPER = len(CLAIMS) - 1  # claims of the paper, each of which has one primary test
OUTCOMES = {True: "passed", False: "failed"} | {missing: str(missing) for missing in Missing}


@dataclass(frozen=True)
class Row:
    """A claim at one profile and on one task.

    Attributes:
        claim: The claim.
        profile: Name of the profile.
        task: Name of the task, or of several that are pooled, joined by +; empty for a claim that names none.
        finding: What its rule found; None where what it needs has not been run.
        premise: Whether the claim's own premise holds: "met", or "not met: " and why; empty without one.
        unfit: Why the runs cannot decide, whatever the effect is; or empty.
    """

    claim: Claim
    profile: str
    task: str
    finding: Finding | None
    premise: str = ""
    unfit: str = ""

    @property
    def family(self) -> tuple[str, ...]:
        """What names the rows over which p is corrected. Explorations are a family of their own."""
        claim = self.claim
        about = (self.profile, "exploration" if claim.exploration else "planned")
        if claim.number == "own":
            return ("our own rows, false discovery rate", *about)
        if claim.primary:
            return (f"primary tests of the {PAPER} claims, Holm", *about)
        return ("tasks of the claim, Holm", *about, claim.number, claim.text)


def holm(p: list[float], tests: int = 0) -> list[float]:
    """Correct p values over their family by Holm's step-down method (Holm 1979).

    Args:
        p: The p values.
        tests: How many tests the family has, where it is fixed; those without a p count as p = 1. 0: as many
            as there are.
    """
    tests = max(tests, len(p))
    order = np.argsort(p)
    steps = np.maximum.accumulate(np.sort(p) * (tests - np.arange(len(p))))
    out = np.empty(len(p))
    out[order] = np.minimum(steps, 1.0)
    return out.tolist()


def false_discovery(p: list[float]) -> list[float]:
    """Correct p values over their family by false discovery rate (Benjamini and Hochberg 1995).

    The numbers are those of `scipy.stats.false_discovery_control`, which takes a second to import.
    """
    order = np.argsort(p)
    steps = np.sort(p) * (len(p) / np.arange(1, len(p) + 1))
    out = np.empty(len(p))
    out[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return out.tolist()


def corrected(rows: list[Row]) -> dict[int, float]:
    """Correct the p values of the effects, each over its family.

    The primary tests of the paper's claims are one family of fixed size: a claim that was not run counts as
    p = 1. Other rows of the paper's claims are corrected over the tasks of their claim by Holm's method, and
    our own rows by false discovery rate (Benjamini and Hochberg 1995).

    Args:
        rows: All rows.

    Returns:
        p by the place of its row. A row without a p has none.

    Raises:
        PlanError: Where a claim has two primary tests in one family.
    """
    _check_primaries(rows)
    raw = {k: row.finding.effect.p for k, row in enumerate(rows) if row.finding}
    raw = {k: p for k, p in raw.items() if np.isfinite(p)}
    out = {}
    for family in {rows[k].family for k in raw}:
        places = [k for k in raw if rows[k].family == family]
        p = [raw[k] for k in places]
        claim = rows[places[0]].claim
        found = false_discovery(p) if claim.number == "own" else holm(p, PAPER if claim.primary else 0)
        out |= dict(zip(places, found, strict=True))
    return out


def _check_primaries(rows: Iterable[Row]) -> None:
    """Refuse a table in which a claim has two primary tests in one family."""
    seen: dict[tuple, Row] = {}
    for row in rows:
        if row.claim.primary and row.finding:
            other = seen.setdefault((row.family, row.claim.number), row)
            if other is not row:
                raise PlanError(
                    f"claim {row.claim.number} has two primary tests at {row.profile}, on {other.task} and "
                    f"on {row.task}: keep `primary: true` at one of them"
                )


def verdict(row: Row, p: float, controls: dict[str, Control]) -> tuple[str, bool, str]:
    """Decide one row that was run.

    Args:
        row: The row.
        p: p of the effect, after correction.
        controls: Outcomes of controls and of tests that serve as controls.

    Returns:
        One of VERDICTS; whether the row meets every condition of "replicated" (an exploration that does so is
        "inconclusive"); and the reason for the verdict, empty for "replicated".
    """
    finding, effect = row.finding, row.finding.effect
    if lacking := [
        name
        for name, number in {"effect": effect.value, "interval": effect.low + effect.high}.items()
        if np.isnan(number)
    ]:
        return "not computable", False, effect.why or f"not a number: {', '.join(lacking)}"
    if row.premise.startswith("not met"):
        return "premise not met", False, row.premise.removeprefix("not met: ")
    if undecided := _undecided(row, controls):
        return "inconclusive", False, undecided
    if opposed := _opposed(finding):
        return "not replicated", False, "; ".join([opposed, *_not_passed(controls)])
    if not finding.within and np.isnan(p):
        return "not computable", False, effect.why or "not a number: p"
    if lacks := _lacks(finding, p, controls):
        return "inconclusive", False, "; ".join(lacks)
    if row.claim.exploration:
        return "inconclusive", True, SUPPORTED
    return "replicated", True, ""


def _undecided(row: Row, controls: dict[str, Control]) -> str:
    """Say why a row can be decided neither way, or return an empty text."""
    effect = row.finding.effect
    if effect.seeds < SEEDS[effect.unit]:
        return f"{effect.seeds} {effect.unit} where {SEEDS[effect.unit]} decide"
    if row.unfit:
        return row.unfit
    return "" if controls else "no control stands beside the effect"


def _opposed(finding: Finding) -> str:
    """Say why the effect is too small to matter, or return an empty text."""
    effect = finding.effect
    if finding.within:
        low, high = finding.within
        outside = effect.high < low or effect.low > high
        return f"the interval has nothing in common with {low:g} to {high:g}" if outside else ""
    if effect.high >= effect.margin:
        return ""
    small = f", though all of it lies above {effect.null:+.3f}" if effect.above else ""
    return f"the interval ends at {effect.high:+.3f}, below {effect.margin:+.3f}{small}"


def _lacks(finding: Finding, p: float, controls: dict[str, Control]) -> list[str]:
    """List what "replicated" asks for and the row lacks."""
    effect, lacks = finding.effect, []
    if finding.within:
        low, high = finding.within
        if not (low <= effect.low and effect.high <= high):
            lacks.append(f"the interval is not within {low:g} to {high:g}")
    else:
        if not effect.above:
            lacks.append(f"the interval starts at {effect.low:+.3f}, not above {effect.null:+.3f}")
        if p >= ALPHA:
            lacks.append(f"corrected p is {p:.3f}")
            if np.isclose(effect.p, effect.least):
                lacks[-1] += f" (alone it is {effect.p:.3f}, {FEW})"
    return [*lacks, *_not_passed(controls)]


def _not_passed(controls: dict[str, Control]) -> list[str]:
    """List the controls that were not passed."""
    return [
        f"control {OUTCOMES[outcome]}: {name}" for name, outcome in controls.items() if outcome is not True
    ]


def decide(rows: list[Row]) -> pd.DataFrame:
    """Make the table of claims.

    Args:
        rows: All rows, those of the smallest profile first.

    Returns:
        One row a claim, profile and task that was run, with COLUMNS; `part` and `seeds_above` are missing
        where there are none. A claim that was run nowhere stands once, under the first profile, as "not
        tested". `controls` is a list of "name: outcome", an outcome being one of OUTCOMES. `drawn_low` and
        `drawn_high` are the bootstrap interval, `p_alone` is p before correction, `family` what it is
        corrected over, `supported` whether the row meets every condition of "replicated", and `why` the
        reason for the verdict, empty for "replicated".

    Raises:
        PlanError: Where a claim has two primary tests in one family.
    """
    run = {(r.claim.text, r.task) for r in rows if r.finding}
    p = corrected(rows)
    lines = []
    for k, row in enumerate(rows):
        about = {
            "claim": row.claim.number,
            "text": row.claim.text,
            "exploration": row.claim.exploration,
            "primary": row.claim.primary,
            "part": row.claim.part,
            "profile": row.profile,
            "task": row.task,
        }
        if row.finding:
            lines.append(about | _decided(row, p.get(k, float("nan"))))
        elif row.profile == rows[0].profile and (row.claim.text, row.task) not in run:
            words = dict.fromkeys(("measure", "unit", "family", "premise", "why"), "")
            nothing = {"seeds": 0, "controls": [], "supported": False}
            lines.append(about | words | nothing | {"verdict": "not tested"})  # its numbers are missing
    return pd.DataFrame(lines, columns=COLUMNS).astype({"part": "Int64", "seeds_above": "Int64"})


def _decided(row: Row, p: float) -> dict[str, object]:
    """Return the measured part of a row. p: the corrected p of its effect."""
    finding, effect = row.finding, row.finding.effect
    tests: dict[str, Control] = {
        name: bool(goes and alone < ALPHA) if np.isfinite(alone) else Missing.NOT_COMPUTABLE
        for name, (alone, goes) in finding.tests.items()
    }
    controls = finding.controls | tests
    decision, supported, why = verdict(row, p, controls)
    return {
        "measure": finding.measure,
        "family": row.family[0],
        "premise": row.premise,
        "controls": [f"{name}: {OUTCOMES[outcome]}" for name, outcome in controls.items()],
        "verdict": decision,
        "supported": supported,
        "why": why,
    } | _numbers(effect, p)


def _numbers(effect: Effect, p: float) -> dict[str, object]:
    """Return the numbers of an effect. p: its corrected p."""
    return {
        "seeds": effect.seeds,
        "unit": effect.unit,
        "seeds_above": effect.seeds_above,
        "effect": effect.value,
        "low": effect.low,
        "high": effect.high,
        "drawn_low": effect.drawn[0],
        "drawn_high": effect.drawn[1],
        "p_alone": effect.p,
        "p": p,
    }
