"""Values as users give them: NumPy scalars and paths made plain, and paths made to hold in any folder."""

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from coupling.files import BY_CONTENT
from coupling.tasks.file import PREFIX

_NO_PATH = ("hub:", BY_CONTENT)  # values of `posts` and `requests` that name no file by its path


def plain(name: str, value: Any) -> Any:
    """Take a value for what it is: a NumPy scalar for a number or a text, a path for its text.

    Args:
        name: The name of the field. A path that is given as a task is a file of items.
        value: The value. Values of other types are returned as they are.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, PurePath):
        text = str(value)
        return f"{PREFIX}{text}" if name == "task" and not text.startswith(PREFIX) else text
    return value


def from_anywhere(values: dict[str, Any]) -> dict[str, Any]:
    """Make the paths among the values of fields absolute, so that they hold in any folder. No key changes.

    Args:
        values: Values of a specification by field. Relative paths are meant from the working directory.
    """
    return {
        name: _ABSOLUTE[name](value) if name in _ABSOLUTE and isinstance(value, str) else value
        for name, value in values.items()
    }


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())


def _task(task: str) -> str:
    return PREFIX + _absolute(task.removeprefix(PREFIX)) if task.startswith(PREFIX) else task


def _rows(source: str) -> str:
    return source if not source or source.startswith(_NO_PATH) else _absolute(source)


def _model(model: str) -> str:
    return _absolute(model) if model and Path(model).expanduser().is_dir() else model


def _source(source: str) -> str:
    parts = (part.partition("=") for part in source.split(","))
    return ",".join(name + sign + (_model(text) if name == "model" else text) for name, sign, text in parts)


_ABSOLUTE: dict[str, Callable[[str], str]] = {
    "task": _task,
    "posts": _rows,
    "requests": _rows,
    "model": _model,
    "judge": _model,
    "source": _source,
}
