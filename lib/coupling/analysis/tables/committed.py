"""Where the tables of a sweep are kept; how they are written, read and compared with committed ones.

There are two places. The tables of the user's own runs lie among the results, under results/tables. The
repository's own tables are committed, under figures/data. The tables of a sweep that is given by path are
always the user's own.
"""

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
# The measures in which two summaries are compared: those of SUMMARY that have intervals.
COMPARED = ("self", "target", "base", "gap", "preference", "excess", "agreement")
_ROUNDING = 1e-9  # by so much a number may lie beside an end of an interval without lying outside
SHIFT_TABLES = ("shift", "sensor")  # the tables that only a sweep with shifts has
# The tables that only a sweep with patched items has.
CIRCUIT_TABLES = ("circuits", "similarity", "interventions")
_SOMETIMES = (*SHIFT_TABLES, *CIRCUIT_TABLES)
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
        shift: Rows of `tracking.per_run`, one a run and region, with kl_paid, profile and sweep; None for a
            sweep without shifts.
        sensor: Rows of `tracking.estimates`, with profile and sweep; None for a sweep without shifts.
        circuits: Rows of `circuits.maps`; None for a sweep without patched items.
        similarity: Rows of `circuits.similarity`; None for a sweep without patched items.
        interventions: Rows of `interventions.by_m0`; None for a sweep without patched items.
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
    circuits: pd.DataFrame | None = None
    similarity: pd.DataFrame | None = None
    interventions: pd.DataFrame | None = None


def folder(profile: str, sweep: str, own: bool = False) -> Path:
    """Name the folder of a sweep's tables.

    Args:
        profile: Name of the profile.
        sweep: Name of the sweep, or the path of a YAML file.
        own: Whether the tables of the user's own runs are meant, and not the committed ones. A sweep that is
            given by path has no committed tables.
    """
    top = files.results_dir() / "tables" if own or sweeps.is_path(sweep) else files.tables_dir()
    return top / profile / sweeps.stem(sweep)


def write(tables: Tables, where: Path) -> None:
    """Write the tables of a sweep into a folder, and their checksums last.

    A csv file whose content would not change is left alone. The old list of checksums and keys.json are
    deleted first. Whoever reads before the new ones are there is told that there are no tables.
    """
    absent = [f"{name}.parquet" for name in _SOMETIMES if getattr(tables, name) is None]
    with files.writing(where):
        for name in (files.SUMS, "keys.json", *absent):
            (where / name).unlink(missing_ok=True)
    for name in _CSV:
        _replace(where / f"{name}.csv", getattr(tables, name).to_csv(index=False).encode())
    for name in ("items", *_SOMETIMES):
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


def read_keys(profile: str, sweep: str, own: bool = False) -> dict[str, Any]:
    """Read which runs the tables of a sweep come from; see `folder` for the arguments.

    Raises:
        StoreError: Where there are no tables, or where they are damaged. The message names the command that
            makes them.
    """
    path = folder(profile, sweep, own) / "keys.json"
    if not path.exists():
        raise files.StoreError(f"no tables in {path.parent}: {_where_from(profile, sweep, own)}")
    keys = files.read_json(path)
    if not isinstance(keys, dict) or not {"profile", "sweep", "base", "runs"} <= keys.keys():
        raise files.StoreError(
            f"{path} does not say which runs the tables are of: delete {path.parent} and run "
            f"`make study PROFILE={profile} SWEEP={sweep}`, or take it from git again if it is committed"
        )
    return keys


def _where_from(profile: str, sweep: str, own: bool) -> str:
    """Say how tables that are missing are made, or where else there are some."""
    words = f"PROFILE={profile} SWEEP={sweep}"
    if own or sweeps.is_path(sweep):
        return f"run `make study {words}` first"
    mine = folder(profile, sweep, own=True)
    if (mine / "keys.json").exists():
        return f"your own runs have some in {mine}: ask for these (--own, or own = True in a notebook)"
    return f"run `make study {words}` for tables of your own, and `make results {words}` to put them there"


def read(profile: str, sweep: str, own: bool = False) -> Tables:
    """Read the tables of a sweep. Each file must have the checksum that stands in the list beside it.

    See `folder` for the arguments. Tables are read and verified once in a process, and again where size or
    time of a file changed.

    Raises:
        StoreError: Where there are no tables, or where one is missing or damaged. The message names it.
    """
    where = folder(profile, sweep, own)
    state = sorted((path.name, (s := path.stat()).st_size, s.st_mtime_ns) for path in where.glob("*"))
    found = _read(where, profile, sweep, own, tuple(state))
    # What a reader changes in its own copy stays there. Copies share their content until then.
    own = {
        name: value.copy(deep=False) for name, value in vars(found).items() if isinstance(value, pd.DataFrame)
    }
    return replace(found, **own)


@lru_cache
def _read(where: Path, profile: str, sweep: str, own: bool, state: tuple) -> Tables:
    """Read the tables in a folder whose files have this state."""
    keys = read_keys(profile, sweep, own)
    csv = {name: _read_csv(where / f"{name}.csv") for name in _CSV}
    csv["runs"]["collapsed"] = csv["runs"]["collapsed"].fillna("")
    sometimes = {name: where / f"{name}.parquet" for name in _SOMETIMES}
    return Tables(
        items=files.read_table(where / "items.parquet"),
        keys=keys,
        **csv,
        **{name: files.read_table(path) for name, path in sometimes.items() if path.exists()},
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


def compare(now: pd.DataFrame, then: pd.DataFrame) -> pd.DataFrame:
    """Compare a summary with another one: does each mean lie in the other's interval?

    Args:
        now: The summary to judge.
        then: The summary with the intervals.

    Returns:
        One row a task, condition and measure that both have, for the measures of COMPARED. float64: value and
        committed (the two means), low and high (the interval of the latter). within (object): True, False, or
        None where value, low or high is NaN.
    """
    names = ["task", "condition"]
    ends = {measure: [f"{measure}_low", f"{measure}_high"] for measure in COMPARED}
    there = [
        m for m in COMPARED if m in now and {m, *ends[m]} <= set(then)
    ]  # tables may be older than a measure
    both = now[[*names, *there]].merge(then, on=names, suffixes=("", "_then"))
    parts = [
        pd.DataFrame(
            {
                "task": both["task"],
                "condition": both["condition"],
                "measure": measure,
                "value": both[measure],
                "committed": both[f"{measure}_then"],
                "low": both[ends[measure][0]],
                "high": both[ends[measure][1]],
            }
        )
        for measure in there
    ]
    found = pd.concat(parts).sort_index(kind="stable", ignore_index=True)
    known = found[["value", "low", "high"]].notna().all(axis=1)
    within = found["value"].between(found["low"] - _ROUNDING, found["high"] + _ROUNDING)
    return found.assign(within=within.astype(object).where(known, None))
