"""Where the tables of a sweep are kept; how they are written, read and compared with committed ones."""

import io
import subprocess
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import preference

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
    "preference",
    "preference_low",
    "preference_high",
    "excess",
    "excess_low",
    "excess_high",
    "divergent_share",
    "agreement",
    "no_label_share",
    "explainers",
]
COMPARED = ("gap", "preference", "excess")  # the measures in which two summaries are compared
SHIFT_TABLES = ("shift", "sensor")  # the tables that only a sweep with shifts has
SIZES = ("tiny", "small", "medium", "paper")  # profiles in the order in which they are shown
_CSV = ("runs", "summary", "dynamics", "regions", "lead_lag", "teacher", "preference", "base")


@dataclass(frozen=True)
class Tables:
    """The tables of one sweep.

    Attributes:
        items: One row an item and run at the run's final step; the labels as choices, self, target and base.
        runs: One row a run and evaluation, as `summaries.per_run` makes them, and task.
        summary: One row a task and condition: the columns of SUMMARY, the other measures of
            `summaries.summarise`, teacher_* of `controls.diagonal_test`, and `controls.decided_divergent`.
        dynamics: One row a task, condition and evaluation, with means and intervals.
        regions: One row a task, condition and region ("labelled" or "held out"), with means and intervals.
        lead_lag: Rows of `lead_lag.lead_lag`, and task.
        teacher: Rows of `controls.teacher_matrix`, and task.
        preference: Rows of `preference.by_pair`, one a pair of runs, evaluation and region, and task.
        base: One row a task and M0: its health, how far M0s of other seeds have the same labels, and how well
            a shallow rule predicts them.
        keys: profile, sweep, base (names of base folders) and runs (task, condition, seeds, key and status of
            each).
        shift: Rows of `tracking.per_run`, with kl_paid, profile and sweep; None for a sweep without shifts.
        sensor: Rows of `tracking.estimates`, with profile and sweep; None for a sweep without shifts.
    """

    items: pd.DataFrame
    runs: pd.DataFrame
    summary: pd.DataFrame
    dynamics: pd.DataFrame
    regions: pd.DataFrame
    lead_lag: pd.DataFrame
    teacher: pd.DataFrame
    preference: pd.DataFrame
    base: pd.DataFrame
    keys: dict[str, Any]
    shift: pd.DataFrame | None = None
    sensor: pd.DataFrame | None = None


def folder(profile: str, sweep: str) -> Path:
    """Name the folder of a sweep's tables: among the results for a sweep that is given by path."""
    top = files.results_dir() / "tables" if sweeps.is_path(sweep) else files.tables_dir()
    return top / profile / sweeps.stem(sweep)


def write(tables: Tables, where: Path) -> None:
    """Write the tables of a sweep into a folder, and their checksums last.

    A csv file whose content would not change is left alone. Until the checksums are there, none are checked.
    """
    with files.writing(where):
        (where / files.SUMS).unlink(missing_ok=True)
    for name in _CSV:
        _replace(where / f"{name}.csv", getattr(tables, name).to_csv(index=False).encode())
    for name in ("items", *SHIFT_TABLES):
        if (frame := getattr(tables, name)) is not None:
            files.write_table(where / f"{name}.parquet", frame)
    files.write_json(where / "keys.json", tables.keys)
    there = [path for path in where.iterdir() if path.suffix in (".csv", ".parquet")]
    files.write_sums(where, [*(path.name for path in there), "keys.json"])


def write_study_table(name: str, frame: pd.DataFrame) -> None:
    """Write a table of the whole study, figures/data/<name>.parquet, and its checksum."""
    path = files.tables_dir() / f"{name}.parquet"
    files.write_table(path, frame)
    files.write_sums(path.parent, [path.name])


