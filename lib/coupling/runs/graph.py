"""What a run needs before it: one graph, used by the library and by the batch engine.

A node is a prepared M0, a base (the behaviours of one M0 on the test items) or an explainer. This module reads specs
alone: it opens no result and imports no torch.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coupling.runs import folders
from coupling.spec import Spec


@dataclass(frozen=True)
class Node:
    """One thing that is made once and kept in a folder of its own.

    Attributes:
        kind: "m0", a prepared model; "base", its behaviours on test items; "explainer", an explanation training.
        spec: What is to be made. Fields that this kind does not read are at values that all its users share.
    """

    kind: Literal["m0", "base", "explainer"]
    spec: Spec

    @property
    def folder(self) -> Path:
        """Where the result is kept; two nodes with one folder are one."""
        where = {"m0": folders.m0_folder, "base": folders.base_folder, "explainer": folders.run_folder}
        return where[self.kind](self.spec)

    @property
    def needs(self) -> list["Node"]:
        """The nodes that must be complete before this one, in the order in which they are best made.

        Of an explainer the base of the label source S comes first and that of M0 last, so that a model held in memory
        is the one which is trained.
        """
        if self.kind == "explainer":
            return [base(self.spec.label_source), base(self.spec)]
        if self.kind == "m0":
            return []
        before = [m0(self.spec)] if self.spec.m0_steps else []
        return [*before, explainer(self.spec.explained)] if self.spec.explainer >= 0 else before


def m0(spec: Spec) -> Node:
    """The prepared M0 of a spec: the whole preparation, whatever part of it the spec asks for."""
    return Node("m0", spec.model_copy(update={"m0_checkpoint": 1.0, "explainer": -1}))


def base(spec: Spec) -> Node:
    """The base of a spec; an M0 knows nothing of a behaviour that is taught later."""
    return Node("base", spec.model_copy(update={"teach": ""}))


def explainer(spec: Spec) -> Node:
    """The explainer of a spec."""
    return Node("explainer", spec)


def order(nodes: Iterable[Node], done: Callable[[Node], bool] = lambda node: False) -> list[Node]:
    """These nodes and all that they need, each once, each behind what it needs.

    Args:
        nodes: What is wanted.
        done: Which nodes are there already. They are left out, and so is what they alone need.

    Returns:
        The nodes in an order in which they can be made.
    """
    found: dict[Path, Node] = {}

    def visit(node: Node) -> None:
        if node.folder in found or done(node):
            return
        for need in node.needs:
            visit(need)
        found[node.folder] = node

    for node in nodes:
        visit(node)
    return list(found.values())
