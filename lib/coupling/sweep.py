"""What to run: one frozen specification, and the key that names its result.

A spec is flat so that a notebook parameter, a CLI option and a field are the same word. Every field belongs to one
stage of the study; the key of a stage hashes the fields of that stage and of all stages before it, defaults included,
and nothing else. Profiles and sweeps are YAML files beside this module: data, not branches.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from coupling.spec import Spec, SpecError, make_spec, suggest
from coupling.tasks import main_tasks

HERE = Path(__file__).parent


class Sweep(BaseModel):
    """A named list of conditions on one profile: `sweeps/<name>.yaml`.

    conditions: label to spec values. seeds: explainer seeds of each M0; more_seeds: where a condition has another number, for an
    excess gap. m0_seeds: how many M0 seeds by default; 1 for a model that is taken as it is; first_m0_seed: the first of them, so that
    what is chosen by a sweep is chosen on M0s that no other has. values: spec values that all conditions share. tasks: what is run for each
    of where not the profile's own task; "all" are the main ones. axis: the number of a spec that the conditions vary, for a
    curve; "source_agreement" is measured. whole: the task and the M0 seeds that it is run with as a part of all sweeps; None: it is no part.
    profiles: by profile, what it has in place of any of these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    conditions: dict[str, dict[str, Any]]
    m0_seeds: int = Field(ge=1)
    first_m0_seed: int = Field(0, ge=0)
    seeds: int = Field(ge=1)
    more_seeds: dict[str, int] = {}
    values: dict[str, Any] = {}
    tasks: list[str] = []
    notebooks: list[str] = []
    axis: str = ""
    whole: dict[str, Any] | None = {}
    profiles: dict[str, dict[str, Any]] = {}

    def at(self, profile: str) -> "Sweep":
        """The sweep as a profile has it."""
        return Sweep(**(self.model_dump(exclude={"profiles"}) | self.profiles.get(profile, {})))

    def places(self, profile: str) -> dict[str, float]:
        """Where each condition stands on the axis."""
        own = self.at(profile)
        return {
            c: float(getattr(make_spec(profile, **(own.values | v)), own.axis))
            for c, v in own.conditions.items()
        }


def sweep_names() -> list[str]:
    """The sweeps of the study, by name."""
    return sorted(p.stem for p in (HERE / "sweeps").glob("*.yaml"))


def is_path(sweep: str) -> bool:
    """Whether a sweep is given by the path of a YAML file of the user's own, rather than by name."""
    return sweep.endswith((".yaml", ".yml"))


def stem(sweep: str) -> str:
    """What the files of a sweep are called: its name, or the name of its YAML file."""
    return Path(sweep).stem if is_path(sweep) else sweep


def read_sweep(name: str) -> Sweep:
    """The sweep of this name, `sweeps/<name>.yaml`, or that of a YAML file given by path.

    Raises:
        SpecError: Where there is no such sweep.
    """
    path = Path(name) if is_path(name) else HERE / "sweeps" / f"{name}.yaml"
    if not path.is_file():
        raise SpecError(
            f"unknown sweep {name!r}: {suggest(name, sweep_names())}, or give the path of a YAML file"
        )
    return Sweep(**yaml.safe_load(path.read_text()))


def members(
    sweep: str, task: str | None = None, m0_seeds: int | None = None
) -> list[tuple[str, str | None, int | None]]:
    """The sweeps that a name stands for, each with its task and M0 seeds where these are not its own: itself, several joined by +, or every
    part of "all"."""
    if sweep != "all":
        return [(name, task, m0_seeds) for name in sweep.split("+")]
    if task or m0_seeds:
        raise SpecError(
            f"sweep=all with task={task}, seeds={m0_seeds}: its sweeps have their own; leave these out, or name one sweep"
        )
    every = [(n, read_sweep(n).whole) for n in sweep_names()]
    return [(n, whole.get("task"), whole.get("m0_seeds")) for n, whole in every if whole is not None]


def plan(
    profile: str, sweep: str, task: str | None = None, m0_seeds: int | None = None
) -> list[tuple[str, Spec]]:
    """All runs of a sweep as (condition, spec), M0 by M0 and task by task.

    `task` ("all": the main ones) and `m0_seeds` replace the sweep's tasks and its number of M0 seeds. A model that is
    taken as it is has one M0, whatever the number. A condition that names its own tasks runs once, not once a task.
    """
    chosen = read_sweep(sweep).at(profile)
    names = [task] if task else chosen.tasks
    names = main_tasks() if names == ["all"] else names
    runs: dict[Spec, str] = {}
    for name in names or [None]:
        shared = chosen.values | ({"task": name} if name else {})
        prepared = make_spec(profile, **shared).m0_steps > 0
        for m0_seed in (
            range(chosen.first_m0_seed, chosen.first_m0_seed + (m0_seeds or chosen.m0_seeds))
            if prepared
            else [0]
        ):
            for condition, values in chosen.conditions.items():
                for seed in range(chosen.more_seeds.get(condition, chosen.seeds)):
                    runs.setdefault(
                        make_spec(profile, **(shared | values | {"m0_seed": m0_seed, "seed": seed})),
                        condition,
                    )
    return [(c, s) for s, c in sorted(runs.items(), key=lambda run: run[0].m0_seed)]
