"""The small tables behind the figures: collected from finished runs, committed, and read back by every figure.

`figures/data/<profile>/<sweep>/` holds items.parquet (the rows of each run's final step, with condition and seeds),
runs.csv (every measure of each run and evaluation), summary.csv (one row a condition), dynamics.csv (means and
intervals over the evaluations, on the items that all of them share), teacher.csv (the explanations of each run against the
behaviour of each from the same S), regions.csv (the final step apart by whether an item's
kind has labels in any condition), lead_lag.csv, base.csv (health of each M0 by task, how often other M0 seeds have the
same label, how well a shallow rule predicts it) and keys.json (the runs that they come from). A sweep of shifts also has shift.parquet (one row a
run) and sensor.parquet (one row a run and evaluation; see `faithfulness.shifted`). The same runs give the same bytes.
"""

import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import controls, measures, resampling, tracking
from coupling.runs import folders, records
from coupling.spec import Spec

SUMMARY = [
    "profile",
    "task",
    "sweep",
    "condition",
    "seeds",
    "items",
    "self",
    "target",
    "base",
    "gap",
    "gap_low",
    "gap_high",
    "excess",
    "excess_low",
    "excess_high",
    "divergent_share",
    "agreement",
]
DYNAMICS = ["self", "target", "agreement", "gap", "excess", "kl_x", "kl_cf", "moved_x", "moved_cf"]
REGIONS = ["self", "target", "base", "gap", "excess", "agreement"]
_CSV = ("runs", "summary", "dynamics", "regions", "lead_lag", "teacher", "base")
_ITEMS = [
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
_SHIFTED_ITEMS = [*tracking.ABOUT, "forced_self", "retaught", "new_gold"]
SHIFTED = ("shift", "sensor")

SIZES = ("tiny", "small", "medium", "paper")  # the profiles, as they are shown


@dataclass(frozen=True)
class Tables:
    """The tables of one sweep; see the module. keys: {"runs": [...], "base": [...]}. shift and sensor: None of a sweep without shifts."""

    items: pd.DataFrame
    runs: pd.DataFrame
    summary: pd.DataFrame
    dynamics: pd.DataFrame
    regions: pd.DataFrame
    lead_lag: pd.DataFrame
    teacher: pd.DataFrame
    base: pd.DataFrame
    keys: dict
    shift: pd.DataFrame | None = None
    sensor: pd.DataFrame | None = None


def folder(profile: str, sweep: str) -> Path:
    """Where the tables of a sweep are kept: those of a user's own sweep, given by path, among the results."""
    top = files.results_dir() / "tables" if sweeps.is_path(sweep) else files.tables_dir()
    return top / profile / sweeps.stem(sweep)


def collect(sweep: str, runs: list[tuple[str, Spec]]) -> Tables:
    """Tables of the finished runs among `runs`, (condition, spec) each.

    Raises StoreError where a run of the plan has neither finished nor been published: a table of fewer runs than planned is never made
    silently. A diverged run is in keys.json and in no metric.
    """
    found = {spec: records.find(folders.run_folder(spec)) for _, spec in runs}
    if missing := [str(folders.run_folder(s)) for s, folder in found.items() if folder is None]:
        raise files.StoreError(
            f"{len(missing)} of {len(runs)} runs have not finished, for instance {missing[0]}: run the sweep first"
        )
    frames, paid, keys, bases = [], [], [], {}
    shifts = any(s.shift != "none" for _, s in runs)
    for condition, spec in runs:
        manifest = files.read_json(found[spec] / "manifest.json")
        where = {"condition": condition, "m0_seed": spec.m0_seed, "seed": spec.seed}
        keys.append(
            {"task": spec.task} | where | {n: manifest[n] for n in ("key", "status", "git_commit", "base")}
        )
        bases.setdefault(folders.base_folder(spec), (spec, []))[1].append(manifest["labels"]["shallow_rule"])
        if manifest["status"] == "complete":
            rows = files.read_table(found[spec] / "rows.parquet")
            frames.append(
                rows.assign(
                    **where, **(tracking.about(spec) if shifts else {}), final=rows["step"] == spec.final_step
                )
            )
            paid.append(
                {"task": spec.task} | where | {"kl_paid": _paid(spec, found[spec]) if shifts else None}
            )
    if not frames:
        raise files.StoreError(f"all {len(runs)} runs diverged: lower their learning rate")
    profile = runs[0][1].profile
    every = pd.concat(frames, ignore_index=True)
    apart = {
        "retaught": (0, "int8"),
        "new_gold": (-1, "int8"),
        "forced_self": (float("nan"), "float32"),
    }  # what not all runs have
    every = every.assign(
        **{
            name: every[name].fillna(nothing).astype(kind)
            for name, (nothing, kind) in apart.items()
            if name in every
        }
    )
    every["held_out"] = every["held_out"].groupby([every["task"], every["kind"]]).transform("any")
    parts = [
        _of_task(task, rows.drop(columns="task"), profile, sweep)
        for task, rows in every.groupby("task", sort=False)
    ]
    joined = [pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True)]
    about = {"profile": profile, "sweep": sweep, "base": sorted(f.name for f in bases), "runs": keys}
    return Tables(
        *joined,
        _base(list(bases.values())),
        about,
        *(_shifts(every, pd.DataFrame(paid), profile, sweep) if shifts else ()),
    )


