"""Specifications from profiles: reading a profile, building a specification, and saying one in few words."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from coupling.errors import suggest
from coupling.files import BY_CONTENT
from coupling.spec.section import SpecError, complaint
from coupling.spec.spec import Spec, fields_of
from coupling.spec.values import plain
from coupling.tasks import Task, task_names, task_of

PROFILES = Path(__file__).parent / "profiles"


def profile_names() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def read_profile(name: str) -> dict[str, Any]:
    """Return the values of a profile, which are in `profiles/<name>.yaml`. The file is read once.

    Raises:
        SpecError: If `name` is not one of `profile_names()`. A path is none, because the name is also that of
            the profile's folder of results.
    """
    if name not in profile_names():
        raise SpecError(f"unknown profile {name!r}: {suggest(name, profile_names())}")
    return dict(_read(PROFILES / f"{name}.yaml"))


@cache
def _read(path: Path) -> dict[str, Any]:
    """Read the values of a profile, none of which can be changed."""
    return yaml.safe_load(path.read_text())


def make_spec(profile: str = "tiny", **values: Any) -> Spec:
    """Build the specification of a profile.

    Args:
        profile: The name of the profile.
        **values: Fields that differ from the profile. A value may also be a NumPy number or a `Path`.

    Raises:
        SpecError: If a name is unknown, a value is out of range, fields contradict each other, a task does
            not exist or a file is missing.
    """
    profile = plain("profile", profile)
    values = {name: plain(name, value) for name, value in values.items()}
    known = list(Spec.model_fields)
    for name, value in values.items():
        if name not in known:
            raise SpecError(f"unknown parameter {name!r}: {suggest(name, known)}")
        if isinstance(value, bool) and Spec.model_fields[name].annotation is not bool:
            raise SpecError(f"{name}={value}: it is no switch; give a value, or leave it out")
    try:
        spec = Spec(**(read_profile(profile) | values | {"profile": profile}))
    except ValidationError as error:
        raise SpecError(complaint(error)) from None
    _ = spec.label_source  # raises where `source` is wrong
    _check_task_names(spec)
    _check_files(spec)
    return spec


def given(spec: Spec, *stages: str) -> dict[str, Any]:
    """Return the fewest arguments with which `make_spec` builds a specification again.

    Args:
        spec: The specification.
        *stages: The stages whose fields count. Fields of other stages are left out.

    Returns:
        The profile, and the fields that differ from it.
    """
    plain = make_spec(spec.profile)
    changed = [name for name in fields_of(*stages) if getattr(spec, name) != getattr(plain, name)]
    return {"profile": spec.profile} | {name: getattr(spec, name) for name in changed}


def _check_task_names(spec: Spec) -> None:
    """Raise SpecError where `task`, `teach` or `m0_tasks` names a task that there is not."""
    for name in spec.tasks if spec.items_file is None else []:
        if name not in task_names():
            raise SpecError(f"unknown task {name!r}: {suggest(name, task_names())}; or give file:PATH")
    if spec.teach and spec.teach not in task_names():
        raise SpecError(f"unknown teach {spec.teach!r}: {suggest(spec.teach, task_names())}")
    if spec.teach and not _can_be_taught(task_of(spec.teach)):
        others = [name for name in task_names() if _can_be_taught(task_of(name))]
        raise SpecError(
            f"teach={spec.teach}: only made-up tasks with choices are taught beside explanations; "
            f"take one of {', '.join(others)}"
        )
    teachable = [name for name in task_names() if task_of(name).lessons]
    for name in spec.m0_tasks.split("+") if spec.m0_steps else []:
        if name not in teachable:
            raise SpecError(
                f"m0_tasks={spec.m0_tasks}: {name!r} cannot be taught to an M0; {suggest(name, teachable)}"
            )


def _can_be_taught(task: Task) -> bool:
    """Return whether a task's behaviour can be taught beside explanations: made items with choices."""
    return not task.needs and not task.declines


def _check_files(spec: Spec) -> None:
    """Raise SpecError where a field names a file that is missing.

    `Spec` itself leaves this to `make_spec`, so that the specification of a published run can be read on a
    machine without its files.
    """
    if spec.items_file is not None and not Path(spec.items_file).is_file():
        raise SpecError(
            f"task={spec.task}: there is no file {Path(spec.items_file).resolve()}; "
            "give the path of a JSONL file of items"
        )
    for name in ("posts", "requests"):
        value = getattr(spec, name)
        if value.startswith(BY_CONTENT):
            if not re.fullmatch("[0-9a-f]{64}", value.removeprefix(BY_CONTENT)):
                raise SpecError(
                    f"{name}={value!r}: expected {BY_CONTENT} and the 64 hexadecimal digits "
                    "that sha256sum gives"
                )
        elif value and not value.startswith("hub:") and not Path(value).is_file():
            raise SpecError(
                f"{name}={value!r}: there is no such file; give a JSONL file, "
                "or leave it empty for the made-up world"
            )
