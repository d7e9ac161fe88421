"""A batch is done only where all that the batch engine would look at is whole and in order."""

import os
from pathlib import Path

import pytest
from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.report import current, overview, status
from coupling.runs import folders, graph
from coupling.spec import key
from made_results import finished
from own_sweeps import own_sweep

STAGES = {"base": "base", "explainer": "explain"}  # by kind of a node


def executed(path, **noted):
    """An executed notebook, as papermill leaves it at its end."""
    about = {"end_time": "2026-11-30T00:00:00", "exception": None} | noted
    files.write_json(path, {"metadata": {"papermill": about}})


@pytest.fixture
def sweep(tmp_path):
    """The path of a sweep of two runs of which all is made."""
    sweep = str(own_sweep(tmp_path))
    named = sweeps.plan("tiny", sweep)
    plan = [spec for _, spec in named]
    for node in (node for spec in plan for node in (graph.base(spec), graph.explainer(spec))):
        if not node.folder.exists():
            finished(node.folder, STAGES[node.kind])
    keys = tables.folder("tiny", sweep) / "keys.json"
    runs = [{"condition": condition, "key": key(spec, "explain")} for condition, spec in named]
    files.write_json(keys, {"profile": "tiny", "sweep": "mine", "base": [], "runs": runs})
    files.write_sums(keys.parent, [keys.name])
    for drawn in status.drawn("tiny", sweep):
        executed(drawn)
    return sweep


def places(sweep):
    """Run, base, tables and figure of the sweep."""
    spec = overview.runs("tiny", sweep)[0][-1]
    keys = tables.folder("tiny", sweep) / "keys.json"
    return folders.run_folder(spec), folders.base_folder(spec), keys, status.drawn("tiny", sweep)[0]


def test_a_batch_of_which_all_is_made_is_done(sweep):
    assert current.batch_is_done("tiny", sweep)
    assert not current.batch_is_done("tiny", sweep, m0_seeds=2)


def test_a_condition_with_another_name_is_to_be_collected_anew(sweep):
    path, name = Path(sweep), next(iter(sweeps.read_sweep(sweep).conditions))
    before = path.read_text()
    path.write_text(before.replace(f"  {name}:", "  renamed:"))
    assert path.read_text() != before
    assert not current.batch_is_done("tiny", sweep)


def test_a_run_or_base_that_is_missing_or_damaged_is_to_be_made(sweep):
    run, base, _, _ = places(sweep)
    (run / "rows.parquet").write_text("another")
    assert not current.batch_is_done("tiny", sweep)
    (run / "rows.parquet").write_text("rows.parquet")
    assert current.batch_is_done("tiny", sweep)
    (base / folders.MANIFEST).unlink()
    assert not current.batch_is_done("tiny", sweep)


@pytest.mark.parametrize("which", [2, 3])
def test_tables_and_figures_that_are_older_than_what_they_are_made_from_are_made_again(sweep, which):
    os.utime(places(sweep)[which], (0, 0))  # as a batch that failed leaves them
    assert not current.batch_is_done("tiny", sweep)


def test_tables_of_other_runs_or_without_checksums_are_made_again(sweep):
    _, _, keys, drawn = places(sweep)
    found = files.read_json(keys)
    (keys.parent / files.SUMS).unlink()  # `collect` was stopped
    assert not current.batch_is_done("tiny", sweep)
    files.write_json(keys, found | {"runs": found["runs"][:1]})
    files.write_sums(keys.parent, [keys.name])
    executed(drawn)
    assert not current.batch_is_done("tiny", sweep)


@pytest.mark.parametrize("noted", [{"end_time": None}, {"exception": True}])
def test_a_notebook_that_was_stopped_or_failed_is_executed_again(sweep, noted):
    executed(places(sweep)[3], **noted)
    assert not current.batch_is_done("tiny", sweep)
    places(sweep)[3].write_text("{")
    assert not current.batch_is_done("tiny", sweep)
