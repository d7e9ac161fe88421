"""How long results take, and how large they are: measured on finished ones, never guessed.

Every manifest holds how many seconds its result took and on which machine. A result that is still to be made
takes as long as finished ones of the same kind, scaled by its amount of work. Finished results of this
machine come first. Where there is none, a short trial tells (`coupling.runs.trial`), or published records do,
and the answer names their machine. This module imports no torch.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from coupling import files
from coupling.runs import folders, trial
from coupling.runs.graph import Node
from coupling.spec import Spec

# By stage of a manifest: the kind of the node.
_KINDS = {"m0": "m0", "base": "base", "explain": "explainer", "circuits": "circuits"}
HERE = "measured on this machine"
TRIAL = "from a short trial on this machine"
UNKNOWN = "not measured"


@dataclass(frozen=True)
class Finished:
    """What the manifest of a finished result tells of time and space.

    Attributes:
        folder: The folder of the result, or of its published record.
        kind: The kind of its node.
        spec: Its spec.
        seconds: How long it took, on the machine that made it.
        machine: The kind of that machine, as `folders.hardware` gives it.
        device: The device of torch, for instance "cpu".
        record: Whether this is a published record, which holds only a part of the result.
    """

    folder: Path
    kind: str
    spec: Spec
    seconds: float
    machine: dict[str, Any]
    device: str
    record: bool

    @cached_property
    def bytes(self) -> int:
        """The size of the folder."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Expected:
    """What a result is going to take.

    Attributes:
        seconds: Time of computing; None where nothing like it has been measured.
        basis: Where the time comes from, in words.
        bytes: Size; None where nothing like it is here.
    """

    seconds: float | None
    basis: str
    bytes: int | None


class Rates:
    """What finished results of a profile tell. The manifests are read once."""

    def __init__(self, profile: str) -> None:
        """Read the manifests of the results and of the records of a profile."""
        here = folders.hardware()
        found = list(_finished(profile))
        self._levels = [
            (HERE, [one for one in found if not one.record and one.machine == here]),
            (TRIAL, [one for one in _tried(profile) if one.machine == here]),
            (
                "published records of machines of this kind",
                [f for f in found if f.record and f.machine == here],
            ),
            ("another machine", [one for one in found if one.machine != here]),
        ]
        self._sizes = [one for one in found if not one.record]
        self._known: dict[tuple, Expected] = {}

    def expected(self, node: Node) -> Expected:
        """Return what a node is going to take, without what it needs."""
        spec = node.spec
        like = (node.kind, work(node.kind, spec), spec.task, *_like(spec), spec.rank)
        if like not in self._known:
            seconds, basis = self._seconds(node)
            self._known[like] = Expected(seconds, basis, self._bytes(node))
        return self._known[like]

    def _seconds(self, node: Node) -> tuple[float | None, str]:
        """Time from the nearest results: those of this machine first, and of these those of the same task."""
        for basis, found in self._levels:
            fitting = [one for one in found if one.kind == node.kind and _like(one.spec) == _like(node.spec)]
            fitting = [one for one in fitting if one.spec.task == node.spec.task] or fitting
            fitting = [one for one in fitting if one.device == fitting[0].device]
            if fitting:
                rate = statistics.median(one.seconds / work(one.kind, one.spec) for one in fitting)
                return rate * work(node.kind, node.spec), f"{basis}{_where(basis, fitting[0])}"
        return None, UNKNOWN

    def _bytes(self, node: Node) -> int | None:
        """Size of the results of the same model here, of the same rank where there are such."""
        fitting = [one for one in self._sizes if one.kind == node.kind and one.spec.model == node.spec.model]
        fitting = [one for one in fitting if one.spec.rank == node.spec.rank] or fitting
        return int(statistics.median(one.bytes for one in fitting[:20])) if fitting else None


def work(kind: str, spec: Spec) -> int:
    """Return the amount of work of a node: items that are trained, evaluated or patched; an M0's at most."""
    if kind == "m0":
        return max(1, spec.m0_steps * spec.m0_batch)
    if kind == "base":
        return spec.test_items
    if kind == "circuits":
        return spec.patched_items
    interim = (len(spec.evaluation_steps) - 1) * min(spec.interim_items, spec.test_items)
    return spec.final_step * spec.batch_size + interim + spec.test_items


def _like(spec: Spec) -> tuple:
    """What two specs must share so that the time of one tells that of the other."""
    return spec.model, spec.revision, spec.dtype, spec.threads


def _where(basis: str, one: Finished) -> str:
    """Name the machine of a result, where it is another one."""
    if basis != "another machine":
        return ""
    return f" ({one.machine.get('cpu')}, {one.machine.get('cpus')} cores, {one.device})"


def _finished(profile: str) -> Iterator[Finished]:
    """Yield what is finished, the newest first. What cannot be read tells nothing and is left out."""
    found = []
    for record, paths in (
        (False, (files.results_dir() / profile).glob(f"*/{folders.MANIFEST}")),
        (True, (files.tables_dir() / profile).glob(f"*/records/*/{folders.MANIFEST}")),
    ):
        for path in paths:
            try:
                manifest = files.read_json(path)
                if manifest.get("status", "complete") != "complete":
                    continue
                one = Finished(
                    folder=path.parent,
                    kind=_KINDS[manifest["stage"]],
                    spec=Spec.model_construct(**_with_defaults(manifest["spec"])),
                    seconds=float(sum(manifest["seconds"].values())),
                    machine=manifest["hardware"],
                    device=manifest["model"]["device"],
                    record=record,
                )
                found.append((manifest["finished"], one))
            except (files.StoreError, ValidationError, KeyError, TypeError, AttributeError, ValueError):
                continue
    yield from (one for _, one in sorted(found, key=lambda pair: pair[0], reverse=True))


def _tried(profile: str) -> Iterator[Finished]:
    """Yield what trials tell, as if a base and an explainer of each had been finished."""
    for found in trial.kept(profile):
        spec = Spec.model_construct(**_with_defaults(found["spec"]))
        for kind in ("base", "explainer"):
            seconds = trial.seconds_of(kind, spec, found["seconds"])
            yield Finished(Path(), kind, spec, seconds, found["hardware"], found["device"], record=False)


def _with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of an earlier version's spec that there still are."""
    return {name: value for name, value in values.items() if name in Spec.model_fields}
