"""The whole way at the smallest size: M0, labels, training, rows, tables, figures, the command line."""

import itertools
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import SMALL
from coupling import cli, files, runs
from coupling import spec as specs
from coupling.analysis import tables
from coupling.measure.explanations import LabelError, labels
from coupling.models import Loaded
from coupling.report import figures, notebooks, pages, walkthrough
from coupling.runs import bases, folders
from coupling.tasks import TaskError
from coupling.training import loop as training
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]


def test_a_run_leaves_these_files_steps_and_rows(spec):
    result = runs.explain(spec)
    assert result.computed
    assert sorted(p.name for p in result.folder.iterdir() if not p.name.startswith(".")) == [
        "adapter",
        "history.parquet",
        "manifest.json",
        "rows.parquet",
    ]
    rows, history = result.table("rows"), result.table("history")
    assert rows.groupby("step").size().to_dict() == {0: 16, 2: 16, 4: 16, 6: 24}
    assert history["step"].tolist() == [1, 2, 3, 4, 5, 6]
    first = rows[rows["step"] == 0]
    assert (first["x"] == first["base_x"]).all()
    assert np.allclose(first["kl_x"], 0, atol=1e-6)
    manifest = result.manifest
    assert manifest["status"] == "complete"
    assert manifest["spec"] == spec.model_dump()
    assert {
        "packages",
        "git_commit",
        "git_dirty",
        "hardware",
        "seconds",
        "peak_memory_gb",
        "model",
    } <= manifest.keys()
    assert manifest["model"]["dtype"] == "float32"


def test_twice_from_nothing_gives_identical_rows_and_another_seed_different_ones(spec, tmp_path, monkeypatch):
    rows = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        monkeypatch.setenv("COUPLING_RESULTS", str(tmp_path / name))
        rows.append(
            runs.explain(spec.model_copy(update={"seed": seed, "steps": 20, "learning_rate": 0.01})).table(
                "rows"
            )
        )
    pd.testing.assert_frame_equal(rows[0], rows[1], check_exact=True)
    assert not rows[0]["logp_x_0"].equals(rows[2]["logp_x_0"])
    assert rows[0]["id"].equals(rows[2]["id"])


def test_an_m0_is_gone_before_another_is_loaded(spec, monkeypatch):
    alive = []

    def load(source, dtype, revision):
        assert not [m for m in alive if m()]
        model = torch.nn.Linear(1, 1)
        model.itself = [model]
        alive.append(weakref.ref(model))
        return Loaded(model, None, torch.float32)

    monkeypatch.setattr("coupling.runs.m0.load_from", load)
    organism, real = spec, spec.model_copy(update={"m0_steps": 0, "model": str(ROOT)})
    models = runs.Models()
    for asked in (organism, organism, real, organism):
        models.load(asked)
    assert len(alive) == 3
    models.let_go()
    assert not [m for m in alive if m()]


def test_what_is_complete_is_reused_and_what_is_damaged_or_forced_is_computed(spec):
    folder = runs.explain(spec).folder
    assert not runs.explain(spec).computed
    before = files.read_table(folder / "rows.parquet")
    (folder / "rows.parquet").write_bytes(b"damaged")
    assert runs.explain(spec).computed
    pd.testing.assert_frame_equal(files.read_table(folder / "rows.parquet"), before)
    assert runs.explain(spec, force=True).computed
    assert not runs.base(spec).computed


