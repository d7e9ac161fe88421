"""What notebooks call: a check of their parameters, what they show, and the command that repeats them."""

import inspect
import shlex
from typing import TYPE_CHECKING, Any

import pandas as pd

from coupling.analysis import measures, summaries, tracking
from coupling.report.execute import stated
from coupling.spec import STAGES, Spec, SpecError, from_anywhere, given, make_spec, plain, suggest

if TYPE_CHECKING:
    from coupling.runs import Result

# What IPython itself puts among the names of a notebook.
_OF_IPYTHON = {"In", "Out", "exit", "quit", "open", "get_ipython", "display"}


def notebook_parameters(namespace: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """Read the parameters of a notebook. A notebook calls this before anything else.

    Papermill only warns of a parameter whose name is misspelt. Here it is an error before any compute,
    whatever the type of its value.

    Args:
        namespace: The notebook's `globals()`. These names are no parameters: names that begin with an
            underscore, the names of IPython, imported modules, classes and functions under their own names,
            and objects of this library, which a cell holds that is executed again.
        known: The names that the notebook takes.

    Returns:
        The parameters with their values. NumPy scalars and paths are made plain.

    Raises:
        SpecError: For a name that is not known, or a known name that is bound to no value.
    """
    found = {}
    for name, value in namespace.items():
        if name.startswith("_") or (name not in known and _is_no_parameter(name, value)):
            continue
        if name not in known:
            raise SpecError(f"unknown parameter {name!r}: {suggest(name, known)}")
        if inspect.ismodule(value) or callable(value):
            raise SpecError(f"parameter {name!r} is bound to {value!r}: give it a value")
        found[name] = plain(name, value)
    return found


def _is_no_parameter(name: str, value: Any) -> bool:
    defined = inspect.isclass(value) or inspect.isroutine(value)
    return (
        name in _OF_IPYTHON
        or inspect.ismodule(value)
        or (defined and value.__name__ == name)
        or type(value).__module__.split(".")[0] == __name__.split(".")[0]
    )


def notebook_spec(namespace: dict[str, Any]) -> Spec:
    """Make the spec that a notebook's parameters describe. See `notebook_parameters`."""
    return make_spec(**notebook_parameters(namespace, list(Spec.model_fields)))


def run_measures(result: "Result") -> pd.DataFrame:
    """Measure one run.

    Returns:
        One row a task and evaluation. Measures are fractions from 0 to 1.
    """
    parts = [
        summaries.per_run(measures.with_measures(part)).assign(task=task)
        for task, part in _rows(result).groupby("task", sort=False)
    ]
    columns = ["task", "step", "items", "self", "target", "gap", "agreement", "valid", "collapsed"]
    return pd.concat(parts, ignore_index=True)[columns]


def run_readings(result: "Result") -> pd.DataFrame:
    """Read rates of behaviour off the explanations of one run, beside the rates that were measured.

    Returns:
        One row a task and evaluation, with the sensor's estimate, its interval, and M0's rate.
    """
    estimates = tracking.estimates(_rows(result).assign(**tracking.about(result.spec)))
    columns = ["task", "step", "items", "valid", "estimated", "low", "high", "measured", "m0_rate"]
    return estimates[columns]


def _rows(result: "Result") -> pd.DataFrame:
    """Return the rows of one run with the columns that tables of many runs have."""
    spec = result.spec
    return result.table("rows").assign(condition="this run", m0_seed=spec.m0_seed, seed=spec.seed)


def report_run(notebook: str, result: "Result") -> None:
    """Print the command that reproduces a notebook, and whether its run was computed or was there already.

    Args:
        notebook: Name of the notebook.
        result: The base or explainer that the notebook made or read.
    """
    stages = ("m0", "items", "base") if result.folder.name.startswith("base-") else STAGES
    report(notebook, given(result.spec, *stages), int(result.computed), int(not result.computed))


def report(notebook: str, parameters: dict[str, Any], computed: int, reused: int) -> None:
    """Print the command that reproduces a notebook, and how many runs it computed and how many it reused.

    The command can be pasted into a shell, in any folder that has the notebook under this path.
    """
    pairs = [word for pair in stated(from_anywhere(parameters)) for word in ("-p", pair)]
    print(shlex.join(["coupling", "notebook", f"notebooks/{notebook}.ipynb", "out.ipynb", *pairs]))
    print(f"runs computed: {computed}, reused: {reused}")
