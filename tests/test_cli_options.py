"""Options that choose what a command is about: the claims of a user's own sweep."""

import json
from pathlib import Path

import pytest
from coupling import cli, files, runs
from coupling import spec as specs
from coupling.analysis import tables
from coupling.measure.checking import CheckError
from coupling.sweep.names import FOLDER
from own_sweeps import own_sweep
from typer.testing import CliRunner

RANK = Path(__file__).parents[1] / "figures/data/tiny/rank"
CLAIM = {
    "number": "own",
    "text": "my higher rank widens the gap",
    "tasks": ["hint_qa"],
    "rule": "wider",
    "arguments": {"low": "4", "high": "128"},
    "exploration": True,
}


@pytest.fixture
def mine(tmp_path):
    """A user's own sweep that states one claim. Nothing has been run of it."""
    return own_sweep(tmp_path, conditions={"4": {"rank": 4}, "128": {"rank": 128}}, claims=[CLAIM])


def decided(sweep):
    """The claims of a sweep, as the command prints them for programs."""
    done = CliRunner().invoke(cli.app, ["claims", "--sweep", str(sweep), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_claims_of_an_own_sweep_are_decided_alone_from_its_own_tables(mine):
    assert [(row["text"], row["verdict"]) for row in decided(mine)] == [(CLAIM["text"], "not tested")]
    folder = tables.folder("tiny", str(mine))
    folder.parent.mkdir(parents=True)
    folder.symlink_to(RANK)
    (row,) = decided(mine)
    assert (row["text"], row["profile"], row["seeds"]) == (CLAIM["text"], "tiny", 5)
    gap = tables.read("tiny", str(mine)).summary.set_index("condition")["gap"]
    assert row["effect"] == pytest.approx(gap["128"] - gap["4"])


def test_claims_are_an_error_in_a_folder_without_tables(mine, tmp_path, monkeypatch):
    """All of them would be "not tested", as if nothing had been run."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("COUPLING_RESULTS", "COUPLING_FIGURES"):
        monkeypatch.delenv(name)
    for words in (["claims"], ["claims", "--sweep", str(mine)], ["figures"]):
        done = CliRunner().invoke(cli.app, words)
        assert isinstance(done.exception, files.StoreError), words
        assert "run this in the folder of the study" in str(done.exception)
    assert list(Path().iterdir()) == []


def test_an_own_sweep_is_found_by_a_relative_path(mine, monkeypatch):
    monkeypatch.chdir(mine.parent)
    assert [row["text"] for row in decided(mine.name)] == [CLAIM["text"]]


@pytest.mark.parametrize("name", ["rank", "rank.yaml"])
def test_a_sweep_of_the_study_is_not_decided_alone(name, monkeypatch):
    """Its p values would be corrected over fewer claims than in the study's table."""
    monkeypatch.chdir(FOLDER)
    done = CliRunner().invoke(cli.app, ["claims", "--sweep", name])
    assert done.exit_code != 0
    assert "does not exist" in done.output or "the study has a sweep of the name" in str(done.exception)


@pytest.fixture
def user(m0, tmp_path):
    """A user's model folder and items file."""
    m0.model.save_pretrained(tmp_path / "model")
    m0.tokenizer.save_pretrained(tmp_path / "model")
    row = {
        "prompt": "Colour of it?\nHint: B",
        "cue": "\nHint: B",
        "choices": ["A", "B"],
        "contents": ["red", "blue"],
    }
    rows = [row | {"id": f"q{k}", "group": f"g{k}", "split": ("train", "test")[k % 2]} for k in range(16)]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def checked(user, *options):
    where = ["--items", str(user / "items.jsonl"), "--model", str(user / "model")]
    return CliRunner().invoke(cli.app, ["check", *where, *options])


def test_check_says_what_was_checked(user):
    done = checked(user, "--json", "--rank", "4", "--label_format", "content")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["items"] == {"train": 8, "test": 8}
    assert (found["labels"], found["altered"], found["ends"], found["packed"]) == (8, 0, ["<end>"], True)
    assert found["longest"] < found["positions"]
    assert found["prompts"]["request"].endswith("Hint: B\nWithout the hint?\nMy answer")
    assert found["memory_gb"] > 0
    assert "--- x without the cue\nColour of it?\nAnswer:" in checked(user).stdout


def test_check_ends_with_code_2_and_what_is_wrong(user, monkeypatch, capsys):
    config = user / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 8}))
    words = ["coupling", "check", "--items", str(user / "items.jsonl"), "--model", str(user / "model")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "item q" in (said := capsys.readouterr().err)
    assert "max_position_embeddings=8" in said
    assert "Traceback" not in said


def test_a_run_is_checked_before_anything_is_computed(user):
    config = user / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 8}))
    values = {"task": f"file:{user / 'items.jsonl'}", "model": str(user / "model"), "m0_steps": 0}
    with pytest.raises(CheckError, match="max_position_embeddings=8"):
        runs.explain(specs.make_spec(**values))
    assert not files.results_dir().exists()
