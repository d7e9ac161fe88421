"""Make a node of the graph, after everything that it needs. The library computes runs here alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from coupling.models import Loaded
from coupling.runs import folders, graph
from coupling.runs.bases import make_base
from coupling.runs.checks import check_run
from coupling.runs.explainers import make_explainer, trained
from coupling.runs.graph import Node
from coupling.runs.m0 import Models, make_m0
from coupling.runs.patching import make_circuits
from coupling.runs.result import Result, items_of, working
from coupling.spec import Spec

MAKERS = {"m0": make_m0, "base": make_base, "explainer": make_explainer, "circuits": make_circuits}


def made(node: Node, force: bool = False, models: Models | None = None) -> Result:
    """The result of a node. It is computed if it is not complete, after everything that it needs.

    Args:
        node: What is wanted.
        force: Compute this node again even if it is complete. What it needs is reused.
        models: The model in memory, if any. Pass the same object to several calls that work on one M0.

    Returns:
        The result, which also tells whether it was computed now.

    Raises:
        TaskError: Where the node's items are bad, before any compute.
    """
    models = models or Models()
    if force or not folders.complete(node.folder):
        if node.kind != "m0":
            train, test = items_of(node.spec)
            # A model that is there already is checked before its base is measured. One that must be made
            # first is checked by then.
            if not node.spec.m0_steps and node.spec.explainer < 0:
                check_run(node.spec, models.load(node.spec), train + test)
        _make_needs(node, models)
    return _make(node, force, models)


def prepared(spec: Spec, models: Models | None = None) -> Result:
    """The prepared M0 of a spec. All tasks of its world share it."""
    return made(graph.m0(spec), models=models)


def base(spec: Spec, force: bool = False, models: Models | None = None) -> Result:
    """The behaviours of a spec's M0 on the test items; see `coupling.runs.bases` and `made`."""
    return made(graph.base(spec), force, models)


def explain(spec: Spec, force: bool = False, models: Models | None = None) -> Result:
    """The explainer of a spec, trained and evaluated; see `coupling.runs.explainers` and `made`."""
    return made(graph.explainer(spec), force, models)


def circuits(spec: Spec, force: bool = False, models: Models | None = None) -> Result:
    """The circuits of a spec's explainer; see `coupling.runs.patching` and `made`."""
    return made(graph.circuits(spec), force, models)


@contextmanager
def explainer(result: Result, models: Models | None = None) -> Iterator[Loaded]:
    """Within the block, the model of a finished explainer: M0 with the adapter that the run trained."""
    models = models or Models()
    _make_needs(graph.base(result.spec), models)
    with trained(result.spec, models) as loaded:
        yield loaded


def _make_needs(node: Node, models: Models) -> None:
    """Make everything that a node needs and that is not complete."""
    for need in graph.order(node.needs, lambda one: folders.complete(one.folder)):
        _make(need, False, models)


def _make(node: Node, force: bool, models: Models) -> Result:
    """Make one node whose needs are complete, if it is not complete itself."""
    with working(node.folder, node.spec, force) as fresh:
        if fresh:
            MAKERS[node.kind](node, models)
    return Result(node.spec, node.folder, fresh)
