"""Products of bfloat16 matrices on CPUs that have no instruction for them.

There torch multiplies them in loops of its own, at a fifth of the speed of float32 or less (500 rows by 8,960 columns on two
cores with AVX2: 19 and 107 GFLOP/s; by the way below, casts included, 96). A bfloat16 product adds up in float32 and is
rounded once, so the float32 product of the same bfloat16 values, rounded, is the same number up to the order of its sum.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
FEW = 16  # below so many rows, columns or terms a sum the casts take longer than they save
ROOM = (
    2**25
)  # numbers of an argument of a product; 134 MB, which are the process's as far as they were ever needed
PRODUCTS = {
    _aten.mm.default,
    _aten.addmm.default,
    _aten.addmm_.default,
    _aten.bmm.default,
    _aten.baddbmm.default,
}


def fast_products(device: torch.device) -> AbstractContextManager:
    """The context in which products of bfloat16 matrices, forward and backward, are as fast as this machine can make them."""
    return nullcontext() if device.type != "cpu" or _multiplies_halves() else _InFloat32()


@cache
def _multiplies_halves() -> bool:
    """Whether this CPU multiplies bfloat16 matrices by oneDNN (x86 from AVX512 on, or ARM with its bfloat16 instructions); torch has it not everywhere."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class _InFloat32(TorchDispatchMode):
    """Products of bfloat16 matrices on the CPU as float32 products, rounded once."""

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
    """Argument k of a product in float32; where it fits, in memory that the next product takes again: fresh pages cost more than the cast."""
    dense = a.is_contiguous() or (a.dim() > 1 and a.mT.is_contiguous())
    if a.numel() > ROOM or not dense:
        return a.float()
    return _room(k)[: a.numel()].as_strided(a.shape, a.stride()).copy_(a)


@cache
def _room(k: int) -> torch.Tensor:
    return torch.empty(ROOM)
