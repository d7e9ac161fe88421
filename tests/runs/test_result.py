"""What every kind of node has in common while it is made, and how its result is read."""

import fcntl

import pandas as pd
import pytest
import torch
from coupling import files
from coupling.runs import Result, folders, items_of
from coupling.runs.result import WORK, manifest_of, working
from made_results import described, finished


def test_a_folder_is_held_with_the_threads_of_its_spec_while_it_is_computed(tmp_path, spec):
    folder = tmp_path / "run-k"
    two = spec.model_copy(update={"threads": 2})
    with working(folder, two, False) as fresh:
        assert fresh
        assert torch.get_num_threads() == 2
        with (folder / ".lock").open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / WORK).mkdir()
        finished(folder)
    assert torch.get_num_threads() == 1
    assert not (folder / WORK).exists()
    with working(folder, two, False) as fresh:
        assert not fresh


def test_what_an_interrupted_computation_needs_is_kept(tmp_path, spec):
    def interrupted():
        with working(tmp_path, spec, False):
            (tmp_path / WORK).mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / WORK).exists()
    with working(tmp_path, spec, False) as fresh:
        assert fresh
    assert not (tmp_path / WORK).exists()


def test_a_forced_computation_begins_in_an_empty_folder(tmp_path, spec):
    finished(tmp_path / "run-k")
    with working(tmp_path / "run-k", spec, True) as fresh:
        assert fresh
        assert [path.name for path in (tmp_path / "run-k").iterdir()] == [".lock"]


def test_a_damaged_result_is_said_to_be_and_computed_again_in_an_empty_folder(tmp_path, spec, capfd):
    folder = tmp_path / "run-k"
    finished(folder)
    (folder / "rows.parquet").write_text("damaged")
    with working(folder, spec, False) as fresh:
        assert fresh
        assert [path.name for path in folder.iterdir()] == [".lock"]
    assert "computed again: " in capfd.readouterr().err


def test_a_result_reads_its_manifest_and_tables_from_its_folder(tmp_path, spec):
    frame = pd.DataFrame({"step": [1, 2]})
    folder = tmp_path / "run-k"
    finished(folder)
    files.write_table(folder / "history.parquet", frame)
    folders.finish(folder, described(folder))
    result = Result(spec, folder, computed=False)
    assert result.manifest["status"] == "complete"
    pd.testing.assert_frame_equal(result.table("history"), frame)
    (folder / "history.parquet").unlink()
    for name in ("history", "shapes"):
        with pytest.raises(files.StoreError, match=rf"{name}\.parquet is missing"):
            result.table(name)


def test_items_of_a_taught_behaviour_are_tested_behind_the_others(spec):
    train, test = items_of(spec)
    taught_train, taught_test = items_of(spec.model_copy(update={"teach": "jabberwocky"}))
    assert taught_train == train
    assert taught_test[: len(test)] == test
    assert {item.task for item in taught_test[len(test) :]} == {"jabberwocky"}


def test_a_manifest_names_key_spec_and_model(spec, m0):
    manifest = manifest_of(spec, "explain", m0)
    assert folders.run_folder(spec).name.endswith(manifest["key"])
    assert manifest["spec"] == spec.model_dump()
    assert manifest["model"].items() >= m0.description().items()
    assert 0.9 < manifest["model"]["adapter_share"] <= 1
