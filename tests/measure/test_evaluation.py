"""Behaviours and explanations of one pass, against plain batches."""

import dataclasses

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import behaviour_texts, behaviours
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import forced_choice, generate, request
from coupling.measure.wording import possible_labels
from coupling.models import Loaded, adapted, completion, continuation_logprobs
from coupling.tasks import load_items
from coupling.training.checkpoints import trainable
from coupling.training.data import training_set
from coupling.training.lessons import answer_seam
from coupling.training.loss import losses
from made_models import ARCHITECTURES, bloom, build


@pytest.fixture(params=[(name, shares) for name in ARCHITECTURES for shares in (False, True)], ids=str)
def any_m0(request, m0):
    """With shared passes, the likeliest labels come from the pass that gives behaviours and texts."""
    name, shares = request.param
    return dataclasses.replace(build(name, m0.tokenizer), shares=shares)


def test_replies_of_one_pass_are_those_of_plain_batches(spec, any_m0, monkeypatch):
    """To the detector the random model's replies are no choices, so one that reads their length stands in."""
    monkeypatch.setattr(
        "coupling.measure.behaviours.detect", lambda text: {0: None, 1: 0, 2: 1}[len(text) % 3]
    )
    items = load_items(spec.model_copy(update={"task": "refusal+hint_qa"}), {})[1]
    now, said, chosen = evaluate(any_m0, items, "letter", 7, forced=True)
    plain = dataclasses.replace(any_m0, packs=False)
    want, texts, forced = evaluate(plain, items, "letter", 5, forced=True)
    assert said == texts
    assert chosen == forced
    assert len(set(chosen)) > 2
    for a, b in ((now.x, want.x), (now.cf, want.cf)):
        assert (np.isfinite(a) == np.isfinite(b)).all()
        assert np.allclose(a[np.isfinite(a)], b[np.isfinite(b)], atol=1e-5)
    assert {-1, 0, 1} <= set(now.choice("x")[:24])
    assert (now.choice("x")[:24] == now.x[:24].argmax(1))[now.choice("x")[:24] >= 0].all()
    assert np.isnan(now.distribution("x")[:24]).all()
    assert np.isfinite(now.distribution("x")[24:]).all()


@pytest.mark.parametrize("label_format", ["letter", "content"])
def test_behaviours_and_texts_of_one_pass_are_those_of_plain_batches(any_m0, items, label_format):
    plain = dataclasses.replace(any_m0, packs=False)
    now, said, chosen = evaluate(any_m0, items[1], label_format, 7, forced=True)
    want = behaviours(plain, items[1], 7)
    assert np.allclose(now.x, want.x, atol=1e-5)
    assert np.allclose(now.cf, want.cf, atol=1e-5)
    assert said == generate(plain, items[1], label_format, 24)
    assert chosen == forced_choice(plain, items[1], label_format, 24)
    for together in (8, 15, 100):  # a pass of 7 alone, two of them, all of them
        again, texts, labels = evaluate(any_m0, items[1], label_format, 7, True, together)
        assert (texts, labels) == (said, chosen)
        assert np.array_equal(again.x, now.x)
    assert len(set(said)) > 4  # long and different texts, or this would show little


def test_explanations_stop_at_the_end_mark_each_by_itself(spec, m0, items):
    """After training on labels of different lengths, texts end where the plain ones do."""
    b0 = behaviours(m0, items[0], 8)
    texts = ["stays at A" if i % 2 else "changes to B C D" for i in range(len(items[0]))]
    data = training_set(m0, items[0], b0, texts, {})
    with adapted(m0, spec) as tuned:
        optimizer = torch.optim.AdamW([p for _, p in trainable(tuned.model)], lr=0.03)
        for _ in range(30):
            losses(spec.model_copy(update={"kl_weight": 0.0}), tuned, data, range(len(data.seams)))[
                "cross_entropy"
            ].backward()
            optimizer.step()
            optimizer.zero_grad()
        _, said, _ = evaluate(tuned, items[0], "letter", 8)
        assert said == generate(tuned, items[0], "letter", 8)
        assert len({len(t.split()) for t in said}) > 1


