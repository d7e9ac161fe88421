"""What an explainer is made from: labels, and the behaviours that explainers share."""

import itertools

import numpy as np
import pandas as pd
import pytest
from coupling import runs
from coupling.measure.behaviours import behaviours
from coupling.measure.explanations import LabelError
from coupling.runs import folders, material
from safetensors.torch import load_file


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


def test_a_push_reaches_kinds_without_labels_and_rows_say_which(spec):
    half = spec.model_copy(
        update={
            "task": "aita",
            "held_out": 0.5,
            "shift": "down",
            "shift_reach": "half",
            "test_items": 200,
            "train_items": 200,
        }
    )
    models = runs.Models()
    runs.base(half, models=models)
    made = material.make_material(half, models)
    alone = material.make_material(half.model_copy(update={"shift_reach": "labelled"}), models)
    texts = [
        {models.load(half).tokenizer.decode(pair[0].prefix) for pair in one.data.taught}
        for one in (made, alone)
    ]
    kinds = {i.kind: pushed for i, pushed in zip(made.test, made.pushed, strict=True)}
    labelled = {i.kind for i in made.train}
    for kind, pushed in kinds.items():
        asked = [any(f" {kind} " in text for text in some) for some in texts]
        assert asked == [pushed, kind in labelled]
    assert 0 < sum(pushed for kind, pushed in kinds.items() if kind not in labelled) < len(kinds) / 2
    rows = runs.explain(half, models=models).table("rows")
    last = rows[rows["step"] == 6]
    assert dict(zip(last["kind"], last["pushed"], strict=True)) == kinds
    assert last.groupby("kind")["pushed"].nunique().eq(1).all()


def test_a_kl_term_can_hold_the_run_that_had_the_shift_alone(spec):
    strong = spec.model_copy(update={"shift": "up", "learning_rate": 0.05, "kl_to": "shifted"})
    result = runs.explain(strong)
    models = runs.Models()
    made = material.make_material(strong, models)
    m0 = material.make_material(strong.model_copy(update={"kl_to": "m0"}), models)
    assert made.data.seams == m0.data.seams
    moved = np.exp(made.data.reference[:, 0].numpy()) - np.exp(m0.data.reference[:, 0].numpy())
    assert np.abs(moved).max() > 0.01
    alone = runs.explain(strong.shifted_alone)
    assert not alone.computed
    with runs.explainer(alone) as shifted:
        now = behaviours(shifted, made.train, 8).distribution("x")
    assert np.allclose(made.data.reference[:, 0].numpy(), now, atol=1e-4)
    assert (result.table("history")["kl"] >= -1e-6).all()


def test_a_shift_with_an_adapter_of_its_own_leaves_that_of_the_explanations_as_it_was(spec):
    apart = spec.model_copy(
        update={"shift": "up", "shift_order": "after", "shift_steps": 6, "shift_adapter": "own", "rank": 2}
    )
    plain = runs.explain(apart.phases[0].spec)
    result = runs.explain(apart)
    kept = [load_file(one.folder / "adapter" / "adapter_model.safetensors") for one in (plain, result)]
    assert kept[0].keys() == kept[1].keys()
    assert all(kept[0][name].equal(kept[1][name]) for name in kept[0])
    rows = result.table("rows")
    before = plain.table("rows").query("step == 6").set_index("id")["logp_x_0"]
    at_end = rows[rows["step"] == 6].set_index("id")["logp_x_0"]
    assert np.allclose(before[at_end.index], at_end)  # the first phase is the run without the shift
    with runs.explainer(result) as loaded:
        last = rows[rows["step"] == 12].set_index("id")
        items = [i for i in runs.result.items_of(apart)[1] if i.id in last.index]
        now = behaviours(loaded, items, 8).x[:, 0]
    assert np.allclose(now, last.loc[[i.id for i in items], "logp_x_0"], atol=1e-4)
    assert (result.table("history")["cross_entropy"].iloc[6:] == 0).all()


def test_material_holds_the_behaviours_of_m0_and_of_the_label_source(spec):
    models = runs.Models()
    seeds = [spec, spec.model_copy(update={"m0_seed": 1})]
    own, others = (runs.base(one, models=models).table("behaviours") for one in seeds)
    assert not own.equals(others)
    made = material.make_material(spec.model_copy(update={"source": "m0_seed=1"}), models)
    pd.testing.assert_frame_equal(made.base.frame(), own)
    pd.testing.assert_frame_equal(made.source.frame(), others)
    assert material.make_material(spec, models).about["agreement"] == 1
