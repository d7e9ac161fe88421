"""Renew the committed tables after a measure has changed, without any new run.

`python -m coupling.analysis.tables.renewal` makes the tables of every committed sweep anew. Where all runs
are there or have been published as records, the tables are collected from them. Where only items.parquet has
been committed, measures of the final step are computed from it. What needs more than these rows (text,
probabilities, earlier evaluations) stays as it was committed. Intervals and new measures of earlier
evaluations are missing.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from coupling import sweep as sweeps
from coupling.analysis import controls, measures, summaries, tracking
from coupling.analysis.tables import collecting
from coupling.analysis.tables.committed import Tables, collected, folder, read, write
from coupling.runs import folders, records
from coupling.spec import Spec
from coupling.tasks.splits import held_out_kinds

# Columns of rows that items.parquet lacks. What is computed from these stands-in is thrown away.
_STANDS_IN = {"text": "", "mass_x": 1.0, "mass_cf": 1.0, "kl_x": 0.0, "kl_cf": 0.0, "final": True}
_NOT_FROM_ITEMS = ["collapsed", "mass_x", "mass_cf", "kl_x", "kl_cf", "kl_paid"]


def renew(profile: str, sweep: str) -> Tables:
    """Make the tables of a committed sweep anew, from its runs where they are there, else from its items."""
    plan = sweeps.plan(profile, sweep)
    specs = [spec for _, spec in plan]
    if all(records.find(folders.run_folder(spec)) for spec in specs):
        return collecting.collect(sweep, plan)
    return from_items(read(profile, sweep), specs)


def from_items(old: Tables, specs: list[Spec]) -> Tables:
    """Compute anew what the rows of the final step are enough for.

    Args:
        old: The committed tables.
        specs: The specs of the sweep's runs, which say what kinds of items go without labels.

    Returns:
        The tables with the columns that `collecting.collect` gives today. A number that cannot be computed
        from the rows is the committed one, and missing where there is none.
    """
    names = {"profile": old.keys["profile"], "sweep": old.keys["sweep"]}
    made = [
        _of_task(task, rows.drop(columns="task"), old, specs, names)
        for task, rows in old.items.groupby("task", sort=False)
    ]
    new = {name: pd.concat([of[name] for of in made], ignore_index=True) for name in made[0]}
    runs = _kept(new["runs"], old.runs, ["task", *measures.RUN, "step"])
    runs["collapsed"] = [
        ", ".join(dict.fromkeys([*filter(None, said.split(", ")), *summaries.without_labels(share)]))
        for said, share in zip(runs["collapsed"].fillna(""), runs["no_label"], strict=True)
    ]
    finals = runs[runs["no_label"].notna()].groupby(["task", "condition"])["collapsed"]
    summary = _kept(new["summary"], old.summary, ["task", "condition"])
    fallen = finals.agg(lambda reasons: int((reasons != "").sum()))
    summary["collapsed"] = fallen.loc[pd.MultiIndex.from_frame(summary[["task", "condition"]])].to_numpy()
    shift = None if old.shift is None else _shift(old, runs, names)
    ends = [name for name in old.dynamics if name.endswith(("_low", "_high"))]
    return Tables(
        **{name: getattr(old, name) for name in ("items", "lead_lag", "teacher", "base", "keys")},
        dynamics=old.dynamics.assign(**dict.fromkeys(ends, np.nan)),
        runs=runs,
        summary=summary,
        regions=_kept(new["regions"], old.regions, ["task", "condition", "region"]),
        preference=new["preference"],
        shift=shift,
        sensor=old.sensor,
        circuits=old.circuits,
        similarity=old.similarity,
        interventions=old.interventions,
    )


def part(whole: Tables, runs: pd.DataFrame, specs: list[Spec]) -> Tables:
    """Restrict the committed tables of a sweep to some of its runs, whose summary is computed anew.

    Args:
        whole: The committed tables.
        runs: The runs, one a row: task, condition, m0_seed and seed. What is not committed is left out.
        specs: The specs of the sweep's runs; see `from_items`.

    Returns:
        Tables whose items, runs (at the final step), summary, regions, preference and keys are of these runs.
        There is no table shift, and the others are still those of the whole. There are no rows where none of
        the runs is committed.
    """
    names = ["task", *measures.RUN]
    wanted = runs[names].drop_duplicates()
    items = whole.items.merge(wanted)
    if items.empty:
        return replace(whole, items=items, summary=whole.summary[:0], keys=whole.keys | {"runs": []})
    conditions = items[["task", "condition"]].drop_duplicates()
    last = whole.runs["step"] == whole.runs.groupby(names)["step"].transform("max")
    known = set(wanted.itertuples(index=False, name=None))
    kept = [
        run
        for run in whole.keys["runs"]
        if any((task, *(run[name] for name in measures.RUN)) in known for task in run["task"].split("+"))
    ]
    restricted = replace(
        whole,
        items=items,
        runs=whole.runs[last].merge(wanted),
        summary=whole.summary.merge(conditions),
        regions=whole.regions.merge(conditions),
        keys=whole.keys | {"runs": kept},
        shift=None,  # is compared with nothing, and would be computed anew
    )
    return from_items(restricted, specs)


def _of_task(
    task: str, rows: pd.DataFrame, old: Tables, specs: list[Spec], names: dict[str, str]
) -> dict[str, pd.DataFrame]:
    """The tables of one task, as far as its rows go."""
    held_out = [spec for spec in specs if spec.held_out and task in spec.tasks]
    closed = held_out_kinds(rows["kind"], held_out[0]) if held_out else set()
    final = measures.with_measures(rows.assign(**_STANDS_IN, held_out=rows["kind"].isin(closed)))
    teacher = controls.teacher_matrix(final)
    made = {
        "runs": summaries.per_run(final).assign(task=task),
        "summary": collecting.summary_of(final, teacher, names | {"task": task}),
        "regions": collecting.regions_of(final).assign(task=task),
        "preference": collecting.preferences(final[:0], final).assign(task=task),
    }
    return {name: _without(frame) for name, frame in made.items()}


def _without(frame: pd.DataFrame) -> pd.DataFrame:
    """Take out what was computed from stands-in: the columns stay, without a value."""
    return frame.assign(**{name: np.nan for name in frame if name in _NOT_FROM_ITEMS})


def _kept(new: pd.DataFrame, old: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the rows of the old table, in its order, with the columns of the new one.

    A value is the new one, or the old one where the new one is missing.
    """
    index = pd.MultiIndex.from_frame(old[by])
    values: dict[str, Any] = {}
    ours, theirs = (frame.set_index(by).reindex(index) for frame in (new, old))
    for name in new.columns.drop(by):
        fresh = ours[name]
        if name in theirs:
            fresh = fresh.astype(object).where(fresh.notna(), theirs[name]).infer_objects()
        values[name] = fresh
    return pd.DataFrame(values).reset_index()[list(new)]


def _shift(old: Tables, runs: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """The table shift, with the collapsed runs of the table of runs."""
    items = old.items.assign(**_STANDS_IN)
    made = [tracking.per_run(tracking.measured(part)) for _, part in items.groupby("task", sort=False)]
    run = ["task", *measures.RUN]
    by = [*run, *(name for name in tracking.REGION if name in old.shift)]
    new = _without(pd.concat(made, ignore_index=True).assign(kl_paid=np.nan, **names))
    last = runs[runs["no_label"].notna()].set_index(run)["collapsed"]
    shift = _kept(new, old.shift, by)
    return shift.assign(collapsed=last.loc[pd.MultiIndex.from_frame(shift[run])].to_numpy())


def renew_all() -> None:
    """Renew the tables of every committed sweep, in place."""
    for profile, sweep in collected():
        write(renew(profile, sweep), folder(profile, sweep))


if __name__ == "__main__":
    renew_all()
