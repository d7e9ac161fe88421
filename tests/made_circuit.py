"""A model of two layers whose circuit is known, because its weights are written by hand.

Its answer is the letter of the hint. The first layer's MLP marks a token as an A or a B. The second layer's
attention reads the marks of all tokens alike, so that the options, an A and a B, cancel out. The output head
reads what the attention wrote at the last token. Nothing else computes anything.
"""

import torch
from coupling.measure.wording import WORDINGS
from coupling.models import Loaded
from coupling.models.organism import make_tokenizer
from coupling.models.sites import Site
from coupling.tasks import OPENING, Item
from transformers import LlamaConfig, LlamaForCausalLM

LETTER, MARK, READ, CONSTANT = 0, 1, 2, 7  # dimensions of the residual stream
# The sites that decide what the model does, and the group of tokens at each.
CIRCUIT = {
    (Site(0, "mlp"), "cue"),
    (Site(0, "residual"), "cue"),
    (Site(1, "attention"), "last"),
    (Site(1, "residual"), "last"),
}


def hinted(letter, name="item"):
    """An item whose hint proposes A or B."""
    body, cue = "Food of Vetus?\nA honey\nB rice", f"\nHint: {letter}"
    return Item(
        id=f"{name}-{letter}",
        task="file",
        group=name,
        prompt=body + cue,
        counterfactual_prompt=body,
        choices=("A", "B"),
        contents=("honey", "rice"),
        cue=cue,
    )


def follower():
    """The model that follows every hint."""
    item = hinted("A")
    tokenizer = make_tokenizer([*WORDINGS, OPENING, item.prompt, item.request])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=1,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        weight.fill_(1.0 if "norm" in name else 0.0)
    first, second = model.model.layers
    embeddings = model.model.embed_tokens.weight
    embeddings[:, CONSTANT] = 1.0
    for letter, sign in (("A", 1.0), ("B", -1.0)):
        token = tokenizer.convert_tokens_to_ids(letter)
        embeddings[token, LETTER] = sign
        model.lm_head.weight[token, READ] = 20 * sign
    first.mlp.gate_proj.weight[0, CONSTANT] = 3.0
    first.mlp.up_proj.weight[0, LETTER] = 1.0
    first.mlp.down_proj.weight[MARK, 0] = 1.0
    second.self_attn.v_proj.weight[0, MARK] = 1.0
    second.self_attn.o_proj.weight[READ, 0] = 1.0
    return Loaded(model, tokenizer, torch.float32)
