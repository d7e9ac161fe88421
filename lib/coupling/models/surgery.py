"""Adapter surgery: a trained adapter with parts that are weakened, or exchanged for those of another run.

A part of an adapter is what it adds within the attention, or the MLP, of one layer (sites.py). The weights
are changed in place within a block, and are as they were when it ends.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from peft.tuners.lora import Linear as LoraLinear

from coupling.models.loaded import Loaded
from coupling.models.sites import Site, sites


def adapter_parts(model: torch.nn.Module) -> dict[Site, dict[str, LoraLinear]]:
    """Find the layers that hold each part of a model's adapter, by their names within the model."""
    names = {id(module): name for name, module in model.named_modules()}
    return {
        site: {names[id(m)]: m for m in module.modules() if isinstance(m, LoraLinear)}
        for site, module in sites(model).items()
        if site.part != "residual"
    }


@contextmanager
def scaled(loaded: Loaded, factors: Mapping[Site, float]) -> Iterator[None]:
    """Within the block, multiply what some parts of the adapter add; a factor of 0 takes a part out.

    Args:
        loaded: The model with its adapter.
        factors: By part the factor. Other parts stay as they are.
    """
    parts = adapter_parts(loaded.model)
    found = [
        (layer.lora_B[name].weight, factor)
        for site, factor in factors.items()
        for layer in parts[site].values()
        for name in layer.active_adapters
    ]
    with _put((weight, weight.detach() * factor) for weight, factor in found):
        yield


@contextmanager
def exchanged(loaded: Loaded, other: Mapping[str, torch.Tensor], chosen: Collection[Site]) -> Iterator[None]:
    """Within the block, put the weights of another run's adapter in the place of some parts.

    Args:
        loaded: The model with its adapter.
        other: The weights of an adapter of the same rank on the same model, by the names of peft's files.
        chosen: The parts that are exchanged.
    """
    parts = adapter_parts(loaded.model)
    with _put(
        (getattr(layer, low)[adapter].weight, other[f"{name}.{low}.weight"])
        for site in chosen
        for name, layer in parts[site].items()
        for low in ("lora_A", "lora_B")
        for adapter in layer.active_adapters
    ):
        yield


@contextmanager
def _put(values: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Iterator[None]:
    """Within the block, give each of some weights another value."""
    pairs = list(values)
    kept = [weight.detach().clone() for weight, _ in pairs]
    try:
        with torch.no_grad():
            for weight, value in pairs:
                weight.copy_(value)
        yield
    finally:
        with torch.no_grad():
            for (weight, _), value in zip(pairs, kept, strict=True):
                weight.copy_(value)
