"""Sweeps: lists of conditions to be compared, each in one YAML file.

A sweep of the study is a file `sweeps/<name>.yaml` beside this package. A user's own sweep is a YAML file
anywhere and is given by its path. The file says what is run, which figures are drawn from it and which
claims it decides, so that a new sweep touches no other file.

`read_sweep` checks everything that needs neither figures nor rules: the YAML, the fields, the conditions and
the tasks. `coupling.report.study.load` checks the rest as well.
"""

from pathlib import Path

from coupling.spec import Spec, SpecError, make_spec, profile_names, suggest
from coupling.sweep.fields import CLAIMS, MOST_SEEDS, Claim, InAll, Premise, Scale, Sweep
from coupling.sweep.names import is_path, stem, sweep_names
from coupling.sweep.reading import read_sweep
from coupling.tasks import main_tasks

__all__ = [
    "CLAIMS",
    "Claim",
    "InAll",
    "Premise",
    "Scale",
    "Sweep",
    "is_path",
    "members",
    "plan",
    "read_sweep",
    "stem",
    "sweep_names",
]


def members(
    sweep: str, profile: str, task: str | None = None, m0_seeds: int | None = None
) -> list[tuple[str, str | None, int | None]]:
    """Return the sweeps that a name stands for.

    Args:
        sweep: A name, the path of a YAML file, several of these joined by +, or "all": every sweep that is a
            part of the study at this profile.
        profile: Name of the profile.
        task: Task in place of the sweeps' own. Not with "all".
        m0_seeds: Number of M0 seeds in place of the sweeps' own. Not with "all".

    Returns:
        Of each sweep its name (a path is made absolute, so that it holds in any folder), its task and its
        number of M0 seeds; None where these are the sweep's own.

    Raises:
        SpecError: Where "all" is asked for with a task or M0 seeds, or at a profile that has no sweeps. Also
            for a number of M0 seeds that is out of range.
    """
    if m0_seeds is not None and not 1 <= m0_seeds <= MOST_SEEDS:
        raise SpecError(f"seeds={m0_seeds}: give a number of M0 seeds from 1 to {MOST_SEEDS}")
    if sweep != "all":
        one = is_path(sweep) and Path(sweep).expanduser().is_file()  # a path may hold a +
        names = [sweep] if one else sweep.split("+")
        return [(str(Path(n).expanduser().resolve()) if is_path(n) else n, task, m0_seeds) for n in names]
    if task or m0_seeds:
        raise SpecError(
            f"sweep=all with task={task}, seeds={m0_seeds}: its sweeps have their own; "
            "leave these out, or name one sweep"
        )
    if profile not in profile_names():
        raise SpecError(f"unknown profile {profile!r}: {suggest(profile, profile_names())}")
    named = [s for s in map(read_sweep, sweep_names()) if profile in s.profiles]
    every = [(s.name, of_all) for s in named if (of_all := s.at(profile).in_all) is not None]
    if not every:
        raise SpecError(
            f"sweep=all, profile={profile}: no sweep is a part of the study there; name one sweep"
        )
    return [(name, of_all.task, of_all.m0_seeds) for name, of_all in every]


def plan(
    profile: str, sweep: str, task: str | None = None, m0_seeds: int | None = None
) -> list[tuple[str, Spec]]:
    """Return all runs of a sweep, M0 by M0 and task by task.

    Args:
        profile: Name of the profile.
        sweep: Name of the sweep, or the path of a YAML file.
        task: Task in place of the sweep's own; "all" stands for the main tasks.
        m0_seeds: Number of M0 seeds in place of the sweep's own. A model that is taken as it is has one M0,
            whatever this number is.

    Returns:
        Condition and spec of each run. Conditions with equal specs share one run, under the first
        condition's name. A condition that names its own task is therefore run once, not once a task.
    """
    chosen = read_sweep(sweep).at(profile)
    names = [task] if task else chosen.tasks
    names = main_tasks() if names == ["all"] else names
    runs: dict[Spec, str] = {}
    for name in names or [None]:
        shared = chosen.values | ({"task": name} if name else {})
        prepared = make_spec(profile, **shared).m0_steps > 0
        first, count = chosen.first_m0_seed, m0_seeds or chosen.m0_seeds
        for m0_seed in range(first, first + count) if prepared else [0]:
            for condition, values in chosen.conditions.items():
                for seed in range(chosen.more_seeds.get(condition, chosen.seeds)):
                    given = shared | values | {"m0_seed": m0_seed, "seed": seed}
                    runs.setdefault(make_spec(profile, **given), condition)
    return [(condition, spec) for spec, condition in sorted(runs.items(), key=lambda run: run[0].m0_seed)]
