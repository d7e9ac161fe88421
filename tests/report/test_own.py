"""A study of a user's own items: what is refused before any compute, and one from the file to the figure."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from coupling import cli, files
from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.report import own, own_text, planning, study
from coupling.report.execute import Job, execute, parameters
from coupling.spec import SpecError
from coupling.tasks import TaskError
from own_items import FEW, own_files, row, words
from typer.testing import CliRunner

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_your_data.ipynb"


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A user's folder with items and a model, in which the user stands."""
    folder = tmp_path / "my things"
    folder.mkdir()
    own_files(folder)
    monkeypatch.chdir(folder)
    return folder


def test_a_study_is_a_sweep_of_explainers_and_one_control_with_as_many_items_as_there_are(user):
    asked = own.prepare("items.jsonl", "micro", 3, rank=2)
    plan = sweeps.plan(asked.profile, asked.sweep)
    assert [(condition, spec.seed) for condition, spec in plan] == [
        (own.TRUE, 0),
        (own.TRUE, 1),
        (own.TRUE, 2),
        (own.SHUFFLED, 0),
    ]
    specs = asked.specs
    assert {(spec.label_change, spec.label_change_share) for spec in specs[:3]} == {("none", 0.0)}
    assert (specs[3].label_change, specs[3].label_change_share) == ("shuffled", 1.0)
    assert {(s.train_items, s.test_items, s.rank) for s in specs} == {(8, 8, 2)}
    assert {(s.task, s.model) for s in specs} == {(f"file:{user}/items.jsonl", f"{user}/micro")}
    assert study.load(asked.sweep).figures == ["headline"]
    assert not list(files.results_dir().rglob("manifest.json"))


def test_a_study_has_a_file_of_its_own_by_what_it_measures_and_more_explainers_go_on_from_fewer(user):
    two, again, three, other = (
        own.prepare("items.jsonl", "micro", count, rank=rank)
        for count, rank in ((2, 2), (2, 2), (3, 2), (2, 4))
    )
    assert two.sweep == again.sweep == three.sweep != other.sweep
    assert own.prepare(user / "items.jsonl", user / "micro", 2, rank=2).sweep == two.sweep
    Path("items.jsonl").write_text("\n".join(json.dumps(row(k)) for k in range(18)))
    assert own.prepare("items.jsonl", "micro", 2, rank=2).sweep != two.sweep


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"items": None}, "items: name a JSONL file"),
        ({"items": "nothing.jsonl"}, r"items=nothing\.jsonl: there is no file /.*nothing\.jsonl"),
        ({"model": ""}, r"model: name the model .*SmolLM2-135M-Instruct.*, a local folder, or a hub model"),
        ({"model": "organism"}, "model=organism: an organism knows nothing but its made-up world"),
        ({"model": "./micra"}, r"model=\./micra: there is no folder /"),
        ({"model": "micra"}, "model=micra: there is no such model; take a packaged model"),
        ({"model": "mmlu"}, "model=mmlu: there is no such model; take a packaged model"),
        ({"explainers": 1}, "explainers=1: give a whole number from 2 on"),
        ({"explainers": 0}, "explainers=0: give a whole number from 2 on"),
        ({"explainers": "three"}, "explainers=three: give a whole number"),
        ({"rank": 0}, "rank=0"),
        ({"entities": 3}, "entities=3: a study of own items takes model, "),
        ({"profile": "large"}, "unknown profile 'large'"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_compute(user, values, says):
    given = {"items": "items.jsonl", "model": "micro"} | values
    with pytest.raises(SpecError, match=says):
        own.prepare(**given)
    assert not files.results_dir().exists()


def test_bad_items_are_named_by_file_and_line(user):
    rows = [row(0), row(1, gold=1.5)]
    Path("items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(TaskError, match=r"items\.jsonl, line 2: item q1: gold=1\.5"):
        own.prepare("items.jsonl", "micro")
    Path("items.jsonl").write_text("\n".join(json.dumps(row(k, group="one")) for k in range(4)))
    with pytest.raises(TaskError, match="'one': splits must not share any"):
        own.prepare("items.jsonl", "micro")


def test_a_check_tells_what_it_found_and_gives_the_plan_a_time(user):
    asked = own.prepare("items.jsonl", "micro", 2, **FEW)
    greeted = own.greeting(own.prepare("items.jsonl", "micro", 2, **FEW | {"test_items": 100}))
    assert "itself does on 4 items" in greeted  # of train_items=4
    assert "tested on 8 other items" in greeted  # of a file with 8
    said = own.checked(asked)
    assert "all 4 label texts come back from the tokenizer" in said
    assert (
        "of its probability to the choices, and runs with less than 50% count as collapsed; end each" in said
    )
    assert f"coupling check --items {user}/items.jsonl" in said.replace("'", "")
    parts = planning.plan(asked.profile, asked.sweep).parts
    assert {part.kind for part in parts} == {"base", "explainer"}
    assert all(part.seconds > 0 and "short trial" in part.basis for part in parts)


def test_a_model_that_cannot_be_asked_is_refused_before_anything_is_trained(user):
    config = user / "micro" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 8}))
    done = CliRunner().invoke(
        cli.app, ["study", "--items", "items.jsonl", "--model", "micro", "--explainers", "2"]
    )
    assert "max_position_embeddings=8" in str(done.exception)
    assert not list(files.results_dir().rglob("manifest.json"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--explainers", "3"], "explainers without items: it is of a study of your own"),
        (["--model", "micro"], "model without items: "),
        (["--items", "items.jsonl", "--sweep", "headline"], r"sweep with items=items\.jsonl"),
        (["--items", "items.jsonl", "--model", "micro", "--seeds", "2"], r"seeds with items=items\.jsonl"),
    ],
)
def test_options_of_sweeps_and_of_own_items_are_not_mixed(user, options, says):
    done = CliRunner().invoke(cli.app, ["study", *options])
    assert isinstance(done.exception, SpecError)
    assert re.search(says, str(done.exception))


