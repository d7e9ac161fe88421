"""The command line: what each command prints for programs, and how an error is said."""

import errno
import json
import os
import shutil
import sys

import pytest
from conftest import SMALL
from coupling import cli, files, runs
from coupling import spec as specs
from coupling.runs import folders, records
from made_results import finished
from own_sweeps import own_sweep
from typer.testing import CliRunner


def printed(*words):
    """What a command printed as JSON."""
    done = CliRunner().invoke(cli.app, [*map(str, words), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_tasks_and_packages_are_listed():
    assert {"name", "sources", "choices", "cues"} <= printed("tasks")[0].keys()
    assert {row["name"] for row in printed("fetch")} >= {"mmlu", "gemma-3-270m"}


def test_the_runs_of_a_sweep_are_listed_and_counted():
    assert len(printed("plan", "--seeds", "5")["runs"]) == 20
    assert printed("status")[0]["missing"] == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [(["fetch", "nothing"], "unknown package"), (["figures", "--only", "x"], "unknown figure")],
)
def test_unknown_names_are_refused(words, message):
    assert message in str(CliRunner().invoke(cli.app, words).exception)


def test_status_and_plan_tell_what_is_published(spec, tmp_path):
    sweep = own_sweep(tmp_path)
    both = [spec.model_copy(update={"kl_weight": weight}) for weight in (1.0, 0.0)]
    for one in both:
        runs.explain(one)
    records.publish("headline", both)
    shutil.rmtree(files.results_dir())
    assert printed("status", "--sweep", sweep)[0]["published"] == 2
    assert [row["published"] for row in printed("plan", "--sweep", sweep)["runs"]] == [True, True]


def test_every_field_of_the_spec_is_an_option_of_run():
    wide = {"COLUMNS": "300", "TERMINAL_WIDTH": "300"}
    text = " ".join(CliRunner().invoke(cli.app, ["run", "--help"], env=wide).stdout.split())
    for name, field in specs.Spec.model_fields.items():
        assert f"--{name}" in text
        assert field.description[:30] in text


def test_run_makes_the_run_of_the_options(spec):
    options = [w for n, v in SMALL.items() for w in ([f"--{n}"] if v is True else [f"--{n}", v])]
    done = printed("run", *options)
    assert done[0]["status"] == "complete"
    assert done[0]["key"] == specs.key(spec, "explain")


def test_clear_forgets_damaged_results_alone_or_all_results_of_a_sweep(spec, tmp_path):
    sweep = own_sweep(tmp_path)
    made = [folders.m0_folder(spec), folders.base_folder(spec), folders.run_folder(spec)]
    for folder, stage in zip(made, ("m0", "base", "explain"), strict=True):
        finished(folder, stage)
    clear = ["clear", "--sweep", str(sweep)]
    assert CliRunner().invoke(cli.app, [*clear, "--damaged"]).stdout == ""
    (made[1] / "behaviours.parquet").write_text("damaged")
    assert "1 results forgotten" in CliRunner().invoke(cli.app, [*clear, "--damaged"]).stdout
    assert [folders.complete(folder) for folder in made] == [True, False, True]
    assert "3 results forgotten" in CliRunner().invoke(cli.app, clear).stdout
    assert not any(folders.complete(folder) for folder in made)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "error: /x/rows.parquet: No space left on device; make room there"),
        (errno.EACCES, "error: /x/rows.parquet: Permission denied; change the rights there"),
        (errno.EROFS, "error: /x/rows.parquet: Read-only file system; it can only be read"),
    ],
)
def test_what_the_system_refuses_is_said_in_one_line(monkeypatch, capsys, code, said):
    def refuse():
        raise OSError(code, os.strerror(code), "/x/rows.parquet")

    monkeypatch.setattr("coupling.tasks.describe", refuse)
    monkeypatch.setattr(sys, "argv", ["coupling", "tasks"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(said)


def test_relative_folders_are_meant_from_where_the_user_stands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUPLING_RESULTS", "mine")
    monkeypatch.setattr(sys, "argv", ["coupling", "tasks"])
    with pytest.raises(SystemExit):
        cli.main()
    assert os.environ["COUPLING_RESULTS"] == str(tmp_path / "mine")


def test_the_entry_point_says_errors_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["coupling", "run", "--rank", "0"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: rank=0")
