"""Measure how far the two attention kernels are from exact attention, in outputs and in gradients.

The engine computes attention over prefix trees by SDPA with an explicit mask on CPUs, and by FlexAttention
with a block mask on GPUs (models/packing.py). Both are compared here with attention that is written out in
float64 over the same trees. An error is the largest difference from it, as a share of its largest value. It
must not be above the TOLERANCE of the precision.

FlexAttention needs a compiler for C++ on CPUs, and has no backward pass there. So its gradients are compared
on GPUs alone.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from coupling.models import device, pack, prefix_tree
from coupling.models.packing import attend, block_mask, flex_mask
from coupling.models.trees import Row

TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}
HEADS, KEY_HEADS, SIZE = 6, 2, 64  # grouped queries, as in most models today; 6 is no power of two
TREES = 6
KERNELS = {"SDPA, explicit mask": block_mask, "FlexAttention, block mask": flex_mask}


def errors(on: torch.device, seed: int = 0) -> list[dict[str, Any]]:
    """Compare both kernels with exact attention in both precisions.

    Args:
        on: The device.
        seed: Draws the trees and the states.

    Returns:
        Rows with device, precision, kernel, quantity ("output", or the gradient of "query", "key" or
            "value"), error, tolerance and within (bool).
    """
    row = _trees(np.random.default_rng([seed, 20]), on)
    rows = []
    for precision, tolerance in TOLERANCE.items():
        states, weights = _states(row, getattr(torch, precision), on, seed)
        exact = _exact(row, states, weights)
        for kernel, mask_of in KERNELS.items():
            mask = mask_of(row, torch.float32 if on.type == "cpu" else getattr(torch, precision))
            for quantity, found in _by_kernel(row, mask, states, weights).items():
                error = float((found.double() - exact[quantity]).abs().max() / exact[quantity].abs().max())
                about = {"device": on.type, "precision": precision, "kernel": kernel, "quantity": quantity}
                rows.append(about | {"error": error, "tolerance": tolerance, "within": error <= tolerance})
    return rows


def errors_here() -> list[dict[str, Any]]:
    """Compare both kernels on this machine's GPU, or on its CPU where it has none."""
    return errors(device())


def _trees(rng: np.random.Generator, on: torch.device) -> Row:
    """Trees of three branches, as an item makes them, of different lengths."""
    trees = []
    for _ in range(TREES):
        x = rng.integers(5, 99, rng.integers(20, 90)).tolist()
        trees.append(
            prefix_tree([[*x, 1, 2, 3], [*x[:-8], 4, 1, 2, 3], [*x, *rng.integers(5, 99, 15).tolist()]])
        )
    return pack(trees, on)


def _states(
    row: Row, dtype: torch.dtype, on: torch.device, seed: int
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Draw queries, keys and values, and weights of the outputs whose gradients are compared."""
    generator = torch.Generator().manual_seed(seed)
    tokens = row.ids.shape[1]

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(on, dtype)

    states = [draw(1, heads, tokens, SIZE) for heads in (HEADS, KEY_HEADS, KEY_HEADS)]
    return states, draw(1, tokens, HEADS, SIZE)


def _exact(row: Row, states: list[torch.Tensor], weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """Attention written out in float64, and its gradients."""
    query, key, value = own = [s.double().requires_grad_() for s in states]
    places = torch.arange(row.ids.shape[1], device=row.ids.device)
    seen = (places[:, None] >= places) & (places[:, None] < row.ends[0])
    shared = HEADS // KEY_HEADS
    scores = query @ key.repeat_interleave(shared, 1).mT * SIZE**-0.5
    shares = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return _with_gradients((shares @ value.repeat_interleave(shared, 1)).transpose(1, 2), own, weights)


def _by_kernel(
    row: Row, mask: Any, states: list[torch.Tensor], weights: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Attention as the engine computes it with a mask, and its gradients where the kernel has them."""
    layer = SimpleNamespace(training=False, is_causal=False, num_key_value_groups=HEADS // KEY_HEADS)
    has_gradients = isinstance(mask, torch.Tensor) or row.ids.device.type != "cpu"
    own = [s.detach().clone().requires_grad_(has_gradients) for s in states]
    out, _ = attend(layer, *own, mask, trees=row, scaling=SIZE**-0.5)
    return _with_gradients(out, own, weights) if has_gradients else {"output": out}


def _with_gradients(
    out: torch.Tensor, states: list[torch.Tensor], weights: torch.Tensor
) -> dict[str, torch.Tensor]:
    gradients = torch.autograd.grad((out * weights.to(out.dtype)).sum(), states)
    return {"output": out.detach()} | dict(zip(("query", "key", "value"), gradients, strict=True))
