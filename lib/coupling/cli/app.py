"""What all commands share: the application, the options that several commands take, and printing."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coupling import spec as specs
from coupling import sweep as sweeps

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The study's command line.",
)
Force = Annotated[bool, typer.Option("--force", help="compute again from nothing")]
Json = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
Profile = Annotated[str, typer.Option(help=f"one of: {', '.join(specs.profile_names())}")]
SweepName = Annotated[
    str,
    typer.Option(
        help=f"one of: {', '.join(sweeps.sweep_names())}; or the path of a YAML file; several joined by +; "
        "all: each that is a part of the study"
    ),
]
TaskName = Annotated[
    str,
    typer.Option(
        help="the task, where not the sweep's or profile's own; several joined by +; all: each main task"
    ),
]
Seeds = Annotated[int, typer.Option(help="M0 seeds, where not the sweep's own number")]
Jobs = Annotated[int, typer.Option(help="how many cores to use; 0: all", min=0)]
Gpus = Annotated[int, typer.Option(help="run so many runs at once, each on a GPU of its own", min=0)]
Engine = Annotated[Path, typer.Option(help="profile of the batch engine, a folder")]
Own = Annotated[
    bool,
    typer.Option(
        "--own",
        help="read the tables of your own runs (results/tables), not the committed ones (figures/data)",
    ),
]


def show(
    rows: "list[dict[str, Any]] | pd.DataFrame", as_json: bool, columns: list[str] | None = None
) -> None:
    """Print rows as JSON, or some columns of them as a table."""
    import pandas as pd

    frame = pd.DataFrame(rows)
    if as_json:
        records = json.loads(frame.to_json(orient="records", double_precision=15))
        print(json.dumps(records, indent=1))
    else:
        text = frame[columns or list(frame)].to_string(index=False, float_format=lambda value: f"{value:.3f}")
        print(text)
