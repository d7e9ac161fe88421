"""Fast products of bfloat16 matrices on CPUs that have no instruction for them.

On such a CPU torch multiplies bfloat16 matrices in loops of its own, at a fifth of the speed of float32 or
less. So the product is computed in float32 and rounded to bfloat16. That changes the result by rounding
alone: a bfloat16 product, too, is summed in float32 and rounded once, so the two differ by the order of the
sum. notebooks/LOG.md has the speeds of the three ways.

A dispatch mode of torch does this: it is told of every operation within a block and takes the products for
itself.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
FEW = 16  # with fewer rows, columns or terms of a sum than this, the casts take longer than they save
ROOM = (
    2**25
)  # numbers in an argument of a product for which memory is kept: 134 MB, used only as far as needed
PRODUCTS = {
    _aten.mm.default,
    _aten.addmm.default,
    _aten.addmm_.default,
    _aten.bmm.default,
    _aten.baddbmm.default,
}


def fast_products(device: torch.device) -> AbstractContextManager:
    """Return a context in which products of bfloat16 matrices are as fast as the machine can make them.

    It holds for forward and backward passes. On a GPU, and on a CPU that multiplies bfloat16 itself, it does
    nothing.
    """
    return nullcontext() if device.type != "cpu" or multiplies_halves() else _InFloat32()


@cache
def multiplies_halves() -> bool:
    """Return whether this CPU multiplies bfloat16 matrices itself: x86 from AVX512 on, or ARM with bfloat16.

    torch asks its library oneDNN for it, which is not there on every system. Without it the answer is no.
    """
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class _InFloat32(TorchDispatchMode):
    """The mode in which products of bfloat16 matrices are computed in float32 and rounded once."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if (
            func not in PRODUCTS
            or args[0].dtype != torch.bfloat16
            or min(*args[-2].shape[-2:], args[-1].shape[-1]) < FEW
        ):
            return func(*args, **kwargs)
        out = func(*(_wide(k, a) for k, a in enumerate(args)), **kwargs)
        return args[0].copy_(out) if func is _aten.addmm_.default else out.to(torch.bfloat16)


def _wide(k: int, a: torch.Tensor) -> torch.Tensor:
    """Cast argument k of a product to float32.

    If the argument fits, the cast goes into memory that the next product uses again, because fresh memory
    pages cost more than the cast itself.
    """
    dense = a.is_contiguous() or (a.dim() > 1 and a.mT.is_contiguous())
    if a.numel() > ROOM or not dense:
        return a.float()
    return scratch(k)[: a.numel()].as_strided(a.shape, a.stride()).copy_(a)


@cache
def scratch(k: int) -> torch.Tensor:
    """Return the memory that is kept for argument k of products; float32 [ROOM]."""
    return torch.empty(ROOM)
