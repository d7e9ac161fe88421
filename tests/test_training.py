import math

import numpy as np
import pytest
import torch
from coupling.behaviours import behaviours
from coupling.explanations import explanation_ids, labels
from coupling.models import Loaded
from coupling.training import (
    Diverged,
    MemoryCeiling,
    add_adapter,
    behaviour_kl,
    explanation_loss,
    item_order,
    memory_ceiling,
    peak_memory_gb,
    train,
    trainable,
    training_set,
)  # fmt: skip
from peft import PeftModel


@pytest.fixture
def data(m0, items):
    b0 = behaviours(m0, items[0], 8)
    return training_set(m0, items[0], b0, labels(items[0], b0, "letter"))


def logits(loaded, items):
    return torch.from_numpy(behaviours(loaded, items, 8).x)


def stir(loaded, scale=0.3):
    """Adapter weights that are not at their identity start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, p in trainable(loaded.model):
            p.add_(torch.randn(p.shape, generator=generator) * scale)


def test_a_fresh_adapter_changes_nothing_and_disabling_it_gives_m0_exactly(spec, m0, items):
    before = logits(m0, items[1])
    tuned = add_adapter(m0, spec)
    assert torch.equal(logits(tuned, items[1]), before)
    stir(tuned)
    assert not torch.allclose(logits(tuned, items[1]), before, atol=1e-2)
    with tuned.model.disable_adapter():
        assert torch.equal(logits(tuned, items[1]), before)


def test_merged_equals_unmerged(spec, m0, items):
    tuned = add_adapter(m0, spec)
    stir(tuned)
    unmerged = logits(tuned, items[1])
    merged = Loaded(tuned.model.merge_and_unload(), m0.tokenizer, torch.float32)
    assert torch.allclose(logits(merged, items[1]), unmerged, atol=1e-4)


@pytest.mark.parametrize(("rslora", "rank"), [(False, 4), (False, 8), (True, 4), (True, 9)])
def test_the_effective_scale_is_lora_alpha_whatever_the_rank(spec, m0, rslora, rank):
    tuned = add_adapter(m0, spec.model_copy(update={"rslora": rslora, "rank": rank, "lora_alpha": 0.5}))
    scales = [s for m in tuned.model.modules() if isinstance(getattr(m, "scaling", None), dict) for s in m.scaling.values()]
    assert len(scales) == 14  # seven linear layers in each of two blocks, the output head left out
    assert np.allclose(scales, 0.5)


def test_the_adapter_depends_on_its_seed_and_leaves_the_global_generator_alone(spec, m0):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    weights = []
    for seed in (0, 0, 1):
        tuned = add_adapter(m0, spec.model_copy(update={"seed": seed}))
        weights.append([p.clone() for _, p in trainable(tuned.model)])
        tuned.model.unload()
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))


def test_only_adapter_weights_move(spec, m0, data, tmp_path):
    frozen = {n: p.clone() for n, p in m0.model.named_parameters()}
    tuned = add_adapter(m0, spec)
    train(spec, tuned, data, tmp_path, lambda step: None)
    base = tuned.model.get_base_model()
    for name, p in base.named_parameters():
        if "lora_" not in name:
            assert torch.equal(p, frozen[name.replace(".base_layer", "")]), name
    assert all("lora_" in n for n, _ in trainable(tuned.model))
    assert any(p.abs().sum() > 0 for n, p in trainable(tuned.model) if "lora_B" in n)


def test_kl_is_zero_at_the_start_and_matches_its_definition_later(spec, m0, items, data):
    tuned = add_adapter(m0, spec)
    assert behaviour_kl(tuned, data.seams, data.reference).abs() < 1e-6
    stir(tuned)
    now = behaviours(tuned, items[0], 8)
    want = np.mean([
        (np.exp(p) * (p - q)).sum(axis=1)
        for p, q in zip(data.reference.numpy(), (now.distribution("x"), now.distribution("cf")), strict=True)
    ])  # fmt: skip
    assert math.isclose(behaviour_kl(tuned, data.seams, data.reference).item(), want, rel_tol=1e-4)


def test_the_loss_is_that_of_the_labels_tokens_alone(m0, data):
    for rows in (data.explanations[:1], data.explanations[:5]):
        want = []
        for request, label in rows:
            logp = m0.model(input_ids=torch.tensor([request + label])).logits[0].log_softmax(-1)
            want.append(-np.mean([float(logp[len(request) + i - 1, t]) for i, t in enumerate(label)]))
        assert math.isclose(explanation_loss(m0, rows), np.mean(want), rel_tol=1e-5)


def test_micro_batches_add_up_to_the_batch(spec, m0, data, tmp_path):
    results = []
    for micro in (8, 2):
        tuned = add_adapter(m0, spec)
        history = train(spec.model_copy(update={"micro_batch": micro}), tuned, data, tmp_path / str(micro), lambda step: None)
        results.append([row["loss"] for row in history])
        tuned.model.unload()
    assert np.allclose(*results, rtol=1e-4)


class Killed(Exception):
    pass


def test_resumed_equals_uninterrupted(spec, m0, data, tmp_path):
    weights, histories = [], []
    for kill_at in (None, 4):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        tuned = add_adapter(m0, spec)

        def evaluate(step, kill_at=kill_at):
            if step == kill_at:
                raise Killed

        if kill_at:
            with pytest.raises(Killed):
                train(spec, tuned, data, folder, evaluate)
            tuned.model.unload()
            tuned = add_adapter(m0, spec)
        seen = []
        histories.append(train(spec, tuned, data, folder, seen.append))
        assert seen == ([0, 2, 4, 6] if not kill_at else [2, 4, 6])
        weights.append([p.clone() for _, p in trainable(tuned.model)])
        tuned.model.unload()
    assert histories[0] == histories[1]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_without_kl_weight_no_kl_is_computed(spec, m0, data, tmp_path):
    history = train(spec.model_copy(update={"kl_weight": 0.0}), add_adapter(m0, spec), data, tmp_path, lambda step: None)
    assert all(row["kl"] == 0 and row["loss"] == row["cross_entropy"] for row in history)


def test_warm_up_rises_and_cosine_falls(spec, m0, data, tmp_path):
    rates = [row["learning_rate"] for row in train(spec.model_copy(update={"warmup": 0.34}), add_adapter(m0, spec), data, tmp_path, lambda s: None)]
    assert rates[0] < rates[1] < rates[2] == spec.learning_rate
    assert rates[2] > rates[3] > rates[-1] > 0


def test_a_loss_that_is_not_finite_ends_the_run_with_its_history(spec, m0, data, tmp_path):
    tuned = add_adapter(m0, spec)
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


def test_the_adapter_loads_as_a_peft_adapter(spec, m0, items, tmp_path):
    tuned = add_adapter(m0, spec)
    stir(tuned)
    want = logits(tuned, items[1])
    tuned.model.save_pretrained(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    again = Loaded(PeftModel.from_pretrained(tuned.model.unload(), tmp_path), m0.tokenizer, torch.float32)
    assert torch.equal(logits(again, items[1]), want)


def test_labels_carry_their_end_mark(m0, items):
    assert explanation_ids(m0, items[1][0], "stays at A")[1][-1] == m0.tokenizer.eos_token_id


def test_beyond_the_memory_ceiling_a_clear_error_and_the_limit_is_lifted_again():
    with pytest.raises(MemoryCeiling, match="memory_gb"), memory_ceiling(peak_memory_gb() + 2):
        torch.empty(20_000_000_000, dtype=torch.uint8).fill_(1)
    torch.empty(3_000_000_000, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="unrelated"), memory_ceiling(100):
        raise RuntimeError("unrelated")
