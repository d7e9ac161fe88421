"""LoRA adapters in peft's format, at the speed of the frozen model that they wrap.

peft computes x W^T + s (x A^T) B^T by five small operations with casts between them, and autograd keeps what each
of them read. Here the same sum is one operation with its own gradient: it keeps x alone, casts each weight once a step
instead of once a call, and, where W is narrow, forms W + s B A once a step, so that both branches are one product.
Following the parameters' version counters, nothing has to be told when they changed.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import MethodType

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear as LoraLinear

from coupling.models.loaded import Loaded
from coupling.spec import Spec

NARROW = (
    0.15  # form W + s B A where the two products with A and B would cost at least this share of that with W
)


@contextmanager
def adapted(m0: Loaded, spec: Spec) -> Iterator[Loaded]:
    """Within the block, M0 with a fresh float32 LoRA adapter on all linear layers but the output head; M0 again after it.

    The adapter changes nothing yet. Its effective scale is `lora_alpha` itself, whatever the rank: peft divides by
    rank, or by its root with rslora.
    """
    config = LoraConfig(
        task_type="CAUSAL_LM",
        target_modules="all-linear",
        r=spec.rank,
        lora_dropout=0.0,
        use_rslora=spec.rslora,
        lora_alpha=spec.lora_alpha * (math.sqrt(spec.rank) if spec.rslora else spec.rank),
    )
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        model = get_peft_model(m0.model, config)
    accelerate(model)
    try:
        yield replace(m0, model=model.eval())
    finally:
        model.unload()


def merged(m0: Loaded, folder: Path) -> Loaded:
    """M0 with the adapter of a folder (peft's format, safetensors) added to its weights for good: m0's own weights, not a copy. Sums are rounded once
    to the precision that the weights are held in."""
    return replace(
        m0, model=PeftModel.from_pretrained(m0.model, folder).merge_and_unload().requires_grad_(False).eval()
    )


def accelerate(model: torch.nn.Module) -> None:
    """Replace the forward pass of the model's peft LoRA layers by one of the same value; `peft_forward` undoes it.

    Layers with dropout, several active adapters, or merged or disabled ones go peft's way.
    """
    for layer in lora_layers(model):
        layer.forward = MethodType(_forward, layer)


def peft_forward(model: torch.nn.Module) -> None:
    """Give the model's LoRA layers peft's own forward pass back."""
    for layer in lora_layers(model):
        layer.__dict__.pop("forward", None)
        layer.__dict__.pop("_kept", None)


def lora_layers(model: torch.nn.Module) -> list[LoraLinear]:
    """The model's LoRA layers."""
    return [m for m in model.modules() if isinstance(m, LoraLinear)]


def _forward(self: LoraLinear, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
    name = self.active_adapters[0]
    simple = (
        len(self.active_adapters) == 1
        and name in self.lora_A
        and not (self.disable_adapters or self.merged or args or kwargs)
    )
    if not simple or not isinstance(self.lora_dropout[name], torch.nn.Identity) or self.use_dora.get(name):
        return type(self).forward(self, x, *args, **kwargs)
    kind = x.device.type
    casts = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if casts else x.dtype
    a, b = self.lora_A[name].weight, self.lora_B[name].weight
    weight, bias, low_a, low_b, joined = _weights(self, a, b, self.scaling[name], dtype)
    rows = x.to(dtype).reshape(-1, x.shape[-1])
    if torch.is_grad_enabled():
        out = _LowRank.apply(rows, a, b, weight, bias, low_a, low_b, self.scaling[name], joined)
    else:
        out = _product(rows, weight, bias, low_a, low_b, self.scaling[name], joined)
    return out.view(*x.shape[:-1], -1)


def _weights(layer: LoraLinear, a: torch.Tensor, b: torch.Tensor, scale: float, dtype: torch.dtype) -> tuple:
    """(W or W + s B A, bias, A, B, whether they are joined) in `dtype`, kept until one of them changes."""
    base = layer.get_base_layer()
    w, bias = base.weight, base.bias
    state = (dtype, *((id(p), p._version) for p in (w, a, b)))
    kept = layer.__dict__.get("_kept")
    if kept is None or kept[0] != state:
        uncast = (
            torch.autocast(w.device.type, enabled=False)
            if torch.amp.is_autocast_available(w.device.type)
            else nullcontext()
        )
        with torch.no_grad(), uncast:
            low = a.to(dtype), b.to(dtype)
            joined = a.shape[0] * (w.shape[0] + w.shape[1]) >= NARROW * w.shape[0] * w.shape[1]
            if joined:
                full = torch.addmm(w.float(), b.float(), a.float(), alpha=scale).to(dtype)
            elif kept is not None and kept[0][:2] == state[:2]:  # W itself did not change: its cast stays
                full = kept[1][0]
            else:
                full = w.to(dtype)
            kept = state, (full, None if bias is None else bias.to(dtype), *low, joined)
        layer.__dict__["_kept"] = kept
    return kept[1]


def _product(
    x: torch.Tensor,
    w: torch.Tensor,
    bias: torch.Tensor | None,
    a: torch.Tensor,
    b: torch.Tensor,
    scale: float,
    joined: bool,
) -> torch.Tensor:
    """x W^T + s (x A^T) B^T + bias; W holds the second term already if they are joined."""
    y = torch.nn.functional.linear(x, w, bias)
    return y if joined else y.addmm_(x @ a.T, b.T, alpha=scale)


class _LowRank(torch.autograd.Function):
    """`_product` with gradients for x, A and B: exact, never of the size of W, and reading nothing but x and dy."""

    @staticmethod
    def forward(ctx, x, a_parameter, b_parameter, w, bias, a, b, scale, joined):
        ctx.save_for_backward(x)
        ctx.fixed = (w, a, b, scale, joined, a_parameter.dtype)
        return _product(x, w, bias, a, b, scale, joined)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        w, a, b, scale, joined, kept = ctx.fixed
        dy = dy.contiguous()
        low = dy @ b
        dx = None
        if ctx.needs_input_grad[0]:
            dx = dy @ w
            if not joined:
                dx.addmm_(low, a, alpha=scale)
        da = (low.T @ x).to(kept).mul_(scale)
        db = (dy.T @ (x @ a.T)).to(kept).mul_(scale)
        return dx, da, db, *[None] * 6
