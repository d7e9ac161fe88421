import json
import shutil

import pandas as pd
import pytest
from coupling import cli, files, runs
from coupling.analysis import tables
from coupling.runs import folders, records
from typer.testing import CliRunner


def test_complete_only_with_manifest_and_right_checksums(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    assert not folders.complete(tmp_path)
    manifest = folders.finish(tmp_path, {"key": "k"})
    assert set(manifest) >= {"files", "packages", "git_commit", "git_dirty", "hardware"}
    assert folders.complete(tmp_path)
    (tmp_path / "a.txt").write_text("b")
    assert not folders.complete(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    assert not folders.complete(tmp_path)


def test_the_executed_notebook_and_hidden_files_are_no_part_of_the_result(tmp_path):
    for name in (folders.NOTEBOOK, ".work/x", "model/w"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(folders.finish(tmp_path, {})["files"]) == ["model/w"]


def test_an_interrupted_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(OSError, match="disk full"), files.replacing(path) as part:
        part.write_text("half")
        raise OSError("disk full")
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_the_same_frame_gives_the_same_bytes(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "v": [0.1, None]})
    for name in "ab":
        files.write_table(tmp_path / name, frame)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    pd.testing.assert_frame_equal(files.read_table(tmp_path / "a"), frame)


def test_missing_and_damaged_tables_are_named(tmp_path):
    with pytest.raises(files.StoreError, match=r"nothing\.parquet"):
        files.read_table(tmp_path / "nothing.parquet")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(files.StoreError, match=r"bad\.parquet"):
        files.read_table(tmp_path / "bad.parquet")


def test_clear_removes_everything_but_the_lock(tmp_path):
    for name in ("manifest.json", ".lock", "adapter/x", ".work/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    folders.clear(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_somebody_else_made_meanwhile_stays(tmp_path):
    with files.replacing(tmp_path / "m") as part:
        part.mkdir()
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "theirs").write_text("")
    assert (tmp_path / "m" / "theirs").exists()


@pytest.fixture
def finished(spec):
    """Two finished explainers of one M0."""
    plan = [("KL on", spec), ("KL off", spec.model_copy(update={"kl_weight": 0.0}))]
    for _, s in plan:
        runs.explain(s)
    return plan


def test_tables_of_records_are_those_of_results_and_records_hold_no_text(finished):
    tables.write(tables.collect("headline", finished), tables.folder("tiny", "headline"))
    before = {p.name: p.read_bytes() for p in tables.folder("tiny", "headline").iterdir() if p.is_file()}
    said = runs.explain(finished[0][1]).table("rows")["text"]
    prompts = [i.prompt for i in runs.items_of(finished[0][1])[1]]
    written = records.publish("headline", [s for _, s in finished])
    assert len(written) == 3  # two runs and their base
    assert records.publish("headline", [s for _, s in finished]) == []
    shutil.rmtree(files.results_dir())
    assert records.find(folders.run_folder(finished[0][1])) in written
    tables.write(tables.collect("headline", finished), tables.folder("tiny", "headline"))
    assert {
        p.name: p.read_bytes() for p in tables.folder("tiny", "headline").iterdir() if p.is_file()
    } == before
    for folder in written:
        for path in folder.glob("*.parquet"):
            words = {
                str(v)
                for column in files.read_table(path).select_dtypes(object)
                for v in files.read_table(path)[column]
            }
            assert not words & set(prompts)
            if path.stem == "rows":
                assert not words & set(said)


def test_a_damaged_record_is_no_result(finished):
    written = records.publish("headline", [s for _, s in finished])
    shutil.rmtree(files.results_dir())
    folder = folders.run_folder(finished[0][1])
    (next(p for p in written if p.name == folder.name) / "rows.parquet").write_bytes(b"no parquet")
    assert records.find(folder) is None
    with pytest.raises(files.StoreError, match="1 of 2 runs have not finished"):
        tables.collect("headline", finished)


def test_records_have_a_limit_and_need_a_finished_run(finished, monkeypatch):
    with pytest.raises(records.PublishError, match="none of the 1 runs has finished"):
        records.publish("headline", [finished[0][1].model_copy(update={"seed": 9})])
    monkeypatch.setattr(records, "MOST_MB", 0.001)
    with pytest.raises(records.PublishError, match="publish fewer runs"):
        records.publish("headline", [s for _, s in finished])
    assert not list(files.tables_dir().glob("*/*/records/*"))


def test_status_and_plan_tell_what_is_published(finished, monkeypatch):
    records.publish("headline", [s for _, s in finished])
    shutil.rmtree(files.results_dir())
    monkeypatch.setattr(cli, "_runs", lambda *of: [("headline", *pair) for pair in finished])
    assert json.loads(CliRunner().invoke(cli.app, ["status", "--json"]).stdout)[0]["published"] == 2
    assert [r["published"] for r in json.loads(CliRunner().invoke(cli.app, ["plan", "--json"]).stdout)] == [
        True,
        True,
    ]
