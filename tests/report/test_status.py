"""The status of a sweep: runs by state."""

from coupling.report import overview, status
from coupling.runs import folders
from made_results import finished


def finish(spec, state="complete"):
    """Make a run look finished."""
    finished(folders.run_folder(spec), status=state)


def test_runs_are_counted_by_state():
    specs = [spec for *_, spec in overview.runs("tiny", "headline", m0_seeds=1)]
    finish(specs[0])
    finish(specs[1], "diverged")
    folders.run_folder(specs[2]).mkdir(parents=True)
    found = status.status("tiny", "headline", m0_seeds=1)
    assert found.model_dump(exclude={"failures"}) == {
        "runs": 4,
        "complete": 1,
        "diverged": 1,
        "published": 0,
        "started": 1,
        "missing": 1,
    }
    assert found.failures == []
    assert found.done == 2
    (folders.run_folder(specs[0]) / "rows.parquet").unlink()
    assert status.status("tiny", "headline", m0_seeds=1).complete == 0  # a file is gone
