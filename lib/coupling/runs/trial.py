"""A short trial of a model on this machine: how long a few items take, before anything like it is finished.

`coupling.runs.rates` reads times off finished results. Before the first run of a user's own model there are
none. So a few items are evaluated first, and the time is kept in `results/<profile>/trials/`. Beside it
stands how much of its probability the model gives to the choices.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from coupling import files
from coupling.runs import folders
from coupling.spec import Spec
from coupling.tasks import Item

SECONDS = 4.0  # about how long a trial takes
TRAINED = 2.5  # how much longer an item takes in training than in an evaluation, as `make bench` measures it


def try_out(spec: Spec, loaded: Any, items: Sequence[Item]) -> float:
    """Time the evaluation of a few items and keep the time, unless it is kept already.

    Args:
        spec: The run.
        loaded: Its model, a `coupling.models.Loaded`.
        items: The items that it is asked.

    Returns:
        The share of its probability that the model gives to the choices: the smaller one of that on x and
        that without the cue.
    """
    path = _path(spec)
    with contextlib.suppress(files.StoreError, LookupError, TypeError):  # damaged, or of an older trial
        if path.exists():
            return float(files.read_json(path)["mass"])
    import torch

    from coupling.measure.evaluation import evaluate

    threads = torch.get_num_threads()
    torch.set_num_threads(spec.threads)
    try:
        first, _ = _timed(lambda: evaluate(loaded, items[:1], spec.label_format, 1))
        few = items[: max(1, min(spec.eval_batch, int(SECONDS / first)))]
        seconds, (found, *_) = _timed(lambda: evaluate(loaded, few, spec.label_format, spec.eval_batch))
    finally:
        torch.set_num_threads(threads)
    mass = float(min(found.mass(condition).mean() for condition in ("x", "cf")))
    about = {
        "spec": spec.model_dump(),
        "seconds": seconds / len(few),
        "mass": mass,
        "device": loaded.device.type,
    }
    files.write_json(path, about | {"hardware": folders.hardware()})
    return mass


def kept(profile: str) -> Iterator[dict[str, Any]]:
    """Yield what trials of a profile have kept: the spec's fields, seconds an item, device and hardware.

    What cannot be read is left out.
    """
    for path in sorted((files.results_dir() / profile / "trials").glob("*.json")):
        try:
            found = files.read_json(path)
            if {"spec", "seconds", "device", "hardware"} <= found.keys():
                yield found
        except (files.StoreError, AttributeError):
            continue


def seconds_of(kind: str, spec: Spec, an_item: float) -> float:
    """Reckon how long a base or an explainer takes.

    Args:
        kind: "base" or "explainer".
        spec: The run.
        an_item: Seconds that the evaluation of one item takes.
    """
    few = min(spec.interim_items, spec.test_items)
    if kind == "base":
        return an_item * (spec.test_items + few)  # a few items are computed in another way too
    evaluated = spec.train_items + (len(spec.evaluation_steps) - 1) * few + spec.test_items
    return an_item * (evaluated + TRAINED * spec.final_step * spec.batch_size)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Do some work. Returns the seconds that it took, and what it returned."""
    start = time.monotonic()
    done = work()
    return max(time.monotonic() - start, 1e-6), done


def _path(spec: Spec) -> Path:
    about = [spec.model, spec.revision, spec.dtype, spec.threads, spec.task]
    digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]
    return files.results_dir() / spec.profile / "trials" / f"{digest}.json"
