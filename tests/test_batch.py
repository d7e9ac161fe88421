"""The batch engine: what the Snakefile plans, and a real batch of two tiny runs that `make study` starts."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from coupling import files
from coupling.runs import folders, graph
from coupling.spec import make_spec
from own_sweeps import CONDITIONS, own_sweep

ROOT = Path(__file__).parents[1]


def snakemake(*config):
    """Let the batch engine say what it would do."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "notebooks" / "Snakefile")]
    options = ["--dry-run", "--cores", "64", "--printshellcmds", "--nolock", "--resources", "gpu=8"]
    return subprocess.run([*command, "--config", *config, *options], capture_output=True, text=True, cwd=ROOT)


def planned(*config):
    """What the batch engine would do, as it prints it."""
    done = snakemake(*config)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return done.stdout + done.stderr


def inputs(plan, rule):
    """The folders whose manifests a rule of a plan waits for."""
    found = re.search(rf"^rule {rule}:\n    input: (.*)\n", plan, re.M)
    return [Path(path).parent for path in found[1].split(", ")] if found else []


@pytest.mark.parametrize(("sweep", "runs"), [("headline", 4), ("sources", 4)])
def test_the_paper_profile_is_planned_as_runs_on_eight_gpus(sweep, runs):
    asked = planned("profile=paper", f"sweep={sweep}", "gpus=8")
    rules = re.findall(r"^rule (\w+):", asked, re.M)
    assert len([name for name in rules if re.match(r"run_m0_s\d_", name)]) == runs
    assert asked.count("gpu=1") == len([name for name in rules if name.startswith(("run_", "base_"))])
    assert asked.count('"profile": "paper"') >= runs
    assert "OMP_NUM_THREADS=8 coupling notebooks" in asked


def test_a_profile_has_the_figures_of_its_own_conditions():
    asked = planned("profile=medium", "sweep=shift")
    assert "gpu=1" not in asked, "a cluster without GPUs must be able to run this"
    assert "tables/medium/shift/17_tracking" in asked
    assert '"sweep": "shift", "own": true}' in asked  # the batch's own tables
    assert "18_directions" not in asked
    assert "figures/data" not in asked  # no tracked file is written


def test_an_explainer_as_label_source_has_a_job_of_its_own_before_the_run_that_needs_it():
    plan = planned("profile=medium", "sweep=own_explainer")
    run = make_spec("medium", source="explainer=1")
    explained, source = graph.explainer(run.label_source.explained), graph.base(run.label_source)
    first = re.search(r"^rule (run_m0_s1_\w+):", plan, re.M)[1]
    base, last = (
        re.search(rf"^rule ({kind}_\w+_generation_{k}):", plan, re.M)[1]
        for kind, k in (("base", 1), ("run", 2))
    )
    assert f"output: {explained.folder}/manifest.json" in plan.split(f"rule {first}:")[1]
    assert inputs(plan, base) == [explained.folder]
    assert {source.folder, explained.folder} < set(inputs(plan, last))


def test_reading_the_snakefile_deletes_nothing_and_a_damaged_result_is_an_error(spec, tmp_path):
    sweep = own_sweep(tmp_path)
    damaged = folders.run_folder(spec)
    damaged.mkdir(parents=True)
    files.write_json(damaged / "manifest.json", {"files": {"rows.parquet": "0"}})
    done = snakemake(f"sweep={sweep}")
    assert done.returncode
    assert f"{damaged} is damaged" in done.stdout + done.stderr
    assert "coupling clear --damaged" in done.stdout + done.stderr
    assert (damaged / "manifest.json").exists()


# Stands in for the command `coupling`: makes manifests in place of notebooks. While it makes the base,
# another batch makes the runs. It fails where the manifest of such a run is gone.
OTHER_BATCH = """#!{python}
import json, pathlib, sys
for _, out, _ in json.loads(sys.argv[2]):
    path = pathlib.Path(out).parent / "manifest.json"
    if path.parent.name.startswith("base-"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("own")
        for run in {runs}:
            pathlib.Path(run).mkdir(parents=True, exist_ok=True)
            (pathlib.Path(run) / "manifest.json").write_text("other")
    elif not path.exists() or path.read_text() != "other":
        sys.exit(str(path) + " of another batch was deleted")
"""


def test_a_batch_deletes_no_run_that_another_batch_finished_meanwhile(spec, tmp_path):
    sweep = own_sweep(tmp_path)
    found = [str(folders.run_folder(spec.model_copy(update={"kl_weight": w}))) for w in (1.0, 0.0)]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "coupling").write_text(OTHER_BATCH.format(python=sys.executable, runs=found))
    (tmp_path / "bin" / "coupling").chmod(0o755)
    wanted = [f"{run}/manifest.json" for run in found]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(ROOT / "notebooks" / "Snakefile"),
        *wanted,
    ]
    options = ["--profile", str(ROOT / "env" / "local"), "--cores", "1", "--config", f"sweep={sweep}"]
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert [Path(path).read_text() for path in wanted] == ["other", "other"]


def test_two_sweeps_of_one_name_are_refused(tmp_path):
    own_sweep(tmp_path).rename(tmp_path / "headline.yaml")
    done = snakemake(f"sweep={tmp_path}/headline.yaml+headline")
    assert done.returncode
    assert "have one name" in done.stdout + done.stderr


