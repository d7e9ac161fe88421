"""Folders of results: complete only as a whole, and described on machines of every kind."""

import json
import os
import subprocess
import sys

import pytest
from coupling import files
from coupling.runs import folders


def test_complete_only_with_manifest_and_right_checksums(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    assert not folders.complete(tmp_path)
    assert not folders.damaged(tmp_path)
    manifest = folders.finish(tmp_path, {"key": "k"})
    assert set(manifest) >= {"key", "files", "packages", "git_commit", "git_dirty", "hardware", "finished"}
    assert folders.complete(tmp_path)
    assert not folders.damaged(tmp_path)
    (tmp_path / "a.txt").write_text("b")
    assert folders.damaged(tmp_path)
    (tmp_path / "a.txt").unlink()
    assert folders.damaged(tmp_path)


@pytest.mark.parametrize("manifest", ["{", "{}", "[]", '{"files": 3}', '{"files": ["a"]}'])
def test_a_manifest_that_is_none_makes_no_result(tmp_path, manifest):
    (tmp_path / folders.MANIFEST).write_text(manifest)
    assert not folders.complete(tmp_path)
    assert folders.damaged(tmp_path)


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
