"""Rules about who moves during training, explanation or behaviour (docs/method.md, "Lead and lag")."""

import pandas as pd

from coupling.analysis.claims.effects import Control, Finding, above, effect_of
from coupling.analysis.claims.evidence import Evidence
from coupling.analysis.claims.ref import Ref
from coupling.analysis.claims.rule import rule


def _late_moves(evidence: Evidence, task: str, condition: Ref) -> pd.DataFrame:
    """Return the lead and lag of a condition's runs after the first quarter of their steps."""
    moves = evidence.table("lead_lag", condition.sweep, task=task, condition=condition.condition)
    return moves[moves["from_step"] >= moves["to_step"].max() / 4]


def _excess_above(evidence: Evidence, task: str, condition: Ref) -> dict[str, Control]:
    return {"excess gap above zero": above(evidence.effect(condition, task, "excess"))}


@rule
def who_moves(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Decide whether explanations follow behaviour more often than behaviour follows explanations."""
    late = _late_moves(evidence, task, condition)
    late = late.assign(lead=late["explanation_follows_divergent"] - late["behaviour_follows_divergent"])
    return Finding(
        "explanation follows behaviour − behaviour follows explanation, divergent items",
        effect_of(late[["m0_seed", "seed", "lead"]], "lead"),
        _excess_above(evidence, task, condition),
        rests_on=(condition,),
    )


@rule
def behaviour_returns(evidence: Evidence, task: str, condition: Ref) -> Finding:
    """Decide whether changed behaviour returns to L(S) more often where the explanation kept to L(S).

    This is an association and shows no cause: items differ in how firmly their behaviour has changed.
    """
    late = _late_moves(evidence, task, condition)
    late = late.assign(beyond=late["returns_said"] - late["returns_unsaid"])
    return Finding(
        "behaviour returns to L(S) where the explanation said so − where it did not",
        effect_of(late[["m0_seed", "seed", "beyond"]], "beyond"),
        _excess_above(evidence, task, condition),
        rests_on=(condition,),
    )
