"""The plan of a batch before it starts: how many runs, what is there, how long the rest takes, and disk."""

import os
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from coupling import files
from coupling.machine import free_bytes, machine_megabytes
from coupling.report import overview
from coupling.runs import folders, graph, records
from coupling.runs.rates import Expected, Rates
from coupling.spec import Spec, key


class PlannedRun(BaseModel):
    """One run of a plan."""

    model_config = ConfigDict(extra="forbid")

    sweep: str = Field(description="name of the sweep, or the path of a YAML file")
    task: str
    condition: str
    m0_seed: int
    seed: int = Field(description="seed of the explainer")
    key: str = Field(description="key of the result, 12 hexadecimal digits")
    complete: bool = Field(description="whether the run is finished here")
    published: bool = Field(description="whether a record of the run is published")


class Part(BaseModel):
    """What is still to be made, of one kind and with one source of its estimate."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(description="m0 (a model is prepared), base (its behaviours) or explainer (a run)")
    left: int = Field(description="how many are still to be made")
    seconds: float | None = Field(
        description="time of computing, one after the other, without the start of kernels; "
        "null where nothing like it has been measured"
    )
    basis: str = Field(description="where the time comes from")
    bytes: int | None = Field(description="disk that they take; null where nothing like it is here")


class Plan(BaseModel):
    """What a batch would do."""

    model_config = ConfigDict(extra="forbid")

    profile: str
    sweep: str
    total: int = Field(description="number of runs")
    complete: int = Field(description="runs that are finished here")
    published: int = Field(description="runs that are published and not finished here")
    left: int = Field(
        description="runs that are not finished here; a batch with REUSE=1 skips published ones"
    )
    at_once: int = Field(description="how many runs this machine's cores and memory allow at once")
    seconds: float | None = Field(
        description="estimated time of computing, one after the other; null where a part is not known"
    )
    bytes: int | None = Field(description="estimated disk; null where a part is not known")
    free_bytes: int = Field(description="free disk where the results are kept")
    parts: list[Part] = Field(description="what is still to be made")
    runs: list[PlannedRun]


def plan(profile: str, sweep: str, task: str = "", m0_seeds: int = 0, reuse: bool = False) -> Plan:
    """Plan a batch.

    Args:
        profile: See `overview.plans`.
        sweep: See `overview.plans`.
        task: See `overview.plans`.
        m0_seeds: See `overview.plans`.
        reuse: Whether published runs are not made again.

    Raises:
        SpecError: Where the sweep cannot be run.
    """
    named = overview.runs(profile, sweep, task, m0_seeds)
    specs = [spec for *_, spec in named]
    listed = [_planned(name, condition, spec) for name, condition, spec in named]
    done = {folders.run_folder(spec) for spec, run in zip(specs, listed, strict=True) if run.complete}
    parts = _parts(left_to_make(profile, specs, reuse))
    seconds, size = [part.seconds for part in parts], [part.bytes for part in parts]
    return Plan(
        profile=profile,
        sweep=sweep,
        total=len(listed),
        complete=len(done),
        published=sum(run.published and not run.complete for run in listed),
        left=sum(not run.complete and not (reuse and run.published) for run in listed),
        at_once=at_once(specs),
        seconds=None if None in seconds else sum(seconds),
        bytes=None if None in size else sum(size),
        free_bytes=free_bytes(files.results_dir()),
        parts=parts,
        runs=listed,
    )


def _planned(sweep: str, condition: str, spec: Spec) -> PlannedRun:
    folder = folders.run_folder(spec)
    return PlannedRun(
        sweep=sweep,
        task=spec.task,
        condition=condition,
        m0_seed=spec.m0_seed,
        seed=spec.seed,
        key=key(spec, "explain"),
        complete=folders.complete(folder),
        published=records.published(folder) is not None,
    )


def left_to_make(profile: str, specs: Sequence[Spec], reuse: bool) -> list[tuple[graph.Node, Expected]]:
    """List what is still to be made for some runs, in an order in which it can be made, and what each takes.

    Args:
        profile: Name of the profile.
        specs: The runs.
        reuse: Whether published runs are not made again.
    """
    finished = records.find if reuse else folders.complete
    ends = (node for spec in specs for node in graph.ends(spec))
    wanted = [node for node in ends if not finished(node.folder)]
    left = graph.order(wanted, lambda node: folders.complete(node.folder))
    rates = Rates(profile) if left else None
    return [(node, rates.expected(node)) for node in left]


def _parts(left: Sequence[tuple[graph.Node, Expected]]) -> list[Part]:
    """Group what is left by kind and by the source of its estimate."""
    groups: dict[tuple[str, str], list[Expected]] = {}
    for node, found in left:
        groups.setdefault((node.kind, found.basis), []).append(found)
    return [
        Part(
            kind=kind,
            left=len(found),
            seconds=None if any(one.seconds is None for one in found) else sum(one.seconds for one in found),
            basis=basis,
            bytes=None if any(one.bytes is None for one in found) else sum(one.bytes for one in found),
        )
        for (kind, basis), found in groups.items()
    ]


def at_once(specs: Sequence[Spec], cores: int = 0) -> int:
    """Return how many runs the cores and the memory of this machine allow at once; 0 cores: all of them."""
    threads, gigabytes = max(s.threads for s in specs), max(s.memory_gb for s in specs)
    cores = cores or os.cpu_count() or 1
    return max(1, min(cores // threads, int(machine_megabytes() / (gigabytes * 1000))))


def said(found: Plan) -> str:
    """Return a plan in words, without the list of its runs."""
    there = f"{found.complete} complete here, {found.published} published, {found.left} left"
    lines = [f"{found.profile}, {found.sweep}: {found.total} runs: {there}"]
    for part in found.parts:
        about = f"about {duration(part.seconds)}" if part.seconds is not None else "time not known"
        what = f"{(_ONE if part.left == 1 else NAMES)[part.kind]} {_TO_BE[part.kind]}"
        lines.append(f"  {part.left:5} {what}: {about} ({part.basis}), {_size(part.bytes)}")
    if found.parts:
        lines.append(f"time: {_time(found)}")
        written = (
            "what is written is not known" if found.bytes is None else f"{_size(found.bytes)} to be written"
        )
        lines.append(f"disk: {written}, {_size(found.free_bytes)} free")
    return "\n".join(lines)


NAMES = {"m0": "M0s", "base": "bases", "explainer": "explainers", "circuits": "maps of circuits"}
_ONE = {"m0": "M0", "base": "base", "explainer": "explainer", "circuits": "map of circuits"}
_TO_BE = {"m0": "to prepare", "base": "to measure", "explainer": "to train", "circuits": "to measure"}


def _time(found: Plan) -> str:
    if found.seconds is None:
        known = sum(part.seconds or 0 for part in found.parts)
        rest = f"about {duration(known)} for what was measured; the rest is " if known else ""
        return f"{rest}not known: nothing like it was measured, here or in published records"
    whole = f"about {duration(found.seconds)} of computing"
    most = min(found.at_once, found.left or 1)
    return whole if most < 2 else f"{whole}, {duration(found.seconds / most)} with {most} at once"


def duration(seconds: float) -> str:
    """Say a time in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _size(number: int | None) -> str:
    if number is None:
        return "size not known"
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"
