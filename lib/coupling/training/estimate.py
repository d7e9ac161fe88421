"""What a run would hold in a GPU's memory, reckoned from the model's shapes alone.

`passes.tokens_in_memory` measures a model that is there. This module makes the same reckoning before there is
a machine for it: weights, adapter, and what each token keeps for the backward pass, counted on torch's meta
device, whose tensors have shapes and no values. So nothing is loaded and nothing computed.
"""

from functools import partial
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from coupling.models import Loaded, ModelError, adapted, locate
from coupling.models.memory import PROCESS_BYTES, SLACK, checkpoint_layers, kept_bytes, weight_bytes
from coupling.spec import Spec
from coupling.spec.inputs import adapter_base

# Lengths in tokens of the two passes that are compared. On the meta device attention keeps something for each
# pair of tokens, which a GPU's kernel does not; with so few tokens that weighs little.
SHORT, LONG = 16, 32


def needed(spec: Spec) -> dict[str, float]:
    """Estimate the memory of a training run.

    Args:
        spec: Names model, precision, rank and the memory ceiling `memory_gb`.

    Returns:
        parameters: The number of the model's weights.
        weights_gb: Their memory in the spec's precision, in 10^9 bytes.
        adapter_gb: The adapter's, float32, with gradients and AdamW's two moments, in 10^9 bytes.
        mb_a_token, mb_a_token_checkpointed: What each token keeps for the backward pass, in 10^6 bytes,
            without and with activation checkpointing.
        tokens_a_pass, tokens_a_pass_checkpointed: How many tokens one pass may then hold under the ceiling. A
            step that has more of them is added up from several passes.

    Raises:
        ModelError: If the model's config cannot be read.
    """
    config, dtype = _config(spec), getattr(torch, spec.dtype)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).requires_grad_(False)
        weights = weight_bytes(model)
        with adapted(Loaded(model, None, dtype), spec) as tuned:
            adapter = weight_bytes(tuned.model) - weights
            plain = _bytes_a_token(tuned.model)
            checkpoint_layers(tuned.model)
            layers = tuned.model.config.num_hidden_layers
            saving = _bytes_a_token(tuned.model) + plain / layers
    room = spec.memory_gb * 1e9 - PROCESS_BYTES - weights - adapter
    out = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights_gb": weights / 1e9,
        "adapter_gb": adapter / 1e9,
    }
    for name, each in (("", plain), ("_checkpointed", saving)):
        out |= {f"mb_a_token{name}": each / 1e6, f"tokens_a_pass{name}": max(0, int(room / (each * SLACK)))}
    return out


def _config(spec: Spec) -> PretrainedConfig:
    """Read the config of the spec's model from its folder or from the hub."""
    source = adapter_base(Path(spec.model)) or locate(spec)
    try:
        return AutoConfig.from_pretrained(source, revision=spec.revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot read the config of {source}: {str(error).splitlines()[0]}; "
            "give a local folder with it as model"
        ) from None


def _bytes_a_token(model: torch.nn.Module) -> float:
    """Count the bytes that each token keeps for the backward pass.

    The output head adds nothing here: in training it reads a few tokens alone.
    """

    def forward(n: int) -> torch.Tensor:
        # The mask is made here, since transformers would read values to make one, and meta tensors have none.
        mask = torch.zeros(1, 1, n, n, dtype=model.dtype)
        return model(
            input_ids=torch.zeros(1, n, dtype=torch.int64),
            attention_mask=mask,
            logits_to_keep=1,
            use_cache=False,
        ).logits

    few, more = (kept_bytes(partial(forward, n), model) for n in (SHORT, LONG))
    return (more - few) / (LONG - SHORT)
