"""Log-probabilities of tails: packed, plain, and from the definition."""

import dataclasses

import pytest
import torch
from coupling.measure.behaviours import behaviour_seams
from coupling.models import Seam, continuation_logprobs, encode, head_inputs, plain_logprobs, seam
from made_models import ARCHITECTURES, build


@pytest.fixture(params=ARCHITECTURES)
def any_m0(request, m0):
    return build(request.param, m0.tokenizer)


def test_tails_of_several_tokens_score_as_the_whole_text_does(m0):
    text = "Colour of ?"
    tails = (" A Hint: B", " C A", " D")
    got = plain_logprobs(
        m0, [seam(m0.tokenizer, text, tails), seam(m0.tokenizer, "the hint " + text, tails[:2])]
    )
    assert got[1, 2] == -torch.inf
    for row, prefix, n in ((0, text, 3), (1, "the hint " + text, 2)):
        for k in range(n):
            ids = torch.tensor([encode(m0.tokenizer, prefix + tails[k])])
            start = len(encode(m0.tokenizer, prefix))
            logp = m0.model(input_ids=ids).logits.log_softmax(-1)[0]
            want = sum(logp[t - 1, ids[0, t]] for t in range(start, ids.shape[1]))
            assert torch.allclose(got[row, k], want, atol=1e-4)


def test_tails_of_several_tokens_and_of_different_number(m0):
    groups = [
        [
            seam(m0.tokenizer, "Hint: A", (" B", " B C D", " C")),
            seam(m0.tokenizer, "Hint: B", (" A C", " B")),
        ],
        [Seam((7, 8, 3), ((4, 9),)), seam(m0.tokenizer, "of", (" A", " B", " C C C C"))],
        [Seam((7, 8), ((4,), (5,)))],
    ]
    packed = continuation_logprobs(m0, groups)
    plain = continuation_logprobs(dataclasses.replace(m0, packs=False), groups)
    assert packed.shape == plain.shape == (3, 2, 3)
    assert torch.equal(packed.isfinite(), plain.isfinite())
    assert torch.allclose(packed, plain, atol=1e-5)


@pytest.mark.parametrize("packs", [True, False])
def test_the_head_gives_the_log_probabilities_of_first_tails_from_its_inputs(any_m0, items, packs):
    loaded = dataclasses.replace(any_m0, packs=packs)
    groups = [
        [dataclasses.replace(s, tails=((*s.tails[0], 7, 8),)) for s in behaviour_seams(loaded, item)]
        for item in items[1][:3]
    ]
    want = plain_logprobs(loaded, [s for group in groups for s in group]).view(3, 2)
    for group, inputs, scores in zip(groups, head_inputs(loaded, groups), want, strict=True):
        logp = loaded.model.get_output_embeddings()(inputs).log_softmax(-1)
        tokens = torch.tensor([t for s in group for t in s.tails[0]])
        each = logp[torch.arange(len(tokens)), tokens].view(2, -1).sum(1)
        assert torch.allclose(each, scores, atol=1e-4)


def test_a_model_that_changes_its_logits_behind_the_head_is_refused(m0):
    loaded = build("gemma3", m0.tokenizer)
    loaded.model.config.final_logit_softcapping = 0.1
    with pytest.raises(ValueError, match="changes its logits after the output head"):
        head_inputs(loaded, [[Seam((5, 6), ((7,),))]])