def _shifts(every: pd.DataFrame, paid: pd.DataFrame, profile: str, sweep: str) -> list[pd.DataFrame]:
    """shift and sensor of all evaluations of runs; paid: what each run's KL term was at the end (kl_paid)."""
    parts = [rows for _, rows in every.groupby("task", sort=False)]
    by_run = pd.concat(
        [tracking.per_run(tracking.measured(rows[rows["final"]])) for rows in parts], ignore_index=True
    )
    by_run = by_run.merge(paid, on=["task", *measures.RUN], how="left")
    estimates = pd.concat([tracking.estimates(rows) for rows in parts], ignore_index=True)
    return [frame.assign(profile=profile, sweep=sweep) for frame in (by_run, estimates)]


def _paid(spec: Spec, folder: Path) -> float:
    """The mean of the KL term over the last tenth of a run's steps, in nats; NaN where the last stage has none."""
    kl = files.read_table(folder / "history.parquet")["kl"]
    return kl.tail(max(1, len(kl) // 10)).mean() if spec.phases[-1].spec.kl_weight else float("nan")


def _base(bases: list[tuple[Spec, list[dict[str, float]]]]) -> pd.DataFrame:
    """One row a task and M0: health, the mean share of labels that another M0 seed has too, and that a shallow rule predicts."""
    rows, said = [], {}
    for spec, _ in bases:
        untrained = files.read_table(_found_base(spec) / "untrained.parquet")
        said |= {
            (spec.task, task, spec.model, spec.m0_checkpoint, spec.m0_seed): part.set_index("id")["label"]
            for task, part in untrained.groupby("task")
        }
    for spec, rules in bases:
        manifest = files.read_json(_found_base(spec) / "manifest.json")
        for task, health in manifest["health"].items():
            name = task.split(":")[0]
            kind = (spec.task, name, spec.model, spec.m0_checkpoint)
            own = said[*kind, spec.m0_seed]
            others = [
                (own == labels.reindex(own.index)).mean()
                for (*k, m), labels in said.items()
                if tuple(k) == kind and m != spec.m0_seed
            ]
            shared = {
                "seed_agreement": _mean(others),
                "shallow_rule": _mean([r[name] for r in rules if name in r]),
            }
            which = {
                "tasks": spec.task.split(":")[0],
                "task": name,
                "model": spec.model,
                "parameters": manifest["model"]["parameters"],
            }
            rows.append(
                which | {"m0_checkpoint": spec.m0_checkpoint, "m0_seed": spec.m0_seed} | health | shared
            )
    return pd.DataFrame(rows)


def _found_base(spec: Spec) -> Path:
    folder = folders.base_folder(spec)
    if (found := records.find(folder)) is None:
        raise files.StoreError(f"{folder} is missing or damaged: run the sweep again")
    return found


def scale(found: list["Tables"]) -> pd.DataFrame:
    """The summaries of several sweeps, with each task's model and how many weights it has (parameters)."""
    models = [t.base.groupby("task")[["model", "parameters"]].first() for t in found]
    return pd.concat(
        [t.summary.merge(m, left_on="task", right_index=True) for t, m in zip(found, models, strict=True)],
        ignore_index=True,
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _of_task(task: str, rows: pd.DataFrame, profile: str, sweep: str) -> list[pd.DataFrame]:
    """items, runs, summary, dynamics, regions, lead_lag and teacher of the rows of one task, all evaluations."""
    final = measures.with_measures(rows[rows["final"]])
    seen = rows.groupby("id")["step"].nunique()
    shared = measures.with_measures(rows[rows["id"].isin(seen[seen == rows["step"].nunique()].index)])
    runs = pd.concat([measures.per_run(shared[~shared["final"]]), measures.per_run(final)]).sort_values(
        [*measures.RUN, "step"]
    )
    teacher = controls.teacher_matrix(final)
    summary = measures.summarise(final).assign(profile=profile, task=task, sweep=sweep)
    tests = pd.DataFrame(
        [controls.diagonal_test(teacher[teacher["condition"] == c]) for c in summary["condition"]]
    ).add_prefix("teacher_")
    preferences = pd.DataFrame(
        [controls.divergent_preference(final[final["condition"] == c]) for c in summary["condition"]]
    )
    summary = pd.concat([summary, tests, preferences], axis=1)
    summary = summary[[*SUMMARY, *(c for c in summary if c not in SUMMARY)]]
    shared["condition"] = pd.Categorical(
        shared["condition"], list(dict.fromkeys(rows["condition"]))
    )  # in the sweep's order
    dynamics = []
    for (condition, step), part in shared.groupby(["condition", "step"], sort=True, observed=True):
        table = resampling.intervals(part, DYNAMICS)
        dynamics.append(
            {"condition": condition, "step": step, "items": part["id"].nunique()}
            | {
                (m if k == "mean" else f"{m}_{k}"): table.loc[m, k]
                for m in DYNAMICS
                for k in ("mean", "low", "high")
            }
        )
    regions = []
    for (condition, held_out), part in final.groupby(["condition", "held_out"], sort=False):
        table = resampling.intervals(part, REGIONS)
        regions.append(
            {
                "condition": condition,
                "region": "held out" if held_out else "labelled",
                "items": part["id"].nunique(),
            }
            | {
                (m if k == "mean" else f"{m}_{k}"): table.loc[m, k]
                for m in REGIONS
                for k in ("mean", "low", "high")
            }
        )
    return [
        final.assign(task=task)[
            [*_ITEMS, *(c for c in _SHIFTED_ITEMS if "objective" in final and c in final)]
        ],
        runs.assign(task=task),
        summary,
        pd.DataFrame(dynamics).assign(task=task),
        pd.DataFrame(regions).assign(task=task),
        measures.lead_lag(shared.astype({"condition": str})).assign(task=task),
        teacher.assign(task=task),
    ]


def write(tables: Tables, where: Path) -> None:
    """Write the tables of a sweep into `where`; a file whose content would not change is left alone."""
    for name in _CSV:
        _replace(where / f"{name}.csv", getattr(tables, name).to_csv(index=False).encode())
    with files.replacing(where / "items.parquet") as part:
        files.write_table(part, tables.items)
    for name in SHIFTED:
        if (frame := getattr(tables, name)) is not None:
            with files.replacing(where / f"{name}.parquet") as part:
                files.write_table(part, frame)
    files.write_json(where / "keys.json", tables.keys)


def _replace(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        with files.replacing(path) as part:
            part.write_bytes(content)


def read_keys(profile: str, sweep: str) -> dict:
    """The runs that the tables of a sweep come from. Raises StoreError that names the command which makes them."""
    path = folder(profile, sweep) / "keys.json"
    if not path.exists():
        raise files.StoreError(
            f"no tables in {path.parent}: run `make study PROFILE={profile} SWEEP={sweep}` first"
        )
    return files.read_json(path)


def read(profile: str, sweep: str) -> Tables:
    """The tables of a sweep. Raises StoreError that names the command which makes them."""
    where, keys = folder(profile, sweep), read_keys(profile, sweep)
    csv = {name: pd.read_csv(where / f"{name}.csv", dtype={"condition": str}) for name in _CSV}
    csv["runs"]["collapsed"] = csv["runs"]["collapsed"].fillna("")
    more = {
        name: files.read_table(where / f"{name}.parquet")
        for name in SHIFTED
        if (where / f"{name}.parquet").exists()
    }
    return Tables(items=files.read_table(where / "items.parquet"), keys=keys, **csv, **more)


def collected() -> list[tuple[str, str]]:
    """(profile, sweep) of every sweep that has tables, small models first and the headline before other sweeps."""
    found = [(p.parent.parent.name, p.parent.name) for p in files.tables_dir().glob("*/*/keys.json")]
    return sorted(
        found, key=lambda f: (SIZES.index(f[0]) if f[0] in SIZES else len(SIZES), f[1] != "headline", f)
    )


def committed_summary(profile: str, sweep: str) -> pd.DataFrame | None:
    """The summary as it stands in the last git commit, or None where there is none."""
    path = (folder(profile, sweep) / "summary.csv").resolve()
    try:
        done = subprocess.run(
            ["git", "show", f"HEAD:./{path.name}"],
            cwd=path.parent,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except OSError:
        return None
    return pd.read_csv(io.StringIO(done.stdout), dtype={"condition": str}) if done.returncode == 0 else None


def compare(now: pd.DataFrame, then: pd.DataFrame) -> pd.DataFrame:
    """One row a condition that both summaries have: is what was measured now within the interval committed before?

    Columns task, condition, and for gap and excess the value, the committed value with its interval, and within
    (None where either is not known).
    """
    both = now.merge(then, on=["task", "condition"], suffixes=("", "_committed"))
    out = both[["task", "condition"]].copy()
    for m in ("gap", "excess"):
        out[m] = both[m]
        for k in (f"{m}_committed", f"{m}_low_committed", f"{m}_high_committed"):
            out[k] = both[k]
        known = both[[m, f"{m}_low_committed", f"{m}_high_committed"]].notna().all(axis=1)
        within = both[m].between(both[f"{m}_low_committed"], both[f"{m}_high_committed"])
        out[f"{m}_within"] = within.astype(object).where(known, None)
    return out
