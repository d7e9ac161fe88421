"""Time training steps and evaluations of both paths, in one process and alternating."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from coupling.bench.cases import Case, prepared
from coupling.bench.pair import PATHS, Pair, check, paired
from coupling.runs import Models

BLOCK = 4  # steps or batches of one path in a row
PEAK_SIZE = 2048  # of the square products that measure the machine's peak


def row(measure: str, model: str, reference: float, engine: float, unit: str) -> dict[str, Any]:
    """Make a row of the table of the bench."""
    values = {"reference": reference, "engine": engine, "ratio": engine / reference}
    return {"measure": measure, "model": model} | values | {"unit": unit}


def seconds(work: Callable[[], object]) -> float:
    """Return how many seconds `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_rate(dtype: torch.dtype, size: int = PEAK_SIZE) -> float:
    """Return the operations a second of a product of two square matrices, the median of three products."""
    a, b = (
        torch.randn(size, size, generator=torch.Generator().manual_seed(seed)).to(dtype) for seed in (0, 1)
    )
    a @ b
    return 2 * size**3 / statistics.median(seconds(lambda: a @ b) for _ in range(3))


def fastest_precision(case: Case, models: Models) -> str:
    """Return the precision in which the reference trains fastest here: "float32" or "bfloat16"."""
    spec, m0, items = prepared(case, models)
    trial = {}
    with paired(case, spec, m0, items) as pair:
        for precision in ("float32", "bfloat16"):
            pair.in_precision(getattr(torch, precision))
            pair.train("reference", 0, 1)  # the first call pays for what is set up once
            took = [seconds(lambda: pair.train("reference", 0, min(4, pair.plain))) for _ in range(3)]
            trial[precision] = statistics.median(took)
    return min(trial, key=trial.get)


def throughputs(case: Case, precision: str, models: Models, size: int = PEAK_SIZE) -> list[dict[str, Any]]:
    """Measure train_throughput, eval_throughput and gemm_share of a case.

    Args:
        case: The case.
        precision: "float32" or "bfloat16", for both paths.
        models: The models in memory.
        size: Rows and columns of the matrices that measure the machine's peak.

    Returns:
        Rows of the table of the bench. Values are medians over the case's steps and batches.

    Raises:
        AssertionError: Where the two paths do not compute the same.
    """
    spec, m0, items = prepared(case, models)
    with paired(case, spec, m0, items) as pair:
        for first in range(0, min(len(items), 4 * case.step), case.step):
            pair.train("engine", first)  # a fresh adapter is zero, and its check would say nothing
        check(pair, min(16, case.batch))
        pair.in_precision(getattr(torch, precision))
        for path in PATHS:  # the first calls pay for what is set up once
            pair.train(path, 0, 1)
            pair.evaluate(path, items[:1])
        steps, shares, peaks = _training_times(pair, size)
        batches = _evaluation_times(pair, case.batch)
    rates = {
        "train_throughput": [case.step / statistics.median(steps[path]) for path in PATHS],
        "eval_throughput": [min(case.batch, len(items)) / statistics.median(batches[path]) for path in PATHS],
    }
    of_peak = f"share of the peak of {size}² products, {statistics.median(peaks) / 1e9:.0f} GFLOP/s"
    return [
        *(row(measure, case.name, *both, f"items/s, {precision}") for measure, both in rates.items()),
        row("gemm_share", case.name, *(statistics.median(shares[path]) for path in PATHS), of_peak),
    ]


def _training_times(
    pair: Pair, size: int
) -> tuple[dict[str, list[float]], dict[str, list[float]], list[float]]:
    """Time training steps over all items, BLOCK of one path and then the same of the other.

    Whichever path comes first after a change of paths pays for memory anew, hence blocks.

    Returns:
        By path the seconds of each step; by path the share of the machine's peak that each step reached; and
        the peak before each block, in operations a second.
    """
    times, shares, peaks = {path: [] for path in PATHS}, {path: [] for path in PATHS}, []
    for start in range(0, len(pair.items), BLOCK * pair.step):
        peaks.append(max(peak_rate(torch.float32, size), peak_rate(torch.bfloat16, size)))
        for path in PATHS:
            for first in range(start, min(start + BLOCK * pair.step, len(pair.items)), pair.step):
                took = seconds(lambda path=path, first=first: pair.train(path, first))
                times[path].append(took)
                shares[path].append(pair.counted(first) / took / peaks[-1])
    return times, shares, peaks


def _evaluation_times(pair: Pair, batch: int) -> dict[str, list[float]]:
    """Return by path the seconds of each evaluated batch, in blocks like training steps."""
    times = {path: [] for path in PATHS}
    for start in range(0, len(pair.items), BLOCK * batch):
        for path in PATHS:
            for first in range(start, min(start + BLOCK * batch, len(pair.items)), batch):
                part = pair.items[first : first + batch]
                times[path].append(seconds(lambda path=path, part=part: pair.evaluate(path, part)))
    return times
