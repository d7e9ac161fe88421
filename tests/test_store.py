import json

import pandas as pd
import pytest
from coupling import store


def test_complete_only_with_manifest_and_right_checksums(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    assert not store.complete(tmp_path)
    manifest = store.finish(tmp_path, {"key": "k"})
    assert set(manifest) >= {"files", "packages", "git_commit", "git_dirty", "hardware"}
    assert store.complete(tmp_path)
    (tmp_path / "a.txt").write_text("b")
    assert not store.complete(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    assert not store.complete(tmp_path)


def test_the_executed_notebook_and_hidden_files_are_no_part_of_the_result(tmp_path):
    for name in (store.NOTEBOOK, ".work/x", "model/w"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(store.finish(tmp_path, {})["files"]) == ["model/w"]


def test_an_interrupted_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "x.json"
    store.write_json(path, {"a": 1})
    with pytest.raises(OSError, match="disk full"), store.replacing(path) as part:  # noqa: PT012
        part.write_text("half")
        raise OSError("disk full")
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_the_same_frame_gives_the_same_bytes(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "v": [0.1, None]})
    for name in "ab":
        store.write_table(tmp_path / name, frame)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    pd.testing.assert_frame_equal(store.read_table(tmp_path / "a"), frame)


def test_missing_and_damaged_tables_are_named(tmp_path):
    with pytest.raises(store.StoreError, match=r"nothing\.parquet"):
        store.read_table(tmp_path / "nothing.parquet")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(store.StoreError, match=r"bad\.parquet"):
        store.read_table(tmp_path / "bad.parquet")


def test_clear_removes_everything_but_the_lock(tmp_path):
    for name in ("manifest.json", ".lock", "adapter/x", ".work/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    store.clear(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_somebody_else_made_meanwhile_stays(tmp_path):
    with store.replacing(tmp_path / "m") as part:
        part.mkdir()
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "theirs").write_text("")
    assert (tmp_path / "m" / "theirs").exists()
