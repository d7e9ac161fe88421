"""What an explainer is made from: labels, and the behaviours that explainers share."""

import itertools

import pandas as pd
import pytest
from coupling import runs
from coupling.measure.explanations import LabelError
from coupling.runs import folders, material


def test_constant_labels_are_refused_before_any_training(spec, monkeypatch):
    strict = spec.model_copy(update={"allow_constant_labels": False})
    monkeypatch.setattr(
        "coupling.runs.material.fixed_labels", lambda spec, items, *_: ["stays at A"] * len(items)
    )
    monkeypatch.setattr("coupling.runs.explainers.train", lambda *a: pytest.fail("trained"))
    with pytest.raises(LabelError, match="stays at A"):
        runs.explain(strict)


def test_replies_that_are_no_choice_have_no_label_and_are_counted(spec, monkeypatch):
    found = itertools.cycle([0, 1, 1, 0, None])
    monkeypatch.setattr("coupling.measure.behaviours.detect", lambda text: next(found))
    odd = spec.model_copy(update={"task": "refusal", "train_items": 64})
    result = runs.explain(odd)
    b0 = runs.base(odd).table("behaviours")
    known = (b0[["x_0", "x_1"]].max(axis=1) == 0) & (b0[["cf_0", "cf_1"]].max(axis=1) == 0)
    rows = result.table("rows")
    assert len(rows[rows["step"] == 6]) == known.sum() < 24
    labels = result.manifest["labels"]
    assert labels["items"] < labels["asked"] == 64
    assert labels["agreement"] == 1
    monkeypatch.setattr("coupling.measure.behaviours.detect", lambda text: None)
    with pytest.raises(LabelError, match="no training item has a label"):
        runs.explain(odd.model_copy(update={"m0_seed": 1}))


def test_explainers_of_one_m0_and_items_share_its_behaviours_on_them(spec, monkeypatch):
    first = runs.explain(spec)
    shared = folders.shared_file(spec, ".parquet")
    assert shared.exists()
    monkeypatch.setattr(material, "behaviours", lambda *of: pytest.fail("asked M0 again"))
    second = runs.explain(spec.model_copy(update={"kl_weight": 0.0}))
    assert first.manifest["labels"] == second.manifest["labels"]


def test_material_holds_the_behaviours_of_m0_and_of_the_label_source(spec):
    models = runs.Models()
    seeds = [spec, spec.model_copy(update={"m0_seed": 1})]
    own, others = (runs.base(one, models=models).table("behaviours") for one in seeds)
    assert not own.equals(others)
    made = material.make_material(spec.model_copy(update={"source": "m0_seed=1"}), models)
    pd.testing.assert_frame_equal(made.base.frame(), own)
    pd.testing.assert_frame_equal(made.source.frame(), others)
    assert material.make_material(spec, models).about["agreement"] == 1
