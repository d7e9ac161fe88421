import math

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import Behaviours, behaviours
from coupling.measure.explanations import explanation_seam, labels
from coupling.models import adapted, generated
from coupling.models.memory import MemoryCeiling, weight_bytes
from coupling.tasks import refusal
from coupling.training import passes
from coupling.training.checkpoints import trainable
from coupling.training.data import held_replies, training_set
from coupling.training.loop import Diverged, item_order, train
from coupling.training.loss import behaviour_kl, losses
from coupling.training.passes import size, tokens_in_memory


@pytest.fixture
def data(m0, items):
    b0 = behaviours(m0, items[0], 8)
    return training_set(m0, items[0], b0, labels(items[0], b0, "letter"), {})


def stir(loaded, scale=0.3):
    """Adapter weights that are not at their identity start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, p in trainable(loaded.model):
            p.add_(torch.randn(p.shape, generator=generator) * scale)


def mean_kl(spec, loaded, data):
    return losses(spec, loaded, data, range(len(data.seams)))["kl"] / len(data.seams)


def test_only_adapter_weights_move(spec, m0, data, tmp_path):
    frozen = {n: p.clone() for n, p in m0.model.named_parameters()}
    with adapted(m0, spec) as tuned:
        train(spec, tuned, data, tmp_path, lambda step: None)
        assert all("lora_" in n for n, _ in trainable(tuned.model))
        assert any(p.abs().sum() > 0 for n, p in trainable(tuned.model) if "lora_B" in n)
    assert all(torch.equal(p, frozen[n]) for n, p in m0.model.named_parameters())


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
    """M0's replies are cut to these lengths; by its definition over the whole vocabulary, from passes of their own."""
    items = [
        refusal.item(str(k), str(k), "How to open the lock ?", k, refusal.COMPLY, refusal.REFUSE, "lock")
        for k in range(3)
    ]
    lengths = iter([1, 3, 5, 2, 4, 1])

    def cut(loaded, prompts, limit):
        return [r[: next(lengths)] for r in generated(loaded, prompts, limit)]

    monkeypatch.setattr("coupling.training.generated", cut)
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


def test_passes_of_few_tokens_add_up_to_the_step(spec, m0, data, tmp_path, monkeypatch):
    results = []
    for tokens in (10_000, 70):
        monkeypatch.setattr("coupling.training.tokens_in_memory", lambda *_, tokens=tokens: tokens)
        with adapted(m0, spec) as tuned:
            history = train(spec, tuned, data, tmp_path / str(tokens), lambda step: None)
        results.append([row["loss"] for row in history])
    assert np.allclose(*results, rtol=1e-4)


def test_passes_cover_the_items_in_order_evenly_and_hold_no_more_than_they_may():
    assert passes([5, 5, 5, 5, 5, 5], 100) == [slice(0, 6)]
    assert passes([5, 5, 5, 5, 5, 5], 25) == [slice(0, 3), slice(3, 6)]
    assert passes([50, 5, 5], 10) == [slice(0, 1), slice(1, 3)]
    sizes = [7, 3, 9, 2, 8, 4, 6]
    parts = passes(sizes, 12)
    assert [i for p in parts for i in range(p.start, p.stop)] == list(range(7))
    assert all(sum(sizes[p]) <= 12 for p in parts)


def test_less_memory_means_smaller_passes_then_recomputed_layers_with_the_same_gradients_then_an_error(
    spec, m0, data
):
    def at(gigabytes):
        return spec.model_copy(update={"memory_gb": gigabytes})

    def gradient(tuned):
        sum(losses(spec, tuned, data, range(len(data.seams))).values()).backward()
        return [p.grad.clone() for _, p in trainable(tuned.model)]

    with adapted(m0, spec) as tuned:
        stir(tuned)
        plain, sizes = gradient(tuned), [size(s) for s in data.seams]
        roomy, tight = (tokens_in_memory(at(1.0 + g), tuned, data, sizes) for g in (0.2, 0.02))
        assert roomy > 5 * tight > 100
        assert not tuned.model.is_activation_checkpointing
        item = size(data.seams[0]) * (0.2e9 - 0.02e9) / (roomy - tight)  # bytes that it takes
        few = tokens_in_memory(at(1.0 + (weight_bytes(tuned.model) + 0.8 * item) / 1e9), tuned, data, sizes)
        assert 0 < few < tight
        assert tuned.model.is_activation_checkpointing
        tuned.model.zero_grad()
        for a, b in zip(gradient(tuned), plain, strict=True):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
        with pytest.raises(MemoryCeiling, match=r"one training item of .* tokens: raise it"):
            tokens_in_memory(at(1.0), tuned, data, sizes)


def test_a_cast_that_every_pass_keeps_leaves_less_room_for_items(spec, m0, data):
    """An output head that is also the input's embeddings stays in float32; under autocast each pass keeps its cast."""
    m0.dtype, sizes, room = torch.bfloat16, [size(s) for s in data.seams], 0.1e9
    with adapted(m0, spec) as tuned:
        head = tuned.model.get_output_embeddings().weight
        found = []
        for dtype in (torch.float32, torch.bfloat16):
            head.data = head.data.to(dtype)
            found.append(
                tokens_in_memory(spec.model_copy(update={"memory_gb": 1.0 + room / 1e9}), tuned, data, sizes)
            )
    freed = (found[1] - found[0]) * room / found[0]
    assert 0.75 < freed / (2 * head.nbytes) < 1.25  # half of the weight, and the cast, which is as large


class Killed(Exception):
    pass


def test_resumed_equals_uninterrupted(spec, m0, data, tmp_path):
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
        assert seen == ([0, 2, 4, 6] if not kill_at else [2, 4, 6])
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


def test_labels_carry_their_end_mark(m0, items):
    assert explanation_seam(m0, items[1][0], "stays at A").tails[0][-1] == m0.tokenizer.eos_token_id
