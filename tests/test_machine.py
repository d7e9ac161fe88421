"""What this machine has: its memory or its container's, and the space on its disk."""

import psutil
from coupling import machine


def test_a_containers_limit_counts_where_it_is_lower(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CGROUP_LIMIT", tmp_path / "memory.max")
    assert machine.machine_megabytes() == psutil.virtual_memory().total // 10**6
    (tmp_path / "memory.max").write_text("500000000\n")
    assert machine.machine_megabytes() == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.machine_megabytes() == psutil.virtual_memory().total // 10**6


def test_free_space_is_that_of_a_folder_which_is_not_there_yet(tmp_path):
    assert machine.free_bytes(tmp_path / "not" / "yet") > 0