def test_paths_reach_notebooks_absolute(tmp_path):
    rows = [
        {
            "id": f"{k}",
            "group": f"{k}",
            "prompt": "Q? hint A",
            "cue": " hint A",
            "choices": ["A", "B"],
            "split": s,
        }
        for k, s in enumerate(("train", "test"))
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    here = os.path.relpath(tmp_path, ROOT)
    own_sweep(tmp_path, values={}, profiles={"medium": None}, tasks=[f"file:{here}/items.jsonl"])
    plan = planned(f"sweep={here}/mine.yaml", "profile=medium")
    assert plan.count(f'"task": "file:{tmp_path}/items.jsonl"') >= 3
    assert f'"sweep": "{tmp_path}/mine.yaml"' in plan


@pytest.mark.parametrize("inside", [False, True], ids=["make -C", "make"])
def test_make_takes_paths_from_where_the_user_stands(tmp_path, inside):
    where, options = (ROOT, []) if inside else (tmp_path, ["-C", str(ROOT)])
    for name in ("mine.yaml", "items.jsonl"):
        (tmp_path / name).touch()
    here = os.path.relpath(tmp_path, where)
    command = ["make", "-n", "-o", ".venv/ready", *options, "study"]
    words = [f"SWEEP={here}/mine.yaml+headline", f"TASK=file:{here}/items.jsonl"]
    environment = os.environ | {"PWD": str(where)}  # as a shell would set it
    done = subprocess.run([*command, *words], cwd=where, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.search(r"--sweep (.*)\+headline --task file:(\S*) +--engine", done.stdout).groups()
    assert [Path(path).resolve() for path in found] == [tmp_path / "mine.yaml", tmp_path / "items.jsonl"]
    assert all(Path(path).is_absolute() for path in found)


def study(sweep, *words, fails=False):
    """`make study` of a sweep from the folder of its file; what it printed, and what it counted."""
    command = ["make", "-o", ".venv/ready", "-C", str(ROOT), "study", f"SWEEP={sweep.name}", *words]
    environment = os.environ | {"PWD": str(sweep.parent)}
    done = subprocess.run(command, cwd=sweep.parent, env=environment, capture_output=True, text=True)
    assert bool(done.returncode) == fails, (done.stdout + done.stderr)[-3000:]
    line = re.search(r"^(\d+ runs: .* reused)$", done.stdout, re.M)[1]
    return done.stdout, {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", line)}


FAILS = {
    "allow_constant_labels": False,
    "train_items": 34,
}  # its labels are constant: an error before training


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_a_users_own_sweep_is_run_once_from_any_folder_and_again_only_when_forced(tmp_path):
    """One run that fails stops no other, and is listed with the command that repeats it."""
    sweep = own_sweep(tmp_path)
    tables = files.results_dir() / "tables" / "tiny" / "mine"
    said, counts = study(sweep)
    assert counts == {"runs": 2, "complete": 2, "computed": 2, "reused": 0}
    assert "My sweep. Is it mine?\ntiny, " in said
    log = Path(re.search(r"^log of the batch engine: (.*)$", said, re.M)[1])
    assert "rule tables_mine" in log.read_text()
    assert "rule tables_mine" not in said
    image = files.results_dir() / "figures" / "tiny" / "mine-headline.png"
    assert image.exists()
    assert re.search(rf"^{image}\n  [A-Z].*KL on.*\.$", said, re.M)  # what it shows
    assert not files.figures_dir().exists()  # nothing but results is written
    assert "2 explainers to train: time not known (not measured)" in said
    assert "all 2 runs are done" in said
    assert files.read_json(tables / "keys.json")["runs"][0]["condition"] == "KL on"
    made = {path: path.stat().st_mtime_ns for path in files.results_dir().rglob("manifest.json")}
    assert len(made) == 4  # M0, its base, two explainers

    said, counts = study(sweep)
    assert counts == {"runs": 2, "complete": 2, "computed": 0, "reused": 2}
    assert "nothing is to be done" in said
    assert "nothing is committed of it to compare with" in said

    own_sweep(tmp_path, conditions=CONDITIONS | {"fails": FAILS})
    said, counts = study(sweep, fails=True)
    assert counts == {"runs": 3, "complete": 2, "started": 1, "computed": 0, "reused": 2}
    assert "1 explainer to train: about" in said  # at the rate of the other two
    assert re.search(r"^  why:    LabelError: label .* more than 90 %", said, re.M)
    assert re.search(r"^  repeat: .*/coupling notebook notebooks/02_train.ipynb .*train_items=34", said, re.M)
    assert "1 of 3 runs are not done" in said
    assert {path: path.stat().st_mtime_ns for path in made} == made

    own_sweep(tmp_path)
    drawn = (tables / "10_headline.ipynb").stat().st_mtime_ns
    _, counts = study(sweep, "FORCE=1")
    assert counts == {"runs": 2, "complete": 2, "computed": 2, "reused": 0}
    assert all(path.stat().st_mtime_ns > then for path, then in made.items())
    assert (tables / "10_headline.ipynb").stat().st_mtime_ns > drawn
