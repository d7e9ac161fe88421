import subprocess

import pytest
from coupling.bench import processes
from made_case import CASE


def test_the_memory_of_a_small_case():
    assert processes.memory_here(CASE, "engine", "bfloat16") > 0.1


def test_each_reference_is_measured_beside_the_engine(monkeypatch):
    held = {"reference": 4.0, "engine": 3.0, "ancestor": 6.0, "engine without KL": 1.5}
    monkeypatch.setattr(processes, "memory", lambda name, path, precision: held[path])
    rows = processes.memories(CASE, "float32")
    assert [(row["against"], row["ratio"]) for row in rows] == [("plain", 0.75), ("ancestor", 0.25)]


def test_a_process_that_fails_says_its_last_words(monkeypatch):
    def run(command, **options):
        return subprocess.CompletedProcess(command, 1, stdout="", stderr="MemoryError: too large")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(RuntimeError, match=r"memory of engine on tiny could not .* MemoryError: too large"):
        processes.memory("tiny", "engine", "float32")