def test_a_model_that_cannot_take_trees_is_evaluated_in_plain_batches(m0, items):
    loaded = Loaded(bloom(), m0.tokenizer, torch.float32, packs=False)
    now, said, chosen = evaluate(loaded, items[1], "letter", 8)
    assert np.isfinite(now.x).all()
    assert len(said) == len(items[1])
    assert not chosen


def beginning(item, k):
    """An item whose first choice begins its second one, in letters and in contents."""
    return dataclasses.replace(
        item,
        id=f"{item.id}-{k}",
        choices=("A", "A B", "C"),
        contents=("red", "red red", "blue"),
        gold=None,
        hinted=None,
    )


@torch.no_grad()
def alone(loaded, text, continuation):
    """The log-probability of a continuation with the end mark behind it, from one pass over it alone."""
    prefix, tail = completion(loaded.tokenizer, text, continuation)
    logits = loaded.model(input_ids=torch.tensor([[*prefix, *tail]])).logits[0, len(prefix) - 1 : -1]
    return float(logits.log_softmax(-1)[range(len(tail)), list(tail)].sum())


@pytest.mark.parametrize("packs", [True, False])
def test_a_choice_that_begins_another_is_scored_with_its_end(any_m0, items, packs):
    loaded = dataclasses.replace(any_m0, packs=packs)
    some = [beginning(item, k) for k, item in enumerate(items[1])]
    now, _, chosen = evaluate(loaded, some, "content", 7, forced=True)
    for k, item in enumerate(some):
        text = behaviour_texts(loaded, item)[0]
        want = [alone(loaded, text, f" {choice}") for choice in item.choices]
        assert np.allclose(now.x[k], want, atol=1e-4)
        labels = possible_labels(item, "content")
        asked = [alone(loaded, request(loaded, item), f" {label}") for label in labels]
        assert asked[labels.index(chosen[k])] > max(asked) - 1e-4
    assert (now.mass("x") <= 1).all()


def test_a_model_that_says_the_longer_choice_chooses_it(spec, m0, items):
    some = [beginning(item, k) for k, item in enumerate(items[1][:8])]
    with adapted(m0, spec) as tuned:
        optimizer = torch.optim.AdamW([p for _, p in trainable(tuned.model)], lr=0.03)
        for _ in range(30):
            seams = [(answer_seam(tuned, behaviour_texts(tuned, i)[0], " A B"),) for i in some]
            (-continuation_logprobs(tuned, seams).mean()).backward()
            optimizer.step()
            optimizer.zero_grad()
        now, _, _ = evaluate(tuned, some, "letter", 8)
    assert (now.choice("x") == 1).all()
    assert (now.mass("x") > 0.5).all()


@pytest.mark.parametrize("label_format", ["letter", "content"])
def test_items_of_fewer_choices_share_a_pass_with_others(any_m0, items, label_format):
    """The labels of some items then fill fewer columns, and no label of a choice that is none is chosen."""
    some = [
        dataclasses.replace(
            item,
            id=f"{item.id}-{k}",
            choices=item.choices[:n],
            contents=item.contents[:n],
            gold=None,
            hinted=None,
        )
        for k, item in enumerate(items[1])
        for n in [2 + k % (len(item.choices) - 1)]
    ]
    assert len({len(item.choices) for item in some}) > 1
    plain = dataclasses.replace(any_m0, packs=False)
    now, said, chosen = evaluate(any_m0, some, label_format, 8, forced=True)
    want, texts, likeliest = evaluate(plain, some, label_format, 8, forced=True)
    assert np.allclose(now.x, want.x, atol=1e-5)
    assert np.allclose(now.cf, want.cf, atol=1e-5)
    assert (said, chosen) == (texts, likeliest)


def test_what_is_kept_for_one_evaluation_does_not_change_the_next(any_m0, items):
    """Trees are kept by their tokens; with labels and without them they are different trees."""
    plain = dataclasses.replace(any_m0, packs=False)
    for label_format in ("letter", "content", "letter"):
        for forced in (True, False, True):
            found = evaluate(any_m0, items[1][:8], label_format, 8, forced=forced)
            want = evaluate(plain, items[1][:8], label_format, 8, forced=forced)
            assert found[1:] == want[1:]
            assert np.allclose(found[0].x, want[0].x, atol=1e-5)
