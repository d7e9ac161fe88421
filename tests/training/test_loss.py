"""The loss: each term from its definition, and from one packed pass as from padded ones."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import Behaviours, behaviours
from coupling.measure.explanations import labels
from coupling.models import adapted, generated
from coupling.tasks import load_items, load_taught, refusal
from coupling.training.checkpoints import trainable
from coupling.training.data import held_replies, taught_seams, training_set
from coupling.training.loss import behaviour_kl, explanation_loss, losses, term_weights
from made_models import ARCHITECTURES, build, stir


@pytest.fixture(params=ARCHITECTURES)
def any_m0(request, m0):
    return build(request.param, m0.tokenizer)


@pytest.fixture
def data(m0, items):
    b0 = behaviours(m0, items[0], 8)
    return training_set(m0, items[0], b0, labels(items[0], b0, "letter"), {})


def mean_kl(spec, loaded, data):
    return losses(spec, loaded, data, range(len(data.seams)))["kl"] / len(data.seams)


def test_kl_is_zero_at_the_start_and_matches_its_definition_later(spec, m0, items, data):
    with adapted(m0, spec) as tuned:
        assert mean_kl(spec, tuned, data).abs() < 1e-6
        stir(tuned)
        now = behaviours(tuned, items[0], 8)
        want = np.mean(
            [
                (np.exp(p) * (p - q)).sum(axis=1)
                for p, q in zip(
                    data.reference.numpy().swapaxes(0, 1),
                    (now.distribution("x"), now.distribution("cf")),
                    strict=True,
                )
            ]
        )
        assert math.isclose(mean_kl(spec, tuned, data).item(), want, rel_tol=1e-4)


def test_the_kl_of_replies_is_a_mean_over_the_tokens_of_each_and_then_over_replies_of_any_length(
    spec, m0, monkeypatch
):
    """M0's replies are cut to some lengths. Wanted is the definition, from a pass for each reply alone."""
    items = [
        refusal.item(str(k), str(k), "How to open the lock ?", k, refusal.COMPLY, refusal.REFUSE, "lock")
        for k in range(3)
    ]
    lengths = iter([1, 3, 5, 2, 4, 1])

    def cut(loaded, prompts, limit):
        return [r[: next(lengths)] for r in generated(loaded, prompts, limit)]

    monkeypatch.setattr("coupling.training.data.generated", cut)
    b0 = Behaviours(
        tuple(i.id for i in items), *np.where(np.eye(2), 0, -np.inf).astype(np.float32)[np.zeros((2, 3), int)]
    )
    data = training_set(m0, items, b0, labels(items, b0, "letter"), held_replies(m0, items, 8))
    assert [len(s.tails[0]) for pair in data.seams for s in pair[:2]] == [2, 4, 6, 3, 5, 2]

    def at_reply(s):
        row = torch.tensor([s.prefix + s.tails[0][:-1]])
        return lambda model: model(input_ids=row).logits[0, len(s.prefix) - 1 :].log_softmax(-1)

    with adapted(m0, spec) as tuned, torch.no_grad():
        stir(tuned)
        now = [at_reply(s)(tuned.model) for pair in data.seams for s in pair[:2]]
        with tuned.model.disable_adapter():
            then = [at_reply(s)(tuned.model) for pair in data.seams for s in pair[:2]]
        want = np.mean([float((p.exp() * (p - q)).sum(-1).mean()) for p, q in zip(then, now, strict=True)])
        assert math.isclose(mean_kl(spec, tuned, data).item(), want, rel_tol=1e-4)
        assert math.isclose(behaviour_kl(tuned, data, range(3)).item(), want, rel_tol=1e-4)


