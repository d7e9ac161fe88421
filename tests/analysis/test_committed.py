"""Committed tables: where they are, in which order, and what is said where they are missing."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from coupling import checksums, files
from coupling.analysis import tables

ROOT = Path(__file__).parents[2]


def test_sweeps_with_tables_stand_by_size_and_the_headline_first():
    names = [
        ("paper", "rank"),
        ("tiny", "rank"),
        ("medium", "content"),
        ("medium", "headline"),
        ("tiny", "depth"),
    ]
    for profile, sweep in [("own", "mine"), *names]:
        files.write_json(files.tables_dir() / profile / sweep / "keys.json", {})
    assert tables.collected() == [
        ("tiny", "depth"),
        ("tiny", "rank"),
        ("medium", "headline"),
        ("medium", "content"),
        ("paper", "rank"),
        ("own", "mine"),
    ]


def test_missing_tables_name_the_command_that_makes_them():
    for reading in (tables.read, tables.read_keys):
        with pytest.raises(files.StoreError, match="make study PROFILE=tiny SWEEP=rank"):
            reading("tiny", "rank")


def test_own_tables_are_kept_among_the_results_and_those_of_a_sweep_given_by_path_always():
    assert tables.folder("tiny", "rank") == files.tables_dir() / "tiny" / "rank"
    assert tables.folder("tiny", "rank", own=True) == files.results_dir() / "tables" / "tiny" / "rank"
    assert tables.folder("tiny", "somewhere/mine.yaml") == files.results_dir() / "tables" / "tiny" / "mine"


def test_own_and_committed_tables_are_read_apart(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    committed = tables.read("medium", "tuning")
    with pytest.raises(files.StoreError, match="make study PROFILE=medium SWEEP=tuning` first"):
        tables.read("medium", "tuning", own=True)
    mine = replace(committed, keys=committed.keys | {"runs": committed.keys["runs"][:1]})
    tables.write(mine, tables.folder("medium", "tuning", own=True))
    assert len(tables.read_keys("medium", "tuning", own=True)["runs"]) == 1
    assert len(tables.read("medium", "tuning", own=True).keys["runs"]) == 1
    assert len(tables.read("medium", "tuning").keys["runs"]) > 1
    monkeypatch.setenv("COUPLING_FIGURES", "nowhere")
    with pytest.raises(files.StoreError, match=r"your own runs have some in .*--own"):
        tables.read("medium", "tuning")


def test_written_tables_are_read_back_and_left_alone_where_nothing_changed(tmp_path, monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    committed = tables.read("medium", "shift")
    monkeypatch.setenv("COUPLING_FIGURES", str(tmp_path))
    where = tables.folder("medium", "shift")
    tables.write(committed, where)
    again = tables.read("medium", "shift")
    for name in (
        "items",
        "runs",
        "summary",
        "dynamics",
        "regions",
        "lead_lag",
        "teacher",
        "base",
        "shift",
        "sensor",
    ):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(committed, name))
    assert again.keys == committed.keys
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in where.glob("*.csv")}
    tables.write(again, where)
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in where.glob("*.csv")} == before


def test_a_table_that_is_no_longer_made_goes_and_a_write_that_is_cut_off_leaves_no_tables(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("COUPLING_FIGURES")
    committed = tables.read("medium", "shift")
    monkeypatch.setenv("COUPLING_FIGURES", str(tmp_path))
    where = tables.folder("medium", "shift")
    tables.write(committed, where)
    tables.write(replace(committed, shift=None), where)
    assert tables.read("medium", "shift").shift is None
    assert "shift.parquet" not in files.read_sums(where)

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(files, "write_table", full)
    with pytest.raises(OSError, match="full"):
        tables.write(committed, where)
    with pytest.raises(files.StoreError, match="no tables in"):
        tables.read("medium", "shift")


@pytest.mark.parametrize("name", ["items.parquet", "summary.csv", "keys.json", "preference.csv"])
def test_a_table_with_a_flipped_bit_is_named_and_not_read(tmp_path, monkeypatch, name):
    monkeypatch.delenv("COUPLING_FIGURES")
    committed = tables.read("medium", "tuning")
    monkeypatch.setenv("COUPLING_FIGURES", str(tmp_path))
    where = tables.folder("medium", "tuning")
    tables.write(committed, where)
    content = bytearray((where / name).read_bytes())
    content[len(content) // 2] ^= 1
    (where / name).write_bytes(content)
    with pytest.raises(files.StoreError, match=rf"{name} is damaged .*from git again"):
        tables.read("medium", "tuning")
    tables.write(committed, where)
    assert tables.read("medium", "tuning").keys == committed.keys
    (where / name).unlink()
    with pytest.raises(files.StoreError, match=rf"{name} is missing|no tables in"):
        tables.read("medium", "tuning")


@pytest.mark.parametrize("keys", [[], {}, 3, {"profile": "tiny"}])
def test_keys_that_are_none_are_one_clear_line(keys):
    where = tables.folder("tiny", "rank")
    files.write_json(where / "keys.json", keys)
    with pytest.raises(files.StoreError, match=r"keys\.json does not say which runs"):
        tables.read("tiny", "rank")


def test_every_committed_table_is_in_its_list_and_fits_it(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    top = files.tables_dir()
    for folder in (top, *(tables.folder(*names) for names in tables.collected())):
        sums = files.read_sums(folder)
        assert checksums.wrong_file(folder, sums) is None, folder
        assert {path.name for path in folder.glob("*.parquet")} <= sums.keys(), folder


def test_tables_are_read_once_and_each_reader_changes_its_own(tmp_path, monkeypatch):
    where = files.tables_dir() / "tiny" / "rank"
    shutil.copytree(ROOT / "figures/data/tiny/rank", where)
    asked, kept = [], files.read_table
    monkeypatch.setattr(files, "read_table", lambda path: asked.append(path) or kept(path))
    first = tables.read("tiny", "rank")
    first.summary["gap"] = 7.0
    first.items.loc[0, "id"] = "other"
    number = len(asked)
    again = tables.read("tiny", "rank")
    assert len(asked) == number > 5
    assert not (again.summary["gap"] == 7).any()
    assert again.items.loc[0, "id"] != "other"
    (where / "teacher.csv").write_text("another")
    with pytest.raises(files.StoreError, match=r"teacher.csv is damaged"):
        tables.read("tiny", "rank")


def test_a_sweep_without_shifts_has_none_of_their_tables(monkeypatch):
    monkeypatch.delenv("COUPLING_FIGURES")
    found = tables.read("medium", "tuning")
    assert (found.shift, found.sensor) == (None, None)


def test_a_number_is_compared_with_the_interval_of_the_other_summary():
    nothing = float("nan")
    now = pd.DataFrame({"task": "t", "condition": ["a", "b"], "gap": [0.1, 0.5], "excess": [0.1, nothing]})
    then = now.assign(gap=0.2, gap_low=[0.1 + 1e-15, 0.1], gap_high=0.3, excess_low=0.0, excess_high=0.2)
    found = tables.compare(now, then.iloc[::-1])
    assert found[["condition", "measure"]].to_numpy().tolist() == [
        ["a", "gap"],
        ["a", "excess"],
        ["b", "gap"],
        ["b", "excess"],
    ]
    assert found["within"].tolist() == [True, True, False, None]  # a rounding is not outside
    assert found["committed"].tolist()[:3] == [0.2, 0.1, 0.2]
    assert found["value"].tolist()[:3] == [0.1, 0.1, 0.5]
    assert set(tables.compare(now, then.drop(columns="excess_low"))["measure"]) == {"gap"}
