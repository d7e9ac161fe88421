"""Work files: what is damaged, missing or of another run is never taken, and the run ends in its rows."""

import json
import re
import resource
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest
from coupling import files, runs, seals
from coupling.runs import explainers, folders
from coupling.runs.result import WORK
from coupling.training import loop
from coupling.training.checkpoints import reached
from micro import VALUES, micro_spec

STEPS = {"steps": 4, "evaluations": 4, "learning_rate": 0.01}


class Stopped(Exception):
    """The process ends here."""


def stopped(spec, monkeypatch, after):
    """Run until the checkpoint of a step is written. Returns the folder of the work."""
    real = loop.save_checkpoint

    def save(folder, model, optimizer, step, history):
        real(folder, model, optimizer, step, history)
        if step == after:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", save)
        with pytest.raises(Stopped):
            runs.explain(spec)
    return folders.run_folder(spec) / WORK


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder of the model and the items that all runs here share."""
    return tmp_path_factory.mktemp("micro")


@pytest.fixture(scope="module")
def spec(place):
    return micro_spec(place, **STEPS)


@pytest.fixture(scope="module")
def want(spec, place):
    """The rows of a run that was never stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUPLING_RESULTS", str(place / "results"))
        return runs.explain(spec).table("rows")


def flip(path):
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def stray(path):
    shutil.copy(path, path.with_name("rows-000099.parquet"))


def foreign(path):
    """Put the rows of another step in the place of these, with their seal."""
    other = path.with_name("rows-000001.parquet")
    for source, target in ((other, path), (seals.seal_file(other), seals.seal_file(path))):
        shutil.copy(source, target)


def fewer(path):
    files.write_table(path, files.read_table(path).head(2))


def gone(path):
    path.unlink()


@pytest.mark.parametrize("harm", [flip, truncated, stray, foreign, fewer, gone])
def test_parts_that_are_not_those_of_the_run_are_made_again(spec, want, monkeypatch, harm, capfd):
    harm(stopped(spec, monkeypatch, 3) / "rows-000002.parquet")
    result = runs.explain(spec)
    pd.testing.assert_frame_equal(result.table("rows"), want, check_exact=True)
    assert harm is stray or "training begins from nothing" in capfd.readouterr().err


@pytest.mark.parametrize("harm", [flip, truncated])
def test_a_damaged_checkpoint_is_not_taken(spec, want, monkeypatch, harm, capfd):
    harm(stopped(spec, monkeypatch, 3) / "stage-0" / "checkpoint.safetensors")
    pd.testing.assert_frame_equal(runs.explain(spec).table("rows"), want, check_exact=True)
    assert "checkpoint.safetensors is damaged" in capfd.readouterr().err


def test_the_checkpoint_of_another_run_is_not_taken(spec, want, place, monkeypatch):
    other = stopped(micro_spec(place, **STEPS, seed=1), monkeypatch, 3)
    shutil.copytree(other, stopped(spec, monkeypatch, 1), dirs_exist_ok=True)
    pd.testing.assert_frame_equal(runs.explain(spec).table("rows"), want, check_exact=True)


def test_damaged_shared_files_are_made_again(spec, want, place, capfd):
    runs.explain(micro_spec(place, **STEPS, kl_weight=0.0))
    flip(folders.shared_file(spec, ".parquet"))
    truncated(folders.shared_file(spec, ".json"))
    pd.testing.assert_frame_equal(runs.explain(spec).table("rows"), want, check_exact=True)
    said = capfd.readouterr().err
    assert f"{folders.shared_file(spec, '.parquet')} is damaged" in said
    assert f"{folders.shared_file(spec, '.json')} is damaged" in said


def test_a_run_that_ends_within_an_evaluation_need_not_train_again(spec, want, monkeypatch):
    real = explainers.evaluate

    def evaluate(model, items, *rest):
        if reached(folders.run_folder(spec) / WORK / "stage-0") == 2:
            raise Stopped
        return real(model, items, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(explainers, "evaluate", evaluate)
        with pytest.raises(Stopped):
            runs.explain(spec)
    steps = []
    real_step = loop.add_gradients
    monkeypatch.setattr(loop, "add_gradients", lambda *of: steps.append(1) or real_step(*of))
    pd.testing.assert_frame_equal(runs.explain(spec).table("rows"), want, check_exact=True)
    assert len(steps) == 2


TOLD = """
import json, os, signal, sys
from coupling import runs, spec
from coupling.training import loop
real, taken = loop.add_gradients, []
def add_gradients(*of):
    taken.append(1)
    if len(taken) == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    return real(*of)
loop.add_gradients = add_gradients
runs.explain(spec.make_spec(**json.loads(sys.argv[1])))
"""


def test_a_run_that_is_told_to_end_writes_a_checkpoint_and_leaves(spec, want):
    values = VALUES | STEPS | {"model": spec.model, "task": spec.task}
    done = subprocess.run([sys.executable, "-c", TOLD, json.dumps(values)], capture_output=True)
    assert done.returncode == -signal.SIGTERM, done.stderr.decode()
    assert reached(folders.run_folder(spec) / WORK / "stage-0") == 3
    assert not folders.complete(folders.run_folder(spec))
    pd.testing.assert_frame_equal(runs.explain(spec).table("rows"), want, check_exact=True)


def test_a_disk_that_fills_up_is_one_clear_line_at_every_artefact_and_never_a_result(spec, want):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    told = []
    for most in (8, 1000, 8000, 16000, 40000):  # bytes of a file
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            runs.explain(spec)
        except files.StoreError as error:
            told.append(str(error))
            assert not folders.complete(folders.run_folder(spec))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(told) >= 3
    assert all(re.fullmatch(r"cannot write \S+ \(.*\): make room there.* and run again", one) for one in told)
    pd.testing.assert_frame_equal(runs.explain(spec).table("rows"), want, check_exact=True)


@pytest.mark.parametrize("steps", [1, 3])
def test_weights_that_are_no_numbers_diverge_at_whatever_step(place, steps):
    spec = micro_spec(place, steps=steps, evaluations=1, learning_rate=1e30)
    result = runs.explain(spec)
    assert result.manifest["status"] == "diverged"
    assert "lower learning_rate=1e+30" in result.manifest["error"]
    rows = result.table("rows")
    assert set(rows["step"]) == {0}
    assert rows.filter(like="logp").notna().all(axis=None)
