"""Bases: what M0 does and says on the test items."""

import torch
from coupling import runs
from coupling.measure.explanations import labels
from coupling.runs import bases


def test_a_base_holds_behaviours_untrained_explanations_and_health(spec):
    result = runs.base(spec)
    behaviours, untrained = result.table("behaviours"), result.table("untrained")
    assert behaviours["id"].tolist() == untrained["id"].tolist()
    assert len(untrained) == 24
    health = result.manifest["health"]["hint_qa"]
    right = (untrained["label"] == untrained["forced_choice"]).mean()
    assert health["untrained_forced_choice"] == right
    assert all(0 <= health[f"flips_{how}"] < 1 for how in ("batch", "dtype"))
    assert result.manifest["left_out"] is not None


def test_the_flip_noise_floor_compares_the_model_with_itself_computed_otherwise(spec, m0, items, monkeypatch):
    seen = []
    real = bases.behaviours

    def behaviours(model, some, batch):
        seen.append((model.dtype, batch))
        return real(model, some, batch)

    monkeypatch.setattr(bases, "behaviours", behaviours)
    again = bases.computed_otherwise(m0, items[1], spec)
    assert seen == [
        (torch.float32, 1),
        (torch.bfloat16, 8),
    ]  # an eighth of the batch of 8; the other precision
    assert again["batch"] == labels(items[1], real(m0, items[1], spec.eval_batch), "letter")
    assert m0.dtype == torch.float32


def test_half_precision_has_no_other_precision_to_compare_with(spec, m0, items, monkeypatch):
    monkeypatch.setattr(m0, "dtype", torch.bfloat16)
    assert list(bases.computed_otherwise(m0, items[1], spec)) == ["batch"]
