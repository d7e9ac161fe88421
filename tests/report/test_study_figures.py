"""From finished runs to tables, figures and pages, at the smallest size."""

import json
import shutil

import pytest
from conftest import SMALL
from coupling import cli, files, runs
from coupling.analysis import tables
from coupling.report import figures, one_run, pages, results_page
from coupling.spec import key, make_spec
from typer.testing import CliRunner

CONDITIONS = (("KL on", 1.0), ("KL off", 0.0))
PLAN = [
    (name, make_spec("tiny", **SMALL, m0_seed=m0_seed, seed=seed, kl_weight=weight))
    for m0_seed in (0, 1)
    for seed in (0, 1)
    for name, weight in CONDITIONS
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The results of the plan, two M0 seeds with two explainers for each condition, made once."""
    top = tmp_path_factory.mktemp("finished") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUPLING_RESULTS", str(top))
        for _, spec in PLAN:
            runs.explain(spec)
    return top


@pytest.fixture
def finished(made):
    """The folder of the tables of the finished plan, with the results where results are looked for."""
    shutil.copytree(made, files.results_dir())
    where = tables.folder("tiny", "headline")
    tables.write(tables.collect("headline", PLAN), where)
    return where


def test_tables_are_the_same_when_they_are_collected_again(finished):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    tables.write(tables.collect("headline", PLAN), finished)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_tables_need_every_run(finished):
    missing = ("KL on", PLAN[0][1].model_copy(update={"seed": 9}))
    with pytest.raises(files.StoreError, match="1 of 9 runs have not finished"):
        tables.collect("headline", [*PLAN, missing])


@pytest.mark.parametrize("name", ["headline", "dynamics", "held_out", "teacher_matrix", "depth"])
def test_a_figure_is_saved_beside_the_keys_of_its_runs(finished, name):
    assert figures.figure(name, "tiny", "headline").axes
    saved = files.figures_dir() / "tiny" / f"headline-{name}"
    assert all(saved.with_suffix(f".{ending}").stat().st_size > 100 for ending in ("png", "pdf"))
    keys = [key(spec, "explain") for _, spec in PLAN]
    assert files.read_json(saved.with_suffix(".json"))["runs"] == keys


def test_the_headline_has_a_row_for_each_condition(finished):
    drawn = figures.figure("headline", "tiny", "headline")
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["KL on", "KL off"]


def test_a_curve_stands_at_the_values_of_its_sweep_or_at_what_was_measured(finished):
    value = {"KL off": "0", "KL on": "1"}
    plan = [(value[condition], spec) for condition, spec in PLAN]
    tables.write(tables.collect("kl_weight", plan), tables.folder("tiny", "kl_weight"))
    drawn = figures.figure("curve", "tiny", "kl_weight")
    assert [label.get_text() for label in drawn.axes[0].get_xticklabels()] == ["0", "1"]
    data = tables.read("tiny", "kl_weight")
    assert (data.summary["source_agreement_mean"] == 1).all()
    measured = figures.curve.draw(data.summary, "source_agreement", None)
    assert set(measured.axes[0].lines[0].get_xdata()) == {1.0}


def test_index_and_results_list_what_was_drawn(finished):
    figures.figure("dynamics", "tiny", "headline")
    figures.save_schematic()
    index = pages.write_index().read_text()
    assert "headline-dynamics" in index
    assert "| KL off |" in index
    figures.write_study_tables()
    assert "| hint_qa | KL off | 4 |" in results_page.results_block()


def test_the_figure_of_the_scale_shows_each_model_once(finished):
    figures.write_study_tables()
    scale = figures.study_table("scale")
    models = scale[["model", "parameters"]].drop_duplicates().to_numpy().tolist()
    assert models == [["organism", scale["parameters"].iloc[0]]]
    assert len(figures.study_figure("scale").axes) == 3
    behind = files.read_json(files.figures_dir() / "scale.json")["runs"]
    assert behind == {"tiny/headline": [key(spec, "explain") for _, spec in PLAN]}


def test_the_summary_that_is_printed_is_the_mean_of_the_items(finished):
    invoke = CliRunner().invoke
    rows = json.loads(invoke(cli.app, ["summary", "--sweep", "headline", "--json"]).stdout)
    assert [list(row) for row in rows] == [tables.SUMMARY] * 2
    items = files.read_table(finished / "items.parquet")
    for row in rows:
        mine = items[items["condition"] == row["condition"]]
        assert row["self"] == pytest.approx(mine["self"].mean())
        assert row["gap"] == pytest.approx(mine["self"].mean() - mine["target"].mean())
        assert (row["seeds"], row["items"]) == (2, 24)
    assert "KL on" in invoke(cli.app, ["summary", "--sweep", "headline"]).stdout


def test_joint_tasks_with_a_taught_behaviour_and_a_held_out_region_are_shown_apart(spec, monkeypatch):
    # a stand-in for the detector, since an M0 that knows little replies what no detector reads
    monkeypatch.setattr("coupling.measure.behaviours.detect", lambda text: len(text) % 2)
    change = {"task": "aita+refusal", "teach": "jabberwocky", "held_out": 0.5, "steps": 4, "evaluations": 1}
    joint = spec.model_copy(update=change)
    alone = joint.model_copy(update={"explanation_weight": 0.0})
    shown = one_run.measures(runs.explain(joint))
    steps = shown.groupby("task")["step"].apply(list).to_dict()
    assert steps == {task: [0, 4] for task in ("aita", "refusal", "jabberwocky")}
    assert (runs.explain(alone).table("history")["cross_entropy"] == 0).all()
    plan = [("both", joint), ("behaviour alone", alone)]
    tables.write(tables.collect("new_behaviour", plan), tables.folder("tiny", "new_behaviour"))
    for name in ("new_behaviour", "held_out"):
        assert figures.figure(name, "tiny", "new_behaviour").axes
    regions = tables.read("tiny", "new_behaviour").regions
    assert set(regions.loc[regions["task"] == "aita", "region"]) == {"labelled", "held out"}


def test_nothing_to_draw_names_the_command_that_makes_it():
    with pytest.raises(files.StoreError, match="make study PROFILE=tiny SWEEP=headline"):
        tables.read("tiny", "headline")
