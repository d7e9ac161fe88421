"""What notebooks call: their parameters checked, the tables they show, and the command that repeats them."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from coupling.analysis import measures, summaries, tracking
from coupling.spec import STAGES, Spec, SpecError, given, make_spec, suggest

if TYPE_CHECKING:
    from coupling.runs import Result

_PLAIN = (type(None), bool, int, float, str)


def notebook_parameters(namespace: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """The parameters of a notebook, for its first call.

    Papermill injects a misspelt name with only a warning. Here it is an error before any compute.

    Args:
        namespace: The notebook's `globals()`. Names that begin with an underscore, and values that are no plain
            literals, are left aside.
        known: The names that the notebook takes.

    Returns:
        The public names that are bound to plain literals, with their values.

    Raises:
        SpecError: For a name that is not known.
    """
    found = {n: v for n, v in namespace.items() if not n.startswith("_") and isinstance(v, _PLAIN)}
    for name in found:
        if name not in known:
            raise SpecError(f"unknown parameter {name!r}: {suggest(name, known)}")
    return found


def notebook_spec(namespace: dict[str, Any]) -> Spec:
    """The spec that a notebook's parameters name; see `notebook_parameters`."""
    return make_spec(**notebook_parameters(namespace, list(Spec.model_fields)))


def run_measures(result: "Result") -> pd.DataFrame:
    """What an explainer came to: one row a task and evaluation, measures as fractions from 0 to 1."""
    rows = _rows(result)
    parts = [
        summaries.per_run(measures.with_measures(part)).assign(task=task)
        for task, part in rows.groupby("task", sort=False)
    ]
    columns = ["task", "step", "items", "self", "target", "gap", "agreement", "valid", "collapsed"]
    return pd.concat(parts, ignore_index=True)[columns]


def run_readings(result: "Result") -> pd.DataFrame:
    """What the behaviour sensor reads off an explainer, beside what was measured: one row a task and evaluation."""
    estimates = tracking.estimates(_rows(result).assign(**tracking.about(result.spec)))
    columns = ["task", "step", "items", "valid", "estimated", "low", "high", "measured", "m0_rate"]
    return estimates[columns]


def _rows(result: "Result") -> pd.DataFrame:
    """The rows of one run, named as frames of many runs name theirs."""
    spec = result.spec
    return result.table("rows").assign(condition="this run", m0_seed=spec.m0_seed, seed=spec.seed)


def report_run(notebook: str, result: "Result") -> None:
    """Print the command that reproduces the notebook of `result`, and whether the run was computed or reused."""
    stages = ("m0", "items", "base") if result.folder.name.startswith("base-") else STAGES
    report(notebook, given(result.spec, *stages), int(result.computed), int(not result.computed))


def report(notebook: str, parameters: dict[str, Any], computed: int, reused: int) -> None:
    """Print the command that reproduces a notebook, and how many runs it computed and how many were there."""
    pairs = "".join(f" -p {n}={v}" for n, v in parameters.items())
    print(f"coupling notebook notebooks/{notebook}.ipynb out.ipynb{pairs}")
    print(f"runs computed: {computed}, reused: {reused}")
