"""Greedy decoding behind a packed pass, against the plain way."""

import pytest
import torch
from coupling.models import (
    Read,
    decoded,
    encode,
    generated,
    pack,
    packed_logits,
    prefix_tree,
)
from coupling.models.decoding import until
from made_models import ARCHITECTURES, build
from transformers import DynamicCache

PROMPTS = [[5, 6, 7, 8, 9], [5, 6, 10], [5, 11, 12, 13, 14, 15], [16, 5]]


@pytest.fixture(params=ARCHITECTURES)
def any_m0(request, m0):
    return build(request.param, m0.tokenizer)


def read(loaded, prompts):
    """A packed pass over prompts: their paths in its cache, the logits behind them, and the cache."""
    trees = [prefix_tree(prompts[:2]), prefix_tree(prompts[2:])]
    row, cache = pack(trees, loaded.device), DynamicCache()
    paths = [
        [start + p for p in path]
        for start, tree in zip(row.starts, trees, strict=True)
        for path in tree.paths
    ]
    with torch.no_grad():
        logits = packed_logits(loaded, row, torch.tensor([path[-1] for path in paths]), cache)
    return paths, logits, cache


def test_generated_is_what_a_loop_without_cache_or_padding_gives(m0, items):
    prompts = [list(encode(m0.tokenizer, i.prompt)) for i in items[1][:6]]
    for prompt, found in zip(prompts, generated(m0, prompts, 6), strict=True):
        ids = list(prompt)
        while len(ids) - len(prompt) < 6:
            ids.append(int(m0.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == m0.tokenizer.eos_token_id:
                ids.pop()
                break
        assert found == ids[len(prompt) :]


def test_decoded_is_what_transformers_generates_behind_each_prompt_alone(any_m0):
    paths, logits, cache = read(any_m0, PROMPTS)
    for limit in (1, 7):
        found = decoded(any_m0, [Read(paths, logits.argmax(1), cache)], limit)
        assert found == [generated(any_m0, [prompt], limit)[0] for prompt in PROMPTS]
    assert len({tuple(f) for f in found}) > 2


def test_what_a_models_own_configuration_asks_of_generation_changes_nothing(any_m0):
    want = [generated(any_m0, [prompt], 7)[0] for prompt in PROMPTS]
    said = [token for text in want for token in text]
    own = any_m0.model.generation_config
    own.update(num_beams=3, no_repeat_ngram_size=1, suppress_tokens=sorted(set(said)), min_new_tokens=7)
    assert [generated(any_m0, [prompt], 7)[0] for prompt in PROMPTS] == want
    assert any_m0.model.generation_config is own


def test_every_end_mark_that_the_model_names_ends_a_reply(any_m0):
    paths, logits, cache = read(any_m0, PROMPTS)
    before = decoded(any_m0, [Read(paths, logits.argmax(1), cache)], 7)
    marks = [before[0][3], before[2][1]]
    any_m0.model.generation_config.eos_token_id = marks
    want = [text[: min([7, *(text.index(m) for m in marks if m in text)])] for text in before]
    assert any_m0.ends == (any_m0.tokenizer.eos_token_id, *marks)
    assert decoded(any_m0, [Read(paths, logits.argmax(1), cache)], 7) == want
    assert generated(any_m0, PROMPTS, 7) == want
    assert want != before


def test_prompts_of_several_passes_are_decoded_together_as_each_alone(any_m0):
    parts = [PROMPTS, [[5, 6], [5, 7, 8], [16]]]
    assert len({max(map(len, part)) for part in parts}) == 2  # so that one pass is padded
    passes = [read(any_m0, part) for part in parts]
    found = decoded(any_m0, [Read(paths, logits.argmax(1), cache) for paths, logits, cache in passes], 7)
    assert found == [generated(any_m0, [prompt], 7)[0] for part in parts for prompt in part]


def test_rows_end_before_their_first_end_mark():
    assert until(torch.tensor([[5, 1, 6, 1], [1, 5, 5, 5], [5, 6, 2, 8], [5, 6, 7, 8]]), (1, 2)) == [
        [5],
        [],
        [5, 6],
        [5, 6, 7, 8],
    ]
