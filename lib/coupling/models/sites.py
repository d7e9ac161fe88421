"""Sites: the places within a model whose states can be read, and replaced, while it computes.

A site is a part of one layer: the residual stream after the layer, or what its attention or its MLP adds to
it. Forward hooks read and replace the states of a site, so that no weight is touched and no module is
wrapped. The hooks live in a context manager. When it ends, the model is as it was, and this is asserted.

`read_states` and `patched_logits` run a packed pass (packing.py) and therefore need a model that takes prefix
trees. Many copies of a tree in one row are so many patches in one pass.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import nn

from coupling.errors import StudyError
from coupling.models.loaded import Loaded
from coupling.models.packing import packed_logits
from coupling.models.trees import Row

PARTS = ("residual", "attention", "mlp")
# What the attention and the MLP of a layer are called, in the architectures that transformers knows.
_NAMES = {"attention": ("attn", "attention"), "mlp": ("mlp", "feed_forward", "ffn", "moe")}
_BESIDE = ("norm", "ln_", "dropout")  # children beside them, which may be called after them

Change = Callable[[torch.Tensor], torch.Tensor | None]


class SiteError(StudyError, ValueError):
    """A model has no such sites, or cannot be patched. The message says what was looked for and found."""


class Site(NamedTuple):
    """A place within a model.

    Attributes:
        layer: The layer, from 0.
        part: "residual" is the stream after the layer; "attention" and "mlp" are what these parts add to it.
    """

    layer: int
    part: Literal["residual", "attention", "mlp"]


@dataclass(frozen=True)
class Patch:
    """States that are put in the place of a site's own.

    Attributes:
        places: The places in the row whose states are replaced, each once; int64 [places].
        states: What is put there, [places, width].
    """

    places: torch.Tensor
    states: torch.Tensor


def sites(model: nn.Module) -> dict[Site, nn.Module]:
    """Find the module of every site of a model, by the model's structure.

    The layers are the members of the one outer list of modules that is as long as the model has layers. The
    attention and the MLP of a layer are its children of the usual names. Adapters change nothing of this.

    Raises:
        SiteError: If layers, attention or MLP cannot be told. The message says what there is.
    """
    found: dict[Site, nn.Module] = {}
    for number, layer in enumerate(_layers(model)):
        found[Site(number, "residual")] = layer
        for part, names in _NAMES.items():
            found[Site(number, part)] = _child(layer, number, part, names)
    return found


def _layers(model: nn.Module) -> nn.ModuleList:
    """Return the list of a model's layers."""
    count = model.config.get_text_config().num_hidden_layers
    every = {name: m for name, m in model.named_modules() if isinstance(m, nn.ModuleList)}
    lists = {name: m for name, m in every.items() if not any(name.startswith(f"{o}.") for o in every)}
    fitting = [m for m in lists.values() if len(m) == count]
    if len(fitting) != 1:
        there = ", ".join(f"{name} of {len(m)}" for name, m in lists.items()) or "none"
        raise SiteError(
            f"{type(model).__name__} cannot be patched: expected one list of num_hidden_layers={count} "
            f"layers, found {len(fitting)} among these lists of modules: {there}"
        )
    return fitting[0]


def _child(layer: nn.Module, number: int, part: str, names: tuple[str, ...]) -> nn.Module:
    """Return the child of a layer that is its attention or its MLP."""
    children = {name: m for name, m in layer.named_children() if not any(word in name for word in _BESIDE)}
    fitting = [m for name, m in children.items() if any(word in name for word in names)]
    if len(fitting) != 1:
        raise SiteError(
            f"layer {number} ({type(layer).__name__}) cannot be patched: expected one child whose name holds "
            f"{' or '.join(names)} for its {part}, found {len(fitting)} among {', '.join(children)}"
        )
    return fitting[0]


@contextmanager
def hooked(model: nn.Module, changes: Mapping[Site, Change]) -> Iterator[None]:
    """Call a function on the states of some sites within the block, whenever the model computes them.

    Args:
        model: The model.
        changes: By site a function of its states, [rows, tokens, width]. What it returns takes their place;
            None leaves them as they are.

    Raises:
        SiteError: If the model has no such site; or if hooks of this block are left behind when it ends.
    """
    modules = sites(model)
    if unknown := [site for site in changes if site not in modules]:
        layers = 1 + max(site.layer for site in modules)
        raise SiteError(
            f"{tuple(unknown[0])} is no site: the model has layers 0 to {layers - 1}, each with {PARTS}"
        )
    before = {site: list(modules[site]._forward_hooks) for site in changes}
    handles = []
    try:
        for site, change in changes.items():
            handles.append(modules[site].register_forward_hook(_hook(change)))
        yield
    finally:
        for handle in handles:
            handle.remove()
        if left := [site for site in changes if list(modules[site]._forward_hooks) != before[site]]:
            raise SiteError(f"hooks were left behind at {len(left)} sites, for instance {tuple(left[0])}")


def _hook(change: Change) -> Callable:
    """Make a forward hook. The states are a module's output, or the first part of it."""

    def hook(_module: nn.Module, _inputs: tuple, output: torch.Tensor | tuple) -> torch.Tensor | tuple | None:
        if isinstance(output, tuple):
            changed = change(output[0])
            return None if changed is None else (changed, *output[1:])
        return change(output)

    return hook


def _whole(loaded: Loaded) -> Loaded:
    """Return the model as it computes all layers at all tokens of a row.

    Raises:
        SiteError: If it takes no prefix trees.
    """
    if not loaded.packs:
        raise SiteError(
            f"{type(loaded.model).__name__} takes no prefix trees, on which patching runs: take another model"
        )
    return replace(loaded, picks=False)


@torch.no_grad()
def read_states(
    loaded: Loaded, row: Row, picked: torch.Tensor
) -> tuple[torch.Tensor, dict[Site, torch.Tensor]]:
    """Run a packed pass and keep the states of all sites.

    Args:
        loaded: The model.
        row: The row of trees.
        picked: The places in the row whose logits are wanted, int64 [picked].

    Returns:
        The logits at these places, [picked, vocabulary], and by site its states, [tokens, width].

    Raises:
        SiteError: If the model cannot be patched.
    """
    kept: dict[Site, torch.Tensor] = {}

    def keep(site: Site) -> Change:
        def change(states: torch.Tensor) -> None:
            kept[site] = states[0].clone()

        return change

    with hooked(loaded.model, {site: keep(site) for site in sites(loaded.model)}):
        logits = packed_logits(_whole(loaded), row, picked)
    return logits, kept


@torch.no_grad()
def patched_logits(
    loaded: Loaded, row: Row, picked: torch.Tensor, patches: Mapping[Site, Patch]
) -> torch.Tensor:
    """Run a packed pass with other states at some places of some sites.

    Args:
        loaded: The model.
        row: The row of trees.
        picked: The places in the row whose logits are wanted, int64 [picked].
        patches: What is replaced, by site.

    Returns:
        The logits at the picked places, [picked, vocabulary].

    Raises:
        SiteError: If the model cannot be patched.
    """

    def put(patch: Patch) -> Change:
        return lambda states: states.index_copy(1, patch.places, patch.states[None].to(states.dtype))

    with hooked(loaded.model, {site: put(patch) for site, patch in patches.items()}):
        return packed_logits(_whole(loaded), row, picked)
