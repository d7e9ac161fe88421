"""The table of claims: each claim of the paper and of this study, decided from committed tables alone.

The sweeps' YAML files state the claims and name the rule of each. Rules are functions in the modules of
`coupling.analysis.claims.rules`; a new rule needs nothing but its function. Verdicts follow docs/method.md,
"Statistics".
"""

from collections.abc import Iterable

import pandas as pd

from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.analysis.claims import rules
from coupling.analysis.claims.effects import Control, Effect, Finding, Missing
from coupling.analysis.claims.evidence import Evidence, NotMeasuredError, PlanError
from coupling.analysis.claims.fitness import premise, unfit
from coupling.analysis.claims.ref import Ref
from coupling.analysis.claims.rule import RULES, Bound, OwnSweep, bind, rule
from coupling.analysis.claims.verdicts import (
    COLUMNS,
    OUTCOMES,
    SEEDS,
    VERDICTS,
    Row,
    decide,
    holm,
    verdict,
)
from coupling.spec import profile_names

__all__ = [
    "COLUMNS",
    "OUTCOMES",
    "RULES",
    "SEEDS",
    "VERDICTS",
    "Control",
    "Effect",
    "Evidence",
    "Finding",
    "Missing",
    "NotMeasuredError",
    "OwnSweep",
    "PlanError",
    "Ref",
    "Row",
    "bind",
    "decide",
    "holm",
    "premise",
    "rule",
    "rules",
    "table",
    "unfit",
    "verdict",
]


def table(of: Iterable[sweeps.Sweep]) -> pd.DataFrame:
    """Measure and decide all claims of some sweeps at every profile that has tables.

    Args:
        of: The sweeps, as `coupling.report.study.load` gives them. p values are corrected over their claims,
            so that the study's own table takes all of its sweeps.

    Returns:
        The table of `decide`: claims of the paper by number, then those of this study.

    Raises:
        SpecError: Where a claim names an unknown rule, or its arguments are wrong.
        PlanError: Where a claim has two primary tests in one family.
        StoreError: Where the study's tables, or the results of a user's own sweep, are not where the command
            is run. All claims would look as if they had not been tested.
    """
    of = sorted(of, key=lambda sweep: (sweep.name != "headline", sweep.name))
    claims = [(sweep.claims[k], bind(sweep, k)) for sweep in of for k in range(len(sweep.claims))]
    claims.sort(key=lambda claim: (sweeps.CLAIMS.index(claim[0].number), not claim[0].primary))
    if all(sweeps.is_path(sweep.name) for sweep in of):
        files.check_place("COUPLING_RESULTS", files.results_dir())
    else:
        files.check_place("COUPLING_FIGURES", files.tables_dir())
    rows = []
    for profile in _profiles(of) or ["tiny"]:
        evidence = Evidence(profile)
        rows += [
            _row(claim, bound, evidence, task) for claim, bound in claims for task in claim.tasks or [""]
        ]
    return decide(rows)


def _row(claim: sweeps.Claim, bound: Bound | None, evidence: Evidence, task: str) -> Row:
    """Return the row of a claim, with what its rule finds and whether the runs are fit to decide it."""
    finding = _found(bound, evidence, task)
    if finding is None:
        return Row(claim, evidence.profile, task, None)
    where = evidence, finding.rests_on, task
    held = premise(claim.premise, *where) if claim.premise else ""
    return Row(claim, evidence.profile, task, finding, held, unfit(finding, evidence, task))


def _profiles(of: list[sweeps.Sweep]) -> list[str]:
    """Return the profiles that have tables, small models first, then those of a user's own sweeps alone."""
    own = [sweep.name for sweep in of if sweeps.is_path(sweep.name)]
    made = [p for p in profile_names() if any((tables.folder(p, n) / "keys.json").exists() for n in own)]
    return list(dict.fromkeys([*(profile for profile, _ in tables.collected()), *made]))


def _found(bound: Bound | None, evidence: Evidence, task: str) -> Finding | None:
    """Return what a rule finds, or None where there is no rule or its runs are missing."""
    try:
        return bound(evidence, task) if bound else None
    except NotMeasuredError:
        return None
