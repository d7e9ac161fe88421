"""What an explainer is made from: labels, and the behaviours that explainers share."""

import itertools

import numpy as np
import pandas as pd
import pytest
from coupling import runs
from coupling.measure.behaviours import behaviours
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


def test_a_kl_term_on_all_kinds_reads_items_without_labels_of_the_other_kinds(spec, monkeypatch):
    # a stand-in for the detector, since an M0 that knows little replies what no detector reads
    monkeypatch.setattr("coupling.measure.behaviours.detect", lambda text: len(text) % 2)
    for task in ("aita", "refusal"):
        half = spec.model_copy(update={"task": task, "held_out": 0.5})
        models = runs.Models()
        runs.base(half, models=models)
        alone = material.make_material(half, models)
        whole = material.make_material(half.model_copy(update={"kl_kinds": "all"}), models)
        assert not alone.held
        assert whole.train == alone.train
        assert whole.data.seams == alone.data.seams
        assert whole.held
        assert {i.kind for i in whole.held}.isdisjoint(i.kind for i in whole.train)
        assert {i.group for i in whole.held}.isdisjoint(i.group for i in whole.test)
        assert len(whole.data.reference) == whole.data.behaving == len(whole.train) + len(whole.held)
        if task == "refusal":
            assert list(whole.data.replies) == list(range(whole.data.behaving))
            continue
        now = behaviours(models.load(half), whole.held, 8)
        held = whole.data.reference[len(whole.train) :, 0].numpy()
        assert np.allclose(held, now.distribution("x"), atol=1e-5)


def test_a_model_is_held_on_kinds_without_labels_by_a_kl_term_on_all_kinds(spec):
    half = spec.model_copy(
        update={"task": "aita", "held_out": 0.5, "kl_weight": 30.0, "steps": 20, "test_items": 200}
    )
    drift = {}
    for kinds in ("labelled", "all"):
        rows = runs.explain(half.model_copy(update={"kl_kinds": kinds})).table("rows")
        last = rows[(rows["step"] == 20) & rows["held_out"]]
        drift[kinds] = last["kl_x"].mean()
    assert drift["all"] < 0.7 * drift["labelled"]


def test_material_holds_the_behaviours_of_m0_and_of_the_label_source(spec):
    models = runs.Models()
    seeds = [spec, spec.model_copy(update={"m0_seed": 1})]
    own, others = (runs.base(one, models=models).table("behaviours") for one in seeds)
    assert not own.equals(others)
    made = material.make_material(spec.model_copy(update={"source": "m0_seed=1"}), models)
    pd.testing.assert_frame_equal(made.base.frame(), own)
    pd.testing.assert_frame_equal(made.source.frame(), others)
    assert material.make_material(spec, models).about["agreement"] == 1
