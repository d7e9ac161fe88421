"""What came out of a study of own items: its premises, its numbers, and what these mean in sentences.

Every word about a result is chosen by the numbers of the study's tables.
"""

from math import factorial

import numpy as np
import pandas as pd

from coupling.analysis import claims, flags, measures, preference, tables
from coupling.report import study as studies
from coupling.report.own import CHOOSE, SHUFFLED, TRUE
from coupling.sweep import Premise

CONSTANT = 0.9  # share of one label above which labels are near-constant, as training has it
_MEASURES = {
    "self": "explanations state what the model now does",
    "target": "explanations state what their labels say",
    "gap": "self less target; 0 if explanations know nothing of the change",
    "preference": "of two explainers, each states its own behaviour; 0.5 by chance",
}
_SIGNIFICANT = 0.05
_LONGER = "train longer or faster (--steps, --learning_rate), or on more items"
_GENTLER = "train more gently: fewer --steps, a lower --learning_rate or a higher --kl_weight"
_NO_CHOICES = "answers are no choices"  # as `summaries.collapse` says it
_NO_LABELS = "explanations are no labels"  # as `summaries.collapse` says it


def numbers(profile: str, sweep: str) -> pd.DataFrame:
    """Return the measures of both conditions.

    Args:
        profile: Name of the profile.
        sweep: The path of the sweep's YAML file.

    Returns:
        The columns labels (the condition), measure, value, low and high (a 95 % interval), and meaning. A
        preference needs two explainers, and its interval three; without them they are NaN.
    """
    summary = tables.read(profile, sweep).summary.set_index("condition")
    return pd.DataFrame(
        {
            "labels": condition,
            "measure": measure,
            "value": summary.loc[condition, measure],
            "low": summary.loc[condition, f"{measure}_low"],
            "high": summary.loc[condition, f"{measure}_high"],
            "meaning": meaning,
        }
        for condition in (TRUE, SHUFFLED)
        for measure, meaning in _MEASURES.items()
        if condition == TRUE or measure != "preference"  # the control is one explainer
    )


def premises(profile: str, sweep: str) -> pd.DataFrame:
    """Say whether the runs on true labels can answer the question at all.

    Returns:
        The columns premise, met (bool), found (in words), and way_out (what to change where it is not met).
    """
    found = tables.read(profile, sweep)
    runs = found.runs[found.runs["condition"] == TRUE]
    items = found.items[found.items["condition"] == TRUE]
    finals = runs[runs["step"] == runs["step"].max()]
    return pd.DataFrame([_labels(items), _agreement(runs), _flag(finals), _whole(finals)])


def _labels(items: pd.DataFrame) -> dict[str, object]:
    labels = measures.label_code(items[items["seed"] == items["seed"].min()], "target_")
    labels = labels[labels >= 0]
    most, changes = labels.value_counts(normalize=True).max(), (labels % 2).mean()
    return {
        "premise": "labels differ",
        "met": bool(most <= CONSTANT),
        "found": f"without the cue the answer changes on {changes:.0%} of the test items; the commonest "
        f"label is {most:.0%} of all labels, and at most {CONSTANT:.0%} is allowed",
        "way_out": "take a cue that moves this model on some items and not on others",
    }


def _agreement(runs: pd.DataFrame) -> dict[str, object]:
    least, asked = runs.groupby("step")["agreement"].mean().min(), Premise().agreement
    return {
        "premise": "labels agree with behaviour",
        "met": bool(least >= asked),
        "found": f"at every evaluation at least {least:.0%} of the labels are true of the trained models; "
        f"{asked:.0%} is asked for",
        "way_out": _GENTLER,
    }


def _flag(finals: pd.DataFrame) -> dict[str, object]:
    scores = finals["flag_balanced"]
    learnt = int((~flags.not_learnt(scores)).sum())
    found = (
        f"{learnt} of {len(finals)} explainers learnt to say whether the answer changes (balanced accuracy "
        f"{scores.mean():.2f} on average; {flags.LEARNT:g} is asked for)"
    )
    return {
        "premise": "flag learnt",
        "met": bool(2 * learnt >= len(finals)),
        "found": found if scores.notna().any() else "there is none to learn: all labels have the same flag",
        "way_out": _LONGER,
    }


def _whole(finals: pd.DataFrame) -> dict[str, object]:
    fallen = finals["collapsed"][finals["collapsed"] != ""]
    way_out = _LONGER if fallen.str.contains(_NO_LABELS).any() else _GENTLER
    way_out = CHOOSE if fallen.str.contains(_NO_CHOICES).any() else way_out
    why = f": {'; '.join(dict.fromkeys(fallen))}" if len(fallen) else ""
    return {
        "premise": "runs are whole",
        "met": bool(2 * len(fallen) <= len(finals)),
        "found": f"{len(fallen)} of {len(finals)} explainers collapsed{why}",
        "way_out": way_out,
    }


