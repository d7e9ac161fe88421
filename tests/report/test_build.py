"""One build of figures and pages: which notebooks it executes, and what it makes without any."""

import json
from pathlib import Path

import pytest
from coupling import files
from coupling.analysis import tables
from coupling.report import figures, pages, study
from coupling.report.build import build, method_jobs, study_jobs, sweep_jobs
from coupling.spec import SpecError

ROOT = Path(__file__).parents[2]


def test_a_profile_has_the_figures_of_its_own_conditions(monkeypatch):
    monkeypatch.setattr(tables, "collected", lambda: [("medium", "shift")])
    assert [job.source.stem for job in sweep_jobs("tracking")] == ["17_tracking"]
    assert sweep_jobs("directions") == []
    (job,) = sweep_jobs()
    assert job.parameters == {"profile": "medium", "sweep": "shift"}
    assert job.out == files.results_dir() / "medium" / "shift-17_tracking.ipynb"


def test_every_figure_of_the_study_has_a_notebook_job_or_is_drawn_without_one(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    jobs = [*sweep_jobs(), *study_jobs()]
    wanted = [
        f"{sweep}-{study.notebook_of(name)}"
        for profile, sweep in tables.collected()
        for name in study.load(sweep).at(profile).figures
    ]
    assert [job.out.stem for job in jobs] == [*wanted, "20_claims", "23_scale", "30_speed"]
    assert all(job.source.exists() for job in jobs)
    assert [job.source.stem for job in study_jobs("speed")] == ["30_speed"]
    assert study_jobs("scaling") == []  # it is shown by the notebook of speed


def test_the_method_is_shown_where_its_example_is_and_is_asked_for(monkeypatch):
    assert method_jobs() == []
    monkeypatch.delenv("COUPLING_FIGURES")
    assert [job.source.stem for job in method_jobs()] == ["00_method"]
    assert [job.parameters for job in method_jobs("schematic")] == [{}]
    assert method_jobs("headline") == []


@pytest.fixture
def small_study(tmp_path, monkeypatch):
    """A study of two sweeps with tables, and no notebook, with this folder at its top."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib" / "coupling").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    for page in ("README.md", "docs/results.md"):
        (tmp_path / page).write_text("Head\n\n" + "\n\n".join(pages.MARKS) + "\n\nTail\n")
    where = files.tables_dir() / "tiny"
    where.mkdir(parents=True)
    for sweep in ("headline", "confirm"):
        (where / sweep).symlink_to(ROOT / "figures/data/tiny" / sweep)


def test_a_figure_of_all_sweeps_has_its_table_made_first_and_the_pages_are_written(small_study, tmp_path):
    index = build("scale")
    assert index.read_text().startswith("# Figures")
    assert len(figures.study_table("claims")) > 5
    assert (files.figures_dir() / "scale.png").exists()
    assert json.loads((files.figures_dir() / "scale.json").read_text())["runs"].keys() == {
        "tiny/headline",
        "tiny/confirm",
    }
    assert not (files.figures_dir() / "claims.png").exists()  # another figure
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("Head")
    assert "The gap lies above zero for" in readme
    assert "Verdicts of the" in readme
    assert "| hint_qa | KL off | 10 |" in (tmp_path / "docs/results.md").read_text()


def test_a_name_that_is_no_figure_and_a_table_that_is_missing_are_errors(small_study):
    with pytest.raises(SpecError, match="unknown figure 'headlin': did you mean 'headline'"):
        build("headlin")
    with pytest.raises(files.StoreError, match="figure 'speed' has no table yet"):
        build("speed")


def test_the_schematic_alone_needs_no_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build("schematic")
    assert (files.figures_dir() / "schematic.png").exists()
