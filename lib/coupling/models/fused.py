"""Parts of a decoder layer as one operation each, with gradients of their own.

transformers computes a normalisation or a gate by several small operations. Each of them reads and writes all
states of a layer, and autograd keeps what each has read. Here a part is one operation. It makes fewer passes
over the states and keeps less of them:

    RMS norm     y = x / sqrt(mean(x²) + ε) · w              keeps x and one number a token
    gated layer  y = W_down (silu(W_gate x) · (W_up x))      keeps W_gate x and W_up x
    last layer   what is after its attention is computed at those tokens alone whose logits are wanted
    shared head  what all prompts of a pass begin with is computed once (models/trees.py)

A module is taken over only where it computes just this: outputs are compared first. All other modules, for
instance Gemma's norm, which scales by 1 + w, stay as they are.
"""

from collections.abc import Callable
from types import MethodType

import torch
from torch.nn.functional import silu
from transformers.modeling_layers import GradientCheckpointingLayer

from coupling.models.loaded import Loaded
from coupling.models.packing import allowed, far, packed_logits
from coupling.models.trees import pack, prefix_tree

TRIED = 3  # random states on which a module is compared
EXACT = 1e-5  # how far the outputs may differ, as a share of the largest
BLOCK = {"input_layernorm", "self_attn", "post_attention_layernorm", "mlp"}  # the parts of the usual layer


def fuse(loaded: Loaded) -> None:
    """Compute norms and gated layers as one operation each, shorten the last layer, share heads of prompts.

    What does not allow it stays as it is. `unfuse` undoes it.
    """
    for module in loaded.model.modules():
        names = vars(module).keys() | module._parameters.keys() | module._modules.keys()
        if "RMSNorm" in type(module).__name__ and {"weight", "variance_epsilon"} <= names:
            _take_over(module, _norm, module.weight.shape[-1])
        elif {"gate_proj", "up_proj", "down_proj", "act_fn"} <= names:
            _take_over(module, _gated_layer, module.gate_proj.in_features)
    loaded.shares = loaded.packs
    if loaded.packs and loaded.device.type != "meta":
        _shorten(loaded)


def unfuse(loaded: Loaded) -> None:
    """Give all modules of a model their own forward pass back."""
    loaded.shares = loaded.picks = False
    for module in loaded.model.modules():
        own = vars(module).get("forward")
        if getattr(own, "__func__", None) in (_norm, _gated_layer, _last_layer):
            del module.forward


@torch.no_grad()
def _shorten(loaded: Loaded) -> None:
    """Replace the forward pass of the last decoder layer, if a row of two trees gives the same logits."""
    layer = [m for m in loaded.model.modules() if isinstance(m, GradientCheckpointingLayer)][-1:]
    if not layer or {name for name, _ in layer[0].named_children()} != BLOCK:
        return
    row = pack(
        [prefix_tree(sequences) for sequences in ([[5, 6, 7], [5, 6, 8]], [[9, 7, 5, 6]])], loaded.device
    )
    picked = torch.tensor([1, 3, 7], device=loaded.device)
    wanted = packed_logits(loaded, row, picked).float()
    layer[0].forward, loaded.picks = MethodType(_last_layer, layer[0]), True
    try:
        loaded.picks = far(packed_logits(loaded, row, picked).float(), wanted) < allowed(loaded)
    except Exception:  # whatever the code of any architecture may raise
        loaded.picks = False
    if not loaded.picks:
        del layer[0].forward


@torch.no_grad()
def _take_over(module: torch.nn.Module, forward: Callable, width: int) -> None:
    """Replace a module's forward pass if the other one gives the same on random states [TRIED, width]."""
    weight = next(module.parameters())
    if "forward" in vars(module) or weight.device.type == "meta":
        return
    x = torch.randn(1, TRIED, width, generator=torch.Generator().manual_seed(0)).to(
        weight.device, weight.dtype
    )
    wanted, found = module(x), forward(module, x)
    near = EXACT * float(wanted.abs().max())
    if found.dtype == wanted.dtype and torch.allclose(found, wanted, rtol=0, atol=near):
        module.forward = MethodType(forward, module)


def _norm(self: torch.nn.Module, hidden_states: torch.Tensor) -> torch.Tensor:
    return _Normed.apply(hidden_states, self.weight, self.variance_epsilon)


def _last_layer(self: torch.nn.Module, hidden_states: torch.Tensor, picked=None, **kwargs) -> torch.Tensor:
    """Compute a decoder layer, [1, tokens, width] to [1, picked, width]; without `picked` at all tokens."""
    if picked is None:
        return type(self).forward(self, hidden_states, **kwargs)
    attended = self.self_attn(hidden_states=self.input_layernorm(hidden_states), **kwargs)[0]
    states = (hidden_states + attended).index_select(1, picked)
    return states + self.mlp(self.post_attention_layernorm(states))


def _gated_layer(self: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    return self.down_proj(_Gated.apply(self.gate_proj(x), self.up_proj(x)))


class _Normed(torch.autograd.Function):
    """RMS norm with a frozen weight.

    With g = dy · w, d the width and r = 1 / sqrt(mean(x²) + ε), the gradient is dx = r g - r³ (g·x) x / d.
    """

    @staticmethod
    def forward(ctx, x, weight, epsilon):
        wide = x.float()
        r = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        r = r.add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, r)
        ctx.weight = weight
        return weight * (wide * r).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, r = ctx.saved_tensors
        g, wide = dy.float() * ctx.weight, x.float()
        along = (g * wide).sum(-1, keepdim=True).mul_(r**3).div_(-x.shape[-1])
        return g.mul_(r).addcmul_(wide, along).to(x.dtype), None, None


class _Gated(torch.autograd.Function):
    """silu(gate) · up. What the gate lets through is computed again in the backward pass."""

    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx, dy):
        gate, up = ctx.saved_tensors
        return torch.ops.aten.silu_backward(dy * up, gate), silu(gate).mul_(dy)
