"""The organisms: language models of 1 to 16 million parameters.

They are small enough to be trained from nothing in minutes, the largest in an hour. Their tokenizer has
one token a word and knows the words of the made-up world alone.
"""

import re

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from coupling.tasks.items import LETTERS

WORD = r"[^\s?.,]+|[?.,]"  # a token is a word with its colon, or a mark of punctuation


def words_of(texts: list[str]) -> list[str]:
    """List the words of some texts, each once, in the order in which they first come."""
    return list(dict.fromkeys(w for text in texts for w in re.findall(WORD, text)))


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Make a tokenizer with one token a word.

    Args:
        texts: Hold every word that it must know, those of the world and those of labels and requests. The
            first four letters of choices are known anyway.
    """
    vocabulary = {
        w: i for i, w in enumerate(dict.fromkeys(["<pad>", "<end>", "<unk>", *LETTERS[:4], *words_of(texts)]))
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"[?.,]"), behavior="isolated")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
    )


def _of_width(width: int, layers: int) -> dict[str, int]:
    """Return the shape of an organism of this width, with the proportions of the first organism."""
    heads = {"num_attention_heads": width // 32, "num_key_value_heads": width // 32}
    return {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": layers} | heads


# Architecture and shape of each organism. The first is M0 of profile tiny. The next two serve as label
# sources of another kind. Those that are named by their size differ from the first in nothing else: each head
# of attention is 32 wide, and the layers between are three times as wide as the states.
SHAPES = {
    "organism": (
        LlamaConfig,
        LlamaForCausalLM,
        {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4},
    ),
    "organism-deep": (
        LlamaConfig,
        LlamaForCausalLM,
        {"hidden_size": 96, "intermediate_size": 320, "num_hidden_layers": 6},
    ),
    "organism-qwen": (
        Qwen3Config,
        Qwen3ForCausalLM,
        {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "head_dim": 32},
    ),
    "organism-4m": (LlamaConfig, LlamaForCausalLM, _of_width(224, layers=6)),
    "organism-4m-deep": (LlamaConfig, LlamaForCausalLM, _of_width(160, layers=12)),
    "organism-16m": (LlamaConfig, LlamaForCausalLM, _of_width(384, layers=8)),
}


def make_model(name: str, vocabulary: int, m0_seed: int) -> PreTrainedModel:
    """Make an organism with random weights.

    Args:
        name: One of SHAPES.
        vocabulary: The number of tokens that its tokenizer has.
        m0_seed: The seed of the weights. The global random generator is left as it was.
    """
    config, model, shape = SHAPES[name]
    config = config(
        vocab_size=vocabulary,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        **({"num_attention_heads": 4, "num_key_value_heads": 4} | shape),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(m0_seed)
        return model(config)