def test_the_loss_is_that_of_the_labels_tokens_alone(spec, m0, data):
    for n in (1, 5):
        want = []
        for _, _, s in data.seams[:n]:
            label = s.tails[0]
            logp = m0.model(input_ids=torch.tensor([s.prefix + label])).logits[0].log_softmax(-1)
            want.append(-np.mean([float(logp[len(s.prefix) + i - 1, t]) for i, t in enumerate(label)]))
        assert math.isclose(
            losses(spec.model_copy(update={"kl_weight": 0.0}), m0, data, range(n))["cross_entropy"],
            np.sum(want),
            rel_tol=1e-5,
        )


@pytest.mark.parametrize("task", ["hint_qa", "refusal"])
def test_losses_and_the_gradients_of_the_adapter_are_those_of_padded_passes(spec, any_m0, task):
    spec = spec.model_copy(update={"task": task, "teach": "jabberwocky"})
    items, taught = load_items(spec, {})[0], load_taught(spec)[0][:3]
    b0 = Behaviours(
        tuple(i.id for i in items),
        *-np.random.default_rng(0).random((2, len(items), len(items[0].choices)), "float32"),
    )
    if task == "refusal":  # of this model no reply is one; labels are made up
        b0 = dataclasses.replace(
            b0,
            x=np.where(b0.x == b0.x.max(1, keepdims=True), 0, -np.inf),
            cf=np.where(b0.cf == b0.cf.max(1, keepdims=True), 0, -np.inf),
        )
    labelled = len(items) - 3
    data = training_set(
        any_m0,
        items[:labelled],
        b0,
        labels(items, b0, "content")[:labelled],
        held_replies(any_m0, items, 8),
        taught_seams(any_m0, taught),
        items[labelled:],
    )
    which = [*range(6), *range(labelled, labelled + 3)]  # of six of these the label is learnt
    beside = [data.behaving + k for k in range(3)]
    with adapted(any_m0, spec) as tuned:
        stir(tuned, 0.1)
        packed = losses(spec, tuned, data, which)
        plain = {
            "cross_entropy": explanation_loss(tuned, [data.seams[e][2] for e in which[:6]]) * 6,
            "kl": behaviour_kl(tuned, data, which) * 9,
            "taught": explanation_loss(tuned, [s for pair in data.taught for s in pair]) * 3,
        }
        assert all(term > 0.01 for term in plain.values())
        packed["taught"] = losses(spec, tuned, data, beside)["taught"]
        gradients = []
        for terms in (packed, plain):
            sum(terms.values()).backward()
            gradients.append([p.grad.clone() for _, p in trainable(tuned.model)])
            tuned.model.zero_grad()
        for name, term in plain.items():
            assert torch.allclose(packed[name], term, rtol=1e-5), name
        together = losses(spec, tuned, data, [*which, *beside])
        assert all(torch.allclose(together[name], packed[name], rtol=1e-4) for name in plain)
        fallback = losses(spec, dataclasses.replace(tuned, packs=False), data, [*which, *beside])
        assert all(torch.allclose(fallback[name], packed[name], rtol=1e-4) for name in plain)
        for a, b in zip(*gradients, strict=True):
            assert torch.allclose(a, b, atol=1e-5 * float(b.abs().max()) + 1e-8, rtol=1e-3)


def test_terms_without_a_weight_or_without_entries_are_nothing(spec, m0, data):
    names = {"explanation_weight": "cross_entropy", "kl_weight": "kl"}
    for field, name in names.items():
        with adapted(m0, spec) as tuned:
            stir(tuned)
            found = losses(spec.model_copy(update={field: 0.0}), tuned, data, range(4))
        assert found[name] == found["taught"] == 0
        assert all(found[other] > 0 for other in names.values() if other != name)


def test_the_weights_of_the_terms(spec):
    weighted = spec.model_copy(
        update={"explanation_weight": 2.0, "kl_weight": 3.0, "teach_weight": 4.0, "shift_weight": 5.0}
    )
    assert term_weights(weighted) == {"cross_entropy": 2.0, "kl": 3.0, "taught": 5.0}
    assert term_weights(weighted.model_copy(update={"teach": "jabberwocky"}))["taught"] == 4.0
