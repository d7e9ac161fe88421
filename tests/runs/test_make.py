"""Making: each result once, after what it needs, and again only where it is damaged or forced."""

import json

import pandas as pd
import pytest
from coupling import files, runs
from coupling import spec as specs
from coupling.measure.behaviours import behaviours
from coupling.runs import folders
from coupling.tasks import TaskError


def test_what_is_complete_is_reused_and_what_is_damaged_or_forced_is_computed(spec):
    folder = runs.explain(spec).folder
    assert not runs.explain(spec).computed
    before = files.read_table(folder / "rows.parquet")
    (folder / "rows.parquet").write_bytes(b"damaged")
    assert runs.explain(spec).computed
    pd.testing.assert_frame_equal(files.read_table(folder / "rows.parquet"), before)
    assert runs.explain(spec, force=True).computed
    assert not runs.base(spec).computed


def test_a_complete_run_is_read_without_items_and_without_a_model(spec, monkeypatch):
    runs.explain(spec)
    monkeypatch.setattr("coupling.runs.make.items_of", lambda of: pytest.fail("read items"))
    monkeypatch.setattr(runs.Models, "load", lambda *of: pytest.fail("loaded a model"))
    assert not runs.explain(spec).computed
    assert not runs.base(spec).computed


def test_bad_items_end_a_run_before_any_compute(tmp_path, monkeypatch):
    row = {"group": "g", "prompt": "Q? hint A", "cue": " hint A", "choices": ["A", "B"]}
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(json.dumps(row | {"id": s, "split": s}) for s in ("train", "test")))
    monkeypatch.setattr(runs.Models, "load", lambda *a: pytest.fail("loaded a model"))
    with pytest.raises(TaskError, match="1 groups stand in training and in test"):
        runs.explain(specs.make_spec("medium", task=f"file:{path}"))
    assert not files.results_dir().exists()


def test_m0_is_prepared_once_for_all_tasks(spec):
    runs.base(spec)
    other = spec.model_copy(update={"task": "aita"})
    assert not runs.prepared(other).computed
    assert runs.base(other).computed


def test_an_m0_that_is_gone_is_prepared_again_although_its_base_is_there(spec):
    before = runs.base(spec).manifest
    folders.clear(folders.m0_folder(spec))
    assert runs.explain(spec).computed
    assert folders.complete(folders.m0_folder(spec))
    assert runs.base(spec).manifest == before


def test_an_explainer_is_the_label_source_of_another_run(spec):
    """The source is made first, as a run of its own. Its labels are what the trained model does."""
    labelled = spec.model_copy(update={"source": "explainer=1", "learning_rate": 0.05})
    result = runs.explain(labelled)
    source = labelled.label_source
    assert not runs.explain(source.explained).computed
    assert result.manifest["source"] == folders.base_folder(source).name != result.manifest["base"]
    with runs.explainer(runs.explain(source.explained)) as trained:
        live = behaviours(trained, runs.items_of(labelled)[1][:8], 8).frame()["x_0"].to_numpy()
    of_source, of_m0 = (
        runs.base(one).table("behaviours")["x_0"].head(8).to_numpy() for one in (source, spec)
    )
    assert live == pytest.approx(of_source, abs=1e-3)
    assert live != pytest.approx(of_m0, abs=1e-3)


def test_the_names_of_the_package_are_there_and_no_others():
    assert all(callable(getattr(runs, name)) for name in runs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'explian'"):
        _ = runs.explian
