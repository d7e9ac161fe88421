"""The plan of a batch before it starts: how many runs, what is there, how long the rest takes, and disk."""

import os
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from coupling import files
from coupling.machine import free_bytes, machine_megabytes
from coupling.report import overview
from coupling.runs import folders, graph, records
from coupling.runs.rates import Rates
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


def plan(profile: str, sweep: str, task: str = "", m0_seeds: int = 0) -> Plan:
    """Plan a batch; see `overview.plans` for the arguments.

    Raises:
        SpecError: Where the sweep cannot be run.
    """
    named = overview.runs(profile, sweep, task, m0_seeds)
    specs = [spec for *_, spec in named]
    listed = [_planned(name, condition, spec) for name, condition, spec in named]
    done = {folders.run_folder(spec) for spec, run in zip(specs, listed, strict=True) if run.complete}

    def made(node: graph.Node) -> bool:
        return node.folder in done or (node.kind != "explainer" and folders.complete(node.folder))

    left = graph.order(map(graph.explainer, specs), made)
    parts = _parts(left, Rates(profile)) if left else []
    seconds, size = [part.seconds for part in parts], [part.bytes for part in parts]
    return Plan(
        profile=profile,
        sweep=sweep,
        total=len(listed),
        complete=len(done),
        published=sum(run.published and not run.complete for run in listed),
        left=len(listed) - len(done),
        at_once=_at_once(specs),
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


def _parts(left: Sequence[graph.Node], rates: Rates) -> list[Part]:
    """Group what is left by kind and by the source of its estimate."""
    groups: dict[tuple[str, str], list] = {}
    for node in left:
        found = rates.expected(node)
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


def _at_once(specs: Sequence[Spec]) -> int:
    """Return how many runs the cores and the memory of this machine allow at once."""
    threads, gigabytes = max(s.threads for s in specs), max(s.memory_gb for s in specs)
    return max(1, min((os.cpu_count() or 1) // threads, int(machine_megabytes() / (gigabytes * 1000))))


def said(found: Plan) -> str:
    """Return a plan in words, without the list of its runs."""
    there = f"{found.complete} complete here, {found.published} published, {found.left} left"
    lines = [f"{found.profile}, {found.sweep}: {found.total} runs: {there}"]
    for part in found.parts:
        about = f"about {_duration(part.seconds)}" if part.seconds is not None else "time not known"
        lines.append(f"  {part.left:5} {_NAMES[part.kind]}: {about} ({part.basis}), {_size(part.bytes)}")
    if found.parts:
        lines.append(f"time: {_time(found)}")
        lines.append(f"disk: {_size(found.bytes)} to be written, {_size(found.free_bytes)} free")
    return "\n".join(lines)


_NAMES = {"m0": "M0s to prepare", "base": "bases to measure", "explainer": "explainers to train"}


def _time(found: Plan) -> str:
    if found.seconds is None:
        known = sum(part.seconds or 0 for part in found.parts)
        rest = f"about {_duration(known)} for what was measured; the rest is " if known else ""
        return f"{rest}not known: nothing like it was measured, here or in published records"
    whole = f"about {_duration(found.seconds)} of computing"
    at_once = min(found.at_once, found.left or 1)
    return whole if at_once < 2 else f"{whole}, {_duration(found.seconds / at_once)} with {at_once} at once"


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _size(number: int | None) -> str:
    if number is None:
        return "size not known"
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"
