"""Files are written whole or not at all, and what cannot be read is named."""

import contextlib
import errno
import json
import math
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from coupling import files, seals
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file


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


def test_what_dead_processes_left_is_removed_by_the_next_writer(tmp_path):
    path = tmp_path / "run.json"
    code = "import sys, os, signal; from pathlib import Path; from coupling import files\n"
    code += "with files.replacing(Path(sys.argv[1])) as part:\n"
    code += "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    older, other = tmp_path / f".{path.name}.999999.part", tmp_path / ".x.999999.part"
    alive = tmp_path / f".{path.name}.{os.getppid()}.part"
    for name in (older, other, alive):
        name.mkdir()
    files.write_json(path, {})
    assert not left.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, other.name, alive.name])


@pytest.fixture
def full_disk():
    """No file may be written beyond 16 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["x.json", "x.parquet", "x.safetensors", "SHA256SUMS", "kept.json"])
def test_a_file_that_does_not_fit_is_named_in_one_line_and_nothing_is_left(tmp_path, full_disk, name):
    def write(path):
        if path.suffix == ".parquet":
            files.write_table(path, pd.DataFrame({"a": range(100)}))
        elif path.suffix == ".safetensors":
            with seals.sealing(path) as part:
                save_file({"a": torch.ones(100)}, part)
        elif path.name == files.SUMS:
            files.write_sums(path.parent, ["there"])
        elif path.name.startswith("kept"):
            seals.kept(path, lambda part: files.put_json(part, {}))  # it is the seal that does not fit
        else:
            files.write_json(path, {"a": list(range(100))})

    (tmp_path / "there").write_text("")
    with pytest.raises(files.StoreError, match=rf"cannot write .*{name}.* and run again$"):
        write(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["there"]


def test_a_table_of_a_list_of_checksums_is_checked_when_it_is_read(tmp_path):
    frame = pd.DataFrame({"condition": ["01"], "v": [1.5]})
    for name in ("a.parquet", "b.csv"):
        path = tmp_path / name
        files.write_table(path, frame) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
        files.write_sums(tmp_path, [name])
        pd.testing.assert_frame_equal(files.read_table(path), frame)
        path.write_bytes(path.read_bytes().replace(b"01", b"02"))
        with pytest.raises(files.StoreError, match=rf"{name} is damaged \(SHA256SUMS"):
            files.read_table(path)
    assert list(files.read_sums(tmp_path)) == ["a.parquet", "b.csv"]
    files.write_table(tmp_path / "not-listed.parquet", frame)
    pd.testing.assert_frame_equal(files.read_table(tmp_path / "not-listed.parquet"), frame)


@settings(max_examples=40, derandomize=True, database=None, deadline=None)
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_table_with_any_bit_flipped_is_read_or_named(tmp_path_factory, at, bit):
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    files.write_table(path, pd.DataFrame({"id": [f"q{k}" for k in range(40)], "v": np.arange(40.0)}))
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with contextlib.suppress(files.StoreError):  # and no other error
        files.read_table(path)


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
