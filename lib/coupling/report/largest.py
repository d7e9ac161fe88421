"""How large the effect is where it is largest, and what bounds it: a part of the page of results."""

import pandas as pd

from coupling.analysis import tables
from coupling.report.answers.words import interval, share
from coupling.report.claims_text import markdown_table
from coupling.sweep import read_sweep

TITLE = "How large is the effect where it is largest, and what bounds it?"
FRESH = 10  # from this seed on, M0s were kept for the confirmation
_SHOWN = ("preference", "gap")
_NAMES = ["sweep", "task", "condition", "region"]
_MEASURED = ["divergent", *(name + end for name in _SHOWN for end in ("", "_low", "_high"))]
_OTHER_LABELS = {"source", "label_change", "relabel"}  # fields by which labels are not what M0 itself does


def largest_parts() -> list[str]:
    """Return where preference and gap are largest, and what bounds the gap, as parts of a page in Markdown.

    Nothing without a setting that `settings` finds.
    """
    found = settings()
    if found.empty:
        return []
    preference, gap = (found.loc[found[name].idxmax()] for name in _SHOWN)
    above = found[found["gap_low"] > 0]
    reached = above["gap"] / above["divergent"]
    sentences = [
        f"- The largest preference is {interval(preference, 'preference', share)}: {preference['task']}, "
        f"{_setting(preference)}.",
        f"- The largest gap is {interval(gap, 'gap')}: {gap['task']}, {_setting(gap)}. There behaviour "
        f"differs from its labels on {gap['divergent']:.3f} of the items. No gap can be larger than this "
        f"share, and the gap is {gap['gap'] / gap['divergent']:.0%} of it.",
        f"- In {len(above)} of {len(found)} settings the interval of the gap lies above zero. There that "
        f"share is {above['divergent'].min():.3f} to {above['divergent'].max():.3f}, and the gap is "
        f"{reached.min():.0%} to {reached.max():.0%} of it. So the gap is small because behaviour seldom "
        "leaves its labels, and because explanations state it on a part of these items alone. The preference "
        "is not bounded by that share: it is taken over items on which two runs differ.",
    ]
    limits = (
        f"- Each value is the largest of {len(found)}, and the largest of many is likely an overestimate. "
        "These settings were planned. Which of them would be the largest was not."
    )
    header = ["task", "largest", "setting", "preference", "gap", "divergent", "gap ÷ divergent"]
    about = (
        "All settings of the sweeps `confirm` whose labels are what M0 itself does, and of which no run is "
        "collapsed; kinds with and without labels apart. For each task, the setting with the largest "
        "preference and the one with the largest gap."
    )
    table = markdown_table(header, _rows(found))
    return [f"## {TITLE}", about, "\n".join(sentences), table, "**What it does not show.**", limits]


def settings() -> pd.DataFrame:
    """Collect the settings on fresh M0s whose labels are those of M0 and of which no run is collapsed.

    Returns:
        One row a sweep, task and condition, or region of it where kinds go without labels: sweep (its title),
        task, condition, region ("" for all items), divergent (float64, the share of items on which behaviour
        differs from its labels), and preference and gap (float64) with *_low and *_high.
    """
    parts = [_of_sweep(sweep) for profile, sweep in tables.collected() if _counts(profile, sweep)]
    if not parts:
        return pd.DataFrame()
    # Sweeps share runs. A setting whose numbers are those of another one is the same setting.
    return pd.concat(parts, ignore_index=True).drop_duplicates(["task", *_MEASURED], ignore_index=True)


def _counts(profile: str, sweep: str) -> bool:
    planned = sweep.startswith("confirm") and read_sweep(sweep).first_m0_seed >= FRESH
    return profile == "tiny" and planned


def _of_sweep(sweep: str) -> pd.DataFrame:
    data, of = tables.read("tiny", sweep), read_sweep(sweep)
    own = [name for name, values in of.conditions.items() if not _OTHER_LABELS & set(values)]
    kept = data.summary[(data.summary["collapsed"] == 0) & data.summary["condition"].isin(own)]
    rows = data.regions.merge(kept[["task", "condition"]], on=["task", "condition"])
    rows = rows.assign(sweep=of.title, divergent=1 - rows["agreement"])
    alone = rows.groupby(["task", "condition"])["region"].transform("nunique") == 1
    return rows.assign(region=rows["region"].mask(alone, ""))[[*_NAMES, *_MEASURED]]


def _rows(found: pd.DataFrame) -> list[list[str]]:
    return [
        [
            *(row["task"], name, _setting(row)),
            *(interval(row, "preference", share), interval(row, "gap")),
            *(f"{row['divergent']:.3f}", f"{row['gap'] / row['divergent']:.0%}"),
        ]
        for _, of_task in found.groupby("task", sort=False)
        for name in _SHOWN
        for row in [of_task.loc[of_task[name].idxmax()]]
    ]


def _setting(row: pd.Series) -> str:
    kinds = {"": "", "labelled": ", kinds with labels", "held out": ", kinds without labels"}[row["region"]]
    return f"{row['sweep']}: `{row['condition']}`{kinds}"
