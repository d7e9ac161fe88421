"""The graph of what a run needs before it. The library and the batch engine both read it.

A node is a prepared M0, a base (the behaviours of one M0 on the test items), an explainer, or the circuits
of an explainer. This module reads specs alone: it opens no result and imports no torch.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from coupling.runs import folders
from coupling.spec import Spec

FIRST = 0  # the seed of the explainer beside which M0 is patched, and whose adapter others are compared with


@dataclass(frozen=True)
class Node:
    """One thing that is made once and kept in a folder of its own.

    Attributes:
        kind: "m0" is a prepared model, "base" is the behaviours of a model on the test items, "explainer" is
            an explanation training, and "circuits" is what patches do to the model that it trained.
        spec: What is to be made. A base reads no field of explanation training, and an M0 reads no field of
            the items. Two specs that differ only in such fields give the same folder.
    """

    kind: Literal["m0", "base", "explainer", "circuits"]
    spec: Spec

    @cached_property
    def folder(self) -> Path:
        """Where the result is kept. Two nodes with one folder are the same node."""
        where = {
            "m0": folders.m0_folder,
            "base": folders.base_folder,
            "explainer": folders.run_folder,
            "circuits": folders.circuits_folder,
        }
        return where[self.kind](self.spec)

    @cached_property
    def needs(self) -> list["Node"]:
        """The nodes that must be complete before this one, in the order in which they are best made.

        An explainer needs the base of its label source S and the base of its M0, and also the models
        themselves, because it asks them about the training items. One whose KL term holds the behaviours of a
        shift alone needs that run. S comes first and M0 last. A process that holds one model in memory then
        still holds M0 when the training starts. Circuits need the first explainer of their M0, too.
        """
        if self.kind == "m0":
            return [m0(spec) for spec in teachers(self.spec)]
        if self.kind == "base":
            return _models(self.spec)
        if self.kind == "circuits":
            first = first_explainer(self.spec)
            return [explainer(self.spec), *([explainer(first)] if first else []), *_models(self.spec)]
        source = self.spec.label_source
        alone = [explainer(self.spec.shifted_alone)] if self.spec.kl_to == "shifted" else []
        return [base(source), *_models(source), *alone, base(self.spec), *_models(self.spec)]

    @cached_property
    def generation(self) -> int:
        """The number of explanation trainings in the longest chain that ends at the node, itself included."""
        below = max((need.generation for need in self.needs), default=0)
        return below + (self.kind == "explainer")


def m0(spec: Spec) -> Node:
    """The prepared M0 of a spec. It is the whole preparation, even if the spec asks for a checkpoint."""
    return Node("m0", spec.model_copy(update={"m0_checkpoint": 1.0, "explainer": -1}))


def teachers(spec: Spec) -> list[Spec]:
    """Return the specs of the two M0s that one is made of which is taught by another; none for others.

    They are the M0 before it is taught, and the one that teaches it.
    """
    if not spec.m0_taught_by:
        return []
    before = {"m0_taught_by": "", "m0_checkpoint": 1.0, "explainer": -1}
    return [spec.model_copy(update=before | {"model": name}) for name in (spec.model, spec.m0_taught_by)]


def base(spec: Spec) -> Node:
    """The base of a spec. It leaves out a behaviour that is taught later, since M0 does not know it."""
    return Node("base", spec.model_copy(update={"teach": ""}))


def explainer(spec: Spec) -> Node:
    """The explainer of a spec."""
    return Node("explainer", spec)


def circuits(spec: Spec) -> Node:
    """The circuits of the explainer of a spec."""
    return Node("circuits", spec)


def first_explainer(spec: Spec) -> Spec | None:
    """Return the first explainer of the same M0, whose adapter is exchanged for parts of this one's.

    None where the spec's own explainer is the first, and where it has two adapters.
    """
    if spec.seed == FIRST or spec.shift_adapter == "own":
        return None
    return spec.model_copy(update={"seed": FIRST})


def ends(spec: Spec) -> list[Node]:
    """The nodes that are wanted of a run: its explainer, and its circuits where the spec asks for them."""
    return [explainer(spec), circuits(spec)] if spec.patched_items else [explainer(spec)]


def order(nodes: Iterable[Node], done: Callable[[Node], bool] = lambda node: False) -> list[Node]:
    """Put nodes and everything that they need into an order in which they can be made.

    Args:
        nodes: What is wanted.
        done: Tells whether a node is made already. Such a node is left out, and so is everything that only
            such nodes need. `done` is asked once for each folder.

    Returns:
        Each node once, after everything that it needs.
    """
    seen: set[Path] = set()
    found: list[Node] = []

    def visit(node: Node) -> None:
        if node.folder in seen:
            return
        seen.add(node.folder)
        if done(node):
            return
        for need in node.needs:
            visit(need)
        found.append(node)

    for node in nodes:
        visit(node)
    return found


def _models(spec: Spec) -> list[Node]:
    """The nodes that hold the weights of an M0: its preparation, and the explainer that serves as M0."""
    prepared = [m0(spec)] if spec.m0_steps else []
    return [*prepared, explainer(spec.explained)] if spec.explainer >= 0 else prepared
