"""Options of commands: one for every field of the spec."""

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from coupling.spec import Spec


def with_spec_options(
    command: Callable[..., None],
    fields: Iterable[str] = tuple(Spec.model_fields),
    panel: str | None = None,
    /,
    **own: tuple[Any, Any],
) -> Callable[..., None]:
    """Give a command one option for every field of the spec, and options of its own before and after them.

    What is not given on the command line is the profile's, so every field's option has no default.

    Args:
        command: Takes the options as keywords.
        fields: The fields that become options.
        panel: The heading of their part of the help; None for no part of their own.
        **own: Its own options by name: their default and their annotation. The last one stands after the
            fields, the others before them.

    Returns:
        The command, with a signature that typer reads.
    """
    *before, behind = (_keyword(name, *about) for name, about in own.items())
    signature = inspect.Signature([*before, *(_option(name, panel) for name in fields), behind])
    command.__signature__ = signature
    command.__annotations__ = {name: option.annotation for name, option in signature.parameters.items()}
    return command


def _option(name: str, panel: str | None) -> inspect.Parameter:
    field = Spec.model_fields[name]
    kind = field.annotation if field.annotation in (int, float, bool) else str
    option = typer.Option(
        f"--{name}" if kind is not bool else f"--{name}/--no-{name}",
        help=f"{field.description}; without a profile's word: {field.default}",
        show_default=False,
        rich_help_panel=panel,
    )
    return _keyword(name, None, Annotated[kind | None, option])


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
