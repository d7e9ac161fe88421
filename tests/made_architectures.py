"""Random models of two layers, of many architectures of transformers, made in code."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SMALL = {
    "vocab_size": 500,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
    "tie_word_embeddings": False,
}
NO_GROUPS = {"num_key_value_heads": 4}
HEAD = {"head_dim": 8}
# The window is shorter than the texts of tests.
WINDOW = {"sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"]}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LOCAL = {"num_local_experts": 4, "num_experts_per_tok": 2}
# What each architecture is told besides, by its name in transformers.
ARCHITECTURES = {
    "apertus": {},
    "arcee": {},
    "biogpt": {},
    "bloom": {},
    "codegen": {"rotary_dim": 8, "n_embd": 32, "n_head": 4, "n_layer": 2, "n_ctx": 128},
    "cohere": {},
    "cohere2": WINDOW,
    "ernie4_5": HEAD,
    "exaone4": WINDOW,
    "falcon": {"new_decoder_architecture": False, "multi_query": True, "bias": True},
    "gemma": HEAD,
    "gemma2": HEAD | WINDOW | {"query_pre_attn_scalar": 8},
    "gemma3_text": HEAD | WINDOW,
    "glm": HEAD,
    "glm4": HEAD,
    "gpt2": {},
    "gpt_bigcode": {},
    "gpt_neo": {
        "attention_types": [[["global", "local"], 1]],
        "window_size": 3,
        "num_layers": 2,
        "num_heads": 4,
    },
    "gpt_neox": NO_GROUPS,
    "gpt_oss": HEAD | WINDOW | LOCAL,
    "gptj": {"rotary_dim": 8},
    "granite": {},
    "granitemoe": LOCAL,
    "helium": HEAD,
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    "llama": {},
    "mamba": {"state_size": 4, "time_step_rank": 4},
    "mamba2": {"state_size": 4, "num_heads": 8, "head_dim": 8, "expand": 2, "n_groups": 1, "chunk_size": 8},
    "mistral": {"sliding_window": 3},
    "mixtral": LOCAL,
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "expansion_ratio": 2},
    "nemotron": {},
    "olmo": {},
    "olmo2": {},
    "olmoe": EXPERTS,
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "persimmon": {},
    "phi": {},
    "phi3": {"sliding_window": 3},
    "qwen2": {},
    "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 24},
    "qwen3": HEAD,
    "qwen3_moe": HEAD | EXPERTS,
    "recurrent_gemma": HEAD
    | {"lru_width": 32, "attention_window_size": 8, "block_types": ["recurrent", "attention"]},
    "rwkv": {"attention_hidden_size": 32},
    "seed_oss": HEAD,
    "smollm3": {},
    "stablelm": {},
    "starcoder2": {"sliding_window": 3},
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4},
}
FEW = ("llama", "gemma2", "gpt2", "lfm2", "qwen3_moe", "stablelm")


def save(name, tokenizer, folder):
    """Save a model of one of ARCHITECTURES as a user's folder, always with the same weights."""
    config = AutoConfig.for_model(name, **(SMALL | ARCHITECTURES[name]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for p in model.parameters():  # some architectures start biases and norms at 0 or 1
            if p.dim() == 1:
                p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
