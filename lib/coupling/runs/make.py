"""Make a node of the graph with everything that it needs: the one place where the library computes."""

from collections.abc import Iterator
from contextlib import contextmanager

from peft import set_peft_model_state_dict
from safetensors.torch import load_file

from coupling.models import Loaded, adapted
from coupling.runs import folders, graph
from coupling.runs.bases import make_base
from coupling.runs.explainers import make_explainer
from coupling.runs.graph import Node
from coupling.runs.m0 import Models, make_m0
from coupling.runs.result import Result, items_of, working
from coupling.spec import Spec

MAKERS = {"m0": make_m0, "base": make_base, "explainer": make_explainer}


def made(node: Node, force: bool = False, models: Models | None = None) -> Result:
    """The result of a node, made if it is not complete.

    Args:
        node: What is wanted.
        force: Compute this node again even if it is complete; what it needs is reused.
        models: The models in memory, for callers that make several nodes; without it a fresh one.

    Returns:
        The result, with whether it was computed now.
    """
    models = models or Models()
    if force or not folders.complete(node.folder):
        for need in graph.order(node.needs, lambda n: folders.complete(n.folder)):
            made(need, models=models)
    with working(node.folder, node.spec, force) as fresh:
        if fresh:
            MAKERS[node.kind](node, models)
    return Result(node.spec, node.folder, fresh)


def prepared(spec: Spec, models: Models | None = None) -> Result:
    """The prepared M0 of a spec, one for all tasks of its world."""
    return made(graph.m0(spec), models=models)


def base(spec: Spec, force: bool = False, models: Models | None = None) -> Result:
    """M0 of a spec with its behaviours on the test items; see `coupling.runs.bases`."""
    items_of(spec)  # bad items end the run before any compute
    return made(graph.base(spec), force, models)


def explain(spec: Spec, force: bool = False, models: Models | None = None) -> Result:
    """One explainer: labels, LoRA training and evaluations; see `coupling.runs.explainers`."""
    items_of(spec)  # bad items end the run before any compute
    return made(graph.explainer(spec), force, models)


@contextmanager
def explainer(result: Result, models: Models | None = None) -> Iterator[Loaded]:
    """Within the block, the model of a finished run: M0 with the adapter that the run trained."""
    models = models or Models()
    for need in graph.order(graph.base(result.spec).needs, lambda n: folders.complete(n.folder)):
        made(need, models=models)
    with adapted(models.load(result.spec), result.spec) as loaded:
        set_peft_model_state_dict(
            loaded.model, load_file(result.folder / "adapter" / "adapter_model.safetensors")
        )
        yield loaded
