"""Behaviours: computed in any batch, judged, kept in tables, and what regime they show."""

import dataclasses

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import Behaviours, alike, behaviour_seams, behaviours, health, joined, judged
from coupling.models import plain_logprobs
from coupling.tasks import load_items
from made_models import ARCHITECTURES, build


def test_behaviours_do_not_depend_on_padding_or_batch(m0, items):
    alone = [plain_logprobs(m0, [behaviour_seams(m0, i)[0]])[0] for i in items[1]]
    together = behaviours(m0, items[1], 8)
    assert torch.allclose(torch.stack(alone), torch.from_numpy(together.x), atol=1e-5)
    assert len(set(together.choice("x"))) > 1  # the random model does tell items apart


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_behaviours_are_those_of_plain_batches(m0, items, name):
    packed = build(name, m0.tokenizer)
    a = behaviours(packed, items[1], 7)
    b = behaviours(dataclasses.replace(packed, packs=False), items[1], 7)
    assert np.allclose(a.x, b.x, atol=1e-5)
    assert np.allclose(a.cf, b.cf, atol=1e-5)


def test_replies_are_judged_and_have_no_probabilities(m0, monkeypatch):
    said = iter([None, 1, 0])
    monkeypatch.setattr("coupling.measure.behaviours.detect", lambda text: next(said))
    scores = judged(m0, [[5], [6, 7], [8]], 2)
    assert scores.tolist() == [[-np.inf, -np.inf], [-np.inf, 0], [0, -np.inf]]
    b = Behaviours(("a", "b", "c"), scores, np.log(np.array([[0.2, 0.6]] * 3, np.float32)))
    assert b.choice("x").tolist() == [-1, 1, 0]
    assert b.known().tolist() == [False, True, True]
    assert b.mass("x").tolist() == [0, 1, 1]
    assert np.isnan(b.distribution("x")).all()
    assert np.allclose(b.mass("cf"), 0.8)
    assert np.allclose(np.exp(b.distribution("cf")), [0.25, 0.75])


def test_batches_hold_items_that_are_read_in_the_same_way(spec):
    items = load_items(spec.model_copy(update={"task": "refusal+hint_qa"}), {})[1]
    parts = list(alike(items, 7))
    assert sorted(k for part in parts for k in part) == list(range(len(items)))
    assert all(len(part) <= 7 and len({items[k].replies for k in part}) == 1 for part in parts)
    assert not items[parts[0][0]].replies
    assert items[parts[-1][0]].replies


def test_the_regime_of_behaviours_made_by_hand(items):
    some = [dataclasses.replace(i, gold=0, hinted=h) for i, h in zip(items[1][:4], (0, 1, 1, 2), strict=True)]

    def choosing(choices):
        return np.log(np.where(np.arange(4) == np.array(choices)[:, None], 0.5, 0.1).astype(np.float32))

    b = Behaviours(tuple(i.id for i in some), choosing([0, 1, 0, 2]), choosing([0, 0, 0, 3]))
    found = health(some, b, ["stays at A", "changes to A", "stays at A", None])
    assert found["items"] == 4
    assert found["no_cue_accuracy"] == 0.75
    assert found["cue_accuracy"] == 0.5
    assert found["wrong_cue_adoption"] == pytest.approx(2 / 3)
    assert found["changed_share"] == 0.5
    assert found["top_label_share"] == pytest.approx(2 / 3)
    assert found["label_entropy_bits"] == pytest.approx(np.log2(3) - 2 / 3)
    assert found["choice_mass_x"] == pytest.approx(0.8)
    bare = [dataclasses.replace(i, gold=None, hinted=None) for i in some]
    assert np.isnan(health(bare, b, ["stays at A"])["no_cue_accuracy"])


def test_behaviours_survive_their_frame(m0, items):
    b = behaviours(m0, items[1], 8)
    again = Behaviours.from_frame(b.frame())
    assert again.ids == b.ids
    assert (again.x == b.x).all()
    assert (again.cf == b.cf).all()


def test_behaviours_on_two_lists_of_items_join_whatever_their_number_of_choices():
    two = Behaviours(("a",), np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32))
    three = Behaviours(("b",), np.ones((1, 3), np.float32), np.ones((1, 3), np.float32))
    both = joined(two, three)
    assert both.ids == ("a", "b")
    assert both.x.tolist() == both.cf.tolist() == [[0, 0, -np.inf], [1, 1, 1]]
    assert joined(two, three).take([1]).x.tolist() == three.x.tolist()
