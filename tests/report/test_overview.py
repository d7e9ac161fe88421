"""What is said of sweeps: which runs there are, how far they are, and what came out."""

import os

import pytest
from coupling import files
from coupling.report import overview
from coupling.runs import folders
from coupling.spec import SpecError, key
from made_results import finished


def finish(spec, status="complete"):
    """Make a run look finished."""
    finished(folders.run_folder(spec), status=status)


def test_the_runs_of_a_plan_are_listed_with_their_keys():
    rows = overview.planned("tiny", "headline", m0_seeds=2)
    assert len(rows) == 8
    (_, condition, spec), *_ = overview.runs("tiny", "headline", m0_seeds=2)
    assert rows[0] == {
        "sweep": "headline",
        "task": "hint_qa",
        "condition": condition,
        "m0_seed": 0,
        "seed": 0,
        "key": key(spec, "explain"),
        "complete": False,
        "published": False,
    }


def test_a_run_of_two_sweeps_is_listed_once_under_the_first():
    both = overview.runs("tiny", "headline+teacher_matrix", m0_seeds=1)
    shared = {spec for *_, spec in overview.runs("tiny", "headline", m0_seeds=1)}
    shared &= {spec for *_, spec in overview.runs("tiny", "teacher_matrix", m0_seeds=1)}
    assert shared
    assert all(name == "headline" for name, _, spec in both if spec in shared)
    assert len(both) == len({spec for *_, spec in both})


def test_runs_are_counted_by_state_and_those_since_a_batch_began(tmp_path):
    specs = [spec for *_, spec in overview.runs("tiny", "headline", m0_seeds=1)]
    finish(specs[0])
    begun = tmp_path / "begun"
    begun.touch()
    finish(specs[1], "diverged")
    manifest = folders.run_folder(specs[1]) / "manifest.json"
    later = begun.stat().st_mtime + 10
    os.utime(manifest, (later, later))
    os.utime(folders.run_folder(specs[0]) / "manifest.json", (later - 20, later - 20))
    folders.run_folder(specs[2]).mkdir(parents=True)
    counts = overview.counted("tiny", "headline", m0_seeds=1)
    assert counts == {"runs": 4, "complete": 1, "diverged": 1, "published": 0, "started": 1, "missing": 1}
    counts = overview.counted("tiny", "headline", m0_seeds=1, since=begun)
    assert (counts["computed"], counts["reused"]) == (1, 1)


def test_a_summary_is_compared_with_the_committed_one(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    (summary,) = overview.summaries("tiny", "rank").values()
    found = overview.compared("tiny", "rank", summary)
    assert list(found["condition"]) == ["4", "32", "128"]
    assert found["gap_within"].all()
    assert (found["gap"] == summary["gap"]).all()


def test_nothing_committed_is_no_comparison(monkeypatch, tmp_path):
    with monkeypatch.context() as here:
        here.delenv("COUPLING_FIGURES")
        (summary,) = overview.summaries("tiny", "rank").values()
    (files.tables_dir() / "tiny" / "rank").mkdir(parents=True)
    assert overview.compared("tiny", "rank", summary) is None


def test_an_unknown_package_is_an_error_before_anything_is_fetched():
    assert {row["name"] for row in overview.packages([], fetch=False)} >= {"mmlu", "gemma-3-270m"}
    with pytest.raises(SpecError, match="unknown package 'mlu': did you mean 'mmlu'"):
        overview.packages(["gemma-3-270m", "mlu"], fetch=True)
