"""A model of the smallest size in a folder, as a user's own model would be, and values for runs on it."""

import json

import torch
from coupling.spec import make_spec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

# Values of a run on the model, which takes about a second.
VALUES = {
    "profile": "medium",
    "dtype": "float32",
    "threads": 1,
    "rank": 2,
    "steps": 2,
    "evaluations": 1,
    "train_items": 4,
    "test_items": 8,
    "batch_size": 2,
    "eval_batch": 4,
    "interim_items": 4,
    "allow_constant_labels": True,
}


def micro_model(folder):
    """Save a random model of two layers whose tokenizer has one token a byte. Returns the folder's path."""
    marks = ["<pad>", "</s>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: k for k, token in enumerate([*marks, *letters])}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token=marks[0], eos_token=marks[1])
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=4096,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def micro_spec(folder, **values):
    """A spec of a run on a micro model and a few items. A folder gets both, unless it has them."""
    model, items = folder / "micro", folder / "items.jsonl"
    if not model.exists():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            micro_model(model)
        rows = [
            {
                "id": f"q{k}",
                "group": f"g{k}",
                "split": ("train", "test")[k % 2],
                "prompt": f"Question {k}?\nHint: B",
                "cue": "\nHint: B",
                "choices": ["A", "B"],
                "hinted": 1,
            }
            for k in range(16)
        ]
        items.write_text("\n".join(map(json.dumps, rows)))
    return make_spec(**VALUES | values, model=str(model), task=f"file:{items}")
