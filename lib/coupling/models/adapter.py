"""LoRA adapters in peft's format, computed at about the speed of the frozen model that they adapt.

LoRA adds a product of two narrow matrices to each frozen weight: a layer computes

    y = x Wᵀ + s (x Aᵀ) Bᵀ + bias

where W [out, in] is frozen, A [rank, in] and B [out, rank] are trained, and s is a scale. peft computes this
by five small operations with casts between them, and autograd keeps what each of them read.

Here the same sum is one operation with a gradient of its own, which is faster for three reasons. It keeps x
alone for the backward pass. It casts each weight to the precision of the products once a step and not once a
call. And where W is so narrow that the products with A and B would cost much beside it, it forms W + s B A
once a step, so that a layer is one product. Casts are made anew when the version counter of a parameter says
that it changed.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MethodType

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from transformers.pytorch_utils import Conv1D

from coupling.errors import StudyError
from coupling.models.fused import fuse, unfuse
from coupling.models.loaded import Loaded
from coupling.spec import Spec

# W + s B A is formed where the products with A and B would cost at least this share of the product with W.
NARROW = 0.15
# Architectures whose output layer peft refuses to adapt.
STATE_SPACE = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
SECOND = "shift"  # the name of an adapter that is trained while the first one is frozen
SECOND_DRAW = 104729  # added to the seed of its first weights
PROBE = 4  # tokens on which a fresh adapter is compared with M0


class AdapterError(StudyError, RuntimeError):
    """An adapter cannot be put on a model as asked; the message says why."""


@contextmanager
def adapted(m0: Loaded, spec: Spec) -> Iterator[Loaded]:
    """Give a model a fresh LoRA adapter within the block.

    The adapter is float32 and sits on all linear layers but the output head. As it is, it changes nothing: B
    is 0. After the block the model is as it was.

    Args:
        m0: The model.
        spec: Gives rank, scale and the seed of the adapter's first weights. The scale s is `lora_alpha`
            itself whatever the rank. (peft would divide it by the rank, or by its root with rslora; this is
            undone here.)

    Yields:
        The model with the adapter.

    Raises:
        AdapterError: If the model has no linear layer, or if the fresh adapter changes what it computes.
    """
    config = _config(m0.model, spec)
    if not any(isinstance(m, torch.nn.Linear | Conv1D) for m in m0.model.modules()):
        raise AdapterError("this model has no linear layer that could have an adapter; take another model")
    home, before = m0.device, probed(m0)
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        # The first weights are drawn on a CPU, so that they are the same on a GPU.
        gpu = home.type == "cuda"
        model = get_peft_model(m0.model.to("cpu") if gpu else m0.model, config)
    if gpu:
        model.to(home)
    tuned = replace(m0, model=model.eval())
    try:
        _check_fresh(tuned, before)
        accelerate(tuned, spec.fused)
        yield tuned
    finally:
        peft_forward(tuned)
        model.unload()


def _config(model: torch.nn.Module, spec: Spec) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM",
        target_modules="all-linear",
        exclude_modules=outside(model),
        r=spec.rank,
        lora_dropout=0.0,
        use_rslora=spec.rslora,
        lora_alpha=spec.lora_alpha * (math.sqrt(spec.rank) if spec.rslora else spec.rank),
    )


def stack(tuned: Loaded, spec: Spec) -> None:
    """Freeze a model's adapter and put a fresh one, with the same settings, beside it.

    The new adapter is named SECOND. It alone is trained from here on, and as it is it changes nothing. Layers
    with two adapters go peft's way.
    """
    home = tuned.device
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed + SECOND_DRAW)
        gpu = home.type == "cuda"
        if gpu:
            tuned.model.to("cpu")
        tuned.model.add_adapter(SECOND, _config(tuned.model.get_base_model(), spec))
    if gpu:
        tuned.model.to(home)
    first = tuned.model.active_adapter
    tuned.model.base_model.set_adapter([first, SECOND])
    for layer in lora_layers(tuned.model):
        for part in (layer.lora_A, layer.lora_B):
            part[first].requires_grad_(False)


def _check_fresh(tuned: Loaded, before: torch.Tensor | None) -> None:
    """Raise AdapterError if a model with a fresh adapter does not compute what it did before."""
    if before is not None and not torch.allclose(before, probed(tuned), atol=1e-3 * float(before.std())):
        raise AdapterError(
            "a fresh adapter changes what this model computes, so training would not start from M0; merge "
            "the adapters that the model already has into its weights"
        )


@torch.no_grad()
def probed(loaded: Loaded) -> torch.Tensor | None:
    """Return the logits after a few tokens, [vocabulary]; None on the meta device, which computes none."""
    if loaded.device.type == "meta":
        return None
    ids = torch.arange(min(PROBE, loaded.model.get_input_embeddings().weight.shape[0]), device=loaded.device)
    with loaded.precision():
        return loaded.model(input_ids=ids[None], use_cache=False).logits[0, -1].float()


def merged(m0: Loaded, folder: Path) -> Loaded:
    """Add a saved adapter to a model's weights for good.

    The weights of `m0` itself are changed. Each sum is rounded once to the precision that the weight is held
    in.

    Args:
        m0: The model.
        folder: Holds the adapter in peft's format.
    """
    return replace(
        m0, model=PeftModel.from_pretrained(m0.model, folder).merge_and_unload().requires_grad_(False).eval()
    )


def accelerate(loaded: Loaded, fused: bool = False) -> None:
    """Give the model's LoRA layers the forward pass of this module; `peft_forward` undoes it.

    A layer goes peft's way all the same while it has dropout, several active adapters, or a merged or
    disabled one.

    Args:
        loaded: The model.
        fused: Whether parts of decoder layers become one operation each, too (models/fused.py), and gradients
            are computed by the product that needs the fewest operations (`_LowRank`). This changes rounding.
    """
    for layer in lora_layers(loaded.model):
        layer.forward = MethodType(partial(_forward, cheapest=fused), layer)
    if fused:
        fuse(loaded)


def peft_forward(loaded: Loaded) -> None:
    """Give the model's LoRA layers peft's own forward pass back, and all other layers their own."""
    unfuse(loaded)
    for layer in lora_layers(loaded.model):
        layer.__dict__.pop("forward", None)
        layer.__dict__.pop("_kept", None)


def outside(model: torch.nn.Module) -> list[str] | None:
    """Return the names of linear layers that no adapter can sit on; None if there are none.

    The kernels of state space models read the weight of their last layer without calling it.
    """
    kind = getattr(getattr(model, "config", None), "model_type", "")
    return ["out_proj"] if kind in STATE_SPACE else None


def adapter_share(model: torch.nn.Module) -> float:
    """Return the share of a model's weights that adapters adapt, embeddings and output head not counted.

    Adapters sit on linear layers. Experts of a mixture are none: their weights lie in tensors of their own.
    """
    outer = model.get_input_embeddings(), model.get_output_embeddings()
    ends = {id(m.weight) for m in outer if m is not None}
    without = outside(model) or []
    between = [p for p in model.parameters() if not p.requires_grad and id(p) not in ends]
    linear = {
        id(m.weight)
        for name, m in model.named_modules()
        if isinstance(m, torch.nn.Linear | Conv1D) and name.rpartition(".")[2] not in without
    } - ends
    return sum(p.numel() for p in between if id(p) in linear) / max(1, sum(p.numel() for p in between))


def lora_layers(model: torch.nn.Module) -> list[LoraLinear]:
    """List the model's LoRA layers."""
    return [m for m in model.modules() if isinstance(m, LoraLinear)]


