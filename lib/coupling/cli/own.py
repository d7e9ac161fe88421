"""The options by which `coupling study` takes a file of a user's own items in place of a sweep."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from coupling.cli.options import with_spec_options
from coupling.report.own import EXPLAINERS, FIELDS
from coupling.spec import SpecError

PANEL = "With --items: your own items and model"
_OF_SWEEPS = ("sweep", "task", "seeds", "reuse")  # options that mean nothing for own items
_Items = Annotated[
    Path | None,
    typer.Option(
        help="a JSONL file of your own items (examples/README.md), asked to --model, in place of a sweep",
        rich_help_panel=PANEL,
    ),
]
_Explainers = Annotated[
    int | None,
    typer.Option(
        help=f"how many explainers are trained, beside one on shuffled labels; without it: {EXPLAINERS}",
        rich_help_panel=PANEL,
    ),
]


def with_items(study: Callable[..., None]) -> Callable[..., None]:
    """Let the command `study` take items and a model as well, and the fields of the spec that fit them.

    Args:
        study: The command, which runs sweeps.

    Returns:
        The command with these options. Without --items it does what it did.
    """

    def command(context: typer.Context, items: Path | None, explainers: int | None, **options: Any) -> None:
        asked = {"explainers": explainers} | {name: options.pop(name) for name in FIELDS}
        asked = {name: value for name, value in asked.items() if value is not None}
        given = {name for name in options if context.get_parameter_source(name).name != "DEFAULT"}
        if items is not None:
            mixed = [name for name in _OF_SWEEPS if name in given]
            _refuse(mixed, f"with items={items}: own items are a study of their own")
            asked |= {"profile": options["profile"]} if "profile" in given else {}
            _study_items({"items": items} | asked, options)
        else:
            _refuse(asked, "without items: it is of a study of your own items; name their file with --items")
            study(**options)

    command.__name__, command.__doc__ = study.__name__, study.__doc__
    given = inspect.signature(study).parameters.items()
    own = {"context": (inspect.Parameter.empty, typer.Context)}
    own |= {"items": (None, _Items), "explainers": (None, _Explainers)}
    own |= {name: (option.default, option.annotation) for name, option in given}
    return with_spec_options(command, FIELDS, PANEL, **own)


def _refuse(options: Iterable[str], why: str) -> None:
    """Raise SpecError for the first of some options."""
    for name in options:
        raise SpecError(f"{name} {why}, or leave {name} out")


def _study_items(asked: dict[str, Any], options: dict[str, Any]) -> None:
    """Check, run and explain a study of own items. What is done already is neither checked nor run again."""
    from coupling.report import own, own_text
    from coupling.report.batches import Batch

    study = own.prepare(**asked)
    print(own.greeting(study))
    if study.left or options["force"]:
        print(own.checked(study), flush=True)
    how = {name: options[name] for name in ("force", "jobs", "gpus", "engine")}
    if code := own.batch(study, Batch(study.profile, study.sweep, **how)):
        raise typer.Exit(code)
    print(own_text.said(study.profile, study.sweep))
    print(f"\nfigure: {study.figure}\nsweep:  {study.sweep}")
