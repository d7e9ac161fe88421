"""Files are written whole or not at all, and what cannot be read is named."""

import errno
import json
import math
import os

import numpy as np
import pandas as pd
import pytest
from coupling import files


def test_an_interrupted_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})

    def fill_the_disk():
        with files.replacing(path) as part:
            part.write_text("half")
            raise OSError(errno.ENOSPC, "disk full")

    with pytest.raises(files.StoreError, match=r"cannot write .*x\.json .*disk full.*make room there"):
        fill_the_disk()
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_another_process_made_meanwhile_stays(tmp_path):
    with files.replacing(tmp_path / "m") as part:
        part.mkdir()
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "theirs").write_text("")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m" / "theirs").exists()


def test_the_same_frame_gives_the_same_bytes(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "v": [0.1, None]})
    for name in "ab":
        files.write_table(tmp_path / name, frame)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    pd.testing.assert_frame_equal(files.read_table(tmp_path / "a"), frame)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(files.StoreError, match=r"nothing\.parquet is missing"):
        files.read_table(tmp_path / "nothing.parquet")
    for name, read in (("bad.parquet", files.read_table), ("bad.json", files.read_json)):
        (tmp_path / name).write_text("no")
        with pytest.raises(files.StoreError, match=rf"{name}.*delete it and run again"):
            read(tmp_path / name)


def test_the_top_of_the_study_is_found_from_any_folder_in_it(tmp_path, monkeypatch):
    (tmp_path / "lib" / "coupling").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.delenv("COUPLING_RESULTS")
    monkeypatch.chdir(tmp_path / "notebooks")
    assert files.results_dir() == tmp_path / "results"
    (tmp_path / "lib" / "coupling").rmdir()
    assert files.root() == tmp_path / "notebooks"


def test_folders_of_the_environment_are_pinned_for_processes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUPLING_RESULTS", "mine")
    monkeypatch.delenv("COUPLING_CACHE", raising=False)
    files.pin_folders()
    assert files.results_dir() == tmp_path / "mine"
    assert "COUPLING_CACHE" not in os.environ


def test_numbers_that_json_does_not_have_are_written_as_null_and_old_files_stay_readable(tmp_path):
    def refuse(word):
        raise ValueError(word)

    path = tmp_path / "x.json"
    files.write_json(
        path, {"a": float("nan"), "b": [1.5, np.float64("inf")], "c": {"d": -math.inf}, "e": "é"}
    )
    assert json.loads(path.read_text(), parse_constant=refuse) == {
        "a": None,
        "b": [1.5, None],
        "c": {"d": None},
        "e": "é",
    }
    path.write_text('{"a": NaN}')
    assert math.isnan(files.read_json(path)["a"])


def test_a_long_name_is_cut_and_stays_apart_from_others():
    long = ["é" * 120, "é" * 119 + "e"]
    assert all(len(files.short(name).encode()) <= files.LONGEST for name in long)
    assert files.short(long[0]) != files.short(long[1])
    assert files.short("items") == "items"
