"""The runner: a list of runs, made in a bare environment without network, and brought back."""

import importlib.metadata as installed
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import coupling
import pytest
from conftest import SMALL
from coupling import files, runs
from coupling.report import overview
from coupling.runs import batch, folders, records
from coupling.runs.spec_list import Listed, write_list
from coupling.spec import make_spec
from own_sweeps import own_sweep
from packaging.requirements import Requirement

# What the runner may need beside Python. PyYAML is imported as yaml.
ALLOWED = (
    "torch",
    "transformers",
    "peft",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "PyYAML",
    "safetensors",
)
# Starts the runner with these folders of packages alone, and without a network.
START = """
import runpy, socket, sys
def refuse(*_):
    raise OSError("there is no network")
socket.socket.connect = socket.getaddrinfo = refuse
sys.path[:0] = sys.argv.pop(1).split(":")
runpy.run_module("coupling.runs.batch", run_name="__main__", alter_sys=True)
"""


def bare_site(folder):
    """Link the allowed packages, and what these need themselves, into a folder."""
    folder.mkdir()
    waiting, seen = list(ALLOWED), set()
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        for entry in {path.parts[0] for path in installed.files(name)} - {"..", "__pycache__"}:
            if not (folder / entry).exists():
                (folder / entry).symlink_to(installed.distribution(name).locate_file(entry))
        for line in installed.requires(name) or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                waiting.append(need.name)
    return folder


def items_file(path):
    """Items of a user's own file, in words of the made-up world."""
    rows = [
        {
            "id": str(k),
            "group": str(k),
            "split": ("train", "test")[k % 2],
            "prompt": f"Colour of {'red' if k % 3 else 'blue'} ? {'A' if k % 5 else 'B'}",
            "cue": f" {'A' if k % 5 else 'B'}",
            "choices": ["A", "B"],
        }
        for k in range(64)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_list_is_run_in_a_bare_environment_and_its_records_come_back(tmp_path, m0, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, items = tmp_path / "here" / "micro", items_file(tmp_path / "own.jsonl")
    for part in (m0.model, m0.tokenizer):
        part.save_pretrained(model)
    own = {"model": str(model), "task": f"file:{items}", "m0_steps": 0}
    sweep = own_sweep(tmp_path, conditions={"KL on": {}, "KL off": {"kl_weight": 0.0}, "own": own})
    listed = tmp_path / "list.json"
    assert overview.write_specs("tiny", str(sweep), "", 0, listed) == {"listed": 3, "done": 0}

    away = tmp_path / "away"  # the other machine
    shutil.copytree(Path(coupling.__path__[0]), away / "lib" / "coupling")
    shutil.copytree(model, away / "models" / "micro")
    (away / "data").mkdir()
    shutil.copy(items, away / "data")
    shutil.rmtree(model)
    site = bare_site(tmp_path / "site")
    words = [listed, "--models", away / "models", "--data", away / "data", "--out", away / "out"]
    start = [sys.executable, "-I", "-S", "-c", START, f"{away / 'lib'}:{site}", *map(str, words)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COUPLING_")}
    found = [
        subprocess.run(start, cwd=away, env=clean, capture_output=True, text=True, timeout=300)
        for _ in range(2)
    ]
    assert [one.returncode for one in found] == [0, 0], found[0].stdout + found[0].stderr
    assert "3 of 3 runs done" in found[0].stdout
    assert found[1].stdout.count("complete, was there") == 3
    assert len(list((away / "out" / "results" / "tiny").glob("m0-*"))) == 1

    shutil.copytree(away / "models" / "micro", model)
    brought = overview.publish("tiny", str(sweep), carried=away / "out" / "data")["mine"]
    assert len(brought) == 6  # three runs, the bases of two M0s, and the one M0 that was prepared
    manifest = files.read_json(brought[-1] / "manifest.json")
    assert (manifest["model"]["device"], manifest["model"]["dtype"]) == ("cpu", "float32")
    assert "scipy" not in manifest["packages"]
    spec = make_spec("tiny", **SMALL)
    here = runs.explain(spec).table("rows").drop(columns="text")
    there = files.read_table(records.published(folders.run_folder(spec)) / "rows.parquet")
    assert here.equals(there.drop(columns="text"))
    assert overview.publish("tiny", str(sweep), carried=away / "out" / "data")["mine"] == []


@pytest.fixture
def given(tmp_path):
    """The folders of a command line for the runner; the list is still to be written."""
    for name in ("models", "data"):
        (tmp_path / name).mkdir()
    return [str(tmp_path / "list.json")] + [
        word for name in ("models", "data", "out") for word in (f"--{name}", str(tmp_path / name))
    ]


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """The runner sets variables of its process; each test has the old ones afterwards."""
    for name in (*files.FOLDERS, folders.CARRIED):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def test_a_run_that_fails_does_not_stop_the_others(given, capsys):
    bad, good = (make_spec("tiny", **SMALL, seed=seed) for seed in (0, 1))
    write_list(Path(given[0]), [Listed("mine", "bad", bad), Listed("mine", "good", good)])
    results = Path(given[-1]) / "results"
    in_its_way = results / "tiny" / folders.run_folder(bad).name
    in_its_way.parent.mkdir(parents=True)
    in_its_way.write_text("a file where the run's folder should be")
    assert batch.main(given) == 1
    said = capsys.readouterr().out
    assert "1 of 2 runs done" in said
    assert f"failed: mine, bad, {in_its_way.name}: cannot write {in_its_way}" in said
    assert "Traceback" in next(results.glob("failed/*.txt")).read_text()
    in_its_way.unlink()
    assert batch.main(given) == 0
    assert "complete, was there" in capsys.readouterr().out


def test_what_is_missing_is_said_before_any_compute(given, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COUPLING_CACHE", str(tmp_path / "cache"))
    spec = make_spec("medium", judge="SmolLM2-135M-Instruct")
    write_list(Path(given[0]), [Listed("gate", "one", spec)])
    assert batch.main(given) == 2
    said = capsys.readouterr().err
    assert "Qwen2.5-Coder-1.5B-Instruct, SmolLM2-135M-Instruct, mmlu" in said
    assert "coupling fetch" in said
    assert not files.results_dir().exists()


def test_a_condition_stays_on_one_device(given, capsys, monkeypatch):
    both = [make_spec("tiny", **SMALL, seed=seed) for seed in (0, 1)]
    write_list(Path(given[0]), [Listed("mine", "one", both[0])])
    assert batch.main(given) == 0
    done = folders.run_folder(both[0])
    manifest = files.read_json(done / "manifest.json")
    manifest["model"]["device"] = "cuda:0"
    folders.write_manifest(done, manifest)
    write_list(Path(given[0]), [Listed("mine", "one", one) for one in both])
    assert batch.main(given) == 2
    assert "cuda, float32" in capsys.readouterr().err
