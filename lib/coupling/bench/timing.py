"""Time training steps and evaluations of the references and of the engine, in one process and alternating."""

import ctypes
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from coupling.bench.cases import Case, prepared
from coupling.bench.pair import AGAINST, PATHS, Pair, check_evaluation, check_training, paired
from coupling.models.halves import multiplies_halves
from coupling.runs import Models

BLOCK = 4  # steps or batches of one path in a row
TURN = 15.0  # seconds after which a path that has not come to the end of its block gives way
SECONDS = 100.0  # after so many no new round begins
PEAK_SIZE = 2048  # of the square products that measure the machine's peak
_NO_MMAP, _NO_TRIM = (-4, 0), (-1, -1)  # glibc's M_MMAP_MAX and M_TRIM_THRESHOLD, with what switches each off

Row = dict[str, Any]
Rows = list[Row]


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, where its C library is glibc.

    Otherwise glibc gives large blocks back to the system, and the next step pays for each page of them anew.
    The plain ways take more such blocks than the engine, so this is a part of the fastest plain setting
    (docs/howto.md). It holds until the process ends, for all that is timed in it.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        for option in (_NO_MMAP, _NO_TRIM):
            mallopt(*option)


def row(measure: str, model: str, reference: float, engine: float, unit: str, against: str = "plain") -> Row:
    """Make a row of the table of the bench; `against` names the reference."""
    values = {"reference": reference, "engine": engine, "ratio": engine / reference}
    return {"measure": measure, "model": model, "against": against} | values | {"unit": unit}


