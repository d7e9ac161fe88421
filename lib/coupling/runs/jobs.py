"""Jobs: which nodes of the graph the batch engine makes together, in one kernel, and with which notebook.

notebooks/Snakefile turns each job into a rule. This module imports no torch.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from coupling import spec as specs
from coupling.runs import folders
from coupling.runs.graph import Node
from coupling.spec import ORGANISMS, STAGES, Spec, given, key

# By kind: the notebook that makes a node.
NOTEBOOKS = {"base": "01_base_model", "explainer": "02_train", "circuits": "05_circuits"}


@dataclass(frozen=True)
class Job:
    """Nodes that are made one after the other in one kernel.

    Attributes:
        name: The name of the rule. It depends on the nodes' own specs alone, so that a cluster's node which
            reads the Snakefile in the middle of a batch finds the rule under the same name.
        nodes: Bases, or explainers, or the circuits of explainers. A prepared M0 has no job: the first base
            that needs it prepares it.
    """

    name: str
    nodes: tuple[Node, ...]

    @property
    def needs(self) -> list[Node]:
        """The bases and explainers that must be complete before the job starts, each once."""
        needs = {need.folder: need for node in self.nodes for need in node.needs if need.kind in NOTEBOOKS}
        return list(needs.values())

    @property
    def threads(self) -> int:
        """CPU threads that the job takes."""
        return max(node.spec.threads for node in self.nodes)

    @property
    def megabytes(self) -> int:
        """Memory that the job may take; 10^6 bytes."""
        return int(max(node.spec.memory_gb for node in self.nodes) * 1000)


def jobs(nodes: Iterable[Node]) -> list[Job]:
    """Group nodes into jobs.

    The bases of one M0 share a kernel, so that M0 is loaded once. Explainers of an organism that share M0
    and training items take seconds each, so they share a kernel too. Every other explainer has a kernel of
    its own.

    Nodes of one job have the same generation, so that no job waits for itself: an explainer that serves
    another run as its M0 or label source is in an earlier job than this other run.
    """
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        if node.kind in NOTEBOOKS:
            groups.setdefault(_name(node), []).append(node)
    return [Job(name, tuple(group)) for name, group in groups.items()]


def _name(node: Node) -> str:
    """The name of the job that a node belongs to."""
    spec = node.spec
    if node.kind == "base":
        name = f"base_{folders.m0_folder(spec).name}"
    else:
        shared = "labels" if spec.model in ORGANISMS else "explain"
        kind = {"explainer": "run", "circuits": "circuits"}[node.kind]
        name = f"{kind}_m{spec.m0_seed}_s{spec.seed}_{key(spec, shared)}"
    usual = {"base": 0, "explainer": 1, "circuits": 1}[node.kind]
    later = f"_generation_{node.generation}" if node.generation > usual else ""
    return re.sub(r"\W", "_", name + later)


def parameters(node: Node) -> dict[str, Any]:
    """The parameters of the notebook that makes a node: the fields of its spec that differ from the profile.

    A base takes no field of the explanation training, unless its M0 is an explainer, whose training they
    describe.
    """
    whole = node.kind != "base" or node.spec.explainer >= 0
    return given(node.spec, *(STAGES if whole else STAGES[: STAGES.index("base") + 1]))


def from_anywhere(spec: Spec) -> Spec:
    """The same spec with absolute paths, for a notebook that runs in another folder. No key changes."""
    return spec.model_copy(update=specs.from_anywhere(spec.model_dump()))
