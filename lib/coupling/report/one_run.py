"""What notebooks show of one run: M0's health, loss, explanations, measures, readings of the sensor."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from coupling.analysis import measures as item_measures
from coupling.analysis import summaries, tracking
from coupling.measure.wording import Statement, render_label
from coupling.report.figures import marks, style
from coupling.report.notebooks import Markdown
from coupling.report.walkthrough import CROSS, TICK
from coupling.runs import Result, items_of
from coupling.tasks import Item, task_of

_TERMS = {"cross_entropy": "cross-entropy of the labels", "kl": "KL to the behaviour of M0"}


# What M0's behaviours are described by: name in the manifest, and what it says.
HEALTH = {
    "no_cue_accuracy": "right without the cue",
    "cue_accuracy": "right with the cue",
    "wrong_cue_adoption": "wrong cues adopted",
    "changed_share": "answers that the cue changes",
    "top_label_share": "items with the commonest label",
    "untrained_forced_choice": "explained before training, forced to a label",
    "choice_mass_x": "probability on the choices, with the cue",
    "choice_mass_cf": "probability on the choices, without it",
}


def health(base: Result) -> pd.DataFrame:
    """Describe what an M0 does before explanation training, as shares of its test items.

    Args:
        base: A measured M0.

    Returns:
        One row a property, with the column "share of test items" and a column a task.
    """
    tasks: dict[str, dict[str, float]] = base.manifest["health"]
    columns = {task: [found.get(name, float("nan")) for name in HEALTH] for task, found in tasks.items()}
    return pd.DataFrame({"share of test items": list(HEALTH.values())} | columns)


_SAID = {
    "no_cue_accuracy": "M0 is right without the cue on {:.2f} of the items.",
    "wrong_cue_adoption": "It adopts {:.2f} of the wrong cues.",
    "changed_share": "The cue changes its answer on {:.2f} of the items.",
    "top_label_share": "The commonest label has {:.2f}.",
}


def health_in_words(base: Result) -> Markdown:
    """Say in a sentence a task whether there is anything to explain."""
    said = []
    for task, found in base.manifest["health"].items():
        known = {name: value for name, value in found.items() if value is not None}  # items may have no gold
        sentences = [text.format(known[name]) for name, text in _SAID.items() if name in known]
        said.append(f"- On {task}: {' '.join(sentences)}")
    return Markdown("\n".join(said))


def made(result: Result) -> pd.DataFrame:
    """Say what a result is of, how long it took, and on which machine. One row."""
    manifest = result.manifest
    about: dict[str, Any] = {
        "key": manifest["key"],
        "status": manifest.get("status", "complete"),
        "model": result.spec.model,
        "seconds": f"{sum(manifest['seconds'].values()):.0f}",
        "peak memory, GB": f"{manifest['peak_memory_gb']:.2f}",
        "computed on": manifest["hardware"].get("cpu", ""),
    }
    return pd.DataFrame([about])


def measures(result: Result) -> pd.DataFrame:
    """Measure one run.

    Returns:
        One row a task and evaluation. Measures are fractions from 0 to 1.
    """
    parts = [
        summaries.per_run(item_measures.with_measures(part)).assign(task=task)
        for task, part in _rows(result).groupby("task", sort=False)
    ]
    columns = ["task", "step", "items", "self", "target", "gap", "agreement", "valid", "collapsed"]
    return pd.concat(parts, ignore_index=True)[columns]


def measures_in_words(found: pd.DataFrame) -> Markdown:
    """Say what came out of a run at its last evaluation; see `measures`."""
    last = found[found["step"] == found["step"].max()]
    said = []
    for _, row in last.iterrows():
        more = "more" if row["gap"] > 0 else "no more"
        said.append(
            f"- On {row['task']}, explanations state the model's own behaviour on {row['self']:.3f} of the "
            f"items and the label on {row['target']:.3f}: {more} often their own (gap {row['gap']:+.3f}). "
            f"Behaviour still agrees with the labels on {row['agreement']:.3f}."
        )
        if row["collapsed"]:
            said.append(f"- The run counts as collapsed ({row['collapsed']}), so that its gap says little.")
    return Markdown("\n".join(said))


def readings(result: Result) -> pd.DataFrame:
    """Read rates of behaviour off the explanations of one run, beside the rates that were measured.

    Returns:
        One row a task and evaluation, with the sensor's estimate, its interval, and M0's rate.
    """
    estimates = tracking.estimates(_rows(result).assign(**tracking.about(result.spec)))
    columns = ["task", "step", "items", "valid", "estimated", "low", "high", "measured", "m0_rate"]
    return estimates[columns]


def readings_in_words(found: pd.DataFrame) -> Markdown:
    """Say how far the last reading of the sensor is from the measured rate; see `readings`."""
    said = []
    for _, row in found[found["step"] == found["step"].max()].iterrows():
        moved = (
            f"- On {row['task']}, the measured rate went from {row['m0_rate']:.3f} to {row['measured']:.3f}."
        )
        if pd.isna(row["estimated"]):
            said.append(f"{moved} No explanation is valid, so that nothing is read off.")
            continue
        said.append(
            f"{moved} Explanations imply {row['estimated']:.3f} ({row['low']:.3f} to {row['high']:.3f}), "
            f"which is off by {abs(row['estimated'] - row['measured']):.3f}. Always saying M0's rate is "
            f"off by {abs(row['m0_rate'] - row['measured']):.3f}."
        )
    return Markdown("\n".join(said))


def _rows(result: Result) -> pd.DataFrame:
    """Return the rows of one run with the columns that tables of many runs have."""
    spec = result.spec
    return result.table("rows").assign(condition="this run", m0_seed=spec.m0_seed, seed=spec.seed)


def loss_curve(result: Result) -> Figure:
    """Draw the two terms of the loss over the steps of explanation training, in nats.

    Args:
        result: A finished explainer.
    """
    history = result.table("history")
    with style.styled():
        figure, axes = style.canvas(1, len(_TERMS), (style.PAGE, 2.0))
        for axis, name in zip(axes, _TERMS, strict=True):
            axis.plot(history["step"], history[name], color=marks.BLUE)
            axis.set(xlabel="step of explanation training", ylabel="nats")
        style.panels(axes, list(_TERMS.values()), 200)
    figure.alt = "The two terms of the loss over the steps of explanation training"
    return figure


def explanations(result: Result, count: int = 5) -> pd.DataFrame:
    """Show some explanations of a finished run, each with its label and with self and target ticked off.

    Up to two of the items are divergent: the model has left its label there. The words of items are shown
    where they are made up, and not where they come from a file or a package.

    Args:
        result: A finished explainer.
        count: How many explanations are shown.

    Returns:
        One row an item, with its id, x, label L(S), label L(M_t), explanation, self and target (texts).
    """
    rows = result.table("rows")
    last = rows[rows["step"] == rows["step"].max()]
    left = (last[["x", "cf"]].to_numpy() != last[["target_x", "target_cf"]].to_numpy()).any(axis=1)
    chosen = pd.concat([last[left].head(2), last[~left].head(count)]).head(count)
    items = {(item.task, item.id): item for item in items_of(result.spec)[1]}
    return pd.DataFrame(
        [_explained(result, items[row["task"], row["id"]], row) for _, row in chosen.iterrows()]
    )


def _explained(result: Result, item: Item, row: pd.Series) -> dict[str, str]:
    """One row of `explanations`."""
    made_up = task_of(item.task).source(result.spec) is None
    return {
        "id": item.id,
        **({"x": item.prompt} if made_up else {}),
        "label L(S)": _label(result, item, row["target_x"], row["target_cf"]),
        "label L(M_t)": _label(result, item, row["x"], row["cf"]),
        "explanation": row["text"],
        "self": TICK if row["self"] else CROSS,
        "target": TICK if row["target"] else CROSS,
    }


def _label(result: Result, item: Item, x: int, cf: int) -> str:
    """Write the label that two choices make true; there is none where a reply was no choice."""
    if min(x, cf) < 0:
        return "no label"
    return render_label(item, Statement(bool(x != cf), int(cf)), result.spec.label_format)


def readings_curve(readings: pd.DataFrame) -> Figure:
    """Draw what the sensor reads at each evaluation, beside the measured rate and M0's rate.

    Args:
        readings: Rows of `readings`. The first task is drawn.
    """
    rows = readings[readings["task"] == readings["task"].iloc[0]]
    looks = {
        "measured": (marks.BLUE, "o", "measured"),
        "estimated": (marks.VERMILION, "s", "read off explanations"),
    }
    with style.styled():
        figure, axis = style.canvas(1, 1, (style.COLUMN, 2.0))
        for name, (colour, mark, label) in looks.items():
            axis.plot(rows["step"], rows[name], marker=mark, color=colour, label=label)
        axis.fill_between(rows["step"], rows["low"], rows["high"], color=marks.VERMILION, alpha=0.2, lw=0)
        axis.plot(rows["step"], rows["m0_rate"], color="black", lw=0.8, ls=":", label="M0's rate")
        task = rows["task"].iloc[0]
        axis.set(xlabel="step of explanation training", ylabel=f"rate: {task_of(task).sensed}", ylim=(0, 1))
        title = f"{task}: the rate, and what explanations imply"
        style.finish(figure, title, "One run. Band: 95 % bootstrap over groups.")
    figure.alt = "The measured rate, M0's rate and the rate read off explanations, at each evaluation"
    return figure
