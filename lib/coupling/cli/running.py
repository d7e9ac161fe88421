"""Commands that run the study: a batch, one run, one notebook; what a batch would do, and how far it is."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from coupling import spec as specs
from coupling.cli.app import Engine, Force, Gpus, Jobs, Json, Profile, Seeds, SweepName, TaskName, app, show
from coupling.cli.options import with_spec_options
from coupling.cli.own import with_items


@app.command()
def plan(
    profile: Profile = "tiny",
    sweep: SweepName = "start",
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
    """Say what a batch would do: how many runs, what is there, time from measured rates, disk.

    The JSON is described in docs/schemas/plan.json.
    """
    from coupling.report import overview, planning

    if listed:
        show([overview.write_specs(profile, sweep, task, seeds, listed)], as_json)
        return
    found = planning.plan(profile, sweep, task, seeds)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    columns = ["sweep", "task", "condition", "m0_seed", "seed", "key", "complete", "published"]
    show([one.model_dump() for one in found.runs], False, columns)
    print(f"\n{planning.said(found)}")


@app.command()
@with_items
def study(
    profile: Profile = "tiny",
    sweep: SweepName = "start",
    task: TaskName = "",
    seeds: Seeds = 0,
    jobs: Jobs = 0,
    gpus: Gpus = 0,
    engine: Engine = Path("env/local"),
    reuse: Annotated[bool, typer.Option("--reuse", help="take published records for results")] = False,
    force: Force = False,
) -> None:
    """Run what is missing of a sweep, with its tables and figures. Exit code 1 where something is not done.

    Everything that is made is kept under results/; no tracked file is changed. A plan comes first. Last comes
    a table of what failed, with the command that repeats each; or, where all is done, the summary beside the
    committed one, and each figure with a sentence on what it shows.
    """
    from coupling.report import batches, outcome

    which = batches.Batch(profile, sweep, task, seeds, force, reuse, jobs, gpus, engine)
    if code := batches.run(which):
        raise typer.Exit(code)
    print(f"\n{outcome.said(profile, sweep)}")


@app.command()
def verify(
    profile: Profile = "tiny",
    sweep: SweepName = "start",
    task: TaskName = "",
    seeds: Seeds = 0,
    jobs: Jobs = 0,
    gpus: Gpus = 0,
    engine: Engine = Path("env/local"),
    force: Force = False,
) -> None:
    """Compute a sweep, and tell of each number of its summary whether it lies in the committed interval.

    What has been computed here is not computed again without --force; published records count for nothing.
    Exit code 1 where a number lies outside, or where something is not done.
    """
    from coupling.report import batches, outcome

    outcome.check_committed(profile, sweep)
    which = batches.Batch(profile, sweep, task, seeds, force, False, jobs, gpus, engine)
    if code := batches.run(which):
        raise typer.Exit(code)
    held, text = outcome.verified(profile, sweep)
    print(f"\n{text}")
    if not held:
        raise typer.Exit(1)


@app.command()
def results(
    profile: Profile = "tiny",
    sweep: SweepName = "start",
    task: TaskName = "",
    seeds: Seeds = 0,
    force: Annotated[
        bool, typer.Option("--force", help="replace tables that rest on more runs, too")
    ] = False,
) -> None:
    """Write what was computed into figures/: tables, claims, figures and generated pages, to be committed.

    Runs are finished ones, or published records. Nothing is written where a run is missing, or where a
    committed table rests on more runs than the new one.
    """
    from coupling.report import results as committing
    from coupling.report.build import build

    for line in committing.write(profile, sweep, task, seeds, force):
        print(line, flush=True)
    print("drawing all figures and writing the pages", flush=True)
    print(f"figures are listed in {build()}; look at the changes with git diff --stat")


@app.command()
def status(
    profile: Profile = "tiny",
    sweep: SweepName = "start",
    task: TaskName = "",
    seeds: Seeds = 0,
    as_json: Json = False,
) -> None:
    """Count the runs of a sweep by state, and list what failed, why, and the command that repeats it.

    It looks at runs (results/) and at published records, and reads no tables. The JSON, a list of one entry,
    is described in docs/schemas/status.json.
    """
    from coupling.report import status as states

    found = states.status(profile, sweep, task, seeds)
    print(json.dumps([found.model_dump()], indent=1) if as_json else states.said(found))


@app.command()
def clear(
    profile: Profile = "tiny",
    sweep: SweepName = "start",
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
    profile: Profile = "tiny", sweep: SweepName = "start", task: TaskName = "", seeds: Seeds = 0
) -> None:
    """Make your own tables of a sweep (results/tables) from its finished runs, or from published records."""
    from coupling.report import overview

    overview.collect(profile, sweep, task, seeds)


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
    show([row], as_json)


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
