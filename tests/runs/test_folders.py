"""Folders of results: complete only as a whole, and described on machines of every kind."""

import json
import os
import subprocess
import sys

import pytest
from coupling import files
from coupling.runs import folders
from made_results import finished


def test_complete_only_with_manifest_and_right_checksums(tmp_path):
    folder = tmp_path / "run-k"
    rows = folder / "rows.parquet"
    assert not folders.complete(folder)
    assert not folders.damaged(folder)
    manifest = finished(folder)
    assert set(manifest) >= {"key", "files", "packages", "git_commit", "git_dirty", "hardware", "finished"}
    assert folders.complete(folder)
    assert not folders.damaged(folder)
    rows.write_text("b")
    assert folders.damaged(folder)
    assert "rows.parquet is missing or damaged" in folders.fault(folder)
    rows.unlink()
    assert folders.damaged(folder)


@pytest.mark.parametrize(
    "manifest", ["{", "{}", "[]", '{"files": 3}', '{"files": ["a"]}', "[" * 9999, "\xff"]
)
def test_a_manifest_that_is_none_makes_no_result(tmp_path, manifest):
    (tmp_path / folders.MANIFEST).write_text(manifest, encoding="latin-1")
    assert not folders.complete(tmp_path)
    assert folders.damaged(tmp_path)
    with pytest.raises(files.StoreError, match=r"manifest\.json is"):
        folders.read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 3}, r"schema version 3, and this code has \d"),
        ({"schema": 99}, "schema version 99"),
        ({"key": "other"}, "is of key other, and so of another folder"),
        ({"files": {}}, "does not name adapter/adapter_model.safetensors, history.parquet, rows.parquet"),
        ({"stage": "labels"}, "is of stage 'labels'"),
        ({"status": "diverged"}, "its digest does not fit"),
    ],
)
def test_a_manifest_that_is_not_of_this_folder_and_code_makes_no_result(tmp_path, change, why):
    folder = tmp_path / "run-k"
    manifest = finished(folder)
    if "status" not in change:
        folders.write_manifest(folder, manifest | change)
    else:
        files.write_json(folder / folders.MANIFEST, manifest | change)
    assert folders.damaged(folder)
    with pytest.raises(files.StoreError, match=why):
        folders.read_manifest(folder)


def test_a_manifest_without_a_digest_is_one_of_an_earlier_version(tmp_path):
    manifest = finished(tmp_path / "run-k")
    del manifest["digest"]
    files.write_json(tmp_path / "run-k" / folders.MANIFEST, manifest)
    assert folders.complete(tmp_path / "run-k")


def test_a_part_of_a_result_is_checked_when_it_is_read(tmp_path):
    folder = tmp_path / "m0-k"
    finished(folder, "m0")
    assert folders.verified(folder, "model") == folder / "model"
    (folder / "model" / "model.safetensors").write_text("other weights")
    with pytest.raises(files.StoreError, match="m0-k/model is missing or damaged: compute it again"):
        folders.verified(folder, "model")
    assert folders.verified(folder, "history.parquet").is_file()
    with pytest.raises(files.StoreError, match="checkpoints/5 is missing"):
        folders.verified(folder, "checkpoints/5")


def test_the_executed_notebook_and_hidden_files_are_no_part_of_the_result(tmp_path):
    for name in (folders.NOTEBOOK, ".work/x", "model/w"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(folders.finish(tmp_path, {})["files"]) == ["model/w"]


def test_clear_removes_everything_but_the_lock(tmp_path):
    for name in (folders.MANIFEST, ".lock", "adapter/x", ".work/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    folders.clear(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_one_process_at_a_time_holds_a_folder(tmp_path):
    code = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    other = [sys.executable, "-c", code, str(tmp_path / ".lock")]
    with folders.locked(tmp_path):
        assert subprocess.run(other, capture_output=True).returncode
    assert subprocess.run(other, capture_output=True).returncode == 0


HOLDER = """
import sys, pathlib
from coupling.runs import folders
with folders.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_waits_for_a_folder_says_for_which_and_for_whom(tmp_path, capfd, monkeypatch):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        real = folders.say

        def say(line):
            real(line)
            holder.stdin.close()

        monkeypatch.setattr(folders, "say", say)
        with folders.locked(tmp_path):
            pass
    said = capfd.readouterr().err
    assert f"waiting for {tmp_path}, which process {holder.pid} on " in said


def test_a_lock_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    lock = folders.locked(tmp_path / "file")
    with pytest.raises(files.StoreError, match=r"cannot write .*file.*make the folder writable"), lock:
        pass


def test_names_of_files_of_any_length_give_folders_that_can_be_made(tmp_path, spec):
    from_file = spec.model_copy(update={"task": "file:x.jsonl", "model": "o/" + "m" * 240, "m0_steps": 0})
    for name in ("i" * 240, "é[1]" * 40):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("{}")
        named = from_file.model_copy(update={"task": f"file:{path}"})
        for folder in (folders.base_folder(named), folders.run_folder(named), folders.m0_folder(named)):
            with files.replacing(folder) as part:
                part.mkdir()
            assert folder.is_dir()


def test_folders_of_stages_that_share_fields_are_shared(spec):
    other = spec.model_copy(update={"task": "aita", "kl_weight": 0.0})
    early = spec.model_copy(update={"m0_checkpoint": 0.5, "m0_checkpoint_every": 2})
    assert folders.m0_folder(other) == folders.m0_folder(spec) != folders.m0_folder(early)
    assert folders.m0_folder(early) == folders.m0_folder(early.model_copy(update={"m0_checkpoint": 1.0}))
    assert folders.base_folder(spec.model_copy(update={"seed": 1})) == folders.base_folder(spec)
    assert folders.base_folder(other) != folders.base_folder(spec)
    longer = spec.model_copy(update={"steps": 60})
    assert folders.run_folder(longer) != folders.run_folder(spec)
    assert folders.shared_files(longer) == folders.shared_files(spec)


def test_the_cpu_has_a_name_on_linux_on_macos_and_where_nothing_tells_it(tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Quick CPU\nprocessor\t: 1\nmodel name\t: Quick CPU\n")
    assert folders.cpu_name(info) == "Quick CPU"
    sysctl = tmp_path / "sysctl"
    sysctl.write_text('#!/bin/sh\n[ "$*" = "-n machdep.cpu.brand_string" ] && echo Apple M9\n')
    sysctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert folders.cpu_name(tmp_path / "none") == "Apple M9"
    info.write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")  # Linux on ARM tells no name
    sysctl.write_text("#!/bin/sh\nexit 1\n")
    assert folders.cpu_name(info)


def test_provenance_holds_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = json.loads(json.dumps(folders.provenance()))
    assert (found["git_commit"], found["git_dirty"]) == (None, None)
    assert found["packages"].keys() == set(folders.PACKAGES)
    assert all(found["hardware"].values())