def _replace(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        with files.replacing(path) as part:
            part.write_bytes(content)


def read_keys(profile: str, sweep: str) -> dict[str, Any]:
    """Read which runs the tables of a sweep come from.

    Raises:
        StoreError: Where there are no tables, or where they are damaged. The message names the command that
            makes them.
    """
    path = folder(profile, sweep) / "keys.json"
    if not path.exists():
        raise files.StoreError(
            f"no tables in {path.parent}: run `make study PROFILE={profile} SWEEP={sweep}` first"
        )
    keys = files.read_json(path)
    if not isinstance(keys, dict) or not {"profile", "sweep", "base", "runs"} <= keys.keys():
        raise files.StoreError(
            f"{path} does not say which runs the tables are of: delete {path.parent} and run "
            f"`make study PROFILE={profile} SWEEP={sweep}`, or take it from git again if it is committed"
        )
    return keys


def read(profile: str, sweep: str) -> Tables:
    """Read the tables of a sweep. Each file must have the checksum that stands in the list beside it.

    They are read and verified once in a process, and again where size or time of a file changed.

    Raises:
        StoreError: Where there are no tables, or where one is missing or damaged. The message names it.
    """
    where = folder(profile, sweep)
    state = sorted((path.name, (s := path.stat()).st_size, s.st_mtime_ns) for path in where.glob("*"))
    found = _read(where, profile, sweep, tuple(state))
    # What a reader changes in its own copy stays there. Copies share their content until then.
    own = {
        name: value.copy(deep=False) for name, value in vars(found).items() if isinstance(value, pd.DataFrame)
    }
    return replace(found, **own)


@lru_cache
def _read(where: Path, profile: str, sweep: str, state: tuple) -> Tables:
    """Read the tables in a folder whose files have this state."""
    keys = read_keys(profile, sweep)
    csv = {name: _read_csv(where / f"{name}.csv") for name in _CSV}
    csv["runs"]["collapsed"] = csv["runs"]["collapsed"].fillna("")
    shifts = {name: where / f"{name}.parquet" for name in SHIFT_TABLES}
    return Tables(
        items=files.read_table(where / "items.parquet"),
        keys=keys,
        **csv,
        **{name: files.read_table(path) for name, path in shifts.items() if path.exists()},
    )


def _read_csv(path: Path) -> pd.DataFrame:
    """Read one table. Tables that were made before the preference was measured have none: it is empty."""
    if path.name == "preference.csv" and not path.exists() and path.name not in files.read_sums(path.parent):
        return pd.DataFrame(columns=[*preference.COLUMNS, "region", "task"])
    return files.read_table(path)


def collected() -> list[tuple[str, str]]:
    """List (profile, sweep) of every sweep with committed tables: small profiles and headlines first."""
    found = [(path.parent.parent.name, path.parent.name) for path in files.tables_dir().glob("*/*/keys.json")]

    def place(names: tuple[str, str]) -> tuple:
        profile, sweep = names
        size = SIZES.index(profile) if profile in SIZES else len(SIZES)
        return size, sweep != "headline", names

    return sorted(found, key=place)


def committed_summary(profile: str, sweep: str) -> pd.DataFrame | None:
    """Read the summary of a sweep as it stands in the last git commit, or return None where there is none."""
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
    """Compare a summary with an earlier one: does each mean lie in the earlier interval?

    Args:
        now: The summary to judge.
        then: The summary with the intervals.

    Returns:
        One row a task and condition that both have. For each of COMPARED that both summaries have: the mean,
        the earlier mean and interval (*_committed, *_low_committed, *_high_committed), and *_within (object):
        True, False, or None where one of these is NaN.
    """
    both = now.merge(then, on=["task", "condition"], suffixes=("", "_committed"))
    out = both[["task", "condition"]].copy()
    for measure in COMPARED:
        low, high = f"{measure}_low_committed", f"{measure}_high_committed"
        if low not in both:  # a summary from before the measure existed
            continue
        for column in (measure, f"{measure}_committed", low, high):
            out[column] = both[column]
        known = both[[measure, low, high]].notna().all(axis=1)
        within = both[measure].between(both[low], both[high])
        out[f"{measure}_within"] = within.astype(object).where(known, None)
    return out
