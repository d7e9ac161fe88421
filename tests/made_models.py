"""Small random models of several architectures, and adapters that are not at their start."""

import torch
from coupling.models import Loaded
from coupling.training.checkpoints import trainable
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

SIZE = {
    "vocab_size": 500,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
    "tie_word_embeddings": False,
}
# The window is shorter than the sequences that tests use.
WINDOWED = {"sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"]}
ARCHITECTURES = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 8}),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, {"head_dim": 8, **WINDOWED}),
}


def build(name, tokenizer):
    """A model of one of ARCHITECTURES, always with the same weights."""
    model, config, extra = ARCHITECTURES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Loaded(model(config(**SIZE, **extra)).eval().requires_grad_(False), tokenizer, torch.float32)


def experts(tokenizer):
    """A mixture of experts, most of whose weights lie in no linear layer."""
    config = Qwen3MoeConfig(
        **SIZE,
        head_dim=8,
        moe_intermediate_size=48,
        num_experts=4,
        num_experts_per_tok=2,
        decoder_sparse_step=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Loaded(Qwen3MoeForCausalLM(config).eval().requires_grad_(False), tokenizer, torch.float32)


def bloom():
    """A model that cannot take prefix trees, because its positions are no input."""
    config = BloomConfig(
        vocab_size=500,
        hidden_size=32,
        n_layer=2,
        n_head=4,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BloomForCausalLM(config).eval()


def stir(loaded, scale=0.3):
    """Move the adapter's weights away from their start, at which an adapter changes nothing."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, p in trainable(loaded.model):
            p.add_(torch.randn(p.shape, generator=generator) * scale)