KILLED = """
import os, signal, sys
from coupling import runs, spec
from coupling.training import loop as training
real = training.save_checkpoint
def save(folder, model, optimizer, step, history):
    real(folder, model, optimizer, step, history)
    if (folder.name, step) == (sys.argv[2], 4):
        os.kill(os.getpid(), signal.SIGKILL)
training.save_checkpoint = save
import json
runs.explain(spec.make_spec(**json.loads(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("change", "stage"),
    [({}, "stage-0"), ({"shift": "up", "shift_order": "before", "shift_steps": 6}, "stage-1")],
    ids=["one stage", "two stages"],
)
def test_killed_and_run_again_gives_the_numbers_of_a_run_that_never_was(
    spec, tmp_path, monkeypatch, change, stage
):
    spec = spec.model_copy(update=change)
    want = runs.explain(spec)
    monkeypatch.setenv("COUPLING_RESULTS", str(tmp_path / "other"))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps({"profile": "tiny"} | SMALL | change), stage],
        env=os.environ,
        capture_output=True,
    )
    assert done.returncode == -9, done.stderr.decode()
    assert not folders.complete(folders.run_folder(spec))
    got = runs.explain(spec)
    pd.testing.assert_frame_equal(got.table("rows"), want.table("rows"), check_exact=True)
    pd.testing.assert_frame_equal(got.table("history"), want.table("history"), check_exact=True)


def test_constant_labels_are_refused_before_any_training(spec, monkeypatch):
    strict = spec.model_copy(update={"allow_constant_labels": False})
    monkeypatch.setattr(
        "coupling.runs.material.fixed_labels", lambda spec, items, *_: ["stays at A"] * len(items)
    )
    monkeypatch.setattr("coupling.runs.explainers.train", lambda *a: pytest.fail("trained"))
    with pytest.raises(LabelError, match="stays at A"):
        runs.explain(strict)


def test_bad_items_end_a_run_before_any_compute(tmp_path, monkeypatch):
    row = {"group": "g", "prompt": "Q? hint A", "cue": " hint A", "choices": ["A", "B"]}
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(json.dumps(row | {"id": s, "split": s}) for s in ("train", "test")))
    monkeypatch.setattr(runs.Models, "load", lambda *a: pytest.fail("loaded a model"))
    with pytest.raises(TaskError, match="1 groups stand in training and in test"):
        runs.explain(specs.make_spec("medium", task=f"file:{path}"))


def test_a_diverged_run_ends_with_a_record(spec, monkeypatch):
    real = training.add_gradients
    monkeypatch.setattr(training, "add_gradients", lambda *of: real(*of) | {"loss": float("nan")})
    result = runs.explain(spec)
    assert result.manifest["status"] == "diverged"
    assert "step 1 of 6" in result.manifest["error"]
    assert result.table("rows")["step"].unique().tolist() == [0]
    with pytest.raises(files.StoreError, match="all 1 runs diverged"):
        tables.collect("headline", [("KL on", spec)])


def test_an_m0_that_does_not_reach_its_regime_is_an_error_with_a_way_out(spec):
    with pytest.raises(RuntimeError, match=r"m0_knowledge=1.0.*raise m0_steps"):
        runs.base(spec.model_copy(update={"m0_knowledge": 1.0}))


def test_joint_tasks_a_taught_behaviour_and_a_held_out_region_in_one_run(spec, monkeypatch):
    monkeypatch.setattr(
        "coupling.behaviours.detect", lambda text: len(text) % 2
    )  # replies of an M0 that knows little
    joint = spec.model_copy(
        update={"task": "aita+refusal", "teach": "jabberwocky", "held_out": 0.5, "steps": 4, "evaluations": 1}
    )
    result = runs.explain(joint)
    rows, history = result.table("rows"), result.table("history")
    assert rows[rows["step"] == 4].groupby("task").size().to_dict() == {
        "aita": 24,
        "jabberwocky": 24,
        "refusal": 24,
    }
    assert rows[rows["step"] == 0].groupby("task").size().to_dict() == {
        "aita": 16,
        "jabberwocky": 16,
        "refusal": 16,
    }
    shown = notebooks.run_measures(result)
    assert shown.groupby("task")["step"].apply(list).to_dict() == {
        t: [0, 4] for t in ("aita", "refusal", "jabberwocky")
    }
    assert (history[["cross_entropy", "kl", "taught"]] >= -1e-6).all(axis=None)
    assert history["taught"].iloc[-1] < history["taught"].iloc[0]
    assert 0 < rows.loc[rows["task"] == "aita", "held_out"].mean() < 1
    assert rows.loc[rows["task"] == "refusal", "kl_x"].isna().all()
    assert result.manifest["labels"].keys() == {"asked", "items", "agreement", "shallow_rule"}
    assert rows.loc[rows["step"] == 4, "forced_self"].notna().all()
    health = runs.base(joint).manifest["health"]
    assert set(health) == {"aita", "refusal"}
    assert all(0 <= health[t][f"flips_{how}"] < 1 for t in health for how in ("batch", "dtype"))
    alone = joint.model_copy(update={"explanation_weight": 0.0})
    assert (runs.explain(alone).table("history")["cross_entropy"] == 0).all()
    plan = [("both", joint), ("behaviour alone", alone)]
    tables.write(tables.collect("new_behaviour", plan), tables.folder("tiny", "new_behaviour"))
    for name in ("new_behaviour", "held_out"):
        assert figures.figure(name, "tiny", "new_behaviour").axes
    regions = tables.read("tiny", "new_behaviour").regions
    assert set(regions.loc[regions["task"] == "aita", "region"]) == {"labelled", "held out"}


def test_replies_that_are_no_choice_have_no_label_and_are_counted(spec, monkeypatch):
    found = itertools.cycle([0, 1, 1, 0, None])
    monkeypatch.setattr("coupling.behaviours.detect", lambda text: next(found))
    odd = spec.model_copy(update={"task": "refusal", "train_items": 64})
    result = runs.explain(odd)
    b0 = runs.base(odd).table("behaviours")
    known = (b0[["x_0", "x_1"]].max(axis=1) == 0) & (b0[["cf_0", "cf_1"]].max(axis=1) == 0)
    rows = result.table("rows")
    assert len(rows[rows["step"] == 6]) == known.sum() < 24
    labels = result.manifest["labels"]
    assert labels["items"] < labels["asked"] == 64
    assert labels["agreement"] == 1
    monkeypatch.setattr("coupling.behaviours.detect", lambda text: None)
    with pytest.raises(LabelError, match="no training item has a label"):
        runs.explain(odd.model_copy(update={"m0_seed": 1}))


def test_m0_is_prepared_once_for_all_tasks(spec):
    runs.base(spec)
    other = spec.model_copy(update={"task": "aita"})
    assert not runs.prepared(other).computed
    assert runs.base(other).computed
    assert walkthrough.walkthrough(runs.base(spec), "refusal")["text"].str.contains("Without my reason").any()
    assert walkthrough.item_whole("tiny", "jabberwocky")["text"].str.contains("tove").any()


@pytest.fixture
def study(spec):
    """Two M0 seeds x two explainers, with tables written where the commands look for them."""
    plan = [
        (c, spec.model_copy(update={"m0_seed": m, "seed": s, "kl_weight": k}))
        for m in (0, 1)
        for s in (0, 1)
        for c, k in (("KL on", 1.0), ("KL off", 0.0))
    ]
    for _, one in plan[:-1]:
        runs.explain(one)
    with pytest.raises(files.StoreError, match="1 of 8 runs have not finished"):
        tables.collect("headline", plan)
    runs.explain(plan[-1][1])
    tables.write(tables.collect("headline", plan), tables.folder("tiny", "headline"))
    return plan


def test_tables_figures_and_summary(study, tmp_path):
    where = tables.folder("tiny", "headline")
    before = {p.name: p.read_bytes() for p in where.iterdir()}
    tables.write(tables.collect("headline", study), where)
    assert {p.name: p.read_bytes() for p in where.iterdir()} == before
    for name in ("headline", "dynamics", "held_out", "teacher_matrix", "depth"):
        drawn = figures.figure(name, "tiny", "headline")
        assert drawn.axes
        for ending in ("png", "pdf", "json"):
            assert (files.figures_dir() / "tiny" / f"headline-{name}.{ending}").stat().st_size > 100
    saved = files.read_json(files.figures_dir() / "tiny" / "headline-headline.json")
    assert saved["runs"] == [specs.key(s, "explain") for _, s in study]
    figures.schematic_figure()
    index = pages.write_index().read_text()
    assert "headline-dynamics" in index
    assert "| KL off |" in index
    figures.write_study_tables()
    assert "| organism | headline | hint_qa | KL off |" in pages.results_block()
    scale = figures.study_table("scale")
    assert scale[["model", "parameters"]].drop_duplicates().to_numpy().tolist() == [
        ["organism", scale["parameters"].iloc[0]]
    ]
    assert len(figures.study_figure("scale").axes) == 2
    behind = files.read_json(files.figures_dir() / "scale.json")["runs"]
    assert behind == {"tiny/headline": saved["runs"]}

    invoke = CliRunner().invoke
    rows = json.loads(invoke(cli.app, ["summary", "--json"]).stdout)
    assert [list(r) for r in rows] == [tables.SUMMARY] * 2
    items = files.read_table(where / "items.parquet")
    for row in rows:
        mine = items[items["condition"] == row["condition"]]
        assert row["self"] == pytest.approx(mine["self"].mean())
        assert row["gap"] == pytest.approx(mine["self"].mean() - mine["target"].mean())
        assert (row["seeds"], row["items"]) == (2, 24)
    assert "KL on" in invoke(cli.app, ["summary", "--compare"]).stdout


def test_the_headline_draws_the_means_and_intervals_of_its_table(study):
    data = tables.read("tiny", "headline")
    drawn = figures.headline.draw(data.summary, data.runs, "KL on and off")
    bars = [c for c in drawn.axes[0].containers if hasattr(c, "lines")]
    heights = sorted(float(c.lines[0].get_ydata()[0]) for c in bars)
    assert heights == pytest.approx(sorted([*data.summary["self"], *data.summary["target"]]))


def test_a_curve_stands_at_its_sweeps_values_or_at_what_was_measured(study):
    names = {"KL off": "0", "KL on": "1"}
    tables.write(
        tables.collect("kl_weight", [(names[c], s) for c, s in study]), tables.folder("tiny", "kl_weight")
    )
    drawn = figures.figure("curve", "tiny", "kl_weight")
    assert sorted(drawn.axes[0].containers[0].lines[0].get_xdata()) == pytest.approx(
        [0.0, 1.0], abs=0.01
    )  # marks stand side by side
    data = tables.read("tiny", "kl_weight")
    assert (data.summary["source_agreement_mean"] == 1).all()
    measured = figures.curve.draw(data.summary, "source_agreement", None)
    assert set(measured.axes[0].containers[0].lines[0].get_xdata()) == {1.0}


def test_comparison_with_the_committed_summary():
    now = pd.DataFrame(
        {"task": ["t", "t"], "condition": ["a", "b"], "gap": [0.1, 0.5], "excess": [0.1, np.nan]}
    )
    for m in ("gap", "excess"):
        now[f"{m}_low"], now[f"{m}_high"] = now[m] - 0.1, now[m] + 0.1
    then = now.assign(gap=0.1, gap_low=0.0, gap_high=0.2)
    assert tables.compare(now, then)["gap_within"].tolist() == [True, False]
    assert tables.compare(now, then)["excess_within"].tolist() == [True, None]


def test_nothing_to_draw_names_the_command_that_makes_it():
    with pytest.raises(files.StoreError, match="make study PROFILE=tiny SWEEP=headline"):
        tables.read("tiny", "headline")


def test_commands(spec, monkeypatch):
    invoke = CliRunner().invoke
    assert {"name", "sources", "choices", "cues"} <= json.loads(invoke(cli.app, ["tasks", "--json"]).stdout)[
        0
    ].keys()
    assert len(json.loads(invoke(cli.app, ["plan", "--json", "--seeds", "5"]).stdout)) == 20
    assert json.loads(invoke(cli.app, ["status", "--json"]).stdout)[0]["missing"] == 12
    assert {r["name"] for r in json.loads(invoke(cli.app, ["fetch", "--json"]).stdout)} >= {
        "mmlu",
        "gemma-3-270m",
    }
    assert "unknown package" in str(invoke(cli.app, ["fetch", "nothing"]).exception)
    assert "unknown figure" in str(invoke(cli.app, ["figures", "--only", "x"]).exception)
    text = " ".join(
        invoke(cli.app, ["run", "--help"], env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"}).stdout.split()
    )
    for name, field in specs.Spec.model_fields.items():
        assert f"--{name}" in text
        assert field.description[:30] in text
    options = [w for n, v in SMALL.items() for w in ([f"--{n}"] if v is True else [f"--{n}", str(v)])]
    done = json.loads(invoke(cli.app, ["run", "--json", *options]).stdout)
    assert done[0]["status"] == "complete"
    assert done[0]["key"] == specs.key(spec, "explain")


def test_the_entry_point_says_errors_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["coupling", "run", "--rank", "0"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: rank=0")


def test_a_walkthrough_shows_an_item_whole(spec, capsys):
    base = runs.base(spec)
    shown = walkthrough.walkthrough(base).set_index("step")["text"]
    assert shown["label L(M0), by letter"].startswith(("stays at", "changes to"))
    assert "Without the hint?" in shown["explanation request"]
    notebooks.report("01_base_model", base)
    assert "-p entities=24" in capsys.readouterr().out


def test_the_flip_noise_floor_compares_the_model_with_itself_computed_otherwise(spec, m0, items, monkeypatch):
    seen = []
    real = bases.behaviours
    monkeypatch.setattr(
        bases,
        "behaviours",
        lambda model, some, batch: seen.append((model.dtype, batch)) or real(model, some, batch),
    )
    again = bases.computed_otherwise(m0, items[1], spec)
    assert seen == [
        (torch.float32, 1),
        (torch.bfloat16, 8),
    ]  # an eighth of the batch of 8; the other precision
    assert again["batch"] == labels(items[1], real(m0, items[1], spec.eval_batch), "letter")
    assert m0.dtype == torch.float32
