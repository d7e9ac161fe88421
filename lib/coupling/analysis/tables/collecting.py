"""From finished runs to the tables of a sweep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from coupling import files
from coupling.analysis import controls, measures, preference, summaries, tracking
from coupling.analysis.lead_lag import lead_lag
from coupling.analysis.measures import region_name
from coupling.analysis.resampling import flattened, intervals
from coupling.analysis.tables.committed import SUMMARY, Tables
from coupling.analysis.tables.patched import circuit_tables
from coupling.runs import folders, records
from coupling.spec import Spec

DYNAMICS = ["self", "target", "agreement", "gap", "excess", "kl_x", "kl_cf", "moved_x", "moved_cf"]
REGIONS = ["self", "target", "base", "gap", "excess", "agreement", "gap_content", "gap_flag"]
ITEMS = [
    "task",
    "condition",
    "m0_seed",
    "seed",
    "step",
    "id",
    "group",
    "kind",
    "valid",
    "changes",
    "answer",
    "gold",
    "hinted",
    "x",
    "cf",
    "target_x",
    "target_cf",
    "base_x",
    "base_cf",
    "self",
    "target",
    "base",
]
# Further columns of items in a sweep with shifts.
SHIFT_ITEMS = [*tracking.ABOUT, *tracking.REGION, "forced_self", "retaught", "new_gold"]
# Columns that only some runs have: what stands for a missing value, and the dtype.
SOMETIMES = {"retaught": (0, "int8"), "new_gold": (-1, "int8"), "forced_self": (float("nan"), "float32")}


@dataclass(frozen=True)
class _Run:
    """A finished run of the plan.

    Attributes:
        condition: The condition of the sweep that the run belongs to.
        spec: Its spec.
        folder: Where its result or its published record is.
        manifest: What its manifest.json holds.
    """

    condition: str
    spec: Spec
    folder: Path
    manifest: dict[str, Any]

    @property
    def names(self) -> dict[str, Any]:
        """The columns that name the run within its task."""
        return {"condition": self.condition, "m0_seed": self.spec.m0_seed, "seed": self.spec.seed}


def collect(sweep: str, runs: list[tuple[str, Spec]]) -> Tables:
    """Make the tables of a sweep from its finished runs.

    A diverged run stands in keys and enters no other table but base.

    Args:
        sweep: The name of the sweep.
        runs: (condition, spec) of every run of the plan.

    Raises:
        StoreError: Where a run of the plan has neither finished nor been published, so that no table is ever
            made of fewer runs than planned; or where all runs diverged.
        PublishError: Where a condition has runs of two devices.
    """
    finished = _finished(runs)
    records.check_devices([spec for _, spec in runs])
    complete = [run for run in finished if run.manifest["status"] == "complete"]
    if not complete:
        raise files.StoreError(f"all {len(runs)} runs diverged: lower their learning rate")
    profile = runs[0][1].profile
    has_shifts = any(spec.shift != "none" for _, spec in runs)
    rows = _rows(complete, has_shifts)
    by_task = [
        _of_task(task, part.drop(columns="task"), profile, sweep)
        for task, part in rows.groupby("task", sort=False)
    ]
    joined = {name: pd.concat([of[name] for of in by_task], ignore_index=True) for name in by_task[0]}
    bases = _bases(finished)
    keys = {
        "profile": profile,
        "sweep": sweep,
        "base": sorted(folder.name for folder in bases),
        "runs": [_key(run) for run in finished],
    }
    if has_shifts:
        joined |= {
            name: frame.assign(profile=profile, sweep=sweep)
            for name, frame in _shift_tables(rows, complete).items()
        }
    if patched := [run for run in complete if run.spec.patched_items]:
        joined |= circuit_tables([(run.spec, run.names) for run in patched], joined["items"])
    return Tables(**joined, base=_base_table(bases), keys=keys)


def _finished(runs: list[tuple[str, Spec]]) -> list[_Run]:
    """Find every run of the plan, in its order. Raises StoreError where one is missing."""
    found = {spec: records.find(folders.run_folder(spec)) for _, spec in runs}
    if missing := [folders.run_folder(spec) for spec, folder in found.items() if folder is None]:
        raise files.StoreError(
            f"{len(missing)} of {len(runs)} runs have not finished, for instance "
            f"{records.why_not(missing[0])}"
        )
    return [
        _Run(condition, spec, found[spec], files.read_json(found[spec] / "manifest.json"))
        for condition, spec in runs
    ]


def _key(run: _Run) -> dict[str, Any]:
    """What keys.json says of a run."""
    kept = ("key", "status", "git_commit", "base")
    return {"task": run.spec.task} | run.names | {name: run.manifest[name] for name in kept}


def _rows(runs: list[_Run], has_shifts: bool) -> pd.DataFrame:
    """Put the rows of complete runs together.

    Returns:
        The rows of all evaluations with the run's columns, those of `tracking.about` where the sweep has
        shifts, and final (bool): whether the row is of its run's final step. held_out is True for all items
        of a task and kind that goes without labels in any run; labelled, where the sweep has shifts, says
        whether it has labels in the row's own run.
    """
    frames = []
    for run in runs:
        rows = files.read_table(run.folder / "rows.parquet")
        about = tracking.about(run.spec) if has_shifts else {}
        if has_shifts and "pushed" not in rows:  # records of older runs, whose pushes act on all kinds
            about["pushed"] = bool(about["direction"])
        frames.append(rows.assign(**run.names, **about, final=rows["step"] == run.spec.final_step))
    rows = pd.concat(frames, ignore_index=True)
    filled = {
        name: rows[name].fillna(nothing).astype(dtype)
        for name, (nothing, dtype) in SOMETIMES.items()
        if name in rows
    }
    rows = rows.assign(**filled)
    if has_shifts:
        rows["labelled"] = ~rows["held_out"].astype(bool)
    rows["held_out"] = rows["held_out"].groupby([rows["task"], rows["kind"]]).transform("any")
    return rows


def _of_task(task: str, rows: pd.DataFrame, profile: str, sweep: str) -> dict[str, pd.DataFrame]:
    """The tables of one task, by name; rows: those of all its runs and evaluations.

    Dynamics and lead and lag are over the items that every evaluation asked, so that steps can be compared.
    """
    final = measures.with_measures(rows[rows["final"]])
    evaluations = rows.groupby("id")["step"].nunique()
    always = evaluations[evaluations == rows["step"].nunique()].index
    shared = measures.with_measures(rows[rows["id"].isin(always)])
    runs = pd.concat([summaries.per_run(shared[~shared["final"]]), summaries.per_run(final)])
    teacher = controls.teacher_matrix(final)
    kept = [*ITEMS, *(c for c in SHIFT_ITEMS if "objective" in final and c in final)]
    return {
        "items": _items(final).assign(task=task)[kept],
        "runs": runs.sort_values([*measures.RUN, "step"]).assign(task=task),
        "summary": summary_of(final, teacher, {"profile": profile, "task": task, "sweep": sweep}),
        "dynamics": _dynamics(shared).assign(task=task),
        "regions": regions_of(final).assign(task=task),
        "lead_lag": lead_lag(shared).assign(task=task),
        "teacher": teacher.assign(task=task),
        "preference": preferences(shared, final).assign(task=task),
    }


def _items(final: pd.DataFrame) -> pd.DataFrame:
    """The final rows with `self` as the rows have it: without a label nothing matches."""
    final = final.copy()
    final["self"] = final["self"].fillna(0).astype(bool)
    return final


def preferences(shared: pd.DataFrame, final: pd.DataFrame) -> pd.DataFrame:
    """Compute the preference of every pair of runs at every evaluation, and apart by region at the final one.

    Args:
        shared: Rows of all evaluations of one task, over the items that all evaluations asked.
        final: Rows of the final step, over all items, with held_out.

    Returns:
        Rows of `preference.by_pair` with region: "all" for all items, "labelled" and "held out" for kinds
        with and without labels, where there are any of the latter.
    """
    before = shared[~shared["final"]]
    parts = [preference.by_pair(rows).assign(region="all") for rows in (before, final)]
    if final["held_out"].any():
        parts += [
            preference.by_pair(rows).assign(region=region_name(held_out))
            for held_out, rows in final.groupby("held_out")
        ]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def summary_of(final: pd.DataFrame, teacher: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """One row a condition, with the tests of the teacher matrix and of divergent items; SUMMARY first."""
    summary = summaries.summarise(final).assign(**names)
    conditions = summary["condition"]
    tests = [controls.diagonal_test(teacher[teacher["condition"] == c]) for c in conditions]
    decided = [controls.decided_divergent(final[final["condition"] == c]) for c in conditions]
    summary = pd.concat([summary, pd.DataFrame(tests).add_prefix("teacher_"), pd.DataFrame(decided)], axis=1)
    return summary[[*SUMMARY, *(column for column in summary if column not in SUMMARY)]]


def _dynamics(shared: pd.DataFrame) -> pd.DataFrame:
    """One row a condition, in the order of the sweep, and evaluation."""
    order = list(dict.fromkeys(shared["condition"]))
    by_order = shared.assign(condition=pd.Categorical(shared["condition"], order))
    rows = [
        {"condition": condition, "step": step, "items": part["id"].nunique()}
        | flattened(intervals(part, DYNAMICS), DYNAMICS)
        | summaries.preference_interval(preference.by_pair(part))
        for (condition, step), part in by_order.groupby(["condition", "step"], sort=True, observed=True)
    ]
    return pd.DataFrame(rows)


def regions_of(final: pd.DataFrame) -> pd.DataFrame:
    """One row a condition and region, apart by whether an item's kind goes without labels in any run."""
    rows = [
        {
            "condition": condition,
            "region": region_name(held_out),
            "items": part["id"].nunique(),
        }
        | flattened(intervals(part, REGIONS), REGIONS)
        | summaries.preference_interval(preference.by_pair(part))
        for (condition, held_out), part in final.groupby(["condition", "held_out"], sort=False)
    ]
    return pd.DataFrame(rows)