def test_every_field_that_may_be_given_is_an_option_and_its_value_arrives(user, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        own, "prepare", lambda items, **given: seen.update(given) or (_ for _ in ()).throw(SpecError("stop"))
    )
    values = {name: value for name, value in FEW.items() if name in own.FIELDS}
    CliRunner().invoke(cli.app, ["study", "--items", "items.jsonl", "--model", "micro", *words(values)])
    assert seen == {"model": "micro"} | values
    help_ = CliRunner().invoke(cli.app, ["study", "--help"], env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"})
    assert all(f"--{name}" in help_.stdout for name in (*own.FIELDS, "items", "explainers", "sweep", "force"))


def study_command(folder, *more):
    """`coupling study` of own items, called in the user's folder without any folder being named."""
    code = "from coupling.cli import main; main()"
    options = ["--items", "items.jsonl", "--model", "micro", "--explainers", "2", *words(FEW), *more]
    environment = {k: v for k, v in os.environ.items() if k not in ("COUPLING_RESULTS", "COUPLING_FIGURES")}
    return subprocess.run(
        [sys.executable, "-c", code, "study", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_one_command_from_any_folder_trains_explains_and_draws_once(user):
    done = study_command(user)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    said = done.stdout
    assert "from a short trial on this machine" in said
    assert "3 runs: 3 complete; 3 computed now, 0 reused" in said
    for words_of in (
        "Can these runs answer the question?",
        "What came out, with 95 % intervals",
        "In short: ",
    ):
        assert words_of in said
    figure = Path(re.search(r"^figure: (.*)$", said, re.M)[1])
    assert figure.is_relative_to(user / "results")
    assert figure.stat().st_size > 20_000
    assert yaml.safe_load(Path(re.search(r"^sweep:  (.*)$", said, re.M)[1]).read_text())["seeds"] == 2
    made = {path: path.stat().st_mtime_ns for path in (user / "results").rglob("manifest.json")}
    assert len(made) == 4  # the base and three explainers

    again = study_command(user)
    assert again.returncode == 0
    assert "3 runs: 3 complete; 0 computed now, 3 reused" in again.stdout
    assert "checked: " not in again.stdout
    assert again.stdout[again.stdout.index("Can these runs") :] == said[said.index("Can these runs") :]
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert sorted(path.name for path in user.iterdir()) == ["items.jsonl", "micro", "results"]


def test_where_labels_are_constant_the_command_fails_and_says_why(user):
    done = study_command(user, "--no-allow_constant_labels")
    assert done.returncode == 1
    assert "more than 90 %" in done.stdout
    assert "the same command goes on from here" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_notebook_does_the_same_with_any_items_and_model(user):
    given = {name: FEW[name] for name in FEW}
    pairs = ["items=items.jsonl", "model=micro", "explainers=2", *(f"{n}={v}" for n, v in given.items())]
    execute([Job(NOTEBOOK, user / "out.ipynb", parameters(pairs))])
    cells = nbformat.read(user / "out.ipynb", as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    assert "runs computed: 3, reused: 0" in outputs[-1]["text"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    tables_shown = [o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {})]
    assert len(tables_shown) == 2
    assert "preference" in tables_shown[1]
    asked = own.prepare("items.jsonl", "micro", 2, **given)
    assert asked.left == 0
    assert set(tables.read(asked.profile, asked.sweep).summary["condition"]) == {own.TRUE, own.SHUFFLED}
    (text,) = [o["data"]["text/markdown"] for o in outputs if "text/markdown" in o.get("data", {})]
    assert text.split("\n\n") == own_text.sentences(asked.profile, asked.sweep)


def test_a_misspelt_parameter_of_the_notebook_fails_before_any_compute(user):
    with pytest.raises(Exception, match="unknown parameter 'explainer'"):
        execute([Job(NOTEBOOK, user / "out.ipynb", {"explainer": 2})])
    assert not files.results_dir().exists()
