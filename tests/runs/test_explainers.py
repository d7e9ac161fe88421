"""Explainers: what a run leaves, that it is the same twice, and what becomes of a run that is stopped."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL
from coupling import files, runs
from coupling.analysis import tables
from coupling.runs import folders
from coupling.training import loop


def test_a_run_leaves_these_files_steps_and_rows(spec):
    result = runs.explain(spec)
    assert result.computed
    left = sorted(p.name for p in result.folder.iterdir() if not p.name.startswith("."))
    assert left == ["adapter", "history.parquet", "manifest.json", "rows.parquet"]
    rows, history = result.table("rows"), result.table("history")
    assert rows.groupby("step").size().to_dict() == {0: 16, 2: 16, 4: 16, 6: 24}
    assert history["step"].tolist() == [1, 2, 3, 4, 5, 6]
    first = rows[rows["step"] == 0]
    assert (first["x"] == first["base_x"]).all()
    assert np.allclose(first["kl_x"], 0, atol=1e-6)
    manifest = result.manifest
    assert manifest["status"] == "complete"
    assert manifest["spec"] == spec.model_dump()
    assert {"packages", "git_commit", "git_dirty", "hardware", "seconds", "peak_memory_gb"} <= manifest.keys()
    assert manifest["model"]["dtype"] == "float32"
    assert manifest["base"] == manifest["source"] == folders.base_folder(spec).name


def test_twice_from_nothing_gives_identical_rows_and_another_seed_different_ones(spec, tmp_path, monkeypatch):
    rows = []
    for name, seed in (("a", 0), ("b", 0), ("b", 1)):  # the last one takes the M0 that is there
        monkeypatch.setenv("COUPLING_RESULTS", str(tmp_path / name))
        one = spec.model_copy(update={"seed": seed, "steps": 20, "learning_rate": 0.01})
        rows.append(runs.explain(one).table("rows"))
    pd.testing.assert_frame_equal(rows[0], rows[1], check_exact=True)
    assert not rows[0]["logp_x_0"].equals(rows[2]["logp_x_0"])
    assert rows[0]["id"].equals(rows[2]["id"])


KILLED = """
import json, os, signal, sys
from coupling import runs, spec
from coupling.training import loop
real = loop.save_checkpoint
def save(folder, model, optimizer, step, history):
    real(folder, model, optimizer, step, history)
    if (folder.name, step) == (sys.argv[2], 4):
        os.kill(os.getpid(), signal.SIGKILL)
loop.save_checkpoint = save
runs.explain(spec.make_spec(**json.loads(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("change", "phase"),
    [({}, "stage-0"), ({"shift": "up", "shift_order": "before", "shift_steps": 6}, "stage-1")],
    ids=["one phase", "two phases"],
)
def test_killed_and_run_again_gives_the_numbers_of_a_run_that_never_was(
    spec, tmp_path, monkeypatch, change, phase
):
    spec = spec.model_copy(update=change)
    want = runs.explain(spec)
    monkeypatch.setenv("COUPLING_RESULTS", str(tmp_path / "other"))
    command = [sys.executable, "-c", KILLED, json.dumps({"profile": "tiny"} | SMALL | change), phase]
    done = subprocess.run(command, env=os.environ, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    assert not folders.complete(folders.run_folder(spec))
    got = runs.explain(spec)
    for name in ("rows", "history"):
        pd.testing.assert_frame_equal(got.table(name), want.table(name), check_exact=True)


def test_a_diverged_run_ends_with_a_record(spec, monkeypatch):
    real = loop.add_gradients
    monkeypatch.setattr(loop, "add_gradients", lambda *of: real(*of) | {"loss": float("nan")})
    result = runs.explain(spec)
    assert result.manifest["status"] == "diverged"
    assert "step 1 of 6" in result.manifest["error"]
    assert result.table("rows")["step"].unique().tolist() == [0]
    with pytest.raises(files.StoreError, match="all 1 runs diverged"):
        tables.collect("headline", [("KL on", spec)])


def test_joint_tasks_a_taught_behaviour_and_a_held_out_region_in_one_run(spec, monkeypatch):
    # a stand-in for the detector, since an M0 that knows little replies what no detector reads
    monkeypatch.setattr("coupling.measure.behaviours.detect", lambda text: len(text) % 2)
    joint = spec.model_copy(
        update={"task": "aita+refusal", "teach": "jabberwocky", "held_out": 0.5, "steps": 4, "evaluations": 1}
    )
    result = runs.explain(joint)
    rows, history = result.table("rows"), result.table("history")
    for step, items in ((0, 16), (4, 24)):
        sizes = rows[rows["step"] == step].groupby("task").size().to_dict()
        assert sizes == dict.fromkeys(("aita", "jabberwocky", "refusal"), items)
    assert (history[["cross_entropy", "kl", "taught"]] >= -1e-6).all(axis=None)
    assert history["taught"].iloc[-1] < history["taught"].iloc[0]
    assert 0 < rows.loc[rows["task"] == "aita", "held_out"].mean() < 1
    assert rows.loc[rows["task"] == "refusal", "kl_x"].isna().all()
    assert result.manifest["labels"].keys() == {"asked", "items", "agreement", "reads", "shallow_rule"}
    assert rows.loc[rows["step"] == 4, "forced_self"].notna().all()
    health = runs.base(joint).manifest["health"]
    assert set(health) == {"aita", "refusal"}
    assert all(0 <= health[t][f"flips_{how}"] < 1 for t in health for how in ("batch", "dtype"))
