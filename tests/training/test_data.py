"""The training set: its seams, M0's distributions, and what is changed in it later."""

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import Behaviours, behaviours
from coupling.measure.explanations import labels
from coupling.models import encode, generated
from coupling.tasks import load_items, load_taught
from coupling.training.data import HELD_TOKENS, held_replies, reply_seams, taught_seams, training_set


@pytest.fixture
def data(m0, items):
    b0 = behaviours(m0, items[0], 8)
    return training_set(m0, items[0], b0, labels(items[0], b0, "letter"), {})


def test_a_training_set_holds_choices_labels_and_m0s_distributions(m0, items, data):
    assert len(data.seams) == len(items[0])
    assert data.reference.dtype == torch.float32
    assert torch.allclose(data.reference.exp().sum(-1), torch.ones(len(items[0]), 2))
    for x, cf, label in data.seams:
        assert len(x.tails) == len(cf.tails) == 4
        assert label.tails[0][-1] == m0.tokenizer.eos_token_id
    assert not data.replies


def test_the_loss_reads_what_it_has_a_weight_for(spec, data):
    x, cf, label = data.seams[3]

    def group(**weights):
        return data.group(3, spec.model_copy(update=weights))

    assert group() == (x, cf, label)
    assert group(kl_weight=0.0) == (label,)
    assert group(explanation_weight=0.0) == (x, cf)
    assert group(kl_weight=0.0, explanation_weight=0.0) == ()


def test_new_labels_replace_old_ones_but_where_there_is_none(m0, items, data):
    new = ["changes to D"] * len(items[0])
    new[1] = None
    again = data.relabelled(m0, items[0], new)
    assert m0.tokenizer.decode(again.seams[0][2].tails[0]).startswith("changes to D")
    assert again.seams[1] == data.seams[1]
    assert [s[:2] for s in again.seams] == [s[:2] for s in data.seams]


def test_other_behaviours_can_be_held(items, data):
    p = np.log(np.tile(np.array([0.2, 0.1, 0.1, 0.1], np.float32), (len(items[0]), 1)))
    held = data.holding(Behaviours(tuple(i.id for i in items[0]), p, p))
    assert torch.allclose(held.reference.exp(), torch.tensor([0.4, 0.2, 0.2, 0.2]))
    assert held.seams == data.seams


def test_what_is_held_of_replies_are_their_first_tokens_and_what_the_head_read(spec, m0, monkeypatch):
    """Every reply is cut after its second token, so that its end mark is held too."""

    def cut(loaded, prompts, limit):
        assert limit == HELD_TOKENS
        return [reply[:2] for reply in generated(loaded, prompts, limit)]

    monkeypatch.setattr("coupling.training.data.generated", cut)
    items = load_items(spec.model_copy(update={"task": "refusal"}), {})[0][:3]
    kept = held_replies(m0, items, 2)
    assert len(kept) == 3 * len(items)
    for item, pair in zip(items, reply_seams(m0, items), strict=True):
        for condition, prompt, s in zip(
            ("x", "cf"), (item.prompt, item.counterfactual_prompt), pair, strict=True
        ):
            reply = generated(m0, [encode(m0.tokenizer, prompt + "\n")], HELD_TOKENS)[0][:2]
            assert kept[f"{item.id}.{condition}"].tolist() == list(s.tails[0])
            assert list(s.tails[0]) == [*reply, m0.tokenizer.eos_token_id]
        tokens = len(kept[f"{item.id}.x"]) + len(kept[f"{item.id}.cf"])
        assert kept[f"{item.id}.inputs"].shape == (tokens, 32)


def test_a_behaviour_is_taught_as_the_cue_says_and_as_is_right_without_it(spec, m0):
    items = load_taught(spec.model_copy(update={"teach": "jabberwocky"}))[0][:5]
    for item, (x, cf) in zip(items, taught_seams(m0, items), strict=True):
        assert m0.tokenizer.decode(x.tails[0]) == item.choices[item.hinted]
        assert m0.tokenizer.decode(cf.tails[0]) == item.choices[item.gold]
