"""The training loop: what moves, in what order, and how it resumes and ends."""

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import behaviours
from coupling.measure.explanations import labels
from coupling.models import adapted
from coupling.tasks import load_taught
from coupling.training.checkpoints import trainable
from coupling.training.data import taught_seams, training_set
from coupling.training.loop import Diverged, add_gradients, entries_of, item_order, train
from made_models import stir


@pytest.fixture
def data(m0, items):
    b0 = behaviours(m0, items[0], 8)
    return training_set(m0, items[0], b0, labels(items[0], b0, "letter"), {})


def test_only_adapter_weights_move(spec, m0, data, tmp_path):
    frozen = {n: p.clone() for n, p in m0.model.named_parameters()}
    with adapted(m0, spec) as tuned:
        train(spec, tuned, data, tmp_path, lambda step: None)
        assert all("lora_" in n for n, _ in trainable(tuned.model))
        assert any(p.abs().sum() > 0 for n, p in trainable(tuned.model) if "lora_B" in n)
    assert all(torch.equal(p, frozen[n]) for n, p in m0.model.named_parameters())


def test_passes_of_few_tokens_add_up_to_the_step(spec, m0, data, tmp_path, monkeypatch):
    results = []
    for tokens in (10_000, 70):
        monkeypatch.setattr("coupling.training.loop.tokens_in_memory", lambda *_, tokens=tokens: tokens)
        with adapted(m0, spec) as tuned:
            history = train(spec, tuned, data, tmp_path / str(tokens), lambda step: None)
        results.append([row["loss"] for row in history])
    assert np.allclose(*results, rtol=1e-4)


class Killed(Exception):
    pass


@pytest.mark.parametrize("fused", [False, True])
def test_resumed_equals_uninterrupted(spec, m0, data, tmp_path, fused):
    spec = spec.model_copy(update={"fused": fused})
    weights, histories = [], []
    for kill_at in (None, 4):
        folder = tmp_path / str(kill_at)
        folder.mkdir()

        def look(step, kill_at=kill_at):
            if step == kill_at:
                raise Killed

        if kill_at:
            with pytest.raises(Killed), adapted(m0, spec) as tuned:
                train(spec, tuned, data, folder, look)
        seen = []
        with adapted(m0, spec) as tuned:
            histories.append(train(spec, tuned, data, folder, seen.append))
            weights.append([p.clone() for _, p in trainable(tuned.model)])
        assert seen == ([0, 2, 4, 6] if not kill_at else [4, 6])
    assert histories[0] == histories[1]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_without_kl_weight_no_kl_is_computed(spec, m0, data, tmp_path):
    with adapted(m0, spec) as tuned:
        history = train(spec.model_copy(update={"kl_weight": 0.0}), tuned, data, tmp_path, lambda step: None)
    assert all(row["kl"] == 0 and row["loss"] == row["cross_entropy"] for row in history)


def test_warm_up_rises_and_cosine_falls(spec, m0, data, tmp_path):
    with adapted(m0, spec) as tuned:
        history = train(spec.model_copy(update={"warmup": 0.34}), tuned, data, tmp_path, lambda step: None)
    rates = [row["learning_rate"] for row in history]
    assert rates[0] < rates[1] < rates[2] == spec.learning_rate
    assert rates[2] > rates[3] > rates[-1] > 0


def test_a_loss_that_is_not_finite_ends_the_run_with_its_history(spec, m0, data, tmp_path):
    with adapted(m0, spec) as tuned:
        with torch.no_grad():
            trainable(tuned.model)[0][1].fill_(torch.nan)
        with pytest.raises(Diverged, match="step 1 of 6: lower learning_rate") as error:
            train(spec, tuned, data, tmp_path, lambda step: None)
    assert len(error.value.history) == 1


def test_every_epoch_holds_every_item_once():
    order = np.concatenate([item_order(10, 4, 0, step) for step in range(1, 6)])
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10].tolist() != order[10:].tolist()
    assert item_order(10, 4, 1, 1).tolist() != item_order(10, 4, 0, 1).tolist()


def test_a_step_reads_items_and_as_many_taught_entries(spec, m0, items, data):
    taught = training_set(
        m0,
        items[0],
        behaviours(m0, items[0], 8),
        ["stays at A"] * len(items[0]),
        {},
        taught_seams(m0, load_taught(spec.model_copy(update={"teach": "jabberwocky"}))[0]),
    )
    assert len(entries_of(spec, data, 1)) == 8
    both = entries_of(spec, taught, 1)
    assert [e >= len(taught.seams) for e in both] == [False] * 8 + [True] * 8
    alone = spec.model_copy(update={"explanation_weight": 0.0, "kl_weight": 0.0})
    assert entries_of(alone, taught, 1) == both[8:]


def test_kinds_with_and_without_labels_are_held_alike(spec, m0, items):
    labelled, held = items[0][:20], items[0][20:]
    data = training_set(
        m0, labelled, behaviours(m0, items[0], 8), ["stays at A"] * 20, {}, taught_seams(m0, held[:4]), held
    )
    for closed, more in ((0.5, 8), (0.2, 2)):
        chosen = entries_of(spec.model_copy(update={"held_out": closed}), data, 1)
        kinds = [(e >= 20) + (e >= data.behaving) for e in chosen]
        assert kinds == [0] * 8 + [1] * more + [2] * 8
        assert max(chosen) < data.entries == 20 + len(held) + 4


def test_a_steps_loss_is_the_weighted_sum_of_its_terms(spec, m0, items):
    spec = spec.model_copy(update={"teach": "jabberwocky", "kl_weight": 2.0, "teach_weight": 0.5})
    b0 = behaviours(m0, items[0], 8)
    data = training_set(
        m0,
        items[0],
        b0,
        labels(items[0], b0, "letter"),
        {},
        taught_seams(m0, load_taught(spec)[0]),
    )
    with adapted(m0, spec) as tuned:
        stir(tuned)
        row = add_gradients(spec, tuned, data, entries_of(spec, data, 1), [slice(0, 5), slice(5, 16)])
    assert all(row[name] > 0 for name in ("cross_entropy", "kl", "taught"))
    assert row["loss"] == pytest.approx(row["cross_entropy"] + 2 * row["kl"] + 0.5 * row["taught"])


def test_what_an_evaluation_returns_is_trained_on_from_there(spec, m0, items, data, tmp_path):
    other = data.relabelled(m0, items[0], ["changes to D"] * len(items[0]))
    losses = []
    for k, give in enumerate((lambda step: None, lambda step: other if step == 2 else None)):
        with adapted(m0, spec) as tuned:
            history = train(spec, tuned, data, tmp_path / str(k), give)
        losses.append([row["loss"] for row in history])
    assert losses[0][:2] == losses[1][:2]
    assert losses[0][2] != losses[1][2]