@torch.no_grad()
def update_norm(model: torch.nn.Module) -> float:
    """Return the Frobenius norm of what adapters add to all weights, as if they were one vector.

    For each layer ‖BA‖², with the scale within A, is Σ (BᵀB ∘ AAᵀ), which needs no product as large as the
    weight. Several adapters of a layer are one, with the sum of their ranks.
    """
    total = 0.0
    for layer in lora_layers(model):
        names = layer.active_adapters
        a = torch.cat([layer.lora_A[name].weight.float() * layer.scaling[name] for name in names])
        b = torch.cat([layer.lora_B[name].weight.float() for name in names], 1)
        total += float(((b.T @ b) * (a @ a.T)).sum())
    return total**0.5


def kept_casts(model: torch.nn.Module) -> list[torch.Tensor]:
    """List the casts of W, or of W + s B A, that accelerated layers keep between calls."""
    return [layer.__dict__["_kept"][1][0] for layer in lora_layers(model) if "_kept" in layer.__dict__]


def _forward(self: LoraLinear, x: torch.Tensor, *args, cheapest: bool = False, **kwargs) -> torch.Tensor:
    """Compute a LoRA layer, [..., in] to [..., out], in the precision of autocast or, without it, of x."""
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
        out = _LowRank.apply(rows, a, b, weight, bias, low_a, low_b, self.scaling[name], joined, cheapest)
    else:
        out = _product(rows, weight, bias, low_a, low_b, self.scaling[name], joined)
    return out.view(*x.shape[:-1], -1)