def sentences(profile: str, sweep: str) -> list[str]:
    """Say what the numbers mean, the answer first."""
    data = tables.read(profile, sweep)
    summary = data.summary.set_index("condition")
    own, control = summary.loc[TRUE], summary.loc[SHUFFLED]
    row = claims.table([studies.load(sweep)]).iloc[0]
    return [
        _in_short(premises(profile, sweep), own, control),
        _divergent(own),
        _gap(own),
        _preference(own),
        _control(control),
        _test(own, row),
    ]


def _in_short(asked: pd.DataFrame, own: pd.Series, control: pd.Series) -> str:
    failed = asked[~asked["met"]]
    if len(failed):
        named = " and ".join(f"“{name}”" for name in failed["premise"])
        ways = "; ".join(dict.fromkeys(failed["way_out"]))
        holds = "does" if len(failed) == 1 else "do"
        return (
            f"In short: these runs cannot answer the question, since {named} {holds} not hold. Next: {ways}."
        )
    prefers = own["preference_low"] > preference.NULL
    if own["gap_low"] > 0 and prefers and not control["gap_low"] > 0:
        return "In short: explanations state what the model itself now does, more than what their labels say."
    if own["gap_high"] < 0 and not prefers:
        return (
            "In short: explanations keep to their labels where the model has moved away from them; nothing "
            "shows that they know their own model."
        )
    return (
        "In short: these runs leave open whether explanations state what the model itself now does. More "
        "explainers and more test items make the intervals narrower."
    )


def _divergent(own: pd.Series) -> str:
    share = own["divergent_share"]
    return (
        f"The trained models behave otherwise than their labels say on {share:.1%} of the test items. Only "
        "there can self and target differ."
    )


def _gap(own: pd.Series) -> str:
    if own["gap_low"] > 0:
        means = "explanations state what the model now does more often than what their labels say"
    elif own["gap_high"] < 0:
        means = "explanations state what their labels say more often than what the model now does"
    else:
        means = "its interval holds zero, so that neither is shown to be stated more often"
    return f"The gap is {_with_interval(own, 'gap', '+.3f')}: {means}."


def _preference(own: pd.Series) -> str:
    if np.isnan(own["preference"]):
        return (
            "There is no preference: no two explainers came to behave differently, each on items of its own."
        )
    said = f"The preference is {_with_interval(own, 'preference', '.3f')}"
    if np.isnan(own["preference_low"]):
        return (
            f"{said}, without an interval, which needs three explainers that all came to behave differently."
        )
    if own["preference_low"] > preference.NULL:
        means = "explanations state the behaviour of their own run more often than that of another run"
    elif own["preference_high"] < preference.NULL:
        means = "explanations state the behaviour of another run more often than that of their own"
    else:
        means = (
            f"its interval holds {preference.NULL:g}, which is what explanations without any knowledge of "
        )
        means += "their own run have"
    return f"{said}: {means}."


def _control(control: pd.Series) -> str:
    if control["gap_low"] > 0:
        means = "a gap remains without true labels, so that a gap alone is no evidence here"
    else:
        means = "shuffled labels leave no gap above zero, as it should be"
    return f"The control has a gap of {_with_interval(control, 'gap', '+.3f')}: {means}."


def _test(own: pd.Series, row: pd.Series) -> str:
    explainers = int(own["explainers"])
    enough = next(k for k in range(2, 9) if 1 / factorial(k) < _SIGNIFICANT)
    least = f"{1 / factorial(explainers):.3f}"
    needs = f" p of {explainers} explainers is never below {least}; --explainers {enough} can be significant."
    needs = needs if explainers < enough else ""
    p = "" if pd.isna(row["p_alone"]) else f" The exact test of the preference has p = {row['p_alone']:.3f}."
    why = f" ({row['why']})" if row["why"] else ""
    return (
        "All this holds for this model and these items alone. By the study's own rule the claim that "
        f"explanations know their own run is {row['verdict']}{why}.{p}{needs}"
    )


def _with_interval(row: pd.Series, measure: str, form: str) -> str:
    value, low, high = (row[f"{measure}{end}"] for end in ("", "_low", "_high"))
    return f"{value:{form}}" + ("" if np.isnan(low) else f" ({low:{form}} to {high:{form}})")


def said(profile: str, sweep: str) -> str:
    """Return all of it as text for a terminal: premises, numbers with 95 % intervals, and sentences."""
    lines = ["", "Can these runs answer the question?"]
    for _, one in premises(profile, sweep).iterrows():
        lines.append(f"  {'yes' if one['met'] else 'NO ':<4} {one['premise']}: {one['found']}")
    lines += ["", "What came out, with 95 % intervals"]
    for condition, part in numbers(profile, sweep).groupby("labels", sort=False):
        lines.append(f"  {condition}")
        for _, row in part.iterrows():
            lines.append(f"    {row['measure']:<11}{_shown(row):<26}{row['meaning']}")
    lines += ["", "What it means", *(f"  {text}" for text in sentences(profile, sweep))]
    return "\n".join(lines)


def _shown(row: pd.Series) -> str:
    if np.isnan(row["value"]):
        return "none"
    form = "+.3f" if row["measure"] == "gap" else ".3f"
    return _with_interval(row.rename({"value": "m", "low": "m_low", "high": "m_high"}), "m", form)
