"""A batch: what it hands to the batch engine, and what it says and returns when the engine has ended."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from coupling import files
from coupling.report import batches, failures, overview, status, study
from coupling.runs import folders
from own_sweeps import own_sweep

ENGINE = """
import pathlib, sys
sys.path.insert(0, {tests!r})
from made_results import finished
pathlib.Path({asked!r}).write_text("\\n".join(sys.argv[1:]))
for folder in map(pathlib.Path, {folders!r}):
    if not (folder / "manifest.json").exists():
        finished(folder)
sys.exit({code})
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """A function that puts a script in the place of the batch engine: it makes manifests and ends."""

    def put(made=(), code=0):
        values = {"asked": str(tmp_path / "asked"), "folders": [str(folder) for folder in made], "code": code}
        package = tmp_path / "engine" / "snakemake"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(ENGINE.format(**values, tests=str(Path(__file__).parents[1])))
        paths = [str(tmp_path / "engine"), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))

    return put


@pytest.fixture
def batch(tmp_path):
    files.results_dir().mkdir()
    return batches.Batch("tiny", str(own_sweep(tmp_path)))


def runs_of(batch):
    return [folders.run_folder(spec) for *_, spec in overview.runs(*batch.which)]


def test_all_that_is_asked_is_done(engine, batch, capfd, tmp_path):
    engine(runs_of(batch))
    assert batches.run(batch) == 0
    said = capfd.readouterr().out
    assert "2 runs: 2 complete; 2 computed now, 0 reused" in said
    assert "all 2 runs are done" in said
    words = (tmp_path / "asked").read_text().splitlines()
    assert {"profile=tiny", f"sweep={batch.sweep}", "--cores", "all"} <= set(words)
    assert batches.run(batch) == 0
    assert "2 runs: 2 complete; 0 computed now, 2 reused" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({}, "--cores all --resources mem_mb=1234"),
        ({"jobs": 3, "gpus": 2}, "--cores 3 --resources gpu=2"),
        ({"engine": Path("env/slurm")}, ""),
        ({"engine": Path("env/slurm"), "jobs": 3, "gpus": 2}, "--jobs 3 --resources gpu=2"),
    ],
)
def test_this_machines_cores_and_memory_limit_no_jobs_of_a_cluster(
    engine, batch, asked, limits, monkeypatch, tmp_path
):
    monkeypatch.setattr(batches, "machine_megabytes", lambda: 1234)
    engine(code=1)
    batches.run(replace(batch, **asked))
    words = " ".join((tmp_path / "asked").read_text().split("\n"))
    assert re.search(r"--profile \S*/env/\w+ ?(.*?) ?--config", words)[1] == limits
    assert f"gpus={asked.get('gpus', '')}" in words.split()


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_is_not_done_is_an_error_whatever_the_engine_says(engine, batch, capfd, code):
    engine(runs_of(batch)[:1], code)
    assert batches.run(batch) == 1
    said = capfd.readouterr().out
    assert "2 runs: 1 complete, 1 missing; 1 computed now, 0 reused" in said
    assert "1 of 2 runs are not done" in said


def test_a_notebook_that_fails_is_an_error_and_is_made_again_by_the_next_batch(engine, batch, capfd):
    drawn = status.drawn("tiny", batch.sweep)[0]
    drawn.parent.mkdir(parents=True)
    drawn.touch()  # the batch engine has put the old one back
    engine(runs_of(batch), 1)
    with pytest.raises(ValueError, match="no"), failures.kept(str(drawn), ["notebook"], Path(drawn)):
        raise ValueError("no")
    assert batches.run(batch) == 1
    assert "all runs are done; their tables or figures are not" in capfd.readouterr().out
    assert drawn.stat().st_mtime == 0


def test_a_damaged_run_is_made_again(engine, batch, capfd):
    made = runs_of(batch)
    engine(made)
    assert batches.run(batch) == 0
    (made[0] / "rows.parquet").write_text("other")
    asked = made[0] / "manifest.json"
    engine(made[1:])  # makes nothing of the first
    assert batches.run(batch) == 1
    assert not asked.exists()
    assert f"{made[0]} is damaged and is computed again" in capfd.readouterr().out


def test_a_figure_whose_image_is_gone_is_drawn_again(engine, batch):
    engine(runs_of(batch))
    notebook = status.drawn("tiny", batch.sweep)[0]
    image = study.figure_place("headline", "tiny", batch.sweep).with_name("mine-headline.png")
    for path in (notebook, image):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    batches.run(batch)
    assert notebook.stat().st_mtime > 0
    image.unlink()
    batches.run(batch)
    assert notebook.stat().st_mtime == 0
