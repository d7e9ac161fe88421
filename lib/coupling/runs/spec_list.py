"""Lists of runs as files: what `coupling plan --specs` writes and the runner (runs/batch.py) reads elsewhere.

A list is JSON. It holds the git commit and a digest of the library's code, and for each run its sweep, its
condition, its whole spec and its key. The machine that reads the list computes the digest and the keys again,
so that it cannot run other code, or other files, under the same keys.

Files of a user are named in a list by what does not depend on the machine: posts and requests by their
content, an items file and a model's folder by their name.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import coupling
from coupling import checksums, files
from coupling.files import BY_CONTENT
from coupling.runs import folders
from coupling.spec import Spec, SpecError, key
from coupling.spec.section import complaint
from coupling.tasks.file import PREFIX

# The parts of the library that can change a result.
PARTS = ("errors.py", "files.py", "seals.py", "tasks", "spec", "models", "measure", "training", "runs")
_ENTRIES = {"git_commit", "git_dirty", "code", "runs"}


@dataclass(frozen=True)
class Listed:
    """One run of a list.

    Attributes:
        sweep: The sweep that its record is published under.
        condition: The condition of the sweep that it belongs to.
        spec: The spec of its explainer, with the files of this machine.
    """

    sweep: str
    condition: str
    spec: Spec


def code_digest() -> str:
    """Return a SHA-256 digest of the parts of the library that can change a result, hexadecimal."""
    top = Path(coupling.__path__[0])
    paths = [path for path in sorted(top.rglob("*.py")) if path.relative_to(top).parts[0] in PARTS]
    named = [(str(path.relative_to(top)), checksums.sha256(path)) for path in paths]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def write_list(path: Path, runs: Iterable[Listed]) -> None:
    """Write a list of runs.

    Args:
        path: The file.
        runs: The runs, in the order in which they are to be run.
    """
    entries = [
        {
            "sweep": one.sweep,
            "condition": one.condition,
            "key": key(one.spec, "explain"),
            "spec": _for_elsewhere(one.spec).model_dump(),
        }
        for one in runs
    ]
    files.write_json(path, folders.commit() | {"code": code_digest(), "runs": entries})


def read_list(path: Path, models: Path, data: Path) -> list[Listed]:
    """Read a list of runs.

    Args:
        path: The file.
        models: The folder that holds the models of users, by the name of their folder.
        data: The folder that holds the files of users.

    Raises:
        StoreError: Where the file is missing or damaged, or is no list of runs.
        SpecError: Where the library's code is not that of the machine that wrote the list; where a spec does
            not hold; or where a run has another key here, because a file has another content.
    """
    whole = _read(path)
    if whole["code"] != code_digest():
        raise SpecError(
            f"{path} was written by other code (commit {whole['git_commit']}): bring the library and the "
            "list from one machine"
        )
    return [_listed(path, number, entry, models, data) for number, entry in enumerate(whole["runs"], 1)]


def commit_of(path: Path) -> str:
    """Return the git commit of the code that wrote a list, with a + where the code had changes."""
    whole = _read(path)
    return f"{whole['git_commit'] or ''}{'+' if whole['git_dirty'] else ''}"


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise files.StoreError(f"{path} is missing: write it with `coupling plan --specs {path.name}`")
    whole = files.read_json(path)
    if not isinstance(whole, dict) or not whole.keys() >= _ENTRIES or not whole["runs"]:
        raise files.StoreError(f"{path} is no list of runs: write it with `coupling plan --specs`")
    return whole


def _listed(path: Path, number: int, entry: dict[str, Any], models: Path, data: Path) -> Listed:
    """Check one entry of a list and give it the files of this machine."""
    place = f"{path}, run {number}"
    try:
        spec = _with_files_here(Spec(**entry["spec"]), models, data)
        names = entry["sweep"], entry["condition"], entry["key"]
    except ValidationError as error:
        raise SpecError(f"{place}: {complaint(error)}") from None
    except (KeyError, TypeError) as error:
        raise SpecError(f"{place}: {error} is missing or wrong; write the list anew") from None
    try:
        own = key(spec, "explain")
    except OSError as error:
        raise SpecError(f"{place}: {error}; carry the file into {data}") from None
    if own != names[2]:
        raise SpecError(
            f"{place} has key {names[2]} in the list and {own} here: the file of task={spec.task} or the "
            f"folder of model={spec.model} has another content here"
        )
    return Listed(names[0], names[1], spec)


def _for_elsewhere(spec: Spec) -> Spec:
    """Return the same spec with names of files that do not depend on this machine."""
    values = {}
    for name in ("posts", "requests"):
        path = Path(getattr(spec, name) or "-")
        if path.is_file():
            values[name] = BY_CONTENT + checksums.sha256(path)
    if spec.items_file is not None:
        values["task"] = PREFIX + Path(spec.items_file).name
    for name in ("model", "judge"):
        if Path(getattr(spec, name) or "-").is_dir():
            values[name] = Path(getattr(spec, name)).resolve().name
    return spec.model_copy(update=values)


def _with_files_here(spec: Spec, models: Path, data: Path) -> Spec:
    """Return the same spec with the files of users where they lie on this machine."""
    values = {}
    if spec.items_file is not None:
        values["task"] = PREFIX + str(data / Path(spec.items_file).name)
    for name in ("model", "judge"):
        if (models / (getattr(spec, name) or "-")).is_dir():
            values[name] = str(models / getattr(spec, name))
    return spec.model_copy(update=values)