def seconds(work: Callable[[], object]) -> float:
    """Return how many seconds `work` takes, on a GPU until it has done all of it."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_rate(on: torch.device, size: int = PEAK_SIZE) -> float:
    """Return the operations a second of a product of two square matrices, in the faster precision.

    A precision counts by the median of three products. bfloat16 is tried only where the machine has an
    instruction for it: without one a single product may take twenty seconds.
    """
    kinds = [torch.float32, *([torch.bfloat16] if on.type != "cpu" or multiplies_halves() else [])]
    rates = []
    for dtype in kinds:
        a, b = (
            torch.randn(size, size, generator=torch.Generator().manual_seed(seed)).to(on, dtype)
            for seed in (0, 1)
        )
        seconds(lambda a=a, b=b: a @ b)
        rates.append(2 * size**3 / statistics.median(seconds(lambda a=a, b=b: a @ b) for _ in range(3)))
    return max(rates)


def fastest_precision(case: Case, models: Models) -> str:
    """Return the precision in which the reference trains fastest here: "float32" or "bfloat16"."""
    spec, m0, items = prepared(case, models)
    count, trial = max(1, case.plain // 2), {}
    with paired(case, spec, m0, items) as pair:
        for precision in ("float32", "bfloat16"):
            pair.in_precision(getattr(torch, precision))
            pair.train("reference", 0, 1)  # the first call pays for what is set up once
            took = alternating(["reference"], lambda path, _: pair.train(path, 0, count), 3)
            trial[precision] = statistics.median(took["reference"])
    return min(trial, key=trial.get)


def training(case: Case, precision: str, models: Models, size: int = PEAK_SIZE) -> dict[str, Rows]:
    """Measure train_throughput and gemm_share of a case.

    Args:
        case: The case.
        precision: "float32" or "bfloat16", for all paths.
        models: The models in memory.
        size: Rows and columns of the matrices that measure the machine's peak.

    Returns:
        By table its rows. bench has medians over the case's steps; bench_scaling has the plain reference
            and the engine as seconds an item, against the number of weights of the model.

    Raises:
        AssertionError: Where a reference and the engine do not compute the same loss.
    """
    peaks = []
    with _ready(case, precision, models) as pair:
        check_training(pair, max(1, case.plain // 2))
        for path in PATHS:  # the first calls pay for what is set up once
            pair.train(path, 0, 1)

        def turn_to(path: str) -> None:
            pair.take(path)
            if path == PATHS[0]:
                peaks.append(peak_rate(pair.tuned.device, size))

        steps = len(pair.items) // pair.step
        taken = alternating(PATHS, lambda path, k: pair.train(path, k * pair.step), steps, turn_to)
        weights = sum(w.numel() for name, w in pair.tuned.model.named_parameters() if "lora_" not in name)
        peak = statistics.median(peaks)
        shares = {
            path: statistics.median(pair.counted(k * pair.step) / t / peak for k, t in enumerate(taken[path]))
            for path in AGAINST["plain"]
        }
    rates = {path: case.step / statistics.median(times) for path, times in taken.items()}
    unit = f"items/s, {precision}"
    of_peak = f"share of the peak of {size}² products, {peak / 1e9:.0f} GFLOP/s"
    bench = [
        row("train_throughput", case.name, *(rates[p] for p in paths), unit, against)
        for against, paths in AGAINST.items()
    ]
    bench.append(row("gemm_share", case.name, *shares.values(), of_peak))
    about = {"axis": "weights of the model", "value": float(weights), "model": case.name, "tokens": None}
    each = {path: 1 / rates[path] for path in AGAINST["plain"]}
    return {"bench": bench, "bench_scaling": [about | {"unit": f"s/item, {precision}"} | each]}


def evaluation(case: Case, precision: str, models: Models) -> dict[str, Rows]:
    """Measure eval_throughput of a case; arguments and results as for `training`.

    Raises:
        AssertionError: Where a reference and the engine do not compute the same.
    """
    paths = ("reference", "engine", "ancestor")
    with _ready(case, precision, models) as pair:
        check_evaluation(pair, min(16, case.batch, case.plain))
        for path in paths:
            pair.evaluate(path, pair.items[:1])
        batch = min(case.batch, len(pair.items))

        def look(path: str, k: int) -> None:
            pair.evaluate(path, pair.items[k * batch : (k + 1) * batch])

        taken = alternating(paths, look, len(pair.items) // batch, pair.take)
    rates = {path: batch / statistics.median(times) for path, times in taken.items()}
    unit = f"items/s, {precision}"
    rows = [
        row("eval_throughput", case.name, rates[path], rates["engine"], unit, against)
        for against, path in (("plain", "reference"), ("ancestor", "ancestor"))
    ]
    return {"bench": rows}


@contextmanager
def _ready(case: Case, precision: str, models: Models) -> Iterator[Pair]:
    """Give a pair in a precision, with an adapter that is not zero."""
    spec, m0, items = prepared(case, models)
    with paired(case, spec, m0, items) as pair:
        pair.move()
        pair.in_precision(getattr(torch, precision))
        yield pair


def alternating(
    paths: Sequence[str],
    work: Callable[[str, int], object],
    count: int,
    before: Callable[[str], object] = lambda path: None,
) -> dict[str, list[float]]:
    """Time the steps of some paths in rounds, in each of which every path has a turn.

    A turn is BLOCK steps, because the first of them pays for what the other path's steps left. It ends early
    after TURN seconds. After SECONDS no new round begins. So every path is timed, also on a slow machine.

    Args:
        paths: The paths.
        work: Makes a step of a path; given the path and the number of the step, from 0.
        count: How many steps there are.
        before: Called with a path before each of its turns; its time does not count.

    Returns:
        By path the seconds of each step that was made, in order.
    """
    times: dict[str, list[float]] = {path: [] for path in paths}
    start = time.perf_counter()
    while min(map(len, times.values())) < count:
        for path, found in times.items():
            before(path)
            turn = time.perf_counter()
            for k in range(len(found), min(len(found) + BLOCK, count)):
                found.append(seconds(lambda path=path, k=k: work(path, k)))
                if time.perf_counter() - turn > TURN:
                    break
        if time.perf_counter() - start > SECONDS:
            break
    return times
