"""What notebooks call: a check of their parameters, what they show, and the command that repeats them."""

import inspect
import shlex
from typing import TYPE_CHECKING, Any

import pandas as pd

from coupling.analysis import tables
from coupling.report.execute import stated
from coupling.spec import STAGES, Spec, SpecError, from_anywhere, given, make_spec, plain, suggest
from coupling.sweep import read_sweep

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

    from coupling.runs import Result

_SAME = 1e-9  # numbers that are this close are the same but for rounding
# What IPython itself puts among the names of a notebook.
_OF_IPYTHON = {"In", "Out", "exit", "quit", "open", "get_ipython", "display"}


class Markdown(str):
    """A text that a notebook shows as Markdown."""

    def _repr_markdown_(self) -> str:
        return str(self)


class Parameters(dict[str, Any]):
    """The parameters of a notebook, by name."""


def notebook_parameters(namespace: dict[str, Any], known: list[str]) -> Parameters:
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
    found = Parameters()
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


def whole(frame: pd.DataFrame) -> "Styler":
    """Show a table whole, without its index: nothing is cut. Numbers have three digits."""
    look = [("text-align", "left"), ("vertical-align", "top"), ("white-space", "pre-wrap")]
    styled = frame.style.hide(axis="index").format(precision=3, na_rep="")
    return styled.set_table_styles([{"selector": "th, td", "props": look}]).set_uuid("whole")


def question(profile: str, sweep: str, own: bool = False) -> Markdown:
    """Say what a sweep asks, and how many runs its tables rest on.

    Args:
        profile: Name of the profile.
        sweep: Name of the sweep, or the path of a YAML file.
        own: Whether the tables of the user's own runs are meant, and not the committed ones.

    Raises:
        SpecError: Where there is no such sweep.
        StoreError: Where it has no tables.
    """
    of, summary = read_sweep(sweep).at(profile), tables.read(profile, sweep, own).summary
    runs = len(tables.read_keys(profile, sweep, own)["runs"])
    whose = "of your own runs" if own else "runs"
    m0s = "one M0" if summary["seeds"].max() == 1 else f"{summary['seeds'].max()} M0s"
    return Markdown(
        f"**{of.title}** ({profile}). {of.question.strip()} {runs} {whose} of {m0s}, "
        f"{summary['items'].max()} test items each."
    )


def compared(what: str, by_hand: float, measured: float) -> Markdown:
    """Say whether a number that was counted by hand is the one that the study measures."""
    same = "the same" if abs(by_hand - measured) < _SAME else "another number"
    return Markdown(f"The {what} by hand is {by_hand:.4f}. The study measures {same}: {measured:.4f}.")


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
