"""Circuits of an explainer: made after it, kept beside it, published, and put into tables."""

import pandas as pd
import pytest
from conftest import SMALL
from coupling import files, runs
from coupling.analysis import tables
from coupling.measure.outputs import OUTPUTS
from coupling.report import one_circuit
from coupling.runs import folders, graph, jobs, records
from coupling.runs.rates import work
from coupling.spec import SpecError, make_spec

PATCHED = SMALL | {"patched_items": 6}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two explainers of one M0 with their circuits, and the folder that they are in."""
    top = tmp_path_factory.mktemp("circuits")
    with pytest.MonkeyPatch.context() as patch:
        _look_into(top, patch)
        specs = [make_spec("tiny", **PATCHED, seed=seed, patched_layers=seed) for seed in (0, 1)]
        return top, [runs.circuits(spec) for spec in specs]


@pytest.fixture
def results(made, monkeypatch):
    top, found = made
    _look_into(top, monkeypatch)
    return found


def _look_into(top, patch):
    patch.setenv("COUPLING_RESULTS", str(top / "results"))
    patch.setenv("COUPLING_FIGURES", str(top / "figures"))


def test_circuits_are_those_of_the_explainer_and_leave_its_key_alone():
    plain, patched = make_spec("tiny", **SMALL), make_spec("tiny", **PATCHED)
    assert folders.run_folder(plain) == folders.run_folder(patched)
    assert [node.kind for node in graph.ends(plain)] == ["explainer"]
    assert [node.kind for node in graph.order(graph.ends(patched))] == ["m0", "base", "explainer", "circuits"]
    names = [job.name for job in jobs.jobs(graph.order(graph.ends(patched)))]
    assert len(set(names)) == 3
    assert jobs.parameters(graph.circuits(patched))["patched_items"] == 6
    assert work("circuits", patched) == 6
    for values in ({"patched_items": 1}, {"patched_layers": 2}):
        with pytest.raises(SpecError, match="patched_"):
            make_spec("tiny", **SMALL | values)


def test_a_trained_model_is_patched_and_so_is_m0_beside_the_first_explainer(results):
    first, second = results
    assert first.computed
    assert not runs.circuits(first.spec).computed
    rows = first.table("effects")
    assert rows["id"].nunique() == 6
    assert rows.groupby("trained")[list(OUTPUTS)].agg(lambda v: (v != 0).mean()).min(axis=None) > 0.1
    assert set(second.table("effects")["trained"]) == {True}
    both = rows[rows["trained"]].merge(rows[~rows["trained"]], on=["id", "way", "layer", "part", "group"])
    assert (both["answer_x"] != both["answer_y"]).mean() > 0.1  # the adapter was off in one of them
    assert set(rows["layer"]) == {0, 1, 2, 3}
    assert set(second.table("effects")["layer"]) == {3}  # one layer was asked for, the last
    assert set(first.table("sites")["fold"]) == set(range(5))


def test_items_of_two_tasks_that_have_one_id_are_told_apart(tmp_path, monkeypatch):
    _look_into(tmp_path, monkeypatch)
    found = runs.circuits(make_spec("tiny", **PATCHED | {"task": "aita+jabberwocky", "patched_layers": 1}))
    for name in ("effects", "interventions"):
        rows = found.table(name)
        kinds = [c for c in ("trained", "way", "part", "layer", "group", "intervention") if c in rows]
        assert not rows.duplicated(["task", "id", *kinds]).any()
        by_task = rows.groupby("task")["id"].unique()
        assert set(by_task["aita"]) & set(by_task["jabberwocky"])


def test_a_trained_model_is_changed_on_every_second_item_and_the_second_takes_halves_of_the_first(results):
    first, second = (one.table("interventions") for one in results)
    rows = runs.explain(results[0].spec).table("rows")
    patched = list(rows[rows["step"] == rows["step"].max()]["id"][:6])
    assert set(first["id"]) == set(second["id"]) == set(patched[1::2])
    assert set(first["task"]) == {"hint_qa"}
    said = results[0].table("said").query("trained").set_index("id")
    before = first[first["intervention"] == "none"].set_index("id")
    assert (
        before[list(OUTPUTS)].to_numpy().tolist() == said.loc[before.index, list(OUTPUTS)].to_numpy().tolist()
    )
    mixed = {f"{half} half of another run" for half in ("lower", "upper")}
    assert set(second["intervention"]) - set(first["intervention"]) == mixed
    assert [node.spec.seed for node in graph.circuits(results[1].spec).needs if node.kind == "explainer"] == [
        1,
        0,
    ]


def test_what_is_said_without_a_patch_is_what_the_evaluation_found(results):
    said = results[0].table("said").query("trained").set_index("id")
    rows = runs.explain(results[0].spec).table("rows")
    last = rows[rows["step"] == rows["step"].max()].set_index("id").loc[said.index]
    assert said[["x", "cf"]].to_numpy().tolist() == last[["x", "cf"]].to_numpy().tolist()


def test_records_hold_means_alone_and_tables_are_collected_from_them(results, tmp_path):
    first = results[0]
    records.publish("circuits", [first.spec])
    record = records.published(first.folder)
    assert sorted(path.name for path in record.iterdir()) == [
        "interventions.parquet",
        "manifest.json",
        "sites.parquet",
    ]
    plan = [("KL on", one.spec) for one in results]
    found = tables.collect("circuits", plan)
    assert set(found.similarity["trained"]) == {True, False}
    assert len(found.similarity) == 3  # two trained models, and one M0
    tables.write(found, tmp_path / "tiny" / "circuits")
    for name in ("circuits", "similarity", "interventions"):
        frame = files.read_table(tmp_path / "tiny" / "circuits" / f"{name}.parquet")
        pd.testing.assert_frame_equal(frame, getattr(found, name))
    folders.clear(results[1].folder)
    with pytest.raises(files.StoreError, match="the circuits of a run are missing"):
        tables.collect("circuits", plan)
    runs.circuits(results[1].spec)


def test_a_notebook_shows_the_maps_of_one_run(results):
    drawn = one_circuit.maps(results[0])
    assert len(drawn.axes) == 4
    assert drawn.alt.startswith("The stated answer is decided most at ")
    top = one_circuit.top(results[0])
    assert top["stated answer"].is_monotonic_decreasing
    assert len(one_circuit.similarity(results[0]).rows) == 2  # the run, and M0 before it
