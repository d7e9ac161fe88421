import dataclasses

import pytest
import torch
from coupling.bench import pair as pairs
from coupling.training.checkpoints import trainable
from coupling.training.passes import size
from made_case import moved_pair


@pytest.fixture
def pair(m0):
    with moved_pair(m0) as pair:
        yield pair


@pytest.mark.parametrize("paths", pairs.AGAINST.values(), ids=pairs.AGAINST)
def test_a_reference_and_the_engine_add_the_same_gradients(pair, paths):
    found = []
    for path in paths:
        loss = pair.gradients(path, [0, 1, 2, 3, 4])
        found.append((loss, [weight.grad.clone() for _, weight in trainable(pair.tuned.model)]))
        pair.optimizer.zero_grad()
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(a, b, atol=1e-4 * float(a.abs().max()))


def test_the_forward_pass_of_layers_is_switched_only_where_the_path_changes(pair, monkeypatch):
    switched = []
    for name in ("accelerate", "peft_forward"):
        true = getattr(pairs, name)
        monkeypatch.setattr(pairs, name, lambda *a, name=name, true=true: switched.append(name) or true(*a))
    for path in ("engine", "engine without KL", "reference", "ancestor", "reference", "engine"):
        pair.train(path, 0, 2)
    assert switched == ["peft_forward", "accelerate"]


def test_no_training_is_timed_that_does_not_give_the_same_loss(pair, monkeypatch):
    pair.in_precision(torch.bfloat16)
    pairs.check_training(pair, 4)
    assert pair.tuned.dtype == pair.plainly.dtype == torch.bfloat16  # as before the check
    true = pairs.ancestor.loss
    monkeypatch.setattr(pairs.ancestor, "loss", lambda *a: true(*a) * 1.01)
    with pytest.raises(AssertionError, match=r"losses differ in float32: .* \(ancestor\)"):
        pairs.check_training(pair, 4)


def test_no_evaluation_is_timed_that_does_not_give_the_same(pair, monkeypatch):
    pair.in_precision(torch.bfloat16)
    pairs.check_evaluation(pair, 6)
    assert pair.tuned.dtype == pair.plainly.dtype == torch.bfloat16  # as before the check
    true = pairs.evaluate
    monkeypatch.setattr(pairs, "evaluate", lambda *a: (true(*a)[0], ["other"] * 6))
    with pytest.raises(AssertionError, match="texts differ"):
        pairs.check_evaluation(pair, 6)

    def moved(*arguments):
        behaviours, *texts = true(*arguments)
        return dataclasses.replace(behaviours, x=behaviours.x + 1), *texts

    monkeypatch.setattr(pairs, "evaluate", moved)
    with pytest.raises(AssertionError, match="behaviours differ"):
        pairs.check_evaluation(pair, 6)
    monkeypatch.setattr(pairs, "evaluate", true)
    said, texts = pair.evaluate("ancestor", pair.items[:6])
    other = (true(pair.tuned, pair.items[:6], "letter", 6)[0].choice("x") + 1) % 4
    said[0] = other
    monkeypatch.setattr(pairs.ancestor, "evaluate", lambda *_: (said, texts))
    with pytest.raises(AssertionError, match="those that are generated"):
        pairs.check_evaluation(pair, 6)


def test_counted_operations_are_those_of_the_tree_and_of_frozen_weights(pair):
    # Two layers with 4 × 32² + 3 × 32 × 48 weights each; 2 operations a weight and token, both ways.
    head = pair.tuned.model.get_base_model().lm_head.weight.numel()
    tokens = sum(size(seams) for seams in pair.data.seams[:4])
    assert pair.counted(0) == 4 * (tokens * 2 * (4 * 32 * 32 + 3 * 32 * 48) + head * 4 * (2 + 4))


def test_a_step_beyond_the_last_item_goes_on_at_the_first(pair):
    assert pair.chosen(10) == [10, 11, 0, 1]
    assert pair.chosen(0, 2) == [0, 1]
