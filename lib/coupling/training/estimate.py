"""What a run would hold on a GPU, from the model's shapes alone: nothing is loaded and nothing computed.

It is the reckoning of `training.tokens_in_memory`, done before there is a machine: weights, adapter and what a token keeps for the
backward pass, counted on torch's meta device.
"""

from functools import partial

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from coupling.models import Loaded, ModelError, adapted, locate
from coupling.models.memory import PROCESS_BYTES, SLACK, checkpoint_layers, kept_bytes, weight_bytes
from coupling.spec import Spec

SHORT, LONG = (
    16,
    32,
)  # tokens: so few that what attention keeps for pairs of them, which a GPU's kernel does not, weighs little


def needed(spec: Spec) -> dict[str, float]:
    """Memory of a run in 10^9 bytes: weights (in the spec's dtype), adapter (float32: weights, gradients and AdamW's moments); MB a token in
    training, as it is and with activation checkpointing; and how many tokens one pass may then have under `memory_gb` (a step of more is added up from
    several passes).

    Raises ModelError where the model's config cannot be read.
    """
    source = locate(spec)
    try:
        config = AutoConfig.from_pretrained(source, revision=spec.revision)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot read the config of {source}: {str(error).splitlines()[0]}; give a local folder with it as model"
        ) from None
    dtype = getattr(torch, spec.dtype)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).requires_grad_(False)
        weights = weight_bytes(model)
        with adapted(Loaded(model, None, dtype), spec) as tuned:
            adapter = weight_bytes(tuned.model) - weights
            plain = _by_token(tuned.model)
            checkpoint_layers(tuned.model)
            layers = tuned.model.config.num_hidden_layers
            saving = _by_token(tuned.model) + plain / layers
    room = spec.memory_gb * 1e9 - PROCESS_BYTES - weights - adapter
    out = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights_gb": weights / 1e9,
        "adapter_gb": adapter / 1e9,
    }
    for name, each in (("", plain), ("_checkpointed", saving)):
        out |= {f"mb_a_token{name}": each / 1e6, f"tokens_a_pass{name}": max(0, int(room / (each * SLACK)))}
    return out


def _by_token(model: torch.nn.Module) -> float:
    """Bytes that a token keeps for the backward pass; of the output head nothing, which reads a few tokens alone."""

    def forward(n: int) -> torch.Tensor:
        mask = torch.zeros(
            1, 1, n, n, dtype=model.dtype
        )  # made here, since transformers reads values to make its own
        return model(
            input_ids=torch.zeros(1, n, dtype=torch.int64),
            attention_mask=mask,
            logits_to_keep=1,
            use_cache=False,
        ).logits

    few, more = (kept_bytes(partial(forward, n), model) for n in (SHORT, LONG))
    return (more - few) / (LONG - SHORT)
