"""Measure what needs processes of its own: peak memory, and two workers on two cores."""

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping

import torch

from coupling.bench.cases import CASES, WORKED, Case, prepared
from coupling.bench.pair import AGAINST, paired
from coupling.bench.timing import Row, Rows, keep_freed_memory, row, seconds
from coupling.models.load import halve
from coupling.models.memory import peak_memory_gb
from coupling.runs import Models

_PYTHON = (sys.executable, "-W", "ignore", "-c")


def memories(case: Case, precision: str) -> Rows:
    """Measure peak_memory of a case: of each reference and of the engine beside it, each in a new process.

    Memory is measured as runs have it: freed memory goes back to the system.
    """
    return [
        row("peak_memory", case.name, *(memory(case.name, p, precision) for p in paths), "GB", against)
        for against, paths in AGAINST.items()
    ]


def memory(name: str, path: str, precision: str) -> float:
    """Measure `memory_here` in a new process.

    Args:
        name: Name of the case in CASES.
        path: A path of PATHS.
        precision: "float32" or "bfloat16".

    Raises:
        RuntimeError: Where the process fails. The message ends with its own last words.
    """
    code = (
        f"import {__name__} as here; print(here.memory_here(here.CASES[{name!r}], {path!r}, {precision!r}))"
    )
    done = subprocess.run([*_PYTHON, code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the memory of {path} on {name} could not be measured: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1])


def memory_here(case: Case, path: str, precision: str) -> float:
    """Return the peak resident memory of one training step with its optimiser, and of one evaluation.

    Returns:
        The peak of this process, in 10^9 bytes.
    """
    spec, m0, items = prepared(case, Models())
    m0.dtype = getattr(torch, precision)
    if path.startswith("engine") and precision == "bfloat16":
        halve(m0.model)  # the engine loads a model like this where no reference stands beside it
    with paired(case, spec, m0, items) as pair:
        pair.train(path, 0)
        pair.evaluate(path, items[: case.batch])
        return peak_memory_gb()


def workers(steps: int = 60, repetitions: int = 3) -> Row:
    """Measure worker_scaling of the tiny model: steps a second of two workers against those of one.

    Each worker has a core of its own, where the system lets a process choose its core (Linux does).

    Args:
        steps: Training steps of a worker.
        repetitions: Measurements of each number of workers. Their medians count.

    Returns:
        A row of the table of the bench, with one worker as the reference.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0, 1]
    rates: Mapping[int, list[float]] = {1: [], 2: []}
    for _ in range(repetitions):
        for count, found in rates.items():
            found.append(_rate(cores[:count], steps))
    one, two = (statistics.median(found) for found in rates.values())
    unit = "steps/s of 1 worker on 1 core, and of 2 on 2"
    return row("worker_scaling", WORKED, one, two, unit, against="one worker")


def _rate(cores: list[int], steps: int) -> float:
    """Return the steps a second of one worker on each of these cores, all at once."""
    started = [
        subprocess.Popen(
            [*_PYTHON, f"import {__name__} as here; here.worker({core}, {steps})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for core in cores
    ]
    for process in started:
        process.stdout.readline()  # the worker has warmed up
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    took = [float(process.stdout.readline()) for process in started]
    for process in started:
        process.wait()
    return sum(steps / seconds_taken for seconds_taken in took)


def worker(core: int, steps: int) -> None:
    """Stay on one core, warm up, wait for a line of input, train for some steps and print the seconds."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    keep_freed_memory()
    case = CASES[WORKED]
    spec, m0, items = prepared(case, Models(), threads=1)
    with paired(case, spec, m0, items) as pair:
        pair.train("engine", 0)
        print("ready", flush=True)
        sys.stdin.readline()
        took = seconds(lambda: [pair.train("engine", i * pair.step) for i in range(steps)])
        print(took, flush=True)
