"""The step that changes this repository's own results: what was computed is written into figures/."""

from collections import Counter
from pathlib import Path

from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.report import overview
from coupling.spec import Spec, SpecError


def write(profile: str, sweep: str, task: str = "", m0_seeds: int = 0, force: bool = False) -> list[str]:
    """Write the tables of each sweep into figures/data. Nothing is written unless all of them can be.

    Args:
        profile: See `overview.plans`.
        sweep: See `overview.plans`.
        task: See `overview.plans`.
        m0_seeds: See `overview.plans`.
        force: Whether tables of more runs may be replaced.

    Returns:
        What was replaced, a line a sweep.

    Raises:
        SpecError: Where a sweep is given by path, so that its results are no part of the study; where it is a
            part of another sweep, whose tables hold its runs; or where the committed table of a sweep rests
            on more runs than the new one.
        StoreError: Where a run has neither finished nor been published, or there is no study here.
    """
    files.check_place("COUPLING_FIGURES", files.tables_dir())
    named = list(overview.plans(profile, sweep, task, m0_seeds))
    if own := [name for name, _ in named if sweeps.is_path(name)]:
        raise SpecError(
            f"sweep={own[0]}: a sweep of your own is no part of the study; its tables and figures stay under "
            f"{files.results_dir()}"
        )
    if parts := [sweep for name, _ in named if (sweep := sweeps.read_sweep(name).at(profile)).part_of]:
        raise SpecError(
            f"sweep={parts[0].name}: it is a part of {parts[0].part_of}, and has no committed tables of its "
            f"own; run that sweep whole and ask for sweep={parts[0].part_of}"
        )
    lines = [_replaced(profile, name, [spec for _, spec in plan], force) for name, plan in named]
    made = [tables.collect(name, plan) for name, plan in named]
    for (name, _), found in zip(named, made, strict=True):
        tables.write(found, tables.folder(profile, name))
    return lines


def _replaced(profile: str, name: str, specs: list[Spec], force: bool) -> str:
    """Say what the tables of some runs replace. Raises SpecError where that rests on more runs."""
    where = tables.folder(profile, name)
    new = Counter(spec.task for spec in specs)
    if not (where / "keys.json").exists():
        return f"{where}: {_counted(new)}, where nothing was"
    old = Counter(run["task"] for run in tables.read_keys(profile, name)["runs"])
    fewer = [task for task, runs in old.items() if runs > new[task]]
    if fewer and not force:
        raise SpecError(
            f"{where} rests on more runs than new tables would: {_counted(old)}, against {_counted(new)}; "
            "nothing was written. Run more of the sweep first (make study with more SEEDS or all tasks), or "
            "replace it anyway with FORCE=1 (--force)"
        )
    return f"{where}: {_counted(new)}, in place of {_counted(old)}"


def _counted(runs: Counter) -> str:
    return ", ".join(f"{number} runs of {Path(task).name}" for task, number in runs.items())
