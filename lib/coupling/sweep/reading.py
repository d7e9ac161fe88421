"""Reading the YAML file of a sweep, and checking what needs neither figures nor rules."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from coupling.spec import Spec, SpecError, make_spec, profile_names, suggest
from coupling.sweep.fields import Sweep, mistakes
from coupling.sweep.names import FOLDER, is_path, sweep_names
from coupling.tasks import main_tasks, task_names

_GIVEN = {"profile", "m0_seed", "seed"}  # fields of the spec that no condition chooses
MEASURED_AXIS = "source_agreement"  # the one axis that is measured instead of being a field of the spec


def read_sweep(name: str) -> Sweep:
    """Read a sweep and check it as far as it needs neither figures nor rules.

    Args:
        name: Name of a sweep of the study, or the path of a YAML file. A relative path is meant from the
            working directory.

    Raises:
        SpecError: Where there is no such sweep, or something in its file is wrong. The message names file
            and key.
    """
    if not is_path(name):
        path = FOLDER / f"{name}.yaml"
        if name not in sweep_names():
            raise SpecError(
                f"unknown sweep {name!r}: {suggest(name, sweep_names())}, or give the path of a YAML file"
            )
    else:
        path = Path(name).expanduser().resolve()
        if not path.is_file():
            raise SpecError(f"sweep={name}: there is no file {path}")
        if path.stem in sweep_names():
            raise SpecError(
                f"sweep={name}: the study has a sweep of the name {path.stem!r}, whose files would be "
                f"confused with those of this one; rename the file, or ask for sweep={path.stem}"
            )
        name = str(path)
    status = path.stat()
    return _read(name, path, status.st_mtime_ns, status.st_size)


class _UniqueKeys(yaml.SafeLoader):
    """Reads YAML and refuses a key that stands twice, of which plain YAML keeps the last alone."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = []
        for key in (key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"):
            keys.append(self.construct_object(key, deep=True))
            if keys.count(keys[-1]) > 1:
                raise yaml.constructor.ConstructorError(
                    problem=f"{keys[-1]!r} stands twice: name it once", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


@lru_cache
def _read(name: str, path: Path, mtime_ns: int, size: int) -> Sweep:
    """Read one file. Time of change and size are arguments so that a changed file is read again."""
    file = name if is_path(name) else path.name
    try:
        values = yaml.load(path.read_text(), _UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        said = " ".join(str(problem or error).split())
        raise SpecError(f"{file}{where}: this is not YAML that can be read: {said}") from None
    if not isinstance(values, dict):
        raise SpecError(f"{file}: expected fields such as title and conditions, found {values!r}")
    if "name" in values:
        raise SpecError(f"{file}, name: unknown field: a sweep is called by the name of its file")
    try:
        sweep = Sweep(**({str(key): value for key, value in values.items()} | {"name": name}))
    except ValidationError as error:
        raise SpecError(mistakes(file, error)) from None
    _check(sweep)
    return sweep


def _check(sweep: Sweep) -> None:
    """Check conditions, tasks and values of the spec at every profile that the sweep names."""
    if not sweep.profiles:
        raise SpecError(f"{sweep.file}, profiles: name at least one, for instance `profiles: {{tiny: {{}}}}`")
    _check_names(sweep, sweep, {})
    for profile, replaced in sweep.profiles.items():
        if profile not in profile_names():
            raise SpecError(
                f"{sweep.file}, profiles.{profile}: unknown profile: {suggest(profile, profile_names())}"
            )
        own = sweep.at(profile)
        places = dict.fromkeys(replaced, f"profiles.{profile}.")
        _check_names(sweep, own, places)
        _check_specs(sweep, own, profile, places)
    known = sweep.all_conditions()
    if sweep.scale and sweep.scale.condition not in known:
        hint = suggest(sweep.scale.condition, known)
        raise SpecError(f"{sweep.file}, scale.condition: unknown condition {sweep.scale.condition!r}: {hint}")
    for k, claim in enumerate(sweep.claims):
        for task in claim.tasks:
            _check_task(f"{sweep.file}, claims[{k}].tasks", task, [*task_names(), "file"])


def _check_names(sweep: Sweep, own: Sweep, places: dict[str, str]) -> None:
    """Check the names in the sweep as one profile has it.

    Args:
        sweep: The whole sweep.
        own: The sweep at the profile.
        places: Of each field that the profile replaces, the key under which it stands.
    """

    def key(name: str) -> str:
        return f"{sweep.file}, {places.get(name.partition('.')[0], '')}{name}"

    for condition in own.more_seeds:
        if condition not in own.conditions:
            hint = suggest(condition, list(own.conditions))
            raise SpecError(f"{key('more_seeds')}.{condition}: unknown condition: {hint}")
    chosen = {"values": own.values} | {f"conditions.{c}": v for c, v in own.conditions.items()}
    for where, values in chosen.items():
        for name in _GIVEN & set(values):
            raise SpecError(f"{key(where)}.{name}: a sweep gives this to each run itself")
    for task in own.tasks:
        _check_task(key("tasks"), task, [*task_names(), "all"])
    if own.in_all and own.in_all.task:
        _check_task(f"{key('in_all')}.task", own.in_all.task, [*task_names(), "all"])
    axes = [MEASURED_AXIS, *(n for n, f in Spec.model_fields.items() if f.annotation in (int, float))]
    if own.axis and own.axis not in axes:
        raise SpecError(
            f"{key('axis')}: {own.axis!r} is no number of the spec: {_closest(own.axis, axes)}"
            f" ({MEASURED_AXIS} is measured)"
        )


def _closest(name: str, known: list[str]) -> str:
    """Suggest a name, without the whole list where it is long and nothing is close."""
    hint = suggest(name, known)
    return hint if hint.startswith("did") else "`coupling run --help` lists the fields"


def _check_task(key: str, task: str, known: list[str]) -> None:
    """Check the name of a task, or of several joined by +."""
    for name in [] if task.startswith("file:") else task.split("+"):
        if name not in known:
            raise SpecError(f"{key}: unknown task {name!r}: {suggest(name, known)}")


def _check_specs(sweep: Sweep, own: Sweep, profile: str, places: dict[str, str]) -> None:
    """Check that every condition is a spec, on every task of the sweep."""
    names = main_tasks() if own.tasks == ["all"] else own.tasks
    _check_that_none_stands_twice(sweep, names, f"{places.get('tasks', '')}tasks")
    for task in names or [None]:
        alone = {"task": task} if task else {}
        for condition, values in own.conditions.items():
            # What fails already with less is a mistake in that.
            parts = {
                "tasks": alone,
                "values": own.values | alone,
                f"conditions.{condition}": own.values | alone | values,
            }
            if _mistake(profile, parts[f"conditions.{condition}"]):
                found = {key: _mistake(profile, given) for key, given in parts.items()}
                key = next(key for key, mistake in found.items() if mistake)
                place = places.get(key.partition(".")[0], "")
                raise SpecError(f"{sweep.file}, {place}{key}: {found[key]}")
        _check_that_they_differ(sweep, own, profile, alone, places.get("conditions", ""))


def _check_that_none_stands_twice(sweep: Sweep, tasks: list[str], key: str) -> None:
    """Check that no task is a part of two entries: their rows would be mixed."""
    seen: dict[str, str] = {}
    for task in tasks:
        for part in ["file"] if task.startswith("file:") else task.split("+"):
            if part in seen:
                raise SpecError(
                    f"{sweep.file}, {key}: {part} stands in {seen[part]!r} and in {task!r}, whose rows "
                    "would be mixed; give each a sweep of its own"
                )
            seen[part] = task


def _check_that_they_differ(sweep: Sweep, own: Sweep, profile: str, task: dict[str, str], place: str) -> None:
    """Raise SpecError where two conditions are one run, of which only the first would have a result."""
    named: dict[Spec, str] = {}
    for condition, values in own.conditions.items():
        first = named.setdefault(make_spec(profile, **(own.values | task | values)), condition)
        if first != condition:
            raise SpecError(
                f"{sweep.file}, {place}conditions.{condition}: this is the same run as condition {first!r}: "
                "change one of its values, or leave it out"
            )


def _mistake(profile: str, values: dict[str, Any]) -> str:
    """Return what is wrong with the values of a spec, or an empty text."""
    try:
        make_spec(profile, **values)
    except SpecError as error:
        return str(error)
    return ""
