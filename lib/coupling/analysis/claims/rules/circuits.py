"""The rule about shared circuits (claim 10; docs/method.md, "Circuits")."""

from typing import Literal

import pandas as pd

from coupling.analysis.claims.effects import Effect, Finding, above, judged, over_seeds
from coupling.analysis.claims.evidence import Evidence
from coupling.analysis.claims.preferring import prefers
from coupling.analysis.claims.ref import Ref
from coupling.analysis.claims.rule import rule
from coupling.analysis.claims.shared import not_collapsed, outcome
from coupling.analysis.measures import over_tasks

MATTERS = 0.1  # the smallest difference of two rank correlations that would matter
RELIABLE = 0.7  # how alike a map must be on two halves of the items


def _alike(evidence: Evidence, task: str, condition: Ref, trained: bool = True) -> pd.DataFrame:
    """Return the similarities of the runs of a condition, over all items whose kinds have labels."""
    found = evidence.table(
        "similarity", condition.sweep, task=task, condition=condition.condition, trained=trained
    )
    return found[found["region"] == "labelled"]


@rule
def shares_circuits(
    evidence: Evidence,
    task: str,
    coupled: Ref,
    imitator: Ref,
    what: Literal["whole", "answers", "flags"],
) -> Finding:
    """Decide whether the sites of behaviour and explanation are more alike with coupling than in an imitator.

    Args:
        evidence: The tables.
        task: Name of the task, or of several joined by +.
        coupled: The condition whose labels are those of its own M0.
        imitator: The condition whose labels come from a source that is not its M0.
        what: "whole" for behaviour and whole explanation, "answers" for the choice without the cue and the
            stated answer, "flags" for the choice with the cue and the stated flag.
    """
    with_coupling, without = (_alike(evidence, task, condition) for condition in (coupled, imitator))
    ours, theirs = (over_tasks(found, what) for found in (with_coupling, without))
    least = min(over_tasks(found, f"reliable_{what}").mean() for found in (with_coupling, without))

    def beyond_m0() -> bool:
        before = over_tasks(_alike(evidence, task, coupled, False), what)
        return above(_paired(ours, before))

    controls = {
        "similarity with coupling above zero": above(over_seeds(ours)),
        "maps more alike than before training": outcome(beyond_m0),
        f"maps alike on two halves of the items, at {RELIABLE:g} or more": judged(least >= RELIABLE, least),
        "preference above one half with coupling": outcome(lambda: above(prefers(evidence, task, coupled))),
        "no collapsed imitator": not_collapsed(evidence, task, imitator)["no collapsed run"],
    }
    measure = {"whole": "", "answers": " of answers", "flags": " of flags"}[what]
    return Finding(
        f"similarity{measure} with coupling − of the imitator",
        _paired(ours, theirs),
        controls,
        rests_on=(coupled,),
        of_flags=what != "answers",
    )


def _paired(one: pd.Series, other: pd.Series) -> Effect:
    """Return the mean difference over the M0s that both have."""
    return over_seeds((one - other).dropna(), "M0s", 0.0, MATTERS)
