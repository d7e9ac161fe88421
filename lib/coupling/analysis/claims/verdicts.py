"""From findings to verdicts, by the rules of notebooks/PLAN.md."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from coupling.analysis.claims.effects import NAN, Control, Finding, Missing
from coupling.sweep import Claim

COLUMNS = [
    "claim",
    "text",
    "exploration",
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
    "p",
    "controls",
    "verdict",
    "why",
]
SEEDS = {"M0s": 5, "explainers": 3}  # the fewest of each that decide
ALPHA = 0.05
OUTCOMES = {True: "passed", False: "failed"} | {missing: str(missing) for missing in Missing}
EFFECT = ""  # place of an effect's p among those of its controls' tests


@dataclass(frozen=True)
class Row:
    """A claim at one profile and on one task.

    Attributes:
        claim: The claim.
        profile: Name of the profile.
        task: Name of the task; empty for a claim that names none.
        finding: What its rule found; None where what it needs has not been run.
    """

    claim: Claim
    profile: str
    task: str
    finding: Finding | None


def holm(p: list[float]) -> list[float]:
    """Correct p values over their family by Holm's step-down method (Holm 1979)."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(np.sort(p) * (len(p) - np.arange(len(p))))
    out = np.empty(len(p))
    out[order] = np.minimum(steps, 1.0)
    return out.tolist()


def corrected(rows: list[Row]) -> dict[tuple[int, str], float]:
    """Correct all p values of the table.

    A row that was written down in a part of the plan is corrected over the rows of this part and of earlier
    ones, so that nothing which was added later can change it. A row without a part is corrected over the
    whole table.

    Args:
        rows: All rows.

    Returns:
        p by the place of its row and the name of its test, which is EFFECT for the effect itself. A p that
        is NaN belongs to no family and is left out.
    """
    raw = {}
    for k, row in enumerate(rows):
        if row.finding:
            every = {EFFECT: row.finding.effect.p} | {name: p for name, (p, _) in row.finding.tests.items()}
            raw |= {(k, name): p for name, p in every.items() if np.isfinite(p)}
    parts = {place: rows[place[0]].claim.part or np.inf for place in raw}
    out = {}
    for part in set(parts.values()):
        family = {place: p for place, p in raw.items() if parts[place] <= part}
        found = dict(zip(family, holm(list(family.values())), strict=True))
        out |= {place: p for place, p in found.items() if parts[place] == part}
    return out


def verdict(finding: Finding, p: float, controls: list[Control]) -> tuple[str, str]:
    """Decide one row.

    Args:
        finding: What the rule found.
        p: p of the effect, after correction.
        controls: Outcomes of the controls.

    Returns:
        The verdict, and why the row is not computable, or an empty text.
    """
    effect, within = finding.effect, finding.within
    needed = {"effect": effect.value, "interval": effect.low + effect.high} | ({} if within else {"p": p})
    if lacking := [name for name, number in needed.items() if np.isnan(number)]:
        return "not computable", effect.why or f"not a number: {', '.join(lacking)}"
    if effect.seeds < SEEDS[effect.unit] or not controls:
        return "inconclusive", ""
    if within:
        supported = within[0] <= effect.low and effect.high <= within[1]
        opposed = effect.high < within[0] or effect.low > within[1]
    else:
        # Three explainers are too few for a bootstrap alone, so each of them must be above as well.
        each = effect.unit == "M0s" or effect.seeds_above == effect.seeds
        supported = effect.above and p < ALPHA and each
        opposed = effect.high <= effect.null
    if opposed:
        return "not replicated", ""
    return "replicated" if supported and all(c is True for c in controls) else "inconclusive", ""


def decide(rows: list[Row]) -> pd.DataFrame:
    """Make the table of claims.

    Args:
        rows: All rows, those of the smallest profile first.

    Returns:
        One row a claim, profile and task that was run, with COLUMNS; `part` and `seeds_above` are missing
        where there are none. A claim that was run nowhere stands once, under the first profile, as "not
        tested". `controls` is a list of "name: outcome", an outcome being one of OUTCOMES.
    """
    run = {(r.claim.text, r.task) for r in rows if r.finding}
    p = corrected(rows)
    lines = []
    for k, row in enumerate(rows):
        about = {
            "claim": row.claim.number,
            "text": row.claim.text,
            "exploration": row.claim.exploration,
            "part": row.claim.part,
            "profile": row.profile,
            "task": row.task,
        }
        if row.finding:
            lines.append(about | _decided(row.finding, {name: v for (j, name), v in p.items() if j == k}))
        elif row.profile == rows[0].profile and (row.claim.text, row.task) not in run:
            nothing = {"measure": "", "seeds": 0, "unit": "", "controls": [], "why": ""}
            lines.append(about | nothing | {"verdict": "not tested"})  # its numbers are missing
    return pd.DataFrame(lines, columns=COLUMNS).astype({"part": "Int64", "seeds_above": "Int64"})


def _decided(finding: Finding, p: dict[str, float]) -> dict[str, object]:
    """Return the measured part of a row. p: corrected p values of this row, by name of the test."""
    effect = finding.effect
    tests = {
        name: goes and p[name] < ALPHA if name in p else Missing.NOT_COMPUTABLE
        for name, (_, goes) in finding.tests.items()
    }
    outcomes = finding.controls | tests
    decision, why = verdict(finding, p.get(EFFECT, NAN), list(outcomes.values()))
    return {
        "measure": finding.measure,
        "seeds": effect.seeds,
        "unit": effect.unit,
        "seeds_above": effect.seeds_above,
        "effect": effect.value,
        "low": effect.low,
        "high": effect.high,
        "p": p.get(EFFECT, NAN),
        "controls": [f"{name}: {OUTCOMES[outcome]}" for name, outcome in outcomes.items()],
        "verdict": decision,
        "why": why,
    }
