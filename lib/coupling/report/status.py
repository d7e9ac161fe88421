"""How far a sweep is: its runs by state, what failed and why, and the command that repeats it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from coupling import files
from coupling.analysis import tables
from coupling.report import overview, study
from coupling.report.execute import Job, repeating
from coupling.report.failures import Failure, command, failure
from coupling.runs import folders, graph, jobs, records


class Status(BaseModel):
    """The runs of one or more sweeps by state, and what failed."""

    model_config = ConfigDict(extra="forbid")

    runs: int = Field(description="number of runs; the next five numbers add up to it")
    complete: int = Field(description="finished here")
    diverged: int = Field(description="finished here, with a loss that was no longer finite")
    published: int = Field(description="not finished here, with a published record")
    started: int = Field(
        description="begun and not finished; the next batch goes on from the last checkpoint"
    )
    missing: int = Field(description="not begun")
    failures: list[Failure] = Field(description="what failed and has not succeeded since")

    @property
    def done(self) -> int:
        """The number of runs that are finished here."""
        return self.complete + self.diverged


def status(profile: str, sweep: str, task: str = "", m0_seeds: int = 0) -> Status:
    """Count the runs by state and collect what failed; see `overview.plans` for the arguments."""
    named = list(overview.plans(profile, sweep, task, m0_seeds))
    specs = list(dict.fromkeys(spec for _, plan in named for _, spec in plan))
    states = {spec: _state(folders.run_folder(spec)) for spec in specs}
    counts = {state: list(states.values()).count(state) for state in overview.STATES}
    left = [spec for spec, state in states.items() if state in ("started", "missing")]
    ends = [graph.explainer(spec) for spec in left]
    ends += [node for spec in specs for node in graph.ends(spec)[1:] if records.find(node.folder) is None]
    found = [one for node in graph.order(ends) if (one := _of_node(node))]
    found += [one for name, _ in named for one in _of_sweep(profile, name)]
    return Status(runs=len(specs), failures=found, **counts)


def _state(folder: Path) -> str:
    if folders.complete(folder):
        return files.read_json(folder / folders.MANIFEST)["status"]
    if records.published(folder):
        return "published"
    return "started" if folder.exists() else "missing"


def _of_node(node: graph.Node) -> Failure | None:
    """Why a node is not complete, where something tells."""
    if node.kind not in jobs.NOTEBOOKS or not node.folder.exists() or folders.complete(node.folder):
        return None
    notebook = node.folder / folders.NOTEBOOK
    return failure(str(notebook)) or (_stopped(node, notebook) if notebook.exists() else None)


def _stopped(node: graph.Node, notebook: Path) -> Failure:
    """A node whose notebook was begun and left no error: its process was killed, or it is being computed."""
    source = files.root() / "notebooks" / f"{jobs.NOTEBOOKS[node.kind]}.ipynb"
    return Failure(
        what=str(notebook),
        why="it was stopped before its end, or it is being computed by another process",
        command=command(*repeating(Job(source, notebook, jobs.parameters(node)))),
        log=str(notebook),
        when="",
    )


def _of_sweep(profile: str, name: str) -> list[Failure]:
    """What failed of a sweep's tables and figures."""
    whats = [overview.tables_of(profile, name), *map(str, drawn(profile, name))]
    return [one for what in whats if (one := failure(what))]


def executed(profile: str, sweep: str, notebook: str) -> Path:
    """Where a batch keeps the executed notebook of a figure: beside the tables of its own runs."""
    return tables.folder(profile, sweep, own=True) / f"{notebook}.ipynb"


def drawn(profile: str, sweep: str) -> list[Path]:
    """The executed notebooks of all figures of a sweep."""
    figures = study.load(sweep).at(profile).figures
    return [executed(profile, sweep, study.notebook_of(figure)) for figure in figures]


def undrawn(profile: str, sweep: str) -> list[Path]:
    """The executed notebooks of figures of a sweep whose image is gone."""
    figures = study.load(sweep).at(profile).figures
    images = {name: study.figure_place(name, profile, sweep, own=True) for name in figures}
    return [
        executed(profile, sweep, study.notebook_of(name))
        for name, image in images.items()
        if not image.with_name(f"{image.name}.png").exists()
    ]


def said(found: Status, computed: int | None = None) -> str:
    """Return a status in words.

    Args:
        found: The status.
        computed: How many runs were computed since a batch began.
    """
    counts = found.model_dump(include=set(overview.STATES))
    states = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    line = f"{found.runs} runs: {states or 'none'}"
    if computed is not None:
        line += f"; {computed} computed now, {found.done + found.published - computed} reused"
    lines = [line]
    for one in found.failures:
        log = f"\n  log:    {one.log}" if one.log and one.log != one.what else ""
        lines.append(f"failed: {one.what}\n  why:    {one.why}{log}\n  repeat: {one.command}")
    return "\n".join(lines)
