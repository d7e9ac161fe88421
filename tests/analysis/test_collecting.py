"""From finished runs and published records to tables."""

import pandas as pd
import pytest
from conftest import SMALL
from coupling import files, runs
from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.report import figures
from coupling.runs import records
from coupling.spec import make_spec

CHOSEN = {
    "none": {},
    "down, 1": {"shift": "down"},
    "up, 1": {"shift": "up"},
    "down, after": {"shift": "down", "shift_order": "after", "shift_steps": 3},
    "down, no explanations": {"shift": "down", "explanation_weight": 0.0},
    "re-taught with": {"shift": "reteach"},
    "re-taught, no explanations": {"shift": "reteach", "explanation_weight": 0.0},
}


@pytest.fixture(scope="module")
def shift_sweep(tmp_path_factory):
    """A shift sweep of the smallest size, run and collected once: its folder and its tables."""
    top = tmp_path_factory.mktemp("shift")
    spec = make_spec("tiny", **SMALL)
    plan = [
        (condition, spec.model_copy(update={**values, "learning_rate": 0.02, "steps": 40}))
        for condition, values in CHOSEN.items()
    ]
    with pytest.MonkeyPatch.context() as patch:
        _look_into(top, patch)
        for _, one in plan:
            runs.explain(one)
        found = tables.collect("shift", plan)
        tables.write(found, tables.folder("tiny", "shift"))
    return top, found


@pytest.fixture
def small(shift_sweep, monkeypatch):
    """The tables of the small shift sweep, with its folders where results and figures are looked for."""
    top, found = shift_sweep
    _look_into(top, monkeypatch)
    return found


def _look_into(top, patch):
    patch.setenv("COUPLING_RESULTS", str(top / "results"))
    patch.setenv("COUPLING_FIGURES", str(top / "figures"))


def test_a_sweep_of_shifts_has_its_tables_and_they_are_read_as_they_were_made(small):
    again = tables.read("tiny", "shift")
    for name in ("shift", "sensor", "items"):
        pd.testing.assert_frame_equal(getattr(small, name), getattr(again, name))
    regions = again.shift[again.shift["condition"].duplicated(keep=False)]
    assert regions.groupby("condition")["pushed"].apply(sorted).to_dict() == {
        f"re-taught{how}": [False, True] for how in (" with", ", no explanations")
    }
    retaught = again.shift.set_index("condition")[["retaught_self", "untouched_self"]]
    assert retaught.loc["re-taught with"].notna().sum().tolist() == [1, 1]
    assert retaught.drop(["re-taught with", "re-taught, no explanations"]).isna().all(axis=None)
    by_condition = again.shift.drop_duplicates("condition").set_index("condition")
    assert len(by_condition) == 7
    down = by_condition.loc["down, 1"]
    assert down[["objective", "direction", "strength", "order"]].tolist() == [
        "sycophancy",
        "down",
        1.0,
        "with",
    ]
    assert pd.isna(by_condition.loc["none", "excess"])
    assert by_condition.loc["down, no explanations", "forced_self"] >= 0
    assert pd.isna(by_condition.loc["down, after", "kl_paid"])  # its last phase has no KL term
    assert down["kl_paid"] >= 0
    last = again.runs["step"] == again.runs.groupby("condition")["step"].transform("max")
    finals = again.runs[last].set_index("condition")
    matched = (again.shift["self"] * again.shift["items"]).groupby(again.shift["condition"]).sum()
    whole = matched / again.shift.groupby("condition")["items"].sum()
    assert whole.to_dict() == pytest.approx(finals["self"].to_dict())


def test_the_sensor_is_read_wherever_explanations_were_trained(small):
    steps = small.sensor.groupby("condition")["step"].apply(list).to_dict()
    assert set(steps) == {"none", "down, 1", "up, 1", "down, after", "re-taught with"}
    assert steps["down, after"] == [13, 27, 40, 41, 42, 43]


def test_tables_of_the_whole_study_hold_the_rows_of_every_sweep(small):
    tables.write_study(["shift"], [("shift", "down, 1")])
    for name in tables.SHIFT_TABLES:
        written = files.read_table(files.tables_dir() / f"{name}.parquet")
        pd.testing.assert_frame_equal(written, getattr(small, name))
    sizes = files.read_table(files.tables_dir() / "scale.parquet")
    assert sizes["condition"].tolist() == list(CHOSEN)
    assert set(sizes["model"]) == {"organism"}
    assert (sizes["parameters"] > 0).all()


@pytest.mark.parametrize("name", ["tracking", "directions", "order", "reteaching", "sensor"])
def test_every_figure_of_a_sweep_of_shifts_is_drawn(small, name):
    figures.figure(name, "tiny", "shift")
    assert (files.figures_dir() / "tiny" / f"shift-{name}.png").stat().st_size > 20_000


def test_published_records_give_the_committed_tables(monkeypatch):
    """Committed intervals may have another number of draws behind them. All else is the same."""
    monkeypatch.delenv("COUPLING_FIGURES")
    found, committed = tables.collect("shift", sweeps.plan("medium", "shift")), tables.read("medium", "shift")
    assert found.keys == committed.keys
    pd.testing.assert_frame_equal(found.items, committed.items)
    found.runs["collapsed"] = found.runs["collapsed"].fillna("")
    for name in ("runs", "summary", "dynamics", "regions", "lead_lag", "teacher", "base", "shift", "sensor"):
        ours, theirs = getattr(found, name), getattr(committed, name)
        assert list(ours) == list(theirs)
        drawn = [column for column in ours if column.endswith(("_low", "_high")) or column in ("low", "high")]
        assert ((ours[drawn] - theirs[drawn]).abs().fillna(0) < 0.02).all(axis=None)
        assert ours[drawn].isna().equals(theirs[drawn].isna())
        pd.testing.assert_frame_equal(
            ours.drop(columns=drawn).reset_index(drop=True),
            theirs.drop(columns=drawn),
            check_dtype=False,
            rtol=1e-6,
        )


def test_no_table_is_made_of_fewer_runs_than_planned_or_of_diverged_ones(tmp_path, monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    plan = sweeps.plan("medium", "tuning")
    another = ("never run", plan[0][1].model_copy(update={"seed": 99}))
    with pytest.raises(files.StoreError, match=rf"1 of {len(plan) + 1} runs have not finished, .*-s99-"):
        tables.collect("tuning", [*plan, another])
    manifest = {
        "key": "k",
        "status": "diverged",
        "git_commit": "",
        "base": "",
        "labels": {"shallow_rule": {}},
        "model": {"device": "cpu", "dtype": "bfloat16"},
    }
    files.write_json(tmp_path / "manifest.json", manifest)
    monkeypatch.setattr(records, "find", lambda folder: tmp_path)
    with pytest.raises(files.StoreError, match="runs diverged: lower their learning rate"):
        tables.collect("tuning", plan)


def test_a_kind_without_labels_in_one_run_is_a_region_of_every_run():
    spec = make_spec("tiny", **SMALL, task="aita")
    plan = [("all kinds", spec), ("half of the kinds", spec.model_copy(update={"held_out": 0.5}))]
    for _, one in plan:
        runs.explain(one)
    found = tables.collect("held_out", plan).regions
    regions = found.groupby("region", sort=False)["items"].apply(list).to_dict()
    assert set(regions) == {"labelled", "held out"}
    assert all(all_kinds == half for all_kinds, half in regions.values())
    assert sum(items for items, _ in regions.values()) == SMALL["test_items"]
