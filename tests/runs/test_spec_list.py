"""Lists of runs: what is checked when another machine reads one."""

import json

import pytest
from conftest import SMALL
from coupling import files
from coupling.runs import spec_list
from coupling.runs.spec_list import Listed, read_list, write_list
from coupling.spec import SpecError, key, make_spec


@pytest.fixture
def path(tmp_path):
    write_list(tmp_path / "list.json", [Listed("mine", "KL on", make_spec("tiny", **SMALL))])
    return tmp_path / "list.json"


def changed(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def read(path):
    return read_list(path, path.parent / "models", path.parent / "data")


def test_a_list_gives_the_same_specs_again(path):
    (one,) = read(path)
    assert (one.sweep, one.condition, one.spec) == ("mine", "KL on", make_spec("tiny", **SMALL))


def test_files_are_found_by_content_and_by_name(tmp_path):
    posts, items = tmp_path / "posts.jsonl", tmp_path / "own.jsonl"
    posts.write_text('{"id": "1"}\n')
    items.write_text("{}\n")
    specs = [
        make_spec("medium", task="aita", posts=str(posts)),
        make_spec("medium", task=f"file:{items}"),
    ]
    path = tmp_path / "list.json"
    write_list(path, [Listed("mine", "one", spec) for spec in specs])
    assert str(tmp_path) not in path.read_text()
    keys = [key(spec, "explain") for spec in specs]
    (tmp_path / "data").mkdir()
    with pytest.raises(SpecError, match=r"run 2: .*own\.jsonl.*carry the file into"):
        read(path)
    items.rename(tmp_path / "data" / "own.jsonl")
    posts.unlink()
    assert [key(one.spec, "explain") for one in read(path)] == keys
    (tmp_path / "data" / "own.jsonl").write_text("{} \n")
    with pytest.raises(SpecError, match=r"run 2 has key .* another content here"):
        read(path)


def test_folders_of_models_are_found_by_name(tmp_path):
    for name in ("own", "judging"):
        (tmp_path / "here" / name).mkdir(parents=True)
        (tmp_path / "here" / name / "config.json").write_text(f'"{name}"')
    folder = tmp_path / "here"
    spec = make_spec("medium", model=str(folder / "own"), judge=str(folder / "judging"), task="refusal")
    path = tmp_path / "list.json"
    write_list(path, [Listed("mine", "one", spec)])
    assert str(tmp_path) not in path.read_text()
    folder.rename(tmp_path / "models")
    (one,) = read(path)
    assert [one.spec.model, one.spec.judge] == [str(tmp_path / "models" / n) for n in ("own", "judging")]


def test_other_code_is_refused(path, monkeypatch):
    monkeypatch.setattr(spec_list, "PARTS", ("spec",))
    with pytest.raises(SpecError, match="written by other code"):
        read(path)


NO_RUNS = '{"code": "", "git_commit": "", "git_dirty": 1, "runs": []}'


@pytest.mark.parametrize("text", ["{", "[]", "{}", NO_RUNS])
def test_what_is_no_list_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(files.StoreError, match=r"list\.json is "):
        read(path)


def test_a_spec_that_does_not_hold_is_refused(path):
    runs = json.loads(path.read_text())["runs"]
    runs[0]["spec"] |= {"rank": 0}
    changed(path, runs=runs)
    with pytest.raises(SpecError, match=r"run 1: rank=0"):
        read(path)


def test_a_missing_list_says_how_it_is_written(tmp_path):
    with pytest.raises(files.StoreError, match="coupling plan --specs"):
        read(tmp_path / "list.json")
