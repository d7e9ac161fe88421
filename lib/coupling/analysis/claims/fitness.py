"""May the runs behind a row decide it? Its premise, collapsed runs, and flags that were not learnt."""

from coupling.analysis import flags
from coupling.analysis.claims.effects import Finding
from coupling.analysis.claims.evidence import Evidence
from coupling.analysis.claims.ref import Ref
from coupling.sweep import Premise

MOST = 0.5  # share of unfit runs above which a condition decides nothing


def premise(asked: Premise, evidence: Evidence, conditions: tuple[Ref, ...], task: str) -> str:
    """Say whether labels agree with current behaviour as far as a claim presupposes.

    For each M0 the lowest agreement over tasks and evaluations counts, as a mean over its runs. The premise
    is met if, in each condition, at least `asked.share` of the M0s reach `asked.agreement`. Agreement is
    measured on kinds with labels. Where a table lacks that value, agreement on all kinds takes its place.

    Args:
        asked: The premise.
        evidence: The tables.
        conditions: The conditions that must meet it.
        task: Name of the task, or of several joined by +.

    Returns:
        "met", or "not met: " and how low agreement falls.
    """
    falls, counts, held = [], [], True
    for condition in conditions:
        runs = evidence.runs(condition, task)
        runs = runs.assign(agrees=runs.get("agreement_labelled", runs["agreement"]))
        runs["agrees"] = runs["agrees"].fillna(runs["agreement"])
        by_step = runs.groupby(["m0_seed", "task", "step"])["agrees"].mean()
        least = by_step.groupby("m0_seed").min()
        enough = least >= asked.agreement
        held &= bool(enough.mean() >= asked.share)
        falls += least.tolist()
        counts.append(f"{enough.sum()} of {len(least)} M0s of {condition.condition!r}")
    if held:
        return "met"
    least, most = f"{min(falls):.2f}", f"{max(falls):.2f}"
    span = least if least == most else f"{least} to {most}"
    return (
        f"not met: the lowest agreement of labels with current behaviour is {span} over the M0s; "
        f"it stays at {asked.agreement:g} or above in {', '.join(counts)}"
    )


def unfit(finding: Finding, evidence: Evidence, task: str) -> str:
    """Say why the runs that a finding rests on can decide nothing, or return an empty text.

    Args:
        finding: The finding.
        evidence: The tables.
        task: Name of the task, or of several joined by +.
    """
    reasons = []
    for condition in finding.rests_on:
        runs = evidence.finals(condition, task)
        fallen = runs["collapsed"] != ""
        if fallen.mean() > MOST:
            reasons.append(f"{fallen.sum()} of {len(runs)} runs of {condition.condition!r} are collapsed")
        if finding.of_flags and "flag_balanced" in runs:
            lost = flags.not_learnt(runs["flag_balanced"])
            if lost.mean() > MOST:
                reasons.append(
                    f"flag not learnt in {lost.sum()} of {len(runs)} runs of {condition.condition!r}"
                )
    return "; ".join(reasons)