def _weights(layer: LoraLinear, a: torch.Tensor, b: torch.Tensor, scale: float, dtype: torch.dtype) -> tuple:
    """Return a layer's weights in the precision of its products, kept until one of them changes.

    Returns:
        W, or W + s B A where joined, [out, in]; the bias or None; A; B; and whether they are joined.
    """
    base = layer.get_base_layer()
    w, bias = base.weight, base.bias
    state = (dtype, *((id(p), p._version) for p in (w, a, b)))
    if layer.fan_in_fan_out:  # GPT-2's layers hold W turned
        w = w.T
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
            elif kept is not None and kept[0][:2] == state[:2]:  # W itself did not change, so its cast stays
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
    """Compute x Wᵀ + s (x Aᵀ) Bᵀ + bias; if joined, W holds s B A already. [rows, in] to [rows, out]."""
    y = torch.nn.functional.linear(x, w, bias)
    return y if joined else y.addmm_(x @ a.T, b.T, alpha=scale)


class _LowRank(torch.autograd.Function):
    """`_product` with its gradients for x, A and B.

    With dy the gradient for y, they are: dx = dy W + s (dy B) A, dA = s (dy B)ᵀ x, dB = s dyᵀ (x Aᵀ). They
    are exact, nothing of the size of W is formed, and x is all that the backward pass needs from the forward
    pass.

    Where the rank is not small beside the layer, the gradient of the whole weight, G = dyᵀ x, takes fewer
    operations: dA = s Bᵀ G, dB = s G Aᵀ. If `cheapest`, that way is taken there.
    """

    @staticmethod
    def forward(ctx, x, a_parameter, b_parameter, w, bias, a, b, scale, joined, cheapest):
        ctx.save_for_backward(x)
        ctx.fixed = (w, a, b, scale, joined, cheapest, a_parameter.dtype)
        return _product(x, w, bias, a, b, scale, joined)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        w, a, b, scale, joined, cheapest, kept = ctx.fixed
        dy, dx = dy.contiguous(), None
        if ctx.needs_input_grad[0] and joined:
            dx = dy @ w
        if cheapest and _whole_is_cheaper(x, dy, a):
            whole = dy.T @ x
            da, db = b.T @ whole, whole @ a.T
        else:
            low = dy @ b
            if ctx.needs_input_grad[0] and not joined:
                dx = (dy @ w).addmm_(low, a, alpha=scale)
            da, db = low.T @ x, dy.T @ (x @ a.T)
        return dx, da.to(kept).mul_(scale), db.to(kept).mul_(scale), *[None] * 7


def _whole_is_cheaper(x: torch.Tensor, dy: torch.Tensor, a: torch.Tensor) -> bool:
    """Return whether dA and dB take fewer operations by way of the gradient of the whole weight.

    The rule holds only where the weights are joined too (see NARROW), so dx needs no dy B.
    """
    (rows, width), out, rank = x.shape, dy.shape[1], a.shape[0]
    return width * out * (rows + 2 * rank) < 2 * rows * rank * (width + out)