def _shift_tables(rows: pd.DataFrame, runs: list[_Run]) -> dict[str, pd.DataFrame]:
    """The tables shift and sensor of complete runs; rows: those of all their evaluations."""
    by_task = [part for _, part in rows.groupby("task", sort=False)]
    shift = [tracking.per_run(tracking.measured(part[part["final"]])) for part in by_task]
    sensor = [tracking.estimates(part) for part in by_task]
    paid = pd.DataFrame([{"task": run.spec.task} | run.names | {"kl_paid": _kl_paid(run)} for run in runs])
    return {
        "shift": pd.concat(shift, ignore_index=True).merge(paid, on=["task", *measures.RUN], how="left"),
        "sensor": pd.concat(sensor, ignore_index=True),
    }


def _kl_paid(run: _Run) -> float:
    """The mean KL term of the last tenth of the steps, in nats; NaN where the last phase has no KL term."""
    kl = files.read_table(run.folder / "history.parquet")["kl"]
    return kl.tail(max(1, len(kl) // 10)).mean() if run.spec.phases[-1].spec.kl_weight else float("nan")


@dataclass(frozen=True)
class _Base:
    """The untrained M0 that runs start from.

    Attributes:
        spec: The spec of one of these runs.
        folder: Where the result of the base or its record is.
        rules: For each run, by task, the share of labels that a shallow rule predicts.
    """

    spec: Spec
    folder: Path
    rules: list[dict[str, float]]

    def setting(self, task: str) -> tuple[Any, ...]:
        """What M0s have in common that differ in their seed alone, and the task that their labels are of."""
        return self.spec.task, task, self.spec.model, self.spec.m0_checkpoint


def _bases(runs: list[_Run]) -> dict[Path, _Base]:
    """The bases of runs by their folder in results, in order. Raises StoreError where one is missing."""
    bases: dict[Path, _Base] = {}
    for run in runs:
        folder = folders.base_folder(run.spec)
        if folder not in bases:
            if (found := records.find(folder)) is None:
                raise files.StoreError(f"a base is not there: {records.why_not(folder)}")
            bases[folder] = _Base(run.spec, found, [])
        bases[folder].rules.append(run.manifest["labels"]["shallow_rule"])
    return bases


def _base_table(bases: dict[Path, _Base]) -> pd.DataFrame:
    """One row a task and M0.

    seed_agreement is the mean share of labels that M0s of other seeds have too. shallow_rule is the mean
    share that a shallow rule predicts.
    """
    labels = {}
    for base in bases.values():
        untrained = files.read_table(base.folder / "untrained.parquet")
        for task, part in untrained.groupby("task"):
            labels[(*base.setting(task), base.spec.m0_seed)] = part.set_index("id")["label"]
    rows = []
    for base in bases.values():
        spec, manifest = base.spec, files.read_json(base.folder / "manifest.json")
        for task, health in manifest["health"].items():
            name = task.split(":")[0]
            own = labels[(*base.setting(name), spec.m0_seed)]
            agreement = [
                (own == others.reindex(own.index)).mean()
                for (*setting, m0_seed), others in labels.items()
                if tuple(setting) == base.setting(name) and m0_seed != spec.m0_seed
            ]
            rows.append(
                {
                    "tasks": spec.task.split(":")[0],
                    "task": name,
                    "model": spec.model,
                    "parameters": manifest["model"]["parameters"],
                    "m0_checkpoint": spec.m0_checkpoint,
                    "m0_seed": spec.m0_seed,
                }
                | {measure: _number(value) for measure, value in health.items()}
                | {"seed_agreement": _mean(agreement)}
                | {"shallow_rule": _mean([_number(rule[name]) for rule in base.rules if name in rule])}
            )
    return pd.DataFrame(rows)


def _number(value: float | None) -> float:
    """A number of a manifest, which has null where there is none."""
    return float("nan") if value is None else value


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
